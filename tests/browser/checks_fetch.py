"""Checks of what scripts fetch: verdicts, credentials, preflights, redirects, caches, streams."""

from urllib.parse import quote

from case import check

STRANGER = "stranger.site"
READ = "return read(url, init)"
STATUS = "const { status, error } = await read(url, init); return status ?? error"
REFUSED = "TypeError"


@check("fetch-readable")
def fetch_readable(case):
    """Fetch, CORS check: the value is the page's own origin, byte for byte, or `*`."""
    url = case.url("cdn", "/data.json")
    for host, port, wanted in (
        ("app.site", "pages", 200),
        ("second.site", "pages", 200),
        (STRANGER, "pages", REFUSED),
        ("app.site", "elsewhere", REFUSED),
        ("tenant", "pages", REFUSED),
        ("a.tenant", "pages", 200),
        ("a.b.tenant", "elsewhere", 200),
        ("eviltenant", "pages", REFUSED),
    ):
        case.same(
            f"{host}, {port}", case.page(host, port=port).run(STATUS, url=url, init={}), wanted
        )
    case.same(
        "no policy", case.page().run(STATUS, url=case.url("plain", "/data.json"), init={}), REFUSED
    )
    for host in ("app.site", STRANGER):
        case.same(
            f"{host}, everybody",
            case.page(host).run(STATUS, url=case.url("open", "/data.json"), init={}),
            200,
        )
    # One for each of the three sites: eight origins share the first one's stored response.
    case.reached(*["GET /data.json"] * 3)


@check("fetch-opaque")
def fetch_opaque(case):
    """Fetch, opaque filtered response: with mode `no-cors` the response arrives, opaque,
    whatever the policy says."""
    got = case.page(STRANGER).run(READ, url=case.url("cdn", "/data.json"), init={"mode": "no-cors"})
    case.same(
        "opaque",
        got,
        {"status": 0, "type": "opaque", "redirected": False, "text": "", "fields": {}},
    )
    case.reached("GET /data.json")


@check("exposed-headers")
def exposed_headers(case):
    """Fetch, CORS filtered response: the safelisted headers and those of Expose-Headers."""
    for method in ("GET", "HEAD"):
        got = case.page().run(READ, url=case.url("cdn", "/data.json"), init={"method": method})
        case.same("type", got["type"], "cors")
        case.same(
            "exposed",
            sorted(got["fields"]),
            ["cache-control", "content-length", "content-type", "x-total"],
        )
        case.same("value", got["fields"]["x-total"], "12")


@check("xhr")
def xhr(case):
    """XMLHttpRequest, upload listener flag: a listener on `upload` forces a preflight; answers
    obey the same filter."""
    script = """
        const request = new XMLHttpRequest();
        request.open('POST', url);
        request.upload.onprogress = () => null;
        const event = firstOf(request, 'load', 'error');
        request.send('body');
        return [await event, request.status, request.getResponseHeader('content-type')];"""
    before = case.node.preflights()
    case.same(
        "app",
        case.page().run(script, url=case.url("cdn", "/echo")),
        ["load", 200, "application/json"],
    )
    case.same("preflights", case.node.preflights() - before, 1)
    case.same(
        "stranger",
        case.page(STRANGER).run(script, url=case.url("cdn", "/echo")),
        ["error", 0, None],
    )
    case.reached("POST /echo")


@check("credentials")
def credentials(case):
    """Fetch, CORS check: with credentials only an exact origin and Allow-Credentials: true will
    do; what is not included is not sent."""
    page = case.page()
    include, omit = {"credentials": "include"}, {"credentials": "omit"}
    case.same(
        "a cookie is set", page.run(STATUS, url=case.url("api", "/cookie"), init=include), 200
    )

    def cookie(init):
        return page.run(
            "return JSON.parse((await read(url, init)).text).fields.cookie ?? null",
            url=case.url("api", "/echo"),
            init=init,
        )

    case.same("with credentials", cookie(include), f"session={case.tag}")
    case.same("omitted", cookie(omit), None)
    case.same("by default", cookie({}), None)
    case.same("not granted", page.run(STATUS, url=case.url("cdn", "/echo"), init=include), REFUSED)
    case.same(
        "`*` is not for credentials",
        page.run(STATUS, url=case.url("open", "/echo"), init=include),
        REFUSED,
    )
    case.same("`*` without", page.run(STATUS, url=case.url("open", "/echo"), init=omit), 200)
    case.same(
        "stranger",
        case.page(STRANGER).run(STATUS, url=case.url("api", "/echo"), init=include),
        REFUSED,
    )


