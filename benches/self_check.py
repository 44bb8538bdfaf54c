#!/usr/bin/env python3
"""Measures the load generator itself: what is known to be there must be found.

    cargo build --release --workspace
    benches/self_check.py                      # all checks, about six minutes
    benches/self_check.py stop wrong           # some of them
    benches/self_check.py --loadgen PATH --oha PATH rate

check        what must be
stop         a server that stands still for part of an open-loop run (SIGSTOP) is charged for every
             request that fell due meanwhile: percentiles follow from the length of the stop
delay        a delay that the server makes and measures itself is found in the latency, within
             1 % and 50 us
rate         a server that answers one request an interval by the clock, and counts its answers: the
             closed-loop rate is what it counted, and that of wrk, h2load and oha, within 1 %; a constant
             rate is kept, beside those that can keep one (h2load --rps, oha -q; wrk2 is not packaged)
wrong        a server that names another origin once in 100,000 answers is caught every time
memory       10,000,000 requests: resident memory is flat from the first million on
pace         p99 of the schedule lag is at most 50 us at 20,000/s on an idle core: in seconds in which neither
             another machine nor another process had more than 0.5 % of the CPU
efficiency   requests per CPU-second, status and five fields of every answer checked, at least wrk's, which
             checks nothing

Needs two CPUs (servers on the first, generators on the second), Python 3.9, wrk, and h2load (Debian:
wrk, nghttp2-client); oha is used if it is there (`cargo install oha`). A machine that does other work
fails checks of time: run it again. Loopback only; ends what it started, by process id. Prints a table;
exit code 0: all passed, 1: some failed, 2: cannot run.
"""

import argparse
import collections
import json
import os
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
FIELDS = ("Vary: Origin", "X-Frame-Options: DENY", "X-Content-Type-Options: nosniff",
          "Access-Control-Allow-Origin: https://app.example.com", "Cache-Control: max-age=3600")
ORIGIN = "https://app.example.com"
SERVER_CPU, CLIENT_CPU = 0, 1
# A server that is kept from running for no longer than so many intervals loses nothing.
PACED_US, PACED_CONNECTIONS = 400, 128

# Bounds. Steal and other work are not ours: time gets a little room, counts get none.
DELAY_SHARE, DELAY_US = 0.01, 50.0
STOP_SHARE, STOP_S = 0.02, 0.05
SAME_RATE = 0.01
KEPT_RATE = 0.01
MEMORY_BYTES = 1 << 20
PACE_US, PACE_RUNS_MAX = 50.0, 4
CALM_SHARE, CALM_SECONDS = 0.005, 5
WRONG_EVERY, WRONG_TOTAL = 100_000, 500_000


