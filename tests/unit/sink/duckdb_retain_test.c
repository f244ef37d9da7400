/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/random.h"
#include "lib/test.h"
#include "rows.h"
#include "sink/duckdb_instances.h"
#include "store.h"

static struct ft_duckdb_retained retain(struct store *store, struct ft_duckdb_retention retention,
                                        int64_t now_ns)
{
    struct ft_duckdb_retained retained;
    STORE_OK(ft_duckdb_sink_retain(store->sink, &retention, now_ns, &retained, &diag));
    return retained;
}

TEST(an_empty_store_and_no_bounds_delete_nothing)
{
    struct store store = store_open(NULL, 1);
    struct ft_duckdb_retention age = {.age_ns = 1};
    CHECK_INT(retain(&store, age, ROWS_T0).deleted_rows, 0);
    store_add_simple(&store, 1, 100, 1);
    CHECK_INT(retain(&store, (struct ft_duckdb_retention){0}, ROWS_T0).deleted_rows, 0);
    CHECK_INT(store_count(&store), 100);
    store_close(&store);
}

TEST(by_age_what_is_older_goes)
{
    struct store store = store_open(NULL, 1);
    struct ft_duckdb_retention retention = {.age_ns = 40};
    store_add_simple(&store, 1, 100, 1);
    struct ft_duckdb_retained retained = retain(&store, retention, ROWS_T0 + 100);
    CHECK_INT(retained.deleted_rows, 59); /* 1 to 59 are older than 60. */
    CHECK(!retained.more);
    CHECK_INT(retained.stats.oldest_ns, ROWS_T0 + 60);
    CHECK_INT(store_count(&store), 41);
    CHECK_INT(retain(&store, retention, ROWS_T0 + 100).deleted_rows, 0);
    store_close(&store);
}

TEST(by_age_in_bounded_steps)
{
    struct store store = store_open(NULL, 1);
    struct ft_duckdb_retention retention = {.age_ns = 1, .step_rows = 30};
    store_add_simple(&store, 1, 100, 1);
    for (unsigned i = 0; i < 3; i++) {
        struct ft_duckdb_retained retained = retain(&store, retention, ROWS_T0 + 101);
        CHECK_INT(retained.deleted_rows, 30);
        CHECK(retained.more);
    }
    struct ft_duckdb_retained retained = retain(&store, retention, ROWS_T0 + 101);
    CHECK_INT(retained.deleted_rows, 9);
    CHECK(!retained.more);
    store_close(&store);
}

static ft_err sum_instance(void *ctx, const struct ft_stored_instance *instance)
{
    struct ft_stored_instance *sum = ctx;
    sum->stored_events += instance->stored_events;
    sum->vanished_events += instance->vanished_events;
    return FT_OK;
}

static void check_vanished(struct store *store, uint64_t stored, uint64_t vanished)
{
    struct ft_stored_instance sum = {0};
    STORE_OK(ft_duckdb_each_instance(store->db, sum_instance, &sum, &diag));
    CHECK_INT(sum.stored_events, stored);
    CHECK_INT(sum.vanished_events, vanished);
}

TEST(what_retention_deletes_has_not_vanished)
{
    struct store store = store_open(NULL, 1);
    struct ft_duckdb_retention retention = {.age_ns = 40, .step_rows = 30};
    struct ft_row other = row_bare(1);
    other.instance_id = rows_uuid(0xb7);
    store_add(&store, &other, 1, 1);
    store_add_simple(&store, 1, 100, 2);
    check_vanished(&store, 101, 0);
    uint64_t deleted = 0;
    for (unsigned i = 0; i < 4; i++) {
        deleted += retain(&store, retention, ROWS_T0 + 100).deleted_rows;
        check_vanished(&store, 101, 0);
    }
    CHECK(deleted >= 59);
    store_add_simple(&store, 101, 110, 3);
    check_vanished(&store, 111, 0);
    CHECK(retain(&store, retention, ROWS_T0 + 200).deleted_rows > 0);
    check_vanished(&store, 111, 0);
    store_close(&store);
}

TEST(deleted_rows_do_not_come_back_by_replay)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    struct ft_duckdb_retention retention = {.age_ns = 1};
    store_add_simple(&store, 1, 100, 1);
    CHECK_INT(retain(&store, retention, ROWS_T0 + 101).deleted_rows, 99);
    store_close(&store);
    store = store_open(path, 2); /* The log was lost: it replays from the start. */
    store_add_simple(&store, 1, 110, 1);
    CHECK_INT(store_count(&store), 11); /* 100, and 101 to 110 */
    store_close(&store);
}

static ft_err stop(void *ctx, const struct ft_row *row)
{
    (void)ctx;
    (void)row;
    return FT_E_FULL;
}

/* A clock that runs on each look. */
struct running_clock {
    struct ft_clock clock;
    int64_t now_ns;
};

static int64_t running_now(const struct ft_clock *clock)
{
    return ((struct running_clock *)(uintptr_t)clock)->now_ns += FT_NS_PER_MS;
}

