/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "lib/test.h"
#include "source/locals.h"

#define TURNS_MAX 100000

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    ft_fake_kernel_init(&rig->kernel);
    ft_random_seeded_init(&rig->random, 1);
    ft_ledger_init(&rig->ledger, rig->kernel.real_ns);
    ft_source_options_init(&rig->options);
}

void rig_start(struct rig *rig) { CHECK_OK(rig_try_start(rig)); }

ft_err rig_try_start(struct rig *rig)
{
    static const uint8_t locals[5][FT_LOCALS_ENTRY_SIZE] = {
        {4, 10, 0, 0, 0}, {4, 10, 0, 0, 1}, {4, 10, 0, 0, 2}, {4, 10, 0, 0, 3}, {4, 192, 0, 2, 9}};
    struct ft_source_params params = {
        .options = rig->options,
        .kernel = &rig->kernel.base,
        .clock = &rig->kernel.clock,
        .random = &rig->random.base,
        .emit = rig->emit != NULL ? rig->emit : ft_ledger_emit,
        .emit_ctx = &rig->ledger,
        .tap = rig->tap,
        .tap_ctx = rig->tap_ctx,
    };
    FT_TRY(ft_source_create(&params, &rig->source));
    rig_feed(rig, FT_CHUNK_LOCAL_ADDRS, 0, locals, sizeof locals);
    rig_feed(rig, FT_CHUNK_SWITCHES, 3, NULL, 0);
    return FT_OK;
}

static bool reader_may_step(const struct rig *rig)
{
    const struct ft_fake_kernel *kernel = &rig->kernel;
    bool readable = kernel->open &&
                    (kernel->n_events > 0 || kernel->overrun_due || kernel->recv_error != FT_OK);
    return rig->wait == FT_READER_WAIT_NONE || kernel->mono_ns >= rig->wait_until ||
           (rig->wait == FT_READER_WAIT_EVENT && readable) || rig->wait == FT_READER_WAIT_ROOM;
}

/* A turn of both threads; false when neither had something to do. */
static bool turn(struct rig *rig)
{
    bool busy = false;
    if (!rig->reader_stalls && reader_may_step(rig)) {
        bool had_room = rig->wait != FT_READER_WAIT_ROOM;
        rig->wait = ft_reader_step(ft_source_get_reader(rig->source), rig->kernel.mono_ns,
                                   rig->kernel.real_ns, &rig->wait_until);
        busy = rig->wait != FT_READER_WAIT_ROOM || had_room;
    }
    if (!rig->pipeline_stalls) {
        busy = ft_source_step(rig->source, INT64_MIN) || busy;
    }
    return busy;
}

void rig_settle(struct rig *rig)
{
    unsigned n = 0;
    while (turn(rig)) {
        CHECK(n++ < TURNS_MAX);
    }
}

void rig_run(struct rig *rig, int64_t ns)
{
    rig_settle(rig);
    for (; ns > 0; ns -= FT_NS_PER_MS) {
        ft_fake_kernel_advance(&rig->kernel, FT_NS_PER_MS);
        rig_settle(rig);
    }
}

void rig_deinit(struct rig *rig)
{
    ft_source_destroy(rig->source);
    ft_ledger_deinit(&rig->ledger);
    ft_fake_kernel_deinit(&rig->kernel);
}

uint64_t rig_stat(const ft_stat *stat) { return ft_stat_get(stat); }

void rig_feed(struct rig *rig, enum ft_chunk_kind kind, int64_t value, const void *data,
              size_t size)
{
    uint8_t copy[FT_LOCALS_ENTRY_SIZE * 16];
    CHECK(size <= sizeof copy);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct ft_chunk chunk = {.kind = kind, .value = value, .size = size, .data = copy};
    ft_source_feed(rig->source, &chunk);
}

void rig_check_complete(struct rig *rig, size_t number)
{
    const struct ft_fake_flow *flow = &rig->kernel.flows[number];
    const struct ft_ledger_flow *entry = ft_ledger_find(&rig->ledger, flow->record.id);
    CHECK(entry != NULL);
    CHECK_INT(entry->n_starts, 1);
    CHECK_INT(entry->n_ends, 1);
    bool ingress = entry->direction == FT_DIR_INGRESS;
    const struct ft_ct_record *record = &flow->record;
    CHECK_INT(entry->rx_bytes, ingress ? record->orig_bytes : record->reply_bytes);
    CHECK_INT(entry->tx_bytes, ingress ? record->reply_bytes : record->orig_bytes);
    CHECK_INT(entry->rx_packets, ingress ? record->orig_packets : record->reply_packets);
    CHECK_INT(entry->tx_packets, ingress ? record->reply_packets : record->orig_packets);
    CHECK_INT(entry->n_with_counters > 0, (record->has & FT_CT_HAS_COUNTERS) != 0);
}
