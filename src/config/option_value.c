/* SPDX-License-Identifier: Apache-2.0 */
#include "config/option_value.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "config/text_check.h"

/* Directories that systemd makes, which only the environment names. */
struct directory {
    enum ft_option_kind kind; /* Of the options that may begin with it. */
    const char *variable;
    const char *setting; /* Of the unit. */
};

static ft_err parse_bool(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, bool *member, struct ft_diag *reterr_diag);
static ft_err parse_number(const struct ft_option *o, const struct ft_option_place *place,
                           const char *text, void *member, struct ft_diag *reterr_diag);
static ft_err parse_enum(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, int *member, struct ft_diag *reterr_diag);
static ft_err parse_text(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, char **member, struct ft_diag *reterr_diag);
static ft_err check_text(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, struct ft_diag *reterr_diag);
static const struct directory *find_directory(const struct ft_option *o, const char *text);
static ft_err expand_directory(const struct ft_option_place *place,
                               const struct directory *directory, const char *text, char **ret_text,
                               struct ft_diag *reterr_diag);
static ft_err split_list(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, struct ft_strings *list, struct ft_diag *reterr_diag);
static ft_err list_add(const struct ft_option *o, const struct ft_option_place *place,
                       struct ft_strings *list, const char *text, struct ft_diag *reterr_diag);
static void list_free(struct ft_strings *list);
static ft_err strings_from_node(const struct ft_option *o, const struct ft_option_place *place,
                                const struct ft_yaml_node *node, struct ft_strings *member,
                                struct ft_diag *reterr_diag);
static ft_err structs_from_node(const struct ft_option *o, const struct ft_option_place *place,
                                const struct ft_yaml_node *node, struct ft_structs *member,
                                struct ft_diag *reterr_diag);
static ft_err structs_from_text(const struct ft_option *o, const struct ft_option_place *place,
                                const char *text, struct ft_structs *member,
                                struct ft_diag *reterr_diag);
static ft_err item_from_node(const struct ft_option *o, const struct ft_option_place *place,
                             const struct ft_yaml_node *node, size_t index, void *item,
                             struct ft_diag *reterr_diag);
static ft_err bad(const struct ft_option_place *place, ft_err err, struct ft_diag *reterr_diag,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
static ft_err no_memory(const struct ft_option_place *place, struct ft_diag *reterr_diag);

ft_err ft_option_value_parse(const struct ft_option *option, const struct ft_option_place *place,
                             const char *text, void *member, struct ft_diag *reterr_diag)
{
    switch (option->kind) {
    case FT_OPTION_BOOL:
        return parse_bool(option, place, text, member, reterr_diag);
    case FT_OPTION_U64:
    case FT_OPTION_DURATION:
    case FT_OPTION_SIZE:
        return parse_number(option, place, text, member, reterr_diag);
    case FT_OPTION_ENUM:
        return parse_enum(option, place, text, member, reterr_diag);
    case FT_OPTION_STRING:
    case FT_OPTION_PATH:
    case FT_OPTION_SECRET_FILE:
    case FT_OPTION_SECRET:
        return parse_text(option, place, text, member, reterr_diag);
    case FT_OPTION_STRINGS: {
        struct ft_strings list = {0};
        ft_err err = split_list(option, place, text, &list, reterr_diag);
        if (err != FT_OK) {
            list_free(&list);
            return err;
        }
        ft_option_value_free(option, member);
        *(struct ft_strings *)member = list;
        return FT_OK;
    }
    case FT_OPTION_STRUCTS:
        return structs_from_text(option, place, text, member, reterr_diag);
    case FT_OPTION_KIND_N:
        break;
    }
    assert(false && "unknown kind of option");
    return FT_E_UNSUPPORTED;
}

ft_err ft_option_value_from_node(const struct ft_option *option,
                                 const struct ft_option_place *place,
                                 const struct ft_yaml_node *node, void *member,
                                 struct ft_diag *reterr_diag)
{
    struct ft_option_place here = *place;
    here.line = node->line;
    here.column = node->column;
    if (node->kind == FT_YAML_NULL) {
        return bad(&here, FT_E_SYNTAX, reterr_diag,
                   "has no value; leave the key out to have the default");
    }
    if (option->kind == FT_OPTION_STRINGS) {
        return strings_from_node(option, &here, node, member, reterr_diag);
    }
    if (option->kind == FT_OPTION_STRUCTS) {
        return structs_from_node(option, &here, node, member, reterr_diag);
    }
    if (node->kind != FT_YAML_SCALAR) {
        return bad(&here, FT_E_SYNTAX, reterr_diag, "a single value is wanted here, not %s",
                   ft_yaml_kind_text(node->kind));
    }
    return ft_option_value_parse(option, &here, node->text, member, reterr_diag);
}

ft_err ft_option_value_append(const struct ft_option *option, const struct ft_option_place *place,
                              const char *text, void *member, struct ft_diag *reterr_diag)
{
    assert(option->kind == FT_OPTION_STRINGS);
    struct ft_strings *list = member;
    size_t n = list->n;
    ft_err err = split_list(option, place, text, list, reterr_diag);
    while (err != FT_OK && list->n > n) {
        free(list->items[--list->n]);
    }
    return err;
}

static ft_err parse_bool(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, bool *member, struct ft_diag *reterr_diag)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    (void)o;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (unsigned value = 0; value < 2; value++) {
            if (strcasecmp(text, words[i][value]) == 0) {
                *member = value != 0;
                return FT_OK;
            }
        }
    }
    char quoted[FT_TEXT_QUOTE_SIZE];
    ft_text_quote(text, quoted);
    return bad(place, FT_E_SYNTAX, reterr_diag, "%s is not a switch; allowed: true, false", quoted);
}

