#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/test_summary.py counts everything and hides no failure."""
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools"))
import test_summary  # noqa: E402

CTEST = """<testsuite name="x" tests="4">
<testcase name="a" status="run"><system-out>fine</system-out></testcase>
<testcase name="b" status="fail"><failure message=""/></testcase>
<testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>
</testsuite>"""
PYTEST = """<testsuites><testsuite name="pytest">
<testcase name="d"/><testcase name="e"><skipped/></testcase><testcase name="f"><error/></testcase>
</testsuite></testsuites>"""


class Summary(unittest.TestCase):
    def setUp(self):
        self.tmpdir = tempfile.TemporaryDirectory()
        self.results = pathlib.Path(self.tmpdir.name)

    def tearDown(self):
        self.tmpdir.cleanup()

    def add_up(self, steps, reports=(), ci=False):
        (self.results / "steps").write_text(steps)
        for name, text in reports:
            (self.results / f"{name}.xml").write_text(text)
        return {row[0]: row[2:] for row in test_summary.add_up(self.results, ci)}

    def test_both_reports(self):
        rows = self.add_up("dev 8 1\nlab 1 1\n", (("dev", CTEST), ("lab", PYTEST)))
        self.assertEqual(rows["dev"], (["a"], ["b"], ["c"]))
        self.assertEqual(rows["lab"], (["d"], ["f"], ["e"]))

    def test_ci_turns_skips_into_failures(self):
        rows = self.add_up("dev 8 1\n", (("dev", CTEST),), ci=True)
        self.assertEqual(rows["dev"], (["a"], ["b", "c (skipped)"], []))

    def test_step_without_report(self):
        rows = self.add_up("format 0 1\nlayers 1 1\n")
        self.assertEqual(rows["format"], (["format"], [], []))
        self.assertEqual(rows["layers"][1], ["it ended with status 1"])

    def test_a_step_that_broke_is_a_failure(self):
        rows = self.add_up("dev 1 1\n", (("dev", '<testsuite><testcase name="a"/></testsuite>'),))
        self.assertEqual(rows["dev"], (["a"], ["it ended with status 1"], []))
        rows = self.add_up("dev 0 1\n", (("dev", "<testsuite"),))
        self.assertEqual(len(rows["dev"][1]), 1)


if __name__ == "__main__":
    unittest.main()
