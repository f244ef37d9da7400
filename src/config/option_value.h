/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of one option: from text and from YAML nodes into the struct's member, back to text,
 * copying, comparing, freeing.  Inside this folder only.
 *
 * Thread: any.
 */
#ifndef FT_CONFIG_OPTION_VALUE_H
#define FT_CONFIG_OPTION_VALUE_H 1

#include "config/options.h"
#include "config/yaml_tree.h"

/* Where a value stands and how its author calls it: for messages. */
struct ft_option_place {
    const char *file; /* "" for environment and flags. */
    unsigned line;
    unsigned column;
    const char *name;         /* "log.bytes_max", "FLOWTRAIL_LOG_BYTES_MAX", "--log-bytes-max" */
    char *const *environment; /* For systemd's directories; may be NULL. */
};

/* The member of 'options' that 'option' is bound to. */
static inline void *ft_option_member(const struct ft_option *option, void *options)
{
    return (char *)options + option->offset;
}

static inline const void *ft_option_member_const(const struct ft_option *option,
                                                 const void *options)
{
    return (const char *)options + option->offset;
}

/*
 * Sets '*member', which holds a valid value that is freed.  On failure it is untouched.  Fails with
 * FT_E_SYNTAX, FT_E_RANGE, FT_E_UNKNOWN_KEY (inside lists of mappings), -ENOMEM.
 */
FT_MUST_USE ft_err ft_option_value_parse(const struct ft_option *option,
                                         const struct ft_option_place *place, const char *text,
                                         void *member, struct ft_diag *reterr_diag);

/* The same from a node of the file place->file; line and column of 'place' are not looked at. */
FT_MUST_USE ft_err ft_option_value_from_node(const struct ft_option *option,
                                             const struct ft_option_place *place,
                                             const struct ft_yaml_node *node, void *member,
                                             struct ft_diag *reterr_diag);

/* For a list of strings: adds what 'text' says instead of replacing. */
FT_MUST_USE ft_err ft_option_value_append(const struct ft_option *option,
                                          const struct ft_option_place *place, const char *text,
                                          void *member, struct ft_diag *reterr_diag);

/* Frees what the member owns and zeroes it. */
void ft_option_value_free(const struct ft_option *option, void *member);

/* '*to' has any content. */
FT_MUST_USE ft_err ft_option_value_copy(const struct ft_option *option, const void *from, void *to);

bool ft_option_value_equal(const struct ft_option *option, const void *a, const void *b);

/* Text and lists: whether there is none.  Other kinds are never empty. */
bool ft_option_value_empty(const struct ft_option *option, const void *member);

/* As YAML on one line; not for FT_OPTION_STRUCTS.  A secret becomes "<redacted>". */
void ft_option_value_format(const struct ft_option *option, const void *member, struct ft_buf *out);

/* "allowed: 1MiB to 64GiB", or "" when there is nothing to say. */
void ft_option_allowed(const struct ft_option *option, char *buf, size_t size);

/* "SIZE", "DURATION", "FILE": what help calls the value; "" for a bool. */
const char *ft_option_value_name(const struct ft_option *option);

/* The heading over an option: the title of the longest group that its name is in; else the first
 * part of the name; else "General". */
void ft_option_group_title(const struct ft_option_table *table, const struct ft_option *option,
                           char *title, size_t size);

/* Whether the value is owned text. */
bool ft_option_is_text(const struct ft_option *option);

/* Applies a mapping to the options of 'table'; what options_load.c and lists of mappings share. */
typedef void ft_option_seen_fn(void *ctx, const struct ft_option *option,
                               const struct ft_yaml_node *node);

struct ft_option_apply {
    const struct ft_option_table *table;
    void *options;
    struct ft_option_place
        place;               /* 'file' and 'environment'; 'name' is what stands before names. */
    bool remote;             /* FT_OPTION_LOCAL is refused. */
    ft_option_seen_fn *seen; /* Called for each option set; NULL: not. */
    void *seen_ctx;
    unsigned lines[FT_OPTIONS_N_MAX]; /* Where each option was given, 0: not.  Starts zeroed. */
};

FT_MUST_USE ft_err ft_option_apply_map(struct ft_option_apply *apply,
                                       const struct ft_yaml_node *map, const char *prefix,
                                       struct ft_diag *reterr_diag);

#endif
