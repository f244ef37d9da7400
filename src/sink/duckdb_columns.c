/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_columns.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sink/duckdb_internal.h"

enum column_kind {
    COLUMN_U8,
    COLUMN_U16,
    COLUMN_U32,
    COLUMN_U64,
    COLUMN_BOOL,
    COLUMN_CAUSE, /* enum ft_loss_cause, stored as U8 */
    COLUMN_TIME,
    COLUMN_UUID,
    COLUMN_ADDR,
    COLUMN_TEXT,
    COLUMN_VERSION /* 4 or 6, from the bit FT_FIELD_IPV6 */
};

struct column {
    const char *sql;
    enum column_kind kind;
    uint32_t field; /* Its presence bit; 0: always there. */
    size_t offset;  /* In struct ft_row. */
};

#define ROW(member)   offsetof(struct ft_row, member)
#define EVENT(member) offsetof(struct ft_row, event.member)

/* In the order of schema.sql. */
static const struct column columns[] = {
    {"\"time\"", COLUMN_TIME, 0, EVENT(time_ns)},
    {"stored_time", COLUMN_TIME, 0, ROW(stored_ns)},
    {"agent_id", COLUMN_UUID, 0, ROW(agent_id)},
    {"instance_id", COLUMN_UUID, 0, ROW(instance_id)},
    {"seq", COLUMN_U64, 0, EVENT(seq)},
    {"event_id", COLUMN_UUID, 0, ROW(event_id)},
    {"flow_id", COLUMN_UUID, FT_FIELD_FLOW, ROW(flow_id)},
    {"fields", COLUMN_U32, 0, EVENT(fields)},
    {"type", COLUMN_U8, 0, EVENT(type)},
    {"direction", COLUMN_U8, 0, EVENT(direction)},
    {"traffic_class", COLUMN_U8, 0, EVENT(traffic_class)},
    {"ip_version", COLUMN_VERSION, FT_FIELD_TUPLE, 0},
    {"protocol", COLUMN_U8, FT_FIELD_TUPLE, EVENT(protocol)},
    {"src_addr", COLUMN_ADDR, FT_FIELD_TUPLE, EVENT(src)},
    {"dst_addr", COLUMN_ADDR, FT_FIELD_TUPLE, EVENT(dst)},
    {"src_port", COLUMN_U16, FT_FIELD_PORTS, EVENT(src_port)},
    {"dst_port", COLUMN_U16, FT_FIELD_PORTS, EVENT(dst_port)},
    {"icmp_type", COLUMN_U8, FT_FIELD_ICMP, EVENT(icmp_type)},
    {"icmp_code", COLUMN_U8, FT_FIELD_ICMP, EVENT(icmp_code)},
    {"icmp_id", COLUMN_U16, FT_FIELD_ICMP, EVENT(icmp_id)},
    {"nat_src_addr", COLUMN_ADDR, FT_FIELD_NAT, EVENT(nat_src)},
    {"nat_dst_addr", COLUMN_ADDR, FT_FIELD_NAT, EVENT(nat_dst)},
    {"nat_src_port", COLUMN_U16, FT_FIELD_NAT, EVENT(nat_src_port)},
    {"nat_dst_port", COLUMN_U16, FT_FIELD_NAT, EVENT(nat_dst_port)},
    {"rx_packets", COLUMN_U64, FT_FIELD_COUNTERS, EVENT(rx_packets)},
    {"rx_bytes", COLUMN_U64, FT_FIELD_COUNTERS, EVENT(rx_bytes)},
    {"tx_packets", COLUMN_U64, FT_FIELD_COUNTERS, EVENT(tx_packets)},
    {"tx_bytes", COLUMN_U64, FT_FIELD_COUNTERS, EVENT(tx_bytes)},
    {"tcp_state", COLUMN_U8, FT_FIELD_TCP_STATE, EVENT(tcp_state)},
    {"conntrack_status", COLUMN_U32, FT_FIELD_STATUS, EVENT(ct_status)},
    {"mark", COLUMN_U32, FT_FIELD_MARK, EVENT(mark)},
    {"zone", COLUMN_U16, FT_FIELD_ZONE, EVENT(zone)},
    {"conntrack_id", COLUMN_U32, FT_FIELD_FLOW, EVENT(ct_id)},
    {"start_time", COLUMN_TIME, FT_FIELD_FLOW, EVENT(start_ns)},
    {"pid", COLUMN_U32, FT_FIELD_PROCESS, EVENT(pid)},
    {"process_name", COLUMN_TEXT, FT_FIELD_PROCESS, EVENT(process_name)},
    {"container_id", COLUMN_TEXT, FT_FIELD_CONTAINER, EVENT(container_id)},
    {"uid", COLUMN_U32, FT_FIELD_USER, EVENT(uid)},
    {"user_name", COLUMN_TEXT, FT_FIELD_USER, EVENT(user_name)},
    {"src_name", COLUMN_TEXT, FT_FIELD_DNS, EVENT(src_name)},
    {"dst_name", COLUMN_TEXT, FT_FIELD_DNS, EVENT(dst_name)},
    {"rtt_us", COLUMN_U32, FT_FIELD_TCP_INFO, EVENT(rtt_us)},
    {"rtt_var_us", COLUMN_U32, FT_FIELD_TCP_INFO, EVENT(rtt_var_us)},
    {"retransmits", COLUMN_U32, FT_FIELD_TCP_INFO, EVENT(retransmits)},
    {"rule_id", COLUMN_TEXT, FT_FIELD_RULE, EVENT(rule_id)},
    {"src_resource_id", COLUMN_TEXT, FT_FIELD_RESOURCE, EVENT(src_resource_id)},
    {"dst_resource_id", COLUMN_TEXT, FT_FIELD_RESOURCE, EVENT(dst_resource_id)},
    {"window_begin", COLUMN_TIME, FT_FIELD_WINDOW, EVENT(window_begin_ns)},
    {"window_end", COLUMN_TIME, FT_FIELD_WINDOW, EVENT(window_end_ns)},
    {"n_starts", COLUMN_U32, FT_FIELD_WINDOW, EVENT(n_starts)},
    {"n_ends", COLUMN_U32, FT_FIELD_WINDOW, EVENT(n_ends)},
    {"n_drops", COLUMN_U32, FT_FIELD_WINDOW, EVENT(n_drops)},
    {"loss_cause", COLUMN_CAUSE, FT_FIELD_LOSS, EVENT(loss.cause)},
    {"loss_estimated", COLUMN_BOOL, FT_FIELD_LOSS, EVENT(loss.estimated)},
    {"loss_begin", COLUMN_TIME, FT_FIELD_LOSS, EVENT(loss.begin_ns)},
    {"loss_end", COLUMN_TIME, FT_FIELD_LOSS, EVENT(loss.end_ns)},
    {"loss_count", COLUMN_U64, FT_FIELD_LOSS, EVENT(loss.count)},
    {"loss_first_seq", COLUMN_U64, FT_FIELD_LOSS, EVENT(loss.first_seq)},
    {"loss_last_seq", COLUMN_U64, FT_FIELD_LOSS, EVENT(loss.last_seq)},
};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

