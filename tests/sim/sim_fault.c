/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_fault.h"

#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "store/format.h"

#define DAY_NS       (86400 * FT_NS_PER_S)
#define TEN_YEARS_NS (3652 * DAY_NS)

static const enum ft_fault_op name_ops[] = {FT_FAULT_OPEN,   FT_FAULT_TRUNCATE, FT_FAULT_ALLOCATE,
                                            FT_FAULT_REMOVE, FT_FAULT_RENAME,   FT_FAULT_LIST};

const struct sim_fault_kind sim_fault_kinds[SIM_FAULT_N] = {
#define SIM_FAULT_KIND(id, name, weight, least) [SIM_FAULT_##id] = {name, weight, least},
    SIM_FAULTS(SIM_FAULT_KIND)
#undef SIM_FAULT_KIND
};

static void run_faults(void *self);
static void apply(struct sim *sim, enum sim_fault fault);
static void apply_to_agent(struct sim *sim, enum sim_fault fault);
static void apply_to_collector(struct sim *sim, enum sim_fault fault);
static void apply_to_disk(struct sim *sim, struct sim_disk_faults *disk, enum sim_fault fault);
static void apply_to_clock(struct sim *sim, enum sim_fault fault);
static void end_lasting(struct sim_faults *faults, bool all);
static struct ft_disk *disk_of(struct sim *sim, const struct sim_disk_faults *disk);
static void add_disk(struct sim_faults *faults, struct sim_agent *agent);
static void observe_spool(void *ctx, const char *name, const uint8_t *content, size_t size,
                          size_t offset, size_t length);
static void observe(void *ctx, const char *name, const uint8_t *content, size_t size, size_t offset,
                    size_t length);
static bool may_be_hit(const char *name);

void sim_faults_begin(struct sim *sim)
{
    struct sim_faults *faults = &sim->faults;
    *faults = (struct sim_faults){.sim = sim};
    sim_add_node(sim, &faults->node, "faults", run_faults, faults);
    sim_wake(&faults->node, sim->now_ns + sim->plan.fault_gap_ns);
    add_disk(faults, NULL);
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        if (sim->agents[i].spool.disk != NULL) {
            add_disk(faults, &sim->agents[i]);
        }
    }
}

void sim_faults_end(struct sim *sim)
{
    end_lasting(&sim->faults, true);
    for (size_t i = 0; i < sim->faults.n_disks; i++) {
        ft_fault_disk_heal(disk_of(sim, &sim->faults.disks[i]));
    }
    sim_net_calm(sim);
}

static void add_disk(struct sim_faults *faults, struct sim_agent *agent)
{
    struct sim_disk_faults *disk = &faults->disks[faults->n_disks++];
    *disk = (struct sim_disk_faults){.agent = agent};
    struct ft_disk *own = disk_of(faults->sim, disk);
    if (agent != NULL) {
        ft_fault_disk_observe(own, observe_spool, agent);
    } else {
        ft_fault_disk_observe(own, observe, faults->sim);
    }
    ft_fault_disk_expose(own, may_be_hit);
}

static struct ft_disk *disk_of(struct sim *sim, const struct sim_disk_faults *disk)
{
    return disk->agent != NULL ? disk->agent->spool.disk : sim->collector.disk;
}

void sim_count(struct sim *sim, enum sim_fault fault) { sim->result->faults[fault]++; }

static void count_effects(struct sim *sim, struct sim_disk_faults *disk)
{
    struct ft_fault_effects now;
    ft_fault_disk_effects(disk_of(sim, disk), &now);
    const struct ft_fault_effects *before = &disk->effects;
    /* Both lists are in the same order. */
    uint64_t *counts = sim->result->faults;
    counts += disk->agent != NULL ? SIM_FAULT_SPOOL_CUT_LOSES - SIM_FAULT_CUT_LOSES : 0;
    counts[SIM_FAULT_CUT_LOSES] += now.cuts - before->cuts;
    counts[SIM_FAULT_CUT_REORDERS] += now.reordered - before->reordered;
    counts[SIM_FAULT_CUT_NAMES] += now.names_lost - before->names_lost;
    counts[SIM_FAULT_TORN_WRITE] += now.torn_writes - before->torn_writes;
    counts[SIM_FAULT_READ_ERROR] += now.failed[FT_FAULT_READ] - before->failed[FT_FAULT_READ];
    counts[SIM_FAULT_WRITE_ERROR] += now.failed[FT_FAULT_WRITE] - before->failed[FT_FAULT_WRITE];
    counts[SIM_FAULT_SYNC_ERROR] += now.failed[FT_FAULT_SYNC] - before->failed[FT_FAULT_SYNC];
    counts[SIM_FAULT_DIR_SYNC_ERROR] +=
        now.failed[FT_FAULT_SYNC_DIR] - before->failed[FT_FAULT_SYNC_DIR];
    for (size_t i = 0; i < sizeof name_ops / sizeof name_ops[0]; i++) {
        counts[SIM_FAULT_NAME_ERROR] += now.failed[name_ops[i]] - before->failed[name_ops[i]];
    }
    counts[SIM_FAULT_DISK_FULL] += now.full - before->full;
    counts[SIM_FAULT_BIT_FLIP] += now.rotten_bytes - before->rotten_bytes;
    counts[SIM_FAULT_LOST_WRITE] += now.lost_writes - before->lost_writes;
    counts[SIM_FAULT_MISDIRECTED] += now.misdirected_writes - before->misdirected_writes;
    disk->effects = now;
}

