/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of option_value.h: what is done with a value once it is there. */
#include "config/option_value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

static void free_text(char **member);
static ft_err copy_strings(const struct ft_strings *from, struct ft_strings *to);
static ft_err copy_structs(const struct ft_option *o, const struct ft_structs *from,
                           struct ft_structs *to);
static bool equal_structs(const struct ft_option *o, const struct ft_structs *a,
                          const struct ft_structs *b);
static void format_text(const char *text, struct ft_buf *out);
static void format_number(const struct ft_option *o, uint64_t value, char *buf, size_t size);

bool ft_option_is_text(const struct ft_option *option)
{
    return option->kind == FT_OPTION_STRING || option->kind == FT_OPTION_PATH ||
           option->kind == FT_OPTION_SECRET_FILE || option->kind == FT_OPTION_SECRET;
}

void ft_option_value_free(const struct ft_option *option, void *member)
{
    if (ft_option_is_text(option)) {
        free_text(member);
    } else if (option->kind == FT_OPTION_STRINGS) {
        struct ft_strings *list = member;
        for (size_t i = 0; i < list->n; i++) {
            free(list->items[i]);
        }
        free(list->items);
        *list = (struct ft_strings){0};
    } else if (option->kind == FT_OPTION_STRUCTS) {
        struct ft_structs *list = member;
        for (size_t i = 0; i < list->n; i++) {
            ft_options_deinit(option->items, (char *)list->items + i * option->items->struct_size);
        }
        free(list->items);
        *list = (struct ft_structs){0};
    }
}

ft_err ft_option_value_copy(const struct ft_option *option, const void *from, void *to)
{
    switch (option->kind) {
    case FT_OPTION_BOOL:
        *(bool *)to = *(const bool *)from;
        return FT_OK;
    case FT_OPTION_U64:
    case FT_OPTION_DURATION:
    case FT_OPTION_SIZE:
        memcpy(to, from, sizeof(uint64_t));
        return FT_OK;
    case FT_OPTION_ENUM:
        memcpy(to, from, sizeof(int));
        return FT_OK;
    case FT_OPTION_STRING:
    case FT_OPTION_PATH:
    case FT_OPTION_SECRET_FILE:
    case FT_OPTION_SECRET: {
        char *copy = strdup(*(char *const *)from);
        *(char **)to = copy;
        return copy != NULL ? FT_OK : -ENOMEM;
    }
    case FT_OPTION_STRINGS:
        return copy_strings(from, to);
    case FT_OPTION_STRUCTS:
        return copy_structs(option, from, to);
    case FT_OPTION_KIND_N:
        break;
    }
    assert(false && "unknown kind of option");
    return FT_E_UNSUPPORTED;
}

bool ft_option_value_equal(const struct ft_option *option, const void *a, const void *b)
{
    switch (option->kind) {
    case FT_OPTION_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case FT_OPTION_U64:
    case FT_OPTION_DURATION:
    case FT_OPTION_SIZE:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case FT_OPTION_ENUM:
        return memcmp(a, b, sizeof(int)) == 0;
    case FT_OPTION_STRING:
    case FT_OPTION_PATH:
    case FT_OPTION_SECRET_FILE:
    case FT_OPTION_SECRET:
        return strcmp(*(char *const *)a, *(char *const *)b) == 0;
    case FT_OPTION_STRINGS: {
        const struct ft_strings *left = a;
        const struct ft_strings *right = b;
        bool equal = left->n == right->n;
        for (size_t i = 0; equal && i < left->n; i++) {
            equal = strcmp(left->items[i], right->items[i]) == 0;
        }
        return equal;
    }
    case FT_OPTION_STRUCTS:
        return equal_structs(option, a, b);
    case FT_OPTION_KIND_N:
        break;
    }
    assert(false && "unknown kind of option");
    return false;
}

bool ft_option_value_empty(const struct ft_option *option, const void *member)
{
    if (ft_option_is_text(option)) {
        return (*(char *const *)member)[0] == '\0';
    }
    if (option->kind == FT_OPTION_STRINGS) {
        return ((const struct ft_strings *)member)->n == 0;
    }
    return option->kind == FT_OPTION_STRUCTS && ((const struct ft_structs *)member)->n == 0;
}

void ft_option_value_format(const struct ft_option *option, const void *member, struct ft_buf *out)
{
    char text[64];
    uint64_t number = 0;
    switch (option->kind) {
    case FT_OPTION_BOOL:
        ft_buf_add_str(out, *(const bool *)member ? "true" : "false");
        break;
    case FT_OPTION_U64:
    case FT_OPTION_DURATION:
    case FT_OPTION_SIZE:
        memcpy(&number, member, sizeof number);
        format_number(option, number, text, sizeof text);
        ft_buf_add_str(out, text);
        break;
    case FT_OPTION_ENUM: {
        int value;
        memcpy(&value, member, sizeof value);
        ft_buf_add_str(out, option->names[value]);
        break;
    }
    case FT_OPTION_STRING:
    case FT_OPTION_PATH:
    case FT_OPTION_SECRET_FILE:
        format_text(*(char *const *)member, out);
        break;
    case FT_OPTION_SECRET:
        format_text((*(char *const *)member)[0] != '\0' ? "<redacted>" : "", out);
        break;
    case FT_OPTION_STRINGS: {
        const struct ft_strings *list = member;
        ft_buf_add_char(out, '[');
        for (size_t i = 0; i < list->n; i++) {
            ft_buf_add_str(out, i > 0 ? ", " : "");
            format_text(list->items[i], out);
        }
        ft_buf_add_char(out, ']');
        break;
    }
    case FT_OPTION_STRUCTS:
    case FT_OPTION_KIND_N:
        assert(false && "has no form on one line");
        break;
    }
}