static const duckdb_type type_of_kind[] = {
    [COLUMN_U8] = DUCKDB_TYPE_UTINYINT,       [COLUMN_U16] = DUCKDB_TYPE_USMALLINT,
    [COLUMN_U32] = DUCKDB_TYPE_UINTEGER,      [COLUMN_U64] = DUCKDB_TYPE_UBIGINT,
    [COLUMN_BOOL] = DUCKDB_TYPE_BOOLEAN,      [COLUMN_CAUSE] = DUCKDB_TYPE_UTINYINT,
    [COLUMN_TIME] = DUCKDB_TYPE_TIMESTAMP_NS, [COLUMN_UUID] = DUCKDB_TYPE_UUID,
    [COLUMN_ADDR] = DUCKDB_TYPE_BLOB,         [COLUMN_TEXT] = DUCKDB_TYPE_VARCHAR,
    [COLUMN_VERSION] = DUCKDB_TYPE_UTINYINT,
};

/* Bytes of a value whose form is the same in the row and in the vector; 0: see the kind. */
static const size_t size_of_kind[] = {
    [COLUMN_U8] = 1,   [COLUMN_U16] = 2,  [COLUMN_U32] = 4,     [COLUMN_U64] = 8,
    [COLUMN_BOOL] = 1, [COLUMN_TIME] = 8, [COLUMN_VERSION] = 0,
};

