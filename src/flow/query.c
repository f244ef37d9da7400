/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

typedef bool name_parse_fn(const char *name, unsigned *ret_number);

static bool bool_parse(const char *name, unsigned *ret_number);
static bool ip_version_parse(const char *name, unsigned *ret_number);

struct column_info {
    const char *name;
    enum ft_column_kind kind;
    uint64_t max;           /* FT_COLUMN_NUMBER */
    name_parse_fn *by_name; /* FT_COLUMN_NUMBER: its values have names; NULL if they have none. */
};

static const struct column_info columns[FT_COLUMN_N] = {
    [FT_COL_TIME] = {"time", FT_COLUMN_NUMBER, INT64_MAX, NULL},
    [FT_COL_SEQ] = {"seq", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_AGENT] = {"agent_id", FT_COLUMN_UUID, 0, NULL},
    [FT_COL_INSTANCE] = {"instance_id", FT_COLUMN_UUID, 0, NULL},
    [FT_COL_EVENT_ID] = {"event_id", FT_COLUMN_UUID, 0, NULL},
    [FT_COL_FLOW_ID] = {"flow_id", FT_COLUMN_UUID, 0, NULL},
    [FT_COL_TYPE] = {"type", FT_COLUMN_NUMBER, UINT8_MAX, ft_event_type_parse},
    [FT_COL_DIRECTION] = {"direction", FT_COLUMN_NUMBER, UINT8_MAX, ft_direction_parse},
    [FT_COL_CLASS] = {"traffic_class", FT_COLUMN_NUMBER, UINT8_MAX, ft_traffic_class_parse},
    [FT_COL_PROTOCOL] = {"protocol", FT_COLUMN_NUMBER, UINT8_MAX, ft_protocol_parse},
    [FT_COL_SRC_ADDR] = {"src_addr", FT_COLUMN_ADDR, 0, NULL},
    [FT_COL_DST_ADDR] = {"dst_addr", FT_COLUMN_ADDR, 0, NULL},
    [FT_COL_ADDR] = {"addr", FT_COLUMN_ADDR, 0, NULL},
    [FT_COL_SRC_PORT] = {"src_port", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_DST_PORT] = {"dst_port", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_PORT] = {"port", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_IP_VERSION] = {"ip_version", FT_COLUMN_NUMBER, UINT8_MAX, ip_version_parse},
    [FT_COL_ICMP_TYPE] = {"icmp_type", FT_COLUMN_NUMBER, UINT8_MAX, NULL},
    [FT_COL_ICMP_CODE] = {"icmp_code", FT_COLUMN_NUMBER, UINT8_MAX, NULL},
    [FT_COL_NAT_SRC_ADDR] = {"nat_src_addr", FT_COLUMN_ADDR, 0, NULL},
    [FT_COL_NAT_DST_ADDR] = {"nat_dst_addr", FT_COLUMN_ADDR, 0, NULL},
    [FT_COL_NAT_SRC_PORT] = {"nat_src_port", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_NAT_DST_PORT] = {"nat_dst_port", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_RX_PACKETS] = {"rx_packets", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_RX_BYTES] = {"rx_bytes", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_TX_PACKETS] = {"tx_packets", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_TX_BYTES] = {"tx_bytes", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_BYTES] = {"bytes", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_PACKETS] = {"packets", FT_COLUMN_NUMBER, UINT64_MAX, NULL},
    [FT_COL_TCP_STATE] = {"tcp_state", FT_COLUMN_NUMBER, UINT8_MAX, ft_tcp_state_parse},
    [FT_COL_MARK] = {"mark", FT_COLUMN_NUMBER, UINT32_MAX, NULL},
    [FT_COL_ZONE] = {"zone", FT_COLUMN_NUMBER, UINT16_MAX, NULL},
    [FT_COL_CONNTRACK_ID] = {"conntrack_id", FT_COLUMN_NUMBER, UINT32_MAX, NULL},
    [FT_COL_PID] = {"pid", FT_COLUMN_NUMBER, UINT32_MAX, NULL},
    [FT_COL_PROCESS_NAME] = {"process_name", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_CONTAINER_ID] = {"container_id", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_UID] = {"uid", FT_COLUMN_NUMBER, UINT32_MAX, NULL},
    [FT_COL_USER_NAME] = {"user_name", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_SRC_NAME] = {"src_name", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_DST_NAME] = {"dst_name", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_RULE_ID] = {"rule_id", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_SRC_RESOURCE_ID] = {"src_resource_id", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_DST_RESOURCE_ID] = {"dst_resource_id", FT_COLUMN_TEXT, 0, NULL},
    [FT_COL_INFERRED] = {"inferred", FT_COLUMN_NUMBER, 1, bool_parse},
    [FT_COL_LOSS_CAUSE] = {"loss_cause", FT_COLUMN_NUMBER, UINT8_MAX, ft_loss_cause_parse},
};

