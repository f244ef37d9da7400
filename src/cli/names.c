/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/terminal.h"

#define ASK_AGAIN_NS (10 * FT_NS_PER_S)

static ft_err ask(struct ft_cli_names *names, struct ft_diag *reterr_diag);
static ft_err add(struct ft_cli_names *names, const struct ft_json_value *agent);
static const char *find(const struct ft_cli_names *names, const struct ft_uuid *agent_id);
static bool name_matches(const char *pattern, const char *name);

void ft_cli_names_deinit(struct ft_cli_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->items[i].host_name);
    }
    free(names->items);
    *names = (struct ft_cli_names){.where = names->where};
}

const char *ft_cli_names_find(void *ctx, const struct ft_uuid *agent_id)
{
    struct ft_cli_names *names = ctx;
    const char *name = find(names, agent_id);
    int64_t now_ns = ft_clock_mono_ns(ft_clock_system());
    if (name == NULL && (!names->asked || now_ns - names->asked_ns >= ASK_AGAIN_NS)) {
        struct ft_diag diag;
        ft_err_ignore(ask(names, &diag), "without a name the id is shown");
        name = find(names, agent_id);
    }
    return name;
}

ft_err ft_cli_names_filter(struct ft_cli_names *names, const char *text, bool negate,
                           struct ft_cli_filters *filters, struct ft_diag *reterr_diag)
{
    struct ft_uuid id;
    if (ft_uuid_parse(text, &id) == FT_OK) {
        return ft_cli_filters_add(filters, "--node-name", "agent_id", text, negate, reterr_diag);
    }
    if (!names->asked) {
        FT_TRY(ask(names, reterr_diag));
    }
    bool found = false;
    for (size_t i = 0; i < names->n; i++) {
        if (name_matches(text, names->items[i].host_name)) {
            char id_text[FT_UUID_TEXT_SIZE];
            ft_uuid_format(&names->items[i].agent_id, id_text);
            FT_TRY(ft_cli_filters_add(filters, "--node-name", "agent_id", id_text, negate,
                                      reterr_diag));
            found = true;
        }
    }
    if (!found) {
        return ft_diag_set(reterr_diag, FT_E_NOT_FOUND, NULL, 0, 0,
                           "--node-name: no agent on a host called \"%s\" is known", text);
    }
    return FT_OK;
}

/* Asks on a connection of its own: another request may be under way. */
static ft_err ask(struct ft_cli_names *names, struct ft_diag *reterr_diag)
{
    bool collector = ft_cli_is_collector(names->where);
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(names->where);
    if (client == NULL) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0, "no address");
    }
    names->asked = true;
    names->asked_ns = ft_clock_mono_ns(ft_clock_system());
    FT_TRY(ft_cli_get_json(client, collector ? "/api/v1/agents" : "/api/v1/status", &doc,
                           reterr_diag));
    const struct ft_json_value *root = ft_json_doc_get_root(doc);
    if (!collector) {
        return add(names, root);
    }
    const struct ft_json_value *agents = ft_json_get(root, "agents");
    for (size_t i = 0; i < ft_json_size(agents); i++) {
        FT_TRY(add(names, ft_json_at(agents, i)));
    }
    return FT_OK;
}

/* An agent that is there several times (once per start) is one. */
static ft_err add(struct ft_cli_names *names, const struct ft_json_value *agent)
{
    struct ft_uuid id;
    const char *host_name = ft_cli_text_of(agent, "host_name");
    if (host_name[0] == '\0' || names->n >= FT_CLI_NAMES_MAX ||
        ft_uuid_parse(ft_cli_text_of(agent, "agent_id"), &id) != FT_OK ||
        find(names, &id) != NULL) {
        return FT_OK;
    }
    struct ft_cli_name *items = realloc(names->items, (names->n + 1) * sizeof *items);
    if (items == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    names->items = items;
    items[names->n] = (struct ft_cli_name){.agent_id = id, .host_name = strdup(host_name)};
    if (items[names->n].host_name == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    names->n++;
    return FT_OK;
}

static const char *find(const struct ft_cli_names *names, const struct ft_uuid *agent_id)
{
    for (size_t i = 0; i < names->n; i++) {
        if (ft_uuid_equal(&names->items[i].agent_id, agent_id)) {
            return names->items[i].host_name;
        }
    }
    return NULL;
}

static bool name_matches(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*') {
        return strncmp(pattern, name, len - 1) == 0;
    }
    return strcmp(pattern, name) == 0;
}
