/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters of the flow API as a query: time range, filters, page, groups.
 *
 *   time     begin (since), end (until): RFC 3339; whole seconds, ms, µs or ns since 1970; "now";
 *            "-1h", "-30m" from now.  last=1h: up to 'end'.  Without any: the last hour.
 *   filters  COLUMN=VALUE[,VALUE…] with the columns of flow/query.h: all columns must match, one
 *            value of a column suffices, also when the column is given several times;
 *            not.COLUMN=… must not match.
 *   page     order=newest|oldest, limit, cursor (carries its own time range and order),
 *            format=json|csv|ndjson
 *   groups   by=COLUMN[,COLUMN…], measure, limit; step for series
 *   timeout  of the query, at most FT_FLOW_TIMEOUT_NS_MAX
 *
 * A parameter that is none of these is an error that names the known ones: a misspelt filter must
 * not give all rows.
 *
 * Pure: reads no clock.  Thread: any.
 */
#ifndef FT_WEB_FLOW_PARAMS_H
#define FT_WEB_FLOW_PARAMS_H 1

#include "base/clock.h"
#include "flow/query.h"
#include "web/params.h"

#define FT_FLOW_TIMEOUT_NS_DEFAULT (30 * FT_NS_PER_S)
#define FT_FLOW_TIMEOUT_NS_MAX     (120 * FT_NS_PER_S)
#define FT_FLOW_SPAN_NS_DEFAULT    (3600 * FT_NS_PER_S)
/* Rows of one answer as JSON; exports (CSV, NDJSON) are streamed and may be larger. */
#define FT_FLOW_JSON_ROWS_MAX   10000
#define FT_FLOW_EXPORT_ROWS_MAX 10000000
#define FT_FLOW_GROUPS_DEFAULT  10
#define FT_FLOW_GROUPS_MAX      1000
#define FT_FLOW_BUCKETS_MAX     2000

enum ft_flow_format { FT_FLOW_JSON, FT_FLOW_CSV, FT_FLOW_NDJSON };

/* Which parameters a route takes besides filters. */
#define FT_FLOW_TAKES_TIME  1u /* begin, end, last, timeout */
#define FT_FLOW_TAKES_PAGE  2u /* order, limit, cursor, format */
#define FT_FLOW_TAKES_GROUP 4u /* by, measure, limit */
#define FT_FLOW_TAKES_STEP  8u /* step */

struct ft_flow_params {
    struct ft_query query;
    struct ft_group group;
    enum ft_flow_format format;
    uint64_t limit; /* Rows in all; query.rows_max is one call's share. */
};

/* Why a request is refused.  The text has room for the names of all parameters. */
#define FT_WEB_REFUSAL_TEXT_SIZE 1024
struct ft_web_refusal {
    const char *code; /* "unknown_parameter", "invalid_parameter"; static. */
    char parameter[FT_WEB_PARAM_NAME_BYTES + 1];
    char message[FT_WEB_REFUSAL_TEXT_SIZE];
};

/*
 * Fails with FT_E_UNKNOWN_KEY, FT_E_SYNTAX or FT_E_RANGE and '*reterr_refusal', or -ENOMEM.
 * After success the caller calls ft_query_deinit() on the query.
 */
FT_MUST_USE ft_err ft_flow_params_parse(const struct ft_web_params *params, unsigned takes,
                                        int64_t now_ns, struct ft_flow_params *ret_params,
                                        struct ft_web_refusal *reterr_refusal);

/* One point of time, as above.  FT_E_SYNTAX or FT_E_RANGE. */
FT_MUST_USE ft_err ft_flow_time_parse(const char *text, int64_t now_ns, int64_t *ret_ns);

#endif
