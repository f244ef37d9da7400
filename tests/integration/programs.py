# SPDX-License-Identifier: Apache-2.0
"""flowtraild and flowtrail-collector under test: started in namespaces, asked over HTTP, and their
store read with plain DuckDB once they are stopped."""
import atexit
import collections
import hashlib
import http.client
import ipaddress
import json
import pathlib
import secrets
import shutil
import socket
import tempfile
import time
import urllib.parse
import uuid

import yaml

from lab import LabError, run, wait_until
from oracle import BUILD, flow_key

BIN = BUILD / "src" / "bin"
FTDUCK = BUILD / "tests" / "lab" / "ftduck"
STREAM_PORT = 4319
PAGE_PORT = 8319
STOP_SECONDS = 60
TYPES = {1: "START", 2: "UPDATE", 3: "END", 4: "DROP", 5: "LOSS"}
FIELD_INFERRED, FIELD_PREEXISTING, FIELD_UNSURE = 1 << 9, 1 << 10, 1 << 11
INGRESS = 1

Event = collections.namedtuple(
    "Event", "instance seq type direction number src dst sport dport icmp_type icmp_id nat_src "
    "nat_dst nat_sport nat_dport rx_packets rx_bytes tx_packets tx_bytes tcp_state ct_id start_ns "
    "time_ns fields flow_id loss_cause loss_count loss_first loss_last")
EVENT_SQL = """
    SELECT instance_id, seq, type, direction, protocol, hex(src_addr), hex(dst_addr), src_port,
           dst_port, icmp_type, icmp_id, hex(nat_src_addr), hex(nat_dst_addr), nat_src_port,
           nat_dst_port, rx_packets, rx_bytes, tx_packets, tx_bytes, tcp_state, conntrack_id,
           epoch_ns(start_time), epoch_ns(time), fields,
           coalesce(flow_id, derived_flow_id(instance_id, conntrack_id, start_time)), loss_cause,
           loss_count,
           loss_first_seq, loss_last_seq
    FROM flows ORDER BY instance_id, seq"""
TEXT_COLUMNS = {"instance", "flow_id"}
ADDRESS_COLUMNS = {"src", "dst", "nat_src", "nat_dst"}


def convert(name, text):
    if text == "NULL":
        return None
    if name in TEXT_COLUMNS:
        return text
    if name in ADDRESS_COLUMNS:
        return str(ipaddress.ip_address(bytes.fromhex(text)))
    return int(text)


def ask(path_of_socket, path):
    """GET over a unix socket: (status, body)."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    try:
        connection.sock.connect(str(path_of_socket))
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class StoredEvent(Event):
    """A row of the store."""

    def key(self):
        """The same as the oracle's Entry.key()."""
        return flow_key(self.number, self.src, self.dst, self.sport, self.dport, self.icmp_id)

    def bytes(self):
        """(original, reply) direction, as the kernel counts."""
        pair = (self.tx_bytes or 0, self.rx_bytes or 0)
        return pair[::-1] if self.direction == INGRESS else pair

    def packets(self):
        pair = (self.tx_packets or 0, self.rx_packets or 0)
        return pair[::-1] if self.direction == INGRESS else pair


class Store:
    """The collector's DuckDB file.  Only while no collector runs: DuckDB locks it."""

    def __init__(self, path):
        self.path = path

    def query(self, sql):
        lines = run([FTDUCK, self.path, sql]).splitlines()
        return [line.split("\t") for line in lines]

    def change(self, sql):
        """Damage."""
        run([FTDUCK, self.path, sql, "--change"])

    def number(self, sql):
        return int(self.query(sql)[0][0])

    def events(self):
        return [StoredEvent(*(convert(name, text) for name, text in zip(Event._fields, row)))
                for row in self.query(EVENT_SQL)]

    def count(self, kind):
        number = {name: n for n, name in TYPES.items()}[kind]
        return self.number(f"SELECT count(*) FROM flows WHERE type = {number}")

    def check_accounted(self):
        """observed = stored + reported lost: each number that an instance gave out is stored once,
        or in the hole that a LOSS event names.  Returns the last number of each instance."""
        rows = self.query("""
            SELECT instance_id, count(*), count(DISTINCT seq), max(seq),
                   coalesce(sum(CASE WHEN type = 5 AND loss_first_seq > 0
                                     THEN loss_last_seq - loss_first_seq + 1 END), 0)
            FROM flows GROUP BY instance_id""")
        for instance, stored, distinct, last, lost in rows:
            stored, distinct, last, lost = int(stored), int(distinct), int(last), int(lost)
            assert stored == distinct, f"{instance}: {stored - distinct} events are stored twice"
            assert last == stored + lost, (
                f"{instance}: {last} observed, {stored} stored, {lost} reported lost")
        return {row[0]: int(row[3]) for row in rows}


