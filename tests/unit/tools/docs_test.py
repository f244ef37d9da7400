#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The documents at the top say what is in the tree: names, defaults, locks, threads."""
import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parents[3]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
WIDTH_MAX = 110
ARCHITECTURE = (TOP / "ARCHITECTURE.md").read_text()


def section(title):
    """The text below a heading, up to the next one of the same or a higher level."""
    level, name = title.split(" ", 1)
    match = re.search(rf"^{level} {re.escape(name)}$\n(.*?)(?=^#{{2,{len(level)}}} |\Z)",
                      ARCHITECTURE, re.M | re.S)
    return match[1]


def rows(text):
    """The cells of each row of the tables in a text, without headings and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("-: ")]


def sources(*folders):
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*.[ch]")):
            yield path, path.read_text()


class Documents(unittest.TestCase):
    def test_width(self):
        for name in DOCUMENTS:
            for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
                self.assertLessEqual(len(line), WIDTH_MAX, f"{name}:{number}")

    def test_files_that_are_named_exist(self):
        """`store/format.h` is looked for in src/ as well, `a.b` and `a/b c` are no files."""
        for name in DOCUMENTS:
            text = (TOP / name).read_text()
            named = set(re.findall(r"`([\w./-]+/[\w.-]*)`", text))
            named |= set(re.findall(r"\]\(([^)#:]+)\)", text))
            for path in sorted(named):
                if path.startswith(("/", "_", "data_dir/", "build/")):
                    continue
                found = any((TOP / base / path).exists() for base in ("", "src"))
                self.assertTrue(found, f"{name}: {path}")

    def test_locks(self):
        declared = set()
        for path, text in sources("src"):
            if path.parent.name == "base":
                continue
            for _ in re.findall(r"^\s*(?:static )?struct ft_mutex \w+[; ]", text, re.M):
                declared.add(str(path.relative_to(TOP / "src")))
        shown = {row[0].strip("`") for row in rows(section("## Locks"))[1:]}
        self.assertEqual(shown, declared)

    def test_threads(self):
        started = set()
        for _, text in sources("src"):
            started |= set(re.findall(r'ft_thread_start\([^"]*"([\w-]+)"', text))
        text = section("## Threads")
        missing = {name for name in started if f"`{name}`" not in text}
        self.assertEqual(missing, set())

    def test_defaults(self):
        for title, example in (("### Agent, options", "flowtraild.yaml"),
                               ("### Collector, options", "flowtrail-collector.yaml")):
            known = dict(re.findall(r"^#?([a-z_.]+): (.*)$",
                                    (TOP / "deploy" / "etc" / example).read_text(), re.M))
            table = rows(section(title))[1:]
            self.assertGreater(len(table), 10)
            for option, default, *_ in table:
                option = option.strip("`")
                self.assertIn(option, known)
                self.assertEqual(default, known[option].strip('"'), option)

    def test_metrics(self):
        names = set()
        for _, text in sources("src/agent", "src/collector", "src/web"):
            names |= set(re.findall(r'"(?:flowtrail_(?:agent|collector)|%s)?_([a-z_]+)"', text))
        for title in ("### Agent, options", "### Collector, options"):
            for row in rows(section(title))[1:]:
                for name in re.findall(r"`([a-z_]+)", row[3]):
                    self.assertIn(name, names, row)

    def test_scales_of_the_integration_tests(self):
        text = (TOP / "CONTRIBUTING.md").read_text()
        for path in sorted((TOP / "tests" / "integration").glob("*.py")):
            for name in re.findall(r'"(FT_[A-Z_]+)",', path.read_text()):
                self.assertIn(f"`{name}`", text, path.name)

    def test_options_of_the_readme(self):
        known = set()
        for path in (TOP / "deploy" / "etc").glob("*.yaml"):
            known |= set(re.findall(r"^#?([a-z_]+\.[a-z_]+):", path.read_text(), re.M))
        groups = {name.split(".")[0] for name in known}
        for name in DOCUMENTS:
            text = (TOP / name).read_text()
            for option in re.findall(r"\b([a-z]+\.[a-z_]+)\b(?=:|`)", text):
                group, last = option.split(".")
                if group in groups and last not in ("h", "c", "crt", "example", "key", "sock"):
                    self.assertIn(option, known, name)


if __name__ == "__main__":
    unittest.main()
