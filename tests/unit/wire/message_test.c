/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include "lib/test.h"

static struct ft_uuid uuid_of(uint8_t byte)
{
    struct ft_uuid uuid;
    memset(uuid.bytes, byte, sizeof uuid.bytes);
    return uuid;
}

static struct ft_msg_hello a_hello(void)
{
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = uuid_of(1),
                                 .instance_id = uuid_of(2),
                                 .oldest_seq = 5,
                                 .next_seq = 900,
                                 .started_ns = 77,
                                 .time_ns = 78,
                                 .has_collector_id = true,
                                 .collector_id = uuid_of(3),
                                 .host_name = "host",
                                 .agent_version = "0.1.0",
                                 .kernel_release = "6.1"};
    return hello;
}

TEST(hello_survives_the_round_trip)
{
    struct ft_msg_hello hello = a_hello();
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    CHECK_GOLDEN("wire/hello.bin", buf.data, buf.size);
    struct ft_request request;
    CHECK_OK(ft_request_decode(buf.data, buf.size, &request, NULL));
    CHECK_INT(request.kind, FT_REQUEST_HELLO);
    CHECK(ft_uuid_equal(&request.hello.agent_id, &hello.agent_id));
    CHECK(ft_uuid_equal(&request.hello.instance_id, &hello.instance_id));
    CHECK(request.hello.has_collector_id);
    CHECK_INT(request.hello.next_seq, 900);
    CHECK_STR(request.hello.host_name, "host");
    ft_request_clear(&request);
    ft_buf_deinit(&buf);
}

TEST(hello_out_of_order_or_with_short_ids_is_refused)
{
    struct ft_msg_hello hello = a_hello();
    hello.oldest_seq = 901;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    struct ft_request request;
    struct ft_diag diag;
    CHECK_ERR(ft_request_decode(buf.data, buf.size, &request, &diag), FT_E_PROTOCOL);
    CHECK_STR(diag.text, "Hello: oldest_seq and next_seq are out of order");
    static const uint8_t short_id[] = {0x0a, 0x05, 0x12, 0x03, 1, 2, 3};
    CHECK_ERR(ft_request_decode(short_id, sizeof short_id, &request, &diag), FT_E_PROTOCOL);
    CHECK_STR(diag.text, "agent_id has 3 bytes instead of 16");
    ft_buf_deinit(&buf);
}

TEST(a_batch_leaves_its_envelope_unchanged)
{
    static uint8_t body[70000];
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 31);
    }
    static const size_t sizes[] = {1, 127, 128, 16383, 16384, sizeof body};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
        ft_buf_add(&buf, head, ft_batch_head_encode(sizes[i], head));
        ft_buf_add(&buf, body, sizes[i]);
        struct ft_request request;
        CHECK_OK(ft_request_decode(buf.data, buf.size, &request, NULL));
        CHECK_INT(request.kind, FT_REQUEST_BATCH);
        CHECK_BYTES(request.batch.data, request.batch.size, body, sizes[i]);
        ft_request_clear(&request);
        ft_buf_deinit(&buf);
    }
}

TEST(status_survives_the_round_trip)
{
    struct ft_msg_status status = {.time_ns = 9,
                                   .observed_events = 100,
                                   .acknowledged_events = 60,
                                   .retained_events = 25,
                                   .merged_events = 5,
                                   .sealed_events = 95,
                                   .sent_events = 120,
                                   .capture_step = "full",
                                   .n_components = 2};
    status.lost[FT_LOSS_LOG_FULL] = 10;
    status.components[0] =
        (struct ft_msg_component){.name = "capture", .health = FT_HEALTH_OK, .text = "fine"};
    status.components[1] =
        (struct ft_msg_component){.name = "stream", .health = FT_HEALTH_FAILED, .text = "no route"};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_status_encode(&status, &buf));
    CHECK_GOLDEN("wire/status.bin", buf.data, buf.size);
    struct ft_request request;
    CHECK_OK(ft_request_decode(buf.data, buf.size, &request, NULL));
    CHECK_INT(request.kind, FT_REQUEST_STATUS);
    CHECK_INT(request.status.lost[FT_LOSS_LOG_FULL], 10);
    CHECK_INT(request.status.observed_events, 100);
    CHECK_INT(request.status.merged_events, 5);
    CHECK_INT(request.status.sealed_events, 95);
    CHECK_INT(request.status.sent_events, 120);
    CHECK_INT(request.status.n_components, 2);
    CHECK_STR(request.status.components[1].text, "no route");
    CHECK_INT(request.status.components[1].health, FT_HEALTH_FAILED);
    ft_buf_deinit(&buf);
}

