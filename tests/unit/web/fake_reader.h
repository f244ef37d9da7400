/* SPDX-License-Identifier: Apache-2.0 */
/* A store with made-up rows: seq 'n_rows' down to 1, or up; it can fail and it can hang. */
#ifndef FT_TESTS_UNIT_WEB_FAKE_READER_H
#define FT_TESTS_UNIT_WEB_FAKE_READER_H 1

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/query.h"

#define FAKE_TIME INT64_C(1795251600000000000)

struct fake_reader {
    struct ft_flow_reader reader;
    uint64_t n_rows;
    ft_err fail;          /* Instead of an answer... */
    uint64_t fail_behind; /* ...or behind this many rows. */
    bool hang;            /* Until cancelled. */
    atomic_uint n_calls;
    atomic_bool entered;
    atomic_bool cancelled;
    atomic_uint_least64_t n_given;
    struct ft_query last; /* Without its filters' values. */
};

static inline void fake_row(uint64_t seq, struct ft_row *row)
{
    memset(row, 0, sizeof *row);
    row->agent_id.bytes[15] = (uint8_t)(1 + seq % 2);
    row->instance_id.bytes[15] = 7;
    row->event_id.bytes[15] = (uint8_t)seq;
    struct ft_event *event = &row->event;
    event->seq = seq;
    event->time_ns = FAKE_TIME + (int64_t)seq;
    event->type = seq % 10 == 0 ? FT_EVENT_LOSS : (uint8_t)(1 + seq % 4);
    event->direction = (uint8_t)(seq % FT_DIR_N);
    if (event->type == FT_EVENT_LOSS) {
        event->fields = FT_FIELD_LOSS;
        event->loss.cause = FT_LOSS_KERNEL_OVERRUN;
        event->loss.count = seq;
        event->loss.begin_ns = event->time_ns - 1000000000;
        event->loss.end_ns = event->time_ns;
        return;
    }
    event->fields = FT_FIELD_TUPLE | FT_FIELD_PORTS | FT_FIELD_COUNTERS | FT_FIELD_PROCESS;
    event->protocol = seq % 3 == 0 ? FT_PROTO_UDP : FT_PROTO_TCP;
    memcpy(event->src.bytes, (uint8_t[]){10, 0, 0, (uint8_t)seq}, 4);
    memcpy(event->dst.bytes, (uint8_t[]){192, 0, 2, (uint8_t)(seq / 256)}, 4);
    event->src_port = (uint16_t)(30000 + seq % 30000);
    event->dst_port = seq % 3 == 0 ? 53 : 443;
    event->rx_bytes = seq * 1000;
    event->tx_bytes = seq * 10;
    event->rx_packets = seq;
    event->tx_packets = seq;
    event->pid = 4711;
    event->process_name = "<b>curl</b>";
}

static inline ft_err fake_hang(struct fake_reader *fake, const atomic_bool *cancel)
{
    while (!atomic_load(cancel)) {
        (void)usleep(1000);
    }
    atomic_store(&fake->cancelled, true);
    return FT_E_CANCELLED;
}

static inline ft_err fake_rows(struct ft_flow_reader *reader, const struct ft_query *query,
                               const atomic_bool *cancel, ft_row_fn *fn, void *ctx,
                               struct ft_query_result *ret_result, struct ft_diag *reterr_diag)
{
    struct fake_reader *fake = (struct fake_reader *)(void *)reader;
    fake->last = *query;
    (void)atomic_fetch_add(&fake->n_calls, 1);
    atomic_store(&fake->entered, true);
    if (fake->hang) {
        return fake_hang(fake, cancel);
    }
    bool down = query->order == FT_ORDER_NEWEST_FIRST;
    uint64_t seq = query->has_cursor ? query->cursor.seq : (down ? fake->n_rows + 1 : 0);
    uint64_t n = 0;
    for (;;) {
        seq += down ? UINT64_MAX : 1;
        if (fake->fail != FT_OK && n == fake->fail_behind) {
            return ft_diag_set(reterr_diag, fake->fail, NULL, 0, 0, "the fake fails");
        }
        if (seq == 0 || seq > fake->n_rows) {
            ret_result->more = false;
            return FT_OK;
        }
        struct ft_row row;
        fake_row(seq, &row);
        if (!ft_query_matches(query, &row)) {
            continue;
        }
        if (n == query->rows_max) {
            ret_result->more = true;
            return FT_OK;
        }
        ft_err err = fn(ctx, &row);
        if (err != FT_OK) {
            atomic_store(&fake->cancelled, err == FT_E_CANCELLED);
            return err;
        }
        (void)atomic_fetch_add(&fake->n_given, 1);
        n++;
    }
}

static inline ft_err fake_groups(struct ft_flow_reader *reader, const struct ft_query *query,
                                 const struct ft_group *group, const atomic_bool *cancel,
                                 ft_group_row_fn *fn, void *ctx, struct ft_query_result *ret_result,
                                 struct ft_diag *reterr_diag)
{
    struct fake_reader *fake = (struct fake_reader *)(void *)reader;
    fake->last = *query;
    (void)cancel;
    if (fake->fail != FT_OK) {
        return ft_diag_set(reterr_diag, fake->fail, NULL, 0, 0, "the fake fails");
    }
    for (uint64_t i = 0; i < 2; i++) {
        struct ft_group_row row = {.bucket_ns = FAKE_TIME,
                                   .is_rest = i == 1,
                                   .keys = {"10.0.0.1", NULL},
                                   .events = 2 + i,
                                   .flows = 1,
                                   .rx_bytes = 3000,
                                   .tx_bytes = 30,
                                   .rx_packets = 3,
                                   .tx_packets = 3};
        (void)group;
        ft_err err = fn(ctx, &row);
        if (err != FT_OK) {
            return err;
        }
    }
    ret_result->more = true;
    return FT_OK;
}

static const struct ft_flow_reader_ops fake_reader_ops = {.rows = fake_rows, .groups = fake_groups};

#endif
