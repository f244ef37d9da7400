/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_collector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/account.h"
#include "collector/identity.h"
#include "collector/ledger.h"
#include "collector/recovery.h"
#include "sim.h"
#include "sim_sink.h"
#include "wire/batch_reader.h"

/* As in collector.c, and as the service manager's RestartSec. */
#define PAUSE_NS   (1 * FT_NS_PER_S)
#define RESTART_NS (2 * FT_NS_PER_S)
#define IDLE_NS    (1 * FT_NS_PER_S)
/* Blocks that the sinker takes at one moment. */
#define SINK_STEPS 64
/* How late a mutant is with its sync. */
#define MUTANT_SYNC_NS (20 * FT_NS_PER_MS)
/* Of the acknowledgements one in so many is looked at as if the power failed then. */
#define LOOKS_ONE_IN 24

static void boot(void *self);
static void commit(void *self);
static void sink(void *self);
static ft_err open_all(struct sim_collector *collector);
static void close_all(struct sim_collector *collector);
static void after_step(struct sim_collector *collector);
static void count_flow(struct sim_collector *collector);
static void look_at_account(void *ctx, const struct ft_instance *instance);
static bool look_at_log(struct sim *sim, struct ft_log *log, uint64_t position, const char *when);
static void look_behind_cut(struct sim_collector *collector);
static void check_places(struct sim_collector *collector);
static void on_row(void *ctx, const struct sim_sink_row *row);

static void trace_disk(void *ctx, enum ft_fault_op op, const char *name, uint64_t offset,
                       size_t size, ft_err err)
{
    struct sim *sim = ctx;
    sim_print_trace(sim, "  disk: %s %s %" PRIu64 " %zu %s", ft_fault_op_name(op), name, offset,
                    size, err != FT_OK ? ft_err_text(err) : "");
}

void sim_collector_begin(struct sim *sim)
{
    struct sim_collector *collector = &sim->collector;
    *collector = (struct sim_collector){.sim = sim};
    collector->disk = ft_fault_disk_create(ft_random_u64(&sim->plan_random.base));
    if (sim_is_traced(sim)) {
        ft_fault_disk_trace(collector->disk, trace_disk, sim);
    }
    collector->seen_disk = collector->disk;
    if (sim->options.mutant != SIM_MUTANT_NONE) {
        collector->seen_disk = sim_mutant_disk_create(sim->options.mutant, collector->disk);
    }
    sim_add_node(sim, &collector->commit, "commit", commit, collector);
    sim_add_node(sim, &collector->sink, "sink", sink, collector);
    sim_add_node(sim, &collector->boot, "collector start", boot, collector);
    sim_wake(&collector->boot, sim->now_ns);
}

void sim_collector_end(struct sim *sim)
{
    struct sim_collector *collector = &sim->collector;
    if (collector->up) {
        collector->dying = true;
        sim_net_collector_gone(sim, true);
        ft_err_ignore(ft_ingest_commit(collector->ingest, 0), "the run is over");
    }
    close_all(collector);
    sim_backup_drop(collector);
    if (collector->seen_disk != collector->disk) {
        ft_disk_destroy(collector->seen_disk);
    }
    ft_disk_destroy(collector->disk);
}

bool sim_collector_is_dying(const struct sim_collector *collector)
{
    return collector->dying || ft_fault_disk_stopped(collector->disk);
}

void sim_collector_took(struct sim_collector *collector)
{
    int64_t delay_ns = collector->sim->plan.commit_delay_ns;
    collector->has_taken = true;
    sim_wake(&collector->commit,
             collector->sim->now_ns + sim_between(&collector->sim->time_random, 0, delay_ns));
}

bool sim_collector_is_drained(struct sim_collector *collector)
{
    /* With rows to be committed the sinker waits until that is due. */
    return !collector->has_taken && collector->sink_waits &&
           collector->sink_wait_ns == FT_TIME_NEVER;
}

bool sim_collector_sink_waits(struct sim_collector *collector, int64_t deadline_mono_ns)
{
    collector->sink_waits = true;
    collector->sink_wait_ns = deadline_mono_ns;
    return false;
}

