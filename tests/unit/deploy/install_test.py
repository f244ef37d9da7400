#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What "cmake --install" gives is complete: it runs, and the units name programs that are there.

  install_test.py CMAKE BUILD PREFIX
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, PREFIX = sys.argv[1:4]


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmpdir = tempfile.TemporaryDirectory()
        cls.top = pathlib.Path(cls.tmpdir.name)
        done = subprocess.run([CMAKE, "--install", BUILD], capture_output=True, text=True,
                              env={**os.environ, "DESTDIR": str(cls.top)}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        cls.prefix = cls.top / PREFIX.lstrip("/")
        etc = "etc" if PREFIX == "/usr" else f"{PREFIX.lstrip('/')}/etc"
        cls.etc = cls.top / etc / "flowtrail"

    @classmethod
    def tearDownClass(cls):
        cls.tmpdir.cleanup()

    def test_programs_run(self):
        for name in ("flowtraild", "flowtrail-collector"):
            with self.subTest(name):
                # Without the build's libraries: DuckDB must have come along.
                env = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
                done = subprocess.run([self.prefix / "sbin" / name, "--check", "--config",
                                       self.etc / f"{name}.yaml"],
                                      capture_output=True, text=True, env=env, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_path_of_the_build_is_left(self):
        for path in self.top.rglob("*"):
            if path.is_file() and path.suffix in (".service", ".conf", ".yaml"):
                self.assertNotIn(BUILD, path.read_text(), path)
        for path in (self.prefix / "sbin").iterdir():
            done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True,
                                  check=True)
            self.assertNotIn(BUILD, done.stdout, path)

    def test_units_name_what_is_installed(self):
        units = sorted((self.prefix / "lib" / "systemd" / "system").glob("*.service"))
        self.assertEqual(len(units), 2)
        for unit in units:
            program = re.search("^ExecStart=(.*)$", unit.read_text(), re.M)[1]
            self.assertTrue(os.access(self.top / program.lstrip("/"), os.X_OK), program)

    def test_the_rest_is_there(self):
        for name in ("sysusers.d/flowtrail.conf", "sysctl.d/60-flowtrail.conf",
                     "modules-load.d/flowtrail.conf"):
            self.assertTrue((self.prefix / "lib" / name).is_file(), name)
        self.assertEqual(len(list(self.prefix.rglob("share/doc/flowtrail/LICENSE*"))), 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
