/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail version: of the command line, and of who answers. */
#include "cli/command.h"
#include "json/reader.h"

struct options {
    struct ft_cli_where where;
};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    (void)printf("flowtrail %s\n", FT_VERSION);
    if (!ft_cli_is_collector(&options->where)) {
        return FT_EXIT_OK;
    }
    FT_CLEANUP(ft_http_client_destroy)
    struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    struct ft_buf body;
    ft_buf_init(&body, 0);
    struct ft_diag diag = {0};
    ft_err err = ft_http_get_all(client, "/version", 5000, &body, &diag);
    if (err == FT_OK) {
        (void)printf("%s\n", ft_buf_str(&body));
    } else {
        ft_cli_diag(&diag);
    }
    ft_buf_deinit(&body);
    return err == FT_OK ? FT_EXIT_OK : FT_EXIT_FAILED;
}

const struct ft_command ft_command_version = {
    .name = "version",
    .summary = "Show the version; with --server also the collector's.",
    .table = &table,
    .run = run,
};
