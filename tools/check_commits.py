#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the subject lines of commits (CONTRIBUTING.md).

  tools/check_commits.py [RANGE]      default: what the upstream branch does not have yet, because
                                      only those commits can still be changed

"area: Imperative summary": at most 72 characters, of which the summary at most 60; the area is a
folder that exists; no full stop at the end; no unfinished work.
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
LENGTH_MAX = 72
SUMMARY_MAX = 60
FORBIDDEN = re.compile(r"^(fixup!|squash!|wip\b)|\b(todo|fixme|wip)\b", re.I)


def folders():
    names = {"ci", "all", "docs"}
    for parent in (TOP, TOP / "src", TOP / "tests"):
        names.update(path.name for path in parent.glob("*/") if not path.name.startswith("."))
    return names


def judge(subject, areas):
    """What is wrong with a subject line, or None."""
    if subject.startswith(("Merge ", "Revert ")):
        return None
    match = re.match(r"([a-z0-9_/, -]+): (.+)$", subject)
    if not match:
        return 'not "area: Summary"'
    area, summary = match.groups()
    for name in re.split(r"[/, ]+", area):
        if name not in areas:
            return f'the area "{name}" is no folder'
    if len(subject) > LENGTH_MAX or len(summary) > SUMMARY_MAX:
        return f"the summary has {len(summary)} characters, at most {SUMMARY_MAX}"
    if not summary[0].isupper():
        return "the summary begins with a capital"
    if summary.endswith("."):
        return "no full stop at the end"
    if FORBIDDEN.search(summary):
        return "unfinished work"
    return None


def git(*words):
    return subprocess.run(
        ["git", "-C", str(TOP), "-c", f"safe.directory={TOP}", *words],
        capture_output=True, text=True, check=False,
    )


def unpublished():
    upstream = git("rev-parse", "--verify", "--quiet", "@{upstream}")
    return f"{upstream.stdout.strip()}..HEAD" if upstream.returncode == 0 else "HEAD..HEAD"


def main():
    log = git("log", "--format=%h %s", *(sys.argv[1:] or [unpublished()]))
    if log.returncode != 0:
        sys.exit(f"check_commits: {log.stderr.strip()}")
    areas = folders()
    lines = [line.split(" ", 1) for line in log.stdout.splitlines()]
    problems = [(h, s, judge(s, areas)) for h, s in lines if judge(s, areas)]
    for commit, subject, problem in problems:
        print(f"{commit}: {problem}: {subject}")
    if not problems:
        print(f"{len(lines)} commits checked")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
