/* SPDX-License-Identifier: Apache-2.0 */
/* The server's bounds: each is reached, refused by its name, counted, and goes away again. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "rpc/unary.h"

static uint64_t rejected(const struct peer *peer, enum ft_rpc_reject reject)
{
    struct ft_rpc_server_stats stats;
    ft_rpc_server_get_stats(peer->server, &stats);
    return stats.rejected[reject];
}

/* Waits until the server has no session any more. */
static void drained(const struct peer *peer)
{
    struct ft_rpc_server_stats stats;
    int64_t deadline = now_ns() + 5 * FT_NS_PER_S;
    do {
        (void)usleep(1000);
        ft_rpc_server_get_stats(peer->server, &stats);
    } while (stats.sessions_open > 0 && now_ns() < deadline);
    CHECK_INT(stats.sessions_open, 0);
}

static void check_session_limit(const struct ft_rpc_server_options *options,
                                enum ft_rpc_reject reject, const char *text)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, options);
    struct ft_stream *streams[3];
    for (unsigned i = 0; i < 3; i++) {
        streams[i] = client_start(&peer, NULL);
        CHECK_OK(streams[i]->ops->open(streams[i]));
        expect(streams[i], i < 2 ? FT_STREAM_OPENED : FT_STREAM_CLOSED, &event);
    }
    CHECK_ERR(event.err, FT_E_FULL);
    CHECK_STR(event.text, text);
    CHECK_INT(rejected(&peer, reject), 1);
    streams[0]->ops->cancel(streams[0]);
    expect(streams[0], FT_STREAM_CLOSED, &event);
    CHECK(reaches(&peer.n_closed, 1));
    /* The books are closed right behind on_closed. */
    struct ft_rpc_server_stats stats;
    do {
        ft_rpc_server_get_stats(peer.server, &stats);
    } while (stats.sessions_open > 1);
    CHECK_OK(streams[2]->ops->open(streams[2]));
    expect(streams[2], FT_STREAM_OPENED, &event);
    for (unsigned i = 0; i < 3; i++) {
        streams[i]->ops->destroy(streams[i]);
    }
    drained(&peer);
    peer_deinit(&peer);
}

TEST(sessions_have_a_limit)
{
    struct ft_rpc_server_options options = {.plaintext = true, .sessions_max = 2};
    check_session_limit(&options, FT_RPC_REJECT_SESSIONS, "RESOURCE_EXHAUSTED: too many sessions");
}

TEST(an_address_has_a_limit_of_sessions)
{
    struct ft_rpc_server_options options = {.plaintext = true, .sessions_per_address_max = 2};
    check_session_limit(&options, FT_RPC_REJECT_ADDRESS,
                        "RESOURCE_EXHAUSTED: too many sessions of this address");
}

TEST(an_oversize_message_ends_the_call_and_nothing_else)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    struct ft_rpc_server_options options = {.plaintext = true, .message_bytes_max = 1000};
    peer_start(&peer, &options);
    struct ft_stream *good = client_start(&peer, NULL);
    struct ft_stream *bad = client_start(&peer, NULL);
    CHECK_OK(good->ops->open(good));
    expect(good, FT_STREAM_OPENED, &event);
    CHECK_OK(bad->ops->open(bad));
    expect(bad, FT_STREAM_OPENED, &event);
    char data[1001] = "";
    send_bytes(bad, data, sizeof data);
    do {
        next_event(bad, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_ERR(event.err, FT_E_FULL);
    CHECK_INT(peer.n_messages, 0);
    exchange(good, data, 1000);
    good->ops->destroy(good);
    bad->ops->destroy(bad);
    peer_deinit(&peer);
}

TEST(an_oversize_message_is_not_sent)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                            .message_send_bytes_max = 10};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    struct ft_stream_parts parts = {
        .head = "0123456", .head_size = 7, .body = "0123", .body_size = 4};
    CHECK_ERR(stream->ops->send(stream, &parts), FT_E_RANGE);
    parts.body_size = 3;
    CHECK_OK(stream->ops->send(stream, &parts));
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_MESSAGE);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(an_oversize_answer_closes_the_stream)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.flood = 1;
    peer.flood_size = 2000;
    peer.silent = true;
    peer_start(&peer, NULL);
    struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                            .message_receive_bytes_max = 1999};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    send_bytes(stream, "x", 1);
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_ERR(event.err, FT_E_FULL);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(a_session_without_a_first_message_is_closed)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    struct ft_rpc_server_options options = {.plaintext = true,
                                            .first_message_timeout_ns = 100 * FT_NS_PER_MS};
    peer_start(&peer, &options);
    struct ft_stream *silent = client_start(&peer, NULL);
    struct ft_stream *talking = client_start(&peer, NULL);
    CHECK_OK(talking->ops->open(talking));
    expect(talking, FT_STREAM_OPENED, &event);
    exchange(talking, "x", 1);
    CHECK_OK(silent->ops->open(silent));
    expect(silent, FT_STREAM_OPENED, &event);
    expect(silent, FT_STREAM_CLOSED, &event);
    CHECK_STR(event.text, "DEADLINE_EXCEEDED: no first message in time");
    CHECK_INT(rejected(&peer, FT_RPC_REJECT_SILENT), 1);
    next_event(talking, 150, &event);
    CHECK_INT(event.kind, FT_STREAM_NONE);
    silent->ops->destroy(silent);
    talking->ops->destroy(talking);
    peer_deinit(&peer);
}

