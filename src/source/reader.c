/* SPDX-License-Identifier: Apache-2.0 */
#include "source/reader.h"

#include <assert.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/thread.h"
#include "source/pressure.h"

/*
 * Room that a chunk must have left for another datagram.  One event is a message of less than
 * 2 KiB, and its socket buffer holds nothing else.
 */
#define DATAGRAM_ROOM ((size_t)8192)
_Static_assert(DATAGRAM_ROOM <= FT_CHUNK_QUEUE_ROOM_MIN, "a chunk takes a datagram at least");

/* Windows in which the rate is measured and the ladder is asked. */
#define WINDOW_NS (100 * FT_NS_PER_MS)

/* A socket that lived so long was all right: if it fails, the next try is a first one. */
#define SETTLED_NS (5 * FT_NS_PER_S)

/* One step makes at most this many chunks without data before they are put. */
#define NOTES_MAX 8

/* Turns at the end that look for a free chunk and data to put in it. */
#define LAST_TURNS_MAX 4096

/* A chunk without data that is still to be put. */
struct note {
    enum ft_chunk_kind kind;
    int64_t value;
};

struct ft_reader {
    /* Set at creation. */
    struct ft_reader_options options;
    struct ft_ct_kernel *kernel;
    struct ft_chunk_queue *queue;
    struct ft_random *random;
    struct ft_source_stats *stats;
    int wake_fd;
    atomic_bool stopping;

    struct ft_mutex lock;
    struct ft_ladder_options new_ladder FT_GUARDED;
    atomic_bool has_new_ladder;

    /* The source thread only. */
    bool open;
    bool reliable;
    bool undrained; /* An overrun was seen and the socket was not read empty since. */
    bool paced;
    int64_t n_opens;
    int adopt_fd; /* A socket that is still to be taken over; -1: none. */
    ft_socket_fn *on_socket;
    void *on_socket_ctx;
    struct ft_backoff backoff;
    struct ft_ladder ladder;
    int64_t reopen_mono_ns;
    int64_t opened_mono_ns;
    int64_t watchdog_mono_ns;
    int64_t tick_mono_ns; /* When the pipeline is to hear of an idle socket. */
    uint64_t last_drops;
    uint64_t drops_before; /* Of the sockets before this one. */
    int64_t window_mono_ns;
    uint64_t n_in_window;
    bool window_dropped;
    int64_t window_no_room_ns;
    int64_t no_room_since_ns; /* FT_TIME_NEVER while there is room. */
    struct ft_pressure pressure;
    size_t n_notes;
    struct note notes[NOTES_MAX];
    int64_t mono_ns;
    int64_t real_ns;
};

const struct ft_reader_options ft_reader_options_default = {
    .rcvbuf_bytes = (uint64_t)32 << 20,
    .reliable = true,
    .reopen = {.base_ns = 250 * FT_NS_PER_MS,
               .max_ns = 300 * FT_NS_PER_S,
               .multiplier_percent = 150,
               .jitter_percent = 50},
    .ladder = {.mode = FT_LADDER_ADAPTIVE,
               .rate_max = {10000, 25000},
               .recover_percent = 50,
               .hold_ns = 10 * FT_NS_PER_S,
               .hold_max_ns = 300 * FT_NS_PER_S},
    .paced_above = 2000,
    .paced_below = 1000,
    .pace_ns = FT_NS_PER_MS,
    .tick_ns = FT_NS_PER_S,
    .watchdog_ns = FT_NS_PER_S,
    .table_percent_max = 80,
    .table_percent_ok = 70,
};

static void take_ladder(struct ft_reader *reader);
static void open_socket(struct ft_reader *reader);
static bool adopt_socket(struct ft_reader *reader, const struct ft_ct_events_options *options,
                         uint64_t *ret_rcvbuf);
