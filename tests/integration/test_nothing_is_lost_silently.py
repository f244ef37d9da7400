# SPDX-License-Identifier: Apache-2.0
"""Collectors that stop, die and come back; an agent whose socket is too small; logs that are full:
observed = stored + retained + reported lost, always."""
import signal
import time

import pytest

from lab import conntrack_max, wait_until
from oracle import Generator, generate
from programs import FIELD_INFERRED, Stack

START, END, LOSS = 1, 3, 5
TOTAL = 100_000  # flows; 200,000 events


def start_traffic(ns, total=TOTAL, rate=10_000):
    ns.nft("table inet lab-drop { chain i { type filter hook input priority 0;"
           " udp dport 9 drop; } }")
    return Generator(ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=total, rate=rate,
                     seconds=total / rate)


def check_each_once(store, total=TOTAL):
    for kind in (START, END):
        flows, distinct = map(int, store.query(
            f"SELECT count(*), count(DISTINCT dst_addr) FROM flows WHERE type = {kind}"
            " AND dst_port = 9")[0])
        assert (flows, distinct) == (total, total), f"type {kind}"


def end_all(ns):
    ns.flush()
    wait_until(lambda: ns.conntrack_count() < 100, 60, "the kernel to have told all")


@pytest.mark.parametrize("how", ("stop", "kill"))
def test_collector_goes_away_amid_two_hundred_thousand_events(host, how):
    with conntrack_max(400_000):
        stack = Stack(host.ns).start()
        traffic = start_traffic(host.ns)
        for _ in range(3):
            time.sleep(2)
            if how == "kill":
                stack.collector.kill()
            else:
                assert stack.collector.stop() == 0, stack.collector.tail()
            time.sleep(0.5)
            stack.start_collector()
        traffic.report()
        end_all(host.ns)
        store = stack.finish(timeout=120)
    check_each_once(store)
    assert store.count("LOSS") == 0


def test_collector_that_comes_late(host):
    """The agent retains everything until there is someone to confirm it."""
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_agent()
        start_traffic(host.ns).report()
        end_all(host.ns)
        stack.start_collector()
        store = stack.finish(timeout=120)
    check_each_once(store)


def test_collector_that_stands_still_is_no_harm(host):
    """SIGSTOP: connected, and silent.  Capture and stop of the agent do not wait for it."""
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(stop_timeout="1s")
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=2000, rate=2000, seconds=1)
    stack.collector.signal(signal.SIGSTOP)
    try:
        generate(host.ns, "udp", to="127.65.0.0:9", bind="127.0.0.1", spread=2000, rate=2000,
                 seconds=1)
        begin = time.monotonic()
        assert stack.agent.stop(20) == 0, stack.agent.tail()
        assert time.monotonic() - begin < 10
    finally:
        stack.collector.signal(signal.SIGCONT)


def test_tiny_socket_buffer_loses_no_end(host):
    """The kernel keeps ENDs that do not fit and sends them again, here a dozen at a time, which
    takes it longer than any fixed wait; what else is missing is said."""
    total = 50_000
    with conntrack_max(400_000):
        stack = Stack(host.ns).start(capture={"rcvbuf_bytes": "16KiB"})
        start_traffic(host.ns, total=total, rate=20_000).report()
        host.ns.flush()
        wait_until(lambda: host.ns.conntrack_count() < 100, 900, "the kernel to have told all")
        store = stack.finish(timeout=120, still=4)
    ends, distinct, inferred = map(int, store.query(
        f"SELECT count(*), count(DISTINCT dst_addr), count(*) FILTER (fields & {FIELD_INFERRED} != 0)"
        " FROM flows WHERE type = 3 AND dst_port = 9")[0])
    assert (ends, distinct, inferred) == (total, total, 0)
    starts = store.number("SELECT count(*) FROM flows WHERE type = 1 AND dst_port = 9")
    lost = store.number("SELECT coalesce(sum(loss_count), 0) FROM flows WHERE type = 5")
    assert starts <= total <= starts + lost


def test_full_log_says_what_it_dropped(host):
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_agent(log={"bytes_max": "1MiB"})
        start_traffic(host.ns, total=60_000, rate=30_000).report()
        end_all(host.ns)
        time.sleep(1)
        merged = stack.metrics("agent")["flowtrail_agent_events_merged_total"]
        stack.start_collector()
        store = stack.finish(timeout=120)  # asserts the equation
    assert store.count("LOSS") >= 1
    lost = store.number("SELECT sum(loss_count) FROM flows WHERE type = 5 AND loss_cause = 4")
    stored = store.number("SELECT count(*) FROM flows WHERE dst_port = 9")
    assert lost > 0 and lost + stored + merged >= 120_000


def test_agent_restarts(host):
    """Two instances; the second finds the first one's flows and does not mistake them for new."""
    stack = Stack(host.ns).start()
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=500, rate=5000,
             seconds=0.1)
    stack.settle()
    assert stack.agent.stop(30) == 0
    stack.start_agent()
    end_all(host.ns)
    store = stack.finish()
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 2
    assert store.number("SELECT count(*) FROM flows WHERE type = 3 AND dst_port = 9") == 500
