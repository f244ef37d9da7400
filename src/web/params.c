/* SPDX-License-Identifier: Apache-2.0 */
#include "web/params.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static ft_err add_param(struct ft_web_params *params, char *piece, struct ft_diag *diag);
static ft_err decode(char *text, struct ft_diag *diag);
static bool is_utf8(const char *text);

ft_err ft_web_params_parse(const char *query, struct ft_web_params *ret_params,
                           struct ft_diag *reterr_diag)
{
    *ret_params = (struct ft_web_params){0};
    if (query == NULL) {
        return FT_OK;
    }
    if (strlen(query) > FT_WEB_QUERY_BYTES_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0, "the query is longer than %d bytes",
                           FT_WEB_QUERY_BYTES_MAX);
    }
    ret_params->text = strdup(query);
    if (ret_params->text == NULL) {
        return ft_err_last();
    }
    char *rest = ret_params->text;
    char *piece;
    while ((piece = strsep(&rest, "&")) != NULL) {
        ft_err err = piece[0] != '\0' ? add_param(ret_params, piece, reterr_diag) : FT_OK;
        if (err != FT_OK) {
            ft_web_params_deinit(ret_params);
            return err;
        }
    }
    return FT_OK;
}

void ft_web_params_deinit(struct ft_web_params *params)
{
    free(params->text);
    params->text = NULL;
    params->n = 0;
}

const char *ft_web_params_get(const struct ft_web_params *params, const char *name)
{
    for (size_t i = 0; i < params->n; i++) {
        if (strcmp(params->items[i].name, name) == 0) {
            return params->items[i].value;
        }
    }
    return NULL;
}

static ft_err add_param(struct ft_web_params *params, char *piece, struct ft_diag *diag)
{
    if (params->n == FT_WEB_PARAMS_MAX) {
        return ft_diag_set(diag, FT_E_RANGE, "", 0, 0, "more than %d parameters",
                           FT_WEB_PARAMS_MAX);
    }
    char *value = strchr(piece, '=');
    if (value != NULL) {
        *value++ = '\0';
    }
    FT_TRY(decode(piece, diag));
    if (value != NULL) {
        FT_TRY(decode(value, diag));
    }
    if (piece[0] == '\0' || strlen(piece) > FT_WEB_PARAM_NAME_BYTES) {
        return ft_diag_set(diag, FT_E_SYNTAX, "", 0, 0,
                           "a parameter has no name, or one of more than %d bytes",
                           FT_WEB_PARAM_NAME_BYTES);
    }
    params->items[params->n].name = piece;
    params->items[params->n].value = value != NULL ? value : "";
    params->n++;
    return FT_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: the result is never longer. */
static ft_err decode(char *text, struct ft_diag *diag)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '+') {
            *to++ = ' ';
        } else if (*from != '%') {
            *to++ = *from;
        } else {
            int high = hex_digit(from[1]);
            int low = high >= 0 ? hex_digit(from[2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                return ft_diag_set(diag, FT_E_SYNTAX, "", 0, 0,
                                   "a '%%' is not followed by two hexadecimal digits other "
                                   "than 00");
            }
            *to++ = (char)(high << 4 | low);
            from += 2;
        }
    }
    *to = '\0';
    return is_utf8(text) ? FT_OK : ft_diag_set(diag, FT_E_SYNTAX, "", 0, 0, "not UTF-8");
}

/* The number of continuation bytes after 'lead', or -1.  0xc0, 0xc1 and 0xf5 on never occur. */
static int n_continuation(unsigned char lead)
{
    if (lead < 0x80) {
        return 0;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 1;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 2;
    }
    return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        int n = n_continuation(*at);
        if (n < 0) {
            return false;
        }
        /* Overlong forms, surrogates and what lies past U+10FFFF show in the second byte. */
        unsigned char lead = *at;
        unsigned char second = at[1];
        if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
            (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
            return false;
        }
        for (int i = 1; i <= n; i++) {
            if ((at[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        at += n + 1;
    }
    return true;
}
