# SPDX-License-Identifier: Apache-2.0
"""What an IPv4 event weighs on its way to the collector, before compression: on traffic of the lab,
whole messages counted, with the default size and age of a block.  The figures are printed."""
import pytest

from lab import PUBLIC4
from oracle import generate, serve
from programs import Stack

BYTES_MAX = 45
COUNT = 3000


def tcp_through_masquerade(lab):
    serve(lab.servers[0], bind=f"{lab.server4()}:8080")
    return lab.router, lambda: generate(lab.clients[0], "tcp", to=f"{lab.server4()}:8080",
                                        count=COUNT, send=5000, recv=700)


def tcp_to_a_forwarded_port(lab):
    serve(lab.servers[0], bind=f"{lab.server4()}:8080")
    return lab.router, lambda: generate(lab.clients[0], "tcp", to=f"{PUBLIC4}:80", count=COUNT,
                                        send=5000, recv=700)


def tcp_of_a_client(lab):
    serve(lab.servers[0], bind=f"{lab.server4()}:8080")
    return lab.clients[0], lambda: generate(lab.clients[0], "tcp", to=f"{lab.server4()}:8080",
                                            count=COUNT, send=5000, recv=700)


def udp_of_a_client(lab):
    serve(lab.servers[0], "udp-echo", bind=f"{lab.server4()}:53")
    return lab.clients[0], lambda: generate(lab.clients[0], "udp-client",
                                            to=f"{lab.server4()}:53", count=COUNT, send=40,
                                            recv=120)


@pytest.mark.parametrize("traffic", (tcp_of_a_client, udp_of_a_client, tcp_through_masquerade,
                                     tcp_to_a_forwarded_port))
def test_bytes_of_an_event(lab, capsys, traffic):
    where, run_traffic = traffic(lab)
    where.track_local()
    stack = Stack(where)
    stack.start(log={"flush_interval": "1s"}, filter={"loopback": False})
    run_traffic()
    where.flush()
    stack.settle()
    metrics = stack.metrics("agent")
    events = metrics["flowtrail_agent_events_sent_total"]
    sent = metrics["flowtrail_agent_events_sent_bytes_total"]
    store = stack.finish()
    ipv4 = store.number("SELECT count(*) FROM flows WHERE octet_length(src_addr) = 4"
                        " AND type IN (1, 3)")
    # Both halves of each flow, and hardly anything else.
    assert ipv4 >= 2 * COUNT and ipv4 > 0.99 * events
    with capsys.disabled():
        print(f" {traffic.__name__}: {sent / events:.1f} bytes an event, {events:.0f} events ",
              end="")
    assert sent / events <= BYTES_MAX
