/* SPDX-License-Identifier: Apache-2.0 */
#include "os/nl_dump.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "os/netlink.h"

/* netlink_dump gives datagrams of at most 32 KiB. */
#define BUF_SIZE 32768

struct walk {
    ft_nl_message_fn *fn;
    void *ctx;
    uint32_t seq;
    bool done;
    bool consistent;
};

static ft_err on_message(struct walk *walk, const struct nlmsghdr *header)
{
    if (header->nlmsg_seq != walk->seq) {
        return FT_OK;
    }
    if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
        walk->consistent = false;
    }
    if (header->nlmsg_type >= NLMSG_MIN_TYPE) {
        return walk->fn(header, walk->ctx);
    }
    if (header->nlmsg_type != NLMSG_DONE && header->nlmsg_type != NLMSG_ERROR) {
        return FT_OK;
    }
    walk->done = true;
    int32_t number = 0;
    if (mnl_nlmsg_get_payload_len(header) >= sizeof number) {
        memcpy(&number, mnl_nlmsg_get_payload(header), sizeof number);
    }
    return number < 0 ? ft_err_from_errno(-number) : FT_OK;
}

/* mnl_cb_run ends at NLM_F_DUMP_INTR and in words of its own, so the messages are walked here. */
static ft_err on_datagram(struct walk *walk, const void *buf, size_t size)
{
    const struct nlmsghdr *header = buf;
    int left = (int)size;
    while (!walk->done && mnl_nlmsg_ok(header, left)) {
        FT_TRY(on_message(walk, header));
        header = mnl_nlmsg_next(header, &left);
    }
    return FT_OK;
}

static ft_err run(int fd, struct walk *walk, void *buf)
{
    int64_t deadline = ft_clock_mono_ns(ft_clock_system()) + FT_NL_DUMP_WAIT_S * FT_NS_PER_S;
    uint64_t n_foreign = 0;
    while (!walk->done) {
        size_t size = 0;
        ft_err err = ft_nl_recv(fd, buf, BUF_SIZE, &size, &n_foreign);
        if (err == FT_OK) {
            FT_TRY(on_datagram(walk, buf, size));
        } else if (err != ft_err_from_errno(EAGAIN)) {
            return err;
        } else if (ft_clock_mono_ns(ft_clock_system()) >= deadline) {
            return ft_err_from_errno(ETIMEDOUT);
        } else {
            FT_TRY(ft_nl_wait(fd, -1, deadline));
        }
    }
    return FT_OK;
}

ft_err ft_nl_dump(int bus, struct nlmsghdr *request, ft_nl_message_fn *fn, void *ctx,
                  bool *ret_consistent)
{
    /* A new socket each time: what a broken-off answer left behind dies with its socket. */
    struct walk walk = {.fn = fn, .ctx = ctx, .seq = 1, .consistent = true};
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = walk.seq;
    int fd;
    FT_TRY(ft_nl_open(bus, &fd));
    void *buf = malloc(BUF_SIZE);
    ft_err err =
        buf != NULL ? ft_nl_send(fd, request, request->nlmsg_len) : ft_err_from_errno(ENOMEM);
    if (err == FT_OK) {
        err = run(fd, &walk, buf);
    }
    free(buf);
    ft_fd_close(&fd);
    if (err == FT_OK) {
        *ret_consistent = walk.consistent;
    }
    return err;
}
