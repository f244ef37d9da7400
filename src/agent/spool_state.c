/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool_state.h"

#include <assert.h>
#include <string.h>

#define VERSION 2
/* The same without lives: there are none. */
#define VERSION_1 1

#define FLAG_BOUND       1U
#define FLAG_CLEAN       2U
#define FLAG_EPOCH       4U
#define FLAG_RECEIPT_KEY 8U

#define FIXED_SIZE ((size_t)272)
#define LOSS_SIZE  ((size_t)48)
#define TOLD_SIZE  ((size_t)56)
#define RANGE_SIZE ((size_t)16)
#define LIFE_SIZE  ((size_t)16)

/* Causes that a newer version may know are counted as unknown ones here. */
#define CAUSES_MAX 64U

_Static_assert(FIXED_SIZE + 8 * FT_LOSS_CAUSE_N + LOSS_SIZE * FT_LOSS_BOOK_PENDING_MAX +
                       TOLD_SIZE * FT_LOSS_BOOK_TOLD_MAX + RANGE_SIZE * FT_SPOOL_DROPPED_MAX +
                       LOSS_SIZE * FT_TALLY_RUNS_MAX + 8 + LIFE_SIZE * FT_LIVES_MAX <=
                   FT_SPOOL_STATE_SIZE_MAX,
               "the largest state fits");
_Static_assert(sizeof(struct ft_spool_page) == 72, "the page is as documented");

const struct ft_slot_kind ft_spool_state_kind = {.magic = "FTS1", .slot_bytes = 32 << 10};

static const uint8_t page_magic[8] = "FTLIVE1";

static void put32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put64(uint8_t *to, uint64_t value)
{
    put32(to, (uint32_t)value);
    put32(to + 4, (uint32_t)(value >> 32));
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)from[i] << (8 * i);
    }
    return value;
}

static uint64_t get64(const uint8_t *from) { return get32(from) | (uint64_t)get32(from + 4) << 32; }

static void put_loss(uint8_t *to, const struct ft_loss *loss)
{
    put32(to, (uint32_t)loss->cause);
    put32(to + 4, loss->estimated ? 1 : 0);
    put64(to + 8, (uint64_t)loss->begin_ns);
    put64(to + 16, (uint64_t)loss->end_ns);
    put64(to + 24, loss->count);
    put64(to + 32, loss->first_seq);
    put64(to + 40, loss->last_seq);
}

static struct ft_loss get_loss(const uint8_t *from)
{
    uint32_t cause = get32(from);
    return (struct ft_loss){.cause = cause < FT_LOSS_CAUSE_N ? (enum ft_loss_cause)cause
                                                             : FT_LOSS_UNKNOWN,
                            .estimated = get32(from + 4) != 0,
                            .begin_ns = (int64_t)get64(from + 8),
                            .end_ns = (int64_t)get64(from + 16),
                            .count = get64(from + 24),
                            .first_seq = get64(from + 32),
                            .last_seq = get64(from + 40)};
}

size_t ft_spool_state_encode(const struct ft_spool_state *state, uint8_t *to)
{
    const struct ft_tally_record *tally = &state->tally;
    const struct ft_spool_binding *binding = &state->binding;
    memset(to, 0, FIXED_SIZE);
    put32(to, VERSION);
    put32(to + 4, (binding->bound ? FLAG_BOUND : 0) | (state->clean ? FLAG_CLEAN : 0) |
                      (binding->has_store_epoch ? FLAG_EPOCH : 0) |
                      (binding->has_receipt_key ? FLAG_RECEIPT_KEY : 0));
    memcpy(to + 8, state->agent_id.bytes, 16);
    memcpy(to + 24, state->instance_id.bytes, 16);
    put64(to + 40, state->base_seq);
    memcpy(to + 48, binding->collector_id.bytes, 16);
    memcpy(to + 64, binding->store_epoch.bytes, 16);
    memcpy(to + 80, binding->receipt_key, 32);
    put64(to + 112, tally->version);
    put64(to + 120, tally->merged_base);
    put64(to + 128, tally->numbered);
    put64(to + 136, tally->filtered);
    put64(to + 144, tally->merged);
    put64(to + 152, tally->sealed);
    put64(to + 160, tally->sent);
    put64(to + 168, tally->lost_unnumbered);
    put64(to + 176, tally->lost_by_exporter);
    put64(to + 184, tally->gone_to);
    put32(to + 192, FT_LOSS_CAUSE_N);
    put32(to + 196, (uint32_t)tally->book.n_pending);
    put32(to + 200, (uint32_t)tally->book.n_told);
    put32(to + 204, (uint32_t)state->n_dropped);
    put64(to + 208, tally->n_drops);
    put32(to + 216, (uint32_t)state->last_drop.n_runs);
    put32(to + 220, (uint32_t)state->lives.n);
    put64(to + 224, state->last_drop.n_events);
    put64(to + 232, state->last_drop.n_unread);
    put64(to + 240, state->last_drop.first_seq);
    put64(to + 248, state->last_drop.last_seq);
    put64(to + 256, tally->held_first);
    put64(to + 264, tally->held_last);
    uint8_t *at = to + FIXED_SIZE;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++, at += 8) {
        put64(at, tally->lost[cause]);
    }
    for (size_t i = 0; i < tally->book.n_pending; i++, at += LOSS_SIZE) {
        put_loss(at, &tally->book.pending[i]);
    }
    for (size_t i = 0; i < tally->book.n_told; i++, at += TOLD_SIZE) {
        put64(at, tally->book.told[i].seq);
        put_loss(at + 8, &tally->book.told[i].loss);
    }
    for (size_t i = 0; i < state->n_dropped; i++, at += RANGE_SIZE) {
        put64(at, state->dropped[i].first);
        put64(at + 8, state->dropped[i].last);
    }
    for (size_t i = 0; i < state->last_drop.n_runs; i++, at += LOSS_SIZE) {
        put_loss(at, &state->last_drop.runs[i]);
    }
    if (state->lives.n > 0) {
        put64(at, state->lives.common_seq);
        at += 8;
    }
    for (size_t i = 0; i < state->lives.n; i++, at += LIFE_SIZE) {
        put64(at, state->lives.at[i].id);
        put64(at + 8, state->lives.at[i].first_seq);
    }
    return (size_t)(at - to);
}

