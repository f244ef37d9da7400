/* SPDX-License-Identifier: Apache-2.0 */
/* os/ct_kernel.h against the running kernel: real flows in a network namespace of this process. */
#include "os/ct_kernel.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "base/clock.h"
#include "base/fd.h"
#include "netns.h"
#include "os/ct_record.h"
#include "os/host.h"
#include "os/switches.h"
#include "os/tracking.h"

#define PORT_SINK   9
#define RECORDS_MAX 4096
#define UDP_BYTES   9

static struct ft_ct_record records[RECORDS_MAX];
static size_t n_records;
static unsigned n_overruns;

/* A namespace with tracking, and a kernel in it. */
static struct ft_ct_kernel *begin(void)
{
    struct ft_ct_kernel *kernel = NULL;
    netns_enter();
    CHECK_OK(ft_tracking_repair());
    CHECK_OK(ft_ct_kernel_linux_create(&kernel));
    n_records = 0;
    n_overruns = 0;
    return kernel;
}

static void open_events(struct ft_ct_kernel *kernel, unsigned groups, uint64_t rcvbuf,
                        bool reliable)
{
    struct ft_ct_events_options options = {
        .groups = groups, .rcvbuf_bytes = rcvbuf, .reliable = reliable};
    uint64_t got = 0;
    CHECK_OK(kernel->ops->events_open(kernel, &options, &got));
    CHECK(got >= rcvbuf);
}

static void take_records(const uint8_t *data, size_t size)
{
    struct ft_ct_reader reader = {.at = data, .left = size};
    for (;;) {
        int error = 0;
        CHECK(n_records < RECORDS_MAX);
        enum ft_ct_step step = ft_ct_next(&reader, &records[n_records], &error);
        if (step == FT_CT_EMPTY) {
            return;
        }
        CHECK(step == FT_CT_RECORD || step == FT_CT_DONE);
        n_records += step == FT_CT_RECORD ? 1 : 0;
    }
}

/* Reads what is there now. */
static void drain(struct ft_ct_kernel *kernel)
{
    static uint8_t buf[FT_CT_DATAGRAM_SIZE_MAX];
    for (;;) {
        size_t size = 0;
        ft_err err = kernel->ops->events_recv(kernel, buf, sizeof buf, &size);
        if (err == ft_err_from_errno(EAGAIN)) {
            return;
        }
        if (err == FT_E_OVERRUN) {
            n_overruns++;
            continue;
        }
        CHECK_OK(err);
        take_records(buf, size);
    }
}

static void dump(struct ft_ct_kernel *kernel)
{
    static uint8_t buf[FT_CT_DATAGRAM_SIZE_MAX];
    bool consistent = false;
    n_records = 0;
    CHECK_OK(kernel->ops->dump_start(kernel));
    for (;;) {
        size_t size = 0;
        ft_err err = kernel->ops->dump_recv(kernel, 1000, buf, sizeof buf, &size, &consistent);
        if (err == FT_E_END) {
            break;
        }
        CHECK_OK(err);
        take_records(buf, size);
    }
    CHECK(consistent);
}

/* What `conntrack -F` does: every entry ends at once. */
static void flush(void)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                            .nlmsg_flags = NLM_F_REQUEST}};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    CHECK(fd >= 0);
    CHECK_INT(send(fd, &request, sizeof request, 0), sizeof request);
    (void)close(fd);
}

static const struct ft_ct_record *find(enum ft_ct_kind kind, uint16_t src_port, bool ipv6)
{
    for (size_t i = 0; i < n_records; i++) {
        if (records[i].kind == kind && records[i].orig.src_port == src_port &&
            records[i].orig.ipv6 == ipv6) {
            return &records[i];
        }
    }
    ft_test_fail(__FILE__, __LINE__, "no record of kind %d with port %d", (int)kind, src_port);
}

static size_t count(enum ft_ct_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < n_records; i++) {
        n += records[i].kind == kind ? 1 : 0;
    }
    return n;
}

