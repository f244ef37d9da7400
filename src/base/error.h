/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the project's own code needs around ft_err: the macro that hands an error up, the way to
 * ignore one on purpose, and the place where bad input was found.
 *
 * Thread: any.
 */
#ifndef FT_BASE_ERROR_H
#define FT_BASE_ERROR_H 1

#include <flowtrail/error.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* The last system error as ft_err.  Call it before any cleanup. */
#include <errno.h>
static inline ft_err ft_err_last(void) { return (ft_err)(-errno); }

/* Returns from the calling function with the error, if there is one. */
#define FT_TRY(expr)                                                                               \
    do {                                                                                           \
        ft_err try_err_ = (expr);                                                                  \
        if (try_err_ != FT_OK) {                                                                   \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

/* The only way to drop an error: 'why' is for the reader of the code. */
void ft_err_ignore(ft_err err, const char *why);

#define FT_DIAG_TEXT_SIZE 512
#define FT_DIAG_FILE_SIZE 256

/*
 * Where and why input from outside was refused.  'line' and 'column' count from 1; 0 means that
 * there is none.  'file' may be empty (a message from the network).
 */
struct ft_diag {
    char file[FT_DIAG_FILE_SIZE];
    unsigned line;
    unsigned column;
    char text[FT_DIAG_TEXT_SIZE];
};

/* Fills '*diag' (NULL is accepted) and returns 'err', so that a refusal is one statement. */
ft_err ft_diag_set(struct ft_diag *diag, ft_err err, const char *file, unsigned line,
                   unsigned column, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* "file:line:column: text" without the parts that are missing.  Always ends with NUL. */
void ft_diag_format(const struct ft_diag *diag, char *buf, size_t size);

#endif