void sim_count_effects(struct sim *sim)
{
    for (size_t i = 0; i < sim->faults.n_disks; i++) {
        count_effects(sim, &sim->faults.disks[i]);
    }
}

static void run_faults(void *self)
{
    struct sim_faults *faults = self;
    struct sim *sim = faults->sim;
    end_lasting(faults, false);
    if (sim->calm) {
        return;
    }
    uint64_t weights = 0;
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        weights += sim->plan.fault[i] ? sim_fault_kinds[i].weight : 0;
    }
    if (weights == 0) {
        return;
    }
    uint64_t chosen = sim_below(&sim->fault_random, weights);
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        uint64_t weight = sim->plan.fault[i] ? sim_fault_kinds[i].weight : 0;
        if (chosen < weight) {
            SIM_TRACE(sim, "fault: %s", sim_fault_kinds[i].name);
            apply(sim, (enum sim_fault)i);
            break;
        }
        chosen -= weight;
    }
    sim_wake(&faults->node,
             sim->now_ns + sim_between(&sim->fault_random, 0, 2 * sim->plan.fault_gap_ns));
}

static void apply(struct sim *sim, enum sim_fault fault)
{
    if (fault < SIM_FAULT_COLLECTOR_KILL) {
        apply_to_agent(sim, fault);
    } else if (fault < SIM_FAULT_CUT_LOSES) {
        apply_to_collector(sim, fault);
    } else if (fault < SIM_FAULT_SPOOL_CUT_LOSES) {
        apply_to_disk(sim, &sim->faults.disks[0], fault);
    } else if (fault < SIM_FAULT_DELAY) {
        if (sim->faults.n_disks > 1) {
            uint64_t i = 1 + sim_below(&sim->fault_random, sim->faults.n_disks - 1);
            apply_to_disk(sim, &sim->faults.disks[i],
                          fault - SIM_FAULT_SPOOL_CUT_LOSES + SIM_FAULT_CUT_LOSES);
        }
    } else if (fault < SIM_FAULT_CLOCK_BACK) {
        sim_net_disturb(sim, fault);
    } else {
        apply_to_clock(sim, fault);
    }
}

/* Now, or in the middle of one of the next calls of its disk. */
static void end_agent(struct sim_agent *agent, enum ft_fault_cut cut)
{
    struct ft_random_seeded *random = &agent->sim->fault_random;
    agent->spool.next_cut = cut;
    if (agent->spool.disk == NULL || sim_one_in(random, 3)) {
        sim_agent_die(agent, cut != FT_FAULT_KILL, cut);
    } else {
        ft_fault_disk_stop_at(agent->spool.disk, 1 + sim_below(random, 30));
    }
}

static void apply_to_agent(struct sim *sim, enum sim_fault fault)
{
    struct ft_random_seeded *random = &sim->fault_random;
    struct sim_agent *agent = &sim->agents[sim_below(random, sim->plan.n_agents)];
    if (!agent->up) {
        return;
    }
    switch (fault) {
    case SIM_FAULT_BURST:
        sim_agent_burst(agent, 1 + (unsigned)sim_below(random, 100));
        break;
    case SIM_FAULT_SPOOL_SET_BACK:
        if (agent->spool.disk != NULL) {
            sim_snapshot_fault(agent);
        }
        return;
    case SIM_FAULT_KERNEL_OVERRUN:
        sim_overrun_happen(agent, 1 + sim_below(random, 1000));
        break;
    case SIM_FAULT_AGENT_KILL:
        end_agent(agent, FT_FAULT_KILL);
        return;
    case SIM_FAULT_AGENT_CUT:
        end_agent(agent, sim_one_in(random, 2) ? FT_FAULT_LOSE : FT_FAULT_TEAR);
        return;
    case SIM_FAULT_AGENT_STOP:
        if (agent->spool.disk != NULL) {
            sim_agent_quit(agent);
        }
        return;
    case SIM_FAULT_POISON:
        sim_agent_poison(agent);
        break;
    default:
        abort();
    }
    sim_count(sim, fault);
}

