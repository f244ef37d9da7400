# SPDX-License-Identifier: Apache-2.0
"""The ledger: agent and collector tell the same of each instance's events, it adds up at any moment
and over restarts, and where somebody takes events away it says so."""
import json
import subprocess
import time

import pytest

from lab import conntrack_max, wait_until
from oracle import generate
from programs import BIN, Stack
from test_nothing_is_lost_silently import end_all, start_traffic
from test_spool import spool

TERMS = ("stored", "quarantined", "damaged", "retained", "merged", "lost")


def server(stack):
    """Over its socket, so that asking makes no flows."""
    return ("--server", f"unix:{stack.collector_socket}")


def flowtrail(stack, *words):
    """(exit code, standard output)"""
    process = stack.agent_ns.spawn(BIN / "flowtrail", *words)
    return process.wait(30), process.output()


def check_equation(account):
    assert account["observed"] == sum(account.get(term, 0) for term in TERMS), account
    assert account["lost"] == sum(account["lost_by_cause"].values()), account
    assert account["unaccounted"] == 0, account


def check_row(row):
    """What each side says holds for itself, whatever moment it is."""
    check_equation(row["account"])
    agent, collector = row.get("agent"), row.get("collector")
    if agent:
        assert agent["observed"] == (agent["acknowledged"] + agent["retained"] + agent["merged"] +
                                     agent["lost"]), row
    if collector:
        assert collector["taken"] == (collector["stored"] + collector["waiting"] +
                                      collector["quarantined"] + collector["damaged"]), row
        assert collector["numbered"] == (collector["taken"] + collector["rejected"] +
                                         collector["missing"]), row


def check_answer(code, answer, codes=(0,)):
    assert code in codes, answer
    assert code == {True: 0, False: 1, None: 2}[answer["balanced"]], answer
    check_equation(answer["total"]["account"])
    for row in answer["ledger"]:
        check_row(row)
    assert answer["total"]["instances"] == len(answer["ledger"])
    for term in ("observed", *TERMS):
        assert answer["total"]["account"].get(term, 0) == sum(
            row["account"].get(term, 0) for row in answer["ledger"]), term
    return answer["ledger"]


def ask(stack, *words, codes=(0,)):
    """The rows, checked: of the agent, or with server() of the collector."""
    where = words or ("--agent", stack.socket)
    code, out = flowtrail(stack, "ledger", *where, "-o", "json")
    return check_answer(code, json.loads(out), codes)


def check_agree(stack):
    """Both at rest: the same numbers, and they are what is in the store."""
    mine, = ask(stack)
    told = stack.get("/api/v1/status")["time"]
    theirs = wait_until(
        lambda: next((row for row in ask(stack, *server(stack), codes=(0, 2))
                      if row["instance_id"] == mine["instance_id"] and
                      row["agent"]["told"] > told), None), 20, "a newer word of the agent")
    for name in ("observed", "filtered", "merged", "acknowledged", "retained", "lost",
                 "lost_by_cause", "sealed", "sent"):
        assert theirs["agent"][name] == mine["agent"][name], name
    for name in ("observed", "stored", "retained", "merged", "lost", "lost_by_cause"):
        assert theirs["account"][name] == mine["account"][name], name
    assert theirs["account"]["retained"] == 0
    return theirs


def check_store(store, row):
    """The rows that are there are those that the ledger has."""
    where = f"instance_id = '{row['instance_id']}'"
    assert store.number(f"SELECT count(*) FROM flows WHERE {where}") == row["account"]["stored"]
    lost = {int(cause): int(count) for cause, count in store.query(
        f"SELECT loss_cause, sum(loss_count) FROM flows WHERE {where} AND type = 5 GROUP BY 1")}
    assert sum(lost.values()) == row["account"]["lost"], lost


def check_metrics(stack):
    for program in ("agent", "collector"):
        text = (stack.ask_agent("/metrics")[1] if program == "agent"
                else stack.get("/metrics", raw=True)[1])
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                              text=True, check=False)
        assert "error" not in done.stderr.lower(), done.stderr
        assert stack.metrics(program)[f"flowtrail_{program}_unaccounted_events"] == 0


def test_it_adds_up_while_events_come_and_both_sides_agree(host):
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_collector(ingest={"status_interval": "300ms"})
        stack.start_agent()
        traffic = start_traffic(host.ns, total=40_000, rate=8_000)
        looks = 0
        while traffic.process.alive():
            ask(stack)
            ask(stack, *server(stack))
            looks += 1
        traffic.report()
        end_all(host.ns)
        stack.settle()
        row = check_agree(stack)
        check_metrics(stack)
        code, out = flowtrail(stack, "ledger", *server(stack), "--detail")
        assert code == 0 and "Balanced: 1 instance." in out, out
        assert f"acknowledged {row['agent']['acknowledged']}" in out, out
        store = stack.finish()
    assert looks >= 5
    check_store(store, row)


