/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_agent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "store/format.h"

/* The export thread sees a new block after this. */
#define WAKE_NS_MAX (2 * FT_NS_PER_MS)
#define RESTART_NS  (2 * FT_NS_PER_S)
/* No event type of the protocol. */
#define POISON_TYPE 77
/* Steps of the exporter at one moment. */
#define SPIN_MAX 10000

static void boot(void *self);
static void work(void *self);
static void deliver(void *self);
static void stop(struct sim_agent *agent, bool clean);
static void go(struct sim_agent *agent, bool silently);
static void take_event(struct sim_agent *agent);
static void on_event(void *ctx, const struct ft_event *event);
static void on_drop(void *ctx, const struct ft_block_info *info, size_t size);
static void on_block(void *ctx);
static uint64_t host_next_seq(void *ctx);
static void host_fill_status(void *ctx, struct ft_msg_status *status);
static void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns);
static void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
static void host_on_gone_back(void *ctx, uint64_t durable_seq);
static void host_on_gone(void *ctx, const struct ft_loss *loss);
static void host_on_state(void *ctx, enum ft_link_state state, const char *text);

static void must(ft_err err)
{
    if (err != FT_OK) {
        abort();
    }
}

void sim_agents_begin(struct sim *sim)
{
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        struct sim_agent *agent = &sim->agents[i];
        *agent = (struct sim_agent){.sim = sim,
                                    .index = i,
                                    .plan = &sim->plan.agents[i],
                                    .n_left = sim->plan.agents[i].n_events,
                                    .next_event_ns = sim->now_ns};
        ft_uuid_make_random(&sim->program_random.base, &agent->agent_id);
        sim_add_node(sim, &agent->work, "agent", work, agent);
        sim_add_node(sim, &agent->deliver, "exporter", deliver, agent);
        sim_add_node(sim, &agent->boot, "agent start", boot, agent);
        sim_wake(&agent->boot, sim->now_ns);
        if (agent->plan->on_disk) {
            sim_spool_begin(agent);
        }
    }
}

void sim_agents_end(struct sim *sim)
{
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        struct sim_agent *agent = &sim->agents[i];
        stop(agent, false);
        sim_stream_drop(&agent->stream, true);
        free(agent->stream.taken);
        sim_spool_end(agent);
        sim_snapshot_drop(agent);
    }
}

void sim_agent_burst(struct sim_agent *agent, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        take_event(agent);
    }
    sim_wake(&agent->work, agent->sim->now_ns);
}

static void open_log(struct sim_agent *agent)
{
    struct ft_log_options options = {.bytes_max = agent->plan->log_bytes_max,
                                     .full = FT_LOG_DROP_OLDEST,
                                     .on_drop = on_drop,
                                     .on_drop_ctx = agent,
                                     .readers_hold = true};
    if (agent->spool.spool == NULL) {
        options.keep_bytes = agent->plan->hold_bytes;
        options.keep_ns = 3600 * FT_NS_PER_S;
    }
    must(ft_log_memory_create(&options, &agent->memory));
    ft_pipeline_set_log(agent->pipeline, agent->memory);
    agent->log = agent->memory;
    if (agent->spool.spool != NULL) {
        agent->log = ft_spool_log(agent->spool.spool);
        sim_spool_set_source(agent, agent->memory);
    }
}

static ft_err open_exporter(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    sim_stream_init(&agent->stream, agent);
    struct ft_exporter_options options = {.link = ft_link_options_default,
                                          .window_bytes = agent->plan->window_bytes,
                                          .agent_id = agent->agent_id,
                                          .instance_id = agent->instance->key.instance_id,
                                          .started_ns = ft_clock_real_ns(&sim->clock),
                                          .host_name = "sim",
                                          .agent_version = "0",
                                          .kernel_release = "0",
                                          .clock = &sim->clock,
                                          .random = &sim->program_random.base,
                                          .stream = &agent->stream.base,
                                          .log = agent->log,
                                          .host = {.ctx = agent,
                                                   .next_seq = host_next_seq,
                                                   .fill_status = host_fill_status,
                                                   .on_acked = host_on_acked,
                                                   .on_rejected = host_on_rejected,
                                                   .on_state = host_on_state}};
    options.link.backoff_max_ns = agent->plan->backoff_max_ns;
    options.host.on_gone_back = host_on_gone_back;
    options.host.on_gone = host_on_gone;
    if (agent->spool.spool != NULL) {
        sim_spool_fill_exporter(agent, &options);
    }
    return ft_exporter_create(&options, &agent->exporter);
}

