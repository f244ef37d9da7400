/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.  Own code rather than getopt_long(3): that accepts shortened flags, permutes
 * argv, keeps global state and cannot suggest.
 */
#include <stdio.h>
#include <string.h>

#include "config/options.h"
#include "config/suggest.h"
#include "config/text_check.h"

struct parser {
    const struct ft_option_table *table;
    unsigned flags;
    int argc;
    char *const *argv;
    int at; /* The next word. */
    struct ft_options_args *args;
    struct ft_diag *diag;
};

/* A flag that every program has, and where its mark goes. */
struct common_flag {
    const char *name;
    char letter;
    unsigned needs; /* FT_ARGS_… */
    size_t offset;
};

static const struct common_flag common_flags[] = {
    {"--help", 'h', 0, offsetof(struct ft_options_args, help)},
    {"--help-all", '\0', 0, offsetof(struct ft_options_args, help_all)},
    {"--version", 'V', 0, offsetof(struct ft_options_args, version)},
    {"--check", '\0', FT_ARGS_CONFIG, offsetof(struct ft_options_args, check)},
    {"--dump", '\0', FT_ARGS_CONFIG, offsetof(struct ft_options_args, dump)},
};
#define N_COMMON_FLAGS (sizeof common_flags / sizeof common_flags[0])

static ft_err parse_long(struct parser *p, const char *word);
static ft_err parse_short(struct parser *p, const char *word);
static bool take_common(struct parser *p, const char *name, size_t name_len, char letter);
static const struct ft_option *find_long(const struct parser *p, const char *name, size_t len,
                                         bool *ret_negated);
static ft_err take_value(struct parser *p, const char *name, const char *attached,
                         const char **ret_value);
static ft_err add_flag(struct parser *p, const struct ft_option *option, const char *value);
static ft_err add_operand(struct parser *p, const char *word);
static ft_err unknown_flag(struct parser *p, const char *word, size_t len);
static ft_err refuse(struct parser *p, ft_err err, const char *text);

