#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/test_matrix.py puts what the tests say to the row they name, once, and hides no failure."""
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tools"))
import test_matrix  # noqa: E402

RELEASE = """<testsuite><testcase name="unit.a" status="run"><system-out>[ RUN ]
matrix: R4 20,000 seeds; 0 violations
</system-out></testcase><testcase name="unit.b" status="run"/></testsuite>"""
ASAN = """<testsuite><testcase name="unit.a" status="run"><system-out>
matrix: R4 500 seeds; 0 violations</system-out></testcase></testsuite>"""
ASAN_FAILED = """<testsuite><testcase name="unit.a" status="fail"><failure/><system-out>
matrix: R4 3 seeds; 1 violation</system-out></testcase></testsuite>"""


class Matrix(unittest.TestCase):
    def lines(self, **reports):
        with tempfile.TemporaryDirectory() as name:
            for report, text in reports.items():
                pathlib.Path(name, f"{report}.xml").write_text(text)
            return test_matrix.read_lines(pathlib.Path(name))

    def test_one_build_speaks_for_all(self):
        lines = self.lines(asan=ASAN, release=RELEASE)
        self.assertEqual(lines["R4"], [("unit.a", "20,000 seeds; 0 violations", False)])
        self.assertEqual(set(lines), {"R4", "R27"})

    def test_a_failure_in_another_build_is_told(self):
        lines = self.lines(asan=ASAN_FAILED, release=RELEASE)
        self.assertEqual([failed for _, _, failed in lines["R4"]], [False, True])

    def test_what_ran_under_sanitizers_is_counted(self):
        (name, text, failed), = self.lines(asan=ASAN, release=RELEASE)["R27"]
        self.assertEqual((name, failed), ("asan", False))
        self.assertTrue(text.startswith("1 tests under Addr") and text.endswith("no reports"))
        (_, text, failed), = self.lines(tsan=ASAN_FAILED)["R27"]
        self.assertTrue(text.endswith("1 reports") and failed)
        self.assertNotIn("R27", self.lines(release=RELEASE))

    def test_every_row_of_the_table_is_rendered(self):
        table = test_matrix.read_table(TOP / "tests" / "matrix.tsv")
        self.assertEqual(list(table), [f"R{n}" for n in range(1, 31)])
        text = test_matrix.render(table, {"R4": [("x", "ran; fine", True)]})
        self.assertIn("FAILED: ran; fine", text)
        self.assertEqual(text.count("not run"), 29)


if __name__ == "__main__":
    unittest.main()
