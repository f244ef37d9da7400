/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/batch_check.h"

#include <stdbool.h>
#include <string.h>

#include "flow/event.h"
#include "wire/batch_builder.h"

/* Times outside 1970 to 2200 are refused: sums of them stay far from the ends of 64 bits. */
#define TIME_NS_MAX (INT64_C(7258118400) * 1000000000)

#define REFUSE(...) return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, __VA_ARGS__)

/* How many rows have a field, so how long its columns must be. */
struct counts {
    size_t of[32];
    size_t v4;
    size_t v6;
    size_t nat_v4;
    size_t nat_v6;
    size_t nat_ports;
};

static ft_err check_rows(const Flowtrail__V1__Batch *batch, struct counts *counts,
                         struct ft_diag *reterr_diag);
static ft_err check_lengths(const Flowtrail__V1__Batch *batch, const struct counts *counts,
                            struct ft_diag *reterr_diag);
static ft_err check_values(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag);
static ft_err check_strings(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag);
static ft_err check_losses(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag);
static bool is_utf8(const char *text);

ft_err ft_batch_check(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag)
{
    if (batch->instance_id.len != 16) {
        REFUSE("instance_id has %zu bytes instead of 16", batch->instance_id.len);
    }
    if (batch->count < 1 || batch->count > FT_BATCH_EVENTS_MAX) {
        REFUSE("count is %u, allowed are 1 to %d", batch->count, FT_BATCH_EVENTS_MAX);
    }
    if (batch->first_seq == 0 || batch->first_seq > UINT64_MAX - FT_BATCH_EVENTS_MAX) {
        REFUSE("first_seq is out of range");
    }
    struct counts counts = {0};
    FT_TRY(check_rows(batch, &counts, reterr_diag));
    FT_TRY(check_lengths(batch, &counts, reterr_diag));
    FT_TRY(check_strings(batch, reterr_diag));
    FT_TRY(check_values(batch, reterr_diag));
    return check_losses(batch, reterr_diag);
}

static ft_err check_rows(const Flowtrail__V1__Batch *batch, struct counts *counts,
                         struct ft_diag *reterr_diag)
{
    size_t n = batch->count;
    if (batch->n_fields != n || batch->n_time_delta_ns != n || batch->n_type != n) {
        REFUSE("columns fields, time_delta_ns and type have %zu, %zu and %zu values instead of %zu",
               batch->n_fields, batch->n_time_delta_ns, batch->n_type, n);
    }
    if ((batch->n_direction != 0 && batch->n_direction != n) ||
        (batch->n_traffic_class != 0 && batch->n_traffic_class != n)) {
        REFUSE("columns direction and traffic_class have %zu and %zu values instead of 0 or %zu",
               batch->n_direction, batch->n_traffic_class, n);
    }
    int64_t time_ns = batch->base_time_unix_ns;
    for (size_t i = 0; i < n; i++) {
        uint32_t fields = batch->fields[i];
        if ((fields & ~FT_FIELD_ALL) != 0) {
            REFUSE("row %zu: unknown bits in fields: 0x%x", i, fields);
        }
        if (time_ns < 0 || time_ns > TIME_NS_MAX || batch->time_delta_ns[i] < -TIME_NS_MAX ||
            batch->time_delta_ns[i] > TIME_NS_MAX) {
            REFUSE("row %zu: time is out of range", i);
        }
        time_ns += batch->time_delta_ns[i];
        if (time_ns < 0 || time_ns > TIME_NS_MAX) {
            REFUSE("row %zu: time is out of range", i);
        }
        if (batch->type[i] == FT_EVENT_UNKNOWN || batch->type[i] >= FT_EVENT_TYPE_N) {
            REFUSE("row %zu: unknown type %u", i, batch->type[i]);
        }
        if ((batch->type[i] == FT_EVENT_LOSS) != ((fields & FT_FIELD_LOSS) != 0)) {
            REFUSE("row %zu: LOSS without loss, or loss without LOSS", i);
        }
        if ((fields & FT_FIELD_TUPLE) == 0 &&
            (fields & (FT_FIELD_IPV6 | FT_FIELD_PORTS | FT_FIELD_ICMP | FT_FIELD_NAT)) != 0) {
            REFUSE("row %zu: ports or NAT without a tuple", i);
        }
        for (unsigned bit = 0; bit < 32; bit++) {
            counts->of[bit] += fields >> bit & 1U;
        }
        bool tuple = (fields & FT_FIELD_TUPLE) != 0;
        bool ipv6 = (fields & FT_FIELD_IPV6) != 0;
        bool nat = (fields & FT_FIELD_NAT) != 0;
        counts->v6 += tuple && ipv6;
        counts->v4 += tuple && !ipv6;
        counts->nat_v6 += nat && ipv6;
        counts->nat_v4 += nat && !ipv6;
        counts->nat_ports += nat && (fields & FT_FIELD_PORTS) != 0;
    }
    return FT_OK;
}

