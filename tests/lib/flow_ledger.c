/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/flow_ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/test.h"

/* The place of the flow in the index, or the free one where it would be. */
static size_t find_place(const struct ft_ledger *ledger, uint32_t ct_id, int64_t start_ns)
{
    uint64_t hash = ((uint64_t)start_ns ^ (uint64_t)ct_id << 40 ^ ct_id) * 0x9e3779b97f4a7c15U;
    size_t n_places = 2 * ledger->capacity;
    size_t place = (size_t)(hash >> 32) % n_places;
    while (ledger->index[place] != 0) {
        const struct ft_ledger_flow *flow = &ledger->flows[ledger->index[place] - 1];
        if (flow->ct_id == ct_id && flow->start_ns == start_ns) {
            break;
        }
        place = (place + 1) % n_places;
    }
    return place;
}

static struct ft_ledger_flow *find_flow(const struct ft_ledger *ledger,
                                        const struct ft_event *event)
{
    if (ledger->capacity == 0) {
        return NULL;
    }
    uint32_t number = ledger->index[find_place(ledger, event->ct_id, event->start_ns)];
    return number != 0 ? &ledger->flows[number - 1] : NULL;
}

static void grow(struct ft_ledger *ledger)
{
    ledger->capacity = ledger->capacity == 0 ? 64 : ledger->capacity * 2;
    ledger->flows = realloc(ledger->flows, ledger->capacity * sizeof *ledger->flows);
    free(ledger->index);
    ledger->index = calloc(2 * ledger->capacity, sizeof *ledger->index);
    if (ledger->flows == NULL || ledger->index == NULL) {
        abort();
    }
    for (size_t i = 0; i < ledger->n_flows; i++) {
        const struct ft_ledger_flow *flow = &ledger->flows[i];
        ledger->index[find_place(ledger, flow->ct_id, flow->start_ns)] = (uint32_t)i + 1;
    }
}

static struct ft_ledger_flow *add_flow(struct ft_ledger *ledger, const struct ft_event *event)
{
    if (ledger->n_flows == ledger->capacity) {
        grow(ledger);
    }
    struct ft_ledger_flow *flow = &ledger->flows[ledger->n_flows++];
    *flow = (struct ft_ledger_flow){.ct_id = event->ct_id, .start_ns = event->start_ns};
    ledger->index[find_place(ledger, event->ct_id, event->start_ns)] = (uint32_t)ledger->n_flows;
    return flow;
}

