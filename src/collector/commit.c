/* SPDX-License-Identifier: Apache-2.0 */
/* The commit half of ingest: queue, log, sync, acknowledgements. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/flow_control.h"
#include "collector/ingest_impl.h"

/*
 * Sessions that one commit acknowledges: each costs a signature, 60 us.  The others' turn comes
 * after the next sync, which acknowledges what came for them meanwhile with the same signature.
 */
#define ACKS_MAX 256

static void commit_item(struct ft_ingest *ingest, struct ft_commit_item *item);
static ft_err place(struct ft_ingest *ingest, struct ft_commit_item *item);
static ft_err append(struct ft_ingest *ingest, const struct ft_commit_item *item);
static void quarantine(struct ft_ingest *ingest, const struct ft_commit_item *item);
static ft_err note_rejection(struct ft_ingest *ingest, const struct ft_commit_item *item);
static void ask_for_ack(struct ft_ingest *ingest, struct ft_ingest_session *session);
static void fail_session(struct ft_ingest_session *session, const char *text);
static ft_err acknowledge(struct ft_ingest *ingest);
static ft_err sync_log(struct ft_ingest *ingest);
static ft_err send_acks(struct ft_ingest *ingest);
static ft_err send_ack(struct ft_ingest *ingest, struct ft_ingest_session *session);

ft_err ft_ingest_commit(struct ft_ingest *ingest, int64_t deadline_mono_ns)
{
    int64_t due_ns = ft_flow_run(ingest);
    due_ns = ingest->due != NULL ? 0 : due_ns;
    struct ft_commit_item *item =
        ft_commit_queue_take(&ingest->queue, due_ns < deadline_mono_ns ? due_ns : deadline_mono_ns);
    int64_t now_ns = ft_clock_mono_ns(ingest->options.clock);
    ingest->stats.queue_bytes = ft_commit_queue_bytes(&ingest->queue);
    while (item != NULL) {
        struct ft_commit_item *next = item->next;
        struct ft_ingest_session *session = item->session;
        if (!session->failed) {
            commit_item(ingest, item);
        }
        if (item->waiting && !session->failed) {
            if (item->wait_until_ns > now_ns) {
                ft_flow_hold(session, item->wait_until_ns);
            } else {
                ingest->options.peer_ops->resume(session->peer);
            }
        }
        ft_commit_item_destroy(item);
        ft_ingest_session_unref(session);
        item = next;
    }
    return acknowledge(ingest);
}

void ft_ingest_wake(struct ft_ingest *ingest) { ft_commit_queue_wake(&ingest->queue); }

static void commit_item(struct ft_ingest *ingest, struct ft_commit_item *item)
{
    if (item->n_events == 0) {
        quarantine(ingest, item); /* Its session ends: there is nothing to acknowledge. */
        return;
    }
    ft_err err = place(ingest, item);
    if (err == ft_err_from_errno(ESTALE)) {
        ingest->stats.superseded_sessions++;
        fail_session(item->session, "another stream has brought events of these numbers");
        return;
    }
    if (err != FT_OK) {
        ingest->stats.append_failures++;
        char text[128];
        (void)snprintf(text, sizeof text, "the collector cannot store now: %s", ft_err_text(err));
        fail_session(item->session, text);
        return;
    }
    ask_for_ack(ingest, item->session);
    ft_flow_on_progress(item->session, item->first_seq + item->n_events - 1);
}

/* How a batch changes what is known of its instance. */
struct placement {
    int64_t now_ns;
    uint64_t appended_seq; /* Before; only this thread moves it. */
    uint64_t kept_seq;
    uint64_t kept_life;
    uint64_t last_seq; /* 0: not behind what is there. */
    uint64_t life;
    uint64_t rejected_seq; /* 0: the batch is good. */
    uint64_t duplicate_events;
    uint64_t rejected_events;
    uint64_t missing_events;
    uint64_t received_events;
    uint64_t appended_events;
    struct ft_range filled; /* What it holds of gaps is in the log now. */
    uint64_t filled_events;
};

static void read_position(void *ctx, struct ft_instance *instance)
{
    struct placement *placement = ctx;
    placement->appended_seq = instance->appended_seq;
    placement->kept_seq = instance->kept_seq;
    placement->kept_life = instance->kept_life;
    placement->filled_events =
        ft_ranges_overlap(&instance->gaps, placement->filled.first, placement->filled.last);
}

static void write_position(void *ctx, struct ft_instance *instance)
{
    const struct placement *placement = ctx;
    instance->last_heard_ns = placement->now_ns;
    instance->received_events += placement->received_events;
    instance->appended_events += placement->appended_events;
    instance->duplicate_events += placement->duplicate_events;
    instance->rejected_events += placement->rejected_events;
    instance->missing_events += placement->missing_events;
    if (placement->last_seq != 0) {
        instance->appended_seq = placement->last_seq;
    }
    if (placement->filled_events > 0) {
        ft_ranges_remove(&instance->gaps, placement->filled.first, placement->filled.last);
        instance->missing_events -= placement->filled_events < instance->missing_events
                                        ? placement->filled_events
                                        : instance->missing_events;
    }
    if (placement->last_seq != 0 && placement->appended_events > 0) {
        instance->kept_seq = placement->last_seq;
        instance->kept_life = placement->life;
    }
    if (placement->rejected_seq > instance->rejected_seq) {
        instance->rejected_seq = placement->rejected_seq;
    }
}