def test_it_outlives_collector_and_agent(host):
    """Killed one after the other amid traffic; the agent has a spool and stays the same instance."""
    fast = {"ingest": {"status_interval": "300ms"}}
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_collector(**fast)
        stack.start_agent(spool=spool(stack))
        traffic = start_traffic(host.ns, total=40_000, rate=6_000)
        for victim in ("collector", "agent", "collector", "agent"):
            time.sleep(1)
            if victim == "collector":
                stack.collector.kill()
                ask(stack)
                stack.start_collector(**fast)
            else:
                stack.agent.kill()
                row, = ask(stack, *server(stack))
                assert row["state"] in ("away", "connected")
                stack.start_agent(spool=spool(stack))
            ask(stack)
            ask(stack, *server(stack))
        traffic.report()
        end_all(host.ns)
        stack.settle(timeout=120)
        row = check_agree(stack)
        # Both gone, the collector comes back alone: what it knew is as of the agent's last word.
        assert stack.agent.stop(70) == 0
        before, = ask(stack, *server(stack))
        stack.collector.kill()
        stack.start_collector(**fast)
        after, = ask(stack, *server(stack))
        assert before["state"] == after["state"] == "away"
        for row in before, after:
            del row["agent"]["told"]  # A crash may cost the last second of it.
        assert (before["agent"], before["account"]) == (after["agent"], after["account"])
        assert after["collector"]["duplicate"] == before["collector"]["duplicate"]
        assert "balanced, as of " in flowtrail(stack, "ledger", *server(stack))[1]
        store = stack.finish()
    check_store(store, after)
    assert row["account"]["lost"] == 0


def test_an_instance_that_ended_is_never_wrongly_balanced(host):
    """Without a spool a killed agent comes back as another instance."""
    stack = Stack(host.ns)
    stack.start_collector(ingest={"status_interval": "200ms"})
    stack.start_agent()
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=500, rate=5000, seconds=0.1)
    stack.settle()
    # It is away when it observes some more, and nobody ever hears of that.
    assert stack.collector.stop() == 0
    generate(host.ns, "udp", to="127.65.0.0:9", bind="127.0.0.1", spread=500, rate=5000, seconds=0.1)
    wait_until(lambda: ask(stack)[0]["account"]["retained"] >= 500, 20, "the agent to retain them")
    stack.agent.kill()
    stack.start_collector(ingest={"status_interval": "200ms"})
    stack.start_agent()
    rows = wait_until(lambda: len(found := ask(stack, *server(stack), codes=(0, 2))) == 2 and found, 20,
                      "the second instance")
    ended, = (row for row in rows if row["state"] == "ended")
    assert ended["balanced"] is (True if ended["account"]["retained"] == 0 else None)
    other, = (row for row in rows if row["state"] == "connected")
    assert wait_until(lambda: [row["balanced"] for row in ask(stack, *server(stack), codes=(0, 2))
                               if row["instance_id"] == other["instance_id"]] == [True])
    stack.finish()


def test_a_loss_is_told_by_cause(host):
    """A log of 1 MiB, nobody to deliver to, and more than it can hold."""
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_agent(log={"bytes_max": "1MiB"})
        start_traffic(host.ns, total=60_000, rate=30_000).report()
        end_all(host.ns)
        row = wait_until(lambda: ask(stack)[0], 10)
        assert row["state"] != "active" and row["account"]["stored"] == 0
        assert row["account"]["lost_by_cause"]["LOG_FULL"] > 0
        stack.start_collector(ingest={"status_interval": "300ms"})
        stack.settle(timeout=120)
        row = check_agree(stack)
        lost = row["account"]["lost_by_cause"]["LOG_FULL"]
        code, out = flowtrail(stack, "ledger", *server(stack), "--detail")
        assert code == 0 and f"lost: LOG_FULL {lost}" in out, out
        code, out = flowtrail(stack, "losses", *server(stack), "-o", "json")
        told = [json.loads(line)["loss"]["count"] for line in out.splitlines()]
        assert code == 1 and sum(told) == row["account"]["lost"]
        check_metrics(stack)
        store = stack.finish()
    check_store(store, row)


@pytest.mark.parametrize("how, tables, why", (
    ("stop", ("flows",), "events that somebody has deleted from the store"),
    ("stop", ("flows", "instance_marks"), "events that the agent believes here and are not"),
    ("kill", ("flows", "instance_marks"),
     "events that were here before the last start and are not")))
def test_events_that_somebody_takes_away_are_missed(host, how, tables, why):
    """Whether the agent has told its account at its end or not; with and without the traces."""
    stack = Stack(host.ns)
    stack.start_collector(ingest={"status_interval": "1h"})
    stack.start_agent()
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=500, rate=5000, seconds=0.1)
    end_all(host.ns)
    stack.settle()
    if how == "kill":
        stack.agent.kill()
    store = stack.stop()
    stack.start_collector()
    before, = ask(stack, *server(stack))
    assert before["account"]["stored"] >= 1000
    assert before["agent"]["acknowledged"] == (before["account"]["stored"] if how == "stop" else 0)
    assert stack.collector.stop() == 0
    for table in tables:
        store.change(f"DELETE FROM {table} WHERE instance_id = '{before['instance_id']}'")
    stack.start_collector()
    code, out = flowtrail(stack, "ledger", *server(stack), "-o", "json")
    answer = json.loads(out)
    row, = answer["ledger"]
    missed = row["account"]["unaccounted"]
    assert code == 1 and answer["balanced"] is row["balanced"] is False, answer
    assert missed == before["account"]["stored"], answer
    assert row["why"] == f"{why}: {missed}"
    code, out = flowtrail(stack, "ledger", *server(stack))
    assert code == 1 and f"NOT BALANCED: 1 of 1 instances, {missed} events unaccounted for" in out
    code, out = flowtrail(stack, "status", *server(stack))
    assert code == 2 and "NOT BALANCED" in out and str(missed) in out, out
    metrics = stack.metrics("collector")
    assert metrics["flowtrail_collector_unaccounted_events"] == missed
    assert metrics["flowtrail_collector_unbalanced_agents"] == 1
    stack.collector.wait_for(f"does not balance: {why}: {missed}", 15)
    # It is kept, too.
    assert stack.collector.stop() == 0
    stack.start_collector()
    assert flowtrail(stack, "ledger", *server(stack))[0] == 1