ft_err ft_options_parse_args(const struct ft_option_table *table, unsigned args_flags, int argc,
                             char *const *argv, struct ft_options_args *ret_args,
                             struct ft_diag *reterr_diag)
{
    struct parser p = {.table = table,
                       .flags = args_flags,
                       .argc = argc,
                       .argv = argv,
                       .at = 1,
                       .args = ret_args,
                       .diag = reterr_diag};
    memset(ret_args, 0, sizeof *ret_args);
    bool only_operands = false;
    while (p.at < argc) {
        const char *word = argv[p.at++];
        bool is_flag = !only_operands && word[0] == '-' && word[1] != '\0';
        if (is_flag && strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (is_flag) {
            FT_TRY(word[1] == '-' ? parse_long(&p, word) : parse_short(&p, word));
        } else {
            FT_TRY(add_operand(&p, word));
            only_operands = only_operands || (args_flags & FT_ARGS_STOP_AT_OPERAND) != 0;
        }
    }
    return FT_OK;
}

static ft_err parse_long(struct parser *p, const char *word)
{
    size_t len = strcspn(word, "=");
    const char *attached = word[len] == '=' ? word + len + 1 : NULL;
    if (attached == NULL && take_common(p, word, len, '\0')) {
        return FT_OK;
    }
    if ((p->flags & FT_ARGS_CONFIG) != 0 && len == strlen("--config") &&
        strncmp(word, "--config", len) == 0) {
        return take_value(p, "--config", attached, &p->args->config_file);
    }
    bool negated;
    const struct ft_option *option = find_long(p, word, len, &negated);
    if (option == NULL) {
        return unknown_flag(p, word, len);
    }
    if (option->kind == FT_OPTION_SECRET) {
        return refuse(p, FT_E_SYNTAX,
                      "is a secret, which every user could see on the command line; put it into a "
                      "file");
    }
    if (negated && attached != NULL) {
        return refuse(p, FT_E_SYNTAX, "takes no value");
    }
    const char *value = negated ? "false" : attached != NULL ? attached : "true";
    if (option->kind != FT_OPTION_BOOL) {
        FT_TRY(take_value(p, word, attached, &value));
    }
    return add_flag(p, option, value);
}

static ft_err parse_short(struct parser *p, const char *word)
{
    for (size_t i = 1; word[i] != '\0'; i++) {
        const char *attached = word[i + 1] != '\0' ? &word[i + 1] : NULL;
        char name[] = {'-', word[i], '\0'};
        if (take_common(p, NULL, 0, word[i])) {
            continue;
        }
        if ((p->flags & FT_ARGS_CONFIG) != 0 && word[i] == 'c') {
            return take_value(p, name, attached, &p->args->config_file);
        }
        const struct ft_option *option = NULL;
        for (size_t k = 0; k < p->table->n_options && option == NULL; k++) {
            if (p->table->options[k].letter == word[i]) {
                option = &p->table->options[k];
            }
        }
        if (option == NULL) {
            char quoted[FT_TEXT_QUOTE_SIZE];
            ft_text_quote(name, quoted);
            return ft_diag_set(p->diag, FT_E_UNKNOWN_KEY, "", 0, 0,
                               "unknown flag %s; --help lists the flags", quoted);
        }
        if (option->kind == FT_OPTION_BOOL) {
            FT_TRY(add_flag(p, option, "true"));
            continue;
        }
        const char *value = NULL;
        FT_TRY(take_value(p, name, attached, &value));
        return add_flag(p, option, value);
    }
    return FT_OK;
}

static bool take_common(struct parser *p, const char *name, size_t name_len, char letter)
{
    for (size_t i = 0; i < N_COMMON_FLAGS; i++) {
        const struct common_flag *flag = &common_flags[i];
        bool match = name != NULL ? strlen(flag->name) == name_len &&
                                        strncmp(flag->name, name, name_len) == 0
                                  : flag->letter == letter;
        if (match && (flag->needs & ~p->flags) == 0) {
            *(bool *)((char *)p->args + flag->offset) = true;
            return true;
        }
    }
    return false;
}

static const struct ft_option *find_long(const struct parser *p, const char *name, size_t len,
                                         bool *ret_negated)
{
    const struct ft_option *negated = NULL;
    *ret_negated = false;
    for (size_t i = 0; i < p->table->n_options; i++) {
        const struct ft_option *option = &p->table->options[i];
        char flag[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_flag_name(option, flag, sizeof flag);
        if (strlen(flag) == len && strncmp(flag, name, len) == 0) {
            return option;
        }
        if (option->kind == FT_OPTION_BOOL && strlen(flag) + 3 == len &&
            strncmp(name, "--no-", 5) == 0 && strncmp(name + 5, flag + 2, len - 5) == 0) {
            negated = option;
        }
    }
    *ret_negated = negated != NULL;
    return negated;
}

static ft_err take_value(struct parser *p, const char *name, const char *attached,
                         const char **ret_value)
{
    if (attached != NULL) {
        *ret_value = attached;
        return FT_OK;
    }
    if (p->at >= p->argc) {
        return ft_diag_set(p->diag, FT_E_SYNTAX, "", 0, 0, "%s: needs a value", name);
    }
    *ret_value = p->argv[p->at++];
    return FT_OK;
}

static ft_err add_flag(struct parser *p, const struct ft_option *option, const char *value)
{
    if (p->args->n_flags == FT_OPTIONS_FLAGS_MAX) {
        return ft_diag_set(p->diag, FT_E_RANGE, "", 0, 0, "too many flags; allowed: %d",
                           FT_OPTIONS_FLAGS_MAX);
    }
    p->args->flags[p->args->n_flags++] = (struct ft_options_flag){option, value};
    return FT_OK;
}

static ft_err add_operand(struct parser *p, const char *word)
{
    if ((p->flags & (FT_ARGS_OPERANDS | FT_ARGS_STOP_AT_OPERAND)) == 0) {
        char quoted[FT_TEXT_QUOTE_SIZE];
        ft_text_quote(word, quoted);
        return ft_diag_set(p->diag, FT_E_SYNTAX, "", 0, 0,
                           "%s is not expected here; --help lists the flags", quoted);
    }
    if (p->args->n_operands == FT_OPTIONS_OPERANDS_MAX) {
        return ft_diag_set(p->diag, FT_E_RANGE, "", 0, 0, "too many words; allowed: %d",
                           FT_OPTIONS_OPERANDS_MAX);
    }
    p->args->operands[p->args->n_operands++] = word;
    return FT_OK;
}

static ft_err unknown_flag(struct parser *p, const char *word, size_t len)
{
    char name[FT_OPTIONS_NAME_SIZE + 16];
    (void)snprintf(name, sizeof name, "%.*s", (int)len, word);
    struct ft_suggest suggest = {.word = name};
    for (size_t i = 0; i < p->table->n_options; i++) {
        char flag[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_flag_name(&p->table->options[i], flag, sizeof flag);
        if (p->table->options[i].kind != FT_OPTION_SECRET) {
            ft_suggest_offer(&suggest, flag);
        }
    }
    for (size_t i = 0; i < N_COMMON_FLAGS; i++) {
        if ((common_flags[i].needs & ~p->flags) == 0) {
            ft_suggest_offer(&suggest, common_flags[i].name);
        }
    }
    if ((p->flags & FT_ARGS_CONFIG) != 0) {
        ft_suggest_offer(&suggest, "--config");
    }
    char quoted[FT_TEXT_QUOTE_SIZE];
    ft_text_quote(name, quoted);
    if (suggest.best[0] == '\0') {
        return ft_diag_set(p->diag, FT_E_UNKNOWN_KEY, "", 0, 0,
                           "unknown flag %s; --help lists the flags", quoted);
    }
    return ft_diag_set(p->diag, FT_E_UNKNOWN_KEY, "", 0, 0, "unknown flag %s; did you mean \"%s\"?",
                       quoted, suggest.best);
}

/* About the word that was taken last, without its value. */
static ft_err refuse(struct parser *p, ft_err err, const char *text)
{
    const char *word = p->argv[p->at - 1];
    return ft_diag_set(p->diag, err, "", 0, 0, "%.*s: %s", (int)strcspn(word, "="), word, text);
}
