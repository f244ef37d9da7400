/* SPDX-License-Identifier: Apache-2.0 */
#include "config/yaml_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/fd.h"

/* Nodes and strings live as long as the tree and are freed with it, so they come from chunks. */
#define CHUNK_SIZE 16384

struct chunk {
    struct chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(max_align_t) unsigned char data[];
};

struct ft_yaml_tree {
    struct chunk *chunks;
    const struct ft_yaml_node *root;
    const char *file;
    uint32_t n_nodes;
};

/* A mapping or list whose end has not come yet. */
struct frame {
    struct ft_yaml_node *node;
    struct ft_yaml_node *last; /* Its last child so far. */
    const char *key;           /* The key that waits for its value; NULL: the next scalar is one. */
    unsigned key_line;
    unsigned key_column;
};

struct builder {
    struct ft_yaml_tree *tree;
    const char *text;
    size_t size;
    struct ft_diag *diag;
    yaml_parser_t parser;
    struct frame frames[FT_YAML_DEPTH_MAX];
    unsigned depth;
    bool has_document;
};

static ft_err check_bytes(const struct builder *b);
static ft_err parse_events(struct builder *b);
static ft_err on_event(struct builder *b, const yaml_event_t *event);
static ft_err on_scalar(struct builder *b, const yaml_event_t *event);
static ft_err begin_collection(struct builder *b, const yaml_event_t *event);
static ft_err end_collection(struct builder *b);
static ft_err add_node(struct builder *b, const yaml_mark_t *mark, struct ft_yaml_node **ret_node);
static ft_err check_duplicates(struct builder *b, const struct ft_yaml_node *map);
static ft_err parser_error(struct builder *b);
static ft_err refuse(struct builder *b, const yaml_mark_t *mark, const char *why);
static bool is_null_text(const char *text, size_t len);
static void *arena_alloc(struct ft_yaml_tree *tree, size_t size);
static char *arena_text(struct ft_yaml_tree *tree, const char *text, size_t len);
static ft_err read_whole(int fd, const char *path, char *buf, size_t *ret_size,
                         struct ft_diag *reterr_diag);

ft_err ft_yaml_parse(const char *text, size_t size, const char *file,
                     struct ft_yaml_tree **ret_tree, struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL || (tree->file = arena_text(tree, file, strlen(file))) == NULL) {
        return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
    }
    struct builder b = {.tree = tree, .text = text, .size = size, .diag = reterr_diag};
    if (size > FT_YAML_SIZE_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, file, 0, 0,
                           "%zu bytes are too many; allowed: at most %d", size, FT_YAML_SIZE_MAX);
    }
    FT_TRY(check_bytes(&b));
    if (yaml_parser_initialize(&b.parser) == 0) {
        return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    ft_err err = parse_events(&b);
    yaml_parser_delete(&b.parser);
    if (err != FT_OK) {
        return err;
    }
    if (tree->root == NULL || tree->root->kind == FT_YAML_NULL) {
        struct ft_yaml_node *empty = arena_alloc(tree, sizeof *empty);
        if (empty == NULL) {
            return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
        }
        *empty = (struct ft_yaml_node){.kind = FT_YAML_MAP, .line = 1, .column = 1};
        tree->root = empty;
    }
    *ret_tree = FT_TAKE(tree);
    return FT_OK;
}

ft_err ft_yaml_load(const char *path, struct ft_yaml_tree **ret_tree, struct ft_diag *reterr_diag)
{
    /* O_NONBLOCK: opening a FIFO by mistake must not hang the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        ft_err err = ft_err_last();
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot open: %s", ft_err_text(err));
    }
    char *text = malloc(FT_YAML_SIZE_MAX + 1);
    size_t size = 0;
    ft_err err = text != NULL ? read_whole(fd, path, text, &size, reterr_diag)
                              : ft_diag_set(reterr_diag, -ENOMEM, path, 0, 0, "out of memory");
    ft_fd_close(&fd);
    if (err == FT_OK) {
        err = ft_yaml_parse(text, size, path, ret_tree, reterr_diag);
    }
    if (text != NULL) {
        /* A configuration may hold secrets. */
        explicit_bzero(text, size);
    }
    free(text);
    return err;
}

