/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_world.h"

#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "wire/batch_reader.h"

#define LOSS_MARK UINT32_C(1)

static int64_t now_ns = 1000 * FT_NS_PER_S;

static int64_t read_now(const struct ft_clock *clock)
{
    (void)clock;
    return now_ns;
}

static const struct ft_clock world_clock = {read_now, read_now};

void world_init(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->disk = ft_fault_disk_create(seed);
    ft_random_seeded_init(&world->random, seed);
    world->bytes_max = 1 << 20;
    world->memory_bytes = 256 << 10;
    world->boot_id.bytes[0] = 1;
    world->n_made = LOSS_MARK;
}

static void forget_blocks(struct world *world, uint64_t seq)
{
    size_t n = 0;
    while (n < world->n_blocks &&
           world->blocks[n].info.first_seq + world->blocks[n].info.n_events - 1 <= seq) {
        free(world->blocks[n++].data);
    }
    world->n_blocks -= n;
    memmove(world->blocks, world->blocks + n, world->n_blocks * sizeof world->blocks[0]);
}

void world_deinit(struct world *world)
{
    forget_blocks(world, UINT64_MAX);
    ft_disk_destroy(world->disk);
}

/* ft_pipeline_seal_fn: a commit. */
static void commit(void *ctx, const struct ft_block_info *info, const void *data, size_t size)
{
    struct world *world = ctx;
    ft_pipeline_get_kept(world->pipeline, &world->kept);
    world->has_kept = true;
    world->n_made_then = world->n_made;
    world->n_lost_then = world->n_lost_made;
    if (info != NULL) {
        CHECK(world->n_blocks < WORLD_BLOCKS_MAX);
        struct world_block *block = &world->blocks[world->n_blocks++];
        *block = (struct world_block){.info = *info, .data = malloc(size + 1), .size = size};
        CHECK(block->data != NULL);
        memcpy(block->data, data, size);
    }
}

/* Where the last process's commit was: its blocks come again, and so do the messages behind it. */
static void go_on(struct world *world, const struct ft_spool_identity *identity)
{
    CHECK(world->report.went_on);
    for (size_t i = 0; i < world->n_blocks; i++) {
        const struct world_block *block = &world->blocks[i];
        if (block->info.first_seq > identity->settled_seq ||
            block->info.first_seq == identity->held_seq) {
            ft_pipeline_restore(world->pipeline, &block->info, block->data, block->size);
        }
    }
    uint32_t n_again = world->n_made - world->n_made_then;
    uint64_t lost_again = world->n_lost_made - world->n_lost_then;
    world->n_made = world->n_made_then;
    world->n_lost_made = world->n_lost_then;
    if (lost_again > 0) {
        world_lose(world, lost_again);
    }
    world_make(world, n_again);
}

ft_err world_open(struct world *world)
{
    struct ft_spool_options options = {.bytes_max = world->bytes_max,
                                       .segment_bytes = 16 << 10,
                                       .sync_each = world->sync_each,
                                       .sync_interval_ns = FT_NS_PER_S,
                                       .window_bytes = 16 << 10,
                                       .clock = &world_clock,
                                       .random = &world->random.base,
                                       .has_agent_id = true,
                                       .boot_id = world->boot_id};
    options.agent_id.bytes[0] = world->agent_byte != 0 ? world->agent_byte : 5;
    struct ft_spool_kept kept = {.instance_id = world->kept.instance_id,
                                 .tally = world->kept.tally,
                                 .first_seq =
                                     world->n_blocks > 0 ? world->blocks[0].info.first_seq : 0};
    options.kept = world->keeps && world->has_kept ? &kept : NULL;
    FT_TRY(ft_spool_open(&options, world->disk, &world->spool, &world->report));
    CHECK_INT(world->report.n_surplus, 0);
    struct ft_spool_identity identity;
    ft_spool_get_identity(world->spool, &identity);
    world->instance_id = identity.instance_id;
    struct ft_pipeline_options pipeline = {.agent_id = identity.agent_id,
                                           .instance_id = identity.instance_id,
                                           .life = ft_lives_present(&identity.lives),
                                           .block_events_max = 20,
                                           .block_bytes_max = 64 << 10,
                                           .flush_interval_ns = FT_NS_PER_S,
                                           .clock = &world_clock,
                                           .tally = ft_spool_tally(world->spool),
                                           .kept_events = ft_spool_kept_events(world->spool)};
    CHECK_OK(ft_pipeline_create(&pipeline, &world->pipeline));
    struct ft_log_options memory = {.bytes_max = world->memory_bytes,
                                    .full = FT_LOG_DROP_OLDEST,
                                    .readers_hold = true,
                                    .on_drop = ft_pipeline_on_drop,
                                    .on_drop_ctx = world->pipeline};
    CHECK_OK(ft_log_memory_create(&memory, &world->memory));
    ft_pipeline_set_log(world->pipeline, world->memory);
    CHECK_OK(ft_spool_set_source(world->spool, world->memory));
    world->reader = NULL;
    if (ft_log_reader_open(ft_spool_log(world->spool), "exporter", false, &world->reader) ==
        FT_OK) {
        uint8_t note[FT_LOG_NOTE_SIZE_MAX];
        size_t size;
        ft_log_reader_note(world->reader, note, &size);
        if (!ft_progress_decode(note, size, &world->progress) ||
            (identity.base_seq > 0 && world->progress.acked_seq <= identity.base_seq)) {
            world->progress = (struct ft_progress){0};
        }
        CHECK(world->may_repeat || world->progress.acked_seq <= world->durable_seq);
    }
    if (world->keeps) {
        bool has_kept = world->has_kept;
        ft_pipeline_set_on_seal(world->pipeline, commit, world);
        if (has_kept) {
            go_on(world, &identity);
        } else {
            ft_pipeline_commit(world->pipeline);
        }
    }
    return FT_OK;
}

