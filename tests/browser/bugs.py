"""Seeded bugs: each has to be caught by the named checks, or the checks are worth nothing.

A wrong switch spoils the node's answers on the wire (`SWITCH`); a wrong policy is a wrong line in
the configuration (`POLICY`). Each is one that a product or a person has really made.
"""

import re

SWITCH = {}


def _bug(name, *caught_by):
    def register(make):
        SWITCH[name] = (make, caught_by)
        return make

    return register


def _always(name, *caught_by):
    """A bug that remembers nothing: the function itself spoils an answer."""

    def register(spoil):
        SWITCH[name] = (lambda: spoil, caught_by)
        return spoil

    return register


@_always(
    "Vary: Origin is missing", "no-cors-then-cors", "shared-browser-cache", "upstream-reflects"
)
def _drop_vary(answer):
    answer.remove("vary")


@_always("Vary: Origin only on a grant", "no-cors-then-cors")
def _vary_on_grant(answer):
    if not answer.get("access-control-allow-origin"):
        answer.remove("vary")


@_always("two Access-Control-Allow-Origin lines", "fetch-readable", "font-css", "script-module")
def _duplicate(answer):
    value = answer.get("access-control-allow-origin")
    if value:
        answer.fields.append(("Access-Control-Allow-Origin", value))


@_always("`*` where credentials are allowed", "credentials", "image-credentials")
def _star_with_credentials(answer):
    if answer.get("access-control-allow-credentials"):
        answer.set("access-control-allow-origin", "*")


@_always("the origin's host in upper case", "fetch-readable", "image-canvas")
def _upper_case(answer):
    answer.change(
        "access-control-allow-origin", lambda value: value.replace("localhost", "LOCALHOST")
    )


@_always("the origin without its port", "fetch-readable", "media-ranges")
def _no_port(answer):
    answer.change("access-control-allow-origin", lambda value: re.sub(r":\d+$", "", value))


@_always("a slash behind the origin", "fetch-readable", "event-stream")
def _slash(answer):
    answer.change("access-control-allow-origin", lambda value: value + "/")


@_always(
    "any origin is reflected",
    "fetch-readable",
    "credentials",
    "image-canvas",
    "script-module",
    "sandboxed-null",
    "redirect-across",
    "preflight-refused",
)
def _reflect(answer):
    if "origin" in answer.asked:
        answer.set("Access-Control-Allow-Origin", answer.asked["origin"])
        answer.set("Access-Control-Allow-Credentials", "true")
        if answer.preflight:
            answer.set(
                "Access-Control-Allow-Methods", answer.asked["access-control-request-method"]
            )


@_always("the origin is compared without its port", "fetch-readable")
def _ignore_port(answer):
    origin = answer.asked.get("origin", "")
    if origin.startswith("http://app.site.localhost:"):
        answer.set("Access-Control-Allow-Origin", origin)


@_always("a suffix without its dot", "fetch-readable")
def _suffix(answer):
    origin = answer.asked.get("origin", "")
    if re.search(r"tenant\.localhost:\d+$", origin):
        answer.set("Access-Control-Allow-Origin", origin)


@_bug(
    "the first requester's grant is stored with the body",
    "shared-browser-cache",
    "fetch-readable",
    "font-css",
    "rule-edit",
)
def _freeze():
    stored = {}

    def spoil(answer):
        if answer.preflight:
            return
        first = stored.setdefault(answer.target, answer.get("access-control-allow-origin"))
        answer.remove("access-control-allow-origin")
        if first:
            answer.set("Access-Control-Allow-Origin", first)

    return spoil


@_bug("rules are read once", "rule-edit")
def _stale_rules():
    stored = {}

    def spoil(answer):
        key = (answer.target, answer.asked.get("origin"))
        if not answer.preflight:
            first = stored.setdefault(key, answer.get("access-control-allow-origin"))
            answer.remove("access-control-allow-origin")
            if first:
                answer.set("Access-Control-Allow-Origin", first)

    return spoil


@_always("Expose-Headers is missing", "exposed-headers")
def _no_expose(answer):
    answer.remove("access-control-expose-headers")


@_always("no CORS on errors", "errors-readable")
def _no_cors_on_errors(answer):
    if answer.status >= 400:
        answer.remove_cors()


@_always("no CORS on redirects", "redirect-across")
def _no_cors_on_redirects(answer):
    if 300 < answer.status < 304:
        answer.remove_cors()


@_always("no CORS on ranges", "media-ranges", "video-canvas")
def _no_cors_on_ranges(answer):
    if answer.status == 206:
        answer.remove_cors()


@_always("a 304 with another's grant", "validated-304", "rule-edit-304")
def _wrong_304(answer):
    if answer.status == 304:
        answer.set("Access-Control-Allow-Origin", "http://second.site.localhost")


@_always("preflights are answered 403", "preflight-granted", "preflight-cache", "xhr")
def _forbid_preflights(answer):
    if answer.preflight:
        answer.status = 403


@_always("Allow-Headers with credentials is `*`", "preflight-star")
def _literal_star(answer):
    if answer.preflight:
        answer.set("Access-Control-Allow-Headers", "*")


