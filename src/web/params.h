/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of a URL ("a=1&b=x%20y") as names and values.  Strict: a percent sign that begins no
 * two digits, NUL, and bytes that are not UTF-8 are refused, so that everything behind this module
 * works on proper text.  '+' is a space, as browsers write it.
 *
 * A name may occur several times; the order of the URL is kept.
 *
 * Thread: plain data, one owner.
 */
#ifndef FT_WEB_PARAMS_H
#define FT_WEB_PARAMS_H 1

#include <stddef.h>

#include "base/error.h"

#define FT_WEB_PARAMS_MAX       64
#define FT_WEB_QUERY_BYTES_MAX  8192
#define FT_WEB_PARAM_NAME_BYTES 64

struct ft_web_param {
    const char *name;
    const char *value; /* "" when there is no '='. */
};

struct ft_web_params {
    size_t n;
    struct ft_web_param items[FT_WEB_PARAMS_MAX];
    char *text; /* What the items point into. */
};

/*
 * 'query' is what follows '?'; NULL is an empty one.  Fails with FT_E_SYNTAX, FT_E_RANGE (a bound
 * above) and '*reterr_diag', or -ENOMEM.
 */
FT_MUST_USE ft_err ft_web_params_parse(const char *query, struct ft_web_params *ret_params,
                                       struct ft_diag *reterr_diag);
void ft_web_params_deinit(struct ft_web_params *params);

/* The first value of a name, or NULL. */
const char *ft_web_params_get(const struct ft_web_params *params, const char *name);

#endif