static ft_err parse_number(const struct ft_option *o, const struct ft_option_place *place,
                           const char *text, void *member, struct ft_diag *reterr_diag)
{
    uint64_t value = 0;
    ft_err err;
    const char *form;
    if (o->kind == FT_OPTION_DURATION) {
        int64_t ns = 0;
        err = ft_parse_duration(text, &ns);
        if (err == FT_OK && ns < 0) {
            err = FT_E_RANGE;
        }
        value = (uint64_t)ns;
        form = "a duration such as 250ms, 5s or 1h30m";
    } else if (o->kind == FT_OPTION_SIZE) {
        err = ft_parse_size(text, &value);
        form = "a size such as 4096, 64KiB or 1GiB";
    } else {
        err = ft_parse_u64(text, UINT64_MAX, &value);
        form = "a whole number";
    }
    char quoted[FT_TEXT_QUOTE_SIZE];
    char allowed[160];
    ft_text_quote(text, quoted);
    ft_option_allowed(o, allowed, sizeof allowed);
    const char *separator = allowed[0] != '\0' ? "; " : "";
    if (err == FT_E_SYNTAX) {
        return bad(place, err, reterr_diag, "%s is not %s%s%s", quoted, form, separator, allowed);
    }
    uint64_t max = o->max != 0 ? o->max : UINT64_MAX;
    if (err == FT_OK && (value < o->min || value > max)) {
        err = FT_E_RANGE;
    }
    if (err != FT_OK) {
        return bad(place, err, reterr_diag, "%s is out of range%s%s", quoted, separator, allowed);
    }
    /* int64_t and uint64_t have one representation for what is in range of both. */
    memcpy(member, &value, sizeof value);
    return FT_OK;
}

static ft_err parse_enum(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, int *member, struct ft_diag *reterr_diag)
{
    for (int i = 0; o->names[i] != NULL; i++) {
        if (strcmp(text, o->names[i]) == 0) {
            *member = i;
            return FT_OK;
        }
    }
    char quoted[FT_TEXT_QUOTE_SIZE];
    char allowed[256];
    ft_text_quote(text, quoted);
    ft_option_allowed(o, allowed, sizeof allowed);
    return bad(place, FT_E_SYNTAX, reterr_diag, "%s is not known here; %s", quoted, allowed);
}

static ft_err parse_text(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, char **member, struct ft_diag *reterr_diag)
{
    char *copy = NULL;
    const struct directory *directory = find_directory(o, text);
    if (directory != NULL) {
        FT_TRY(expand_directory(place, directory, text, &copy, reterr_diag));
    } else {
        copy = strdup(text);
        if (copy == NULL) {
            return no_memory(place, reterr_diag);
        }
    }
    ft_err err = check_text(o, place, copy, reterr_diag);
    if (err != FT_OK) {
        explicit_bzero(copy, strlen(copy));
        free(copy);
        return err;
    }
    ft_option_value_free(o, member);
    *member = copy;
    return FT_OK;
}

static ft_err check_text(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, struct ft_diag *reterr_diag)
{
    bool list = o->kind == FT_OPTION_STRINGS;
    size_t len = strlen(text);
    size_t max = o->max != 0 && !list ? o->max : FT_OPTIONS_TEXT_MAX;
    if (len > max) {
        return bad(place, FT_E_RANGE, reterr_diag, "%zu bytes are too long; allowed: at most %zu",
                   len, max);
    }
    if (len > 0 && !list && len < o->min) {
        return bad(place, FT_E_RANGE, reterr_diag, "%zu bytes are too short; allowed: at least %zu",
                   len, (size_t)o->min);
    }
    const char *why_not = ft_text_printable(text);
    if (why_not != NULL) {
        return bad(place, FT_E_SYNTAX, reterr_diag, "%s", why_not);
    }
    char quoted[FT_TEXT_QUOTE_SIZE];
    ft_text_quote(o->kind == FT_OPTION_SECRET ? "(hidden)" : text, quoted);
    bool path = o->kind == FT_OPTION_PATH || o->kind == FT_OPTION_SECRET_FILE;
    if (path && len > 0 && text[0] != '/') {
        return bad(place, FT_E_SYNTAX, reterr_diag,
                   "%s is not an absolute path; allowed: a path that begins with /", quoted);
    }
    char why[256] = "";
    if (o->check != NULL && len > 0 && !o->check(text, why, sizeof why)) {
        return bad(place, FT_E_SYNTAX, reterr_diag, "%s is not valid; allowed: %s", quoted, why);
    }
    return FT_OK;
}