static bool id_is_derived(const struct column *column, const struct ft_row *row,
                          struct ft_id_deriver *deriver);
static void write_text(duckdb_vector vector, idx_t at, const char *text);
static void read_column(const struct column *column, duckdb_vector vector, idx_t at,
                        struct ft_duckdb_texts *texts, unsigned *n_texts, struct ft_row *row);

unsigned ft_duckdb_columns_n(void) { return N_COLUMNS; }

const char *ft_duckdb_column_sql(unsigned column) { return columns[column].sql; }

duckdb_data_chunk ft_duckdb_columns_create_chunk(void)
{
    duckdb_logical_type types[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++) {
        types[i] = duckdb_create_logical_type(type_of_kind[columns[i].kind]);
    }
    duckdb_data_chunk chunk = duckdb_create_data_chunk(types, N_COLUMNS);
    for (size_t i = 0; i < N_COLUMNS; i++) {
        duckdb_destroy_logical_type(&types[i]);
    }
    return chunk;
}

static void write_value(const struct column *column, duckdb_vector vector, idx_t at,
                        const struct ft_row *row)
{
    const unsigned char *value = (const unsigned char *)row + column->offset;
    bool ipv6 = (row->event.fields & FT_FIELD_IPV6) != 0;
    unsigned char *data = duckdb_vector_get_data(vector);
    switch (column->kind) {
    case COLUMN_CAUSE:
        data[at] = (uint8_t)row->event.loss.cause;
        return;
    case COLUMN_VERSION:
        data[at] = ipv6 ? 6 : 4;
        return;
    case COLUMN_UUID: {
        duckdb_hugeint number = ft_duckdb_uuid_to_hugeint((const struct ft_uuid *)value);
        memcpy(data + at * sizeof number, &number, sizeof number);
        return;
    }
    case COLUMN_ADDR:
        duckdb_vector_assign_string_element_len(vector, at, (const char *)value, ipv6 ? 16 : 4);
        return;
    case COLUMN_TEXT: {
        const char *text;
        memcpy(&text, value, sizeof text);
        write_text(vector, at, text);
        return;
    }
    default: {
        size_t size = size_of_kind[column->kind];
        memcpy(data + at * size, value, size);
    }
    }
}

static bool is_null(const struct column *column, const struct ft_row *row,
                    struct ft_id_deriver *deriver)
{
    if (column->field != 0 && (row->event.fields & column->field) == 0) {
        return true;
    }
    if (column->kind == COLUMN_UUID) {
        return id_is_derived(column, row, deriver);
    }
    if (column->kind == COLUMN_TEXT) {
        const char *text;
        memcpy(&text, (const unsigned char *)row + column->offset, sizeof text);
        return text == NULL || text[0] == '\0';
    }
    return false;
}

void ft_duckdb_columns_write(duckdb_data_chunk chunk, idx_t at, const struct ft_row *row,
                             struct ft_id_deriver *deriver)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        if (is_null(&columns[i], row, deriver)) {
            duckdb_vector_ensure_validity_writable(vector);
            duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), at);
        } else {
            write_value(&columns[i], vector, at, row);
        }
    }
}

void ft_duckdb_columns_read(duckdb_data_chunk chunk, idx_t at, struct ft_id_deriver *deriver,
                            struct ft_duckdb_texts *texts, struct ft_row *ret_row)
{
    struct ft_row *row = ret_row;
    unsigned n_texts = 0;
    *row = (struct ft_row){0};
    for (size_t i = 0; i < N_COLUMNS; i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        if (duckdb_validity_row_is_valid(duckdb_vector_get_validity(vector), at)) {
            read_column(&columns[i], vector, at, texts, &n_texts, row);
        }
    }
    if (ft_uuid_is_nil(&row->event_id)) {
        ft_id_derive_event(deriver, &row->instance_id, row->event.seq, &row->event_id);
    }
    if ((row->event.fields & FT_FIELD_FLOW) != 0 && ft_uuid_is_nil(&row->flow_id)) {
        ft_id_derive_flow(deriver, &row->instance_id, row->event.ct_id, row->event.start_ns,
                          &row->flow_id);
    }
}

