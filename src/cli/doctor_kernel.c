/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail doctor, this host's kernel: what capturing needs. */
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/doctor.h"
#include "os/host.h"

#define NETFILTER_DIR "/proc/sys/net/netfilter/"
/* Past this share of the table new connections are soon dropped; past the first, it is time. */
#define FILL_WARN_PERCENT 80
#define FILL_FAIL_PERCENT 95

#define REPAIR_ADVICE                                                                              \
    "# set capture.repair_tracking: true in flowtraild.yaml, then: systemctl restart flowtraild"

static ft_err read_number(const char *name, uint64_t *ret_number);
static void try_rcvbuf(struct ft_doctor_kernel *kernel);
static void judge_switches(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);
static void judge_caps(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);
static void judge_fill(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);
static void judge_rcvbuf(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);
static void judge_tracking(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup);

void ft_doctor_kernel_look(struct ft_doctor_kernel *ret_kernel)
{
    *ret_kernel = (struct ft_doctor_kernel){0};
    struct ft_host host = {0};
    ft_err_ignore(ft_host_read(&host), "the release is shown, not judged");
    (void)snprintf(ret_kernel->release, sizeof ret_kernel->release, "%s", host.kernel_release);
    ret_kernel->has_conntrack = ft_host_has_conntrack();
    /* These files can be read by everybody, other than the netlink sockets. */
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        uint64_t value = 0;
        ret_kernel->switch_err[i] = read_number(ft_ct_switch_name((enum ft_ct_switch)i), &value);
        ret_kernel->switches[i] = value > 0 ? 1 : 0;
    }
    ret_kernel->fill_err = read_number("nf_conntrack_count", &ret_kernel->n_entries);
    if (ret_kernel->fill_err == FT_OK) {
        ret_kernel->fill_err = read_number("nf_conntrack_max", &ret_kernel->n_entries_max);
    }
    ret_kernel->rmem_err = ft_host_rmem_max(&ret_kernel->rmem_max);
    ret_kernel->cap_err = ft_host_has_cap(FT_CAP_NET_ADMIN, &ret_kernel->has_net_admin);
    ret_kernel->rcvbuf_err = ft_err_from_errno(EPERM);
    if (ret_kernel->has_net_admin) {
        try_rcvbuf(ret_kernel);
        ft_tracking_probe(&ret_kernel->tracking);
    }
}

void ft_doctor_kernel_judge(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    if (!kernel->has_conntrack) {
        struct ft_check *check =
            ft_checkup_add(checkup, "conntrack", FT_CHECK_FAIL,
                           "this kernel (%s) has no connection tracking loaded", kernel->release);
        ft_check_set_fix(check, "modprobe nf_conntrack");
    } else {
        ft_checkup_add(checkup, "conntrack", FT_CHECK_OK, "loaded, kernel %s", kernel->release);
        judge_switches(kernel, checkup);
    }
    judge_caps(kernel, checkup);
    judge_rcvbuf(kernel, checkup);
    if (kernel->has_conntrack) {
        judge_fill(kernel, checkup);
        judge_tracking(kernel, checkup);
    }
}

static ft_err read_number(const char *name, uint64_t *ret_number)
{
    char path[128];
    char text[32];
    (void)snprintf(path, sizeof path, NETFILTER_DIR "%s", name);
    FT_TRY(ft_read_text_file(path, text, sizeof text));
    return ft_parse_u64(text, UINT64_MAX, ret_number);
}

/* Opens what the agent opens, but listens to nothing: it costs the kernel no event. */
static void try_rcvbuf(struct ft_doctor_kernel *kernel)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *ct = NULL;
    kernel->rcvbuf_err = ft_ct_kernel_linux_create(&ct);
    if (kernel->rcvbuf_err == FT_OK) {
        struct ft_ct_events_options options = {.rcvbuf_bytes = FT_DOCTOR_RCVBUF_WANTED};
        kernel->rcvbuf_err = ct->ops->events_open(ct, &options, &kernel->rcvbuf_got);
    }
}

static void judge_switches(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    static const struct {
        enum ft_check_state off;
        const char *without;
    } meanings[FT_CT_SWITCH_N] = {
        [FT_CT_SWITCH_ACCT] = {FT_CHECK_WARN,
                               "packets and bytes are not counted; flowtraild switches it on "
                               "(capture.accounting)"},
        [FT_CT_SWITCH_TIMESTAMP] = {FT_CHECK_WARN,
                                    "begin and end are when the agent hears of them; flowtraild "
                                    "switches it on (capture.timestamps)"},
        [FT_CT_SWITCH_EVENTS] = {FT_CHECK_FAIL, "the kernel reports no connections at all"},
    };
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        const char *name = ft_ct_switch_name((enum ft_ct_switch)i);
        if (kernel->switch_err[i] == ft_err_from_errno(ENOENT)) {
            ft_checkup_add(checkup, name, meanings[i].off, "this kernel was built without it");
        } else if (kernel->switch_err[i] != FT_OK) {
            ft_checkup_add(checkup, name, FT_CHECK_UNSEEN, "cannot be read: %s",
                           ft_err_text(kernel->switch_err[i]));
        } else if (kernel->switches[i] != 0) {
            ft_checkup_add(checkup, name, FT_CHECK_OK, "on");
        } else {
            struct ft_check *check =
                ft_checkup_add(checkup, name, meanings[i].off, "off: %s", meanings[i].without);
            ft_check_set_fix(check, "sysctl -w net.netfilter.%s=1", name);
        }
    }
}

