#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/check_layers.py finds what it must find, in small trees made for it."""
import pathlib
import re
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOP / "tools"))
import check_layers  # noqa: E402


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.tmpdir = tempfile.TemporaryDirectory()
        self.top = pathlib.Path(self.tmpdir.name)

    def tearDown(self):
        self.tmpdir.cleanup()

    def add(self, path, text):
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def problems(self):
        return list(check_layers.check(self.top))

    def assert_one(self, *words):
        problems = self.problems()
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_downward_own_and_libc_pass(self):
        self.add("src/base/buf.h", "#include <stdint.h>\n")
        self.add("src/store/log.h", "#include <sys/stat.h>\n")
        self.add("src/store/log.c", '#include "store/log.h"\n#include "base/buf.h"\n')
        self.add("src/store/CMakeLists.txt", "ft_module(store\n SOURCES log.c DEPS base flow)\n")
        self.assertEqual(self.problems(), [])

    def test_upward(self):
        self.add("src/base/buf.c", '#include "base/buf.h"\n#include "store/log.h"\n')
        self.assert_one("src/base/buf.c:2:", "upward")

    def test_sideways(self):
        self.add("src/store/log.c", '  #  include "wire/alloc.h"\n')
        self.assert_one("src/store/log.c:1:", "sideways")

    def test_below_a_subfolder(self):
        self.add("src/web/ui/page.c", '#include "sink/duckdb.h"\n')
        self.assert_one("src/web/ui/page.c:1:", "sideways")

    def test_foreign_library(self):
        for folder, header in (
            ("flow", "yaml.h"),
            ("source", "libmnl/libmnl.h"),
            ("store", "linux/falloc.h"),
            ("export", "grpc/grpc.h"),
            ("web", "duckdb.h"),
            ("flow", "openssl/ssl.h"),
            ("rpc", "flowtrail/v1/export.pb-c.h"),
            ("store", "systemd/sd-daemon.h"),
        ):
            with self.subTest(header):
                path = self.add(f"src/{folder}/x.c", f"#include <{header}>\n")
                self.assert_one("foreign", header, folder)
                path.unlink()

    def test_owned_library(self):
        self.add("src/flow/ids.c", "#include <openssl/sha.h>\n#include <uuid/uuid.h>\n")
        self.add("src/wire/x.c", '#include "flowtrail/v1/export.pb-c.h"\n')
        self.add("src/collector/x.c", "#include <systemd/sd-daemon.h>\n")
        self.assertEqual(self.problems(), [])

    def test_unknown_library_needs_an_owner(self):
        self.add("src/sink/kafka.c", "#include <librdkafka/rdkafka.h>\n")
        self.assert_one("librdkafka/rdkafka.h", "no owner")

    def test_has_include(self):
        self.add("src/store/x.c", "#if __has_include(<yaml.h>)\n#endif\n")
        self.assert_one("foreign", "yaml.h")

    def test_comments_do_not_count(self):
        self.add("src/base/x.c", '/*\n#include "store/log.h"\n*/\n// #include <yaml.h>\n')
        self.assertEqual(self.problems(), [])

    def test_line_numbers_survive_comments(self):
        self.add("src/base/x.c", '/* a\n b */\n#include "store/log.h"\n')
        self.assert_one("src/base/x.c:3:")

    def test_header_without_folder(self):
        self.add("src/base/x.c", '#include "buf.h"\n')
        self.assert_one("named from src/")

    def test_project_header_in_angle_brackets(self):
        self.add("src/store/x.c", "#include <base/buf.h>\n")
        self.assert_one("quotes")

    def test_public_headers(self):
        self.add("src/flow/x.c", "#include <flowtrail/error.h>\n")
        self.assertEqual(self.problems(), [])
        self.add("src/store/y.c", "#include <flowtrail/agent.h>\n")
        self.assert_one("src/store/y.c:1:", "upward")

    def test_public_header_includes_nothing_private(self):
        self.add("src/base/x.c", "")
        self.add("include/flowtrail/event.h", '#include "agent/agent.h"\n')
        self.assert_one("include/flowtrail/event.h:1:", "upward")

    def test_folder_without_level(self):
        self.add("src/misc/x.c", "")
        self.assert_one("src/misc", "no level")

    def test_declared_dependencies(self):
        self.add("src/store/CMakeLists.txt", "ft_module(store SOURCES a.c DEPS base wire)\n")
        self.assert_one("src/store/CMakeLists.txt", "sideways")

    def test_declared_libraries(self):
        self.add("src/store/CMakeLists.txt", "ft_module(store SOURCES a.c LIBS PkgConfig::YAML)\n")
        self.assert_one("foreign", "PkgConfig::YAML", "config")

    def test_shadow_folder(self):
        self.add("src/base/x.c", "")
        self.add("include/linux/netlink.h", "")
        problems = self.problems()
        self.assertTrue(any("include/linux" in p and "shadows" in p for p in problems), problems)

    def test_src_on_the_include_path(self):
        self.add("src/base/x.c", "")
        self.add("CMakeLists.txt", 'include_directories("${PROJECT_SOURCE_DIR}/src")\n')
        self.assert_one("CMakeLists.txt:1:", "-iquote")

    def test_this_repository(self):
        self.assertEqual(list(check_layers.check(TOP)), [])

    def test_architecture_has_the_same_table(self):
        rows = re.findall(
            r"^\|\s*([0-9])\s*\|([^|]*)\|", (TOP / "ARCHITECTURE.md").read_text(), re.M
        )
        shown = {int(level): set(re.findall(r"`([a-z]+)`", folders)) for level, folders in rows}
        self.assertEqual(shown, {n: set(folders) for n, folders in enumerate(check_layers.LEVELS)})


if __name__ == "__main__":
    unittest.main()
