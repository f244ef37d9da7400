# SPDX-License-Identifier: Apache-2.0
"""The agent's spool: what it took in is delivered once, whatever happens to the agent, its disk and its
host, and what is lost is told to the event."""
import json
import pathlib
import random
import re
import shutil
import time

from faults import SmallDisk, scale, told
from lab import conntrack_max, run, wait_until
from oracle import BUILD, generate
from programs import BIN, Stack
from test_nothing_is_lost_silently import check_each_once, end_all, start_traffic

BENCH = BUILD / "tests" / "unit" / "agent" / "bench_spool"
START, END, LOSS = 1, 3, 5
LOG_FULL, CRASH = 4, 9


def spool(stack, **more):
    return {"path": str(stack.tmp / "spool"), "sync_interval": "100ms", **more}


def status(stack):
    return json.loads(stack.ask_agent("/api/v1/status")[1])


def account(stack):
    return status(stack)["account"]


def wait_observed(stack, count):
    """Until the agent has seen so many events and its blocks are in the spool."""
    wait_until(lambda: account(stack)["observed"] >= count, 30, f"{count} events")
    wait_until(lambda: status(stack)["spool"]["waiting_bytes"] == 0, 10, "the spool to have them")


def check_balanced(stack):
    now = account(stack)
    assert now["balanced"], now
    return now


def test_agent_is_killed_while_the_collector_is_away(host):
    """Killed in the middle of it, with nobody to deliver to: everything arrives later, once."""
    total = 60_000
    with conntrack_max(400_000):
        stack = Stack(host.ns)
        stack.start_agent(spool=spool(stack))
        traffic = start_traffic(host.ns, total=total, rate=10_000)
        for _ in range(4):
            time.sleep(1.2)
            stack.agent.kill()
            stack.start_agent(spool=spool(stack))
            check_balanced(stack)
        traffic.report()
        end_all(host.ns)
        time.sleep(1)
        stack.agent.kill()
        stack.start_agent(spool=spool(stack))
        retained = check_balanced(stack)["retained"]
        stack.start_collector()
        store = stack.finish(timeout=120)
    check_each_once(store, total)
    assert retained >= 2 * total
    assert store.count("LOSS") == 0
    assert store.number("SELECT count(DISTINCT instance_id) FROM flows") == 1


def test_without_a_working_memory_a_kill_costs_the_open_block_and_says_so(host):
    """The numbers outlive the process even where the events do not: the LOSS is exact."""
    stack = Stack(host.ns)
    changes = {"spool": spool(stack), "capture": {"crash_safe": "off"},
               "log": {"flush_interval": "10s"}}
    stack.start_agent(**changes)
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=700, rate=7000, seconds=0.1)
    wait_until(lambda: account(stack)["observed"] >= 700, 20, "the agent to see them")
    observed = check_balanced(stack)["observed"]
    stack.agent.kill()
    stack.start_collector()
    stack.start_agent(**changes)
    check_balanced(stack)
    store = stack.finish()
    lost = store.number(f"SELECT sum(loss_count) FROM flows WHERE loss_cause = {CRASH}")
    assert 0 < lost <= observed
    first, last, estimated = store.query(
        "SELECT loss_first_seq, loss_last_seq, loss_estimated FROM flows"
        f" WHERE loss_cause = {CRASH}")[0]
    assert int(last) - int(first) + 1 == lost and estimated == "false"
    assert int(last) >= observed


def test_a_stop_without_a_collector_keeps_everything(host):
    stack = Stack(host.ns)
    changes = {"spool": spool(stack), "stop_timeout": "1s"}
    stack.start_agent(**changes)
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=500, rate=5000, seconds=0.1)
    wait_observed(stack, 500)
    assert stack.agent.stop(30) == 0
    assert "retained in the spool" in stack.agent.errors()
    stack.start_collector()
    stack.start_agent(**changes)
    end_all(host.ns)
    store = stack.finish()
    check_each_once(store, 500)


