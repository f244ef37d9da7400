/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the embedded store takes rows, how large they are on disk, how fast it answers, how soon
 * it stops when told to, and how fast it forgets.
 *
 *     bench_sink [rows] [batch rows] [directory] [ids]      1000000 2000 /tmp
 *
 * With "ids" the rows come with their derived ids, as from a caller that has computed them: what
 * that costs is the difference.
 *
 * The rows are made up: 100 agents, skewed addresses and ports, four events of five END or START
 * of a flow.  Take the figures as ratios, not as promises.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/thread.h"
#include "sink/duckdb_reader.h"
#include "sink/duckdb_sink.h"

#define BEGIN_NS   INT64_C(1767225600000000000)
#define N_AGENTS   100
#define BLOCK      500 /* Rows of one agent in a run. */
#define PER_ROW_NS (50 * FT_NS_PER_US)

static struct ft_duckdb *db;
static struct ft_diag diag;

static void must(ft_err err, const char *what)
{
    if (err != FT_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", what, ft_err_text(err), diag.text);
        exit(1);
    }
}

static double now_s(void) { return (double)ft_clock_mono_ns(ft_clock_system()) / 1e9; }

/* Small numbers much more often than large ones. */
static uint32_t skewed(struct ft_random *random, uint32_t bound)
{
    uint64_t product = ft_random_below(random, bound) * ft_random_below(random, bound);
    return (uint32_t)(product / bound);
}

static struct ft_row make_row(struct ft_random *random, uint64_t number)
{
    static const uint16_t ports[] = {443, 443, 443, 443, 53, 53, 80, 22, 5432, 6379};
    uint64_t agent = number / BLOCK % N_AGENTS;
    struct ft_row row = {
        .event = {.seq = number / BLOCK / N_AGENTS * BLOCK + number % BLOCK + 1,
                  .time_ns = BEGIN_NS + (int64_t)number * PER_ROW_NS,
                  .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS | FT_FIELD_COUNTERS |
                            FT_FIELD_TCP_STATE | FT_FIELD_STATUS,
                  .type = number % 5 < 2   ? FT_EVENT_START
                          : number % 5 < 4 ? FT_EVENT_END
                                           : FT_EVENT_UPDATE,
                  .direction = FT_DIR_EGRESS,
                  .protocol = FT_PROTO_TCP,
                  .tcp_state = 3,
                  .ct_status = 0x18e,
                  .ct_id = (uint32_t)ft_random_u64(random),
                  .rx_packets = skewed(random, 1000),
                  .rx_bytes = skewed(random, 1000000),
                  .tx_packets = skewed(random, 1000),
                  .tx_bytes = skewed(random, 1000000)},
        .stored_ns = BEGIN_NS + (int64_t)(number / 2000) * 2000 * PER_ROW_NS,
    };
    uint32_t source = (UINT32_C(10) << 24) + skewed(random, 4000);
    uint32_t peer = (UINT32_C(100) << 24) + skewed(random, 300000);
    for (unsigned i = 0; i < 4; i++) {
        row.event.src.bytes[i] = (uint8_t)(source >> (24 - 8 * i));
        row.event.dst.bytes[i] = (uint8_t)(peer >> (24 - 8 * i));
    }
    row.event.start_ns = row.event.time_ns - (int64_t)ft_random_below(random, 10000) * 1000000;
    row.event.src_port = (uint16_t)(32768 + ft_random_below(random, 28000));
    row.event.dst_port = ports[ft_random_below(random, 10)];
    memset(row.agent_id.bytes, (int)agent + 1, 16);
    memset(row.instance_id.bytes, (int)agent + 101, 16);
    return row;
}

static void add_ids(struct ft_id_deriver *deriver, struct ft_row *rows, uint64_t n_rows)
{
    for (uint64_t i = 0; i < n_rows; i++) {
        struct ft_row *row = &rows[i];
        ft_id_derive_event(deriver, &row->instance_id, row->event.seq, &row->event_id);
        ft_id_derive_flow(deriver, &row->instance_id, row->event.ct_id, row->event.start_ns,
                          &row->flow_id);
    }
}

