/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/batch_builder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "flowtrail/v1/export.pb-c.h"
#include "wire/columns.h"

#define STRING_SLOTS (FT_BATCH_STRINGS_MAX * 2)
#define STRING_BYTES (FT_BATCH_STRINGS_MAX * 64)
/* The longest strings of one event, with their ends. */
#define EVENT_STRINGS      8
#define EVENT_STRING_BYTES (EVENT_STRINGS * (FT_EVENT_STRING_LEN_MAX + 1))

struct ft_batch_builder {
    /* The message is filled in place: its column pointers are the arrays below. */
    Flowtrail__V1__Batch batch;
    struct ft_uuid instance_id;
    uint64_t life;
    uint64_t next_seq;
    int64_t last_time_ns;
    size_t size_estimate;
    bool any_direction;
    bool any_class;
    uint16_t string_slots[STRING_SLOTS]; /* Index into 'strings' plus 1; 0 is free. */
    char *strings[FT_BATCH_STRINGS_MAX];
    char string_bytes[STRING_BYTES];
    size_t string_bytes_used;
    Flowtrail__V1__Loss losses[FT_BATCH_EVENTS_MAX];
    Flowtrail__V1__Loss *loss_pointers[FT_BATCH_EVENTS_MAX];
    uint8_t src_v6[FT_BATCH_EVENTS_MAX * 16];
    uint8_t dst_v6[FT_BATCH_EVENTS_MAX * 16];
    uint8_t nat_src_v6[FT_BATCH_EVENTS_MAX * 16];
    uint8_t nat_dst_v6[FT_BATCH_EVENTS_MAX * 16];
#define COLUMN_ARRAY(type, name) type name[FT_BATCH_EVENTS_MAX];
    FT_BATCH_COLUMNS(COLUMN_ARRAY)
#undef COLUMN_ARRAY
};

static void reset(struct ft_batch_builder *builder);
static void add_tuple(struct ft_batch_builder *builder, const struct ft_event *event);
static void add_nat(struct ft_batch_builder *builder, const struct ft_event *event);
static void add_details(struct ft_batch_builder *builder, const struct ft_event *event);
static void add_names(struct ft_batch_builder *builder, const struct ft_event *event);
static void add_loss(struct ft_batch_builder *builder, const struct ft_loss *loss);
static uint32_t intern(struct ft_batch_builder *builder, const char *text);
static uint32_t v4_number(const struct ft_addr *addr);
static void add_v6(ProtobufCBinaryData *column, const struct ft_addr *addr);

