"""Headless Chromium, driven over a pipe with the DevTools protocol.

A message is JSON ended by a NUL byte: the browser reads descriptor 3 and writes descriptor 4
(`--remote-debugging-pipe`). When our end closes, the browser ends itself, so none is left behind
even when this process is killed. Every wait ends by an event or by `PATIENCE_S`, never by sleeping.

It cannot leave the machine: `*.localhost` is loopback, every other name is mapped to nothing,
proxies of the environment are not used.
"""

import collections
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

# How long one step of the browser may take before the run is given up: far beyond what it needs,
# because the machine may be doing something else.
PATIENCE_S = 60

FLAGS = [
    "--headless=new",
    "--remote-debugging-pipe",
    # Its sandbox works neither for root nor in most containers, and it only sees pages of our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--metrics-recording-only",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--password-store=basic",
    "--window-size=800,600",
    # The second rule keeps names of the world out of reach, the first pins the address family: a
    # stranger may hold the same port on [::1].
    "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND",
]


class BrowserError(Exception):
    """The browser ended, refused a command, or took longer than `PATIENCE_S`."""


class ScriptError(Exception):
    """A script of a check threw: the page learnt something that the check did not provide for."""


class Chromium:
    """One browser process and its message pipe."""

    def __init__(self, binary):
        self.home = tempfile.mkdtemp(prefix="corsair-chromium-")
        self.talk = open(os.path.join(self.home, "stderr"), "w+b")
        commands_read, self.commands = _high_pipe()
        self.messages, messages_write = _high_pipe()
        flags = [*FLAGS, f"--user-data-dir={self.home}/profile"]
        environment = {**os.environ, "HOME": self.home, "LC_ALL": "C.UTF-8"}
        # Python can hand on descriptors but not renumber them; a shell can.
        renumber = (
            f'exec "$@" 3<&{commands_read} 4>&{messages_write} '
            f"{commands_read}<&- {messages_write}>&-"
        )
        self.process = subprocess.Popen(
            ["bash", "-c", renumber, "bash", binary, *flags, "about:blank"],
            pass_fds=(commands_read, messages_write),
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=self.talk,
            stderr=self.talk,
        )
        os.close(commands_read)
        os.close(messages_write)
        self.changed = threading.Condition()
        self.ended = False
        self.last_id = 0
        self.replies = {}
        self.pages = {}
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.version = self.send("Browser.getVersion")["product"]
        except BrowserError:
            self.close()
            raise

    def _read(self):
        buffered = b""
        while True:
            try:
                received = os.read(self.messages, 1 << 20)
            except OSError:
                received = b""
            if not received:
                break
            *messages, buffered = (buffered + received).split(b"\0")
            with self.changed:
                for message in messages:
                    self._take(json.loads(message))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _take(self, message):
        if "id" in message:
            self.replies[message["id"]] = message
        else:
            page = self.pages.get(message.get("sessionId"))
            if page is not None:
                page.take(message["method"], message["params"])

    def wait(self, what, ready):
        """Waits until `ready()` gives something other than None, and gives it."""
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while True:
                found = ready()
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if self.ended:
                    raise BrowserError(f"Chromium ended while waiting for {what}\n{self.said()}")
                if left <= 0:
                    raise BrowserError(f"nothing within {PATIENCE_S} s: {what}")
                self.changed.wait(left)

    def send(self, method, session=None, **parameters):
        """One command; its result."""
        with self.changed:
            self.last_id += 1
            number = self.last_id
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        try:
            while data:
                data = data[os.write(self.commands, data) :]
        except OSError as error:
            raise BrowserError(f"Chromium ended before {method}: {error}\n{self.said()}") from error
        reply = self.wait(method, lambda: self.replies.pop(number, None))
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def profile(self):
        """A new profile with its own HTTP cache, preflight cache and cookies."""
        return Profile(self, self.send("Target.createBrowserContext")["browserContextId"])

    def said(self):
        """The end of what the process wrote to its standard error."""
        self.talk.seek(0)
        return self.talk.read()[-3000:].decode(errors="replace")

    def close(self):
        """Ends the process and everything it started, and removes its files."""
        if self.process.poll() is None:
            try:
                os.close(self.commands)
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                pass
        try:
            # The session is ours alone (`start_new_session`): what is left of it goes.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.talk.close()
        shutil.rmtree(self.home, ignore_errors=True)


