# SPDX-License-Identifier: Apache-2.0
"""An agent with a spool that is killed again and again, 20 to 40 ms apart, under load: the socket and
the working memory outlive it, and every begin and every end is stored exactly once; and one that is
stopped and started."""
import os
import random
import socket
import threading
import time

from faults import told
from lab import conntrack_max, wait_until
from oracle import Events, Generator, generate
from programs import FIELD_INFERRED, FIELD_PREEXISTING, Stack
from test_every_connection_once import hold_against_kernel, mixed_traffic, serve_mixed

START, END, LOSS = 1, 3, 5
CAUSE_SHUTDOWN, CAUSE_CRASH = 7, 9
KILLS = int(os.environ.get("FT_KILLS", "200"))
RATE = 3000  # flows a second
# A kill, what the agent takes to start, and the pause between; more than enough traffic for all.
SECONDS_A_KILL = 0.25


def spool(stack):
    return {"spool": {"path": str(stack.tmp / "spool")}, "capture": {"update_interval": "500ms"}}


def traffic(ns, total, rate=RATE):
    ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
           " udp dport 9 drop; } }")
    ns.sysctl("net.netfilter.nf_conntrack_udp_timeout", 2)
    return Generator(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=total, rate=rate,
                     seconds=total / rate)


class Conversation:
    """One long flow, whose bytes are known."""

    def __init__(self, ns):
        self.to = ns.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.to.bind(("127.0.0.1", 10))
        self.by = ns.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sent = 0

    def say(self):
        self.by.sendto(b"x" * 100, ("127.0.0.1", 10))
        self.sent += 1

    def check(self, store):
        """Its deltas, in however many events, are what it said with 28 bytes of headers each."""
        events, packets, size = map(int, store.query(
            "SELECT count(*), sum(rx_packets + tx_packets), sum(rx_bytes + tx_bytes) FROM flows"
            " WHERE dst_port = 10")[0])
        assert events >= 2
        assert (packets, size) == (self.sent, 128 * self.sent)


def kill_often(stack, kills, generator, conversation):
    """Each agent lives for 20 to 40 ms, some from their beginning and some from when they listen."""
    dice = random.Random(4)
    n = 0
    while n < kills and generator.process.alive():
        conversation.say()
        time.sleep(dice.uniform(0.020, 0.040))
        stack.agent.kill()
        n += 1
        stack.start_agent(wait=n % 3 == 0, **spool(stack))
    wait_until(stack.agent_is_capturing, 20, "the last agent to capture")
    return n


def check_each_once(store, total):
    for kind in (START, END):
        flows, distinct = map(int, store.query(
            f"SELECT count(*), count(DISTINCT dst_addr) FROM flows WHERE type = {kind}"
            " AND dst_port = 9")[0])
        assert (flows, distinct) == (total, total), f"type {kind}"
    assert store.count("LOSS") == 0
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 1


def test_agent_is_killed_again_and_again(host):
    total = int(KILLS * SECONDS_A_KILL * RATE)
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_collector()
        stack.start_agent(**spool(stack))
        generator = traffic(host.ns, total)
        conversation = Conversation(host.ns)
        killed = kill_often(stack, KILLS, generator, conversation)
        for _ in range(4):  # While the last agent makes a dump for counters each 500 ms.
            conversation.say()
            time.sleep(0.5)
        generator.report(timeout=total / RATE + 60)
        host.ns.flush()
        wait_until(lambda: host.ns.conntrack_count() < 100, 60, "the kernel to have told all")
        store = stack.finish(timeout=120)
    assert killed == KILLS
    check_each_once(store, total)
    conversation.check(store)
    told("R1", f"{killed} kills of the agent, {total:,} flows; every START and END once, deltas of a "
               "long connection exact")