/* Appends to a column; every column has room for one value per event. */
#define PUSH(builder, column, value)                                                               \
    ((builder)->batch.column[(builder)->batch.n_##column++] = (value))

ft_err ft_batch_builder_create(const struct ft_uuid *instance_id,
                               struct ft_batch_builder **ret_builder)
{
    /* Columns that are never used stay untouched, and so take no memory. */
    struct ft_batch_builder *builder = calloc(1, sizeof *builder);
    if (builder == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    builder->instance_id = *instance_id;
    reset(builder);
    *ret_builder = builder;
    return FT_OK;
}

void ft_batch_builder_destroy(struct ft_batch_builder *builder) { free(builder); }

ft_err ft_batch_builder_add(struct ft_batch_builder *builder, const struct ft_event *event)
{
    Flowtrail__V1__Batch *batch = &builder->batch;
    if (batch->count == FT_BATCH_EVENTS_MAX ||
        batch->n_strings + EVENT_STRINGS > FT_BATCH_STRINGS_MAX ||
        builder->string_bytes_used + EVENT_STRING_BYTES > STRING_BYTES) {
        return FT_E_FULL;
    }
    if (batch->count == 0) {
        batch->first_seq = event->seq;
        batch->base_time_unix_ns = event->time_ns;
        builder->last_time_ns = event->time_ns;
    } else {
        assert(event->seq == builder->next_seq);
    }
    builder->next_seq = event->seq + 1;
    batch->count++;

    uint32_t fields = event->fields & FT_FIELD_ALL;
    PUSH(builder, fields, fields);
    PUSH(builder, time_delta_ns, event->time_ns - builder->last_time_ns);
    builder->last_time_ns = event->time_ns;
    PUSH(builder, type, event->type);
    PUSH(builder, direction, event->direction);
    PUSH(builder, traffic_class, event->traffic_class);
    builder->any_direction |= event->direction != FT_DIR_UNKNOWN;
    builder->any_class |= event->traffic_class != FT_CLASS_UNCLASSIFIED;
    /* Time 5, fields 2 to 4, type and direction 2. */
    builder->size_estimate += 11;

    if ((fields & FT_FIELD_FLOW) != 0) {
        PUSH(builder, conntrack_id, event->ct_id);
        PUSH(builder, start_before_ns, event->time_ns - event->start_ns);
        builder->size_estimate += 10;
    }
    if ((fields & FT_FIELD_TUPLE) != 0) {
        add_tuple(builder, event);
    }
    if ((fields & FT_FIELD_NAT) != 0) {
        add_nat(builder, event);
    }
    if ((fields & FT_FIELD_COUNTERS) != 0) {
        PUSH(builder, rx_packets, event->rx_packets);
        PUSH(builder, rx_bytes, event->rx_bytes);
        PUSH(builder, tx_packets, event->tx_packets);
        PUSH(builder, tx_bytes, event->tx_bytes);
        builder->size_estimate += 10;
    }
    add_details(builder, event);
    add_names(builder, event);
    if ((fields & FT_FIELD_LOSS) != 0) {
        add_loss(builder, &event->loss);
    }
    return FT_OK;
}

uint32_t ft_batch_builder_count(const struct ft_batch_builder *builder)
{
    return builder->batch.count;
}

void ft_batch_builder_set_instance(struct ft_batch_builder *builder,
                                   const struct ft_uuid *instance_id)
{
    builder->instance_id = *instance_id;
}

void ft_batch_builder_set_life(struct ft_batch_builder *builder, uint64_t life)
{
    builder->life = life;
    builder->batch.life = life;
}

uint64_t ft_batch_builder_first_seq(const struct ft_batch_builder *builder)
{
    return builder->batch.first_seq;
}

size_t ft_batch_builder_size_estimate(const struct ft_batch_builder *builder)
{
    return builder->size_estimate;
}

ft_err ft_batch_builder_seal(struct ft_batch_builder *builder, struct ft_buf *buf)
{
    Flowtrail__V1__Batch *batch = &builder->batch;
    assert(batch->count > 0);
    /* A column that is zero in all rows is left out whole. */
    if (!builder->any_direction) {
        batch->n_direction = 0;
    }
    if (!builder->any_class) {
        batch->n_traffic_class = 0;
    }
    size_t size = flowtrail__v1__batch__get_packed_size(batch);
    uint8_t *to = ft_buf_reserve(buf, size);
    if (to != NULL) {
        (void)flowtrail__v1__batch__pack(batch, to);
    }
    reset(builder);
    return to != NULL ? FT_OK : buf->err;
}

static void reset(struct ft_batch_builder *builder)
{
    flowtrail__v1__batch__init(&builder->batch);
    Flowtrail__V1__Batch *batch = &builder->batch;
    batch->instance_id.data = builder->instance_id.bytes;
    batch->instance_id.len = sizeof builder->instance_id.bytes;
    batch->life = builder->life;
#define COLUMN_POINTER(type, name) batch->name = builder->name;
    FT_BATCH_COLUMNS(COLUMN_POINTER)
#undef COLUMN_POINTER
    batch->src_v6.data = builder->src_v6;
    batch->dst_v6.data = builder->dst_v6;
    batch->nat_src_v6.data = builder->nat_src_v6;
    batch->nat_dst_v6.data = builder->nat_dst_v6;
    batch->loss = builder->loss_pointers;
    batch->strings = builder->strings;
    if (builder->string_bytes_used > 0) {
        memset(builder->string_slots, 0, sizeof builder->string_slots);
    }
    builder->string_bytes_used = 0;
    builder->any_direction = false;
    builder->any_class = false;
    /* Ids, base time and the headers of the columns. */
    builder->size_estimate = 200;
}

static void add_tuple(struct ft_batch_builder *builder, const struct ft_event *event)
{
    Flowtrail__V1__Batch *batch = &builder->batch;
    PUSH(builder, protocol, event->protocol);
    if ((event->fields & FT_FIELD_IPV6) != 0) {
        add_v6(&batch->src_v6, &event->src);
        add_v6(&batch->dst_v6, &event->dst);
        builder->size_estimate += 33;
    } else {
        PUSH(builder, src_v4, v4_number(&event->src));
        PUSH(builder, dst_v4, v4_number(&event->dst));
        builder->size_estimate += 9;
    }
    if ((event->fields & FT_FIELD_PORTS) != 0) {
        PUSH(builder, src_port, event->src_port);
        PUSH(builder, dst_port, event->dst_port);
        builder->size_estimate += 6;
    }
    if ((event->fields & FT_FIELD_ICMP) != 0) {
        PUSH(builder, icmp_type, event->icmp_type);
        PUSH(builder, icmp_code, event->icmp_code);
        PUSH(builder, icmp_id, event->icmp_id);
        builder->size_estimate += 7;
    }
}

static void add_nat(struct ft_batch_builder *builder, const struct ft_event *event)
{
    Flowtrail__V1__Batch *batch = &builder->batch;
    if ((event->fields & FT_FIELD_IPV6) != 0) {
        add_v6(&batch->nat_src_v6, &event->nat_src);
        add_v6(&batch->nat_dst_v6, &event->nat_dst);
        builder->size_estimate += 32;
    } else {
        PUSH(builder, nat_src_v4_xor, v4_number(&event->nat_src) ^ v4_number(&event->dst));
        PUSH(builder, nat_dst_v4_xor, v4_number(&event->nat_dst) ^ v4_number(&event->src));
        builder->size_estimate += 10;
    }
    if ((event->fields & FT_FIELD_PORTS) != 0) {
        PUSH(builder, nat_src_port_xor, (uint32_t)(event->nat_src_port ^ event->dst_port));
        PUSH(builder, nat_dst_port_xor, (uint32_t)(event->nat_dst_port ^ event->src_port));
        builder->size_estimate += 6;
    }
}

static void add_details(struct ft_batch_builder *builder, const struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_TCP_STATE) != 0) {
        PUSH(builder, tcp_state, event->tcp_state);
        builder->size_estimate += 1;
    }
    if ((fields & FT_FIELD_STATUS) != 0) {
        PUSH(builder, conntrack_status, event->ct_status);
        builder->size_estimate += 2;
    }
    if ((fields & FT_FIELD_MARK) != 0) {
        PUSH(builder, mark, event->mark);
        builder->size_estimate += 5;
    }
    if ((fields & FT_FIELD_ZONE) != 0) {
        PUSH(builder, zone, event->zone);
        builder->size_estimate += 3;
    }
    if ((fields & FT_FIELD_TCP_INFO) != 0) {
        PUSH(builder, rtt_us, event->rtt_us);
        PUSH(builder, rtt_var_us, event->rtt_var_us);
        PUSH(builder, retransmits, event->retransmits);
        builder->size_estimate += 9;
    }
    if ((fields & FT_FIELD_WINDOW) != 0) {
        PUSH(builder, window_begin_before_ns, event->time_ns - event->window_begin_ns);
        PUSH(builder, window_ns, event->window_end_ns - event->window_begin_ns);
        PUSH(builder, n_starts, event->n_starts);
        PUSH(builder, n_ends, event->n_ends);
        PUSH(builder, n_drops, event->n_drops);
        builder->size_estimate += 20;
    }
}

static void add_names(struct ft_batch_builder *builder, const struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_PROCESS) != 0) {
        PUSH(builder, pid, event->pid);
        PUSH(builder, process_name, intern(builder, event->process_name));
    }
    if ((fields & FT_FIELD_CONTAINER) != 0) {
        PUSH(builder, container_id, intern(builder, event->container_id));
    }
    if ((fields & FT_FIELD_USER) != 0) {
        PUSH(builder, uid, event->uid);
        PUSH(builder, user_name, intern(builder, event->user_name));
    }
    if ((fields & FT_FIELD_DNS) != 0) {
        PUSH(builder, src_name, intern(builder, event->src_name));
        PUSH(builder, dst_name, intern(builder, event->dst_name));
    }
    if ((fields & FT_FIELD_RULE) != 0) {
        PUSH(builder, rule_id, intern(builder, event->rule_id));
    }
    if ((fields & FT_FIELD_RESOURCE) != 0) {
        PUSH(builder, src_resource_id, intern(builder, event->src_resource_id));
        PUSH(builder, dst_resource_id, intern(builder, event->dst_resource_id));
    }
    if ((fields & (FT_FIELD_PROCESS | FT_FIELD_CONTAINER | FT_FIELD_USER | FT_FIELD_DNS |
                   FT_FIELD_RULE | FT_FIELD_RESOURCE)) != 0) {
        builder->size_estimate += 24;
    }
}

