//! An explanation as text that can be pasted into a ticket: aligned, no colours, at most 100 columns
//! where the request's own bytes allow it.
//!
//! Bytes of the request and of the configuration are shown with control characters escaped. Never
//! decides anything.

use core::fmt::{self, Write as _};

use super::answer::{
    CacheShown, CorsShown, Explanation, OperationShown, PolicyShown, PreflightShown,
};
use super::question::printable;

/// Columns of the labels at the left.
const LABEL: usize = 11;
/// Columns before the places at the right.
const PLACE: usize = 50;
/// Columns of a line; longer sentences are broken at blanks.
const WIDTH: usize = 96;

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ticket = Ticket { out };
        ticket.request(self)?;
        ticket.place(self)?;
        if let Some(cors) = &self.cors {
            ticket.cors(cors)?;
        }
        if let Some(preflight) = &self.preflight {
            ticket.preflight(preflight)?;
        }
        if self.route.is_some() {
            ticket.operations(&self.operations)?;
        }
        if let Some(cache) = &self.cache {
            ticket.cache(cache)?;
        }
        ticket.head("answer", &self.response.head)?;
        ticket.browser(self)
    }
}

struct Ticket<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
}

impl Ticket<'_, '_> {
    /// A labelled line; what does not fit goes on below, indented by two more.
    fn line(&mut self, label: &str, text: &str) -> fmt::Result {
        let text = printable(text);
        let indent = text.len() - text.trim_start_matches(' ').len();
        let mut label = label;
        let mut line = " ".repeat(indent);
        let mut begun = false;
        for word in text[indent..].split(' ') {
            let columns = LABEL + line.chars().count() + 1 + word.chars().count();
            if begun && columns > WIDTH {
                writeln!(self.out, "{label:<LABEL$}{}", line.trim_end())?;
                label = "";
                line = " ".repeat(indent + 2);
            } else if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        writeln!(self.out, "{label:<LABEL$}{line}")
    }

    /// A labelled line with its place in the configuration behind it, in a column of its own.
    fn placed(&mut self, label: &str, text: &str, place: Option<&str>) -> fmt::Result {
        match place {
            Some(place) => {
                let text = printable(text);
                writeln!(self.out, "{label:<LABEL$}{text:<PLACE$}  {place}")
            }
            None => self.line(label, text),
        }
    }

    fn request(&mut self, told: &Explanation) -> fmt::Result {
        let request = &told.request;
        self.line("request", &format!("{} {}", request.method, request.url))?;
        for origin in &request.origins {
            self.line("", &format!("Origin: {origin}"))?;
        }
        if told.cache.is_none() {
            return Ok(());
        }
        let failure = request.upstream_failure.as_ref();
        let Some(status) = request.upstream_status else {
            let why = failure.map_or("fails", |failure| &failure.why);
            return self.line("upstream", &format!("taken to fail: it {why}"));
        };
        let mut assumed = format!("taken to answer {status}");
        for header in &request.upstream_headers {
            write!(assumed, ", {header}")?;
        }
        self.line("upstream", &assumed)?;
        match failure {
            Some(failure) => self.line("", &format!("which is a failure: {}", failure.why)),
            None => Ok(()),
        }
    }

    fn place(&mut self, told: &Explanation) -> fmt::Result {
        if let Some(site) = &told.site {
            self.placed("site", &site.hosts.join(", "), site.place.as_deref())?;
        }
        if let Some(route) = &told.route {
            let path = route.path.as_deref().filter(|_| route.number > 0);
            let text = path.unwrap_or("the site's own settings");
            self.placed("route", text, route.place.as_deref())?;
        }
        match &told.refused {
            Some(reason) => {
                let status = told.response.status;
                self.line("refused", &format!("{status}: {reason}"))
            }
            None => Ok(()),
        }
    }

    fn cors(&mut self, cors: &CorsShown) -> fmt::Result {
        let verdict = match (cors.kind, cors.outcome, cors.granted) {
            ("preflight", "constant", true) => "preflight answered alike for everybody",
            ("preflight", _, true) => "preflight granted",
            ("preflight", _, false) => "preflight refused",
            ("not-cors", ..) => "not a CORS request",
            (_, "passthrough", _) => "left to the upstream",
            (_, "constant", true) => "answered alike for everybody",
            (_, _, true) => "granted",
            (_, _, false) => "not granted",
        };
        self.line("cors", &format!("{verdict} ({})", cors.outcome))?;
        if cors.policies.is_empty() {
            return self.line("", "no policy: the upstream's own CORS passes through");
        }
        for policy in &cors.policies {
            self.policy(policy)?;
        }
        Ok(())
    }

    fn policy(&mut self, policy: &PolicyShown) -> fmt::Result {
        let standing = match policy.standing {
            "live" => "",
            "shadow" => " (shadow: evaluated, not applied)",
            _ => " (passthrough: the upstream decides)",
        };
        let title = format!("policy {}{standing}", policy.number);
        self.placed("", &title, policy.place.as_deref())?;
        for says in &policy.says {
            self.line("", &format!("  {says}"))?;
        }
        if let Some(rule) = &policy.rule {
            let rule_text = format!("  rule {}", rule.pattern);
            self.placed("", &rule_text, rule.place.as_deref())?;
        }
        for near in &policy.nearest {
            let place = near.place.as_deref();
            self.placed("", &format!("  nearest {}", near.pattern), place)?;
            self.line("", &format!("    {}", near.differs))?;
        }
        Ok(())
    }

    fn preflight(&mut self, preflight: &PreflightShown) -> fmt::Result {
        let because = preflight.because.join(", ");
        self.line(
            "preflight",
            &format!("a browser asks first, because of {because}"),
        )?;
        if preflight.answered_by == "upstream" {
            self.line("", "answered by the upstream, taken to answer the same")?;
        } else if let Some(cors) = &preflight.cors {
            let word = if cors.granted { "granted" } else { "refused" };
            let text = format!("answered by the node: {word} ({})", cors.outcome);
            self.line("", &text)?;
            for policy in cors.policies.iter().filter(|_| !cors.granted) {
                self.policy(policy)?;
            }
        }
        self.head("", &preflight.response.head)
    }

    fn operations(&mut self, operations: &[OperationShown]) -> fmt::Result {
        for (number, operation) in operations.iter().enumerate() {
            let label = if number == 0 { "headers" } else { "" };
            let text = format!("{}. {}", number + 1, operation.operation);
            self.placed(label, &text, operation.place.as_deref())?;
            if let Some(why) = &operation.why {
                self.line("", &format!("   not applied: {why}"))?;
            }
            for line in &operation.gone {
                self.line("", &format!("   - {line}"))?;
            }
            for line in &operation.come {
                self.line("", &format!("   + {line}"))?;
            }
        }
        Ok(())
    }

    fn cache(&mut self, cache: &CacheShown) -> fmt::Result {
        self.line("cache", &format!("key {}", cache.key))?;
        let text = match (cache.stored, cache.fresh_s) {
            (true, Some(0)) => "stored, and validated for each request".to_owned(),
            (true, seconds) => format!("stored, fresh for {} s", seconds.unwrap_or(0)),
            (false, _) => format!("not stored ({})", cache.reason.unwrap_or("no reason")),
        };
        self.line("", &text)?;
        match cache.stands_in_s {
            Some(0) => {
                let text = "no stored response would stand in: `stale_if_error` is 0s";
                self.line("", text)?;
            }
            Some(seconds) => {
                let text = format!(
                    "a stored response would stand in for {seconds} s past its lifetime \
                     (`stale_if_error`)"
                );
                self.line("", &text)?;
            }
            None => {}
        }
        if cache.stored {
            let variants = match cache.vary.as_slice() {
                [] => "one stored response for every request of this key".to_owned(),
                names => format!("one stored response for each value of {}", names.join(", ")),
            };
            self.line("", &variants)?;
        }
        Ok(())
    }

    fn head(&mut self, label: &str, head: &str) -> fmt::Result {
        let mut label = label;
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            writeln!(self.out, "{label:<LABEL$}{}", printable(line))?;
            label = "";
        }
        Ok(())
    }

