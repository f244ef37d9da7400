/* SPDX-License-Identifier: Apache-2.0 */
/* ExportResponse: what a collector says. */
#include <string.h>

#include "flowtrail/v1/export.pb-c.h"
#include "wire/alloc.h"
#include "wire/message.h"
#include "wire/pack.h"

static ft_err response_from(const Flowtrail__V1__ExportResponse *from,
                            struct ft_response *ret_response, struct ft_diag *reterr_diag);
static ft_err welcome_from(const Flowtrail__V1__Welcome *from, struct ft_msg_welcome *ret_welcome,
                           struct ft_diag *reterr_diag);
static ft_err ack_from(const Flowtrail__V1__Ack *from, struct ft_msg_ack *ret_ack,
                       struct ft_diag *reterr_diag);
static void take_signature(const ProtobufCBinaryData *from, struct ft_msg_signature *ret_receipt);
static ProtobufCBinaryData give_signature(const struct ft_msg_signature *receipt);
static ft_err encode_welcome(const struct ft_msg_welcome *welcome, struct ft_buf *buf);
static ft_err encode_ack(const struct ft_msg_ack *ack, struct ft_buf *buf);
static ft_err encode_slow_down(const struct ft_msg_slow_down *slow_down, struct ft_buf *buf);
static ft_err encode_go_away(const struct ft_msg_go_away *go_away, struct ft_buf *buf);

ft_err ft_response_decode(const void *data, size_t size, struct ft_response *ret_response,
                          struct ft_diag *reterr_diag)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, FT_WIRE_ALLOC_BYTES_MAX);
    Flowtrail__V1__ExportResponse *from =
        flowtrail__v1__export_response__unpack(&alloc.allocator, size, data);
    if (from == NULL) {
        return ft_wire_alloc_refuse(&alloc, reterr_diag,
                                    "message of %zu bytes is no valid ExportResponse", size);
    }
    memset(ret_response, 0, sizeof *ret_response);
    ft_err err = response_from(from, ret_response, reterr_diag);
    flowtrail__v1__export_response__free_unpacked(from, &alloc.allocator);
    return err;
}

ft_err ft_response_encode(const struct ft_response *response, struct ft_buf *buf)
{
    switch (response->kind) {
    case FT_RESPONSE_WELCOME:
        return encode_welcome(&response->welcome, buf);
    case FT_RESPONSE_ACK:
        return encode_ack(&response->ack, buf);
    case FT_RESPONSE_SLOW_DOWN:
        return encode_slow_down(&response->slow_down, buf);
    case FT_RESPONSE_GO_AWAY:
        return encode_go_away(&response->go_away, buf);
    case FT_RESPONSE_OTHER:
        break;
    }
    return ft_err_from_errno(EINVAL);
}

void ft_welcome_digest(const struct ft_msg_welcome *welcome,
                       uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE])
{
    struct ft_receipt_range ranges[FT_WIRE_LOST_MAX];
    for (unsigned i = 0; i < welcome->n_lost; i++) {
        ranges[i] =
            (struct ft_receipt_range){welcome->lost[i].first_seq, welcome->lost[i].last_seq, ""};
    }
    ft_receipt_digest(ranges, welcome->n_lost, ret_digest);
}

void ft_ack_digest(const struct ft_msg_ack *ack, uint8_t ret_digest[FT_RECEIPT_DIGEST_SIZE])
{
    struct ft_receipt_range ranges[FT_WIRE_REJECTED_MAX];
    for (unsigned i = 0; i < ack->n_rejected; i++) {
        ranges[i] = (struct ft_receipt_range){ack->rejected[i].first_seq, ack->rejected[i].last_seq,
                                              ack->rejected[i].reason};
    }
    ft_receipt_digest(ranges, ack->n_rejected, ret_digest);
}

static ft_err response_from(const Flowtrail__V1__ExportResponse *from,
                            struct ft_response *ret_response, struct ft_diag *reterr_diag)
{
    switch (from->message_case) {
    case FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_WELCOME:
        ret_response->kind = FT_RESPONSE_WELCOME;
        return welcome_from(from->welcome, &ret_response->welcome, reterr_diag);
    case FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_ACK:
        ret_response->kind = FT_RESPONSE_ACK;
        return ack_from(from->ack, &ret_response->ack, reterr_diag);
    case FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_SLOW_DOWN:
        ret_response->kind = FT_RESPONSE_SLOW_DOWN;
        ret_response->slow_down.window_bytes = from->slow_down->window_bytes;
        ret_response->slow_down.pause_ms = from->slow_down->pause_ms;
        return FT_OK;
    case FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_GO_AWAY:
        ret_response->kind = FT_RESPONSE_GO_AWAY;
        ret_response->go_away.retry_after_ms = from->go_away->retry_after_ms;
        FT_UNPACK_TEXT(from->go_away->reason, ret_response->go_away.reason, reterr_diag);
        return FT_OK;
    default:
        /* A newer collector may say things that this agent does not know. */
        ret_response->kind = FT_RESPONSE_OTHER;
        return FT_OK;
    }
}

