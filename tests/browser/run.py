"""Chromium asks the real node across origins; then bugs are seeded, and each has to be caught.

    tests/browser/run.sh [--driver io_uring|epoll]… [--only CHECK]… [--list] [--matrix]

See README.md beside this file.
"""

import argparse
import base64
import signal
import sys
import time

import bugs
import checks_elements  # noqa: F401  (registers its checks)
import checks_fetch  # noqa: F401
import checks_policy  # noqa: F401
from case import CHECKS, Case, Failed
from chromium import BrowserError, Chromium, ScriptError
from node import Node
from servers import Pages, Upstream
from switch import Switch

# A run takes half a minute; one that hangs in spite of all bounds ends with SIGALRM's status.
LONGEST_S = 900


class Suite:
    """The servers, the browser, and what came out so far."""

    def __init__(self, browser):
        self.browser = browser
        self.upstream = Upstream()
        self.pages = (Pages(), Pages())
        self.switch = Switch()
        # One for right answers and one for spoilt ones: every run of a check has new addresses, so
        # what a profile keeps does not lead from one to the next.
        self.profile = browser.profile()
        self.passed = 0
        self.failed = 0

    def record_clip(self):
        """The browser makes the video that it is going to play."""
        page = self.profile.page(f"http://app.site.localhost:{self.pages[0].port}/")
        clip = base64.b64decode(page.run("return recordClip()"))
        self.upstream.files["/clip.webm"] = ("video/webm", clip)

    def run(self, name, node, port, profile):
        """One check; None, or why it failed and what the browser showed."""
        case = Case(profile, node, self.upstream, self.pages, port)
        try:
            CHECKS[name](case)
        except (Failed, ScriptError) as failure:
            return [str(failure), *case.record()]
        except BrowserError as failure:
            # Not a verdict of the browser but the loss of it: it never counts as a bug caught.
            raise BrowserError(f"{name}: {failure}\n" + "\n".join(case.record())) from failure
        return None

    def verdict(self, what, failure, seconds):
        """Counts and prints one line, and after it what is needed to understand a failure."""
        if failure is None:
            self.passed += 1
            print(f"ok      {what} ({seconds:.1f} s)", flush=True)
            return
        self.failed += 1
        print(f"NOT OK  {what} ({seconds:.1f} s)")
        print(
            "\n".join("        " + line for text in failure for line in text.split("\n")),
            flush=True,
        )

    def plain(self, what, names, node, port, profile):
        """Every check has to pass."""
        for name in names:
            started = time.monotonic()
            failure = self.run(name, node, port, profile)
            self.verdict(f"{what}: {name}", failure, time.monotonic() - started)

    def caught(self, what, names, node, port, profile):
        """Every one of these checks has to fail."""
        started = time.monotonic()
        missed = [name for name in names if self.run(name, node, port, profile) is None]
        failure = [f"{name} passed in spite of it" for name in missed] or None
        self.verdict(f"bug caught: {what}: {', '.join(names)}", failure, time.monotonic() - started)

    def seed_bugs(self, node, matrix):
        """Through the switch: unspoilt, then each bug."""
        for name in bugs.unnamed(CHECKS):
            self.verdict(name, ["no seeded bug names it: show that it can fail"], 0)
        self.switch.node_port = node.port
        profile = self.browser.profile()
        self.plain("through the switch", CHECKS, node, self.switch.port, profile)
        for name, (make, caught_by) in bugs.SWITCH.items():
            self.switch.spoil = make()
            self.seeded(name, caught_by, node, self.switch.port, profile, matrix)
        self.switch.spoil = None
        for name in bugs.POLICY:
            config, caught_by = bugs.spoilt_policy(node.config, name, self.pages[0].port)
            right = node.config
            node.config = config
            node.apply(config)
            self.seeded(name, caught_by, node, node.port, profile, matrix)
            node.config = right
        node.apply(node.config)
        profile.close()

    def seeded(self, name, caught_by, node, port, profile, matrix):
        """One bug; with `matrix`, shows what every check says about it."""
        if matrix:
            noticing = [check for check in CHECKS if self.run(check, node, port, profile)]
            print(f"{name}: {', '.join(noticing) or 'NOBODY'}", flush=True)
        else:
            self.caught(name, caught_by, node, port, profile)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--binary", required=True, help="the corsair binary")
    parser.add_argument("--browser", required=True, help="the chromium binary")
    parser.add_argument("--driver", action="append", choices=["io_uring", "epoll"])
    parser.add_argument(
        "--only",
        action="append",
        choices=sorted(CHECKS),
        metavar="CHECK",
        help="this check alone, without seeded bugs",
    )
    parser.add_argument("--list", action="store_true", help="say what each check proves")
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="run all checks on each seeded bug and show which notice",
    )
    return parser.parse_args()


def main():
    chosen = arguments()
    if chosen.list:
        for name, function in CHECKS.items():
            print(f"{name}\n    {' '.join(function.__doc__.split())}")
        return 0
    # An end from outside takes the way of an exception, so that everything started is ended.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.alarm(LONGEST_S)
    started = time.monotonic()
    browser = Chromium(chosen.browser)
    try:
        print(f"{browser.version}", flush=True)
        suite = Suite(browser)
        suite.record_clip()
        drivers = chosen.driver or ["io_uring", "epoll"]
        for driver in drivers:
            node = Node(chosen.binary, driver, suite.upstream.port, suite.pages[0].port)
            try:
                suite.plain(driver, chosen.only or CHECKS, node, node.port, suite.profile)
                if driver == drivers[0] and not chosen.only:
                    suite.seed_bugs(node, chosen.matrix)
            finally:
                code = node.stop()
            said = [line for line in node.lines if "panic" in line]
            if code != 0 or said or not node.driver.startswith(driver):
                suite.verdict(
                    f"{driver}: the node ran on it and ended well",
                    [f"driver {node.driver}, exit {code}", *node.lines],
                    0,
                )
    except (BrowserError, ScriptError, RuntimeError) as failure:
        print(f"NOT OK  given up: {failure}")
        return 1
    finally:
        browser.close()
    print(
        f"browser: {suite.passed} passed, {suite.failed} failed; "
        f"{time.monotonic() - started:.0f} s"
    )
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