class Server:
    """A process on the server's CPU that prints the port or address it listens at."""

    def __init__(self, command):
        self.process = subprocess.Popen(["taskset", "-c", str(SERVER_CPU), *command],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        said = self.process.stdout.readline().strip()
        if not said:
            sys.exit(f"{command} does not listen")
        self.url = f"http://{said if ':' in said else '127.0.0.1:' + said}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        said = self.process.stdout.read()
        self.process.wait()
        # What a server of ours counted: see `serve`.
        self.counted = json.loads(said) if said else None


def null_server(options, driver="epoll", size=1024, fields=FIELDS):
    lines = [word for field in fields for word in ("--header", field)]
    return Server([options.loadgen, "serve-null", "--driver", driver, "--size", str(size), *lines])


def own_server(kind):
    return Server([sys.executable, os.path.abspath(__file__), "--serve", kind])


def loadgen(options, url, *flags):
    return [options.loadgen, "run", url, "--cpu", str(CLIENT_CPU), "--quiet", "--max-steal", "100",
            "--json", "-", *flags]


def started(command):
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def finished(command, codes=(0,)):
    """Output and CPU seconds of a command that ends by itself."""
    process = started(["taskset", "-c", str(CLIENT_CPU), *command])
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        why = re.search(r'"invalid_reasons": (\[[^]]*\])', output)
        why = why.group(1) if why else ""
        sys.exit(f"{' '.join(command)}: exit code {process.returncode} {why}")
    return output, usage.ru_utime + usage.ru_stime


def run(options, url, *flags, codes=(0, 4)):
    # An invalid run (4) is one more finding: what is judged are its numbers.
    return json.loads(finished(loadgen(options, url, *flags), codes)[0])


# Checks: each yields (what, found, bound, whether it holds).

def check_stop(options):
    for stop_s, quantiles in ((5.0, ("p90", "p99")), (6.0, ("p50", "p90", "p99"))):
        with null_server(options) as server:
            command = loadgen(options, server.url, "-c", "16", "--rate", "200", "-d", "10s")
            before = run(options, server.url, "-c", "16", "--rate", "200", "-d", "2s")
            process = started(command)
            time.sleep(2)
            server.process.send_signal(signal.SIGSTOP)
            begin = time.monotonic()
            time.sleep(stop_s)
            server.process.send_signal(signal.SIGCONT)
            stopped = time.monotonic() - begin
            found = json.loads(process.communicate()[0])
        for name in quantiles:
            # Latencies of what fell due meanwhile are spread evenly from 0 to the stop's length.
            share = int(name[1:]) / 100
            expected = stopped - (1 - share) * 10
            measured = found["latency_us"][name] / 1e6
            usual = before["latency_us"][name] / 1e6
            yield (f"stopped {stopped:.2f} s of 10 s: {name} (else {usual * 1e3:.2f} ms)",
                   f"{measured:.3f} s", f"{expected:.3f} s ± {STOP_SHARE:.0%} ± {STOP_S} s",
                   abs(measured - expected) <= STOP_SHARE * expected + STOP_S)
        yield (f"stopped {stopped:.2f} s of 10 s: requests", str(found["requests"]), "2000",
               found["requests"] == 2000)


def check_delay(options):
    for delay_us in (1_000, 5_000, 20_000):
        # Delayed requests and others alternate by chance in one run: both see the same machine.
        rate = int(600_000 / delay_us)
        differences, stolen = [], []
        for _ in range(5):
            with own_server(f"delay:{delay_us}") as server, tempfile.TemporaryDirectory() as folder:
                mix = os.path.join(folder, "mix.toml")
                with open(mix, "w") as file:
                    file.write('[[request]]\nname = "plain"\npath = "/plain"\n'
                               '[[request]]\nname = "delayed"\npath = "/delayed"\n')
                found = run(options, server.url, "--mix", mix, "-c", "1", "--rate", str(rate),
                            "-n", str(max(60, 2 * rate)))
            kinds = found["kinds"]
            stolen.append(found["stolen_share"])
            lowest = {kind["name"]: kind["latency_us"]["min"] for kind in kinds}
            middle = {kind["name"]: kind["latency_us"]["p50"] for kind in kinds}
            delays = [delay / 1e3 for delay in server.counted]
            given = min(delays), statistics.median(delays)
            differences.append((lowest["delayed"] - lowest["plain"] - given[0],
                                middle["delayed"] - middle["plain"] - given[1]))
        bound = DELAY_SHARE * given[1] + DELAY_US
        lowest, middle = zip(*differences)
        # Another machine only adds time, the more the longer a request takes: it can spoil the median
        # and some of the lowest values; who measures wrongly is off each time.
        calm = max(stolen) <= CALM_SHARE
        for name, off, judged in ("lowest", lowest, True), ("median", middle, calm):
            holds = abs(statistics.median(off)) <= bound
            yield (f"delay of {given[1]:.0f} µs, {name} of delayed less {name} of others, 5 runs",
                   " ".join(f"{value:+.0f}" for value in off) + " µs off"
                   + ("" if judged else f" ({min(stolen):.1%} – {max(stolen):.1%} stolen)"),
                   f"median within {bound:.0f} µs", holds if judged else holds or None)


def rate_of(tool, options, url, seconds, connections):
    if tool == "loadgen":
        return run(options, url, "-c", str(connections), "-d", f"{seconds}s")["rate"]
    if tool == "wrk":
        output, _ = finished(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url])
        return float(re.search(r"Requests/sec: +([\d.]+)", output).group(1))
    if tool == "h2load":
        output, _ = finished(["h2load", "--h1", "-t1", f"-c{connections}", f"-D{seconds}", url])
        return float(re.search(r"([\d.]+) req/s", output).group(1))
    # Without -w it counts what it had asked for and not yet heard of at the end.
    output, _ = finished([options.oha, "--no-tui", "--output-format", "json", "-z", f"{seconds}s",
                          "-w", "-c", str(connections), url])
    return json.loads(output)["summary"]["requestsPerSec"]


def kept_rate(tool, options, url, seconds, rate):
    if tool == "loadgen":
        found = run(options, url, "-c", "16", "-d", f"{seconds}s", "--rate", str(rate))
        return found["rate"], found["latency_us"]["p50"]
    if tool == "h2load":
        output, _ = finished(["h2load", "--h1", "-t1", "-c16", f"--rps={rate // 16}",
                              f"-D{seconds}", url])
        return float(re.search(r"([\d.]+) req/s", output).group(1)), None
    output, _ = finished([options.oha, "--no-tui", "--output-format", "json", "-z", f"{seconds}s",
                          "-w", "-c", "16", "-q", str(rate), "--latency-correction", url])
    found = json.loads(output)
    return found["summary"]["requestsPerSec"], found["latencyPercentiles"]["p50"] * 1e6


