/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ingest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/thread.h"
#include "collector/account_watch.h"
#include "collector/commit_queue.h"
#include "collector/flow_control.h"
#include "collector/ingest_impl.h"
#include "wire/batch_reader.h"

static bool on_hello(struct ft_ingest_session *session, const struct ft_msg_hello *hello);
static bool send_welcome(struct ft_ingest_session *session, const struct ft_msg_welcome *told);
static void register_session(struct ft_ingest_session *session);
static bool on_batch(struct ft_ingest_session *session, struct ft_request *request);
static bool push(struct ft_ingest_session *session, struct ft_commit_item *item);
static bool reject_batch(struct ft_ingest_session *session, struct ft_request *request,
                         const struct ft_diag *diag);
static bool on_status(struct ft_ingest_session *session, const struct ft_msg_status *status);
static void complain(struct ft_ingest_session *session, const char *host_name,
                     const struct ft_discrepancy *discrepancy);
static bool refuse(struct ft_ingest_session *session, enum ft_ingest_close why, const char *text);

ft_err ft_ingest_create(const struct ft_ingest_options *options, struct ft_ingest **ret_ingest)
{
    struct ft_ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ingest->options = *options;
    if (options->random == NULL) {
        ingest->options.random = ft_random_system();
    }
    ft_mutex_init(&ingest->lock);
    ft_mutex_lock(&ingest->lock);
    ingest->store_epoch = options->store_epoch;
    ft_mutex_unlock(&ingest->lock);
    struct ft_commit_queue_options queue = {.bytes_max = options->queue_bytes_max,
                                            .agent_events_per_s = options->agent_events_per_s,
                                            .agent_bytes_per_s = options->agent_bytes_per_s};
    ft_commit_queue_init(&ingest->queue, &queue);
    ft_admission_init(&ingest->admission, options->queue_bytes_max, options->window_bytes);
    *ret_ingest = ingest;
    return FT_OK;
}

void ft_ingest_destroy(struct ft_ingest *ingest)
{
    if (ingest != NULL) {
        /* After a sync that failed their acks are still due. */
        while (ingest->due != NULL) {
            struct ft_ingest_session *session = ingest->due;
            ingest->due = session->next_due;
            ft_ingest_session_unref(session);
        }
        ft_flow_deinit(ingest);
        ft_admission_deinit(&ingest->admission);
        ft_commit_queue_deinit(&ingest->queue);
        ft_mutex_deinit(&ingest->lock);
        free(ingest);
    }
}

ft_err ft_ingest_session_open(struct ft_ingest *ingest, void *peer, const char *address,
                              const struct ft_principal *principal,
                              struct ft_ingest_session **ret_session)
{
    struct ft_ingest_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    session->ingest = ingest;
    session->peer = peer;
    session->principal = *principal;
    (void)snprintf(session->address, sizeof session->address, "%s", address);
    atomic_init(&session->n_refs, 1);
    ingest->options.peer_ops->ref(peer);
    *ret_session = session;
    return FT_OK;
}

bool ft_ingest_session_message(struct ft_ingest_session *session, const void *data, size_t size)
{
    struct ft_ingest *ingest = session->ingest;
    if (session->refused) {
        return false; /* It was on its way when the session ended. */
    }
    struct ft_request request;
    struct ft_diag diag = {0};
    ft_err err = ft_request_decode(data, size, &request, &diag);
    if (err == ft_err_from_errno(ENOMEM)) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, diag.text);
    }
    if (err != FT_OK) {
        ingest->stats.malformed_messages++;
        return refuse(session, FT_INGEST_CLOSE_PROTOCOL, diag.text);
    }
    if ((request.kind == FT_REQUEST_HELLO) == session->greeted) {
        ft_request_clear(&request);
        ingest->stats.malformed_messages++;
        return refuse(session, FT_INGEST_CLOSE_PROTOCOL, "Hello comes first, and only once");
    }
    bool go_on = true;
    switch (request.kind) {
    case FT_REQUEST_HELLO:
        go_on = on_hello(session, &request.hello);
        break;
    case FT_REQUEST_BATCH:
        go_on = on_batch(session, &request);
        break;
    case FT_REQUEST_STATUS:
        go_on = on_status(session, &request.status);
        break;
    case FT_REQUEST_OTHER:
        break;
    }
    ft_request_clear(&request);
    return go_on;
}

