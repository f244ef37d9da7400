/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/ledger: each side's numbers, whether they add up, and which instances are asked for. */
#include "collector/ledger_api.h"

#include <stdio.h>

#include "lib/test.h"
#include "json/reader.h"

struct world {
    struct ft_instances *instances;
    struct ft_buf out;
    struct ft_json_doc *doc;
};

static void setup(struct world *world)
{
    memset(world, 0, sizeof *world);
    CHECK_OK(ft_instances_create(&world->instances));
    ft_buf_init(&world->out, 0);
}

static void teardown(struct world *world)
{
    ft_json_doc_destroy(world->doc);
    ft_buf_deinit(&world->out);
    ft_instances_destroy(world->instances);
}

static struct ft_instance_key key_of(uint32_t agent, uint8_t instance)
{
    struct ft_instance_key key = {{{0}}, {{instance}}};
    for (unsigned i = 0; i < 4; i++) {
        key.agent_id.bytes[i] = (uint8_t)(agent >> (24 - 8 * i));
    }
    return key;
}

struct made {
    const char *host_name;
    uint64_t observed; /* 0: it has not said anything. */
    uint64_t here;     /* Stored, of those that it believes here. */
};

/* 100 acknowledged, 90 stored, 4 in quarantine, 3 damaged, 3 on their way, 7 rejected, 2 missing.
 */
static void make(void *ctx, struct ft_instance *instance)
{
    const struct made *made = ctx;
    (void)snprintf(instance->host_name, sizeof instance->host_name, "%s", made->host_name);
    (void)snprintf(instance->principal, sizeof instance->principal, "token-1");
    instance->connected = made->observed > 0;
    instance->last_heard_ns = 1700000000 * FT_NS_PER_S;
    instance->received_events = 130;
    instance->duplicate_events = 21;
    instance->appended_events = made->here + 10;
    instance->stored_events = made->here;
    instance->quarantined_events = 4;
    instance->damaged_events = 3;
    instance->rejected_events = 7;
    instance->missing_events = 2;
    instance->appended_seq = made->here + 19;
    instance->stored_seq = instance->appended_seq - 3;
    instance->lost_events[FT_LOSS_LOG_FULL] = 1;
    if (made->observed > 0) {
        struct ft_msg_status status = {.time_ns = 1700000001 * FT_NS_PER_S,
                                       .observed_events = made->observed,
                                       .filtered_events = 11,
                                       .merged_events = 5,
                                       .sealed_events = 140,
                                       .sent_events = 135,
                                       .acknowledged_events = 100,
                                       .retained_events = 30};
        status.lost[FT_LOSS_LOG_FULL] = 2;
        status.lost[FT_LOSS_REJECTED] = 7;
        ft_instance_take_status(instance, &status);
    }
}

static void add(struct world *world, uint32_t agent, uint8_t instance, struct made made)
{
    struct ft_instance_key key = key_of(agent, instance);
    CHECK_OK(ft_instances_with(world->instances, &key, make, &made));
}

static const struct ft_json_value *ask(struct world *world, struct ft_flows_ledger_query query)
{
    struct ft_json_writer writer;
    struct ft_diag diag;
    ft_buf_clear(&world->out);
    ft_json_doc_destroy(world->doc);
    world->doc = NULL;
    ft_json_writer_init(&writer, &world->out);
    query.limit = query.limit == 0 ? FT_FLOWS_LEDGER_LIMIT_MAX : query.limit;
    CHECK_OK(ft_ledger_api_write(&writer, world->instances, 1700000002 * FT_NS_PER_S, &query));
    CHECK(ft_json_is_done(&writer));
    CHECK_OK(ft_json_parse(ft_buf_str(&world->out), world->out.size, "", &world->doc, &diag));
    return ft_json_doc_get_root(world->doc);
}

static const struct ft_json_value *row(const struct ft_json_value *root, size_t i)
{
    return ft_json_at(ft_json_get(root, "ledger"), i);
}

/* 'T'rue, 'F'alse, or '0' for null. */
static char balanced(const struct ft_json_value *object)
{
    bool set;
    if (ft_json_as_bool(ft_json_get(object, "balanced"), &set)) {
        return set ? 'T' : 'F';
    }
    CHECK(ft_json_get(object, "balanced") != NULL);
    return '0';
}

#define CHECK_SAYS(world, what) CHECK(strstr(ft_buf_str(&(world)->out), what) != NULL)
#define SAID                                                                                       \
    "\"agent\":{\"told\":\"2023-11-14T22:13:21.000Z\",\"observed\":144,\"filtered\":11,"           \
    "\"merged\":5,\"sealed\":140,\"sent\":135,\"acknowledged\":100,\"retained\":30,\"lost\":9,"    \
    "\"lost_by_cause\":{\"LOG_FULL\":2,\"REJECTED\":7}}"