def peak_mib(process):
    """Of resident memory, since the process began."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def test_a_large_backlog_takes_neither_time_nor_memory(host):
    """An agent begins with what another one could not deliver for days (written by the benchmark,
    which was killed while it wrote)."""
    gib = scale("FT_SPOOL_GIB", 1)
    stack = Stack(host.ns)
    path = stack.tmp / "spool"
    path.mkdir()
    try:
        filled = run([BENCH, path, gib])
        events = json.loads(filled.splitlines()[0])["events"]
        begin = time.monotonic()
        stack.start_agent(spool=spool(stack, bytes_max=f"{2 * gib}GiB"), stop_timeout="1s")
        took = time.monotonic() - begin
        now = check_balanced(stack)
        assert now["retained"] >= events
        memory = peak_mib(stack.agent)
        assert memory <= 64, f"{memory:.0f} MiB"
        assert stack.agent.stop(30) == 0, stack.agent.tail()
    finally:
        shutil.rmtree(path)
    told("R14", f"{gib} GiB, {events:,} events: the agent capturing after {took:.2f} s, "
                f"{memory:.0f} MiB at most")


def test_two_agents_do_not_share_a_spool(host):
    stack = Stack(host.ns)
    stack.start_agent(spool=spool(stack))
    path = stack.write("second.yaml", stack.agent_config(
        spool=spool(stack), control={"socket": str(stack.socket) + "2"}))
    second = host.ns.spawn(BIN / "flowtraild", "--config", path)
    assert second.wait(20) != 0
    assert "in use by another agent" in second.errors()
    assert stack.agent_is_capturing()
    stack.start_collector()
    stack.finish()


def test_a_small_file_system_is_filled_and_freed(host):
    """The spool may be larger than its file system, which others fill and free; the collector is away
    until the end.  No crash, the account balances all the time, and each loss is told."""
    cycles = scale("FT_DISK_CYCLES", 20)
    dice = random.Random(7)
    stack = Stack(host.ns)
    disk = SmallDisk(stack.tmp / "small", "24m")
    changes = {"spool": {"path": str(stack.tmp / "small" / "spool"), "bytes_max": "1GiB",
                         "free_ratio_min": "5%", "sync_interval": "50ms"},
               "log": {"flush_interval": "100ms", "bytes_max": "2MiB"}}
    try:
        stack.start_agent(**changes)
        for n in range(cycles):
            disk.fill()
            generate(host.ns, "udp", to=f"127.{64 + n}.0.0:9", bind="127.0.0.1", spread=20_000,
                     rate=20_000, seconds=1)
            host.ns.flush()
            check_balanced(stack)
            if dice.random() < 0.3:
                stack.agent.kill()
                stack.start_agent(**changes)
            disk.free()
            assert stack.agent.alive(), stack.agent.tail()
            wait_until(lambda: status(stack)["spool"]["waiting_bytes"] == 0, 5,
                       "the spool to take events again")
        full = check_balanced(stack)
        stack.start_collector()
        wait_until(lambda: host.ns.conntrack_count() < 100, 60, "the kernel to have told all")
        stack.settle(timeout=120)
        at_end = check_balanced(stack)
        store = stack.stop()
    finally:
        disk.remove()
    assert full["lost_by_cause"].get("LOG_FULL", 0) > 0
    # So many that not every LOSS can name its numbers; the counts are exact.
    assert at_end["lost"] == store.number("SELECT sum(loss_count) FROM flows WHERE type = 5")
    assert at_end["stored"] == store.number("SELECT count(*) FROM flows")
    assert store.number("SELECT count(*) - count(DISTINCT seq) FROM flows") == 0
    begun = store.number("SELECT sum(coalesce(n_starts, (type = 1)::INT)) FROM flows"
                         " WHERE dst_port = 9")
    assert begun <= cycles * 20_000
    assert at_end["observed"] >= 2 * cycles * 20_000
    told("R13", f"agent, {cycles} times full, {at_end['observed']:,} events observed, "
                f"{at_end['merged']:,} merged, {at_end['lost']:,} told as lost to the event")


def talk(host, net, flows):
    """Two events for each flow."""
    generate(host.ns, "udp", to=f"127.{net}.0.0:9", bind="127.0.0.1", spread=flows, rate=flows * 10,
             seconds=0.1)
    end_all(host.ns)


def fork(host, stack, changes, meanwhile):
    """600 events, of which a copy of the spool is made, as a backup or a snapshot leaves it; then
    'meanwhile' flows more, which only the collector knows once the copy is in place again."""
    stack.start_agent(**changes)
    talk(host, 64, 300)
    wait_observed(stack, 600)
    assert stack.agent.stop(30) == 0
    shutil.copytree(stack.tmp / "spool", stack.tmp / "backup")
    stack.start_collector()
    stack.start_agent(**changes)
    talk(host, 65, meanwhile)
    stack.settle()
    assert stack.agent.stop(30) == 0
    shutil.rmtree(stack.tmp / "spool")
    (stack.tmp / "backup").rename(stack.tmp / "spool")


def wait_forked(stack):
    """Returns the new instance.  It has all that nobody has acknowledged to this copy of the spool:
    which of it was delivered since, no number and no life can tell for certain."""
    wait_until(lambda: "set back to an earlier state" in stack.agent.errors(), 60,
               "the agent to see it")
    wait_until(lambda: account(stack)["retained"] == 0, 60, "the rest to be delivered")
    check_balanced(stack)
    behind, instance = re.search(r"all behind event (\d+) goes out as instance ([0-9a-f-]+)",
                                 stack.agent.errors()).groups()
    assert int(behind) == 0
    return instance


def check_forked(store, total, twice):
    """Every flow is there, of an instance once; those of the copy are there of both."""
    for kind in (START, END):
        counts = store.query("SELECT count(*), count(DISTINCT dst_addr), count(DISTINCT "
                             "(instance_id, dst_addr)), count(DISTINCT instance_id) FROM flows"
                             f" WHERE type = {kind} AND dst_port = 9")[0]
        assert list(map(int, counts)) == [total + twice, total, total + twice, 2], f"type {kind}"


def test_a_host_that_is_set_back_goes_on_as_another_instance(host):
    stack = Stack(host.ns)
    changes = {"spool": spool(stack), "stop_timeout": "1s"}
    fork(host, stack, changes, meanwhile=300)
    stack.start_agent(**changes)
    talk(host, 66, 300)
    instance = wait_forked(stack)
    shown = json.loads(stack.ask_agent("/api/v1/flows?limit=1000")[1])["flows"]
    assert shown and all(flow["instance_id"] == instance for flow in shown)
    check_forked(stack.finish(timeout=120), 900, twice=300)


def test_a_host_that_is_set_back_and_makes_more_than_it_had_loses_nothing(host):
    """None of the collector's numbers is beyond what the agent has when it connects."""
    stack = Stack(host.ns)
    changes = {"spool": spool(stack), "stop_timeout": "1s"}
    fork(host, stack, changes, meanwhile=150)
    assert stack.collector.stop(30) == 0
    stack.start_agent(**changes)
    talk(host, 66, 250)
    wait_observed(stack, 1100)
    stack.start_collector()
    wait_forked(stack)
    check_forked(stack.finish(timeout=120), 700, twice=300)