TEST(queries_that_were_stopped_do_not_hold_deleted_rows)
{
    struct store store = store_open(NULL, 1);
    struct running_clock clock = {.clock = {.mono_ns = running_now, .real_ns = running_now}};
    const struct ft_duckdb_reader_options options = {.clock = &clock.clock};
    struct ft_flow_reader *reader;
    struct ft_query query;
    struct ft_query_result result;
    store_add_simple(&store, 1, 3000, 1);
    STORE_OK(ft_duckdb_reader_create(store.db, &options, &reader, &diag));
    ft_query_init(&query);
    for (int64_t looks = 20; looks >= 1; looks--) {
        query.timeout_ns = looks * FT_NS_PER_MS;
        CHECK(reader->ops->rows(reader, &query, NULL, stop, NULL, &result, NULL) != FT_OK);
    }
    struct ft_duckdb_retention retention = {.age_ns = 1};
    struct ft_duckdb_retained retained = retain(&store, retention, ROWS_T0 + 4000);
    CHECK_INT(retained.deleted_rows, 3000);
    CHECK_INT(retained.stats.rows, 0);
    ft_query_deinit(&query);
    ft_duckdb_reader_destroy(reader);
    store_close(&store);
}

TEST(long_silent_instances_are_forgotten_others_are_not)
{
    struct store store = store_open(NULL, 1);
    struct ft_row old = row_bare(5);
    struct ft_row wrong_clock = row_bare(6);
    const int64_t day_ns = 86400 * FT_NS_PER_S;
    old.instance_id = rows_uuid(0xb7);
    old.stored_ns = ROWS_T0;
    wrong_clock.instance_id = rows_uuid(0xb8);
    wrong_clock.event.time_ns = 1; /* 1970 */
    wrong_clock.stored_ns = ROWS_T0 + 50 * day_ns;
    store_add(&store, &old, 1, 1);
    store_add(&store, &wrong_clock, 1, 2);
    struct ft_duckdb_retention retention = {.age_ns = day_ns};
    CHECK_INT(retain(&store, retention, ROWS_T0 + 100 * day_ns).deleted_rows, 2);
    store_add(&store, &old, 1, 3);
    store_add(&store, &wrong_clock, 1, 4);
    struct ft_sink_stats stats;
    ft_sink_stats(store.sink, &stats);
    CHECK_INT(stats.rows, 3);
    CHECK_INT(stats.duplicates, 1);
    store_close(&store);
}

/* Rows that do not compress, somewhat more than a row group of DuckDB's, a nanosecond apart. */
static void add_random(struct store *store, struct ft_random *random, uint64_t *seq)
{
    for (unsigned i = 0; i < 125000; i++) {
        struct ft_row row = row_bare(++*seq);
        row.event.fields = FT_FIELD_COUNTERS;
        random->fill(random, &row.event_id, sizeof row.event_id);
        random->fill(random, &row.event.rx_bytes, sizeof row.event.rx_bytes);
        random->fill(random, &row.event.tx_bytes, sizeof row.event.tx_bytes);
        STORE_OK(ft_sink_append(store->sink, &row, 1, &diag));
    }
    STORE_OK(ft_sink_commit(store->sink, *seq, &diag));
}

TEST(by_bytes_the_used_part_stays_in_bounds_and_the_file_stops_growing)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    struct ft_duckdb_retention retention = {.bytes_max = UINT64_C(12) << 20};
    struct ft_random_seeded random;
    uint64_t seq = 0;
    uint64_t file_middle = 0;
    uint64_t deleted = 0;
    struct ft_duckdb_retained retained = {0};
    ft_random_seeded_init(&random, 1);
    for (unsigned i = 0; i < 8; i++) {
        add_random(&store, &random.base, &seq);
        retained = retain(&store, retention, ROWS_T0);
        deleted += retained.deleted_rows;
        if (i == 4) {
            file_middle = retained.stats.file_bytes;
        }
    }
    CHECK(deleted > 0);
    CHECK(retained.stats.rows > 0);
    CHECK(retained.stats.used_bytes < 2 * retention.bytes_max);
    CHECK(retained.stats.file_bytes < file_middle + file_middle / 4);
    CHECK_INT(retained.stats.newest_ns, ROWS_T0 + (int64_t)seq);
    store_close(&store);
}

/* Deleting a part of a row group frees nothing, and then the size says nothing: going on by it
 * would delete everything. */
TEST(by_bytes_a_step_asks_for_another_only_when_it_has_freed_something)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    struct ft_random_seeded random;
    uint64_t seq = 0;
    ft_random_seeded_init(&random, 1);
    for (unsigned i = 0; i < 3; i++) {
        add_random(&store, &random.base, &seq);
    }
    struct ft_duckdb_retention small = {.bytes_max = 1 << 20, .step_rows = 1000};
    struct ft_duckdb_retained retained = retain(&store, small, ROWS_T0);
    CHECK_INT(retained.deleted_rows, 1000);
    CHECK(retained.stats.used_bytes > 1 << 20);
    CHECK(!retained.more);
    struct ft_duckdb_retention large = {.bytes_max = 1 << 20, .step_rows = 130000};
    retained = retain(&store, large, ROWS_T0);
    CHECK_INT(retained.deleted_rows, 130000);
    CHECK(retained.more);
    store_close(&store);
}
