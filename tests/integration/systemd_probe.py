# SPDX-License-Identifier: Apache-2.0
"""Runs below the systemd that systemd_boot.sh makes: what the units do there, as JSON.

  systemd_probe.py DIR     writes DIR/results, and DIR/log with what the units said
"""
import http.client
import json
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import time

UNITS = ("flowtraild", "flowtrail-collector")
DIR = pathlib.Path(sys.argv[1])
results = {}


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    return done.returncode, done.stdout + done.stderr


def show():
    """What systemd says of the units now."""
    states = {}
    for unit in UNITS:
        names = "ActiveState,SubState,Result,ExecMainStatus,NRestarts,MainPID"
        _, text = run("systemctl", "show", unit, "-p", names)
        states[unit] = dict(line.split("=", 1) for line in text.split())
    return states


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", 8319, timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def wait_for(name, predicate, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            value = predicate()
            if value:
                results[name] = value
                return
        except (OSError, ValueError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    results[name] = None


def stored():
    account = get("/api/v1/status")["account"]
    return account if account["stored"] >= 5 else None


def restarted():
    state = show()["flowtraild"]
    return state if state["NRestarts"] != "0" and state["ActiveState"] == "active" else None


def held():
    """Descriptors that systemd keeps for the agent."""
    return run("systemctl", "show", "flowtraild", "-p", "NFileDescriptorStore", "--value")[1].strip()


def as_user(*words, group):
    identity = pwd.getpwnam("nobody")
    return run("setpriv", f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}",
               f"--groups={group}", *words)


def probe():
    results["started"] = show()
    for _ in range(5):
        get("/version")
    wait_for("stored", stored)
    results["doctor"] = run("flowtrail", "doctor")
    results["status"] = run("flowtrail", "status")
    _, group = run("id", "-g", "flowtrail")
    results["member"] = as_user("flowtrail", "status", group=group.strip())
    results["stranger"] = as_user("flowtrail", "status", group=pwd.getpwnam("nobody").pw_gid)
    results["reload"] = run("systemctl", "reload", *UNITS)
    time.sleep(1)
    results["reloaded"] = show()
    results["held"] = held()
    os.kill(int(show()["flowtraild"]["MainPID"]), signal.SIGKILL)
    get("/version")  # Nobody reads the event socket now.
    wait_for("restarted", restarted)
    results["held_again"] = held()
    for _ in range(5):
        get("/version")
    wait_for("went_on", lambda: get("/api/v1/status")["account"]["balanced"] and get("/api/v1/agents"))
    results["stop"] = run("systemctl", "stop", *UNITS)
    results["stopped"] = show()


try:
    probe()
finally:
    (DIR / "log").write_text(run("journalctl", "-q", "--no-pager", "-o", "cat")[1])
    (DIR / "results").write_text(json.dumps(results, indent=1))
