/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The faults: one table, the counters, and the one that brings them about.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_FAULT_H
#define FT_TESTS_SIM_FAULT_H 1

#include "lib/fault_disk.h"
#include "sim_base.h"

/*
 * X(id, name, weight, least): how often it is tried among the kinds of a run (0: it comes about
 * with others), and how often it must have had an effect in 20,000 seeds.  Counted is the effect,
 * not the attempt.
 */
#define SIM_FAULTS(X)                                                                              \
    /* Agents. */                                                                                  \
    X(BURST, "burst", 4, 10000)                                                                    \
    X(OVERRUN, "agent log full", 0, 10000)                                                         \
    X(SPOOL_AT_BOUND, "agent spool full", 0, 100000)                                               \
    X(KERNEL_OVERRUN, "kernel overrun", 3, 10000)                                                  \
    X(AGENT_KILL, "agent killed", 3, 10000)                                                        \
    X(AGENT_CUT, "agent power cut", 2, 10000)                                                      \
    X(AGENT_STOP, "agent stopped", 2, 7000)                                                        \
    X(AGENT_LIMP, "agent restarts", 0, 4000)                                                       \
    X(SPOOL_SET_BACK, "agent set back", 3, 4000)                                                   \
    X(FORKED, "agent goes on as another", 0, 1000)                                                 \
    X(SPOOL_SURPLUS, "agent counts are off", 0, 0)                                                 \
    X(POISON, "poisoned block", 2, 10000)                                                          \
    /* The collector. */                                                                           \
    X(COLLECTOR_KILL, "collector killed", 5, 10000)                                                \
    X(COLLECTOR_CUT, "collector power cut", 5, 10000)                                              \
    X(STORE_SET_BACK, "collector set back", 3, 4000)                                               \
    X(GONE_BACK, "agent sent back", 0, 2000)                                                       \
    X(TOLD_GONE, "told as lost at the collector", 0, 500)                                          \
    X(COLLECTOR_LIMP, "collector restarts", 0, 10000)                                              \
    /* The collector's disk. */                                                                    \
    X(CUT_LOSES, "unsynced data lost", 0, 8000)                                                    \
    X(CUT_REORDERS, "writes reordered", 0, 3500)                                                   \
    X(CUT_NAMES, "names lost", 0, 10000)                                                           \
    X(TORN_WRITE, "torn write", 0, 5000)                                                           \
    X(READ_ERROR, "read error", 6, 3500)                                                           \
    X(WRITE_ERROR, "write error", 2, 5000)                                                         \
    X(SYNC_ERROR, "sync error", 3, 5000)                                                           \
    X(DIR_SYNC_ERROR, "directory sync error", 4, 1200)                                             \
    X(NAME_ERROR, "open, rename, remove error", 4, 4000)                                           \
    X(DISK_FULL, "disk full", 2, 5000)                                                             \
    X(BIT_FLIP, "bit flip", 2, 5000)                                                               \
    X(LOST_WRITE, "lost write", 4, 4000)                                                           \
    X(MISDIRECTED, "misdirected write", 4, 3000)                                                   \
    /* The agents' disks, in the same order. */                                                    \
    X(SPOOL_CUT_LOSES, "agent: unsynced data lost", 0, 6000)                                       \
    X(SPOOL_CUT_REORDERS, "agent: writes reordered", 0, 8000)                                      \
    X(SPOOL_CUT_NAMES, "agent: names lost", 0, 50000)                                              \
    X(SPOOL_TORN_WRITE, "agent: torn write", 0, 20000)                                             \
    X(SPOOL_READ_ERROR, "agent: read error", 6, 4000)                                              \
    X(SPOOL_WRITE_ERROR, "agent: write error", 2, 30000)                                           \
    X(SPOOL_SYNC_ERROR, "agent: sync error", 3, 20000)                                             \
    X(SPOOL_DIR_SYNC_ERROR, "agent: directory sync error", 4, 5000)                                \
    X(SPOOL_NAME_ERROR, "agent: open, rename, remove error", 4, 25000)                             \
    X(SPOOL_DISK_FULL, "agent: disk full", 2, 200000)                                              \
    X(SPOOL_BIT_FLIP, "agent: bit flip", 2, 20000)                                                 \
    X(SPOOL_LOST_WRITE, "agent: lost write", 4, 1500)                                              \
    X(SPOOL_MISDIRECTED, "agent: misdirected write", 4, 1500)                                      \
    /* The network. */                                                                             \
    X(DELAY, "long delay", 4, 10000)                                                               \
    X(OVERTAKEN, "old connection heard late", 0, 500)                                              \
    X(LINK_CUT, "link cut", 9, 10000)                                                              \
    X(LOST_UP, "lost on the way up", 0, 2000)                                                      \
    X(LOST_DOWN, "lost on the way down", 0, 1500)                                                  \
    X(HALF_OPEN, "half-open", 6, 5000)                                                             \
    X(STALL_UP, "collector reads no more", 2, 5000)                                                \
    X(STALL_DOWN, "agent reads no more", 2, 5000)                                                  \
    X(REFUSED, "connection refused", 2, 5000)                                                      \
    X(UNANSWERED, "connection unanswered", 2, 5000)                                                \
    X(AUTH, "token refused", 2, 5000)                                                              \
    X(GO_AWAY, "go-away", 3, 5000)                                                                 \
    X(SLOW_DOWN, "slow-down", 2, 5000)                                                             \
    X(HELD, "held for its rate", 0, 5000)                                                          \
    X(NO_PLACE, "sent away, no place", 0, 500)                                                     \
    X(TOO_MUCH, "sent away, too much", 0, 100)                                                     \
    X(GARBAGE_UP, "bad message to collector", 2, 4000)                                             \
    X(GARBAGE_DOWN, "bad message to agent", 2, 4000)                                               \
    X(BAD_ACK, "ack of what was never sent", 2, 5000)                                              \
    X(FENCED, "session fenced", 0, 5000)                                                           \
    /* The clocks. */                                                                              \
    X(CLOCK_BACK, "clock back a day", 2, 5000)                                                     \
    X(CLOCK_FORWARD, "clock forward ten years", 2, 4000)

enum sim_fault {
#define SIM_FAULT_ENUM(id, name, weight, least) SIM_FAULT_##id,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_N
};

struct sim_fault_kind {
    const char *name;
    unsigned weight;
    uint64_t least;
};
extern const struct sim_fault_kind sim_fault_kinds[SIM_FAULT_N];

struct sim_agent;

/* A disk of the run. */
struct sim_disk_faults {
    struct sim_agent *agent;         /* Whose it is; NULL: the collector's. */
    int64_t full_to_ns;              /* 0: it has room. */
    int64_t errors_to_ns;            /* 0: it has no lasting error. */
    struct ft_fault_effects effects; /* As counted. */
};

struct sim_faults {
    struct sim *sim;
    struct sim_node node;
    size_t n_disks;
    struct sim_disk_faults disks[1 + SIM_AGENTS_MAX]; /* The first is the collector's. */
};

void sim_faults_begin(struct sim *sim);
/* Everything works from now on. */
void sim_faults_end(struct sim *sim);
void sim_count(struct sim *sim, enum sim_fault fault);
/* Counts what the disks have done since the last call. */
void sim_count_effects(struct sim *sim);

#endif
