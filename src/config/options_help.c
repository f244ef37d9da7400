/* SPDX-License-Identifier: Apache-2.0 */
/* The help text and the option sections of the manuals, made from a table. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/option_value.h"
#include "config/wrap.h"

#define HELP_WIDTH  80
#define HELP_MARGIN "                              " /* 30: where the words of help begin. */

/* A flag that every program has; shown before the table's own. */
struct common_help {
    const char *left; /* As help shows it. */
    const char *man;  /* As scdoc marks it. */
    const char *text;
    unsigned needs;
};

static const struct common_help common_help[] = {
    {"-c, --config FILE", "*-c*, *--config* _FILE_", "Read the configuration from FILE.",
     FT_ARGS_CONFIG},
    {"    --check", "*--check*", "Check the configuration, say what is wrong with it, and exit.",
     FT_ARGS_CONFIG},
    {"    --dump", "*--dump*",
     "Print the effective configuration and where each value comes from, without secrets, and "
     "exit.",
     FT_ARGS_CONFIG},
    {"-h, --help", "*-h*, *--help*", "Print this help and exit; --help-all prints every option.",
     0},
    {"-V, --version", "*-V*, *--version*", "Print the version and exit.", 0},
};
#define N_COMMON_HELP (sizeof common_help / sizeof common_help[0])

static void help_option(const struct ft_option *option, struct ft_buf *out);
static void describe(const struct ft_option *option, struct ft_buf *text);
static bool has_flag(const struct ft_option *option);
static void shown_flag(const struct ft_option *option, char *buf, size_t size);
static void man_default(const struct ft_option *option, struct ft_buf *out);
static void man_text(const char *text, struct ft_buf *out);
static void man_key(const char *prefix, const struct ft_option *option, struct ft_buf *out);

void ft_options_help(const struct ft_option_table *table, unsigned args_flags, bool all,
                     struct ft_buf *out)
{
    char title[FT_OPTIONS_NAME_SIZE];
    char last_title[FT_OPTIONS_NAME_SIZE] = "";
    ft_buf_add_str(out, "Common:\n");
    for (size_t i = 0; i < N_COMMON_HELP; i++) {
        if ((common_help[i].needs & ~args_flags) == 0) {
            ft_buf_addf(out, "  %-*s", (int)strlen(HELP_MARGIN) - 2, common_help[i].left);
            ft_wrap_continue(common_help[i].text, HELP_MARGIN, HELP_WIDTH, out);
        }
    }
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if (!has_flag(option) || (!all && (option->flags & FT_OPTION_ADVANCED) != 0)) {
            continue;
        }
        ft_option_group_title(table, option, title, sizeof title);
        if (strcmp(title, last_title) != 0) {
            ft_buf_addf(out, "\n%s:\n", title);
            memcpy(last_title, title, sizeof title);
        }
        help_option(option, out);
    }
}

void ft_options_man_flags(const struct ft_option_table *table, unsigned args_flags,
                          struct ft_buf *out)
{
    ft_buf_add_str(out, "# OPTIONS\n\n");
    for (size_t i = 0; i < N_COMMON_HELP; i++) {
        if ((common_help[i].needs & ~args_flags) == 0) {
            ft_buf_addf(out, "%s\n\t", common_help[i].man);
            man_text(common_help[i].text, out);
            ft_buf_add_str(out, "\n\n");
        }
    }
    char title[FT_OPTIONS_NAME_SIZE];
    char last_title[FT_OPTIONS_NAME_SIZE] = "";
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        char flag[FT_OPTIONS_NAME_SIZE + 32];
        if (!has_flag(option)) {
            continue;
        }
        ft_option_group_title(table, option, title, sizeof title);
        if (strcmp(title, last_title) != 0) {
            ft_buf_addf(out, "## %s\n\n", title);
            memcpy(last_title, title, sizeof title);
        }
        shown_flag(option, flag, sizeof flag);
        if (option->letter != '\0') {
            ft_buf_addf(out, "*-%c*, ", option->letter);
        }
        ft_buf_add_char(out, '*');
        man_text(flag, out);
        ft_buf_add_char(out, '*');
        if (option->kind != FT_OPTION_BOOL) {
            ft_buf_addf(out, " _%s_", ft_option_value_name(option));
        }
        ft_buf_add_str(out, "\n\t");
        man_text(option->help, out);
        man_default(option, out);
        ft_buf_add_str(out, "\n\n");
    }
}

void ft_options_man_keys(const struct ft_option_table *table, struct ft_buf *out)
{
    char title[FT_OPTIONS_NAME_SIZE];
    char last_title[FT_OPTIONS_NAME_SIZE] = "";
    ft_buf_add_str(out, "# KEYS\n\n");
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if ((option->flags & FT_OPTION_CLI_ONLY) != 0) {
            continue;
        }
        ft_option_group_title(table, option, title, sizeof title);
        if (strcmp(title, last_title) != 0) {
            ft_buf_addf(out, "## %s\n\n", title);
            memcpy(last_title, title, sizeof title);
        }
        man_key("", option, out);
    }
}

void ft_option_group_title(const struct ft_option_table *table, const struct ft_option *option,
                           char *title, size_t size)
{
    const struct ft_option_group *best = NULL;
    for (size_t i = 0; i < table->n_groups; i++) {
        const struct ft_option_group *group = &table->groups[i];
        size_t len = strlen(group->prefix);
        bool inside = strncmp(option->name, group->prefix, len) == 0 && option->name[len] == '.';
        if (inside && (best == NULL || len > strlen(best->prefix))) {
            best = group;
        }
    }
    const char *dot = strchr(option->name, '.');
    if (best != NULL) {
        (void)snprintf(title, size, "%s", best->title);
    } else if (dot != NULL) {
        (void)snprintf(title, size, "%.*s", (int)(dot - option->name), option->name);
        title[0] = (char)toupper((unsigned char)title[0]);
    } else {
        (void)snprintf(title, size, "General");
    }
}