static void mark_gone(void *ctx, struct ft_instance *instance)
{
    struct ft_ingest_session *session = ctx;
    /* A newer session may have taken the instance over. */
    if (!session->superseded) {
        instance->connected = false;
        ft_instance_drop_components(instance);
        instance->last_heard_ns = ft_clock_real_ns(session->ingest->options.clock);
    }
}

void ft_ingest_session_close(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    if (session->greeted) {
        ft_mutex_lock(&ingest->lock);
        for (struct ft_ingest_session **at = &ingest->sessions[ft_ingest_slot_of(&session->key)];
             *at != NULL; at = &(*at)->next) {
            if (*at == session) {
                *at = session->next;
                break;
            }
        }
        ft_mutex_unlock(&ingest->lock);
        ft_err_ignore(
            ft_instances_with(ingest->options.instances, &session->key, mark_gone, session),
            "a full registry has no place for one that is gone");
        ft_flow_leave(session);
    }
    ft_flow_forget(session);
    session->closed = true;
    ft_ingest_session_unref(session);
}

void ft_ingest_admission_stats(struct ft_ingest *ingest, struct ft_admission_stats *ret_stats)
{
    ft_admission_stats(&ingest->admission, ret_stats);
}

const struct ft_ingest_stats *ft_ingest_stats(const struct ft_ingest *ingest)
{
    return &ingest->stats;
}

void ft_ingest_observe_commits(struct ft_ingest *ingest, struct ft_histogram *seconds)
{
    ingest->commit_seconds = seconds;
}

void ft_ingest_session_ref(struct ft_ingest_session *session) { session->n_refs++; }

void ft_ingest_session_unref(struct ft_ingest_session *session)
{
    if (--session->n_refs == 0) {
        ft_commit_queue_leave(&session->ingest->queue, session->line);
        session->ingest->options.peer_ops->unref(session->peer);
        free(session);
    }
}

static_assert(FT_RANGES_MAX <= FT_WIRE_LOST_MAX, "a Welcome cannot ask for all gaps");

struct hello_context {
    struct ft_ingest_session *session;
    const struct ft_msg_hello *hello;
    uint64_t durable_seq;
    uint64_t resume_seq; /* What the agent need not send. */
    struct ft_msg_welcome welcome;
};

static void take_hello(void *ctx, struct ft_instance *instance)
{
    struct hello_context *context = ctx;
    const struct ft_msg_hello *hello = context->hello;
    const struct ft_ingest_session *session = context->session;
    int64_t now_ns = ft_clock_real_ns(session->ingest->options.clock);
    memcpy(instance->principal, session->principal.name, sizeof instance->principal);
    memcpy(instance->host_name, hello->host_name, sizeof instance->host_name);
    memcpy(instance->agent_version, hello->agent_version, sizeof instance->agent_version);
    memcpy(instance->kernel_release, hello->kernel_release, sizeof instance->kernel_release);
    memcpy(instance->peer, session->address, sizeof instance->peer);
    instance->connected = true;
    instance->started_ns = hello->started_ns;
    instance->connected_ns = now_ns;
    instance->last_heard_ns = now_ns;
    instance->clock_skew_ns = hello->time_ns != 0 ? hello->time_ns - now_ns : 0;
    context->durable_seq = instance->durable_seq;
    for (unsigned i = 0; i < instance->gaps.n; i++) {
        context->welcome.lost[context->welcome.n_lost++] =
            (struct ft_msg_hole){instance->gaps.at[i].first, instance->gaps.at[i].last};
    }
    context->welcome.newest_seq = instance->kept_seq;
    context->welcome.newest_life = instance->kept_life;
    context->welcome.missing_events = instance->missing_events;
    /* What was rejected is not kept: after a restart nobody would know of it. */
    context->resume_seq =
        instance->kept_seq < instance->durable_seq ? instance->kept_seq : instance->durable_seq;
    /* Were an ack lost that rejects something, the agent would take it for stored.  So it sends
     * again what it still holds, and is told again. */
    if (instance->rejected_seq >= hello->oldest_seq && hello->oldest_seq > 0 &&
        hello->oldest_seq <= context->resume_seq) {
        context->resume_seq = hello->oldest_seq - 1;
    }
}

