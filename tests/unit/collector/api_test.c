/* SPDX-License-Identifier: Apache-2.0 */
/* What the collector says of itself: an account that does not balance is a failure with a name. */
#include "collector/api.h"

#include <stdio.h>

#include "base/buf.h"
#include "lib/fault_disk.h"
#include "lib/test.h"

struct world {
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_disk *disk;
    struct ft_quarantine *quarantine;
    struct ft_ingest_stats ingest;
    struct ft_sinker_stats sinker;
    struct ft_buf out;
};

static void setup(struct world *world)
{
    memset(world, 0, sizeof *world);
    struct ft_log_options log = {.bytes_max = 1 << 20};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    CHECK_OK(ft_instances_create(&world->instances));
    world->disk = ft_fault_disk_create(1);
    struct ft_quarantine_options quarantine = {
        .disk = world->disk, .clock = ft_clock_system(), .files_max = 10, .bytes_max = 1 << 20};
    CHECK_OK(ft_quarantine_open(&quarantine, &world->quarantine));
    ft_buf_init(&world->out, 0);
}

static void teardown(struct world *world)
{
    ft_buf_deinit(&world->out);
    ft_quarantine_destroy(world->quarantine);
    ft_disk_destroy(world->disk);
    ft_instances_destroy(world->instances);
    ft_log_destroy(world->log);
}

struct made {
    const char *host_name;
    uint64_t observed;
    uint64_t acknowledged;
    uint64_t retained;
    uint64_t here;
};

static void make(void *ctx, struct ft_instance *instance)
{
    const struct made *made = ctx;
    struct ft_msg_status status = {.observed_events = made->observed,
                                   .acknowledged_events = made->acknowledged,
                                   .retained_events = made->retained,
                                   .n_components = 1};
    (void)snprintf(status.components[0].name, sizeof status.components[0].name, "capture");
    (void)snprintf(instance->host_name, sizeof instance->host_name, "%s", made->host_name);
    instance->connected = true;
    instance->last_heard_ns = FT_NS_PER_S;
    instance->appended_events = instance->stored_events = made->here;
    instance->appended_seq = instance->stored_seq = made->here;
    ft_instance_take_status(instance, &status);
}

static void add(struct world *world, uint8_t number, struct made made)
{
    struct ft_instance_key key = {{{number}}, {{number}}};
    CHECK_OK(ft_instances_with(world->instances, &key, make, &made));
}

static const char *say(struct world *world,
                       void (*write)(struct ft_json_writer *, const struct ft_collector_view *))
{
    struct ft_collector_view view = {.host_name = "here",
                                     .now_ns = 2 * FT_NS_PER_S,
                                     .ingest_listen = "[::]:4319",
                                     .instances = world->instances,
                                     .ingest = &world->ingest,
                                     .sinker = &world->sinker,
                                     .log = world->log,
                                     .quarantine = world->quarantine,
                                     .store_error = "",
                                     .ingest_error = ""};
    struct ft_json_writer writer;
    ft_buf_clear(&world->out);
    ft_json_writer_init(&writer, &world->out);
    write(&writer, &view);
    return ft_buf_str(&world->out);
}

#define CHECK_SAYS(text, what) CHECK(strstr(text, what) != NULL)

TEST(accounts_that_balance_are_no_component)
{
    struct world world;
    setup(&world);
    add(&world, 1, (struct made){"web-1", 100, 60, 40, 60});
    add(&world, 2, (struct made){"web-2", 10, 5, 5, 8});
    const char *status = say(&world, ft_collector_write_status);
    CHECK_SAYS(status,
               "\"account\":{\"observed\":110,\"stored\":68,\"quarantined\":0,\"damaged\":0,"
               "\"retained\":42,\"merged\":0,\"lost\":0,\"lost_by_cause\":{},\"unaccounted\":0,"
               "\"balanced\":true}");
    CHECK(strstr(status, "\"name\":\"account\"") == NULL);
    CHECK_SAYS(status, "2 of 2 agents connected, 0 silent");
    teardown(&world);
}

TEST(an_account_that_does_not_balance_fails_and_names_the_agent)
{
    struct world world;
    setup(&world);
    add(&world, 1, (struct made){"web-1", 100, 60, 40, 60});
    add(&world, 2, (struct made){"web-2", 110, 60, 50, 53});
    const char *status = say(&world, ft_collector_write_status);
    CHECK_SAYS(status,
               "\"observed\":210,\"stored\":113,\"quarantined\":0,\"damaged\":0,\"retained\":90,");
    CHECK_SAYS(status, "\"unaccounted\":7,\"balanced\":false");
    CHECK_SAYS(status, "{\"name\":\"account\",\"health\":\"failed\",\"text\":\"accounts that "
                       "do not balance: 1, events unaccounted for: 7\"}");
    CHECK_SAYS(status, "web-2, instance 02000000-0000-0000-0000-000000000000: events that "
                       "the agent believes here and are not: 7");
    CHECK(strstr(status, "web-1") == NULL);
    const char *agents = say(&world, ft_collector_write_agents);
    CHECK_SAYS(agents, "\"unaccounted\":7,\"balanced\":false");
    CHECK_SAYS(agents, "\"unaccounted\":0,\"balanced\":true");
    CHECK_SAYS(agents, "\"components\":[{\"name\":\"capture\"");
    teardown(&world);
}

TEST(of_many_that_do_not_balance_some_are_named_and_all_counted)
{
    struct world world;
    setup(&world);
    for (uint8_t i = 1; i <= 30; i++) {
        add(&world, i, (struct made){"web", 10, 10, 0, 9});
    }
    const char *status = say(&world, ft_collector_write_status);
    CHECK_SAYS(status, "accounts that do not balance: 30, events unaccounted for: 30");
    size_t n = 0;
    for (const char *at = status; (at = strstr(at, "web, instance")) != NULL; at++) {
        n++;
    }
    CHECK_INT(n, 8);
    teardown(&world);
}

TEST(what_is_in_quarantine_degrades_the_status_and_is_listed)
{
    struct world world;
    setup(&world);
    CHECK(strstr(say(&world, ft_collector_write_status), "\"name\":\"quarantine\"") == NULL);
    CHECK_STR(say(&world, ft_collector_write_quarantine), "[]");
    struct ft_quarantine_entry entry = {.agent_id = {{1}},
                                        .instance_id = {{2}},
                                        .first_seq = 11,
                                        .n_events = 5,
                                        .time_ns = FT_NS_PER_S,
                                        .position = 3,
                                        .reason = "storing flows: Constraint Error"};
    CHECK_OK(ft_quarantine_put_poison(world.quarantine, &entry, "bytes", 5));
    CHECK_SAYS(say(&world, ft_collector_write_status),
               "{\"name\":\"quarantine\",\"health\":\"degraded\",\"text\":\"1 blocks, 0 KiB, ");
    CHECK_STR(say(&world, ft_collector_write_quarantine),
              "[{\"kind\":\"poison\",\"file\":\"poison-0000000000000001\","
              "\"time\":\"1970-01-01T00:00:01.000Z\","
              "\"reason\":\"storing flows: Constraint Error\","
              "\"agent_id\":\"01000000-0000-0000-0000-000000000000\","
              "\"instance_id\":\"02000000-0000-0000-0000-000000000000\","
              "\"events\":5,\"first_seq\":11,\"last_seq\":15,\"bytes\":5}]");
    teardown(&world);
}
