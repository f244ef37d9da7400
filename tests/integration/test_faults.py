# SPDX-License-Identifier: Apache-2.0
"""Storms: whatever happens to collector, link and disk, what the generator did is stored, each event
once, and observed = stored + retained + reported lost."""
import json
import pathlib
import random
import signal
import time

import pytest

from faults import Link, SmallDisk, scale, told
from lab import conntrack_max, wait_until
from oracle import Generator
from programs import STREAM_PORT, Stack, make_certificates
from test_nothing_is_lost_silently import check_each_once, end_all, start_traffic

LINK_PORT = STREAM_PORT + 1
SPREAD = 4_000_000  # addresses that the generator sends to


@pytest.fixture
def link(host):
    relay = Link(host.ns, LINK_PORT, STREAM_PORT)
    yield relay
    relay.close()


def through(link, **changes):
    collector = {"url": f"http://127.0.0.1:{link.port}", "backoff_base": "50ms",
                 "backoff_max": "500ms", "connect_timeout": "2s", "ack_timeout": "2s"}
    return {"collector": {**collector, **changes}}


def account(stack):
    return json.loads(stack.ask_agent("/api/v1/status")[1])["account"]


def caught_up(stack, timeout=60):
    """Until everything observed before this call is acknowledged.  How long that took."""
    goal, begin = account(stack)["observed"], time.monotonic()
    wait_until(lambda: goal <= sum(account(stack)[what] for what in
                                   ("stored", "lost")), timeout, "the agent to catch up")
    return time.monotonic() - begin


