/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_spool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* As in agent/spool.c. */
#define IDLE_NS       (1 * FT_NS_PER_S)
#define SEGMENT_BYTES 4096
/* More events than a spool holds. */
#define THERE_MAX 65536

static void work(void *self);
static void on_memory_block(void *ctx);
static void look_at_spool(struct sim_agent *agent);
static void host_on_damaged(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
static void host_on_sent(void *ctx, uint64_t n_events);
static ft_err host_on_bound(void *ctx, const struct ft_uuid *collector_id);
static ft_err host_on_new_instance(void *ctx, uint64_t base_seq, const struct ft_progress *before,
                                   struct ft_uuid *ret_instance_id);
static void host_on_trusted(void *ctx, const struct ft_binding *binding);

static void trace_disk(void *ctx, enum ft_fault_op op, const char *name, uint64_t offset,
                       size_t size, ft_err err)
{
    struct sim_agent *agent = ctx;
    sim_print_trace(agent->sim, "  disk of agent %u: %s %s %" PRIu64 " %zu %s", agent->index,
                    ft_fault_op_name(op), name, offset, size, err != FT_OK ? ft_err_text(err) : "");
}

void sim_spool_begin(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    struct sim_spool *spool = &agent->spool;
    spool->disk = ft_fault_disk_create(ft_random_u64(&sim->plan_random.base));
    if (sim_is_traced(sim)) {
        ft_fault_disk_trace(spool->disk, trace_disk, agent);
    }
    ft_uuid_make_random(&sim->program_random.base, &spool->boot_id);
    sim_add_node(sim, &spool->node, "spool", work, agent);
}

void sim_spool_restart_disk(struct sim_agent *agent, enum ft_fault_cut cut)
{
    struct sim_spool *spool = &agent->spool;
    struct ft_fault_effects before;
    struct ft_fault_effects after;
    ft_fault_disk_effects(spool->disk, &before);
    ft_fault_disk_restart(spool->disk, cut);
    ft_fault_disk_effects(spool->disk, &after);
    /* A file may have both its names then, which no file system with a journal leaves behind. */
    spool->names_torn =
        spool->names_torn || (cut == FT_FAULT_TEAR && after.names_lost > before.names_lost);
}

void sim_spool_end(struct sim_agent *agent)
{
    agent->spool.names_torn = false;
    ft_disk_destroy(agent->spool.disk);
    agent->spool.disk = NULL;
    free(agent->spool.placed);
    agent->spool.placed = NULL;
}

bool sim_spool_has_failed(const struct sim_agent *agent)
{
    if (agent->spool.disk == NULL) {
        return false;
    }
    struct ft_fault_effects effects;
    ft_fault_disk_effects(agent->spool.disk, &effects);
    uint64_t n = effects.full;
    for (size_t i = 0; i < FT_FAULT_OP_N; i++) {
        n += effects.failed[i];
    }
    return n > 0;
}

/* Its place is from before something was rejected: that is told twice. */
static bool is_behind(const struct sim_agent *agent)
{
    const struct sim_instance *instance = agent->instance;
    for (uint64_t seq = ft_spool_progress(agent->spool.spool)->acked_seq + 1; seq <= instance->n;
         seq++) {
        if ((instance->seqs[seq].flags & SIM_SEQ_REJECTED) != 0) {
            return true;
        }
    }
    return false;
}

/* What it was told as gone while its disk failed it does not know: it is told so again. */
static void forget_gone(const struct sim_agent *agent, const struct ft_progress *progress)
{
    struct sim_instance *instance = agent->instance;
    for (uint64_t seq = progress->known_from; seq <= progress->acked_seq; seq++) {
        if (seq > 0 && seq <= instance->n && ft_ranges_overlap(&progress->holes, seq, seq) == 0) {
            sim_oracle_not_gone(instance, seq);
        }
    }
}

static struct sim_instance *fork_instance(struct sim_agent *agent, struct sim_instance *from,
                                          const struct ft_uuid *instance_id, uint64_t base_seq)
{
    if (!from->vague && !sim_oracle_was_overtaken(from)) {
        sim_broken(agent->sim, "agent %u begins a new instance, although nothing set it back",
                   agent->index);
    }
    sim_count(agent->sim, SIM_FAULT_FORKED);
    /* Blocks that cannot be read are counted on either side of the border. */
    agent->spool.n_surplus += from->vague ? 1 : 0;
    return sim_oracle_fork(agent->sim, from, instance_id, base_seq);
}

ft_err sim_spool_open(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    struct sim_spool *spool = &agent->spool;
    struct ft_spool_options options = {
        .bytes_max = agent->plan->spool_bytes_max,
        .segment_bytes = SEGMENT_BYTES,
        .sync_each = agent->plan->sync_interval_ns == 0,
        .sync_interval_ns = agent->plan->sync_interval_ns,
        .window_bytes = ft_spool_window(agent->plan->window_bytes, agent->plan->spool_bytes_max),
        .hold_bytes = agent->plan->hold_bytes,
        .hold_ns = 3600 * FT_NS_PER_S,
        .clock = &sim->clock,
        .random = &sim->program_random.base,
        .has_agent_id = true,
        .agent_id = agent->agent_id,
        .boot_id = spool->boot_id};
    spool->n_drops = 0;
    struct ft_spool_report report;
    FT_TRY(ft_spool_open(&options, spool->disk, &spool->spool, &report));
    struct ft_spool_identity identity;
    ft_spool_get_identity(spool->spool, &identity);
    struct sim_instance *before = agent->instance;
    agent->instance = sim_oracle_find(sim, &identity.agent_id, &identity.instance_id);
    if (agent->instance == NULL && before != NULL) {
        /* It had begun another one when its disk stopped. */
        agent->instance = fork_instance(agent, before, &identity.instance_id, identity.base_seq);
    } else if (agent->instance == NULL) {
        agent->instance =
            sim_oracle_add(sim, agent->index, &identity.agent_id, &identity.instance_id);
    }
    SIM_TRACE(sim,
              "agent %u finds its spool: %" PRIu64 " retained, %" PRIu64 " lost with the process, "
              "%" PRIu64 " missing, %" PRIu64 " too many, acknowledged up to %" PRIu64
              ", numbered up to %" PRIu64,
              agent->index, report.retained_events, report.n_crash, report.n_missing,
              report.n_surplus, ft_spool_progress(spool->spool)->acked_seq,
              (uint64_t)ft_tally_live(ft_spool_tally(spool->spool))->numbered);
    spool->n_surplus += report.n_surplus;
    agent->instance->miscounts = agent->instance->miscounts || report.n_surplus > 0;
    if (report.n_surplus > 0 && !agent->instance->vague && !spool->names_torn) {
        sim_broken(sim, "agent %u has %" PRIu64 " events too many, and its spool was not damaged",
                   agent->index, report.n_surplus);
    }
    if (report.n_surplus > 0 || (sim_spool_has_failed(agent) && is_behind(agent))) {
        /* It takes a damaged spool, or a disk that failed as a rejection was to be kept: what the
         * agent tells as lost may then be more than was. */
        sim_count(sim, SIM_FAULT_SPOOL_SURPLUS);
        agent->instance->vague = true;
    }
    const struct ft_progress *progress = ft_spool_progress(spool->spool);
    for (size_t i = 0; i < spool->n_gone_late; i++) {
        const struct ft_loss *loss = &spool->gone_late[i];
        if (ft_ranges_overlap(&progress->holes, loss->first_seq, loss->last_seq) ==
            loss->last_seq - loss->first_seq + 1) {
            sim_oracle_gone(sim, agent->instance, loss);
        }
    }
    spool->n_gone_late = 0;
    if (sim_spool_has_failed(agent)) {
        forget_gone(agent, progress);
    }
    struct ft_tally_sums sums;
    ft_tally_get(ft_spool_tally(spool->spool), &sums);
    sim_overrun_revived(sim, agent->instance, sums.lost[FT_LOSS_KERNEL_OVERRUN]);
    ft_fault_disk_suspend(spool->disk, true);
    look_at_spool(agent);
    ft_fault_disk_suspend(spool->disk, false);
    if (report.state_lost) {
        sim_broken(sim, "the state of the spool of agent %u is lost", agent->index);
    }
    return FT_OK;
}

/* What is there, by number. */
static void look_at_spool(struct sim_agent *agent)
{
    static bool there[THERE_MAX];
    struct ft_log *log = ft_spool_log(agent->spool.spool);
    struct ft_log_reader *reader = NULL;
    if (ft_log_reader_open(log, "look", true, &reader) != FT_OK) {
        abort();
    }
    memset(there, 0, sizeof there);
    ft_log_reader_seek(reader, 0);
    ft_err err = FT_OK;
    while (err != ft_err_from_errno(EAGAIN)) {
        struct ft_block block = {0};
        err = ft_log_reader_next(reader, false, &block);
        if (err == FT_OK) {
            SIM_TRACE(agent->sim, "spool: position %" PRIu64 " has %" PRIu64 " to %" PRIu64,
                      block.position, block.info.first_seq,
                      block.info.first_seq + block.info.n_events - 1);
            for (uint64_t i = 0; i < block.info.n_events; i++) {
                if (block.info.first_seq + i >= THERE_MAX) {
                    abort();
                }
                there[block.info.first_seq + i] = true;
            }
            ft_block_release(&block);
        } else if (ft_fault_disk_stopped(agent->spool.disk)) {
            ft_log_reader_close(reader);
            return; /* Nobody will know what it was. */
        }
    }
    ft_log_reader_close(reader);
    sim_oracle_revived(agent->sim, agent->instance,
                       ft_tally_live(ft_spool_tally(agent->spool.spool))->numbered,
                       ft_spool_progress(agent->spool.spool), there, sim_spool_has_failed(agent));
}

void sim_spool_fill_pipeline(struct sim_agent *agent, struct ft_pipeline_options *options)
{
    struct ft_spool *spool = agent->spool.spool;
    options->tally = ft_spool_tally(spool);
    options->kept_events = ft_spool_kept_events(spool);
    struct ft_spool_identity identity;
    ft_spool_get_identity(spool, &identity);
    options->life = ft_lives_present(&identity.lives);
}

/* As in agent/delivery.c. */
void sim_spool_fill_exporter(struct sim_agent *agent, struct ft_exporter_options *options)
{
    struct ft_spool_identity identity;
    ft_spool_get_identity(agent->spool.spool, &identity);
    options->durable_only = true;
    options->window_bytes =
        ft_spool_window(agent->plan->window_bytes, agent->plan->spool_bytes_max);
    options->bound = identity.binding.bound;
    options->collector_id = identity.binding.collector_id;
    options->binding = (struct ft_binding){.has_collector = identity.binding.bound,
                                           .collector_id = identity.binding.collector_id,
                                           .has_key = identity.binding.has_receipt_key,
                                           .has_epoch = identity.binding.has_store_epoch,
                                           .store_epoch = identity.binding.store_epoch};
    memcpy(options->binding.key, identity.binding.receipt_key, sizeof options->binding.key);
    options->base_seq = identity.base_seq;
    options->known_seq = identity.known_seq;
    options->lives = identity.lives;
    options->host.on_damaged = host_on_damaged;
    options->host.on_sent = host_on_sent;
    options->host.on_bound = host_on_bound;
    options->host.on_new_instance = host_on_new_instance;
    options->host.on_trusted = host_on_trusted;
}

void sim_spool_set_source(struct sim_agent *agent, struct ft_log *memory)
{
    if (ft_spool_set_source(agent->spool.spool, memory) != FT_OK) {
        abort();
    }
    ft_log_set_listener(memory, on_memory_block, agent);
    sim_wake(&agent->spool.node, agent->sim->now_ns);
}

void sim_spool_close(struct sim_agent *agent, bool clean)
{
    ft_spool_close(agent->spool.spool, clean);
    agent->spool.spool = NULL;
}

void sim_spool_gone_late(struct sim_agent *agent, const struct ft_loss *loss)
{
    if (agent->spool.n_gone_late < SIM_GONE_LATE_MAX) {
        agent->spool.gone_late[agent->spool.n_gone_late++] = *loss;
    }
}

void sim_spool_keep_account(struct sim_agent *agent)
{
    if (agent->spool.spool != NULL) {
        ft_err_ignore(ft_spool_keep_account(agent->spool.spool), "it is written again");
    }
}

bool sim_spool_flush(struct sim_agent *agent)
{
    struct sim_spool *spool = &agent->spool;
    ft_pipeline_flush(agent->pipeline);
    for (unsigned i = 0; i < 100 && !ft_spool_is_drained(spool->spool); i++) {
        ft_spool_work(spool->spool);
        /* As with a stop_timeout that is long enough. */
        int64_t due_ns = ft_spool_deadline(spool->spool);
        if (due_ns != FT_TIME_NEVER && due_ns > agent->sim->now_ns) {
            agent->sim->now_ns = due_ns;
        }
    }
    return ft_spool_is_drained(spool->spool);
}

/* As the spool's thread, in agent/spool.c. */
static void work(void *self)
{
    struct sim_agent *agent = self;
    struct sim *sim = agent->sim;
    if (!agent->up) {
        return;
    }
    ft_spool_work(agent->spool.spool);
    int64_t due_ns = ft_spool_deadline(agent->spool.spool);
    if (due_ns <= sim->now_ns) {
        due_ns = sim->now_ns + FT_NS_PER_MS;
    }
    sim_wake(&agent->spool.node, due_ns < sim->now_ns + IDLE_NS ? due_ns : sim->now_ns + IDLE_NS);
    sim_agent_after_step(agent);
}

static void on_memory_block(void *ctx)
{
    struct sim_agent *agent = ctx;
    sim_wake(&agent->spool.node, agent->sim->now_ns);
}

static struct sim_agent *agent_of(const struct ft_spool *spool)
{
    struct sim *sim = sim_world;
    struct sim_agent *opening = NULL;
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        struct sim_agent *agent = &sim->agents[i];
        if (agent->spool.spool == spool) {
            return agent;
        }
        opening = agent->opening ? agent : opening;
    }
    return opening;
}

