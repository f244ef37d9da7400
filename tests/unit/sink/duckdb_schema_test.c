/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file as others see it: what a connection that knows nothing of flowtrail reads from the
 * views, and the same by DuckDB's Python package where it is installed in the same version.
 */
#include <duckdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "rows.h"
#include "sink/duckdb_instances.h"
#include "sink/duckdb_internal.h"
#include "store.h"

static void make_path(char *path, size_t size)
{
    (void)snprintf(path, size, "%s/flows.duckdb", ft_test_tmpdir());
}

/* All values of a query's result, blanks between, a line a row; or the refusal. */
static const char *run_sql(duckdb_connection connection, const char *sql)
{
    static char text[8192];
    duckdb_result result;
    size_t at = 0;
    text[0] = '\0';
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        (void)snprintf(text, sizeof text, "refused: %s", duckdb_result_error(&result));
    } else {
        for (idx_t row = 0; row < duckdb_row_count(&result); row++) {
            for (idx_t column = 0; column < duckdb_column_count(&result); column++) {
                char *value = duckdb_value_varchar(&result, column, row);
                at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", column > 0 ? " " : "",
                                       value != NULL ? value : "-");
                duckdb_free(value);
            }
            at += (size_t)snprintf(text + at, sizeof text - at, "\n");
        }
    }
    duckdb_destroy_result(&result);
    return text;
}

static const char *run_sql_on_file(const char *path, const char *sql)
{
    duckdb_database database;
    duckdb_connection connection;
    CHECK_INT(duckdb_open(path, &database), DuckDBSuccess);
    CHECK_INT(duckdb_connect(database, &connection), DuckDBSuccess);
    const char *text = run_sql(connection, sql);
    duckdb_disconnect(&connection);
    duckdb_close(&database);
    return text;
}

static void flow_id_text(const struct ft_row *row, char text[FT_UUID_TEXT_SIZE])
{
    struct ft_uuid flow;
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    CHECK_OK(ft_id_deriver_create(&deriver));
    ft_id_derive_flow(deriver, &row->instance_id, row->event.ct_id, row->event.start_ns, &flow);
    ft_uuid_format(&flow, text);
}

#define FLOWS_SQL                                                                                  \
    "SELECT type, direction, src_addr, dst_addr, protocol, flow_id, inferred FROM flows_text "     \
    "ORDER BY seq"
#define FLOWS_TEXT                                                                                 \
    "END EGRESS 10.0.0.1 192.0.2.1 6 %s %s\n"                                                      \
    "LOSS FORWARDED 2001:0db8:0000:0000:0000:0000:0000:0001 "                                      \
    "ff02:0000:0000:0000:0000:0000:0000:0002 255 f1f1f1f1-f1f1-f1f1-f1f1-f1f1f1f1f1f1 %s\n"

/* A file with a simple and a full row, and the text of the first one's flow id. */
static void make_file(const char *path, char flow_text[FT_UUID_TEXT_SIZE])
{
    struct store store = store_open(path, 1);
    struct ft_row r[2] = {row_simple(1), row_full(2)};
    store_add(&store, r, 2, 9);
    store_close(&store);
    flow_id_text(&r[0], flow_text);
}

TEST(views_show_flows_losses_instances_and_agents)
{
    char path[256];
    char flow_text[FT_UUID_TEXT_SIZE];
    char expected[1024];
    make_path(path, sizeof path);
    make_file(path, flow_text);
    (void)snprintf(expected, sizeof expected, FLOWS_TEXT, flow_text, "false", "true");
    CHECK_STR(run_sql_on_file(path, "SELECT COLUMNS(*)::VARCHAR FROM (" FLOWS_SQL ")"), expected);
    CHECK_STR(run_sql_on_file(path, "SELECT cause, count, estimated, first_seq FROM losses"),
              "SHUTDOWN 18446744073709551611 true 18446744073709551609\n");
    CHECK_STR(
        run_sql_on_file(path, "SELECT durable_seq, n_events, last_time::VARCHAR FROM instances"),
        "2 2 2026-01-01 00:00:00.000000002\n");
    CHECK_STR(run_sql_on_file(path, "SELECT n_instances, n_events FROM agents"), "1 2\n");
    CHECK_STR(run_sql_on_file(path, "SELECT position FROM log_cursor"), "9\n");
    CHECK_STR(run_sql_on_file(path, "SELECT version FROM schema_version"), "1\n");
}

static ft_err add_vanished(void *ctx, const struct ft_stored_instance *instance)
{
    *(uint64_t *)ctx += instance->vanished_events;
    return FT_OK;
}

static uint64_t count_vanished(const char *path)
{
    struct store store = store_open(path, 1);
    uint64_t vanished = 0;
    STORE_OK(ft_duckdb_each_instance(store.db, add_vanished, &vanished, &diag));
    store_close(&store);
    return vanished;
}

