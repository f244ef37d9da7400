/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static enum ft_rpc_status on_open(void *ctx, struct ft_rpc_session *session,
                                  const struct ft_rpc_request *request, char *reterr_text)
{
    struct peer *peer = ctx;
    if (peer->token != NULL) {
        struct ft_rpc_token token;
        if (ft_rpc_request_get_token(request, &token) != FT_OK ||
            token.len != strlen(peer->token) || memcmp(token.text, peer->token, token.len) != 0) {
            atomic_fetch_add(&peer->n_refused, 1);
            (void)snprintf(reterr_text, FT_RPC_TEXT_SIZE, "not authenticated");
            return FT_RPC_UNAUTHENTICATED;
        }
    }
    ft_mutex_lock(&peer->lock);
    struct ft_rpc_session *before = peer->last;
    peer->last = ft_rpc_session_ref(session);
    const char *certificate = ft_rpc_request_get_certificate(request);
    (void)snprintf(peer->last_certificate, sizeof peer->last_certificate, "%s",
                   certificate != NULL ? certificate : "");
    (void)snprintf(peer->last_peer, sizeof peer->last_peer, "%s", ft_rpc_request_get_peer(request));
    ft_mutex_unlock(&peer->lock);
    ft_rpc_session_unref(before);
    ft_rpc_session_set_user(session, peer);
    atomic_fetch_add(&peer->n_open, 1);
    return FT_RPC_OK;
}

static bool on_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data, size_t size)
{
    struct peer *peer = ctx;
    if (atomic_fetch_add(&peer->n_inside, 1) != 0 && ft_rpc_session_get_user(session) != peer) {
        atomic_store(&peer->overlapped, true);
    }
    atomic_fetch_add(&peer->bytes, size);
    if (!peer->silent) {
        ft_err_ignore(ft_rpc_session_send(session, data, size), "the session may be over");
    }
    void *filler = peer->flood > 0 ? calloc(1, peer->flood_size) : NULL;
    for (size_t i = 0; filler != NULL && i < peer->flood; i++) {
        if (ft_rpc_session_send(session, filler, peer->flood_size) == FT_E_FULL) {
            atomic_fetch_add(&peer->n_full, 1);
        }
    }
    free(filler);
    if (peer->close_on_message) {
        ft_rpc_session_close(session, peer->close_status, "said \x01 so");
    }
    atomic_fetch_sub(&peer->n_inside, 1);
    atomic_fetch_add(&peer->n_messages, 1);
    return !peer->paused;
}

static void on_end(void *ctx, struct ft_rpc_session *session)
{
    struct peer *peer = ctx;
    atomic_fetch_add(&peer->n_ended, 1);
    ft_rpc_session_close(session, FT_RPC_OK, NULL);
}

static void on_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    struct peer *peer = ctx;
    (void)session;
    atomic_fetch_add(&peer->n_cancelled, end->cancelled ? 1 : 0);
    atomic_fetch_add(&peer->n_closed, 1);
}

static const struct ft_rpc_handler handler = {
    .on_open = on_open,
    .on_message = on_message,
    .on_end = on_end,
    .on_closed = on_closed,
};

void peer_init(struct peer *peer)
{
    memset(peer, 0, sizeof *peer);
    ft_mutex_init(&peer->lock);
    ft_rpc_init(NULL);
}

void peer_start(struct peer *peer, const struct ft_rpc_server_options *options)
{
    struct ft_rpc_server_options all =
        options != NULL ? *options : (struct ft_rpc_server_options){.plaintext = true};
    struct ft_diag diag = {.text = ""};
    all.listen = all.listen != NULL ? all.listen : "127.0.0.1:0";
    peer->method =
        (struct ft_rpc_method){.path = FT_RPC_EXPORT_METHOD, .handler = &handler, .ctx = peer};
    if (all.methods == NULL) {
        all.methods = &peer->method;
        all.n_methods = 1;
    }
    ft_err err = ft_rpc_server_start(&all, &peer->server, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "the server did not start: %s", diag.text);
    }
}

void peer_stop(struct peer *peer)
{
    ft_rpc_server_stop(peer->server, 0);
    peer->server = NULL;
}

void peer_deinit(struct peer *peer)
{
    peer_stop(peer);
    ft_rpc_session_unref(peer->last);
    ft_mutex_deinit(&peer->lock);
    ft_rpc_shutdown();
}

struct ft_rpc_session *peer_last(struct peer *peer)
{
    ft_mutex_lock(&peer->lock);
    struct ft_rpc_session *session = peer->last != NULL ? ft_rpc_session_ref(peer->last) : NULL;
    ft_mutex_unlock(&peer->lock);
    return session;
}

void peer_resume(struct peer *peer)
{
    struct ft_rpc_session *session = peer_last(peer);
    ft_rpc_session_resume(session);
    ft_rpc_session_unref(session);
}

