# SPDX-License-Identifier: Apache-2.0
"""Everything at once, for as long as one likes (FT_SOAK_S): both programs are killed and told to
reload, the link breaks, the collector's disk fills up, the agent stands still.  At any moment the
ledgers balance and the memory is within its bounds; at the end each connection is stored once."""
import collections
import os
import pathlib
import random
import signal
import time

from faults import Link, SmallDisk, scale, told
from lab import conntrack_max, wait_until
from programs import STREAM_PORT, Stack
from test_crashes_lose_nothing import CAUSE_SHUTDOWN
from test_faults import Load, caught_up, rss_mib, through
from test_ledger import ask, server
from test_nothing_is_lost_silently import check_each_once, end_all
from test_spool import spool

LINK_PORT = STREAM_PORT + 1
SECONDS = scale("FT_SOAK_S", 30)
RATE = scale("FT_SOAK_RATE", 1000)
# What the relay sends on to the collector makes a flow, and so an UPDATE again and again.
UPDATES, STILL_S = "2s", 0.8
# Threads come and go with connections and polls of gRPC; what leaks grows with the time instead.
HELD_MORE = 16
AGENT_MIB, COLLECTOR_MIB = 64, 512


class Soak:
    """The stack, what is done to it, and the most that each program was seen to hold."""

    def __init__(self, ns, link, disk):
        self.stack, self.link, self.disk = Stack(ns), link, disk
        # The kernel never tells of what began while no agent listened: dumps tell of its end.
        self.agent_changes = {**through(link), "spool": spool(self.stack),
                              "capture": {"update_interval": UPDATES}}
        self.dice = random.Random(scale("FT_SOAK_SEED", 26))
        self.done = collections.Counter()
        self.most = collections.Counter()
        self.asked = 0

    def start(self):
        self.stack.start_collector(**self.collector_changes())
        self.stack.start_agent(**self.agent_changes)

    @staticmethod
    def collector_changes():
        return {"log": {"segment_bytes": "1MiB", "bytes_max": "16MiB"}}

    # One fault each; all is well again afterwards.

    def pause(self):
        time.sleep(self.dice.random() * 0.8)

    def agent_killed(self):
        self.stack.agent.kill()
        self.stack.start_agent(**self.agent_changes)

    def collector_killed(self):
        self.stack.collector.kill()
        self.pause()
        self.stack.start_collector(**self.collector_changes())

    def both_killed(self):
        self.stack.collector.kill()
        self.agent_killed()
        self.stack.start_collector(**self.collector_changes())

    def agent_restarted(self):
        assert self.stack.agent.stop(60) == 0, self.stack.agent.tail()
        self.stack.start_agent(**self.agent_changes)

    def collector_restarted(self):
        assert self.stack.collector.stop(60) == 0, self.stack.collector.tail()
        self.stack.start_collector(**self.collector_changes())

    def reloaded(self):
        self.stack.agent.signal(signal.SIGHUP)
        self.stack.collector.signal(signal.SIGHUP)

    def agent_frozen(self):
        self.frozen(self.stack.agent)

    def collector_frozen(self):
        self.frozen(self.stack.collector)

    def frozen(self, process):
        process.signal(signal.SIGSTOP)
        self.pause()
        process.signal(signal.SIGCONT)

    def link_cut(self):
        self.link.cut()
        self.pause()

    def link_reset(self):
        self.link.reset()

    def link_stalled(self):
        self.link.stall()
        self.pause()

    def link_slow(self):
        self.link.slow(1)
        self.pause()

    def collector_s_disk_full(self):
        self.disk.fill()
        self.pause()
        self.disk.free()

    FAULTS = (agent_killed, collector_killed, both_killed, agent_restarted, collector_restarted,
              reloaded, agent_frozen, collector_frozen, link_cut, link_reset, link_stalled,
              link_slow, collector_s_disk_full)

    def one_fault(self):
        # Each once in a random order, again and again, so that also a short run has had all.
        n = sum(self.done.values())
        if n % len(self.FAULTS) == 0:
            self.order = self.dice.sample(self.FAULTS, len(self.FAULTS))
        fault = self.order[n % len(self.FAULTS)]
        fault(self)
        self.link.heal()
        self.done[fault.__name__] += 1

    # What must hold at any moment.

    def watch(self):
        """Somebody may not know yet, just started; nobody may know it wrong."""
        ask(self.stack, codes=(0, 2))
        ask(self.stack, *server(self.stack), codes=(0, 2))
        self.asked += 2
        for process, bound in ((self.stack.agent, AGENT_MIB), (self.stack.collector, COLLECTOR_MIB)):
            memory = rss_mib(process)
            assert memory <= bound, f"{process.name} holds {memory:.0f} MiB"
            for name, value in (("MiB", memory), ("descriptors", held(process, "fd")),
                                ("threads", held(process, "task"))):
                key = process.name, name
                self.most[key] = max(self.most[key], value)


def held(process, what):
    return len(os.listdir(pathlib.Path(f"/proc/{process.pid}") / what))


def run(soak, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        soak.one_fault()
        soak.pause()
        soak.watch()


def check_level(soak, early):
    for key, most in soak.most.items():
        if key[1] != "MiB":
            assert most <= early[key] + HELD_MORE, f"{key}: {early[key]}, then {most}"


def test_everything_at_once(host):
    link = Link(host.ns, LINK_PORT, STREAM_PORT)
    soak = Soak(host.ns, link, None)
    soak.disk = SmallDisk(soak.stack.directory, scale("FT_SOAK_DISK", 256 << 20))
    try:
        with conntrack_max(1_000_000):
            host.ns.track()
            soak.start()
            load = Load(host.ns, RATE)
            run(soak, SECONDS / 2)
            early = collections.Counter(soak.most)
            soak.most.clear()
            run(soak, SECONDS / 2)
            took = caught_up(soak.stack)
            total = load.stop()
            end_all(host.ns)
            wait_until(lambda: soak.stack.metrics("agent")["flowtrail_agent_flows_active"] < 100, 120,
                       "the agent to know of each end")
            store = soak.stack.finish(timeout=180, still=STILL_S)
            check_each_once(store, total)
            # A stopped agent hears nothing, and says so; the kernel's table told it of the flows.
            assert store.number("SELECT count(*) FROM flows WHERE type = 5 AND "
                                f"loss_cause <> {CAUSE_SHUTDOWN}") == 0
    finally:
        soak.disk.remove()
        link.close()
    check_level(soak, early)
    most = soak.most
    told("R26", f"{SECONDS} s, {2 * total:,} events, {sum(soak.done.values())} faults of "
                f"{len(soak.done)} kinds, ledgers asked {soak.asked} times; each stored once, "
                f"{took:.1f} s after the last; agent {most['flowtraild', 'MiB']:.0f} MiB, collector "
                f"{most['flowtrail-collector', 'MiB']:.0f} MiB at most")