static void fill(struct ft_sink *sink, uint64_t n_rows, uint64_t batch_rows, bool with_ids)
{
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    must(ft_id_deriver_create(&deriver), "ids");
    struct ft_random_seeded random;
    struct ft_row *rows = calloc(batch_rows, sizeof *rows);
    double busy_s = 0;
    double slowest_s = 0;
    if (rows == NULL) {
        exit(1);
    }
    ft_random_seeded_init(&random, 1);
    for (uint64_t at = 0; at < n_rows; at += batch_rows) {
        for (uint64_t i = 0; i < batch_rows; i++) {
            rows[i] = make_row(&random.base, at + i);
        }
        double begin_s = now_s();
        if (with_ids) {
            add_ids(deriver, rows, batch_rows);
        }
        must(ft_sink_append(sink, rows, batch_rows, &diag), "append");
        must(ft_sink_commit(sink, at / batch_rows + 1, &diag), "commit");
        double took_s = now_s() - begin_s;
        busy_s += took_s;
        slowest_s = took_s > slowest_s ? took_s : slowest_s;
    }
    free(rows);
    (void)printf("store            %.0f rows/s in batches of %" PRIu64 ", slowest batch %.0f ms\n",
                 (double)n_rows / busy_s, batch_rows, slowest_s * 1e3);
}

static void print_sizes(const char *when)
{
    struct ft_duckdb_stats stats;
    must(ft_duckdb_get_stats(db, &stats, &diag), "stats");
    (void)printf("%-16s %.1f MiB file, %.1f used, %.1f write-ahead log, %" PRIu64
                 " rows, %.1f bytes/row\n",
                 when, (double)stats.file_bytes / 1048576, (double)stats.used_bytes / 1048576,
                 (double)stats.wal_bytes / 1048576, stats.rows,
                 stats.rows > 0 ? (double)stats.used_bytes / (double)stats.rows : 0);
}

/* The most memory that the process ever had; DuckDB's own bound is options.memory_bytes. */
static void print_memory(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%-16s %ld MiB at most so far\n", "memory", usage.ru_maxrss / 1024);
}

static ft_err take_row(void *ctx, const struct ft_row *row)
{
    (void)ctx;
    (void)row;
    return FT_OK;
}

static ft_err take_group(void *ctx, const struct ft_group_row *row)
{
    (void)ctx;
    (void)row;
    return FT_OK;
}

static void ask_rows(struct ft_flow_reader *reader, const char *name, const char *column,
                     const char *value, uint32_t rows_max)
{
    struct ft_query query;
    struct ft_query_result result;
    ft_query_init(&query);
    query.rows_max = rows_max;
    if (column != NULL) {
        must(ft_query_add_filter(&query, column, value, false, &diag), column);
    }
    double begin_s = now_s();
    must(reader->ops->rows(reader, &query, NULL, take_row, NULL, &result, &diag), name);
    (void)printf("%-16s %6.1f ms, %" PRIu64 " rows\n", name, (now_s() - begin_s) * 1e3,
                 result.n_rows);
    ft_query_deinit(&query);
}

static void ask_groups(struct ft_flow_reader *reader, const char *name, struct ft_group group)
{
    struct ft_query query;
    struct ft_query_result result;
    ft_query_init(&query);
    double begin_s = now_s();
    must(reader->ops->groups(reader, &query, &group, NULL, take_group, NULL, &result, &diag), name);
    (void)printf("%-16s %6.1f ms, %" PRIu64 " rows\n", name, (now_s() - begin_s) * 1e3,
                 result.n_rows);
    ft_query_deinit(&query);
}

static void cancel_soon(void *ctx)
{
    (void)usleep(50000);
    atomic_store((atomic_bool *)ctx, true);
}

