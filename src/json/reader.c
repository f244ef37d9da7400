/* SPDX-License-Identifier: Apache-2.0 */
#include "json/reader.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* jansson's own bound is 2048 and fixed when it is built; its parser recurses. */
#define DEPTH_MAX 64

struct ft_json_doc {
    json_t *root;
};

static ft_err check_depth(const char *text, size_t size, const char *file,
                          struct ft_diag *reterr_diag);
static ft_err find_member(const struct ft_json_value *object, const char *key,
                          const struct ft_json_value **ret_value, struct ft_diag *reterr_diag);
static ft_err wrong_kind(const char *key, const char *wanted, struct ft_diag *reterr_diag);

/* A value is jansson's, under a name that does not show it. */
static const json_t *peek(const struct ft_json_value *value) { return (const json_t *)value; }

static const struct ft_json_value *hide(const json_t *value)
{
    return (const struct ft_json_value *)value;
}

ft_err ft_json_parse(const char *text, size_t size, const char *file, struct ft_json_doc **ret_doc,
                     struct ft_diag *reterr_diag)
{
    if (size > FT_JSON_TEXT_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, file, 0, 0,
                           "%zu bytes are too many; allowed: at most %u", size, FT_JSON_TEXT_MAX);
    }
    FT_TRY(check_depth(text, size, file, reterr_diag));
    struct ft_json_doc *doc = calloc(1, sizeof *doc);
    if (doc == NULL) {
        return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
    }
    json_error_t error;
    doc->root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (doc->root == NULL) {
        free(doc);
        /* Where it could not make an object or an array, jansson says nothing at all. */
        if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0') {
            return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
        }
        unsigned line = error.line > 0 ? (unsigned)error.line : 0;
        unsigned column = error.column > 0 ? (unsigned)error.column : 1;
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, file, line, column, "%s", error.text);
    }
    *ret_doc = doc;
    return FT_OK;
}

void ft_json_doc_destroy(struct ft_json_doc *doc)
{
    if (doc != NULL) {
        json_decref(doc->root);
        free(doc);
    }
}

const struct ft_json_value *ft_json_doc_get_root(const struct ft_json_doc *doc)
{
    return hide(doc->root);
}

enum ft_json_kind ft_json_kind(const struct ft_json_value *value)
{
    if (value == NULL) {
        return FT_JSON_NULL;
    }
    switch (json_typeof(peek(value))) {
    case JSON_OBJECT:
        return FT_JSON_OBJECT;
    case JSON_ARRAY:
        return FT_JSON_ARRAY;
    case JSON_STRING:
        return FT_JSON_STRING;
    case JSON_INTEGER:
        return FT_JSON_INTEGER;
    case JSON_REAL:
        return FT_JSON_DOUBLE;
    case JSON_TRUE:
    case JSON_FALSE:
        return FT_JSON_BOOL;
    case JSON_NULL:
        break;
    }
    return FT_JSON_NULL;
}

const struct ft_json_value *ft_json_get(const struct ft_json_value *value, const char *key)
{
    return hide(json_object_get(peek(value), key));
}

