/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and unpacking without memory: no half message, and never taken for a broken one. */
#include "lib/alloc_fail.h"
#include "lib/random_event.h"
#include "lib/test.h"
#include "wire/batch_builder.h"
#include "wire/batch_reader.h"
#include "wire/message.h"

#define EVENTS 200

static ft_err build(struct ft_buf *buf)
{
    static const struct ft_uuid instance = {{1}};
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 7);
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    FT_TRY(ft_batch_builder_create(&instance, &builder));
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct ft_event event;
        ft_random_event(&random.base, 1000 + i, &event);
        FT_TRY(ft_batch_builder_add(builder, &event));
    }
    ft_err err = ft_batch_builder_seal(builder, buf);
    CHECK_INT(ft_batch_builder_count(builder), 0);
    return err;
}

static ft_err unpack(const struct ft_buf *buf)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    struct ft_diag diag = {0};
    uint64_t first_seq;
    uint32_t n_events;
    FT_TRY(ft_batch_peek(buf->data, buf->size, &first_seq, &n_events));
    CHECK(first_seq == 1000 && n_events == EVENTS);
    FT_TRY(ft_batch_reader_open(buf->data, buf->size, &reader, &diag));
    struct ft_event event;
    for (uint32_t i = 0; i < EVENTS; i++) {
        CHECK(ft_batch_reader_next(reader, &event));
        CHECK_INT(event.seq, 1000 + i);
    }
    return FT_OK;
}

static ft_err batch(void *ctx)
{
    (void)ctx;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_err err = build(&buf);
    if (err == FT_OK) {
        err = unpack(&buf);
    }
    ft_buf_deinit(&buf);
    return err;
}

TEST(batch_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "batch", .run = batch};
    ft_alloc_fail_each(&scenario);
}

static ft_err requests(void *ctx)
{
    (void)ctx;
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .oldest_seq = 5,
                                 .next_seq = 900,
                                 .has_collector_id = true,
                                 .host_name = "host",
                                 .agent_version = "0.1.0",
                                 .kernel_release = "6.1"};
    hello.agent_id.bytes[0] = 1;
    hello.instance_id.bytes[0] = 2;
    struct ft_msg_status status = {
        .observed_events = 7,
        .n_components = 2,
        .components = {{"a", FT_HEALTH_OK, "x"}, {"b", FT_HEALTH_FAILED, "y"}}};
    status.lost[FT_LOSS_REJECTED] = 3;
    struct ft_request request;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_err err = ft_hello_encode(&hello, &buf);
    if (err == FT_OK && (err = ft_request_decode(buf.data, buf.size, &request, NULL)) == FT_OK) {
        CHECK_STR(request.hello.host_name, "host");
        ft_request_clear(&request);
    }
    ft_buf_clear(&buf);
    if (err == FT_OK) {
        err = ft_status_encode(&status, &buf);
    }
    if (err == FT_OK && (err = ft_request_decode(buf.data, buf.size, &request, NULL)) == FT_OK) {
        CHECK_INT(request.status.n_components, 2);
        CHECK_STR(request.status.components[1].text, "y");
        ft_request_clear(&request);
    }
    ft_buf_deinit(&buf);
    return err;
}

TEST(requests_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "requests", .run = requests};
    ft_alloc_fail_each(&scenario);
}

static ft_err responses(void *ctx)
{
    (void)ctx;
    struct ft_response sent[] = {
        {.kind = FT_RESPONSE_WELCOME, .welcome = {.window_bytes = 5, .collector_version = "1"}},
        {.kind = FT_RESPONSE_ACK,
         .ack = {.durable_seq = 9,
                 .n_rejected = 2,
                 .rejected = {{1, 2, "first"}, {4, 5, "second"}}}},
        {.kind = FT_RESPONSE_SLOW_DOWN, .slow_down = {.pause_ms = 3}},
        {.kind = FT_RESPONSE_GO_AWAY, .go_away = {.reason = "later"}}};
    sent[0].welcome.collector_id.bytes[0] = 1;
    sent[0].welcome.store_epoch.bytes[0] = 2;
    ft_err err = FT_OK;
    for (size_t i = 0; i < sizeof sent / sizeof sent[0] && err == FT_OK; i++) {
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        err = ft_response_encode(&sent[i], &buf);
        struct ft_response got;
        if (err == FT_OK) {
            err = ft_response_decode(buf.data, buf.size, &got, NULL);
        }
        CHECK(err != FT_OK || got.kind == sent[i].kind);
        CHECK(err != FT_OK || got.kind != FT_RESPONSE_ACK ||
              strcmp(got.ack.rejected[1].reason, "second") == 0);
        ft_buf_deinit(&buf);
    }
    return err;
}

TEST(responses_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "responses", .run = responses};
    ft_alloc_fail_each(&scenario);
}

static ft_err health(void *ctx)
{
    (void)ctx;
    char service[64];
    static const char asked[] = "\x0a\x04name";
    FT_TRY(ft_health_request_decode(asked, sizeof asked - 1, service, sizeof service));
    CHECK_STR(service, "name");
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_err err = ft_health_response_encode(FT_SERVING, &buf);
    ft_buf_deinit(&buf);
    return err;
}

TEST(health_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "health", .run = health};
    ft_alloc_fail_each(&scenario);
}
