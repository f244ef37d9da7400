-- SPDX-License-Identifier: Apache-2.0
--
-- The schema as it was before upgrade.sql: a file made with it is upgraded when it is opened.
--
-- The flow store: what is in flowtrail's DuckDB file.  Any DuckDB of the same or a later version
-- can read it:   duckdb -readonly flows.duckdb "FROM flows_text LIMIT 10"
-- (while the collector runs, only a copy: DuckDB gives a file to one process at a time).
--
-- `flows` is what is stored, in the form that filters and groups fast and is small on disk;
-- `flows_text` is the same for people.  Columns mean what proto/flowtrail/v1/event.proto says.
-- What is unknown is NULL, never zero.
--
-- How the types were chosen (DuckDB 1.5.6, 2 million rows):
--   addresses   BLOB of 4 or 16 bytes, network byte order.  Dictionary and FSST compression make
--               both addresses 7 bytes a row and grouping 40 times faster than UHUGEINT, which
--               stays uncompressed (33 bytes a row) where IPv4 and IPv6 mix; a range filter takes
--               9 ns a row against 3.
--   UUIDs       of agents and instances come in runs: run-length encoding makes them nearly free.
--               event_id and flow_id do not compress at all (16 bytes a row each), but can be
--               computed: they are stored only where they are not the computed ones.
--   enumerations  UTINYINT with the protocol's numbers: a DuckDB ENUM cannot be extended later.
--   times       TIMESTAMP_NS, UTC.

CREATE TABLE schema_version (version INTEGER NOT NULL, made_by VARCHAR NOT NULL);

CREATE TABLE flows (
    "time"           TIMESTAMP_NS,
    stored_time      TIMESTAMP_NS,
    agent_id         UUID,
    instance_id      UUID,
    seq              UBIGINT,
    event_id         UUID,      -- NULL: derived_event_id(instance_id, seq)
    flow_id          UUID,      -- NULL: derived_flow_id(instance_id, conntrack_id, start_time)
    fields           UINTEGER,  -- presence bits and flags, src/flow/event.h
    type             UTINYINT,  -- 1 START 2 UPDATE 3 END 4 DROP 5 LOSS
    direction        UTINYINT,  -- 0 UNKNOWN 1 INGRESS 2 EGRESS 3 LOCAL 4 FORWARDED
    traffic_class    UTINYINT,  -- 0 UNCLASSIFIED 1 VIRTUAL 2 SUBNET 3 EXIT 4 PHYSICAL
    ip_version       UTINYINT,  -- 4 or 6
    protocol         UTINYINT,
    src_addr         BLOB,
    dst_addr         BLOB,
    src_port         USMALLINT,
    dst_port         USMALLINT,
    icmp_type        UTINYINT,
    icmp_code        UTINYINT,
    icmp_id          USMALLINT,
    nat_src_addr     BLOB,
    nat_dst_addr     BLOB,
    nat_src_port     USMALLINT,
    nat_dst_port     USMALLINT,
    rx_packets       UBIGINT,
    rx_bytes         UBIGINT,
    tx_packets       UBIGINT,
    tx_bytes         UBIGINT,
    tcp_state        UTINYINT,
    conntrack_status UINTEGER,
    mark             UINTEGER,
    zone             USMALLINT,
    conntrack_id     UINTEGER,
    start_time       TIMESTAMP_NS,
    pid              UINTEGER,
    process_name     VARCHAR,
    container_id     VARCHAR,
    uid              UINTEGER,
    user_name        VARCHAR,
    src_name         VARCHAR,
    dst_name         VARCHAR,
    rtt_us           UINTEGER,
    rtt_var_us       UINTEGER,
    retransmits      UINTEGER,
    rule_id          VARCHAR,
    src_resource_id  VARCHAR,
    dst_resource_id  VARCHAR,
    window_begin     TIMESTAMP_NS,
    window_end       TIMESTAMP_NS,
    n_starts         UINTEGER,
    n_ends           UINTEGER,
    n_drops          UINTEGER,
    loss_cause       UTINYINT,
    loss_estimated   BOOLEAN,
    loss_begin       TIMESTAMP_NS,
    loss_end         TIMESTAMP_NS,
    loss_count       UBIGINT,
    loss_first_seq   UBIGINT,
    loss_last_seq    UBIGINT
);

-- How far the store has read the collector's log; changed in the transaction that adds the rows.
-- One row.  Positions mean something only within one log.
CREATE TABLE log_cursor (log_id UUID, position UBIGINT NOT NULL);

-- How far each agent's instance is stored, one row for each batch that had events of it, folded
-- together now and then: appending is much cheaper than updating.  A repeated event is recognised
-- by it even when the log was lost.
CREATE TABLE instance_marks (
    agent_id    UUID,
    instance_id UUID,
    seq         UBIGINT,      -- all events up to this number are stored
    n_events    UBIGINT,      -- stored since the previous mark
    first_time  TIMESTAMP_NS, -- of those events
    last_time   TIMESTAMP_NS,
    stored_time TIMESTAMP_NS  -- by the collector's clock: an agent's may be wrong by years
);

