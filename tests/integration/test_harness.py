# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what the generator says it did, the kernel saw.  Without this, a test that
finds flowtrail and the generator agreeing would prove nothing."""
import collections

import pytest

from lab import PUBLIC4, PUBLIC6, conntrack_max, wait_until
from oracle import Events, flow_key, generate, parse_entry, parse_event, serve, table


def test_parser_reads_every_form():
    event = parse_event(
        "[1732181234.123456]\t[DESTROY] ipv4     2 tcp      6 src=192.0.2.2 dst=203.0.113.80 "
        "sport=41000 dport=80 packets=6 bytes=400 src=198.51.100.2 dst=198.51.100.1 sport=8080 "
        "dport=41000 packets=5 bytes=300 [ASSURED] mark=7 delta-time=3 id=77")
    assert (event.kind, event.number, event.ct_id, event.mark) == ("DESTROY", 6, 77, 7)
    assert event.time == 1732181234.123456
    assert event.key() == flow_key(6, "192.0.2.2", "203.0.113.80", 41000, 80)
    assert (event.orig.bytes, event.reply.packets, event.reply.src) == (400, 5, "198.51.100.2")
    entry = parse_entry("ipv4     2 icmp     1 29 src=192.0.2.2 dst=192.0.2.1 type=8 code=0 id=17920"
                        " [UNREPLIED] src=192.0.2.1 dst=192.0.2.2 type=0 code=0 id=17920 id=99")
    assert (entry.orig.id, entry.reply.id, entry.ct_id) == (17920, 17920, 99)
    assert parse_event("conntrack v1.4.7 (conntrack-tools): 3 flow events have been shown.") is None


def keys(flows, number):
    return {flow_key(number, f["src"], f["dst"], f["src_port"], f["dst_port"]) for f in flows}


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("tool", (False, True), ids=("ftwatch", "conntrack-E"))
def test_tcp_through_masquerade(lab, family, tool):
    address = {4: lab.server4(), 6: f"[{lab.server6()}]"}[family]
    count = 20 if tool else 500
    lab.router.track()
    events = Events(lab.router, tool)
    serve(lab.servers[0], bind=f"{address}:8000")
    report = generate(lab.clients[0], "tcp", to=f"{address}:8000", count=count, send=5000,
                      recv=5000)
    assert len(report["flows"]) == count
    assert all(f["received_bytes"] == 5000 and f["end"] == "fin" for f in report["flows"])
    lab.router.flush()
    seen = events.stop()
    for kind in ("NEW", "DESTROY"):
        assert collections.Counter(e.key() for e in seen if e.kind == kind and e.number == 6) == \
            collections.Counter(keys(report["flows"], 6))
    done = [e for e in seen if e.kind == "DESTROY" and e.number == 6]
    outside = {4: "198.51.100.1", 6: "2001:db8:2:1::1"}[family]
    assert all(e.orig.bytes > 5000 and e.reply.bytes > 5000 for e in done)
    assert {e.reply.dst for e in done} == {outside}
    if not tool:
        assert all(0 < e.start_ns < e.stop_ns for e in done)


@pytest.mark.parametrize("public", (PUBLIC4, f"[{PUBLIC6}]"))
def test_port_forwarding(lab, public):
    events = Events(lab.router)
    address = lab.server4() if public == PUBLIC4 else f"[{lab.server6()}]"
    serve(lab.servers[0], bind=f"{address}:8080")
    generate(lab.clients[0], "tcp", to=f"{public}:80", count=3, send=10, recv=10)
    lab.router.flush()
    done = [e for e in events.stop() if e.kind == "DESTROY" and e.number == 6]
    assert len(done) == 3
    assert {(e.orig.dport, e.reply.sport) for e in done} == {(80, 8080)}


def test_udp_distinct_tuples(host):
    host.ns.track_local()
    host.ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
                " udp dport 9 drop; } }")
    events = Events(host.ns)
    report = generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=20000,
                      rate=10000, seconds=2)
    assert report["sent"] == 20000
    assert host.ns.conntrack_count() == 20000
    host.ns.flush()
    wait_until(lambda: host.ns.conntrack_count() == 0, what="an empty table")
    seen = collections.Counter(e.kind for e in events.stop())
    assert seen == {"NEW": 20000, "DESTROY": 20000}


def test_every_kind_of_ending(lab):
    client, server = lab.clients[0], lab.servers[0]
    to = lab.server4()
    server.nft("table ip lab-drop { chain i { type filter hook input priority 0;"
               " tcp dport 7 drop; } }")
    client.track_local()
    events = Events(client)
    serve(server, bind=f"{to}:8000")
    assert generate(client, "tcp", to=f"{to}:8000", close="rst", send=9, recv=9)["flows"][0][
        "end"] == "rst"
    assert generate(client, "tcp", to=f"{to}:1")["flows"][0]["end"] == "refused"
    assert generate(client, "tcp", to=f"{to}:7", close="none")["flows"][0]["end"] == "none"
    states = {e.orig.dport: e.state for e in table(client) if e.number == 6}
    assert states == {8000: "CLOSE", 7: "SYN_SENT"}
    # A refused connection is gone from the table at once.
    kinds = collections.Counter((e.orig.dport, e.kind) for e in events.stop())
    assert kinds[1, "NEW"] == kinds[1, "DESTROY"] == kinds[7, "NEW"] == kinds[8000, "NEW"] == 1
    assert kinds[7, "DESTROY"] == kinds[8000, "DESTROY"] == 0


@pytest.mark.parametrize("family", (4, 6))
def test_icmp_sctp_and_others(lab, family):
    client, server = lab.clients[0], lab.servers[0]
    to, me = {4: (lab.server4(), lab.client4()),
              6: (f"[{lab.server6()}]", f"[{lab.client6()}]")}[family]
    client.track_local()
    serve(server, "sctp-server", bind=f"{to}:36412")
    serve(server, "udp-echo", bind=f"{to}:53")
    ping = generate(client, "ping", to=to, count=3, ports=2, send=56)
    assert [f["received_packets"] for f in ping["flows"]] == [2, 2, 2]
    sctp = generate(client, "sctp", to=f"{to}:36412", bind=me, count=2)
    assert [f["end"] for f in sctp["flows"]] == ["complete", "complete"]
    generate(client, "sctp", to=f"{to}:36413", bind=me, chunks="init")
    generate(client, "raw", to=to, protocol=253, send=100)
    udp = generate(client, "udp", to=f"{to}:53", send=20, recv=20)
    assert (udp["answers"], udp["answer_bytes"]) == (1, 20)
    numbers = collections.Counter(e.number for e in table(client))
    assert numbers[{4: 1, 6: 58}[family]] == 3
    assert (numbers[132], numbers[253], numbers[17]) == (3, 1, 1)


def test_long_transfer_at_a_rate(lab):
    serve(lab.servers[0], bind=f"{lab.server4()}:8000", serve="sink")
    lab.clients[0].track_local()
    report = generate(lab.clients[0], "tcp", to=f"{lab.server4()}:8000", send=3_000_000,
                      byte_rate=2_000_000)
    assert report["flows"][0]["sent_bytes"] == 3_000_000
    entry = next(e for e in table(lab.clients[0]) if e.number == 6)
    assert 3_000_000 < entry.orig.bytes < 3_300_000


def test_limit_is_put_back(host):
    del host
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as limit:
        before = limit.read()
    with conntrack_max(int(before) + 1000):
        with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as limit:
            assert int(limit.read()) == int(before) + 1000
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as limit:
        assert limit.read() == before
