# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests.  Each test has a lab of its own, in its own directory."""
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab as lab_module  # noqa: E402

_reason = []


def reason_to_skip():
    if not _reason:
        _reason.append(lab_module.why_not())
    return _reason[0]


def pytest_configure(config):
    """A run that is told to end takes its labs with it.  SIGINT is ignored in what a shell starts in
    the background, and would be in every program that a test starts."""
    del config
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_runtest_setup(item):
    reason = reason_to_skip() if "lab" in item.fixturenames or "host" in item.fixturenames else None
    missing = [path for path in getattr(item.module, "NEEDS", ()) if not os.path.exists(path)]
    if missing:
        reason = reason or f"needs {' and '.join(missing)}"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI may not skip: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of what the programs printed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name in ("lab", "host"):
            namespaces = getattr(item.funcargs.get(name), "namespaces", ())
            for process in (p for ns in namespaces for p in ns.processes):
                report.sections.append((f"{process.name} ({process.pid})", process.tail(30)))


@pytest.fixture
def lab(tmp_path):
    """Clients, a router with masquerade and port forwarding, servers."""
    with lab_module.Lab(tmp_path) as built:
        yield built


class Host:
    """One namespace alone, with loopback traffic only: for load."""

    def __init__(self, tmp_path):
        self.ns = lab_module.Namespace.create("host", tmp_path)
        self.namespaces = [self.ns]


@pytest.fixture
def host(tmp_path):
    lab_module.remove_leftovers()
    alone = Host(tmp_path)
    try:
        yield alone
    finally:
        alone.ns.destroy()