/* Now, or in the middle of one of the next calls of the disk. */
static void apply_to_collector(struct sim *sim, enum sim_fault fault)
{
    struct ft_random_seeded *random = &sim->fault_random;
    struct sim_collector *collector = &sim->collector;
    if (fault == SIM_FAULT_STORE_SET_BACK) {
        sim_backup_fault(collector);
        return;
    }
    collector->next_cut = FT_FAULT_KILL;
    collector->next_silent = false;
    if (fault == SIM_FAULT_COLLECTOR_CUT) {
        collector->next_cut = sim_one_in(random, 2) ? FT_FAULT_LOSE : FT_FAULT_TEAR;
        collector->next_silent = sim_one_in(random, 2);
    }
    if (sim_one_in(random, 3)) {
        sim_collector_die(collector);
    } else {
        ft_fault_disk_stop_at(collector->disk, 1 + sim_below(random, 40));
    }
}

static ft_err some_error(struct ft_random_seeded *random)
{
    static const int errnos[] = {EIO, EIO, ENOSPC, EDQUOT, EROFS, EINTR, ENFILE};
    return ft_err_from_errno(errnos[sim_below(random, sizeof errnos / sizeof errnos[0])]);
}

static void fail(struct sim *sim, struct sim_disk_faults *disk, enum ft_fault_op op)
{
    struct ft_random_seeded *random = &sim->fault_random;
    uint64_t nth = 1 + sim_below(random, 20);
    uint64_t n_times = 1 + sim_below(random, 3);
    if (op == FT_FAULT_READ) {
        /* What cannot be read in some tries counts as damaged, which is another fault. */
        n_times = 1;
    } else if (sim_one_in(random, 4)) {
        n_times = UINT64_MAX;
        disk->errors_to_ns = sim->now_ns + sim_between(random, 0, 20 * FT_NS_PER_S);
        sim_wake(&sim->faults.node, disk->errors_to_ns);
    }
    ft_fault_disk_fail(disk_of(sim, disk), op, nth, n_times, some_error(random));
}

static void apply_to_disk(struct sim *sim, struct sim_disk_faults *disk, enum sim_fault fault)
{
    struct ft_random_seeded *random = &sim->fault_random;
    struct ft_disk *own = disk_of(sim, disk);
    if (disk->agent == NULL && fault <= SIM_FAULT_DISK_FULL) {
        sim->collector.places_may_lag = true; /* It may be an error of a full disk. */
    }
    switch (fault) {
    case SIM_FAULT_READ_ERROR:
        fail(sim, disk, FT_FAULT_READ);
        break;
    case SIM_FAULT_WRITE_ERROR:
        fail(sim, disk, FT_FAULT_WRITE);
        break;
    case SIM_FAULT_SYNC_ERROR:
        fail(sim, disk, FT_FAULT_SYNC);
        break;
    case SIM_FAULT_DIR_SYNC_ERROR:
        fail(sim, disk, FT_FAULT_SYNC_DIR);
        break;
    case SIM_FAULT_NAME_ERROR:
        fail(sim, disk, name_ops[sim_below(random, sizeof name_ops / sizeof name_ops[0])]);
        break;
    case SIM_FAULT_DISK_FULL:
        ft_fault_disk_set_capacity(own, 1 + sim_below(random, 32 << 10));
        disk->full_to_ns = sim->now_ns + sim_between(random, 0, 20 * FT_NS_PER_S);
        sim_wake(&sim->faults.node, disk->full_to_ns);
        break;
    case SIM_FAULT_BIT_FLIP:
        (void)ft_fault_disk_rot(own);
        break;
    case SIM_FAULT_LOST_WRITE:
        ft_fault_disk_lose_write(own, 1 + sim_below(random, 20));
        break;
    case SIM_FAULT_MISDIRECTED:
        ft_fault_disk_misdirect_write(own, 1 + sim_below(random, 20));
        break;
    default:
        abort();
    }
}

