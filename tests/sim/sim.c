/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define START_NS      (1000 * FT_NS_PER_S)
#define START_REAL_NS INT64_C(1790000000000000000)
/*
 * After the last fault everything must be delivered within this: a half-open connection is given
 * up after ack_timeout, then waits for backoff_slow and backoff_max, and the first try may meet
 * the collector's own start.
 */
#define SETTLE_NS (10 * 60 * FT_NS_PER_S)
/* A fresh event on a connection that stands, and one of an agent that must pay for what it sent
 * before. */
#define FRESH_NS      (10 * FT_NS_PER_S)
#define FRESH_PAID_NS (200 * FT_NS_PER_S)

struct sim *sim_world;

static void begin(struct sim *sim, const struct sim_options *options, struct sim_result *result);
static bool run_until(struct sim *sim, int64_t until_ns, bool (*done)(struct sim *sim));
static bool is_loaded(struct sim *sim);
static bool is_settled(struct sim *sim);
static void run_phases(struct sim *sim);

static int64_t sim_mono(const struct ft_clock *clock)
{
    return ((const struct sim *)(const void *)clock)->now_ns;
}

static int64_t sim_real(const struct ft_clock *clock)
{
    const struct sim *sim = (const struct sim *)(const void *)clock;
    return sim->now_ns + sim->real_offset_ns;
}

bool sim_run(const struct sim_options *options, struct sim_result *ret_result)
{
    /* Large, and its memory is used again by the next run. */
    static struct sim world;
    struct sim *sim = &world;
    begin(sim, options, ret_result);
    sim_world = sim;
    sim_net_begin(sim);
    sim_collector_begin(sim);
    sim_agents_begin(sim);
    sim_faults_begin(sim);
    run_phases(sim);
    sim_count_effects(sim);
    sim_agents_end(sim);
    sim_collector_end(sim);
    sim_net_end(sim);
    ret_result->virtual_ns = sim->now_ns - START_NS;
    sim_world = NULL;
    return !ret_result->failed;
}

void sim_add_node(struct sim *sim, struct sim_node *node, const char *name, void (*run)(void *self),
                  void *self)
{
    if (sim->n_nodes == SIM_NODES_MAX) {
        abort();
    }
    *node = (struct sim_node){.name = name, .due_ns = FT_TIME_NEVER, .run = run, .self = self};
    sim->nodes[sim->n_nodes++] = node;
}

void sim_wake(struct sim_node *node, int64_t at_ns)
{
    if (at_ns < node->due_ns) {
        node->due_ns = at_ns;
    }
}

uint64_t sim_below(struct ft_random_seeded *random, uint64_t bound)
{
    return ft_random_below(&random->base, bound);
}

bool sim_one_in(struct ft_random_seeded *random, uint64_t n) { return sim_below(random, n) == 0; }

int64_t sim_between(struct ft_random_seeded *random, int64_t low, int64_t high)
{
    return low + (int64_t)sim_below(random, (uint64_t)(high - low) + 1);
}

void sim_broken(struct sim *sim, const char *format, ...)
{
    if (sim->result->failed) {
        return;
    }
    sim->result->failed = true;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sim->result->text, sizeof sim->result->text, format, args);
    va_end(args);
    SIM_TRACE(sim, "BROKEN %s", sim->result->text);
}

bool sim_is_broken(const struct sim *sim) { return sim->result->failed; }

bool sim_is_traced(const struct sim *sim) { return sim->options.trace != NULL; }

void sim_print_trace(struct sim *sim, const char *format, ...)
{
    int64_t at_ns = sim->now_ns - START_NS;
    (void)fprintf(sim->options.trace, "%4" PRId64 ".%06" PRId64 " ", at_ns / FT_NS_PER_S,
                  at_ns % FT_NS_PER_S / FT_NS_PER_US);
    va_list args;
    va_start(args, format);
    (void)vfprintf(sim->options.trace, format, args);
    va_end(args);
    (void)fputc('\n', sim->options.trace);
}

static void begin(struct sim *sim, const struct sim_options *options, struct sim_result *result)
{
    memset(result, 0, sizeof *result);
    sim->clock = (struct ft_clock){sim_mono, sim_real};
    sim->now_ns = START_NS;
    sim->real_offset_ns = START_REAL_NS - START_NS;
    sim->options = *options;
    sim->result = result;
    sim->n_nodes = 0;
    sim->calm = false;
    struct ft_random_seeded *randoms[] = {&sim->plan_random, &sim->event_random,
                                          &sim->net_random,  &sim->fault_random,
                                          &sim->time_random, &sim->program_random};
    struct ft_random_seeded root;
    ft_random_seeded_init(&root, options->seed);
    for (size_t i = 0; i < sizeof randoms / sizeof randoms[0]; i++) {
        ft_random_seeded_init(randoms[i], ft_random_u64(&root.base));
    }
    sim_plan_make(sim);
    sim_oracle_begin(sim);
}