/* A batch with numbers behind what is there. */
static ft_err place_new(struct ft_ingest *ingest, const struct ft_commit_item *item,
                        struct placement *placement)
{
    uint64_t last_seq = item->first_seq + item->n_events - 1;
    uint64_t first_new =
        item->first_seq > placement->appended_seq ? item->first_seq : placement->appended_seq + 1;
    if (item->reject_reason != NULL) {
        placement->rejected_events = last_seq - first_new + 1;
        placement->filled_events = 0;
        ingest->ledger_due = true;
        quarantine(ingest, item);
    } else {
        FT_TRY(append(ingest, item));
        placement->appended_events = placement->filled_events + last_seq - first_new + 1;
    }
    if (item->first_seq > placement->appended_seq + 1) {
        placement->missing_events = item->first_seq - placement->appended_seq - 1;
    }
    placement->last_seq = last_seq;
    return FT_OK;
}

/*
 * Since the session's Welcome another one has brought these numbers, from another life: it had
 * waited in the queue.  Whether they are the same events is for the agent to see at its next
 * Welcome; here they would pass for repeats.
 */
static bool is_overtaken(const struct ft_commit_item *item, const struct placement *placement)
{
    uint64_t last_seq = item->first_seq + item->n_events - 1;
    return last_seq > item->session->known_seq && item->first_seq <= placement->kept_seq &&
           placement->kept_seq > item->session->known_seq && item->life != 0 &&
           placement->kept_life != 0 && item->life != placement->kept_life;
}

/* Gives the batch its place in the instance's sequence, and in the log. */
static ft_err place(struct ft_ingest *ingest, struct ft_commit_item *item)
{
    struct ft_instances *instances = ingest->options.instances;
    const struct ft_instance_key *key = &item->session->key;
    uint64_t last_seq = item->first_seq + item->n_events - 1;
    struct placement placement = {.now_ns = ft_clock_real_ns(ingest->options.clock),
                                  .received_events = item->n_events,
                                  .life = item->life,
                                  .filled = {item->first_seq, last_seq}};
    FT_TRY(ft_instances_with(instances, key, read_position, &placement));
    if (is_overtaken(item, &placement)) {
        return ft_err_from_errno(ESTALE);
    }
    if (item->reject_reason != NULL) {
        /* Also what was rejected before: who sends it again has not heard of it. */
        placement.rejected_seq = last_seq;
        FT_TRY(note_rejection(ingest, item));
    }
    if (last_seq > placement.appended_seq) {
        FT_TRY(place_new(ingest, item, &placement));
    } else if (placement.filled_events > 0 && item->reject_reason == NULL) {
        FT_TRY(append(ingest, item));
        placement.appended_events = placement.filled_events;
    } else {
        placement.filled_events = 0;
        placement.duplicate_events = item->n_events;
    }
    ingest->stats.appended_events += placement.appended_events;
    ingest->stats.refilled_events += placement.filled_events;
    ingest->stats.duplicate_events += placement.duplicate_events;
    ingest->stats.rejected_events += placement.rejected_events;
    ingest->stats.missing_events += placement.missing_events;
    if (last_seq > item->session->known_seq) {
        item->session->known_seq = last_seq;
    }
    if (last_seq > item->session->heard_seq) {
        item->session->heard_seq = last_seq;
    }
    return ft_instances_with(instances, key, write_position, &placement);
}

static ft_err append(struct ft_ingest *ingest, const struct ft_commit_item *item)
{
    struct ft_block_info info = {.first_seq = item->first_seq,
                                 .n_events = item->n_events,
                                 .time_ns = ft_clock_real_ns(ingest->options.clock)};
    memcpy(info.agent_id, item->session->key.agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, item->session->key.instance_id.bytes, sizeof info.instance_id);
    uint64_t position;
    FT_TRY(ft_log_append(ingest->options.log, &info, item->data, item->size, &position));
    ingest->unsynced = true;
    return FT_OK;
}

static void quarantine(struct ft_ingest *ingest, const struct ft_commit_item *item)
{
    if (ingest->options.quarantine == NULL) {
        return;
    }
    const struct ft_ingest_session *session = item->session;
    struct ft_quarantine_entry entry = {.agent_id = session->key.agent_id,
                                        .instance_id = session->key.instance_id,
                                        .first_seq = item->first_seq,
                                        .n_events = item->n_events,
                                        .time_ns = ft_clock_real_ns(ingest->options.clock)};
    memcpy(entry.principal, session->principal.name, sizeof entry.principal);
    (void)snprintf(entry.reason, sizeof entry.reason, "%s", item->reject_reason);
    ft_quarantine_put_rejected(ingest->options.quarantine, &entry, item->data, item->size);
}

