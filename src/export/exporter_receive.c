/* SPDX-License-Identifier: Apache-2.0 */
/* What the collector says: welcomes, acknowledgements, and what is believed of them. */
#include <string.h>

#include "export/exporter_impl.h"

#define STATUS_INTERVAL_NS_MIN (100 * FT_NS_PER_MS)

/* So many acknowledgements of one stream may be wrong: then it is given up, for a while. */
#define BAD_ACKS_MAX 3

/* So many may say nothing new, besides one for each block that was sent. */
#define USELESS_ACKS_MAX 64

static void handle_welcome(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome,
                           int64_t now_ns);
static bool believe(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome,
                    int64_t now_ns);
static void take_terms(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome);
static void handle_ack(struct ft_exporter *exporter, const struct ft_msg_ack *ack, int64_t now_ns);
static void misbehaved(struct ft_exporter *exporter, int64_t now_ns, const char *text);
static void give_up(struct ft_exporter *exporter, int64_t now_ns, const char *text);
static void take_durable(struct ft_exporter *exporter, uint64_t durable_seq,
                         const struct ft_msg_range *rejected, unsigned n_rejected);
static ft_err bind(struct ft_exporter *exporter, const struct ft_uuid *collector_id);
static uint64_t foreign_from(const struct ft_exporter *exporter,
                             const struct ft_msg_welcome *welcome);
static void fork_if_due(struct ft_exporter *exporter, int64_t now_ns);
static bool waits_for_disk(const struct ft_exporter *exporter, uint64_t seq);
static void begin_instance(struct ft_exporter *exporter, uint64_t base_seq, int64_t now_ns);

void ft_exporter_receive(struct ft_exporter *exporter, const struct ft_stream_event *event,
                         int64_t now_ns)
{
    struct ft_response response;
    struct ft_diag diag = {0};
    ft_err err = ft_response_decode(event->data, event->size, &response, &diag);
    if (err == ft_err_from_errno(ENOMEM)) {
        /* What was said is not known; the next stream begins with what the collector has.  Not as
         * our own wish, which does not wait: memory may be missing for longer. */
        ft_exporter_set_text(exporter, diag.text);
        ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_PEER, 0);
        return;
    }
    if (err != FT_OK) {
        exporter->stats.bad_messages++;
        ft_exporter_set_text(exporter, diag.text);
        ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_PROTOCOL, 0);
        return;
    }
    switch (response.kind) {
    case FT_RESPONSE_WELCOME:
        handle_welcome(exporter, &response.welcome, now_ns);
        break;
    case FT_RESPONSE_ACK:
        handle_ack(exporter, &response.ack, now_ns);
        break;
    case FT_RESPONSE_SLOW_DOWN:
        if (response.slow_down.window_bytes > 0 &&
            response.slow_down.window_bytes <= exporter->options.window_bytes) {
            exporter->stats.window_bytes = response.slow_down.window_bytes;
        }
        exporter->pause_until_ns = now_ns + response.slow_down.pause_ms * FT_NS_PER_MS;
        break;
    case FT_RESPONSE_GO_AWAY:
        ft_exporter_set_text(exporter, response.go_away.reason);
        ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_GO_AWAY,
                        response.go_away.retry_after_ms * FT_NS_PER_MS);
        break;
    case FT_RESPONSE_OTHER:
        break;
    }
}

void ft_exporter_closed(struct ft_exporter *exporter, const struct ft_stream_event *event,
                        int64_t now_ns)
{
    enum ft_link_reason reason = FT_LINK_REASON_PEER;
    if (event->err == FT_E_AUTH) {
        reason = FT_LINK_REASON_AUTH;
    } else if (event->err == FT_E_PROTOCOL) {
        reason = FT_LINK_REASON_PROTOCOL;
    }
    if (exporter->link.state != FT_LINK_CLOSING) {
        ft_exporter_set_text(exporter, event->text);
    }
    exporter->sending = false;
    ft_flight_rewind(&exporter->flight);
    ft_link_closed(&exporter->link, now_ns, reason);
}

