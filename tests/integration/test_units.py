# SPDX-License-Identifier: Apache-2.0
"""The units of deploy/systemd below a real systemd: hardened as they are, the programs work."""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

from oracle import BUILD

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = BUILD / "src" / "bin"
DUCKDB = TOP / "build" / "third_party" / "duckdb" / "lib" / "libduckdb.so"
SECONDS_MAX = 120
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup")


@contextlib.contextmanager
def control_group():
    """A cgroup of our own, for the systemd to be the root of."""
    with tempfile.TemporaryDirectory(prefix="ft-cgroup.") as at:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", at], check=True)
        group = pathlib.Path(at, f"ft-{os.getpid()}")
        try:
            group.mkdir()
            yield group
        finally:
            for path, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            subprocess.run(["umount", at], check=True)


def boot(directory):
    with control_group() as group:
        def enter():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            (group / "cgroup.procs").write_text(str(os.getpid()))

        return subprocess.run(
            ["unshare", *NAMESPACES, "bash", TOP / "tests" / "integration" / "systemd_boot.sh",
             TOP, BIN, DUCKDB, directory],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX,
            preexec_fn=enter, check=False)


def test_hardened_units_work_below_systemd(tmp_path):
    if os.geteuid() != 0 or not pathlib.Path("/lib/systemd/systemd").exists():
        pytest.skip("needs root and systemd")
    done = boot(tmp_path)
    results_file = tmp_path / "probe" / "results"
    assert results_file.exists(), done.stdout + done.stderr
    results = json.loads(results_file.read_text())
    log = "".join((tmp_path / "probe" / name).read_text() for name in ("log", "flowtraild.err"))
    explanation = json.dumps(results, indent=1) + "\n" + log

    for when in ("started", "reloaded"):
        for unit, state in results[when].items():
            assert (state["ActiveState"], state["NRestarts"]) == ("active", "0"), explanation
    assert results["stored"] and results["stored"]["balanced"], explanation
    for what in ("status", "doctor", "member", "reload", "stop"):
        assert results[what][0] == 0, explanation
    status, text = results["stranger"]
    assert status == 2 and "Permission denied" in text, explanation
    assert results["restarted"], explanation
    # The event socket and the working memory, before the crash and after it.
    assert (results["held"], results["held_again"]) == ("2", "2"), explanation
    assert "with its memory and its event socket" in log, explanation
    assert results["went_on"] and "beginning anew" not in log, explanation
    for unit, state in results["stopped"].items():
        assert (state["ActiveState"], state["Result"]) == ("inactive", "success"), explanation
