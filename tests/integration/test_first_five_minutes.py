# SPDX-License-Identifier: Apache-2.0
"""What a newcomer does: tools/run, on the machine and in the lab."""
import os
import pathlib
import re
import signal

import pytest

from lab import NETNS, wait_until
from oracle import generate

SESSION = pathlib.Path(__file__).resolve().parents[2] / "tools" / "run_session.py"


def state(ns):
    switches = [ns.sysctl(f"net.netfilter.nf_conntrack_{name}")
                for name in ("acct", "timestamp", "events")]
    return switches, ns.run("nft", "list", "tables")


def start(ns, *flags):
    return ns.spawn("/usr/bin/python3", "-B", SESSION, *flags, name="tools-run",
                    env={"PYTHONUNBUFFERED": "1"})


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {pathlib.Path(f"/proc/{child}/comm").read_text().strip(): int(child)
            for child in text.split()}


@pytest.mark.parametrize("end", (signal.SIGINT, signal.SIGTERM))
def test_shows_this_machines_connections_and_leaves_no_trace(host, end):
    before = state(host.ns)
    session = start(host.ns)
    session.wait_for("page: http://127.0.0.1:", 60)
    programs = {"flowtraild", "flowtrail-colle", "flowtrail"}
    wait_until(lambda: programs <= set(children(session.pid)), what="all three to run")
    started = children(session.pid)

    def seen():
        generate(host.ns, "udp-client", to="127.0.0.77:9", count=2, send=5)
        return "127.0.0.77" in session.output()

    wait_until(seen, 30, "a flow to be shown")
    session.signal(end)
    assert session.wait(40) == 0, session.tail()
    assert state(host.ns) == before
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in started.values())


@pytest.mark.parametrize("victim", ("flowtraild", "flowtrail-colle"))
def test_puts_the_machine_right_when_a_program_dies(host, victim):
    before = state(host.ns)
    session = start(host.ns)
    session.wait_for("page: http://127.0.0.1:", 60)
    wait_until(lambda: state(host.ns) != before, 20, "the agent to switch accounting on")
    os.kill(children(session.pid)[victim], signal.SIGKILL)
    assert session.wait(40) == 1, session.tail()
    assert victim[:9] in session.errors()
    assert state(host.ns) == before


def test_lab_touches_nothing_outside(host):
    """Run in a namespace of its own here, which stands for the machine."""
    before = state(host.ns)
    session = start(host.ns, "--lab", "--seconds", "15")
    session.wait_for("page: http://127.0.0.1:", 60)
    page = re.search(r"page: http://127\.0\.0\.1:(\d+)", session.output()).group(1)

    def fetch():
        with host.ns.connect("127.0.0.1", int(page)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return connection.makefile("rb").read()

    assert b"200" in fetch().split(b"\r\n")[0]
    wait_until(lambda: "203.0.113.80" in session.output(), 30, "a forwarded flow to be shown")
    assert session.wait(90) == 0, session.tail()
    assert "198.51.100.2" in session.output() and "2001:db8:" in session.output()
    assert state(host.ns) == before
    assert not list(NETNS.glob(f"ft-{session.pid}-*"))
