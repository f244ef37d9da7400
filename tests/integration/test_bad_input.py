# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear error, loses nothing and disturbs nobody else."""
import json
import pathlib
import time

import pytest

from lab import wait_until
from oracle import generate
from programs import BIN, STREAM_PORT, Stack, make_certificates

PROGRAMS = ("flowtraild", "flowtrail-collector")
FOREIGN = pathlib.Path(__file__).with_name("foreign_client.py")


def check(host, tmp_path, program, text):
    """--check of a configuration: (exit code, what it printed)."""
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    process = host.ns.spawn(BIN / program, "--config", path, "--check")
    return process.wait(10), process.output() + process.errors()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("text, words", (
    ("logging: {level: [}\n", ("bad.yaml:1",)),
    ("logging:\n  level: info\n  levle: debug\n", ("bad.yaml:3", "levle", "level")),
    ("logging:\n  level: loud\n", ("bad.yaml:2", "loud", "info")),
    ("logging: yes please\n", ("bad.yaml:1", "logging")),
    ("stop_timeout: 5 parsecs\n", ("bad.yaml:1", "stop_timeout")),
    ("logging:\n\tlevel: info\n", ("bad.yaml:2",)),
    ("logging:\n  level: info\n  level: debug\n", ("bad.yaml:3", "level")),
), ids=("syntax", "unknown key", "unknown value", "wrong type", "unit", "tab", "twice"))
def test_configuration_is_refused_with_its_line(host, tmp_path, program, text, words):
    status, printed = check(host, tmp_path, program, text)
    assert status != 0
    for word in words:
        assert word in printed, printed
    assert len(printed.splitlines()) <= 6, printed


def test_plaintext_must_be_asked_for(host, tmp_path):
    status, printed = check(host, tmp_path, "flowtraild", "collector: {url: 'http://[::1]:4319'}\n")
    assert status != 0 and "plaintext" in printed


def test_broken_reload_keeps_the_running_configuration(host):
    stack = Stack(host.ns).start()
    stack.write("flowtraild.yaml", {"capture": {"mode": "sideways"}})
    stack.agent.signal(1)
    wait_until(lambda: "sideways" in stack.agent.errors(), 10, "the refusal")
    traffic(host, "127.64.0.0", 10)
    host.ns.flush()
    events = stack.finish().events()
    assert sum(1 for e in events if e.type == 3 and e.dport == 9) == 10


def traffic(host, first, count):
    """That many flows, from one port to as many addresses: ephemeral ports might repeat."""
    generate(host.ns, "udp", to=f"{first}:9", bind="127.0.0.1", spread=count, count=count)


def traffic_and_finish(host, stack, count=100):
    traffic(host, "127.66.0.0", count)
    host.ns.flush()
    return [e for e in stack.finish().events() if e.dport == 9]


def test_unreachable_collector(host):
    """Nobody listens: the agent says so, goes on, and delivers when there is someone."""
    stack = Stack(host.ns)
    stack.start_agent()
    wait_until(lambda: "refused" in stack.agent.errors().lower()
               or "unavailable" in stack.agent.errors().lower(), 15, "the agent to say so")
    traffic(host, "127.64.0.0", 100)
    stack.start_collector()
    host.ns.flush()
    assert sum(1 for e in stack.finish().events() if e.type == 3 and e.dport == 9) == 100


def test_wrong_token_then_the_right_one(host):
    stack = Stack(host.ns)
    stack.start_collector()
    right = (stack.tmp / "token").read_text()
    (stack.tmp / "token").write_text("this-is-not-the-token-it-wants\n")
    stack.start_agent()
    wait_until(lambda: "token" in stack.agent.errors().lower()
               or "unauthenticated" in stack.agent.errors().lower(), 15, "the agent to say so")
    traffic(host, "127.64.0.0", 50)
    (stack.tmp / "token").write_text(right)
    stack.agent.signal(1)
    wait_until(lambda: stack.get("/api/v1/agents", raw=True)[1].count(stack.agent_id), 90,
               "the agent to be let in")
    assert len([e for e in traffic_and_finish(host, stack, 50) if e.type == 3]) == 100