static ft_err welcome_from(const Flowtrail__V1__Welcome *from, struct ft_msg_welcome *ret_welcome,
                           struct ft_diag *reterr_diag)
{
    FT_TRY(ft_unpack_uuid(&from->collector_id, "collector_id", &ret_welcome->collector_id,
                          reterr_diag));
    FT_TRY(
        ft_unpack_uuid(&from->store_epoch, "store_epoch", &ret_welcome->store_epoch, reterr_diag));
    ret_welcome->durable_seq = from->durable_seq;
    ret_welcome->window_bytes = from->window_bytes;
    ret_welcome->message_bytes_max = from->message_bytes_max;
    ret_welcome->status_interval_ms = from->status_interval_ms;
    ret_welcome->time_ns = from->time_unix_ns;
    FT_UNPACK_TEXT(from->collector_version, ret_welcome->collector_version, reterr_diag);
    if (from->n_lost > FT_WIRE_LOST_MAX) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "Welcome: %zu lost ranges",
                           from->n_lost);
    }
    uint64_t before = 0;
    for (size_t i = 0; i < from->n_lost; i++) {
        const Flowtrail__V1__SeqRange *range = from->lost[i];
        if (range->first_seq <= before || range->first_seq > range->last_seq) {
            return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                               "Welcome: a lost range is out of order");
        }
        before = range->last_seq;
        ret_welcome->lost[ret_welcome->n_lost++] =
            (struct ft_msg_hole){range->first_seq, range->last_seq};
    }
    ret_welcome->newest_seq = from->newest_seq;
    ret_welcome->newest_life = from->newest_life;
    ret_welcome->missing_events = from->missing_events;
    take_signature(&from->receipt, &ret_welcome->receipt);
    return ft_unpack_bytes(&from->receipt_key, "receipt_key", ret_welcome->receipt_key,
                           sizeof ret_welcome->receipt_key, &ret_welcome->has_receipt_key,
                           reterr_diag);
}

static ft_err ack_from(const Flowtrail__V1__Ack *from, struct ft_msg_ack *ret_ack,
                       struct ft_diag *reterr_diag)
{
    ret_ack->durable_seq = from->durable_seq;
    if (from->n_rejected > FT_WIRE_REJECTED_MAX) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "Ack: %zu rejected ranges",
                           from->n_rejected);
    }
    uint64_t before = 0;
    for (size_t i = 0; i < from->n_rejected; i++) {
        const Flowtrail__V1__SeqRange *range = from->rejected[i];
        if (range->first_seq <= before || range->first_seq > range->last_seq ||
            range->last_seq > from->durable_seq) {
            return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                               "Ack: a rejected range is out of order");
        }
        ret_ack->rejected[i].first_seq = range->first_seq;
        ret_ack->rejected[i].last_seq = range->last_seq;
        FT_UNPACK_TEXT(range->reason, ret_ack->rejected[i].reason, reterr_diag);
        ret_ack->n_rejected++;
        before = range->last_seq;
    }
    take_signature(&from->receipt, &ret_ack->receipt);
    return ft_unpack_bytes(&from->store_epoch, "store_epoch", ret_ack->store_epoch.bytes,
                           sizeof ret_ack->store_epoch.bytes, &ret_ack->has_store_epoch,
                           reterr_diag);
}

/* One of a wrong size is no broken message: it is a receipt that nobody signed. */
static void take_signature(const ProtobufCBinaryData *from, struct ft_msg_signature *ret_receipt)
{
    ret_receipt->size = from->len;
    if (from->len == sizeof ret_receipt->bytes) {
        memcpy(ret_receipt->bytes, from->data, sizeof ret_receipt->bytes);
    }
}

static ProtobufCBinaryData give_signature(const struct ft_msg_signature *receipt)
{
    size_t size = receipt->size < sizeof receipt->bytes ? receipt->size : sizeof receipt->bytes;
    return ft_pack_bytes(receipt->bytes, size);
}

