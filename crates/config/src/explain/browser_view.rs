//! The browser's side of an explanation: which preflight goes first, and the verdict per credentials
//! mode.
//!
//! The algorithms are `browser.rs`; here they get the heads of the dry run.

use super::answer::{BrowserVerdict, Explanation, PreflightShown};
use super::browser::{
    Credentials, SeenHead, cors_check, is_forbidden_method, normalize_method, preflight_check,
    preflight_reasons, readable_fields, redirect, unsafe_names,
};
use super::question::Question;

/// A preflight and why it is sent.
pub(super) struct AskedFirst {
    pub(super) question: Question,
    because: Vec<String>,
}

/// The preflight that a browser sends before this request, if it sends one.
pub(super) fn preflight_question(question: &Question, told: &Explanation) -> Option<AskedFirst> {
    let origin = question.origin()?;
    let is_asked_first = !is_preflight(question)
        && !is_same_origin(question, origin)
        && !is_forbidden_method(&question.method);
    if !is_asked_first || told.site.is_none() {
        return None;
    }
    let method = normalize_method(&question.method);
    let because = preflight_reasons(&method, &question.headers);
    if because.is_empty() {
        return None;
    }
    let line = |name: &str, value: String| (name.to_owned(), value);
    let mut headers = vec![
        line("Origin", origin.to_owned()),
        line("Access-Control-Request-Method", method),
    ];
    let names = unsafe_names(&question.headers);
    if !names.is_empty() {
        headers.push(line("Access-Control-Request-Headers", names.join(",")));
    }
    headers.extend(
        question
            .values("Host")
            .map(|host| line("Host", host.to_owned())),
    );
    Some(AskedFirst {
        question: Question {
            method: "OPTIONS".to_owned(),
            headers,
            ..question.clone()
        },
        because,
    })
}

/// What is told about it.
pub(super) fn preflight_shown(asked: AskedFirst, answer: &Explanation) -> PreflightShown {
    let by_node = answer
        .cors
        .as_ref()
        .is_some_and(|cors| cors.kind == "preflight");
    PreflightShown {
        because: asked.because,
        answered_by: if by_node || answer.refused.is_some() {
            "node"
        } else {
            "upstream"
        },
        cors: answer.cors.clone(),
        response: answer.response.clone(),
    }
}

/// The verdicts without and with credentials; none when there is no single cross-origin `Origin`.
pub(super) fn verdicts(question: &Question, told: &Explanation) -> Vec<BrowserVerdict> {
    let Some(origin) = question.origin() else {
        return Vec::new();
    };
    if is_same_origin(question, origin) {
        return Vec::new();
    }
    let modes = [
        ("without", Credentials::Without),
        ("with", Credentials::With),
    ];
    let response = SeenHead::read(&told.response.head);
    let verdict = |(name, credentials)| {
        if is_preflight(question) {
            preflight_verdict(question, origin, &response, (name, credentials))
        } else {
            actual_verdict(question, told, origin, &response, (name, credentials))
        }
    };
    modes.into_iter().map(verdict).collect()
}

type Mode = (&'static str, Credentials);

fn preflight_verdict(
    question: &Question,
    origin: &str,
    response: &SeenHead,
    (name, credentials): Mode,
) -> BrowserVerdict {
    let method = question
        .values("Access-Control-Request-Method")
        .next()
        .unwrap_or_default();
    let asked: Vec<(String, String)> = question
        .values("Access-Control-Request-Headers")
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|header| !header.is_empty())
        // A value that no safelist takes: the name is in the list because it needs allowing.
        .map(|header| (header.to_owned(), "\"".repeat(129)))
        .collect();
    match preflight_check(origin, method, &asked, response, credentials) {
        Ok(()) => BrowserVerdict {
            credentials: name,
            allowed: true,
            verdict: format!("allowed: the {method} request goes out"),
            readable: Vec::new(),
        },
        Err(why) => BrowserVerdict::blocked(name, &format!("{method} is not sent"), &why),
    }
}

fn actual_verdict(
    question: &Question,
    told: &Explanation,
    origin: &str,
    response: &SeenHead,
    (name, credentials): Mode,
) -> BrowserVerdict {
    if let Some(preflight) = &told.preflight {
        let method = normalize_method(&question.method);
        let answer = SeenHead::read(&preflight.response.head);
        let checked = preflight_check(origin, &method, &question.headers, &answer, credentials);
        if let Err(why) = checked {
            let what = format!("{method} is not sent");
            return BrowserVerdict::blocked(name, &what, &why);
        }
    }
    if is_forbidden_method(&question.method) {
        let method = &question.method;
        return BrowserVerdict {
            credentials: name,
            allowed: false,
            verdict: format!("no page can send {method} (Fetch §2.2.1, forbidden method)"),
            readable: Vec::new(),
        };
    }
    let checked = cors_check(origin, response, credentials);
    match checked.and_then(|()| redirect(&question.url, response)) {
        Ok(None) => BrowserVerdict {
            credentials: name,
            allowed: true,
            verdict: "allowed: the page may read the response".to_owned(),
            readable: readable_fields(response, credentials),
        },
        Ok(Some(next)) => {
            let with = if next.opaque {
                "`Origin: null`"
            } else {
                "the same Origin"
            };
            BrowserVerdict {
                credentials: name,
                allowed: false,
                verdict: format!(
                    "redirected: follows to `{}`, with {with}; what is answered there decides \
                     (Fetch §4.5)",
                    next.url
                ),
                readable: Vec::new(),
            }
        }
        Err(why) => BrowserVerdict::blocked(name, "blocked", &why),
    }
}

fn is_preflight(question: &Question) -> bool {
    let asks = |name| question.values(name).next().is_some();
    question.method == "OPTIONS" && asks("Origin") && asks("Access-Control-Request-Method")
}

/// Whether the page and the URL have one origin: then no CORS algorithm runs (Fetch §4.1).
fn is_same_origin(question: &Question, origin: &str) -> bool {
    let lower = question.url.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default).unwrap_or(authority);
    origin == format!("{scheme}://{authority}")
}
