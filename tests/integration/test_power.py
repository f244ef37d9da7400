# SPDX-License-Identifier: Apache-2.0
"""Real power cuts: agent and collector on disks whose volatile cache loses what was not flushed, under
a real ext4 that recovers.  What was acknowledged is there, nothing is there twice, and what an agent's
host has lost is not older than the intervals say, and told."""
import bisect
import itertools
import random
import time

import pytest

from faults import scale, told
from lab import wait_until
from oracle import Events
from power import NO_SYNC, PoweredStack
from programs import STREAM_PORT
from test_faults import Load
from test_ledger import check_agree
from test_nothing_is_lost_silently import check_each_once, end_all
from test_spool import account, check_balanced, status

RATE = 1000  # flows a second
FLUSH_MS, SYNC_MS = 100, 400
# What a machine that does other things may take to do what is due.
LATE_MS = 1500
# The other listener says when it has heard something, which is a little later.
HEARD_S = 0.5
# Else nothing here can run (conftest.py).
NEEDS = ("/dev/fuse", "/dev/loop-control")
KINDS = {"NEW": 1, "DESTROY": 3}
LOSS, CRASH = 5, 9


class Lives:
    """Starts both, cuts their power, and remembers what must be true afterwards."""

    def __init__(self, host, dice):
        self.ns, self.dice = host.ns, dice
        self.stack = PoweredStack(host.ns, dice)
        self.sync = None    # of the agent that lives
        self.durable = 0    # a number that it called durable
        self.cut_at = None  # the agent's power, by the wall clock
        self.gaps = []      # (cut_at, sync, when the host was back)
        self.epoch = None
        self.n_cuts = {"agent": 0, "collector": 0, "both": 0}

    def start(self):
        for host in self.stack.hosts.values():
            host.boot()
        self.start_collector()
        self.start_agent()

    def start_collector(self):
        self.stack.start_collector(ingest={"status_interval": "300ms"})
        epoch = self.stack.get("/api/v1/status")["store_epoch"]
        assert self.epoch in (None, epoch), "the store is another one"
        self.epoch = epoch

    def start_agent(self):
        self.sync = self.dice.choice(("batch", "interval"))
        spool = {"path": str(self.stack.hosts["agent"].mount / "spool"), "sync": self.sync,
                 "sync_interval": f"{SYNC_MS}ms"}
        self.stack.start_agent(spool=spool, log={"flush_interval": f"{FLUSH_MS}ms"},
                               collector={"backoff_base": "20ms", "backoff_max": "100ms"})
        check_balanced(self.stack)
        assert self.durable_seq() >= self.durable, "what was durable in the spool is not there"

    def durable_seq(self):
        return status(self.stack)["spool"]["durable_seq"]

    def acked_seq(self):
        return status(self.stack)["collector"]["acknowledged_seq"]

    def cut(self, who):
        """Returns up to where the collector must have everything."""
        victims = ("agent", "collector") if who == "both" else (who,)
        acked = self.acked_seq()
        if "agent" in victims:
            self.durable = self.durable_seq()
        at = self.stack.cut(victims)
        if "agent" in victims:
            self.cut_at = at[0]
        else:
            # Nobody acknowledges any more; and the collector is asked before it is helped.
            acked = self.acked_seq()
            self.ns.nft(f"table inet lab-away {{ chain o {{ type filter hook output priority 0;"
                        f" tcp dport {STREAM_PORT} reject with tcp reset; }} }}")
        self.n_cuts[who] += 1
        return victims, acked

    def come_back(self, victims, acked):
        for victim in victims:
            self.stack.hosts[victim].boot()
        if "collector" in victims:
            self.start_collector()
            self.check_kept(acked)
        if "agent" in victims:
            # A host that comes up knows no connections.
            self.ns.flush()
            self.gaps.append((self.cut_at, self.sync, time.time()))
            self.start_agent()
        else:
            self.let_through()

    def let_through(self):
        self.ns.run("nft", "delete", "table", "inet", "lab-away")

    def check_kept(self, acked):
        instance, = self.stack.get("/api/v1/agents")["agents"]
        assert instance["durable_seq"] >= acked, (
            f"acknowledged up to {acked}, there up to {instance['durable_seq']}")

    def excuse(self, when):
        """Of something that happened then and is not stored: how long before the cut, or None."""
        n = bisect.bisect_left(self.gaps, when - HEARD_S, key=lambda gap: gap[2])
        for at, sync, _ in self.gaps[n:n + 1]:
            bound = FLUSH_MS + LATE_MS + (SYNC_MS if sync == "interval" else 0)
            if at - bound / 1000 <= when:
                return sync, at - when
        return None


class Losses:
    """The times that the LOSS events in the store are for."""

    def __init__(self, store):
        rows = store.query("SELECT epoch_ns(loss_begin), epoch_ns(loss_end) FROM flows"
                           f" WHERE type = {LOSS} ORDER BY 1")
        self.begins = [int(begin) / 1e9 - HEARD_S for begin, _ in rows]
        ends = (int(end) / 1e9 + HEARD_S for _, end in rows)
        self.ends = list(itertools.accumulate(ends, max))

    def tell(self, when):
        n = bisect.bisect(self.begins, when)
        return n > 0 and when <= self.ends[n - 1]


