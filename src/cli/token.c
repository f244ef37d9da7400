/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail token: makes bearer tokens. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/token_set.h"
#include "base/fd.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/terminal.h"

struct options {
    char *out;
    char *agent;
    int role; /* enum ft_role */
};

static const char *const role_names[] = {"agent", "query", "admin", NULL};

static const struct ft_option table_options[] = {
    FT_OPT_STRING(struct options, out, "out", NULL,
                  "Write the token to FILE (mode 0600), which must not exist, instead of showing "
                  "it on standard error.",
                  .value_name = "FILE"),
    FT_OPT_STRING(struct options, agent, "agent_id", NULL,
                  "UUID of the only agent that may use it.", .value_name = "UUID"),
    FT_OPT_ENUM(struct options, role, "role", "agent", role_names,
                "What it allows: agents send flows, query reads them."),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static bool make_line(const struct options *options, const char *name, const char *token,
                      struct ft_buf *line);
static bool write_secret(const char *path, const char *token);

const struct ft_command ft_command_token = {
    .name = "token",
    .operands = "NAME",
    .summary = "Make a token for an agent, and the line for the collector's token file.",
    .text = "The token goes to the agent (collector.token_file). The line, which holds only a hash "
            "of it, is written to standard output and belongs into the collector's "
            "ingest.tokens_file.",
    .examples = "  flowtrail token web-1 --out /etc/flowtrail/token >> tokens\n"
                "  flowtrail token web-tier\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    const struct options *options = loaded;
    if (args->n_operands != 1) {
        ft_cli_error("give one name: flowtrail token NAME");
        return FT_EXIT_USAGE;
    }
    char token[FT_TOKEN_NEW_SIZE];
    struct ft_buf line;
    ft_buf_init(&line, 0);
    ft_token_generate(ft_random_system(), token);
    int code = FT_EXIT_USAGE;
    if (make_line(options, args->operands[0], token, &line)) {
        bool told = true;
        if (options->out[0] != '\0') {
            told = write_secret(options->out, token);
        } else {
            (void)fprintf(stderr, "token: %s\n", token);
        }
        code = told ? ft_cli_finish(&line, FT_EXIT_OK) : FT_EXIT_FAILED;
    }
    explicit_bzero(token, sizeof token);
    ft_buf_deinit(&line);
    return code;
}

/* Read by the collector's own parser before anything is written: what it refuses is not made. */
static bool make_line(const struct options *options, const char *name, const char *token,
                      struct ft_buf *line)
{
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    char digest[FT_TOKEN_DIGEST_SIZE];
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_token_set_destroy) struct ft_token_set *set = NULL;
    ft_err err = ft_token_hash(token, strlen(token), hash);
    if (err == FT_OK) {
        ft_token_hash_format(hash, digest);
        ft_buf_addf(line, "%s: %s", name, digest);
        if (options->agent[0] != '\0') {
            ft_buf_addf(line, " agent=%s", options->agent);
        }
        if (options->role != FT_ROLE_AGENT) {
            ft_buf_addf(line, " role=%s", role_names[options->role]);
        }
        ft_buf_add_char(line, '\n');
        err = line->err;
    }
    if (err == FT_OK) {
        err = ft_token_set_parse(ft_buf_str(line), line->size, "", &set, &diag);
    }
    if (err == FT_OK && ft_token_set_size(set) != 1) {
        err = ft_diag_set(&diag, FT_E_SYNTAX, NULL, 0, 0, "\"%s\" is no name", name);
    }
    if (err != FT_OK) {
        ft_cli_error("%s", diag.text[0] != '\0' ? diag.text : ft_err_text(err));
    }
    return err == FT_OK;
}

static bool write_secret(const char *path, const char *token)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        ft_cli_error("%s: %s", path, ft_err_text(ft_err_last()));
        return false;
    }
    bool ok = dprintf(fd, "%s\n", token) > 0 && fsync(fd) == 0;
    if (!ok) {
        ft_cli_error("%s: %s", path, ft_err_text(ft_err_last()));
        (void)unlink(path);
    }
    ft_fd_close(&fd);
    return ok;
}
