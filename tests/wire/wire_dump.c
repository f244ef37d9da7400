/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one batch of random events from a seed to FILE.bin, and the same events, told field by
 * field, to FILE.json: what another language's decoder must make of the batch.
 *
 *     wire_dump SEED COUNT FILE
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "flow/ids.h"
#include "lib/random_event.h"
#include "wire/batch_builder.h"

static void put_bytes(FILE *to, const char *name, const uint8_t *bytes, size_t size)
{
    (void)fprintf(to, ", \"%s\": \"", name);
    for (size_t i = 0; i < size; i++) {
        (void)fprintf(to, "%02x", bytes[i]);
    }
    (void)fprintf(to, "\"");
}

static void put_text(FILE *to, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        (void)fprintf(to, ", \"%s\": \"%s\"", name, text);
    }
}

static void put_number(FILE *to, const char *name, uint64_t value)
{
    (void)fprintf(to, ", \"%s\": %" PRIu64, name, value);
}

static void put_tuple(FILE *to, const struct ft_event *event)
{
    size_t size = (event->fields & FT_FIELD_IPV6) != 0 ? 16 : 4;
    put_number(to, "protocol", event->protocol);
    put_bytes(to, "src_addr", event->src.bytes, size);
    put_bytes(to, "dst_addr", event->dst.bytes, size);
    if ((event->fields & FT_FIELD_PORTS) != 0) {
        put_number(to, "src_port", event->src_port);
        put_number(to, "dst_port", event->dst_port);
    }
    if ((event->fields & FT_FIELD_ICMP) != 0) {
        put_number(to, "icmp_type", event->icmp_type);
        put_number(to, "icmp_code", event->icmp_code);
        put_number(to, "icmp_id", event->icmp_id);
    }
    if ((event->fields & FT_FIELD_NAT) != 0) {
        put_bytes(to, "nat_src_addr", event->nat_src.bytes, size);
        put_bytes(to, "nat_dst_addr", event->nat_dst.bytes, size);
        if ((event->fields & FT_FIELD_PORTS) != 0) {
            put_number(to, "nat_src_port", event->nat_src_port);
            put_number(to, "nat_dst_port", event->nat_dst_port);
        }
    }
}

static void put_numbers(FILE *to, const struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_COUNTERS) != 0) {
        put_number(to, "rx_packets", event->rx_packets);
        put_number(to, "rx_bytes", event->rx_bytes);
        put_number(to, "tx_packets", event->tx_packets);
        put_number(to, "tx_bytes", event->tx_bytes);
    }
    if ((fields & FT_FIELD_TCP_STATE) != 0) {
        put_number(to, "tcp_state", event->tcp_state);
    }
    if ((fields & FT_FIELD_STATUS) != 0) {
        put_number(to, "conntrack_status", event->ct_status);
    }
    if ((fields & FT_FIELD_MARK) != 0) {
        put_number(to, "mark", event->mark);
    }
    if ((fields & FT_FIELD_ZONE) != 0) {
        put_number(to, "zone", event->zone);
    }
    if ((fields & FT_FIELD_TCP_INFO) != 0) {
        put_number(to, "rtt_us", event->rtt_us);
        put_number(to, "rtt_var_us", event->rtt_var_us);
        put_number(to, "retransmits", event->retransmits);
    }
    if ((fields & FT_FIELD_WINDOW) != 0) {
        put_number(to, "window_begin_unix_ns", (uint64_t)event->window_begin_ns);
        put_number(to, "window_end_unix_ns", (uint64_t)event->window_end_ns);
        put_number(to, "n_starts", event->n_starts);
        put_number(to, "n_ends", event->n_ends);
        put_number(to, "n_drops", event->n_drops);
    }
}

static void put_names(FILE *to, const struct ft_event *event)
{
    uint32_t fields = event->fields;
    if ((fields & FT_FIELD_PROCESS) != 0) {
        put_number(to, "pid", event->pid);
        put_text(to, "process_name", event->process_name);
    }
    if ((fields & FT_FIELD_CONTAINER) != 0) {
        put_text(to, "container_id", event->container_id);
    }
    if ((fields & FT_FIELD_USER) != 0) {
        put_number(to, "uid", event->uid);
        put_text(to, "user_name", event->user_name);
    }
    if ((fields & FT_FIELD_DNS) != 0) {
        put_text(to, "src_name", event->src_name);
        put_text(to, "dst_name", event->dst_name);
    }
    if ((fields & FT_FIELD_RULE) != 0) {
        put_text(to, "rule_id", event->rule_id);
    }
    if ((fields & FT_FIELD_RESOURCE) != 0) {
        put_text(to, "src_resource_id", event->src_resource_id);
        put_text(to, "dst_resource_id", event->dst_resource_id);
    }
}

