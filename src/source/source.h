/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source in one piece: reader, queue, dumper and tracker, put together.
 *
 *     kernel ── source thread: reader ── chunk queue ── pipeline thread: tap, tracker ── emit
 *                                                       pipeline thread: dumper ──┘
 *
 * The pipeline thread is the caller's: it calls ft_source_step() in a loop and does in emit() what
 * follows (filter, enrich, log).  The source thread is this module's, from start() to stop().
 * Without start() nothing waits and no thread runs: tests and simulations step the reader, too, on
 * virtual time.
 *
 * Thread: the pipeline, except where a function says otherwise.
 */
#ifndef FT_SOURCE_SOURCE_H
#define FT_SOURCE_SOURCE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "os/ct_kernel.h"
#include "source/chunk.h"
#include "source/ladder.h"
#include "source/memory.h"
#include "source/reader.h"
#include "source/saved.h"
#include "source/stats.h"
#include "source/tracker.h"

struct ft_source;

/* Sees every chunk before the tracker does: a recording (source/recording.h). */
typedef void ft_chunk_fn(void *ctx, const struct ft_chunk *chunk);

struct ft_source_options {
    struct ft_tracker_options tracker;
    struct ft_reader_options reader;
    uint64_t queue_bytes_max; /* of the chunk pool */
};

#define FT_SOURCE_QUEUE_BYTES_DEFAULT ((uint64_t)8 << 20)

/* The defaults of the parts. */
void ft_source_options_init(struct ft_source_options *options);

struct ft_source_params {
    struct ft_source_options options;
    /* All borrowed for the source's life; 'random' is used by the source thread. */
    struct ft_ct_kernel *kernel;
    const struct ft_clock *clock;
    struct ft_random *random;
    ft_emit_fn *emit;
    void *emit_ctx;
    ft_chunk_fn *tap; /* NULL: none */
    void *tap_ctx;

    /*
     * The working memory (borrowed), new or adopted, for a source that is to survive a crash: what
     * it does is committed with ft_source_commit(), and chunks are kept until then.  Its sizes go
     * before those of the options.  NULL: the source has one of its own, and nothing is committed.
     */
    struct ft_memory *memory;
    ft_settled_fn *settled; /* Where it may be; NULL: none.  With 'emit_ctx'. */
    int events_fd;          /* With an adopted memory: the event socket, taken over.  -1: none. */
    /* The event socket was opened (again); the source thread.  NULL: none. */
    ft_socket_fn *on_socket;
    void *on_socket_ctx;
};

/*
 * -ENOMEM, or what the system calls fail with.  FT_E_CORRUPT or FT_E_UNSUPPORTED: the adopted
 * memory is of no use; 'events_fd' is then still the caller's.
 */
FT_MUST_USE ft_err ft_source_create(const struct ft_source_params *params,
                                    struct ft_source **ret_source);

/* Accepts NULL; stops first. */
void ft_source_destroy(struct ft_source *source);
FT_DEFINE_CLEANUP(struct ft_source, ft_source_destroy);

/* Starts the source thread.  Thread: any one. */
FT_MUST_USE ft_err ft_source_start(struct ft_source *source);

/* Ends the source thread and waits for it; what it had read waits in the queue.  May be repeated.
 * Thread: any one. */
void ft_source_stop(struct ft_source *source);

/*
 * A turn of the pipeline: takes a chunk, waiting for one until 'deadline_mono_ns' at most
 * (INT64_MIN: not at all), and a step of a dump if one is under way.  False when nothing was there
 * to do.
 */
bool ft_source_step(struct ft_source *source, int64_t deadline_mono_ns);

/* A step that waits, or the next one, returns at once.  Thread: any. */
void ft_source_wake(struct ft_source *source);

/*
 * For a source with 'memory'.  Commits everything that was emitted so far, with the owner's own
 * state and the block that holds it (NULL: none).  Only from settled() or between two steps.
 */
struct ft_source_commit {
    const void *owner;
    size_t owner_size;
    const void *block;
    size_t block_size;
    const void *block_info;
    size_t block_info_size;
    uint64_t block_last;
};
void ft_source_commit(struct ft_source *source, const struct ft_source_commit *commit);

/*
 * Stopped: what is known of flows goes into a file (source/saved.h), from which a new memory is
 * filled at the next start.  What happens in between nobody hears: a gap, and a LOSS of its own
 * cause.  The source is of no use afterwards.
 */
FT_MUST_USE ft_err ft_source_save(struct ft_source *source, struct ft_disk *disk,
                                  const struct ft_saved_owner *owner);

/* True when a commit should be made soon, because what it would free is needed. */
bool ft_source_wants_commit(const struct ft_source *source);

/* True when something was done since the last one. */
bool ft_source_is_uncommitted(const struct ft_source *source);

/* Another input in its place among the others, like LOCAL_ADDRS and SWITCHES; its times are set. */
void ft_source_feed(struct ft_source *source, struct ft_chunk *chunk);

/* Live changes of configuration.  set_ladder: Thread: any. */
void ft_source_set_ladder(struct ft_source *source, const struct ft_ladder_options *options);
void ft_source_set_update_interval(struct ft_source *source, int64_t interval_ns);

/* Thread: any. */
const struct ft_source_stats *ft_source_get_stats(const struct ft_source *source);

/* For stepping without a thread. */
struct ft_reader *ft_source_get_reader(struct ft_source *source);

#endif
