/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/ids.h"
#include "wire/batch_builder.h"

#define MIB(n) ((uint64_t)(n) << 20)
#define KIB(n) ((uint64_t)(n) << 10)

static bool check_uuid(const char *text, char *why, size_t why_size);
static bool check_url(const char *text, char *why, size_t why_size);
static bool check_cidr(const char *text, char *why, size_t why_size);
static bool check_ports(const char *text, char *why, size_t why_size);
static bool check_protocol(const char *text, char *why, size_t why_size);
static bool check_ratio(const char *text, char *why, size_t why_size);
static ft_err check_options(const void *options, struct ft_diag *reterr_diag);
static void settle_options(void *options, ft_option_tell_fn *tell, void *ctx);

static const char *const mode_names[] = {"adaptive", "full", "destroy-only", NULL};
static const char *const crash_safe_names[] = {"auto", "on", "off", NULL};
static const char *const sync_names[] = {"interval", "batch", NULL};
static const char *const action_names[] = {"keep", "drop", NULL};
/* The order of enum ft_trust_policy. */
static const char *const receipt_names[] = {"off", "accept", "require", NULL};
static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};
static const char *const form_names[] = {"auto", "tty", "journal", "json", NULL};

static const struct ft_option rule_options[] = {
    FT_OPT_ENUM(struct ft_agent_rule, action, "action", "drop", action_names,
                "What happens to a flow that matches: keep or drop."),
    FT_OPT_STRINGS(struct ft_agent_rule, addresses, "addresses", NULL,
                   "Address ranges; one end of the flow must be in one of them. Empty: any.",
                   .check = check_cidr, .max = FT_FILTER_ADDRESSES_MAX),
    FT_OPT_STRINGS(struct ft_agent_rule, ports, "ports", NULL,
                   "Ports or ranges (\"1000-2000\") of that same end. Empty: any.",
                   .check = check_ports, .max = FT_FILTER_PORTS_MAX),
    FT_OPT_STRINGS(struct ft_agent_rule, protocols, "protocols", NULL,
                   "Protocols by name or number. Empty: any.", .check = check_protocol,
                   .max = FT_FILTER_PROTOCOLS_MAX),
};

static const struct ft_option_table rule_table = {
    .options = rule_options,
    .n_options = sizeof rule_options / sizeof rule_options[0],
    .struct_size = sizeof(struct ft_agent_rule),
};

#define O struct ft_agent_options

