/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be configured in the agent: flowtraild.yaml, FLOWTRAIL_… and flags (config/options.h).
 *
 * Thread: a loaded struct is read by any thread; a reload makes a new one.
 */
#ifndef FT_AGENT_OPTIONS_H
#define FT_AGENT_OPTIONS_H 1

#include "config/options.h"
#include "filter/filter.h"

enum ft_spool_sync { FT_SPOOL_SYNC_INTERVAL, FT_SPOOL_SYNC_BATCH };
enum ft_crash_safe { FT_CRASH_SAFE_AUTO, FT_CRASH_SAFE_ON, FT_CRASH_SAFE_OFF };
enum ft_capture_mode { FT_CAPTURE_ADAPTIVE, FT_CAPTURE_FULL, FT_CAPTURE_DESTROY_ONLY };

/* One entry of filter.rules. */
struct ft_agent_rule {
    int action; /* enum ft_filter_action */
    struct ft_strings addresses;
    struct ft_strings ports;
    struct ft_strings protocols;
};

struct ft_agent_options {
    struct {
        char *id;
        char *host_name;
    } agent;
    struct {
        char *url;
        char *token_file;
        char *ca_file;
        char *cert_file;
        char *key_file;
        char *server_name;
        bool plaintext;
        uint64_t window_bytes;
        int64_t backoff_base;
        int64_t backoff_max;
        int64_t connect_timeout;
        int64_t ack_timeout;
        int receipts; /* enum ft_trust_policy */
        char *receipt_key;
        uint64_t hold_bytes;
        int64_t hold_time;
    } collector;
    struct {
        int mode; /* enum ft_capture_mode */
        uint64_t rcvbuf_bytes;
        bool reliable;
        bool accounting;
        bool timestamps;
        bool repair_tracking;
        int crash_safe; /* enum ft_crash_safe */
        int64_t update_interval;
        uint64_t flow_table_bytes_max;
        uint64_t queue_bytes_max;
        int64_t reopen_base;
        int64_t reopen_max;
    } capture;
    struct {
        bool loopback;
        bool own_connection;
        struct ft_structs rules; /* struct ft_agent_rule */
    } filter;
    struct {
        uint64_t bytes_max;
        uint64_t block_events_max;
        uint64_t block_bytes_max;
        int64_t flush_interval;
    } log;
    struct {
        char *path;
        uint64_t bytes_max;
        char *free_ratio_min;
        int sync; /* enum ft_spool_sync */
        int64_t sync_interval;
        uint64_t hold_bytes;
    } spool;
    struct {
        char *socket;
        char *metrics_listen;
    } control;
    struct {
        int level; /* enum ft_log_level */
        int form;  /* enum ft_log_form */
    } logging;
    int64_t stop_timeout;
    /* Flags only. */
    char *record;
    char *replay;
    bool replay_full_speed;
};

extern const struct ft_option_table ft_agent_option_table;

/* Default place of the configuration, and of the files beside it. */
#define FT_AGENT_CONFIG_FILE "/etc/flowtrail/flowtraild.yaml"
#define FT_AGENT_CONFIG_DIR  "/etc/flowtrail/conf.d"
#define FT_AGENT_SOCKET      "/run/flowtrail/agent.sock"

/* A share such as "10%" or "0.1", below one. */
bool ft_agent_ratio_parse(const char *text, double *ret_ratio);

/* The filter that 'options' describe; they have passed the table's check. */
FT_MUST_USE ft_err ft_agent_filter_create(const struct ft_agent_options *options,
                                          struct ft_filter **ret_filter);

#endif