static bool id_is_derived(const struct column *column, const struct ft_row *row,
                          struct ft_id_deriver *deriver)
{
    struct ft_uuid id;
    if (column->offset == ROW(event_id)) {
        if (!ft_uuid_is_nil(&row->event_id)) {
            ft_id_derive_event(deriver, &row->instance_id, row->event.seq, &id);
            return ft_uuid_equal(&id, &row->event_id);
        }
        return true;
    }
    if (column->offset == ROW(flow_id)) {
        if (!ft_uuid_is_nil(&row->flow_id)) {
            ft_id_derive_flow(deriver, &row->instance_id, row->event.ct_id, row->event.start_ns,
                              &id);
            return ft_uuid_equal(&id, &row->flow_id);
        }
        return true;
    }
    return false;
}

/* The length of the UTF-8 sequence that begins here, 0 when there is none (RFC 3629). */
static size_t utf8_sequence(const unsigned char *text)
{
    static const uint32_t first_of_len[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = text[0];
    size_t len = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (len <= 1) {
        return len;
    }
    uint32_t point = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (text[i] & 0x3fu);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    return point >= first_of_len[len] && point <= 0x10ffff && !surrogate ? len : 0;
}

/* DuckDB refuses text that is not UTF-8; a process may well have such a name. */
static void write_text(duckdb_vector vector, idx_t at, const char *text)
{
    char valid[FT_EVENT_STRING_LEN_MAX + 1];
    size_t len = 0;
    for (const unsigned char *from = (const unsigned char *)text; *from != '\0';) {
        size_t n = utf8_sequence(from);
        size_t take = n != 0 ? n : 1;
        if (len + take > FT_EVENT_STRING_LEN_MAX) {
            break;
        }
        if (n == 0) {
            valid[len] = '?';
        } else {
            memcpy(valid + len, from, n);
        }
        len += take;
        from += take;
    }
    duckdb_vector_assign_string_element_len(vector, at, valid, len);
}

static void read_column(const struct column *column, duckdb_vector vector, idx_t at,
                        struct ft_duckdb_texts *texts, unsigned *n_texts, struct ft_row *row)
{
    unsigned char *value = (unsigned char *)row + column->offset;
    const unsigned char *data = duckdb_vector_get_data(vector);
    switch (column->kind) {
    case COLUMN_VERSION:
        return; /* Told by the fields. */
    case COLUMN_CAUSE:
        row->event.loss.cause = (enum ft_loss_cause)data[at];
        return;
    case COLUMN_UUID: {
        duckdb_hugeint number;
        memcpy(&number, data + at * sizeof number, sizeof number);
        ft_duckdb_uuid_from_hugeint(number, (struct ft_uuid *)value);
        return;
    }
    case COLUMN_ADDR:
    case COLUMN_TEXT: {
        duckdb_string_t string;
        memcpy(&string, data + at * sizeof string, sizeof string);
        size_t size = duckdb_string_t_length(string);
        const char *bytes = duckdb_string_t_data(&string);
        if (column->kind == COLUMN_ADDR) {
            memcpy(value, bytes, size < 16 ? size : 16);
            return;
        }
        char *text = texts->text[(*n_texts)++];
        size = size < FT_EVENT_STRING_LEN_MAX ? size : FT_EVENT_STRING_LEN_MAX;
        memcpy(text, bytes, size);
        text[size] = '\0';
        memcpy(value, &(const char *){text}, sizeof text);
        return;
    }
    default: {
        size_t size = size_of_kind[column->kind];
        memcpy(value, data + at * size, size);
    }
    }
}
