/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets each system call of our own code on files fail, one after the other, on a real directory.
 *
 * A run counts the calls; the nth of them fails: alone, or with all later calls from the same
 * place in the code ("the site"), or with all later calls of any kind.  What is missing when the
 * power then fails can be taken away: every byte that was written and not synced with success.
 * Syncs are not handed on to the system, which has nothing to add to a test but time.
 *
 * As on Linux, a sync that fails leaves its pages marked clean, so that a second one would succeed
 * without having written them.  A second sync of such a file is counted as a breach.
 *
 * The linker leads the calls here: ft_fault_test() in tests/unit/faults/CMakeLists.txt.  What libc
 * calls by itself (streams) is not met.
 *
 * Thread: one; set_sync_ns() before others begin, which may sync then.
 */
#ifndef FT_TESTS_LIB_CALL_FAIL_H
#define FT_TESTS_LIB_CALL_FAIL_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum ft_call_scope {
    FT_CALL_ONCE,
    FT_CALL_SITE, /* From then on, wherever the same line of code calls. */
    FT_CALL_ALL,  /* From then on all. */
    FT_CALL_SCOPE_N
};

/* Instead of an errno. */
#define FT_CALL_SHORT      (-1) /* Reads and writes do half of it; other calls are not touched. */
#define FT_CALL_SHORT_FULL (-2) /* A write does half of it, and the next one fails: ENOSPC. */

struct ft_call_plan {
    uint64_t nth; /* 0: none. */
    enum ft_call_scope scope;
    /* EINTR comes only from calls that a signal can end, and 50 times at most: longer than that no
     * storm of signals lasts. */
    int errnum;
};

void ft_call_fail_start(const struct ft_call_plan *plan);

struct ft_call_result {
    uint64_t n_calls;
    uint64_t n_failed;
    uint64_t n_breaches;
    const char *name; /* Of the call that failed first: "pwrite". */
    const void *site; /* Where it was made. */
};
/* No more failures. */
void ft_call_fail_stop(struct ft_call_result *ret_result);
/* All that follows from the run was checked: else the end of the program says which it was. */
void ft_call_fail_finish(void);

/* The power fails: what was written since the start and is not durable becomes zeros.  All files
 * are closed, and the run is stopped. */
void ft_call_fail_cut(const char *directory);

/*
 * An empty directory for one run, on a file system in memory where there is one, because what a
 * disk does by itself (ext4 writes a file that is renamed over another) takes most of the time.
 * The one before it is removed, and the last at exit.
 */
const char *ft_call_fail_directory(void);

/* The plan and the first failure of the present or last run, in words. */
const char *ft_call_fail_describe(void);

/* Sites that have ever failed. */
unsigned ft_call_fail_n_sites(void);

/* From now on each sync takes so long. */
void ft_call_fail_set_sync_ns(int64_t ns);

#endif