void sim_collector_says(struct sim_collector *collector, struct sim_conn *conn, const void *data,
                        size_t size)
{
    struct sim *sim = collector->sim;
    struct ft_response response;
    struct ft_diag diag = {0};
    if (ft_response_decode(data, size, &response, &diag) != FT_OK) {
        sim_broken(sim, "the collector says what it cannot read itself: %s", diag.text);
        return;
    }
    struct sim_instance *instance = conn->instance;
    if (response.kind == FT_RESPONSE_WELCOME) {
        SIM_TRACE(sim, "collector welcomes agent %u on %u: it has %" PRIu64, conn->agent_index,
                  conn->number, response.welcome.durable_seq);
        sim_oracle_welcomed(sim, instance, &response.welcome);
    } else if (response.kind == FT_RESPONSE_ACK) {
        SIM_TRACE(sim, "collector acknowledges %" PRIu64 " to agent %u on %u",
                  response.ack.durable_seq, conn->agent_index, conn->number);
        sim_oracle_told(sim, instance, response.ack.durable_seq);
        sim_net_keep_ack(conn, data, size);
        if (sim_one_in(&sim->fault_random, LOOKS_ONE_IN)) {
            look_behind_cut(collector);
        }
    }
}

static void boot(void *self)
{
    struct sim_collector *collector = self;
    struct sim *sim = collector->sim;
    if (collector->up) {
        return;
    }
    ft_err err = open_all(collector);
    if (err != FT_OK) {
        SIM_TRACE(sim, "the collector does not start: %s", ft_err_text(err));
        sim_count(sim, SIM_FAULT_COLLECTOR_LIMP);
        close_all(collector);
        sim_wake(&collector->boot, sim->now_ns + RESTART_NS);
        after_step(collector);
        return;
    }
    collector->up = true;
    collector->life++;
    memset(collector->flow, 0, sizeof collector->flow);
    SIM_TRACE(sim, "the collector starts, life %u, the table has position %" PRIu64,
              collector->life, ft_sinker_stats(collector->sinker)->committed_position);
    if (look_at_log(sim, collector->log, ft_sinker_stats(collector->sinker)->committed_position,
                    "after the start of the collector")) {
        sim_oracle_take_stock(sim);
    }
    sim_wake(&collector->commit, sim->now_ns);
    sim_wake(&collector->sink, sim->now_ns);
    after_step(collector);
}

/* The table tells repeats by looking for them. */
static ft_err take_gaps(void *ctx, const struct ft_instance_key *key, const struct ft_ranges *gaps)
{
    struct sim_collector *collector = ctx;
    for (unsigned i = 0; i < gaps->n; i++) {
        sim_oracle_gap(collector->sim, key, gaps->at[i].first, gaps->at[i].last);
    }
    return FT_OK;
}

static ft_err open_store(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    struct sim_sink_options table = {
        .disk = collector->seen_disk, .on_row = on_row, .on_row_ctx = collector};
    sim_oracle_table_begin(sim);
    FT_TRY(sim_sink_open(&table, &collector->table));
    FT_TRY(sim_sink_each_instance(collector->table, ft_recovery_add_stored, collector->instances));
    struct ft_sinker_options sinker = {.name = "duckdb",
                                       .batch_rows = sim->plan.batch_rows,
                                       .batch_interval_ns = sim->plan.batch_interval_ns,
                                       .clock = &sim->clock,
                                       .log = collector->log,
                                       .log_id = collector->log_id,
                                       .sink = collector->table,
                                       .instances = collector->instances};
    FT_TRY(ft_sinker_create(&sinker, &collector->sinker, NULL));
    uint64_t position = ft_sinker_stats(collector->sinker)->committed_position;
    uint64_t n_behind;
    FT_TRY(
        ft_recovery_from_log(collector->log, position, collector->instances, take_gaps, collector));
    FT_TRY(ft_recovery_reconcile(collector->instances, NULL, position, &n_behind));
    return ft_ledger_write(collector->ledger, true);
}

