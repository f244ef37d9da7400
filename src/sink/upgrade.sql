-- SPDX-License-Identifier: Apache-2.0
--
-- The second part of the flow store: what is made from the tables of schema.sql, and tables that
-- were added to them.  A file that was made by another version of this program gets it anew when
-- it is opened, so everything here may be run over what is there.

-- Numbers below an instance's mark that a store or a log has lost, and that agents are asked for
-- again: only what is here is taken below the mark.
CREATE TABLE IF NOT EXISTS instance_gaps (
    agent_id    UUID,
    instance_id UUID,
    first_seq   UBIGINT,
    last_seq    UBIGINT
);

-- Older files have no lives.
ALTER TABLE instance_marks ADD COLUMN IF NOT EXISTS life UBIGINT DEFAULT 0;

CREATE OR REPLACE VIEW instances AS
    SELECT agent_id, instance_id, max(seq) AS durable_seq,
           sum(n_events)::UBIGINT AS n_events, min(first_time) AS first_time,
           max(last_time) AS last_time, max(stored_time) AS stored_time,
           coalesce(arg_max(life, seq), 0) AS life
    FROM instance_marks GROUP BY agent_id, instance_id;

CREATE OR REPLACE VIEW agents AS
    SELECT agent_id, count(*) AS n_instances, sum(n_events)::UBIGINT AS n_events,
           min(first_time) AS first_time, max(last_time) AS last_time
    FROM instances GROUP BY agent_id;

-- UUIDv5 (RFC 9562) of the bytes of namespace and name.
CREATE OR REPLACE MACRO uuid5_of_sha1(h) AS
    (substr(h, 1, 12) || '5' || substr(h, 14, 3) ||
     substr('89ab', (strpos('0123456789abcdef', substr(h, 17, 1)) - 1) % 4 + 1, 1) ||
     substr(h, 18, 15))::UUID;

CREATE OR REPLACE MACRO uuid5(namespace, name_hex) AS
    uuid5_of_sha1(sha1(namespace::BLOB || unhex(name_hex)));

CREATE OR REPLACE MACRO derived_event_id(instance_id, seq) AS uuid5(instance_id, printf('%016x', seq));

CREATE OR REPLACE MACRO derived_flow_id(instance_id, conntrack_id, start_time) AS
    uuid5(instance_id, printf('%08x%016x', conntrack_id, epoch_ns(start_time)));

CREATE OR REPLACE MACRO ipv4_text(h) AS
    ('0x' || substr(h, 1, 2))::UTINYINT || '.' || ('0x' || substr(h, 3, 2))::UTINYINT || '.' ||
    ('0x' || substr(h, 5, 2))::UTINYINT || '.' || ('0x' || substr(h, 7, 2))::UTINYINT;

-- IPv6 without the shortening of zeros.
CREATE OR REPLACE MACRO addr_text(addr) AS
    CASE octet_length(addr)
        WHEN 4 THEN ipv4_text(hex(addr))
        WHEN 16 THEN rtrim(regexp_replace(lower(hex(addr)), '(....)', '\1:', 'g'), ':')
    END;

CREATE OR REPLACE MACRO nth_name(names, number) AS coalesce(names[number + 1], number::VARCHAR);

CREATE OR REPLACE VIEW flows_text AS
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
                     'SPOOL_DAMAGED', 'REJECTED', 'SHUTDOWN', 'COLLECTOR_LOST', 'CRASH'],
                    loss_cause) AS loss_cause,
           loss_estimated, loss_begin, loss_end, loss_count, loss_first_seq, loss_last_seq
    FROM flows;

-- What is missing from the trail: who lost what, when and why.
CREATE OR REPLACE VIEW losses AS
    SELECT "time", agent_id, instance_id, seq, loss_cause AS cause, loss_count AS count,
           loss_estimated AS estimated, loss_begin AS "begin", loss_end AS "end",
           loss_first_seq AS first_seq, loss_last_seq AS last_seq
    FROM flows_text WHERE type = 'LOSS';
