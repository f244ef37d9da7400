#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The part of tools/run after the build: starts collector and agent, shows what arrives, and takes
everything away again.  See tools/run for the options."""
import argparse
import contextlib
import ctypes
import hashlib
import http.client
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("FT_BUILD") or TOP / "build" / "release")
BIN = BUILD / "src" / "bin"
PAGE_PORT = 8319
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
SWITCHES = ("nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_events")
TABLE = "flowtrail"

sys.path.insert(0, str(TOP / "tests" / "integration"))


class SessionError(Exception):
    pass


def say(text):
    print(f"==> {text}", flush=True)


def die_with_parent():
    """In a child: SIGTERM when this program is gone, so that even its sudden end cleans up."""
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def free_port(wanted=0):
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise SessionError("no free port on 127.0.0.1")


class Host:
    """The machine itself.  Remembers what the agent may change, to see that it was put back."""

    name = "this machine"

    def __init__(self):
        self.before = self.state()

    def command(self, *words):
        return [str(word) for word in words]

    def connect(self, port):
        return socket.create_connection(("127.0.0.1", port), 5)

    @staticmethod
    def state():
        values = {}
        for name in SWITCHES:
            with contextlib.suppress(OSError):
                values[name] = pathlib.Path("/proc/sys/net/netfilter", name).read_text().strip()
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
        return values, sorted(tables.stdout.splitlines())

    def put_back(self):
        """The agent does this at its stop; only after its sudden death is there something left."""
        values, tables = self.state()
        for name, value in self.before[0].items():
            if values.get(name) != value:
                say(f"the agent left {name} at {values.get(name)}; putting back {value}")
                pathlib.Path("/proc/sys/net/netfilter", name).write_text(value)
        for table in set(tables) - set(self.before[1]):
            words = table.split()
            if words[-1] == TABLE:
                say(f"the agent left its nftables {table}; removing it")
                subprocess.run(["nft", "delete", *words], check=False)


class Inside:
    """A namespace of the lab."""

    def __init__(self, ns, name):
        self.ns, self.name = ns, name

    def command(self, *words):
        return self.ns.command(*words)

    def connect(self, port):
        return self.ns.connect("127.0.0.1", port)

    def put_back(self):
        """Nothing: it goes away whole."""


class Programs:
    """Collector, agent and viewer, by process id."""

    def __init__(self, place, state):
        self.place, self.state, self.running = place, state, []

    def start(self, name, *words, quiet=True):
        log = open(self.state / f"{name}.log", "ab") if quiet else None
        popen = subprocess.Popen(
            self.place.command(BIN / name, *words), stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, preexec_fn=die_with_parent,
        )
        self.running.append((name, popen))
        return popen

    def check(self):
        for name, popen in self.running:
            if popen.poll() is not None:
                raise SessionError(f"{name} ended with {popen.returncode}\n{self.tail(name)}")

    def tail(self, name):
        with contextlib.suppress(OSError):
            lines = (self.state / f"{name}.log").read_text(errors="replace").splitlines()
            return "\n".join(lines[-15:])
        return ""

    def stop(self):
        """In reverse: the agent delivers what it has while the collector is still there."""
        for name, popen in reversed(self.running):
            if popen.poll() is None:
                popen.terminate()
                try:
                    popen.wait(STOP_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    say(f"{name} does not stop; killing it")
                    popen.kill()
                    popen.wait()
        self.running.clear()


def ready(place, port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.sock = place.connect(port)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def wait_ready(programs, place, port):
    deadline = time.monotonic() + START_SECONDS_MAX
    while not ready(place, port):
        programs.check()
        if time.monotonic() > deadline:
            raise SessionError(f"the collector is not ready after {START_SECONDS_MAX} s\n"
                               f"{programs.tail('flowtrail-collector')}")
        time.sleep(0.1)


def write_configuration(state, page_port, stream_port):
    token_file = state / "token"
    if not token_file.exists():
        token_file.touch(mode=0o600)
        token_file.write_text(secrets.token_urlsafe(32) + "\n")
    digest = hashlib.sha256(token_file.read_text().strip().encode()).hexdigest()
    (state / "tokens").write_text(f"# Made by tools/run.\nlocal: sha256:{digest}\n")
    (state / "collector.yaml").write_text(f"""\
# Made by tools/run.
data_dir: {state}/collector
ingest:
  listen: 127.0.0.1:{stream_port}
  plaintext: true
  tokens_file: {state}/tokens
http:
  listen: 127.0.0.1:{page_port}
  socket: {state}/collector.sock
""")
    (state / "flowtraild.yaml").write_text(f"""\
# Made by tools/run.
collector:
  url: http://127.0.0.1:{stream_port}
  plaintext: true
  token_file: {state}/token
capture:
  repair_tracking: true
spool:
  path: {state}/spool
control:
  socket: {state}/agent.sock