@check("preflight-granted")
def preflight_granted(case):
    """Fetch, CORS-preflight fetch: methods and headers beyond the safelist are asked for first;
    the node answers, and the upstream sees only the request itself."""
    script = "return JSON.parse((await read(url, init)).text ?? 'null')"
    page = case.page()
    for method in ("PUT", "PATCH"):
        got = page.run(
            script,
            url=case.url("cdn", "/echo"),
            init={
                "method": method,
                "body": '{"a":1}',
                "headers": {"X-Custom": "yes", "Content-Type": "application/json"},
            },
        )
        case.same(
            method,
            got and [got["method"], got["body"], got["fields"]["x-custom"]],
            [method, '{"a":1}', "yes"],
        )
    case.reached("PUT /echo", "PATCH /echo")


@check("preflight-refused")
def preflight_refused(case):
    """Fetch, CORS-preflight fetch: a method (case-sensitive) or header that is not granted ends
    the fetch before the request is sent; so does a stranger's origin."""
    page, url = case.page(), case.url("cdn", "/echo")
    for what, init in (
        ("method", {"method": "DELETE"}),
        ("method in lower case", {"method": "patch"}),
        ("header", {"headers": {"X-Other": "1"}}),
        ("Authorization", {"headers": {"Authorization": "Basic eA=="}}),
        ("one of two headers", {"headers": {"X-Custom": "1", "X-Other": "1"}}),
    ):
        case.same(what, page.run(STATUS, url=url, init=init), REFUSED)
    case.same("stranger", case.page(STRANGER).run(STATUS, url=url, init={"method": "PUT"}), REFUSED)
    case.reached()


@check("preflight-star")
def preflight_star(case):
    """Fetch, CORS-preflight fetch: `*` grants any header but Authorization; with credentials it
    is a literal, so what was asked for has to be spelled out."""
    page = case.page()
    case.same(
        "any header",
        page.run(STATUS, url=case.url("open", "/echo"), init={"headers": {"X-Any": "1"}}),
        200,
    )
    case.same(
        "never Authorization",
        page.run(STATUS, url=case.url("open", "/echo"), init={"headers": {"Authorization": "x"}}),
        REFUSED,
    )
    case.same(
        "with credentials",
        page.run(
            STATUS,
            url=case.url("api", "/echo"),
            init={"method": "DELETE", "headers": {"X-Any": "1"}, "credentials": "include"},
        ),
        200,
    )
    case.reached("GET /echo", "DELETE /echo")


@check("preflight-cache")
def preflight_cache(case):
    """Fetch, CORS-preflight cache: within Max-Age one preflight does for every method and
    header that it granted, at that address; another address asks again, and Max-Age
    0 asks every time.
    """
    page, counts = case.page(), []
    first, other = case.url("cdn", "/echo"), case.url("cdn", "/echo", other=1)
    always = case.url("api", "/echo")
    for url, method, headers in (
        (first, "PUT", {"X-Custom": "1"}),
        (first, "PUT", {"X-Custom": "2"}),
        (first, "PATCH", {"X-Custom": "3", "Content-Type": "application/json"}),
        (other, "PUT", {"X-Custom": "1"}),
        (always, "PUT", {"X-Any": "1"}),
        (always, "PUT", {"X-Any": "2"}),
    ):
        before = case.node.preflights()
        case.same(
            f"{method} {url} {headers}",
            page.run(STATUS, url=url, init={"method": method, "headers": headers}),
            200,
        )
        counts.append(case.node.preflights() - before)
    case.same("preflights at the node", counts, [1, 0, 0, 1, 1, 1])
    case.reached("PATCH /echo", *["PUT /echo"] * 5)


@check("errors-readable")
def errors_readable(case):
    """Fetch, CORS check: it looks at no status; 404, 500 and the node's own 502 are readable."""
    script = (
        "const { status, text, error } = await read(url); return error ?? [status, text !== '']"
    )
    page = case.page()
    for site, path, status in (
        ("cdn", "/status/404", 404),
        ("cdn", "/status/500", 500),
        ("down", "/data.json", 502),
    ):
        # The second is the stored one; that of the node is made anew.
        for _ in range(2):
            case.same(f"{site} {path}", page.run(script, url=case.url(site, path)), [status, True])
        case.same(
            f"stranger, {site} {path}",
            case.page(STRANGER).run(script, url=case.url(site, path)),
            REFUSED,
        )
    case.reached("GET /status/404", "GET /status/500")


