/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail completion: the script for a shell. */
#include "cli/completion.h"

#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"

struct options {
    bool unused;
};

static const struct ft_option_table table = {.struct_size = sizeof(struct options)};
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

static int run(const void *loaded, const struct ft_options_args *args);

const struct ft_command ft_command_completion = {
    .name = "completion",
    .operands = "SHELL",
    .operand_words = shells,
    .summary = "Write the completion script for bash, zsh or fish.",
    .examples = "  source <(flowtrail completion bash)\n"
                "  flowtrail completion zsh > /usr/local/share/zsh/site-functions/_flowtrail\n"
                "  flowtrail completion fish > ~/.config/fish/completions/flowtrail.fish\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    static void (*const writers[])(struct ft_buf *) = {ft_completion_bash, ft_completion_zsh,
                                                       ft_completion_fish};
    (void)loaded;
    for (size_t i = 0; args->n_operands == 1 && shells[i] != NULL; i++) {
        if (strcmp(args->operands[0], shells[i]) == 0) {
            struct ft_buf out;
            ft_buf_init(&out, 0);
            writers[i](&out);
            int code = ft_cli_finish(&out, FT_EXIT_OK);
            ft_buf_deinit(&out);
            return code;
        }
    }
    ft_cli_error("give one shell: flowtrail completion bash, zsh or fish");
    return FT_EXIT_USAGE;
}
