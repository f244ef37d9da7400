/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/alloc_fail.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/test.h"

/* More allocations in one scenario are a mistake of the test. */
#define RUNS_MAX 100000
/* What a run has allocated and not freed yet: a power of two, never half full. */
#define LIVE_SLOTS ((size_t)1 << 17)

struct live {
    void *at; /* NULL: free. */
    void *caller;
    uint64_t number; /* The how-manieth allocation of the run. */
};

static struct {
    pthread_mutex_t lock;
    bool armed;
    bool for_good;
    bool relented;
    uint64_t fail_at;
    uint64_t n_calls;
    uint64_t n_failed;
    void *failed_caller;
    size_t n_live;
    struct live live[LIVE_SLOTS];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local unsigned paused;

/* What is under way, for a message when the test ends in the middle. */
static const char *running;
static uint64_t n_once;
static uint64_t n_for_good;
static unsigned n_scenarios;

static size_t slot_of(const void *at) { return ((uintptr_t)at >> 4) * 0x9e3779b1U % LIVE_SLOTS; }

static void remember(void *at, void *caller)
{
    (void)pthread_mutex_lock(&state.lock);
    if (state.armed) {
        if (++state.n_live > LIVE_SLOTS / 2) {
            abort();
        }
        size_t i = slot_of(at);
        while (state.live[i].at != NULL) {
            i = (i + 1) % LIVE_SLOTS;
        }
        state.live[i] = (struct live){at, caller, state.n_calls};
    }
    (void)pthread_mutex_unlock(&state.lock);
}

static void forget(void *at)
{
    (void)pthread_mutex_lock(&state.lock);
    size_t i = slot_of(at);
    while (state.live[i].at != NULL && state.live[i].at != at) {
        i = (i + 1) % LIVE_SLOTS;
    }
    if (state.live[i].at != NULL) {
        state.live[i].at = NULL;
        state.n_live--;
        /* Those behind it must still be found. */
        for (size_t k = (i + 1) % LIVE_SLOTS; state.live[k].at != NULL; k = (k + 1) % LIVE_SLOTS) {
            struct live moved = state.live[k];
            state.live[k].at = NULL;
            size_t to = slot_of(moved.at);
            while (state.live[to].at != NULL) {
                to = (to + 1) % LIVE_SLOTS;
            }
            state.live[to] = moved;
        }
    }
    (void)pthread_mutex_unlock(&state.lock);
}

static bool fails(void *caller)
{
    if (paused > 0) {
        return false;
    }
    (void)pthread_mutex_lock(&state.lock);
    bool result = false;
    if (state.armed) {
        state.n_calls++;
        result =
            state.fail_at > 0 && !state.relented &&
            (state.n_calls == state.fail_at || (state.for_good && state.n_calls > state.fail_at));
        if (result && state.n_failed++ == 0) {
            state.failed_caller = caller;
        }
    }
    (void)pthread_mutex_unlock(&state.lock);
    if (result) {
        errno = ENOMEM;
    }
    return result;
}

void ft_alloc_fail_pause(void) { paused++; }
void ft_alloc_fail_resume(void) { paused--; }

void ft_alloc_fail_relent(void)
{
    (void)pthread_mutex_lock(&state.lock);
    state.relented = true;
    (void)pthread_mutex_unlock(&state.lock);
}

bool ft_alloc_fail_happened(void)
{
    (void)pthread_mutex_lock(&state.lock);
    bool result = state.n_failed > 0;
    (void)pthread_mutex_unlock(&state.lock);
    return result;
}

void ft_alloc_fail_start(uint64_t nth, bool for_good)
{
    (void)pthread_mutex_lock(&state.lock);
    memset(state.live, 0, sizeof state.live);
    state.n_live = 0;
    state.n_calls = 0;
    state.n_failed = 0;
    state.failed_caller = NULL;
    state.fail_at = nth;
    state.for_good = for_good;
    state.relented = false;
    state.armed = true;
    (void)pthread_mutex_unlock(&state.lock);
}

uint64_t ft_alloc_fail_stop(void)
{
    (void)pthread_mutex_lock(&state.lock);
    state.armed = false;
    uint64_t n = state.n_failed;
    (void)pthread_mutex_unlock(&state.lock);
    return n;
}

/* The descriptor that would be given next: one that stayed open moves it. */
static int next_fd(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    (void)close(fd);
    return fd;
}

static void where(char *buf, size_t size)
{
    (void)snprintf(buf, size,
                   "scenario \"%s\", allocation %" PRIu64 " failing %s (called from %p; this "
                   "function is at %p)",
                   running, state.fail_at, state.for_good ? "for good" : "once",
                   state.failed_caller, (void *)(uintptr_t)&ft_alloc_fail_each);
}

/* A check of the scenario has ended the test, or a crash has. */
static void tell_unfinished(void)
{
    if (running != NULL) {
        char text[512];
        where(text, sizeof text);
        (void)fprintf(stderr, "it was in %s\n", text);
        running = NULL;
    }
}

static void check_leaks(void)
{
    if (state.n_live == 0) {
        return;
    }
    char text[512];
    where(text, sizeof text);
    for (size_t i = 0; i < LIVE_SLOTS; i++) {
        if (state.live[i].at != NULL) {
            ft_test_fail(__FILE__, __LINE__,
                         "%zu allocations are left, one of them number %" PRIu64
                         " (called from %p): %s",
                         state.n_live, state.live[i].number, state.live[i].caller, text);
        }
    }
}

static bool says_no_memory(ft_err err)
{
    return err == ft_err_from_errno(ENOMEM) || err == ft_err_from_errno(EAGAIN);
}

/* One run.  True when something failed in it. */
static bool run_once(const struct ft_alloc_scenario *scenario, uint64_t nth, bool for_good)
{
    int fd = next_fd();
    ft_alloc_fail_start(nth, for_good);
    if (getenv("FT_ALLOC_TRACE") != NULL) {
        (void)fprintf(stderr, "%s %" PRIu64 "%s\n", scenario->name, nth, for_good ? "+" : "");
    }
    ft_err err = scenario->run(scenario->ctx);
    uint64_t n_failed = ft_alloc_fail_stop();
    char text[512];
    where(text, sizeof text);
    if (err != FT_OK && n_failed == 0) {
        ft_test_fail(__FILE__, __LINE__, "%s (%s) with memory for all: %s", ft_err_name(err),
                     ft_err_text(err), text);
    }
    bool (*says_so)(ft_err) = scenario->says_so != NULL ? scenario->says_so : says_no_memory;
    if (err != FT_OK && !says_so(err)) {
        ft_test_fail(__FILE__, __LINE__, "%s (%s) does not say that memory is missing: %s",
                     ft_err_name(err), ft_err_text(err), text);
    }
    if (!scenario->library_frees) {
        check_leaks();
    }
    if (next_fd() != fd) {
        ft_test_fail(__FILE__, __LINE__, "descriptor %d stayed open: %s", fd, text);
    }
    return n_failed > 0;
}

void ft_alloc_fail_each(const struct ft_alloc_scenario *scenario)
{
    tell_unfinished();
    (void)ft_alloc_fail_stop();
    paused = 0;
    running = scenario->name;
    /* What is made once for the whole program is made here. */
    CHECK_OK(scenario->run(scenario->ctx));
    for (int for_good = 0; for_good < 2; for_good++) {
        uint64_t nth = 1;
        while (run_once(scenario, nth, for_good != 0)) {
            CHECK(nth < RUNS_MAX);
            CHECK(!run_once(scenario, 0, false));
            nth++;
        }
        CHECK(nth > 1);
        *(for_good != 0 ? &n_for_good : &n_once) += nth - 1;
    }
    n_scenarios++;
    running = NULL;
}

__attribute__((destructor)) static void tell(void)
{
    tell_unfinished();
    if (n_scenarios > 0) {
        printf("matrix: R7 %" PRIu64 " allocations failed once and %" PRIu64
               " for good in %u scenarios; clean errors, nothing leaked\n",
               n_once, n_for_good, n_scenarios);
    }
}

#define CALLER __builtin_return_address(0)

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void __real_free(void *at);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
int __real_vasprintf(char **ret, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__real_fdopen(int fd, const char *mode);
DIR *__real_opendir(const char *path);
DIR *__real_fdopendir(int fd);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
void __wrap_free(void *at);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
int __wrap_vasprintf(char **ret, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_fdopendir(int fd);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

static void *noted(void *at, void *caller)
{
    if (at != NULL) {
        remember(at, caller);
    }
    return at;
}

void *__wrap_malloc(size_t size)
{
    return fails(CALLER) ? NULL : noted(__real_malloc(size), CALLER);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(CALLER) ? NULL : noted(__real_calloc(n, size), CALLER);
}

static void *again(void *old, size_t size, void *caller)
{
    if (fails(caller)) {
        return NULL;
    }
    /* Forgotten before it is freed: another thread may be given the address at once. */
    if (old != NULL) {
        forget(old);
    }
    return noted(__real_realloc(old, size), caller);
}

void *__wrap_realloc(void *old, size_t size) { return again(old, size, CALLER); }

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return again(old, bytes, CALLER);
}

void __wrap_free(void *at)
{
    if (at != NULL) {
        forget(at);
    }
    __real_free(at);
}

char *__wrap_strdup(const char *text)
{
    return fails(CALLER) ? NULL : noted(__real_strdup(text), CALLER);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails(CALLER) ? NULL : noted(__real_strndup(text, len), CALLER);
}

static int print(char **ret, const char *format, va_list args, void *caller)
    __attribute__((format(printf, 2, 0)));

static int print(char **ret, const char *format, va_list args, void *caller)
{
    if (fails(caller)) {
        /* As glibc before 2.38 does: undefined, not NULL. */
        *ret = (char *)(uintptr_t)1;
        return -1;
    }
    int len = __real_vasprintf(ret, format, args);
    if (len >= 0) {
        remember(*ret, caller);
    }
    return len;
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
    return print(ret, format, args, CALLER);
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list args)
{
    (void)flag;
    return print(ret, format, args, CALLER);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = print(ret, format, args, CALLER);
    va_end(args);
    return len;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...)
{
    (void)flag;
    va_list args;
    va_start(args, format);
    int len = print(ret, format, args, CALLER);
    va_end(args);
    return len;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails(CALLER) ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return fails(CALLER) ? NULL : __real_fopen(path, mode);
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
    return fails(CALLER) ? NULL : __real_fdopen(fd, mode);
}

DIR *__wrap_opendir(const char *path) { return fails(CALLER) ? NULL : __real_opendir(path); }

DIR *__wrap_fdopendir(int fd) { return fails(CALLER) ? NULL : __real_fdopendir(fd); }

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    return fails(CALLER) ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}
