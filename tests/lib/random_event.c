/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/random_event.h"

#include "lib/test.h"

static const char *const names[] = {"sshd", "nginx", "curl", "héllo", "", "a.example.net"};

static const char *random_name(struct ft_random *random)
{
    return names[ft_random_below(random, sizeof names / sizeof names[0])];
}

static struct ft_addr random_addr(struct ft_random *random, bool ipv6)
{
    struct ft_addr addr = {{0}};
    random->fill(random, addr.bytes, ipv6 ? 16 : 4);
    return addr;
}

static void fill_numbers(struct ft_random *random, struct ft_event *event)
{
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    event->ct_id = (uint32_t)ft_random_u64(random);
    event->start_ns = event->time_ns - (int64_t)ft_random_below(random, 1000000000000);
    event->protocol = (uint8_t)ft_random_u64(random);
    event->src = random_addr(random, ipv6);
    event->dst = random_addr(random, ipv6);
    event->nat_src = random_addr(random, ipv6);
    event->nat_dst = random_addr(random, ipv6);
    event->src_port = (uint16_t)ft_random_u64(random);
    event->dst_port = (uint16_t)ft_random_u64(random);
    event->nat_src_port = (uint16_t)ft_random_u64(random);
    event->nat_dst_port = (uint16_t)ft_random_u64(random);
    event->icmp_type = (uint8_t)ft_random_u64(random);
    event->icmp_code = (uint8_t)ft_random_u64(random);
    event->icmp_id = (uint16_t)ft_random_u64(random);
    event->rx_packets = ft_random_u64(random) >> ft_random_below(random, 64);
    event->rx_bytes = ft_random_u64(random) >> ft_random_below(random, 64);
    event->tx_packets = ft_random_u64(random) >> ft_random_below(random, 64);
    event->tx_bytes = ft_random_u64(random) >> ft_random_below(random, 64);
    event->tcp_state = (uint8_t)ft_random_below(random, FT_TCP_STATE_N);
    event->ct_status = (uint32_t)ft_random_below(random, 65536);
    event->mark = (uint32_t)ft_random_u64(random);
    event->zone = (uint16_t)ft_random_u64(random);
    event->pid = (uint32_t)ft_random_u64(random);
    event->uid = (uint32_t)ft_random_u64(random);
    event->rtt_us = (uint32_t)ft_random_u64(random);
    event->rtt_var_us = (uint32_t)ft_random_u64(random);
    event->retransmits = (uint32_t)ft_random_u64(random);
    event->window_begin_ns = event->time_ns - (int64_t)ft_random_below(random, 60000000000);
    event->window_end_ns = event->window_begin_ns + (int64_t)ft_random_below(random, 60000000000);
    event->n_starts = (uint32_t)ft_random_u64(random);
    event->n_ends = (uint32_t)ft_random_u64(random);
    event->n_drops = (uint32_t)ft_random_u64(random);
}

