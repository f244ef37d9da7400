-- SPDX-License-Identifier: Apache-2.0
--
-- The flow store: what is in flowtrail's DuckDB file.  Any DuckDB of the same or a later version
-- can read it:   duckdb -readonly flows.duckdb "FROM flows_text LIMIT 10"
-- (while the collector runs, only a copy: DuckDB gives a file to one process at a time).
--
-- `flows` is what is stored, in the form that filters and groups fast and is small on disk;
-- `flows_text` is the same for people.  Columns mean what proto/flowtrail/v1/event.proto says.
-- What is unknown is NULL, never zero.
--
-- Here are the tables that hold data; upgrade.sql has what is made from them.
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
    stored_time TIMESTAMP_NS, -- by the collector's clock: an agent's may be wrong by years
    life        UBIGINT DEFAULT 0 -- in which event 'seq' was made; 0: not known
);

-- How many rows of `flows` retention has deleted.  With them the rows that are there come to what
-- `instance_marks` counts, and what somebody else has deleted is noticed.
CREATE TABLE deleted_rows (agent_id UUID, instance_id UUID, n_rows UBIGINT);

INSERT INTO schema_version VALUES (1, 'flowtrail');
