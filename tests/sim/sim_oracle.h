/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true: every event that was ever numbered, with the hash of its content, and what each
 * side has said of it.  Each call is an observation; the oracle ends the run when it contradicts
 * what was observed before.
 *
 * What is held:
 *   - an acknowledgement that reaches an agent was told by the collector, and covers only what is
 *     in the collector's log or table even if the power failed in that moment;
 *   - the table has each event once, unchanged, in the order of seq, and nothing else;
 *   - an event is acknowledged, retained or lost, never two of these, and the agent's own account
 *     says the same;
 *   - in the end each event is in the table or in a LOSS that is in the table, and the LOSS events
 *     add up to what is missing.
 *
 * What a silent fault of the disk has hit (bit flips, lost and misdirected writes) is excused: the
 * blocks that were hit may be missing, nothing else may.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_ORACLE_H
#define FT_TESTS_SIM_ORACLE_H 1

#include "base/ranges.h"
#include "collector/instances.h"
#include "export/progress.h"
#include "flow/event.h"
#include "flow/query.h"
#include "sim_base.h"
#include "sim_overrun.h"
#include "store/log.h"
#include "wire/message.h"

#define SIM_INSTANCES_MAX 1024

struct sim_sink_row;

enum sim_seq_flag {
    SIM_SEQ_ACKED = 1,    /* The agent believes that the collector has it. */
    SIM_SEQ_DROPPED = 2,  /* The agent's log gave it up. */
    SIM_SEQ_REJECTED = 4, /* The agent was told that the collector does not take it. */
    SIM_SEQ_STORED = 8,   /* In the table. */
    SIM_SEQ_EXCUSED = 16, /* A silent fault of a disk has hit its block. */
    SIM_SEQ_POISON = 32,  /* Its block breaks the rules. */
    SIM_SEQ_GONE = 64,    /* The agent was told that the collector has lost it, and has freed it. */
    SIM_SEQ_CRASHED = 128, /* It was in the memory of a process that died, or in a damaged block. */
    SIM_SEQ_GAP = 256,     /* The collector asks for it behind what it has. */
    SIM_SEQ_TAKEN = 512,   /* The collector has it, in its log or in the table, durable or not. */
    /* It was acknowledged or may have been, and is retained again: dropped now, it is told as lost
     * and is stored all the same (ARCHITECTURE.md, "Not bugs"). */
    SIM_SEQ_AGAIN = 1024,
    SIM_SEQ_SUNK = 2048 /* The collector had it, and was set back to before that. */
};

/* What a LOSS tells or will tell. */
#define SIM_SEQ_LOST                                                                               \
    ((unsigned)(SIM_SEQ_DROPPED | SIM_SEQ_REJECTED | SIM_SEQ_GONE | SIM_SEQ_CRASHED))
/* What its agent believes; the rest is true whoever believes what. */
#define SIM_SEQ_OF_AGENT ((unsigned)(SIM_SEQ_ACKED | SIM_SEQ_AGAIN) | SIM_SEQ_LOST)

struct sim_seq {
    uint64_t hash;
    uint64_t life;       /* In which it was made; 0: the log keeps none. */
    uint64_t loss_count; /* Of a LOSS event. */
    unsigned flags;      /* enum sim_seq_flag */
    unsigned seen;       /* Number of the last look at a log that found it. */
};

/* Events of numbers that were given again; sim_setback.c. */
struct sim_past {
    struct sim_past *next;
    uint64_t from_seq; /* Behind this. */
    uint64_t last_seq;
    struct sim_seq seqs[];
};

struct sim_instance {
    struct ft_instance_key key;
    unsigned agent;
    bool alive;        /* Its process runs: what is retained is owed. */
    bool vague;        /* It has told an estimate: its counts are not exact. */
    bool going_back;   /* Its next start is from a disk that was set back. */
    bool set_back;     /* It may tell of a loss again that was told before its host was set back. */
    uint64_t life;     /* Of the process that runs. */
    uint64_t n;        /* Numbered. */
    uint64_t base_seq; /* Numbers up to here are an earlier instance's. */
    uint64_t n_allocated;
    struct sim_seq *seqs;  /* [0] unused */
    struct sim_past *past; /* The latest first. */
    /* It has lost its place, and takes more for stored than is until its collector says so. */
    bool guesses;
    /* It had lost its place, found more than should be, or gave numbers twice: what is damaged then
     * may hide in that. */
    bool miscounts;
    uint64_t n_acked;
    uint64_t n_dropped;
    uint64_t n_rejected;
    uint64_t n_gone;
    uint64_t n_crashed;
    uint64_t n_excused;     /* Ever. */
    uint64_t told_seq;      /* The most that the collector has told. */
    uint64_t ever_told_seq; /* Also before it was set back. */
    bool is_sunk;           /* It was set back since, to before some of it. */
    uint64_t welcome_seq;   /* Of that its last Welcome told, but for what it asked for: */
    struct ft_ranges asked;
    uint64_t stored_last; /* The last seq in the table. */
    uint64_t n_stored;
    uint64_t stored_losses; /* What the LOSS events in the table add up to. */
    struct sim_overrun overrun;
};

struct sim_oracle {
    size_t n_instances;
    struct sim_instance instances[SIM_INSTANCES_MAX]; /* Memory is kept from run to run. */
    unsigned look;
    bool store_was_set_back; /* What that has cost the next look at its log tells. */
};

/* What an event holds, whatever program has it. */
uint64_t sim_event_hash(const struct ft_event *event);

void sim_oracle_begin(struct sim *sim);
struct sim_instance *sim_oracle_add(struct sim *sim, unsigned agent, const struct ft_uuid *agent_id,
                                    const struct ft_uuid *instance_id);