static const struct ft_option options[] = {
    FT_OPT_STRING(O, agent.id, "agent.id", NULL,
                  "UUID of this agent. Empty: made from the machine id, so that it is the same "
                  "after each start.",
                  .check = check_uuid, .flags = FT_OPTION_RESTART),
    FT_OPT_STRING(O, agent.host_name, "agent.host_name", NULL,
                  "Name under which the collector shows this host. Empty: the host's own.",
                  .max = 255, .flags = FT_OPTION_RESTART),

    FT_OPT_STRING(O, collector.url, "collector.url", NULL,
                  "Where events go: https://HOST:PORT, or http://HOST:PORT together with "
                  "collector.plaintext. Empty: events are kept in memory until their log is full.",
                  .check = check_url, .value_name = "URL"),
    FT_OPT_SECRET_FILE(O, collector.token_file, "collector.token_file", NULL,
                       "File with the bearer token; read again at SIGHUP and at each connect."),
    FT_OPT_PATH(O, collector.ca_file, "collector.ca_file", NULL,
                "Certificates (PEM) that may have signed the collector's. Empty: the system's."),
    FT_OPT_PATH(O, collector.cert_file, "collector.cert_file", NULL,
                "Certificate chain (PEM) of this agent, where the collector asks for one."),
    FT_OPT_SECRET_FILE(O, collector.key_file, "collector.key_file", NULL,
                       "Private key (PEM) of collector.cert_file."),
    FT_OPT_STRING(O, collector.server_name, "collector.server_name", NULL,
                  "Name that the collector's certificate must have. Empty: the one in the URL.",
                  .max = 255, .flags = FT_OPTION_ADVANCED),
    FT_OPT_BOOL(O, collector.plaintext, "collector.plaintext", "false",
                "Allow http://: the token and all events travel unencrypted."),
    FT_OPT_ENUM(O, collector.receipts, "collector.receipts", "require", receipt_names,
                "What is asked of the collector's acknowledgements. require: a receipt that its "
                "key has signed, else no event is freed, nor given to a collector without a key. "
                "accept: the same of a collector that has ever offered a key; others are believed, "
                "and shown as unverified. off: receipts are not looked at."),
    FT_OPT_STRING(
        O, collector.receipt_key, "collector.receipt_key", NULL,
        "The collector's public key (\"ed25519:\" and 64 hexadecimal digits), or the path "
        "of a file with up to four of them, one a line; its log and its file "
        "receipt-key.pub show it. Empty: the first key that it offers is kept.",
        .max = 511, .value_name = "KEY|FILE"),
    FT_OPT_SIZE(O, collector.hold_bytes, "collector.hold_bytes", "16MiB", 0, MIB(65536),
                "Part of log.bytes_max that acknowledged events may go on using, to be sent again "
                "if the collector loses its store. They give way to new ones.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_DURATION(O, collector.hold_time, "collector.hold_time", "1d", 0, FT_NS_PER_S * 8640000,
                    "For how long they do so at most. 0: as long as there is room.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, collector.window_bytes, "collector.window_bytes", "4MiB", KIB(64), MIB(256),
                "Sent and not acknowledged at most; no more than log.bytes_max.",
                .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, collector.backoff_base, "collector.backoff_base", "250ms", FT_NS_PER_MS,
                    FT_NS_PER_S * 60,
                    "Waits between tries are drawn from 0 to this, doubled with each try.",
                    .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, collector.backoff_max, "collector.backoff_max", "1m", FT_NS_PER_MS,
                    FT_NS_PER_S * 3600, "The longest such wait.", .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, collector.connect_timeout, "collector.connect_timeout", "10s",
                    FT_NS_PER_MS * 100, FT_NS_PER_S * 600,
                    "How long the collector may take to answer, and to welcome.",
                    .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, collector.ack_timeout, "collector.ack_timeout", "1m", FT_NS_PER_S,
                    FT_NS_PER_S * 3600,
                    "How long events may wait for an acknowledgement before the agent connects "
                    "again.",
                    .flags = FT_OPTION_ADVANCED),

    FT_OPT_ENUM(O, capture.mode, "capture.mode", "adaptive", mode_names,
                "full: every begin and end is heard from the kernel. destroy-only: ends alone, the "
                "cheapest for the host; begins are rebuilt from them. adaptive: full, stepping "
                "down under pressure and back."),
    FT_OPT_SIZE(O, capture.rcvbuf_bytes, "capture.rcvbuf_bytes", "32MiB", KIB(4), MIB(1024),
                "Buffer of the event socket: 1,280 bytes for each event the agent may lag behind.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_BOOL(O, capture.reliable, "capture.reliable", "true",
                "Let the kernel send ends again that did not fit into the buffer. Their table "
                "entries stay until then; it is switched off while the table is above 80 %.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_BOOL(O, capture.accounting, "capture.accounting", "true",
                "Switch nf_conntrack_acct on, and off again at stop: without it there are no "
                "packet and byte counters.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_BOOL(O, capture.timestamps, "capture.timestamps", "true",
                "Switch nf_conntrack_timestamp on, and off again at stop: without it begin and end "
                "are when the agent heard of them.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_BOOL(O, capture.repair_tracking, "capture.repair_tracking", "false",
                "Where no rule asks for connection tracking, add one nftables table (\"flowtrail\")"
                " that does, and remove it at stop.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_ENUM(O, capture.crash_safe, "capture.crash_safe", "auto", crash_safe_names,
                "Whether what was heard, and what is told while the agent is being started again, "
                "survives a crash of the agent: it is in memory that the service manager, or a "
                "small process of the agent's own, holds. auto: when there is a spool.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_DURATION(
        O, capture.update_interval, "capture.update_interval", "1m", 0, FT_NS_PER_S * 86400,
        "How often a long flow is reported with what it moved meanwhile. 0: never; ends "
        "that the kernel does not tell are looked for every 5 minutes at least."),
    FT_OPT_SIZE(O, capture.flow_table_bytes_max, "capture.flow_table_bytes_max", "64MiB", MIB(1),
                MIB(16384), "Memory for flows that are under way.", .flags = FT_OPTION_RESTART),
    FT_OPT_SIZE(O, capture.queue_bytes_max, "capture.queue_bytes_max", "8MiB", MIB(1), MIB(1024),
                "Memory between the thread that empties the kernel's buffer and the one that "
                "works.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, capture.reopen_base, "capture.reopen_base", "250ms", FT_NS_PER_MS,
                    FT_NS_PER_S * 300,
                    "Wait before a failed event socket is opened a second time; grows by half each "
                    "time. (NetBird's clients wait 5 s, growing to 5 min.)",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, capture.reopen_max, "capture.reopen_max", "5m", FT_NS_PER_MS,
                    FT_NS_PER_S * 3600, "The longest such wait.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_BOOL(O, filter.loopback, "filter.loopback", "true",
                "Report flows between loopback addresses."),
    FT_OPT_BOOL(O, filter.own_connection, "filter.own_connection", "false",
                "Report the agent's own connection to the collector. Each report makes the next: "
                "for tests only.",
                .flags = FT_OPTION_ADVANCED),
    FT_OPT_STRUCTS(O, filter.rules, "filter.rules", &rule_table,
                   "Which flows are reported: the first rule that matches decides, and what "
                   "matches none is kept.",
                   .max = FT_FILTER_RULES_MAX),

    FT_OPT_SIZE(O, log.bytes_max, "log.bytes_max", "48MiB", MIB(1), MIB(65536),
                "Memory for events that the collector has not acknowledged, or, with a spool, that "
                "are not in it yet. At the bound the oldest go, and a LOSS event says which.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_U64(O, log.block_events_max, "log.block_events_max", "2048", 1, FT_BATCH_EVENTS_MAX,
               "Events of one block.", .flags = FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, log.block_bytes_max, "log.block_bytes_max", "64KiB", KIB(4), KIB(512),
                "Bytes of one block.", .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, log.flush_interval, "log.flush_interval", "1s", FT_NS_PER_MS,
                    FT_NS_PER_S * 3600, "How long an event may wait for its block to fill."),

    FT_OPT_PATH(O, spool.path, "spool.path", "$STATE_DIRECTORY/spool",
                "Directory in which events wait for their acknowledgement, so that a restart, a "
                "crash or a power cut loses none of them. It belongs to one agent, which makes it; "
                "its parent must exist. Empty, as by default where no service manager gives a "
                "state directory: events wait in memory.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_SIZE(O, spool.bytes_max, "spool.bytes_max", "2GiB", MIB(1), MIB(16 << 20),
                "Disk space for them. At the bound the oldest go, and a LOSS event says which.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_STRING(O, spool.free_ratio_min, "spool.free_ratio_min", "10%",
                  "While less than this share of the file system is free the spool does not grow: "
                  "the oldest events make room for new ones.",
                  .check = check_ratio, .flags = FT_OPTION_RESTART, .value_name = "SHARE"),
    FT_OPT_SIZE(O, spool.hold_bytes, "spool.hold_bytes", "256MiB", 0, MIB(16 << 20),
                "Part of it that acknowledged events may go on using, as collector.hold_bytes in "
                "memory. They give way to new ones.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_ENUM(O, spool.sync, "spool.sync", "interval", sync_names,
                "When events are made durable, and may be sent: at intervals, or with each block. "
                "A crash of the agent loses nothing either way; a power cut loses what was not.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_DURATION(O, spool.sync_interval, "spool.sync_interval", "1s", FT_NS_PER_MS,
                    FT_NS_PER_S * 3600, "That interval.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_PATH(O, control.socket, "control.socket", FT_AGENT_SOCKET,
                "Unix socket that the command line asks (HTTP). Empty: none.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_STRING(O, control.metrics_listen, "control.metrics_listen", NULL,
                  "ADDRESS:PORT for /metrics and the like over TCP. Empty: none.",
                  .flags = FT_OPTION_RESTART, .value_name = "ADDRESS:PORT"),

    FT_OPT_ENUM(O, logging.level, "logging.level", "info", level_names,
                "Which log lines are written."),
    FT_OPT_ENUM(O, logging.form, "logging.form", "auto", form_names,
                "How: for a terminal, for the journal, as JSON, or by what standard error is.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_DURATION(O, stop_timeout, "stop_timeout", "5s", 0, FT_NS_PER_S * 600,
                    "How long a stop may take to deliver what is left."),

    FT_OPT_STRING(O, record, "record", NULL,
                  "Keep the kernel's messages, as they come, in FILE: for tests and bug reports.",
                  .flags = FT_OPTION_CLI_ONLY, .value_name = "FILE"),
    FT_OPT_STRING(O, replay, "replay", NULL,
                  "Take the messages from FILE instead of the kernel; needs no privileges.",
                  .flags = FT_OPTION_CLI_ONLY, .value_name = "FILE"),
    FT_OPT_BOOL(O, replay_full_speed, "replay_full_speed", "false",
                "Replay as fast as possible instead of at the recorded pace.",
                .flags = FT_OPTION_CLI_ONLY),
};