/* As open_disk, open_store and open_ingest in collector.c. */
static ft_err open_all(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    struct ft_random *random = &sim->program_random.base;
    FT_TRY(
        ft_identity_load(collector->seen_disk, "collector-id", random, &collector->collector_id));
    FT_TRY(ft_identity_load(collector->seen_disk, "log-id", random, &collector->log_id));
    struct ft_log_options log = {
        .bytes_max = sim->plan.log_bytes_max, .segment_bytes = 4096, .full = FT_LOG_REFUSE};
    FT_TRY(ft_log_disk_open(collector->seen_disk, &log, NULL, NULL, &collector->log));
    check_places(collector);
    FT_TRY(ft_instances_create(&collector->instances));
    FT_TRY(ft_ledger_open(collector->seen_disk, collector->instances, sim->now_ns,
                          &collector->ledger));
    FT_TRY(open_store(collector));
    struct ft_ingest_options ingest = {.collector_id = collector->collector_id,
                                       .store_epoch = collector->log_id,
                                       .version = "0",
                                       .queue_bytes_max = sim->plan.queue_bytes_max,
                                       .window_bytes = sim->plan.window_bytes,
                                       .agent_events_per_s = sim->plan.agent_events_per_s,
                                       .agent_bytes_per_s = sim->plan.agent_bytes_per_s,
                                       .message_bytes_max = 1 << 20,
                                       .status_interval_ms = 5000,
                                       .clock = &sim->clock,
                                       .log = collector->log,
                                       .instances = collector->instances,
                                       .ledger = collector->ledger,
                                       .peer_ops = &sim_net_peer_ops};
    return ft_ingest_create(&ingest, &collector->ingest);
}

static bool is_kept(const struct sim_collector *collector, uint64_t position)
{
    return position < SIM_POSITIONS_MAX &&
           (collector->kept[position / 64] >> (position % 64) & 1) != 0;
}

bool sim_collector_has_durable(const struct sim_collector *collector, uint64_t position)
{
    return is_kept(collector, position) &&
           (collector->log == NULL || position <= ft_log_durable(collector->log));
}

/* What is not in the log any more was confirmed, and the cursor knows it. */
static void check_places(struct sim_collector *collector)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(collector->log, &first, &last);
    for (uint64_t position = ft_log_confirmed(collector->log) + 1;
         position < first && !collector->places_may_lag; position++) {
        if (is_kept(collector, position)) {
            sim_broken(collector->sim,
                       "position %" PRIu64 " left the log before the cursor had passed it",
                       position);
            return;
        }
    }
}

static void forget_unsynced(struct sim_collector *collector)
{
    for (uint64_t position = ft_log_durable(collector->log) + 1; position < SIM_POSITIONS_MAX;
         position++) {
        collector->kept[position / 64] &= ~(UINT64_C(1) << (position % 64));
    }
}

void sim_collector_appended(struct sim_collector *collector, uint64_t position)
{
    if (position < SIM_POSITIONS_MAX) {
        collector->kept[position / 64] |= UINT64_C(1) << (position % 64);
    }
}

ft_err sim_collector_sync(struct sim_collector *collector, struct ft_log *log,
                          uint64_t *ret_position)
{
    struct sim *sim = collector->sim;
    if (sim->options.mutant == SIM_MUTANT_ACK_BEFORE_SYNC && log == collector->log &&
        collector->up && !collector->unsynced) {
        uint64_t first;
        ft_log_bounds(log, &first, ret_position);
        collector->unsynced = true;
        collector->unsynced_to_ns = sim->now_ns + MUTANT_SYNC_NS;
        sim_wake(&collector->sink, collector->unsynced_to_ns);
        return FT_OK;
    }
    collector->unsynced = false;
    return sim_wrap_real_sync(log, ret_position);
}

static void close_all(struct sim_collector *collector)
{
    ft_ingest_destroy(collector->ingest);
    ft_sinker_destroy(collector->sinker);
    ft_sink_close(collector->table);
    ft_ledger_close(collector->ledger);
    ft_log_destroy(collector->log);
    ft_instances_destroy(collector->instances);
    collector->ingest = NULL;
    collector->sinker = NULL;
    collector->table = NULL;
    collector->ledger = NULL;
    collector->log = NULL;
    collector->instances = NULL;
    collector->up = false;
    collector->dying = false;
}

