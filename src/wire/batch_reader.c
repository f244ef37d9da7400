/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/batch_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "flowtrail/v1/export.pb-c.h"
#include "wire/alloc.h"
#include "wire/batch_builder.h"
#include "wire/batch_check.h"
#include "wire/columns.h"

/* Batch.life: field 6, fixed64. */
#define LIFE_TAG ((UINT64_C(6) << 3) | 1)

struct ft_batch_reader {
    struct ft_wire_alloc alloc;
    Flowtrail__V1__Batch *batch;
    struct ft_uuid instance_id;
    uint32_t row;
    int64_t time_ns;
    size_t v6;
    size_t nat_v6;
    size_t loss;
    /* How many values of each column were read. */
#define COLUMN_CURSOR(type, name) size_t name;
    struct {
        FT_BATCH_COLUMNS(COLUMN_CURSOR)
    } at;
#undef COLUMN_CURSOR
};

static void read_tuple(struct ft_batch_reader *reader, struct ft_event *event);
static void read_nat(struct ft_batch_reader *reader, struct ft_event *event);
static void read_details(struct ft_batch_reader *reader, struct ft_event *event);
static void read_names(struct ft_batch_reader *reader, struct ft_event *event);
static void read_loss(struct ft_batch_reader *reader, struct ft_loss *loss);
static struct ft_addr v4_addr(uint32_t number);
static struct ft_addr v4_xor(const struct ft_addr *addr, uint32_t number);
static struct ft_addr v6_addr(const ProtobufCBinaryData *column, size_t index);

/* The next value of a column; ft_batch_check has made sure that there is one. */
#define TAKE(reader, column) ((reader)->batch->column[(reader)->at.column++])

ft_err ft_batch_reader_open(const void *data, size_t size, struct ft_batch_reader **ret_reader,
                            struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ENOMEM), NULL, 0, 0, "out of memory");
    }
    ft_wire_alloc_init(&reader->alloc, FT_WIRE_ALLOC_BYTES_MAX);
    reader->batch = flowtrail__v1__batch__unpack(&reader->alloc.allocator, size, data);
    if (reader->batch == NULL) {
        return ft_wire_alloc_refuse(
            &reader->alloc, reterr_diag,
            "batch of %zu bytes is no valid protobuf or unpacks to more than %zu", size,
            FT_WIRE_ALLOC_BYTES_MAX);
    }
    FT_TRY(ft_batch_check(reader->batch, reterr_diag));
    memcpy(reader->instance_id.bytes, reader->batch->instance_id.data,
           sizeof reader->instance_id.bytes);
    reader->time_ns = reader->batch->base_time_unix_ns;
    *ret_reader = FT_TAKE(reader);
    return FT_OK;
}

ft_err ft_batch_peek(const void *data, size_t size, uint64_t *ret_first_seq, uint32_t *ret_n_events)
{
    struct ft_wire_alloc alloc;
    ft_wire_alloc_init(&alloc, FT_WIRE_ALLOC_BYTES_MAX);
    Flowtrail__V1__Batch *batch = flowtrail__v1__batch__unpack(&alloc.allocator, size, data);
    if (batch == NULL) {
        return ft_wire_alloc_refuse(&alloc, NULL, "no valid protobuf");
    }
    bool ok = batch->count >= 1 && batch->count <= FT_BATCH_EVENTS_MAX && batch->first_seq > 0 &&
              batch->first_seq < UINT64_MAX - FT_BATCH_EVENTS_MAX;
    *ret_first_seq = batch->first_seq;
    *ret_n_events = batch->count;
    flowtrail__v1__batch__free_unpacked(batch, &alloc.allocator);
    return ok ? FT_OK : FT_E_PROTOCOL;
}

/* False when it does not end. */
static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* The columns are skipped: what it takes does not depend on the number of events. */
uint64_t ft_batch_peek_life(const void *data, size_t size)
{
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    uint64_t life = 0;
    uint64_t tag;
    while (at < end) {
        if (!take_varint(&at, end, &tag)) {
            return 0;
        }
        uint64_t skip = 0;
        switch (tag & 7) {
        case 0:
            if (!take_varint(&at, end, &skip)) {
                return 0;
            }
            skip = 0;
            break;
        case 1:
            skip = 8;
            break;
        case 2:
            if (!take_varint(&at, end, &skip)) {
                return 0;
            }
            break;
        case 5:
            skip = 4;
            break;
        default:
            return 0;
        }
        if (skip > (uint64_t)(end - at)) {
            return 0;
        }
        if (tag == LIFE_TAG) {
            life = ft_le_get(at, 8);
        }
        at += skip;
    }
    return life;
}