TEST(a_paused_session_holds_the_sender_back)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.paused = true;
    peer.silent = true;
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    size_t size = (size_t)64 * 1024;
    char *data = calloc(1, size);
    CHECK(data != NULL);
    unsigned sent = 0;
    for (;;) {
        send_bytes(stream, data, size);
        next_event(stream, 200, &event);
        if (event.kind != FT_STREAM_SENT) {
            break;
        }
        sent++;
        CHECK(sent < 100);
    }
    /* One was delivered; what else left the client fills windows and buffers. */
    CHECK_INT(event.kind, FT_STREAM_NONE);
    CHECK_INT(peer.n_messages, 1);
    for (unsigned i = 2; i <= sent + 1; i++) {
        peer_resume(&peer);
        CHECK(reaches(&peer.n_messages, i));
    }
    CHECK_INT(peer.n_messages, sent + 1);
    expect(stream, FT_STREAM_SENT, &event);
    free(data);
    stream->ops->destroy(stream);
    CHECK(reaches(&peer.n_closed, 1));
    peer_deinit(&peer);
}

TEST(a_reader_that_does_not_read_fills_the_queue_and_nothing_else)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.flood = 100;
    peer.flood_size = (size_t)64 * 1024;
    peer.silent = true;
    struct ft_rpc_server_options options = {.plaintext = true, .linger_ns = 100 * FT_NS_PER_MS};
    peer_start(&peer, &options);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    send_bytes(stream, "x", 1);
    /* The client does not poll: nothing is read. */
    CHECK(reaches(&peer.n_messages, 1));
    CHECK(peer.n_full >= 100 - 70);
    struct ft_rpc_server_stats stats;
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK_INT(stats.send_full, peer.n_full);
    /* A status that nobody takes does not hold the session for ever. */
    struct ft_rpc_session *session = peer_last(&peer);
    ft_rpc_session_close(session, FT_RPC_ABORTED, "enough");
    CHECK(reaches(&peer.n_closed, 1));
    CHECK_INT(rejected(&peer, FT_RPC_REJECT_LINGER), 1);
    CHECK_ERR(ft_rpc_session_send(session, "x", 1), FT_E_CLOSED);
    ft_rpc_session_resume(session);
    ft_rpc_session_close(session, FT_RPC_OK, NULL);
    stream->ops->destroy(stream);
    /* A reference may outlive the server. */
    peer_deinit(&peer);
    CHECK_ERR(ft_rpc_session_send(session, "x", 1), FT_E_CLOSED);
    ft_rpc_session_close(session, FT_RPC_OK, NULL);
    ft_rpc_session_resume(session);
    ft_rpc_session_unref(session);
}

TEST(what_is_queued_travels_before_the_status)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.flood = 50;
    peer.flood_size = 1000;
    peer.close_on_message = true;
    peer.close_status = FT_RPC_OK;
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    send_bytes(stream, "x", 1);
    unsigned n = 0;
    do {
        next_event(stream, 5000, &event);
        n += event.kind == FT_STREAM_MESSAGE ? 1 : 0;
    } while (event.kind == FT_STREAM_MESSAGE || event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_ERR(event.err, FT_E_CLOSED);
    CHECK_INT(n, 51);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(an_unknown_method_is_unimplemented)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                            .method = "/flowtrail.v1.Ingest/Exports"};
    struct ft_stream *stream = client_start(&peer, &options);
    for (unsigned i = 0; i < 30; i++) {
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_CLOSED, &event);
        CHECK_ERR(event.err, FT_E_UNSUPPORTED);
    }
    CHECK_INT(rejected(&peer, FT_RPC_REJECT_METHOD), 30);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