static ft_err encode_welcome(const struct ft_msg_welcome *welcome, struct ft_buf *buf)
{
    Flowtrail__V1__Welcome to = FLOWTRAIL__V1__WELCOME__INIT;
    to.collector_id = ft_pack_uuid(&welcome->collector_id);
    to.store_epoch = ft_pack_uuid(&welcome->store_epoch);
    to.durable_seq = welcome->durable_seq;
    to.window_bytes = welcome->window_bytes;
    to.message_bytes_max = welcome->message_bytes_max;
    to.status_interval_ms = welcome->status_interval_ms;
    to.time_unix_ns = welcome->time_ns;
    to.collector_version = ft_pack_text(welcome->collector_version);
    to.receipt = give_signature(&welcome->receipt);
    if (welcome->has_receipt_key) {
        to.receipt_key = ft_pack_bytes(welcome->receipt_key, sizeof welcome->receipt_key);
    }
    Flowtrail__V1__SeqRange ranges[FT_WIRE_LOST_MAX];
    Flowtrail__V1__SeqRange *pointers[FT_WIRE_LOST_MAX];
    for (unsigned i = 0; i < welcome->n_lost && i < FT_WIRE_LOST_MAX; i++) {
        flowtrail__v1__seq_range__init(&ranges[i]);
        ranges[i].first_seq = welcome->lost[i].first_seq;
        ranges[i].last_seq = welcome->lost[i].last_seq;
        pointers[to.n_lost++] = &ranges[i];
    }
    to.lost = pointers;
    to.newest_seq = welcome->newest_seq;
    to.newest_life = welcome->newest_life;
    to.missing_events = welcome->missing_events;
    Flowtrail__V1__ExportResponse response = FLOWTRAIL__V1__EXPORT_RESPONSE__INIT;
    response.message_case = FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_WELCOME;
    response.welcome = &to;
    return ft_pack(&response.base, buf);
}

static ft_err encode_ack(const struct ft_msg_ack *ack, struct ft_buf *buf)
{
    Flowtrail__V1__SeqRange ranges[FT_WIRE_REJECTED_MAX];
    Flowtrail__V1__SeqRange *pointers[FT_WIRE_REJECTED_MAX];
    Flowtrail__V1__Ack to = FLOWTRAIL__V1__ACK__INIT;
    to.durable_seq = ack->durable_seq;
    if (ack->has_store_epoch) {
        to.store_epoch = ft_pack_uuid(&ack->store_epoch);
    }
    to.receipt = give_signature(&ack->receipt);
    for (unsigned i = 0; i < ack->n_rejected && i < FT_WIRE_REJECTED_MAX; i++) {
        flowtrail__v1__seq_range__init(&ranges[i]);
        ranges[i].first_seq = ack->rejected[i].first_seq;
        ranges[i].last_seq = ack->rejected[i].last_seq;
        ranges[i].reason = ft_pack_text(ack->rejected[i].reason);
        pointers[to.n_rejected++] = &ranges[i];
    }
    to.rejected = pointers;
    Flowtrail__V1__ExportResponse response = FLOWTRAIL__V1__EXPORT_RESPONSE__INIT;
    response.message_case = FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_ACK;
    response.ack = &to;
    return ft_pack(&response.base, buf);
}

static ft_err encode_slow_down(const struct ft_msg_slow_down *slow_down, struct ft_buf *buf)
{
    Flowtrail__V1__SlowDown to = FLOWTRAIL__V1__SLOW_DOWN__INIT;
    to.window_bytes = slow_down->window_bytes;
    to.pause_ms = slow_down->pause_ms;
    Flowtrail__V1__ExportResponse response = FLOWTRAIL__V1__EXPORT_RESPONSE__INIT;
    response.message_case = FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_SLOW_DOWN;
    response.slow_down = &to;
    return ft_pack(&response.base, buf);
}

static ft_err encode_go_away(const struct ft_msg_go_away *go_away, struct ft_buf *buf)
{
    Flowtrail__V1__GoAway to = FLOWTRAIL__V1__GO_AWAY__INIT;
    to.reason = ft_pack_text(go_away->reason);
    to.retry_after_ms = go_away->retry_after_ms;
    Flowtrail__V1__ExportResponse response = FLOWTRAIL__V1__EXPORT_RESPONSE__INIT;
    response.message_case = FLOWTRAIL__V1__EXPORT_RESPONSE__MESSAGE_GO_AWAY;
    response.go_away = &to;
    return ft_pack(&response.base, buf);
}
