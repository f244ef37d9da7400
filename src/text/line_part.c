/* SPDX-License-Identifier: Apache-2.0 */
#include "text/line_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "text/escape.h"

void ft_text_paint(struct ft_buf *buf, const struct ft_text_line_options *options,
                   const char *paint)
{
    if (options->colour) {
        ft_buf_addf(buf, "\033[%sm", paint);
    }
}

void ft_text_paint_end(struct ft_buf *buf, const struct ft_text_line_options *options)
{
    if (options->colour) {
        ft_buf_add_str(buf, "\033[0m");
    }
}

void ft_text_add_time(struct ft_buf *buf, const struct ft_text_line_options *options,
                      int64_t time_ns)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (options->time == FT_TEXT_TIME_RFC3339) {
        char text[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(time_ns, 6, text);
        ft_buf_add_str(buf, text);
        return;
    }
    /* Rounds towards the past, also before 1970. */
    int64_t part = time_ns % FT_NS_PER_S;
    part += part < 0 ? FT_NS_PER_S : 0;
    time_t seconds = (time_t)((time_ns - part) / FT_NS_PER_S);
    struct tm tm;
    if ((options->local_time ? localtime_r(&seconds, &tm) : gmtime_r(&seconds, &tm)) == NULL) {
        ft_buf_add_str(buf, "?");
        return;
    }
    /* Month names by hand: strftime's depend on the locale. */
    ft_buf_addf(buf, "%s %02d %02d:%02d:%02d.%06" PRId64, months[tm.tm_mon % 12], tm.tm_mday,
                tm.tm_hour, tm.tm_min, tm.tm_sec, part / FT_NS_PER_US);
}

void ft_text_add_host(struct ft_buf *buf, const struct ft_text_line_options *options,
                      const struct ft_row *row)
{
    const char *name = options->agent_name != NULL
                           ? options->agent_name(options->agent_name_ctx, &row->agent_id)
                           : NULL;
    if (name != NULL && name[0] != '\0') {
        ft_text_escape(buf, name);
    } else if (ft_uuid_is_nil(&row->agent_id)) {
        ft_buf_add_str(buf, "-");
    } else {
        char text[FT_UUID_TEXT_SIZE];
        ft_uuid_format(&row->agent_id, text);
        ft_buf_addf(buf, "%.8s", text);
    }
}

void ft_text_add_endpoint(struct ft_buf *buf, const struct ft_event *event, bool source)
{
    if ((event->fields & FT_FIELD_TUPLE) == 0) {
        ft_buf_add_str(buf, "-");
        return;
    }
    char addr[FT_ADDR_TEXT_SIZE];
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    ft_addr_format(source ? &event->src : &event->dst, ipv6, addr);
    if ((event->fields & FT_FIELD_PORTS) == 0) {
        ft_buf_add_str(buf, addr);
        return;
    }
    ft_buf_addf(buf, ipv6 ? "[%s]:%u" : "%s:%u", addr,
                (unsigned)(source ? event->src_port : event->dst_port));
}

void ft_text_add_protocol(struct ft_buf *buf, const struct ft_event *event)
{
    if ((event->fields & FT_FIELD_TUPLE) == 0) {
        ft_buf_add_str(buf, "-");
        return;
    }
    const char *name = ft_protocol_name(event->protocol);
    if (name != NULL) {
        ft_buf_add_str(buf, name);
    } else {
        ft_buf_add_u64(buf, event->protocol);
    }
    if ((event->fields & FT_FIELD_ICMP) != 0) {
        ft_buf_addf(buf, " %u/%u", (unsigned)event->icmp_type, (unsigned)event->icmp_code);
    }
}

void ft_text_add_counters(struct ft_buf *buf, const struct ft_event *event)
{
    if ((event->fields & FT_FIELD_COUNTERS) == 0) {
        return;
    }
    char rx[FT_TEXT_BYTES_SIZE];
    char tx[FT_TEXT_BYTES_SIZE];
    ft_text_format_bytes(event->rx_bytes, rx);
    ft_text_format_bytes(event->tx_bytes, tx);
    ft_buf_addf(buf, "rx %" PRIu64 " pkts %s tx %" PRIu64 " pkts %s", event->rx_packets, rx,
                event->tx_packets, tx);
}

void ft_text_add_loss(struct ft_buf *buf, const struct ft_loss *loss)
{
    char begin[FT_RFC3339_SIZE];
    char end[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(loss->begin_ns, 6, begin);
    ft_time_format_rfc3339(loss->end_ns, 6, end);
    ft_buf_addf(buf, "%s %s%" PRIu64 " events, %s to %s", ft_loss_cause_name((unsigned)loss->cause),
                loss->estimated ? "at most " : "", loss->count, begin, end);
    if (loss->first_seq != 0) {
        ft_buf_addf(buf, ", seq %" PRIu64 "..%" PRIu64, loss->first_seq, loss->last_seq);
    }
}

const char *ft_text_type_paint(unsigned type)
{
    switch (type) {
    case FT_EVENT_START:
        return FT_PAINT_GREEN;
    case FT_EVENT_UPDATE:
        return FT_PAINT_YELLOW;
    case FT_EVENT_DROP:
        return FT_PAINT_RED;
    case FT_EVENT_LOSS:
        return FT_PAINT_ALARM;
    default:
        return FT_PAINT_BOLD;
    }
}

void ft_text_format_bytes(uint64_t bytes, char buf[FT_TEXT_BYTES_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(buf, FT_TEXT_BYTES_SIZE, "%u B", (unsigned)bytes);
        return;
    }
    unsigned unit = 0;
    while (unit < 5 && bytes >> (10 * (unit + 2)) != 0) {
        unit++;
    }
    unsigned shift = 10 * (unit + 1);
    uint64_t whole = bytes >> shift;
    /* Tenths are cut, not rounded: "1023.9 KiB" never becomes "1024.0 KiB". */
    uint64_t tenths = ((bytes - (whole << shift)) >> (shift - 10)) * 10 / 1024;
    (void)snprintf(buf, FT_TEXT_BYTES_SIZE, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths,
                   units[unit]);
}

void ft_text_format_span(int64_t ns, char buf[FT_TEXT_SPAN_SIZE])
{
    int64_t ms = ns / FT_NS_PER_MS;
    int64_t s = ms / 1000;
    if (ns < 0) {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "?");
    } else if (s == 0) {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "%" PRId64 "ms", ms);
    } else if (s < 60) {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "%" PRId64 ".%03" PRId64 "s", s, ms % 1000);
    } else if (s < 3600) {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "%" PRId64 "h%02" PRId64 "m", s / 3600,
                       s % 3600 / 60);
    } else {
        (void)snprintf(buf, FT_TEXT_SPAN_SIZE, "%" PRId64 "d%" PRId64 "h", s / 86400,
                       s % 86400 / 3600);
    }
}
