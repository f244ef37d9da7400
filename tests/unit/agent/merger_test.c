/* SPDX-License-Identifier: Apache-2.0 */
/* Merging changes how many events there are and nothing that they add up to. */
#include "agent/merger.h"

#include "agent/pipeline.h"
#include "base/random.h"
#include "lib/flow_ledger.h"
#include "lib/test.h"
#include "wire/batch_reader.h"

#define N_FLOWS 400U

struct flow {
    bool begun;
    bool ended;
    uint32_t generation; /* A conntrack id is used again. */
    uint64_t total[4];
};

struct source {
    struct ft_random_seeded random;
    struct flow flows[N_FLOWS];
    int64_t now_ns;
};

/* The next event of a random flow. */
static struct ft_event next_event(struct source *source)
{
    struct ft_random *random = &source->random.base;
    uint32_t i = (uint32_t)ft_random_below(random, N_FLOWS);
    struct flow *flow = &source->flows[i];
    if (flow->ended) {
        *flow = (struct flow){.generation = flow->generation + 1};
    }
    struct ft_event event = {.type = flow->begun ? FT_EVENT_UPDATE : FT_EVENT_START,
                             .time_ns = source->now_ns += 1000,
                             .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS,
                             .direction = FT_DIR_EGRESS,
                             .traffic_class = FT_CLASS_PHYSICAL,
                             .protocol = FT_PROTO_TCP,
                             .ct_id = i,
                             .start_ns = 1 + flow->generation,
                             .src_port = (uint16_t)i};
    if (flow->begun) {
        flow->ended = ft_random_below(random, 3) == 0;
        event.type = flow->ended ? FT_EVENT_END : FT_EVENT_UPDATE;
        event.fields |= FT_FIELD_COUNTERS;
        event.rx_packets = ft_random_below(random, 5);
        event.rx_bytes = ft_random_below(random, 5000);
        event.tx_packets = ft_random_below(random, 5);
        event.tx_bytes = ft_random_below(random, UINT64_C(1) << 40);
    } else if (ft_random_below(random, 4) == 0) {
        event.fields |= FT_FIELD_MARK | FT_FIELD_PREEXISTING;
        event.mark = 7;
    }
    flow->begun = true;
    return event;
}

static void compare(const struct ft_ledger *details, const struct ft_ledger *totals)
{
    CHECK_INT(details->n_flows, totals->n_flows);
    CHECK_INT(ft_ledger_count_open(details), ft_ledger_count_open(totals));
    for (size_t i = 0; i < details->n_flows; i++) {
        const struct ft_ledger_flow *a = &details->flows[i];
        const struct ft_ledger_flow *b = NULL;
        for (size_t k = 0; k < totals->n_flows && b == NULL; k++) {
            const struct ft_ledger_flow *other = &totals->flows[(i + k) % totals->n_flows];
            b = other->ct_id == a->ct_id && other->start_ns == a->start_ns ? other : NULL;
        }
        CHECK(b != NULL);
        CHECK_INT(b->n_starts, a->n_starts);
        CHECK_INT(b->n_ends, a->n_ends);
        CHECK_INT(b->rx_packets, a->rx_packets);
        CHECK_INT(b->rx_bytes, a->rx_bytes);
        CHECK_INT(b->tx_packets, a->tx_packets);
        CHECK_INT(b->tx_bytes, a->tx_bytes);
        const uint32_t kept = FT_FIELD_MARK | FT_FIELD_PREEXISTING;
        CHECK_INT(b->start_fields & kept, a->start_fields & kept);
        if ((a->start_fields & FT_FIELD_MARK) != 0) {
            CHECK_INT(b->start.mark, 7);
        }
        /* The window reaches from what began it to what ended it. */
        int64_t begin_ns =
            (b->start.fields & FT_FIELD_WINDOW) != 0 ? b->start.window_begin_ns : b->start.time_ns;
        CHECK_INT(begin_ns, a->start.time_ns);
        CHECK_INT(b->end.time_ns, a->end.time_ns);
    }
}

struct sums {
    struct ft_ledger ledger;
    uint64_t n_events;
    uint64_t n_merged;
};

static void take_sum(void *ctx, struct ft_event *event, uint32_t n_merged)
{
    struct sums *sums = ctx;
    CHECK(((event->fields & FT_FIELD_WINDOW) != 0) == (n_merged > 0));
    sums->n_events++;
    sums->n_merged += n_merged;
    ft_ledger_emit(&sums->ledger, event);
}

TEST(sums_and_flows_stay_the_same)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct source source = {0};
        ft_random_seeded_init(&source.random, seed);
        struct ft_ledger details;
        struct sums sums = {0};
        ft_ledger_init(&details, 0);
        ft_ledger_init(&sums.ledger, 0);
        struct ft_merger *merger = NULL;
        CHECK_OK(ft_merger_create(300, &merger));
        for (unsigned i = 0; i < 5000; i++) {
            struct ft_event event = next_event(&source);
            enum ft_merged merged = ft_merger_add(merger, &event);
            CHECK(merged != FT_MERGED_INTO || event.type != FT_EVENT_START);
            if (merged == FT_MERGED_NOT) {
                ft_merger_empty(merger, take_sum, &sums);
                CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_WAITS);
            }
            ft_ledger_emit(&details, &event);
            if (ft_random_below(&source.random.base, 500) == 0) {
                ft_merger_empty(merger, take_sum, &sums);
            }
        }
        ft_merger_empty(merger, take_sum, &sums);
        CHECK_INT(ft_merger_count(merger), 0);
        CHECK_INT(sums.n_events + sums.n_merged, 5000);
        CHECK(sums.n_merged > 1000);
        compare(&details, &sums.ledger);
        ft_merger_destroy(merger);
        ft_ledger_deinit(&sums.ledger);
        ft_ledger_deinit(&details);
    }
}

