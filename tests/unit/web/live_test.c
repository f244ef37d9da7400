/* SPDX-License-Identifier: Apache-2.0 */
#include "web/live.h"

#include "base/thread.h"
#include "fake_reader.h"
#include "http_client.h"
#include "web/flows_api.h"

struct fixture {
    struct ft_web *web;
    struct ft_live_hub *hub;
    struct ft_flows_api *api;
    struct ft_metrics *metrics;
    uint16_t port;
};

static void fixture_init(struct fixture *fixture, const struct ft_web_options *given,
                         unsigned rows_per_s_max)
{
    memset(fixture, 0, sizeof *fixture);
    struct ft_web_options options = *given;
    CHECK_OK(ft_metrics_create(0, &fixture->metrics));
    options.address = "127.0.0.1:0";
    options.metrics = fixture->metrics;
    options.metrics_prefix = "test";
    CHECK_OK(ft_live_hub_create(ft_clock_system(), rows_per_s_max, &fixture->hub));
    CHECK_OK(ft_web_create(&options, &fixture->web));
    CHECK_OK(ft_flows_api_create(
        fixture->web,
        &(struct ft_flows_api_options){.hub = fixture->hub, .clock = ft_clock_system()},
        &fixture->api));
    struct ft_diag diag;
    CHECK_OK(ft_web_start(fixture->web, &diag));
    fixture->port = ft_web_get_port(fixture->web);
}

static void fixture_deinit(struct fixture *fixture)
{
    ft_web_destroy(fixture->web);
    CHECK(!ft_live_is_wanted(fixture->hub));
    ft_flows_api_destroy(fixture->api);
    ft_live_hub_destroy(fixture->hub);
    ft_metrics_destroy(fixture->metrics);
}

static void wait_until_wanted(const struct fixture *fixture, bool wanted)
{
    for (int i = 0; i < CLIENT_WAIT_MS && ft_live_is_wanted(fixture->hub) != wanted; i++) {
        (void)usleep(1000);
    }
    CHECK(ft_live_is_wanted(fixture->hub) == wanted);
}

/* Subscribes and reads what comes before any row. */
static int subscribe(const struct fixture *fixture, const char *query)
{
    char request[256];
    (void)snprintf(request, sizeof request,
                   "GET /api/v1/live%s HTTP/1.1\r\nHost: localhost\r\n\r\n", query);
    int fd = client_connect(fixture->port);
    client_send(fd, request);
    struct ft_buf head;
    ft_buf_init(&head, 0);
    CHECK(client_read_until(fd, &head, "retry: 3000\n\n"));
    CHECK(strstr(ft_buf_str(&head), "200 OK") != NULL);
    CHECK(strstr(ft_buf_str(&head), "Content-Type: text/event-stream\r\n") != NULL);
    ft_buf_deinit(&head);
    return fd;
}

static void publish(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        struct ft_row row;
        fake_row(seq, &row);
        ft_live_publish(fixture->hub, &row);
    }
}

TEST(rows_arrive_as_events)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 0);
    CHECK(!ft_live_is_wanted(fixture.hub));
    publish(&fixture, 1, 1);
    int fd = subscribe(&fixture, "");
    wait_until_wanted(&fixture, true);
    struct ft_buf got;
    ft_buf_init(&got, 0);
    publish(&fixture, 2, 3);
    CHECK(client_read_until(fd, &got, "\"seq\":3,"));
    CHECK(client_read_until(fd, &got, "\n\n"));
    const char *text = ft_buf_str(&got);
    CHECK(strstr(text, "data: {\"time\":\"2026-11-21T09:00:00.000000002Z\"") != NULL);
    CHECK(strstr(text, "\"seq\":1,") == NULL);
    ft_buf_clear(&got);
    publish(&fixture, 4, 4);
    CHECK(client_read_until(fd, &got, "\"seq\":4,"));
    (void)close(fd);
    wait_until_wanted(&fixture, false);
    ft_buf_deinit(&got);
    fixture_deinit(&fixture);
}

TEST(filters_choose)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 0);
    int all = subscribe(&fixture, "");
    int dns = subscribe(&fixture, "?dst_port=53&not.type=loss");
    wait_until_wanted(&fixture, true);
    publish(&fixture, 1, 31);
    struct ft_buf got;
    ft_buf_init(&got, 0);
    CHECK(client_read_until(dns, &got, "\"seq\":27,"));
    CHECK(strstr(ft_buf_str(&got), "\"seq\":26,") == NULL);
    CHECK(strstr(ft_buf_str(&got), "\"dst_port\":443") == NULL);
    ft_buf_clear(&got);
    CHECK(client_read_until(all, &got, "\"seq\":31,"));
    CHECK(strstr(ft_buf_str(&got), "\"seq\":26,") != NULL);
    ft_buf_deinit(&got);
    (void)close(all);
    (void)close(dns);
    fixture_deinit(&fixture);
}

TEST(wrong_filters_are_refused)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 0);
    struct answer answer;
    client_get(fixture.port, "/api/v1/live?begin=-1h", &answer);
    CHECK_INT(answer.status, 400);
    CHECK(strstr(ft_buf_str(&answer.body), "\"parameter\":\"begin\"") != NULL);
    answer_deinit(&answer);
    client_request(fixture.port, "HEAD", "/api/v1/live", "", &answer);
    CHECK_INT(answer.status, 200);
    CHECK(answer.complete);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