static ft_err check_lengths(const Flowtrail__V1__Batch *batch, const struct counts *counts,
                            struct ft_diag *reterr_diag)
{
    const size_t *of = counts->of;
    /* Bit numbers of FT_FIELD_*, in the order of export.proto. */
    const struct {
        const char *name;
        size_t len;
        size_t expected;
    } columns[] = {
        {"conntrack_id", batch->n_conntrack_id, of[0]},
        {"start_before_ns", batch->n_start_before_ns, of[0]},
        {"protocol", batch->n_protocol, of[1]},
        {"src_v4", batch->n_src_v4, counts->v4},
        {"dst_v4", batch->n_dst_v4, counts->v4},
        {"src_v6", batch->src_v6.len, counts->v6 * 16},
        {"dst_v6", batch->dst_v6.len, counts->v6 * 16},
        {"src_port", batch->n_src_port, of[2]},
        {"dst_port", batch->n_dst_port, of[2]},
        {"rx_packets", batch->n_rx_packets, of[3]},
        {"rx_bytes", batch->n_rx_bytes, of[3]},
        {"tx_packets", batch->n_tx_packets, of[3]},
        {"tx_bytes", batch->n_tx_bytes, of[3]},
        {"tcp_state", batch->n_tcp_state, of[5]},
        {"icmp_type", batch->n_icmp_type, of[8]},
        {"icmp_code", batch->n_icmp_code, of[8]},
        {"icmp_id", batch->n_icmp_id, of[8]},
        {"nat_src_v4_xor", batch->n_nat_src_v4_xor, counts->nat_v4},
        {"nat_dst_v4_xor", batch->n_nat_dst_v4_xor, counts->nat_v4},
        {"nat_src_v6", batch->nat_src_v6.len, counts->nat_v6 * 16},
        {"nat_dst_v6", batch->nat_dst_v6.len, counts->nat_v6 * 16},
        {"nat_src_port_xor", batch->n_nat_src_port_xor, counts->nat_ports},
        {"nat_dst_port_xor", batch->n_nat_dst_port_xor, counts->nat_ports},
        {"mark", batch->n_mark, of[13]},
        {"zone", batch->n_zone, of[14]},
        {"pid", batch->n_pid, of[15]},
        {"process_name", batch->n_process_name, of[15]},
        {"container_id", batch->n_container_id, of[16]},
        {"uid", batch->n_uid, of[17]},
        {"user_name", batch->n_user_name, of[17]},
        {"src_name", batch->n_src_name, of[18]},
        {"dst_name", batch->n_dst_name, of[18]},
        {"rtt_us", batch->n_rtt_us, of[19]},
        {"rtt_var_us", batch->n_rtt_var_us, of[19]},
        {"retransmits", batch->n_retransmits, of[19]},
        {"rule_id", batch->n_rule_id, of[20]},
        {"src_resource_id", batch->n_src_resource_id, of[21]},
        {"dst_resource_id", batch->n_dst_resource_id, of[21]},
        {"window_begin_before_ns", batch->n_window_begin_before_ns, of[22]},
        {"window_ns", batch->n_window_ns, of[22]},
        {"n_starts", batch->n_n_starts, of[22]},
        {"n_ends", batch->n_n_ends, of[22]},
        {"n_drops", batch->n_n_drops, of[22]},
        {"loss", batch->n_loss, of[23]},
        {"conntrack_status", batch->n_conntrack_status, of[4]},
    };
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (columns[i].len != columns[i].expected) {
            REFUSE("column %s has %zu values, the rows ask for %zu", columns[i].name,
                   columns[i].len, columns[i].expected);
        }
    }
    return FT_OK;
}

