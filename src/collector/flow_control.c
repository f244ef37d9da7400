/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/flow_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parts of queue_bytes_max: above the first windows shrink, below the second they grow again. */
#define HIGH(bytes_max) ((bytes_max) / 4 * 3)
#define LOW(bytes_max)  ((bytes_max) / 4)
/* One session's window changes so often at most. */
#define CHANGE_NS (1 * FT_NS_PER_S)
/* What a SlowDown asks for, drawn from half of it to all. */
#define PAUSE_MS 200
/* Who has a place from the budget and sends nothing for so long loses it. */
#define UNUSED_NS (30 * FT_NS_PER_S)
#define SWEEP_NS  (10 * FT_NS_PER_S)

static void set_window(struct ft_ingest_session *session, uint64_t window, uint32_t pause_ms);

static int64_t now_of(const struct ft_ingest *ingest)
{
    return ft_clock_mono_ns(ingest->options.clock);
}

static void send(struct ft_ingest_session *session, const struct ft_response *response)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_response_encode(response, &buf) == FT_OK) {
        (void)session->ingest->options.peer_ops->send(session->peer, buf.data, buf.size);
    }
    ft_buf_deinit(&buf);
}

/* Whether another session of the same instance is there, which the new one ends. */
static bool takes_over(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    ft_mutex_lock(&ingest->lock);
    struct ft_ingest_session *at = ingest->sessions[ft_ingest_slot_of(&session->key)];
    while (at != NULL && (at->superseded || memcmp(&at->key, &session->key, sizeof at->key) != 0)) {
        at = at->next;
    }
    ft_mutex_unlock(&ingest->lock);
    return at != NULL;
}

/* Counts the session; false when there are too many, and it is sent away. */
static bool count_session(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    uint64_t max = ingest->options.sessions_max;
    if (atomic_fetch_add(&ingest->n_sessions, 1) < max || max == 0 || takes_over(session)) {
        session->counted = true;
        return true;
    }
    atomic_fetch_sub(&ingest->n_sessions, 1);
    ingest->stats.sent_away_sessions++;
    ft_flow_send_away(
        session, ft_admission_turn_away(&ingest->admission, now_of(ingest), ingest->options.random),
        "too many agents are connected");
    return false;
}

bool ft_flow_admit(struct ft_ingest_session *session, const struct ft_msg_hello *hello,
                   uint64_t *ret_window)
{
    struct ft_ingest *ingest = session->ingest;
    if (!count_session(session)) {
        return false;
    }
    struct ft_instance instance = {0};
    (void)ft_instances_get(ingest->options.instances, &session->key, &instance);
    uint64_t first =
        hello->oldest_seq > instance.durable_seq ? hello->oldest_seq : instance.durable_seq + 1;
    uint64_t backlog = hello->next_seq > first ? hello->next_seq - first : 0;
    struct ft_admission_verdict verdict =
        ft_admission_ask(&ingest->admission, now_of(ingest), backlog, ingest->options.random);
    if (!verdict.admitted) {
        ingest->stats.sent_away_full++;
        ft_flow_send_away(session, verdict.retry_after_ms,
                          "too many agents deliver what they kept");
        return false;
    }
    session->granted_bytes = verdict.granted_bytes;
    session->caught_up_seq = hello->next_seq - 1;
    session->window_bytes = verdict.window_bytes;
    session->full_window_bytes = verdict.window_bytes;
    session->progress_ns = now_of(ingest);
    *ret_window = verdict.window_bytes;
    return true;
}

void ft_flow_leave(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    ft_admission_give_back(&ingest->admission, now_of(ingest),
                           atomic_exchange(&session->granted_bytes, 0));
}

void ft_flow_forget(struct ft_ingest_session *session)
{
    if (session->counted) {
        session->counted = false;
        atomic_fetch_sub(&session->ingest->n_sessions, 1);
    }
}

void ft_flow_send_away(struct ft_ingest_session *session, uint32_t retry_after_ms,
                       const char *reason)
{
    struct ft_response response = {.kind = FT_RESPONSE_GO_AWAY,
                                   .go_away = {.retry_after_ms = retry_after_ms}};
    (void)snprintf(response.go_away.reason, sizeof response.go_away.reason, "%s", reason);
    send(session, &response);
    session->ingest->options.peer_ops->close(session->peer, FT_INGEST_CLOSE_UNAVAILABLE, reason);
}

void ft_flow_mind_queue(struct ft_ingest_session *session)
{
    struct ft_ingest *ingest = session->ingest;
    size_t bytes = ft_commit_queue_bytes(&ingest->queue);
    uint64_t bytes_max = ingest->options.queue_bytes_max;
    uint64_t window = session->window_bytes;
    uint64_t full = session->full_window_bytes;
    bool shrink = bytes > HIGH(bytes_max) && window > FT_ADMISSION_WINDOW_MIN;
    bool grow = bytes < LOW(bytes_max) && window < full;
    int64_t now_ns = now_of(ingest);
    if ((!shrink && !grow) || now_ns - session->changed_ns < CHANGE_NS) {
        return;
    }
    session->changed_ns = now_ns;
    if (grow) {
        set_window(session, window < full / 2 ? 2 * window : full, 0);
        return;
    }
    ingest->stats.slow_downs++;
    uint64_t half = window / 2 > FT_ADMISSION_WINDOW_MIN ? window / 2 : FT_ADMISSION_WINDOW_MIN;
    uint64_t pause_ms = PAUSE_MS / 2 + ft_random_below(ingest->options.random, PAUSE_MS / 2);
    set_window(session, half, (uint32_t)pause_ms);
}

