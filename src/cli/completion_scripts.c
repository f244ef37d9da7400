/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripts.  Each completes commands, flags, the values of flags that have names, and files; the
 * bash script needs nothing of the package bash-completion.
 */
#include <string.h>

#include "cli/command.h"
#include "cli/completion.h"

#define FLAG_SIZE 160

/* What follows a flag. */
enum value { VALUE_NONE, VALUE_WORDS, VALUE_FILE, VALUE_OTHER };

static const char *const common_flags[] = {"--help", "--help-all"};
#define N_COMMON (sizeof common_flags / sizeof common_flags[0])

static enum value value_of(const struct ft_option *option)
{
    const char *name = option->value_name != NULL ? option->value_name : "";
    switch (option->kind) {
    case FT_OPTION_BOOL:
        return VALUE_NONE;
    case FT_OPTION_ENUM:
        return VALUE_WORDS;
    case FT_OPTION_PATH:
    case FT_OPTION_SECRET_FILE:
        return VALUE_FILE;
    default:
        return strcmp(name, "FILE") == 0 ? VALUE_FILE : VALUE_OTHER;
    }
}

static void add_words(const char *const *words, const char *between, struct ft_buf *out)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        ft_buf_addf(out, "%s%s", i > 0 ? between : "", words[i]);
    }
}

static void add_commands(const char *between, struct ft_buf *out)
{
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        ft_buf_addf(out, "%s%s", i > 0 ? between : "", ft_commands[i]->name);
    }
}

/* ---- bash ---- */

static void bash_flags(const struct ft_command *command, struct ft_buf *out)
{
    for (size_t i = 0; i < N_COMMON; i++) {
        ft_buf_addf(out, "%s%s", i > 0 ? " " : "", common_flags[i]);
    }
    for (size_t i = 0; i < command->table->n_options; i++) {
        char flag[FLAG_SIZE];
        ft_option_flag_name(&command->table->options[i], flag, sizeof flag);
        ft_buf_addf(out, " %s", flag);
    }
}

/* "COMMAND,--flag|COMMAND,-f) words=… ;;" */
static void bash_value(const struct ft_command *command, const struct ft_option *option,
                       struct ft_buf *out)
{
    char flag[FLAG_SIZE];
    enum value value = value_of(option);
    if (value == VALUE_NONE) {
        return;
    }
    ft_option_flag_name(option, flag, sizeof flag);
    ft_buf_addf(out, "    %s,%s", command->name, flag);
    if (option->letter != '\0') {
        ft_buf_addf(out, "|%s,-%c", command->name, option->letter);
    }
    ft_buf_add_str(out, ") ");
    if (value == VALUE_WORDS) {
        ft_buf_add_str(out, "words='");
        add_words(option->names, " ", out);
        ft_buf_add_char(out, '\'');
    } else {
        ft_buf_add_str(out, value == VALUE_FILE ? "files=1" : ":");
    }
    ft_buf_add_str(out, " ;;\n");
}

void ft_completion_bash(struct ft_buf *out)
{
    ft_buf_add_str(out, "# bash completion for flowtrail; made by: flowtrail completion bash\n"
                        "_flowtrail() {\n"
                        "  local cur prev words='' files=''\n"
                        "  cur=${COMP_WORDS[COMP_CWORD]}\n"
                        "  prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                        "  COMPREPLY=()\n"
                        "  # --flag=value comes as three words.\n"
                        "  if [[ $cur == '=' ]]; then\n"
                        "    cur=''\n"
                        "  elif [[ $prev == '=' && $COMP_CWORD -ge 2 ]]; then\n"
                        "    prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                        "  fi\n"
                        "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
                        "    COMPREPLY=($(compgen -W '");
    add_commands(" ", out);
    ft_buf_add_str(out, " help --help --version' -- \"$cur\"))\n"
                        "    return\n"
                        "  fi\n"
                        "  case ${COMP_WORDS[1]},$prev in\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        for (size_t k = 0; k < ft_commands[i]->table->n_options; k++) {
            bash_value(ft_commands[i], &ft_commands[i]->table->options[k], out);
        }
    }
    ft_buf_add_str(out, "    help,*) words='");
    add_commands(" ", out);
    ft_buf_add_str(out, "' ;;\n"
                        "    *)\n"
                        "      case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        ft_buf_addf(out, "        %s) words='", ft_commands[i]->name);
        bash_flags(ft_commands[i], out);
        if (ft_commands[i]->operand_words != NULL) {
            ft_buf_add_char(out, ' ');
            add_words(ft_commands[i]->operand_words, " ", out);
        }
        ft_buf_add_str(out, "' ;;\n");
    }
    ft_buf_add_str(out, "      esac ;;\n"
                        "  esac\n"
                        "  if [[ -n $files ]]; then\n"
                        "    compopt -o filenames 2>/dev/null\n"
                        "    COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                        "  else\n"
                        "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                        "  fi\n"
                        "}\n"
                        "complete -F _flowtrail flowtrail\n");
}

/* ---- zsh ---- */