static void apply_to_clock(struct sim *sim, enum sim_fault fault)
{
    int64_t offset_ns =
        sim->real_offset_ns + (fault == SIM_FAULT_CLOCK_BACK ? -DAY_NS : TEN_YEARS_NS);
    /* Before 2020 and behind 2050 events break the rules of the wire, which is another fault. */
    if (offset_ns > INT64_C(1600000000000000000) && offset_ns < INT64_C(2500000000000000000)) {
        sim->real_offset_ns = offset_ns;
        sim_count(sim, fault);
    }
}

static void end_lasting(struct sim_faults *faults, bool all)
{
    struct sim *sim = faults->sim;
    for (size_t i = 0; i < faults->n_disks; i++) {
        struct sim_disk_faults *disk = &faults->disks[i];
        if (disk->full_to_ns != 0 && (all || disk->full_to_ns <= sim->now_ns)) {
            ft_fault_disk_set_capacity(disk_of(sim, disk), 0);
            disk->full_to_ns = 0;
        }
        if (disk->errors_to_ns != 0 && (all || disk->errors_to_ns <= sim->now_ns)) {
            ft_fault_disk_heal(disk_of(sim, disk));
            disk->errors_to_ns = 0;
        }
    }
}

/*
 * The files of the log, which promises to get along with it.  The others are one number or a
 * database's own.
 */
static bool may_be_hit(const char *name)
{
    return strncmp(name, "seg-", 4) == 0 || strncmp(name, "new-", 4) == 0 ||
           strncmp(name, "cursor-", 7) == 0;
}

/* A block of a file, as it should be. */
struct placed {
    struct ft_store_block_header header;
    bool hit;  /* Now or before. */
    bool torn; /* Bytes before it are no block. */
};
#define PLACED_MAX 1024

static size_t walk(struct sim *sim, const uint8_t *content, size_t size, size_t offset,
                   size_t length, struct placed *blocks)
{
    size_t n = 0;
    bool torn = false;
    for (size_t at = FT_STORE_SEGMENT_HEADER_SIZE; at + FT_STORE_BLOCK_HEADER_SIZE <= size;) {
        struct placed *block = &blocks[n];
        if (n == PLACED_MAX || !ft_store_decode_block_header(content + at, NULL, &block->header) ||
            at + ft_store_frame_size(block->header.size) > size) {
            at += 8;
            torn = true;
            continue;
        }
        size_t end = at + ft_store_frame_size(block->header.size);
        block->torn = torn;
        block->hit = (at < offset + length && offset < end) ||
                     !ft_store_check_block(&block->header, content + at) ||
                     sim_oracle_is_excused(sim, &block->header.info);
        torn = false;
        n++;
        at = end;
    }
    return n;
}

/*
 * Which blocks does it hit?  And which does it take along: behind the last block of which somebody
 * knows that it is durable, all that follows a damaged one (store/disk_recover.c).
 */
static void observe(void *ctx, const char *name, const uint8_t *content, size_t size, size_t offset,
                    size_t length)
{
    static struct placed blocks[PLACED_MAX];
    struct sim *sim = ctx;
    SIM_TRACE(sim, "silent fault in %s, %zu bytes at %zu of %zu", name, length, offset, size);
    sim->collector.places_may_lag = true;
    if (strncmp(name, "cursor-", 7) == 0) {
        return;
    }
    size_t n = walk(sim, content, size, offset, length, blocks);
    uint64_t durable = 0;
    for (size_t i = 0; i < n; i++) {
        /* A block that the next power cut takes tells nobody. */
        if (!blocks[i].hit && blocks[i].header.durable > durable &&
            sim_collector_has_durable(&sim->collector, blocks[i].header.position)) {
            durable = blocks[i].header.durable;
        }
    }
    bool behind = false;
    for (size_t i = 0; i < n; i++) {
        behind =
            behind || ((blocks[i].hit || blocks[i].torn) && blocks[i].header.position > durable);
        if (blocks[i].hit || behind) {
            sim_oracle_excuse(sim, &blocks[i].header.info);
        }
    }
}

/* What it has hit is told as lost, and maybe more than that: counts of this agent are not exact. */
static void observe_spool(void *ctx, const char *name, const uint8_t *content, size_t size,
                          size_t offset, size_t length)
{
    struct sim_agent *agent = ctx;
    (void)content;
    SIM_TRACE(agent->sim, "silent fault in %s of agent %u, %zu bytes at %zu of %zu", name,
              agent->index, length, offset, size);
    if (agent->instance != NULL) {
        agent->instance->vague = true;
    }
}
