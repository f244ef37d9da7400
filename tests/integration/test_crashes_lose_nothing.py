# SPDX-License-Identifier: Apache-2.0
"""An agent with a spool that is killed again and again, 20 to 40 ms apart, under load: the socket and
the working memory outlive it, and every begin and every end is stored exactly once."""
import os
import random
import time

from lab import conntrack_max, wait_until
from oracle import Generator
from programs import Stack

START, END = 1, 3
KILLS = int(os.environ.get("FT_KILLS", "200"))
RATE = 3000  # flows a second
# A kill, what the agent takes to start, and the pause between; more than enough traffic for all.
SECONDS_A_KILL = 0.25


def spool(stack):
    return {"spool": {"path": str(stack.tmp / "spool")}}


def traffic(ns, total, rate=RATE):
    ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
           " udp dport 9 drop; } }")
    ns.sysctl("net.netfilter.nf_conntrack_udp_timeout", 2)
    return Generator(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=total, rate=rate,
                     seconds=total / rate)


def kill_often(stack, kills, generator):
    """Each agent lives for 20 to 40 ms, some from their beginning and some from when they listen."""
    dice = random.Random(4)
    n = 0
    while n < kills and generator.process.alive():
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
        killed = kill_often(stack, KILLS, generator)
        generator.report(timeout=total / RATE + 60)
        host.ns.flush()
        wait_until(lambda: host.ns.conntrack_count() < 100, 60, "the kernel to have told all")
        store = stack.finish(timeout=120)
    assert killed == KILLS
    check_each_once(store, total)