def _high_pipe():
    """A pipe with both numbers above those that the shell is told to give out."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high


class Profile:
    """One off-the-record profile of the browser."""

    def __init__(self, browser, identity):
        self.browser = browser
        self.identity = identity
        self.pages = {}

    def page(self, url):
        """The page of this address, loaded; made once, since a window costs more than a check."""
        if url not in self.pages:
            self.pages[url] = Page(self.browser, self.identity, url)
        return self.pages[url]

    def close(self):
        """Closes the profile with its pages; caches and cookies are gone."""
        for page in self.pages.values():
            self.browser.pages.pop(page.session, None)
        self.browser.send("Target.disposeBrowserContext", browserContextId=self.identity)


class Page:
    """One window: runs scripts, and records what the console and the network show."""

    def __init__(self, browser, profile, url):
        self.browser = browser
        self.url = url
        self.console = []
        self.exchanges = collections.OrderedDict()
        self.loaded = False
        # A window of its own: a tab behind another one defers its media (Page Visibility).
        target = browser.send(
            "Target.createTarget", url="about:blank", browserContextId=profile, newWindow=True
        )
        self.session = browser.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        answer = self.send("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        browser.wait(f"{url} to load", lambda: self.loaded or None)

    def send(self, method, **parameters):
        """One command to this page."""
        return self.browser.send(method, session=self.session, **parameters)

    def run(self, script, **values):
        """Runs the body of an async function with `values` as constants; what it returns."""
        constants = "".join(
            f"const {name} = {json.dumps(value)};" for name, value in values.items()
        )
        reply = self.send(
            "Runtime.evaluate",
            expression=f"(async () => {{{constants}{script}}})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            raise ScriptError(
                "script: " + details.get("exception", {}).get("description", details["text"])
            )
        return reply["result"].get("value")

    def seen(self, what, matches):
        """Waits until an exchange with the network matches; gives it."""
        return self.browser.wait(
            what, lambda: next((one for one in self.exchanges.values() if matches(one)), None)
        )

    def forget(self):
        """Begins the records anew."""
        with self.browser.changed:
            self.console.clear()
            self.exchanges.clear()

    # ---- records; called under the browser's lock -------------------------------------------

    def take(self, method, event):
        """One event of this page."""
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Log.entryAdded":
            self.console.append(event["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value")) for a in event["args"]))
        elif method.startswith("Network.") and "requestId" in event:
            self._network(method.removeprefix("Network."), event)

    def _network(self, method, event):
        # A redirect keeps the request's id: each hop gets a record of its own.
        identity = event["requestId"]
        if method == "requestWillBeSent" and "redirectResponse" in event:
            hop = sum(1 for key in self.exchanges if key[0] == identity)
            self.exchanges[(identity, hop)] = self.exchanges.pop((identity, "last"), {})
        one = self.exchanges.setdefault((identity, "last"), {"sent": {}, "received": {}})
        if method == "requestWillBeSent":
            one.update(url=event["request"]["url"], method=event["request"]["method"])
        elif method == "requestWillBeSentExtraInfo":
            one["sent"] = event["headers"]
        elif method == "requestServedFromCache":
            one["from"] = "memory cache"
        elif method == "responseReceived":
            one.setdefault("status", event["response"]["status"])
            if event["response"].get("fromDiskCache"):
                one["from"] = "HTTP cache"
            if not one["received"]:
                one["received"] = event["response"]["headers"]
        elif method == "responseReceivedExtraInfo":
            one.update(status=event["statusCode"], received=event["headers"])
        elif method == "loadingFailed":
            reason = event.get("corsErrorStatus", {})
            one["failed"] = " ".join(
                filter(
                    None,
                    [
                        event["errorText"],
                        event.get("blockedReason"),
                        reason.get("corsError"),
                        reason.get("failedParameter"),
                    ],
                )
            )

    def record(self):
        """Console and network, as text for a failure."""
        with self.browser.changed:
            lines = [f"console of {self.url}: {text}" for text in self.console]
            for one in self.exchanges.values():
                lines.append(
                    f"{one.get('method')} {one.get('url')} -> {one.get('status')}"
                    + (f" from the {one['from']}" if "from" in one else "")
                    + (f", failed: {one['failed']}" if "failed" in one else "")
                )
                lines += [
                    f"    > {name}: {value}"
                    for name, value in one["sent"].items()
                    if name.lower().startswith(("origin", "access-control", "range", "if-"))
                ]
                lines += [f"    < {name}: {value}" for name, value in one["received"].items()]
        return lines
