/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text as a tree that is asked by key.  The only user of jansson.
 *
 * Values are borrowed from the document and live as long as it does.  Duplicate keys, a depth over
 * 64, invalid UTF-8, NUL in strings and anything behind the value are refused.
 *
 * Bound: the caller's 'size'; FT_JSON_TEXT_MAX in any case.
 *
 * Thread: any; a finished document is immutable.
 */
#ifndef FT_JSON_READER_H
#define FT_JSON_READER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FT_JSON_TEXT_MAX (64u * 1024 * 1024)

struct ft_json_doc;
struct ft_json_value;

enum ft_json_kind {
    FT_JSON_NULL,
    FT_JSON_BOOL,
    FT_JSON_INTEGER, /* Within int64_t. */
    FT_JSON_DOUBLE,
    FT_JSON_STRING,
    FT_JSON_ARRAY,
    FT_JSON_OBJECT
};

/*
 * Parses 'size' bytes; 'file' names the text in messages and may be "".  Fails with FT_E_SYNTAX
 * (line and column in '*reterr_diag'), FT_E_RANGE (too large), -ENOMEM.
 */
FT_MUST_USE ft_err ft_json_parse(const char *text, size_t size, const char *file,
                                 struct ft_json_doc **ret_doc, struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_json_doc_destroy(struct ft_json_doc *doc);
FT_DEFINE_CLEANUP(struct ft_json_doc, ft_json_doc_destroy);

const struct ft_json_value *ft_json_doc_get_root(const struct ft_json_doc *doc);

/* FT_JSON_NULL for NULL. */
enum ft_json_kind ft_json_kind(const struct ft_json_value *value);

/* The member 'key' of an object; NULL when there is none or 'value' is no object (or NULL). */
const struct ft_json_value *ft_json_get(const struct ft_json_value *value, const char *key);
/* Elements of an array, members of an object, else 0. */
size_t ft_json_size(const struct ft_json_value *value);
/* Element 'i' of an array; NULL past its end. */
const struct ft_json_value *ft_json_at(const struct ft_json_value *value, size_t i);

/* Calls 'fn' for each member in the order of the text; stops when it returns false. */
typedef bool ft_json_member_fn(void *ctx, const char *key, const struct ft_json_value *value);
void ft_json_each(const struct ft_json_value *object, ft_json_member_fn *fn, void *ctx);

/* The value itself, when it is of the kind; else false and '*ret' untouched.  Strings are borrowed
 * and end with NUL. */
bool ft_json_as_str(const struct ft_json_value *value, const char **ret);
bool ft_json_as_i64(const struct ft_json_value *value, int64_t *ret);
bool ft_json_as_u64(const struct ft_json_value *value, uint64_t *ret);
bool ft_json_as_double(const struct ft_json_value *value, double *ret); /* Integers as well. */
bool ft_json_as_bool(const struct ft_json_value *value, bool *ret);

/*
 * A member of an object.  Fails with FT_E_NOT_FOUND when it is absent or null ('*ret' untouched,
 * so that a default stands), FT_E_SYNTAX when it is of another kind, FT_E_RANGE when it does not
 * fit.
 */
FT_MUST_USE ft_err ft_json_get_str(const struct ft_json_value *object, const char *key,
                                   const char **ret, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_json_get_i64(const struct ft_json_value *object, const char *key,
                                   int64_t *ret, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_json_get_u64(const struct ft_json_value *object, const char *key,
                                   uint64_t *ret, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_json_get_double(const struct ft_json_value *object, const char *key,
                                      double *ret, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_json_get_bool(const struct ft_json_value *object, const char *key, bool *ret,
                                    struct ft_diag *reterr_diag);

#endif