/* Inside '…', and in a description of _arguments. */
static void zsh_text(const char *text, struct ft_buf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            ft_buf_add_str(out, "'\\''");
        } else {
            if (strchr("[]:\\", *text) != NULL) {
                ft_buf_add_char(out, '\\');
            }
            ft_buf_add_char(out, *text);
        }
    }
}

static void zsh_spec(const struct ft_option *option, const char *flag, struct ft_buf *out)
{
    enum value value = value_of(option);
    ft_buf_addf(out, "        '*%s%s[", flag, value == VALUE_NONE || flag[1] != '-' ? "" : "=");
    zsh_text(option->help, out);
    ft_buf_add_char(out, ']');
    if (value == VALUE_WORDS) {
        ft_buf_add_str(out, ":value:(");
        add_words(option->names, " ", out);
        ft_buf_add_char(out, ')');
    } else if (value != VALUE_NONE) {
        ft_buf_add_str(out, value == VALUE_FILE ? ":file:_files" : ":value: ");
    }
    ft_buf_add_str(out, "' \\\n");
}

static void zsh_command(const struct ft_command *command, struct ft_buf *out)
{
    ft_buf_addf(out, "    %s)\n      _arguments \\\n", command->name);
    for (size_t i = 0; i < command->table->n_options; i++) {
        const struct ft_option *option = &command->table->options[i];
        char flag[FLAG_SIZE];
        ft_option_flag_name(option, flag, sizeof flag);
        zsh_spec(option, flag, out);
        if (option->letter != '\0') {
            char letter[] = {'-', option->letter, '\0'};
            zsh_spec(option, letter, out);
        }
    }
    if (command->operand_words != NULL) {
        ft_buf_add_str(out, "        '1:operand:(");
        add_words(command->operand_words, " ", out);
        ft_buf_add_str(out, ")' \\\n");
    }
    ft_buf_add_str(out, "        '--help-all[Show every option]' \\\n"
                        "        '(-h --help)'{-h,--help}'[Show help]' ;;\n");
}

void ft_completion_zsh(struct ft_buf *out)
{
    ft_buf_add_str(out, "#compdef flowtrail\n"
                        "# zsh completion for flowtrail; made by: flowtrail completion zsh\n"
                        "_flowtrail() {\n"
                        "  local -a commands\n"
                        "  commands=(\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        ft_buf_addf(out, "    '%s:", ft_commands[i]->name);
        zsh_text(ft_commands[i]->summary, out);
        ft_buf_add_str(out, "'\n");
    }
    ft_buf_add_str(out, "  )\n"
                        "  if (( CURRENT == 2 )); then\n"
                        "    _describe command commands\n"
                        "    return\n"
                        "  fi\n"
                        "  local command=$words[2]\n"
                        "  shift words\n"
                        "  (( CURRENT-- ))\n"
                        "  case $command in\n"
                        "    help)\n"
                        "      _describe command commands ;;\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        zsh_command(ft_commands[i], out);
    }
    ft_buf_add_str(out, "  esac\n"
                        "}\n"
                        "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
                        "  _flowtrail \"$@\"\n"
                        "else\n"
                        "  compdef _flowtrail flowtrail\n"
                        "fi\n");
}

/* ---- fish ---- */

/* Inside '…'. */
static void fish_text(const char *text, struct ft_buf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            ft_buf_add_char(out, '\\');
        }
        ft_buf_add_char(out, *text);
    }
}

static void fish_option(const struct ft_command *command, const struct ft_option *option,
                        struct ft_buf *out)
{
    char flag[FLAG_SIZE];
    enum value value = value_of(option);
    ft_option_flag_name(option, flag, sizeof flag);
    ft_buf_addf(out, "complete -c flowtrail -n '__fish_seen_subcommand_from %s' -l %s",
                command->name, flag + 2);
    if (option->letter != '\0') {
        ft_buf_addf(out, " -s %c", option->letter);
    }
    if (value == VALUE_WORDS) {
        ft_buf_add_str(out, " -x -a '");
        add_words(option->names, " ", out);
        ft_buf_add_char(out, '\'');
    } else if (value != VALUE_NONE) {
        ft_buf_add_str(out, value == VALUE_FILE ? " -r -F" : " -x");
    }
    ft_buf_add_str(out, " -d '");
    fish_text(option->help, out);
    ft_buf_add_str(out, "'\n");
}

void ft_completion_fish(struct ft_buf *out)
{
    ft_buf_add_str(out, "# fish completion for flowtrail; made by: flowtrail completion fish\n"
                        "complete -c flowtrail -f\n"
                        "complete -c flowtrail -s h -l help -d 'Show help'\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        const struct ft_command *command = ft_commands[i];
        ft_buf_addf(out, "complete -c flowtrail -n '__fish_use_subcommand' -a %s -d '",
                    command->name);
        fish_text(command->summary, out);
        ft_buf_add_str(out, "'\n");
        for (size_t k = 0; k < command->table->n_options; k++) {
            fish_option(command, &command->table->options[k], out);
        }
        if (command->operand_words != NULL) {
            ft_buf_addf(out, "complete -c flowtrail -n '__fish_seen_subcommand_from %s' -a '",
                        command->name);
            add_words(command->operand_words, " ", out);
            ft_buf_add_str(out, "'\n");
        }
    }
}
