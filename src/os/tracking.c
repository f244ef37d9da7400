/* SPDX-License-Identifier: Apache-2.0 */
#include "os/tracking.h"

#include <assert.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "base/fd.h"
#include "os/nft_query.h"
#include "os/sysctl.h"

#define TABLE   "flowtrail"
#define COMMENT "flowtrail: turns connection tracking on; removed when it stops"

/* One transaction: what a crash left behind goes and the new comes, without a gap between. */
#define COMMANDS_REPAIR                                                                            \
    "add table inet " TABLE "\n"                                                                   \
    "delete table inet " TABLE "\n"                                                                \
    "table inet " TABLE " {\n"                                                                     \
    "    comment \"" COMMENT "\"\n"                                                                \
    "    chain track {\n"                                                                          \
    "        ct state new\n"                                                                       \
    "    }\n"                                                                                      \
    "}\n"

#define COMMANDS_UNREPAIR "delete table inet " TABLE "\n"

static bool has_legacy_tables(void);
static ft_err run(const char *commands);

void ft_tracking_probe(struct ft_tracking_report *ret_report)
{
    struct ft_tracking_report report = {0};
    struct ft_nft_needs rules = {0};
    struct ft_nft_needs hooks = {0};
    ft_err err = ft_nft_query_rules(&rules);
    /* Unknown to the kernel means that there are none (-EINVAL: no such netlink subsystem). */
    report.rules_known = (err == FT_OK && rules.known) || err == ft_err_from_errno(EINVAL);
    report.rule = rules.ipv4 || rules.ipv6;
    report.hooks_known = ft_nft_query_hooks(&hooks) == FT_OK && hooks.known;
    report.ipv4 = report.hooks_known ? hooks.ipv4 : rules.ipv4;
    report.ipv6 = report.hooks_known ? hooks.ipv6 : rules.ipv6;
    report.entries_known =
        ft_sysctl_get("net/netfilter/nf_conntrack_count", &report.n_entries) == FT_OK;
    report.legacy = has_legacy_tables();
    bool there = false;
    bool ours = false;
    report.repaired = ft_nft_query_table(TABLE, COMMENT, &there, &ours) == FT_OK && ours;
    report.state = ft_tracking_judge(&report);
    *ret_report = report;
}

enum ft_tracking_state ft_tracking_judge(const struct ft_tracking_report *report)
{
    if (report->ipv4 || report->ipv6) {
        return FT_TRACKING_ON;
    }
    if (report->hooks_known) {
        return FT_TRACKING_NONE;
    }
    if (report->n_entries > 0) {
        return FT_TRACKING_ON;
    }
    return report->rules_known && !report->legacy ? FT_TRACKING_NONE : FT_TRACKING_UNKNOWN;
}

/* Whether our table is there; -EEXIST when somebody else's has its name. */
static ft_err find_own(bool *ret_there)
{
    bool there = false;
    bool ours = false;
    FT_TRY(ft_nft_query_table(TABLE, COMMENT, &there, &ours));
    if (there && !ours) {
        return ft_err_from_errno(EEXIST);
    }
    *ret_there = there;
    return FT_OK;
}

ft_err ft_tracking_repair(void)
{
    bool there = false;
    FT_TRY(find_own(&there));
    return run(COMMANDS_REPAIR);
}

ft_err ft_tracking_unrepair(void)
{
    bool there = false;
    FT_TRY(find_own(&there));
    return there ? run(COMMANDS_UNREPAIR) : FT_OK;
}

const char *ft_tracking_state_name(enum ft_tracking_state state)
{
    static const char *const names[FT_TRACKING_STATE_N] = {
        [FT_TRACKING_UNKNOWN] = "unknown", [FT_TRACKING_NONE] = "none", [FT_TRACKING_ON] = "on"};
    assert(state < FT_TRACKING_STATE_N);
    return names[state];
}

static bool has_legacy_tables(void)
{
    static const char *const paths[] = {"/proc/thread-self/net/ip_tables_names",
                                        "/proc/thread-self/net/ip6_tables_names"};
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        ft_err err = ft_read_text_file(paths[i], text, sizeof text);
        /* No such file: no legacy iptables.  One that cannot be read may name some. */
        if (err != ft_err_from_errno(ENOENT) && (err != FT_OK || text[0] != '\0')) {
            return true;
        }
    }
    return false;
}

/* libnftables tells errors only as text for people; those that matter are found in it. */
static ft_err err_of_text(const char *text)
{
    static const int numbers[] = {EPERM, EACCES, ENOMEM, EBUSY, EEXIST, ENOENT, ENOBUFS};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strstr(text, strerrordesc_np(numbers[i])) != NULL) {
            return ft_err_from_errno(numbers[i]);
        }
    }
    return FT_E_UNSUPPORTED;
}

static ft_err run(const char *commands)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = FT_OK;
    if (nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0) {
        err = ft_err_from_errno(ENOMEM);
    } else if (nft_run_cmd_from_buffer(nft, commands) != 0) {
        err = err_of_text(nft_ctx_get_error_buffer(nft));
    }
    nft_ctx_free(nft);
    return err;
}
