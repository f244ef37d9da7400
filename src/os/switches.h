/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turning on what flowtrail wants of conntrack (accounting, time stamps, events), and turning it
 * off again at stop, but only what is still as it was left: who changed a switch in between owns
 * it from then on.
 *
 * Logic over os/ct_kernel.h only; it reads no file itself.
 *
 * Thread: owner only.
 */
#ifndef FT_OS_SWITCHES_H
#define FT_OS_SWITCHES_H 1

#include <stdbool.h>

#include "os/ct_kernel.h"

/* What is known of one switch. */
enum ft_switch_state {
    FT_SWITCH_UNWANTED,  /* Not asked for: never touched, may be on or off. */
    FT_SWITCH_WAS_ON,    /* Somebody else had turned it on; it stays. */
    FT_SWITCH_TURNED_ON, /* By us; goes off at stop. */
    FT_SWITCH_READ_ONLY, /* Off, and /proc/sys may not be written here. */
    FT_SWITCH_MISSING,   /* The kernel has no such switch, or conntrack is not loaded. */
    FT_SWITCH_FAILED,    /* Any other error: 'err'. */
    FT_SWITCH_STATE_N
};

struct ft_switch {
    enum ft_switch_state state;
    ft_err err;  /* Why, for the last three. */
    int written; /* What we wrote, for TURNED_ON. */
};

/*
 * Told which switches are ours, as bits: before one is turned on, and after one is no longer ours.
 * To be kept where a crash does not take it (os/switch_record.h).
 */
typedef void ft_switches_keep_fn(void *ctx, unsigned owned);

struct ft_switches {
    struct ft_switch switches[FT_CT_SWITCH_N];
    ft_switches_keep_fn *keep; /* May be NULL. */
    void *keep_ctx;
    unsigned kept;
};

/* Bits of 'wanted' and of what is owned: 1 << enum ft_ct_switch. */
#define FT_SWITCH_BIT(which) (1U << (unsigned)(which))

/*
 * 'owned' are the switches that a former run had turned on and not turned off again (what 'keep'
 * was told last); those still at our value are ours again.  0: none.
 */
void ft_switches_init(struct ft_switches *switches, unsigned owned, ft_switches_keep_fn *keep,
                      void *keep_ctx);

/*
 * Turns on the wanted ones that are off.  Never fails: the state of each tells.  It may be called
 * again, with other wishes or to try anew; a switch that is no longer wanted is restored.
 */
void ft_switches_apply(struct ft_switches *switches, struct ft_ct_kernel *kernel, unsigned wanted);

/* Turns off what we turned on and nobody has changed since.  Returns what is still owned because
 * writing failed. */
unsigned ft_switches_restore(struct ft_switches *switches, struct ft_ct_kernel *kernel);

/* What we turned on. */
unsigned ft_switches_owned(const struct ft_switches *switches);

/* True when it is on, whoever did it, as of the last apply. */
bool ft_switches_is_on(const struct ft_switches *switches, enum ft_ct_switch which);

/* "turned on", "read-only": for status and logs.  Static storage. */
const char *ft_switch_state_text(enum ft_switch_state state);

#endif