static void check_tuple(const struct ft_ct_record *record, uint8_t protocol, uint16_t dst_port)
{
    static const struct ft_addr v4 = {.bytes = {127, 0, 0, 1}};
    static const struct ft_addr v6 = {.bytes = {[15] = 1}};
    const struct ft_addr *addr = record->orig.ipv6 ? &v6 : &v4;
    CHECK_BYTES(record->orig.src.bytes, 16, addr->bytes, 16);
    CHECK_BYTES(record->orig.dst.bytes, 16, addr->bytes, 16);
    CHECK_INT(record->orig.protocol, protocol);
    CHECK_INT(record->orig.dst_port, dst_port);
    CHECK((record->has & FT_CT_HAS_ID) != 0);
    CHECK(ft_ct_is_mirrored(record));
}

TEST(events_from_new_to_destroy)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    CHECK_OK(kernel->ops->switch_set(kernel, FT_CT_SWITCH_ACCT, 1));
    CHECK_OK(kernel->ops->switch_set(kernel, FT_CT_SWITCH_TIMESTAMP, 1));
    int64_t before = ft_clock_real_ns(ft_clock_system());
    open_events(kernel, FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY, 1 << 20, false);
    int sink4 = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    int sink6 = bound_socket(true, SOCK_DGRAM, PORT_SINK);
    udp_flows(false, 20000, PORT_SINK, 1);
    udp_flows(true, 20001, PORT_SINK, 1);
    tcp_flow(false, 20002, 7777, 100000);
    drain(kernel);
    CHECK_INT(n_records, 3);
    check_tuple(find(FT_CT_NEW, 20000, false), FT_PROTO_UDP, PORT_SINK);
    check_tuple(find(FT_CT_NEW, 20001, true), FT_PROTO_UDP, PORT_SINK);
    check_tuple(find(FT_CT_NEW, 20002, false), FT_PROTO_TCP, 7777);
    uint32_t id = find(FT_CT_NEW, 20002, false)->id;

    n_records = 0;
    flush();
    drain(kernel);
    int64_t after = ft_clock_real_ns(ft_clock_system());
    CHECK_INT(n_records, 3);
    const struct ft_ct_record *udp = find(FT_CT_DESTROY, 20000, false);
    CHECK((udp->has & FT_CT_HAS_COUNTERS) != 0);
    CHECK_INT(udp->orig_packets, 1);
    CHECK_INT(udp->orig_bytes, 20 + 8 + UDP_BYTES);
    CHECK_INT(udp->reply_packets, 0);
    CHECK_INT(find(FT_CT_DESTROY, 20001, true)->orig_bytes, 40 + 8 + UDP_BYTES);
    const struct ft_ct_record *tcp = find(FT_CT_DESTROY, 20002, false);
    CHECK_INT(tcp->id, id);
    CHECK(tcp->orig_bytes > 100000 && tcp->orig_bytes < 130000);
    CHECK((tcp->has & (FT_CT_HAS_START | FT_CT_HAS_STOP)) == (FT_CT_HAS_START | FT_CT_HAS_STOP));
    CHECK(before <= tcp->start_ns && tcp->start_ns < tcp->stop_ns && tcp->stop_ns <= after);
    (void)close(sink4);
    (void)close(sink6);
}

TEST(groups_change_while_open)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    open_events(kernel, FT_CT_GROUP_DESTROY, 1 << 20, true);
    tcp_flow(false, 20000, 7777, 10);
    drain(kernel);
    CHECK_INT(n_records, 0);
    CHECK_OK(kernel->ops->events_set_groups(kernel, FT_CT_GROUP_NEW | FT_CT_GROUP_UPDATE |
                                                        FT_CT_GROUP_DESTROY));
    tcp_flow(false, 20001, 7778, 10);
    drain(kernel);
    CHECK_INT(count(FT_CT_NEW), 1);
    CHECK(count(FT_CT_UPDATE) >= 3);
    const struct ft_ct_record *update = find(FT_CT_UPDATE, 20001, false);
    CHECK((update->has & FT_CT_HAS_TCP_STATE) != 0 && update->tcp_state < FT_TCP_STATE_N);
    CHECK_OK(kernel->ops->events_set_groups(kernel, FT_CT_GROUP_DESTROY));
    n_records = 0;
    tcp_flow(false, 20002, 7779, 10);
    drain(kernel);
    CHECK_INT(n_records, 0);
    flush();
    drain(kernel);
    CHECK_INT(count(FT_CT_DESTROY), 3);
}

