/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail version: of the command line, and of who answers. */
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/where.h"

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

static int run(const void *loaded, const struct ft_options_args *args);
static int ask_collector(const struct ft_cli_where *where, struct ft_buf *out);

const struct ft_command ft_command_version = {
    .name = "version",
    .summary = "Show the version; with --server also the collector's.",
    .examples = "  flowtrail version\n"
                "  flowtrail version --server collector:8319\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_buf_addf(&out, "flowtrail %s\n", FT_VERSION);
    int code = FT_EXIT_OK;
    if (ft_cli_is_collector(&options->where)) {
        code = ask_collector(&options->where, &out);
    }
    code = ft_cli_finish(&out, code);
    ft_buf_deinit(&out);
    return code;
}

static int ask_collector(const struct ft_cli_where *where, struct ft_buf *out)
{
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    ft_err err = ft_cli_get_json(client, "/version", &doc, &diag);
    if (err != FT_OK) {
        ft_cli_tell_failure(where, err, &diag);
        return FT_EXIT_FAILED;
    }
    const struct ft_json_value *root = ft_json_doc_get_root(doc);
    ft_cli_add_clean(out, ft_cli_text_of(root, "program"));
    ft_buf_add_char(out, ' ');
    ft_cli_add_clean(out, ft_cli_text_of(root, "version"));
    ft_buf_add_char(out, '\n');
    return FT_EXIT_OK;
}
