/* SPDX-License-Identifier: Apache-2.0 */
#include "export/link.h"

#include <assert.h>

#include "base/clock.h"

/* Beyond this the wait is at its bound for any sensible base. */
#define SHIFT_MAX 30

const struct ft_link_options ft_link_options_default = {
    .backoff_base_ns = 250 * FT_NS_PER_MS,
    .backoff_max_ns = 60 * FT_NS_PER_S,
    .backoff_slow_ns = 30 * FT_NS_PER_S,
    .open_timeout_ns = 10 * FT_NS_PER_S,
    .hello_timeout_ns = 10 * FT_NS_PER_S,
    .ack_timeout_ns = 60 * FT_NS_PER_S,
};

static const char *const state_names[FT_LINK_STATE_N] = {"disabled", "backoff", "connecting",
                                                         "greeting", "active",  "closing"};
static const char *const reason_names[FT_LINK_REASON_N] = {
    "peer", "auth", "protocol", "go_away", "timeout_open", "timeout_hello", "timeout_ack", "own"};
static const char *const action_names[] = {"none", "connect", "say_hello", "disconnect"};

static void enter(struct ft_link *link, enum ft_link_state state, int64_t now_ns);
static void back_off(struct ft_link *link, int64_t now_ns);
static bool has_stream(const struct ft_link *link);
static int64_t state_deadline(const struct ft_link *link, enum ft_link_reason *ret_reason);

void ft_link_init(struct ft_link *link, const struct ft_link_options *options,
                  struct ft_random *random, int64_t now_ns)
{
    *link = (struct ft_link){.options = *options, .random = random, .since_ns = now_ns};
}

void ft_link_enable(struct ft_link *link, int64_t now_ns)
{
    link->enabled = true;
    if (link->state == FT_LINK_DISABLED) {
        link->retry_ns = now_ns;
        enter(link, FT_LINK_BACKOFF, now_ns);
    }
}

void ft_link_disable(struct ft_link *link, int64_t now_ns)
{
    link->enabled = false;
    if (link->state == FT_LINK_BACKOFF) {
        enter(link, FT_LINK_DISABLED, now_ns);
    } else if (has_stream(link)) {
        ft_link_give_up(link, now_ns, FT_LINK_REASON_OWN, 0);
    }
}

void ft_link_restart(struct ft_link *link, int64_t now_ns)
{
    if (!link->enabled) {
        return;
    }
    link->n_tries = 0;
    if (link->state == FT_LINK_BACKOFF) {
        link->retry_ns = now_ns;
    } else if (has_stream(link)) {
        ft_link_give_up(link, now_ns, FT_LINK_REASON_OWN, 0);
    }
}

void ft_link_opened(struct ft_link *link, int64_t now_ns)
{
    if (link->state == FT_LINK_CONNECTING) {
        link->order_due = true;
        enter(link, FT_LINK_GREETING, now_ns);
    }
}

void ft_link_welcomed(struct ft_link *link, int64_t now_ns)
{
    if (link->state == FT_LINK_GREETING) {
        link->n_welcomes++;
        link->waiting_for_ack = false;
        enter(link, FT_LINK_ACTIVE, now_ns);
    }
}

void ft_link_sent(struct ft_link *link, int64_t now_ns)
{
    if (link->state == FT_LINK_ACTIVE && !link->waiting_for_ack) {
        link->waiting_for_ack = true;
        link->ack_deadline_ns = now_ns + link->options.ack_timeout_ns;
    }
}

void ft_link_acked(struct ft_link *link, int64_t now_ns, bool more_waiting)
{
    link->n_tries = 0;
    link->waiting_for_ack = more_waiting;
    link->ack_deadline_ns = now_ns + link->options.ack_timeout_ns;
}

void ft_link_give_up(struct ft_link *link, int64_t now_ns, enum ft_link_reason reason,
                     int64_t retry_after_ns)
{
    if (has_stream(link)) {
        link->reason = reason;
        link->retry_after_ns = retry_after_ns;
        link->order_due = true;
        enter(link, FT_LINK_CLOSING, now_ns);
    }
}

