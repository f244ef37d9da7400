/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter flags of a command, checked here before anybody is asked, and then in two forms: the
 * query of the API and the query that is matched locally.
 *
 * Values of one column are alternatives, different columns must all match.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_FILTERS_H
#define FT_CLI_FILTERS_H 1

#include "base/buf.h"
#include "flow/query.h"

struct ft_cli_filter {
    enum ft_column column;
    bool negate;
    struct ft_buf values; /* "a,b,c" */
};

struct ft_cli_filters {
    struct ft_cli_filter items[FT_QUERY_FILTERS_MAX];
    unsigned n;
    int64_t begin_ns; /* INT64_MIN: from the first row on. */
    int64_t end_ns;   /* INT64_MAX: to the last. */
};

void ft_cli_filters_init(struct ft_cli_filters *filters);
void ft_cli_filters_deinit(struct ft_cli_filters *filters);

/*
 * Adds what the flag 'flag' ("--ip") says: "value[,value…]" for 'column'.  FT_E_SYNTAX,
 * FT_E_UNKNOWN_KEY or FT_E_RANGE, with a message that names the flag.
 */
FT_MUST_USE ft_err ft_cli_filters_add(struct ft_cli_filters *filters, const char *flag,
                                      const char *column, const char *values, bool negate,
                                      struct ft_diag *reterr_diag);

/* --since and --until, "" for none: RFC 3339 or how long ago.  Errors as above, also when nothing
 * is between them. */
FT_MUST_USE ft_err ft_cli_filters_set_time(struct ft_cli_filters *filters, const char *since,
                                           const char *until, int64_t now_ns,
                                           struct ft_diag *reterr_diag);

/* "&addr=10.0.0.0/8&not.port=53": for live rows; with the time range for stored ones. */
void ft_cli_filters_format(struct ft_cli_filters *filters, bool with_time, struct ft_buf *out);

/* The same for ft_query_matches(); the caller deinits '*ret_query'. */
FT_MUST_USE ft_err ft_cli_filters_to_query(struct ft_cli_filters *filters,
                                           struct ft_query *ret_query, struct ft_diag *reterr_diag);

#endif