static const char *const measures[FT_MEASURE_N] = {
    [FT_MEASURE_BYTES] = "bytes",       [FT_MEASURE_PACKETS] = "packets",
    [FT_MEASURE_RX_BYTES] = "rx_bytes", [FT_MEASURE_TX_BYTES] = "tx_bytes",
    [FT_MEASURE_EVENTS] = "events",     [FT_MEASURE_FLOWS] = "flows",
};

/* Where a filter is being parsed, for the words of a refusal. */
struct parse_state {
    const struct column_info *column;
    const char *values; /* All of them, as given. */
    const char *at;     /* The value in hand begins here... */
    const char *text;   /* ...and is this, without escapes. */
    struct ft_diag *diag;
};

static ft_err parse_values(struct ft_query_filter *filter, struct parse_state *state);
static bool filter_matches(const struct ft_query_filter *filter, const struct ft_row *row);

const char *ft_column_name(enum ft_column column) { return columns[column].name; }

enum ft_column_kind ft_column_kind(enum ft_column column) { return columns[column].kind; }

bool ft_column_parse(const char *name, enum ft_column *ret_column)
{
    for (unsigned i = 0; i < FT_COLUMN_N; i++) {
        if (strcmp(columns[i].name, name) == 0) {
            *ret_column = (enum ft_column)i;
            return true;
        }
    }
    return false;
}

const char *ft_measure_name(enum ft_measure measure) { return measures[measure]; }

bool ft_measure_parse(const char *name, enum ft_measure *ret_measure)
{
    for (unsigned i = 0; i < FT_MEASURE_N; i++) {
        if (strcmp(measures[i], name) == 0) {
            *ret_measure = (enum ft_measure)i;
            return true;
        }
    }
    return false;
}

void ft_query_init(struct ft_query *query)
{
    *query = (struct ft_query){
        .begin_ns = INT64_MIN, .end_ns = INT64_MAX, .rows_max = FT_QUERY_ROWS_DEFAULT};
}

void ft_query_deinit(struct ft_query *query)
{
    for (unsigned i = 0; i < query->n_filters; i++) {
        free(query->filters[i].values);
    }
    query->n_filters = 0;
}

ft_err ft_query_add_filter(struct ft_query *query, const char *column, const char *values,
                           bool negate, struct ft_diag *reterr_diag)
{
    enum ft_column number;
    if (!ft_column_parse(column, &number)) {
        return ft_diag_set(reterr_diag, FT_E_UNKNOWN_KEY, NULL, 0, 0, "no column \"%.64s\"",
                           column);
    }
    if (query->n_filters == FT_QUERY_FILTERS_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0, "more than %d filters",
                           FT_QUERY_FILTERS_MAX);
    }
    struct ft_query_filter *filter = &query->filters[query->n_filters];
    *filter = (struct ft_query_filter){.column = number, .negate = negate};
    struct parse_state state = {.column = &columns[number], .values = values, .diag = reterr_diag};
    ft_err err = parse_values(filter, &state);
    if (err != FT_OK) {
        free(filter->values);
        filter->values = NULL;
        return err;
    }
    query->n_filters++;
    return FT_OK;
}