def test_a_router_s_agent_is_killed_also_while_the_collector_is_away(lab):
    """Masqueraded and forwarded connections, IPv4 and IPv6, TCP, UDP and ICMP, each against what the
    kernel told another listener, to the byte."""
    kills = max(KILLS // 5, 2)
    lab.router.track()
    stack = Stack(lab.router)
    changes = {**spool(stack), "filter": {"loopback": False}}
    stack.start_agent(**changes)
    events = Events(lab.router)
    serve_mixed(lab)
    traffic_done = threading.Event()

    def talk():
        for _ in range(4):
            mixed_traffic(lab)
        traffic_done.set()

    talking = threading.Thread(target=talk)
    talking.start()
    dice = random.Random(5)
    for n in range(kills):
        time.sleep(dice.uniform(0.020, 0.080))
        stack.agent.kill()
        stack.start_agent(wait=n % 3 == 0, **changes)
        if n == kills // 2:
            stack.start_collector()
    talking.join(120)
    assert traffic_done.is_set()
    wait_until(stack.agent_is_capturing, 20, "the last agent to capture")
    lab.router.flush()
    seen = [e for e in events.stop() if e.orig.src != "127.0.0.1"]
    store = stack.finish(timeout=120)
    assert store.count("LOSS") == 0
    stored = store.events()
    hold_against_kernel(stored, seen)
    assert not any(e.fields & FIELD_INFERRED for e in stored if e.type == END)
    told("R1", f"{kills} kills of a router's agent, half of them without a collector, "
               f"{sum(e.kind == 'NEW' for e in seen):,} flows with NAT, IPv4 and IPv6; as the kernel "
               "told another listener, to the byte")


def test_what_was_held_and_is_of_no_use_costs_a_loss_and_no_more(host):
    """Another spool: the agent begins anew and says so."""
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(**spool(stack))
    stack.agent.kill()
    other = spool(stack)
    other["spool"]["path"] += "-other"
    stack.start_agent(**other)
    assert "beginning anew" in stack.agent.errors()
    generate(host.ns, "udp-client", to="127.0.0.1:10", count=3, send=5)
    store = stack.finish()
    assert store.number("SELECT count(*) FROM flows WHERE type = 1 AND dst_port = 10") == 3
    assert store.number(f"SELECT count(*) FROM flows WHERE type = {LOSS}"
                        f" AND loss_cause = {CAUSE_CRASH}") == 1


def test_agent_is_stopped_and_started(host):
    """Flows that go on have no second begin; one that ended meanwhile has an end that says that it is
    inferred; and what happened unheard is a LOSS of its own cause."""
    host.ns.track_local()  # Not by the agent, which takes its rule along.
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(**spool(stack))
    conversation = Conversation(host.ns)
    conversation.say()
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=500, rate=5000, seconds=0.1)
    stack.settle()
    assert stack.agent.stop(30) == 0
    host.ns.run("conntrack", "-D", "-d", "127.64.0.7")
    conversation.say()
    stack.start_agent(**spool(stack))
    stack.settle(still=3)
    conversation.say()
    host.ns.flush()
    store = stack.finish()
    for kind in (START, END):
        flows, distinct = map(int, store.query(
            f"SELECT count(*), count(DISTINCT dst_addr) FROM flows WHERE type = {kind}"
            " AND dst_port = 9")[0])
        assert (flows, distinct) == (500, 500), f"type {kind}"
    inferred = store.number(f"SELECT count(*) FROM flows WHERE type = {END} AND dst_port = 9"
                            f" AND fields & {FIELD_INFERRED} != 0")
    assert inferred == 1
    assert store.number(f"SELECT count(*) FROM flows WHERE fields & {FIELD_PREEXISTING} != 0"
                        " AND dst_port = 9") == 0
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 1
    assert store.number("SELECT count(DISTINCT flow_id) FROM flows_text WHERE dst_port = 10") == 1
    assert store.query(f"SELECT loss_cause FROM flows WHERE type = {LOSS}") == [[str(CAUSE_SHUTDOWN)]]
    conversation.check(store)
