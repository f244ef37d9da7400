/* SPDX-License-Identifier: Apache-2.0 */
#include "source/dump.h"

#include <assert.h>
#include <stdlib.h>

enum dump_state { DUMP_IDLE, DUMP_WANTED, DUMP_ASK, DUMP_READ };

struct ft_dumper {
    struct ft_ct_kernel *kernel;
    enum dump_state state;
    enum ft_dump_reason reason;
    int64_t heard_mono_ns; /* When the kernel last said something. */
    struct ft_chunk chunk;
    uint8_t data[FT_CT_DATAGRAM_SIZE_MAX];
};

_Static_assert(FT_CT_DATAGRAM_SIZE_MAX <= FT_CHUNK_SIZE_MAX, "a datagram of a dump is one chunk");

static const struct ft_chunk *give(struct ft_dumper *dumper, enum ft_chunk_kind kind,
                                   int64_t value);
static const struct ft_chunk *fail(struct ft_dumper *dumper, ft_err err);
static const struct ft_chunk *receive(struct ft_dumper *dumper, unsigned wait_ms);

ft_err ft_dumper_create(struct ft_ct_kernel *kernel, struct ft_dumper **ret_dumper)
{
    struct ft_dumper *dumper = calloc(1, sizeof *dumper);
    if (dumper == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    dumper->kernel = kernel;
    dumper->chunk.data = dumper->data;
    *ret_dumper = dumper;
    return FT_OK;
}

void ft_dumper_destroy(struct ft_dumper *dumper)
{
    if (dumper == NULL) {
        return;
    }
    if (dumper->state == DUMP_READ) {
        dumper->kernel->ops->dump_abort(dumper->kernel);
    }
    free(dumper);
}

void ft_dumper_begin(struct ft_dumper *dumper, enum ft_dump_reason reason)
{
    assert(dumper->state == DUMP_IDLE);
    dumper->reason = reason;
    dumper->state = DUMP_WANTED;
}

bool ft_dumper_is_active(const struct ft_dumper *dumper) { return dumper->state != DUMP_IDLE; }

const struct ft_chunk *ft_dumper_step(struct ft_dumper *dumper, const struct ft_clock *clock,
                                      unsigned wait_ms)
{
    dumper->chunk.mono_ns = ft_clock_mono_ns(clock);
    dumper->chunk.real_ns = ft_clock_real_ns(clock);
    switch (dumper->state) {
    case DUMP_WANTED:
        /* Told before it is asked for: what happens from here on is newer than the dump. */
        dumper->state = DUMP_ASK;
        return give(dumper, FT_CHUNK_DUMP_BEGIN, dumper->reason);
    case DUMP_ASK: {
        ft_err err = dumper->kernel->ops->dump_start(dumper->kernel);
        if (err != FT_OK) {
            return fail(dumper, err);
        }
        dumper->state = DUMP_READ;
        dumper->heard_mono_ns = dumper->chunk.mono_ns;
        return receive(dumper, wait_ms);
    }
    case DUMP_READ:
        return receive(dumper, wait_ms);
    case DUMP_IDLE:
    default:
        return NULL;
    }
}

static const struct ft_chunk *give(struct ft_dumper *dumper, enum ft_chunk_kind kind, int64_t value)
{
    dumper->chunk.kind = kind;
    dumper->chunk.value = value;
    if (kind != FT_CHUNK_DUMP) {
        dumper->chunk.size = 0;
    }
    return &dumper->chunk;
}

static const struct ft_chunk *fail(struct ft_dumper *dumper, ft_err err)
{
    if (dumper->state == DUMP_READ) {
        dumper->kernel->ops->dump_abort(dumper->kernel);
    }
    dumper->state = DUMP_IDLE;
    return give(dumper, FT_CHUNK_DUMP_FAILED, -(int64_t)err);
}

static const struct ft_chunk *receive(struct ft_dumper *dumper, unsigned wait_ms)
{
    bool consistent = false;
    size_t size = 0;
    ft_err err = dumper->kernel->ops->dump_recv(dumper->kernel, wait_ms, dumper->data,
                                                sizeof dumper->data, &size, &consistent);
    if (err == FT_OK) {
        dumper->heard_mono_ns = dumper->chunk.mono_ns;
        dumper->chunk.size = size;
        return give(dumper, FT_CHUNK_DUMP, 0);
    }
    if (err == FT_E_END) {
        dumper->state = DUMP_IDLE;
        return give(dumper, FT_CHUNK_DUMP_END, consistent ? 1 : 0);
    }
    if ((int)err != -EAGAIN) {
        return fail(dumper, err);
    }
    if (dumper->chunk.mono_ns - dumper->heard_mono_ns > FT_DUMP_STALL_NS) {
        return fail(dumper, ft_err_from_errno(ETIMEDOUT));
    }
    return NULL;
}