void ft_random_event(struct ft_random *random, uint64_t seq, struct ft_event *ret_event)
{
    memset(ret_event, 0, sizeof *ret_event);
    struct ft_event *event = ret_event;
    event->seq = seq;
    event->time_ns = INT64_C(1790000000000000000) + (int64_t)ft_random_below(random, 1000000000000);
    event->type = (uint8_t)(1 + ft_random_below(random, 4));
    event->direction = (uint8_t)ft_random_below(random, FT_DIR_N);
    event->traffic_class = (uint8_t)ft_random_below(random, FT_CLASS_N);
    event->fields = (uint32_t)ft_random_u64(random) & FT_FIELD_ALL & ~FT_FIELD_LOSS;
    if ((event->fields & FT_FIELD_TUPLE) == 0) {
        event->fields &= ~(FT_FIELD_IPV6 | FT_FIELD_PORTS | FT_FIELD_ICMP | FT_FIELD_NAT);
    }
    fill_numbers(random, event);
    event->process_name = random_name(random);
    event->container_id = random_name(random);
    event->user_name = random_name(random);
    event->src_name = random_name(random);
    event->dst_name = random_name(random);
    event->rule_id = random_name(random);
    event->src_resource_id = random_name(random);
    event->dst_resource_id = random_name(random);
    if (ft_random_below(random, 10) == 0) {
        event->type = FT_EVENT_LOSS;
        event->fields |= FT_FIELD_LOSS;
        event->loss.cause = (enum ft_loss_cause)ft_random_below(random, FT_LOSS_CAUSE_N);
        event->loss.estimated = ft_random_below(random, 2) == 1;
        event->loss.begin_ns = event->time_ns - 5;
        event->loss.end_ns = event->time_ns;
        event->loss.count = 1 + ft_random_below(random, 1000);
        event->loss.first_seq = 10;
        event->loss.last_seq = event->loss.first_seq + event->loss.count - 1;
    }
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_addr(const struct ft_addr *a, const struct ft_addr *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void check_tuple(const struct ft_event *a, const struct ft_event *b)
{
    CHECK_INT(a->protocol, b->protocol);
    CHECK(same_addr(&a->src, &b->src));
    CHECK(same_addr(&a->dst, &b->dst));
    if ((a->fields & FT_FIELD_PORTS) != 0) {
        CHECK_INT(a->src_port, b->src_port);
        CHECK_INT(a->dst_port, b->dst_port);
    }
    if ((a->fields & FT_FIELD_ICMP) != 0) {
        CHECK_INT(a->icmp_type, b->icmp_type);
        CHECK_INT(a->icmp_code, b->icmp_code);
        CHECK_INT(a->icmp_id, b->icmp_id);
    }
    if ((a->fields & FT_FIELD_NAT) != 0) {
        CHECK(same_addr(&a->nat_src, &b->nat_src));
        CHECK(same_addr(&a->nat_dst, &b->nat_dst));
        if ((a->fields & FT_FIELD_PORTS) != 0) {
            CHECK_INT(a->nat_src_port, b->nat_src_port);
            CHECK_INT(a->nat_dst_port, b->nat_dst_port);
        }
    }
}

/* Compares a member when the part is present. */
#define CHECK_PART(field, member) CHECK((a->fields & (field)) == 0 || a->member == b->member)
#define CHECK_TEXT(field, member)                                                                  \
    CHECK((a->fields & (field)) == 0 || same_text(a->member, b->member))

void ft_check_event_equal(const struct ft_event *a, const struct ft_event *b)
{
    CHECK_INT(a->seq, b->seq);
    CHECK_INT(a->time_ns, b->time_ns);
    CHECK_INT(a->fields, b->fields);
    CHECK_INT(a->type, b->type);
    CHECK_INT(a->direction, b->direction);
    CHECK_INT(a->traffic_class, b->traffic_class);
    if ((a->fields & FT_FIELD_TUPLE) != 0) {
        check_tuple(a, b);
    }
    CHECK_PART(FT_FIELD_FLOW, ct_id);
    CHECK_PART(FT_FIELD_FLOW, start_ns);
    CHECK_PART(FT_FIELD_COUNTERS, rx_packets);
    CHECK_PART(FT_FIELD_COUNTERS, rx_bytes);
    CHECK_PART(FT_FIELD_COUNTERS, tx_packets);
    CHECK_PART(FT_FIELD_COUNTERS, tx_bytes);
    CHECK_PART(FT_FIELD_TCP_STATE, tcp_state);
    CHECK_PART(FT_FIELD_STATUS, ct_status);
    CHECK_PART(FT_FIELD_MARK, mark);
    CHECK_PART(FT_FIELD_ZONE, zone);
    CHECK_PART(FT_FIELD_PROCESS, pid);
    CHECK_TEXT(FT_FIELD_PROCESS, process_name);
    CHECK_TEXT(FT_FIELD_CONTAINER, container_id);
    CHECK_PART(FT_FIELD_USER, uid);
    CHECK_TEXT(FT_FIELD_USER, user_name);
    CHECK_TEXT(FT_FIELD_DNS, src_name);
    CHECK_TEXT(FT_FIELD_DNS, dst_name);
    CHECK_PART(FT_FIELD_TCP_INFO, rtt_us);
    CHECK_PART(FT_FIELD_TCP_INFO, rtt_var_us);
    CHECK_PART(FT_FIELD_TCP_INFO, retransmits);
    CHECK_TEXT(FT_FIELD_RULE, rule_id);
    CHECK_TEXT(FT_FIELD_RESOURCE, src_resource_id);
    CHECK_TEXT(FT_FIELD_RESOURCE, dst_resource_id);
    CHECK_PART(FT_FIELD_WINDOW, window_begin_ns);
    CHECK_PART(FT_FIELD_WINDOW, window_end_ns);
    CHECK_PART(FT_FIELD_WINDOW, n_starts);
    CHECK_PART(FT_FIELD_WINDOW, n_ends);
    CHECK_PART(FT_FIELD_WINDOW, n_drops);
    CHECK_PART(FT_FIELD_LOSS, loss.cause);
    CHECK_PART(FT_FIELD_LOSS, loss.estimated);
    CHECK_PART(FT_FIELD_LOSS, loss.begin_ns);
    CHECK_PART(FT_FIELD_LOSS, loss.end_ns);
    CHECK_PART(FT_FIELD_LOSS, loss.count);
    CHECK_PART(FT_FIELD_LOSS, loss.first_seq);
    CHECK_PART(FT_FIELD_LOSS, loss.last_seq);
}