size_t ft_json_size(const struct ft_json_value *value)
{
    const json_t *json = peek(value);
    return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

const struct ft_json_value *ft_json_at(const struct ft_json_value *value, size_t i)
{
    return hide(json_array_get(peek(value), i));
}

void ft_json_each(const struct ft_json_value *object, ft_json_member_fn *fn, void *ctx)
{
    /* jansson's iterator wants a value that is not const, and does not change it. */
    json_t *json = (json_t *)(uintptr_t)object;
    for (void *at = json_object_iter(json); at != NULL; at = json_object_iter_next(json, at)) {
        if (!fn(ctx, json_object_iter_key(at), hide(json_object_iter_value(at)))) {
            return;
        }
    }
}

bool ft_json_as_str(const struct ft_json_value *value, const char **ret)
{
    if (!json_is_string(peek(value))) {
        return false;
    }
    *ret = json_string_value(peek(value));
    return true;
}

bool ft_json_as_i64(const struct ft_json_value *value, int64_t *ret)
{
    if (!json_is_integer(peek(value))) {
        return false;
    }
    *ret = json_integer_value(peek(value));
    return true;
}

bool ft_json_as_u64(const struct ft_json_value *value, uint64_t *ret)
{
    int64_t number = 0;
    if (!ft_json_as_i64(value, &number) || number < 0) {
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

bool ft_json_as_double(const struct ft_json_value *value, double *ret)
{
    if (!json_is_number(peek(value))) {
        return false;
    }
    *ret = json_number_value(peek(value));
    return true;
}

bool ft_json_as_bool(const struct ft_json_value *value, bool *ret)
{
    if (!json_is_boolean(peek(value))) {
        return false;
    }
    *ret = json_is_true(peek(value));
    return true;
}

ft_err ft_json_get_str(const struct ft_json_value *object, const char *key, const char **ret,
                       struct ft_diag *reterr_diag)
{
    const struct ft_json_value *value = NULL;
    FT_TRY(find_member(object, key, &value, reterr_diag));
    return ft_json_as_str(value, ret) ? FT_OK : wrong_kind(key, "text", reterr_diag);
}

ft_err ft_json_get_i64(const struct ft_json_value *object, const char *key, int64_t *ret,
                       struct ft_diag *reterr_diag)
{
    const struct ft_json_value *value = NULL;
    FT_TRY(find_member(object, key, &value, reterr_diag));
    return ft_json_as_i64(value, ret) ? FT_OK : wrong_kind(key, "a whole number", reterr_diag);
}

ft_err ft_json_get_u64(const struct ft_json_value *object, const char *key, uint64_t *ret,
                       struct ft_diag *reterr_diag)
{
    const struct ft_json_value *value = NULL;
    FT_TRY(find_member(object, key, &value, reterr_diag));
    int64_t number = 0;
    if (!ft_json_as_i64(value, &number)) {
        return wrong_kind(key, "a whole number", reterr_diag);
    }
    if (number < 0) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0, "\"%.100s\" must not be negative",
                           key);
    }
    *ret = (uint64_t)number;
    return FT_OK;
}

ft_err ft_json_get_double(const struct ft_json_value *object, const char *key, double *ret,
                          struct ft_diag *reterr_diag)
{
    const struct ft_json_value *value = NULL;
    FT_TRY(find_member(object, key, &value, reterr_diag));
    return ft_json_as_double(value, ret) ? FT_OK : wrong_kind(key, "a number", reterr_diag);
}

ft_err ft_json_get_bool(const struct ft_json_value *object, const char *key, bool *ret,
                        struct ft_diag *reterr_diag)
{
    const struct ft_json_value *value = NULL;
    FT_TRY(find_member(object, key, &value, reterr_diag));
    return ft_json_as_bool(value, ret) ? FT_OK : wrong_kind(key, "true or false", reterr_diag);
}

/* Counts brackets outside strings; whether they match is for the parser to say. */
static ft_err check_depth(const char *text, size_t size, const char *file,
                          struct ft_diag *reterr_diag)
{
    unsigned depth = 0;
    unsigned line = 1;
    size_t line_start = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else {
                in_string = c != '"';
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX) {
                return ft_diag_set(reterr_diag, FT_E_SYNTAX, file, line,
                                   (unsigned)(i - line_start + 1),
                                   "nested too deeply; allowed: %d levels", DEPTH_MAX);
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        } else if (c == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    return FT_OK;
}

static ft_err find_member(const struct ft_json_value *object, const char *key,
                          const struct ft_json_value **ret_value, struct ft_diag *reterr_diag)
{
    const json_t *value = json_object_get(peek(object), key);
    if (value == NULL || json_is_null(value)) {
        return ft_diag_set(reterr_diag, FT_E_NOT_FOUND, "", 0, 0, "\"%.100s\" is missing", key);
    }
    *ret_value = hide(value);
    return FT_OK;
}

static ft_err wrong_kind(const char *key, const char *wanted, struct ft_diag *reterr_diag)
{
    return ft_diag_set(reterr_diag, FT_E_SYNTAX, "", 0, 0, "\"%.100s\" must be %s", key, wanted);
}
