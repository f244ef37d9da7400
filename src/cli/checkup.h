/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of `flowtrail doctor`: what was looked at, how it is, and the line that mends it.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_CHECKUP_H
#define FT_CLI_CHECKUP_H 1

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* From well to ill; UNSEEN is no judgement and does not count. */
enum ft_check_state { FT_CHECK_OK, FT_CHECK_UNSEEN, FT_CHECK_WARN, FT_CHECK_FAIL };

#define FT_CHECKS_MAX      64
#define FT_CHECK_TEXT_SIZE 512

struct ft_check {
    const char *name; /* Static. */
    enum ft_check_state state;
    char text[FT_CHECK_TEXT_SIZE];
    char fix[FT_CHECK_TEXT_SIZE]; /* A command line, or ""; begins with "# " when it is advice. */
};

struct ft_checkup {
    struct ft_check checks[FT_CHECKS_MAX];
    size_t n;
};

/* A row without a mending line; more than FT_CHECKS_MAX are asserted. */
struct ft_check *ft_checkup_add(struct ft_checkup *checkup, const char *name,
                                enum ft_check_state state, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ft_check_set_fix(struct ft_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The exit code: FT_EXIT_OK, _DEGRADED (a warning), _FAILED. */
int ft_checkup_judge(const struct ft_checkup *checkup);

void ft_checkup_write_table(const struct ft_checkup *checkup, bool colour, struct ft_buf *out);
/* {"state", "checks": [{"name", "state", "text", "fix"}]} and '\n'. */
void ft_checkup_write_json(const struct ft_checkup *checkup, struct ft_buf *out);

#endif