TEST(dump_tells_the_whole_table)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    dump(kernel);
    CHECK_INT(n_records, 0);
    int sink4 = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    int sink6 = bound_socket(true, SOCK_DGRAM, PORT_SINK);
    udp_flows(false, 20000, PORT_SINK, 500);
    udp_flows(true, 21000, PORT_SINK, 500);
    dump(kernel);
    CHECK_INT(n_records, 1000);
    CHECK_INT(count(FT_CT_NEW), 1000);
    for (unsigned i = 0; i < 500; i++) {
        check_tuple(find(FT_CT_NEW, (uint16_t)(20000 + i), false), FT_PROTO_UDP, PORT_SINK);
        check_tuple(find(FT_CT_NEW, (uint16_t)(21000 + i), true), FT_PROTO_UDP, PORT_SINK);
    }
    uint64_t n = 0;
    uint64_t max = 0;
    CHECK_OK(kernel->ops->table_fill(kernel, &n, &max));
    CHECK_INT(n, 1000);
    CHECK(max > 1000);
    (void)close(sink4);
    (void)close(sink6);
}

TEST(dump_given_up_and_begun_again)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    static uint8_t buf[FT_CT_DATAGRAM_SIZE_MAX];
    size_t size;
    bool consistent;
    CHECK_ERR(kernel->ops->dump_recv(kernel, 0, buf, sizeof buf, &size, &consistent), FT_E_CLOSED);
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    udp_flows(false, 20000, PORT_SINK, 1000);
    CHECK_OK(kernel->ops->dump_start(kernel));
    CHECK_OK(kernel->ops->dump_recv(kernel, 1000, buf, sizeof buf, &size, &consistent));
    kernel->ops->dump_abort(kernel);
    CHECK_ERR(kernel->ops->dump_recv(kernel, 0, buf, sizeof buf, &size, &consistent), FT_E_CLOSED);
    CHECK_OK(kernel->ops->dump_start(kernel));
    dump(kernel);
    CHECK_INT(n_records, 1000);
    (void)close(sink);
}

/* The Drops column of /proc/net/netlink, summed over conntrack's listeners in this namespace. */
static uint64_t drops_of_proc(void)
{
    FILE *file = fopen("/proc/thread-self/net/netlink", "r");
    CHECK(file != NULL);
    char line[256];
    uint64_t sum = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        int bus;
        uint64_t drops;
        if (sscanf(line, "%*s %d %*u %*x %*d %*d %*d %*d %" SCNu64, &bus, &drops) == 2 &&
            bus == NETLINK_NETFILTER) {
            sum += drops;
        }
    }
    (void)fclose(file);
    return sum;
}

TEST(overrun_is_told_and_counted)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    open_events(kernel, FT_CT_GROUP_NEW, 16384, false);
    uint64_t drops = 99;
    CHECK_OK(kernel->ops->events_drops(kernel, &drops));
    CHECK_INT(drops, 0);
    udp_flows(false, 20000, PORT_SINK, 300);
    drain(kernel);
    CHECK_INT(n_overruns, 1);
    CHECK(n_records > 0 && n_records < 300);
    CHECK_OK(kernel->ops->events_drops(kernel, &drops));
    CHECK_INT(drops, 300 - n_records);
    CHECK_INT(drops, drops_of_proc());
    /* The socket goes on hearing, and the count goes on over a new socket. */
    size_t n_before = n_records;
    udp_flows(false, 21000, PORT_SINK, 1);
    drain(kernel);
    CHECK_INT(n_records, n_before + 1);
    open_events(kernel, FT_CT_GROUP_NEW, 16384, false);
    uint64_t again = 0;
    CHECK_OK(kernel->ops->events_drops(kernel, &again));
    CHECK(again == drops);
    (void)close(sink);
}

/* Drains until 'n' ENDs are there or a while has passed. */
static void drain_ends(struct ft_ct_kernel *kernel, size_t n, int64_t wait_ns)
{
    int64_t deadline = ft_clock_mono_ns(ft_clock_system()) + wait_ns;
    while (n_records < n && ft_clock_mono_ns(ft_clock_system()) < deadline) {
        CHECK_OK(kernel->ops->events_wait(kernel, -1, deadline));
        drain(kernel);
    }
}