CREATE VIEW instances AS
    SELECT agent_id, instance_id, max(seq) AS durable_seq,
           sum(n_events)::UBIGINT AS n_events, min(first_time) AS first_time,
           max(last_time) AS last_time, max(stored_time) AS stored_time
    FROM instance_marks GROUP BY agent_id, instance_id;

CREATE VIEW agents AS
    SELECT agent_id, count(*) AS n_instances, sum(n_events)::UBIGINT AS n_events,
           min(first_time) AS first_time, max(last_time) AS last_time
    FROM instances GROUP BY agent_id;

-- UUIDv5 (RFC 9562) of the bytes of namespace and name.
CREATE MACRO uuid5_of_sha1(h) AS
    (substr(h, 1, 12) || '5' || substr(h, 14, 3) ||
     substr('89ab', (strpos('0123456789abcdef', substr(h, 17, 1)) - 1) % 4 + 1, 1) ||
     substr(h, 18, 15))::UUID;

CREATE MACRO uuid5(namespace, name_hex) AS
    uuid5_of_sha1(sha1(namespace::BLOB || unhex(name_hex)));

CREATE MACRO derived_event_id(instance_id, seq) AS uuid5(instance_id, printf('%016x', seq));

CREATE MACRO derived_flow_id(instance_id, conntrack_id, start_time) AS
    uuid5(instance_id, printf('%08x%016x', conntrack_id, epoch_ns(start_time)));

CREATE MACRO ipv4_text(h) AS
    ('0x' || substr(h, 1, 2))::UTINYINT || '.' || ('0x' || substr(h, 3, 2))::UTINYINT || '.' ||
    ('0x' || substr(h, 5, 2))::UTINYINT || '.' || ('0x' || substr(h, 7, 2))::UTINYINT;

-- IPv6 without the shortening of zeros.
CREATE MACRO addr_text(addr) AS
    CASE octet_length(addr)
        WHEN 4 THEN ipv4_text(hex(addr))
        WHEN 16 THEN rtrim(regexp_replace(lower(hex(addr)), '(....)', '\1:', 'g'), ':')
    END;

CREATE MACRO nth_name(names, number) AS coalesce(names[number + 1], number::VARCHAR);

CREATE VIEW flows_text AS
    SELECT "time", stored_time, agent_id, instance_id, seq,
           coalesce(event_id, derived_event_id(instance_id, seq)) AS event_id,
           coalesce(flow_id, derived_flow_id(instance_id, conntrack_id, start_time)) AS flow_id,
           nth_name(['UNKNOWN', 'START', 'UPDATE', 'END', 'DROP', 'LOSS'], type) AS type,
           nth_name(['UNKNOWN', 'INGRESS', 'EGRESS', 'LOCAL', 'FORWARDED'], direction)
               AS direction,
           nth_name(['UNCLASSIFIED', 'VIRTUAL', 'SUBNET', 'EXIT', 'PHYSICAL'], traffic_class)
               AS traffic_class,
           ip_version, protocol,
           addr_text(src_addr) AS src_addr, addr_text(dst_addr) AS dst_addr, src_port, dst_port,
           icmp_type, icmp_code, icmp_id,
           addr_text(nat_src_addr) AS nat_src_addr, addr_text(nat_dst_addr) AS nat_dst_addr,
           nat_src_port, nat_dst_port, rx_packets, rx_bytes, tx_packets, tx_bytes,
           nth_name(['NONE', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT',
                     'LAST_ACK', 'TIME_WAIT', 'CLOSE', 'SYN_SENT2'], tcp_state) AS tcp_state,
           conntrack_status, mark, zone, conntrack_id, start_time,
           pid, process_name, container_id, uid, user_name, src_name, dst_name,
           rtt_us, rtt_var_us, retransmits, rule_id, src_resource_id, dst_resource_id,
           window_begin, window_end, n_starts, n_ends, n_drops,
           (fields & (1 << 9)) != 0 AS inferred,
           (fields & (1 << 12)) != 0 AS start_unknown,
           (fields & (1 << 10)) != 0 AS preexisting,
           (fields & (1 << 11)) != 0 AS counters_unsure,
           nth_name(['UNKNOWN', 'KERNEL_OVERRUN', 'SOCKET_REOPENED', 'PARSE', 'LOG_FULL',
                     'SPOOL_DAMAGED', 'REJECTED', 'SHUTDOWN'], loss_cause) AS loss_cause,
           loss_estimated, loss_begin, loss_end, loss_count, loss_first_seq, loss_last_seq
    FROM flows;

-- What is missing from the trail: who lost what, when and why.
CREATE VIEW losses AS
    SELECT "time", agent_id, instance_id, seq, loss_cause AS cause, loss_count AS count,
           loss_estimated AS estimated, loss_begin AS "begin", loss_end AS "end",
           loss_first_seq AS first_seq, loss_last_seq AS last_seq
    FROM flows_text WHERE type = 'LOSS';

INSERT INTO schema_version VALUES (1, 'flowtrail');