ft_err ft_spool_state_decode(const uint8_t *from, size_t size, struct ft_spool_state *ret_state)
{
    if (size < FIXED_SIZE) {
        return FT_E_CORRUPT;
    }
    if (get32(from) != VERSION && get32(from) != VERSION_1) {
        return FT_E_UNSUPPORTED;
    }
    uint32_t n_causes = get32(from + 192);
    uint32_t n_pending = get32(from + 196);
    uint32_t n_told = get32(from + 200);
    uint32_t n_dropped = get32(from + 204);
    uint32_t n_runs = get32(from + 216);
    uint32_t n_lives = get32(from + 220);
    if (n_causes > CAUSES_MAX || n_pending > FT_LOSS_BOOK_PENDING_MAX ||
        n_told > FT_LOSS_BOOK_TOLD_MAX || n_dropped > FT_SPOOL_DROPPED_MAX ||
        n_runs > FT_TALLY_RUNS_MAX || n_lives > FT_LIVES_MAX ||
        size != FIXED_SIZE + 8 * n_causes + LOSS_SIZE * n_pending + TOLD_SIZE * n_told +
                    RANGE_SIZE * n_dropped + LOSS_SIZE * n_runs + (n_lives > 0 ? 8 : 0) +
                    LIFE_SIZE * n_lives) {
        return FT_E_CORRUPT;
    }
    memset(ret_state, 0, sizeof *ret_state);
    struct ft_tally_record *tally = &ret_state->tally;
    struct ft_spool_binding *binding = &ret_state->binding;
    uint32_t flags = get32(from + 4);
    binding->bound = (flags & FLAG_BOUND) != 0;
    ret_state->clean = (flags & FLAG_CLEAN) != 0;
    binding->has_store_epoch = (flags & FLAG_EPOCH) != 0;
    binding->has_receipt_key = (flags & FLAG_RECEIPT_KEY) != 0;
    memcpy(ret_state->agent_id.bytes, from + 8, 16);
    memcpy(ret_state->instance_id.bytes, from + 24, 16);
    ret_state->base_seq = get64(from + 40);
    memcpy(binding->collector_id.bytes, from + 48, 16);
    memcpy(binding->store_epoch.bytes, from + 64, 16);
    memcpy(binding->receipt_key, from + 80, 32);
    tally->version = get64(from + 112);
    tally->merged_base = get64(from + 120);
    tally->base_seq = ret_state->base_seq;
    tally->numbered = get64(from + 128);
    tally->filtered = get64(from + 136);
    tally->merged = get64(from + 144);
    tally->sealed = get64(from + 152);
    tally->sent = get64(from + 160);
    tally->lost_unnumbered = get64(from + 168);
    tally->lost_by_exporter = get64(from + 176);
    tally->gone_to = get64(from + 184);
    const uint8_t *at = from + FIXED_SIZE;
    for (uint32_t cause = 0; cause < n_causes; cause++, at += 8) {
        tally->lost[cause < FT_LOSS_CAUSE_N ? cause : 0] += get64(at);
    }
    for (uint32_t i = 0; i < n_pending; i++, at += LOSS_SIZE) {
        tally->book.pending[i] = get_loss(at);
    }
    tally->book.n_pending = n_pending;
    for (uint32_t i = 0; i < n_told; i++, at += TOLD_SIZE) {
        tally->book.told[i] = (struct ft_loss_told){get64(at), get_loss(at + 8)};
    }
    tally->book.n_told = n_told;
    for (uint32_t i = 0; i < n_dropped; i++, at += RANGE_SIZE) {
        ret_state->dropped[i] = (struct ft_log_range){get64(at), get64(at + 8)};
    }
    ret_state->n_dropped = n_dropped;
    struct ft_tally_drop *drop = &ret_state->last_drop;
    tally->n_drops = get64(from + 208);
    drop->on_disk = true;
    drop->n_runs = n_runs;
    drop->n_events = get64(from + 224);
    drop->n_unread = get64(from + 232);
    drop->first_seq = get64(from + 240);
    drop->last_seq = get64(from + 248);
    tally->held_first = get64(from + 256);
    tally->held_last = get64(from + 264);
    for (uint32_t i = 0; i < n_runs; i++, at += LOSS_SIZE) {
        drop->runs[i] = get_loss(at);
    }
    if (n_lives > 0) {
        ret_state->lives.common_seq = get64(at);
        at += 8;
    }
    for (uint32_t i = 0; i < n_lives; i++, at += LIFE_SIZE) {
        ret_state->lives.at[i] = (struct ft_life){get64(at), get64(at + 8)};
    }
    ret_state->lives.n = n_lives;
    return FT_OK;
}

bool ft_spool_page_valid(const struct ft_spool_page *page)
{
    return memcmp(page->magic, page_magic, sizeof page_magic) == 0;
}

void ft_spool_page_begin(struct ft_spool_page *page, const struct ft_uuid *boot_id)
{
    memcpy(page->magic, page_magic, sizeof page_magic);
    memcpy(page->boot_id, boot_id->bytes, sizeof page->boot_id);
    page->zero = 0;
}
