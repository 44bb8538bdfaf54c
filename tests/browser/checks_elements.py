"""Checks of what elements load: fonts, images, scripts, styles, media.

Standards are quoted by the names of their sections: the numbers of living standards move.
"""

from case import check
from media import LETTER_EM, RED
from urllib.parse import quote

STRANGER = "stranger.site"


@check("font-css")
def font_css(case):
    """CSS Fonts 4, Font fetching requirements: always CORS mode; what is refused is not used."""
    script = """
        const style = document.createElement('style');
        style.textContent = `@font-face { font-family: probe; src: url("${url}") }`;
        document.head.append(style);
        const [face] = document.fonts;
        await face.load().catch(() => null);
        const verdict = [face.status, letterWidth('probe') === wide];
        style.remove();
        return verdict;"""
    url = case.url("cdn", "/font.ttf")
    for host, wanted in (
        ("app.site", ["loaded", True]),
        (STRANGER, ["error", False]),
        ("second.site", ["loaded", True]),
    ):
        case.same(host, case.page(host).run(script, url=url, wide=LETTER_EM), wanted)
    case.reached("GET /font.ttf")


@check("font-face")
def font_face(case):
    """CSS Font Loading 3, load(): the same fetch; a refusal is a NetworkError."""
    script = """
        const face = new FontFace('probe', `url("${url}")`);
        const verdict = await face.load().then(() => 'loaded', (error) => error.name);
        document.fonts.add(face);
        const used = letterWidth('probe') === wide;
        document.fonts.delete(face);
        return [verdict, used];"""
    url = case.url("cdn", "/font.ttf")
    for host, wanted in (("app.site", ["loaded", True]), (STRANGER, ["NetworkError", False])):
        case.same(host, case.page(host).run(script, url=url, wide=LETTER_EM), wanted)
    case.same(
        "no policy at all",
        case.page().run(script, url=case.url("plain", "/font.ttf", n=1), wide=LETTER_EM),
        ["NetworkError", False],
    )
    case.reached("GET /font.ttf", "GET /font.ttf")


@check("image-canvas")
def image_canvas(case):
    """HTML, Security with canvas elements: `crossorigin` makes an image readable or refused;
    without it, the image shows and the canvas is no longer origin-clean."""
    script = "return image(url, cross)"
    # Apart in the browser's cache, one stored response each at the node.
    anonymous, plain = case.url("cdn", "/image.png", n=1), case.url("cdn", "/image.png", n=2)
    readable = {"event": "load", "pixel": RED}
    tainted = {"event": "load", "pixel": "SecurityError"}
    refused = {"event": "error", "pixel": None}
    page, stranger = case.page(), case.page(STRANGER)
    case.same("crossorigin", page.run(script, url=anonymous, cross="anonymous"), readable)
    case.same("without", page.run(script, url=plain, cross=None), tainted)
    case.same(
        "stranger, crossorigin", stranger.run(script, url=anonymous, cross="anonymous"), refused
    )
    case.same("stranger, without", stranger.run(script, url=plain, cross=None), tainted)
    case.reached("GET /image.png", "GET /image.png")


@check("image-credentials")
def image_credentials(case):
    """HTML, CORS settings attributes; Fetch, CORS check: `crossorigin=use-credentials` needs
    Allow-Credentials: true and an exact origin."""
    script = "return (await image(url, 'use-credentials')).event"
    page = case.page()
    case.same("credentials granted", page.run(script, url=case.url("api", "/image.png")), "load")
    case.same("not granted", page.run(script, url=case.url("cdn", "/image.png")), "error")
    case.same(
        "for everybody, so for nobody with credentials",
        page.run(script, url=case.url("open", "/image.png")),
        "error",
    )


@check("script-errors")
def script_errors(case):
    """HTML, muted errors: details of a script's exception are for pages that may read the script,
    others learn "Script error."; refused with `crossorigin`, it does not run."""
    url = case.url("cdn", "/script.js")
    run = "return script(url, attributes)"
    told = {"message": "Uncaught Error: detail of the error", "line": 2, "from": True}
    muted = {"message": "Script error.", "line": 0, "from": False}
    for what, host, attributes, wanted in (
        (
            "crossorigin",
            "app.site",
            {"crossorigin": ""},
            {"event": "load", "ran": "script", "told": told},
        ),
        ("without", "app.site", {}, {"event": "load", "ran": "script", "told": muted}),
        (
            "stranger, crossorigin",
            STRANGER,
            {"crossorigin": ""},
            {"event": "error", "ran": None, "told": None},
        ),
        ("stranger, without", STRANGER, {}, {"event": "load", "ran": "script", "told": muted}),
    ):
        case.same(what, case.page(host).run(run, url=url, attributes=attributes), wanted)
    case.reached("GET /script.js")


