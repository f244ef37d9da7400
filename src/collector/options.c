/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/options.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

static ft_err check_options(const void *options, struct ft_diag *reterr_diag);
static void settle_options(void *options, ft_option_tell_fn *tell, void *ctx);

static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};
static const char *const form_names[] = {"auto", "tty", "journal", "json", NULL};

#define O struct ft_collector_options

static const struct ft_option options[] = {
    FT_OPT_PATH(O, data_dir, "data_dir", "/var/lib/flowtrail-collector",
                "Where log, database and identity are kept.",
                .flags = FT_OPTION_RESTART | FT_OPTION_REQUIRED),

    FT_OPT_STRING(O, ingest.listen, "ingest.listen", "[::]:4319",
                  "ADDRESS:PORT for agents (gRPC). Port 0 takes a free one and logs it.",
                  .flags = FT_OPTION_RESTART | FT_OPTION_REQUIRED, .value_name = "ADDRESS:PORT"),
    FT_OPT_BOOL(O, ingest.plaintext, "ingest.plaintext", "false",
                "Serve without TLS: tokens and events travel unencrypted.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_PATH(O, ingest.cert_file, "ingest.cert_file", NULL,
                "Certificate chain (PEM); read again at SIGHUP."),
    FT_OPT_SECRET_FILE(O, ingest.key_file, "ingest.key_file", NULL,
                       "Private key (PEM) of ingest.cert_file."),
    FT_OPT_PATH(O, ingest.client_ca_file, "ingest.client_ca_file", NULL,
                "Certificates (PEM) that may have signed the agents'."),
    FT_OPT_BOOL(O, ingest.client_cert_required, "ingest.client_cert_required", "false",
                "Turn away agents without a certificate, before they can send anything else.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_PATH(O, ingest.tokens_file, "ingest.tokens_file", NULL,
                "The bearer tokens that agents may use, one \"name: sha256:HEX\" a line; read "
                "again at SIGHUP. \"flowtrail token\" makes them.",
                .flags = FT_OPTION_REQUIRED),
    FT_OPT_U64(O, ingest.threads, "ingest.threads", "4", 1, 64, "Threads that serve agents.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_U64(O, ingest.sessions_max, "ingest.sessions_max", "10000", 1, 65536,
               "Agents at one time; more are told to come back.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_U64(O, ingest.sessions_per_address_max, "ingest.sessions_per_address_max", "256", 1,
               65536, "Agents of one address (IPv6: one /64).",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_U64(
        O, ingest.connections_per_address_max, "ingest.connections_per_address_max", "512", 1,
        65536,
        "Connections of one address, and new ones of it within 10 s; more are closed at once.",
        .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.message_bytes_max, "ingest.message_bytes_max", "1MiB", KIB(64), MIB(4),
                "Largest message of an agent.", .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.metadata_bytes_max, "ingest.metadata_bytes_max", "8KiB", KIB(1), KIB(64),
                "Headers of one call.", .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.memory_bytes_max, "ingest.memory_bytes_max", "256MiB", MIB(16), GIB(64),
                "Network buffers of all connections.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.window_bytes, "ingest.window_bytes", "4MiB", KIB(64), MIB(256),
                "What an agent with a backlog may send without an acknowledgement at most, as far "
                "as ingest.queue_bytes_max has room for it.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.queue_bytes_max, "ingest.queue_bytes_max", "64MiB", MIB(1), GIB(4),
                "Checked batches that wait for the log; beyond, sessions wait. Agents that come "
                "with more than fits are told when to come back.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_U64(O, ingest.agent_events_per_second_max, "ingest.agent_events_per_second_max", "0", 0,
               1000000000, "Events of one agent; it waits when it sends more. 0: no bound.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, ingest.agent_bytes_per_second_max, "ingest.agent_bytes_per_second_max", "0", 0,
                GIB(64), "Bytes of one agent; it waits when it sends more. 0: no bound.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, ingest.handshake_timeout, "ingest.handshake_timeout", "3s",
                    FT_NS_PER_MS * 100, FT_NS_PER_S * 60, "Time for TLS and the first frame.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, ingest.first_message_timeout, "ingest.first_message_timeout", "15s",
                    FT_NS_PER_MS * 100, FT_NS_PER_S * 600, "Time until an agent says hello.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, ingest.connection_age, "ingest.connection_age", "0", 0,
                    FT_NS_PER_S * 86400 * 7,
                    "Connections are asked to be made anew after this time, spread by 10 %, so "
                    "that they spread over collectors. 0: never.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, ingest.status_interval, "ingest.status_interval", "5s", FT_NS_PER_MS * 100,
                    FT_NS_PER_S * 3600, "How often agents send their account.",
                    .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_SIZE(O, log.bytes_max, "log.bytes_max", "8GiB", MIB(16), GIB(16384),
                "Events on disk that the database has not taken yet; beyond, agents keep theirs.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_SIZE(O, log.segment_bytes, "log.segment_bytes", "64MiB", MIB(1), GIB(1),
                "Size of one file of the log.", .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, log.keep_bytes, "log.keep_bytes", "64MiB", 0, GIB(16384),
                "What the database has taken stays in the log as long as there is place for it, up "
                "to so much: a database that is lost or set back is filled from it.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_U64(O, quarantine.files_max, "quarantine.files_max", "1000", 1, 100000,
               "Blocks that the database cannot take, and as many that were rejected when they "
               "came, are kept in data_dir/quarantine for a person to look at. Beyond, the oldest "
               "are deleted.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, quarantine.bytes_max, "quarantine.bytes_max", "64MiB", MIB(1), GIB(1024),
                "Bytes of them, of each of the two.",
                .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_U64(O, duckdb.batch_rows, "duckdb.batch_rows", "20000", 1, 1000000,
               "Rows of one transaction, when they come fast.", .flags = FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, duckdb.batch_interval, "duckdb.batch_interval", "250ms", FT_NS_PER_MS,
                    FT_NS_PER_S * 60, "Age of one transaction, when they come slowly.",
                    .flags = FT_OPTION_ADVANCED),
    FT_OPT_SIZE(O, duckdb.memory_bytes, "duckdb.memory_bytes", "1GiB", MIB(64), GIB(1024),
                "Memory that the database may take.", .flags = FT_OPTION_RESTART),
    FT_OPT_U64(O, duckdb.threads, "duckdb.threads", "2", 1, 256, "Threads of the database.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, duckdb.retention_age, "duckdb.retention_age", "15d", 0,
                    FT_NS_PER_S * 86400 * 3650, "Older events are deleted. 0: never."),
    FT_OPT_SIZE(O, duckdb.retention_bytes, "duckdb.retention_bytes", "0", 0, GIB(1024 * 1024),
                "When the database is larger, the oldest events are deleted. 0: never."),

    FT_OPT_STRING(O, http.listen, "http.listen", "127.0.0.1:8319",
                  "ADDRESS:PORT of the page, the API and /metrics. There is no login: keep it on "
                  "loopback or behind a proxy that has one. Empty: none.",
                  .flags = FT_OPTION_RESTART, .value_name = "ADDRESS:PORT"),
    FT_OPT_PATH(O, http.socket, "http.socket", "/run/flowtrail/collector.sock",
                "Unix socket for the same. Empty: none.", .flags = FT_OPTION_RESTART),
    FT_OPT_STRINGS(O, http.host_names, "http.host_names", NULL,
                   "Further names under which the page may be asked for (Host header).", .max = 64,
                   .flags = FT_OPTION_RESTART),
    FT_OPT_U64(O, http.connections_max, "http.connections_max", "256", 4, 10000,
               "Connections at one time.", .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_DURATION(O, http.query_timeout, "http.query_timeout", "30s", FT_NS_PER_MS * 100,
                    FT_NS_PER_S * 3600, "A query that takes longer is stopped.",
                    .flags = FT_OPTION_RESTART),
    FT_OPT_U64(O, http.queries_max, "http.queries_max", "4", 1, 64, "Queries at one time.",
               .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),
    FT_OPT_U64(O, http.live_clients_max, "http.live_clients_max", "64", 1, 1000,
               "Live streams at one time.", .flags = FT_OPTION_RESTART | FT_OPTION_ADVANCED),

    FT_OPT_ENUM(O, logging.level, "logging.level", "info", level_names,
                "Which log lines are written."),
    FT_OPT_ENUM(O, logging.form, "logging.form", "auto", form_names,
                "How: for a terminal, for the journal, as JSON, or by what standard error is.",
                .flags = FT_OPTION_RESTART),
    FT_OPT_DURATION(
        O, stop_timeout, "stop_timeout", "10s", 0, FT_NS_PER_S * 600,
        "How long a stop may take; then the process ends as it is: the log has everything that "
        "was acknowledged."),
};

static const struct ft_option_group groups[] = {
    {"ingest", "Agents"},
    {"log", "Events on disk until the database has them"},
    {"quarantine", "Blocks that cannot be stored"},
    {"duckdb", "The embedded database"},
    {"http", "Page, API and metrics"},
    {"logging", "Log lines"},
};

const struct ft_option_table ft_collector_option_table = {
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .struct_size = sizeof(struct ft_collector_options),
    .groups = groups,
    .n_groups = sizeof groups / sizeof groups[0],
    .check = check_options,
    .settle = settle_options,
};

static ft_err check_options(const void *loaded, struct ft_diag *reterr_diag)
{
    const struct ft_collector_options *o = loaded;
    bool tls = o->ingest.cert_file[0] != '\0';
    if (tls != (o->ingest.key_file[0] != '\0')) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "ingest.cert_file and ingest.key_file belong together");
    }
    if (!tls && !o->ingest.plaintext) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "ingest has no certificate: set ingest.cert_file and ingest.key_file, "
                           "or serve unencrypted with ingest.plaintext: true");
    }
    if (tls && o->ingest.plaintext) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "ingest.plaintext: true and ingest.cert_file contradict each other: "
                           "leave one out");
    }
    if (o->ingest.plaintext && o->ingest.client_ca_file[0] != '\0') {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "ingest.client_ca_file: without TLS (ingest.plaintext) nobody shows a "
                           "certificate");
    }
    if (o->ingest.client_cert_required && o->ingest.client_ca_file[0] == '\0') {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "ingest.client_cert_required needs ingest.client_ca_file");
    }
    if (o->log.segment_bytes > o->log.bytes_max / 2) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "log.bytes_max must hold two segments of log.segment_bytes");
    }
    if (o->http.live_clients_max >= o->http.connections_max) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "http.live_clients_max: live streams could take all of "
                           "http.connections_max, and nothing else would be answered");
    }
    if (o->http.queries_max > o->http.connections_max) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "http.queries_max is more than http.connections_max lets in");
    }
    return FT_OK;
}

/* One agent's window must fit into the queue, or a single one holds up all others. */
static void settle_options(void *loaded, ft_option_tell_fn *tell, void *ctx)
{
    struct ft_collector_options *o = loaded;
    if (o->ingest.window_bytes > o->ingest.queue_bytes_max) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "ingest.window_bytes (%llu KiB) is more than ingest.queue_bytes_max (%llu "
                       "KiB) holds, using %llu KiB",
                       (unsigned long long)(o->ingest.window_bytes >> 10),
                       (unsigned long long)(o->ingest.queue_bytes_max >> 10),
                       (unsigned long long)(o->ingest.queue_bytes_max >> 10));
        tell(ctx, text);
        o->ingest.window_bytes = o->ingest.queue_bytes_max;
    }
}