static void tell_socket(struct ft_reader *reader);
static void fail_socket(struct ft_reader *reader, ft_err err);
static unsigned groups_of(const struct ft_reader *reader);
static void watch(struct ft_reader *reader);
static void end_window(struct ft_reader *reader);
static void count_no_room(struct ft_reader *reader, bool room);
static enum ft_reader_wait read_chunk(struct ft_reader *reader, int64_t *ret_deadline_mono_ns);
static ft_err fill(struct ft_reader *reader, struct ft_chunk *chunk);
static void note(struct ft_reader *reader, enum ft_chunk_kind kind, int64_t value);
static void note_drops(struct ft_reader *reader, bool at_least_one);
static bool put_notes(struct ft_reader *reader);
static void wait_for(struct ft_reader *reader, enum ft_reader_wait wait, int64_t deadline_mono_ns,
                     const struct ft_clock *clock);

ft_err ft_reader_create(const struct ft_reader_options *options, struct ft_ct_kernel *kernel,
                        struct ft_chunk_queue *queue, struct ft_random *random,
                        struct ft_source_stats *stats, struct ft_reader **ret_reader)
{
    assert(options->reopen.base_ns > 0);
    struct ft_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_wakefd_open(&reader->wake_fd);
    if (err != FT_OK) {
        free(reader);
        return err;
    }
    reader->options = *options;
    reader->kernel = kernel;
    reader->queue = queue;
    reader->random = random;
    reader->stats = stats;
    ft_mutex_init(&reader->lock);
    ft_backoff_init(&reader->backoff, &options->reopen);
    ft_ladder_init(&reader->ladder, &options->ladder);
    reader->reopen_mono_ns = INT64_MIN;
    reader->adopt_fd = -1;
    reader->no_room_since_ns = FT_TIME_NEVER;
    ft_pressure_init(&reader->pressure);
    *ret_reader = reader;
    return FT_OK;
}

void ft_reader_destroy(struct ft_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->open) {
        reader->kernel->ops->events_close(reader->kernel);
    }
    ft_mutex_deinit(&reader->lock);
    ft_fd_close(&reader->adopt_fd);
    ft_fd_close(&reader->wake_fd);
    free(reader);
}

void ft_reader_set_on_socket(struct ft_reader *reader, ft_socket_fn *on_socket, void *ctx)
{
    reader->on_socket = on_socket;
    reader->on_socket_ctx = ctx;
}

void ft_reader_adopt(struct ft_reader *reader, int fd)
{
    /* Without the old socket a new one is another one: what happened between is not known. */
    reader->n_opens = 1;
    reader->adopt_fd = fd;
}

enum ft_reader_wait ft_reader_step(struct ft_reader *reader, int64_t mono_ns, int64_t real_ns,
                                   int64_t *ret_deadline_mono_ns)
{
    reader->mono_ns = mono_ns;
    reader->real_ns = real_ns;
    *ret_deadline_mono_ns = mono_ns + reader->options.tick_ns;
    if (atomic_load(&reader->has_new_ladder)) {
        take_ladder(reader);
    }
    if (!put_notes(reader)) {
        return FT_READER_WAIT_ROOM;
    }
    if (!reader->open) {
        if (mono_ns >= reader->reopen_mono_ns) {
            open_socket(reader);
        }
        if (!put_notes(reader)) {
            return FT_READER_WAIT_ROOM;
        }
        if (!reader->open) {
            *ret_deadline_mono_ns = reader->reopen_mono_ns;
            return FT_READER_WAIT_TIME;
        }
    }
    if (mono_ns >= reader->watchdog_mono_ns) {
        watch(reader);
    }
    if (mono_ns - reader->window_mono_ns >= WINDOW_NS) {
        end_window(reader);
    }
    if (!put_notes(reader)) {
        return FT_READER_WAIT_ROOM;
    }
    return read_chunk(reader, ret_deadline_mono_ns);
}

