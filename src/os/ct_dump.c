/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ct_dump.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "os/ct_record.h"
#include "os/netlink.h"

static ft_err send_request(struct ft_ct_dump *dump)
{
    char buf[256] __attribute__((aligned(8)));
    struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
    header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = ++dump->seq;
    struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof *family);
    family->nfgen_family = AF_UNSPEC;
    family->version = NFNETLINK_V0;
    return ft_nl_send(dump->fd, header, header->nlmsg_len);
}

/*
 * Looks for the end of the dump in one datagram.  The records are walked a second time by whoever
 * reads them: headers only here, so it costs a few ns per entry.
 */
static void look_for_end(struct ft_ct_dump *dump, const void *buf, size_t size)
{
    const uint8_t *at = buf;
    size_t left = size;
    while (left >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;
        memcpy(&header, at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) {
            return; /* The parser reports it. */
        }
        if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
            dump->consistent = false;
        }
        if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
            struct ft_ct_reader reader = {.at = at, .left = header.nlmsg_len, .interrupted = true};
            struct ft_ct_record unused;
            int error = 0;
            enum ft_ct_step step = ft_ct_next(&reader, &unused, &error);
            if (step == FT_CT_DONE || step == FT_CT_ERROR) {
                dump->done = true;
                dump->err = ft_err_from_errno(error);
                return;
            }
        }
        size_t step = ((size_t)header.nlmsg_len + 3) & ~(size_t)3;
        step = step < left ? step : left;
        at += step;
        left -= step;
    }
}

void ft_ct_dump_init(struct ft_ct_dump *dump) { *dump = (struct ft_ct_dump){.fd = -1}; }

ft_err ft_ct_dump_start(struct ft_ct_dump *dump)
{
    /* A socket of its own for each dump: what an aborted one left behind dies with its socket. */
    ft_ct_dump_abort(dump);
    FT_TRY(ft_nl_open(NETLINK_NETFILTER, &dump->fd));
    dump->done = false;
    dump->consistent = true;
    dump->err = FT_OK;
    ft_err err = send_request(dump);
    if (err != FT_OK) {
        ft_ct_dump_abort(dump);
    }
    return err;
}

ft_err ft_ct_dump_recv(struct ft_ct_dump *dump, unsigned wait_ms, void *buf, size_t size,
                       size_t *ret_size, bool *ret_consistent)
{
    if (dump->fd < 0) {
        return FT_E_CLOSED;
    }
    if (dump->done) {
        ft_err err = dump->err != FT_OK ? dump->err : FT_E_END;
        *ret_consistent = dump->consistent;
        ft_ct_dump_abort(dump);
        return err;
    }
    ft_err err = ft_nl_recv(dump->fd, buf, size, ret_size, &dump->n_foreign);
    if (err == ft_err_from_errno(EAGAIN) && wait_ms > 0) {
        int64_t deadline = ft_clock_mono_ns(ft_clock_system()) + wait_ms * FT_NS_PER_MS;
        FT_TRY(ft_nl_wait(dump->fd, -1, deadline));
        err = ft_nl_recv(dump->fd, buf, size, ret_size, &dump->n_foreign);
    }
    if (err == FT_OK) {
        look_for_end(dump, buf, *ret_size);
    } else if (err != ft_err_from_errno(EAGAIN)) {
        ft_ct_dump_abort(dump);
    }
    return err;
}

void ft_ct_dump_abort(struct ft_ct_dump *dump) { ft_fd_close(&dump->fd); }
