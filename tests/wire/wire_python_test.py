#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's stock protobuf reads a packed batch, row for row equal to the FlowEvents.

usage: wire_python_test.py WIRE_DUMP PROTO_DIR
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import batch_decode  # noqa: E402

WIRE_DUMP, PROTO_DIR = sys.argv[1:3]
BYTES = {"event_id", "instance_id", "flow_id", "src_addr", "dst_addr", "nat_src_addr",
         "nat_dst_addr"}


class WireTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        protos = sorted(str(p) for p in pathlib.Path(PROTO_DIR, "flowtrail/v1").glob("*.proto"))
        subprocess.run(["protoc", f"-I{PROTO_DIR}", f"--python_out={cls.dir.name}", *protos],
                       check=True)
        sys.path.insert(0, cls.dir.name)
        from flowtrail.v1 import event_pb2, export_pb2
        cls.new_event = event_pb2.FlowEvent
        cls.new_batch = export_pb2.Batch

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def expected(self, line):
        event = self.new_event()
        for name, value in json.loads(line).items():
            if name == "loss":
                for part, number in value.items():
                    setattr(event.loss, part, number)
            else:
                setattr(event, name, bytes.fromhex(value) if name in BYTES else value)
        return event

    def test_every_row_is_equal(self):
        rows = 0
        for seed, count in ((1, 1), (2, 17), (3, 600), (4, 4096)):
            base = str(pathlib.Path(self.dir.name, f"batch{seed}"))
            subprocess.run([WIRE_DUMP, str(seed), str(count), base], check=True)
            batch = self.new_batch()
            batch.ParseFromString(pathlib.Path(base + ".bin").read_bytes())
            self.assertEqual(batch.count, count)
            decoded = list(batch_decode.events(batch, self.new_event))
            with open(base + ".json", encoding="utf-8") as lines:
                for row, line in enumerate(lines):
                    self.assertEqual(decoded[row], self.expected(line), f"seed {seed} row {row}")
            self.assertEqual(len(decoded), count)
            rows += len(decoded)
        self.assertEqual(rows, 1 + 17 + 600 + 4096)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