def check_rate(options):
    others = [tool for tool in ("wrk", "h2load") if shutil.which(tool)]
    others += ["oha"] if options.oha else []
    for tool in sorted({"wrk", "h2load", "oha"} - set(others)):
        yield f"closed loop against {tool}", "not installed", "", None
    # The server alone says how much there is to find, and counts what it gave.
    said = {tool: [] for tool in ["loadgen", *others]}
    counted = {tool: [] for tool in said}
    for turn in range(5):
        for tool in list(said)[::-1 if turn % 2 else 1]:
            with own_server(f"paced:{PACED_US}") as server:
                said[tool].append(rate_of(tool, options, server.url, 4,
                                          PACED_CONNECTIONS))
            answers, took_ns = server.counted
            counted[tool].append((answers - 1) / took_ns * 1e9)
    given = [rate for rates in counted.values() for rate in rates]
    yield (f"answers a second that the server counted, one each {PACED_US} µs, {len(given)} runs",
           f"{statistics.median(given):.1f} ({min(given):.1f} – {max(given):.1f})", "", None)
    for tool in said:
        # What others say of themselves is told; only ours is judged.
        judged = tool == "loadgen"
        yield (f"closed loop, {PACED_CONNECTIONS} connections: {tool}'s rate to what the server counted",
               *ratio([own / true for own, true in zip(said[tool], counted[tool])], judged))
    for tool in others:
        yield (f"closed loop, {PACED_CONNECTIONS} connections: loadgen's rate to {tool}'s",
               *ratio([own / other for own, other in zip(said["loadgen"], said[tool])], True))
    with null_server(options) as server:
        for tool in ["loadgen", *(tool for tool in others if tool != "wrk")]:
            found, p50 = kept_rate(tool, options, server.url, 4, 9600)
            latency = "" if p50 is None else f", p50 {p50:.0f} µs"
            # What the others keep is told; only ours is judged.
            holds = abs(found / 9600 - 1) <= KEPT_RATE if tool == "loadgen" else None
            yield (f"9,600/s for 4 s by {tool}", f"{found:.0f}/s{latency}",
                   f"± {KEPT_RATE:.0%}" if tool == "loadgen" else "", holds)


def ratio(ratios, judged):
    """A row's end: ratios, their bound, and whether their median keeps to it."""
    middle = statistics.median(ratios)
    return (f"{middle:.4f} ({min(ratios):.4f} – {max(ratios):.4f})",
            f"median within 1 ± {SAME_RATE:.0%}" if judged else "",
            abs(middle - 1) <= SAME_RATE if judged else None)


def check_wrong(options):
    with own_server(f"wrong:{WRONG_EVERY}") as server:
        found = run(options, server.url, "-n", str(WRONG_TOTAL), "-c", "16", "--depth", "16",
                    "--origin-pattern", "https://t{n}.example=1000", "--expect-status", "200",
                    "--expect-header", "Access-Control-Allow-Origin: {origin}",
                    "--expect-header", "Vary: Origin", codes=(1,))
    expected = WRONG_TOTAL // WRONG_EVERY
    yield (f"one wrong origin in {WRONG_EVERY:,} answers, {WRONG_TOTAL:,} answers",
           f"{found['mismatches']} caught of {found['requests']:,}", f"{expected} caught",
           (found["mismatches"], found["requests"]) == (expected, WRONG_TOTAL))
    shown = "https://other.example" in json.dumps(found["sample"])
    yield "the sample shows the wrong answer", "yes" if shown else "no", "yes", shown


def check_memory(options):
    with null_server(options, size=100) as server:
        command = [options.loadgen, "run", server.url, "--cpu", str(CLIENT_CPU), "--quiet",
                   "--max-steal", "100", "-n", "10000000", "-c", "64", "--depth", "16",
                   "--expect-status", "200", "--expect-header", FIELDS[0], "--ndjson", "-"]
        process = started(command)
        done, samples = 0, []
        for line in process.stdout:
            done += json.loads(line).get("requests", 0)  # The last line says whether it is valid.
            if done >= 1_000_000 * (len(samples) + 1) and process.poll() is None:
                samples.append((done, resident(process.pid)))
        process.wait()
    samples = [(count, size) for count, size in samples if size]
    first, most = samples[0][1], max(size for _, size in samples)
    steps = " ".join(f"{count / 1e6:.1f}M:{size / 1024:.0f}" for count, size in samples)
    yield (f"{done:,} requests, resident KiB: {steps}", f"+{(most - first) / 1024:.0f} KiB",
           f"at most +{MEMORY_BYTES // 1024} KiB",
           done == 10_000_000 and most - first <= MEMORY_BYTES and len(samples) >= 5)


