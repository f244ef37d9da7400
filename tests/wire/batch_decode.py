# SPDX-License-Identifier: Apache-2.0
"""Turns a flowtrail.v1.Batch into FlowEvents with the stock protobuf library alone.

It follows the comments of proto/flowtrail/v1/export.proto and nothing else: what it can do, any
language's protobuf can.
"""
import hashlib
import itertools

FIELDS = ("FLOW TUPLE PORTS COUNTERS STATUS TCP_STATE NAT IPV6 ICMP INFERRED PREEXISTING "
          "COUNTERS_UNSURE START_UNKNOWN MARK ZONE PROCESS CONTAINER USER DNS TCP_INFO RULE "
          "RESOURCE WINDOW LOSS").split()

# Columns whose value goes into the FlowEvent as it is.
PLAIN = {
    "PORTS": ["src_port", "dst_port"],
    "COUNTERS": ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"],
    "TCP_STATE": ["tcp_state"],
    "ICMP": ["icmp_type", "icmp_code", "icmp_id"],
    "MARK": ["mark"],
    "ZONE": ["zone"],
    "PROCESS": ["pid"],
    "USER": ["uid"],
    "TCP_INFO": ["rtt_us", "rtt_var_us", "retransmits"],
    "STATUS": ["conntrack_status"],
}
NAMES = {
    "PROCESS": ["process_name"],
    "CONTAINER": ["container_id"],
    "USER": ["user_name"],
    "DNS": ["src_name", "dst_name"],
    "RULE": ["rule_id"],
    "RESOURCE": ["src_resource_id", "dst_resource_id"],
}
FLAGS = ["INFERRED", "START_UNKNOWN", "PREEXISTING", "COUNTERS_UNSURE"]


def uuid5(namespace, name):
    digest = bytearray(hashlib.sha1(namespace + name).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def xor(addr, number):
    return (int.from_bytes(addr, "big") ^ number).to_bytes(4, "big")


class Columns:
    """Hands out the values of each column in order."""

    def __init__(self, batch):
        self.batch = batch
        self.at = {}

    def take(self, name):
        if name not in self.at:
            column = getattr(self.batch, name)
            if isinstance(column, bytes):
                column = [column[i:i + 16] for i in range(0, len(column), 16)]
            self.at[name] = iter(column)
        return next(self.at[name])

    def take_addr(self, name, ipv6):
        if ipv6:
            return self.take(name + "_v6")
        return self.take(name + "_v4").to_bytes(4, "big")


def events(batch, new_event):
    """The batch's events, each filled into what `new_event` makes."""
    columns = Columns(batch)
    time_ns = batch.base_time_unix_ns
    for row in range(batch.count):
        bits = batch.fields[row]
        has = {name for number, name in enumerate(FIELDS) if bits >> number & 1}
        event = new_event()
        time_ns += batch.time_delta_ns[row]
        event.seq = batch.first_seq + row
        event.time_unix_ns = time_ns
        event.instance_id = batch.instance_id
        event.event_id = uuid5(batch.instance_id, event.seq.to_bytes(8, "big"))
        event.type = batch.type[row]
        event.direction = batch.direction[row] if batch.direction else 0
        event.traffic_class = batch.traffic_class[row] if batch.traffic_class else 0
        if "FLOW" in has:
            event.conntrack_id = columns.take("conntrack_id")
            event.start_unix_ns = time_ns - columns.take("start_before_ns")
            event.flow_id = uuid5(batch.instance_id, event.conntrack_id.to_bytes(4, "big") +
                                  event.start_unix_ns.to_bytes(8, "big", signed=True))
        if "TUPLE" in has:
            event.protocol = columns.take("protocol")
            event.src_addr = columns.take_addr("src", "IPV6" in has)
            event.dst_addr = columns.take_addr("dst", "IPV6" in has)
        for field in sorted(has & PLAIN.keys()):
            for name in PLAIN[field]:
                setattr(event, name, columns.take(name))
        if "NAT" in has:
            if "IPV6" in has:
                event.nat_src_addr = columns.take("nat_src_v6")
                event.nat_dst_addr = columns.take("nat_dst_v6")
            else:
                event.nat_src_addr = xor(event.dst_addr, columns.take("nat_src_v4_xor"))
                event.nat_dst_addr = xor(event.src_addr, columns.take("nat_dst_v4_xor"))
            if "PORTS" in has:
                event.nat_src_port = event.dst_port ^ columns.take("nat_src_port_xor")
                event.nat_dst_port = event.src_port ^ columns.take("nat_dst_port_xor")
        for field in sorted(has & NAMES.keys()):
            for name in NAMES[field]:
                index = columns.take(name)
                if index:
                    setattr(event, name, batch.strings[index])
        if "WINDOW" in has:
            event.window_begin_unix_ns = time_ns - columns.take("window_begin_before_ns")
            event.window_end_unix_ns = event.window_begin_unix_ns + columns.take("window_ns")
            for name in ("n_starts", "n_ends", "n_drops"):
                setattr(event, name, columns.take(name))
        for flag in FLAGS:
            if flag in has:
                setattr(event, flag.lower(), True)
        if "LOSS" in has:
            event.loss.CopyFrom(columns.take("loss"))
        yield event
    for name, rest in columns.at.items():
        left = list(itertools.islice(rest, 1))
        if left:
            raise ValueError(f"column {name} has values left over")
