/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

/* A failing lock is a programmer's error and nothing can go on after it. */
static void must(int errnum)
{
    if (errnum != 0) {
        abort();
    }
}

void ft_mutex_init(struct ft_mutex *mutex) { must(pthread_mutex_init(&mutex->mutex, NULL)); }
void ft_mutex_deinit(struct ft_mutex *mutex) { must(pthread_mutex_destroy(&mutex->mutex)); }

void ft_mutex_lock(struct ft_mutex *mutex) FT_NO_TSA { must(pthread_mutex_lock(&mutex->mutex)); }
void ft_mutex_unlock(struct ft_mutex *mutex) FT_NO_TSA
{
    must(pthread_mutex_unlock(&mutex->mutex));
}

void ft_cond_init(struct ft_cond *cond)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes));
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must(pthread_cond_init(&cond->cond, &attributes));
    must(pthread_condattr_destroy(&attributes));
}

void ft_cond_deinit(struct ft_cond *cond) { must(pthread_cond_destroy(&cond->cond)); }
void ft_cond_signal(struct ft_cond *cond) { must(pthread_cond_signal(&cond->cond)); }
void ft_cond_broadcast(struct ft_cond *cond) { must(pthread_cond_broadcast(&cond->cond)); }

void ft_cond_wait(struct ft_cond *cond, struct ft_mutex *mutex) FT_NO_TSA
{
    must(pthread_cond_wait(&cond->cond, &mutex->mutex));
}

bool ft_cond_wait_until(struct ft_cond *cond, struct ft_mutex *mutex, int64_t deadline_mono_ns)
    FT_NO_TSA
{
    if (deadline_mono_ns == FT_TIME_NEVER) {
        ft_cond_wait(cond, mutex);
        return true;
    }
    struct timespec deadline = {.tv_sec = (time_t)(deadline_mono_ns / FT_NS_PER_S),
                                .tv_nsec = (long)(deadline_mono_ns % FT_NS_PER_S)};
    int errnum = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &deadline);
    if (errnum != 0 && errnum != ETIMEDOUT) {
        abort();
    }
    return errnum == 0;
}

struct start_args {
    ft_thread_fn *fn;
    void *ctx;
};

static void *run(void *arg)
{
    struct start_args args = *(struct start_args *)arg;
    free(arg);
    args.fn(args.ctx);
    return NULL;
}

ft_err ft_thread_start(struct ft_thread *thread, const char *name, ft_thread_fn *fn, void *ctx)
{
    struct start_args *args = malloc(sizeof *args);
    if (args == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    args->fn = fn;
    args->ctx = ctx;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    int errnum = pthread_create(&thread->thread, NULL, run, args);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (errnum != 0) {
        free(args);
        return ft_err_from_errno(errnum);
    }
    (void)pthread_setname_np(thread->thread, name);
    thread->started = true;
    return FT_OK;
}

void ft_thread_join(struct ft_thread *thread)
{
    if (thread->started) {
        must(pthread_join(thread->thread, NULL));
        thread->started = false;
    }
}

void ft_thread_sleep(int64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / FT_NS_PER_S),
                             .tv_nsec = (long)(ns % FT_NS_PER_S)};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) {
    }
}

void ft_owner_bind(struct ft_owner *owner)
{
    owner->thread = pthread_self();
    owner->bound = true;
}

void ft_owner_check(const struct ft_owner *owner)
{
    assert(!owner->bound || pthread_equal(owner->thread, pthread_self()));
    (void)owner;
}