@check("event-stream")
def event_stream(case):
    """HTML, Server-sent events: EventSource reads in CORS mode, as it comes, and comes back
    with Last-Event-ID, which asks for no preflight."""
    script = """
        const source = new EventSource(url);
        globalThis.got = [];
        source.addEventListener('message', (event) => got.push(event.data));
        globalThis.source = source;
        return [await firstOf(source, 'message', 'error'), got];"""
    url = case.url("cdn", "/events")
    page = case.page()
    case.same("first", page.run(script, url=url), ["message", ["first"]])
    case.upstream.gate(case.tag).set()
    case.same(
        "second, and after the end again",
        page.run("""
        while (got.length < 3) await firstOf(source, 'message');
        source.close();
        return got.slice(0, 3);"""),
        ["first", "second", "again after 8"],
    )
    case.same("stranger", case.page(STRANGER).run(script, url=url), ["error", []])


@check("redirect-same-origin-first")
def redirect_same_origin_first(case):
    """Fetch, HTTP-redirect fetch: a redirect away from the page's own origin keeps that origin."""
    to = quote(case.url("cdn", "/data.json"), safe="")
    got = case.page().run(READ, url=f"/redirect?to={to}", init={})
    case.same("readable", [got.get("status"), got.get("redirected")], [200, True])
    case.same(
        "stranger", case.page(STRANGER).run(STATUS, url=f"/redirect?to={to}", init={}), REFUSED
    )


@check("redirect-across")
def redirect_across(case):
    """Fetch, HTTP-redirect fetch: each hop needs its own grant; from one foreign origin to another
    the request's origin becomes `null`, which only `null` or `*` admits. Within one it stays."""

    def through(first, second):
        to = quote(case.url(second, "/data.json"), safe="")
        return case.page().run(STATUS, url=case.url(first, "/redirect", to=to), init={})

    for first, second, wanted in (
        ("cdn", "cdn", 200),
        ("cdn", "live", REFUSED),
        ("cdn", "null", 200),
        ("cdn", "open", 200),
        ("plain", "open", REFUSED),
        ("null", "open", REFUSED),
    ):
        case.same(f"{first} to {second}", through(first, second), wanted)


@check("sandboxed-null")
def sandboxed_null(case):
    """HTML, Sandboxing: the frame's origin is opaque, serialized `null`: only `null` or `*` admit
    it."""
    page = case.page()
    for site, verdict in (("cdn", REFUSED), ("null", 200), ("open", 200)):
        case.same(
            site,
            page.run("return sandboxed(url)", url=case.url(site, "/data.json")),
            {"origin": "null", "verdict": verdict},
        )
    case.same(
        "a page with an origin is not `null`",
        page.run(STATUS, url=case.url("null", "/data.json"), init={}),
        REFUSED,
    )
    case.reached(*["GET /data.json"] * 3)


@check("no-cors-then-cors")
def no_cors_then_cors(case):
    """Fetch, CORS protocol and HTTP caches: an answer to a request without Origin has Vary: Origin
    as well, or the browser's cache gives what was fetched without a grant to who needs one."""
    page = case.page()
    url = case.url("cdn", "/image.png")
    case.same(
        "first without CORS", page.run("return image(url, null)", url=url)["pixel"], "SecurityError"
    )
    case.same("then by fetch", page.run(STATUS, url=url, init={}), 200)
    case.same(
        "then with crossorigin",
        page.run("return (await image(url, 'anonymous')).event", url=url),
        "load",
    )
    case.same(
        "and opaque again", page.run(READ, url=url, init={"mode": "no-cors"})["type"], "opaque"
    )
    case.reached("GET /image.png")


@check("shared-browser-cache")
def shared_browser_cache(case):
    """Fetch, CORS protocol and HTTP caches: two origins of one site share the browser's cache; a
    stranger's refusal and another's grant are not theirs."""
    url = case.url("cdn", "/data.json")
    for host, wanted in (
        (STRANGER, REFUSED),
        ("app.site", 200),
        ("second.site", 200),
        (STRANGER, REFUSED),
        ("app.site", 200),
    ):
        case.same(host, case.page(host).run(STATUS, url=url, init={}), wanted)
    case.reached("GET /data.json")


@check("validated-304")
def validated_304(case):
    """RFC 9111 §4.3.4: a 304 replaces stored fields, so it carries the grant that a 200 would."""
    page, url = case.page(), case.url("cdn", "/validated.json")
    case.same("stored", page.run(STATUS, url=url, init={}), 200)
    case.same("validated", page.run(STATUS, url=url, init={}), 200)
    asked = page.seen("a 304", lambda one: one.get("status") == 304)
    case.same("by its validator", asked["sent"].get("If-None-Match"), '"/validated.json"')
    case.same(
        "from the browser's cache", page.run(STATUS, url=url, init={"cache": "force-cache"}), 200
    )
    # The node has it for ten minutes (RFC 9213) and answers for the upstream.
    case.reached("GET /validated.json")