/* Without a spool it is a new instance each time: its log begins anew. */
static void add_instance(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    struct ft_uuid instance_id;
    ft_uuid_make_random(&sim->program_random.base, &instance_id);
    if (sim->plan.same_instance_id) {
        /* What is random in production may still be the same: in a copied machine. */
        memset(&instance_id, 0x11, sizeof instance_id);
        instance_id.bytes[0] = (uint8_t)agent->life;
    }
    agent->instance = sim_oracle_add(sim, agent->index, &agent->agent_id, &instance_id);
}

static void give_up(struct sim_agent *agent, const char *why)
{
    struct sim *sim = agent->sim;
    SIM_TRACE(sim, "agent %u does not start: %s", agent->index, why);
    sim_count(sim, SIM_FAULT_AGENT_LIMP);
    stop(agent, false);
    sim_wake(&agent->boot, sim->now_ns + RESTART_NS);
    sim_agent_after_step(agent);
}

static bool open_spool(struct sim_agent *agent)
{
    agent->opening = true;
    ft_err err = sim_spool_open(agent);
    agent->opening = false;
    if (err != FT_OK) {
        give_up(agent, ft_err_text(err));
    }
    return err == FT_OK;
}

static void boot(void *self)
{
    struct sim_agent *agent = self;
    struct sim *sim = agent->sim;
    if (agent->up) {
        return;
    }
    if (!agent->plan->on_disk) {
        add_instance(agent);
    } else if (!open_spool(agent)) {
        return;
    }
    agent->life++;
    agent->up = true;
    agent->instance->alive = true;
    struct ft_pipeline_options options = {.agent_id = agent->agent_id,
                                          .instance_id = agent->instance->key.instance_id,
                                          .block_events_max = agent->plan->block_events_max,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = agent->plan->flush_interval_ns,
                                          .clock = &sim->clock,
                                          .on_event = on_event,
                                          .on_event_ctx = agent};
    if (agent->spool.spool != NULL) {
        sim_spool_fill_pipeline(agent, &options);
    }
    must(ft_pipeline_create(&options, &agent->pipeline));
    open_log(agent);
    if (open_exporter(agent) != FT_OK) {
        give_up(agent, "its exporter cannot be made");
        return;
    }
    agent->instance->life = options.life;
    ft_log_set_listener(agent->log, on_block, agent);
    ft_exporter_enable(agent->exporter);
    SIM_TRACE(sim, "agent %u starts, life %u, log %s", agent->index, agent->life,
              agent->plan->on_disk ? "on disk" : "in memory");
    agent->poison = false;
    agent->poison_seq = 0;
    if (agent->next_event_ns < sim->now_ns) {
        agent->next_event_ns = sim->now_ns;
    }
    uint64_t n_first = agent->snapshot.n_first;
    agent->snapshot.n_first = 0;
    sim_agent_burst(agent, (unsigned)n_first);
    sim_wake(&agent->deliver, sim->now_ns);
    sim_agent_after_step(agent);
}

bool sim_agent_is_dead(const struct sim_agent *agent)
{
    return agent->spool.disk != NULL && ft_fault_disk_stopped(agent->spool.disk);
}

void sim_agent_after_step(struct sim_agent *agent)
{
    if (sim_agent_is_dead(agent)) {
        enum ft_fault_cut cut = agent->spool.next_cut;
        sim_agent_die(agent, cut != FT_FAULT_KILL, cut);
    }
}

void sim_agent_poison(struct sim_agent *agent) { agent->poison = true; }