/* "  -f, --follow                Text …" */
static void help_option(const struct ft_option *option, struct ft_buf *out)
{
    char flag[FT_OPTIONS_NAME_SIZE + 32];
    char left[2 * FT_OPTIONS_NAME_SIZE];
    shown_flag(option, flag, sizeof flag);
    char letter[] = {'-', option->letter, ',', '\0'};
    const char *value = ft_option_value_name(option);
    (void)snprintf(left, sizeof left, "  %-3s %s%s%s", option->letter != '\0' ? letter : "", flag,
                   value[0] != '\0' ? " " : "", value);
    struct ft_buf text;
    ft_buf_init(&text, 0);
    describe(option, &text);
    if (strlen(left) + 2 > strlen(HELP_MARGIN)) {
        ft_buf_addf(out, "%s\n", left);
        ft_wrap(ft_buf_str(&text), HELP_MARGIN, HELP_WIDTH, out);
    } else {
        ft_buf_addf(out, "%-*s", (int)strlen(HELP_MARGIN), left);
        ft_wrap_continue(ft_buf_str(&text), HELP_MARGIN, HELP_WIDTH, out);
    }
    if (text.err != FT_OK && out->err == FT_OK) {
        out->err = text.err;
    }
    ft_buf_deinit(&text);
}

/* The help and, in brackets, the default and what is allowed. */
static void describe(const struct ft_option *option, struct ft_buf *text)
{
    char allowed[256];
    ft_option_allowed(option, allowed, sizeof allowed);
    ft_buf_add_str(text, option->help);
    bool has_default =
        option->default_text != NULL && option->default_text[0] != '\0' &&
        !(option->kind == FT_OPTION_BOOL && strcmp(option->default_text, "false") == 0);
    bool has_allowed = allowed[0] != '\0' && option->kind != FT_OPTION_BOOL;
    if ((option->flags & FT_OPTION_REQUIRED) != 0) {
        ft_buf_add_str(text, " (required)");
    }
    if (has_default || has_allowed) {
        ft_buf_addf(text, " (%s%s%s%s)", has_default ? "default: " : "",
                    has_default ? option->default_text : "", has_default && has_allowed ? "; " : "",
                    has_allowed ? allowed : "");
    }
}

static bool has_flag(const struct ft_option *option) { return option->kind != FT_OPTION_SECRET; }

/* What is on already is named with its "no-". */
static void shown_flag(const struct ft_option *option, char *buf, size_t size)
{
    bool on = option->kind == FT_OPTION_BOOL && option->default_text != NULL &&
              strcmp(option->default_text, "true") == 0;
    char flag[FT_OPTIONS_NAME_SIZE + 16];
    ft_option_flag_name(option, flag, sizeof flag);
    (void)snprintf(buf, size, "--%s%s", on ? "[no-]" : "", flag + 2);
}

/* A key of the file; the keys of a list's items follow theirs. */
static void man_key(const char *prefix, const struct ft_option *option, struct ft_buf *out)
{
    ft_buf_add_char(out, '*');
    man_text(prefix, out);
    man_text(option->name, out);
    const char *value = ft_option_value_name(option);
    ft_buf_addf(out, "*: _%s_\n\t", value[0] != '\0' ? value : "BOOL");
    man_text(option->help, out);
    man_default(option, out);
    if ((option->flags & FT_OPTION_REQUIRED) != 0) {
        ft_buf_add_str(out, " Must be set.");
    }
    if ((option->flags & FT_OPTION_RESTART) != 0) {
        ft_buf_add_str(out, " A change takes effect at the next start.");
    }
    if ((option->flags & FT_OPTION_LOCAL) != 0) {
        ft_buf_add_str(out, " Cannot be set by the collector.");
    }
    if (prefix[0] == '\0') {
        char variable[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_env_name(option, variable, sizeof variable);
        ft_buf_add_str(out, " Environment: *");
        man_text(variable, out);
        ft_buf_add_str(out, "*.");
    }
    ft_buf_add_str(out, "\n\n");
    for (size_t i = 0; option->items != NULL && i < option->items->n_options; i++) {
        char inner[2 * FT_OPTIONS_NAME_SIZE];
        (void)snprintf(inner, sizeof inner, "%s%s[].", prefix, option->name);
        man_key(inner, &option->items->options[i], out);
    }
}

static void man_default(const struct ft_option *option, struct ft_buf *out)
{
    char allowed[256];
    ft_option_allowed(option, allowed, sizeof allowed);
    if (option->default_text != NULL && option->default_text[0] != '\0') {
        ft_buf_add_str(out, " Default: _");
        man_text(option->default_text, out);
        ft_buf_add_str(out, "_.");
    }
    if (allowed[0] != '\0' && option->kind != FT_OPTION_BOOL) {
        ft_buf_add_str(out, " A");
        man_text(allowed + 1, out);
        ft_buf_add_char(out, '.');
    }
}

/* scdoc's marks are escaped. */
static void man_text(const char *text, struct ft_buf *out)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\*_#[]", *text) != NULL) {
            ft_buf_add_char(out, '\\');
        }
        ft_buf_add_char(out, *text);
    }
}