def resident(pid):
    try:
        text = open(f"/proc/{pid}/status").read()
    except FileNotFoundError:
        return None
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else None


def check_pace(options):
    calm = []
    with null_server(options) as server, tempfile.TemporaryDirectory() as folder:
        seconds_file = os.path.join(folder, "seconds")
        for _ in range(PACE_RUNS_MAX):
            found = run(options, server.url, "-c", "16", "--rate", "20000", "-d", "20s",
                        "--ndjson", seconds_file)
            lag = found["schedule_lag_us"]
            yield ("20,000/s for 20 s: schedule lag p50, p90, p99, p99.9, max",
                   " ".join(f"{lag[name]:.1f}" for name in ("p50", "p90", "p99", "p999", "max"))
                   + f" µs, {found['stolen_share']:.1%} of the CPU time stolen, "
                   f"{found['client_kept_waiting_s'] / found['duration_s']:.1%} another process's, "
                   f"{found['rate_ratio']:.2%} sent in time", "", None)
            # Of an idle core: a second of which others took their part says nothing about ours.
            seconds = [json.loads(line) for line in list(open(seconds_file))[:-1]]
            calm += [row["lag_p99_us"] for row in seconds
                     if max(row["stolen_share"], row["client_kept_waiting"]) <= CALM_SHARE]
            if len(calm) >= CALM_SECONDS:
                break
    if len(calm) < CALM_SECONDS:
        yield (f"seconds of which others had at most {CALM_SHARE:.1%}", str(len(calm)),
               f"{CALM_SECONDS} to judge by", None)
        return
    yield (f"{len(calm)} seconds of which others had at most {CALM_SHARE:.1%}: median of their p99",
           f"{statistics.median(calm):.1f} µs ({min(calm):.1f} – {max(calm):.1f})",
           f"at most {PACE_US:.0f} µs", statistics.median(calm) <= PACE_US)


def check_efficiency(options):
    expect = [word for field in FIELDS for word in ("--expect-header", field)]
    ratios = []
    with null_server(options) as server:
        for turn in range(9):
            for tool in ("loadgen", "wrk") if turn % 2 else ("wrk", "loadgen"):
                if tool == "wrk":
                    output, cpu = finished(["wrk", "-t1", "-c64", "-d3s", "-H",
                                            f"Origin: {ORIGIN}", server.url])
                    wrk = int(re.search(r"(\d+) requests in", output).group(1)) / cpu
                else:
                    output, cpu = finished(loadgen(
                        options, server.url, "-c", "64", "-d", "3s", "-H", f"Origin: {ORIGIN}",
                        "--expect-status", "200", *expect))
                    own = json.loads(output)["requests"] / cpu
            ratios.append(own / wrk)
            print(f"  round {turn + 1}: loadgen {own:.0f}, wrk {wrk:.0f} per CPU-second",
                  file=sys.stderr)
    # Nine rounds: all but the lowest and the highest cover 96 % (sign test).
    low, middle, high = sorted(ratios)[1], statistics.median(ratios), sorted(ratios)[-2]
    yield ("requests per CPU-second with status and 5 fields checked, to wrk's without",
           f"{middle:.3f} ({low:.3f} – {high:.3f})", "at least 1", middle >= 1)


CHECKS = {"stop": check_stop, "delay": check_delay, "rate": check_rate, "wrong": check_wrong,
          "memory": check_memory, "pace": check_pace, "efficiency": check_efficiency}


# The servers that know what they do. Requests have no bodies; each ends with an empty line.

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Delaying:
    """Answers at once, and what asks for /delayed after a time that it measures."""

    awake = True

    def __init__(self, delay_us):
        self.delay_ns, self.counted = int(delay_us) * 1000, []

    def asked(self, connection, requests):
        begin = time.perf_counter_ns()
        if requests[0].startswith(b"GET /delayed"):
            while time.perf_counter_ns() - begin < self.delay_ns:
                pass
            self.counted.append(time.perf_counter_ns() - begin)
        connection.sendall(PLAIN * len(requests))

    def turn(self):
        pass