void sim_agent_die(struct sim_agent *agent, bool silently, enum ft_fault_cut cut)
{
    struct sim *sim = agent->sim;
    SIM_TRACE(sim, "agent %u dies%s", agent->index, silently ? ", and its host with it" : "");
    sim_count(sim, silently ? SIM_FAULT_AGENT_CUT : SIM_FAULT_AGENT_KILL);
    struct ft_disk *disk = agent->spool.disk;
    if (disk != NULL) {
        ft_fault_disk_stop_now(disk);
    }
    if (agent->up) {
        go(agent, silently);
    }
    if (disk != NULL) {
        sim_spool_close(agent, false);
        sim_snapshot_restore(agent);
        sim_spool_restart_disk(agent, cut);
        if (cut != FT_FAULT_KILL) {
            ft_uuid_make_random(&sim->program_random.base, &agent->spool.boot_id);
        }
    }
    sim_wake(&agent->boot,
             sim->now_ns + sim_between(&sim->time_random, 10 * FT_NS_PER_MS, RESTART_NS));
}

void sim_agent_quit(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    bool clean = sim_spool_flush(agent);
    SIM_TRACE(sim, "agent %u is stopped%s", agent->index,
              clean ? "" : ", its spool is not up to date");
    sim_count(sim, SIM_FAULT_AGENT_STOP);
    if (ft_fault_disk_stopped(agent->spool.disk)) {
        sim_agent_after_step(agent);
        return;
    }
    sim_stream_drop(&agent->stream, false);
    free(agent->stream.taken);
    agent->stream.taken = NULL;
    stop(agent, clean);
    sim_wake(&agent->boot,
             sim->now_ns + sim_between(&sim->time_random, 10 * FT_NS_PER_MS, RESTART_NS));
    sim_agent_after_step(agent);
}

static void go(struct sim_agent *agent, bool silently)
{
    sim_stream_drop(&agent->stream, silently);
    free(agent->stream.taken);
    agent->stream.taken = NULL;
    stop(agent, false);
}

static void stop(struct sim_agent *agent, bool clean)
{
    if (agent->up) {
        agent->instance->alive = agent->spool.disk != NULL;
    }
    if (agent->exporter != NULL) {
        ft_exporter_destroy(agent->exporter);
        agent->exporter = NULL;
    }
    sim_spool_close(agent, clean);
    if (agent->memory != NULL) {
        ft_log_destroy(agent->memory);
        agent->memory = NULL;
    }
    agent->log = NULL;
    if (agent->pipeline != NULL) {
        ft_pipeline_destroy(agent->pipeline);
        agent->pipeline = NULL;
    }
    agent->up = false;
}

static void work(void *self)
{
    struct sim_agent *agent = self;
    struct sim *sim = agent->sim;
    if (!agent->up) {
        return;
    }
    while (agent->n_left > 0 && agent->next_event_ns <= sim->now_ns) {
        agent->n_left--;
        take_event(agent);
        agent->next_event_ns += sim_between(&sim->time_random, 0, 2 * agent->plan->gap_ns);
        if (agent->plan->burst_one_in != 0 &&
            sim_one_in(&sim->time_random, agent->plan->burst_one_in)) {
            uint64_t n = sim_below(&sim->time_random, agent->plan->burst_max);
            for (n = n < agent->n_left ? n : agent->n_left; n > 0; n--) {
                agent->n_left--;
                take_event(agent);
            }
        }
    }
    ft_pipeline_tick(agent->pipeline);
    int64_t due_ns = ft_pipeline_deadline(agent->pipeline);
    if (agent->n_left > 0 && agent->next_event_ns < due_ns) {
        due_ns = agent->next_event_ns;
    }
    /* Notes of the exporter are taken at a tick. */
    int64_t tick_ns = sim->now_ns + 250 * FT_NS_PER_MS;
    sim_wake(&agent->work, due_ns < tick_ns ? due_ns : tick_ns);
}

static void deliver(void *self)
{
    struct sim_agent *agent = self;
    struct sim *sim = agent->sim;
    if (!agent->up) {
        return;
    }
    for (unsigned spin = 0; agent->up; spin++) {
        ft_exporter_step(agent->exporter, sim->now_ns + FT_NS_PER_S);
        if (agent->stream.idle && agent->stream.deadline_ns > sim->now_ns) {
            sim_wake(&agent->deliver, agent->stream.deadline_ns);
            sim_wake(&agent->deliver, sim_stream_next_ns(&agent->stream));
            sim_agent_after_step(agent);
            return;
        }
        if (spin == SPIN_MAX) {
            sim_broken(sim, "the exporter of agent %u spins", agent->index);
            return;
        }
    }
}

