/* SPDX-License-Identifier: Apache-2.0 */
/* ExportRequest: what an agent says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowtrail/v1/export.pb-c.h"
#include "shallow.pb-c.h"
#include "wire/alloc.h"
#include "wire/message.h"
#include "wire/pack.h"

bool ft_batch_instance_encode(const void *batch, size_t size, const struct ft_uuid *instance_id,
                              uint8_t to[FT_WIRE_BATCH_INSTANCE_SIZE])
{
    /* Field 1 (instance_id), wire type 2, 16 bytes: it comes first because fields are written in
     * the order of their numbers. */
    static const uint8_t tag[2] = {1 << 3 | 2, 16};
    if (size < FT_WIRE_BATCH_INSTANCE_SIZE || memcmp(batch, tag, sizeof tag) != 0) {
        return false;
    }
    memcpy(to, tag, sizeof tag);
    memcpy(to + sizeof tag, instance_id->bytes, sizeof instance_id->bytes);
    return true;
}

static ft_err decode_hello(const ProtobufCBinaryData *bytes, struct ft_msg_hello *ret_hello,
                           struct ft_diag *reterr_diag);
static ft_err hello_from(const Flowtrail__V1__Hello *from, struct ft_msg_hello *ret_hello,
                         struct ft_diag *reterr_diag);
static ft_err decode_status(const ProtobufCBinaryData *bytes, struct ft_msg_status *ret_status,
                            struct ft_diag *reterr_diag);
static ft_err status_from(const Flowtrail__V1__Status *from, struct ft_msg_status *ret_status,
                          struct ft_diag *reterr_diag);

ft_err ft_request_decode(const void *data, size_t size, struct ft_request *ret_request,
                         struct ft_diag *reterr_diag)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, FT_WIRE_ALLOC_BYTES_MAX);
    Flowtrail__Shallow__Request *shallow =
        flowtrail__shallow__request__unpack(&alloc.allocator, size, data);
    if (shallow == NULL) {
        return ft_wire_alloc_refuse(&alloc, reterr_diag,
                                    "message of %zu bytes is no valid ExportRequest", size);
    }
    ft_err err = FT_OK;
    memset(ret_request, 0, sizeof *ret_request);
    if (shallow->hello.len > 0) {
        ret_request->kind = FT_REQUEST_HELLO;
        err = decode_hello(&shallow->hello, &ret_request->hello, reterr_diag);
    } else if (shallow->batch.len > 0) {
        ret_request->kind = FT_REQUEST_BATCH;
        ret_request->batch.data = shallow->batch.data;
        ret_request->batch.size = shallow->batch.len;
        shallow->batch.data = NULL; /* Moved. */
        shallow->batch.len = 0;
    } else if (shallow->status.len > 0) {
        ret_request->kind = FT_REQUEST_STATUS;
        err = decode_status(&shallow->status, &ret_request->status, reterr_diag);
    } else if (shallow->configuration_result.len > 0) {
        ret_request->kind = FT_REQUEST_OTHER;
    } else {
        err = ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                          "ExportRequest without a known message");
    }
    flowtrail__shallow__request__free_unpacked(shallow, &alloc.allocator);
    return err;
}

void ft_request_clear(struct ft_request *request)
{
    if (request->kind == FT_REQUEST_BATCH) {
        free(request->batch.data);
        request->batch.data = NULL;
        request->batch.size = 0;
    }
}

ft_err ft_hello_encode(const struct ft_msg_hello *hello, struct ft_buf *buf)
{
    Flowtrail__V1__Hello to = FLOWTRAIL__V1__HELLO__INIT;
    to.protocol_version = hello->protocol_version;
    to.agent_id = ft_pack_uuid(&hello->agent_id);
    to.instance_id = ft_pack_uuid(&hello->instance_id);
    to.oldest_seq = hello->oldest_seq;
    to.next_seq = hello->next_seq;
    to.started_unix_ns = hello->started_ns;
    to.time_unix_ns = hello->time_ns;
    if (hello->has_collector_id) {
        to.collector_id = ft_pack_uuid(&hello->collector_id);
    }
    if (hello->has_challenge) {
        to.challenge = ft_pack_bytes(hello->challenge, sizeof hello->challenge);
    }
    if (hello->has_witness) {
        to.witness = ft_pack_bytes(hello->witness, sizeof hello->witness);
    }
    to.host_name = ft_pack_text(hello->host_name);
    to.agent_version = ft_pack_text(hello->agent_version);
    to.kernel_release = ft_pack_text(hello->kernel_release);
    Flowtrail__V1__ExportRequest request = FLOWTRAIL__V1__EXPORT_REQUEST__INIT;
    request.message_case = FLOWTRAIL__V1__EXPORT_REQUEST__MESSAGE_HELLO;
    request.hello = &to;
    return ft_pack(&request.base, buf);
}