void ft_reader_run(struct ft_reader *reader, const struct ft_clock *clock)
{
    while (!atomic_load(&reader->stopping)) {
        int64_t deadline;
        enum ft_reader_wait wait =
            ft_reader_step(reader, ft_clock_mono_ns(clock), ft_clock_real_ns(clock), &deadline);
        wait_for(reader, wait, deadline, clock);
    }
    /* What the kernel has told us already is not to be lost by stopping. */
    for (unsigned i = 0; reader->open && i < LAST_TURNS_MAX; i++) {
        int64_t deadline;
        if (ft_reader_step(reader, ft_clock_mono_ns(clock), ft_clock_real_ns(clock), &deadline) !=
            FT_READER_WAIT_NONE) {
            break;
        }
    }
    if (reader->open) {
        reader->open = false;
        reader->kernel->ops->events_close(reader->kernel);
        ft_stat_set(&reader->stats->socket_open, 0);
    }
}

void ft_reader_stop(struct ft_reader *reader)
{
    atomic_store(&reader->stopping, true);
    ft_wakefd_signal(reader->wake_fd);
    ft_chunk_queue_stop(reader->queue);
}

void ft_reader_set_ladder(struct ft_reader *reader, const struct ft_ladder_options *options)
{
    ft_mutex_lock(&reader->lock);
    reader->new_ladder = *options;
    ft_mutex_unlock(&reader->lock);
    atomic_store(&reader->has_new_ladder, true);
    ft_wakefd_signal(reader->wake_fd);
}

static void take_ladder(struct ft_reader *reader)
{
    atomic_store(&reader->has_new_ladder, false);
    ft_mutex_lock(&reader->lock);
    struct ft_ladder_options options = reader->new_ladder;
    ft_mutex_unlock(&reader->lock);
    ft_ladder_set_options(&reader->ladder, &options);
    reader->window_mono_ns = reader->mono_ns - WINDOW_NS; /* Effective now. */
}

static void open_socket(struct ft_reader *reader)
{
    const struct ft_ct_kernel_ops *ops = reader->kernel->ops;
    struct ft_source_stats *stats = reader->stats;
    struct ft_ct_events_options options = {
        .groups = groups_of(reader),
        .rcvbuf_bytes = reader->options.rcvbuf_bytes,
        .reliable = reader->options.reliable,
    };
    uint64_t rcvbuf = 0;
    bool adopted = reader->adopt_fd >= 0 && adopt_socket(reader, &options, &rcvbuf);
    ft_err err = adopted ? FT_OK : ops->events_open(reader->kernel, &options, &rcvbuf);
    if (err != FT_OK) {
        if (reader->n_opens == 0 && ft_stat_get(&stats->n_open_failures) == 0) {
            note(reader, FT_CHUNK_FAILED, -(int64_t)err);
        }
        ft_stat_add(&stats->n_open_failures, 1);
        ft_stat_set(&stats->last_error, (uint64_t) - (int64_t)err);
        reader->reopen_mono_ns =
            reader->mono_ns + ft_backoff_next(&reader->backoff, reader->random);
        return;
    }
    reader->open = true;
    reader->reliable = reader->options.reliable;
    reader->undrained = false;
    reader->opened_mono_ns = reader->mono_ns;
    /* Whether the count begins anew with a socket is the kernel's (or its stand-in's) business. */
    if (!adopted && ops->events_drops(reader->kernel, &reader->last_drops) != FT_OK) {
        reader->last_drops = 0;
    }
    if (!adopted) {
        reader->n_opens++;
        reader->drops_before = reader->last_drops;
        ft_chunk_queue_set_drops(reader->queue, 0);
        tell_socket(reader);
    }
    reader->watchdog_mono_ns = reader->mono_ns;
    reader->tick_mono_ns = reader->mono_ns;
    reader->window_mono_ns = reader->mono_ns;
    reader->n_in_window = 0;
    ft_stat_add(&stats->n_opens, 1);
    ft_stat_set(&stats->socket_open, 1);
    ft_stat_set(&stats->rcvbuf_bytes, rcvbuf);
    ft_stat_set(&stats->reliable, reader->reliable ? 1 : 0);
    ft_stat_set(&stats->step, reader->ladder.step);
    note(reader, adopted ? FT_CHUNK_ADOPTED : FT_CHUNK_OPENED, reader->n_opens);
    note(reader, FT_CHUNK_RELIABLE, reader->reliable ? 1 : 0);
    note(reader, FT_CHUNK_STEP, reader->ladder.step);
    if (adopted) {
        note_drops(reader, false); /* Of the time when nobody was there. */
    }
}