#define HAD                                                                                        \
    "\"collector\":{\"received\":130,\"duplicate\":21,\"numbered\":109,\"rejected\":7,"            \
    "\"missing\":2,\"taken\":100,\"stored\":90,\"quarantined\":4,\"damaged\":3,\"vanished\":0,"    \
    "\"waiting\":3,"                                                                               \
    "\"lost\":1,\"lost_by_cause\":{\"LOG_FULL\":1}}"
#define TOGETHER                                                                                   \
    "\"account\":{\"observed\":144,\"stored\":93,\"quarantined\":4,\"damaged\":3,"                 \
    "\"retained\":30,\"merged\":5,\"lost\":9,\"lost_by_cause\":{\"LOG_FULL\":2,\"REJECTED\":7},"   \
    "\"unaccounted\":0}"

TEST(both_sides_of_an_instance)
{
    struct world world;
    setup(&world);
    add(&world, 1, 9, (struct made){"web-1", 144, 90});
    CHECK_INT(balanced(ask(&world, (struct ft_flows_ledger_query){0})), 'T');
    CHECK_SAYS(&world, "{\"time\":\"2023-11-14T22:13:22.000Z\",\"balanced\":true,\"total\":"
                       "{\"instances\":1,\"unbalanced\":0,\"unknown\":0,\"agent\":{\"observed\":"
                       "144,");
    CHECK_SAYS(&world,
               "\"ledger\":[{\"agent_id\":\"00000001-0000-0000-0000-000000000000\","
               "\"instance_id\":\"09000000-0000-0000-0000-000000000000\",\"host_name\":\"web-1\","
               "\"token\":\"token-1\",\"state\":\"connected\","
               "\"last_seen\":\"2023-11-14T22:13:20.000Z\"," SAID "," HAD "," TOGETHER
               ",\"balanced\":true}]}");
    teardown(&world);
}

TEST(false_wins_over_null_and_null_over_true)
{
    struct world world;
    setup(&world);
    const struct ft_json_value *root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_INT(balanced(root), '0');
    CHECK_INT(ft_json_size(ft_json_get(root, "ledger")), 0);
    add(&world, 1, 1, (struct made){"web-1", 144, 90});
    add(&world, 2, 1, (struct made){"web-2", 0, 90});
    root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_INT(balanced(root), '0');
    CHECK_INT(balanced(row(root, 0)), 'T');
    CHECK_INT(balanced(row(root, 1)), '0');
    CHECK(ft_json_get(row(root, 1), "agent") == NULL);
    CHECK_SAYS(&world, "\"balanced\":null,\"why\":\"the agent has not told its account yet\"");
    add(&world, 3, 1, (struct made){"web-3", 144, 84});
    root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_INT(balanced(root), 'F');
    CHECK_INT(balanced(row(root, 2)), 'F');
    CHECK_SAYS(&world, "\"instances\":3,\"unbalanced\":1,\"unknown\":1,");
    CHECK_SAYS(&world,
               "\"balanced\":false,\"why\":\"events that the agent believes here and are not: "
               "6\"");
    CHECK_SAYS(&world, "\"unaccounted\":6}");
    teardown(&world);
}

static void leave(void *ctx, struct ft_instance *instance)
{
    const int64_t *connected_ns = ctx;
    instance->connected = false;
    instance->connected_ns = *connected_ns;
}

static void come(void *ctx, struct ft_instance *instance)
{
    leave(ctx, instance);
    instance->connected = true;
}

static void change(struct world *world, uint32_t agent, uint8_t instance, int64_t connected_ns,
                   ft_instance_fn *fn)
{
    struct ft_instance_key key = key_of(agent, instance);
    CHECK_OK(ft_instances_with(world->instances, &key, fn, &connected_ns));
}

static void has_delivered_all(void *ctx, struct ft_instance *instance)
{
    (void)ctx;
    instance->told.observed_events -= instance->told.retained_events;
    instance->told.retained_events = 0;
}

static const char *state(const struct ft_json_value *root, size_t i)
{
    const char *text = "";
    CHECK(ft_json_as_str(ft_json_get(row(root, i), "state"), &text));
    return text;
}

