/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on a free loopback port whose handler does what the test sets, and a client of it.
 *
 * The handler answers every message with the same bytes, unless it is told otherwise.
 */
#ifndef FT_TESTS_UNIT_RPC_FIXTURE_H
#define FT_TESTS_UNIT_RPC_FIXTURE_H 1

#include <stdatomic.h>

#include "base/clock.h"
#include "base/stream.h"
#include "base/thread.h"
#include "lib/test.h"
#include "rpc/client.h"
#include "rpc/server.h"

#define GOOD_TOKEN "good.token"

struct peer {
    /* Set before start. */
    const char *token; /* NULL: everybody may. */
    bool silent;       /* No answers. */
    bool paused;       /* Every message waits for peer_resume(). */
    size_t flood;      /* After a message, so many messages of 'flood_size' bytes. */
    size_t flood_size;
    bool close_on_message;
    enum ft_rpc_status close_status;

    /* Any thread. */
    atomic_uint n_open;
    atomic_uint n_refused;
    atomic_uint n_messages;
    atomic_uint n_ended;
    atomic_uint n_closed;
    atomic_uint n_cancelled;
    atomic_uint n_full;
    atomic_size_t bytes;
    atomic_uint n_inside; /* Callbacks of the one session that run now. */
    atomic_bool overlapped;

    struct ft_mutex lock;
    struct ft_rpc_session *last; /* A reference to the newest session; guarded by 'lock'. */
    char last_certificate[4096];
    char last_peer[80];

    struct ft_rpc_method method;
    struct ft_rpc_server *server;
};

void peer_init(struct peer *peer);
/* Plaintext on 127.0.0.1, port 0, unless 'options' says otherwise (NULL: all defaults). */
void peer_start(struct peer *peer, const struct ft_rpc_server_options *options);
void peer_stop(struct peer *peer);
/* Drops the reference to the newest session. */
void peer_deinit(struct peer *peer);
void peer_resume(struct peer *peer);
/* The newest session, with a reference of its own; NULL when there is none. */
struct ft_rpc_session *peer_last(struct peer *peer);

/* "http://127.0.0.1:PORT", or https. Static storage. */
const char *peer_url(const struct peer *peer, bool tls);

/* A client in plaintext with the good token; 'options' may be NULL. */
struct ft_stream *client_start(const struct peer *peer, struct ft_rpc_client_options *options);

ft_err give_token(void *ctx, char *buf, size_t buf_size);

/* Polls until an event comes; fails the test when none comes within 'ms'. */
void next_event(struct ft_stream *stream, int ms, struct ft_stream_event *ret_event);
/* The same, and the event must be of this kind. */
void expect(struct ft_stream *stream, enum ft_stream_event_kind kind,
            struct ft_stream_event *ret_event);
void send_bytes(struct ft_stream *stream, const void *data, size_t size);
/* Sends a message and waits until it is sent and has come back, in whatever order. */
void exchange(struct ft_stream *stream, const void *data, size_t size);

/* Waits for at most five seconds until '*counter' is at least 'n'. */
bool reaches(atomic_uint *counter, unsigned n);

int64_t now_ns(void);

/* A CA and certificates made with the openssl command. Paths are static storage. */
struct certificates {
    char ca[128];
    char other_ca[128];
    char server[128];
    char server_key[128];
    char server2[128]; /* Of the other CA. */
    char server2_key[128];
    char client[128];
    char client_key[128];
};
const struct certificates *certificates_get(void);

#endif