static void handle_welcome(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome,
                           int64_t now_ns)
{
    if (exporter->link.state != FT_LINK_GREETING) {
        exporter->stats.bad_messages++;
        return;
    }
    if (exporter->bound && !ft_uuid_equal(&exporter->collector_id, &welcome->collector_id)) {
        give_up(exporter, now_ns, "this is another collector than the one these events belong to");
        return;
    }
    if (!believe(exporter, welcome, now_ns)) {
        return;
    }
    if (bind(exporter, &welcome->collector_id) != FT_OK) {
        give_up(exporter, now_ns, "the spool cannot be bound to this collector, nothing is sent");
        return;
    }
    exporter->foreign_seq = foreign_from(exporter, welcome);
    if (exporter->foreign_seq > 0 && exporter->foreign_seq <= welcome->durable_seq + 1) {
        begin_instance(exporter, exporter->foreign_seq - 1, now_ns);
        return;
    }
    take_terms(exporter, welcome);
    exporter->n_bad = 0;
    exporter->n_useless = 0;
    exporter->n_sent = 0;
    ft_flight_rewind(&exporter->flight);
    ft_exporter_take_asked(exporter, welcome);
    ft_err err = ft_exporter_keep_gone(exporter);
    if (err == FT_OK && (welcome->durable_seq < exporter->acked_seq || exporter->asked.n > 0)) {
        err = ft_exporter_go_back(exporter, welcome->durable_seq);
    }
    if (err != FT_OK) {
        ft_exporter_set_text(exporter, ft_err_text(err));
        ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_PEER, 0);
        return;
    }
    exporter->is_guess = false; /* The collector has told. */
    /* What an instance before this one had is the same there. */
    uint64_t done_seq =
        welcome->durable_seq > exporter->base_seq ? welcome->durable_seq : exporter->base_seq;
    take_durable(exporter, ft_exporter_below_asked(exporter, done_seq), NULL, 0);
    ft_link_welcomed(&exporter->link, now_ns);
    exporter->status_due_ns = now_ns;
    exporter->pause_until_ns = now_ns;
    ft_exporter_set_text(exporter, "");
    fork_if_due(exporter, now_ns);
}

/* Whether this is a collector that events are given to. */
static bool believe(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome,
                    int64_t now_ns)
{
    struct ft_trust *trust = &exporter->trust;
    struct ft_binding before = trust->binding;
    bool changed = false;
    enum ft_trust_verdict verdict = ft_trust_welcome(trust, welcome, &changed);
    if (verdict != FT_TRUST_GOOD) {
        if (verdict == FT_TRUST_BAD_RECEIPT) {
            exporter->stats.bad_receipts++;
        } else {
            exporter->stats.refused_keys++;
        }
        give_up(exporter, now_ns, ft_trust_text(verdict));
        return false;
    }
    if (before.has_epoch && !ft_uuid_equal(&before.store_epoch, &welcome->store_epoch)) {
        exporter->stats.epoch_changes++;
    }
    exporter->stats.proof = trust->verified ? FT_PROOF_VERIFIED : FT_PROOF_UNVERIFIED;
    if (changed && exporter->options.host.on_trusted != NULL) {
        exporter->options.host.on_trusted(exporter->options.host.ctx, &trust->binding);
    }
    return true;
}

static void take_terms(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome)
{
    uint64_t window = exporter->options.window_bytes;
    if (welcome->window_bytes > 0 && welcome->window_bytes < window) {
        window = welcome->window_bytes;
    }
    exporter->stats.window_bytes = window;
    exporter->message_bytes_max =
        welcome->message_bytes_max > 0 ? welcome->message_bytes_max : FT_EXPORTER_MESSAGE_BYTES_MAX;
    if (welcome->status_interval_ms > 0) {
        exporter->status_interval_ns = welcome->status_interval_ms * FT_NS_PER_MS;
        if (exporter->status_interval_ns < STATUS_INTERVAL_NS_MIN) {
            exporter->status_interval_ns = STATUS_INTERVAL_NS_MIN;
        }
    }
    if (welcome->time_ns != 0) {
        exporter->stats.clock_skew_ns =
            welcome->time_ns - ft_clock_real_ns(exporter->options.clock);
    }
}

