"""Checks of what a policy says beyond one grant: its neighbours, its conditions, its changes."""

import contextlib

from case import check
from checks_fetch import READ, REFUSED, STATUS, STRANGER
from media import LETTER_EM


@check("resource-timing")
def resource_timing(case):
    """Fetch, TAO check; Resource Timing: phases and Server-Timing are for the audience of
    Timing-Allow-Origin, not for whoever may fetch."""
    script = "return timing(url, init)"
    told, untold = {"phases": True, "server": ["disk"]}, {"phases": False, "server": []}
    page, opaque = case.page(), {"mode": "no-cors"}
    for what, asking, site, init, wanted in (
        ("granted", page, "timed", {}, told),
        ("readable, but without timing", page, "cdn", {}, untold),
        ("stranger, opaque", case.page(STRANGER), "timed", opaque, untold),
    ):
        url = case.url(site, "/data.json", what=len(what))
        case.same(what, asking.run(script, url=url, init=init), wanted)


@check("resource-policy")
def resource_policy(case):
    """Fetch, Cross-Origin-Resource-Policy check: `same-origin` keeps an image from being embedded
    without CORS; a grant by CORS is another matter."""
    script = "return (await image(url, cross)).event"
    page, url = case.page(), case.url("closed", "/image.png")
    case.same("embedded", page.run(script, url=url, cross=None), "error")
    case.same("granted", page.run(script, url=url, cross="anonymous"), "load")
    case.same(
        "cross-origin", page.run(script, url=case.url("timed", "/image.png"), cross=None), "load"
    )


@check("isolated-page")
def isolated_page(case):
    """HTML, Cross-origin embedder policies: under `require-corp` what is embedded needs a resource
    policy that admits the page, or CORS."""
    script = "return (await image(url, cross)).event"
    page = case.page("a.tenant", path="/isolated")
    for what, site, cross, wanted in (
        ("no resource policy", "cdn", None, "error"),
        ("but CORS", "cdn", "anonymous", "load"),
        ("cross-origin", "timed", None, "load"),
        ("same-origin", "closed", None, "error"),
    ):
        case.same(what, page.run(script, url=case.url(site, "/image.png"), cross=cross), wanted)


@check("several-policies")
def several_policies(case):
    """S3's rule: the first policy whose origin, method and requested headers all pass decides."""
    url = case.url("several", "/echo")
    delete = {"method": "DELETE", "headers": {"X-Custom-A": "1"}}
    put = {"method": "DELETE", "headers": {"X-Other": "1"}}
    for what, host, init, wanted in (
        ("the first", "app.site", {}, 200),
        ("the second, by its star", "second.site", delete, 200),
        ("its method is not the first's", "app.site", delete, REFUSED),
        ("a header it does not list", "second.site", put, REFUSED),
        ("a method it does not list", "second.site", {}, REFUSED),
        ("no policy", "a.tenant", {}, REFUSED),
    ):
        case.same(what, case.page(host).run(STATUS, url=url, init=init), wanted)


@check("policy-when")
def policy_when(case):
    """A policy for `font/*` grants fonts to everybody and says nothing about anything else."""
    page = case.page(STRANGER)
    script = """
        const face = new FontFace('probe', `url("${url}")`);
        await face.load();
        document.fonts.add(face);
        const used = letterWidth('probe') === wide;
        document.fonts.delete(face);
        return used;"""
    case.same("font", page.run(script, url=case.url("fonts", "/font.ttf"), wide=LETTER_EM), True)
    case.same("JSON", page.run(STATUS, url=case.url("fonts", "/data.json"), init={}), REFUSED)


@check("upstream-overridden")
def upstream_overridden(case):
    """An upstream that grants everybody widens nothing: the node's grant is the only one, and what
    the upstream exposes stays hidden."""
    url = case.url("cdn", "/wide.json")
    got = case.page().run(READ, url=url, init={})
    case.same("app", [got.get("status"), "x-hidden" in got.get("fields", {})], [200, False])
    case.same("stranger", case.page(STRANGER).run(STATUS, url=url, init={}), REFUSED)
    case.reached("GET /wide.json")


@check("upstream-reflects")
def upstream_reflects(case):
    """Under `passthrough` the upstream decides. One that reflects the origin and forgets Vary would
    poison every cache behind it; the node gives nobody another's grant."""
    url = case.url("through", "/reflected.json")
    for host in ("app.site", "second.site", STRANGER, "app.site"):
        got = case.page(host).run(READ, url=url, init={})
        case.same(host, got.get("status"), 200)
    # Without a grant first: an image that the same page then asks for with one.
    page, url = case.page(), case.url("through", "/reflected.png")
    script = "return (await image(url, cross)).event"
    case.same("shown", page.run(script, url=url, cross=None), "load")
    case.same("and granted", page.run(script, url=url, cross="anonymous"), "load")


@check("rule-edit")
def rule_edit(case):
    """The next hit after SIGHUP follows the new rules, in both directions, with no purge."""
    # For the node to keep, not for the browser: this is about the node's store.
    url = case.url("live", "/edge.json")
    app, second = case.page(), case.page("second.site")

    def verdicts():
        return [one.run(STATUS, url=url, init={}) for one in (app, second)]

    case.same("before", verdicts(), [200, REFUSED])
    with edited(case):
        case.same("after", verdicts(), [REFUSED, 200])
    case.same("and back", verdicts(), [200, REFUSED])
    case.reached("GET /edge.json")


@check("rule-edit-304")
def rule_edit_304(case):
    """RFC 9111 §3.2: a 304 replaces the fields that it has. So it brings a new grant to who kept a
    refusal, but takes none from who kept one: the same bytes again; the next 200 does."""
    url = case.url("live", "/validated.json")
    app, second = case.page(), case.page("second.site")
    case.same("app, before", app.run(STATUS, url=url, init={}), 200)
    case.same("second, before", second.run(STATUS, url=url, init={}), REFUSED)
    with edited(case):
        case.same("second, granted by a 304", second.run(STATUS, url=url, init={}), 200)
        second.seen("a 304", lambda one: one.get("status") == 304)
        case.same("app, by a 200", app.run(STATUS, url=url, init={"cache": "reload"}), REFUSED)
    case.same("and back", app.run(STATUS, url=url, init={}), 200)


@contextlib.contextmanager
def edited(case):
    """While it lasts, site `live` grants the second origin instead of the first."""
    right = case.node.config
    before, mark, site = right.partition('hosts = ["live.site.localhost"]')
    case.node.apply(before + mark + site.replace("http://app.site", "http://second.site", 1))
    try:
        yield
    finally:
        case.node.apply(right)
