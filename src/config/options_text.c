/* SPDX-License-Identifier: Apache-2.0 */
/* YAML made from a table: the effective configuration, and the commented example. */
#include <stdio.h>
#include <string.h>

#include "config/option_value.h"
#include "config/wrap.h"

#define LINE_WIDTH   100
#define ORIGIN_FIELD 40 /* Origins begin at this column where the value leaves room. */

static void dump_item_list(const struct ft_option *option, const struct ft_structs *list,
                           unsigned indent, struct ft_buf *out);
static unsigned open_sections(const char *name, const char *previous, struct ft_buf *out);
static const char *last_part(const char *name);
static void add_indent(struct ft_buf *out, unsigned indent);
static void add_origin(struct ft_buf *out, size_t line_start, const char *origin);
static void example_option(const struct ft_option *option, struct ft_buf *out);

void ft_options_dump(const struct ft_option_table *table, const void *options,
                     const struct ft_options_report *report, struct ft_buf *out)
{
    const char *previous = "";
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if ((option->flags & FT_OPTION_CLI_ONLY) != 0) {
            continue;
        }
        const void *member = ft_option_member_const(option, options);
        unsigned indent = open_sections(option->name, previous, out);
        previous = option->name;
        size_t line_start = out->size;
        add_indent(out, indent);
        ft_buf_addf(out, "%s:", last_part(option->name));
        bool empty = ft_option_value_empty(option, member);
        if (option->kind != FT_OPTION_STRUCTS) {
            ft_buf_add_char(out, ' ');
            ft_option_value_format(option, member, out);
        } else if (empty) {
            ft_buf_add_str(out, " []");
        }
        if (report != NULL) {
            add_origin(out, line_start, ft_options_report_origin(report, option));
        }
        ft_buf_add_char(out, '\n');
        if (option->kind == FT_OPTION_STRUCTS && !empty) {
            dump_item_list(option, member, indent + 1, out);
        }
    }
}

void ft_options_example(const struct ft_option_table *table, struct ft_buf *out)
{
    char title[FT_OPTIONS_NAME_SIZE];
    char last_title[FT_OPTIONS_NAME_SIZE] = "";
    for (size_t i = 0; i < table->n_options; i++) {
        const struct ft_option *option = &table->options[i];
        if ((option->flags & FT_OPTION_CLI_ONLY) != 0) {
            continue;
        }
        ft_option_group_title(table, option, title, sizeof title);
        if (strcmp(title, last_title) != 0) {
            ft_buf_addf(out, "%s# ---- %s ----\n", i > 0 ? "\n" : "", title);
            memcpy(last_title, title, sizeof title);
        }
        ft_buf_add_char(out, '\n');
        example_option(option, out);
    }
}

/* The full name on one line, so that taking one '#' away is all that it needs. */
static void example_option(const struct ft_option *option, struct ft_buf *out)
{
    struct ft_buf text;
    char allowed[256];
    ft_buf_init(&text, 0);
    ft_option_allowed(option, allowed, sizeof allowed);
    ft_buf_add_str(&text, option->help);
    if (allowed[0] != '\0' && option->kind != FT_OPTION_BOOL) {
        ft_buf_addf(&text, " (%s)", allowed);
    }
    ft_wrap(ft_buf_str(&text), "# ", LINE_WIDTH, out);
    ft_buf_deinit(&text);
    ft_buf_addf(out, "#%s: ", option->name);
    const char *value = option->default_text != NULL ? option->default_text : "";
    if (option->kind == FT_OPTION_STRUCTS || option->kind == FT_OPTION_STRINGS) {
        ft_buf_addf(out, "[%s]", value);
    } else if (ft_option_is_text(option)) {
        ft_buf_addf(out, "\"%s\"", value);
    } else if (value[0] != '\0') {
        ft_buf_add_str(out, value);
    } else if (option->kind == FT_OPTION_BOOL) {
        ft_buf_add_str(out, "false");
    } else {
        ft_buf_add_str(out, option->kind == FT_OPTION_ENUM ? option->names[0] : "0");
    }
    ft_buf_add_char(out, '\n');
}

/* Items keep their dotted names: they load the same, and need no sections inside a list. */
static void dump_item_list(const struct ft_option *option, const struct ft_structs *list,
                           unsigned indent, struct ft_buf *out)
{
    const struct ft_option_table *table = option->items;
    for (size_t i = 0; i < list->n; i++) {
        const char *item = (const char *)list->items + i * table->struct_size;
        for (size_t k = 0; k < table->n_options; k++) {
            const struct ft_option *field = &table->options[k];
            const void *member = item + field->offset;
            add_indent(out, indent);
            ft_buf_addf(out, "%s%s:", k == 0 ? "- " : "  ", field->name);
            if (field->kind != FT_OPTION_STRUCTS) {
                ft_buf_add_char(out, ' ');
                ft_option_value_format(field, member, out);
                ft_buf_add_char(out, '\n');
            } else if (ft_option_value_empty(field, member)) {
                ft_buf_add_str(out, " []\n");
            } else {
                ft_buf_add_char(out, '\n');
                dump_item_list(field, member, indent + 2, out);
            }
        }
    }
}

/* Writes the headings of 'name' that 'previous' was not under; returns how deep the name stands. */
static unsigned open_sections(const char *name, const char *previous, struct ft_buf *out)
{
    unsigned depth = 0;
    bool shared = true;
    const char *part = name;
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(part, '.')) {
        size_t len = (size_t)(dot + 1 - name);
        shared = shared && strncmp(previous, name, len) == 0;
        if (!shared) {
            ft_buf_addf(out, "%*s%.*s:\n", (int)(2 * depth), "", (int)(dot - part), part);
        }
        depth++;
        part = dot + 1;
    }
    return depth;
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

static void add_indent(struct ft_buf *out, unsigned indent)
{
    ft_buf_addf(out, "%*s", (int)(2 * indent), "");
}

static void add_origin(struct ft_buf *out, size_t line_start, const char *origin)
{
    size_t used = 0;
    for (size_t i = line_start; i < out->size; i++) {
        used += (out->data[i] & 0xc0) != 0x80 ? 1 : 0; /* Characters of UTF-8. */
    }
    int pad = used + 2 < ORIGIN_FIELD ? (int)(ORIGIN_FIELD - used) : 2;
    ft_buf_addf(out, "%*s# %s", pad, "", origin);
}