bool ft_query_matches(const struct ft_query *query, const struct ft_row *row)
{
    if (row->event.time_ns < query->begin_ns || row->event.time_ns >= query->end_ns) {
        return false;
    }
    for (unsigned i = 0; i < query->n_filters; i++) {
        if (filter_matches(&query->filters[i], row) == query->filters[i].negate) {
            return false;
        }
    }
    return true;
}

/* -------------------------------------------------------------------- parsing of filters */

static ft_err refuse(const struct parse_state *state, ft_err err, const char *why)
{
    unsigned column = (unsigned)(state->at - state->values) + 1;
    return ft_diag_set(state->diag, err, NULL, 0, column, "%s: \"%.64s\" %s", state->column->name,
                       state->text, why);
}

static bool bool_parse(const char *name, unsigned *ret_number)
{
    bool yes = strcasecmp(name, "true") == 0;
    *ret_number = yes;
    return yes || strcasecmp(name, "false") == 0;
}

static bool ip_version_parse(const char *name, unsigned *ret_number)
{
    bool v6 = strcasecmp(name, "ipv6") == 0;
    *ret_number = v6 ? 6 : 4;
    return v6 || strcasecmp(name, "ipv4") == 0;
}

/* A whole number; "0x…" is for marks, which are written so everywhere else. */
static ft_err parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X')) {
        return ft_parse_u64(text, max, ret_number);
    }
    const char *digits = text + 2;
    size_t len = strspn(digits, "0123456789abcdefABCDEF");
    if (len == 0 || digits[len] != '\0') {
        return FT_E_SYNTAX;
    }
    if (len > 16) {
        return FT_E_RANGE;
    }
    *ret_number = strtoull(digits, NULL, 16);
    return *ret_number <= max ? FT_OK : FT_E_RANGE;
}

/* "5", "5-9" or "5-" (5 and more). */
static ft_err parse_number_range(const char *text, uint64_t max, struct ft_filter_value *value)
{
    const char *dash = strchr(text, '-');
    if (dash == NULL) {
        FT_TRY(parse_number(text, max, &value->min));
        value->max = value->min;
        return FT_OK;
    }
    char first[FT_EVENT_STRING_LEN_MAX + 1];
    size_t len = (size_t)(dash - text);
    memcpy(first, text, len);
    first[len] = '\0';
    FT_TRY(parse_number(first, max, &value->min));
    value->max = max;
    if (dash[1] != '\0') {
        FT_TRY(parse_number(dash + 1, max, &value->max));
    }
    return value->min <= value->max ? FT_OK : FT_E_RANGE;
}

static ft_err parse_number_value(const struct parse_state *state, struct ft_filter_value *value)
{
    const struct column_info *column = state->column;
    unsigned number;
    int64_t time_ns;
    if (column->by_name != NULL && column->by_name(state->text, &number)) {
        value->min = value->max = number;
        return FT_OK;
    }
    if (column == &columns[FT_COL_TIME] && ft_parse_rfc3339(state->text, &time_ns) == FT_OK &&
        time_ns >= 0) {
        value->min = value->max = (uint64_t)time_ns;
        return FT_OK;
    }
    ft_err err = parse_number_range(state->text, column->max, value);
    if (err == FT_E_RANGE) {
        return refuse(state, err, "is out of range");
    }
    if (err != FT_OK) {
        return refuse(state, FT_E_SYNTAX,
                      column->by_name != NULL ? "is no known name and no number"
                                              : "is no number or range of numbers");
    }
    return FT_OK;
}

