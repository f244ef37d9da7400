/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the sinker (sinker.c: rows; sinker_poison.c: what the sink cannot take)
 * share.  Private to them. */
#ifndef FT_COLLECTOR_SINKER_IMPL_H
#define FT_COLLECTOR_SINKER_IMPL_H 1

#include "collector/log_limit.h"
#include "collector/sinker.h"

/* One transaction; it is committed when its blocks are that many, or that large. */
#define FT_SINKER_BLOCKS_MAX       1024
#define FT_SINKER_BLOCKS_BYTES_MAX ((size_t)16 << 20)
/* Blocks whose failures are counted in one trial. */
#define FT_SINKER_TRIED_MAX 16

/* What becomes of a block when the cursor moves over it. */
enum ft_sinker_fate {
    FT_SINKER_STORED,
    FT_SINKER_POISON, /* It is in the quarantine. */
    FT_SINKER_DAMAGED /* Its bytes are not what was written. */
};

/*
 * A block behind the last commit.  One whose rows are appended is kept, so that live streams get
 * them once they are stored, and only then.
 */
struct ft_sinker_block {
    struct ft_block block; /* Without data unless STORED. */
    enum ft_sinker_fate fate;
    struct ft_instance_key key;
    uint64_t first_seq; /* 0: not known. */
    uint64_t last_seq;
    bool is_suspect;
    uint64_t lost[FT_LOSS_CAUSE_N]; /* Told by its LOSS events. */
};

struct ft_sinker {
    struct ft_sinker_options options;
    struct ft_log_reader *reader;
    struct ft_id_deriver *deriver;
    uint64_t committed_position;
    uint64_t read_position;
    uint64_t n_rows;  /* Appended and not committed. */
    int64_t first_ns; /* When the first pending block was taken. */
    size_t n_pending;
    size_t pending_bytes;
    struct ft_sinker_block pending[FT_SINKER_BLOCKS_MAX];
    struct ft_row *rows; /* FT_BATCH_EVENTS_MAX */
    /* A batch failed: up to 'trial_end' each block is tried alone.  0: no trial. */
    uint64_t trial_end;
    int64_t next_trial_ns;
    unsigned n_suspects; /* Failed alone since the last commit; they are pending. */
    bool by_data;        /* All of them because of their data, as the sink says. */
    struct {
        uint64_t position;
        unsigned n_failures; /* Alone, in a row. */
    } tried[FT_SINKER_TRIED_MAX];
    unsigned n_tried;
    bool checked;    /* The block that is tried failed before, and the sink took an empty commit. */
    ft_err last_err; /* Of the last suspect. */
    struct ft_diag last_diag;
    struct ft_log_limit poison_lines;
    struct ft_sinker_stats stats;
};

/* Commits all that is pending, suspects too. */
FT_MUST_USE ft_err ft_sinker_commit(struct ft_sinker *sinker, struct ft_diag *reterr_diag);

/* Gives the rows of a pending block to the sink once more. */
FT_MUST_USE ft_err ft_sinker_append(struct ft_sinker *sinker, const struct ft_sinker_block *pending,
                                    struct ft_diag *reterr_diag);

/* The block, as STORED with nothing told yet, at the end of 'pending'; moved out of '*block'. */
struct ft_sinker_block *ft_sinker_add_pending(struct ft_sinker *sinker, struct ft_block *block,
                                              enum ft_sinker_fate fate);
/* Its bytes are not needed any more. */
void ft_sinker_let_go(struct ft_sinker *sinker, struct ft_sinker_block *pending);
void ft_sinker_release_pending(struct ft_sinker *sinker);
/* Back to the last commit: nothing behind it is kept. */
void ft_sinker_begin_again(struct ft_sinker *sinker);

/* The block's bytes say what they must not: it is kept in quarantine and passed over. */
FT_MUST_USE ft_err ft_sinker_pass_undecodable(struct ft_sinker *sinker, struct ft_block *block,
                                              const struct ft_diag *why);

/* Blocks are tried alone. */
bool ft_sinker_is_in_trial(const struct ft_sinker *sinker);
/*
 * The sink refused the last pending block or the commit, and has rolled back ('of_sink'); or a
 * block could not even be given to it and is read again.  Returns FT_OK when the sinker goes on
 * with the next block, else the error, with '*diag'.
 */
FT_MUST_USE ft_err ft_sinker_on_failure(struct ft_sinker *sinker, bool of_sink, ft_err err,
                                        struct ft_diag *diag);
/* There is no further block to try: what about the suspects? */
FT_MUST_USE ft_err ft_sinker_end_trial(struct ft_sinker *sinker, struct ft_diag *reterr_diag);
/* Does its commit say something about the suspects?  One that is stored already does not. */
bool ft_sinker_is_neighbour(struct ft_sinker *sinker, const struct ft_sinker_block *pending);
/* A commit moved the cursor: the suspects that it passed are poison. */
void ft_sinker_on_commit(struct ft_sinker *sinker);

#endif
