/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/ledger: the parameters; the program writes the answer. */
#include <string.h>

#include "base/parse.h"
#include "web/flows_api_impl.h"
#include "web/request.h"

static bool refuse(struct ft_web_request *request, const char *parameter, const char *why)
{
    ft_web_respond_error(request, 400, "invalid_parameter", parameter, "%s: %s", parameter, why);
    return false;
}

/* "AGENT_ID/INSTANCE_ID", as the answer gave it. */
static bool parse_cursor(const char *text, struct ft_flows_ledger_query *query)
{
    char agent[FT_UUID_TEXT_SIZE] = "";
    const char *slash = strchr(text, '/');
    if (slash == NULL || slash - text != FT_UUID_TEXT_SIZE - 1) {
        return false;
    }
    memcpy(agent, text, FT_UUID_TEXT_SIZE - 1);
    query->has_after = true;
    return ft_uuid_parse(agent, &query->after_agent) == FT_OK &&
           ft_uuid_parse(slash + 1, &query->after_instance) == FT_OK;
}

static bool parse(struct ft_web_request *request, struct ft_flows_ledger_query *query)
{
    const struct ft_web_params *params = ft_web_request_get_params(request);
    for (size_t i = 0; i < params->n; i++) {
        const char *name = params->items[i].name;
        const char *value = params->items[i].value;
        if (strcmp(name, "agent") == 0) {
            if (value[0] == '\0') {
                return refuse(request, name, "an agent's id, the name of its host, or \"web-*\"");
            }
            query->agents[query->n_agents++] = value;
        } else if (strcmp(name, "limit") == 0) {
            if (ft_parse_u64(value, FT_FLOWS_LEDGER_LIMIT_MAX, &query->limit) != FT_OK ||
                query->limit == 0) {
                return refuse(request, name, "a number from 1 to 1000");
            }
        } else if (strcmp(name, "cursor") == 0) {
            if (!parse_cursor(value, query)) {
                return refuse(request, name, "not one that an answer gave");
            }
        } else {
            ft_web_respond_error(request, 400, "unknown_parameter", name,
                                 "unknown parameter \"%s\"; known here: agent, limit, cursor",
                                 name);
            return false;
        }
    }
    return true;
}

static bool is_called(const char *wanted, const struct ft_uuid *agent_id, const char *host_name)
{
    struct ft_uuid id;
    size_t len = strlen(wanted);
    if (ft_uuid_parse(wanted, &id) == FT_OK) {
        return ft_uuid_equal(&id, agent_id);
    }
    if (len > 0 && wanted[len - 1] == '*') {
        return strncmp(wanted, host_name, len - 1) == 0;
    }
    return strcmp(wanted, host_name) == 0;
}

bool ft_flows_ledger_is_wanted(const struct ft_flows_ledger_query *query,
                               const struct ft_uuid *agent_id, const char *host_name)
{
    for (size_t i = 0; i < query->n_agents; i++) {
        if (is_called(query->agents[i], agent_id, host_name)) {
            return true;
        }
    }
    return query->n_agents == 0;
}

void ft_flows_on_ledger(void *ctx, struct ft_web_request *request)
{
    const struct ft_flows_api *api = ctx;
    struct ft_flows_ledger_query query = {.limit = FT_FLOWS_LEDGER_LIMIT_MAX};
    if (!parse(request, &query)) {
        return;
    }
    struct ft_buf buf;
    struct ft_json_writer writer;
    ft_buf_init(&buf, 0);
    ft_json_writer_init(&writer, &buf);
    ft_err err = api->options.ledger(api->options.ctx, &query, &writer);
    if (err == FT_OK) {
        ft_json_newline(&writer);
        ft_web_respond_buf(request, 200, FT_WEB_JSON, &buf);
    } else {
        ft_web_respond_error(request, 503, "busy", NULL, "%s", ft_err_text(err));
    }
    ft_buf_deinit(&buf);
}