void ft_option_allowed(const struct ft_option *option, char *buf, size_t size)
{
    buf[0] = '\0';
    if (option->kind == FT_OPTION_BOOL) {
        (void)snprintf(buf, size, "allowed: true, false");
    } else if (option->kind == FT_OPTION_ENUM) {
        size_t at = (size_t)snprintf(buf, size, "allowed: ");
        for (size_t i = 0; option->names[i] != NULL && at < size; i++) {
            at +=
                (size_t)snprintf(buf + at, size - at, "%s%s", i > 0 ? ", " : "", option->names[i]);
        }
    } else if (option->kind == FT_OPTION_U64 || option->kind == FT_OPTION_DURATION ||
               option->kind == FT_OPTION_SIZE) {
        char min[64];
        char max[64];
        format_number(option, option->min, min, sizeof min);
        format_number(option, option->max, max, sizeof max);
        bool bounded = option->max != 0 && option->max < INT64_MAX;
        if (bounded) {
            (void)snprintf(buf, size, "allowed: %s to %s", min, max);
        } else if (option->min > 0) {
            (void)snprintf(buf, size, "allowed: at least %s", min);
        }
    }
}

const char *ft_option_value_name(const struct ft_option *option)
{
    static const char *const names[FT_OPTION_KIND_N] = {
        [FT_OPTION_BOOL] = "",
        [FT_OPTION_U64] = "N",
        [FT_OPTION_DURATION] = "DURATION",
        [FT_OPTION_SIZE] = "SIZE",
        [FT_OPTION_ENUM] = "WORD",
        [FT_OPTION_STRING] = "TEXT",
        [FT_OPTION_PATH] = "PATH",
        [FT_OPTION_SECRET_FILE] = "PATH",
        [FT_OPTION_SECRET] = "TEXT",
        [FT_OPTION_STRINGS] = "A,B",
        [FT_OPTION_STRUCTS] = "YAML",
    };
    return option->value_name != NULL ? option->value_name : names[option->kind];
}

static void free_text(char **member)
{
    /* Any text may turn out to be somebody's secret; wiping costs nothing here. */
    if (*member != NULL) {
        explicit_bzero(*member, strlen(*member));
    }
    free(*member);
    *member = NULL;
}

static ft_err copy_strings(const struct ft_strings *from, struct ft_strings *to)
{
    *to = (struct ft_strings){0};
    if (from->n == 0) {
        return FT_OK;
    }
    to->items = calloc(from->n, sizeof *to->items);
    if (to->items == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n; i++) {
        to->items[i] = strdup(from->items[i]);
        if (to->items[i] == NULL) {
            return -ENOMEM; /* The owner frees what is there. */
        }
        to->n++;
    }
    return FT_OK;
}

static ft_err copy_structs(const struct ft_option *o, const struct ft_structs *from,
                           struct ft_structs *to)
{
    size_t size = o->items->struct_size;
    *to = (struct ft_structs){0};
    if (from->n == 0) {
        return FT_OK;
    }
    to->items = calloc(from->n, size);
    if (to->items == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < from->n; i++) {
        FT_TRY(ft_options_dup(o->items, (const char *)from->items + i * size,
                              (char *)to->items + i * size));
        to->n++;
    }
    return FT_OK;
}

static bool equal_structs(const struct ft_option *o, const struct ft_structs *a,
                          const struct ft_structs *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        const char *left = (const char *)a->items + i * o->items->struct_size;
        const char *right = (const char *)b->items + i * o->items->struct_size;
        for (size_t k = 0; k < o->items->n_options; k++) {
            const struct ft_option *field = &o->items->options[k];
            if (!ft_option_value_equal(field, left + field->offset, right + field->offset)) {
                return false;
            }
        }
    }
    return true;
}

/* The text is printable UTF-8, so the quote and the backslash are all that needs care. */
static void format_text(const char *text, struct ft_buf *out)
{
    ft_buf_add_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            ft_buf_add_char(out, '\\');
        }
        ft_buf_add_char(out, *text);
    }
    ft_buf_add_char(out, '"');
}

static void format_number(const struct ft_option *o, uint64_t value, char *buf, size_t size)
{
    if (o->kind == FT_OPTION_DURATION) {
        ft_format_duration(value <= INT64_MAX ? (int64_t)value : INT64_MAX, buf, size);
    } else if (o->kind == FT_OPTION_SIZE) {
        ft_format_size(value, buf, size);
    } else {
        (void)snprintf(buf, size, "%llu", (unsigned long long)value);
    }
}