/* Sums the numbers told as dropped and counts the rows. */
static void count(const char *text, uint64_t *ret_rows, uint64_t *ret_dropped)
{
    *ret_rows = 0;
    *ret_dropped = 0;
    for (const char *at = text; (at = strstr(at, "data: {\"")) != NULL; at++) {
        if (strncmp(at, "data: {\"count\":", 15) == 0) {
            *ret_dropped += strtoull(at + 15, NULL, 10);
        } else {
            (*ret_rows)++;
        }
    }
}

TEST(a_slow_client_loses_the_oldest_and_is_told)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 1000000);
    int fd = subscribe(&fixture, "");
    wait_until_wanted(&fixture, true);
    const uint64_t n = 40000; /* About 16 MB: far more than the queue and the kernel hold. */
    publish(&fixture, 1, n);
    struct ft_buf chunks;
    ft_buf_init(&chunks, 0);
    char last[32];
    (void)snprintf(last, sizeof last, "\"seq\":%u,", (unsigned)n);
    CHECK(client_read_until(fd, &chunks, last));
    (void)close(fd);
    /* Without the chunks' frames, which may cut a number in two. */
    struct answer answer = {0};
    ft_buf_init(&answer.body, 0);
    ft_buf_init(&answer.trailers, 0);
    answer_dechunk(&answer, ft_buf_str(&chunks), ft_buf_str(&chunks) + chunks.size);
    /* The last chunk may not be whole: look at what came up to there. */
    uint64_t rows;
    uint64_t dropped;
    count(ft_buf_str(&answer.body), &rows, &dropped);
    CHECK(dropped > 0);
    CHECK(strstr(ft_buf_str(&answer.body), "event: dropped\ndata: {\"count\":") != NULL);
    CHECK(rows + dropped <= n);
    CHECK(rows + dropped + 200 > n);
    ft_buf_deinit(&answer.body);
    ft_buf_deinit(&answer.trailers);
    ft_buf_deinit(&chunks);
    fixture_deinit(&fixture);
}

TEST(rows_past_the_rate_are_counted)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.heartbeat_ms = 20}, 10);
    int fd = subscribe(&fixture, "");
    wait_until_wanted(&fixture, true);
    publish(&fixture, 1, 100);
    struct ft_buf got;
    ft_buf_init(&got, 0);
    /* Silence follows: the heartbeat brings the number. */
    CHECK(client_read_until(fd, &got, "event: dropped"));
    CHECK(client_read_until(fd, &got, ": heartbeat\n\n"));
    uint64_t rows;
    uint64_t dropped;
    count(ft_buf_str(&got), &rows, &dropped);
    CHECK(dropped >= 70 && dropped <= 90);
    CHECK_INT(rows + dropped, 100);
    ft_buf_deinit(&got);
    (void)close(fd);
    fixture_deinit(&fixture);
}

TEST(silence_is_filled_with_heartbeats)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.heartbeat_ms = 20}, 0);
    int fd = subscribe(&fixture, "");
    struct ft_buf got;
    ft_buf_init(&got, 0);
    CHECK(client_read_until(fd, &got, ": heartbeat\n\n"));
    ft_buf_clear(&got);
    CHECK(client_read_until(fd, &got, ": heartbeat\n\n"));
    ft_buf_deinit(&got);
    (void)close(fd);
    fixture_deinit(&fixture);
}

TEST(streams_are_bounded)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.sse_clients_max = 2}, 0);
    int first = subscribe(&fixture, "");
    int second = subscribe(&fixture, "");
    struct answer answer;
    client_get(fixture.port, "/api/v1/live", &answer);
    CHECK_INT(answer.status, 503);
    CHECK(answer_header(&answer, "Retry-After") != NULL);
    answer_deinit(&answer);
    (void)close(first);
    (void)close(second);
    wait_until_wanted(&fixture, false);
    (void)close(subscribe(&fixture, ""));
    fixture_deinit(&fixture);
}

TEST(stopping_closes_streams)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 0);
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = subscribe(&fixture, "");
    }
    wait_until_wanted(&fixture, true);
    publish(&fixture, 1, 100);
    ft_web_stop(fixture.web);
    CHECK(!ft_live_is_wanted(fixture.hub));
    publish(&fixture, 1, 1);
    for (int i = 0; i < 8; i++) {
        (void)close(fds[i]);
    }
    fixture_deinit(&fixture);
}

struct publisher {
    struct fixture *fixture;
    atomic_bool stop;
};

static void keep_publishing(void *ctx)
{
    struct publisher *publisher = ctx;
    for (uint64_t seq = 1; !atomic_load(&publisher->stop); seq++) {
        publish(publisher->fixture, seq, seq);
        (void)usleep(50);
    }
}

TEST(clients_come_and_go_while_rows_are_published)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0}, 0);
    struct publisher publisher = {.fixture = &fixture};
    struct ft_thread thread = {0};
    CHECK_OK(ft_thread_start(&thread, "publisher", keep_publishing, &publisher));
    for (int i = 0; i < 30; i++) {
        int fd = subscribe(&fixture, i % 2 == 0 ? "" : "?dst_port=53");
        struct ft_buf got;
        ft_buf_init(&got, 0);
        CHECK(client_read_until(fd, &got, "\"seq\":"));
        ft_buf_deinit(&got);
        (void)close(fd);
    }
    int open = subscribe(&fixture, "");
    ft_web_stop(fixture.web);
    atomic_store(&publisher.stop, true);
    ft_thread_join(&thread);
    (void)close(open);
    fixture_deinit(&fixture);
}
