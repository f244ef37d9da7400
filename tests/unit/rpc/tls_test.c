/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed, and who is not: TLS between the client and the server. */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

static struct ft_rpc_server_options server_options(void)
{
    const struct certificates *files = certificates_get();
    return (struct ft_rpc_server_options){.certificate_path = files->server,
                                          .key_path = files->server_key};
}

/* Opens a stream with 'options' and gives the event that answers. */
static void try_open(const struct peer *peer, struct ft_rpc_client_options *options,
                     struct ft_stream_event *ret_event)
{
    options->url = options->url != NULL ? options->url : peer_url(peer, true);
    struct ft_stream *stream = client_start(peer, options);
    CHECK_OK(stream->ops->open(stream));
    next_event(stream, 20000, ret_event);
    if (ret_event->kind == FT_STREAM_OPENED) {
        exchange(stream, "x", 1);
    }
    stream->ops->destroy(stream);
}

static void check_refused(const struct peer *peer, struct ft_rpc_client_options *options)
{
    struct ft_stream_event event;
    try_open(peer, options, &event);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_ERR(event.err, FT_E_TLS);
    CHECK(strstr(event.text, "UNAVAILABLE: ") == event.text);
}

static void check_taken(const struct peer *peer, struct ft_rpc_client_options *options)
{
    struct ft_stream_event event;
    try_open(peer, options, &event);
    if (event.kind != FT_STREAM_OPENED) {
        ft_test_fail(__FILE__, __LINE__, "not opened: %s", event.text);
    }
}

static void copy_file(const char *from, const char *to)
{
    char command[600];
    (void)snprintf(command, sizeof command, "cp %s %s", from, to);
    CHECK_INT(system(command), 0);
}

TEST(the_right_ca_and_the_right_name_are_believed)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    struct peer peer;
    peer_init(&peer);
    peer.token = GOOD_TOKEN;
    peer_start(&peer, &options);
    struct ft_rpc_client_options by_address = {.ca_path = files->ca};
    check_taken(&peer, &by_address);
    struct ft_rpc_client_options by_name = {.ca_path = files->ca, .server_name = "collector.test"};
    check_taken(&peer, &by_name);
    CHECK_INT(peer.n_open, 2);
    CHECK_STR(peer.last_certificate, "");
    peer_deinit(&peer);
}

TEST(a_wrong_ca_or_name_is_not_believed_and_gets_no_token)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options wrong_ca = {.ca_path = files->other_ca};
    check_refused(&peer, &wrong_ca);
    struct ft_rpc_client_options wrong_name = {.ca_path = files->ca, .server_name = "other.test"};
    check_refused(&peer, &wrong_name);
    /* Of the system's roots none has signed a test's certificate. */
    struct ft_rpc_client_options no_ca = {.ca_path = NULL};
    check_refused(&peer, &no_ca);
    CHECK_INT(peer.n_open, 0);
    CHECK_INT(peer.n_refused, 0);
    peer_deinit(&peer);
}

static bool refuse_peer(void *ctx, const char *server_name, const char *certificate_pem)
{
    char *seen = ctx;
    (void)snprintf(seen, 200, "%s %.27s", server_name, certificate_pem);
    return false;
}

TEST(a_certificate_that_is_not_pinned_is_not_believed)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    struct peer peer;
    char seen[200] = "";
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options pinned = {
        .ca_path = files->ca, .verify_peer = refuse_peer, .token = give_token, .ctx = seen};
    (void)snprintf(seen, sizeof seen, "token");
    check_refused(&peer, &pinned);
    CHECK_STR(seen, "127.0.0.1 -----BEGIN CERTIFICATE-----");
    peer_deinit(&peer);
}

TEST(plaintext_and_tls_do_not_meet)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    struct ft_stream_event event;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options plain = {.url = peer_url(&peer, false),
                                          .plaintext = FT_RPC_PLAINTEXT_LOOPBACK};
    try_open(&peer, &plain, &event);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_INT(peer.n_open, 0);
    peer_deinit(&peer);

    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_client_options tls = {.ca_path = files->ca};
    check_refused(&peer, &tls);
    peer_deinit(&peer);
}

TEST(plaintext_needs_to_be_asked_for)
{
    struct ft_stream *stream = NULL;
    struct ft_diag diag;
    ft_rpc_init(NULL);
    struct ft_rpc_client_options options = {.url = "http://127.0.0.1:4317"};
    CHECK_ERR(ft_rpc_client_create(&options, &stream, &diag), FT_E_RANGE);
    CHECK(strstr(diag.text, "in the clear") != NULL);
    options.url = "http://192.0.2.1:4317";
    options.plaintext = FT_RPC_PLAINTEXT_LOOPBACK;
    CHECK_ERR(ft_rpc_client_create(&options, &stream, &diag), FT_E_RANGE);
    CHECK(stream == NULL);
    ft_rpc_shutdown();
}

TEST(a_required_client_certificate_is_required)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    options.client_ca_path = files->ca;
    options.client_cert = FT_RPC_CLIENT_CERT_REQUIRED;
    struct ft_stream_event event;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options without = {.ca_path = files->ca};
    try_open(&peer, &without, &event);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK(event.err == FT_E_TLS || event.err == FT_E_UNREACHABLE);
    struct ft_rpc_client_options foreign = {
        .ca_path = files->ca, .certificate_path = files->server2, .key_path = files->server2_key};
    try_open(&peer, &foreign, &event);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_INT(peer.n_open, 0);
    struct ft_rpc_client_options good = {
        .ca_path = files->ca, .certificate_path = files->client, .key_path = files->client_key};
    check_taken(&peer, &good);
    CHECK(strstr(peer.last_certificate, "-----BEGIN CERTIFICATE-----") == peer.last_certificate);
    peer_deinit(&peer);
}