@check("script-integrity")
def script_integrity(case):
    """SRI, Is response eligible for integrity validation: only what may be read is; without
    `crossorigin` the script fails."""
    url = case.url("cdn", "/script.js")
    run = """
        const digest = new Uint8Array(await crypto.subtle.digest(
            'SHA-256', new TextEncoder().encode(text)));
        const integrity = 'sha256-' + btoa(String.fromCharCode(...digest));
        return (await script(url, { integrity, ...attributes })).event;"""
    text = case.upstream.files["/script.js"][1].decode()
    page = case.page()
    case.same(
        "crossorigin", page.run(run, url=url, text=text, attributes={"crossorigin": ""}), "load"
    )
    case.same("without", page.run(run, url=url, text=text, attributes={}), "error")


@check("script-module")
def script_module(case):
    """HTML, Fetching scripts: modules and their imports are always fetched in CORS mode."""
    main, run = case.url("cdn", "/main.mjs"), "return script(url, { type: 'module' })"
    # The import has no tag of its own: its address is relative to the module's.
    case.same(
        "app",
        case.page().run(run, url=main),
        {"event": "load", "ran": "module with its import", "told": None},
    )
    case.same(
        "stranger",
        case.page(STRANGER).run(run, url=main),
        {"event": "error", "ran": None, "told": None},
    )
    dynamic = "return import(url).then((found) => found.part, (error) => error.name)"
    part = case.url("cdn", "/part.mjs")
    case.same("import()", case.page().run(dynamic, url=part), "its import")
    case.same("stranger, import()", case.page(STRANGER).run(dynamic, url=part), "TypeError")
    case.reached("GET /main.mjs", "GET /part.mjs")


@check("style-rules")
def style_rules(case):
    """CSSOM, cssRules: only of a sheet that may be read; refused with `crossorigin`, no styling."""
    url, run = case.url("cdn", "/style.css"), "return style(url, cross)"
    for what, host, cross, wanted in (
        ("crossorigin", "app.site", "anonymous", {"event": "load", "styled": True, "rules": 1}),
        ("without", "app.site", None, {"event": "load", "styled": True, "rules": "SecurityError"}),
        ("stranger", STRANGER, "anonymous", {"event": "error", "styled": False, "rules": None}),
    ):
        case.same(what, case.page(host).run(run, url=url, cross=cross), wanted)
    case.reached("GET /style.css")


@check("video-canvas")
def video_canvas(case):
    """HTML, Security with canvas elements: a video is readable with `crossorigin`, tainted
    without, and refused to a stranger."""
    url, run = case.url("cdn", "/clip.webm"), "return play('video', url, cross, 0)"
    for what, host, cross, event, pixel in (
        ("crossorigin", "app.site", "anonymous", "loadeddata", "read"),
        ("without", "app.site", None, "loadeddata", "SecurityError"),
        ("stranger", STRANGER, "anonymous", "error", None),
    ):
        got = case.page(host).run(run, url=url, cross=cross)
        if isinstance(got["pixel"], list):
            # The codec is lossy: red is what is much more red than anything else.
            red, green, blue, _ = got["pixel"]
            got["pixel"] = "read" if red > 150 and max(green, blue) < 80 else got["pixel"]
        case.same(what, got, {"event": event, "pixel": pixel, "at": 0})
    case.reached("GET /clip.webm")


@check("media-ranges")
def media_ranges(case):
    """HTML, Loading the media resource: media is fetched by ranges, and each 206 passes the CORS
    check. The node cuts them from one stored response."""
    url, run = case.url("cdn", "/sound.wav"), "return play('audio', url, cross, place)"
    page = case.page()
    place = 250
    case.same(
        "app",
        page.run(run, url=url, cross="anonymous", place=place),
        {"event": "seeked", "pixel": None, "at": place},
    )
    later = page.seen(
        "a 206 from the middle",
        lambda one: one.get("status") == 206
        and not one["sent"].get("Range", "bytes=0-").startswith("bytes=0-"),
    )
    first = later["sent"]["Range"].removeprefix("bytes=").split("-")[0]
    received = {name.lower(): value for name, value in later["received"].items()}
    case.same(
        "from where it was asked for", received["content-range"].split("-")[0], f"bytes {first}"
    )
    case.same(
        "stranger",
        case.page(STRANGER).run(run, url=url, cross="anonymous", place=place),
        {"event": "error", "pixel": None, "at": 0},
    )
    case.same(
        "stranger, without crossorigin",
        case.page(STRANGER).run(run, url=url, cross=None, place=0)["event"],
        "loadeddata",
    )
    case.reached("GET /sound.wav")


@check("redirect-image")
def redirect_image(case):
    """Fetch, response tainting: an image without `crossorigin` that is redirected to another
    origin still shows, and is still tainted."""
    page = case.page()
    to = case.url("cdn", "/image.png")
    case.same(
        "tainted",
        page.run("return image(url, null)", url=f"/redirect?to={quote(to, safe='')}"),
        {"event": "load", "pixel": "SecurityError"},
    )
