"""The real `corsair` binary with the policies that the checks speak of."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

PATIENCE_S = 60

CONFIG = """
[node]
name = "edge-1"
workers = 2
driver = "{driver}"

[admin]
listen = "127.0.0.1:0"

[[listener]]
address = "127.0.0.1:0"

[cache]
memory = "256MiB"

[[upstream]]
name = "files"
servers = ["http://127.0.0.1:{upstream}"]

[[upstream]]
name = "nobody"
servers = ["http://127.0.0.1:{nobody}"]

# Two origins of one site, which share the browser's cache, and tenants under any port.
[[site]]
hosts = ["cdn.site.localhost"]
upstream = "files"
[site.cache]
status_ttl = {{ "404" = "10m", "500" = "10m" }}
[site.cors]
origins = [
    "http://app.site.localhost:{pages}",
    "http://second.site.localhost:{pages}",
    "http://*.tenant.localhost:*",
]
methods = ["GET", "HEAD", "POST", "PUT", "PATCH"]
request_headers = ["X-Custom", "Content-Type"]
expose = ["X-Total"]
max_age = "10m"

[[site]]
hosts = ["api.site.localhost"]
upstream = "files"
[site.cors]
origins = ["http://app.site.localhost:{pages}"]
credentials = true
methods = ["*"]
request_headers = ["*"]
expose = ["X-Total"]
max_age = "0s"

[[site]]
hosts = ["open.site.localhost"]
upstream = "files"
[site.cors]
origins = ["*"]
request_headers = ["*"]

[[site]]
hosts = ["null.site.localhost"]
upstream = "files"
[site.cors]
origins = ["null"]

[[site]]
hosts = ["live.site.localhost"]
upstream = "files"
[site.cors]
origins = ["http://app.site.localhost:{pages}"]

[[site]]
hosts = ["timed.site.localhost"]
upstream = "files"
[site.cors]
origins = ["http://app.site.localhost:{pages}"]
timing = true
resource_policy = "cross-origin"

[[site]]
hosts = ["closed.site.localhost"]
upstream = "files"
[site.cors]
origins = ["http://app.site.localhost:{pages}"]
resource_policy = "same-origin"

# The first policy whose origin, method and requested headers all pass decides.
[[site]]
hosts = ["several.site.localhost"]
upstream = "files"
[[site.cors]]
origins = ["http://app.site.localhost:{pages}"]
expose = ["X-Total"]
[[site.cors]]
origins = ["http://s*.site.localhost:{pages}"]
methods = ["DELETE"]
request_headers = ["x-custom-*"]
dialect = "s3"

[[site]]
hosts = ["fonts.site.localhost"]
upstream = "files"
[site.cors]
origins = ["*"]
when = {{ content_type = ["font/*"] }}

[[site]]
hosts = ["through.site.localhost"]
upstream = "files"
[site.cors]
origins = ["*"]
upstream = "passthrough"

[[site]]
hosts = ["down.site.localhost"]
upstream = "nobody"
[site.cors]
origins = ["http://app.site.localhost:{pages}"]

[[site]]
hosts = ["plain.site.localhost"]
upstream = "files"
"""


class Node:
    """One running node; its ports are the kernel's choice."""

    def __init__(self, binary, driver, upstream, pages):
        # Bound and never listening: whoever connects is refused, and nobody else gets the port.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))
        self.directory = tempfile.mkdtemp(prefix="corsair-browser-")
        self.config = CONFIG.format(
            driver=driver, upstream=upstream, pages=pages, nobody=self.nobody.getsockname()[1]
        )
        self._write(self.config)
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(
            # Should this process be killed, the kernel ends the node.
            [
                "setpriv",
                "--pdeathsig",
                "TERM",
                os.path.abspath(binary),
                "run",
                "-c",
                "corsair.toml",
            ],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.driver = self._wait_for(r"driver (\S+)")[1].rstrip(",")
            self.port = int(self._wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
            self.admin = int(self._wait_for(r"admin on http://127\.0\.0\.1:(\d+)")[1])
        except RuntimeError:
            self.stop()
            raise

    def _write(self, text):
        with open(os.path.join(self.directory, "corsair.toml"), "w", encoding="utf-8") as file:
            file.write(text)

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _wait_for(self, pattern, after=0):
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while True:
                for line in self.lines[after:]:
                    if found := re.search(pattern, line):
                        return found
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise RuntimeError(
                        f"the node never said {pattern!r}:\n" + "\n".join(self.lines)
                    )
                self.changed.wait(left)

    def apply(self, config):
        """Another configuration by SIGHUP; returns when it is in force."""
        with self.changed:
            said = len(self.lines)
        self._write(config)
        self.process.send_signal(signal.SIGHUP)
        if (
            self._wait_for(r"reloaded \(SIGHUP\)|refused|not applied|error", said)[0]
            != "reloaded (SIGHUP)"
        ):
            raise RuntimeError("the node refused a configuration:\n" + "\n".join(self.lines[said:]))

    def preflights(self):
        """How many preflights it has answered (`corsair_outcomes_total`)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(
            re.search(r'^corsair_outcomes_total\{outcome="preflight"\} (\d+)', text, re.M)[1]
        )

    def stop(self):
        """Ends it; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        self.nobody.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return code