static void set_window(struct ft_ingest_session *session, uint64_t window, uint32_t pause_ms)
{
    session->window_bytes = window;
    struct ft_response response = {.kind = FT_RESPONSE_SLOW_DOWN,
                                   .slow_down = {.window_bytes = window, .pause_ms = pause_ms}};
    send(session, &response);
}

/* From now on it sends what comes, for which a small window is enough. */
static void end_drain(struct ft_ingest_session *session)
{
    ft_flow_leave(session);
    session->full_window_bytes = FT_ADMISSION_WINDOW_MIN;
    if (session->window_bytes > FT_ADMISSION_WINDOW_MIN) {
        set_window(session, FT_ADMISSION_WINDOW_MIN, 0);
    }
}

void ft_flow_on_progress(struct ft_ingest_session *session, uint64_t last_seq)
{
    session->progress_ns = now_of(session->ingest);
    if (session->granted_bytes > 0 && last_seq >= session->caught_up_seq) {
        end_drain(session);
    }
}

/* A heap: the one that may read on first is at the top. */
static bool is_before(const struct ft_ingest *ingest, size_t a, size_t b)
{
    return ingest->held[a].until_ns < ingest->held[b].until_ns;
}

static void swap_held(struct ft_ingest *ingest, size_t a, size_t b)
{
    struct ft_held_session kept = ingest->held[a];
    ingest->held[a] = ingest->held[b];
    ingest->held[b] = kept;
}

void ft_flow_hold(struct ft_ingest_session *session, int64_t until_mono_ns)
{
    struct ft_ingest *ingest = session->ingest;
    if (ingest->n_held == ingest->n_held_allocated) {
        size_t n = ingest->n_held_allocated != 0 ? 2 * ingest->n_held_allocated : 64;
        struct ft_held_session *held = reallocarray(ingest->held, n, sizeof *held);
        if (held == NULL) {
            ingest->options.peer_ops->resume(session->peer); /* Without memory nobody waits. */
            return;
        }
        ingest->held = held;
        ingest->n_held_allocated = n;
    }
    ft_ingest_session_ref(session);
    size_t at = ingest->n_held++;
    ingest->held[at] = (struct ft_held_session){session, until_mono_ns};
    for (; at > 0 && is_before(ingest, at, (at - 1) / 2); at = (at - 1) / 2) {
        swap_held(ingest, at, (at - 1) / 2);
    }
    ingest->stats.held_sessions = ingest->n_held;
    ingest->stats.holds++;
}

static struct ft_ingest_session *take_first_held(struct ft_ingest *ingest)
{
    struct ft_ingest_session *session = ingest->held[0].session;
    ingest->held[0] = ingest->held[--ingest->n_held];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < ingest->n_held; child++) {
            least = is_before(ingest, child, least) ? child : least;
        }
        if (least == at) {
            break;
        }
        swap_held(ingest, at, least);
        at = least;
    }
    ingest->stats.held_sessions = ingest->n_held;
    return session;
}

static void sweep(struct ft_ingest *ingest, int64_t now_ns)
{
    struct ft_ingest_session *idle[64];
    size_t n = 0;
    ft_mutex_lock(&ingest->lock);
    for (size_t slot = 0; slot < FT_INGEST_SESSION_SLOTS; slot++) {
        for (struct ft_ingest_session *at = ingest->sessions[slot]; at != NULL && n < 64;
             at = at->next) {
            if (at->granted_bytes > 0 && now_ns - at->progress_ns > UNUSED_NS) {
                ft_ingest_session_ref(at);
                idle[n++] = at;
            }
        }
    }
    ft_mutex_unlock(&ingest->lock);
    for (size_t i = 0; i < n; i++) {
        end_drain(idle[i]);
        ft_ingest_session_unref(idle[i]);
    }
}

int64_t ft_flow_run(struct ft_ingest *ingest)
{
    int64_t now_ns = now_of(ingest);
    while (ingest->n_held > 0 && ingest->held[0].until_ns <= now_ns) {
        struct ft_ingest_session *session = take_first_held(ingest);
        ingest->options.peer_ops->resume(session->peer);
        ft_ingest_session_unref(session);
    }
    if (now_ns >= ingest->sweep_ns) {
        ingest->sweep_ns = now_ns + SWEEP_NS;
        sweep(ingest, now_ns);
    }
    return ingest->n_held > 0 ? ingest->held[0].until_ns : FT_TIME_NEVER;
}

void ft_flow_deinit(struct ft_ingest *ingest)
{
    while (ingest->n_held > 0) {
        ft_ingest_session_unref(take_first_held(ingest));
    }
    free(ingest->held);
    ingest->held = NULL;
}