/* The process dies, somebody else has kept the socket: what came meanwhile is in it. */
TEST(a_socket_that_was_kept_goes_on)
{
    struct ft_ct_kernel *first = begin();
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    open_events(first, FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY, 16384, false);
    udp_flows(false, 20000, PORT_SINK, 3);
    drain(first);
    CHECK_INT(n_records, 3);
    int kept = dup(first->ops->events_fd(first));
    ft_ct_kernel_destroy(first);
    udp_flows(false, 21000, PORT_SINK, 100);
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *second = NULL;
    CHECK_OK(ft_ct_kernel_linux_create(&second));
    struct ft_ct_events_options options = {
        .groups = FT_CT_GROUP_DESTROY, .rcvbuf_bytes = 1 << 20, .reliable = true};
    uint64_t rcvbuf = 0;
    CHECK_OK(second->ops->events_adopt(second, kept, &options, 0, &rcvbuf));
    CHECK(rcvbuf >= 1 << 20);
    drain(second);
    CHECK(n_records > 3 && n_records < 103);
    uint64_t drops = 0;
    CHECK_OK(second->ops->events_drops(second, &drops));
    CHECK_INT(drops, 103 - n_records);
    /* It has the groups that were asked for now. */
    size_t n_before = n_records;
    udp_flows(false, 22000, PORT_SINK, 1);
    drain(second);
    CHECK_INT(n_records, n_before);
    (void)close(sink);
}

TEST(another_socket_is_not_taken_for_it)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    struct ft_ct_events_options options = {.groups = FT_CT_GROUP_DESTROY, .rcvbuf_bytes = 1 << 20};
    const int others[] = {socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
                          socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE),
                          socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)};
    uint64_t rcvbuf = 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK_ERR(kernel->ops->events_adopt(kernel, others[i], &options, 0, &rcvbuf),
                  FT_E_UNSUPPORTED);
        CHECK_INT(kernel->ops->events_fd(kernel), -1);
        CHECK_INT(fcntl(others[i], F_GETFD), -1); /* It was taken over and closed. */
    }
}

TEST(reliable_ends_come_after_an_overrun)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    open_events(kernel, FT_CT_GROUP_DESTROY, 16384, true);
    udp_flows(false, 20000, PORT_SINK, 100);
    flush();
    drain_ends(kernel, 100, 5 * FT_NS_PER_S);
    CHECK(n_overruns > 0);
    CHECK_INT(n_records, 100);

    /* Without the option they are lost: nothing more comes in three times the kernel's delay. */
    n_records = 0;
    CHECK_OK(kernel->ops->events_set_reliable(kernel, false));
    udp_flows(false, 21000, PORT_SINK, 100);
    flush();
    drain_ends(kernel, 100, 300 * FT_NS_PER_MS);
    CHECK(n_records < 100);
    (void)close(sink);
}

TEST(a_datagram_that_does_not_fit_is_an_overrun)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    open_events(kernel, FT_CT_GROUP_NEW, 1 << 20, false);
    udp_flows(false, 20000, PORT_SINK, 1);
    uint8_t small[64];
    size_t size = 0;
    CHECK_ERR(kernel->ops->events_recv(kernel, small, sizeof small, &size), FT_E_OVERRUN);
    CHECK_ERR(kernel->ops->events_recv(kernel, small, sizeof small, &size),
              ft_err_from_errno(EAGAIN));
    (void)close(sink);
}

TEST(other_processes_are_not_believed)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    open_events(kernel, FT_CT_GROUP_NEW, 1 << 20, false);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    CHECK(fd >= 0);
    /* The kernel gives a process's first socket of a bus its process id as address. */
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)getpid()};
    struct nlmsghdr forged = {.nlmsg_len = sizeof forged,
                              .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW};
    for (unsigned i = 0; i < 100; i++) {
        CHECK_INT(sendto(fd, &forged, sizeof forged, 0, (const struct sockaddr *)&to, sizeof to),
                  sizeof forged);
    }
    (void)close(fd);
    /* More than one call skips: it gives way in between. */
    drain(kernel);
    drain(kernel);
    CHECK_INT(n_records, 0);
    CHECK_INT(ft_ct_kernel_n_foreign(kernel), 100);
}

