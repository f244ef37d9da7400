/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as they come, to whoever watches: what is published goes to each subscriber whose filter
 * matches, as one server-sent event with the row as JSON.
 *
 * Publishing never waits, costs one atomic load when nobody watches, and is bounded per subscriber:
 * past 'rows_per_s_max' rows, and at the bound of the client's queue (web/sse.h), rows are left out
 * and their number is told to the client.  Nothing that is stored depends on it.
 *
 * Lock order: the hub's lock, then that of a client's request.
 *
 * Thread: publish, add: any.  Destroy when the web server has stopped and nobody publishes.
 */
#ifndef FT_WEB_LIVE_H
#define FT_WEB_LIVE_H 1

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "flow/query.h"
#include "web/request.h"

/* More than a person or a terminal follows; a program reads /api/v1/flows. */
#define FT_LIVE_ROWS_PER_S_DEFAULT 2000

struct ft_live_hub;

/* 'rows_per_s_max' 0: the default.  -ENOMEM. */
FT_MUST_USE ft_err ft_live_hub_create(const struct ft_clock *clock, unsigned rows_per_s_max,
                                      struct ft_live_hub **ret_hub);
void ft_live_hub_destroy(struct ft_live_hub *hub);
FT_DEFINE_CLEANUP(struct ft_live_hub, ft_live_hub_destroy);

/* Does anybody watch?  Lets a caller skip making rows. */
bool ft_live_is_wanted(const struct ft_live_hub *hub);

/* 'row' is used during the call only. */
void ft_live_publish(struct ft_live_hub *hub, const struct ft_row *row);

/*
 * Answers 'request' (of a direct handler) with the rows that match 'query', until the client goes.
 * On success the query is moved out of '*query', which is empty then.  FT_E_FULL at the bound of
 * clients, -ENOMEM.
 */
FT_MUST_USE ft_err ft_live_serve(struct ft_live_hub *hub, struct ft_web_request *request,
                                 struct ft_query *query);

#endif