const char *peer_url(const struct peer *peer, bool tls)
{
    static char url[64];
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u", tls ? "https" : "http",
                   (unsigned)ft_rpc_server_get_port(peer->server));
    return url;
}

ft_err give_token(void *ctx, char *buf, size_t buf_size)
{
    const char *token = ctx;
    (void)snprintf(buf, buf_size, "%s", token);
    return FT_OK;
}

struct ft_stream *client_start(const struct peer *peer, struct ft_rpc_client_options *options)
{
    struct ft_rpc_client_options all = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK};
    if (options != NULL) {
        all = *options;
    }
    if (all.url == NULL) {
        all.url = peer_url(peer, false);
    }
    if (all.token == NULL) {
        all.token = give_token;
        all.ctx = (void *)(uintptr_t)GOOD_TOKEN;
    }
    struct ft_stream *stream = NULL;
    struct ft_diag diag = {.text = ""};
    if (ft_rpc_client_create(&all, &stream, &diag) != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "no client: %s %s", diag.file, diag.text);
    }
    return stream;
}

void next_event(struct ft_stream *stream, int ms, struct ft_stream_event *ret_event)
{
    stream->ops->poll(stream, now_ns() + ms * FT_NS_PER_MS, ret_event);
}

void expect(struct ft_stream *stream, enum ft_stream_event_kind kind,
            struct ft_stream_event *ret_event)
{
    static const char *const names[] = {"nothing", "OPENED", "MESSAGE", "SENT", "CLOSED"};
    next_event(stream, 20000, ret_event);
    if (ret_event->kind != kind) {
        ft_test_fail(__FILE__, __LINE__, "expected %s, got %s (%s)", names[kind],
                     names[ret_event->kind], ret_event->text);
    }
}

void send_bytes(struct ft_stream *stream, const void *data, size_t size)
{
    struct ft_stream_parts parts = {.head = data, .head_size = size};
    CHECK_OK(stream->ops->send(stream, &parts));
}

void exchange(struct ft_stream *stream, const void *data, size_t size)
{
    bool sent = false;
    bool answered = false;
    send_bytes(stream, data, size);
    while (!sent || !answered) {
        struct ft_stream_event event;
        next_event(stream, 20000, &event);
        if (event.kind == FT_STREAM_SENT && !sent) {
            sent = true;
        } else if (event.kind == FT_STREAM_MESSAGE && !answered) {
            CHECK_BYTES(event.data, event.size, data, size);
            answered = true;
        } else {
            ft_test_fail(__FILE__, __LINE__, "event %d instead of an answer: %s", (int)event.kind,
                         event.text);
        }
    }
}

bool reaches(atomic_uint *counter, unsigned n)
{
    int64_t deadline = now_ns() + 5 * FT_NS_PER_S;
    while (atomic_load(counter) < n && now_ns() < deadline) {
        struct timespec moment = {.tv_nsec = 1000 * 1000};
        (void)nanosleep(&moment, NULL);
    }
    return atomic_load(counter) >= n;
}

int64_t now_ns(void) { return ft_clock_mono_ns(ft_clock_system()); }

static const char make_certificates[] =
    "set -e; cd \"$1\"; exec 2>/dev/null\n"
    "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "for ca in ca other; do\n"
    "  openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 2 -subj \"/CN=$ca\"\n"
    "done\n"
    "sign() {\n"
    "  openssl req $key -keyout $1.key -out $1.csr -subj \"/CN=$1\"\n"
    "  printf \"subjectAltName=$3\\n\" >$1.ext\n"
    "  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 2 "
    "-extfile $1.ext -out $1.pem\n"
    "}\n"
    "sign server ca 'DNS:collector.test,IP:127.0.0.1'\n"
    "sign server2 other 'DNS:collector.test,IP:127.0.0.1'\n"
    "sign client ca 'DNS:agent.test'\n";

const struct certificates *certificates_get(void)
{
    static struct certificates paths;
    if (paths.ca[0] != '\0') {
        return &paths;
    }
    const char *dir = ft_test_tmpdir();
    char script[160];
    char command[256];
    (void)snprintf(script, sizeof script, "%s/make.sh", dir);
    FILE *file = fopen(script, "we");
    CHECK(file != NULL);
    CHECK(fputs(make_certificates, file) >= 0);
    CHECK(fclose(file) == 0);
    (void)snprintf(command, sizeof command, "sh %s %s", script, dir);
    CHECK_INT(system(command), 0);
    const struct {
        char *path;
        const char *name;
    } names[] = {
        {paths.ca, "ca.pem"},           {paths.other_ca, "other.pem"},
        {paths.server, "server.pem"},   {paths.server_key, "server.key"},
        {paths.server2, "server2.pem"}, {paths.server2_key, "server2.key"},
        {paths.client, "client.pem"},   {paths.client_key, "client.key"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(names[i].path, sizeof paths.ca, "%s/%s", dir, names[i].name);
    }
    return &paths;
}