static const struct ft_option_group groups[] = {
    {"agent", "This agent"},
    {"collector", "The collector that events go to"},
    {"capture", "What is taken from the kernel"},
    {"filter", "What is reported"},
    {"log", "Events until they are acknowledged"},
    {"spool", "Events on disk"},
    {"control", "How it can be asked"},
    {"logging", "Log lines"},
};

const struct ft_option_table ft_agent_option_table = {
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .struct_size = sizeof(struct ft_agent_options),
    .groups = groups,
    .n_groups = sizeof groups / sizeof groups[0],
    .check = check_options,
    .settle = settle_options,
};

static ft_err fill_rule(const struct ft_agent_rule *from, struct ft_filter_rule *ret_rule);
static void free_rule(struct ft_filter_rule *rule);

ft_err ft_agent_filter_create(const struct ft_agent_options *from, struct ft_filter **ret_filter)
{
    size_t n = from->filter.rules.n;
    const struct ft_agent_rule *agent_rules = from->filter.rules.items;
    struct ft_filter_rule *rules = calloc(n + 1, sizeof *rules);
    if (rules == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = FT_OK;
    for (size_t i = 0; i < n && err == FT_OK; i++) {
        err = fill_rule(&agent_rules[i], &rules[i]);
    }
    if (err == FT_OK) {
        struct ft_filter_options filter = {
            .drop_loopback = !from->filter.loopback, .rules = rules, .n_rules = n};
        err = ft_filter_create(&filter, ret_filter);
    }
    for (size_t i = 0; i < n; i++) {
        free_rule(&rules[i]);
    }
    free(rules);
    return err;
}

static ft_err fill_rule(const struct ft_agent_rule *from, struct ft_filter_rule *ret_rule)
{
    struct ft_cidr *addresses = calloc(from->addresses.n + 1, sizeof *addresses);
    struct ft_port_range *ports = calloc(from->ports.n + 1, sizeof *ports);
    uint8_t *protocols = calloc(from->protocols.n + 1, sizeof *protocols);
    *ret_rule = (struct ft_filter_rule){.action = (enum ft_filter_action)from->action,
                                        .addresses = addresses,
                                        .n_addresses = from->addresses.n,
                                        .ports = ports,
                                        .n_ports = from->ports.n,
                                        .protocols = protocols,
                                        .n_protocols = from->protocols.n};
    if (addresses == NULL || ports == NULL || protocols == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    for (size_t i = 0; i < from->addresses.n; i++) {
        FT_TRY(ft_cidr_parse(from->addresses.items[i], &addresses[i]));
    }
    for (size_t i = 0; i < from->ports.n; i++) {
        FT_TRY(ft_port_range_parse(from->ports.items[i], &ports[i]));
    }
    for (size_t i = 0; i < from->protocols.n; i++) {
        unsigned protocol;
        if (!ft_protocol_parse(from->protocols.items[i], &protocol)) {
            return FT_E_SYNTAX;
        }
        protocols[i] = (uint8_t)protocol;
    }
    return FT_OK;
}

static void free_rule(struct ft_filter_rule *rule)
{
    free((void *)rule->addresses);
    free((void *)rule->ports);
    free((void *)rule->protocols);
}

static bool check_uuid(const char *text, char *why, size_t why_size)
{
    struct ft_uuid uuid;
    if (text[0] == '\0' || ft_uuid_parse(text, &uuid) == FT_OK) {
        return true;
    }
    (void)snprintf(why, why_size, "a UUID such as 5a0d2b1e-9347-4c0f-a62d-7c115ed840b9");
    return false;
}

static bool check_url(const char *text, char *why, size_t why_size)
{
    if (text[0] == '\0' || strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) {
        return true;
    }
    (void)snprintf(why, why_size, "https://HOST:PORT or http://HOST:PORT");
    return false;
}

static bool check_cidr(const char *text, char *why, size_t why_size)
{
    struct ft_cidr cidr;
    if (ft_cidr_parse(text, &cidr) == FT_OK) {
        return true;
    }
    (void)snprintf(why, why_size,
                   "a network such as 10.0.0.0/8 or fd00::/8, with no bits behind its prefix");
    return false;
}

static bool check_ports(const char *text, char *why, size_t why_size)
{
    struct ft_port_range range;
    if (ft_port_range_parse(text, &range) == FT_OK) {
        return true;
    }
    (void)snprintf(why, why_size, "a port from 0 to 65535, or a range such as 1000-2000");
    return false;
}

static bool check_protocol(const char *text, char *why, size_t why_size)
{
    unsigned protocol;
    if (ft_protocol_parse(text, &protocol)) {
        return true;
    }
    (void)snprintf(why, why_size, "a protocol such as tcp, udp, icmp, or a number from 0 to 255");
    return false;
}

bool ft_agent_ratio_parse(const char *text, double *ret_ratio)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno != 0 || strspn(text, "0123456789.%") != strlen(text)) {
        return false;
    }
    if (strcmp(end, "%") == 0) {
        value /= 100;
        end++;
    }
    *ret_ratio = value;
    return *end == '\0' && value >= 0 && value < 1;
}

