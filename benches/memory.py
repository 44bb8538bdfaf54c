#!/usr/bin/env python3
"""What a running node keeps in memory: per idle connection, and while a large body streams through.

    benches/memory.py idle [COUNT]      # default 10000 keep-alive connections, each after one request
    benches/memory.py stream [MIB]      # default 1024 MiB through one miss that is too large to store

Starts target/release/corsair on loopback with one upstream of its own; ends it by process id.
"""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.environ.get("CORSAIR", os.path.join(TARGET, "release", "corsair"))
CONFIG = """
[node]
workers = 1
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
origins = ["https://*.example.com"]
"""


def serve_upstream():
    """`GET /N` gets N bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        block = b"x" * (1 << 20)
        while True:
            request = connection.recv(65536)
            if not request:
                return
            left = int(request.split(b" ")[1][1:])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
            while left:
                left -= connection.send(block[:min(left, len(block))])

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def start(directory):
    with open(os.path.join(directory, "corsair.toml"), "w") as file:
        file.write(CONFIG.format(upstream=serve_upstream()))
    process = subprocess.Popen([BINARY, "run", "-c", "corsair.toml"], cwd=directory,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.match(r"listening on 127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found.group(1))
    sys.exit("the node did not start")


def resident_kib(process):
    text = open(f"/proc/{process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


def fetch(port, path):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example.com\r\n\r\n" % path)
    return connection


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return data.split(b"\r\n\r\n", 1)[1]


def idle(process, port, count):
    warm = [fetch(port, 100) for _ in range(100)]
    for connection in warm:
        read_head(connection)
    time.sleep(4)
    before = resident_kib(process)
    open_connections = []
    for _ in range(count):
        connection = fetch(port, 100)
        read_head(connection)
        open_connections.append(connection)
    time.sleep(5)
    after = resident_kib(process)
    print(f"{count} idle connections: {before} KiB before, {after} KiB after, "
          f"{(after - before) * 1024 / count:.0f} bytes each")


def stream(process, port, mebibytes):
    read_head(fetch(port, 100))
    before = resident_kib(process)
    connection = fetch(port, mebibytes << 20)
    left = (mebibytes << 20) - len(read_head(connection))
    peak = before
    next_look = left
    while left:
        left -= len(connection.recv(1 << 20))
        if left < next_look:
            peak = max(peak, resident_kib(process))
            next_look = left - (8 << 20)
    print(f"{mebibytes} MiB through a miss: {before} KiB before, {peak} KiB at most")


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "idle"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        process, port = start(directory)
        try:
            if what == "idle":
                idle(process, port, int(sys.argv[2]) if len(sys.argv) > 2 else 10000)
            else:
                stream(process, port, int(sys.argv[2]) if len(sys.argv) > 2 else 1024)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


main()
