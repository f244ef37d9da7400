/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The web server without memory: an answer is right and whole, or it is an error, or the connection
 * ends; and the next request finds the server as it was.
 */
#include "../web/fake_reader.h"
#include "../web/http_client.h"
#include "base/thread.h"
#include "lib/alloc_fail.h"
#include "web/flow_params.h"
#include "web/flows_api.h"
#include "web/live.h"
#include "web/standard.h"

#define ROWS 300

static const char *const paths[] = {"/api/v1/flows?limit=250&begin=0",
                                    "/api/v1/flows?begin=0&dst_port=443&addr=10.0.0.0/8",
                                    "/api/v1/flows?begin=0&format=csv&limit=1000",
                                    "/api/v1/flows?begin=0&format=ndjson&limit=1000",
                                    "/api/v1/top?begin=0&by=src_addr",
                                    "/api/v1/nothing",
                                    "/"};
#define PATHS (sizeof paths / sizeof paths[0])

struct fixture {
    struct fake_reader fake;
    struct ft_metrics *metrics;
    struct ft_live_hub *hub;
    struct ft_web *web;
    struct ft_flows_api *api;
    struct ft_web_standard standard;
};

/* Answers say of what time they are. */
static int64_t fixed_real(const struct ft_clock *clock)
{
    (void)clock;
    return FAKE_TIME + 1800 * FT_NS_PER_S;
}

static int64_t system_mono(const struct ft_clock *clock)
{
    (void)clock;
    return ft_clock_mono_ns(ft_clock_system());
}

static const struct ft_clock fixed_clock = {.mono_ns = system_mono, .real_ns = fixed_real};

/* What each path gives with memory for all. */
static struct answer expected[PATHS];
static bool expected_known;

static ft_err fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->fake.reader.ops = &fake_reader_ops;
    fixture->fake.n_rows = ROWS;
    FT_TRY(ft_metrics_create(0, &fixture->metrics));
    FT_TRY(ft_live_hub_create(ft_clock_system(), 0, &fixture->hub));
    struct ft_web_options options = {.address = "127.0.0.1:0",
                                     .hosts = (const char *const[]){"host.example"},
                                     .n_hosts = 1,
                                     .metrics = fixture->metrics,
                                     .metrics_prefix = "test",
                                     .threads = 1,
                                     .workers = 1};
    FT_TRY(ft_web_create(&options, &fixture->web));
    struct ft_flows_api_options api = {.reader = &fixture->fake.reader,
                                       .hub = fixture->hub,
                                       .clock = &fixed_clock,
                                       .metrics = fixture->metrics,
                                       .metrics_prefix = "test"};
    FT_TRY(ft_flows_api_create(fixture->web, &api, &fixture->api));
    fixture->standard =
        (struct ft_web_standard){.program = "test", .version = "1", .metrics = fixture->metrics};
    FT_TRY(ft_web_add_standard(fixture->web, &fixture->standard));
    struct ft_diag diag = {0};
    ft_err err = ft_web_start(fixture->web, &diag);
    CHECK(err == FT_OK || diag.text[0] != '\0');
    return err;
}

static void fixture_deinit(struct fixture *fixture)
{
    ft_web_destroy(fixture->web);
    ft_flows_api_destroy(fixture->api);
    ft_live_hub_destroy(fixture->hub);
    ft_metrics_destroy(fixture->metrics);
}

/* True when it was the right answer. */
static bool ask(const struct fixture *fixture, size_t i)
{
    struct answer answer;
    ft_alloc_fail_pause();
    client_get(ft_web_get_port(fixture->web), paths[i], &answer);
    bool right = answer.status < 500 && answer.complete;
    if (!expected_known) {
        CHECK(right);
        expected[i] = answer;
    } else if (right) {
        CHECK_INT(answer.status, expected[i].status);
        /* There may be no memory for the words of a refusal. */
        if (answer.status < 400 || answer.body.size > 0) {
            CHECK_BYTES(answer.body.data, answer.body.size, expected[i].body.data,
                        expected[i].body.size);
        }
    }
    if (expected_known) {
        answer_deinit(&answer);
    }
    ft_alloc_fail_resume();
    return right;
}

/* Rows that are published while somebody watches come, or are counted as left out. */
static void watch(struct fixture *fixture)
{
    ft_alloc_fail_pause();
    struct ft_buf got;
    ft_buf_init(&got, 0);
    int fd = client_connect(ft_web_get_port(fixture->web));
    client_send(fd, "GET /api/v1/live?protocol=tcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
    bool open = client_read_until(fd, &got, "\n\n");
    ft_alloc_fail_resume();
    for (uint64_t seq = 1; seq <= 20; seq++) {
        struct ft_row row;
        fake_row(seq, &row);
        ft_live_publish(fixture->hub, &row);
    }
    ft_alloc_fail_pause();
    if (open && !ft_alloc_fail_happened()) {
        CHECK(client_read_until(fd, &got, "data: {"));
    }
    (void)close(fd);
    ft_buf_deinit(&got);
    ft_alloc_fail_resume();
}

static ft_err server(void *ctx)
{
    (void)ctx;
    struct fixture fixture;
    ft_err err = fixture_init(&fixture);
    if (err == FT_OK) {
        for (size_t i = 0; i < PATHS; i++) {
            (void)ask(&fixture, i);
        }
        expected_known = true;
        watch(&fixture);
        ft_alloc_fail_relent();
        for (size_t i = 0; i < PATHS; i++) {
            CHECK(ask(&fixture, i));
        }
    }
    fixture_deinit(&fixture);
    return err;
}

/* libmicrohttpd says what it could not start by an errno of its own. */
static bool server_says_so(ft_err err) { return err != FT_OK; }

TEST(server_without_memory)
{
    struct ft_alloc_scenario scenario = {
        .name = "web server", .run = server, .says_so = server_says_so, .library_frees = true};
    ft_alloc_fail_each(&scenario);
    for (size_t i = 0; i < PATHS; i++) {
        answer_deinit(&expected[i]);
    }
}

/* A refusal for want of memory must not pass for a request that is wrong. */
static ft_err params(void *ctx)
{
    (void)ctx;
    struct ft_web_params parsed;
    struct ft_flow_params flow;
    struct ft_diag diag = {0};
    struct ft_web_refusal refusal = {0};
    FT_TRY(ft_web_params_parse("by=src_addr,dst_port&dst_port=443,53&addr=10.0.0.0%2f8&limit=7",
                               &parsed, &diag));
    ft_err err = ft_flow_params_parse(&parsed, FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_GROUP,
                                      FT_NS_PER_S, &flow, &refusal);
    ft_web_params_deinit(&parsed);
    FT_TRY(err);
    CHECK_INT(flow.query.n_filters, 2);
    CHECK_INT(flow.group.n_columns, 2);
    ft_query_deinit(&flow.query);
    return FT_OK;
}

TEST(parameters_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "parameters", .run = params};
    ft_alloc_fail_each(&scenario);
}