static enum ft_rpc_status double_it(void *ctx, const uint8_t *data, size_t size,
                                    struct ft_buf *ret_reply, char *reterr_text)
{
    (void)ctx;
    if (size == 0) {
        (void)snprintf(reterr_text, FT_RPC_TEXT_SIZE, "nothing to double");
        return FT_RPC_INVALID_ARGUMENT;
    }
    ft_buf_add(ret_reply, data, size);
    ft_buf_add(ret_reply, data, size);
    return FT_RPC_OK;
}

TEST(a_unary_method_answers_once)
{
    struct peer peer;
    struct ft_stream_event event;
    struct ft_rpc_unary unary = {.call = double_it};
    struct ft_rpc_method method = {
        .path = "/test.Math/Double", .handler = &ft_rpc_unary_handler, .ctx = &unary};
    struct ft_rpc_server_options server = {.plaintext = true, .methods = &method, .n_methods = 1};
    peer_init(&peer);
    peer_start(&peer, &server);
    struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                            .method = "/test.Math/Double"};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    send_bytes(stream, "ab", 2);
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_MESSAGE);
    CHECK_BYTES(event.data, event.size, "abab", 4);
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_STR(event.text, "OK: ");
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    send_bytes(stream, NULL, 0);
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_STR(event.text, "INVALID_ARGUMENT: nothing to double");
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(stop_gives_open_sessions_their_grace)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    int64_t begun = now_ns();
    ft_rpc_server_stop(peer.server, 100 * FT_NS_PER_MS);
    peer.server = NULL;
    CHECK(now_ns() - begun >= 90 * FT_NS_PER_MS);
    CHECK_INT(peer.n_closed, 1);
    CHECK_INT(peer.n_cancelled, 1);
    expect(stream, FT_STREAM_CLOSED, &event);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

struct sender {
    struct peer *peer;
    struct ft_thread thread;
    unsigned n_sent;
};

static void send_from_outside(void *ctx)
{
    struct sender *sender = ctx;
    struct ft_rpc_session *session = peer_last(sender->peer);
    for (unsigned i = 0; i < 200; i++) {
        if (ft_rpc_session_send(session, "from outside", 12) == FT_OK) {
            sender->n_sent++;
        }
    }
    ft_rpc_session_unref(session);
}

TEST(any_thread_may_send)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    struct ft_rpc_server_options options = {.plaintext = true, .send_queue_messages_max = 2000};
    peer_start(&peer, &options);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    struct sender senders[3] = {{.peer = &peer}, {.peer = &peer}, {.peer = &peer}};
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(ft_thread_start(&senders[i].thread, "sender", send_from_outside, &senders[i]));
    }
    for (unsigned i = 0; i < 600; i++) {
        expect(stream, FT_STREAM_MESSAGE, &event);
    }
    for (unsigned i = 0; i < 3; i++) {
        ft_thread_join(&senders[i].thread);
        CHECK_INT(senders[i].n_sent, 200);
    }
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(options_that_cannot_work_are_refused)
{
    struct ft_rpc_server *server = NULL;
    struct ft_diag diag;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_server_options options = {
        .listen = "127.0.0.1:0", .methods = &peer.method, .n_methods = 1};
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    CHECK(strstr(diag.text, "plaintext") != NULL);
    options.plaintext = true;
    options.n_methods = 0;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    options.n_methods = 1;
    options.n_threads = 1000;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    options.n_threads = 2;
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   (unsigned)ft_rpc_server_get_port(peer.server));
    options.listen = address;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), ft_err_from_errno(EADDRINUSE));
    CHECK(strstr(diag.text, address) != NULL);
    options.listen = "nonsense";
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_SYNTAX);
    struct ft_rpc_method twice[2] = {peer.method, peer.method};
    options.listen = "127.0.0.1:0";
    options.methods = twice;
    options.n_methods = 2;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    peer_deinit(&peer);
}