def rss_mib(process):
    pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Load:
    """Connections that begin at a rate until stop(), each with an address of its own."""

    def __init__(self, ns, rate):
        self.ns, self.rate = ns, rate
        ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
               " udp dport 9 drop; } }")
        self.begin = time.monotonic()
        self.process = Generator(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=SPREAD,
                                 rate=rate, seconds=SPREAD // rate)

    def stop(self):
        """How many."""
        return self.process.stop()["sent"]


def test_collector_killed_again_and_again(host):
    """SIGKILL at any point: while it starts, recovers, syncs, commits."""
    kills = scale("FT_KILLS", 200)
    rng = random.Random(1)
    with conntrack_max(1_000_000):
        stack = Stack(host.ns).start(collector={"backoff_base": "20ms", "backoff_max": "100ms"})
        load = Load(host.ns, 1000)
        for _ in range(kills):
            time.sleep(rng.choice((0.05, 0.2, 0.4, 0.7)) * rng.random())
            stack.collector.kill()
            stack.start_collector(wait=False)
        total = load.stop()
        stack.wait_collector()
        end_all(host.ns)
        store = stack.finish(timeout=180)
    check_each_once(store, total)
    assert store.count("LOSS") == 0
    told("R2", f"{kills} kills of the collector, {2 * total:,} events; 0 lost, 0 twice")


def one_fault(link, stack, rng, encrypted):
    """Does one thing for a while and puts it right.  Returns its name."""
    kind = rng.choice(("cut", "reset", "stall", "trickle", "bend", "kill"))
    if kind == "cut":
        link.cut()
    elif kind == "reset":
        link.reset()
    elif kind == "stall":
        link.stall()
    elif kind == "trickle":
        link.slow(1)
    elif kind == "bend":
        link.bend(0.2)
    else:
        stack.collector.kill()
    time.sleep(rng.random() * 2.5)
    if kind == "kill":
        stack.start_collector(wait=False, ingest=encrypted)
    link.heal()
    return kind


def test_bad_link(host, link):
    """Cut, reset, half-open, a byte a second, wrong bits (below TLS, which is what keeps them out),
    and a collector that dies meanwhile."""
    faults = scale("FT_FAULTS", 50)
    rng = random.Random(2)
    done = []
    with conntrack_max(1_000_000):
        stack = Stack(host.ns)
        make_certificates(stack.tmp)
        encrypted = {"plaintext": False, "cert_file": str(stack.tmp / "server.pem"),
                     "key_file": str(stack.tmp / "server.key")}
        stack.start_collector(ingest=encrypted)
        stack.start_agent(**through(link, url=f"https://127.0.0.1:{link.port}", plaintext=False,
                                    ca_file=str(stack.tmp / "good-ca.pem")))
        load = Load(host.ns, 1000)
        for _ in range(faults):
            done.append(one_fault(link, stack, rng, encrypted))
            time.sleep(rng.random() * 0.5)
        total = load.stop()
        stack.wait_collector()
        took = caught_up(stack)
        end_all(host.ns)
        store = stack.finish(timeout=180)
    check_each_once(store, total)
    assert store.count("LOSS") == 0
    kinds = ", ".join(f"{done.count(kind)} {kind}" for kind in sorted(set(done)))
    told("R3", f"{faults} faults ({kinds}), {2 * total:,} events; 0 lost, 0 twice, all "
               f"delivered {took:.1f} s after the last")


def test_slow_collector(host, link):
    """64 kbit/s for a while: the agent's memory stays, and it does not connect again and again."""
    with conntrack_max(1_000_000):
        stack = Stack(host.ns)
        stack.start_collector()
        stack.start_agent(**through(link, ack_timeout="30s"))
        load = Load(host.ns, 3000)
        wait_until(lambda: account(stack)["stored"] > 0, what="the first acknowledgement")
        before = stack.metrics("agent")["flowtrail_agent_stream_connects_total"]
        link.slow(8000)
        time.sleep(scale("FT_SLOW_SECONDS", 20))
        memory = rss_mib(stack.agent)
        connects = stack.metrics("agent")["flowtrail_agent_stream_connects_total"] - before
        retained = account(stack)["retained"]
        link.heal()
        total = load.stop()
        end_all(host.ns)
        store = stack.finish(timeout=180)
    check_each_once(store, total)
    assert retained > 1000 and connects == 0 and memory < 64
    told("R12", f"64 kbit/s: {retained:,.0f} events retained, {memory:.0f} MiB, 0 reconnects; 0 lost")


def test_collector_disk_full(host):
    """Filled and freed again and again: no event is acknowledged that is not stored."""
    cycles = scale("FT_DISK_CYCLES", 20)
    stack = Stack(host.ns)
    disk = SmallDisk(stack.directory, "64m")
    try:
        stack.start_collector(log={"segment_bytes": "1MiB", "bytes_max": "16MiB"})
        stack.start_agent(collector={"backoff_base": "50ms", "backoff_max": "500ms"})
        load = Load(host.ns, 500)
        worst = 0
        for _ in range(cycles):
            disk.fill()
            time.sleep(1)
            disk.free()
            assert stack.collector.alive(), stack.collector.tail()
            worst = max(worst, caught_up(stack))
        total = load.stop()
        end_all(host.ns)
        store = stack.finish(timeout=120)
        check_each_once(store, total)
        assert store.count("LOSS") == 0
    finally:
        disk.remove()
    told("R13", f"collector, {cycles} times full, {2 * total:,} events; 0 lost, acknowledging "
                f"again after {worst:.1f} s at most")


def test_agent_frozen_for_75_seconds(host):
    """20,000 flows begin and end while nobody reads, in a buffer for a hundred."""
    total = 20_000
    with conntrack_max(400_000):
        stack = Stack(host.ns).start(capture={"rcvbuf_bytes": "128KiB"})
        frozen = time.monotonic()
        stack.agent.signal(signal.SIGSTOP)
        start_traffic(host.ns, total=total, rate=20_000).report()
        host.ns.flush()
        time.sleep(max(0, frozen + scale("FT_FROZEN_SECONDS", 75) - time.monotonic()))
        stack.agent.signal(signal.SIGCONT)
        begin = time.monotonic()
        wait_until(lambda: host.ns.conntrack_count() < 100, 60, "the kernel to have told all")
        pinned = time.monotonic() - begin
        store = stack.finish(timeout=120, still=4)
    check_each_once(store, total)
    assert store.number("SELECT sum(tx_packets) FROM flows WHERE dst_port = 9") == total
    told("R10", f"75 s frozen, {total:,} flows; every START and END, counters exact, the kernel's "
                f"table free again after {pinned:.1f} s")


def test_backlog_drains_while_new_events_come(host):
    """The collector was away: what waited and what comes now both arrive, oldest first."""
    waiting = 200_000
    rate = 1000
    with conntrack_max(1_000_000):
        stack = Stack(host.ns)
        stack.start_agent()
        start_traffic(host.ns, total=waiting, rate=20_000).report()
        live = Generator(host.ns, "udp", to="127.128.0.0:19", bind="127.0.0.1", spread=SPREAD,
                         rate=rate, seconds=SPREAD // rate)
        begin = time.monotonic()
        stack.start_collector()
        wait_until(lambda: account(stack)["stored"] >= waiting, 120, "the backlog to drain")
        took = time.monotonic() - begin
        live.stop()
        end_all(host.ns)
        store = stack.finish(timeout=180)
    check_each_once(store, waiting)
    assert waiting / took > 10 * rate
    told("R11", f"{waiting:,} events waited for a collector; first to last stored, drained at "
                f"{waiting / took:,.0f} a second beside {rate:,} new ones")
