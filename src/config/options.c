/* SPDX-License-Identifier: Apache-2.0 */
#include "config/options.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_value.h"

static bool names_ok(const struct ft_option_table *table, size_t i, struct ft_diag *reterr_diag);
static bool sections_ok(const struct ft_option_table *table, size_t i, struct ft_diag *reterr_diag);
static bool has_section(const struct ft_option *option, const char *section, size_t len);
static ft_err set_default(const struct ft_option *option, void *options,
                          struct ft_diag *reterr_diag);
static bool wrong(struct ft_diag *reterr_diag, const struct ft_option *option, const char *why);

ft_err ft_options_init(const struct ft_option_table *table, void *options)
{
    memset(options, 0, table->struct_size);
    for (size_t i = 0; i < table->n_options; i++) {
        struct ft_diag diag;
        ft_err err = set_default(&table->options[i], options, &diag);
        if (err != FT_OK) {
            assert(err == -ENOMEM && "a default in the table does not parse");
            ft_options_deinit(table, options);
            return err;
        }
    }
    return FT_OK;
}

void ft_options_deinit(const struct ft_option_table *table, void *options)
{
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        ft_option_value_free(option, ft_option_member(option, options));
    }
    explicit_bzero(options, table->struct_size);
}

ft_err ft_options_dup(const struct ft_option_table *table, const void *options, void *copy)
{
    memset(copy, 0, table->struct_size);
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        ft_err err = ft_option_value_copy(option, ft_option_member_const(option, options),
                                          ft_option_member(option, copy));
        if (err != FT_OK) {
            ft_options_deinit(table, copy);
            return err;
        }
    }
    return FT_OK;
}

void ft_options_diff(const struct ft_option_table *table, const void *a, const void *b,
                     ft_options_diff_fn *fn, void *ctx)
{
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if (!ft_option_value_equal(option, ft_option_member_const(option, a),
                                   ft_option_member_const(option, b))) {
            fn(ctx, option);
        }
    }
}

ft_err ft_options_set(const struct ft_option_table *table, void *options, const char *name,
                      const char *text, struct ft_diag *reterr_diag)
{
    const struct ft_option *option = ft_options_find(table, name);
    if (option == NULL) {
        return ft_diag_set(reterr_diag, FT_E_UNKNOWN_KEY, "", 0, 0, "unknown key \"%s\"", name);
    }
    struct ft_option_place place = {.file = "", .name = name};
    return ft_option_value_parse(option, &place, text, ft_option_member(option, options),
                                 reterr_diag);
}

const struct ft_option *ft_options_find(const struct ft_option_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_options; i++) {
        if (strcmp(table->options[i].name, name) == 0) {
            return &table->options[i];
        }
    }
    return NULL;
}

void ft_option_flag_name(const struct ft_option *option, char *buf, size_t size)
{
    (void)snprintf(buf, size, "--%s", option->name);
    for (char *at = buf; *at != '\0'; at++) {
        if (*at == '.' || *at == '_') {
            *at = '-';
        }
    }
}

void ft_option_env_name(const struct ft_option *option, char *buf, size_t size)
{
    (void)snprintf(buf, size, "FLOWTRAIL_%s", option->name);
    for (char *at = buf; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
    }
}

bool ft_options_table_ok(const struct ft_option_table *table, struct ft_diag *reterr_diag)
{
    if (table->n_options > FT_OPTIONS_N_MAX) {
        (void)ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0, "too many options");
        return false;
    }
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if (!names_ok(table, i, reterr_diag) || !sections_ok(table, i, reterr_diag)) {
            return false;
        }
        if (option->offset >= table->struct_size || option->help == NULL) {
            return wrong(reterr_diag, option, "no help, or not in the struct");
        }
        if ((option->kind == FT_OPTION_ENUM) != (option->names != NULL) ||
            (option->kind == FT_OPTION_STRUCTS) != (option->items != NULL)) {
            return wrong(reterr_diag, option, "names are for enums, items for lists of mappings");
        }
        if (option->items != NULL && !ft_options_table_ok(option->items, reterr_diag)) {
            return false;
        }
        void *options = calloc(1, table->struct_size);
        if (options == NULL) {
            return wrong(reterr_diag, option, "out of memory");
        }
        ft_err err = set_default(option, options, reterr_diag);
        ft_option_value_free(option, ft_option_member(option, options));
        free(options);
        if (err != FT_OK) {
            return false;
        }
    }
    return true;
}