static ft_err note_rejection(struct ft_ingest *ingest, const struct ft_commit_item *item)
{
    struct ft_msg_ack *ack = &item->session->ack;
    if (ack->n_rejected == FT_WIRE_REJECTED_MAX) {
        /* One ack cannot tell of more. */
        FT_TRY(acknowledge(ingest));
        if (ack->n_rejected == FT_WIRE_REJECTED_MAX) {
            FT_TRY(send_ack(ingest, item->session)); /* Out of its turn. */
        }
    }
    struct ft_msg_range *range = &ack->rejected[ack->n_rejected++];
    range->first_seq = item->first_seq;
    range->last_seq = item->first_seq + item->n_events - 1;
    (void)snprintf(range->reason, sizeof range->reason, "%s", item->reject_reason);
    return FT_OK;
}

static void ask_for_ack(struct ft_ingest *ingest, struct ft_ingest_session *session)
{
    if (!session->ack_due) {
        session->ack_due = true;
        session->next_due = NULL;
        *(ingest->due != NULL ? &ingest->last_due->next_due : &ingest->due) = session;
        ingest->last_due = session;
        ft_ingest_session_ref(session);
    }
}

static void fail_session(struct ft_ingest_session *session, const char *text)
{
    session->failed = true;
    session->ingest->options.peer_ops->close(session->peer, FT_INGEST_CLOSE_UNAVAILABLE, text);
}

/* Syncs what was appended, and acknowledges it. */
static ft_err acknowledge(struct ft_ingest *ingest)
{
    ft_ingest_keep_epoch(ingest);
    if (ingest->unsynced) {
        FT_TRY(sync_log(ingest));
    }
    if (ingest->ledger_due) {
        /* Nothing else remembers what was rejected.  Acks do not wait for a ledger that fails: that
         * costs the reason why the events are not here, not the events. */
        ft_err_ignore(ft_ledger_write(ingest->options.ledger, true), "counted, and tried again");
        ingest->ledger_due = false;
    }
    return send_acks(ingest);
}

static ft_err sync_log(struct ft_ingest *ingest)
{
    int64_t begin_ns = ft_clock_mono_ns(ingest->options.clock);
    uint64_t position;
    ft_err err = ft_log_sync(ingest->options.log, &position);
    if (err != FT_OK) {
        ingest->stats.sync_failures++;
        return err;
    }
    ingest->stats.syncs++;
    ingest->unsynced = false;
    if (ingest->commit_seconds != NULL) {
        int64_t took_ns = ft_clock_mono_ns(ingest->options.clock) - begin_ns;
        ft_histogram_observe(ingest->commit_seconds, (double)took_ns / (double)FT_NS_PER_S);
    }
    return FT_OK;
}

/* One that finds no memory stays due, with all that it has to tell. */
static ft_err send_acks(struct ft_ingest *ingest)
{
    for (unsigned n = 0; ingest->due != NULL && n < ACKS_MAX; n++) {
        struct ft_ingest_session *session = ingest->due;
        FT_TRY(send_ack(ingest, session));
        ingest->due = session->next_due;
        session->ack_due = false;
        ft_ingest_session_unref(session);
    }
    return FT_OK;
}

/*
 * Everything that is appended is synced here.  Of what was rejected at the end an ack speaks only
 * if it says so: after a restart nobody would know of it, and the agent would hold that against us.
 */
static void make_durable(void *ctx, struct ft_instance *instance)
{
    struct ft_ingest_session *session = ctx;
    struct ft_msg_ack *ack = &session->ack;
    session->ingest->stats.durable_events += instance->appended_seq - instance->durable_seq;
    instance->durable_seq = instance->appended_seq;
    uint64_t told_seq = instance->kept_seq;
    if (ack->n_rejected > 0 && ack->rejected[ack->n_rejected - 1].last_seq > told_seq) {
        told_seq = ack->rejected[ack->n_rejected - 1].last_seq;
    }
    ack->durable_seq = told_seq < session->heard_seq ? told_seq : session->heard_seq;
}

static ft_err send_ack(struct ft_ingest *ingest, struct ft_ingest_session *session)
{
    ft_err err = ft_instances_with(ingest->options.instances, &session->key, make_durable, session);
    if (err != FT_OK) {
        return err == FT_E_FULL ? FT_OK : err;
    }
    struct ft_response response = {.kind = FT_RESPONSE_ACK, .ack = session->ack};
    response.ack.has_store_epoch = true;
    response.ack.store_epoch = session->store_epoch;
    uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
    ft_ack_digest(&response.ack, digest);
    if (!ft_ingest_sign(session, response.ack.durable_seq, digest, &response.ack.receipt)) {
        return ft_err_from_errno(ENOMEM);
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    err = ft_response_encode(&response, &buf);
    if (err == FT_OK) {
        (void)ingest->options.peer_ops->send(session->peer, buf.data, buf.size);
        ingest->stats.acks++;
        session->ack.n_rejected = 0;
    }
    ft_buf_deinit(&buf);
    return err;
}