static bool on_hello(struct ft_ingest_session *session, const struct ft_msg_hello *hello)
{
    struct ft_ingest *ingest = session->ingest;
    const struct ft_ingest_options *options = &ingest->options;
    if (hello->protocol_version != FT_WIRE_PROTOCOL_VERSION) {
        return refuse(session, FT_INGEST_CLOSE_PRECONDITION,
                      "this collector speaks protocol version 1");
    }
    if (session->principal.has_agent_id &&
        memcmp(session->principal.agent_id, hello->agent_id.bytes, sizeof hello->agent_id.bytes) !=
            0) {
        ingest->stats.denied_sessions++;
        return refuse(session, FT_INGEST_CLOSE_DENIED, "the token belongs to another agent");
    }
    if (hello->has_collector_id && !ft_uuid_equal(&hello->collector_id, &options->collector_id)) {
        ingest->stats.denied_sessions++;
        return refuse(session, FT_INGEST_CLOSE_PRECONDITION,
                      "these events belong to another collector than this one");
    }
    ingest->stats.hellos++;
    session->key = (struct ft_instance_key){hello->agent_id, hello->instance_id};
    memcpy(session->challenge, hello->challenge, sizeof session->challenge);
    session->line =
        ft_commit_queue_enter(&ingest->queue, &hello->agent_id, ft_clock_mono_ns(options->clock));
    if (session->line == NULL) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "out of memory");
    }
    struct hello_context context = {.session = session, .hello = hello};
    if (!ft_flow_admit(session, hello, &context.welcome.window_bytes)) {
        session->refused = true;
        return false;
    }
    register_session(session);
    if (ft_instances_with(options->instances, &session->key, take_hello, &context) != FT_OK) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "too many agents");
    }
    if (hello->has_witness) {
        ft_ingest_take_witness(session, hello, context.durable_seq);
    }
    ft_ingest_epoch(ingest, &session->store_epoch);
    session->known_seq = context.welcome.newest_seq;
    session->heard_seq = context.resume_seq;
    if (context.welcome.n_lost > 0 && context.welcome.lost[0].first_seq <= context.resume_seq) {
        /* What fills gaps is acknowledged as it comes. */
        session->heard_seq = context.welcome.lost[0].first_seq - 1;
    }
    context.welcome.durable_seq = context.resume_seq;
    return send_welcome(session, &context.welcome);
}

/* 'told' has what is told of the instance. */
static bool send_welcome(struct ft_ingest_session *session, const struct ft_msg_welcome *told)
{
    const struct ft_ingest_options *options = &session->ingest->options;
    struct ft_response response = {.kind = FT_RESPONSE_WELCOME, .welcome = *told};
    struct ft_msg_welcome *welcome = &response.welcome;
    welcome->collector_id = options->collector_id;
    welcome->store_epoch = session->store_epoch;
    welcome->message_bytes_max = options->message_bytes_max;
    welcome->status_interval_ms = options->status_interval_ms;
    welcome->time_ns = ft_clock_real_ns(options->clock);
    (void)snprintf(welcome->collector_version, sizeof welcome->collector_version, "%s",
                   options->version);
    if (options->signer != NULL) {
        welcome->has_receipt_key = true;
        memcpy(welcome->receipt_key, ft_receipt_signer_key(options->signer),
               sizeof welcome->receipt_key);
    }
    uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
    ft_welcome_digest(welcome, digest);
    if (!ft_ingest_sign(session, welcome->durable_seq, digest, &welcome->receipt)) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "out of memory");
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_err err = ft_response_encode(&response, &buf);
    if (err == FT_OK) {
        (void)options->peer_ops->send(session->peer, buf.data, buf.size);
    }
    ft_buf_deinit(&buf);
    return err == FT_OK || refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "out of memory");
}