static ft_err check_values(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag)
{
    /* Indexes of strings go up to n_strings - 1; 0, "none", needs no table. */
    size_t string_max = batch->n_strings > 0 ? batch->n_strings - 1 : 0;
    const struct {
        const char *name;
        const uint32_t *values;
        size_t n;
        size_t max;
    } columns[] = {
        {"direction", batch->direction, batch->n_direction, FT_DIR_N - 1},
        {"traffic_class", batch->traffic_class, batch->n_traffic_class, FT_CLASS_N - 1},
        {"protocol", batch->protocol, batch->n_protocol, 255},
        {"src_port", batch->src_port, batch->n_src_port, 65535},
        {"dst_port", batch->dst_port, batch->n_dst_port, 65535},
        {"icmp_type", batch->icmp_type, batch->n_icmp_type, 255},
        {"icmp_code", batch->icmp_code, batch->n_icmp_code, 255},
        {"icmp_id", batch->icmp_id, batch->n_icmp_id, 65535},
        {"nat_src_port_xor", batch->nat_src_port_xor, batch->n_nat_src_port_xor, 65535},
        {"nat_dst_port_xor", batch->nat_dst_port_xor, batch->n_nat_dst_port_xor, 65535},
        {"tcp_state", batch->tcp_state, batch->n_tcp_state, 255},
        {"zone", batch->zone, batch->n_zone, 65535},
        {"process_name", batch->process_name, batch->n_process_name, string_max},
        {"container_id", batch->container_id, batch->n_container_id, string_max},
        {"user_name", batch->user_name, batch->n_user_name, string_max},
        {"src_name", batch->src_name, batch->n_src_name, string_max},
        {"dst_name", batch->dst_name, batch->n_dst_name, string_max},
        {"rule_id", batch->rule_id, batch->n_rule_id, string_max},
        {"src_resource_id", batch->src_resource_id, batch->n_src_resource_id, string_max},
        {"dst_resource_id", batch->dst_resource_id, batch->n_dst_resource_id, string_max},
    };
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        for (size_t i = 0; i < columns[c].n; i++) {
            if (columns[c].values[i] > columns[c].max) {
                REFUSE("column %s: value %u is above %zu", columns[c].name, columns[c].values[i],
                       columns[c].max);
            }
        }
    }
    /* Spans are added to times in range; twice the range keeps every sum within 64 bits. */
    const struct {
        const char *name;
        const int64_t *values;
        size_t n;
    } spans[] = {
        {"start_before_ns", batch->start_before_ns, batch->n_start_before_ns},
        {"window_begin_before_ns", batch->window_begin_before_ns, batch->n_window_begin_before_ns},
        {"window_ns", batch->window_ns, batch->n_window_ns},
    };
    for (size_t c = 0; c < sizeof spans / sizeof spans[0]; c++) {
        for (size_t i = 0; i < spans[c].n; i++) {
            if (spans[c].values[i] > TIME_NS_MAX || spans[c].values[i] < -TIME_NS_MAX) {
                REFUSE("column %s: value is out of range", spans[c].name);
            }
        }
    }
    return FT_OK;
}

static ft_err check_strings(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag)
{
    if (batch->n_strings > FT_BATCH_STRINGS_MAX) {
        REFUSE("%zu strings, allowed are %d", batch->n_strings, FT_BATCH_STRINGS_MAX);
    }
    if (batch->n_strings > 0 && batch->strings[0][0] != '\0') {
        REFUSE("string 0 is not empty");
    }
    for (size_t i = 0; i < batch->n_strings; i++) {
        if (strlen(batch->strings[i]) > FT_EVENT_STRING_LEN_MAX) {
            REFUSE("string %zu is longer than %d bytes", i, FT_EVENT_STRING_LEN_MAX);
        }
        if (!is_utf8(batch->strings[i])) {
            REFUSE("string %zu is not UTF-8", i);
        }
    }
    return FT_OK;
}

static ft_err check_losses(const Flowtrail__V1__Batch *batch, struct ft_diag *reterr_diag)
{
    for (size_t i = 0; i < batch->n_loss; i++) {
        const Flowtrail__V1__Loss *loss = batch->loss[i];
        if ((unsigned)loss->cause >= FT_LOSS_CAUSE_N) {
            REFUSE("loss %zu: unknown cause %d", i, (int)loss->cause);
        }
        if (loss->begin_unix_ns < 0 || loss->begin_unix_ns > TIME_NS_MAX || loss->end_unix_ns < 0 ||
            loss->end_unix_ns > TIME_NS_MAX) {
            REFUSE("loss %zu: time is out of range", i);
        }
        if (loss->first_seq > loss->last_seq) {
            REFUSE("loss %zu: first_seq is above last_seq", i);
        }
        if (loss->first_seq != 0 && loss->count != loss->last_seq - loss->first_seq + 1) {
            REFUSE("loss %zu: count does not agree with its sequence numbers", i);
        }
        if (loss->count > UINT64_C(1) << 48) {
            REFUSE("loss %zu: count is out of range", i);
        }
    }
    return FT_OK;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    while (*c != 0) {
        unsigned more = 0;
        uint32_t point = *c;
        if (*c < 0x80) {
            c++;
            continue;
        }
        if ((*c & 0xe0) == 0xc0) {
            more = 1;
            point &= 0x1f;
        } else if ((*c & 0xf0) == 0xe0) {
            more = 2;
            point &= 0x0f;
        } else if ((*c & 0xf8) == 0xf0) {
            more = 3;
            point &= 0x07;
        } else {
            return false;
        }
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        for (unsigned i = 1; i <= more; i++) {
            if ((c[i] & 0xc0) != 0x80) {
                return false;
            }
            point = point << 6 | (c[i] & 0x3fU);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
            return false;
        }
        c += more + 1;
    }
    return true;
}
