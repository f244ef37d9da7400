#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The units in deploy/systemd: what systemd says of them, and that they fit the configurations.

  units_test.py FLOWTRAILD FLOWTRAIL_COLLECTOR      the programs that were built
"""
import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = TOP / "deploy"
EXPOSURE_MAX = 25  # tenths, as systemd-analyze counts them
UNITS = {}  # name: (program, configuration)
# What a program takes besides the memory that its configuration bounds.
BASE_BYTES = 48 << 20
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def run(*words, env=None):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout + done.stderr


def effective(program, configuration):
    """The options with their defaults, as --dump shows them."""
    import yaml

    status, text = run(program, "--config", configuration, "--dump")
    assert status == 0, text
    return yaml.safe_load(text)


def size(text):
    number, unit = re.fullmatch(r"(\d+)([KMG]?)(?:iB)?", str(text)).groups()
    return int(number) * SIZES[unit]


class Units(unittest.TestCase):
    def setUp(self):
        tmpdir = tempfile.TemporaryDirectory()
        self.addCleanup(tmpdir.cleanup)
        self.tmp = pathlib.Path(tmpdir.name)

    def unit(self, name):
        """A copy that names the program that was built, and no manual."""
        program, _ = UNITS[name]
        text = (DEPLOY / "systemd" / f"{name}.service").read_text()
        self.assertIn(f"ExecStart=/usr/sbin/{name}\n", text)
        text = text.replace(f"=/usr/sbin/{name}\n", f"={program}\n")
        text = re.sub("^Documentation=.*\n", "", text, flags=re.M)
        path = self.tmp / f"{name}.service"
        path.write_text(text)
        return path

    def settings(self, name):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str
        parser.read(DEPLOY / "systemd" / f"{name}.service")
        return parser["Service"]

    def test_systemd_has_nothing_to_say(self):
        for name in UNITS:
            with self.subTest(name):
                status, text = run("systemd-analyze", "verify", "--recursive-errors=no",
                                   self.unit(name))
                lines = [line for line in text.splitlines() if name in line]
                self.assertEqual((status, lines), (0, []), text)

    def test_hardened(self):
        for name in UNITS:
            with self.subTest(name):
                status, text = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                                   f"--threshold={EXPOSURE_MAX}", self.unit(name))
                self.assertEqual(status, 0, text)

    def test_configurations_are_good(self):
        for name, (program, configuration) in UNITS.items():
            with self.subTest(name):
                status, text = run(program, "--check", "--config", configuration)
                self.assertEqual(status, 0, text)
                self.assertNotIn("warning", text)

    def test_the_token_of_the_unit_can_be_named(self):
        configuration = self.tmp / "agent.yaml"
        configuration.write_text("collector.url: https://collector.example:4319\n"
                                 "collector.token_file: $CREDENTIALS_DIRECTORY/token\n")
        program, _ = UNITS["flowtraild"]
        status, text = run(program, "--check", "--config", configuration,
                           env={"CREDENTIALS_DIRECTORY": "/run/credentials/flowtraild.service"})
        self.assertEqual(status, 0, text)
        self.assertIn("token:/etc/flowtrail/token", self.settings("flowtraild")["LoadCredential"])

    def test_directories_of_unit_and_configuration_agree(self):
        agent = effective(*UNITS["flowtraild"])
        runtime = self.settings("flowtraild")["RuntimeDirectory"]
        self.assertEqual(agent["control"]["socket"], f"/run/{runtime}/agent.sock")
        collector = effective(*UNITS["flowtrail-collector"])
        settings = self.settings("flowtrail-collector")
        self.assertEqual(collector["data_dir"], f"/var/lib/{settings['StateDirectory']}")
        self.assertEqual(collector["http"]["socket"],
                         f"/run/{settings['RuntimeDirectory']}/collector.sock")

    def test_the_spool_is_in_the_state_directory(self):
        program, configuration = UNITS["flowtraild"]
        state = f"/var/lib/{self.settings('flowtraild')['StateDirectory']}"
        status, text = run(program, "--dump", "--config", configuration,
                           env={"STATE_DIRECTORY": state})
        self.assertEqual(status, 0, text)
        self.assertIn(f"{state}/spool", text)
        self.assertEqual(effective(program, configuration)["spool"]["path"], "")

    def test_memory_of_unit_and_configuration_agree(self):
        agent = effective(*UNITS["flowtraild"])
        wanted = sum(size(agent[section][key]) for section, key in (
            ("log", "bytes_max"), ("capture", "flow_table_bytes_max"),
            ("capture", "queue_bytes_max")))
        self.assertGreaterEqual(size(self.settings("flowtraild")["MemoryMax"]),
                                wanted + BASE_BYTES)
        collector = effective(*UNITS["flowtrail-collector"])
        wanted = sum(size(collector[section][key]) for section, key in (
            ("duckdb", "memory_bytes"), ("ingest", "memory_bytes_max"),
            ("ingest", "queue_bytes_max")))
        self.assertGreaterEqual(size(self.settings("flowtrail-collector")["MemoryMax"]),
                                wanted + BASE_BYTES)

    def test_stop_ends_before_systemd_loses_patience(self):
        for name in UNITS:
            seconds = lambda text: int(re.fullmatch(r"(\d+)s", text)[1])
            options = effective(*UNITS[name])
            self.assertGreater(seconds(self.settings(name)["TimeoutStopSec"]),
                               2 * seconds(options["stop_timeout"]), name)

    def test_users_of_the_units_are_made(self):
        (self.tmp / "etc").mkdir()
        status, text = run("systemd-sysusers", f"--root={self.tmp}",
                           DEPLOY / "sysusers.d" / "flowtrail.conf")
        self.assertEqual(status, 0, text)
        users = dict(line.split(":", 1) for line in
                     (self.tmp / "etc" / "passwd").read_text().splitlines())
        groups = (self.tmp / "etc" / "group").read_text()
        for name in UNITS:
            self.assertIn(self.settings(name)["User"], users)
            self.assertIn(f"{self.settings(name)['Group']}:", groups)

    def test_switches_are_the_kernels(self):
        names = re.findall(r"^([a-z_.]+) = 1$",
                           (DEPLOY / "sysctl.d" / "60-flowtrail.conf").read_text(), re.M)
        source = (TOP / "src" / "os" / "ct_kernel.c").read_text()
        self.assertEqual(len(names), 2)
        for name in names:
            self.assertIn(f'"{name.rsplit(".", 1)[1]}"', source)


def main():
    agent, collector = sys.argv[1:3]
    UNITS["flowtraild"] = (agent, DEPLOY / "etc" / "flowtraild.yaml")
    UNITS["flowtrail-collector"] = (collector, DEPLOY / "etc" / "flowtrail-collector.yaml")
    for program in ("systemd-analyze", "systemd-sysusers"):
        if shutil.which(program) is None:
            print(f"skipped: no {program} (Debian package systemd)")
            sys.exit(77)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