static void handle_ack(struct ft_exporter *exporter, const struct ft_msg_ack *ack, int64_t now_ns)
{
    if (exporter->link.state != FT_LINK_ACTIVE) {
        exporter->stats.bad_messages++;
        return;
    }
    if (ack->durable_seq > ft_flight_sent_seq(&exporter->flight, exporter->acked_seq)) {
        exporter->stats.bad_acks++;
        misbehaved(exporter, now_ns, "the collector acknowledges events that were never sent");
        return;
    }
    /* Only what frees a block is worth a signature check, so a flood of acks costs nothing. */
    const struct ft_flight_block *first = ft_flight_first(&exporter->flight);
    if (exporter->flight.n_sent == 0 || ack->durable_seq < ft_flight_last_seq(first)) {
        exporter->stats.useless_acks++;
        if (++exporter->n_useless > exporter->n_sent + USELESS_ACKS_MAX) {
            give_up(exporter, now_ns, "the collector floods with acknowledgements");
        }
        return;
    }
    if (ft_trust_ack(&exporter->trust, ack) != FT_TRUST_GOOD) {
        exporter->stats.bad_receipts++;
        misbehaved(exporter, now_ns, ft_trust_text(FT_TRUST_BAD_RECEIPT));
        return;
    }
    take_durable(exporter, ack->durable_seq, ack->rejected, ack->n_rejected);
    exporter->stats.last_ack_real_ns = ft_clock_real_ns(exporter->options.clock);
    ft_link_acked(&exporter->link, now_ns, exporter->flight.n_sent > 0);
    fork_if_due(exporter, now_ns);
}

/* Once may be an accident. */
static void misbehaved(struct ft_exporter *exporter, int64_t now_ns, const char *text)
{
    if (++exporter->n_bad >= BAD_ACKS_MAX) {
        give_up(exporter, now_ns, text);
    }
}

static void give_up(struct ft_exporter *exporter, int64_t now_ns, const char *text)
{
    ft_exporter_set_text(exporter, text);
    ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_PROTOCOL, 0);
}

static void take_durable(struct ft_exporter *exporter, uint64_t durable_seq,
                         const struct ft_msg_range *rejected, unsigned n_rejected)
{
    uint64_t before = exporter->stats.acked_events;
    ft_exporter_take_durable(exporter, durable_seq, rejected, n_rejected);
    if (!exporter->trust.verified) {
        exporter->stats.unverified_events += exporter->stats.acked_events - before;
    }
}

static ft_err bind(struct ft_exporter *exporter, const struct ft_uuid *collector_id)
{
    struct ft_exporter_host *host = &exporter->options.host;
    if (!exporter->bound && host->on_bound != NULL) {
        FT_TRY(host->on_bound(host->ctx, collector_id));
    }
    exporter->bound = true;
    exporter->collector_id = *collector_id;
    return FT_OK;
}

/*
 * The first number of which the collector may have other events than this log; 0: there is none.
 * What is below it and not done with is the same on both sides.
 */
