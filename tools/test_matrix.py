#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the fault matrix: what the tests that just ran did to each row, and what came out.

  tools/test_matrix.py RESULTS [TABLE]   RESULTS/*.xml are JUnit reports with the tests' output;
                                         TABLE is tests/matrix.tsv

A test says what it did with a line "matrix: ROW what ran; what came out".  Unit tests run in several
builds: each line counts once per test, from the first report that has it.  A row whose test failed
says so, whatever it printed.  A line of an unknown row is an error.  What ran under sanitizers is
counted here: no single test can tell.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree

LINE = re.compile(r"^\s*matrix: (R\d+) (.+?)\s*$", re.MULTILINE)
# The optimised builds run the large counts: they speak first.
ORDER = ("release", "integration")
# Their reports end a test with an error.
SANITIZED = {"asan": "AddressSanitizer and UndefinedBehaviorSanitizer", "tsan": "ThreadSanitizer"}


def read_table(path):
    """row → (fault, criterion, others), in the order of the file."""
    table = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            row, fault, criterion, others = line.split("\t")
            table[row] = (fault, criterion, others)
    return table


def reports(results):
    first = [results / f"{name}.xml" for name in ORDER]
    rest = sorted(set(results.glob("*.xml")) - set(first))
    return [path for path in first if path.is_file()] + rest


def read_cases(path):
    return list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))


def has_failed(case):
    return (case.find("failure") is not None or case.find("error") is not None
            or case.get("status") == "fail")


def count_sanitized(results):
    """The lines of R27."""
    for name, text in SANITIZED.items():
        path = results / f"{name}.xml"
        cases = read_cases(path) if path.is_file() else []
        if cases:
            bad = sum(map(has_failed, cases))
            yield name, f"{len(cases)} tests under {text}; {bad or 'no'} reports", bad > 0


def read_lines(results):
    """row → [(test, text, failed)]"""
    lines, seen = {}, set()
    for path in reports(results):
        for case in read_cases(path):
            name, failed = case.get("name", "?"), has_failed(case)
            text = "\n".join(part.text or "" for part in case.findall("system-out"))
            found = LINE.findall(text)
            if (name in seen and not failed) or not found:
                continue
            seen.add(name)
            for row, said in found:
                lines.setdefault(row, []).append((name, said, failed))
    sanitized = list(count_sanitized(results))
    if sanitized:
        lines["R27"] = sanitized
    return lines


def render(table, lines):
    """Markdown."""
    out = ["| row | fault | must hold | what ran, and what came out | documented elsewhere |",
           "|---|---|---|---|---|"]
    for row, (fault, criterion, others) in table.items():
        said = [("FAILED: " if failed else "") + text for _, text, failed in lines.get(row, ())]
        out.append(f"| {row} | {fault} | {criterion} | {'<br>'.join(said) or 'not run'} "
                   f"| {others} |")
    return "\n".join(out) + "\n"


def main():
    results = pathlib.Path(sys.argv[1])
    top = pathlib.Path(__file__).resolve().parents[1]
    table = read_table(pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else
                       top / "tests" / "matrix.tsv")
    lines = read_lines(results)
    unknown = sorted(set(lines) - set(table))
    if unknown:
        sys.exit(f"matrix: no such row: {', '.join(unknown)}")
    (results / "matrix.md").write_text(render(table, lines), encoding="utf-8")
    for row in table:
        for _, text, failed in lines.get(row, ()):
            print(f"{row:4} {'FAILED ' if failed else ''}{text}")


if __name__ == "__main__":
    main()
