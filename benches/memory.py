#!/usr/bin/env python3
"""What a running node keeps in memory: per idle connection, while a large body streams through, and
while many readers take next to nothing.

    benches/memory.py idle [COUNT]      # default 10000 keep-alive connections, each after one request
    benches/memory.py stream [MIB]      # default 1024 MiB through one miss that is too large to store
    benches/memory.py slow [COUNT]      # default 300 readers of 2 KiB/s, each on a miss of 4 MiB

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
driver = "io_uring"
[admin]
listen = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[cache]
memory = "{memory}"
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
                try:
                    left -= connection.send(block[:min(left, len(block))])
                except OSError:
                    return

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def start(directory, memory):
    with open(os.path.join(directory, "corsair.toml"), "w") as file:
        file.write(CONFIG.format(upstream=serve_upstream(), memory=memory))
    process = subprocess.Popen([BINARY, "run", "-c", "corsair.toml"], cwd=directory,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.match(r"listening on 127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found.group(1))
    sys.exit("the node did not start")


def resident_kib(process, line="VmRSS"):
    text = open(f"/proc/{process.pid}/status").read()
    return int(re.search(line + r":\s+(\d+)", text).group(1))


def fetch(port, path, receive_bytes=None):
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect(("127.0.0.1", port))
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


def slow(process, port, count):
    read_head(fetch(port, 100))
    before = resident_kib(process)
    # A body's size is its URL: no two are the same.
    readers = [fetch(port, (4 << 20) + number, 16384) for number in range(count)]
    for reader in readers:
        reader.setblocking(False)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for reader in readers:
            try:
                reader.recv(2048)
            except OSError:
                pass
        time.sleep(1)
    peak = resident_kib(process, "VmHWM")
    for reader in readers:
        reader.close()
    time.sleep(10)
    print(f"{count} slow readers, a store of 64 MiB: {before} KiB before, {peak} KiB at most, "
          f"{resident_kib(process)} KiB ten seconds after they left")


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "idle"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        # The store's size shows only in what slow readers may hold.
        process, port = start(directory, "64MiB" if what == "slow" else "256MiB")
        measure, count = {"idle": (idle, 10000), "stream": (stream, 1024), "slow": (slow, 300)}[what]
        try:
            measure(process, port, int(sys.argv[2]) if len(sys.argv) > 2 else count)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


main()