void sim_spool_appended(struct sim_agent *agent, const struct ft_block_info *info,
                        uint64_t position)
{
    struct sim_spool *spool = &agent->spool;
    if (position >= spool->n_placed_allocated) {
        spool->n_placed_allocated = 2 * position + 1024;
        spool->placed = realloc(spool->placed, spool->n_placed_allocated * sizeof *spool->placed);
        if (spool->placed == NULL) {
            abort();
        }
    }
    for (; spool->n_placed <= position; spool->n_placed++) {
        spool->placed[spool->n_placed] = (struct ft_block_info){0};
    }
    spool->placed[position] = *info;
}

void sim_spool_drops(struct ft_spool *spool, const struct ft_block_info *info)
{
    struct sim_agent *agent = agent_of(spool);
    if (agent->spool.n_drops == SIM_DROPS_MAX) {
        abort();
    }
    agent->spool.drops[agent->spool.n_drops++] = *info;
}

void sim_spool_dropped(struct ft_spool *spool, uint64_t first, uint64_t last, uint64_t n_unread,
                       ft_err err)
{
    struct sim_agent *agent = agent_of(spool);
    SIM_TRACE(agent->sim, "agent %u drops positions %" PRIu64 " to %" PRIu64 ": %s", agent->index,
              first, last, ft_err_text(err));
    for (size_t i = 0; i < agent->spool.n_drops && err == FT_OK && !agent->opening; i++) {
        sim_count(agent->sim, SIM_FAULT_SPOOL_AT_BOUND);
        sim_oracle_dropped(agent->sim, agent->instance, &agent->spool.drops[i]);
    }
    for (uint64_t i = first; i <= last && err == FT_OK && n_unread > 0; i++) {
        if (i < agent->spool.n_placed && agent->spool.placed[i].n_events > 0) {
            sim_oracle_unread(agent->sim, agent->instance, &agent->spool.placed[i]);
        }
    }
    agent->spool.n_drops = 0;
}

