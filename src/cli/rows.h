/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from an agent's or collector's API: stored ones page by page, live ones from the stream of
 * server-sent events.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_ROWS_H
#define FT_CLI_ROWS_H 1

#include "http/client.h"
#include "text/line.h"

/* One row, and the JSON object it came as; both valid during the call. */
typedef ft_err ft_cli_row_fn(void *ctx, const struct ft_row *row, const char *json,
                             size_t json_size);

struct ft_cli_rows_query {
    const char *path;
    const char *filters; /* "&column=value…" or "" */
    bool newest_first;   /* The newest 'rows_max', given out oldest first. */
    uint64_t rows_max;   /* 0: all */
    uint64_t page_rows;
};

/* At most this many rows can be asked for newest first: they are held to be turned around. */
#define FT_CLI_NEWEST_MAX 100000

FT_MUST_USE ft_err ft_cli_rows_stored(struct ft_http_client *client,
                                      const struct ft_cli_rows_query *query, ft_cli_row_fn *fn,
                                      void *ctx, struct ft_diag *reterr_diag);

/* Until cancelled or the server ends.  Rows that the server had to leave out are told on standard
 * error. */
FT_MUST_USE ft_err ft_cli_rows_live(struct ft_http_client *client, const char *path,
                                    ft_cli_row_fn *fn, void *ctx, struct ft_diag *reterr_diag);

/* RFC 3339, or a duration before now. */
FT_MUST_USE ft_err ft_cli_parse_time(const char *text, int64_t *ret_real_ns);

/* Writes the buffer to standard output and flushes; -EPIPE when nobody reads any more. */
FT_MUST_USE ft_err ft_cli_write(const struct ft_buf *buf);

#endif