static void judge_caps(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    if (kernel->cap_err == FT_OK && kernel->has_net_admin) {
        ft_checkup_add(checkup, "capabilities", FT_CHECK_OK,
                       "CAP_NET_ADMIN, all that flowtraild needs, is there");
        return;
    }
    struct ft_check *check =
        ft_checkup_add(checkup, "capabilities", FT_CHECK_UNSEEN,
                       "you have no CAP_NET_ADMIN: the event socket and the tracking rules could "
                       "not be looked at");
    ft_check_set_fix(check, "sudo flowtrail doctor");
}

static void judge_rcvbuf(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    static const char name[] = "receive buffer";
    const uint64_t wanted = FT_DOCTOR_RCVBUF_WANTED;
    struct ft_check *check = NULL;
    if (!kernel->has_net_admin && kernel->rmem_err == FT_OK) {
        ft_checkup_add(checkup, name, FT_CHECK_UNSEEN,
                       "net.core.rmem_max is %llu; with CAP_NET_ADMIN flowtraild gets more",
                       (unsigned long long)kernel->rmem_max);
    } else if (kernel->rcvbuf_err != FT_OK) {
        check =
            ft_checkup_add(checkup, name, kernel->has_net_admin ? FT_CHECK_FAIL : FT_CHECK_UNSEEN,
                           "the event socket does not open: %s", ft_err_text(kernel->rcvbuf_err));
        ft_check_set_fix(check, "modprobe nf_conntrack_netlink");
    } else if (kernel->rcvbuf_got >= wanted) {
        ft_checkup_add(checkup, name, FT_CHECK_OK, "%llu MiB, as wanted",
                       (unsigned long long)(kernel->rcvbuf_got >> 20));
    } else {
        check = ft_checkup_add(checkup, name, FT_CHECK_WARN,
                               "%llu KiB instead of %llu MiB: bursts of connections overrun it "
                               "sooner",
                               (unsigned long long)(kernel->rcvbuf_got >> 10),
                               (unsigned long long)(wanted >> 20));
        /* The kernel doubles what is asked for. */
        ft_check_set_fix(check, "sysctl -w net.core.rmem_max=%llu",
                         (unsigned long long)(wanted / 2));
    }
}

static void judge_fill(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    static const char name[] = "connection table";
    if (kernel->fill_err != FT_OK || kernel->n_entries_max == 0) {
        ft_checkup_add(checkup, name, FT_CHECK_UNSEEN, "cannot be read: %s",
                       ft_err_text(kernel->fill_err));
        return;
    }
    uint64_t percent = kernel->n_entries * 100 / kernel->n_entries_max;
    enum ft_check_state state = percent >= FILL_FAIL_PERCENT   ? FT_CHECK_FAIL
                                : percent >= FILL_WARN_PERCENT ? FT_CHECK_WARN
                                                               : FT_CHECK_OK;
    struct ft_check *check = ft_checkup_add(
        checkup, name, state, "%llu of %llu entries, %llu %%%s",
        (unsigned long long)kernel->n_entries, (unsigned long long)kernel->n_entries_max,
        (unsigned long long)percent,
        state != FT_CHECK_OK ? ": when it is full, the kernel drops connections" : "");
    if (state != FT_CHECK_OK) {
        ft_check_set_fix(check, "sysctl -w net.netfilter.nf_conntrack_max=%llu",
                         (unsigned long long)kernel->n_entries_max * 2);
    }
}

static void judge_tracking(const struct ft_doctor_kernel *kernel, struct ft_checkup *checkup)
{
    static const char name[] = "tracking";
    const struct ft_tracking_report *report = &kernel->tracking;
    struct ft_check *check = NULL;
    if (!kernel->has_net_admin) {
        ft_checkup_add(checkup, name, FT_CHECK_UNSEEN,
                       "whether anything here asks for tracking needs CAP_NET_ADMIN to see");
        return;
    }
    switch (report->state) {
    case FT_TRACKING_NONE:
        check = ft_checkup_add(checkup, name, FT_CHECK_FAIL,
                               "no rule in this network namespace asks for connection tracking: "
                               "there is nothing to see");
        ft_check_set_fix(check, REPAIR_ADVICE);
        break;
    case FT_TRACKING_ON:
        if (report->hooks_known && report->ipv4 != report->ipv6) {
            check = ft_checkup_add(checkup, name, FT_CHECK_WARN, "%s only: nothing asks for %s",
                                   report->ipv4 ? "IPv4" : "IPv6", report->ipv4 ? "IPv6" : "IPv4");
            ft_check_set_fix(check, REPAIR_ADVICE);
        } else {
            ft_checkup_add(checkup, name, FT_CHECK_OK, "connections are tracked%s",
                           report->repaired ? ", by flowtraild's own rule" : "");
        }
        break;
    default:
        ft_checkup_add(checkup, name, FT_CHECK_UNSEEN,
                       "whether anything here asks for tracking could not be found out%s",
                       report->legacy ? ": there are rules of the old iptables" : "");
        break;
    }
}
