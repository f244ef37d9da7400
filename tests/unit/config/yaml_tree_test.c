/* SPDX-License-Identifier: Apache-2.0 */
#include "config/yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "lib/test.h"

static struct ft_yaml_tree *parse(const char *text)
{
    struct ft_yaml_tree *tree = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_yaml_parse(text, strlen(text), "t.yaml", &tree, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s: %s", text, diag.text);
    }
    return tree;
}

/* Checks what is refused, as "line:column text". */
static void refused(const char *text, size_t size, ft_err expected, const char *message)
{
    struct ft_yaml_tree *tree = NULL;
    struct ft_diag diag = {0};
    char shown[1200];
    CHECK_ERR(ft_yaml_parse(text, size, "t.yaml", &tree, &diag), expected);
    CHECK(tree == NULL);
    CHECK_STR(diag.file, "t.yaml");
    (void)snprintf(shown, sizeof shown, "%u:%u %s", diag.line, diag.column, diag.text);
    CHECK_STR(shown, message);
}

static void refused_text(const char *text, const char *message)
{
    refused(text, strlen(text), FT_E_SYNTAX, message);
}

TEST(nodes_know_where_they_stand)
{
    FT_CLEANUP(ft_yaml_tree_destroy)
    struct ft_yaml_tree *tree = parse("# comment\n"
                                      "log:\n"
                                      "  bytes_max: 64MiB\n"
                                      "  \"quoted\": \"a: b\"\n"
                                      "list: [1, {x: ~}]\n"
                                      "empty:\n");
    const struct ft_yaml_node *root = ft_yaml_tree_get_root(tree);
    CHECK_INT(root->kind, FT_YAML_MAP);
    CHECK_INT(root->n_children, 3);
    const struct ft_yaml_node *log = ft_yaml_find(root, "log");
    CHECK(log != NULL && log->kind == FT_YAML_MAP);
    CHECK_INT(log->key_line, 2);
    const struct ft_yaml_node *bytes = ft_yaml_find(log, "bytes_max");
    CHECK_STR(bytes->text, "64MiB");
    CHECK_INT(bytes->key_line, 3);
    CHECK_INT(bytes->key_column, 3);
    CHECK_INT(bytes->line, 3);
    CHECK_INT(bytes->column, 14);
    CHECK(!bytes->quoted);
    const struct ft_yaml_node *quoted = ft_yaml_find(log, "quoted");
    CHECK_STR(quoted->text, "a: b");
    CHECK(quoted->quoted);
    const struct ft_yaml_node *list = ft_yaml_find(root, "list");
    CHECK_INT(list->kind, FT_YAML_LIST);
    CHECK_INT(list->n_children, 2);
    CHECK_STR(list->first->text, "1");
    CHECK(list->first->key == NULL);
    CHECK_INT(ft_yaml_find(list->first->next, "x")->kind, FT_YAML_NULL);
    CHECK_INT(ft_yaml_find(root, "empty")->kind, FT_YAML_NULL);
    CHECK(ft_yaml_find(root, "none") == NULL);
    CHECK(ft_yaml_find(bytes, "none") == NULL);
}

TEST(no_content_is_an_empty_mapping)
{
    static const char *const texts[] = {"", "# only a comment\n", "---\n", "~\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = parse(texts[i]);
        CHECK_INT(ft_yaml_tree_get_root(tree)->kind, FT_YAML_MAP);
        CHECK_INT(ft_yaml_tree_get_root(tree)->n_children, 0);
    }
}

TEST(columns_count_characters)
{
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = parse("{ä: ü, b: c}\n");
    CHECK_INT(ft_yaml_find(ft_yaml_tree_get_root(tree), "b")->key_column, 8);
}

