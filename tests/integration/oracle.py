# SPDX-License-Identifier: Apache-2.0
"""What happened, by witnesses other than flowtrail: the kernel's own connection tracking as the
conntrack tool prints it, and the traffic generator's report."""
import dataclasses
import itertools
import json
import os
import pathlib
import re

from lab import wait_until

BUILD = pathlib.Path(os.environ.get("FT_BUILD") or
                     pathlib.Path(__file__).resolve().parents[2] / "build" / "release")
FTGEN = BUILD / "tests" / "lab" / "ftgen"
FTWATCH = BUILD / "tests" / "lab" / "ftwatch"
_numbers = itertools.count()
EVENT = re.compile(r"^\s*\[(\d+)\.(\d+)\s*\]\s*\[(NEW|UPDATE|DESTROY)\]\s*(.*)$")
TCP_STATES = {"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
              "TIME_WAIT", "CLOSE", "SYN_SENT2"}


@dataclasses.dataclass
class Tuple:
    src: str = ""
    dst: str = ""
    sport: int = None
    dport: int = None
    type: int = None
    code: int = None
    id: int = None
    packets: int = None
    bytes: int = None


@dataclasses.dataclass
class Entry:
    """One entry of the kernel's table, or one of its events."""

    protocol: str
    number: int
    orig: Tuple
    reply: Tuple
    ct_id: int = None
    kind: str = None
    time: float = None
    start_ns: int = None
    stop_ns: int = None
    state: str = None
    mark: int = None
    flags: tuple = ()

    def key(self):
        """What tells flows apart: protocol, addresses, ports or ICMP identifier."""
        return flow_key(self.number, self.orig.src, self.orig.dst, self.orig.sport,
                        self.orig.dport, self.orig.id)


def flow_key(number, src, dst, sport=None, dport=None, echo_id=None):
    return (number, src, dst, sport, dport, echo_id)


def parse_entry(text):
    """A line of conntrack -L or -E with -o extended,id (and without the time stamp)."""
    words = text.split()
    # "ipv4 2 tcp 6 [timeout] …"
    entry = Entry(protocol=words[2], number=int(words[3]), orig=Tuple(), reply=Tuple())
    half = None
    flags = []
    for word in words[4:]:
        name, equals, value = word.partition("=")
        if not equals:
            if word in TCP_STATES:
                entry.state = word
            elif word.startswith("["):
                flags.append(word.strip("[]"))
            continue
        if name == "src":
            half = entry.orig if half is None else entry.reply
        if name in ("src", "dst"):
            setattr(half, name, value)
        elif name == "id" and half is entry.reply and (half.type is None or half.id is not None):
            entry.ct_id = int(value)
        elif name in ("sport", "dport", "type", "code", "id", "packets", "bytes"):
            setattr(half, name, int(value))
        elif name in ("mark", "start_ns", "stop_ns"):
            setattr(entry, name, int(value))
    entry.flags = tuple(flags)
    return entry


def parse_event(line):
    match = EVENT.match(line)
    if not match:
        return None
    seconds, fraction, kind, rest = match.groups()
    entry = parse_entry(rest)
    entry.kind = kind
    entry.time = float(f"{seconds}.{fraction}")
    return entry


def table(ns, *filters):
    """The kernel's table now."""
    entries = []
    for family in ("ipv4", "ipv6"):
        text = ns.run("conntrack", "-L", "-f", family, "-o", "extended,id", *filters)
        entries += [parse_entry(line) for line in text.splitlines() if line.strip()]
    return entries


class Events:
    """The kernel's own events, as the conntrack tool prints them, in the background: by ftwatch, or
    with tool=True by `conntrack -E` itself, which has the default socket buffer and loses events
    from 160 at once on.  A witness that missed something fails the test."""

    def __init__(self, ns, tool=False):
        self.ns = ns
        if tool:
            before = self.listeners()
            self.process = ns.spawn("conntrack", "-E", "-o", "timestamp,extended,id",
                                    name="conntrack-E")
            wait_until(lambda: self.listeners() - before, what="conntrack -E to listen")
        else:
            self.process = ns.spawn(FTWATCH).wait_for("ready")
        self.tool = tool

    def listeners(self):
        rows = [line.split() for line in
                self.ns.read("/proc/thread-self/net/netlink").splitlines()[1:]]
        return {row[2] for row in rows if row[1] == "12" and int(row[3], 16) != 0}

    def all(self):
        """What was printed so far; written in blocks, so not the very latest."""
        events = (parse_event(line) for line in self.process.output().splitlines(keepends=True)
                  if line.endswith("\n"))
        return [event for event in events if event is not None]

    def stop(self):
        """Ends it and returns everything it saw."""
        if self.tool:
            wait_until(lambda: self.queued() == 0, what="conntrack -E to catch up")
        status = self.process.stop()
        assert "ENOBUFS" not in self.process.errors(), self.process.tail()
        assert self.tool or status == 0, self.process.tail()
        return self.all()

    def queued(self):
        rows = [line.split() for line in
                self.ns.read("/proc/thread-self/net/netlink").splitlines()[1:]]
        return sum(int(row[4]) for row in rows if row[1] == "12" and int(row[3], 16) != 0)


class Generator:
    """The traffic generator, running or done."""

    def __init__(self, ns, mode, *words, **options):
        self.report_file = ns.tmp / f"ftgen-{mode}-{next(_numbers)}.json"
        self.process = ns.spawn(FTGEN, mode, *words, *as_options(options),
                                "--out", self.report_file, name=f"ftgen-{mode}")

    def report(self, timeout=120.0):
        """Waits for the end; a generator that failed fails the test."""
        status = self.process.wait(timeout)
        assert status == 0, f"ftgen: {status}\n{self.process.tail()}"
        return json.loads(self.report_file.read_text())

    def stop(self):
        self.process.stop()
        return json.loads(self.report_file.read_text())


def as_options(options):
    for name, value in options.items():
        yield f"--{name.replace('_', '-')}"
        yield str(value)


def generate(ns, mode, **options):
    """Runs the generator to its end and returns its report."""
    return Generator(ns, mode, **options).report()


def serve(ns, mode="tcp-server", **options):
    """A server of the generator's, ready to be talked to."""
    server = Generator(ns, mode, **options)
    server.process.wait_for("ready")
    return server