static void put_flags(FILE *to, const struct ft_event *event)
{
    static const struct {
        uint32_t field;
        const char *name;
    } flags[] = {{FT_FIELD_INFERRED, "inferred"},
                 {FT_FIELD_START_UNKNOWN, "start_unknown"},
                 {FT_FIELD_PREEXISTING, "preexisting"},
                 {FT_FIELD_COUNTERS_UNSURE, "counters_unsure"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((event->fields & flags[i].field) != 0) {
            (void)fprintf(to, ", \"%s\": true", flags[i].name);
        }
    }
}

static void put_event(FILE *to, struct ft_id_deriver *deriver, const struct ft_uuid *instance,
                      const struct ft_event *event)
{
    struct ft_uuid id;
    (void)fprintf(to, "{\"seq\": %" PRIu64 ", \"time_unix_ns\": %" PRId64, event->seq,
                  event->time_ns);
    ft_id_derive_event(deriver, instance, event->seq, &id);
    put_bytes(to, "event_id", id.bytes, sizeof id.bytes);
    put_bytes(to, "instance_id", instance->bytes, sizeof instance->bytes);
    put_number(to, "type", event->type);
    put_number(to, "direction", event->direction);
    put_number(to, "traffic_class", event->traffic_class);
    if ((event->fields & FT_FIELD_FLOW) != 0) {
        ft_id_derive_flow(deriver, instance, event->ct_id, event->start_ns, &id);
        put_bytes(to, "flow_id", id.bytes, sizeof id.bytes);
        put_number(to, "conntrack_id", event->ct_id);
        put_number(to, "start_unix_ns", (uint64_t)event->start_ns);
    }
    if ((event->fields & FT_FIELD_TUPLE) != 0) {
        put_tuple(to, event);
    }
    put_numbers(to, event);
    put_names(to, event);
    put_flags(to, event);
    if ((event->fields & FT_FIELD_LOSS) != 0) {
        const struct ft_loss *loss = &event->loss;
        (void)fprintf(to,
                      ", \"loss\": {\"cause\": %d, \"begin_unix_ns\": %" PRId64
                      ", \"end_unix_ns\": %" PRId64 ", \"count\": %" PRIu64
                      ", \"estimated\": %s, \"first_seq\": %" PRIu64 ", \"last_seq\": %" PRIu64 "}",
                      (int)loss->cause, loss->begin_ns, loss->end_ns, loss->count,
                      loss->estimated ? "true" : "false", loss->first_seq, loss->last_seq);
    }
    (void)fprintf(to, "}\n");
}

static FILE *open_output(const char *name, const char *ending)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s.%s", name, ending);
    FILE *to = fopen(path, "wb");
    if (to == NULL) {
        perror(path);
        exit(1);
    }
    return to;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: wire_dump SEED COUNT FILE\n");
        return 2;
    }
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, strtoull(argv[1], NULL, 10));
    unsigned long count = strtoul(argv[2], NULL, 10);
    struct ft_uuid instance;
    ft_uuid_make_random(&random.base, &instance);
    struct ft_id_deriver *deriver = NULL;
    struct ft_batch_builder *builder = NULL;
    if (ft_id_deriver_create(&deriver) != FT_OK ||
        ft_batch_builder_create(&instance, &builder) != FT_OK) {
        return 1;
    }
    FILE *json = open_output(argv[3], "json");
    for (unsigned long i = 0; i < count; i++) {
        struct ft_event event;
        ft_random_event(&random.base, 1 + i, &event);
        put_event(json, deriver, &instance, &event);
        if (ft_batch_builder_add(builder, &event) != FT_OK) {
            return 1;
        }
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    FILE *bin = open_output(argv[3], "bin");
    bool ok = ft_batch_builder_seal(builder, &buf) == FT_OK &&
              fwrite(buf.data, 1, buf.size, bin) == buf.size;
    ok = fclose(bin) == 0 && ok;
    ok = fclose(json) == 0 && ok;
    ft_buf_deinit(&buf);
    ft_batch_builder_destroy(builder);
    ft_id_deriver_destroy(deriver);
    return ok ? 0 : 1;
}
