/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from an agent's or collector's API: stored ones page by page, live ones from the stream of
 * server-sent events.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_ROWS_H
#define FT_CLI_ROWS_H 1

#include "base/buf.h"
#include "flow/query.h"
#include "http/client.h"

/* Rows of one page. */
#define FT_CLI_PAGE_ROWS 1000
/* At most this many rows can be asked for newest first: they are held to be turned around. */
#define FT_CLI_NEWEST_MAX 100000

struct ft_cli_rows_query {
    const char *path;
    const char *filters; /* "&column=value…" or "" */
    bool newest_first;   /* The newest 'rows_max', given out oldest first. */
    uint64_t rows_max;   /* 0: all, unless 'newest_first'. */
};

/* 'fn' is given each row; its texts are valid during the call.  Errors come with '*reterr_diag',
 * those of 'fn' without. */
FT_MUST_USE ft_err ft_cli_rows_stored(struct ft_http_client *client,
                                      const struct ft_cli_rows_query *query, ft_row_fn *fn,
                                      void *ctx, struct ft_diag *reterr_diag);

struct ft_cli_live {
    const char *filters;
    ft_row_fn *fn;
    /* Called once, when the server has begun to send: from then on no row is missed.  May be NULL.
     */
    ft_err (*on_open)(void *ctx);
    void *ctx; /* For both. */
};

/*
 * Until cancelled or the server ends; FT_E_CLOSED then.  Rows that the server had to leave out, or
 * that are not understood, are told on standard error.
 */
FT_MUST_USE ft_err ft_cli_rows_live(struct ft_http_client *client, const struct ft_cli_live *live,
                                    struct ft_diag *reterr_diag);

/*
 * Rows as lines of JSON from a file, "-" for standard input.  'rows_max' as above; blank lines are
 * skipped.  Errors name the line.
 */
FT_MUST_USE ft_err ft_cli_rows_file(const char *path, ft_row_fn *fn, void *ctx,
                                    struct ft_diag *reterr_diag);

#endif