bool sim_agent_is_drained(struct sim_agent *agent)
{
    if (agent->spool.spool != NULL && !ft_spool_is_drained(agent->spool.spool)) {
        return false;
    }
    return agent->n_left == 0 && ft_pipeline_stats(agent->pipeline)->open_events == 0 &&
           ft_exporter_is_drained(agent->exporter);
}

/* Simple on purpose: what a batch does to every field is tested with the wire format. */
static void make_event(struct sim_agent *agent, struct ft_event *event)
{
    struct ft_random_seeded *random = &agent->sim->event_random;
    uint64_t bits = ft_random_u64(&random->base);
    *event = (struct ft_event){.time_ns = ft_clock_real_ns(&agent->sim->clock),
                               .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS |
                                         FT_FIELD_COUNTERS,
                               .type = (bits & 1) != 0 ? FT_EVENT_START : FT_EVENT_END,
                               .direction = FT_DIR_EGRESS,
                               .protocol = FT_PROTO_TCP,
                               .src = {{192, 0, 2, 1}},
                               .dst = {{198, 51, 100, (uint8_t)(bits >> 8)}},
                               .src_port = (uint16_t)(bits >> 16),
                               .dst_port = 443,
                               .ct_id = (uint32_t)(bits >> 32),
                               .rx_packets = bits >> 60,
                               .rx_bytes = bits >> 48,
                               .tx_packets = 1,
                               .tx_bytes = bits >> 40};
    event->start_ns = event->time_ns - (int64_t)(bits >> 44);
    if ((bits & 6) == 0) {
        event->fields |= FT_FIELD_RULE;
        event->rule_id = (bits & 8) != 0 ? "allow" : "a-longer-name-of-a-rule";
    }
}

static void take_event(struct sim_agent *agent)
{
    struct ft_event event;
    make_event(agent, &event);
    if (agent->poison) {
        event.type = POISON_TYPE;
    }
    ft_pipeline_take(agent->pipeline, &event);
}

static void on_event(void *ctx, const struct ft_event *event)
{
    struct sim_agent *agent = ctx;
    sim_oracle_numbered(agent->sim, agent->instance, event);
    if (event->type == POISON_TYPE) {
        agent->poison = false;
        agent->poison_seq = event->seq;
    }
}

static void on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    struct sim_agent *agent = ctx;
    sim_count(agent->sim, SIM_FAULT_OVERRUN);
    sim_oracle_dropped(agent->sim, agent->instance, info);
    ft_pipeline_on_drop(agent->pipeline, info, size);
}

void sim_agent_appended(struct sim_agent *agent, const struct ft_block_info *info, ft_err err)
{
    if (agent->poison_seq >= info->first_seq &&
        agent->poison_seq < info->first_seq + info->n_events) {
        sim_oracle_poisoned(agent->sim, agent->instance, info);
    }
    if (err != FT_OK) {
        sim_oracle_dropped(agent->sim, agent->instance, info);
    }
}

static void on_block(void *ctx)
{
    struct sim_agent *agent = ctx;
    sim_wake(&agent->deliver,
             agent->sim->now_ns + sim_between(&agent->sim->time_random, 0, WAKE_NS_MAX));
}

static uint64_t host_next_seq(void *ctx)
{
    return ft_pipeline_stats(((struct sim_agent *)ctx)->pipeline)->numbered_events + 1;
}

/* As agent/report.c. */
static void host_fill_status(void *ctx, struct ft_msg_status *status)
{
    struct sim_agent *agent = ctx;
    struct ft_pipeline_account account;
    ft_pipeline_get_account(agent->pipeline, &account);
    const struct ft_exporter_stats *exporter = ft_exporter_stats(agent->exporter);
    memset(status, 0, sizeof *status);
    status->time_ns = ft_clock_real_ns(&agent->sim->clock);
    status->observed_events = account.observed;
    status->acknowledged_events = exporter->acked_events;
    status->retained_events = account.kept - exporter->done_events;
    memcpy(status->lost, account.lost_by_cause, sizeof status->lost);
}

static void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns)
{
    (void)sealed_ns;
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: %" PRIu64 " to %" PRIu64 " are acknowledged", agent->index,
              first_seq, last_seq);
    sim_oracle_acked(agent->sim, agent->instance, first_seq, last_seq);
    ft_pipeline_acked(agent->pipeline, last_seq);
}

