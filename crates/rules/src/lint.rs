//! What is wrong, or worth knowing, about rules: closed, with stable codes and a remedy each.
//!
//! Spec §3.6. Codes that begin with `E` refuse the configuration, `W` only report. Codes from 101
//! on belong to this crate; a code is never reused for something else. The texts a person reads
//! come from here, so that `check`, the reference and the tests cannot differ.

use crate::header_policy::NameProtection;
use crate::origin_pattern::{PatternError, PatternNote};
use crate::public_suffix::Strangers;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Reported; the rules work.
    Warning,
    /// The rules are refused.
    Error,
}

/// One kind of finding: its code, what it is about, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LintRow {
    /// Stable, such as `E101`.
    pub code: &'static str,
    /// What all findings of the kind have in common: the doc comment of the variant.
    pub meaning: &'static str,
    /// A line of a `[[site]]` that is told this, as TOML.
    pub example: &'static str,
    /// What to do about it, one sentence.
    pub remedy: &'static str,
}

impl LintRow {
    /// Read off the code's first letter.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if self.code.starts_with('E') {
            Severity::Error
        } else {
            Severity::Warning
        }
    }
}

macro_rules! lints {
    ($(
        $(#[doc = $meaning:literal])+
        $name:ident { $($field:ident: $type:ty),* } $code:literal
        says $message:literal
        remedy $remedy:literal
        example $($example:literal)+;
    )*) => {
        /// One finding, with the facts its message needs. `Display` is that message.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Lint {
            $(
                $(#[doc = $meaning])+
                #[error($message)]
                $name {
                    $(
                        #[doc = concat!("The ", stringify!($field), " of the message.")]
                        $field: $type,
                    )*
                },
            )*
        }

        /// Every kind of finding, in the order of the codes.
        pub const LINT_TABLE: &[LintRow] = &[$(LintRow {
            code: $code,
            meaning: concat!($($meaning),+).trim_ascii_start(),
            example: concat!($($example),+),
            remedy: $remedy,
        }),*];

        impl Lint {
            /// The row of the table.
            #[must_use]
            pub const fn row(&self) -> LintRow {
                match self {
                    $(Self::$name { .. } => LintRow {
                        code: $code,
                        meaning: concat!($($meaning),+).trim_ascii_start(),
                        example: concat!($($example),+),
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

lints! {
    /// An entry of `origins` is no pattern.
    MalformedOrigin { text: String, fault: PatternError } "E101"
        says "`{text}` is not an origin pattern: {fault}"
        remedy "write an origin as a browser sends it, such as `https://app.example.com`"
        example r#"cors = { origins = ["app.example.com"] }"#;
    /// Everybody is allowed, with credentials.
    StarWithCredentials { } "E102"
        says "`*` allows every origin, and with `credentials = true` it would hand every site the \
            user's data"
        remedy "list the origins that may use credentials, or set `credentials = false`"
        example r#"cors = { origins = ["*"], credentials = true }"#;
    /// `null` is allowed, with credentials.
    NullWithCredentials { } "E103"
        says "`null` is the origin of every sandboxed frame of every site, and \
            `credentials = true` would give them all the user's data"
        remedy "remove `null`, or set `credentials = false`"
        example r#"cors = { origins = ["null"], credentials = true }"#;
    /// A wildcard over a public suffix, under which anybody registers a name.
    PublicSuffix { pattern: String, suffix: String } "E104"
        says "`{pattern}` allows everyone who can register a name under `{suffix}`"
        remedy "put the wildcard under a domain of your own"
        example r#"cors = { origins = ["https://*.github.io"] }"#;
    /// A policy without a single origin.
    NoOrigins { } "E105"
        says "the policy lists no origins"
        remedy "add `origins`, or remove the policy"
        example r#"cors = { origins = [] }"#;
    /// `validate = false` with anything but one constant value.
    NotOneConstant { } "E106"
        says "with `validate = false` one value goes out whoever asks, so `origins` must be `*` or \
            one origin without wildcards"
        remedy "list one origin; or remove `validate = false`, and each listed origin gets its own"
        example r#"cors = { origins = ["https://a.example.com", "https://b.example.com"], "#
            r#"validate = false }"#;
    /// An entry of `methods` is no method.
    BadMethod { text: String } "E107"
        says "`{text}` is not a method name"
        remedy "write methods such as `GET`, or `*` alone for all"
        example r#"cors = { origins = ["*"], methods = ["GE T"] }"#;
    /// An entry of `request_headers` is no header name.
    BadRequestHeader { text: String } "E108"
        says "`{text}` is not a header name"
        remedy "write header names such as `Content-Type`, or `*` alone for all but \
            `Authorization`"
        example r#"cors = { origins = ["*"], request_headers = ["X Request Id"] }"#;
    /// A `*` inside a header name, outside the dialect `s3`.
    StarInRequestHeader { text: String } "E109"
        says "`{text}` has a `*` inside a header name, which only the dialect `s3` allows"
        remedy "write the names in full, `*` alone, or set `dialect = \"s3\"`"
        example r#"cors = { origins = ["*"], request_headers = ["x-amz-*"] }"#;
    /// An entry of `expose` is no header name.
    BadExposedHeader { text: String } "E110"
        says "`{text}` is not a header name"
        remedy "write header names such as `ETag`, or `*` alone for all"
        example r#"cors = { origins = ["*"], expose = ["E Tag"] }"#;
    /// An entry of `when.content_type` is no content type.
    BadContentType { text: String } "E112"
        says "`{text}` is not a content type"
        remedy "write `type/subtype`, `type/*` or `*/*`"
        example r#"cors = { origins = ["*"], when = { content_type = ["woff2"] } }"#;
    /// Policies of one route treat the upstream's own CORS differently.
    MixedUpstreamModes { } "E113"
        says "the policies of one route have different `upstream` modes"
        remedy "use the same `upstream` in all policies of a route"
        example r#"cors = [{ origins = ["https://a.example.com"] }, { upstream = "passthrough" }]"#;
    /// `validate_origin` together with `allow_duplicates`.
    ValidateAndDuplicates { } "E114"
        says "`validate_origin` and `allow_duplicates` exclude each other: kept upstream lines are \
            not validated"
        remedy "remove one of the two"
        example r#"header = [{ op = "add", name = "Access-Control-Allow-Origin", value = "*", "#
            r#"validate_origin = true, allow_duplicates = true }]"#;
    /// `validate_origin` where there is nothing to validate.
    ValidateElsewhere { name: String } "E115"
        says "only `op = \"add\"` of `Access-Control-Allow-Origin` validates, not this operation on \
            `{name}`"
        remedy "write `op = \"add\"` and `Access-Control-Allow-Origin`, or remove `validate_origin`"
        example r#"header = [{ op = "set", name = "X-Frame-Options", value = "DENY", "#
            r#"validate_origin = true }]"#;
    /// Several origins as one constant value.
    SeveralConstants { } "E116"
        says "without `validate_origin` the value is sent as it is, and a browser accepts only `*` \
            or one origin"
        remedy "write `*` or one origin, or set `validate_origin = true`"
        example r#"header = [{ op = "add", name = "Access-Control-Allow-Origin", value = "#
            r#""https://a.example.com,https://b.example.com", validate_origin = false }]"#;
    /// A condition that has nothing to do with who may read.
    SeedCondition { } "E117"
        says "`validate_origin` takes no condition but `content_type`: preflights are answered \
            before there is a response"
        remedy "write a `[[site.route]]` for paths, and remove the other conditions"
        example r#"header = [{ op = "add", name = "Access-Control-Allow-Origin", value = "#
            r#""https://a.example.com", validate_origin = true, when = { status = ["2xx"] } "#
            r#"}]"#;
    /// A constant for a CORS header that no browser understands.
    MeaninglessCorsValue { name: String, text: String } "E118"
        says "`{text}` means nothing to a browser in `{name}`"
        remedy "write seconds such as `3600` in Access-Control-Max-Age, `true` in \
            Access-Control-Allow-Credentials, `*` or whole origins in Timing-Allow-Origin, and in \
            the others names with commas between them"
        example r#"header = [{ op = "set", name = "Access-Control-Max-Age", value = "1h" }]"#;
    /// A `Cross-Origin-Resource-Policy` that no browser understands, so that it guards nothing.
    MeaninglessResourcePolicy { text: String } "E119"
        says "`{text}` is none of the three words of Cross-Origin-Resource-Policy, and a browser \
            that reads another one lets every site embed the response"
        remedy "write `same-origin`, `same-site` or `cross-origin`, in lower case"
        example r#"header = [{ op = "set", name = "Cross-Origin-Resource-Policy", value = "#
            r#""Same-Origin" }]"#;
    /// An operation that leaves a second value where a browser accepts one.
    SecondValue { verb: &'static str, name: String } "E120"
        says "`{verb}` leaves two values of `{name}` where the upstream sends one, and a browser \
            then reads neither"
        remedy "use `set`, or `default` to keep the upstream's"
        example r#"header = [{ op = "append", name = "Access-Control-Allow-Origin", value = "#
            r#""https://b.example.com" }]"#;
    /// A wildcard that covers names of strangers beside those of one owner, with credentials.
    StrangersWithCredentials { pattern: String, strangers: Strangers } "E121"
        says "`{pattern}` covers names that anybody can register, {strangers}, and with \
            `credentials = true` they could act for the user"
        remedy "put the wildcard, as `*.`, under a domain of your own; or list the hosts"
        example r#"cors = { origins = ["https://*.amazonaws.com"], credentials = true }"#;

    /// A header operation on something that is no header name.
    BadFieldName { text: String } "E131"
        says "`{text}` is not a header name"
        remedy "write a header name such as `X-Frame-Options`"
        example r#"header = [{ op = "set", name = "X Frame Options", value = "DENY" }]"#;
    /// A header operation on a header that the node must write itself.
    ProtectedField { name: String, reason: NameProtection } "E132"
        says "`{name}` cannot be edited: {reason}"
        remedy "remove the operation; the node sets this header itself"
        example r#"header = [{ op = "set", name = "Content-Length", value = "0" }]"#;
    /// A header value with a control character in it.
    BadFieldValue { name: String } "E133"
        says "the value for `{name}` holds a control character, which would end the header line"
        remedy "write the value in one line of visible characters"
        example r#"header = [{ op = "set", name = "X-Note", value = "a\nb" }]"#;
    /// `${…}` with no variable of that name.
    UnknownVariable { text: String } "E134"
        says "`{text}` is not a variable"
        remedy "use ${host}, ${path}, ${query.NAME}, ${request.NAME}, ${status} or ${cache}; `$${` \
            writes `${`"
        example r#"header = [{ op = "set", name = "X-Host", value = "${hots}" }]"#;
    /// An operation without the value that it needs.
    MissingValue { name: String } "E135"
        says "the operation on `{name}` needs a value"
        remedy "add `value`"
        example r#"header = [{ op = "set", name = "X-Frame-Options" }]"#;
    /// An operation with a value or a pattern that it does not take.
    NeedlessValue { name: String } "E136"
        says "the operation on `{name}` takes no such value"
        remedy "remove `value` or `pattern`; only `replace` has a pattern, and `remove` has \
            neither"
        example r#"header = [{ op = "remove", name = "Server", value = "nginx" }]"#;
    /// A `*` in a header name where none is allowed.
    StarInName { text: String } "E137"
        says "`{text}` has a `*`, which only `remove` allows, and only at the end"
        remedy "write the name in full"
        example r#"header = [{ op = "set", name = "X-*", value = "DENY" }]"#;
    /// `replace` without anything to look for.
    MissingPattern { name: String } "E138"
        says "`replace` on `{name}` needs a pattern that is not empty"
        remedy "add `pattern`: a text, where `*` stands for any run of characters"
        example r#"header = [{ op = "replace", name = "Location", value = "https://" }]"#;
    /// A condition that is malformed.
    BadCondition { text: String } "E139"
        says "`{text}` is not a condition of this kind"
        remedy "write a status such as `2xx` or `404`, a method, a path pattern, a \
            content type, or a header name"
        example r#"header = [{ op = "set", name = "X-Frame-Options", value = "DENY", when = { "#
            r#"status = ["20x"] } }]"#;
    /// A value that reflects the request's `Origin` into CORS.
    ReflectedOrigin { name: String } "E140"
        says "`{name}` would be given whatever origin asks, so every site on the web \
            could read the response"
        remedy "list the origins under `[site.cors]`; they are validated and echoed"
        example r#"header = [{ op = "set", name = "Access-Control-Allow-Origin", value = "#
            r#""${request.Origin}" }]"#;

    /// Credentials for pages that come over unencrypted connections.
    InsecureWithCredentials { pattern: String } "W101"
        says "`{pattern}` is not encrypted, so anyone on the network path can act with the user's \
            credentials"
        remedy "use `https://`, or keep credentials off"
        example r#"cors = { origins = ["http://app.example.com"], credentials = true }"#;
    /// A pattern that another one makes needless.
    RedundantPattern { pattern: String, by: String } "W102"
        says "`{pattern}` is already allowed by `{by}`"
        remedy "remove the narrower pattern"
        example r#"cors = { origins = ["https://*.example.com", "https://app.example.com"] }"#;
    /// A pattern that is compared in another form than it is written in, or that covers more than
    /// it seems.
    ChangedPattern { text: String, note: PatternNote } "W103"
        says "`{text}`: {note}"
        remedy "write it in that form"
        example r#"cors = { origins = ["https://App.example.com"] }"#;
    /// A method that is well known in upper case, but written in another.
    MethodCase { text: String } "W104"
        says "methods are case-sensitive: `{text}` is not the same in upper case"
        remedy "write the method in upper case unless clients really send it so"
        example r#"cors = { origins = ["*"], methods = ["patch"] }"#;
    /// A method that browsers never send from a page.
    ForbiddenMethod { text: String } "W105"
        says "browsers never send `{text}` from a page"
        remedy "remove it"
        example r#"cors = { origins = ["*"], methods = ["TRACE"] }"#;
    /// `*` in `expose` with credentials.
    ExposeStarWithCredentials { } "W106"
        says "with `credentials = true` a browser reads `*` in `expose` as a header of that name"
        remedy "list the headers"
        example r#"cors = { origins = ["https://app.example.com"], credentials = true, expose = "#
            r#"["*"] }"#;
    /// A lifetime that no browser keeps.
    MaxAgeOverCap { seconds: u32 } "W107"
        says "browsers keep a preflight answer for at most 86400 s, not {seconds} s"
        remedy "use `24h` or less; Chromium keeps it for at most `2h`"
        example r#"cors = { origins = ["*"], max_age = "20d" }"#;
    /// A policy behind one that always decides.
    UnreachablePolicy { by: usize } "W108"
        says "the policy never decides, because policy {by} of this route takes every origin, \
            method and header"
        remedy "move it before the other one, or remove it"
        example r#"cors = [{ origins = ["*"], methods = ["*"], request_headers = ["*", "#
            r#""Authorization"] }, { origins = ["https://app.example.com"] }]"#;
    /// Two `Access-Control-Allow-Origin` lines, which browsers refuse.
    DuplicateLines { } "W109"
        says "`upstream = \"duplicate\"` sends the upstream's header and ours, and a browser \
            refuses two"
        remedy "use `upstream = \"override\"`"
        example r#"cors = { origins = ["https://app.example.com"], upstream = "duplicate" }"#;
    /// `null` is allowed, without credentials.
    NullListed { } "W110"
        says "`null` is the origin of every sandboxed frame and local file, so pages of any site can \
            read responses through one"
        remedy "list the origins that are meant; if it is everybody, write `*`"
        example r#"cors = { origins = ["null"] }"#;
    /// A wildcard over the site's own domain, with credentials.
    WildcardOverOwnDomain { pattern: String, host: String } "W111"
        says "`{pattern}` covers every host beside `{host}`, and with `credentials = true` a \
            forgotten or taken-over one of them can act for the user"
        remedy "list the hosts that need credentials"
        example r#"cors = { origins = ["https://*.example.com"], credentials = true }"#;
    /// A policy whose every grant is an earlier one's; those of over 1,000 origins are not compared.
    CoveredPolicy { by: usize } "W112"
        says "the policy never grants, because policy {by} of this route takes all its origins, \
            methods and headers first"
        remedy "move it before the other one, or remove it if nothing but grants was wanted of it"
        example r#"cors = [{ origins = ["https://*.example.com"] }, { origins = "#
            r#"["https://app.example.com"] }]"#;
    /// A wildcard that covers names of strangers beside those of one owner.
    StrangersUnderWildcard { pattern: String, strangers: Strangers } "W113"
        says "`{pattern}` covers names that anybody can register, {strangers}"
        remedy "put the wildcard under a domain of your own; or list the hosts"
        example r#"cors = { origins = ["https://*.amazonaws.com"] }"#;
    /// A scheme that no page has an origin with.
    NoPageScheme { pattern: String, scheme: String } "W114"
        says "`{pattern}` allows nobody: no page has an origin with the scheme `{scheme}`, and a \
            WebSocket's handshake carries that of its page"
        remedy "write the origin of the page, such as `https://app.example.com`"
        example r#"cors = { origins = ["wss://app.example.com"] }"#;
    /// A header operation on a header that the CORS policy writes behind it.
    FightsCors { name: String } "W131"
        says "`{name}` is written by the CORS policy of this route, after this operation"
        remedy "set it under `[site.cors]`, and remove the operation"
        example r#"route = [{ path = "/a/**", cors = { origins = ["*"] }, header = [{ op = "#
            r#""set", name = "Access-Control-Allow-Origin", value = "*" }] }]"#;
    /// A CORS header is set on a route whose upstream decides on CORS.
    WritesOverUpstream { name: String } "W132"
        says "`{name}` is the upstream's under `upstream = \"passthrough\"`, and this operation \
            writes over what it decided for each origin"
        remedy "remove the operation, or let the node decide: `upstream = \"override\"` with `origins`"
        example r#"route = [{ path = "/a/**", cors = { upstream = "passthrough" }, header = [{ op "#
            r#"= "set", name = "Access-Control-Allow-Origin", value = "*" }] }]"#;
    /// `Vary` is removed or replaced.
    LosesVary { name: String } "W133"
        says "the operation on `{name}` takes from the upstream's `Vary`, so caches behind the node \
            are not told what its responses depend on"
        remedy "use `op = \"merge\"` to add to it; the node itself goes by what the upstream sent"
        example r#"header = [{ op = "set", name = "Vary", value = "Accept" }]"#;
    /// `ETag` or `Last-Modified` is written.
    EditsValidator { name: String } "W134"
        says "conditional requests are compared with the upstream's `{name}`, so who was given \
            another one is never answered 304"
        remedy "remove the operation; `op = \"remove\"` takes the header away"
        example r#"header = [{ op = "set", name = "ETag", value = "\"1\"" }]"#;
    /// Operations allow everybody, and credentials too.
    StarWithCredentialsSet { } "W135"
        says "another operation sends `*` in Access-Control-Allow-Origin, and with that a browser \
            accepts no credentials"
        remedy "remove it; or list the origins that may use credentials under `[site.cors]`"
        example r#"header = [{ op = "set", name = "Access-Control-Allow-Origin", value = "*" }, "#
            r#"{ op = "set", name = "Access-Control-Allow-Credentials", value = "true" }]"#;
}

impl Lint {
    /// Stable code, such as `E101`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.row().code
    }

    /// Whether it refuses the configuration.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.row().severity()
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        self.row().remedy
    }
}

/// Which part of a policy a finding is about; numbers count entries from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyPlace {
    /// The policy as a whole.
    Policy,
    /// An entry of `origins`.
    Origin(usize),
    /// An entry of `methods`.
    Method(usize),
    /// An entry of `request_headers`.
    RequestHeader(usize),
    /// An entry of `expose`.
    Expose(usize),
    /// `max_age`.
    MaxAge,
    /// An entry of `when.content_type`.
    ContentType(usize),
    /// `upstream`.
    Upstream,
}

/// A finding about CORS policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Which of the policies given, from 0.
    pub policy: usize,
    /// Which part of it.
    pub place: PolicyPlace,
    /// What about it.
    pub lint: Lint,
}

/// Which part of a header operation a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpPlace {
    /// The operation as a whole.
    Op,
    /// `name`.
    Name,
    /// `value`.
    Value,
    /// `pattern`.
    Pattern,
    /// `when`.
    When,
}

/// A finding about header operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpProblem {
    /// Which of the operations given, from 0.
    pub op: usize,
    /// Which part of it.
    pub place: OpPlace,
    /// What about it.
    pub lint: Lint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered_within_their_letter() {
        for letter in ['E', 'W'] {
            let codes: Vec<&str> = LINT_TABLE
                .iter()
                .map(|row| row.code)
                .filter(|code| code.starts_with(letter))
                .collect();
            assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        }
        assert!(
            LINT_TABLE
                .iter()
                .all(|row| row.code.len() == 4 && !row.remedy.is_empty())
        );
    }

    #[test]
    fn a_lint_finds_its_row() {
        let lint = Lint::MethodCase {
            text: "patch".into(),
        };
        assert_eq!((lint.code(), lint.severity()), ("W104", Severity::Warning));
        assert_eq!(
            lint.to_string(),
            "methods are case-sensitive: `patch` is not the same in upper case"
        );
        assert_eq!(Lint::NoOrigins {}.severity(), Severity::Error);
        assert!(LINT_TABLE.contains(&lint.row()));
    }
}
