/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tally.h"

#include "lib/test.h"

/* A LOSS event with number 'seq' is on its way that tells of 7. */
static struct ft_tally_record record_with(uint64_t seq)
{
    struct ft_tally_record record = {.numbered = 100};
    struct ft_loss loss = {.cause = FT_LOSS_CRASH, .count = 7, .first_seq = 1, .last_seq = 7};
    ft_loss_book_told(&record.book, seq, &loss);
    return record;
}

static bool is_told_again(const struct ft_tally_record *record)
{
    for (size_t i = 0; i < record->book.n_pending; i++) {
        if (record->book.pending[i].cause == FT_LOSS_CRASH) {
            CHECK_INT(record->book.pending[i].count, 7);
            CHECK_INT(record->book.n_told, 0);
            return true;
        }
    }
    return false;
}

TEST(what_was_told_in_a_block_that_cannot_be_read_is_told_again)
{
    struct ft_block_info info = {.first_seq = 40, .n_events = 10};
    for (uint64_t seq = 20; seq < 70; seq++) {
        struct ft_tally_drop drop;
        ft_tally_drop_init(&drop);
        /* Nothing of it can be read; the next block begins with 50. */
        drop.n_unread = 10;
        drop.next_seq = 50;
        struct ft_tally_record record = record_with(seq);
        ft_tally_record_drop(&record, &drop);
        CHECK_INT(record.lost[FT_LOSS_SPOOL_DAMAGED], 10);
        CHECK(is_told_again(&record) == (seq >= 40 && seq < 50));
        /* Ten before or behind ten others. */
        ft_tally_drop_add(&drop, &info);
        drop.next_seq = 0;
        record = record_with(seq);
        ft_tally_record_drop(&record, &drop);
        CHECK(is_told_again(&record) == (seq >= 30 && seq < 60));
        drop.next_seq = 50;
        record = record_with(seq);
        ft_tally_record_drop(&record, &drop);
        CHECK(is_told_again(&record) == (seq >= 30 && seq < 50));
        drop.n_unread = 0;
        record = record_with(seq);
        ft_tally_record_drop(&record, &drop);
        CHECK(is_told_again(&record) == (seq >= 40 && seq < 50));
    }
}