void ft_yaml_tree_destroy(struct ft_yaml_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    for (struct chunk *chunk = tree->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;
        explicit_bzero(chunk->data, chunk->used);
        free(chunk);
        chunk = next;
    }
    free(tree);
}

const struct ft_yaml_node *ft_yaml_tree_get_root(const struct ft_yaml_tree *tree)
{
    return tree->root;
}

const char *ft_yaml_tree_get_file(const struct ft_yaml_tree *tree) { return tree->file; }

const struct ft_yaml_node *ft_yaml_find(const struct ft_yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != FT_YAML_MAP) {
        return NULL;
    }
    for (const struct ft_yaml_node *child = node->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

const char *ft_yaml_kind_text(enum ft_yaml_kind kind)
{
    switch (kind) {
    case FT_YAML_NULL:
        return "nothing";
    case FT_YAML_SCALAR:
        return "a single value";
    case FT_YAML_LIST:
        return "a list";
    case FT_YAML_MAP:
        return "a mapping";
    }
    return "nothing";
}

/*
 * libyaml reports NUL and tabs too, but in words that name its own state and not the mistake; both
 * are frequent enough to deserve their own.
 */
static ft_err check_bytes(const struct builder *b)
{
    unsigned line = 1;
    size_t line_start = 0;
    size_t first_tab = SIZE_MAX;
    bool blank = true; /* Only white space so far in this line. */
    for (size_t i = 0; i < b->size; i++) {
        char c = b->text[i];
        if (c == '\0') {
            return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, line,
                               (unsigned)(i - line_start + 1), "NUL byte");
        }
        if (c == '\n') {
            line++;
            line_start = i + 1;
            blank = true;
            first_tab = SIZE_MAX;
        } else if (c == '\t' && blank && first_tab == SIZE_MAX) {
            first_tab = i;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            if (blank && first_tab != SIZE_MAX) {
                return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, line,
                                   (unsigned)(first_tab - line_start + 1),
                                   "a tab cannot indent; use spaces");
            }
            blank = false;
        }
    }
    return FT_OK;
}

static ft_err parse_events(struct builder *b)
{
    for (;;) {
        yaml_event_t event;
        if (yaml_parser_parse(&b->parser, &event) == 0) {
            return parser_error(b);
        }
        bool end = event.type == YAML_STREAM_END_EVENT;
        ft_err err = on_event(b, &event);
        yaml_event_delete(&event);
        if (err != FT_OK || end) {
            return err;
        }
    }
}

static ft_err on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->has_document) {
            return refuse(b, &event->start_mark, "only one document per file is allowed");
        }
        b->has_document = true;
        return FT_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, &event->start_mark, "aliases (*name) are not allowed");
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return begin_collection(b, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end_collection(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return FT_OK;
}

static ft_err on_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (event->data.scalar.anchor != NULL) {
        return refuse(b, &event->start_mark, "anchors (&name) are not allowed");
    }
    if (event->data.scalar.tag != NULL) {
        return refuse(b, &event->start_mark, "tags (!name) are not allowed");
    }
    if (memchr(text, '\0', len) != NULL) {
        return refuse(b, &event->start_mark, "NUL in text");
    }
    const char *copy = arena_text(b->tree, text, len);
    if (copy == NULL) {
        return ft_diag_set(b->diag, -ENOMEM, b->tree->file, 0, 0, "out of memory");
    }
    struct frame *top = b->depth > 0 ? &b->frames[b->depth - 1] : NULL;
    if (top != NULL && top->node->kind == FT_YAML_MAP && top->key == NULL) {
        if (len == 0) {
            return refuse(b, &event->start_mark, "empty key");
        }
        top->key = copy;
        top->key_line = (unsigned)event->start_mark.line + 1;
        top->key_column = (unsigned)event->start_mark.column + 1;
        return FT_OK;
    }
    struct ft_yaml_node *node;
    FT_TRY(add_node(b, &event->start_mark, &node));
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->kind = !node->quoted && is_null_text(text, len) ? FT_YAML_NULL : FT_YAML_SCALAR;
    node->text = copy;
    node->len = len;
    return FT_OK;
}