/* Goes on with the socket of the process before.  False when it is not what it should be. */
static bool adopt_socket(struct ft_reader *reader, const struct ft_ct_events_options *options,
                         uint64_t *ret_rcvbuf)
{
    const struct ft_ct_kernel_ops *ops = reader->kernel->ops;
    int fd = reader->adopt_fd;
    reader->adopt_fd = -1;
    reader->last_drops = ft_chunk_queue_get_drops(reader->queue);
    return ops->events_adopt(reader->kernel, fd, options, reader->last_drops, ret_rcvbuf) == FT_OK;
}

/* For whoever keeps it through a crash. */
static void tell_socket(struct ft_reader *reader)
{
    const struct ft_ct_kernel_ops *ops = reader->kernel->ops;
    if (reader->on_socket != NULL && ops->events_fd != NULL) {
        reader->on_socket(reader->on_socket_ctx, ops->events_fd(reader->kernel));
    }
}

/* The socket is of no use any more. */
static void fail_socket(struct ft_reader *reader, ft_err err)
{
    reader->kernel->ops->events_close(reader->kernel);
    reader->open = false;
    reader->undrained = false;
    ft_stat_add(&reader->stats->n_failures, 1);
    ft_stat_set(&reader->stats->socket_open, 0);
    ft_stat_set(&reader->stats->last_error, (uint64_t) - (int64_t)err);
    note(reader, FT_CHUNK_FAILED, -(int64_t)err);
    reader->reopen_mono_ns = reader->mono_ns + ft_backoff_next(&reader->backoff, reader->random);
}

static unsigned groups_of(const struct ft_reader *reader)
{
    if (reader->ladder.step == FT_LADDER_DESTROY_ONLY) {
        return FT_CT_GROUP_DESTROY;
    }
    unsigned update = reader->options.listen_update && reader->ladder.step == FT_LADDER_FULL
                          ? FT_CT_GROUP_UPDATE
                          : 0;
    return FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY | update;
}

/* May the kernel go on keeping dead entries for us? */
static void watch(struct ft_reader *reader)
{
    const struct ft_ct_kernel_ops *ops = reader->kernel->ops;
    uint64_t count;
    uint64_t max;
    reader->watchdog_mono_ns = reader->mono_ns + reader->options.watchdog_ns;
    ft_stat_set(&reader->stats->n_foreign, ft_ct_kernel_n_foreign(reader->kernel));
    if (reader->mono_ns - reader->opened_mono_ns >= SETTLED_NS) {
        ft_backoff_reset(&reader->backoff);
    }
    if (ops->table_fill(reader->kernel, &count, &max) != FT_OK || max == 0) {
        return; /* Nothing known, nothing changed. */
    }
    ft_stat_set(&reader->stats->table_count, count);
    ft_stat_set(&reader->stats->table_max, max);
    bool reliable = reader->reliable;
    if (count > max / 100 * reader->options.table_percent_max) {
        reliable = false;
    } else if (count < max / 100 * reader->options.table_percent_ok) {
        reliable = reader->options.reliable;
    }
    if (reliable == reader->reliable ||
        ops->events_set_reliable(reader->kernel, reliable) != FT_OK) {
        return;
    }
    reader->reliable = reliable;
    ft_stat_set(&reader->stats->reliable, reliable ? 1 : 0);
    if (!reliable) {
        ft_stat_add(&reader->stats->n_unreliable, 1);
    }
    note(reader, FT_CHUNK_RELIABLE, reliable ? 1 : 0);
}

