# SPDX-License-Identifier: Apache-2.0
"""What the agent changes in the kernel it changes back: switches, the rule that asks for tracking."""
from lab import wait_until
from oracle import generate
from programs import STREAM_PORT, Stack

SWITCHES = ("acct", "timestamp", "events")


def switches(ns):
    return [ns.sysctl(f"net.netfilter.nf_conntrack_{name}") for name in SWITCHES]


def tables(ns):
    return ns.run("nft", "list", "tables").split("\n")


def test_switches_and_table_are_put_back(host):
    before = switches(host.ns), tables(host.ns)
    stack = Stack(host.ns).start()
    assert switches(host.ns)[:2] == ["1", "1"]
    assert any("flowtrail" in table for table in tables(host.ns))
    stack.stop()
    assert (switches(host.ns), tables(host.ns)) == before


def test_switches_of_others_stay(host):
    """On before the agent: on after it.  Changed meanwhile: not ours any more."""
    host.ns.sysctl("net.netfilter.nf_conntrack_acct", 1)
    stack = Stack(host.ns).start()
    host.ns.sysctl("net.netfilter.nf_conntrack_timestamp", 0)
    stack.stop()
    assert switches(host.ns)[:2] == ["1", "0"]


def test_what_a_crash_leaves_the_next_stop_puts_back(host):
    """Killed, started, stopped: switches and table are as before the first start."""
    before = switches(host.ns), tables(host.ns)
    stack = Stack(host.ns).start()
    stack.agent.kill()
    assert switches(host.ns)[:2] == ["1", "1"]
    stack.start_agent()
    stack.agent.kill()
    stack.start_agent()
    stack.stop()
    assert (switches(host.ns), tables(host.ns)) == before
    # On already, and no record that says it is ours: it stays.
    host.ns.sysctl("net.netfilter.nf_conntrack_acct", 1)
    stack = Stack(host.ns).start()
    stack.agent.kill()
    stack.start_agent()
    stack.stop()
    assert switches(host.ns)[:2] == ["1", "0"]


def test_namespace_without_tracking_is_reported_and_mended_only_when_asked(host):
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(capture={"repair_tracking": False})
    generate(host.ns, "udp-client", to="127.0.0.1:9", count=3, send=5)
    assert host.ns.conntrack_count() == 0
    assert not any("flowtrail" in table for table in tables(host.ns))
    wait_until(lambda: "track" in stack.agent.errors(), 30, "the agent to say so")
    stack.stop()


def test_own_connection_is_never_reported(host):
    stack = Stack(host.ns).start()
    generate(host.ns, "udp-client", to="127.0.0.1:9", count=10, send=5)
    stack.settle()
    host.ns.flush()
    stored = stack.finish().events()
    assert stored and not any(STREAM_PORT in (e.sport, e.dport) for e in stored)
