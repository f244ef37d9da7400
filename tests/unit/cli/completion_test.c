/* SPDX-License-Identifier: Apache-2.0 */
/* The completion scripts: accepted by their shells, and, for bash, at work. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/completion.h"
#include "fixture.h"

/* Writes the script to a file and runs "COMMAND FILE". */
static int check_with(const char *shell, const char *flags, void (*write)(struct ft_buf *),
                      const char *more)
{
    char path[128];
    char command[512];
    struct ft_buf out;
    (void)snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", shell);
    if (system(command) != 0) {
        (void)snprintf(command, sizeof command, "%s is not installed", shell);
        ft_test_skip(command);
    }
    (void)snprintf(path, sizeof path, "%s/script", ft_test_tmpdir());
    ft_buf_init(&out, 0);
    write(&out);
    CHECK_OK(out.err);
    ft_buf_add_str(&out, more);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fwrite(out.data, 1, out.size, file) == out.size && fclose(file) == 0);
    ft_buf_deinit(&out);
    (void)snprintf(command, sizeof command, "%s %s %s", shell, flags, path);
    return system(command);
}

TEST(bash_reads_its_script) { CHECK_INT(check_with("bash", "-n", ft_completion_bash, ""), 0); }

TEST(bash_completes)
{
    static const char cases[] =
        "complete_to() {\n"
        "  local want=$1; shift\n"
        "  COMP_WORDS=(flowtrail \"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "  _flowtrail\n"
        "  [[ \"${COMPREPLY[*]}\" == \"$want\" ]] || { echo \"$*: ${COMPREPLY[*]}\"; exit 1; }\n"
        "}\n"
        "complete_to 'observe' ob\n"
        "complete_to '--from-ip --from-port' observe --from-\n"
        "complete_to 'compact table dict json jsonpb' observe -o ''\n"
        "complete_to 'json jsonpb' observe --output = j\n"
        "complete_to 'bash' completion b\n"
        "complete_to 'status' help st\n"
        "complete_to '' observe --ip ''\n"
        "complete_to \"${BASH_SOURCE[0]}\" observe --input-file \"${BASH_SOURCE[0]}\"\n";
    CHECK_INT(check_with("bash", "--norc --noprofile", ft_completion_bash, cases), 0);
}

TEST(zsh_reads_its_script) { CHECK_INT(check_with("zsh", "-n", ft_completion_zsh, ""), 0); }

TEST(fish_reads_its_script) { CHECK_INT(check_with("fish", "-n", ft_completion_fish, ""), 0); }

TEST(scripts)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < 3; i++) {
        struct process process;
        char name[64];
        (void)snprintf(name, sizeof name, "cli/completion.%s", shells[i]);
        CHECK_INT(RUN(&process, "completion", shells[i]), 0);
        CHECK_GOLDEN(name, process.out_text.data, process.out_text.size);
        process_clear(&process);
    }
    struct process process;
    CHECK_INT(RUN(&process, "completion", "tcsh"), 64);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    CHECK_INT(RUN(&process, "completion"), 64);
    process_clear(&process);
}
