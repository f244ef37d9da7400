/* SPDX-License-Identifier: Apache-2.0 */
/* A spool that has lost something: what was told there, and where the exporter was. */
#include <stdlib.h>

#include "agent/spool_impl.h"

/* A disk that cannot read at the moment is asked so often. */
#define READ_ATTEMPTS_MAX 64

static ft_err find_first(struct ft_spool *spool, uint64_t *ret_first_seq);

/*
 * Files go once their blocks are done with, so what was numbered before the first block in the log
 * is done with, or was dropped or lost, and the account knows the last two.  As what it can be at
 * most it is taken for stored: a collector that has less says so in its Welcome, and then the rest
 * is told as lost (export/exporter_back.c).
 */
ft_err ft_spool_guess_place(struct ft_spool *spool, const struct ft_spool_state *state,
                            uint64_t kept_seq, struct ft_progress *progress, uint64_t *ret_done_max)
{
    uint64_t first_seq = state->tally.numbered + 1;
    FT_TRY(find_first(spool, &first_seq));
    if (kept_seq != 0 && kept_seq < first_seq) {
        first_seq = kept_seq;
    }
    if (first_seq <= state->base_seq + 1) {
        return FT_OK;
    }
    struct ft_ranges lost = {0};
    const struct ft_loss_book *book = &state->tally.book;
    for (size_t i = 0; i < book->n_pending + book->n_told; i++) {
        const struct ft_loss *loss =
            i < book->n_pending ? &book->pending[i] : &book->told[i - book->n_pending].loss;
        if (loss->first_seq > state->base_seq && loss->first_seq < first_seq) {
            (void)ft_ranges_add(&lost, loss->first_seq,
                                loss->last_seq < first_seq ? loss->last_seq : first_seq - 1);
        }
    }
    progress->acked_seq = first_seq - 1;
    progress->stored_seq = first_seq - 1;
    *ret_done_max = first_seq - 1 - state->base_seq - ft_ranges_overlap(&lost, 1, first_seq - 1);
    return FT_OK;
}

/* The number that the first block in the log begins with, if there is one that says so: what is in
 * a damaged one is told when it is read. */
static ft_err find_first(struct ft_spool *spool, uint64_t *ret_first_seq)
{
    struct ft_log_reader *look = NULL;
    FT_TRY(ft_log_reader_open(spool->log, "spool-look", true, &look));
    ft_log_reader_seek(look, 0);
    bool found = false;
    unsigned n_failures = 0;
    ft_err err = FT_OK;
    while (!found && err != ft_err_from_errno(EAGAIN) && n_failures < READ_ATTEMPTS_MAX) {
        struct ft_block block = {0};
        err = ft_log_reader_next(look, false, &block);
        found = (err == FT_OK || err == FT_E_CORRUPT) && block.info.n_events > 0;
        if (found) {
            *ret_first_seq = block.info.first_seq;
        } else if (err != FT_E_CORRUPT) {
            n_failures++;
        }
        ft_block_release(&block);
    }
    ft_log_reader_close(look);
    return found || err == ft_err_from_errno(EAGAIN) ? FT_OK : err;
}

/* Which blocks are missing nobody knows; but LOSS events that are not there will reach nobody. */
ft_err ft_spool_tell_again(struct ft_spool *spool, uint64_t acked_seq, uint64_t kept_seq)
{
    struct ft_tally_record *record = malloc(sizeof *record);
    if (record == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    uint64_t version;
    ft_tally_save(spool->tally, record, &version);
    const struct ft_loss_book *book = &record->book;
    bool there[FT_LOSS_BOOK_TOLD_MAX] = {false};
    struct ft_log_reader *reader = NULL;
    ft_err err = ft_log_reader_open(spool->log, "spool-look", true, &reader);
    while (err == FT_OK || err == FT_E_CORRUPT) {
        struct ft_block block = {0};
        err = ft_log_reader_next(reader, false, &block);
        uint64_t last_seq = block.info.first_seq + block.info.n_events - 1;
        for (size_t i = 0; i < book->n_told && err == FT_OK; i++) {
            there[i] |= book->told[i].seq >= block.info.first_seq && book->told[i].seq <= last_seq;
        }
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    for (size_t i = 0; i < book->n_told && err == ft_err_from_errno(EAGAIN); i++) {
        uint64_t seq = book->told[i].seq;
        if (!there[i] && seq > acked_seq && (kept_seq == 0 || seq < kept_seq)) {
            ft_tally_not_stored(spool->tally, seq, seq);
        }
    }
    free(record);
    return err == ft_err_from_errno(EAGAIN) ? FT_OK : err;
}