static const struct directory *find_directory(const struct ft_option *o, const char *text)
{
    static const struct directory directories[] = {
        {FT_OPTION_SECRET_FILE, "CREDENTIALS_DIRECTORY", "LoadCredential="},
        {FT_OPTION_PATH, "STATE_DIRECTORY", "StateDirectory="}};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        size_t len = strlen(directories[i].variable);
        if (o->kind == directories[i].kind && text[0] == '$' &&
            strncmp(text + 1, directories[i].variable, len) == 0 && text[1 + len] == '/') {
            return &directories[i];
        }
    }
    return NULL;
}

static ft_err expand_directory(const struct ft_option_place *place,
                               const struct directory *directory, const char *text, char **ret_text,
                               struct ft_diag *reterr_diag)
{
    size_t len = strlen(directory->variable);
    const char *path = NULL;
    for (char *const *entry = place->environment; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, directory->variable, len) == 0 && (*entry)[len] == '=') {
            path = *entry + len + 1;
        }
    }
    if (path == NULL || path[0] == '\0') {
        return bad(place, FT_E_SYNTAX, reterr_diag, "%s is not set; %s in the unit sets it",
                   directory->variable, directory->setting);
    }
    /* Of several, with colons between them, the first. */
    if (asprintf(ret_text, "%.*s%s", (int)strcspn(path, ":"), path, text + 1 + len) < 0) {
        return no_memory(place, reterr_diag);
    }
    return FT_OK;
}

/* Adds the parts between commas; white space around them is dropped. */
static ft_err split_list(const struct ft_option *o, const struct ft_option_place *place,
                         const char *text, struct ft_strings *list, struct ft_diag *reterr_diag)
{
    const char *at = text + strspn(text, " ");
    while (*at != '\0') {
        size_t len = strcspn(at, ",");
        size_t end = len;
        while (end > 0 && at[end - 1] == ' ') {
            end--;
        }
        char *part = strndup(at, end);
        if (part == NULL) {
            return no_memory(place, reterr_diag);
        }
        ft_err err = part[0] != '\0'
                         ? list_add(o, place, list, part, reterr_diag)
                         : bad(place, FT_E_SYNTAX, reterr_diag, "empty entry in a list");
        free(part);
        FT_TRY(err);
        at += len;
        if (*at == ',') {
            at++;
            at += strspn(at, " ");
            if (*at == '\0') {
                return bad(place, FT_E_SYNTAX, reterr_diag, "empty entry in a list");
            }
        }
    }
    return FT_OK;
}

static ft_err list_add(const struct ft_option *o, const struct ft_option_place *place,
                       struct ft_strings *list, const char *text, struct ft_diag *reterr_diag)
{
    size_t max = o->max != 0 ? o->max : FT_OPTIONS_LIST_MAX;
    if (list->n >= max) {
        return bad(place, FT_E_RANGE, reterr_diag, "too many entries; allowed: %zu", max);
    }
    FT_TRY(check_text(o, place, text, reterr_diag));
    char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (items == NULL) {
        return no_memory(place, reterr_diag);
    }
    list->items = items;
    items[list->n] = strdup(text);
    if (items[list->n] == NULL) {
        return no_memory(place, reterr_diag);
    }
    list->n++;
    return FT_OK;
}

static void list_free(struct ft_strings *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct ft_strings){0};
}

static ft_err strings_from_node(const struct ft_option *o, const struct ft_option_place *place,
                                const struct ft_yaml_node *node, struct ft_strings *member,
                                struct ft_diag *reterr_diag)
{
    if (node->kind != FT_YAML_LIST) {
        return bad(place, FT_E_SYNTAX, reterr_diag, "a list is wanted here, such as [a, b], not %s",
                   ft_yaml_kind_text(node->kind));
    }
    struct ft_strings list = {0};
    ft_err err = FT_OK;
    for (const struct ft_yaml_node *child = node->first; child != NULL && err == FT_OK;
         child = child->next) {
        struct ft_option_place here = *place;
        here.line = child->line;
        here.column = child->column;
        if (child->kind != FT_YAML_SCALAR || child->len == 0) {
            err = bad(&here, FT_E_SYNTAX, reterr_diag, "an entry of this list is text, not %s",
                      child->kind == FT_YAML_SCALAR ? "empty" : ft_yaml_kind_text(child->kind));
        } else {
            err = list_add(o, &here, &list, child->text, reterr_diag);
        }
    }
    if (err != FT_OK) {
        list_free(&list);
        return err;
    }
    list_free(member);
    *member = list;
    return FT_OK;
}

