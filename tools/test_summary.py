#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what tools/test ran: one row per step, the failures, and the closing line.

  tools/test_summary.py RESULTS   RESULTS/steps has "STEP STATUS SECONDS" per line, and RESULTS/
                                  STEP.xml the JUnit report of a step that runs many tests

A step without a report counts as one test.  A step that failed without a failed test in its report
(the build broke, the runner died) counts as one failure more.  With CI=true a skip is a failure.
"""
import os
import pathlib
import sys
import xml.etree.ElementTree


def read_report(path):
    """The names of the tests in a JUnit report: passed, failed, skipped."""
    passed, failed, skipped = [], [], []
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name", "?")
        kinds = {child.tag for child in case}
        if "failure" in kinds or "error" in kinds or case.get("status") == "fail":
            failed.append(name)
        elif "skipped" in kinds or case.get("status") in ("notrun", "disabled"):
            skipped.append(name)
        else:
            passed.append(name)
    return passed, failed, skipped


def add_up(results, ci):
    """Yields (step, seconds, passed, failed, skipped) with lists of names."""
    for line in (results / "steps").read_text().splitlines():
        step, status, seconds = line.split()
        report = results / f"{step}.xml"
        passed, failed, skipped = [], [], []
        if report.is_file():
            try:
                passed, failed, skipped = read_report(report)
            except xml.etree.ElementTree.ParseError:
                failed = ["its report is unreadable"]
        elif status == "0":
            passed = [step]
        if ci:
            failed, skipped = failed + [f"{name} (skipped)" for name in skipped], []
        if status != "0" and not failed:
            failed = [f"it ended with status {status}"]
        yield step, int(seconds), passed, failed, skipped


def main():
    results = pathlib.Path(sys.argv[1])
    rows = list(add_up(results, os.environ.get("CI") == "true"))
    print("\n%-12s %7s %7s %8s %8s" % ("step", "passed", "failed", "skipped", "seconds"))
    for step, seconds, passed, failed, skipped in rows:
        print("%-12s %7d %7d %8d %8d" % (step, len(passed), len(failed), len(skipped), seconds))
    for step, _, _, failed, _ in rows:
        for name in failed:
            print(f"FAILED {step}: {name}")
    n_passed, n_failed, n_skipped = (sum(len(row[i]) for row in rows) for i in (2, 3, 4))
    print(f"\n{n_passed} passed, {n_failed} failed" + (f", {n_skipped} skipped" * (n_skipped > 0)))
    sys.exit(1 if n_failed or not n_passed else 0)


if __name__ == "__main__":
    main()