def merge(base, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


def make_certificates(tmp):
    """Two authorities, and a certificate of the first for 127.0.0.1."""
    for name in ("good-ca", "other-ca"):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", tmp / f"{name}.key", "-out",
             tmp / f"{name}.pem"])
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         "/CN=collector", "-keyout", tmp / "server.key", "-out", tmp / "server.csr"])
    (tmp / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    run(["openssl", "x509", "-req", "-in", tmp / "server.csr", "-CA", tmp / "good-ca.pem", "-CAkey",
         tmp / "good-ca.key", "-CAcreateserial", "-days", "2", "-extfile", tmp / "san", "-out",
         tmp / "server.pem"])
    (tmp / "server.key").chmod(0o600)


class Stack:
    """An agent and a collector.  By default both in one namespace, over its loopback."""

    def __init__(self, agent_ns, collector_ns=None, address="127.0.0.1"):
        self.agent_ns, self.collector_ns = agent_ns, collector_ns or agent_ns
        self.address = address
        self.agent = self.collector = None
        self.tmp = agent_ns.tmp / f"stack-{agent_ns.name}"
        self.tmp.mkdir(exist_ok=True)
        self.agent_id = str(uuid.uuid4())
        self.set_token(secrets.token_urlsafe(32))
        self.directory = self.tmp / "collector"
        # Short, because the path of a socket may have 107 characters.
        sockets = pathlib.Path(tempfile.mkdtemp(prefix="ft-sock."))
        atexit.register(shutil.rmtree, sockets, ignore_errors=True)
        self.socket, self.collector_socket = sockets / "agent", sockets / "collector"

    def set_token(self, token):
        digest = hashlib.sha256(token.encode()).hexdigest()
        (self.tmp / "tokens").write_text(f"test: sha256:{digest}\n")
        (self.tmp / "token").touch(mode=0o600)
        (self.tmp / "token").write_text(token + "\n")

    # What both are configured with; tests change single keys.

    def agent_config(self, **changes):
        return merge({
            "agent": {"id": self.agent_id},
            "collector": {"url": f"http://{self.address}:{STREAM_PORT}", "plaintext": True,
                          "token_file": str(self.tmp / "token"), "backoff_max": "1s"},
            "capture": {"repair_tracking": True},
            "control": {"socket": str(self.socket)},
            "log": {"flush_interval": "100ms"},
            "stop_timeout": f"{STOP_SECONDS}s",
        }, changes)

    def collector_config(self, **changes):
        return merge({
            "data_dir": str(self.directory),
            "ingest": {"listen": f"{self.address}:{STREAM_PORT}", "plaintext": True,
                       "tokens_file": str(self.tmp / "tokens")},
            "http": {"listen": f"127.0.0.1:{PAGE_PORT}", "socket": str(self.collector_socket)},
        }, changes)

    def write(self, name, config):
        path = self.tmp / name
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    def start_collector(self, wait=True, **changes):
        path = self.write("collector.yaml", self.collector_config(**changes))
        self.collector = self.collector_ns.spawn(BIN / "flowtrail-collector", "--config", path)
        if wait:
            self.wait_collector()
        return self.collector

    def wait_collector(self, timeout=30):
        def is_ready():
            if not self.collector.alive():
                raise LabError(f"the collector ended\n{self.collector.tail()}")
            try:
                return self.get("/readyz", raw=True)[0] == 200
            except OSError:
                return False

        wait_until(is_ready, timeout, "the collector to be ready")

    def start_agent(self, *flags, wait=True, **changes):
        path = self.write("flowtraild.yaml", self.agent_config(**changes))
        self.agent = self.agent_ns.spawn(BIN / "flowtraild", "--config", path, *flags)
        if wait:
            wait_until(self.agent_is_capturing, 20, "the agent to capture")
        return self.agent

    def agent_is_capturing(self):
        if not self.agent.alive():
            raise LabError(f"the agent ended\n{self.agent.tail()}")
        try:
            return self.ask_agent("/readyz")[0] == 200
        except OSError:
            return False

    def start(self, **changes):
        self.start_collector()
        self.start_agent(**changes)
        return self

    # Asking.

    def get(self, path, raw=False, **parameters):
        """GET from the collector: the JSON, or with raw (status, body).  Over its unix socket, so
        that asking makes no flows."""
        if parameters:
            path += "?" + urllib.parse.urlencode(parameters, doseq=True)
        status, body = ask(self.collector_socket, path)
        if raw:
            return status, body
        assert status == 200, f"GET {path}: {status} {body}"
        return json.loads(body)

    def ask_agent(self, path):
        """GET from the agent: (status, body)."""
        return ask(self.socket, path)

    def metrics(self, program):
        """name{labels} → value"""
        text = (self.ask_agent("/metrics")[1] if program == "agent"
                else self.get("/metrics", raw=True)[1])
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in rows}

    # Coming to rest.

    def settle(self, timeout=60, still=1.5):
        """Until nothing has arrived at the agent or in the store for a while.  What is judged is
        judged afterwards: this only waits."""
        before, since = None, time.monotonic()
        deadline = since + timeout
        while time.monotonic() < deadline:
            now = self.progress()
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > still:
                return
            time.sleep(0.1)
        raise LabError(f"still busy after {timeout} s: {before}")

    def progress(self):
        queued = [line.split()[4] for line in
                  self.agent_ns.read("/proc/thread-self/net/netlink").splitlines()[1:]
                  if line.split()[1] == "12"]
        agent, collector = None, None
        if self.agent and self.agent.alive():
            status = json.loads(self.ask_agent("/api/v1/status")[1])
            agent = status["account"], status["filtered_events"]
        if self.collector and self.collector.alive():
            collector = [(row["instance_id"], row["received_events"], row["stored_events"])
                         for row in self.get("/api/v1/agents")["agents"]]
        return queued, agent, collector

    def stop(self):
        """Both, the agent first; returns the store."""
        if self.agent and self.agent.alive():
            assert self.agent.stop(STOP_SECONDS + 10) == 0, self.agent.tail()
        if self.collector and self.collector.alive():
            assert self.collector.stop(STOP_SECONDS) == 0, self.collector.tail()
        return self.store()

    def store(self):
        return Store(self.directory / "flows.duckdb")

    def finish(self, **more):
        """Comes to rest, stops, and holds the equation against the store."""
        self.settle(**more)
        store = self.stop()
        store.check_accounted()
        return store
