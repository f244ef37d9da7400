/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads, locks and ownership checks, with Clang's thread-safety annotations.
 *
 * Locks are leaves: no call out, no callback and no I/O under a lock.  The exceptions, with their
 * order, are listed in ARCHITECTURE.md.
 *
 * Thread: any, unless a function says otherwise.
 */
#ifndef FT_BASE_THREAD_H
#define FT_BASE_THREAD_H 1

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#if defined(__clang__)
#define FT_TSA(x) __attribute__((x))
#else
#define FT_TSA(x)
#endif

#define FT_CAPABILITY FT_TSA(capability("mutex"))
/* On a struct member: touched only with the struct's lock held (clang 14 has no better in C). */
#define FT_GUARDED       FT_TSA(guarded_var)
#define FT_REQUIRES(...) FT_TSA(requires_capability(__VA_ARGS__))
#define FT_ACQUIRES(...) FT_TSA(acquire_capability(__VA_ARGS__))
#define FT_RELEASES(...) FT_TSA(release_capability(__VA_ARGS__))
#define FT_NO_TSA        FT_TSA(no_thread_safety_analysis)

struct FT_CAPABILITY ft_mutex {
    pthread_mutex_t mutex;
};

/* A condition variable that waits on CLOCK_MONOTONIC. */
struct ft_cond {
    pthread_cond_t cond;
};

void ft_mutex_init(struct ft_mutex *mutex);
void ft_mutex_deinit(struct ft_mutex *mutex);
void ft_mutex_lock(struct ft_mutex *mutex) FT_ACQUIRES(*mutex);
void ft_mutex_unlock(struct ft_mutex *mutex) FT_RELEASES(*mutex);

void ft_cond_init(struct ft_cond *cond);
void ft_cond_deinit(struct ft_cond *cond);
void ft_cond_signal(struct ft_cond *cond);
void ft_cond_broadcast(struct ft_cond *cond);

/* May wake without reason: test the condition in a loop. */
void ft_cond_wait(struct ft_cond *cond, struct ft_mutex *mutex) FT_REQUIRES(*mutex);

/* The same, until 'deadline_mono_ns' at most.  False when the deadline has passed. */
bool ft_cond_wait_until(struct ft_cond *cond, struct ft_mutex *mutex, int64_t deadline_mono_ns)
    FT_REQUIRES(*mutex);

struct ft_thread {
    pthread_t thread;
    bool started;
};

typedef void ft_thread_fn(void *ctx);

/*
 * Starts 'fn(ctx)' with all signals blocked, so that the main thread alone takes them.  'name' is
 * what `ps -T` shows, at most 15 characters.
 */
FT_MUST_USE ft_err ft_thread_start(struct ft_thread *thread, const char *name, ft_thread_fn *fn,
                                   void *ctx);

/* Waits for the thread's end.  A thread that was never started is no error. */
void ft_thread_join(struct ft_thread *thread);

/* Waits; only for pauses after a failure, never to let something happen. */
void ft_thread_sleep(int64_t ns);

/* Asserts that an object is used by the one thread that owns it. */
struct ft_owner {
    pthread_t thread;
    bool bound;
};

/* The calling thread owns the object from here on. */
void ft_owner_bind(struct ft_owner *owner);
void ft_owner_check(const struct ft_owner *owner);

#endif
