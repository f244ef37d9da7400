#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stock gRPC client that does to a collector what no agent would.  Run inside the collector's
namespace:  foreign_client.py HOST:PORT TOKEN  prints one JSON object: case → what came of it."""
import json
import os
import pathlib
import sys
import tempfile
import time
import uuid

import grpc
from grpc_tools import protoc

TOP = pathlib.Path(__file__).resolve().parents[2]
PROTO = TOP / "proto"
METHOD = "/flowtrail.v1.Ingest/Export"
WAIT_SECONDS = 8


def load_messages():
    out = tempfile.mkdtemp(prefix="flowtrail-proto.")
    files = [str(PROTO / "flowtrail/v1" / name) for name in ("flow.proto", "export.proto")]
    if protoc.main(["protoc", f"-I{PROTO}", f"--python_out={out}", *files]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    from flowtrail.v1 import export_pb2

    return export_pb2


pb = load_messages()


def hello(**changes):
    fields = dict(protocol_version=1, agent_id=uuid.uuid4().bytes, instance_id=uuid.uuid4().bytes,
                  oldest_seq=1, next_seq=1, host_name="foreign", agent_version="test",
                  time_unix_ns=time.time_ns(), started_unix_ns=time.time_ns())
    fields.update(changes)
    return pb.ExportRequest(hello=pb.Hello(**fields))


def batch(instance, rows=2, **changes):
    fields = dict(instance_id=instance, first_seq=1, count=rows,
                  base_time_unix_ns=time.time_ns(), fields=[0] * rows, time_delta_ns=[0] * rows,
                  type=[1] * rows)
    fields.update(changes)
    return pb.ExportRequest(batch=pb.Batch(**fields))


def talk(channel, token, messages, linger=1.0):
    """Sends messages (bytes or protobuf) and keeps the stream open a while.  Returns the status and
    what was answered."""
    call = channel.stream_stream(METHOD, request_serializer=None,
                                 response_deserializer=pb.ExportResponse.FromString)
    metadata = [("authorization", f"Bearer {token}")] if token else []

    def requests():
        for message in messages:
            yield message if isinstance(message, bytes) else message.SerializeToString()
        time.sleep(linger)

    answers = []
    try:
        for response in call(requests(), metadata=metadata, timeout=WAIT_SECONDS):
            answers.append(response)
        code, details = "OK", ""
    except grpc.RpcError as error:
        code, details = error.code().name, error.details()
    return code, details, answers


def describe(code, details, answers):
    rejected = [r for a in answers if a.HasField("ack") for r in a.ack.rejected]
    return {
        "code": code, "details": details,
        "answers": [a.WhichOneof("message") for a in answers],
        "durable_seq": max([a.ack.durable_seq for a in answers if a.HasField("ack")], default=0),
        "rejected": [[r.first_seq, r.last_seq, r.reason] for r in rejected],
    }


def good(instance, count):
    return [hello(instance_id=instance, next_seq=count + 1), batch(instance, count)]


def cases(token):
    """name → (token, messages)"""
    a, b, c, d, e = (uuid.uuid4().bytes for _ in range(5))
    return {
        "good": (token, good(a, 3)),
        "no token": ("", [hello()]),
        "wrong token": ("x" * 43, [hello()]),
        "short token": ("short", [hello()]),
        "garbage": (token, [os.urandom(3000)]),
        "nothing": (token, []),
        "empty message": (token, [b""]),
        "batch before hello": (token, [batch(a)]),
        "hello twice": (token, [hello(), hello()]),
        "version 9": (token, [hello(protocol_version=9)]),
        "ids too short": (token, [hello(agent_id=b"abc")]),
        "another collector's log": (token, [hello(collector_id=uuid.uuid4().bytes)]),
        "oversized": (token, [hello(), b"\x12" + b"\xff" * (8 << 20)]),
        "count without columns": (token, [hello(instance_id=b, next_seq=4001),
                                          batch(b, 2, count=4000)]),
        "count of millions": (token, [hello(instance_id=c, next_seq=9), batch(c, 2, count=1 << 31)]),
        "columns too short": (token, [hello(instance_id=d, next_seq=3),
                                      batch(d, 2, fields=[0xffffffff] * 2)]),
        "bad index": (token, [hello(instance_id=e, next_seq=2),
                              batch(e, 1, fields=[1 << 11], pid=[1], process_name=[99])]),
        "another instance's batch": (token, [hello(), batch(uuid.uuid4().bytes)]),
    }


def main():
    target, token = sys.argv[1:3]
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
    results = {}
    with grpc.insecure_channel(target, options=options) as channel:
        for name, (used, messages) in cases(token).items():
            results[name] = describe(*talk(channel, used, messages))
        try:
            channel.unary_unary("/flowtrail.v1.Ingest/Nothing")(b"", timeout=WAIT_SECONDS)
            results["unknown method"] = {"code": "OK"}
        except grpc.RpcError as error:
            results["unknown method"] = {"code": error.code().name}
        health = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=WAIT_SECONDS)
        results["health"] = {"code": "OK", "answer": health.hex()}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