static ft_err parse_value(const struct parse_state *state, struct ft_filter_value *value)
{
    if (state->text[0] == '\0') {
        return refuse(state, FT_E_SYNTAX, "is empty");
    }
    switch (state->column->kind) {
    case FT_COLUMN_NUMBER:
        return parse_number_value(state, value);
    case FT_COLUMN_ADDR:
        if (ft_cidr_parse(state->text, &value->cidr) != FT_OK) {
            return refuse(state, FT_E_SYNTAX,
                          "is no address or prefix (no bits may follow the prefix)");
        }
        return FT_OK;
    case FT_COLUMN_UUID:
        if (ft_uuid_parse(state->text, &value->uuid) != FT_OK) {
            return refuse(state, FT_E_SYNTAX, "is no UUID");
        }
        return FT_OK;
    case FT_COLUMN_TEXT:
        memcpy(value->text, state->text, strlen(state->text) + 1);
        return FT_OK;
    }
    return FT_E_UNSUPPORTED;
}

/*
 * Copies the value at '*at' into 'text' and moves '*at' to the comma or end behind it.  "\," is a
 * comma within the value.  False when it is too long.
 */
static bool cut_value(const char **at, char text[FT_EVENT_STRING_LEN_MAX + 1])
{
    size_t len = 0;
    const char *from = *at;
    for (; *from != '\0' && *from != ','; from++) {
        if (from[0] == '\\' && from[1] == ',') {
            from++;
        }
        if (len == FT_EVENT_STRING_LEN_MAX) {
            text[len] = '\0';
            return false;
        }
        text[len++] = *from;
    }
    text[len] = '\0';
    *at = from;
    return true;
}

static ft_err parse_values(struct ft_query_filter *filter, struct parse_state *state)
{
    char text[FT_EVENT_STRING_LEN_MAX + 1];
    const char *at = state->values;
    state->text = text;
    filter->values = calloc(FT_FILTER_VALUES_MAX, sizeof *filter->values);
    if (filter->values == NULL) {
        return ft_diag_set(state->diag, ft_err_from_errno(ENOMEM), NULL, 0, 0, "out of memory");
    }
    for (;;) {
        state->at = at;
        if (!cut_value(&at, text)) {
            return refuse(state, FT_E_RANGE, "is longer than 255 bytes");
        }
        if (filter->n_values == FT_FILTER_VALUES_MAX) {
            return refuse(state, FT_E_RANGE, "is one value too many: 32 at most");
        }
        FT_TRY(parse_value(state, &filter->values[filter->n_values]));
        filter->n_values++;
        if (*at == '\0') {
            return FT_OK;
        }
        at++;
    }
}

/* -------------------------------------------------------------------- matching of rows */

static bool number_matches(const struct ft_query_filter *filter, bool present, uint64_t number)
{
    for (unsigned i = 0; present && i < filter->n_values; i++) {
        if (number >= filter->values[i].min && number <= filter->values[i].max) {
            return true;
        }
    }
    return false;
}

static bool addr_matches(const struct ft_query_filter *filter, const struct ft_row *row,
                         uint32_t field, const struct ft_addr *addr)
{
    bool present = (row->event.fields & field) != 0;
    bool ipv6 = (row->event.fields & FT_FIELD_IPV6) != 0;
    for (unsigned i = 0; present && i < filter->n_values; i++) {
        if (ft_cidr_contains(&filter->values[i].cidr, addr, ipv6)) {
            return true;
        }
    }
    return false;
}

static bool uuid_matches(const struct ft_query_filter *filter, bool present,
                         const struct ft_uuid *uuid)
{
    for (unsigned i = 0; present && i < filter->n_values; i++) {
        if (ft_uuid_equal(&filter->values[i].uuid, uuid)) {
            return true;
        }
    }
    return false;
}

