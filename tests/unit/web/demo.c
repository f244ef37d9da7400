/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with made-up flows and agents, to look at the dashboard without a collector:
 *
 *   unit_web_demo PORT [empty]
 */
#include <stdlib.h>

#include "fake_reader.h"
#include "web/flows_api.h"
#include "web/standard.h"
#include "web/ui.h"

static bool empty;

static int64_t real_ns(const struct ft_clock *clock)
{
    (void)clock;
    return FAKE_TIME + 60 * FT_NS_PER_S;
}

static int64_t mono_ns(const struct ft_clock *clock)
{
    (void)clock;
    return ft_clock_mono_ns(ft_clock_system());
}

static const struct ft_clock clock_of_rows = {.mono_ns = mono_ns, .real_ns = real_ns};

static void write_agent(struct ft_json_writer *writer, const char *name, const char *state,
                        uint64_t observed, uint64_t retained, uint64_t lost)
{
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "agent_id", "11111111-2222-4333-8444-555555555555");
    ft_json_key_str(writer, "host_name", name);
    ft_json_key_str(writer, "state", state);
    ft_json_key_str(writer, "version", "0.1.0");
    ft_json_key_str(writer, "last_seen", "2026-11-21T09:00:01.000000000Z");
    ft_json_key_u64(writer, "observed", observed);
    ft_json_key_u64(writer, "stored", observed - retained - lost);
    ft_json_key_u64(writer, "retained", retained);
    ft_json_key_u64(writer, "lost", lost);
    ft_json_key_object(writer, "lost_by_cause");
    if (lost > 0) {
        ft_json_key_u64(writer, "KERNEL_OVERRUN", lost);
    }
    ft_json_object_end(writer);
    ft_json_object_end(writer);
}

static void write_agents(void *ctx, struct ft_json_writer *writer)
{
    (void)ctx;
    ft_json_array_begin(writer);
    if (!empty) {
        write_agent(writer, "web-1.example.net", "connected", 1234567, 12, 0);
        write_agent(writer, "db-1.example.net", "connected", 98765, 0, 120);
        write_agent(writer, "<img src=x onerror=alert(1)>", "away", 4711, 700, 0);
    }
    ft_json_array_end(writer);
}

int main(int argc, char **argv)
{
    char address[64];
    empty = argc > 2;
    (void)snprintf(address, sizeof address, "127.0.0.1:%s", argc > 1 ? argv[1] : "8319");
    struct fake_reader fake = {.reader = {&fake_reader_ops}, .n_rows = empty ? 0 : 2000};
    struct ft_web_standard standard = {.program = "demo", .version = "0.1.0"};
    struct ft_live_hub *hub;
    struct ft_web *web;
    struct ft_flows_api *api;
    struct ft_diag diag;
    if (ft_live_hub_create(&clock_of_rows, 0, &hub) != FT_OK ||
        ft_web_create(&(struct ft_web_options){.address = address}, &web) != FT_OK ||
        ft_flows_api_create(web,
                            &(struct ft_flows_api_options){.reader = &fake.reader,
                                                           .hub = hub,
                                                           .clock = &clock_of_rows,
                                                           .agents = write_agents},
                            &api) != FT_OK ||
        ft_web_add_standard(web, &standard) != FT_OK || ft_web_add_ui(web) != FT_OK ||
        ft_web_start(web, &diag) != FT_OK) {
        return 1;
    }
    (void)printf("http://%s/\n", address);
    for (uint64_t seq = 2001;; seq++) {
        struct ft_row row;
        fake_row(seq, &row);
        if (!empty) {
            ft_live_publish(hub, &row);
        }
        (void)usleep(200000);
    }
}