ft_err ft_status_encode(const struct ft_msg_status *status, struct ft_buf *buf)
{
    Flowtrail__V1__Status to = FLOWTRAIL__V1__STATUS__INIT;
    to.time_unix_ns = status->time_ns;
    to.observed_events = status->observed_events;
    to.acknowledged_events = status->acknowledged_events;
    to.retained_events = status->retained_events;
    to.retained_bytes = status->retained_bytes;
    to.filtered_events = status->filtered_events;
    to.merged_events = status->merged_events;
    to.sealed_events = status->sealed_events;
    to.sent_events = status->sent_events;
    to.active_flows = status->active_flows;
    to.conntrack_entries = status->conntrack_entries;
    to.conntrack_entries_max = status->conntrack_entries_max;
    to.capture_step = ft_pack_text(status->capture_step);

    Flowtrail__V1__LossCount lost[FT_LOSS_CAUSE_N];
    Flowtrail__V1__LossCount *lost_pointers[FT_LOSS_CAUSE_N];
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        if (status->lost[cause] == 0) {
            continue;
        }
        Flowtrail__V1__LossCount *count = &lost[to.n_lost];
        flowtrail__v1__loss_count__init(count);
        count->cause = (Flowtrail__V1__LossCause)cause;
        count->count = status->lost[cause];
        lost_pointers[to.n_lost++] = count;
    }
    to.lost = lost_pointers;

    Flowtrail__V1__ComponentHealth components[FT_WIRE_COMPONENTS_MAX];
    Flowtrail__V1__ComponentHealth *component_pointers[FT_WIRE_COMPONENTS_MAX];
    for (unsigned i = 0; i < status->n_components && i < FT_WIRE_COMPONENTS_MAX; i++) {
        flowtrail__v1__component_health__init(&components[i]);
        components[i].name = ft_pack_text(status->components[i].name);
        components[i].health = (Flowtrail__V1__Health)status->components[i].health;
        components[i].text = ft_pack_text(status->components[i].text);
        component_pointers[to.n_components++] = &components[i];
    }
    to.components = component_pointers;

    Flowtrail__V1__ExportRequest request = FLOWTRAIL__V1__EXPORT_REQUEST__INIT;
    request.message_case = FLOWTRAIL__V1__EXPORT_REQUEST__MESSAGE_STATUS;
    request.status = &to;
    return ft_pack(&request.base, buf);
}

size_t ft_batch_head_encode(size_t batch_size, uint8_t *to)
{
    /* Field 2 (batch), wire type 2 (length-delimited): the envelope that protobuf would write. */
    size_t n = 0;
    to[n++] = 2 << 3 | 2;
    while (batch_size >= 0x80) {
        to[n++] = (uint8_t)(batch_size | 0x80);
        batch_size >>= 7;
    }
    to[n++] = (uint8_t)batch_size;
    return n;
}

static ft_err decode_hello(const ProtobufCBinaryData *bytes, struct ft_msg_hello *ret_hello,
                           struct ft_diag *reterr_diag)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, FT_WIRE_ALLOC_BYTES_MAX);
    Flowtrail__V1__Hello *from =
        flowtrail__v1__hello__unpack(&alloc.allocator, bytes->len, bytes->data);
    if (from == NULL) {
        return ft_wire_alloc_refuse(&alloc, reterr_diag, "no valid Hello");
    }
    ft_err err = hello_from(from, ret_hello, reterr_diag);
    flowtrail__v1__hello__free_unpacked(from, &alloc.allocator);
    return err;
}