static void add_loss(struct ft_batch_builder *builder, const struct ft_loss *loss)
{
    size_t at = builder->batch.n_loss++;
    Flowtrail__V1__Loss *to = &builder->losses[at];
    flowtrail__v1__loss__init(to);
    to->cause = (Flowtrail__V1__LossCause)loss->cause;
    to->begin_unix_ns = loss->begin_ns;
    to->end_unix_ns = loss->end_ns;
    to->count = loss->count;
    to->estimated = loss->estimated;
    to->first_seq = loss->first_seq;
    to->last_seq = loss->last_seq;
    builder->loss_pointers[at] = to;
    builder->size_estimate += 60;
}

/* The index of 'text' in the string table; 0 is "", which stands for none. */
static uint32_t intern(struct ft_batch_builder *builder, const char *text)
{
    Flowtrail__V1__Batch *batch = &builder->batch;
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    if (batch->n_strings == 0) {
        static char empty[] = "";
        batch->strings[batch->n_strings++] = empty;
    }
    size_t len = strnlen(text, FT_EVENT_STRING_LEN_MAX);
    size_t slot = ft_hash64(text, len, 0) % STRING_SLOTS;
    while (builder->string_slots[slot] != 0) {
        uint32_t index = builder->string_slots[slot] - 1U;
        if (strncmp(batch->strings[index], text, len) == 0 && batch->strings[index][len] == '\0') {
            return index;
        }
        slot = (slot + 1) % STRING_SLOTS;
    }
    char *copy = builder->string_bytes + builder->string_bytes_used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    builder->string_bytes_used += len + 1;
    uint32_t index = (uint32_t)batch->n_strings;
    batch->strings[batch->n_strings++] = copy;
    builder->string_slots[slot] = (uint16_t)(index + 1);
    builder->size_estimate += len + 3;
    return index;
}

static uint32_t v4_number(const struct ft_addr *addr)
{
    return (uint32_t)addr->bytes[0] << 24 | (uint32_t)addr->bytes[1] << 16 |
           (uint32_t)addr->bytes[2] << 8 | addr->bytes[3];
}

static void add_v6(ProtobufCBinaryData *column, const struct ft_addr *addr)
{
    memcpy(column->data + column->len, addr->bytes, sizeof addr->bytes);
    column->len += sizeof addr->bytes;
}