void world_close(struct world *world, bool clean)
{
    if (clean) {
        ft_pipeline_flush(world->pipeline);
        for (unsigned i = 0; i < 100 && !ft_spool_is_drained(world->spool); i++) {
            world_work(world, 2 * FT_NS_PER_S);
        }
        CHECK(ft_spool_is_drained(world->spool));
    }
    ft_log_reader_close(world->reader);
    ft_spool_close(world->spool, clean);
    ft_log_destroy(world->memory);
    ft_pipeline_destroy(world->pipeline);
    world->spool = NULL;
}

void world_make(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.type = FT_EVENT_START,
                                 .time_ns = now_ns,
                                 .fields = FT_FIELD_FLOW,
                                 .ct_id = ++world->n_made,
                                 .start_ns = now_ns};
        ft_pipeline_take(world->pipeline, &event);
        ft_pipeline_settle(world->pipeline);
    }
    ft_pipeline_tick(world->pipeline);
}

void world_lose(struct world *world, uint64_t n)
{
    struct ft_event event = {
        .type = FT_EVENT_LOSS,
        .fields = FT_FIELD_LOSS,
        .loss = {.cause = FT_LOSS_PARSE, .begin_ns = now_ns, .end_ns = now_ns, .count = n}};
    ft_pipeline_take(world->pipeline, &event);
    world->n_lost_made += n;
    ft_pipeline_settle(world->pipeline);
}

void world_work(struct world *world, int64_t ns)
{
    now_ns += ns;
    ft_pipeline_tick(world->pipeline);
    ft_spool_work(world->spool);
    forget_blocks(world, ft_spool_stats(world->spool)->durable_seq);
}

/* A number that comes again must be the same event; a new event counts once. */
static void store_event(struct world *world, const struct ft_event *event)
{
    uint64_t seq = event->seq;
    CHECK(seq > 0 && seq < WORLD_SEQ_MAX);
    uint32_t id = event->type == FT_EVENT_LOSS ? LOSS_MARK : event->ct_id;
    if (world->seen[seq] != 0) {
        CHECK_INT(world->seen[seq], id);
        return;
    }
    world->seen[seq] = id;
    world->n_stored++;
    if (event->type == FT_EVENT_LOSS) {
        world->n_told += event->loss.count;
        world->n_told_estimated += event->loss.estimated ? event->loss.count : 0;
    } else {
        CHECK(id <= world->n_made);
        CHECK_INT(world->seen_event[id]++, 0);
    }
}

static void store_block(struct world *world, const struct ft_block *block)
{
    struct ft_batch_reader *batch = NULL;
    CHECK_OK(ft_batch_reader_open(block->data, block->size, &batch, NULL));
    struct ft_event event;
    uint64_t seq = block->info.first_seq;
    while (ft_batch_reader_next(batch, &event)) {
        CHECK_INT(event.seq, seq++);
        store_event(world, &event);
    }
    ft_batch_reader_close(batch);
    CHECK_INT(seq, block->info.first_seq + block->info.n_events);
    world->durable_seq = seq - 1 > world->durable_seq ? seq - 1 : world->durable_seq;
}

void world_deliver(struct world *world, unsigned n, unsigned unacked)
{
    if (world->reader == NULL) {
        return;
    }
    /* As after a new stream: from the first that is not acknowledged. */
    ft_log_reader_seek(world->reader, ft_log_reader_confirmed(world->reader));
    struct ft_block_info infos[64];
    uint64_t positions[64];
    unsigned n_read = 0;
    struct ft_block block;
    while (n_read < n && n_read < 64 && ft_log_reader_next(world->reader, true, &block) == FT_OK) {
        store_block(world, &block);
        infos[n_read] = block.info;
        positions[n_read++] = block.position;
        ft_block_release(&block);
    }
    for (unsigned i = 0; i + unacked < n_read; i++) {
        world->progress.acked_seq = infos[i].first_seq + infos[i].n_events - 1;
        world->progress.stored_seq = world->progress.acked_seq;
        world->progress.done_events += infos[i].n_events;
        uint8_t note[FT_PROGRESS_SIZE];
        ft_progress_encode(&world->progress, note);
        ft_err_ignore(ft_log_reader_confirm_noted(world->reader, positions[i], note, sizeof note),
                      "a later one says it again");
        ft_pipeline_acked(world->pipeline, world->progress.acked_seq);
    }
}

void world_drain(struct world *world)
{
    for (unsigned i = 0; i < 2000; i++) {
        world_work(world, 2 * FT_NS_PER_S);
        uint64_t before = world->n_stored;
        world_deliver(world, 64, 0);
        struct ft_pipeline_account account;
        ft_pipeline_get_account(world->pipeline, &account);
        if (account.kept == world->progress.done_events && ft_spool_is_drained(world->spool) &&
            world->n_stored == before && world->n_told == account.lost) {
            return;
        }
    }
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world->pipeline, &account);
    ft_test_fail(__FILE__, __LINE__, "not drained: kept %llu done %llu told %llu lost %llu",
                 (unsigned long long)account.kept, (unsigned long long)world->progress.done_events,
                 (unsigned long long)world->n_told, (unsigned long long)account.lost);
}

void world_check_account(struct world *world)
{
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world->pipeline, &account);
    CHECK_INT(account.observed, account.kept + account.lost + account.merged);
    CHECK(account.kept >= world->progress.done_events);
}

void world_check_end(struct world *world)
{
    world_check_account(world);
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world->pipeline, &account);
    CHECK_INT(account.kept, world->progress.done_events);
    CHECK_INT(account.kept, world->n_stored);
    CHECK_INT(account.lost, world->n_told);
}