/* A query that takes long, cancelled after 50 ms. */
static void ask_and_cancel(struct ft_flow_reader *reader)
{
    struct ft_query query;
    struct ft_query_result result;
    struct ft_thread thread;
    atomic_bool cancel = false;
    struct ft_group group = {
        .n_columns = 3,
        .columns = {FT_COL_FLOW_ID, FT_COL_SRC_PORT, FT_COL_DST_ADDR},
        .groups_max = 100,
    };
    ft_query_init(&query);
    must(ft_thread_start(&thread, "cancel", cancel_soon, &cancel), "thread");
    double begin_s = now_s();
    ft_err err =
        reader->ops->groups(reader, &query, &group, &cancel, take_group, NULL, &result, &diag);
    (void)printf("%-16s %6.1f ms after the start, told at 50: %s\n", "cancel",
                 (now_s() - begin_s) * 1e3, ft_err_name(err));
    ft_thread_join(&thread);
    ft_query_deinit(&query);
}

static void forget(struct ft_sink *sink, uint64_t n_rows)
{
    struct ft_duckdb_retained retained;
    struct ft_duckdb_retention retention = {.age_ns = (int64_t)n_rows / 2 * PER_ROW_NS};
    int64_t now_ns = BEGIN_NS + (int64_t)n_rows * PER_ROW_NS;
    double begin_s = now_s();
    must(ft_duckdb_sink_retain(sink, &retention, now_ns, &retained, &diag), "retain");
    (void)printf("%-16s %6.1f ms, %" PRIu64 " rows\n", "forget half", (now_s() - begin_s) * 1e3,
                 retained.deleted_rows);
}

int main(int argc, char **argv)
{
    uint64_t n_rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t batch_rows = argc > 2 ? strtoull(argv[2], NULL, 10) : FT_SINK_BATCH_ROWS;
    char path[512];
    struct ft_sink *sink;
    struct ft_flow_reader *reader;
    struct ft_uuid log_id = {{1}};
    uint64_t position;
    (void)snprintf(path, sizeof path, "%s/sink_bench.%d.duckdb", argc > 3 ? argv[3] : "/tmp",
                   (int)getpid());
    must(ft_duckdb_open(&(struct ft_duckdb_options){.path = path}, &db, &diag), "open");
    must(ft_duckdb_sink_create(db, &sink, &diag), "sink");
    must(ft_sink_begin(sink, &log_id, &position, &diag), "begin");
    must(ft_duckdb_reader_create(db, &(struct ft_duckdb_reader_options){0}, &reader, &diag),
         "reader");
    (void)printf("DuckDB %s\n", ft_duckdb_version());
    fill(sink, n_rows, batch_rows, argc > 4 && strcmp(argv[4], "ids") == 0);
    print_sizes("stored");
    print_memory();
    ask_rows(reader, "newest 100", NULL, NULL, 100);
    ask_rows(reader, "newest 20000", NULL, NULL, 20000);
    ask_rows(reader, "one address", "dst_addr", "100.0.1.7", 100);
    ask_rows(reader, "a /24", "addr", "100.0.9.0/24", 100);
    ask_rows(reader, "absent address", "addr", "192.0.2.1", 100);
    ask_rows(reader, "event id", "event_id", "7d444840-9dc0-51d1-b245-5ffdce74fad2", 100);
    print_memory();
    ask_groups(reader, "top sources",
               (struct ft_group){.n_columns = 1, .columns = {FT_COL_SRC_ADDR}, .groups_max = 10});
    ask_groups(reader, "conversations",
               (struct ft_group){.n_columns = 3,
                                 .columns = {FT_COL_SRC_ADDR, FT_COL_DST_ADDR, FT_COL_DST_PORT},
                                 .groups_max = 10});
    ask_groups(reader, "series by port",
               (struct ft_group){.n_columns = 1,
                                 .columns = {FT_COL_DST_PORT},
                                 .step_ns = FT_NS_PER_S,
                                 .groups_max = 10});
    print_memory();
    ask_and_cancel(reader);
    print_memory();
    forget(sink, n_rows);
    print_sizes("kept");
    ft_duckdb_reader_destroy(reader);
    ft_sink_close(sink);
    ft_duckdb_close(db);
    (void)unlink(path);
    return 0;
}
