/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be configured in the collector: flowtrail-collector.yaml, FLOWTRAIL_… and flags
 * (config/options.h).
 *
 * Thread: a loaded struct is read by any thread.
 */
#ifndef FT_COLLECTOR_OPTIONS_H
#define FT_COLLECTOR_OPTIONS_H 1

#include "config/options.h"

struct ft_collector_options {
    char *data_dir;
    struct {
        char *listen;
        bool plaintext;
        char *cert_file;
        char *key_file;
        char *client_ca_file;
        bool client_cert_required;
        char *tokens_file;
        uint64_t threads;
        uint64_t sessions_max;
        uint64_t sessions_per_address_max;
        uint64_t connections_per_address_max;
        uint64_t message_bytes_max;
        uint64_t metadata_bytes_max;
        uint64_t memory_bytes_max;
        uint64_t window_bytes;
        uint64_t queue_bytes_max;
        uint64_t agent_events_per_second_max;
        uint64_t agent_bytes_per_second_max;
        int64_t handshake_timeout;
        int64_t first_message_timeout;
        int64_t connection_age;
        int64_t status_interval;
    } ingest;
    struct {
        uint64_t bytes_max;
        uint64_t segment_bytes;
        uint64_t keep_bytes;
    } log;
    struct {
        uint64_t files_max;
        uint64_t bytes_max;
    } quarantine;
    struct {
        uint64_t batch_rows;
        int64_t batch_interval;
        uint64_t memory_bytes;
        uint64_t threads;
        int64_t retention_age;
        uint64_t retention_bytes;
    } duckdb;
    struct {
        char *listen;
        char *socket;
        struct ft_strings host_names;
        uint64_t connections_max;
        int64_t query_timeout;
        uint64_t queries_max;
        uint64_t live_clients_max;
    } http;
    struct {
        int level; /* enum ft_log_level */
        int form;  /* enum ft_log_form */
    } logging;
    int64_t stop_timeout;
};

extern const struct ft_option_table ft_collector_option_table;

#define FT_COLLECTOR_CONFIG_FILE "/etc/flowtrail/flowtrail-collector.yaml"
#define FT_COLLECTOR_CONFIG_DIR  "/etc/flowtrail/collector.d"

#endif