void ft_link_closed(struct ft_link *link, int64_t now_ns, enum ft_link_reason reason)
{
    if (link->state != FT_LINK_CLOSING) {
        if (!has_stream(link)) {
            return;
        }
        link->reason = reason;
    }
    link->n_ends[link->reason]++;
    back_off(link, now_ns);
}

enum ft_link_action ft_link_run(struct ft_link *link, int64_t now_ns)
{
    enum ft_link_reason reason;
    int64_t deadline = state_deadline(link, &reason);
    if (link->state == FT_LINK_BACKOFF) {
        if (now_ns < deadline) {
            return FT_LINK_NONE;
        }
        link->n_connects++;
        link->n_tries++;
        enter(link, FT_LINK_CONNECTING, now_ns);
        return FT_LINK_CONNECT;
    }
    if (has_stream(link) && now_ns >= deadline) {
        ft_link_give_up(link, now_ns, reason, 0);
    }
    if (link->order_due && link->state == FT_LINK_GREETING) {
        link->order_due = false;
        return FT_LINK_SAY_HELLO;
    }
    if (link->order_due && link->state == FT_LINK_CLOSING) {
        link->order_due = false;
        return FT_LINK_DISCONNECT;
    }
    return FT_LINK_NONE;
}

int64_t ft_link_deadline(const struct ft_link *link)
{
    enum ft_link_reason reason;
    return link->order_due ? INT64_MIN : state_deadline(link, &reason);
}

const char *ft_link_state_name(enum ft_link_state state)
{
    assert(state < FT_LINK_STATE_N);
    return state_names[state];
}

const char *ft_link_reason_name(enum ft_link_reason reason)
{
    assert(reason < FT_LINK_REASON_N);
    return reason_names[reason];
}

const char *ft_link_action_name(enum ft_link_action action) { return action_names[action]; }

static void enter(struct ft_link *link, enum ft_link_state state, int64_t now_ns)
{
    link->state = state;
    link->since_ns = now_ns;
}

/* Draws the next wait, or stops when the link is not wanted any more. */
static void back_off(struct ft_link *link, int64_t now_ns)
{
    link->order_due = false;
    link->waiting_for_ack = false;
    if (!link->enabled) {
        enter(link, FT_LINK_DISABLED, now_ns);
        return;
    }
    int64_t wait = 0;
    if (link->reason != FT_LINK_REASON_OWN) {
        unsigned shift = link->n_tries < SHIFT_MAX ? link->n_tries : SHIFT_MAX;
        int64_t bound = link->options.backoff_max_ns;
        if (link->options.backoff_base_ns < bound >> shift) {
            bound = link->options.backoff_base_ns << shift;
        }
        wait = (int64_t)ft_random_below(link->random, (uint64_t)bound + 1);
    }
    if (link->reason == FT_LINK_REASON_AUTH || link->reason == FT_LINK_REASON_PROTOCOL) {
        wait += link->options.backoff_slow_ns;
    }
    wait += link->retry_after_ns;
    link->retry_after_ns = 0;
    link->retry_ns = now_ns + wait;
    enter(link, FT_LINK_BACKOFF, now_ns);
}

static bool has_stream(const struct ft_link *link)
{
    return link->state == FT_LINK_CONNECTING || link->state == FT_LINK_GREETING ||
           link->state == FT_LINK_ACTIVE;
}

static int64_t state_deadline(const struct ft_link *link, enum ft_link_reason *ret_reason)
{
    *ret_reason = FT_LINK_REASON_PEER;
    switch (link->state) {
    case FT_LINK_BACKOFF:
        return link->retry_ns;
    case FT_LINK_CONNECTING:
        *ret_reason = FT_LINK_REASON_TIMEOUT_OPEN;
        return link->since_ns + link->options.open_timeout_ns;
    case FT_LINK_GREETING:
        *ret_reason = FT_LINK_REASON_TIMEOUT_HELLO;
        return link->since_ns + link->options.hello_timeout_ns;
    case FT_LINK_ACTIVE:
        *ret_reason = FT_LINK_REASON_TIMEOUT_ACK;
        return link->waiting_for_ack ? link->ack_deadline_ns : FT_TIME_NEVER;
    case FT_LINK_DISABLED:
    case FT_LINK_CLOSING:
    case FT_LINK_STATE_N:
        break;
    }
    return FT_TIME_NEVER;
}
