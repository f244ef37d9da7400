/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets each allocation of our own code fail, one after the other.
 *
 * A scenario makes the objects of a module, uses them and takes them down again.  It is run with
 * the k-th allocation failing, k = 1, 2, 3 … until it gets through without meeting one that fails:
 * once with that allocation alone failing, once with all from there on.  Each time it has to end
 * in order, with an error that says so or with the counts of what it dropped, which the scenario
 * itself compares; everything it allocated has to be freed and every descriptor closed; and then
 * it has to work again with memory for all.
 *
 * The linker leads malloc and its kin, mmap, and the calls of libc that allocate for their caller
 * (streams, directories, threads) here: ft_fault_test() in tests/unit/faults/CMakeLists.txt.  What
 * shared libraries allocate by themselves is not met; protobuf-c, jansson and libcurl are met
 * where they are given our malloc.
 *
 * Thread: scenarios may have threads, which must be gone when they end.
 */
#ifndef FT_TESTS_LIB_ALLOC_FAIL_H
#define FT_TESTS_LIB_ALLOC_FAIL_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Of a scenario: FT_OK, or the error that the lack of memory led to.  It fails the test by itself
 * where FT_OK would be untrue.
 */
typedef ft_err ft_alloc_scenario_fn(void *ctx);

struct ft_alloc_scenario {
    const char *name;
    ft_alloc_scenario_fn *run;
    void *ctx;
    /* NULL: only -ENOMEM, and -EAGAIN from a thread that could not be started, say so. */
    bool (*says_so)(ft_err err);
    /* A library frees what it was handed, unseen: then only LeakSanitizer knows of leaks. */
    bool library_frees;
};

/* Fails the test, or adds to the counts that are printed when the program ends ("matrix: R7 …"). */
void ft_alloc_fail_each(const struct ft_alloc_scenario *scenario);

/* Around what a test does beside the code under test, in this thread: nothing fails there. */
void ft_alloc_fail_pause(void);
void ft_alloc_fail_resume(void);

/* No more failures in the present run, in any thread. */
void ft_alloc_fail_relent(void);

/* Whether an allocation has failed in the present run: the scenario may then excuse an error. */
bool ft_alloc_fail_happened(void);

/* For a test that goes its own way: the 'nth' allocation from now on fails; with 'for_good' all
 * later ones too. */
void ft_alloc_fail_start(uint64_t nth, bool for_good);
/* No more failures; how many there were. */
uint64_t ft_alloc_fail_stop(void);

#endif