static ft_err begin_collection(struct builder *b, const yaml_event_t *event)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const void *anchor =
        is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const void *tag = is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (anchor != NULL) {
        return refuse(b, &event->start_mark, "anchors (&name) are not allowed");
    }
    if (tag != NULL) {
        return refuse(b, &event->start_mark, "tags (!name) are not allowed");
    }
    if (b->depth > 0) {
        const struct frame *top = &b->frames[b->depth - 1];
        if (top->node->kind == FT_YAML_MAP && top->key == NULL) {
            return refuse(b, &event->start_mark, "a key must be plain text");
        }
    }
    if (b->depth == FT_YAML_DEPTH_MAX) {
        return ft_diag_set(b->diag, FT_E_RANGE, b->tree->file, (unsigned)event->start_mark.line + 1,
                           (unsigned)event->start_mark.column + 1,
                           "nested too deeply; allowed: %d levels", FT_YAML_DEPTH_MAX);
    }
    struct ft_yaml_node *node;
    FT_TRY(add_node(b, &event->start_mark, &node));
    node->kind = is_map ? FT_YAML_MAP : FT_YAML_LIST;
    b->frames[b->depth++] = (struct frame){.node = node};
    return FT_OK;
}

static ft_err end_collection(struct builder *b)
{
    b->depth--;
    const struct ft_yaml_node *node = b->frames[b->depth].node;
    return node->kind == FT_YAML_MAP ? check_duplicates(b, node) : FT_OK;
}

/* A new node as the child of the innermost collection, under its waiting key. */
static ft_err add_node(struct builder *b, const yaml_mark_t *mark, struct ft_yaml_node **ret_node)
{
    if (b->tree->n_nodes == FT_YAML_NODES_MAX) {
        return ft_diag_set(b->diag, FT_E_RANGE, b->tree->file, (unsigned)mark->line + 1,
                           (unsigned)mark->column + 1, "too many values; allowed: %d",
                           FT_YAML_NODES_MAX);
    }
    struct ft_yaml_node *node = arena_alloc(b->tree, sizeof *node);
    if (node == NULL) {
        return ft_diag_set(b->diag, -ENOMEM, b->tree->file, 0, 0, "out of memory");
    }
    *node = (struct ft_yaml_node){
        .line = (unsigned)mark->line + 1, .column = (unsigned)mark->column + 1, .text = ""};
    b->tree->n_nodes++;
    if (b->depth == 0) {
        b->tree->root = node;
    } else {
        struct frame *top = &b->frames[b->depth - 1];
        node->key = top->key;
        node->key_line = top->key_line;
        node->key_column = top->key_column;
        top->key = NULL;
        if (top->last == NULL) {
            top->node->first = node;
        } else {
            top->last->next = node;
        }
        top->last = node;
        top->node->n_children++;
    }
    *ret_node = node;
    return FT_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct ft_yaml_node *left = *(const struct ft_yaml_node *const *)a;
    const struct ft_yaml_node *right = *(const struct ft_yaml_node *const *)b;
    int order = strcmp(left->key, right->key);
    if (order != 0) {
        return order;
    }
    if (left->key_line != right->key_line) {
        return left->key_line < right->key_line ? -1 : 1;
    }
    return left->key_column < right->key_column ? -1 : left->key_column > right->key_column;
}

