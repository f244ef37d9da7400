/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/admission.h"

#include "base/clock.h"

/* One window is at most this part of what is free, so that the first do not take all. */
#define SHARE 8
/* Between two times to come back, whatever was observed. */
#define INTERVAL_MIN (1 * FT_NS_PER_MS)
#define INTERVAL_MAX (1 * FT_NS_PER_S)
/* The first who are sent away come back after this. */
#define RETURN_MIN (1 * FT_NS_PER_S)
/* What an agent keeps is bounded: nobody is sent away for longer. */
#define RETURN_MAX (300 * FT_NS_PER_S)

void ft_admission_init(struct ft_admission *admission, uint64_t budget_bytes,
                       uint64_t window_bytes_max)
{
    *admission =
        (struct ft_admission){.budget_bytes = budget_bytes, .window_bytes_max = window_bytes_max};
    ft_mutex_init(&admission->lock);
    ft_mutex_lock(&admission->lock);
    admission->interval_ns = 10 * FT_NS_PER_MS;
    ft_mutex_unlock(&admission->lock);
}

void ft_admission_deinit(struct ft_admission *admission) { ft_mutex_deinit(&admission->lock); }

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

static int64_t clamp_ns(int64_t ns, int64_t min_ns, int64_t max_ns)
{
    return ns < min_ns ? min_ns : ns > max_ns ? max_ns : ns;
}

/* A place in the row of those who come back, a quarter of the wait blurred. */
static uint32_t make_return_locked(struct ft_admission *admission, int64_t now_ns,
                                   struct ft_random *random) FT_REQUIRES(admission->lock)
{
    if (admission->next_return_ns < now_ns + RETURN_MIN) {
        admission->next_return_ns = now_ns + RETURN_MIN;
    }
    int64_t wait_ns = admission->next_return_ns - now_ns;
    if (wait_ns < RETURN_MAX) {
        admission->next_return_ns += admission->interval_ns;
    }
    wait_ns += (int64_t)ft_random_below(random, (uint64_t)wait_ns / 4 + 1);
    return (uint32_t)(wait_ns / FT_NS_PER_MS);
}

struct ft_admission_verdict ft_admission_ask(struct ft_admission *admission, int64_t now_mono_ns,
                                             uint64_t backlog_events, struct ft_random *random)
{
    uint64_t window_min = least(FT_ADMISSION_WINDOW_MIN, admission->window_bytes_max);
    uint64_t backlog = UINT64_MAX;
    if (backlog_events < UINT64_MAX / FT_ADMISSION_EVENT_BYTES) {
        backlog = backlog_events * FT_ADMISSION_EVENT_BYTES;
    }
    if (backlog <= window_min) {
        return (struct ft_admission_verdict){.admitted = true, .window_bytes = window_min};
    }
    struct ft_admission_verdict verdict = {0};
    ft_mutex_lock(&admission->lock);
    uint64_t free_bytes = admission->budget_bytes > admission->granted_bytes
                              ? admission->budget_bytes - admission->granted_bytes
                              : 0;
    uint64_t window =
        least(least(backlog, admission->window_bytes_max), most(free_bytes / SHARE, window_min));
    /* One is always let in: a budget below a single window must not shut everybody out. */
    if (window <= free_bytes || admission->n_draining == 0) {
        verdict = (struct ft_admission_verdict){
            .admitted = true, .window_bytes = window, .granted_bytes = window};
        admission->granted_bytes += window;
        admission->n_draining++;
    } else {
        verdict.retry_after_ms = make_return_locked(admission, now_mono_ns, random);
    }
    ft_mutex_unlock(&admission->lock);
    return verdict;
}

uint32_t ft_admission_turn_away(struct ft_admission *admission, int64_t now_mono_ns,
                                struct ft_random *random)
{
    ft_mutex_lock(&admission->lock);
    uint32_t retry_after_ms = make_return_locked(admission, now_mono_ns, random);
    ft_mutex_unlock(&admission->lock);
    return retry_after_ms;
}

void ft_admission_give_back(struct ft_admission *admission, int64_t now_mono_ns,
                            uint64_t granted_bytes)
{
    if (granted_bytes == 0) {
        return;
    }
    ft_mutex_lock(&admission->lock);
    admission->granted_bytes -= granted_bytes;
    admission->n_draining--;
    if (admission->freed_ns != 0) {
        /* One in sixteen: places become free in bursts, with the acknowledgements. */
        int64_t interval_ns = now_mono_ns - admission->freed_ns;
        interval_ns = admission->interval_ns + (interval_ns - admission->interval_ns) / 16;
        admission->interval_ns = clamp_ns(interval_ns, INTERVAL_MIN, INTERVAL_MAX);
    }
    admission->freed_ns = now_mono_ns;
    ft_mutex_unlock(&admission->lock);
}

void ft_admission_stats(struct ft_admission *admission, struct ft_admission_stats *ret_stats)
{
    ft_mutex_lock(&admission->lock);
    ret_stats->granted_bytes = admission->granted_bytes;
    ret_stats->n_draining = admission->n_draining;
    ft_mutex_unlock(&admission->lock);
}
