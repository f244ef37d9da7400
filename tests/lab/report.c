/* SPDX-License-Identifier: Apache-2.0 */
#include "ftgen.h"

#include <arpa/inet.h>
#include <inttypes.h>

static bool first_flow;

static void print_addr(FILE *out, const char *name, const union gen_addr *addr)
{
    char text[INET6_ADDRSTRLEN] = "";
    const void *bytes = addr->any.sa_family == AF_INET6 ? (const void *)&addr->v6.sin6_addr
                                                        : (const void *)&addr->v4.sin_addr;
    (void)inet_ntop(addr->any.sa_family == AF_INET6 ? AF_INET6 : AF_INET, bytes, text, sizeof text);
    (void)fprintf(out, "\"%s\": \"%s\", \"%s_port\": %u", name, text, name, gen_addr_port(addr));
}

void gen_report_begin(const struct gen_options *options)
{
    (void)fprintf(options->out, "{\"mode\": \"%s\"", options->mode);
}

void gen_report_number(const struct gen_options *options, const char *name, uint64_t value)
{
    (void)fprintf(options->out, ",\n \"%s\": %" PRIu64, name, value);
}

void gen_report_addr(const struct gen_options *options, const char *name,
                     const union gen_addr *addr)
{
    (void)fprintf(options->out, ",\n ");
    print_addr(options->out, name, addr);
}

void gen_report_flows_begin(const struct gen_options *options)
{
    (void)fprintf(options->out, ",\n \"flows\": [");
    first_flow = true;
}

void gen_report_flow(const struct gen_options *options, const struct gen_flow *flow)
{
    FILE *out = options->out;
    (void)fprintf(out, "%s\n  {\"protocol\": \"%s\", ", first_flow ? "" : ",", flow->protocol);
    print_addr(out, "src", &flow->src);
    (void)fprintf(out, ", ");
    print_addr(out, "dst", &flow->dst);
    if (flow->echo_id >= 0) {
        (void)fprintf(out, ", \"icmp_id\": %d, \"icmp_type\": %d", flow->echo_id, flow->icmp_type);
    }
    (void)fprintf(out, ", \"sent_bytes\": %" PRIu64 ", \"received_bytes\": %" PRIu64,
                  flow->sent_bytes, flow->received_bytes);
    if (flow->sent_packets > 0) {
        (void)fprintf(out, ", \"sent_packets\": %" PRIu64 ", \"received_packets\": %" PRIu64,
                      flow->sent_packets, flow->received_packets);
    }
    (void)fprintf(out, ", \"end\": \"%s\"}", flow->end);
    first_flow = false;
}

void gen_report_end(const struct gen_options *options)
{
    (void)fprintf(options->out, "]}\n");
    (void)fflush(options->out);
}
