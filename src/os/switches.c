/* SPDX-License-Identifier: Apache-2.0 */
#include "os/switches.h"

#include <assert.h>

/*
 * All three switches are off at 0.  nf_conntrack_events also knows 2, "while somebody listens",
 * which is on for us; 1 is what every kernel understands.
 */
#define VALUE_OFF 0
#define VALUE_ON  1

static void keep(struct ft_switches *switches, unsigned owned);
static void apply_one(struct ft_switches *switches, struct ft_ct_kernel *kernel,
                      enum ft_ct_switch which);
static void restore_one(struct ft_switch *sw, struct ft_ct_kernel *kernel, enum ft_ct_switch which);

void ft_switches_init(struct ft_switches *switches, unsigned owned, ft_switches_keep_fn *keep_fn,
                      void *keep_ctx)
{
    switches->keep = keep_fn;
    switches->keep_ctx = keep_ctx;
    switches->kept = owned;
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        struct ft_switch *sw = &switches->switches[i];
        *sw = (struct ft_switch){.state = FT_SWITCH_UNWANTED};
        if ((owned & FT_SWITCH_BIT(i)) != 0) {
            sw->state = FT_SWITCH_TURNED_ON;
            sw->written = VALUE_ON;
        }
    }
}

void ft_switches_apply(struct ft_switches *switches, struct ft_ct_kernel *kernel, unsigned wanted)
{
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        struct ft_switch *sw = &switches->switches[i];
        if ((wanted & FT_SWITCH_BIT(i)) != 0) {
            apply_one(switches, kernel, (enum ft_ct_switch)i);
        } else {
            restore_one(sw, kernel, (enum ft_ct_switch)i);
        }
    }
    keep(switches, ft_switches_owned(switches));
}

unsigned ft_switches_restore(struct ft_switches *switches, struct ft_ct_kernel *kernel)
{
    ft_switches_apply(switches, kernel, 0);
    return ft_switches_owned(switches);
}

unsigned ft_switches_owned(const struct ft_switches *switches)
{
    unsigned owned = 0;
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        if (switches->switches[i].state == FT_SWITCH_TURNED_ON) {
            owned |= FT_SWITCH_BIT(i);
        }
    }
    return owned;
}

bool ft_switches_is_on(const struct ft_switches *switches, enum ft_ct_switch which)
{
    enum ft_switch_state state = switches->switches[which].state;
    return state == FT_SWITCH_WAS_ON || state == FT_SWITCH_TURNED_ON;
}

const char *ft_switch_state_text(enum ft_switch_state state)
{
    static const char *const texts[FT_SWITCH_STATE_N] = {
        [FT_SWITCH_UNWANTED] = "not asked for",
        [FT_SWITCH_WAS_ON] = "on",
        [FT_SWITCH_TURNED_ON] = "turned on by flowtrail",
        [FT_SWITCH_READ_ONLY] = "off, and /proc/sys is read-only here",
        [FT_SWITCH_MISSING] = "not in this kernel, or conntrack is not loaded",
        [FT_SWITCH_FAILED] = "failed",
    };
    assert(state < FT_SWITCH_STATE_N);
    return texts[state];
}

static void set_failed(struct ft_switch *sw, ft_err err)
{
    sw->err = err;
    if (err == ft_err_from_errno(ENOENT)) {
        sw->state = FT_SWITCH_MISSING;
    } else if (err == ft_err_from_errno(EROFS) || err == ft_err_from_errno(EACCES) ||
               err == ft_err_from_errno(EPERM)) {
        sw->state = FT_SWITCH_READ_ONLY;
    } else {
        sw->state = FT_SWITCH_FAILED;
    }
}

static void keep(struct ft_switches *switches, unsigned owned)
{
    if (owned != switches->kept && switches->keep != NULL) {
        switches->keep(switches->keep_ctx, owned);
    }
    switches->kept = owned;
}

static void apply_one(struct ft_switches *switches, struct ft_ct_kernel *kernel,
                      enum ft_ct_switch which)
{
    struct ft_switch *sw = &switches->switches[which];
    int value;
    ft_err err = kernel->ops->switch_get(kernel, which, &value);
    if (err != FT_OK) {
        if (sw->state != FT_SWITCH_TURNED_ON) {
            set_failed(sw, err); /* What we own stays owned: it is to be restored one day. */
        }
        return;
    }
    if (value != VALUE_OFF) {
        if (sw->state != FT_SWITCH_TURNED_ON || value != sw->written) {
            sw->state = FT_SWITCH_WAS_ON;
        }
        sw->err = FT_OK;
        return;
    }
    /* Known to be ours before it is: a crash in between leaves a claim that nothing comes of. */
    keep(switches, ft_switches_owned(switches) | FT_SWITCH_BIT(which));
    err = kernel->ops->switch_set(kernel, which, VALUE_ON);
    if (err != FT_OK) {
        set_failed(sw, err);
        return;
    }
    *sw = (struct ft_switch){.state = FT_SWITCH_TURNED_ON, .written = VALUE_ON};
}

static void restore_one(struct ft_switch *sw, struct ft_ct_kernel *kernel, enum ft_ct_switch which)
{
    if (sw->state == FT_SWITCH_TURNED_ON) {
        int value;
        ft_err err = kernel->ops->switch_get(kernel, which, &value);
        if (err == FT_OK && value == sw->written) {
            err = kernel->ops->switch_set(kernel, which, VALUE_OFF);
        }
        if (err != FT_OK && err != ft_err_from_errno(ENOENT)) {
            sw->err = err;
            return;
        }
    }
    *sw = (struct ft_switch){.state = FT_SWITCH_UNWANTED};
}
