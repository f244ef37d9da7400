# SPDX-License-Identifier: Apache-2.0
"""Every connection appears exactly once as START and once as END, and the sum of its deltas is what
the kernel counted, to the byte."""
import collections

import pytest

from lab import PUBLIC4, PUBLIC6, conntrack_max, wait_until
from oracle import Events, Generator, flow_key, generate, serve, table
from programs import FIELD_PREEXISTING, Stack


def by_key(events, kind):
    return collections.Counter(event.key() for event in events if event.type == kind)


START, UPDATE, END, LOSS = 1, 2, 3, 5


def hold_against_kernel(stored, seen):
    """The store has what the kernel told another listener: the same flows, the same counters."""
    for kind, number in (("NEW", START), ("DESTROY", END)):
        kernel = collections.Counter(e.key() for e in seen if e.kind == kind)
        assert by_key(stored, number) == kernel
    sums = collections.defaultdict(lambda: [0, 0, 0, 0])
    for event in stored:
        if event.number is not None:
            for i, value in enumerate(event.bytes() + event.packets()):
                sums[event.key()][i] += value
    totals = collections.defaultdict(lambda: [0, 0, 0, 0])
    for entry in seen:
        if entry.kind == "DESTROY":
            for i, value in enumerate((entry.orig.bytes, entry.reply.bytes, entry.orig.packets,
                                       entry.reply.packets)):
                totals[entry.key()][i] += value
    assert dict(sums) == dict(totals)


def serve_mixed(lab):
    for address in (lab.server4(), f"[{lab.server6()}]"):
        serve(lab.servers[0], bind=f"{address}:8080")
        serve(lab.servers[0], "udp-echo", bind=f"{address}:53")


def mixed_traffic(lab):
    client = lab.clients[0]
    for address in (lab.server4(), f"[{lab.server6()}]"):
        generate(client, "tcp", to=f"{address}:8080", count=300, send=3000, recv=3000)
        generate(client, "udp-client", to=f"{address}:53", count=100, send=40, recv=40)
        generate(client, "ping", to=address, count=5, ports=2, send=56)
    for public in (PUBLIC4, f"[{PUBLIC6}]"):
        generate(client, "tcp", to=f"{public}:80", count=50, send=100, recv=100)


def test_router_with_masquerade_and_forwarding(lab):
    lab.router.track()
    stack = Stack(lab.router).start(filter={"loopback": False})
    events = Events(lab.router)
    serve_mixed(lab)
    mixed_traffic(lab)
    lab.router.flush()
    seen = [e for e in events.stop() if e.orig.src != "127.0.0.1"]
    stored = stack.finish().events()
    hold_against_kernel(stored, seen)
    forwarded = [e for e in stored if e.dst == PUBLIC4 and e.type == END]
    assert len(forwarded) == 50
    assert {(e.nat_src, e.nat_sport, e.nat_dst) for e in forwarded} == {
        (lab.server4(), 8080, "198.51.100.1")}
    assert {e.direction for e in stored if e.number == 6} == {4}


def test_client_and_server_see_their_side(lab):
    client, server = lab.clients[0], lab.servers[0]
    sides = [Stack(client), Stack(server)]
    for stack in sides:
        stack.start(filter={"loopback": False})
    serve(server, bind=f"{lab.server4()}:8080")
    report = generate(client, "tcp", to=f"{lab.server4()}:8080", count=20, send=2000, recv=1000)
    client.flush()
    server.flush()
    there, here = [stack.finish().events() for stack in sides]
    sent = {e.key(): e for e in there if e.type == END}
    assert set(sent) == {flow_key(6, f["src"], f["dst"], f["src_port"], 8080)
                         for f in report["flows"]}
    assert {e.direction for e in there} == {2}
    assert {e.direction for e in here} == {1}
    assert sum(e.tx_bytes or 0 for e in there) == sum(e.rx_bytes or 0 for e in here)
    assert sum(e.rx_bytes or 0 for e in there) == sum(e.tx_bytes or 0 for e in here)


def test_every_kind_of_ending(lab):
    client, to = lab.clients[0], lab.server4()
    lab.servers[0].nft("table ip lab-drop { chain i { type filter hook input priority 0;"
                       " tcp dport 7 drop; } }")
    client.track_local()
    for name in ("tcp_timeout_syn_sent", "udp_timeout"):
        client.sysctl(f"net.netfilter.nf_conntrack_{name}", 2)
    stack = Stack(client).start(filter={"loopback": False})
    events = Events(client)
    me = lab.client4()
    serve(lab.servers[0], bind=f"{to}:8000")
    serve(lab.servers[0], "sctp-server", bind=f"{to}:36412")
    generate(client, "tcp", to=f"{to}:8000", close="rst", send=9, recv=9)
    generate(client, "tcp", to=f"{to}:1")
    generate(client, "tcp", to=f"{to}:7", close="none")
    generate(client, "ping", to=to, count=2, ports=3, send=56)
    generate(client, "sctp", to=f"{to}:36412", bind=me, count=2)
    generate(client, "sctp", to=f"{to}:36413", bind=me, chunks="init")
    generate(client, "raw", to=to, protocol=253, send=100)
    generate(client, "udp-client", to=f"{to}:54", send=10)
    # The half-open one and the datagram end by themselves, by the kernel's time-out.
    wait_until(lambda: not any(e.orig.dport in (7, 54) for e in table(client)), 90, "the time-out")
    client.flush()
    seen = [e for e in events.stop() if e.orig.src != "127.0.0.1"]
    stored = stack.finish().events()
    hold_against_kernel(stored, seen)
    assert collections.Counter(e.number for e in stored if e.type == END) == {
        6: 3, 1: 2, 132: 3, 253: 1, 17: 1}