static ft_err structs_from_node(const struct ft_option *o, const struct ft_option_place *place,
                                const struct ft_yaml_node *node, struct ft_structs *member,
                                struct ft_diag *reterr_diag)
{
    size_t max = o->max != 0 ? o->max : FT_OPTIONS_LIST_MAX;
    if (node->kind != FT_YAML_LIST) {
        return bad(place, FT_E_SYNTAX, reterr_diag, "a list of mappings is wanted here, not %s",
                   ft_yaml_kind_text(node->kind));
    }
    if (node->n_children > max) {
        return bad(place, FT_E_RANGE, reterr_diag, "%u entries are too many; allowed: %zu",
                   node->n_children, max);
    }
    struct ft_structs list = {0};
    if (node->n_children > 0) {
        list.items = calloc(node->n_children, o->items->struct_size);
        if (list.items == NULL) {
            return no_memory(place, reterr_diag);
        }
    }
    ft_err err = FT_OK;
    for (const struct ft_yaml_node *child = node->first; child != NULL && err == FT_OK;
         child = child->next) {
        char *item = (char *)list.items + list.n * o->items->struct_size;
        err = item_from_node(o, place, child, list.n, item, reterr_diag);
        list.n++; /* An item that failed is to be freed as well. */
    }
    if (err != FT_OK) {
        ft_option_value_free(o, &list);
        return err;
    }
    ft_option_value_free(o, member);
    *member = list;
    return FT_OK;
}

static ft_err item_from_node(const struct ft_option *o, const struct ft_option_place *place,
                             const struct ft_yaml_node *node, size_t index, void *item,
                             struct ft_diag *reterr_diag)
{
    char name[FT_OPTIONS_NAME_SIZE + 32];
    (void)snprintf(name, sizeof name, "%s[%zu].", place->name, index);
    struct ft_option_apply apply = {
        .table = o->items, .options = item, .place = *place, .remote = false};
    apply.place.name = name;
    struct ft_option_place here = *place;
    here.line = node->line;
    here.column = node->column;
    ft_err err = ft_options_init(o->items, item);
    if (err != FT_OK) {
        return no_memory(&here, reterr_diag);
    }
    if (node->kind != FT_YAML_MAP) {
        return bad(&here, FT_E_SYNTAX, reterr_diag, "an entry of this list is a mapping, not %s",
                   ft_yaml_kind_text(node->kind));
    }
    FT_TRY(ft_option_apply_map(&apply, node, "", reterr_diag));
    for (size_t i = 0; i < o->items->n_options; i++) {
        const struct ft_option *field = &o->items->options[i];
        if ((field->flags & FT_OPTION_REQUIRED) != 0 &&
            ft_option_value_empty(field, ft_option_member_const(field, item))) {
            return bad(&here, FT_E_SYNTAX, reterr_diag, "entry %zu needs \"%s\"", index,
                       field->name);
        }
    }
    struct ft_diag why = {0};
    err = o->items->check != NULL ? o->items->check(item, &why) : FT_OK;
    return err == FT_OK ? FT_OK : bad(&here, err, reterr_diag, "entry %zu: %s", index, why.text);
}

static ft_err structs_from_text(const struct ft_option *o, const struct ft_option_place *place,
                                const char *text, struct ft_structs *member,
                                struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = NULL;
    struct ft_option_place here = *place;
    here.file = place->file[0] != '\0' ? place->file : place->name;
    FT_TRY(ft_yaml_parse(text, strlen(text), here.file, &tree, reterr_diag));
    const struct ft_yaml_node *root = ft_yaml_tree_get_root(tree);
    here.name = o->name;
    here.line = root->line;
    here.column = root->column;
    return structs_from_node(o, &here, root, member, reterr_diag);
}

static ft_err bad(const struct ft_option_place *place, ft_err err, struct ft_diag *reterr_diag,
                  const char *format, ...)
{
    char text[FT_DIAG_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ft_diag_set(reterr_diag, err, place->file, place->line, place->column, "%s: %s",
                       place->name, text);
}

static ft_err no_memory(const struct ft_option_place *place, struct ft_diag *reterr_diag)
{
    return bad(place, -ENOMEM, reterr_diag, "out of memory");
}