void ft_batch_reader_close(struct ft_batch_reader *reader)
{
    if (reader != NULL) {
        if (reader->batch != NULL) {
            flowtrail__v1__batch__free_unpacked(reader->batch, &reader->alloc.allocator);
        }
        free(reader);
    }
}

const struct ft_uuid *ft_batch_reader_instance(const struct ft_batch_reader *reader)
{
    return &reader->instance_id;
}

uint64_t ft_batch_reader_first_seq(const struct ft_batch_reader *reader)
{
    return reader->batch->first_seq;
}

uint64_t ft_batch_reader_life(const struct ft_batch_reader *reader) { return reader->batch->life; }

uint32_t ft_batch_reader_count(const struct ft_batch_reader *reader)
{
    return reader->batch->count;
}

bool ft_batch_reader_next(struct ft_batch_reader *reader, struct ft_event *ret_event)
{
    const Flowtrail__V1__Batch *batch = reader->batch;
    if (reader->row == batch->count) {
        return false;
    }
    memset(ret_event, 0, sizeof *ret_event);
    ret_event->seq = batch->first_seq + reader->row;
    ret_event->fields = TAKE(reader, fields);
    reader->time_ns += TAKE(reader, time_delta_ns);
    ret_event->time_ns = reader->time_ns;
    ret_event->type = (uint8_t)TAKE(reader, type);
    if (batch->n_direction != 0) {
        ret_event->direction = (uint8_t)TAKE(reader, direction);
    }
    if (batch->n_traffic_class != 0) {
        ret_event->traffic_class = (uint8_t)TAKE(reader, traffic_class);
    }
    if ((ret_event->fields & FT_FIELD_FLOW) != 0) {
        ret_event->ct_id = TAKE(reader, conntrack_id);
        ret_event->start_ns = ret_event->time_ns - TAKE(reader, start_before_ns);
    }
    if ((ret_event->fields & FT_FIELD_TUPLE) != 0) {
        read_tuple(reader, ret_event);
    }
    if ((ret_event->fields & FT_FIELD_NAT) != 0) {
        read_nat(reader, ret_event);
    }
    if ((ret_event->fields & FT_FIELD_COUNTERS) != 0) {
        ret_event->rx_packets = TAKE(reader, rx_packets);
        ret_event->rx_bytes = TAKE(reader, rx_bytes);
        ret_event->tx_packets = TAKE(reader, tx_packets);
        ret_event->tx_bytes = TAKE(reader, tx_bytes);
    }
    read_details(reader, ret_event);
    read_names(reader, ret_event);
    if ((ret_event->fields & FT_FIELD_LOSS) != 0) {
        read_loss(reader, &ret_event->loss);
    }
    reader->row++;
    return true;
}

static void read_tuple(struct ft_batch_reader *reader, struct ft_event *event)
{
    event->protocol = (uint8_t)TAKE(reader, protocol);
    if ((event->fields & FT_FIELD_IPV6) != 0) {
        event->src = v6_addr(&reader->batch->src_v6, reader->v6);
        event->dst = v6_addr(&reader->batch->dst_v6, reader->v6);
        reader->v6++;
    } else {
        event->src = v4_addr(TAKE(reader, src_v4));
        event->dst = v4_addr(TAKE(reader, dst_v4));
    }
    if ((event->fields & FT_FIELD_PORTS) != 0) {
        event->src_port = (uint16_t)TAKE(reader, src_port);
        event->dst_port = (uint16_t)TAKE(reader, dst_port);
    }
    if ((event->fields & FT_FIELD_ICMP) != 0) {
        event->icmp_type = (uint8_t)TAKE(reader, icmp_type);
        event->icmp_code = (uint8_t)TAKE(reader, icmp_code);
        event->icmp_id = (uint16_t)TAKE(reader, icmp_id);
    }
}