static ft_err hello_from(const Flowtrail__V1__Hello *from, struct ft_msg_hello *ret_hello,
                         struct ft_diag *reterr_diag)
{
    ret_hello->protocol_version = from->protocol_version;
    ret_hello->oldest_seq = from->oldest_seq;
    ret_hello->next_seq = from->next_seq;
    ret_hello->started_ns = from->started_unix_ns;
    ret_hello->time_ns = from->time_unix_ns;
    FT_TRY(ft_unpack_uuid(&from->agent_id, "agent_id", &ret_hello->agent_id, reterr_diag));
    FT_TRY(ft_unpack_uuid(&from->instance_id, "instance_id", &ret_hello->instance_id, reterr_diag));
    ret_hello->has_collector_id = from->collector_id.len > 0;
    if (ret_hello->has_collector_id) {
        FT_TRY(ft_unpack_uuid(&from->collector_id, "collector_id", &ret_hello->collector_id,
                              reterr_diag));
    }
    FT_TRY(ft_unpack_bytes(&from->challenge, "challenge", ret_hello->challenge,
                           sizeof ret_hello->challenge, &ret_hello->has_challenge, reterr_diag));
    FT_TRY(ft_unpack_bytes(&from->witness, "witness", ret_hello->witness, sizeof ret_hello->witness,
                           &ret_hello->has_witness, reterr_diag));
    if (from->oldest_seq == 0 || from->oldest_seq > from->next_seq) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                           "Hello: oldest_seq and next_seq are out of order");
    }
    FT_UNPACK_TEXT(from->host_name, ret_hello->host_name, reterr_diag);
    FT_UNPACK_TEXT(from->agent_version, ret_hello->agent_version, reterr_diag);
    FT_UNPACK_TEXT(from->kernel_release, ret_hello->kernel_release, reterr_diag);
    return FT_OK;
}

static ft_err decode_status(const ProtobufCBinaryData *bytes, struct ft_msg_status *ret_status,
                            struct ft_diag *reterr_diag)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, FT_WIRE_ALLOC_BYTES_MAX);
    Flowtrail__V1__Status *from =
        flowtrail__v1__status__unpack(&alloc.allocator, bytes->len, bytes->data);
    if (from == NULL) {
        return ft_wire_alloc_refuse(&alloc, reterr_diag, "no valid Status");
    }
    ft_err err = status_from(from, ret_status, reterr_diag);
    flowtrail__v1__status__free_unpacked(from, &alloc.allocator);
    return err;
}

static ft_err status_from(const Flowtrail__V1__Status *from, struct ft_msg_status *ret_status,
                          struct ft_diag *reterr_diag)
{
    ret_status->time_ns = from->time_unix_ns;
    ret_status->observed_events = from->observed_events;
    ret_status->acknowledged_events = from->acknowledged_events;
    ret_status->retained_events = from->retained_events;
    ret_status->retained_bytes = from->retained_bytes;
    ret_status->filtered_events = from->filtered_events;
    ret_status->merged_events = from->merged_events;
    ret_status->sealed_events = from->sealed_events;
    ret_status->sent_events = from->sent_events;
    ret_status->active_flows = from->active_flows;
    ret_status->conntrack_entries = from->conntrack_entries;
    ret_status->conntrack_entries_max = from->conntrack_entries_max;
    FT_UNPACK_TEXT(from->capture_step, ret_status->capture_step, reterr_diag);
    for (size_t i = 0; i < from->n_lost; i++) {
        unsigned cause = (unsigned)from->lost[i]->cause;
        ret_status->lost[cause < FT_LOSS_CAUSE_N ? cause : FT_LOSS_UNKNOWN] += from->lost[i]->count;
    }
    if (from->n_components > FT_WIRE_COMPONENTS_MAX) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "Status: %zu components",
                           from->n_components);
    }
    for (size_t i = 0; i < from->n_components; i++) {
        struct ft_msg_component *to = &ret_status->components[i];
        unsigned health = (unsigned)from->components[i]->health;
        to->health = health < FT_HEALTH_N ? (enum ft_health)health : FT_HEALTH_UNKNOWN;
        FT_UNPACK_TEXT(from->components[i]->name, to->name, reterr_diag);
        FT_UNPACK_TEXT(from->components[i]->text, to->text, reterr_diag);
        ret_status->n_components++;
    }
    return FT_OK;
}