class Paced:
    """One answer an interval, by the clock alone. While requests wait, no answer leaves before its
    time, which is one interval after that of the answer before; one that left late delays no other.
    Time in which nobody waited is lost. So whoever keeps it busy is answered once an interval, however
    long an answer takes this process (up to all of the interval) or its CPU was another's (up to what
    waits). It counts its answers, and the time from the first to the last."""

    awake = True

    def __init__(self, interval_us):
        self.interval_ns, self.due_ns = int(interval_us) * 1000, 0
        self.waiting = collections.deque()
        self.answers = self.first_ns = self.last_ns = 0

    @property
    def counted(self):
        return self.answers, self.last_ns - self.first_ns

    def asked(self, connection, requests):
        if not self.waiting:
            self.due_ns = max(self.due_ns, time.monotonic_ns() + self.interval_ns)
        self.waiting.extend([connection] * len(requests))

    def turn(self):
        while self.waiting and self.due_ns <= time.monotonic_ns():
            try:
                self.waiting.popleft().sendall(PLAIN)
            except OSError:
                continue  # Who is gone takes no time.
            self.due_ns += self.interval_ns
            self.last_ns = time.monotonic_ns()
            self.first_ns = self.first_ns or self.last_ns
            self.answers += 1


class Wrong:
    """Names another origin once in so many answers."""

    awake, counted = False, None

    def __init__(self, every):
        self.every, self.number = int(every), 0
        self.origin_of = re.compile(rb"\r\nOrigin: ([^\r]*)").search

    def asked(self, connection, requests):
        answers = []
        for request in requests:
            self.number += 1
            named = self.origin_of(request).group(1)
            sent = named if self.number % self.every else b"https://other.example"
            answers.append(b"HTTP/1.1 200 OK\r\nVary: Origin\r\nAccess-Control-Allow-Origin: "
                           + sent + b"\r\nContent-Length: 2\r\n\r\nok")
        connection.sendall(b"".join(answers))

    def turn(self):
        pass


def serve(kind):
    """Serves until SIGTERM: prints its port, and in the end what it counted."""
    kind, _, argument = kind.partition(":")
    server = {"delay": Delaying, "paced": Paced, "wrong": Wrong}[kind](argument)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)

    def end(*_):
        print(json.dumps(server.counted), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    poll, connections = select.epoll(), {}
    poll.register(listener.fileno(), select.EPOLLIN)
    # Who keeps times does not sleep between requests: waking up takes as long as it likes.
    timeout = 0 if server.awake else -1
    while True:
        for number, _ in poll.poll(timeout):
            if number == listener.fileno():
                connection, _ = listener.accept()
                connections[connection.fileno()] = (connection, b"")
                poll.register(connection.fileno(), select.EPOLLIN)
                continue
            connection, rest = connections[number]
            try:
                received = connection.recv(65536)
                if received:
                    whole, _, rest = (rest + received).rpartition(b"\r\n\r\n")
                    connections[number] = (connection, rest)
                    if whole:
                        server.asked(connection, whole.split(b"\r\n\r\n"))
                    continue
            except OSError:
                pass
            poll.unregister(number)
            del connections[number]
            connection.close()
        server.turn()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=" ".join(CHECKS))
    parser.add_argument("--loadgen", default=os.path.join(TARGET, "release", "loadgen"))
    parser.add_argument("--oha", default=shutil.which("oha"))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    # Servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    unknown = [name for name in options.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    if not os.access(options.loadgen, os.X_OK):
        parser.error(f"no {options.loadgen}: cargo build --release --workspace")
    needed = {"rate": ["h2load", "wrk"], "efficiency": ["wrk"]}
    asked = options.checks or list(CHECKS)
    missing = {tool for name in asked for tool in needed.get(name, []) if not shutil.which(tool)}
    if missing:
        parser.error(f"not installed: {', '.join(sorted(missing))}; "
                     "apt-get install wrk nghttp2-client")
    if not {SERVER_CPU, CLIENT_CPU} <= os.sched_getaffinity(0):
        parser.error(f"needs CPUs {SERVER_CPU} and {CLIENT_CPU}")
    return report(options, asked)


def report(options, asked):
    failed = 0
    print("| check | what | found | must be | |\n| --- | --- | --- | --- | --- |", flush=True)
    for name in asked:
        for what, found, bound, holds in CHECKS[name](options):
            verdict = {True: "good", False: "**FAILED**", None: ""}[holds]
            failed += holds is False
            print(f"| {name} | {what} | {found} | {bound} | {verdict} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