TEST(garbage_is_refused_in_words)
{
    struct ft_request request;
    struct ft_diag diag;
    CHECK_ERR(ft_request_decode("", 0, &request, &diag), FT_E_PROTOCOL);
    CHECK_STR(diag.text, "ExportRequest without a known message");
    CHECK_ERR(ft_request_decode("\xff\xff\xff", 3, &request, &diag), FT_E_PROTOCOL);
    struct ft_response response;
    CHECK_ERR(ft_response_decode("\x0a\x7f", 2, &response, &diag), FT_E_PROTOCOL);
}

static void round_trip(const struct ft_response *response, const char *golden,
                       struct ft_response *ret_response)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_response_encode(response, &buf));
    CHECK_GOLDEN(golden, buf.data, buf.size);
    CHECK_OK(ft_response_decode(buf.data, buf.size, ret_response, NULL));
    CHECK_INT(ret_response->kind, response->kind);
    ft_buf_deinit(&buf);
}

TEST(responses_survive_the_round_trip)
{
    struct ft_response back;
    struct ft_response welcome = {.kind = FT_RESPONSE_WELCOME,
                                  .welcome = {.collector_id = uuid_of(4),
                                              .store_epoch = uuid_of(5),
                                              .durable_seq = 12,
                                              .window_bytes = 1 << 20,
                                              .message_bytes_max = 1 << 20,
                                              .status_interval_ms = 1000,
                                              .collector_version = "0.1.0"}};
    round_trip(&welcome, "wire/welcome.bin", &back);
    CHECK_INT(back.welcome.durable_seq, 12);
    struct ft_response ack = {
        .kind = FT_RESPONSE_ACK,
        .ack = {.durable_seq = 50,
                .n_rejected = 1,
                .rejected = {{.first_seq = 3, .last_seq = 4, .reason = "row 0: unknown type 77"}}}};
    round_trip(&ack, "wire/ack.bin", &back);
    CHECK_INT(back.ack.durable_seq, 50);
    CHECK_INT(back.ack.n_rejected, 1);
    CHECK_STR(back.ack.rejected[0].reason, "row 0: unknown type 77");
    struct ft_response slow_down = {.kind = FT_RESPONSE_SLOW_DOWN,
                                    .slow_down = {.window_bytes = 7, .pause_ms = 8}};
    round_trip(&slow_down, "wire/slow_down.bin", &back);
    CHECK_INT(back.slow_down.pause_ms, 8);
    struct ft_response go_away = {.kind = FT_RESPONSE_GO_AWAY,
                                  .go_away = {.retry_after_ms = 100, .reason = "maintenance"}};
    round_trip(&go_away, "wire/go_away.bin", &back);
    CHECK_STR(back.go_away.reason, "maintenance");
}

TEST(an_ack_with_ranges_that_make_no_sense_is_refused)
{
    static const struct ft_msg_ack acks[] = {
        {.durable_seq = 3, .n_rejected = 1, .rejected = {{.first_seq = 3, .last_seq = 4}}},
        {.durable_seq = 9, .n_rejected = 1, .rejected = {{.first_seq = 0, .last_seq = 4}}},
        {.durable_seq = 9, .n_rejected = 1, .rejected = {{.first_seq = 5, .last_seq = 4}}},
        {.durable_seq = 9, .n_rejected = 2, .rejected = {{1, 4, ""}, {4, 5, ""}}},
        {.durable_seq = 9, .n_rejected = 2, .rejected = {{1, 4, ""}, {1, 4, ""}}}};
    for (size_t i = 0; i < sizeof acks / sizeof acks[0]; i++) {
        struct ft_response ack = {.kind = FT_RESPONSE_ACK, .ack = acks[i]};
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        CHECK_OK(ft_response_encode(&ack, &buf));
        struct ft_response back;
        struct ft_diag diag;
        CHECK_ERR(ft_response_decode(buf.data, buf.size, &back, &diag), FT_E_PROTOCOL);
        ft_buf_deinit(&buf);
    }
}

