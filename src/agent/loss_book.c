/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/loss_book.h"

#include <assert.h>
#include <string.h>

static bool can_merge(const struct ft_loss *a, const struct ft_loss *b);
static void merge(struct ft_loss *to, const struct ft_loss *from);
static void squeeze_pending(struct ft_loss_book *book);
static void remove_told(struct ft_loss_book *book, size_t index);

void ft_loss_book_init(struct ft_loss_book *book)
{
    book->n_pending = 0;
    book->n_told = 0;
}

void ft_loss_book_add(struct ft_loss_book *book, const struct ft_loss *added)
{
    struct ft_loss loss = *added;
    if (loss.first_seq != 0 && loss.count != loss.last_seq - loss.first_seq + 1) {
        /* Some of these numbers, nobody knows which: a hole on the wire is missing as a whole. */
        loss.first_seq = 0;
        loss.last_seq = 0;
    }
    for (size_t i = 0; i < book->n_pending; i++) {
        if (can_merge(&book->pending[i], &loss)) {
            merge(&book->pending[i], &loss);
            return;
        }
    }
    if (book->n_pending == FT_LOSS_BOOK_PENDING_MAX) {
        squeeze_pending(book);
    }
    book->pending[book->n_pending++] = loss;
}

bool ft_loss_book_take(struct ft_loss_book *book, struct ft_loss *ret_loss)
{
    if (book->n_pending == 0 || book->n_told == FT_LOSS_BOOK_TOLD_MAX) {
        return false;
    }
    *ret_loss = book->pending[0];
    book->n_pending--;
    memmove(book->pending, book->pending + 1, book->n_pending * sizeof book->pending[0]);
    return true;
}

void ft_loss_book_told(struct ft_loss_book *book, uint64_t seq, const struct ft_loss *loss)
{
    assert(book->n_told < FT_LOSS_BOOK_TOLD_MAX);
    book->told[book->n_told++] = (struct ft_loss_told){seq, *loss};
}

void ft_loss_book_dropped(struct ft_loss_book *book, uint64_t first_seq, uint64_t last_seq)
{
    for (size_t i = 0; i < book->n_told;) {
        if (book->told[i].seq >= first_seq && book->told[i].seq <= last_seq) {
            struct ft_loss loss = book->told[i].loss;
            remove_told(book, i);
            ft_loss_book_add(book, &loss);
        } else {
            i++;
        }
    }
}

void ft_loss_book_acked(struct ft_loss_book *book, uint64_t seq, struct ft_loss_history *history)
{
    while (book->n_told > 0 && book->told[0].seq <= seq) {
        if (history->n == FT_LOSS_BOOK_TOLD_MAX) {
            history->n--;
            memmove(history->told, history->told + 1, history->n * sizeof history->told[0]);
        }
        history->told[history->n++] = book->told[0];
        remove_told(book, 0);
    }
}

bool ft_loss_book_gone_back(struct ft_loss_book *book, uint64_t seq,
                            struct ft_loss_history *history)
{
    size_t first = history->n;
    while (first > 0 && history->told[first - 1].seq > seq) {
        first--;
    }
    size_t n = history->n - first;
    size_t n_back = FT_LOSS_BOOK_TOLD_MAX - book->n_told;
    n_back = n < n_back ? n : n_back;
    memmove(book->told + n_back, book->told, book->n_told * sizeof book->told[0]);
    memcpy(book->told, history->told + history->n - n_back, n_back * sizeof book->told[0]);
    book->n_told += n_back;
    history->n = first;
    return n > 0;
}

/* Losses without numbers add up; holes add up where they touch. */
static bool can_merge(const struct ft_loss *a, const struct ft_loss *b)
{
    if (a->cause != b->cause || (a->first_seq == 0) != (b->first_seq == 0)) {
        return false;
    }
    return a->first_seq == 0 || a->last_seq + 1 == b->first_seq || b->last_seq + 1 == a->first_seq;
}

static void merge(struct ft_loss *to, const struct ft_loss *from)
{
    to->estimated |= from->estimated;
    to->count += from->count;
    to->begin_ns = from->begin_ns < to->begin_ns ? from->begin_ns : to->begin_ns;
    to->end_ns = from->end_ns > to->end_ns ? from->end_ns : to->end_ns;
    if (to->first_seq != 0) {
        to->first_seq = from->first_seq < to->first_seq ? from->first_seq : to->first_seq;
        to->last_seq = from->last_seq > to->last_seq ? from->last_seq : to->last_seq;
    }
}

/*
 * Makes room: the two oldest losses of one cause become one.  Holes that do not touch become a
 * loss without numbers, whose count is still exact.
 */
static void squeeze_pending(struct ft_loss_book *book)
{
    for (size_t i = 0; i < book->n_pending; i++) {
        for (size_t j = i + 1; j < book->n_pending; j++) {
            if (book->pending[i].cause != book->pending[j].cause) {
                continue;
            }
            struct ft_loss second = book->pending[j];
            book->pending[i].first_seq = 0;
            book->pending[i].last_seq = 0;
            second.first_seq = 0;
            second.last_seq = 0;
            merge(&book->pending[i], &second);
            book->n_pending--;
            memmove(book->pending + j, book->pending + j + 1,
                    (book->n_pending - j) * sizeof book->pending[0]);
            return;
        }
    }
    /* More places than causes: two of one cause always exist. */
    assert(false);
}

static void remove_told(struct ft_loss_book *book, size_t index)
{
    book->n_told--;
    memmove(book->told + index, book->told + index + 1,
            (book->n_told - index) * sizeof book->told[0]);
}