static struct sim_node *next_node(struct sim *sim)
{
    struct sim_node *next = sim->nodes[0];
    for (size_t i = 1; i < sim->n_nodes; i++) {
        if (sim->nodes[i]->due_ns < next->due_ns) {
            next = sim->nodes[i];
        }
    }
    return next;
}

/* Whoever took the step may have broken something; a fault may have broken anything. */
static void check(struct sim *sim, const struct sim_node *node)
{
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        if (node->self == &sim->agents[i] || node->self == &sim->faults) {
            sim_agent_check(&sim->agents[i]);
        }
    }
    if (node->self == &sim->collector || node->self == &sim->faults) {
        sim_collector_check(&sim->collector);
    }
}

/* False when 'until_ns' came before it was done. */
static bool run_until(struct sim *sim, int64_t until_ns, bool (*done)(struct sim *sim))
{
    while (!sim->result->failed && !done(sim)) {
        struct sim_node *node = next_node(sim);
        if (node->due_ns > until_ns) {
            sim->now_ns = until_ns;
            return false;
        }
        if (node->due_ns > sim->now_ns) {
            sim->now_ns = node->due_ns;
        }
        node->due_ns = FT_TIME_NEVER;
        node->run(node->self);
        check(sim, node);
        if (++sim->result->steps == SIM_STEPS_MAX) {
            sim_broken(sim, "no progress: %d steps, the last one is %s", SIM_STEPS_MAX, node->name);
        }
    }
    return true;
}

/* Faults come until the time is over; without any there is nothing to wait for. */
static bool is_loaded(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        if (sim->plan.fault[i]) {
            return false;
        }
    }
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        if (sim->agents[i].n_left > 0) {
            return false;
        }
    }
    return true;
}

/* What is not at rest; NULL: nothing. */
static const char *unsettled(struct sim *sim)
{
    if (!sim->collector.up) {
        return "the collector is down";
    }
    if (!sim_collector_is_drained(&sim->collector)) {
        return "the collector is busy";
    }
    if (!sim_net_is_whole(sim)) {
        return "messages are on their way, or a connection is broken";
    }
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        struct sim_agent *agent = &sim->agents[i];
        if (!agent->up) {
            return "an agent is down";
        }
        if (ft_exporter_stats(agent->exporter)->link_state != FT_LINK_ACTIVE) {
            return "an agent is not connected";
        }
        if (!sim_agent_is_drained(agent)) {
            return "an agent is not drained";
        }
    }
    return sim_oracle_is_settled(sim) ? NULL : "events are missing";
}

static bool is_settled(struct sim *sim) { return unsettled(sim) == NULL; }

/* A spool that could neither drop a file nor write down that it did waits for the next event. */
static void stir(struct sim *sim)
{
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        struct sim_agent *agent = &sim->agents[i];
        if (agent->up && sim_spool_has_failed(agent)) {
            sim_agent_burst(agent, 1);
        }
    }
}

static void run_phases(struct sim *sim)
{
    (void)run_until(sim, sim->now_ns + sim->plan.load_ns, is_loaded);
    sim->calm = true;
    sim_faults_end(sim);
    SIM_TRACE(sim, "calm");
    if (!run_until(sim, sim->now_ns + SETTLE_NS / 2, is_settled)) {
        stir(sim);
    }
    if (!run_until(sim, sim->now_ns + SETTLE_NS / 2, is_settled)) {
        sim_oracle_tell_unsettled(sim, "%d s after the last fault, %s",
                                  (int)(SETTLE_NS / FT_NS_PER_S), unsettled(sim));
        return;
    }
    for (unsigned i = 0; !sim->result->failed && i < sim->plan.n_agents; i++) {
        sim_agent_burst(&sim->agents[i], 1);
    }
    bool paid = sim->plan.agent_events_per_s != 0 || sim->plan.agent_bytes_per_s != 0;
    int64_t fresh_ns = paid ? FRESH_PAID_NS : FRESH_NS;
    if (!run_until(sim, sim->now_ns + fresh_ns, is_settled)) {
        sim_oracle_tell_unsettled(sim, "a fresh event needs more than %d s, %s",
                                  (int)(fresh_ns / FT_NS_PER_S), unsettled(sim));
        return;
    }
    if (!sim->result->failed) {
        sim_oracle_end(sim);
    }
}
