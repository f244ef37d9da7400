/* SPDX-License-Identifier: Apache-2.0 */
/* flowtraild: the agent. */
#include "agent/agent.h"
#include "agent/hold.h"
#include "base/log.h"
#include "bin/daemon.h"

static ft_err load(void *ctx, struct ft_agent_options *options, struct ft_diag *reterr_diag)
{
    return ft_daemon_load(ctx, options, reterr_diag);
}

int main(int argc, char **argv)
{
    static struct ft_daemon daemon = {
        .name = "flowtraild",
        .summary = "Listens to the kernel's connection tracking, retains each flow event until a "
                   "collector has\nconfirmed that it is stored, and streams them there.",
        .config_file = FT_AGENT_CONFIG_FILE,
        .dropin_dir = FT_AGENT_CONFIG_DIR,
        .table = &ft_agent_option_table};
    static struct ft_agent_options options;
    int code;
    if (ft_hold_is_keeper(argc, argv)) {
        return ft_hold_keeper_main();
    }
    if (!ft_daemon_begin(&daemon, argc, argv, &options, &code)) {
        return code;
    }
    ft_log_setup(2, (enum ft_log_form)options.logging.form,
                 (enum ft_log_level)options.logging.level);
    ft_err err = ft_agent_run(&options, load, &daemon);
    ft_options_deinit(&ft_agent_option_table, &options);
    return err == FT_OK ? 0 : 1;
}
