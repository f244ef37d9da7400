/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail-collector: takes what agents send, keeps it, and answers questions about it. */
#include "base/log.h"
#include "bin/daemon.h"
#include "collector/collector.h"

static ft_err load(void *ctx, struct ft_collector_options *options, struct ft_diag *reterr_diag)
{
    return ft_daemon_load(ctx, options, reterr_diag);
}

int main(int argc, char **argv)
{
    static struct ft_daemon daemon = {
        .name = "flowtrail-collector",
        .summary = "Takes the flow events of many agents, stores each exactly once, confirms it "
                   "only then,\nand answers questions about them.",
        .config_file = FT_COLLECTOR_CONFIG_FILE,
        .dropin_dir = FT_COLLECTOR_CONFIG_DIR,
        .table = &ft_collector_option_table};
    static struct ft_collector_options options;
    int code;
    if (!ft_daemon_begin(&daemon, argc, argv, &options, &code)) {
        return code;
    }
    ft_log_setup(2, (enum ft_log_form)options.logging.form,
                 (enum ft_log_level)options.logging.level);
    ft_err err = ft_collector_run(&options, load, &daemon);
    ft_options_deinit(&ft_collector_option_table, &options);
    return err == FT_OK ? 0 : 1;
}
