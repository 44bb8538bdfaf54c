"""The two servers around the node: the upstream behind it, and the one that the pages come from.

Both are Python's own http.server, not our parser. The upstream knows nothing of CORS,
but for what `CARELESS` lists: whatever the browser is granted comes from the node. It writes down
what reaches it.
"""

import http.server
import json
import os
import threading
import urllib.parse

import media

HERE = os.path.dirname(os.path.abspath(__file__))
LIFETIME = ("Cache-Control", "public, max-age=600")
# The node keeps these as well; a browser asks each time, or does not keep the second at all.
LIFETIMES = {
    "/validated.json": [("CDN-Cache-Control", "max-age=600"), ("Cache-Control", "no-cache")],
    "/edge.json": [("CDN-Cache-Control", "max-age=600"), ("Cache-Control", "no-store")],
}

# Where the upstream does speak of CORS: it grants everybody, or reflects who asks and forgets Vary.
CARELESS = {
    "/wide.json": ("/data.json", "*"),
    "/reflected.json": ("/data.json", None),
    "/reflected.png": ("/image.png", None),
}

# What scripts and modules do is seen by their global `ran`.
THROWS = "globalThis.ran = 'script';\nthrow new Error('detail of the error');\n"
MODULE = "import { part } from './part.mjs';\nglobalThis.ran = 'module with ' + part;\n"
PART = "export const part = 'its import';\n"
PAGE = (
    "<!DOCTYPE html><title>page</title><link rel=icon href='data:,'><script src=/page.js></script>"
    "<body><div id=styled></div>"
)
STYLE = "#styled { width: 321px }\n"


class Server(http.server.ThreadingHTTPServer):
    """HTTP/1.1 on loopback, at a port the kernel chooses."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A browser that goes away mid-answer is nothing to talk about."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with a status, field lines and a body."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, fields, body=b""):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Upstream(Server):
    """Files for every way of loading one, an echo, errors, redirects and an event stream."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.released = {}
        self.files = {
            "/font.ttf": ("font/ttf", media.font()),
            "/image.png": ("image/png", media.image()),
            "/sound.wav": ("audio/wav", media.sound()),
            "/script.js": ("text/javascript", THROWS.encode()),
            "/main.mjs": ("text/javascript", MODULE.encode()),
            "/part.mjs": ("text/javascript", PART.encode()),
            "/style.css": ("text/css", STYLE.encode()),
            **{
                path: ("application/json", b'{"stored":"once"}')
                for path in ("/data.json", "/validated.json", "/edge.json")
            },
        }
        super().__init__(UpstreamHandler)

    def seen(self, tag):
        """The requests that carried this tag, in order."""
        with self.lock:
            return [one for one in self.requests if one["tag"] == tag]

    def gate(self, tag):
        """What an event stream of this tag waits for before it goes on."""
        with self.lock:
            return self.released.setdefault(tag, threading.Event())


class UpstreamHandler(Handler):
    """One request of the node."""

    def run(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            self.server.requests.append(
                {"tag": query.get("tag"), "method": self.command, "path": path, "fields": fields}
            )
        if path in self.server.files:
            self.file(path, fields)
        elif path in CARELESS:
            file, grant = CARELESS[path]
            content_type, body = self.server.files[file]
            about = [("Content-Type", content_type), LIFETIME, ("X-Hidden", "13")]
            about.append(("Access-Control-Expose-Headers", "X-Hidden"))
            grant = grant or fields.get("origin")
            if grant:
                about.append(("Access-Control-Allow-Origin", grant))
            self.answer(200, about, body)
        elif path == "/echo":
            self.answer(
                200,
                [("Content-Type", "application/json"), ("Cache-Control", "no-store")],
                json.dumps(
                    {"method": self.command, "fields": fields, "body": body.decode()}
                ).encode(),
            )
        elif path == "/cookie":
            self.answer(
                200,
                [("Set-Cookie", f"session={query['tag']}; Path=/"), ("Cache-Control", "no-store")],
            )
        elif path.startswith("/status/"):
            self.answer(
                int(path.removeprefix("/status/")),
                [("Content-Type", "text/plain"), LIFETIME],
                b"what went wrong",
            )
        elif path == "/redirect":
            self.answer(302, [("Location", query["to"]), ("Cache-Control", "no-store")])
        elif path == "/events":
            self.events(query["tag"])
        else:
            self.answer(404, [], b"no such file")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = run

    def file(self, path, fields):
        content_type, body = self.server.files[path]
        tag = f'"{path}"'
        about = [
            ("ETag", tag),
            *LIFETIMES.get(path, [LIFETIME]),
            ("X-Total", "12"),
            ("X-Hidden", "13"),
            ("Server-Timing", "disk;dur=5"),
        ]
        if fields.get("if-none-match") == tag:
            self.answer(304, about)
        else:
            self.answer(200, [("Content-Type", content_type), *about], body)

    def events(self, tag):
        """An event at once, another when the test says so, then the end; EventSource comes back."""
        last = self.headers.get("Last-Event-ID")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if last is not None:
            self.wfile.write(f"data: again after {last}\n\n".encode())
            return
        self.wfile.write(b"retry: 20\nid: 7\ndata: first\n\n")
        self.wfile.flush()
        self.server.gate(tag).wait(60)
        self.wfile.write(b"id: 8\ndata: second\n\n")


class Pages(Server):
    """The same page under every host name; its functions are in `page.js`."""

    def __init__(self):
        with open(os.path.join(HERE, "page.js"), "rb") as file:
            self.script = file.read()
        super().__init__(PagesHandler)


class PagesHandler(Handler):
    """One request of the browser itself."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/redirect":
            to = dict(urllib.parse.parse_qsl(query))["to"]
            self.answer(302, [("Location", to), ("Cache-Control", "no-store")])
            return
        if path == "/page.js":
            self.answer(
                200, [("Content-Type", "text/javascript; charset=utf-8")], self.server.script
            )
            return
        fields = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
        if path == "/isolated":
            fields.append(("Cross-Origin-Embedder-Policy", "require-corp"))
        self.answer(200, fields, PAGE.encode())