/* How fast do events come, and what follows from it? */
static void end_window(struct ft_reader *reader)
{
    int64_t elapsed = reader->mono_ns - reader->window_mono_ns;
    uint64_t rate = reader->n_in_window * (uint64_t)FT_NS_PER_S / (uint64_t)elapsed;
    ft_stat_set(&reader->stats->rate, rate);
    if (rate > reader->options.paced_above) {
        reader->paced = true;
    } else if (rate < reader->options.paced_below) {
        reader->paced = false;
    }
    ft_stat_set(&reader->stats->paced, reader->paced ? 1 : 0);
    /* A flow is a NEW and a DESTROY, as far as they are subscribed. */
    bool hears_new = reader->ladder.step < FT_LADDER_DESTROY_ONLY;
    count_no_room(reader, reader->no_room_since_ns == FT_TIME_NEVER);
    struct ft_ladder_input input = {
        .flows_per_s = hears_new ? rate / 2 : rate,
        .pressure = ft_pressure_update(&reader->pressure, elapsed, reader->window_no_room_ns,
                                       reader->window_dropped),
    };
    enum ft_ladder_step before = reader->ladder.step;
    if (ft_ladder_update(&reader->ladder, reader->mono_ns, &input)) {
        if (reader->kernel->ops->events_set_groups(reader->kernel, groups_of(reader)) == FT_OK) {
            ft_stat_add(&reader->stats->n_step_changes, 1);
            ft_stat_set(&reader->stats->step, reader->ladder.step);
            note(reader, FT_CHUNK_STEP, reader->ladder.step);
        } else {
            reader->ladder.step = before;
        }
    }
    reader->window_mono_ns = reader->mono_ns;
    reader->n_in_window = 0;
    reader->window_dropped = false;
    reader->window_no_room_ns = 0;
}

/* Adds up the time between finding no room and finding some. */
static void count_no_room(struct ft_reader *reader, bool room)
{
    if (reader->no_room_since_ns != FT_TIME_NEVER) {
        int64_t ns = reader->mono_ns - reader->no_room_since_ns;
        reader->window_no_room_ns += ns;
        ft_stat_add(&reader->stats->no_room_ns, (uint64_t)ns);
    }
    reader->no_room_since_ns = room ? FT_TIME_NEVER : reader->mono_ns;
}

static enum ft_reader_wait read_chunk(struct ft_reader *reader, int64_t *ret_deadline_mono_ns)
{
    struct ft_chunk *chunk = ft_chunk_queue_get_free(reader->queue);
    count_no_room(reader, chunk != NULL);
    if (chunk == NULL) {
        return FT_READER_WAIT_ROOM;
    }
    chunk->kind = FT_CHUNK_EVENTS;
    chunk->mono_ns = reader->mono_ns;
    chunk->real_ns = reader->real_ns;
    ft_err err = fill(reader, chunk);
    bool drained = (int)err == -EAGAIN;
    if (drained && reader->undrained) {
        /* The kernel dropped on until just now; what it dropped belongs before the empty socket. */
        note_drops(reader, false);
        reader->undrained = false;
        drained = false;
        reader->tick_mono_ns = reader->mono_ns;
        err = FT_OK;
    } else if (err == FT_E_OVERRUN) {
        ft_stat_add(&reader->stats->n_overruns, 1);
        reader->window_dropped = true;
        reader->undrained = true;
        note_drops(reader, true);
        err = FT_OK;
    } else if (err != FT_OK && !drained) {
        fail_socket(reader, err);
    }
    chunk->value = drained ? 1 : 0;
    if (chunk->size == 0 && drained && reader->mono_ns >= reader->tick_mono_ns) {
        chunk->kind = FT_CHUNK_TICK;
    }
    if (chunk->size > 0 || chunk->kind == FT_CHUNK_TICK) {
        if (drained) {
            reader->tick_mono_ns = reader->mono_ns + reader->options.tick_ns;
        }
        ft_chunk_queue_put(reader->queue, chunk);
    } else {
        ft_chunk_queue_cancel(reader->queue, chunk);
    }
    if (!drained) {
        return FT_READER_WAIT_NONE;
    }
    *ret_deadline_mono_ns = reader->mono_ns + reader->options.pace_ns;
    if (reader->paced) {
        return FT_READER_WAIT_TIME;
    }
    *ret_deadline_mono_ns = reader->tick_mono_ns < reader->watchdog_mono_ns
                                ? reader->tick_mono_ns
                                : reader->watchdog_mono_ns;
    return FT_READER_WAIT_EVENT;
}

