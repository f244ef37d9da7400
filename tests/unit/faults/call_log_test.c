/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log on a real directory whose system calls fail, one after the other: nothing that was said
 * to be durable is missing after the power has failed, no failed sync is repeated, interruptions
 * and short writes are passed over, and it works again when the disk does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../store/log_workload.h"
#include "lib/call_fail.h"
#include "lib/test.h"

#define ROUNDS_BEFORE 2
#define ROUNDS        3

static const int errnums[] = {
    EIO, ENOSPC, EDQUOT, EINTR, EAGAIN, EROFS, ENFILE, FT_CALL_SHORT, FT_CALL_SHORT_FULL};
#define ERRNUMS (sizeof errnums / sizeof errnums[0])

static struct workload work;
static const char *directory;
static unsigned n_cases;

/* A life; the error of what could not be opened. */
static ft_err live(unsigned n_rounds)
{
    struct ft_disk *disk;
    FT_TRY(ft_disk_posix_create(directory, &disk));
    work.disk = disk;
    ft_err err = workload_run(&work, n_rounds);
    ft_disk_destroy(disk);
    return err;
}

static void check(bool all_appended)
{
    struct ft_disk *disk;
    CHECK_OK(ft_disk_posix_create(directory, &disk));
    work.disk = disk;
    workload_check(&work, all_appended);
    ft_disk_destroy(disk);
}

static void expect(bool condition, const char *words)
{
    if (!condition) {
        ft_test_fail(__FILE__, __LINE__, "%s: %s", words, ft_call_fail_describe());
    }
}

/* What a life with this plan must come to. */
static void judge(const struct ft_call_plan *plan, const struct ft_call_result *result, ft_err err,
                  uint64_t n_errors, uint64_t n_appended)
{
    expect(result->n_breaches == 0, "a failed sync was repeated");
    bool harmless = plan->errnum == EINTR || plan->errnum == FT_CALL_SHORT;
    if (plan->scope == FT_CALL_ONCE && err == FT_OK) {
        /* One failure costs at most one of the appends and never a block. */
        expect(n_appended + 1 >= ROUNDS * WORKLOAD_ROUND, "more than one append failed");
        expect(n_errors <= 2, "one failure makes more than two errors");
    }
    if (harmless && plan->scope == FT_CALL_ONCE) {
        expect(err == FT_OK && n_errors == 0, "that is no failure");
    }
}

static bool run_with(const struct ft_call_plan *plan, bool cut)
{
    directory = ft_call_fail_directory();
    workload_init(&work, NULL);
    work.is_real = true;
    CHECK_OK(live(ROUNDS_BEFORE));
    uint64_t n_errors = work.n_errors;
    uint64_t n_appended = work.n_appended;
    ft_call_fail_start(plan);
    work.reads_fail = true;
    ft_err err = live(ROUNDS);
    work.reads_fail = false;
    struct ft_call_result result;
    ft_call_fail_stop(&result);
    judge(plan, &result, err, work.n_errors - n_errors, work.n_appended - n_appended);
    if (cut) {
        ft_call_fail_cut(directory);
    }
    check(false);
    CHECK_OK(live(1));
    check(false);
    ft_call_fail_finish();
    n_cases += result.n_failed > 0;
    return result.n_calls >= plan->nth;
}

TEST(each_call_failing)
{
    for (size_t i = 0; i < ERRNUMS; i++) {
        for (unsigned scope = 0; scope < FT_CALL_SCOPE_N; scope++) {
            struct ft_call_plan plan = {
                .nth = 1, .scope = (enum ft_call_scope)scope, .errnum = errnums[i]};
            /* The power fails behind every other case. */
            unsigned step = scope == FT_CALL_ALL ? 2 : 1;
            for (bool cut = false; run_with(&plan, cut); cut = !cut) {
                plan.nth += step;
            }
        }
    }
    CHECK(n_cases > 3000);
    printf("matrix: R6 %u cases of failing system calls under the log on a real directory, at %u "
           "sites; nothing durable missing, no failed sync repeated\n",
           n_cases, ft_call_fail_n_sites());
}
