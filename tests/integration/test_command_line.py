# SPDX-License-Identifier: Apache-2.0
"""flowtrail, the command line: what a person and a script see."""
import json

import pytest

from lab import wait_until
from oracle import generate
from programs import BIN, PAGE_PORT, Stack

COMMANDS = ("observe", "status", "doctor", "losses", "ledger", "token", "version", "completion")


def flowtrail(stack, *words, env=None):
    """(exit code, standard output, standard error)"""
    process = stack.agent_ns.spawn(BIN / "flowtrail", *words, env=env)
    return process.wait(30), process.output(), process.errors()


@pytest.fixture
def stack(host):
    # A busy machine may make the adaptive capture step down, which the status calls degraded.
    running = Stack(host.ns).start(capture={"mode": "full"})
    generate(host.ns, "udp-client", to="127.0.0.1:9", count=30, send=5)
    host.ns.flush()
    running.settle()
    yield running
    running.stop()


def server():
    return ("--server", f"127.0.0.1:{PAGE_PORT}")


def test_observe_stored(stack):
    code, out, err = flowtrail(stack, "observe", *server(), "--port", "9", "--type", "end",
                               "--last", "100", "-o", "json")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 30
    assert {(row["type"], row["dst_port"], row["protocol_name"]) for row in rows} == {
        ("END", 9, "udp")}
    code, out, _ = flowtrail(stack, "observe", *server(), "--port", "9", "--last", "100")
    assert code == 0 and len(out.splitlines()) == 60
    assert "\x1b" not in out, "a pipe gets no colours"


def test_observe_live(stack):
    process = stack.agent_ns.spawn(BIN / "flowtrail", "observe", "-f", *server(), "--to-port",
                                   "1234", "--not", "--type", "end")

    def shown():
        generate(stack.agent_ns, "udp-client", to="127.0.0.1:1234", count=2, send=5)
        return "1234" in process.output()

    wait_until(shown, 20, "a flow to be shown")
    process.signal(2)
    assert process.wait(10) in (0, 130)


def test_observe_asks_the_agent_too(stack):
    process = stack.agent_ns.spawn(BIN / "flowtrail", "observe", "-f", "--agent", stack.socket)

    def shown():
        generate(stack.agent_ns, "udp-client", to="127.0.0.1:1235", count=2, send=5)
        return "1235" in process.output()

    wait_until(shown, 20, "a flow to be shown")


def test_status_tells_each_component(stack):
    code, out, err = flowtrail(stack, "status", "--agent", stack.socket)
    assert code == 0, out + err
    for word in ("capture", "log", "stream", "configuration", "account"):
        assert word in out.lower(), out
    assert stack.collector.stop() == 0
    wait_until(lambda: flowtrail(stack, "status", "--agent", stack.socket)[0] in (1, 2), 20,
               "the status to show that the collector is away")
    stack.start_collector()
    wait_until(lambda: flowtrail(stack, "status", "--agent", stack.socket)[0] == 0, 30,
               "the status to be well again")


def test_status_without_an_agent(stack):
    code, out, err = flowtrail(stack, "status", "--agent", "/nowhere/agent.sock")
    assert code == 2 and "/nowhere/agent.sock" in out + err


def test_doctor(stack):
    code, out, err = flowtrail(stack, "doctor", "--agent", stack.socket)
    assert code in (0, 1), out + err
    for word in ("nf_conntrack_acct", "token", "clock"):
        assert word in out.lower(), out


def test_losses_when_there_are_none(stack):
    code, out, err = flowtrail(stack, "losses", *server())
    assert code == 0, out + err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(stack, command):
    code, out, _ = flowtrail(stack, command, "--help")
    assert code == 0 and command in out and len(out.splitlines()) > 3


def test_mistakes_are_answered_with_the_right_word(stack):
    code, out, err = flowtrail(stack, "obsrve")
    assert code == 64 and "observe" in err and not out
    code, out, err = flowtrail(stack, "observe", "--prot", "tcp")
    assert code == 64 and "--protocol" in err and not out