static bool check_ratio(const char *text, char *why, size_t why_size)
{
    double ratio;
    if (ft_agent_ratio_parse(text, &ratio)) {
        return true;
    }
    (void)snprintf(why, why_size, "a share such as 10%% or 0.1, less than 100%%");
    return false;
}

static ft_err check_options(const void *loaded, struct ft_diag *reterr_diag)
{
    const struct ft_agent_options *o = loaded;
    if (strncmp(o->collector.url, "http://", 7) == 0 && !o->collector.plaintext) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "collector.url is http://, which sends the token and all events "
                           "unencrypted: use https://, or allow it with collector.plaintext: true");
    }
    if ((o->collector.cert_file[0] == '\0') != (o->collector.key_file[0] == '\0')) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "collector.cert_file and collector.key_file belong together");
    }
    if (o->collector.backoff_base > o->collector.backoff_max) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "collector.backoff_base: the first wait is longer than the longest, "
                           "collector.backoff_max");
    }
    if (o->capture.reopen_base > o->capture.reopen_max) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "capture.reopen_base: the first wait is longer than the longest, "
                           "capture.reopen_max");
    }
    if (o->capture.crash_safe == FT_CRASH_SAFE_ON && o->spool.path[0] == '\0') {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "capture.crash_safe: on takes a spool: without one what is not "
                           "acknowledged goes with the process; set spool.path");
    }
    if (o->record[0] != '\0' && o->replay[0] != '\0') {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "--record and --replay exclude each other");
    }
    if (o->replay_full_speed && o->replay[0] == '\0') {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "--replay-full-speed is for --replay FILE");
    }
    return FT_OK;
}

/*
 * What is under way is held besides the log, so a window that is larger than the log would make the
 * memory's bound a lie.  The log's option is the one that people set.
 */
static void settle_options(void *loaded, ft_option_tell_fn *tell, void *ctx)
{
    struct ft_agent_options *o = loaded;
    if (o->collector.window_bytes > o->log.bytes_max) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "collector.window_bytes (%llu KiB) is more than log.bytes_max (%llu KiB) "
                       "holds, using %llu KiB",
                       (unsigned long long)(o->collector.window_bytes >> 10),
                       (unsigned long long)(o->log.bytes_max >> 10),
                       (unsigned long long)(o->log.bytes_max >> 10));
        tell(ctx, text);
        o->collector.window_bytes = o->log.bytes_max;
    }
}