def test_deltas_of_a_long_transfer_add_up(lab):
    client, to = lab.clients[0], lab.server4()
    client.track_local()
    stack = Stack(client).start(filter={"loopback": False}, capture={"update_interval": "1s"})
    serve(lab.servers[0], bind=f"{to}:8000", serve="sink")
    report = generate(client, "tcp", to=f"{to}:8000", send=4_000_000, byte_rate=800_000)
    entry = next(e for e in table(client) if e.number == 6 and e.orig.dport == 8000)
    client.flush()
    stored = [e for e in stack.finish().events() if e.dport == 8000]
    kinds = collections.Counter(e.type for e in stored)
    assert kinds[START] == kinds[END] == 1 and kinds[UPDATE] >= 3
    assert (sum(e.bytes()[0] for e in stored), sum(e.bytes()[1] for e in stored)) == (
        entry.orig.bytes, entry.reply.bytes)
    assert report["flows"][0]["sent_bytes"] == 4_000_000 < entry.orig.bytes
    assert len({e.flow_id for e in stored}) == 1


def test_flows_older_than_the_agent_and_younger(lab):
    """A flow that began when nobody listened has no events in the kernel, not even at its end
    (nf_conntrack_events=2): the dumps have to notice that it is gone."""
    client, to = lab.clients[0], lab.server4()
    client.track_local()
    serve(lab.servers[0], bind=f"{to}:8000")
    old = Generator(client, "tcp", to=f"{to}:8000", count=5, send=1000, recv=1000, hold=600)
    old.process.wait_for("holding")
    stack = Stack(client).start(filter={"loopback": False}, capture={"update_interval": "1s"})
    young = Generator(client, "tcp", to=f"{to}:8000", count=7, send=10, recv=10, hold=600)
    young.process.wait_for("holding")
    old.process.signal(15)
    old.report()
    client.run("conntrack", "-D", "-p", "tcp", "--state", "TIME_WAIT")
    stored = [e for e in stack.finish(still=4).events() if e.dport == 8000]
    starts = [e for e in stored if e.type == START]
    ends = [e for e in stored if e.type == END]
    assert len(starts) == 12
    preexisting = {e.key() for e in starts if e.fields & FIELD_PREEXISTING}
    # The young ones outlive the agent: begun, not ended.
    assert len(preexisting) == 5
    # Inferred from the dumps, as a rule; a kernel that has events for them after all says it itself.
    assert {e.key() for e in ends} == preexisting and len(ends) == 5


@pytest.mark.parametrize("mode", ("adaptive", "full"))
def test_sixty_thousand_a_second_then_all_at_once(host, mode):
    """600,000 flows begin within ten seconds; then half a million and more end at one stroke."""
    ns = host.ns
    ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
           " udp dport 9 drop; } }")
    total = 600_000
    with conntrack_max(1_500_000):
        stack = Stack(ns).start(capture={"mode": mode})
        report = generate(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=total,
                          rate=60_000, seconds=10)
        assert report["sent"] == total
        # Before the first of them times out (30 s).
        assert ns.conntrack_count() >= 500_000
        ns.flush()
        wait_until(lambda: ns.conntrack_count() < 100, 60, "the kernel to have told all")
        store = stack.finish(timeout=180, still=3)
    for kind in (START, END):
        flows, distinct = map(int, store.query(
            f"SELECT count(*), count(DISTINCT dst_addr) FROM flows WHERE type = {kind}"
            " AND dst_port = 9")[0])
        assert (flows, distinct) == (total, total), f"type {kind}"
    assert store.number("SELECT sum(tx_packets) FROM flows WHERE dst_port = 9") == total


def test_ten_thousand_tcp_connections(host):
    """TCP over loopback: seven kernel events each, of which the agent hears two."""
    ns = host.ns
    stack = Stack(ns).start()
    serve(ns, bind="127.0.0.1:8000")
    report = generate(ns, "tcp", to="127.0.0.1:8000", count=10_000, send=500, recv=500)
    assert len(report["flows"]) == 10_000
    ns.flush()
    stored = [e for e in stack.finish().events() if e.dport == 8000]
    expected = collections.Counter(
        flow_key(6, "127.0.0.1", "127.0.0.1", f["src_port"], 8000) for f in report["flows"])
    assert by_key(stored, START) == expected
    assert by_key(stored, END) == expected