/* In the middle of whatever it did; its disk has stopped already, or does now. */
void sim_collector_die(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    static const char *const cuts[] = {"killed", "power cut", "power cut, torn"};
    SIM_TRACE(sim, "the collector dies: %s%s", cuts[collector->next_cut],
              collector->next_silent ? ", silently" : "");
    sim_count(sim, collector->next_cut == FT_FAULT_KILL ? SIM_FAULT_COLLECTOR_KILL
                                                        : SIM_FAULT_COLLECTOR_CUT);
    ft_fault_disk_stop_now(collector->disk);
    collector->unsynced = false;
    if (collector->log != NULL) {
        forget_unsynced(collector);
    }
    if (collector->up) {
        collector->dying = true;
        sim_net_collector_gone(sim, collector->next_silent);
        ft_err_ignore(ft_ingest_commit(collector->ingest, 0), "only to empty the queue");
    }
    close_all(collector);
    sim_backup_restore(collector);
    ft_fault_disk_restart(collector->disk, collector->next_cut);
    sim_count_effects(sim);
    sim_wake(&collector->boot,
             sim->now_ns + sim_between(&sim->time_random, 10 * FT_NS_PER_MS, RESTART_NS));
}

static void commit(void *self)
{
    struct sim_collector *collector = self;
    if (!collector->up) {
        return;
    }
    struct sim *sim = collector->sim;
    const struct ft_ingest_stats *stats = ft_ingest_stats(collector->ingest);
    uint64_t n_syncs = stats->syncs;
    if (ft_ingest_commit(collector->ingest, 0) != FT_OK) {
        sim_wake(&collector->commit, sim->now_ns + PAUSE_NS);
    } else {
        collector->has_taken = false;
        sim_wake(&collector->commit, sim->now_ns + IDLE_NS);
    }
    count_flow(collector);
    if (stats->syncs > n_syncs) {
        sim_wake(&collector->sink, sim->now_ns);
    }
    /* The main thread does, at any moment; sometimes durably. */
    if (sim_between(&sim->time_random, 0, 3) == 0) {
        ft_err_ignore(ft_ledger_write(collector->ledger, sim_between(&sim->time_random, 0, 7) == 0),
                      "it is written again later");
    }
    after_step(collector);
}

static void count_flow(struct sim_collector *collector)
{
    const struct ft_ingest_stats *stats = ft_ingest_stats(collector->ingest);
    uint64_t now[] = {stats->holds, stats->sent_away_full, stats->sent_away_overrun};
    static const enum sim_fault kinds[] = {SIM_FAULT_HELD, SIM_FAULT_NO_PLACE, SIM_FAULT_TOO_MUCH};
    for (size_t i = 0; i < sizeof now / sizeof now[0]; i++) {
        collector->sim->result->faults[kinds[i]] += now[i] - collector->flow[i];
        collector->flow[i] = now[i];
    }
}

static void sink(void *self)
{
    struct sim_collector *collector = self;
    struct sim *sim = collector->sim;
    if (!collector->up) {
        return;
    }
    uint64_t position;
    if (collector->unsynced && sim->now_ns >= collector->unsynced_to_ns) {
        ft_err_ignore(sim_collector_sync(collector, collector->log, &position), "a mutant's");
    }
    collector->sink_waits = false;
    for (unsigned i = 0; i < SINK_STEPS && !collector->sink_waits; i++) {
        struct ft_diag diag = {0};
        ft_err err = ft_sinker_step(collector->sinker, FT_TIME_NEVER, &diag);
        if (err != FT_OK) {
            SIM_TRACE(sim, "the sinker fails: %s %s", ft_err_text(err), diag.text);
            sim_wake(&collector->sink, sim->now_ns + PAUSE_NS);
            after_step(collector);
            return;
        }
    }
    sim_wake(&collector->sink, collector->sink_waits ? collector->sink_wait_ns : sim->now_ns);
    after_step(collector);
}