TEST(dangerous_yaml_is_refused_with_its_place)
{
    refused_text("a: 1\nb: &x 2\n", "2:4 anchors (&name) are not allowed");
    refused_text("a: &x [1]\n", "1:4 anchors (&name) are not allowed");
    refused_text("a: *x\n", "1:4 aliases (*name) are not allowed");
    refused_text("a: !!str 1\n", "1:4 tags (!name) are not allowed");
    refused_text("a: !x {}\n", "1:4 tags (!name) are not allowed");
    refused_text("a: 1\n---\nb: 2\n", "2:1 only one document per file is allowed");
    refused_text("a: 1\nb: 2\na: 3\n", "3:1 key \"a\" is given twice, first on line 1");
    refused_text("a: {b: 1, c: 2, b: 3}\n", "1:17 key \"b\" is given twice, first on line 1");
    refused_text("a:\n\tb: 1\n", "2:1 a tab cannot indent; use spaces");
    refused_text("[1, 2]: 3\n", "1:1 a key must be plain text");
    refused_text("\"\": 3\n", "1:1 empty key");
    refused_text("a: \"x\\0y\"\n", "1:4 NUL in text");
    refused("a: 1\nb\0: 2\n", 11, FT_E_SYNTAX, "2:2 NUL byte");
}

TEST(malformed_yaml_is_refused_with_its_place)
{
    refused_text("a: [1, 2\n", "2:1 did not find expected ',' or ']', while parsing a flow "
                               "sequence that begins on line 1");
    refused_text("a: 1\n b: 2\n", "2:3 mapping values are not allowed in this context");
    refused_text("a: 1\nb: \x01\n", "2:4 control characters are not allowed");
    refused_text("a: \xff\n", "1:4 invalid leading UTF-8 octet");
}

TEST(bounds_are_kept)
{
    struct ft_buf text;
    ft_buf_init(&text, 0);
    for (unsigned i = 0; i < FT_YAML_DEPTH_MAX; i++) {
        ft_buf_add_char(&text, '[');
    }
    for (unsigned i = 0; i < FT_YAML_DEPTH_MAX; i++) {
        ft_buf_add_char(&text, ']');
    }
    ft_yaml_tree_destroy(parse(ft_buf_str(&text)));
    ft_buf_clear(&text);
    for (unsigned i = 0; i < 100000; i++) {
        ft_buf_add_char(&text, '[');
    }
    refused(text.data, text.size, FT_E_RANGE, "1:17 nested too deeply; allowed: 16 levels");
    ft_buf_clear(&text);
    ft_buf_add_char(&text, '[');
    for (unsigned i = 0; i < FT_YAML_NODES_MAX; i++) {
        ft_buf_add_str(&text, "1,\n");
    }
    refused(text.data, text.size, FT_E_RANGE, "100000:1 too many values; allowed: 100000");
    ft_buf_clear(&text);
    memset(ft_buf_reserve(&text, FT_YAML_SIZE_MAX + 1), ' ', FT_YAML_SIZE_MAX + 1);
    refused(text.data, text.size, FT_E_RANGE,
            "0:0 1048577 bytes are too many; allowed: at most 1048576");
    ft_buf_deinit(&text);
}

TEST(many_keys_are_compared_in_reasonable_time)
{
    struct ft_buf text;
    ft_buf_init(&text, 0);
    for (unsigned i = 0; i < 50000; i++) {
        ft_buf_addf(&text, "k%u: 1\n", i);
    }
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = parse(ft_buf_str(&text));
    CHECK_INT(ft_yaml_tree_get_root(tree)->n_children, 50000);
    ft_buf_deinit(&text);
}

TEST(files_are_read_and_others_refused)
{
    const char *directory = ft_test_tmpdir();
    char path[256];
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = NULL;
    (void)snprintf(path, sizeof path, "%s/a.yaml", directory);
    CHECK_ERR(ft_yaml_load(path, &tree, &diag), ft_err_from_errno(ENOENT));
    CHECK_STR(diag.file, path);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("a: b\n", file) >= 0 && fclose(file) == 0);
    CHECK_OK(ft_yaml_load(path, &tree, &diag));
    CHECK_STR(ft_yaml_find(ft_yaml_tree_get_root(tree), "a")->text, "b");
    CHECK_STR(ft_yaml_tree_get_file(tree), path);
    struct ft_yaml_tree *none = NULL;
    CHECK_ERR(ft_yaml_load(directory, &none, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.text, "not a regular file");
    (void)snprintf(path, sizeof path, "%s/fifo", directory);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_ERR(ft_yaml_load(path, &none, &diag), FT_E_SYNTAX);
}