def check_told(lives, store, seen):
    """What the kernel told another listener is stored once, or it was lost with an agent's host: not
    long before its power was cut, and in the time of a LOSS event."""
    stored = store.query("SELECT type, hex(dst_addr), count(*) FROM flows WHERE dst_port = 9"
                         " AND type IN (1, 3) GROUP BY 1, 2")
    assert not [row for row in stored if row[2] != "1"], "stored twice"
    stored = {(int(kind), bytes.fromhex(address)) for kind, address, _ in stored}
    happened = {(KINDS[e.kind], bytes(map(int, e.orig.dst.split(".")))): e.time for e in seen
                if e.orig.dport == 9}
    invented = stored - happened.keys()
    assert not invented, f"{len(invented)} never happened"
    losses = Losses(store)
    missing = sorted(when for event, when in happened.items() if event not in stored)
    worst = {"batch": 0.0, "interval": 0.0}
    for when in missing:
        excuse = lives.excuse(when)
        assert excuse, f"missing, though no power was cut near: {when}, {lives.gaps}"
        sync, before = excuse
        worst[sync] = max(worst[sync], before)
        assert losses.tell(when), f"not told: {when}"
    return len(happened), len(missing), worst


def check_words(ns):
    """Nobody in all these lives found anything missing that should have been there."""
    for process in ns.processes:
        said = process.errors()
        for words in ("sending again what", "send again what", "damaged", "set back", "are missing",
                      "cannot be read", "does not balance", "cannot start"):
            assert words not in said, f"{process.name}: {said}"


def test_power_is_cut_again_and_again(host):
    cuts = scale("FT_POWER_CUTS", 20)
    dice = random.Random(scale("FT_POWER_SEED", 8))
    host.ns.track_local()
    host.ns.sysctl("net.netfilter.nf_conntrack_udp_timeout", 2)
    lives = Lives(host, dice)
    stack = lives.stack
    lives.start()
    witness = Events(host.ns)
    load = Load(host.ns, RATE)
    for _ in range(cuts):
        time.sleep(dice.uniform(0.1, 0.5))
        if dice.random() < 0.5:
            host.ns.flush()
            time.sleep(dice.uniform(0, 0.3))
        lives.come_back(*lives.cut(dice.choice(("agent", "collector", "both"))))
    total = load.stop()
    end_all(host.ns)
    stack.settle(timeout=60)
    check_balanced(stack)
    row = check_agree(stack)
    seen = witness.stop()
    store = stack.finish(timeout=60)
    check_words(host.ns)
    assert row["account"]["lost_by_cause"].keys() <= {"CRASH"}, row
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 1
    assert store.number(f"SELECT count(*) FROM flows WHERE loss_cause = {CRASH}") >= (
        lives.n_cuts["agent"] + lives.n_cuts["both"])
    happened, missing, worst = check_told(lives, store, seen)
    disks = {name: powered.disk.cuts for name, powered in stack.hosts.items()}
    assert happened >= total
    made = disks["agent"] + disks["collector"]
    if cuts >= 20:
        assert made["lost"] > 0 and made["torn"] > 0, made
    told("R8", f"{cuts} power cuts ({lives.n_cuts['agent']} agent, {lives.n_cuts['collector']} "
               f"collector, {lives.n_cuts['both']} both) of disks with a volatile cache under ext4, "
               f"{made['lost']:,} of {made['sectors']:,} sectors lost, {made['torn']} torn writes; "
               f"{happened:,} events: 0 acknowledged ones lost, 0 twice, {missing:,} lost with the "
               f"agent's host and told, none older than {1000 * worst['batch']:.0f} ms (batch) or "
               f"{1000 * worst['interval']:.0f} ms (interval of {SYNC_MS})")


@pytest.fixture
def careless(host, request):
    """One of the two does not sync its log, and its disk loses all that it may."""
    lives = Lives(host, random.Random(9))
    powered = lives.stack.hosts[request.param]
    log = {"agent": "spool", "collector": "log"}[request.param]
    powered.env = {"LD_PRELOAD": str(NO_SYNC), "FT_NO_SYNC": f"{powered.mount}/{log}/seg-"}
    powered.disk.flags = ("--lose-all",)
    lives.start()
    load = Load(host.ns, RATE)
    wait_until(lambda: account(lives.stack)["stored"] >= 2 * RATE, 20, "acknowledgements")
    return lives, load


@pytest.mark.parametrize("careless", ("collector",), indirect=True)
def test_a_collector_that_does_not_sync_is_found_out(host, careless):
    """By the oracle, which it is a test of; and by the agent, which sends again what it holds."""
    lives, load = careless
    victims, acked = lives.cut("collector")
    with pytest.raises(AssertionError, match="acknowledged up to|the store is another one"):
        lives.come_back(victims, acked)
    lives.let_through()
    lives.stack.agent.wait_for("the collector has nothing behind event")
    total = load.stop()
    end_all(host.ns)
    check_each_once(lives.stack.finish(), total)
    told("R8", "a collector whose syncs do nothing: found out, by its agent too, which sent all again")


@pytest.mark.parametrize("careless", ("agent",), indirect=True)
def test_an_agent_that_does_not_sync_is_found_out(careless):
    lives, _ = careless
    with pytest.raises(AssertionError, match="what was durable in the spool is not there"):
        lives.come_back(*lives.cut("agent"))
    told("R8", "an agent whose syncs do nothing: found out")
