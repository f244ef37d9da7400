/* SPDX-License-Identifier: Apache-2.0 */
#include <flowtrail/error.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"

struct own_error {
    ft_err err;
    enum ft_err_kind kind;
    const char *name;
    const char *text;
};

static const struct own_error own_errors[] = {
#define OWN_ERROR(name, number, kind, text) {(ft_err)(number), FT_KIND_##kind, "FT_E_" #name, text},
    FT_ERRORS(OWN_ERROR)
#undef OWN_ERROR
};

static const struct own_error *find_own(ft_err err);

ft_err ft_err_from_errno(int errnum) { return (ft_err)(-errnum); }

const char *ft_err_text(ft_err err)
{
    const struct own_error *own = find_own(err);
    if (own != NULL) {
        return own->text;
    }
    if (err == FT_OK) {
        return "success";
    }
    const char *text = strerrordesc_np(-(int)err);
    return text != NULL ? text : "unknown error";
}

const char *ft_err_name(ft_err err)
{
    const struct own_error *own = find_own(err);
    if (own != NULL) {
        return own->name;
    }
    if (err == FT_OK) {
        return "FT_OK";
    }
    const char *name = strerrorname_np(-(int)err);
    return name != NULL ? name : "unknown";
}

enum ft_err_kind ft_err_kind(ft_err err)
{
    const struct own_error *own = find_own(err);
    if (own != NULL) {
        return own->kind;
    }
    switch (-(int)err) {
    case 0:
        return FT_KIND_NONE;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return FT_KIND_BLOCKED;
    case EINTR:
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
    case ETIMEDOUT:
    case EBUSY:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTUNREACH:
        return FT_KIND_TRANSIENT;
    case EINVAL:
    case ENAMETOOLONG:
        return FT_KIND_USAGE;
    default:
        return FT_KIND_PERMANENT;
    }
}

void ft_err_ignore(ft_err err, const char *why)
{
    (void)err;
    (void)why;
}

static const struct own_error *find_own(ft_err err)
{
    for (size_t i = 0; i < sizeof own_errors / sizeof own_errors[0]; i++) {
        if (own_errors[i].err == err) {
            return &own_errors[i];
        }
    }
    return NULL;
}