@_always("a preflight grants whatever is asked for", "preflight-refused", "preflight-star")
def _grant_what_is_asked(answer):
    if answer.preflight:
        answer.set("Access-Control-Allow-Origin", answer.asked["origin"])
        answer.set("Access-Control-Allow-Methods", answer.asked["access-control-request-method"])
        answer.set(
            "Access-Control-Allow-Headers",
            answer.asked.get("access-control-request-headers", "x-none"),
        )


@_always("Max-Age is 0", "preflight-cache")
def _no_max_age(answer):
    if answer.preflight:
        answer.set("Access-Control-Max-Age", "0")


@_always("Max-Age is a day", "preflight-cache")
def _long_max_age(answer):
    if answer.preflight:
        answer.set("Access-Control-Max-Age", "86400")


@_always("Allow-Credentials: True", "credentials", "image-credentials")
def _wrong_case(answer):
    answer.change("access-control-allow-credentials", lambda value: value.title())


@_always("Timing-Allow-Origin is missing", "resource-timing")
def _no_timing(answer):
    answer.remove("timing-allow-origin")


@_always("Timing-Allow-Origin is `*`", "resource-timing")
def _timing_for_all(answer):
    answer.set("Timing-Allow-Origin", "*")


@_always("no Cross-Origin-Resource-Policy", "resource-policy", "isolated-page")
def _no_resource_policy(answer):
    answer.remove("cross-origin-resource-policy")


@_always("the same resource policy for everything", "fetch-opaque", "redirect-image")
def _same_origin_everywhere(answer):
    answer.set("Cross-Origin-Resource-Policy", "same-origin")


@_always("two values of Cross-Origin-Resource-Policy", "resource-policy", "isolated-page")
def _two_resource_policies(answer):
    if answer.get("cross-origin-resource-policy"):
        answer.fields.append(("Cross-Origin-Resource-Policy", "same-site"))


@_always("the upstream's grant is not dropped", "upstream-overridden")
def _upstream_grant(answer):
    if "/wide.json" in answer.target:
        answer.set("Access-Control-Allow-Origin", "*")
        answer.set("Access-Control-Expose-Headers", "X-Hidden")


# Text of the configuration, what it became, and who notices. `{pages}` is the pages' port.
POLICY = {
    "the port is forgotten": (
        '"http://app.site.localhost:{pages}",',
        '"http://app.site.localhost",',
        ("fetch-readable", "font-face", "image-canvas", "script-errors", "style-rules"),
    ),
    "https instead of http": (
        '"http://app.site.localhost:{pages}",',
        '"https://app.site.localhost:{pages}",',
        ("fetch-readable", "video-canvas", "redirect-same-origin-first", "script-integrity"),
    ),
    "`*.` is thought to cover the apex": (
        "http://*.tenant.localhost:*",
        "http://tenant.localhost:*",
        ("fetch-readable",),
    ),
    "a wildcard over everybody's names": (
        "http://*.tenant.localhost:*",
        "http://*.site.localhost:*",
        ("fetch-readable", "font-css", "event-stream"),
    ),
    "`*` for all": (
        'origins = [\n    "http://app.site.localhost:{pages}",\n'
        '    "http://second.site.localhost:{pages}",\n    "http://*.tenant.localhost:*",\n]',
        'origins = ["*"]',
        ("fetch-readable", "sandboxed-null"),
    ),
    "a method is not listed": (
        '"PUT", "PATCH"]',
        '"PATCH"]',
        ("preflight-granted", "preflight-cache"),
    ),
    "the method in lower case": (
        '"PUT", "PATCH"]',
        '"PUT", "patch"]',
        ("preflight-granted", "preflight-refused"),
    ),
    "a request header is not listed": (
        '["X-Custom", "Content-Type"]',
        '["Content-Type"]',
        ("preflight-granted",),
    ),
    "credentials are forgotten": (
        "credentials = true",
        "credentials = false",
        ("credentials", "image-credentials"),
    ),
    "the wrong header is exposed": (
        'expose = ["X-Total"]\nmax_age = "10m"',
        'expose = ["X-Totals"]\nmax_age = "10m"',
        ("exposed-headers",),
    ),
    "`null` is not listed": (
        'origins = ["null"]',
        'origins = ["http://localhost"]',
        ("sandboxed-null", "redirect-across"),
    ),
    "the second policy has another method": (
        'methods = ["DELETE"]',
        'methods = ["PUT"]',
        ("several-policies",),
    ),
    "timing is forgotten": ("timing = true\n", "", ("resource-timing",)),
    "embedding by the same site alone": (
        'resource_policy = "cross-origin"',
        'resource_policy = "same-site"',
        ("isolated-page",),
    ),
    "a policy for every type": (
        'when = { content_type = ["font/*"] }\n',
        "",
        ("policy-when",),
    ),
    "CORS is left to the upstream": (
        '[site.cors]\norigins = ["*"]\nrequest_headers = ["*"]\n',
        "",
        ("fetch-readable",),
    ),
}


def unnamed(checks):
    """The checks that no bug needs: nothing would show that they can fail."""
    named = {name for *_, caught_by in (*SWITCH.values(), *POLICY.values()) for name in caught_by}
    return [name for name in checks if name not in named]


def spoilt_policy(config, name, pages):
    """The configuration with one wrong line, and who has to notice."""
    right, wrong, caught_by = POLICY[name]
    right, wrong = (text.replace("{pages}", str(pages)) for text in (right, wrong))
    assert right in config, f"{name}: the configuration has no such line"
    return config.replace(right, wrong, 1), caught_by
