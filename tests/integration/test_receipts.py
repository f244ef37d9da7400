# SPDX-License-Identifier: Apache-2.0
"""A collector that loses what it had acknowledged, or cannot prove what it says: what the agent still
has is stored again, once; the rest is reported; for words without proof nothing is freed."""
import json
import shutil

import pytest

from lab import wait_until
from oracle import generate
from programs import Stack

FLOWS = 3000  # a round of traffic; each flow is a START and an END
COLLECTOR_LOST = "COLLECTOR_LOST"


def traffic(stack, number, flows=FLOWS):
    """Flows to addresses of their own, and until the collector has acknowledged them."""
    generate(stack.agent_ns, "udp", to=f"127.{number}.0.0:9", bind="127.0.0.1", spread=flows,
             rate=flows, seconds=1)
    stack.agent_ns.flush()
    stack.settle()


def account(stack):
    status = json.loads(stack.ask_agent("/api/v1/status")[1])
    assert status["account"]["balanced"], status["account"]
    return status["account"]


def proof(stack):
    return json.loads(stack.ask_agent("/api/v1/status")[1])["collector"]["proof"]


def epoch(stack):
    return stack.get("/api/v1/status")["store_epoch"]


def stop_collector(stack):
    assert stack.collector.stop() == 0, stack.collector.tail()


def back_up(stack):
    """A copy of everything that the collector keeps, as of now."""
    stop_collector(stack)
    copy = stack.tmp / "backup"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(stack.directory, copy)
    stack.start_collector()
    return copy


def set_back(stack, copy):
    stop_collector(stack)
    shutil.rmtree(stack.directory)
    shutil.copytree(copy, stack.directory)
    stack.start_collector()


def wait_connected(stack):
    wait_until(lambda: stack.metrics("agent")["flowtrail_agent_stream_state"] == 4, 60,
               "the agent to be welcome again")


def check_flows(store, *numbers, flows=FLOWS):
    for number in numbers:
        for kind in (1, 3):
            rows = store.query(
                f"SELECT count(*), count(DISTINCT dst_addr) FROM flows WHERE type = {kind} AND"
                f" dst_port = 9 AND hex(dst_addr) LIKE '7F{number:02X}%'")
            assert list(map(int, rows[0])) == [flows, flows], f"round {number}, type {kind}"


def test_a_store_that_is_set_back_is_filled_again(host):
    stack = Stack(host.ns).start()
    assert proof(stack) in ("verified", "none")
    traffic(stack, 64)
    copy = back_up(stack)
    before = epoch(stack)
    traffic(stack, 65)
    set_back(stack, copy)
    wait_connected(stack)
    traffic(stack, 66)
    assert proof(stack) == "verified"
    assert epoch(stack) != before
    assert stack.metrics("agent")["flowtrail_agent_collector_set_backs_total"] == 1
    assert stack.metrics("agent")["flowtrail_agent_events_back_total"] >= 2 * FLOWS
    assert stack.metrics("collector")["flowtrail_collector_set_backs_total"] == 1
    assert account(stack)["lost"] == 0
    store = stack.finish()
    check_flows(store, 64, 65, 66)
    assert store.count("LOSS") == 0


def test_what_the_agent_has_freed_is_reported(host):
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(collector={"hold_bytes": 0})
    traffic(stack, 64)
    copy = back_up(stack)
    traffic(stack, 65)
    set_back(stack, copy)
    wait_connected(stack)
    traffic(stack, 66)
    lost = account(stack)["lost_by_cause"]
    assert list(lost) == [COLLECTOR_LOST] and lost[COLLECTOR_LOST] >= 2 * FLOWS
    # Once: another break changes nothing.
    stop_collector(stack)
    stack.start_collector()
    wait_connected(stack)
    stack.settle()
    assert account(stack)["lost_by_cause"] == lost
    store = stack.finish()  # Each number once: stored, or in the hole that a LOSS event names.
    check_flows(store, 64, 66)
    rows = store.query("SELECT loss_count, loss_last_seq - loss_first_seq + 1, loss_estimated"
                       " FROM flows WHERE type = 5")
    assert rows == [[str(lost[COLLECTOR_LOST]), str(lost[COLLECTOR_LOST]), "false"]]


