/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted bugs, which the simulation must find: each changes what one module sees of another, at
 * link time (sim_wrap.c), on the wire, or in a disk between the programs and the simulated one.
 * The programs know nothing of them.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_MUTANT_H
#define FT_TESTS_SIM_MUTANT_H 1

#include "base/disk.h"
#include "sim_base.h"

#define SIM_MUTANTS(X)                                                                             \
    X(NONE, "none")                                                                                \
    /* Acknowledges what the disk has not got yet. */                                              \
    X(ACK_BEFORE_SYNC, "ack-before-sync")                                                          \
    /* New files are synced, their names are not. */                                               \
    X(DIR_NOT_SYNCED, "dir-not-synced")                                                            \
    /* Files go before the cursor that lets them go is on the disk. */                             \
    X(UNLINK_BEFORE_CURSOR, "unlink-before-cursor")                                                \
    /* A sync that failed is tried again on the same file. */                                      \
    X(SYNC_RETRIED, "sync-retried")                                                                \
    /* Repeats are told by instance and number, whoever's they are. */                             \
    X(DEDUP_BARE, "dedup-by-bare-id")                                                              \
    /* The agent goes on one event too late. */                                                    \
    X(RESUME_OFF_BY_ONE, "resume-off-by-one")                                                      \
    /* The agent's account of losses is written, but not synced. */                                \
    X(ACCOUNT_NOT_SYNCED, "account-not-synced")                                                    \
    /* A LOSS event that is dropped itself is not told again. */                                   \
    X(LOSS_NOT_RETOLD, "loss-not-retold")                                                          \
    /* The agent does not compare the lives of numbers with the collector's. */                    \
    X(LIVES_IGNORED, "lives-ignored")                                                              \
    /* The agent does not go back where the collector has less than it had acknowledged. */        \
    X(BACK_IGNORED, "set-back-ignored")

enum sim_mutant {
#define SIM_MUTANT_ENUM(id, name) SIM_MUTANT_##id,
    SIM_MUTANTS(SIM_MUTANT_ENUM)
#undef SIM_MUTANT_ENUM
        SIM_MUTANT_N
};

/* A disk that hands on to 'inner' (borrowed), but for what the mutant does. */
struct ft_disk *sim_mutant_disk_create(enum sim_mutant mutant, struct ft_disk *inner);

#endif
