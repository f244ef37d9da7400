#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What listening to connections costs: flowtraild with a collector that stores, beside ulogd2 that
sends IPFIX over UDP to nobody, and beside no listener at all.

  tests/bench/agents_bench.py [--rounds N] [--flows N] [--rate N] [--json FILE]

Each round runs each of them once, in a fresh namespace, with the same load: single-packet UDP flows
that begin at a rate (0: as fast as one core makes them) and end at one stroke.  Printed are medians
of the rounds and their spread: CPU time an event of the listener's process, flows a second that the
generator got through, and events that were missed.  Figures count only from an idle machine.

Needs root, a release build (build/release or FT_BUILD) and, as peer, Debian's package ulogd2.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import lab as lab_module  # noqa: E402
from oracle import generate  # noqa: E402
from programs import Stack  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
ULOGD = """[global]
logfile="/dev/null"
loglevel=7
plugin="{dir}/ulogd_inpflow_NFCT.so"
plugin="{dir}/ulogd_output_IPFIX.so"
stack=ct1:NFCT,ipfix1:IPFIX
[ct1]
netlink_socket_buffer_size=33554432
netlink_socket_buffer_maxsize=33554432
hash_enable=0
event_mask=0x00000005
[ipfix1]
oid=1
host="127.0.0.1"
port="4739"
proto="udp"
send_template="once"
"""


def cpu_seconds(pid):
    """User and system time of all threads so far."""
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def drops(ns):
    """Messages that did not fit into the socket of any listener of connection tracking."""
    rows = [line.split() for line in ns.read("/proc/thread-self/net/netlink").splitlines()[1:]]
    return sum(int(row[8]) for row in rows if row[1] == "12")


class Nobody:
    name = "none"
    pid = None

    def __init__(self, ns):
        ns.track_local()

    def finish(self, flows):
        return flows * 2, 0


class Flowtrail:
    name = "flowtraild"

    def __init__(self, ns):
        ns.track_local()
        self.stack = Stack(ns).start(log={"flush_interval": "1s"}, capture={"mode": "full"})
        self.pid = self.stack.agent.pid

    def finish(self, flows):
        self.stack.settle(timeout=120)
        self.cpu = cpu_seconds(self.pid)
        store = self.stack.stop()
        stored = store.number("SELECT count(*) FROM flows WHERE dst_port = 9 AND type IN (1, 3)")
        return stored, 2 * flows - stored


class Ulogd:
    name = "ulogd2 IPFIX"

    def __init__(self, ns):
        ns.track_local()
        found = list(pathlib.Path("/usr/lib").glob("*/ulogd/ulogd_inpflow_NFCT.so"))
        if not found:
            sys.exit("the peer is missing: apt-get install ulogd2")
        config = ns.tmp / "ulogd.conf"
        config.write_text(ULOGD.format(dir=found[0].parent))
        self.ns = ns
        self.process = ns.spawn("/usr/sbin/ulogd", "-c", config)
        time.sleep(1)
        assert self.process.alive(), self.process.tail()
        self.pid = self.process.pid

    def finish(self, flows):
        before = -1
        while (now := cpu_seconds(self.pid)) != before:
            before = now
            time.sleep(1)
        missed = drops(self.ns)
        self.cpu = cpu_seconds(self.pid)
        self.process.stop()
        return 2 * flows - missed, missed


def one_run(listener, tmp, args):
    ns = lab_module.Namespace.create("bench", pathlib.Path(tmp))
    try:
        ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
               " udp dport 9 drop; } }")
        under_test = listener(ns)
        begin_cpu = cpu_seconds(under_test.pid) if under_test.pid else 0
        rate = {"rate": args.rate, "seconds": args.flows / args.rate} if args.rate else {
            "count": args.flows}
        report = generate(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=args.flows, **rate)
        ns.flush()
        lab_module.wait_until(lambda: ns.conntrack_count() < 100, 60, "the kernel to have told all")
        events, missed = under_test.finish(report["sent"])
        if under_test.pid:
            cpu_ns = (under_test.cpu - begin_cpu) * 1e9 / events
        else:
            cpu_ns = 0.0
        return {"cpu_ns": cpu_ns, "missed": missed, "flows_per_s": report["sent"] * 1e9 /
                report["took_ns"]}
    finally:
        ns.destroy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flows", type=int, default=300_000)
    parser.add_argument("--rate", type=int, default=60_000)
    parser.add_argument("--json")
    args = parser.parse_args()
    runs = {listener.name: [] for listener in (Nobody, Flowtrail, Ulogd)}
    with tempfile.TemporaryDirectory() as tmp, lab_module.conntrack_max(1_500_000):
        for _ in range(args.rounds):
            for listener in (Nobody, Flowtrail, Ulogd):
                runs[listener.name].append(one_run(listener, tmp, args))
    print(f"{args.flows:,} flows, {args.rate or 'as fast as possible'} a second, median of "
          f"{args.rounds} (least to most)")
    print("%-14s %26s %30s %12s" % ("listener", "CPU ns an event", "flows/s begun", "missed"))
    for name, found in runs.items():
        cells = []
        for key, form in (("cpu_ns", "%.0f"), ("flows_per_s", "%.0f")):
            values = sorted(run[key] for run in found)
            cells.append(f"{form} (%s to %s)" % (statistics.median(values), form % values[0],
                                                 form % values[-1]))
        print("%-14s %26s %30s %12d" % (name, *cells, max(run["missed"] for run in found)))
    median = {name: statistics.median(run["cpu_ns"] for run in found)
              for name, found in runs.items()}
    print(f"CPU: {median['flowtraild'] / median['ulogd2 IPFIX']:.2f} of ulogd2's")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
