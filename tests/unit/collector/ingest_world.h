/* SPDX-License-Identifier: Apache-2.0 */
/* Ingest without a network: sessions are structs, the log is in memory, time stands still. */
#ifndef FT_TESTS_COLLECTOR_INGEST_WORLD_H
#define FT_TESTS_COLLECTOR_INGEST_WORLD_H 1

#include <stdio.h>
#include <stdlib.h>

#include "collector/ingest.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "wire/batch_builder.h"

struct peer {
    int n_refs;
    bool closed;
    enum ft_ingest_close why;
    char text[256];
    unsigned n_resumes;
    unsigned n_messages;
    struct ft_response last;
    struct ft_ingest_session *session;
};

struct world {
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_ingest *ingest;
    struct ft_disk *disk; /* Of the quarantine. */
    struct ft_quarantine *quarantine;
    struct peer peers[4];
    struct ft_random_seeded random;
    unsigned n_kept; /* Calls of keep_epoch. */
    ft_err keep_result;
    struct ft_uuid kept_epoch;
};

static inline bool peer_send(void *ctx, const void *data, size_t size)
{
    struct peer *peer = ctx;
    CHECK_OK(ft_response_decode(data, size, &peer->last, NULL));
    peer->n_messages++;
    return true;
}

static inline void peer_close(void *ctx, enum ft_ingest_close why, const char *text)
{
    struct peer *peer = ctx;
    peer->closed = true;
    peer->why = why;
    (void)snprintf(peer->text, sizeof peer->text, "%s", text);
}

static inline void peer_resume(void *ctx) { ((struct peer *)ctx)->n_resumes++; }
static inline void peer_ref(void *ctx) { ((struct peer *)ctx)->n_refs++; }
static inline void peer_unref(void *ctx) { ((struct peer *)ctx)->n_refs--; }

static const struct ft_ingest_peer_ops peer_ops = {.send = peer_send,
                                                   .close = peer_close,
                                                   .resume = peer_resume,
                                                   .ref = peer_ref,
                                                   .unref = peer_unref};

static const struct ft_uuid agent_id = {{1}};
static const struct ft_uuid instance_id = {{2}};
static const struct ft_uuid collector_id = {{3}};
static const struct ft_uuid store_epoch = {{4}};

static inline ft_err keep_epoch(void *ctx, const struct ft_uuid *epoch)
{
    struct world *world = ctx;
    world->n_kept++;
    world->kept_epoch = *epoch;
    return world->keep_result;
}

/* With 'signer' (NULL: none), which is borrowed. */
static inline void setup_signed(struct world *world, uint64_t log_bytes, uint64_t queue_bytes,
                                const struct ft_receipt_signer *signer)
{
    memset(world, 0, sizeof *world);
    ft_random_seeded_init(&world->random, 1);
    struct ft_log_options log = {.bytes_max = log_bytes, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    /* A reader that confirms nothing: the log fills up. */
    CHECK_OK(ft_instances_create(&world->instances));
    world->disk = ft_fault_disk_create(1);
    struct ft_quarantine_options quarantine = {
        .disk = world->disk, .clock = ft_clock_system(), .files_max = 10, .bytes_max = 1 << 24};
    CHECK_OK(ft_quarantine_open(&quarantine, &world->quarantine));
    struct ft_ingest_options options = {.collector_id = collector_id,
                                        .store_epoch = store_epoch,
                                        .signer = signer,
                                        .random = &world->random.base,
                                        .keep_epoch = keep_epoch,
                                        .keep_epoch_ctx = world,
                                        .version = "test",
                                        .queue_bytes_max = queue_bytes,
                                        .window_bytes = 1 << 20,
                                        .message_bytes_max = 1 << 20,
                                        .status_interval_ms = 1000,
                                        .clock = ft_clock_system(),
                                        .log = world->log,
                                        .instances = world->instances,
                                        .quarantine = world->quarantine,
                                        .peer_ops = &peer_ops};
    CHECK_OK(ft_ingest_create(&options, &world->ingest));
}

static inline void setup(struct world *world, uint64_t log_bytes, uint64_t queue_bytes)
{
    setup_signed(world, log_bytes, queue_bytes, NULL);
}

static inline void teardown(struct world *world)
{
    for (size_t i = 0; i < 4; i++) {
        if (world->peers[i].session != NULL) {
            ft_ingest_session_close(world->peers[i].session);
        }
        CHECK_INT(world->peers[i].n_refs, 0);
    }
    ft_ingest_destroy(world->ingest);
    ft_quarantine_destroy(world->quarantine);
    ft_disk_destroy(world->disk);
    ft_instances_destroy(world->instances);
    ft_log_destroy(world->log);
}

static inline struct ft_ingest_session *open_session(struct world *world, size_t number)
{
    struct ft_principal principal = {.name = "test"};
    struct peer *peer = &world->peers[number];
    CHECK_OK(
        ft_ingest_session_open(world->ingest, peer, "192.0.2.1:1", &principal, &peer->session));
    return peer->session;
}

/* As the test's agent, with the challenge and witness of 'given' (NULL: none). */
static inline bool say_hello_with(struct ft_ingest_session *session,
                                  const struct ft_msg_hello *given)
{
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = agent_id,
                                 .instance_id = instance_id,
                                 .oldest_seq = 1,
                                 .next_seq = 1};
    if (given != NULL && given->oldest_seq > 0) {
        hello.oldest_seq = given->oldest_seq;
        hello.next_seq = given->next_seq;
    }
    if (given != NULL) {
        hello.has_challenge = given->has_challenge;
        memcpy(hello.challenge, given->challenge, sizeof hello.challenge);
        hello.has_witness = given->has_witness;
        memcpy(hello.witness, given->witness, sizeof hello.witness);
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    bool go_on = ft_ingest_session_message(session, buf.data, buf.size);
    ft_buf_deinit(&buf);
    return go_on;
}

static inline bool say_hello(struct ft_ingest_session *session)
{
    return say_hello_with(session, NULL);
}

/* Events first..first+n-1, of a life; 'type' 77 breaks the rules. */
static inline bool send_batch_of(struct ft_ingest_session *session, const struct ft_uuid *instance,
                                 uint64_t first, unsigned n, uint8_t type, uint64_t life)
{
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(instance, &builder));
    ft_batch_builder_set_life(builder, life);
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.seq = first + i, .time_ns = 1, .type = type};
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    struct ft_buf body;
    struct ft_buf message;
    ft_buf_init(&body, 0);
    ft_buf_init(&message, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &body));
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
    ft_buf_add(&message, head, ft_batch_head_encode(body.size, head));
    ft_buf_add(&message, body.data, body.size);
    bool go_on = ft_ingest_session_message(session, message.data, message.size);
    ft_buf_deinit(&message);
    ft_buf_deinit(&body);
    ft_batch_builder_destroy(builder);
    return go_on;
}

static inline bool send_batch(struct ft_ingest_session *session, const struct ft_uuid *instance,
                              uint64_t first, unsigned n, uint8_t type)
{
    return send_batch_of(session, instance, first, n, type, 0);
}

static inline void commit(struct world *world) { CHECK_OK(ft_ingest_commit(world->ingest, 0)); }

static inline struct ft_instance known(struct world *world)
{
    struct ft_instance_key key = {agent_id, instance_id};
    struct ft_instance instance;
    CHECK(ft_instances_get(world->instances, &key, &instance));
    return instance;
}

#endif