/* The disk has stopped in the middle of a step: so has the process. */
static void after_step(struct sim_collector *collector)
{
    if (ft_fault_disk_stopped(collector->disk)) {
        sim_collector_die(collector);
    } else if (collector->up) {
        ft_instances_each(collector->instances, look_at_account, collector->sim);
    }
}

/* Whatever happens, and at each moment: no account is off, and none looks so. */
static void look_at_account(void *ctx, const struct ft_instance *instance)
{
    const struct sim_instance *known =
        sim_oracle_find(ctx, &instance->key.agent_id, &instance->key.instance_id);
    if (known != NULL && (known->n_excused > 0 || known->vague)) {
        return; /* The agent does believe here what a silent fault has taken. */
    }
    struct ft_discrepancy discrepancy;
    ft_discrepancy_of(instance, &discrepancy);
    if (ft_discrepancy_total(&discrepancy) > 0) {
        struct ft_buf words;
        ft_buf_init(&words, 0);
        ft_discrepancy_format(&discrepancy, &words);
        sim_broken(ctx, "the collector's account of %s: %s", instance->host_name,
                   ft_buf_str(&words));
        ft_buf_deinit(&words);
    }
}

/* Reads all behind 'position' as a reader of its own. */
static bool look_at_log(struct sim *sim, struct ft_log *log, uint64_t position, const char *when)
{
    struct ft_log_reader *reader = NULL;
    if (ft_log_reader_open(log, "look", true, &reader) != FT_OK) {
        abort();
    }
    ft_log_reader_seek(reader, position);
    sim_oracle_look_begin(sim);
    ft_err err = FT_OK;
    while (err == FT_OK || err == FT_E_CORRUPT) {
        struct ft_block block = {0};
        err = ft_log_reader_next(reader, false, &block);
        if (err == FT_OK) {
            SIM_TRACE(sim, "log: position %" PRIu64 " has %" PRIu64 " to %" PRIu64, block.position,
                      block.info.first_seq, block.info.first_seq + block.info.n_events - 1);
            sim_oracle_look_block(sim, &block.info, ft_batch_peek_life(block.data, block.size));
            ft_block_release(&block);
        }
    }
    ft_log_reader_close(reader);
    /* A disk that cannot be read to the end shows nothing. */
    if (err == ft_err_from_errno(EAGAIN)) {
        sim_oracle_look_end(sim, when);
        return true;
    }
    return false;
}

/* What would be there if the power failed now? */
static void look_behind_cut(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    struct ft_disk *disk = ft_fault_disk_clone(collector->disk);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    ft_fault_disk_set_capacity(disk, 0);
    struct ft_log_options options = {
        .bytes_max = sim->plan.log_bytes_max, .segment_bytes = 4096, .full = FT_LOG_REFUSE};
    struct ft_log *log = NULL;
    if (ft_log_disk_open(disk, &options, NULL, NULL, &log) != FT_OK) {
        sim_broken(sim, "after a power cut the log could not be opened");
    } else {
        (void)look_at_log(sim, log, 0, "were the power cut now");
    }
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

static void on_row(void *ctx, const struct sim_sink_row *row)
{
    struct sim_collector *collector = ctx;
    sim_oracle_stored(collector->sim, row);
}

void sim_collector_check(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    if (!collector->up) {
        return;
    }
    struct ft_log_stats log;
    ft_log_stats(collector->log, &log);
    /* After a power cut removed files may be there again, until the next block is appended. */
    bool fresh = ft_ingest_stats(collector->ingest)->appended_events == 0;
    if (!fresh && log.bytes > log.bytes_max) {
        sim_broken(sim, "the collector's log has %" PRIu64 " bytes, more than %" PRIu64, log.bytes,
                   log.bytes_max);
    }
    /* The mutant that does just this is to be found by what it costs. */
    if (ft_fault_disk_breaches(collector->disk) > 0 &&
        sim->options.mutant != SIM_MUTANT_SYNC_RETRIED) {
        sim_broken(sim, "a file was synced again after its sync had failed");
    }
}