TEST(rows_that_somebody_deletes_have_vanished)
{
    char path[256];
    char flow_text[FT_UUID_TEXT_SIZE];
    make_path(path, sizeof path);
    make_file(path, flow_text);
    CHECK_INT(count_vanished(path), 0);
    (void)run_sql_on_file(path, "DELETE FROM flows WHERE seq = 1");
    CHECK_INT(count_vanished(path), 1);
    (void)run_sql_on_file(path, "DELETE FROM flows");
    CHECK_INT(count_vanished(path), 2);
    CHECK_INT(count_vanished(path), 2);
}

TEST(what_was_not_there_before_deletions_were_counted_has_not_vanished)
{
    char path[256];
    char flow_text[FT_UUID_TEXT_SIZE];
    make_path(path, sizeof path);
    make_file(path, flow_text);
    (void)run_sql_on_file(path, "DROP TABLE deleted_rows");
    (void)run_sql_on_file(path, "DELETE FROM flows WHERE seq = 1");
    CHECK_INT(count_vanished(path), 0);
    (void)run_sql_on_file(path, "DELETE FROM flows");
    CHECK_INT(count_vanished(path), 1);
}

static ft_err add_life(void *ctx, const struct ft_stored_instance *instance)
{
    *(uint64_t *)ctx = instance->life;
    return FT_OK;
}

static uint64_t stored_life(struct store *store)
{
    uint64_t life = 0;
    STORE_OK(ft_duckdb_each_instance(store->db, add_life, &life, &diag));
    return life;
}

TEST(the_life_of_the_newest_event_is_stored_with_the_mark)
{
    char path[256];
    make_path(path, sizeof path);
    struct store store = store_open(path, 1);
    struct ft_row r[2] = {row_simple(1), row_simple(2)};
    r[0].life = 77;
    r[1].life = UINT64_MAX;
    store_add(&store, r, 2, 9);
    CHECK_INT(stored_life(&store), UINT64_MAX);
    /* A repeat changes nothing, nor does what is not committed. */
    store_add(&store, r, 1, 10);
    r[0].event.seq = 3;
    STORE_OK(ft_sink_append(store.sink, r, 1, &diag));
    store_close(&store);
    store = store_open(path, 1);
    CHECK_INT(stored_life(&store), UINT64_MAX);
    store_add(&store, r, 1, 11);
    CHECK_INT(stored_life(&store), 77);
    store_close(&store);
    store = store_open(path, 1);
    CHECK_INT(stored_life(&store), 77);
    store_close(&store);
}

/* A file as an earlier program has left it, with a loss whose cause that one could not name. */
static void make_first_file(const char *path)
{
    static char sql[65536];
    FILE *file = fopen(FIRST_SCHEMA, "re");
    CHECK(file != NULL);
    size_t size = fread(sql, 1, sizeof sql - 1, file);
    CHECK(size > 0 && size < sizeof sql - 1);
    sql[size] = '\0';
    (void)fclose(file);
    CHECK_STR(run_sql_on_file(path, sql), "1\n"); /* The row that its last statement adds. */
    CHECK_STR(run_sql_on_file(
                  path, "INSERT INTO flows (agent_id, instance_id, seq, type, loss_cause, fields)"
                        " VALUES ('a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1',"
                        " 'b1b1b1b1-b1b1-b1b1-b1b1-b1b1b1b1b1b1', 1, 5, 8, 0)"),
              "1\n");
    CHECK_STR(run_sql_on_file(path, "SELECT cause FROM losses"), "8\n");
}

TEST(a_file_of_an_earlier_program_is_upgraded_once)
{
    char path[256];
    make_path(path, sizeof path);
    make_first_file(path);
    for (unsigned run = 0; run < 2; run++) {
        struct store store = store_open(path, 1);
        store_add_simple(&store, 2 + run, 2 + run, 1);
        store_close(&store);
        CHECK_STR(run_sql_on_file(path, "SELECT cause FROM losses"), "COLLECTOR_LOST\n");
        CHECK_STR(run_sql_on_file(path, "SELECT count(*) FROM schema_version"), "1\n");
        CHECK_STR(run_sql_on_file(path, "SELECT count(*) FROM instance_gaps"), "0\n");
    }
    CHECK_STR(run_sql_on_file(path, "SELECT count(*) FROM flows"), "3\n");
    /* The second time there was nothing to do: what somebody changed is left alone. */
    CHECK_STR(run_sql_on_file(path, "DROP VIEW losses"), "");
    struct store store = store_open(path, 1);
    store_close(&store);
    CHECK(strstr(run_sql_on_file(path, "FROM losses"), "refused") != NULL);
}