def test_what_is_held_in_part_is_stored_and_reported_in_part(host):
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(collector={"hold_bytes": "512KiB"}, log={"bytes_max": "1MiB"})
    traffic(stack, 64)
    copy = back_up(stack)
    for number in range(65, 71):
        traffic(stack, number)
    set_back(stack, copy)
    wait_connected(stack)
    traffic(stack, 71)
    lost = account(stack)["lost_by_cause"]
    back = stack.metrics("agent")["flowtrail_agent_events_back_total"]
    assert lost[COLLECTOR_LOST] > 0 and back > 0
    assert lost[COLLECTOR_LOST] + back >= 6 * 2 * FLOWS
    store = stack.finish()
    check_flows(store, 64, 70, 71)


def test_a_spool_fills_the_store_after_a_restart_of_the_agent(host):
    """The collector is set back while the agent is away; what the agent knows of it, it kept."""
    host.ns.nft("table inet tracked { chain c { type filter hook input priority 0;"
                " ct state new accept; } }")
    spool = {"path": str(host.ns.tmp / "spool")}
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(spool=spool)
    traffic(stack, 64)
    copy = back_up(stack)
    traffic(stack, 65)
    assert stack.agent.stop(60) == 0, stack.agent.tail()
    set_back(stack, copy)
    stack.start_agent(spool=spool)
    wait_connected(stack)
    traffic(stack, 66)
    assert stack.metrics("agent")["flowtrail_agent_collector_set_backs_total"] == 1
    assert COLLECTOR_LOST not in account(stack)["lost_by_cause"]
    store = stack.finish()
    check_flows(store, 64, 65, 66)
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 1


def test_a_spool_that_has_freed_reports_once(host):
    """The loss is told once, also when the agent is killed in between."""
    spool = {"path": str(host.ns.tmp / "spool"), "hold_bytes": 0, "bytes_max": "2MiB"}
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(spool=spool)
    traffic(stack, 64)
    copy = back_up(stack)
    for number in range(65, 69):
        traffic(stack, number)
    set_back(stack, copy)
    wait_connected(stack)
    stack.settle()
    lost = account(stack)["lost_by_cause"][COLLECTOR_LOST]
    assert lost > 0
    stack.agent.kill()
    stack.start_agent(spool=spool)
    wait_connected(stack)
    traffic(stack, 70)
    assert account(stack)["lost_by_cause"][COLLECTOR_LOST] == lost
    store = stack.finish()
    check_flows(store, 64, 70)


@pytest.mark.parametrize("what", ("flows.duckdb", "log", "both"))
def test_a_part_of_the_store_is_gone(host, what):
    """Whatever is left of it, what the agent or the log holds is stored once."""
    stack = Stack(host.ns).start()
    traffic(stack, 64)
    before = epoch(stack)
    lose(stack, *(("flows.duckdb", "log") if what == "both" else (what,)))
    stack.start_collector()
    wait_connected(stack)
    traffic(stack, 65)
    # A log that still has all of it lacks nothing.
    assert (epoch(stack) == before) == (what == "flows.duckdb")
    assert (stack.metrics("agent")["flowtrail_agent_events_back_total"] == 0) == (
        what != "both")
    account(stack)
    store = stack.finish()
    check_flows(store, 64, 65)
    assert store.count("LOSS") == 0


def lose(stack, *names):
    stack.collector.kill()
    for name in names:
        path = stack.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
            path.with_name(f"{name}.wal").unlink(missing_ok=True)