static void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: %" PRIu64 " to %" PRIu64 " are rejected: %s", agent->index,
              first_seq, last_seq, reason);
    sim_oracle_rejected(agent->sim, agent->instance, first_seq, last_seq);
    ft_pipeline_lost(agent->pipeline, FT_LOSS_REJECTED, first_seq, last_seq);
    sim_spool_keep_account(agent);
}

static void host_on_gone_back(void *ctx, uint64_t durable_seq)
{
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: the collector has lost what is behind %" PRIu64, agent->index,
              durable_seq);
    sim_count(agent->sim, SIM_FAULT_GONE_BACK);
    sim_oracle_gone_back(agent->sim, agent->instance, durable_seq);
    ft_tally_gone_back(ft_pipeline_tally(agent->pipeline), durable_seq);
}

static void host_on_gone(void *ctx, const struct ft_loss *loss)
{
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: %" PRIu64 " to %" PRIu64 " are gone", agent->index,
              loss->first_seq, loss->last_seq);
    sim_count(agent->sim, SIM_FAULT_TOLD_GONE);
    if (sim_agent_is_dead(agent)) {
        sim_spool_gone_late(agent, loss);
    } else {
        sim_oracle_gone(agent->sim, agent->instance, loss);
    }
    struct ft_loss told = *loss;
    told.begin_ns = ft_clock_real_ns(&agent->sim->clock);
    told.end_ns = told.begin_ns;
    ft_tally_reject(ft_pipeline_tally(agent->pipeline), &told);
    sim_spool_keep_account(agent);
}

static void host_on_state(void *ctx, enum ft_link_state state, const char *text)
{
    struct sim_agent *agent = ctx;
    SIM_TRACE(agent->sim, "agent %u: link %s %s", agent->index, ft_link_state_name(state), text);
}

void sim_agent_check(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    if (!agent->up) {
        return;
    }
    const struct sim_instance *instance = agent->instance;
    struct ft_pipeline_account account;
    ft_pipeline_get_account(agent->pipeline, &account);
    const struct ft_exporter_stats *exporter = ft_exporter_stats(agent->exporter);
    uint64_t retained = account.kept - exporter->done_events;
    /* With a surplus the spool was damaged, and the agent says that its counts are off. */
    uint64_t found = exporter->acked_events + retained + account.lost + account.merged;
    if (agent->spool.n_surplus == 0 && account.observed != found) {
        sim_broken(sim,
                   "the account of agent %u: observed %" PRIu64 ", acknowledged %" PRIu64
                   ", retained %" PRIu64 ", lost %" PRIu64,
                   agent->index, account.observed, exporter->acked_events, retained, account.lost);
    }
    if (!instance->vague && (exporter->acked_events != instance->n_acked ||
                             account.lost != sim_oracle_lost(instance))) {
        sim_broken(sim,
                   "agent %u counts %" PRIu64 " acknowledged and %" PRIu64
                   " lost; they are %" PRIu64 " and %" PRIu64,
                   agent->index, exporter->acked_events, account.lost, instance->n_acked,
                   sim_oracle_lost(instance));
    }
    if (!instance->vague) {
        sim_overrun_check(sim, agent);
    }
    struct ft_log *logs[] = {agent->memory, agent->log};
    /* After a power cut removed files may be there again, until the next block is appended. */
    bool fresh =
        agent->spool.spool != NULL && ft_spool_stats(agent->spool.spool)->moved_blocks == 0;
    for (size_t i = 0; i < (fresh ? 1 : 2); i++) {
        struct ft_log_stats log;
        ft_log_stats(logs[i], &log);
        /* A sync that fails in the middle of a segment makes two of it. */
        uint64_t more = agent->spool.disk != NULL && i == 1 ? FT_STORE_SEGMENT_HEADER_SIZE : 0;
        if (log.bytes > log.bytes_max + more) {
            sim_broken(sim, "the log of agent %u has %" PRIu64 " bytes, more than %" PRIu64,
                       agent->index, log.bytes, log.bytes_max);
        }
    }
    if (agent->spool.disk != NULL && ft_fault_disk_breaches(agent->spool.disk) > 0) {
        sim_broken(sim, "agent %u synced a file again after its sync had failed", agent->index);
    }
}
