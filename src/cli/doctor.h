/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `flowtrail doctor`: this host's kernel, the agent, the way to the collector.  Facts
 * are gathered apart from what is concluded, so that the conclusions can be tested.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_DOCTOR_H
#define FT_CLI_DOCTOR_H 1

#include <stdbool.h>
#include <stdint.h>

#include "cli/checkup.h"
#include "cli/where.h"
#include "os/ct_kernel.h"
#include "os/tracking.h"

/* The default of the agent's capture.rcvbuf_bytes. */
#define FT_DOCTOR_RCVBUF_WANTED ((uint64_t)32 << 20)

/* What this network namespace is like, for the user who asks. */
struct ft_doctor_kernel {
    char release[72];
    bool has_conntrack;
    ft_err switch_err[FT_CT_SWITCH_N];
    int switches[FT_CT_SWITCH_N];
    ft_err cap_err;
    bool has_net_admin;
    ft_err fill_err;
    uint64_t n_entries;
    uint64_t n_entries_max;
    ft_err rmem_err;
    uint64_t rmem_max;
    ft_err rcvbuf_err; /* Of the trial; -EPERM when there was none. */
    uint64_t rcvbuf_got;
    struct ft_tracking_report tracking; /* Only with 'has_net_admin'. */
};

void ft_doctor_kernel_look(struct ft_doctor_kernel *ret_kernel);
void ft_doctor_kernel_judge(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);

/* Where the collector is, from flags or from the agent's own words. */
struct ft_doctor_target {
    char url[512];
    char token_file[512];
    char ca_file[512];
    bool clock_skew_known;
    double clock_skew_s; /* The collector's clock minus this one's. */
    int64_t timeout_ns;  /* For TLS and the stream; 0: ten seconds, as the agent. */
};

/* Asks the agent; fills what 'target' has empty.  Adds the agent's rows. */
void ft_doctor_agent(const struct ft_cli_where *where, struct ft_doctor_target *target,
                     struct ft_checkup *checkup);

/* Name, TCP, token, TLS, login. */
void ft_doctor_collector(const struct ft_doctor_target *target, struct ft_checkup *checkup);

/* 'source' says whose clock this one was held against. */
void ft_doctor_clock_judge(bool known, double skew_s, const char *source,
                           struct ft_checkup *checkup);

#endif
