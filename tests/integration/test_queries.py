# SPDX-License-Identifier: Apache-2.0
"""What the API answers is what the store holds: pages, exports, groups and series, live."""
import csv
import io
import json

import pytest

from oracle import generate, serve
from programs import Stack

FLOWS = 700


@pytest.fixture
def filled(host):
    """A stack with UDP and TCP flows that have ended."""
    stack = Stack(host.ns).start()
    serve(host.ns, bind="127.0.0.1:8000")
    generate(host.ns, "tcp", to="127.0.0.1:8000", count=100, send=400, recv=400)
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=FLOWS, rate=7000,
             seconds=0.1)
    host.ns.flush()
    stack.settle()
    yield stack
    stack.stop()


def pages(stack, **parameters):
    cursor = None
    while True:
        answer = stack.get("/api/v1/flows", **parameters, **({"cursor": cursor} if cursor else {}))
        yield answer["flows"]
        cursor = answer.get("next")
        if not cursor:
            return


@pytest.mark.parametrize("order", ("newest", "oldest"))
def test_pages_hold_every_row_once(filled, order):
    rows = [row for page in pages(filled, dst_port=9, limit=97, order=order) for row in page]
    assert len(rows) == 2 * FLOWS
    assert len({row["event_id"] for row in rows}) == 2 * FLOWS
    times = [row["time"] for row in rows]
    assert times == sorted(times, reverse=order == "newest")
    ndjson = filled.get("/api/v1/flows", raw=True, dst_port=9, format="ndjson", limit=100000)[1]
    assert {json.loads(line)["event_id"] for line in ndjson.splitlines()} == {
        row["event_id"] for row in rows}
    table = list(csv.DictReader(io.StringIO(
        filled.get("/api/v1/flows", raw=True, dst_port=9, format="csv", limit=100000)[1])))
    assert {row["event_id"] for row in table} == {row["event_id"] for row in rows}


@pytest.mark.parametrize("parameters, expected", (
    ({"type": "END", "protocol": "tcp", "dst_port": 8000}, 100),
    ({"dst_addr": "127.64.0.0/24", "type": "start"}, 256),
    ({"dst_addr": "127.64.0.7,127.64.1.7", "type": "start"}, 2),
    ({"port": "9-10", "not.type": "START"}, FLOWS),
    ({"src_addr": "2001:db8::/32"}, 0),
))
def test_filters(filled, parameters, expected):
    rows = [row for page in pages(filled, limit=1000, **parameters) for row in page]
    assert len(rows) == expected


def test_groups_and_series_add_up_to_the_rows(filled):
    rows = [row for page in pages(filled, limit=1000) for row in page]
    total = sum(row.get("tx_bytes", 0) + row.get("rx_bytes", 0) for row in rows)
    top = filled.get("/api/v1/top", by="dst_port", measure="bytes", limit=5)
    series = filled.get("/api/v1/series", by="protocol", measure="bytes", step="10s")

    def bytes_in(value):
        if isinstance(value, dict):
            own = value.get("tx_bytes", 0) + value.get("rx_bytes", 0) if "tx_bytes" in value else 0
            return own + sum(bytes_in(v) for v in value.values())
        return sum(bytes_in(v) for v in value) if isinstance(value, list) else 0

    assert bytes_in(top) == total
    assert bytes_in(series) == total


@pytest.mark.parametrize("path, words", (
    ("/api/v1/flows?dst_prot=9", ("dst_prot", "dst_port")),
    ("/api/v1/flows?dst_port=http!", ("dst_port",)),
    ("/api/v1/flows?limit=-1", ("limit",)),
    ("/api/v1/flows?cursor=zzz", ("cursor",)),
    ("/api/v1/flows?begin=yesterday", ("begin",)),
    ("/api/v1/flows?dst_addr=%00", ()),
))
def test_bad_parameters_are_named(filled, path, words):
    status, body = filled.get(path, raw=True)
    assert status == 400, body
    for word in words:
        assert word in body


def test_agents_and_accounts(filled):
    answer = filled.get("/api/v1/agents")
    agent = json.dumps(answer)
    assert filled.agent_id in agent
    assert filled.get("/livez", raw=True)[0] == filled.get("/readyz", raw=True)[0] == 200
    assert "version" in filled.get("/version")
    assert filled.get("/nothing", raw=True)[0] == 404


def test_live_stream_shows_what_comes(host):
    stack = Stack(host.ns).start()
    with host.ns.connect("127.0.0.1", 8319) as connection:
        connection.sendall(b"GET /api/v1/live?dst_port=9 HTTP/1.1\r\nHost: 127.0.0.1:8319\r\n\r\n")
        stream = connection.makefile("rb")
        assert b"200" in stream.readline()
        generate(host.ns, "udp-client", to="127.0.0.1:9", count=5, send=5)
        connection.settimeout(15)
        seen = 0
        while seen < 5:
            line = stream.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:") and b'"START"' in line:
                seen += 1
    stack.stop()