size_t ft_ingest_slot_of(const struct ft_instance_key *key)
{
    return (size_t)ft_hash64(key, sizeof *key, 0) % FT_INGEST_SESSION_SLOTS;
}

/* Puts the session into the list and ends an older one of the same instance. */
static void register_session(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    struct ft_ingest_session *older = NULL;
    ft_mutex_lock(&ingest->lock);
    struct ft_ingest_session **slot = &ingest->sessions[ft_ingest_slot_of(&session->key)];
    for (struct ft_ingest_session *at = *slot; at != NULL; at = at->next) {
        if (!at->superseded && memcmp(&at->key, &session->key, sizeof at->key) == 0) {
            at->superseded = true;
            older = at;
            ft_ingest_session_ref(older);
        }
    }
    session->next = *slot;
    *slot = session;
    session->greeted = true;
    ft_mutex_unlock(&ingest->lock);
    if (older != NULL) {
        ingest->stats.superseded_sessions++;
        ingest->options.peer_ops->close(older->peer, FT_INGEST_CLOSE_SUPERSEDED,
                                        "a newer connection of this agent took over");
        ft_ingest_session_unref(older);
    }
}

static bool on_batch(struct ft_ingest_session *session, struct ft_request *request)
{
    struct ft_ingest *ingest = session->ingest;
    ingest->stats.received_blocks++;
    ingest->stats.received_bytes += request->batch.size;
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_batch_reader_open(request->batch.data, request->batch.size, &reader, &diag);
    if (err == FT_OK && request->batch.size > FT_LOG_BLOCK_SIZE_MAX) {
        err = ft_diag_set(&diag, FT_E_PROTOCOL, NULL, 0, 0,
                          "the batch is larger than a block of the log, %zu bytes",
                          FT_LOG_BLOCK_SIZE_MAX);
    }
    if (err == FT_E_PROTOCOL) {
        return reject_batch(session, request, &diag);
    }
    if (err != FT_OK) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, ft_err_text(err));
    }
    if (!ft_uuid_equal(ft_batch_reader_instance(reader), &session->key.instance_id)) {
        ingest->stats.malformed_messages++;
        return refuse(session, FT_INGEST_CLOSE_PROTOCOL,
                      "the batch belongs to another instance than the Hello");
    }
    ingest->stats.received_events += ft_batch_reader_count(reader);
    struct ft_commit_item *item = malloc(sizeof *item);
    if (item == NULL) {
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "out of memory");
    }
    *item = (struct ft_commit_item){.session = session,
                                    .data = request->batch.data,
                                    .size = request->batch.size,
                                    .first_seq = ft_batch_reader_first_seq(reader),
                                    .life = ft_batch_reader_life(reader),
                                    .n_events = ft_batch_reader_count(reader)};
    request->batch.data = NULL; /* Moved into the queue. */
    ft_ingest_session_ref(session);
    return push(session, item);
}

/* Takes the item over, with a reference to the session. */
static bool push(struct ft_ingest_session *session, struct ft_commit_item *item)
{
    struct ft_ingest *ingest = session->ingest;
    enum ft_commit_push pushed = ft_commit_queue_push(&ingest->queue, session->line, item,
                                                      ft_clock_mono_ns(ingest->options.clock));
    ingest->stats.queue_bytes = ft_commit_queue_bytes(&ingest->queue);
    if (pushed == FT_COMMIT_REFUSE) {
        /* It is sent again: nothing behind it must be taken on this stream. */
        ingest->stats.sent_away_overrun++;
        ft_commit_item_destroy(item);
        ft_ingest_session_unref(session);
        session->refused = true;
        ft_flow_send_away(session, 1000 + (uint32_t)ft_random_below(ingest->options.random, 1000),
                          "more batches wait than fit");
        return false;
    }
    if (pushed == FT_COMMIT_WAIT) {
        ingest->stats.queue_waits++;
    }
    ft_flow_mind_queue(session);
    return pushed == FT_COMMIT_ROOM;
}

