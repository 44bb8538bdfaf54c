#!/usr/bin/env python3
"""Paired, alternating comparison of servers that do the same job, by CPU time per request.

The servers run on one core, the generators (wrk, one an arm) on another. Within a round the arms take
turns of a fifth of a second, in an order that turns round each time (A B C, C B A, ...): whoever waits
stands still by SIGSTOP, so that what the machine does meanwhile meets all arms alike. The ratio to the
first arm is taken within the round; the median of those ratios is the result, with the interval of 95 %
that a bootstrap gives it. Single times mean nothing on a shared machine.

    benches/paired.py null corsair                        # 1 KiB hit, 1,000 origins, 2 header operations
    benches/paired.py null corsair nginx haproxy --rounds 6
    benches/paired.py corsair:10 corsair:100000           # number of origin patterns
    benches/paired.py null corsair --size 65536
    benches/paired.py corsair corsair --depth 16          # second arm of two equal ones is the A/A control
    benches/paired.py corsair@PATH corsair                # an older binary against the present one

Needs wrk (and nginx, haproxy for those arms); binaries from `cargo build --release --workspace`.
Every response is checked before an arm is timed. Loopback only; ends what it started, by process id.
"""

import argparse
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
SLICE_SECONDS = 0.2


def binary(name):
    return os.path.join(TARGET, "release", name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def origins(count):
    return [f"https://tenant-{n}.example.com" for n in range(count)]


class Server:
    """A started server: its processes, its port."""

    def __init__(self, command, port, cpu, cwd):
        self.port = port
        self.process = subprocess.Popen(
            ["taskset", "-c", str(cpu), *command], cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(os.path.join(cwd, "stderr"), "wb"))
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        sys.exit(f"{command[0]} does not listen: {open(os.path.join(cwd, 'stderr')).read()}")

    def cpu_seconds(self):
        """Time on a CPU of all threads of the server and its children."""
        nanoseconds = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    nanoseconds += int(file.read().split()[0])
        return nanoseconds / 1e9

    def stop(self):
        pids = [self.process.pid, *children(self.process.pid)]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


def children(pid):
    try:
        text = open(f"/proc/{pid}/task/{pid}/children").read()
    except FileNotFoundError:
        return []
    direct = [int(child) for child in text.split()]
    return direct + [grandchild for child in direct for grandchild in children(child)]


def start_null(arm, options, cwd, upstream):
    port = free_port()
    return Server([binary("loadgen"), "serve-null", "--driver", arm.variant or "monoio",
                   "--listen", f"127.0.0.1:{port}", "--size", str(options.size)],
                  port, options.server_cpu, cwd)


def start_corsair(arm, options, cwd, upstream):
    port = free_port()
    count = int(arm.variant or options.patterns)
    with open(os.path.join(cwd, "origins.txt"), "w") as file:
        file.write("\n".join(origins(count)) + "\n")
    with open(os.path.join(cwd, "corsair.toml"), "w") as file:
        file.write(f"""
[node]
name = "edge-1"
workers = 1
driver = "{options.driver}"
[admin]
listen = "127.0.0.1:{free_port()}"
[[listener]]
address = "127.0.0.1:{port}"
[[upstream]]
name = "null"
servers = ["http://127.0.0.1:{upstream}"]
[[site]]
hosts = ["*"]
upstream = "null"
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
""")
    program = arm.path or binary("corsair")
    return Server([program, "run", "-c", "corsair.toml"], port, options.server_cpu, cwd)


def start_nginx(arm, options, cwd, upstream):
    port = free_port()
    listed = "".join(f'        "{origin}" $http_origin;\n' for origin in origins(options.patterns))
    with open(os.path.join(cwd, "nginx.conf"), "w") as file:
        file.write(f"""
worker_processes 1;
user root;
daemon off;
pid {cwd}/nginx.pid;
error_log {cwd}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    map_hash_max_size 262144;
    map_hash_bucket_size 128;
    map $http_origin $allowed {{
        default "";
{listed}    }}
    proxy_temp_path {cwd}/temp;
    client_body_temp_path {cwd}/body;
    fastcgi_temp_path {cwd}/fastcgi; uwsgi_temp_path {cwd}/uwsgi; scgi_temp_path {cwd}/scgi;
    proxy_cache_path {cwd}/cache keys_zone=edge:10m;
    sendfile on;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_cache edge;
            proxy_cache_valid 200 1h;
            add_header Access-Control-Allow-Origin $allowed always;
            add_header Vary Origin always;
            add_header X-Frame-Options DENY always;
            add_header X-Content-Type-Options nosniff always;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
""")
    return Server(["nginx", "-c", os.path.join(cwd, "nginx.conf")], port, options.server_cpu, cwd)


def start_haproxy(arm, options, cwd, upstream):
    port = free_port()
    with open(os.path.join(cwd, "origins.map"), "w") as file:
        file.writelines(f"{origin} 1\n" for origin in origins(options.patterns))
    with open(os.path.join(cwd, "haproxy.cfg"), "w") as file:
        file.write(f"""
global
    nbthread 1
    tune.bufsize 32768
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
cache edge
    total-max-size 256
    max-object-size 8388608
    max-age 3600
frontend front
    bind 127.0.0.1:{port}
    http-request set-var(txn.origin) req.hdr(origin) if {{ req.hdr(origin),map_str({cwd}/origins.map,0) -m str 1 }}
    http-after-response set-header Access-Control-Allow-Origin %[var(txn.origin)] if {{ var(txn.origin) -m found }}
    http-after-response add-header Vary Origin
    http-after-response set-header X-Frame-Options DENY
    http-after-response set-header X-Content-Type-Options nosniff
    default_backend null
backend null
    http-request cache-use edge
    http-response set-header Cache-Control max-age=3600
    http-response cache-store edge
    server null 127.0.0.1:{upstream}
""")
    return Server(["haproxy", "-f", "haproxy.cfg", "-db"], port, options.server_cpu, cwd)


STARTERS = {"null": start_null, "corsair": start_corsair, "nginx": start_nginx,
            "haproxy": start_haproxy}


class Arm:
    """NAME[:VARIANT][@BINARY]"""

    def __init__(self, text):
        name, _, self.path = text.partition("@")
        self.name, _, self.variant = name.partition(":")
        self.text = text
        if self.name not in STARTERS:
            sys.exit(f"no such arm: {text}")


def read_response(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            sys.exit(f"closed inside a head: {data!r}")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
    while len(body) < length:
        body += connection.recv(1 << 20)
    return head, body


def verify(arm, server, options, origin):
    """The arm does the job: the second answer is whole, a hit, and carries what the rules say."""
    request = f"GET /object HTTP/1.1\r\nHost: bench.example\r\nOrigin: {origin}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request)
        read_response(connection)
        time.sleep(0.2)
        connection.sendall(request)
        head, body = read_response(connection)
    if not head.startswith(b"HTTP/1.1 200") or len(body) != options.size:
        sys.exit(f"{arm.text}: wrong answer {head!r}, {len(body)} bytes of body")
    if arm.name == "null":
        return len(head)
    lowered = head.lower()
    for line in (f"access-control-allow-origin: {origin}", "x-frame-options: deny",
                 "x-content-type-options: nosniff", "vary: origin"):
        if line.encode() not in lowered:
            sys.exit(f"{arm.text}: no {line!r} in {head!r}")
    return len(head)


class Load:
    """A generator that stands still until it is given a turn."""

    def __init__(self, server, options, origin):
        command = ["taskset", "-c", str(options.client_cpu), "wrk", "-t1",
                   f"-c{options.connections}", "-d600s", "--timeout", "60s",
                   "-H", f"Origin: {origin}", "-H", "Host: bench.example"]
        if options.depth > 1:
            command += ["-s", options.pipeline_script]
        command.append(f"http://127.0.0.1:{server.port}/object")
        self.server, self.seconds, self.before = server, 0, server.cpu_seconds()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.turn()

    def turn(self):
        begin = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        time.sleep(SLICE_SECONDS)
        self.process.send_signal(signal.SIGSTOP)
        self.seconds += time.monotonic() - begin
        # What is on its way is answered on this arm's account.
        time.sleep(0.01)

    def end(self):
        """CPU seconds of the server a request, requests a second."""
        self.process.send_signal(signal.SIGCONT)
        output = None
        while output is None:
            # It has two threads, and only the one that sleeps is woken for good.
            self.process.send_signal(signal.SIGINT)
            try:
                output = self.process.communicate(timeout=0.5)[0]
            except subprocess.TimeoutExpired:
                pass
        requests = int(re.search(r"(\d+) requests in", output).group(1))
        if re.search(r"Non-2xx|Socket errors: (?!connect 0, read 0, write 0)", output):
            sys.exit(output)
        return (self.server.cpu_seconds() - self.before) / requests, requests / self.seconds


def run_round(servers, options, origin, first):
    """One round of all arms, the order of the first turn given: what [`Load.end`] says of each."""
    loads = [Load(server, options, origin) for server in servers]
    turns = max(2, round(options.seconds / SLICE_SECONDS))
    for number in range(first, first + turns):
        for load in loads[::-1] if number % 2 else loads:
            load.turn()
    return [load.end() for load in loads]


def interval_of_median(ratios):
    """What the median of such ratios would be in 95 of 100 repetitions."""
    draw = random.Random(len(ratios))
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+", help="null[:epoll] corsair[:PATTERNS][@BINARY] nginx haproxy")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--patterns", type=int, default=1000)
    parser.add_argument("--driver", default="io_uring")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    options = parser.parse_args()
    arms = [Arm(text) for text in options.arms]
    with tempfile.TemporaryDirectory() as top:
        options.pipeline_script = os.path.join(top, "pipeline.lua")
        with open(options.pipeline_script, "w") as file:
            file.write("init = function(args)\n  local one = wrk.format()\n"
                       f"  batch = string.rep(one, {options.depth})\nend\n"
                       "request = function() return batch end\n")
        upstream_dir = os.path.join(top, "upstream")
        os.mkdir(upstream_dir)
        upstream = free_port()
        servers = [Server([binary("loadgen"), "serve-null", "--driver", "epoll", "--listen",
                           f"127.0.0.1:{upstream}", "--size", str(options.size), "--header",
                           "Cache-Control: max-age=3600"],
                          upstream, options.client_cpu, upstream_dir)]
        try:
            compare(arms, servers, options, top, upstream)
        finally:
            for server in servers:
                server.stop()


def compare(arms, servers, options, top, upstream):
    started = []
    origin = origins(min(options.patterns, 10))[-1]
    for number, arm in enumerate(arms):
        cwd = os.path.join(top, f"arm-{number}")
        os.mkdir(cwd)
        server = STARTERS[arm.name](arm, options, cwd, upstream)
        servers.append(server)
        head_bytes = verify(arm, server, options, origin)
        print(f"{arm.text}: verified, head of {head_bytes} bytes", file=sys.stderr)
        started.append(server)
    run_round(started, options, origin, 0)
    cost = [[] for _ in arms]
    rates = [[] for _ in arms]
    for number in range(options.rounds):
        for index, (own, rate) in enumerate(run_round(started, options, origin, number)):
            cost[index].append(own * 1e6)
            rates[index].append(rate)
        line = "  ".join(f"{arms[i].text} {cost[i][-1]:.2f} us" for i in range(len(arms)))
        print(f"round {number + 1}: {line}", file=sys.stderr)
    print(f"| arm | CPU us per request | requests/s | requests per CPU-second, ratio to {arms[0].text} "
          "| interval | all ratios |")
    print("| --- | --- | --- | --- | --- | --- |")
    for index, arm in enumerate(arms):
        ratios = [base / own for base, own in zip(cost[0], cost[index])]
        low, high = interval_of_median(ratios)
        listed = " ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"| {arm.text} | {statistics.median(cost[index]):.2f} | "
              f"{statistics.median(rates[index]):.0f} | {statistics.median(ratios):.3f} | "
              f"{low:.3f} - {high:.3f} | {listed} |")


main()
