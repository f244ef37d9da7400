/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/ledger of an agent: its own numbers, in the shape of a collector's answer. */
#include "agent/ledger_api.h"

#include "lib/test.h"

static const struct ft_ledger_owner owner = {
    .agent_id = {{1}}, .instance_id = {{2}}, .host_name = "web-1", .state = "active"};
static struct ft_buf out;

static struct ft_msg_status made(uint64_t observed)
{
    struct ft_msg_status status = {.time_ns = 1700000001 * FT_NS_PER_S,
                                   .observed_events = observed,
                                   .filtered_events = 11,
                                   .merged_events = 5,
                                   .sealed_events = 140,
                                   .sent_events = 135,
                                   .acknowledged_events = 100,
                                   .retained_events = 30};
    status.lost[FT_LOSS_LOG_FULL] = 9;
    return status;
}

static const char *ask(uint64_t observed, struct ft_flows_ledger_query query)
{
    struct ft_json_writer writer;
    struct ft_msg_status status = made(observed);
    ft_buf_deinit(&out);
    ft_buf_init(&out, 0);
    ft_json_writer_init(&writer, &out);
    ft_agent_ledger_write(&writer, &owner, &status, &query);
    CHECK(ft_json_is_done(&writer));
    return ft_buf_str(&out);
}

#define ACCOUNT(observed, unaccounted)                                                             \
    "\"account\":{\"observed\":" observed ",\"stored\":100,\"retained\":30,\"merged\":5,"          \
    "\"lost\":9,\"lost_by_cause\":{\"LOG_FULL\":9},\"unaccounted\":" unaccounted "}"
#define NONE                                                                                       \
    "{\"time\":\"2023-11-14T22:13:21.000Z\",\"balanced\":true,\"total\":{\"instances\":0,"         \
    "\"unbalanced\":0,\"unknown\":0,\"account\":{\"observed\":0,\"stored\":0,\"retained\":0,"      \
    "\"merged\":0,\"lost\":0,\"lost_by_cause\":{},\"unaccounted\":0}},\"ledger\":[]}"

TEST(its_own_account)
{
    CHECK_STR(
        ask(144, (struct ft_flows_ledger_query){0}),
        "{\"time\":\"2023-11-14T22:13:21.000Z\",\"balanced\":true,\"total\":{\"instances\":1,"
        "\"unbalanced\":0,\"unknown\":0," ACCOUNT(
            "144",
            "0") "},\"ledger\":[{"
                 "\"agent_id\":\"01000000-0000-0000-0000-000000000000\","
                 "\"instance_id\":\"02000000-0000-0000-0000-000000000000\",\"host_name\":\"web-1\","
                 "\"state\":\"active\",\"agent\":{\"told\":\"2023-11-14T22:13:21.000Z\","
                 "\"observed\":144,\"filtered\":11,\"merged\":5,\"sealed\":140,\"sent\":135,"
                 "\"acknowledged\":100,\"retained\":30,\"lost\":9,\"lost_by_cause\":{\"LOG_FULL\":"
                 "9}}," ACCOUNT("144", "0") ",\"balanced\":true}]}");
}

TEST(what_is_off_is_said)
{
    const char *text = ask(150, (struct ft_flows_ledger_query){0});
    CHECK(strstr(text, "\"balanced\":false,\"total\":{\"instances\":1,\"unbalanced\":1,") != NULL);
    CHECK(strstr(text, ACCOUNT("150", "6") ",\"balanced\":false,\"why\":\"events by which the "
                                           "agent's own account is off: 6\"}]}") != NULL);
    CHECK(strstr(ask(140, (struct ft_flows_ledger_query){0}), ACCOUNT("140", "4")) != NULL);
}

TEST(others_are_not_here)
{
    CHECK(strstr(ask(144, (struct ft_flows_ledger_query){.n_agents = 1, .agents = {"web-*"}}),
                 "\"instances\":1,") != NULL);
    CHECK_STR(ask(144, (struct ft_flows_ledger_query){.n_agents = 1, .agents = {"db"}}), NONE);
    const char *text = ask(144, (struct ft_flows_ledger_query){.has_after = true});
    CHECK(strstr(text, "\"instances\":1,") != NULL && strstr(text, "\"ledger\":[]") != NULL);
}
