/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/loss_book.h"

#include "base/random.h"
#include "lib/test.h"

static struct ft_loss hole(uint64_t first, uint64_t last)
{
    return (struct ft_loss){.cause = FT_LOSS_LOG_FULL,
                            .begin_ns = (int64_t)first,
                            .end_ns = (int64_t)last,
                            .count = last - first + 1,
                            .first_seq = first,
                            .last_seq = last};
}

TEST(touching_holes_become_one)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    struct ft_loss losses[] = {hole(1, 10), hole(21, 30), hole(11, 20), hole(40, 50)};
    for (size_t i = 0; i < 4; i++) {
        ft_loss_book_add(&book, &losses[i]);
    }
    struct ft_loss loss;
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 1);
    CHECK_INT(loss.last_seq, 20);
    CHECK_INT(loss.count, 20);
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 21);
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 40);
    CHECK(!ft_loss_book_take(&book, &loss));
}

TEST(some_of_a_hole_is_told_without_its_numbers)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    struct ft_loss some = hole(19, 108);
    some.count = 29;
    some.estimated = true;
    struct ft_loss next = hole(109, 110);
    ft_loss_book_add(&book, &some);
    ft_loss_book_add(&book, &next);
    struct ft_loss loss;
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.count, 29);
    CHECK_INT(loss.first_seq, 0);
    CHECK_INT(loss.last_seq, 0);
    CHECK(loss.estimated);
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 109);
}

TEST(a_dropped_loss_is_told_again_with_the_new_one)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    struct ft_loss first = hole(1, 10);
    ft_loss_book_told(&book, 15, &first);
    struct ft_loss second = hole(11, 20); /* The event numbered 15 was in there. */
    ft_loss_book_dropped(&book, 11, 20);
    ft_loss_book_add(&book, &second);
    struct ft_loss loss;
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 1);
    CHECK_INT(loss.last_seq, 20);
    CHECK_INT(loss.count, 20);
}

TEST(an_acknowledged_loss_is_forgotten)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    struct ft_loss_history history = {0};
    struct ft_loss first = hole(1, 10);
    ft_loss_book_told(&book, 15, &first);
    ft_loss_book_acked(&book, 14, &history);
    CHECK_INT(book.n_told, 1);
    ft_loss_book_acked(&book, 15, &history);
    CHECK_INT(book.n_told, 0);
    ft_loss_book_dropped(&book, 1, 100);
    struct ft_loss loss;
    CHECK(!ft_loss_book_take(&book, &loss));
}

TEST(a_collector_that_loses_them_is_told_again)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    struct ft_loss_history history = {0};
    for (uint64_t seq = 10; seq <= 40; seq += 10) {
        struct ft_loss loss = hole(1000 + seq, 1000 + seq);
        ft_loss_book_told(&book, seq, &loss);
    }
    ft_loss_book_acked(&book, 30, &history);
    CHECK_INT(book.n_told, 1);
    CHECK(!ft_loss_book_gone_back(&book, 30, &history));
    CHECK(ft_loss_book_gone_back(&book, 10, &history));
    CHECK_INT(book.n_told, 3);
    CHECK_INT(book.told[0].seq, 20);
    CHECK_INT(book.told[2].seq, 40);
    ft_loss_book_dropped(&book, 11, 25); /* Number 20 is lost there and here. */
    struct ft_loss loss;
    CHECK(ft_loss_book_take(&book, &loss));
    CHECK_INT(loss.first_seq, 1020);
    CHECK(!ft_loss_book_take(&book, &loss));
    ft_loss_book_acked(&book, 40, &history); /* The others came through again. */
    CHECK_INT(book.n_told, 0);
}

TEST(the_history_of_told_losses_is_bounded)
{
    static struct ft_loss_book book;
    static struct ft_loss_history history;
    ft_loss_book_init(&book);
    uint64_t n = 2 * FT_LOSS_BOOK_TOLD_MAX;
    for (uint64_t seq = 1; seq <= n; seq++) {
        struct ft_loss loss = hole(1000 + seq, 1000 + seq);
        ft_loss_book_told(&book, seq, &loss);
        ft_loss_book_acked(&book, seq, &history);
    }
    struct ft_loss loss = hole(1, 1);
    ft_loss_book_told(&book, n + 1, &loss);
    CHECK(ft_loss_book_gone_back(&book, 0, &history));
    CHECK_INT(book.n_told, FT_LOSS_BOOK_TOLD_MAX);
    CHECK_INT(book.told[FT_LOSS_BOOK_TOLD_MAX - 1].seq, n + 1);
    CHECK_INT(book.told[FT_LOSS_BOOK_TOLD_MAX - 2].seq, n);
    CHECK_INT(history.n, 0);
}

/* A log of bounded length without a collector: nothing is ever lost from the account. */
TEST(counts_are_exact_over_any_outage)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        static struct ft_loss_book book;
        ft_loss_book_init(&book);
        uint64_t next_seq = 1;
        uint64_t oldest = 1;
        uint64_t log_events = 1 + ft_random_below(&random.base, 3000);
        for (int block = 0; block < 1500; block++) {
            struct ft_loss loss;
            if (ft_loss_book_take(&book, &loss)) {
                ft_loss_book_told(&book, next_seq++, &loss);
            }
            next_seq += 1 + ft_random_below(&random.base, 200);
            if (next_seq - oldest > log_events) {
                uint64_t last = oldest + ft_random_below(&random.base, next_seq - oldest);
                ft_loss_book_dropped(&book, oldest, last);
                struct ft_loss dropped = hole(oldest, last);
                ft_loss_book_add(&book, &dropped);
                oldest = last + 1;
            }
        }
        uint64_t lost = 0;
        for (size_t i = 0; i < book.n_pending; i++) {
            lost += book.pending[i].count;
        }
        for (size_t i = 0; i < book.n_told; i++) {
            CHECK(book.told[i].seq >= oldest);
            lost += book.told[i].loss.count;
        }
        CHECK_INT(lost, oldest - 1);
    }
}

TEST(many_separate_losses_are_squeezed_with_exact_counts)
{
    struct ft_loss_book book;
    ft_loss_book_init(&book);
    for (uint64_t i = 0; i < 1000; i++) {
        struct ft_loss loss = hole(i * 10 + 1, i * 10 + 3);
        ft_loss_book_add(&book, &loss);
    }
    uint64_t lost = 0;
    struct ft_loss loss;
    while (ft_loss_book_take(&book, &loss)) {
        lost += loss.count;
    }
    CHECK_INT(lost, 3000);
}
