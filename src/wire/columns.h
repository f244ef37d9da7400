/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of flowtrail.v1.Batch (proto/flowtrail/v1/export.proto) that are arrays of numbers,
 * once for the builder and the reader: X(type, name).
 */
#ifndef FT_WIRE_COLUMNS_H
#define FT_WIRE_COLUMNS_H 1

#include <stdint.h>

/* Columns with a value for each row. */
#define FT_BATCH_ROW_COLUMNS(X)                                                                    \
    X(uint32_t, fields)                                                                            \
    X(int64_t, time_delta_ns)                                                                      \
    X(uint32_t, type)                                                                              \
    X(uint32_t, direction)                                                                         \
    X(uint32_t, traffic_class)

/* Columns with a value for the rows that have the field. */
#define FT_BATCH_FIELD_COLUMNS(X)                                                                  \
    X(uint32_t, conntrack_id)                                                                      \
    X(int64_t, start_before_ns)                                                                    \
    X(uint32_t, protocol)                                                                          \
    X(uint32_t, src_v4)                                                                            \
    X(uint32_t, dst_v4)                                                                            \
    X(uint32_t, src_port)                                                                          \
    X(uint32_t, dst_port)                                                                          \
    X(uint32_t, icmp_type)                                                                         \
    X(uint32_t, icmp_code)                                                                         \
    X(uint32_t, icmp_id)                                                                           \
    X(uint32_t, nat_src_v4_xor)                                                                    \
    X(uint32_t, nat_dst_v4_xor)                                                                    \
    X(uint32_t, nat_src_port_xor)                                                                  \
    X(uint32_t, nat_dst_port_xor)                                                                  \
    X(uint64_t, rx_packets)                                                                        \
    X(uint64_t, rx_bytes)                                                                          \
    X(uint64_t, tx_packets)                                                                        \
    X(uint64_t, tx_bytes)                                                                          \
    X(uint32_t, tcp_state)                                                                         \
    X(uint32_t, conntrack_status)                                                                  \
    X(uint32_t, mark)                                                                              \
    X(uint32_t, zone)                                                                              \
    X(uint32_t, pid)                                                                               \
    X(uint32_t, process_name)                                                                      \
    X(uint32_t, container_id)                                                                      \
    X(uint32_t, uid)                                                                               \
    X(uint32_t, user_name)                                                                         \
    X(uint32_t, src_name)                                                                          \
    X(uint32_t, dst_name)                                                                          \
    X(uint32_t, rtt_us)                                                                            \
    X(uint32_t, rtt_var_us)                                                                        \
    X(uint32_t, retransmits)                                                                       \
    X(uint32_t, rule_id)                                                                           \
    X(uint32_t, src_resource_id)                                                                   \
    X(uint32_t, dst_resource_id)                                                                   \
    X(int64_t, window_begin_before_ns)                                                             \
    X(int64_t, window_ns)                                                                          \
    X(uint32_t, n_starts)                                                                          \
    X(uint32_t, n_ends)                                                                            \
    X(uint32_t, n_drops)

#define FT_BATCH_COLUMNS(X) FT_BATCH_ROW_COLUMNS(X) FT_BATCH_FIELD_COLUMNS(X)

#endif
