#!/usr/bin/env python3
"""Counters gate: what one cached hit costs in system calls, ring enters and instructions.

Counters do not depend on how busy the machine is, so they may fail a build; wall clock may not.

    tests/counters.py [path of the corsair binary]        # default target/release/corsair

* System calls and ring enters per request come from strace, as the difference of two runs, at depth 1
  and 16 on one connection.
* Instructions per hit come from callgrind on the epoll driver (valgrind knows no io_uring), as the
  difference of two runs, so start-up does not count.

The ceilings below are recorded values with about a tenth of room (the last with a fifth, over the highest
of several runs); lower them when the code gets cheaper.
Needs strace and valgrind. Loopback only; ends what it started, by process id.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# per request: (depth, most system calls, most ring enters)
SYSCALL_CEILINGS = [(1, 2.3, 2.3), (16, 0.16, 0.16)]
INSTRUCTIONS_CEILING = 4200
# per hit, what a hundred header operations without an effect on the response may add. The head that
# they did not change is remembered; making it anew each time would be 3,000. Two runs differ by some
# dozens of instructions anyway, because the wheel and the sweeps run by the clock.
IDLE_INSTRUCTIONS_CEILING = 290

CONFIG = """
[node]
name = "edge-1"
workers = 1
driver = "{driver}"
[admin]
listen = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[[upstream]]
name = "one"
servers = ["http://127.0.0.1:{upstream}"]
[[site]]
hosts = ["*"]
upstream = "one"
[site.cache]
override_ttl = "1h"
[site.cors]
origins_file = "origins.txt"
[[site.header]]
op = "set"
name = "X-Frame-Options"
value = "DENY"
[[site.header]]
op = "set"
name = "X-Content-Type-Options"
value = "nosniff"
"""



def idle_operation(number):
    """A header operation that has no effect on the responses here."""
    conditions = ['status = ["5xx"]', 'content_type = ["text/html"]', 'methods = ["POST", "PUT"]',
                  f'path = ["/pages-{number}/**"]', f'request_header = ["X-Flag-{number}: on"]']
    if number % 6 == 5:
        return f'[[site.header]]\nop = "remove"\nname = "X-Absent-{number}"\n'
    return (f'[[site.header]]\nop = "set"\nname = "X-Idle-{number}"\nvalue = "1"\n'
            f'when = {{ {conditions[number % 6]} }}\n')


IDLE_OPERATIONS = "".join(idle_operation(number) for number in range(100))

REQUEST = (b"GET /object HTTP/1.1\r\nHost: cdn.example.com\r\n"
           b"Origin: https://tenant-500.example.com\r\nAccept: */*\r\nUser-Agent: counters\r\n\r\n")


def serve_upstream():
    """An upstream that answers every request with 1 KiB; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        body = b"x" * 1024
        answer = (b"HTTP/1.1 200 OK\r\nContent-Type: font/woff2\r\nETag: \"1\"\r\n"
                  b"Content-Length: 1024\r\n\r\n" + body)
        while connection.recv(65536):
            connection.sendall(answer)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


class Node:
    """A corsair under a tool."""

    def __init__(self, tool, binary, driver, upstream, directory, more=""):
        with open(os.path.join(directory, "origins.txt"), "w") as file:
            file.writelines(f"https://tenant-{n}.example.com\n" for n in range(1000))
        with open(os.path.join(directory, "corsair.toml"), "w") as file:
            file.write(CONFIG.format(driver=driver, upstream=upstream) + more)
        self.process = subprocess.Popen(
            [*tool, binary, "run", "-c", "corsair.toml"], cwd=directory,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.match(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            sys.exit("the node did not start:\n" + "".join(self.lines))
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def pid(self):
        """The node's own process id, also below a tool that forks."""
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        return int(children[0]) if children else self.process.pid

    def stop(self):
        os.kill(self.pid(), signal.SIGTERM)
        self.process.wait(timeout=60)


def request_hits(port, count, depth):
    """Sends `count` requests, `depth` at a time, and checks every answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(REQUEST)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < 1024:
            answer += connection.recv(65536)
        time.sleep(0.2)
        done = 0
        while done < count:
            batch = min(depth, count - done)
            connection.sendall(REQUEST * batch)
            text = b""
            while text.count(b"Access-Control-Allow-Origin: https://tenant-500.example.com") < batch \
                    or not text.endswith(b"x" * 1024):
                more = connection.recv(1 << 20)
                if not more:
                    sys.exit("the node closed the connection")
                text += more
            if text.count(b"; hit;") != batch:
                sys.exit(f"not all of {batch} answers are hits: {text[:600]!r}")
            done += batch


def syscalls(binary, upstream, depth, count):
    """System calls and ring enters of a run of `count` requests."""
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "strace")
        tool = ["strace", "-f", "-c", "-o", report, "-e", "trace=all"]
        node = Node(tool, binary, "io_uring", upstream, directory)
        request_hits(node.port, count, depth)
        node.stop()
        total = enters = 0
        for line in open(report):
            found = re.match(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", line)
            # The timer of the deadline wheel and the control thread run by the clock, not by requests.
            if found and found.group(2) not in ("epoll_wait", "futex", "total"):
                total += int(found.group(1))
                if found.group(2) == "io_uring_enter":
                    enters += int(found.group(1))
        return total, enters


def instructions(binary, upstream, count, more=""):
    """Instructions of a whole run with `count` requests; `more` is added to the configuration."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "callgrind")
        tool = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        node = Node(tool, binary, "epoll", upstream, directory, more)
        request_hits(node.port, count, 16)
        node.stop()
        totals = re.search(r"^(?:summary|totals): (\d+)", open(out).read(), re.MULTILINE)
        return int(totals.group(1))


def main():
    binary = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                             os.path.join(ROOT, "target", "release", "corsair"))
    upstream = serve_upstream()
    failed = 0

    def judge(what, value, ceiling):
        nonlocal failed
        good = value <= ceiling
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {value:.3f} (ceiling {ceiling})")

    for depth, most_calls, most_enters in SYSCALL_CEILINGS:
        few = syscalls(binary, upstream, depth, 1600)
        many = syscalls(binary, upstream, depth, 6400)
        judge(f"system calls per hit, depth {depth}", (many[0] - few[0]) / 4800, most_calls)
        judge(f"ring enters per hit, depth {depth}", (many[1] - few[1]) / 4800, most_enters)
    per_hit = []
    for more in ("", IDLE_OPERATIONS):
        few, many = (instructions(binary, upstream, count, more) for count in (1600, 6400))
        per_hit.append((many - few) / 4800)
    judge("instructions per hit, epoll, depth 16", per_hit[0], INSTRUCTIONS_CEILING)
    judge("instructions per hit that 100 operations without effect add", per_hit[1] - per_hit[0],
          IDLE_INSTRUCTIONS_CEILING)
    sys.exit(1 if failed else 0)


main()
