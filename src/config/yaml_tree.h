/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text as a small tree in which every node knows its line and column.
 *
 * This is libyaml's event parser and nothing more: it knows no options.  It takes the part of YAML
 * that a person writes into a configuration file and refuses the rest with a position: more than
 * one document, anchors and aliases (they make small files huge), tags, tabs as indentation, NUL
 * bytes, duplicate keys, keys that are not plain text.
 *
 * Bounds: FT_YAML_SIZE_MAX, FT_YAML_DEPTH_MAX, FT_YAML_NODES_MAX; past them the text is refused.
 *
 * Thread: any; a finished tree is immutable.
 */
#ifndef FT_CONFIG_YAML_TREE_H
#define FT_CONFIG_YAML_TREE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FT_YAML_SIZE_MAX  (1024 * 1024) /* Bytes of one file. */
#define FT_YAML_DEPTH_MAX 16            /* Mappings and sequences inside each other. */
#define FT_YAML_NODES_MAX 100000        /* Nodes of one file, keys not counted. */

enum ft_yaml_kind {
    FT_YAML_NULL, /* Nothing, "~" or "null", unquoted. */
    FT_YAML_SCALAR,
    FT_YAML_LIST,
    FT_YAML_MAP
};

/* Everything in a node belongs to the tree. */
struct ft_yaml_node {
    enum ft_yaml_kind kind;
    bool quoted;      /* A scalar in quotes or a block scalar: text, whatever it looks like. */
    unsigned line;    /* Where the value begins, from 1. */
    unsigned column;  /* In characters, from 1. */
    const char *text; /* FT_YAML_SCALAR and FT_YAML_NULL: UTF-8, ends with NUL, has none inside. */
    size_t len;
    const char *key; /* In a mapping; else NULL. */
    unsigned key_line;
    unsigned key_column;
    uint32_t n_children;
    const struct ft_yaml_node *first; /* First child, in file order. */
    const struct ft_yaml_node *next;  /* Next sibling. */
};

struct ft_yaml_tree;

/*
 * Parses 'size' bytes.  'file' is only a name for messages and is copied.  Text without any content
 * is an empty mapping.  Fails with FT_E_SYNTAX (malformed or refused), FT_E_RANGE (past a bound),
 * -ENOMEM; '*reterr_diag' says where.
 */
FT_MUST_USE ft_err ft_yaml_parse(const char *text, size_t size, const char *file,
                                 struct ft_yaml_tree **ret_tree, struct ft_diag *reterr_diag);

/* The same for a file, which must be a regular file; also fails with the system's error. */
FT_MUST_USE ft_err ft_yaml_load(const char *path, struct ft_yaml_tree **ret_tree,
                                struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_yaml_tree_destroy(struct ft_yaml_tree *tree);
FT_DEFINE_CLEANUP(struct ft_yaml_tree, ft_yaml_tree_destroy);

const struct ft_yaml_node *ft_yaml_tree_get_root(const struct ft_yaml_tree *tree);
const char *ft_yaml_tree_get_file(const struct ft_yaml_tree *tree);

/* The value of 'key' in a mapping; NULL when there is none or 'node' is no mapping. */
const struct ft_yaml_node *ft_yaml_find(const struct ft_yaml_node *node, const char *key);

/* "a mapping", "a list", "text": for messages. */
const char *ft_yaml_kind_text(enum ft_yaml_kind kind);

#endif