/* NULL when nobody ever had it. */
struct sim_instance *sim_oracle_find(struct sim *sim, const struct ft_uuid *agent_id,
                                     const struct ft_uuid *instance_id);

/* The agent. */
void sim_oracle_numbered(struct sim *sim, struct sim_instance *instance,
                         const struct ft_event *event);
/* A block that breaks the rules: the collector must reject it. */
void sim_oracle_poisoned(struct sim *sim, struct sim_instance *instance,
                         const struct ft_block_info *info);
void sim_oracle_dropped(struct sim *sim, struct sim_instance *instance,
                        const struct ft_block_info *info);
void sim_oracle_acked(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                      uint64_t last_seq);
void sim_oracle_rejected(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                         uint64_t last_seq);
/* The collector has nothing behind 'from_seq' any more, although it was acknowledged. */
void sim_oracle_gone_back(struct sim *sim, struct sim_instance *instance, uint64_t from_seq);
void sim_oracle_gone(struct sim *sim, struct sim_instance *instance, const struct ft_loss *loss);
/* If it was gone, the agent takes it for acknowledged again. */
void sim_oracle_not_gone(struct sim_instance *instance, uint64_t seq);

/* Its block cannot be read any more. */
void sim_oracle_damaged(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                        uint64_t last_seq);
/* Its block was dropped, but for what cannot be read of it. */
void sim_oracle_unread(struct sim *sim, struct sim_instance *instance,
                       const struct ft_block_info *info);
/*
 * A process goes on with a spool that says: numbers up to 'n' were given, what 'progress' says is
 * done with, and of the others those are there.  'may_lag': the disk has refused something, maybe
 * the place.
 */
void sim_oracle_revived(struct sim *sim, struct sim_instance *instance, uint64_t n,
                        const struct ft_progress *progress, const bool *there, bool may_lag);
/* It is another instance from here on: what it has behind 'base_seq' is the new one's. */
struct sim_instance *sim_oracle_fork(struct sim *sim, struct sim_instance *instance,
                                     const struct ft_uuid *instance_id, uint64_t base_seq);
/* What the agent must count as lost. */
uint64_t sim_oracle_lost(const struct sim_instance *instance);

/* The collector. */
/* The table may get these behind others. */
void sim_oracle_gap(struct sim *sim, const struct ft_instance_key *key, uint64_t first_seq,
                    uint64_t last_seq);
void sim_oracle_told(struct sim *sim, struct sim_instance *instance, uint64_t durable_seq);
void sim_oracle_welcomed(struct sim *sim, struct sim_instance *instance,
                         const struct ft_msg_welcome *welcome);
/* The table is read anew: what is in it follows. */
void sim_oracle_table_begin(struct sim *sim);
void sim_oracle_stored(struct sim *sim, const struct sim_sink_row *row);
/* A look at a log: what is in it follows, then all that was told must be there or in the table. */
void sim_oracle_look_begin(struct sim *sim);
void sim_oracle_look_block(struct sim *sim, const struct ft_block_info *info, uint64_t life);
void sim_oracle_look_end(struct sim *sim, const char *when);
/* The collector has started, and has what the last look has found, and what is in the table. */
void sim_oracle_take_stock(struct sim *sim);

/* The collector appended it to its log. */
void sim_oracle_taken(struct sim *sim, const struct ft_block_info *info, uint64_t life);

/* A block that a silent fault has hit. */
void sim_oracle_excuse(struct sim *sim, const struct ft_block_info *info);

bool sim_oracle_is_excused(struct sim *sim, const struct ft_block_info *info);
void sim_oracle_excuse_past(struct sim_instance *instance, const struct ft_block_info *info);

/* Numbers that are given twice (sim_setback.c). */
void sim_oracle_reserve(struct sim_instance *instance, uint64_t seq);
/* The agent goes on behind 'n'. */
void sim_oracle_forget_numbers(struct sim *sim, struct sim_instance *instance, uint64_t n);
/* What became of this number in this life; NULL: it was never given there. */
struct sim_seq *sim_oracle_event(struct sim_instance *instance, uint64_t seq, uint64_t life);
/* Of all events that ever had this number. */
unsigned sim_oracle_flags_of_all(const struct sim_instance *instance, uint64_t seq);
bool sim_oracle_was_seen(const struct sim_instance *instance, uint64_t seq, unsigned look);
/* The collector has something that its agent does not know to have sent. */
bool sim_oracle_was_overtaken(const struct sim_instance *instance);
/* The last number that was ever given. */
uint64_t sim_oracle_last_ever(const struct sim_instance *instance);
/* Of what the collector has up to 'seq', the last number up to which it is this agent's. */
uint64_t sim_oracle_same_to(const struct sim_instance *instance, uint64_t seq);
/* The table is read anew. */
void sim_oracle_unstore_past(struct sim_instance *instance);
/* All was stored that was acknowledged before the host was set back. */
void sim_oracle_end_past(struct sim *sim, struct sim_instance *instance);
void sim_oracle_drop_past(struct sim_instance *instance);

/* What is known of an instance at a moment to which its agent may be set back. */
struct sim_memory {
    struct sim_instance *instance;
    uint64_t n;
    uint64_t base_seq;
    struct sim_overrun overrun;
    struct sim_seq *seqs; /* [0] unused */
};
void sim_oracle_remember(struct sim_instance *instance, struct sim_memory *ret_memory);
/* It was. */
void sim_oracle_set_back(struct sim_memory *memory);
void sim_oracle_forget_memory(struct sim_memory *memory);

/* Nothing is under way any more: where is everything? */
bool sim_oracle_is_settled(struct sim *sim);
void sim_oracle_tell_unsettled(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_oracle_end(struct sim *sim);

#endif