TEST(waiting_ends_by_event_wake_up_and_deadline)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    int wake_fd = -1;
    CHECK_OK(ft_wakefd_open(&wake_fd));
    /* Not open: the deadline and the wake-up still end it. */
    int64_t start = ft_clock_mono_ns(ft_clock_system());
    CHECK_OK(kernel->ops->events_wait(kernel, wake_fd, start + 5 * FT_NS_PER_MS));
    CHECK(ft_clock_mono_ns(ft_clock_system()) >= start + 5 * FT_NS_PER_MS);
    ft_wakefd_signal(wake_fd);
    CHECK_OK(kernel->ops->events_wait(kernel, wake_fd, FT_TIME_NEVER));
    ft_wakefd_clear(wake_fd);
    int sink = bound_socket(false, SOCK_DGRAM, PORT_SINK);
    open_events(kernel, FT_CT_GROUP_NEW, 1 << 20, false);
    udp_flows(false, 20000, PORT_SINK, 1);
    CHECK_OK(kernel->ops->events_wait(kernel, wake_fd, FT_TIME_NEVER));
    drain(kernel);
    CHECK_INT(n_records, 1);
    kernel->ops->events_close(kernel);
    uint8_t buf[64];
    size_t size;
    CHECK_ERR(kernel->ops->events_recv(kernel, buf, sizeof buf, &size), ft_err_from_errno(EBADF));
    ft_fd_close(&wake_fd);
    (void)close(sink);
}

TEST(switches_are_those_of_the_namespace)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    int value = -1;
    CHECK_OK(kernel->ops->switch_get(kernel, FT_CT_SWITCH_ACCT, &value));
    CHECK_INT(value, 0);
    CHECK_OK(kernel->ops->switch_set(kernel, FT_CT_SWITCH_ACCT, 1));
    CHECK_OK(kernel->ops->switch_get(kernel, FT_CT_SWITCH_ACCT, &value));
    CHECK_INT(value, 1);
    CHECK_ERR(kernel->ops->switch_set(kernel, FT_CT_SWITCH_ACCT, 77), ft_err_from_errno(EINVAL));
}

/* As in a container, or with systemd's ProtectKernelTunables=. */
TEST(read_only_proc_is_told)
{
    FT_CLEANUP(ft_ct_kernel_destroy) struct ft_ct_kernel *kernel = begin();
    CHECK_OK(ft_host_sysctl_writable());
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
        mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) != 0) {
        ft_test_skip("mounts are not allowed here");
    }
    CHECK_INT(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    ft_err writable = ft_host_sysctl_writable();
    struct ft_switches switches;
    ft_switches_init(&switches, 0, NULL, NULL);
    ft_switches_apply(&switches, kernel, FT_SWITCH_BIT(FT_CT_SWITCH_ACCT));
    CHECK_INT(umount2("/proc/sys", MNT_DETACH), 0);
    CHECK_ERR(writable, ft_err_from_errno(EROFS));
    CHECK_INT(switches.switches[FT_CT_SWITCH_ACCT].state, FT_SWITCH_READ_ONLY);
    CHECK_ERR(switches.switches[FT_CT_SWITCH_ACCT].err, ft_err_from_errno(EROFS));
    /* Writable again: on, and off at the end. */
    int value = -1;
    ft_switches_apply(&switches, kernel, FT_SWITCH_BIT(FT_CT_SWITCH_ACCT));
    CHECK_OK(kernel->ops->switch_get(kernel, FT_CT_SWITCH_ACCT, &value));
    CHECK_INT(value, 1);
    CHECK_INT(ft_switches_restore(&switches, kernel), 0);
    CHECK_OK(kernel->ops->switch_get(kernel, FT_CT_SWITCH_ACCT, &value));
    CHECK_INT(value, 0);
}

TEST(without_the_capability_it_is_refused)
{
    netns_enter();
    struct ft_ct_kernel *kernel = NULL;
    CHECK_INT(seteuid(65534), 0);
    ft_err err = ft_ct_kernel_linux_create(&kernel);
    CHECK_INT(seteuid(0), 0);
    CHECK_ERR(err, ft_err_from_errno(EPERM));
}
