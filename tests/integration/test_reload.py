# SPDX-License-Identifier: Apache-2.0
"""SIGHUP again and again, with good and broken files in turn: the last good one stays, nothing
leaks, and no event is lost meanwhile."""
import os
import pathlib
import shutil
import signal
import time

import yaml

from faults import scale, told
from lab import wait_until
from oracle import generate
from programs import Stack

ROUNDS = scale("FT_RELOADS", 100)
# The first ones make what is made once: arenas of malloc, DNS, TLS.
WARM_UP = 20
# How long it is watched for what it holds then: an agent connects anew after each good one, and
# holds less until it has.
WATCH_S = 3
# What a process may keep besides: pages that its allocator has not given back.
GROWTH_KIB_MAX = 8 << 10
REFUSED = "keeping the configuration in use"

# None: there is no file; a directory stands in its place.
BROKEN = (b"logging: {level: [}\n", b"stop_timeout: 5 parsecs\n", b"no_such_key: 1\n", b"\0\0\0\n",
          b"logging: [1, 2]\n", b"x: " + b"[" * 5000, b"x" * (2 << 20), b"\xff\xfe\xff", None,
          "directory")


def put(path, content):
    """In one step, as an editor does, so that no half file is read."""
    if path.is_dir():
        shutil.rmtree(path)
    if content is None:
        path.unlink(missing_ok=True)
    elif content == "directory":
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(content)
        fresh.rename(path)


def held(process):
    """(descriptors, threads, resident KiB)"""
    proc = pathlib.Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return (len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")),
            int(status["VmRSS"].split()[0]))


def most_held(process):
    """The most of each that is held while WATCH_S pass."""
    most = held(process)
    end = time.monotonic() + WATCH_S
    while time.monotonic() < end:
        time.sleep(0.05)
        most = tuple(map(max, most, held(process)))
    return most


def reload(process, answer, count):
    """One SIGHUP, and waits until the program has answered it: two at once may become one."""
    before = process.errors().count(answer)
    process.signal(signal.SIGHUP)
    wait_until(lambda: process.errors().count(answer) > before or not process.alive(), 20,
               f"reload {count} of {process.name}")
    assert process.alive(), process.tail()


def flap(process, path, good, reloaded, on_good=lambda i: None):
    """Reloads ROUNDS times; returns the most that was held after the warm-up."""
    warm = None
    for i in range(ROUNDS):
        if i % 2 == 0:
            put(path, BROKEN[i // 2 % len(BROKEN)])
            reload(process, REFUSED, i)
        else:
            put(path, good[i // 2 % len(good)])
            reload(process, reloaded, i)
            on_good(i)
        if i == WARM_UP:
            warm = most_held(process)
    assert process.errors().count(REFUSED) == (ROUNDS + 1) // 2
    return warm


def check_held(process, warm):
    def settled():
        now = held(process)
        return now[0] <= warm[0] + 2 and now[1] <= warm[1]

    wait_until(settled, 30, f"{process.name} to hold no more than {warm}: {held(process)}")
    grown = held(process)[2] - warm[2]
    assert grown < GROWTH_KIB_MAX, f"{process.name} grew by {grown} KiB from {warm}"
    return grown


def encode(config):
    return yaml.safe_dump(config, sort_keys=False).encode()


def test_agent_keeps_the_last_good_configuration(host):
    stack = Stack(host.ns).start()
    path = stack.tmp / "flowtraild.yaml"
    rule = {"action": "drop", "ports": ["7"], "protocols": ["udp"]}
    # The last good one leaves port 7 out.
    good = (encode(stack.agent_config()), encode(stack.agent_config(filter={"rules": [rule]})))
    good = good if ROUNDS // 2 % 2 == 0 else good[::-1]
    warm = flap(stack.agent, path, good, "configuration reloaded")
    put(path, b"broken: [\n")
    reload(stack.agent, REFUSED, ROUNDS)
    grown = check_held(stack.agent, warm)
    for port in (7, 9):
        generate(host.ns, "udp", to=f"127.64.0.0:{port}", bind="127.0.0.1", spread=20, count=20)
    host.ns.flush()
    events = stack.finish().events()
    assert sum(1 for e in events if e.type == 3 and e.dport == 9) == 20
    assert sum(1 for e in events if e.dport == 7) == 0
    told("R24", f"flowtraild: {ROUNDS} SIGHUPs with good and broken files in turn; the last good one "
                f"stays, no descriptor or thread more, {grown} KiB")


def test_collector_keeps_the_last_good_configuration(host):
    stack = Stack(host.ns).start()
    path = stack.tmp / "collector.yaml"
    tokens = stack.tmp / "tokens"
    right = tokens.read_bytes()
    good = (encode(stack.collector_config(logging={"level": "debug"})),
            encode(stack.collector_config(logging={"level": "info"})))

    def spoil_tokens(i):
        """Broken tokens are passed over as broken configurations are."""
        if i % 10 == 1:
            tokens.write_bytes(b"no token: at all\n")
            reload(stack.collector, "keeping the tokens in use", i)
            tokens.write_bytes(right)

    warm = flap(stack.collector, path, good, "reloaded: 1 tokens", spoil_tokens)
    grown = check_held(stack.collector, warm)
    generate(host.ns, "udp", to="127.64.0.0:9", bind="127.0.0.1", spread=20, count=20)
    host.ns.flush()
    events = stack.finish().events()
    assert sum(1 for e in events if e.type == 3 and e.dport == 9) == 20
    told("R24", f"flowtrail-collector: {ROUNDS} SIGHUPs with good and broken files in turn; the last "
                f"good one stays, no descriptor or thread more, {grown} KiB")