static bool text_matches(const struct ft_query_filter *filter, bool present, const char *text)
{
    if (!present || text == NULL || text[0] == '\0') {
        return false;
    }
    for (unsigned i = 0; i < filter->n_values; i++) {
        const char *wanted = filter->values[i].text;
        size_t len = strlen(wanted);
        if (len > 0 && wanted[len - 1] == '*' ? strncmp(text, wanted, len - 1) == 0
                                              : strcmp(text, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* Counters come from outside: a sum too large to be true stays at the end of the range. */
static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t total;
    return __builtin_add_overflow(a, b, &total) ? UINT64_MAX : total;
}

/* What a column of numbers holds in 'row'; false when it is absent. */
static bool number_get(enum ft_column column, const struct ft_row *row, uint64_t *ret_number)
{
    const struct ft_event *e = &row->event;
#define NUMBER(field, value)                                                                       \
    do {                                                                                           \
        *ret_number = (value);                                                                     \
        return (field) == 0 || (e->fields & (field)) != 0;                                         \
    } while (0)
    switch ((unsigned)column) {
    case FT_COL_TIME:
        *ret_number = (uint64_t)e->time_ns;
        return e->time_ns >= 0;
    case FT_COL_SEQ:
        NUMBER(0U, e->seq);
    case FT_COL_TYPE:
        NUMBER(0U, e->type);
    case FT_COL_DIRECTION:
        NUMBER(0U, e->direction);
    case FT_COL_CLASS:
        NUMBER(0U, e->traffic_class);
    case FT_COL_PROTOCOL:
        NUMBER(FT_FIELD_TUPLE, e->protocol);
    case FT_COL_SRC_PORT:
        NUMBER(FT_FIELD_PORTS, e->src_port);
    case FT_COL_DST_PORT:
        NUMBER(FT_FIELD_PORTS, e->dst_port);
    case FT_COL_IP_VERSION:
        NUMBER(FT_FIELD_TUPLE, (e->fields & FT_FIELD_IPV6) != 0 ? 6 : 4);
    case FT_COL_ICMP_TYPE:
        NUMBER(FT_FIELD_ICMP, e->icmp_type);
    case FT_COL_ICMP_CODE:
        NUMBER(FT_FIELD_ICMP, e->icmp_code);
    case FT_COL_NAT_SRC_PORT:
        NUMBER(FT_FIELD_NAT, e->nat_src_port);
    case FT_COL_NAT_DST_PORT:
        NUMBER(FT_FIELD_NAT, e->nat_dst_port);
    case FT_COL_RX_PACKETS:
        NUMBER(FT_FIELD_COUNTERS, e->rx_packets);
    case FT_COL_RX_BYTES:
        NUMBER(FT_FIELD_COUNTERS, e->rx_bytes);
    case FT_COL_TX_PACKETS:
        NUMBER(FT_FIELD_COUNTERS, e->tx_packets);
    case FT_COL_TX_BYTES:
        NUMBER(FT_FIELD_COUNTERS, e->tx_bytes);
    case FT_COL_BYTES:
        NUMBER(FT_FIELD_COUNTERS, sum(e->rx_bytes, e->tx_bytes));
    case FT_COL_PACKETS:
        NUMBER(FT_FIELD_COUNTERS, sum(e->rx_packets, e->tx_packets));
    case FT_COL_TCP_STATE:
        NUMBER(FT_FIELD_TCP_STATE, e->tcp_state);
    case FT_COL_MARK:
        NUMBER(FT_FIELD_MARK, e->mark);
    case FT_COL_ZONE:
        NUMBER(FT_FIELD_ZONE, e->zone);
    case FT_COL_CONNTRACK_ID:
        NUMBER(FT_FIELD_FLOW, e->ct_id);
    case FT_COL_PID:
        NUMBER(FT_FIELD_PROCESS, e->pid);
    case FT_COL_UID:
        NUMBER(FT_FIELD_USER, e->uid);
    case FT_COL_INFERRED:
        NUMBER(0U, (e->fields & FT_FIELD_INFERRED) != 0);
    case FT_COL_LOSS_CAUSE:
        NUMBER(FT_FIELD_LOSS, (uint64_t)e->loss.cause);
    default:
        return false;
    }
#undef NUMBER
}

static bool addr_column_matches(const struct ft_query_filter *filter, const struct ft_row *row)
{
    const struct ft_event *e = &row->event;
    switch ((unsigned)filter->column) {
    case FT_COL_SRC_ADDR:
        return addr_matches(filter, row, FT_FIELD_TUPLE, &e->src);
    case FT_COL_DST_ADDR:
        return addr_matches(filter, row, FT_FIELD_TUPLE, &e->dst);
    case FT_COL_NAT_SRC_ADDR:
        return addr_matches(filter, row, FT_FIELD_NAT, &e->nat_src);
    case FT_COL_NAT_DST_ADDR:
        return addr_matches(filter, row, FT_FIELD_NAT, &e->nat_dst);
    default:
        return addr_matches(filter, row, FT_FIELD_TUPLE, &e->src) ||
               addr_matches(filter, row, FT_FIELD_TUPLE, &e->dst) ||
               addr_matches(filter, row, FT_FIELD_NAT, &e->nat_src) ||
               addr_matches(filter, row, FT_FIELD_NAT, &e->nat_dst);
    }
}

static bool text_column_matches(const struct ft_query_filter *filter, const struct ft_row *row)
{
    const struct ft_event *e = &row->event;
    static const uint32_t field_of[FT_COLUMN_N] = {
        [FT_COL_PROCESS_NAME] = FT_FIELD_PROCESS,
        [FT_COL_CONTAINER_ID] = FT_FIELD_CONTAINER,
        [FT_COL_USER_NAME] = FT_FIELD_USER,
        [FT_COL_SRC_NAME] = FT_FIELD_DNS,
        [FT_COL_DST_NAME] = FT_FIELD_DNS,
        [FT_COL_RULE_ID] = FT_FIELD_RULE,
        [FT_COL_SRC_RESOURCE_ID] = FT_FIELD_RESOURCE,
        [FT_COL_DST_RESOURCE_ID] = FT_FIELD_RESOURCE,
    };
    const char *const texts[FT_COLUMN_N] = {
        [FT_COL_PROCESS_NAME] = e->process_name,
        [FT_COL_CONTAINER_ID] = e->container_id,
        [FT_COL_USER_NAME] = e->user_name,
        [FT_COL_SRC_NAME] = e->src_name,
        [FT_COL_DST_NAME] = e->dst_name,
        [FT_COL_RULE_ID] = e->rule_id,
        [FT_COL_SRC_RESOURCE_ID] = e->src_resource_id,
        [FT_COL_DST_RESOURCE_ID] = e->dst_resource_id,
    };
    return text_matches(filter, (e->fields & field_of[filter->column]) != 0, texts[filter->column]);
}

static bool uuid_column_matches(const struct ft_query_filter *filter, const struct ft_row *row)
{
    switch ((unsigned)filter->column) {
    case FT_COL_AGENT:
        return uuid_matches(filter, true, &row->agent_id);
    case FT_COL_INSTANCE:
        return uuid_matches(filter, true, &row->instance_id);
    case FT_COL_EVENT_ID:
        return uuid_matches(filter, true, &row->event_id);
    default:
        return uuid_matches(filter, (row->event.fields & FT_FIELD_FLOW) != 0, &row->flow_id);
    }
}

static bool filter_matches(const struct ft_query_filter *filter, const struct ft_row *row)
{
    uint64_t number = 0;
    switch (columns[filter->column].kind) {
    case FT_COLUMN_NUMBER:
        if (filter->column == FT_COL_PORT) {
            bool present = (row->event.fields & FT_FIELD_PORTS) != 0;
            return number_matches(filter, present, row->event.src_port) ||
                   number_matches(filter, present, row->event.dst_port);
        }
        return number_get(filter->column, row, &number) && number_matches(filter, true, number);
    case FT_COLUMN_ADDR:
        return addr_column_matches(filter, row);
    case FT_COLUMN_TEXT:
        return text_column_matches(filter, row);
    case FT_COLUMN_UUID:
        return uuid_column_matches(filter, row);
    }
    return false;
}
