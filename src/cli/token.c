/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail token: makes bearer tokens for agents. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "auth/token.h"
#include "base/fd.h"
#include "base/random.h"
#include "cli/command.h"

struct options {
    char *out;
    char *agent;
};

static const struct ft_option table_options[] = {
    FT_OPT_STRING(struct options, out, "out", NULL,
                  "Write the token to FILE (mode 0600) instead of showing it.",
                  .value_name = "FILE"),
    FT_OPT_STRING(struct options, agent, "agent_id", NULL,
                  "UUID of the only agent that may use it.", .value_name = "UUID"),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static bool write_secret(const char *path, const char *token);

const struct ft_command ft_command_token = {
    .name = "token",
    .operands = "NAME",
    .summary = "Make a token for an agent, and the line for the collector's token file.",
    .text = "The token goes to the agent (collector.token_file); the line, which holds only a hash "
            "of it,\ngoes into the collector's ingest.tokens_file.",
    .examples = "  flowtrail token web-1 --out /etc/flowtrail/token >> tokens\n",
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
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    char digest[FT_TOKEN_DIGEST_SIZE];
    ft_token_generate(ft_random_system(), token);
    ft_err err = ft_token_hash(token, strlen(token), hash);
    if (err != FT_OK) {
        ft_cli_error("%s", ft_err_text(err));
        return FT_EXIT_FAILED;
    }
    ft_token_hash_format(hash, digest);
    bool ok = true;
    if (options->out[0] != '\0') {
        ok = write_secret(options->out, token);
    } else {
        (void)fprintf(stderr, "token: %s\n", token);
    }
    if (ok) {
        (void)printf("%s: %s%s%s\n", args->operands[0], digest,
                     options->agent[0] != '\0' ? " agent=" : "", options->agent);
    }
    explicit_bzero(token, sizeof token);
    return ok ? FT_EXIT_OK : FT_EXIT_FAILED;
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
    }
    ft_fd_close(&fd);
    return ok;
}