""")


def run_programs(place, state, page_port, seconds, page_url):
    programs = Programs(place, state)
    stream_port = free_port()
    write_configuration(state, page_port, stream_port)
    try:
        programs.start("flowtrail-collector", "--config", state / "collector.yaml")
        wait_ready(programs, place, page_port)
        programs.start("flowtraild", "--config", state / "flowtraild.yaml")
        say(f"page: {page_url}")
        say(f"connections of {place.name}, as the collector receives them (Ctrl-C ends):")
        viewer = programs.start("flowtrail", "observe", "--follow", "--server",
                                f"127.0.0.1:{page_port}", quiet=False)
        deadline = time.monotonic() + seconds if seconds else None
        while viewer.poll() is None and (deadline is None or time.monotonic() < deadline):
            programs.check()
            time.sleep(0.2)
        if viewer.poll() not in (None, 0):
            raise SessionError(f"flowtrail observe ended with {viewer.returncode}")
    finally:
        # A second Ctrl-C must not leave half of it running.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        programs.stop()
        place.put_back()


class Forwarder:
    """Makes the page of a collector inside the lab reachable on the machine's own loopback."""

    CONNECTIONS_MAX = 64

    def __init__(self, place, inner_port, port):
        self.place, self.inner_port = place, inner_port
        self.slots = threading.BoundedSemaphore(self.CONNECTIONS_MAX)
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                outer, _ = self.listener.accept()
                if not self.slots.acquire(blocking=False):
                    outer.close()
                    continue
                threading.Thread(target=self.carry, args=(outer,), daemon=True).start()

    def carry(self, outer):
        try:
            with outer, self.place.connect(self.inner_port) as inner:
                inner.settimeout(None)
                back = threading.Thread(target=self.copy, args=(inner, outer), daemon=True)
                back.start()
                self.copy(outer, inner)
                back.join()
        except OSError:
            pass
        finally:
            self.slots.release()

    @staticmethod
    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def make_traffic(lab):
    """A bit of everything, for as long as the lab stands."""
    from oracle import Generator, serve

    client, server = lab.clients[0], lab.servers[0]
    v4, v6 = lab.server4(), f"[{lab.server6()}]"
    many = 1_000_000
    for address in (v4, v6):
        serve(server, bind=f"{address}:443")
        serve(server, bind=f"{address}:8080")
        serve(server, "udp-echo", bind=f"{address}:53")
    serve(server, "tcp-server", bind=f"{v4}:5001", serve="sink")
    Generator(client, "tcp", to=f"{v4}:443", count=many, rate=2, send=1800, recv=1800)
    Generator(client, "tcp", to=f"{v6}:443", count=many, rate=1, send=900, recv=900)
    Generator(lab.clients[1], "tcp", to="203.0.113.80:80", count=many, rate=1, send=4000, recv=4000)
    Generator(lab.clients[1], "tcp", to=f"{v4}:25", count=many, rate=0.2)
    Generator(lab.clients[1], "ping", to=v6, count=30_000, rate=0.2, ports=2, send=56)
    Generator(client, "tcp", to=f"{v4}:5001", send=1 << 40, byte_rate=200_000)
    Generator(client, "udp-client", to=f"{v4}:53", count=many, rate=1, send=40, recv=40)
    # Flows end while someone is looking.
    for key in ("tcp_timeout_time_wait", "tcp_timeout_close", "udp_timeout", "icmp_timeout",
                "icmpv6_timeout"):
        lab.router.sysctl(f"net.netfilter.nf_conntrack_{key}", 5)


def run_lab(state, page_port, seconds):
    from lab import Lab, why_not

    reason = why_not()
    if reason:
        raise SessionError(reason)
    with tempfile.TemporaryDirectory(prefix="flowtrail-lab.") as tmp:
        with Lab(tmp, n_clients=2) as lab:
            make_traffic(lab)
            place = Inside(lab.router, "the lab's router")
            inner_port = PAGE_PORT
            port = free_port(page_port)
            Forwarder(place, inner_port, port)
            run_programs(place, state, inner_port, seconds, f"http://127.0.0.1:{port}/")


def parse():
    parser = argparse.ArgumentParser(prog="tools/run")
    parser.add_argument("--lab", action="store_true")
    parser.add_argument("--state", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=PAGE_PORT)
    parser.add_argument("--seconds", type=float, default=0)
    return parser.parse_args()


def main():
    options = parse()
    if options.state:
        options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = options.state.resolve()
    else:
        state = pathlib.Path(tempfile.mkdtemp(prefix="flowtrail-run."))

    def on_signal(*_):
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    status = 0
    try:
        if options.lab:
            run_lab(state, options.port, options.seconds)
        else:
            port = free_port(options.port)
            run_programs(Host(), state, port, options.seconds, f"http://127.0.0.1:{port}/")
    except KeyboardInterrupt:
        print(flush=True)
    except SessionError as error:
        print(f"tools/run: {error}", file=sys.stderr)
        status = 1
    finally:
        if not options.state:
            shutil.rmtree(state, ignore_errors=True)
    say("stopped; nothing is left running")
    sys.exit(status)


if __name__ == "__main__":
    main()