TEST(what_an_ended_instance_retained_is_not_known)
{
    struct world world;
    setup(&world);
    add(&world, 1, 5, (struct made){"web-1", 144, 90});
    add(&world, 2, 1, (struct made){"web-2", 144, 90});
    change(&world, 1, 5, 100, leave);
    const struct ft_json_value *root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_STR(state(root, 0), "away");
    CHECK_INT(balanced(root), 'T');
    add(&world, 1, 2, (struct made){"web-1", 144, 90});
    change(&world, 1, 2, 50, leave);
    root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_STR(state(root, 0), "ended"); /* By time, not by id. */
    CHECK_STR(state(root, 1), "away");
    change(&world, 1, 2, 200, come);
    root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_STR(state(root, 0), "connected");
    CHECK_STR(state(root, 1), "ended");
    CHECK_STR(state(root, 2), "connected");
    CHECK_INT(balanced(row(root, 0)), 'T');
    CHECK_INT(balanced(row(root, 1)), '0');
    CHECK_INT(balanced(root), '0');
    CHECK_SAYS(&world, "\"unknown\":1,");
    CHECK_SAYS(&world, "\"why\":\"the agent came back as another instance, and did not say what "
                       "became of the events that this one retained: 30\"");
    change(&world, 1, 5, 100, has_delivered_all);
    root = ask(&world, (struct ft_flows_ledger_query){0});
    CHECK_STR(state(root, 1), "ended");
    CHECK_INT(balanced(root), 'T');
    teardown(&world);
}

static size_t count(struct world *world, const char *a, const char *b)
{
    struct ft_flows_ledger_query query = {.n_agents = b != NULL ? 2 : 1, .agents = {a, b}};
    const struct ft_json_value *root = ask(world, query);
    uint64_t n = 0;
    CHECK(ft_json_as_u64(ft_json_get(ft_json_get(root, "total"), "instances"), &n));
    CHECK_INT(ft_json_size(ft_json_get(root, "ledger")), n);
    return n;
}

TEST(by_agent)
{
    struct world world;
    setup(&world);
    add(&world, 1, 1, (struct made){"web-1", 144, 90});
    add(&world, 1, 2, (struct made){"web-1", 144, 90});
    add(&world, 2, 1, (struct made){"web-10", 144, 90});
    add(&world, 3, 1, (struct made){"db-1", 144, 90});
    add(&world, 4, 1, (struct made){"", 144, 90});
    CHECK_INT(count(&world, "web-1", NULL), 2);
    CHECK_INT(count(&world, "web-*", NULL), 3);
    CHECK_INT(count(&world, "*", NULL), 5);
    CHECK_INT(count(&world, "web", NULL), 0);
    CHECK_INT(count(&world, "web-10", "db-1"), 2);
    CHECK_INT(count(&world, "00000001-0000-0000-0000-000000000000", "web-*"), 3);
    CHECK_INT(count(&world, "00000004-0000-0000-0000-000000000000", NULL), 1);
    CHECK_INT(count(&world, "00000005-0000-0000-0000-000000000000", NULL), 0);
    teardown(&world);
}

TEST(pages_have_each_instance_once_and_the_total_of_all)
{
    struct world world;
    setup(&world);
    for (uint32_t i = 0; i < 100; i++) {
        add(&world, i % 40, (uint8_t)(i / 40), (struct made){"web", 144, 90});
    }
    struct ft_flows_ledger_query query = {.limit = 7};
    size_t n = 0;
    struct ft_instance_key last = {{{0}}, {{0}}};
    for (;;) {
        const struct ft_json_value *root = ask(&world, query);
        CHECK_SAYS(&world, "\"total\":{\"instances\":100,");
        for (size_t i = 0; i < ft_json_size(ft_json_get(root, "ledger")); i++) {
            struct ft_instance_key key;
            const char *text = "";
            CHECK(ft_json_as_str(ft_json_get(row(root, i), "agent_id"), &text));
            CHECK_OK(ft_uuid_parse(text, &key.agent_id));
            CHECK(ft_json_as_str(ft_json_get(row(root, i), "instance_id"), &text));
            CHECK_OK(ft_uuid_parse(text, &key.instance_id));
            CHECK(n == 0 || memcmp(&key, &last, sizeof key) > 0);
            last = key;
            n++;
        }
        const char *next = NULL;
        if (!ft_json_as_str(ft_json_get(root, "next"), &next)) {
            break;
        }
        char expected[2 * FT_UUID_TEXT_SIZE];
        ft_uuid_format(&last.agent_id, expected);
        expected[FT_UUID_TEXT_SIZE - 1] = '/';
        ft_uuid_format(&last.instance_id, expected + FT_UUID_TEXT_SIZE);
        CHECK_STR(next, expected);
        query.has_after = true;
        query.after_agent = last.agent_id;
        query.after_instance = last.instance_id;
    }
    CHECK_INT(n, 100);
    teardown(&world);
}
