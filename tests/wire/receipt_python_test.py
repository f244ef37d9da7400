#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receipts, read with Python's stock protobuf and checked with python3-cryptography, from nothing
but what export.proto says of them.

usage: receipt_python_test.py RECEIPT_DUMP PROTO_DIR
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT_DUMP, PROTO_DIR = sys.argv[1:3]


def digest(ranges):
    """SHA-256 over the ranges, as the comment above Welcome has it."""
    sha = hashlib.sha256()
    for part in ranges:
        reason = part.reason.encode()
        sha.update(part.first_seq.to_bytes(8, "big") + part.last_seq.to_bytes(8, "big") +
                   len(reason).to_bytes(4, "big") + reason)
    return sha.digest()


def statement(hello, welcome, durable_seq, ranges):
    """The 140 bytes that are signed."""
    return (b"flowtrail receipt v1" + welcome.collector_id + welcome.store_epoch + hello.agent_id +
            hello.instance_id + durable_seq.to_bytes(8, "big") + digest(ranges) + hello.challenge)


class ReceiptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        protos = sorted(str(p) for p in pathlib.Path(PROTO_DIR, "flowtrail/v1").glob("*.proto"))
        subprocess.run(["protoc", f"-I{PROTO_DIR}", f"--python_out={cls.dir.name}", *protos],
                       check=True)
        sys.path.insert(0, cls.dir.name)
        from flowtrail.v1 import export_pb2
        cls.wire = export_pb2

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def read(self, name, kind):
        message = kind()
        message.ParseFromString(pathlib.Path(self.dir.name, name + ".bin").read_bytes())
        return message

    def test_receipts_verify(self):
        checked = 0
        for seed in range(1, 21):
            subprocess.run([RECEIPT_DUMP, str(seed), self.dir.name], check=True)
            hello = self.read("hello", self.wire.ExportRequest).hello
            welcome = self.read("welcome", self.wire.ExportResponse).welcome
            key = Ed25519PublicKey.from_public_bytes(welcome.receipt_key)
            signed = statement(hello, welcome, welcome.durable_seq, welcome.lost)
            self.assertEqual(len(signed), 140)
            key.verify(welcome.receipt, signed)
            for n in range(4):
                ack = self.read(f"ack{n}", self.wire.ExportResponse).ack
                self.assertEqual(len(ack.rejected), n)
                self.assertEqual(ack.store_epoch, welcome.store_epoch)
                signed = statement(hello, welcome, ack.durable_seq, ack.rejected)
                key.verify(ack.receipt, signed)
                with self.assertRaises(InvalidSignature):
                    key.verify(ack.receipt, signed[:-1] + bytes([signed[-1] ^ 1]))
                checked += 1
            # The witness is the last of them, as it was signed.
            self.assertEqual(hello.witness, signed + ack.receipt)
        self.assertEqual(checked, 80)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