static void write_flags(struct ft_buf *out, uint32_t fields)
{
    static const struct {
        uint32_t field;
        const char *name;
    } names[] = {{FT_FIELD_INFERRED, " inferred"},
                 {FT_FIELD_START_UNKNOWN, " start_unknown"},
                 {FT_FIELD_PREEXISTING, " preexisting"},
                 {FT_FIELD_COUNTERS_UNSURE, " counters_unsure"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((fields & names[i].field) != 0) {
            ft_buf_add_str(out, names[i].name);
        }
    }
}

static void write_line(struct ft_ledger *ledger, const struct ft_event *event)
{
    struct ft_buf *out = &ledger->transcript;
    char src[FT_ADDR_TEXT_SIZE];
    char dst[FT_ADDR_TEXT_SIZE];
    ft_buf_addf(out, "%8" PRId64 " %-6s", (event->time_ns - ledger->epoch_ns) / FT_NS_PER_MS,
                ft_event_type_name(event->type));
    if (event->type == FT_EVENT_LOSS) {
        const struct ft_loss *loss = &event->loss;
        ft_buf_addf(out, " %s %" PRIu64 "%s from %" PRId64 " to %" PRId64 "\n",
                    ft_loss_cause_name(loss->cause), loss->count,
                    loss->estimated ? " (estimated)" : "",
                    (loss->begin_ns - ledger->epoch_ns) / FT_NS_PER_MS,
                    (loss->end_ns - ledger->epoch_ns) / FT_NS_PER_MS);
        return;
    }
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    ft_addr_format(&event->src, ipv6, src);
    ft_addr_format(&event->dst, ipv6, dst);
    ft_buf_addf(out, " %" PRIu32 "@%" PRId64 " %s %u %s:%u > %s:%u", event->ct_id,
                (event->start_ns - ledger->epoch_ns) / FT_NS_PER_MS,
                ft_direction_name(event->direction), event->protocol, src, event->src_port, dst,
                event->dst_port);
    if ((event->fields & FT_FIELD_COUNTERS) != 0) {
        ft_buf_addf(out, " rx %" PRIu64 "/%" PRIu64 " tx %" PRIu64 "/%" PRIu64, event->rx_packets,
                    event->rx_bytes, event->tx_packets, event->tx_bytes);
    }
    if ((event->fields & FT_FIELD_MARK) != 0) {
        ft_buf_addf(out, " mark %" PRIu32, event->mark);
    }
    if ((event->fields & FT_FIELD_NAT) != 0) {
        ft_addr_format(&event->nat_src, ipv6, src);
        ft_addr_format(&event->nat_dst, ipv6, dst);
        ft_buf_addf(out, " nat %s:%u > %s:%u", src, event->nat_src_port, dst, event->nat_dst_port);
    }
    write_flags(out, event->fields);
    ft_buf_add_char(out, '\n');
}

void ft_ledger_init(struct ft_ledger *ledger, int64_t epoch_ns)
{
    *ledger = (struct ft_ledger){.epoch_ns = epoch_ns};
    ft_buf_init(&ledger->transcript, 0);
}

void ft_ledger_deinit(struct ft_ledger *ledger)
{
    ft_buf_deinit(&ledger->transcript);
    free(ledger->flows);
    free(ledger->index);
    ledger->flows = NULL;
    ledger->index = NULL;
}

void ft_ledger_emit(void *ctx, struct ft_event *event)
{
    struct ft_ledger *ledger = ctx;
    bool inferred = (event->fields & FT_FIELD_INFERRED) != 0;
    ledger->n_events[event->type]++;
    ledger->n_inferred[event->type] += inferred;
    write_line(ledger, event);
    if (event->type == FT_EVENT_LOSS) {
        ledger->n_lost += event->loss.count;
        ledger->last_loss = event->loss;
        return;
    }
    CHECK((event->fields & FT_FIELD_FLOW) != 0);
    CHECK((event->fields & FT_FIELD_TUPLE) != 0);
    bool merged = (event->fields & FT_FIELD_WINDOW) != 0;
    uint32_t n_starts = merged ? event->n_starts : event->type == FT_EVENT_START;
    uint32_t n_ends = merged ? event->n_ends : event->type == FT_EVENT_END;
    CHECK(!merged || event->window_begin_ns <= event->window_end_ns);
    struct ft_ledger_flow *flow = find_flow(ledger, event);
    if (n_starts > 0) {
        CHECK(flow == NULL);
        flow = add_flow(ledger, event);
        flow->n_starts += n_starts;
        flow->start_fields = event->fields;
        flow->direction = event->direction;
        flow->start = *event;
        event->traffic_class = FT_CLASS_PHYSICAL;
    }
    CHECK(flow != NULL);
    CHECK_INT(flow->n_ends, 0);
    CHECK_INT(flow->direction, event->direction);
    CHECK_INT(event->traffic_class, FT_CLASS_PHYSICAL);
    flow->n_updates += event->type == FT_EVENT_UPDATE;
    if (n_ends > 0) {
        flow->n_ends += n_ends;
        flow->end_fields = event->fields;
        flow->end = *event;
    }
    if ((event->fields & FT_FIELD_COUNTERS) != 0) {
        flow->n_with_counters++;
        flow->rx_packets += event->rx_packets;
        flow->rx_bytes += event->rx_bytes;
        flow->tx_packets += event->tx_packets;
        flow->tx_bytes += event->tx_bytes;
    }
}

const struct ft_ledger_flow *ft_ledger_find(const struct ft_ledger *ledger, uint32_t ct_id)
{
    for (size_t i = ledger->n_flows; i-- > 0;) {
        if (ledger->flows[i].ct_id == ct_id) {
            return &ledger->flows[i];
        }
    }
    return NULL;
}

size_t ft_ledger_count_open(const struct ft_ledger *ledger)
{
    size_t n = 0;
    for (size_t i = 0; i < ledger->n_flows; i++) {
        n += ledger->flows[i].n_ends == 0;
    }
    return n;
}