@pytest.mark.parametrize("held", (True, False))
def test_a_gap_before_what_the_log_has(host, held):
    """The store is gone, and the log has freed all but the end: what is before that end comes from
    the agent, or is reported, once."""
    stack = Stack(host.ns)
    log = {"segment_bytes": "1MiB", "keep_bytes": 0}
    stack.start_collector(log=log)
    stack.start_agent(collector={} if held else {"hold_bytes": 0})
    traffic(stack, 64)
    before = epoch(stack)
    lose(stack, "flows.duckdb")
    stack.start_collector(log=log)
    wait_connected(stack)
    traffic(stack, 65)
    assert epoch(stack) != before
    lost = account(stack)["lost"]
    refilled = stack.metrics("collector")["flowtrail_collector_refilled_flows_total"]
    assert refilled > 0 and lost == 0 if held else refilled == 0 and lost > 0
    # Once: after another start there is nothing more to say.
    stop_collector(stack)
    stack.start_collector(log=log)
    wait_connected(stack)
    stack.settle()
    assert account(stack)["lost"] == lost
    store = stack.finish()
    check_flows(store, *((64, 65) if held else (65,)))
    assert store.count("LOSS") == (0 if held else 1)


def test_log_is_set_back_alone(host):
    """The store has positions that the log gives a second time: nothing may be passed over."""
    stack = Stack(host.ns).start()
    traffic(stack, 64)
    copy = back_up(stack)
    traffic(stack, 65)
    stop_collector(stack)
    shutil.rmtree(stack.directory / "log")
    shutil.copytree(copy / "log", stack.directory / "log")
    stack.start_collector()
    wait_connected(stack)
    for number in (66, 67):
        traffic(stack, number)
    store = stack.finish()
    check_flows(store, 64, 65, 66, 67)


def test_another_key_gets_nothing_until_it_is_configured(host):
    stack = Stack(host.ns).start()
    traffic(stack, 64)
    stop_collector(stack)
    key_file = stack.directory / "receipt-key"
    key_file.rename(stack.tmp / "receipt-key")  # The collector makes itself another.
    stack.start_collector()
    generate(host.ns, "udp", to="127.65.0.0:9", bind="127.0.0.1", spread=FLOWS, rate=FLOWS,
             seconds=1)
    wait_until(lambda: stack.metrics("agent")["flowtrail_agent_receipt_keys_refused_total"] >= 1, 30,
               "the agent to refuse the key")
    status = json.loads(stack.ask_agent("/api/v1/status")[1])
    stream = next(row for row in status["components"] if row["name"] == "stream")
    assert "receipt key is another" in stream["text"]
    assert account(stack)["retained"] >= FLOWS
    # The operator says that it is right.
    key = stack.get("/api/v1/status")["receipt_key"]
    assert key == (stack.directory / "receipt-key.pub").read_text().strip()
    stack.write("flowtraild.yaml", stack.agent_config(collector={"receipt_key": key}))
    stack.agent.signal(1)
    wait_connected(stack)
    host.ns.flush()
    store = stack.finish()
    check_flows(store, 64, 65)


def test_a_pinned_key(host):
    stack = Stack(host.ns)
    stack.start_collector()
    right = str(stack.directory / "receipt-key.pub")
    stack.start_agent(collector={"receipt_key": f"ed25519:{7:064x}"})
    wait_until(lambda: stack.metrics("agent")["flowtrail_agent_receipt_keys_refused_total"] >= 1, 30,
               "the agent to refuse the key")
    assert account(stack)["stored"] == 0
    stack.write("flowtraild.yaml", stack.agent_config(collector={"receipt_key": right}))
    stack.agent.signal(1)
    wait_connected(stack)
    traffic(stack, 64)
    assert proof(stack) == "verified"
    assert stack.metrics("agent")["flowtrail_agent_delivery_verified"] == 1
    store = stack.finish()
    check_flows(store, 64)


def test_receipts_switched_off(host):
    stack = Stack(host.ns)
    stack.start_collector()
    stack.start_agent(collector={"receipts": "off"})
    traffic(stack, 64)
    assert proof(stack) == "unverified"
    assert stack.metrics("agent")["flowtrail_agent_events_unverified_total"] >= 2 * FLOWS
    status = json.loads(stack.ask_agent("/api/v1/status")[1])
    assert any("unverified delivery" in row["text"] for row in status["components"])
    check_flows(stack.finish(), 64)