TEST(receipts_travel_as_they_are)
{
    struct ft_response back;
    struct ft_response welcome = {.kind = FT_RESPONSE_WELCOME,
                                  .welcome = {.collector_id = uuid_of(4),
                                              .store_epoch = uuid_of(5),
                                              .durable_seq = 12,
                                              .receipt = {.size = FT_RECEIPT_SIGNATURE_SIZE},
                                              .has_receipt_key = true}};
    memset(welcome.welcome.receipt.bytes, 0x51, sizeof welcome.welcome.receipt.bytes);
    memset(welcome.welcome.receipt_key, 0x52, sizeof welcome.welcome.receipt_key);
    round_trip(&welcome, "wire/welcome_receipt.bin", &back);
    CHECK(back.welcome.has_receipt_key);
    CHECK_BYTES(back.welcome.receipt_key, 32, welcome.welcome.receipt_key, 32);
    CHECK_INT(back.welcome.receipt.size, 64);
    CHECK_BYTES(back.welcome.receipt.bytes, 64, welcome.welcome.receipt.bytes, 64);
    struct ft_response ack = {.kind = FT_RESPONSE_ACK,
                              .ack = {.durable_seq = 50,
                                      .has_store_epoch = true,
                                      .store_epoch = uuid_of(5),
                                      .receipt = {.size = 64}}};
    memset(ack.ack.receipt.bytes, 0x53, sizeof ack.ack.receipt.bytes);
    round_trip(&ack, "wire/ack_receipt.bin", &back);
    CHECK(back.ack.has_store_epoch && ft_uuid_equal(&back.ack.store_epoch, &ack.ack.store_epoch));
    CHECK_BYTES(back.ack.receipt.bytes, 64, ack.ack.receipt.bytes, 64);
    /* One of a wrong size is still a message; its size says that nobody signed it. */
    for (size_t size = 0; size < 64; size++) {
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        ack.ack.receipt.size = size;
        CHECK_OK(ft_response_encode(&ack, &buf));
        CHECK_OK(ft_response_decode(buf.data, buf.size, &back, NULL));
        CHECK_INT(back.ack.receipt.size, size);
        ft_buf_deinit(&buf);
    }
}

TEST(a_welcome_carries_what_was_lost)
{
    struct ft_response back;
    struct ft_response welcome = {.kind = FT_RESPONSE_WELCOME,
                                  .welcome = {.collector_id = uuid_of(4),
                                              .store_epoch = uuid_of(5),
                                              .durable_seq = 50,
                                              .n_lost = 2,
                                              .lost = {{3, 9}, {20, 20}}}};
    welcome.welcome.newest_seq = 31;
    welcome.welcome.newest_life = UINT64_C(0xfedcba9876543210);
    welcome.welcome.missing_events = 7;
    round_trip(&welcome, "wire/welcome_lost.bin", &back);
    CHECK_INT(back.welcome.newest_seq, 31);
    CHECK_INT(back.welcome.newest_life, UINT64_C(0xfedcba9876543210));
    CHECK_INT(back.welcome.missing_events, 7);
    CHECK_INT(back.welcome.n_lost, 2);
    CHECK_INT(back.welcome.lost[1].first_seq, 20);
    static const struct ft_msg_hole bad[][2] = {
        {{3, 9}, {9, 20}}, {{3, 9}, {1, 2}}, {{9, 3}, {10, 11}}, {{0, 3}, {10, 11}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memcpy(welcome.welcome.lost, bad[i], sizeof bad[i]);
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        CHECK_OK(ft_response_encode(&welcome, &buf));
        struct ft_diag diag;
        CHECK_ERR(ft_response_decode(buf.data, buf.size, &back, &diag), FT_E_PROTOCOL);
        ft_buf_deinit(&buf);
    }
}

TEST(a_hello_carries_challenge_and_witness)
{
    struct ft_msg_hello hello = a_hello();
    hello.has_challenge = true;
    memset(hello.challenge, 0x61, sizeof hello.challenge);
    hello.has_witness = true;
    memset(hello.witness, 0x62, sizeof hello.witness);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    CHECK_GOLDEN("wire/hello_witness.bin", buf.data, buf.size);
    struct ft_request request;
    CHECK_OK(ft_request_decode(buf.data, buf.size, &request, NULL));
    CHECK(request.hello.has_challenge && request.hello.has_witness);
    CHECK_BYTES(request.hello.challenge, 16, hello.challenge, 16);
    CHECK_BYTES(request.hello.witness, 204, hello.witness, 204);
    ft_request_clear(&request);
    ft_buf_deinit(&buf);
}

TEST(health_messages)
{
    char service[64];
    CHECK_OK(ft_health_request_decode("", 0, service, sizeof service));
    CHECK_STR(service, "");
    CHECK_OK(ft_health_request_decode("\x0a\x03"
                                      "abc",
                                      5, service, sizeof service));
    CHECK_STR(service, "abc");
    CHECK_ERR(ft_health_request_decode("\x0a\x7f", 2, service, sizeof service), FT_E_PROTOCOL);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_health_response_encode(FT_SERVING, &buf));
    CHECK_BYTES(buf.data, buf.size, "\x08\x01", 2);
    ft_buf_deinit(&buf);
}