/* Sorted, because comparing each pair of 100,000 keys would be a way to stall the reader. */
static ft_err check_duplicates(struct builder *b, const struct ft_yaml_node *map)
{
    if (map->n_children < 2) {
        return FT_OK;
    }
    const struct ft_yaml_node **sorted = calloc(map->n_children, sizeof *sorted);
    if (sorted == NULL) {
        return ft_diag_set(b->diag, -ENOMEM, b->tree->file, 0, 0, "out of memory");
    }
    size_t n = 0;
    for (const struct ft_yaml_node *child = map->first; child != NULL; child = child->next) {
        sorted[n++] = child;
    }
    qsort(sorted, n, sizeof *sorted, compare_keys);
    ft_err err = FT_OK;
    for (size_t i = 1; i < n && err == FT_OK; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            err = ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, sorted[i]->key_line,
                              sorted[i]->key_column,
                              "key \"%.100s\" is given twice, first on line %u", sorted[i]->key,
                              sorted[i - 1]->key_line);
        }
    }
    free(sorted);
    return err;
}

static ft_err parser_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    const char *problem = p->problem != NULL ? p->problem : "malformed";
    switch (p->error) {
    case YAML_MEMORY_ERROR:
        return ft_diag_set(b->diag, -ENOMEM, b->tree->file, 0, 0, "out of memory");
    case YAML_READER_ERROR: {
        /* The reader knows the byte only. */
        unsigned line = 1;
        unsigned column = 1;
        for (size_t i = 0; i < p->problem_offset && i < b->size; i++) {
            column++;
            if (b->text[i] == '\n') {
                line++;
                column = 1;
            }
        }
        return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, line, column, "%s", problem);
    }
    default:
        break;
    }
    unsigned line = (unsigned)p->problem_mark.line + 1;
    unsigned column = (unsigned)p->problem_mark.column + 1;
    if (p->context == NULL) {
        return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, line, column, "%s", problem);
    }
    return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, line, column,
                       "%s, %s that begins on line %u", problem, p->context,
                       (unsigned)p->context_mark.line + 1);
}

static ft_err refuse(struct builder *b, const yaml_mark_t *mark, const char *why)
{
    return ft_diag_set(b->diag, FT_E_SYNTAX, b->tree->file, (unsigned)mark->line + 1,
                       (unsigned)mark->column + 1, "%s", why);
}

static bool is_null_text(const char *text, size_t len)
{
    return len == 0 || (len == 1 && text[0] == '~') || (len == 4 && strcasecmp(text, "null") == 0);
}

static void *arena_alloc(struct ft_yaml_tree *tree, size_t size)
{
    size_t aligned = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *chunk = tree->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < aligned) {
        size_t capacity = aligned > CHUNK_SIZE ? aligned : CHUNK_SIZE;
        chunk = malloc(sizeof *chunk + capacity);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = tree->chunks;
        chunk->used = 0;
        chunk->capacity = capacity;
        tree->chunks = chunk;
    }
    void *result = chunk->data + chunk->used;
    chunk->used += aligned;
    return result;
}

static char *arena_text(struct ft_yaml_tree *tree, const char *text, size_t len)
{
    char *copy = arena_alloc(tree, len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

/* 'buf' has room for one byte more than is allowed, to notice a file that grows meanwhile. */
static ft_err read_whole(int fd, const char *path, char *buf, size_t *ret_size,
                         struct ft_diag *reterr_diag)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        ft_err err = ft_err_last();
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot read: %s", ft_err_text(err));
    }
    if (!S_ISREG(status.st_mode)) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, path, 0, 0, "not a regular file");
    }
    size_t size = 0;
    while (size <= FT_YAML_SIZE_MAX) {
        ssize_t n = read(fd, buf + size, FT_YAML_SIZE_MAX + 1 - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            ft_err err = ft_err_last();
            return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot read: %s", ft_err_text(err));
        }
        if (n == 0) {
            *ret_size = size;
            return FT_OK;
        }
        size += (size_t)n;
    }
    return ft_diag_set(reterr_diag, FT_E_RANGE, path, 0, 0, "too large; allowed: at most %d bytes",
                       FT_YAML_SIZE_MAX);
}
