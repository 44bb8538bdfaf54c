"""What a check is: a named function that is given a `Case` and compares."""

import itertools

CHECKS = {}
_tags = itertools.count(1)


class Failed(Exception):
    """The browser or the upstream did not see what the rule says."""


def check(name):
    """Registers a check; its docstring says which rule of Fetch or HTML it holds."""

    def register(function):
        assert name not in CHECKS, name
        CHECKS[name] = function
        return function

    return register


class Case:
    """One run of one check: pages of one profile, and addresses that no other run uses."""

    def __init__(self, profile, node, upstream, pages, port):
        self.profile = profile
        self.node = node
        self.upstream = upstream
        self.ports = {"pages": pages[0].port, "elsewhere": pages[1].port}
        self.port = port
        self.tag = str(next(_tags))
        for page in profile.pages.values():
            page.forget()

    def url(self, site, path, **query):
        """An address on the node; the tag makes it new to every cache."""
        query = {"tag": self.tag, **query}
        # Percent-encoding is left to those who put an address into a query.
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return f"http://{site}.site.localhost:{self.port}{path}?{text}"

    def page(self, host="app.site", path="/", port="pages"):
        """A page of `http://HOST.localhost`."""
        return self.profile.page(f"http://{host}.localhost:{self.ports[port]}{path}")

    def same(self, what, got, wanted):
        """Fails unless both are equal."""
        if got != wanted:
            raise Failed(f"{what}:\n    wanted {wanted!r}\n    got    {got!r}")

    def reached(self, *wanted):
        """Fails unless exactly these (`"GET /path"`) reached the upstream, in any order."""
        got = sorted(f"{one['method']} {one['path']}" for one in self.upstream.seen(self.tag))
        self.same("requests at the upstream", got, sorted(wanted))

    def record(self):
        """What the browser showed, page by page."""
        return [line for page in self.profile.pages.values() for line in page.record()]