TEST(names_in_the_view_are_the_protocols)
{
    static const struct {
        const char *column;
        unsigned n;
        const char *(*name)(unsigned);
    } cases[] = {
        {"type", FT_EVENT_TYPE_N, ft_event_type_name},
        {"direction", FT_DIR_N, ft_direction_name},
        {"traffic_class", FT_CLASS_N, ft_traffic_class_name},
        {"tcp_state", FT_TCP_STATE_N - 1, ft_tcp_state_name},
        {"loss_cause", FT_LOSS_CAUSE_N, ft_loss_cause_name},
    };
    struct store store = store_open(NULL, 1);
    duckdb_connection connection;
    CHECK_OK(ft_duckdb_connect(store.db, &connection, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned number = 0; number <= cases[i].n; number++) {
            char sql[256];
            char expected[64];
            (void)snprintf(sql, sizeof sql,
                           "DELETE FROM flows; INSERT INTO flows (%s) VALUES (%u);"
                           "SELECT %s FROM flows_text",
                           cases[i].column, number, cases[i].column);
            if (number == cases[i].n) {
                (void)snprintf(expected, sizeof expected, "%u\n", number); /* Not known yet. */
            } else {
                (void)snprintf(expected, sizeof expected, "%s\n", cases[i].name(number));
            }
            CHECK_STR(run_sql(connection, sql), expected);
        }
    }
    duckdb_disconnect(&connection);
    store_close(&store);
}

TEST(a_newer_schema_is_refused_and_left_alone)
{
    char path[256];
    struct ft_duckdb *db;
    struct ft_diag words = {0};
    make_path(path, sizeof path);
    struct store store = store_open(path, 1);
    store_close(&store);
    (void)run_sql_on_file(path, "UPDATE schema_version SET version = 99");
    CHECK_ERR(ft_duckdb_open(&(struct ft_duckdb_options){.path = path}, &db, &words),
              FT_E_UNSUPPORTED);
    CHECK(strstr(words.text, "99") != NULL);
    CHECK_STR(run_sql_on_file(path, "SELECT version FROM schema_version"), "99\n");
}

/* The second wall behind bound parameters: even SQL of the program could do none of this. */
TEST(the_open_database_reaches_nothing_else)
{
    char path[256];
    make_path(path, sizeof path);
    struct store store = store_open(path, 1);
    duckdb_connection connection;
    CHECK_OK(ft_duckdb_connect(store.db, &connection, NULL));
    static const char *const refused[] = {
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "ATTACH '/tmp/other.db'",
        "COPY flows TO '/tmp/flows.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *text = run_sql(connection, refused[i]);
        if (strncmp(text, "refused: ", 9) != 0) {
            ft_test_fail(__FILE__, __LINE__, "%s gave %s", refused[i], text);
        }
    }
    duckdb_disconnect(&connection);
    store_close(&store);
}

TEST(python_reads_the_same)
{
    char path[256];
    char flow_text[FT_UUID_TEXT_SIZE];
    char command[2048];
    char expected[1024];
    char output[2048];
    make_path(path, sizeof path);
    make_file(path, flow_text);
    (void)snprintf(command, sizeof command,
                   "python3 -c 'import duckdb, sys; sys.exit(duckdb.__version__ != \"%s\")' "
                   "2>/dev/null",
                   ft_duckdb_version() + 1);
    if (system(command) != 0) {
        ft_test_skip("no Python with duckdb of the version that is linked");
    }
    (void)snprintf(command, sizeof command,
                   "python3 -c 'import duckdb\nfor row in duckdb.connect(\"%s\", read_only=True)"
                   ".execute(\"%s\").fetchall(): print(*row)' 2>&1",
                   path, FLOWS_SQL);
    FILE *from = popen(command, "r");
    CHECK(from != NULL);
    size_t n = fread(output, 1, sizeof output - 1, from);
    output[n] = '\0';
    CHECK_INT(pclose(from), 0);
    (void)snprintf(expected, sizeof expected, FLOWS_TEXT, flow_text, "False", "True");
    CHECK_STR(output, expected);
}

/* A row that breaks a constraint of the table is the row's fault; the store goes on without it. */
TEST(rows_that_the_table_refuses_are_told_from_a_store_that_fails)
{
    char path[256];
    make_path(path, sizeof path);
    struct store store = store_open(path, 1);
    store_add_simple(&store, 1, 10, 1);
    store_close(&store);
    CHECK_STR(run_sql_on_file(path, "ALTER TABLE flows ALTER COLUMN src_port SET NOT NULL"), "");
    store = store_open(path, 1);
    struct ft_row bad = row_bare(11);
    struct ft_diag words = {0};
    ft_err err = ft_sink_append(store.sink, &bad, 1, &words);
    if (err == FT_OK) {
        err = ft_sink_commit(store.sink, 2, &words);
    }
    CHECK_ERR(err, FT_E_RANGE);
    CHECK(strstr(words.text, "src_port") != NULL);
    store_add_simple(&store, 12, 20, 3);
    CHECK_INT(store_count(&store), 19);
    store_close(&store);
}
