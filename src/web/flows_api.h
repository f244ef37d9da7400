/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow API: stored and live flows, groups, losses, agents, status.  Parameters:
 * web/flow_params.h; rows: text/json.h, text/csv.h.
 *
 *   GET /api/v1/flows    {"begin", "end", "order", "flows": […], "count", "more", "next"}
 *                        "next" is the cursor of the next page; with format=csv or ndjson the rows
 *                        alone, and "Flowtrail-More" and "Flowtrail-Next" as trailers
 *   GET /api/v1/losses   the same for type=LOSS
 *   GET /api/v1/top      {"begin", "end", "by", "measure", "groups": [{"keys": {…}, "events",
 *                        "flows", "bytes", "packets", "rx_bytes", …}], "more"}; the rest has
 *                        "rest": true instead of "keys"
 *   GET /api/v1/series   the same with "step", and "time" in each group: the begin of its bucket
 *   GET /api/v1/live     server-sent events, one row each (web/live.h)
 *   GET /api/v1/agents   {"agents": […]}, from the program
 *   GET /api/v1/status   from the program
 *   GET /api/v1/quarantine  {"quarantine": […]}, from the program
 *   GET /api/v1/ledger   {"balanced", "total": {…}, "ledger": […], "next"}, from the program;
 *                        agent=ID, agent=HOST or agent=web-* (several: one must match), limit,
 *                        cursor
 *
 * Errors: 400 names the parameter; 503 when too much waits; 504 when the query took too long.  A
 * query stops when its client goes.
 *
 * Thread: create and destroy: one; handlers run in threads of the web server.
 */
#ifndef FT_WEB_FLOWS_API_H
#define FT_WEB_FLOWS_API_H 1

#include "base/cleanup.h"
#include "base/clock.h"
#include "flow/query.h"
#include "metrics/metrics.h"
#include "web/live.h"
#include "web/params.h"
#include "web/web.h"
#include "json/writer.h"

/* What /api/v1/ledger is asked for. */
#define FT_FLOWS_LEDGER_LIMIT_MAX 1000
struct ft_flows_ledger_query {
    size_t n_agents;                       /* 0: all. */
    const char *agents[FT_WEB_PARAMS_MAX]; /* Id, name of a host, or "web-*"; one must match. */
    uint64_t limit;                        /* Instances in the answer. */
    bool has_after;                        /* Those behind this one. */
    struct ft_uuid after_agent;
    struct ft_uuid after_instance;
};

/* Is it one of those that are asked for? */
bool ft_flows_ledger_is_wanted(const struct ft_flows_ledger_query *query,
                               const struct ft_uuid *agent_id, const char *host_name);

/* Writes one JSON object, or nothing where it fails.  Thread: a server thread; must not wait. */
typedef ft_err ft_flows_api_ledger_fn(void *ctx, const struct ft_flows_ledger_query *query,
                                      struct ft_json_writer *writer);

/* Writes one JSON value.  Thread: a server thread; must not wait. */
typedef void ft_flows_api_json_fn(void *ctx, struct ft_json_writer *writer);

/* What is NULL has no route.  All is borrowed and outlives the web server. */
struct ft_flows_api_options {
    struct ft_flow_reader *reader;
    struct ft_live_hub *hub;
    const struct ft_clock *clock;
    struct ft_metrics *metrics;
    const char *metrics_prefix;

    /*
     * An array of objects, one per agent.  The dashboard reads: "agent_id", "host_name", "version",
     * "state" ("connected", "away", …), "last_seen" (RFC 3339), "observed", "stored", "retained",
     * "lost", "lost_by_cause" (object), "unaccounted"; what is absent is shown as unknown.
     */
    ft_flows_api_json_fn *agents;
    /* An object: "program", "version", "host_name", "components" (array of "name", "health",
     * "text"), "account" ("observed", "stored", "retained", "lost", "lost_by_cause", "unaccounted",
     * "balanced").
     */
    ft_flows_api_json_fn *status;
    /* An array of objects: "kind", "file", "time", "reason", "agent_id", "events", …. */
    ft_flows_api_json_fn *quarantine;
    ft_flows_api_ledger_fn *ledger;
    void *ctx;
};

struct ft_flows_api;

/* Adds the routes to 'web'.  Fails as ft_web_route() and ft_metrics_add_counter(). */
FT_MUST_USE ft_err ft_flows_api_create(struct ft_web *web,
                                       const struct ft_flows_api_options *options,
                                       struct ft_flows_api **ret_api);
/* After the web server has stopped.  Accepts NULL. */
void ft_flows_api_destroy(struct ft_flows_api *api);
FT_DEFINE_CLEANUP(struct ft_flows_api, ft_flows_api_destroy);

#endif