TEST(an_optional_client_certificate_is_verified_when_there_is_one)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    options.client_ca_path = files->ca;
    options.client_cert = FT_RPC_CLIENT_CERT_OPTIONAL;
    struct ft_stream_event event;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options without = {.ca_path = files->ca};
    check_taken(&peer, &without);
    CHECK_STR(peer.last_certificate, "");
    struct ft_rpc_client_options foreign = {
        .ca_path = files->ca, .certificate_path = files->server2, .key_path = files->server2_key};
    try_open(&peer, &foreign, &event);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    peer_deinit(&peer);
}

TEST(a_reloaded_certificate_is_used_for_new_connections)
{
    const struct certificates *files = certificates_get();
    const char *dir = ft_test_tmpdir();
    char live[128];
    char live_key[128];
    (void)snprintf(live, sizeof live, "%s/live.pem", dir);
    (void)snprintf(live_key, sizeof live_key, "%s/live.key", dir);
    copy_file(files->server, live);
    copy_file(files->server_key, live_key);
    struct ft_rpc_server_options options = {.certificate_path = live, .key_path = live_key};
    struct ft_rpc_client_options old_ca = {.ca_path = files->ca};
    struct ft_rpc_client_options new_ca = {.ca_path = files->other_ca};
    struct ft_rpc_server_stats stats;
    struct ft_diag diag;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    check_taken(&peer, &old_ca);
    struct ft_stream *open_stream = client_start(&peer, &old_ca);
    struct ft_stream_event event;
    CHECK_OK(open_stream->ops->open(open_stream));
    expect(open_stream, FT_STREAM_OPENED, &event);

    /* Half of the renewal: the key does not fit yet. */
    copy_file(files->server2, live);
    CHECK_ERR(ft_rpc_server_reload(peer.server, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.file, live);
    check_taken(&peer, &old_ca);
    copy_file(files->server2_key, live_key);
    CHECK_OK(ft_rpc_server_reload(peer.server, &diag));
    check_taken(&peer, &new_ca);
    check_refused(&peer, &old_ca);
    /* What was open stays. */
    exchange(open_stream, "x", 1);
    open_stream->ops->destroy(open_stream);

    CHECK_INT(remove(live), 0);
    CHECK_ERR(ft_rpc_server_reload(peer.server, &diag), ft_err_from_errno(ENOENT));
    check_taken(&peer, &new_ca);
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK_INT(stats.reloads, 1);
    CHECK_INT(stats.reload_failures, 2);
    peer_deinit(&peer);
}

TEST(a_renewed_ca_file_is_used_at_the_next_open)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = server_options();
    char ca[128];
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", ft_test_tmpdir());
    copy_file(files->other_ca, ca);
    struct ft_stream_event event;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    struct ft_rpc_client_options client = {.url = peer_url(&peer, true), .ca_path = ca};
    struct ft_stream *stream = client_start(&peer, &client);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_CLOSED, &event);
    CHECK_ERR(event.err, FT_E_TLS);
    copy_file(files->ca, ca);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    stream->ops->cancel(stream);
    expect(stream, FT_STREAM_CLOSED, &event);
    CHECK_INT(remove(ca), 0);
    CHECK_ERR(stream->ops->open(stream), ft_err_from_errno(ENOENT));
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(files_that_are_none_are_named)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server *server = NULL;
    struct ft_stream *stream = NULL;
    struct ft_diag diag;
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_client_options client = {.url = "https://127.0.0.1:1", .ca_path = "/nowhere"};
    CHECK_ERR(ft_rpc_client_create(&client, &stream, &diag), ft_err_from_errno(ENOENT));
    CHECK_STR(diag.file, "/nowhere");
    client.ca_path = "/dev/null";
    CHECK_ERR(ft_rpc_client_create(&client, &stream, &diag), FT_E_SYNTAX);
    client.ca_path = files->ca;
    client.key_path = files->client_key;
    CHECK_ERR(ft_rpc_client_create(&client, &stream, &diag), FT_E_RANGE);
    struct ft_rpc_server_options options = {.listen = "127.0.0.1:0",
                                            .methods = &peer.method,
                                            .n_methods = 1,
                                            .certificate_path = files->server,
                                            .key_path = files->server2_key};
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_SYNTAX);
    options.key_path = NULL;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    options.key_path = files->server_key;
    options.client_cert = FT_RPC_CLIENT_CERT_REQUIRED;
    CHECK_ERR(ft_rpc_server_start(&options, &server, &diag), FT_E_RANGE);
    peer_deinit(&peer);
}

static int handshake(const struct peer *peer, const char *version)
{
    char command[600];
    (void)snprintf(
        command, sizeof command,
        "openssl s_client -connect 127.0.0.1:%u -CAfile %s -verify_return_error -alpn h2 "
        "-%s </dev/null >/dev/null 2>&1",
        (unsigned)ft_rpc_server_get_port(peer->server), certificates_get()->ca, version);
    return system(command);
}

TEST(only_tls_1_3_is_spoken)
{
    struct ft_rpc_server_options options = server_options();
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    CHECK_INT(handshake(&peer, "tls1_3"), 0);
    CHECK(handshake(&peer, "tls1_2") != 0);
    CHECK(handshake(&peer, "tls1_1") != 0);
    peer_deinit(&peer);
}