@pytest.mark.parametrize("authority", ("good-ca", "other-ca"))
def test_tls(host, authority):
    stack = Stack(host.ns)
    make_certificates(stack.tmp)
    stack.start_collector(ingest={"plaintext": False, "cert_file": str(stack.tmp / "server.pem"),
                                  "key_file": str(stack.tmp / "server.key")})
    stack.start_agent(collector={"url": f"https://127.0.0.1:{STREAM_PORT}", "plaintext": False,
                                 "ca_file": str(stack.tmp / f"{authority}.pem")},
                      stop_timeout="1s")
    if authority == "good-ca":
        assert len(traffic_and_finish(host, stack)) == 200
        return
    traffic(host, "127.64.0.0", 5)
    wait_until(lambda: "certificate" in stack.agent.errors().lower()
               or "handshake" in stack.agent.errors().lower()
               or "tls" in stack.agent.errors().lower(), 15, "the agent to say so")
    assert stack.agent.alive()
    stack.stop()


def segments(stack):
    return sorted((p for p in stack.directory.rglob("*") if p.is_file() and "duckdb" not in p.name
                   and p.stat().st_size > 4096), key=lambda p: p.name)


@pytest.mark.parametrize("damage", ("truncated", "flipped", "zeroed tail"))
def test_damaged_log_segments(host, damage):
    """The collector starts, keeps what is whole, says what is not, and goes on taking events."""
    stack = Stack(host.ns)
    stack.start_collector(log={"segment_bytes": "1MiB", "bytes_max": "64MiB"})
    stack.start_agent()
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=20_000, rate=20_000,
             seconds=1)
    host.ns.flush()
    stack.settle()
    stack.collector.kill()
    files = segments(stack)
    assert files, list(stack.directory.rglob("*"))
    last = files[-1]
    data = bytearray(last.read_bytes())
    if damage == "truncated":
        data = data[: len(data) * 2 // 3]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0x10
    else:
        data[-3000:] = bytes(3000)
    last.write_bytes(data)
    stack.start_collector(log={"segment_bytes": "1MiB", "bytes_max": "64MiB"})
    generate(host.ns, "udp", to="127.65.0.0:10", bind="127.0.0.1", spread=500, rate=5000,
             seconds=0.1)
    host.ns.flush()
    stack.settle()
    store = stack.stop()
    # What DuckDB had taken before the damage is there all the same.
    assert store.number("SELECT count(*) FROM flows WHERE dst_port = 9") == 40_000
    assert store.number("SELECT count(*) - count(DISTINCT (instance_id, seq)) FROM flows") == 0
    assert store.number("SELECT count(*) FROM flows WHERE dst_port = 10") == 1000


def test_messages_that_no_agent_sends(host):
    """Each is answered with its own error; an agent on the same collector notices nothing."""
    stack = Stack(host.ns).start()
    token = (stack.tmp / "token").read_text().strip()
    foreign = host.ns.spawn("/usr/bin/python3", FOREIGN, f"127.0.0.1:{STREAM_PORT}", token)
    begin, rounds = time.monotonic(), 0
    while foreign.alive() and time.monotonic() - begin < 120:
        traffic(host, f"127.64.{rounds}.0", 20)
        rounds += 1
        time.sleep(0.3)
    assert foreign.wait(10) == 0, foreign.tail()
    results = json.loads(foreign.output())
    codes = {name: result["code"] for name, result in results.items()}
    assert results["good"]["durable_seq"] == 3, results["good"]
    assert codes["health"] == "OK"
    assert codes["unknown method"] == "UNIMPLEMENTED"
    for name in ("no token", "wrong token", "short token"):
        assert codes[name] == "UNAUTHENTICATED", (name, results[name])
    for name in ("garbage", "empty message", "batch before hello", "hello twice", "ids too short",
                 "another instance's batch"):
        assert codes[name] == "INVALID_ARGUMENT", (name, results[name])
    assert codes["version 9"] == "FAILED_PRECONDITION", results["version 9"]
    assert codes["another collector's log"] == "FAILED_PRECONDITION", results
    assert codes["oversized"] == "RESOURCE_EXHAUSTED", results["oversized"]
    for name in ("count without columns", "count of millions", "columns too short", "bad index"):
        result = results[name]
        assert result["rejected"] or result["code"] == "INVALID_ARGUMENT", (name, result)
        assert result["details"] or result["rejected"], (name, result)
    host.ns.flush()
    store = stack.finish()
    ends = store.number("SELECT count(*) FROM flows WHERE dst_port = 9 AND type = 3")
    assert ends == rounds * 20
    assert stack.collector.popen.returncode == 0