/* Reads until the chunk is full (FT_OK), the socket is empty (-EAGAIN) or something is wrong. */
static ft_err fill(struct ft_reader *reader, struct ft_chunk *chunk)
{
    struct ft_ct_kernel *kernel = reader->kernel;
    uint64_t n = 0;
    ft_err err = FT_OK;
    while (chunk->size + DATAGRAM_ROOM <= chunk->size_max) {
        size_t size = 0;
        ft_chunk_queue_prepare(reader->queue, chunk, DATAGRAM_ROOM);
        err = kernel->ops->events_recv(kernel, chunk->data + chunk->size,
                                       chunk->size_max - chunk->size, &size);
        if (err != FT_OK) {
            break;
        }
        /* Each message begins at a multiple of four, as netlink has it. */
        ft_chunk_queue_received(reader->queue, chunk, (size + 3) & ~(size_t)3);
        n++;
    }
    reader->n_in_window += n;
    ft_stat_add(&reader->stats->n_datagrams, n);
    ft_stat_add(&reader->stats->n_bytes, chunk->size);
    return err;
}

static void note(struct ft_reader *reader, enum ft_chunk_kind kind, int64_t value)
{
    assert(reader->n_notes < NOTES_MAX);
    reader->notes[reader->n_notes++] = (struct note){kind, value};
}

static void note_drops(struct ft_reader *reader, bool at_least_one)
{
    uint64_t drops;
    uint64_t more = 0;
    if (reader->kernel->ops->events_drops(reader->kernel, &drops) == FT_OK &&
        drops > reader->last_drops) {
        more = drops - reader->last_drops;
        reader->last_drops = drops;
    }
    ft_stat_add(&reader->stats->n_drops, more);
    if (more > 0 || at_least_one) {
        note(reader, FT_CHUNK_OVERRUN, (int64_t)more);
    }
}

static bool put_notes(struct ft_reader *reader)
{
    size_t n = 0;
    while (n < reader->n_notes) {
        struct ft_chunk *chunk = ft_chunk_queue_get_free(reader->queue);
        if (chunk == NULL) {
            break;
        }
        chunk->kind = reader->notes[n].kind;
        chunk->value = reader->notes[n].value;
        chunk->mono_ns = reader->mono_ns;
        chunk->real_ns = reader->real_ns;
        ft_chunk_queue_put(reader->queue, chunk);
        if (reader->notes[n].kind == FT_CHUNK_OVERRUN) {
            ft_chunk_queue_set_drops(reader->queue, reader->last_drops - reader->drops_before);
        }
        n++;
    }
    reader->n_notes -= n;
    for (size_t i = 0; i < reader->n_notes; i++) {
        reader->notes[i] = reader->notes[i + n];
    }
    if (n > 0 || reader->n_notes > 0) {
        count_no_room(reader, reader->n_notes == 0);
    }
    return reader->n_notes == 0;
}

static void wait_for(struct ft_reader *reader, enum ft_reader_wait wait, int64_t deadline_mono_ns,
                     const struct ft_clock *clock)
{
    struct pollfd wake = {.fd = reader->wake_fd, .events = POLLIN};
    int64_t left = deadline_mono_ns - ft_clock_mono_ns(clock);
    left = left > 0 ? left : 0;
    struct timespec timeout = {.tv_sec = left / FT_NS_PER_S, .tv_nsec = left % FT_NS_PER_S};
    switch (wait) {
    case FT_READER_WAIT_NONE:
        break;
    case FT_READER_WAIT_EVENT: {
        ft_err err =
            reader->kernel->ops->events_wait(reader->kernel, reader->wake_fd, deadline_mono_ns);
        ft_err_ignore(err, "a dead socket shows when it is read");
        break;
    }
    case FT_READER_WAIT_TIME:
        (void)ppoll(&wake, 1, &timeout, NULL);
        break;
    case FT_READER_WAIT_ROOM:
        ft_chunk_queue_wait_free(reader->queue, deadline_mono_ns);
        break;
    }
    ft_wakefd_clear(reader->wake_fd);
}