static uint64_t foreign_from(const struct ft_exporter *exporter,
                             const struct ft_msg_welcome *welcome)
{
    uint64_t done_seq =
        exporter->acked_seq > exporter->base_seq ? exporter->acked_seq : exporter->base_seq;
    uint64_t seq = ft_lives_fork(&exporter->options.lives, done_seq, welcome->newest_seq,
                                 welcome->newest_life);
    /* What it asks for again is behind it, and it may have more than it is sure of. */
    uint64_t has_seq =
        welcome->durable_seq > welcome->newest_seq ? welcome->durable_seq : welcome->newest_seq;
    if (seq == 0 && has_seq > exporter->ever_sent_seq) {
        seq = exporter->ever_sent_seq + 1;
        if (exporter->options.lives.n > 0 && welcome->newest_life == 0) {
            return done_seq + 1; /* Of whatever life it is, it may have begun before that. */
        }
    }
    if (seq == 0) {
        return 0;
    }
    /* What this log has and never came there, it had dropped after the time to which it was set
     * back: the collector would take it for repeats of what it has behind it. */
    return seq > done_seq && welcome->missing_events == 0 ? seq : done_seq + 1;
}

/*
 * A Welcome that asks for less than there is (of some it may not be known here that it was
 * rejected) gets what both sides have, as the instance whose it is, and says what became of it.
 * Then the rest goes out as another.
 */
static void fork_if_due(struct ft_exporter *exporter, int64_t now_ns)
{
    if (exporter->foreign_seq == 0) {
        return;
    }
    ft_exporter_refill(exporter);
    const struct ft_flight_block *first = ft_flight_first(&exporter->flight);
    if (first == NULL || first->block.info.first_seq >= exporter->foreign_seq) {
        begin_instance(exporter, exporter->foreign_seq - 1, now_ns);
    }
}

/* Some up to 'seq' may be in blocks that are not durable yet, and not read before that. */
static bool waits_for_disk(const struct ft_exporter *exporter, uint64_t seq)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(exporter->options.log, &first, &last);
    return exporter->options.durable_only && exporter->read_seq < seq && exporter->flight.n == 0 &&
           ft_log_durable(exporter->options.log) < last;
}

/*
 * The log was set back.  Blocks up to 'base_seq' are the same on both sides; all behind them goes
 * out as another instance.
 */
static void begin_instance(struct ft_exporter *exporter, uint64_t base_seq, int64_t now_ns)
{
    struct ft_exporter_host *host = &exporter->options.host;
    struct ft_uuid instance_id;
    exporter->stats.bad_acks++;
    /* Without a receipt anyone could say so, and have everything freed. */
    bool proven = exporter->trust.verified || exporter->options.receipts == FT_TRUST_OFF;
    if (!proven || host->on_new_instance == NULL) {
        give_up(exporter, now_ns, "the collector claims to have events that were never sent");
        return;
    }
    ft_flight_rewind(&exporter->flight);
    take_durable(exporter, base_seq, NULL, 0);
    if (waits_for_disk(exporter, base_seq)) {
        ft_exporter_set_text(exporter, "the log was set back, and is not yet durable up to there");
        ft_link_give_up(&exporter->link, now_ns, FT_LINK_REASON_PEER, 0);
        return;
    }
    struct ft_progress before = ft_exporter_progress(exporter);
    exporter->stats.account_version++;
    /* What is done with must be so for good, or it would be the new instance's after a crash. */
    ft_err err = ft_log_reader_keep(exporter->reader);
    if (err == FT_OK) {
        err = host->on_new_instance(host->ctx, base_seq, &before, &instance_id);
    }
    if (err == FT_OK) {
        ft_exporter_publish_progress(exporter, &(struct ft_progress){0});
    }
    exporter->stats.account_version++;
    if (err != FT_OK) {
        give_up(exporter, now_ns,
                "the collector has events that were never sent from here, and no other instance "
                "can be begun");
        return;
    }
    exporter->stats.new_instances++;
    exporter->options.instance_id = instance_id;
    ft_trust_set_instance(&exporter->trust, &instance_id);
    exporter->base_seq = base_seq;
    exporter->foreign_seq = 0;
    ft_lives_begin_instance(&exporter->options.lives);
    exporter->acked_seq = 0;
    give_up(exporter, now_ns,
            "the collector has events that were never sent from here: the log was set back, going "
            "on as another instance");
}
