#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/check_commits.py judges subject lines."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools"))
import check_commits  # noqa: E402

AREAS = {"store", "flow", "tools", "tests"}


class CheckCommits(unittest.TestCase):
    def test_good(self):
        for subject in (
            "store: Spill the oldest record when the ring is full",
            "store, flow: Name the bound",
            "Merge branch 'main'",
        ):
            self.assertIsNone(check_commits.judge(subject, AREAS), subject)

    def test_bad(self):
        for subject, words in (
            ("Spill the oldest record", "not"),
            ("shop: Spill the oldest record", "no folder"),
            ("store: spill the oldest record", "capital"),
            ("store: Spill the oldest record.", "full stop"),
            ("store: " + "Long " * 13, "at most 60"),
            ("store: WIP spill", "unfinished"),
        ):
            problem = check_commits.judge(subject, AREAS)
            self.assertIsNotNone(problem, subject)
            self.assertIn(words, problem)


if __name__ == "__main__":
    unittest.main()