TEST(what_cannot_wait_is_not_merged)
{
    struct ft_merger *merger = NULL;
    CHECK_OK(ft_merger_create(2, &merger));
    struct ft_event event = {.type = FT_EVENT_START, .fields = FT_FIELD_TUPLE};
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT); /* No flow. */
    event.fields |= FT_FIELD_FLOW;
    event.type = FT_EVENT_DROP;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT);
    event.type = FT_EVENT_START;
    event.fields |= FT_FIELD_PROCESS;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT); /* Its strings are not its own. */
    event.fields = FT_FIELD_FLOW;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_WAITS);
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT); /* No flow begins twice. */
    event.ct_id = 1;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_WAITS);
    event.ct_id = 2;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT); /* No room. */
    event.ct_id = 1;
    event.type = FT_EVENT_END;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_INTO);
    event.type = FT_EVENT_UPDATE;
    CHECK_INT(ft_merger_add(merger, &event), FT_MERGED_NOT); /* It has ended. */
    ft_merger_destroy(merger);
}

/* ---- Through the pipeline ---- */

static struct ft_clock still;
static int64_t now_ns = FT_NS_PER_S;
static unsigned fill;

static int64_t read_now(const struct ft_clock *clock)
{
    (void)clock;
    return now_ns;
}

static unsigned get_fill(void *ctx)
{
    (void)ctx;
    return fill;
}

static void read_into(struct ft_log_reader *reader, struct ft_ledger *ledger, uint64_t *last_seq)
{
    struct ft_block block;
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        struct ft_batch_reader *batch = NULL;
        CHECK_OK(ft_batch_reader_open(block.data, block.size, &batch, NULL));
        struct ft_event event;
        while (ft_batch_reader_next(batch, &event)) {
            CHECK_INT(event.seq, ++*last_seq);
            ft_ledger_emit(ledger, &event);
        }
        ft_batch_reader_close(batch);
        ft_block_release(&block);
    }
}

static void check_account(struct ft_pipeline *pipeline, uint64_t observed)
{
    struct ft_pipeline_account account;
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.observed, observed);
    CHECK_INT(account.observed, account.kept + account.merged + account.lost);
}

static void feed(struct ft_pipeline *pipeline, struct source *source, struct ft_ledger *details,
                 unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = next_event(source);
        ft_ledger_emit(details, &event);
        ft_pipeline_take(pipeline, &event);
        now_ns += FT_NS_PER_MS;
        ft_pipeline_tick(pipeline);
    }
}

TEST(under_pressure_the_pipeline_merges_and_later_stops)
{
    struct source source = {0};
    ft_random_seeded_init(&source.random, 1);
    still = (struct ft_clock){read_now, read_now};
    fill = 0;
    struct ft_pipeline_options options = {.block_events_max = 100,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = FT_NS_PER_S,
                                          .clock = &still,
                                          .fill = get_fill};
    struct ft_pipeline *pipeline = NULL;
    CHECK_OK(ft_pipeline_create(&options, &pipeline));
    struct ft_log_options log_options = {.bytes_max = 64 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log = NULL;
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_memory_create(&log_options, &log));
    CHECK_OK(ft_log_reader_open(log, "test", true, &reader));
    ft_pipeline_set_log(pipeline, log);
    struct ft_ledger details;
    struct ft_ledger totals;
    ft_ledger_init(&details, 0);
    ft_ledger_init(&totals, 0);
    const struct ft_pipeline_stats *stats = ft_pipeline_stats(pipeline);
    static const unsigned fills[] = {0, 499, 500, 900, 260, 249, 499, 100, 600, 0};
    static const bool merges[] = {false, false, true, true, true, false, false, false, true, false};
    uint64_t n = 0;
    uint64_t last_seq = 0;
    for (size_t phase = 0; phase < sizeof fills / sizeof fills[0]; phase++) {
        fill = fills[phase];
        feed(pipeline, &source, &details, 1);
        ft_pipeline_flush(pipeline); /* It looks between two blocks. */
        uint64_t merged_before = ft_tally_live(ft_pipeline_tally(pipeline))->merged;
        feed(pipeline, &source, &details, 3000);
        n += 3001;
        CHECK_INT(stats->merging, merges[phase]);
        ft_pipeline_flush(pipeline);
        uint64_t merged = ft_tally_live(ft_pipeline_tally(pipeline))->merged - merged_before;
        CHECK(merges[phase] ? merged > 500 : merged == 0);
        check_account(pipeline, n);
    }
    read_into(reader, &totals, &last_seq);
    compare(&details, &totals);
    ft_ledger_deinit(&details);
    ft_ledger_deinit(&totals);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}