static void read_nat(struct ft_batch_reader *reader, struct ft_event *event)
{
    if ((event->fields & FT_FIELD_IPV6) != 0) {
        event->nat_src = v6_addr(&reader->batch->nat_src_v6, reader->nat_v6);
        event->nat_dst = v6_addr(&reader->batch->nat_dst_v6, reader->nat_v6);
        reader->nat_v6++;
    } else {
        event->nat_src = v4_xor(&event->dst, TAKE(reader, nat_src_v4_xor));
        event->nat_dst = v4_xor(&event->src, TAKE(reader, nat_dst_v4_xor));
    }
    if ((event->fields & FT_FIELD_PORTS) != 0) {
        event->nat_src_port = (uint16_t)(event->dst_port ^ TAKE(reader, nat_src_port_xor));
        event->nat_dst_port = (uint16_t)(event->src_port ^ TAKE(reader, nat_dst_port_xor));
    }
}

static void read_details(struct ft_batch_reader *reader, struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_TCP_STATE) != 0) {
        event->tcp_state = (uint8_t)TAKE(reader, tcp_state);
    }
    if ((fields & FT_FIELD_STATUS) != 0) {
        event->ct_status = TAKE(reader, conntrack_status);
    }
    if ((fields & FT_FIELD_MARK) != 0) {
        event->mark = TAKE(reader, mark);
    }
    if ((fields & FT_FIELD_ZONE) != 0) {
        event->zone = (uint16_t)TAKE(reader, zone);
    }
    if ((fields & FT_FIELD_TCP_INFO) != 0) {
        event->rtt_us = TAKE(reader, rtt_us);
        event->rtt_var_us = TAKE(reader, rtt_var_us);
        event->retransmits = TAKE(reader, retransmits);
    }
    if ((fields & FT_FIELD_WINDOW) != 0) {
        event->window_begin_ns = event->time_ns - TAKE(reader, window_begin_before_ns);
        event->window_end_ns = event->window_begin_ns + TAKE(reader, window_ns);
        event->n_starts = TAKE(reader, n_starts);
        event->n_ends = TAKE(reader, n_ends);
        event->n_drops = TAKE(reader, n_drops);
    }
}

/* The text behind an index; index 0 stands for none, also without a table. */
#define TAKE_STRING(reader, column) string_at((reader)->batch, TAKE(reader, column))

static const char *string_at(const Flowtrail__V1__Batch *batch, uint32_t index)
{
    return index == 0 ? NULL : batch->strings[index];
}

static void read_names(struct ft_batch_reader *reader, struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_PROCESS) != 0) {
        event->pid = TAKE(reader, pid);
        event->process_name = TAKE_STRING(reader, process_name);
    }
    if ((fields & FT_FIELD_CONTAINER) != 0) {
        event->container_id = TAKE_STRING(reader, container_id);
    }
    if ((fields & FT_FIELD_USER) != 0) {
        event->uid = TAKE(reader, uid);
        event->user_name = TAKE_STRING(reader, user_name);
    }
    if ((fields & FT_FIELD_DNS) != 0) {
        event->src_name = TAKE_STRING(reader, src_name);
        event->dst_name = TAKE_STRING(reader, dst_name);
    }
    if ((fields & FT_FIELD_RULE) != 0) {
        event->rule_id = TAKE_STRING(reader, rule_id);
    }
    if ((fields & FT_FIELD_RESOURCE) != 0) {
        event->src_resource_id = TAKE_STRING(reader, src_resource_id);
        event->dst_resource_id = TAKE_STRING(reader, dst_resource_id);
    }
}

static void read_loss(struct ft_batch_reader *reader, struct ft_loss *loss)
{
    const Flowtrail__V1__Loss *from = reader->batch->loss[reader->loss++];
    loss->cause = (enum ft_loss_cause)from->cause;
    loss->estimated = from->estimated;
    loss->begin_ns = from->begin_unix_ns;
    loss->end_ns = from->end_unix_ns;
    loss->count = from->count;
    loss->first_seq = from->first_seq;
    loss->last_seq = from->last_seq;
}

static struct ft_addr v4_addr(uint32_t number)
{
    return (struct ft_addr){{(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                             (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct ft_addr v4_xor(const struct ft_addr *addr, uint32_t number)
{
    struct ft_addr other = v4_addr(number);
    for (unsigned i = 0; i < 4; i++) {
        other.bytes[i] ^= addr->bytes[i];
    }
    return other;
}

static struct ft_addr v6_addr(const ProtobufCBinaryData *column, size_t index)
{
    struct ft_addr addr;
    memcpy(addr.bytes, column->data + index * sizeof addr.bytes, sizeof addr.bytes);
    return addr;
}
