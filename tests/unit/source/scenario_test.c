/* SPDX-License-Identifier: Apache-2.0 */
/* A day in the life of a host, as a transcript: a line an event, times in ms from its begin. */
#include "lib/ct_build.h"
#include "lib/test.h"
#include "rig.h"

static void say(struct rig *rig, const char *what)
{
    ft_buf_addf(&rig->ledger.transcript, "# %s\n", what);
}

static size_t begin(struct rig *rig, uint32_t id, uint8_t protocol, const char *src,
                    const char *dst)
{
    struct ft_ct_record record;
    struct ft_addr addr;
    bool ipv6;
    CHECK_OK(ft_addr_parse(src, &addr, &ipv6));
    ft_ct_build_sample(id, protocol, ipv6, &record);
    record.orig.src = addr;
    CHECK_OK(ft_addr_parse(dst, &record.orig.dst, &ipv6));
    ft_ct_build_mirror(&record);
    return ft_fake_kernel_begin(&rig->kernel, &record);
}

TEST(transcript_of_a_day)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.rcvbuf_bytes_max = 20 * FT_FAKE_EVENT_BYTES;
    rig.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    say(&rig, "two flows are there when the agent starts");
    size_t ssh = begin(&rig, 1, FT_PROTO_TCP, "198.51.100.7", "10.0.0.1");
    size_t db = begin(&rig, 2, FT_PROTO_TCP, "10.0.0.1", "203.0.113.5");
    ft_fake_kernel_count(&rig.kernel, ssh, 10, 1000, 8, 4000);
    ft_fake_kernel_advance(&rig.kernel, 500 * FT_NS_PER_MS);
    rig_start(&rig);
    rig_run(&rig, 500 * FT_NS_PER_MS);
    say(&rig, "a question over IPv6 and its answer");
    size_t dns = begin(&rig, 3, FT_PROTO_UDP, "2001:db8::5", "2001:db8::53");
    ft_fake_kernel_count(&rig.kernel, dns, 1, 70, 1, 130);
    rig_run(&rig, 100 * FT_NS_PER_MS);
    ft_fake_kernel_end(&rig.kernel, dns);
    rig_run(&rig, 900 * FT_NS_PER_MS);
    say(&rig, "a container's flow, masqueraded");
    struct ft_ct_record nat;
    ft_ct_build_sample(4, FT_PROTO_TCP, false, &nat);
    nat.orig.src = (struct ft_addr){{172, 17, 0, 2}};
    ft_ct_build_mirror(&nat);
    nat.reply.dst = (struct ft_addr){{10, 0, 0, 1}};
    nat.reply.dst_port = 40000;
    nat.has |= FT_CT_HAS_MARK;
    nat.mark = 77;
    size_t container = ft_fake_kernel_begin(&rig.kernel, &nat);
    rig.kernel.flows[container].record.has &= ~FT_CT_HAS_MARK; /* As some kernels' ENDs. */
    rig_run(&rig, 1000 * FT_NS_PER_MS);
    say(&rig, "a minute later: counters of what lasts");
    ft_fake_kernel_count(&rig.kernel, ssh, 5, 500, 5, 700);
    ft_fake_kernel_count(&rig.kernel, container, 3, 30, 3, 33);
    rig_run(&rig, 60 * FT_NS_PER_S);
    say(&rig, "a stall: more begins than the socket holds, and one flow ends");
    rig.reader_stalls = true;
    for (uint32_t n = 10; n < 34; n++) {
        begin(&rig, n, FT_PROTO_UDP, "10.0.0.1", "192.0.2.1");
    }
    ft_fake_kernel_end(&rig.kernel, container);
    rig_run(&rig, 50 * FT_NS_PER_MS);
    rig.reader_stalls = false;
    rig_run(&rig, 2 * FT_NS_PER_S);
    say(&rig, "the socket fails; a flow ends unheard meanwhile");
    rig.kernel.n_open_errors = 2;
    rig.kernel.recv_error = ft_err_from_errno(EBADF);
    rig_run(&rig, FT_NS_PER_MS);
    ft_fake_kernel_end(&rig.kernel, db);
    rig_run(&rig, 5 * FT_NS_PER_S);
    say(&rig, "the session ends");
    ft_fake_kernel_end(&rig.kernel, ssh);
    rig_run(&rig, FT_NS_PER_S);
    CHECK_GOLDEN("source/day.out", ft_buf_str(&rig.ledger.transcript), rig.ledger.transcript.size);
    rig_deinit(&rig);
}
