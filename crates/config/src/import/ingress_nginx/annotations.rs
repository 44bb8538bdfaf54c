//! Annotations of ingress-nginx that are not about CORS: none is imported, and each is told.
//!
//! Source: kubernetes/ingress-nginx at dbb11b9, `docs/user-guide/nginx-configuration/annotations.md`. What
//! decides who is answered, from where, or with which headers is a difference; the rest is a note.

use super::super::draft::{Draft, Located};
use super::super::finding::{Finding, Weight};
use super::super::ingress::Manifest;
use super::parse_flag;
use crate::report::clip;

/// What a request shows of an annotation.
struct Effect {
    message: &'static str,
    request: &'static str,
    theirs: String,
    ours: &'static str,
    remedy: &'static str,
}

/// Tells of every annotation but those of CORS.
pub(super) fn tell(manifest: &Manifest, draft: &mut Draft) {
    for (name, text) in &manifest.annotations {
        if name == "enable-cors" || name.starts_with("cors-") {
            continue;
        }
        let effect = effect_of(name, text);
        let weight = match effect {
            Some(_) => Weight::Difference,
            None => Weight::Note,
        };
        let effect = effect.unwrap_or_else(|| Effect {
            message: "the annotation is not imported",
            request: "a request that it acts on",
            theirs: format!("`{}`", clip(&text.text)),
            ours: "Corsair's own setting, or none",
            remedy: "look for a key of the same purpose in the reference",
        });
        draft.tell(Finding {
            weight,
            line: text.line,
            construct: format!("`{}`", clip(name)),
            message: effect.message.to_owned(),
            request: effect.request.to_owned(),
            system: draft.system(),
            theirs: effect.theirs,
            ours: effect.ours.to_owned(),
            remedy: Some(effect.remedy.to_owned()),
        });
    }
}

/// What is answered otherwise; none where the answer is the same, as far as the name tells.
fn effect_of(name: &str, text: &Located) -> Option<Effect> {
    let value = clip(&text.text);
    Some(match name {
        "rewrite-target" => Effect {
            message: "paths are not rewritten, and with this annotation all paths of the host are \
                      regular expressions",
            request: "any GET that a path of the Ingress covers",
            theirs: format!("the upstream is asked for `{value}`"),
            ours: "the upstream is asked for the path of the request",
            remedy: "let the service answer under the path that clients ask for",
        },
        "use-regex" if parse_flag(&text.text) == Some(true) => Effect {
            message: "with this annotation all paths of the host are regular expressions without \
                      end and without case",
            request: "a GET for a path with more letters behind it, or in capitals",
            theirs: "the path covers it".to_owned(),
            ours: "it does not",
            remedy: "write a [[site.route]] with `*` and `**` for what was meant",
        },
        "app-root" => Effect {
            message: "the redirect from `/` is not imported",
            request: "GET /",
            theirs: format!("302 to `{value}`"),
            ours: "what the upstream answers",
            remedy: "let the service redirect",
        },
        "permanent-redirect" | "temporal-redirect" => Effect {
            message: "redirects are not imported",
            request: "any GET",
            theirs: format!("a redirect to `{value}`"),
            ours: "what the upstream answers",
            remedy: "let the service redirect",
        },
        "server-alias" => Effect {
            message: "further names of the host are not imported",
            request: "a GET for one of these hosts",
            theirs: format!("`{value}` is served, too"),
            ours: "421, or the default site",
            remedy: "add the names to the `hosts` of the site",
        },
        "backend-protocol" if !value.eq_ignore_ascii_case("http") => Effect {
            message: "the protocol that the service is spoken to is not imported",
            request: "any GET",
            theirs: format!("the service is spoken to in {value}"),
            ours: "HTTP/1.1 over TCP",
            remedy: "put a server that speaks HTTP/1.1",
        },
        "custom-headers" => Effect {
            message: "the response headers stand in a ConfigMap, which is not imported",
            request: "any GET",
            theirs: format!("the headers of the ConfigMap `{value}`"),
            ours: "none of them",
            remedy: "write each as a [[site.header]]",
        },
        "upstream-vhost" => Effect {
            message: "the `Host` that the upstream is asked for is not imported",
            request: "any GET",
            theirs: format!("the upstream is asked for `Host: {value}`"),
            ours: "the upstream is asked for the `Host` of the request",
            remedy: "write it as `host` of the [[upstream]]",
        },
        "whitelist-source-range" | "allowlist-source-range" | "denylist-source-range" => Effect {
            message: "lists of addresses are not imported: everybody is served",
            request: "any GET from another network",
            theirs: "403".to_owned(),
            ours: "what the upstream answers",
            remedy: "keep strangers away before this node, or do not serve these paths here",
        },
        _ if name.starts_with("auth-") || name == "enable-global-auth" || name == "satisfy" => {
            Effect {
                message: "authentication is not imported: everybody is served",
                request: "any GET without credentials",
                theirs: "refused, 401 or 403, or sent to sign in".to_owned(),
                ours: "what the upstream answers, and it may be stored for all",
                remedy: "let the service itself authenticate, or do not serve these paths here",
            }
        }
        _ if name.starts_with("canary") => Effect {
            message: "canaries are not imported",
            request: "a GET that the canary takes",
            theirs: "the canary's service answers".to_owned(),
            ours: "the first Ingress of the path does",
            remedy: "import the manifests without the canary",
        },
        _ if name.ends_with("-snippet") && edits_headers(&text.text) => Effect {
            message: "pieces of nginx configuration are not imported, and this one edits headers",
            request: "any GET",
            theirs: "the headers it writes".to_owned(),
            ours: "none of them",
            remedy: "write each as a [[site.header]]",
        },
        _ if name.ends_with("-snippet") => Effect {
            message: "pieces of nginx configuration are not imported",
            request: "any GET",
            theirs: "what it says".to_owned(),
            ours: "nothing of it",
            remedy: "read it, and write here what it is for",
        },
        _ => return None,
    })
}

fn edits_headers(snippet: &str) -> bool {
    const EDITS: [&str; 3] = ["add_header", "more_set_headers", "more_clear_headers"];
    EDITS.iter().any(|edit| snippet.contains(edit))
}