    fn browser(&mut self, told: &Explanation) -> fmt::Result {
        if told.browser.is_empty() {
            let text = match told.request.origins.as_slice() {
                [] => "no Origin: add -H 'Origin: https://…' for a page's point of view",
                [_] => "same origin as the URL: no CORS check is made",
                [..] => "no browser sends several Origin lines",
            };
            return self.line("browser", text);
        }
        for (number, verdict) in told.browser.iter().enumerate() {
            let label = if number == 0 { "browser" } else { "" };
            let mode = format!("{} credentials", verdict.credentials);
            self.line(label, &format!("{mode:<21}{}", verdict.verdict))?;
        }
        let readable: Vec<_> = told.browser.iter().filter(|v| v.allowed).collect();
        match readable.as_slice() {
            // `*` in `Access-Control-Expose-Headers` counts without credentials only.
            [one, other] if one.readable != other.readable => {
                for (label, verdict) in [("readable", one), ("", other)] {
                    let mode = format!("{} credentials", verdict.credentials);
                    self.line(label, &format!("{mode:<21}{}", verdict.readable.join(", ")))?;
                }
                Ok(())
            }
            [one, ..] if !one.readable.is_empty() => {
                self.line("readable", &one.readable.join(", "))
            }
            [] | [_, ..] => Ok(()),
        }
    }
}