/*
 * A batch that breaks the rules is acknowledged as rejected, so that it blocks nothing behind it,
 * as long as it says which events it holds.  Its bytes are kept for a person to look at.
 */
static bool reject_batch(struct ft_ingest_session *session, struct ft_request *request,
                         const struct ft_diag *diag)
{
    struct ft_ingest *ingest = session->ingest;
    uint64_t first_seq = 0;
    uint32_t n_events = 0;
    ft_err err = ft_batch_peek(request->batch.data, request->batch.size, &first_seq, &n_events);
    struct ft_commit_item *item = err != ft_err_from_errno(ENOMEM) ? malloc(sizeof *item) : NULL;
    char *reason = item != NULL ? strdup(diag->text) : NULL;
    if (reason == NULL) {
        free(item);
        return refuse(session, FT_INGEST_CLOSE_UNAVAILABLE, "out of memory");
    }
    *item = (struct ft_commit_item){.session = session,
                                    .data = request->batch.data,
                                    .size = request->batch.size,
                                    .first_seq = err == FT_OK ? first_seq : 0,
                                    .n_events = err == FT_OK ? n_events : 0,
                                    .reject_reason = reason};
    request->batch.data = NULL; /* Moved into the queue. */
    ft_ingest_session_ref(session);
    bool room = push(session, item);
    if (err != FT_OK) {
        ingest->stats.malformed_messages++;
        return refuse(session, FT_INGEST_CLOSE_PROTOCOL, diag->text);
    }
    return room;
}

struct status_context {
    const struct ft_msg_status *status;
    int64_t now_ns;
    bool is_news; /* The instance's account differs by another number than before. */
    struct ft_discrepancy discrepancy;
    char host_name[FT_WIRE_NAME_SIZE];
};

static void take_status(void *ctx, struct ft_instance *instance)
{
    struct status_context *context = ctx;
    ft_instance_take_status(instance, context->status);
    instance->last_heard_ns = context->now_ns;
    ft_discrepancy_of(instance, &context->discrepancy);
    uint64_t total = ft_discrepancy_total(&context->discrepancy);
    context->is_news = total != instance->complained_events;
    instance->complained_events = total;
    memcpy(context->host_name, instance->host_name, sizeof context->host_name);
}

static bool on_status(struct ft_ingest_session *session, const struct ft_msg_status *status)
{
    const struct ft_ingest_options *options = &session->ingest->options;
    struct status_context context = {.status = status, .now_ns = ft_clock_real_ns(options->clock)};
    if (ft_instances_with(options->instances, &session->key, take_status, &context) == FT_OK &&
        context.is_news) {
        complain(session, context.host_name, &context.discrepancy);
    }
    return true;
}

/* Once for each change, and limited, whoever it is about: a fault of ours would show in ten
 * thousand agents at once. */
static void complain(struct ft_ingest_session *session, const char *host_name,
                     const struct ft_discrepancy *discrepancy)
{
    struct ft_ingest *ingest = session->ingest;
    uint64_t held;
    if (!ft_log_limit_pass(&ingest->complaints, ft_clock_mono_ns(ingest->options.clock), &held)) {
        return;
    }
    ft_account_tell(host_name, &session->key.instance_id, discrepancy, held);
}

/* Ends the session; nothing more is read from it. */
static bool refuse(struct ft_ingest_session *session, enum ft_ingest_close why, const char *text)
{
    session->refused = true;
    session->ingest->options.peer_ops->close(session->peer, why, text);
    return false;
}
