/* SPDX-License-Identifier: Apache-2.0 */
/* What a store has lost is taken when it comes again, once; anything else below the mark is not. */
#include "sink/duckdb_instances.h"

#include <stdio.h>

#include "lib/test.h"
#include "rows.h"
#include "store.h"

static const struct ft_ranges lost = {.n = 2, .at = {{1, 100}, {201, 210}}};

static void set_gaps(struct store *store, const struct ft_ranges *gaps)
{
    struct ft_row row = row_bare(1);
    STORE_OK(ft_duckdb_sink_set_gaps(store->sink, &row.agent_id, &row.instance_id, gaps, &diag));
}

static ft_err add_gap(void *ctx, const struct ft_uuid *agent_id, const struct ft_uuid *instance_id,
                      uint64_t first_seq, uint64_t last_seq)
{
    struct ft_row row = row_bare(1);
    CHECK(ft_uuid_equal(agent_id, &row.agent_id) && ft_uuid_equal(instance_id, &row.instance_id));
    CHECK(ft_ranges_add(ctx, first_seq, last_seq));
    return FT_OK;
}

static struct ft_ranges stored_gaps(struct store *store)
{
    struct ft_ranges gaps = {0};
    STORE_OK(ft_duckdb_each_gap(store->db, add_gap, &gaps, &diag));
    return gaps;
}

TEST(only_gaps_are_filled_below_the_mark_and_once)
{
    struct store store = store_open(NULL, 1);
    set_gaps(&store, &lost);
    store_add_simple(&store, 101, 200, 1);
    store_add_simple(&store, 211, 300, 2);
    store_add_simple(&store, 91, 205, 3);
    CHECK_INT(store_count(&store), 190 + 15);
    struct ft_ranges gaps = stored_gaps(&store);
    CHECK_INT(gaps.n, 2);
    CHECK_INT(gaps.at[0].last, 90);
    CHECK_INT(gaps.at[1].first, 206);
    for (unsigned i = 0; i < 2; i++) {
        store_add_simple(&store, 1, 300, 4 + i);
        CHECK_INT(store_count(&store), 300);
        CHECK_INT(stored_gaps(&store).n, 0);
    }
    store_add_simple(&store, 301, 310, 6);
    CHECK_INT(store_count(&store), 310);
    store_close(&store);
}

TEST(gaps_are_as_durable_as_the_rows_that_fill_them)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    set_gaps(&store, &lost);
    store_add_simple(&store, 211, 300, 2);
    store_close(&store);
    store = store_open(path, 1);
    CHECK_INT(stored_gaps(&store).n, 2);
    struct ft_row row = row_simple(50);
    STORE_OK(ft_sink_append(store.sink, &row, 1, &diag));
    store_close(&store); /* Without a commit. */
    store = store_open(path, 1);
    CHECK_INT(store_count(&store), 90);
    struct ft_ranges gaps = stored_gaps(&store);
    CHECK_INT(ft_ranges_overlap(&gaps, 1, 300), 110);
    store_add(&store, &row, 1, 3);
    store_close(&store);
    store = store_open(path, 1);
    gaps = stored_gaps(&store);
    CHECK_INT(gaps.n, 3);
    CHECK_INT(ft_ranges_overlap(&gaps, 50, 50), 0);
    store_add(&store, &row, 1, 4);
    CHECK_INT(store_count(&store), 91);
    store_close(&store);
}

TEST(a_loss_that_is_told_closes_the_gap)
{
    struct store store = store_open(NULL, 1);
    set_gaps(&store, &lost);
    store_add_simple(&store, 211, 300, 1);
    struct ft_row row = row_bare(301);
    row.event.type = FT_EVENT_LOSS;
    row.event.fields = FT_FIELD_LOSS;
    row.event.loss = (struct ft_loss){
        .cause = FT_LOSS_COLLECTOR_LOST, .count = 95, .first_seq = 1, .last_seq = 95};
    store_add(&store, &row, 1, 2);
    struct ft_ranges gaps = stored_gaps(&store);
    CHECK_INT(gaps.n, 2);
    CHECK_INT(gaps.at[0].first, 96);
    store_add_simple(&store, 90, 100, 3);
    CHECK_INT(store_count(&store), 91 + 5);
    store_close(&store);
}