static void host_on_damaged(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: %" PRIu64 " to %" PRIu64 " are damaged: %s", agent->index,
              first_seq, last_seq, reason);
    sim_oracle_damaged(agent->sim, agent->instance, first_seq, last_seq);
    ft_pipeline_lost(agent->pipeline, FT_LOSS_SPOOL_DAMAGED, first_seq, last_seq);
    sim_spool_keep_account(agent);
}

static void host_on_sent(void *ctx, uint64_t n_events)
{
    struct sim_agent *agent = ctx;
    ft_tally_live(ft_pipeline_tally(agent->pipeline))->sent += n_events;
}

static ft_err host_on_bound(void *ctx, const struct ft_uuid *collector_id)
{
    struct sim_agent *agent = ctx;
    struct ft_spool_identity identity;
    ft_spool_get_identity(agent->spool.spool, &identity);
    identity.binding.bound = true;
    identity.binding.collector_id = *collector_id;
    return ft_spool_bind(agent->spool.spool, &identity.binding);
}

static ft_err host_on_new_instance(void *ctx, uint64_t base_seq, const struct ft_progress *before,
                                   struct ft_uuid *ret_instance_id)
{
    struct sim_agent *agent = ctx;
    struct sim *sim = agent->sim;
    uint64_t acked = before->done_events - before->rejected_events - before->gone_events;
    FT_TRY(ft_spool_new_instance(agent->spool.spool, base_seq, acked, ret_instance_id));
    ft_pipeline_forget_done(agent->pipeline, before->done_events);
    ft_pipeline_set_instance(agent->pipeline, ret_instance_id);
    SIM_TRACE(sim, "agent %u was set back: a new instance behind %" PRIu64, agent->index, base_seq);
    if (sim_agent_is_dead(agent)) {
        return FT_OK;
    }
    agent->instance = fork_instance(agent, agent->instance, ret_instance_id, base_seq);
    return FT_OK;
}

static void host_on_trusted(void *ctx, const struct ft_binding *binding)
{
    struct sim_agent *agent = ctx;
    struct ft_spool_identity identity;
    ft_spool_get_identity(agent->spool.spool, &identity);
    identity.binding.has_receipt_key = binding->has_key;
    memcpy(identity.binding.receipt_key, binding->key, sizeof binding->key);
    identity.binding.has_store_epoch = binding->has_epoch;
    identity.binding.store_epoch = binding->store_epoch;
    ft_err_ignore(ft_spool_bind(agent->spool.spool, &identity.binding),
                  "the next welcome shows it again");
}
