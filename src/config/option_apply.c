/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping of a file onto the options of a table: ft_option_apply_map(). */
#include <stdio.h>
#include <string.h>

#include "config/option_value.h"
#include "config/suggest.h"
#include "config/text_check.h"

static ft_err apply_option(struct ft_option_apply *apply, const struct ft_option *option,
                           const struct ft_yaml_node *node, struct ft_diag *reterr_diag);
static ft_err apply_section(struct ft_option_apply *apply, const struct ft_yaml_node *node,
                            const char *full, struct ft_diag *reterr_diag);
static bool is_section(const struct ft_option_table *table, const char *name);
static ft_err unknown_key(const struct ft_option_apply *apply, const struct ft_yaml_node *node,
                          const char *full, struct ft_diag *reterr_diag);
static void suggest_key(const struct ft_option_table *table, const char *key, const char *full,
                        char *best, size_t size);

ft_err ft_option_apply_map(struct ft_option_apply *apply, const struct ft_yaml_node *map,
                           const char *prefix, struct ft_diag *reterr_diag)
{
    for (const struct ft_yaml_node *node = map->first; node != NULL; node = node->next) {
        char full[FT_OPTIONS_NAME_SIZE];
        int len =
            snprintf(full, sizeof full, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", node->key);
        const struct ft_option *option =
            (size_t)len < sizeof full ? ft_options_find(apply->table, full) : NULL;
        if (option != NULL && (option->flags & FT_OPTION_CLI_ONLY) == 0) {
            FT_TRY(apply_option(apply, option, node, reterr_diag));
        } else if ((size_t)len < sizeof full && is_section(apply->table, full)) {
            FT_TRY(apply_section(apply, node, full, reterr_diag));
        } else {
            return unknown_key(apply, node, full, reterr_diag);
        }
    }
    return FT_OK;
}

static ft_err apply_option(struct ft_option_apply *apply, const struct ft_option *option,
                           const struct ft_yaml_node *node, struct ft_diag *reterr_diag)
{
    size_t index = (size_t)(option - apply->table->options);
    char name[2 * FT_OPTIONS_NAME_SIZE];
    (void)snprintf(name, sizeof name, "%s%s", apply->place.name, option->name);
    /* "log.bytes_max: 1" beside "log: {bytes_max: 2}" are different keys for YAML, one for us. */
    if (apply->lines[index] != 0) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, apply->place.file, node->key_line,
                           node->key_column, "%s: is given twice, first on line %u", name,
                           apply->lines[index]);
    }
    apply->lines[index] = node->key_line;
    if (apply->remote && (option->flags & FT_OPTION_LOCAL) != 0) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, apply->place.file, node->key_line,
                           node->key_column, "%s: can be set on this host only", name);
    }
    struct ft_option_place place = apply->place;
    place.name = name;
    FT_TRY(ft_option_value_from_node(option, &place, node, ft_option_member(option, apply->options),
                                     reterr_diag));
    if (apply->seen != NULL) {
        apply->seen(apply->seen_ctx, option, node);
    }
    return FT_OK;
}

static ft_err apply_section(struct ft_option_apply *apply, const struct ft_yaml_node *node,
                            const char *full, struct ft_diag *reterr_diag)
{
    /* A section of which every key is commented out. */
    if (node->kind == FT_YAML_NULL) {
        return FT_OK;
    }
    if (node->kind != FT_YAML_MAP) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, apply->place.file, node->line, node->column,
                           "%s%s: a mapping is wanted here, not %s", apply->place.name, full,
                           ft_yaml_kind_text(node->kind));
    }
    return ft_option_apply_map(apply, node, full, reterr_diag);
}

static bool is_section(const struct ft_option_table *table, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if ((option->flags & FT_OPTION_CLI_ONLY) == 0 && strncmp(option->name, name, len) == 0 &&
            option->name[len] == '.') {
            return true;
        }
    }
    return false;
}

static ft_err unknown_key(const struct ft_option_apply *apply, const struct ft_yaml_node *node,
                          const char *full, struct ft_diag *reterr_diag)
{
    char best[FT_OPTIONS_NAME_SIZE];
    char name[2 * FT_OPTIONS_NAME_SIZE];
    char quoted[FT_TEXT_QUOTE_SIZE];
    suggest_key(apply->table, node->key, full, best, sizeof best);
    (void)snprintf(name, sizeof name, "%s%s", apply->place.name, full);
    ft_text_quote(name, quoted);
    if (best[0] == '\0') {
        return ft_diag_set(reterr_diag, FT_E_UNKNOWN_KEY, apply->place.file, node->key_line,
                           node->key_column, "unknown key %s", quoted);
    }
    return ft_diag_set(reterr_diag, FT_E_UNKNOWN_KEY, apply->place.file, node->key_line,
                       node->key_column, "unknown key %s; did you mean \"%s\"?", quoted, best);
}

/*
 * The nearest whole name; if there is none, an option whose last part is the key that was written:
 * then the key only stands in the wrong section.
 */
static void suggest_key(const struct ft_option_table *table, const char *key, const char *full,
                        char *best, size_t size)
{
    struct ft_suggest whole = {.word = full};
    struct ft_suggest last = {.word = key};
    const char *moved = "";
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if ((option->flags & FT_OPTION_CLI_ONLY) != 0) {
            continue;
        }
        char section[FT_OPTIONS_NAME_SIZE];
        (void)snprintf(section, sizeof section, "%s", option->name);
        for (char *dot = strrchr(section, '.'); dot != NULL; dot = strrchr(section, '.')) {
            *dot = '\0';
            ft_suggest_offer(&whole, section);
        }
        ft_suggest_offer(&whole, option->name);
        const char *dot = strrchr(option->name, '.');
        size_t distance = last.best[0] != '\0' ? last.best_distance : SIZE_MAX;
        ft_suggest_offer(&last, dot != NULL ? dot + 1 : option->name);
        if (last.best[0] != '\0' && last.best_distance < distance) {
            moved = option->name;
        }
    }
    (void)snprintf(best, size, "%s", whole.best[0] != '\0' ? whole.best : moved);
}