/* The characters, and that name, flag, environment variable and letter mean one option only. */
static bool names_ok(const struct ft_option_table *table, size_t i, struct ft_diag *reterr_diag)
{
    const struct ft_option *option = &table->options[i];
    size_t len = strlen(option->name);
    bool ok = len > 0 && len < FT_OPTIONS_NAME_SIZE && option->name[0] != '.' &&
              option->name[len - 1] != '.' && strstr(option->name, "..") == NULL &&
              strspn(option->name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == len;
    if (!ok) {
        return wrong(reterr_diag, option, "malformed name");
    }
    if (option->letter != '\0' && strchr("hVc", option->letter) != NULL) {
        return wrong(reterr_diag, option, "the letter is taken by a common flag");
    }
    static const char *const common[] = {"config", "check", "dump", "help", "help_all", "version"};
    for (size_t k = 0; k < sizeof common / sizeof common[0]; k++) {
        if (strcmp(option->name, common[k]) == 0) {
            return wrong(reterr_diag, option, "the name is taken by a common flag");
        }
    }
    char flag[FT_OPTIONS_NAME_SIZE + 16];
    ft_option_flag_name(option, flag, sizeof flag);
    for (size_t k = 0; k < i; k++) {
        const struct ft_option *other = &table->options[k];
        char other_flag[FT_OPTIONS_NAME_SIZE + 16];
        ft_option_flag_name(other, other_flag, sizeof other_flag);
        /* Equal flags are implied by equal environment names, so one comparison covers both. */
        if (strcmp(flag, other_flag) == 0 ||
            (option->letter != '\0' && option->letter == other->letter)) {
            return wrong(reterr_diag, option, "name or letter is used twice");
        }
        if (has_section(option, other->name, strlen(other->name)) ||
            has_section(other, option->name, len)) {
            return wrong(reterr_diag, option, "is an option and a section");
        }
    }
    return true;
}

/* A section that was left must not come again: the dump would have to write its key twice. */
static bool sections_ok(const struct ft_option_table *table, size_t i, struct ft_diag *reterr_diag)
{
    const struct ft_option *option = &table->options[i];
    for (const char *dot = strchr(option->name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - option->name);
        if (i == 0 || has_section(&table->options[i - 1], option->name, len)) {
            continue;
        }
        for (size_t k = 0; k + 1 < i; k++) {
            if (has_section(&table->options[k], option->name, len)) {
                return wrong(reterr_diag, option, "the section's options are not together");
            }
        }
    }
    return true;
}

static bool has_section(const struct ft_option *option, const char *section, size_t len)
{
    return strncmp(option->name, section, len) == 0 && option->name[len] == '.';
}

static ft_err set_default(const struct ft_option *option, void *options,
                          struct ft_diag *reterr_diag)
{
    void *member = ft_option_member(option, options);
    const char *text = option->default_text;
    struct ft_option_place place = {.file = "", .name = option->name};
    if (text == NULL && !ft_option_is_text(option)) {
        return FT_OK; /* Zero is the default of everything but text, which is never NULL. */
    }
    if (text == NULL || text[0] == '$') {
        text = ""; /* What stands in the environment comes with ft_options_load(). */
    }
    return ft_option_value_parse(option, &place, text, member, reterr_diag);
}

static bool wrong(struct ft_diag *reterr_diag, const struct ft_option *option, const char *why)
{
    (void)ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0, "%s: %s", option->name, why);
    return false;
}
