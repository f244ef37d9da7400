/* SPDX-License-Identifier: Apache-2.0 */
#include "os/switches.h"

#include "lib/test.h"

#define ACCT      FT_SWITCH_BIT(FT_CT_SWITCH_ACCT)
#define TIMESTAMP FT_SWITCH_BIT(FT_CT_SWITCH_TIMESTAMP)
#define EVENTS    FT_SWITCH_BIT(FT_CT_SWITCH_EVENTS)
#define ALL       (ACCT | TIMESTAMP | EVENTS)

/* A kernel that is three numbers. */
struct fake {
    struct ft_ct_kernel base;
    int values[FT_CT_SWITCH_N];
    ft_err get_err[FT_CT_SWITCH_N];
    ft_err set_err[FT_CT_SWITCH_N];
    unsigned n_sets;
};

static ft_err fake_get(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int *ret_value)
{
    struct fake *fake = (struct fake *)kernel;
    if (fake->get_err[which] == FT_OK) {
        *ret_value = fake->values[which];
    }
    return fake->get_err[which];
}

static ft_err fake_set(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int value)
{
    struct fake *fake = (struct fake *)kernel;
    fake->n_sets++;
    if (fake->set_err[which] == FT_OK) {
        fake->values[which] = value;
    }
    return fake->set_err[which];
}

static const struct ft_ct_kernel_ops fake_ops = {.switch_get = fake_get, .switch_set = fake_set};

static void setup(struct fake *fake, struct ft_switches *switches)
{
    *fake = (struct fake){.base.ops = &fake_ops};
    ft_switches_init(switches, 0, NULL, NULL);
}

static enum ft_switch_state state_of(const struct ft_switches *switches, enum ft_ct_switch which)
{
    return switches->switches[which].state;
}

TEST(turns_on_what_is_off_and_off_again)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    fake.values[FT_CT_SWITCH_TIMESTAMP] = 1;
    fake.values[FT_CT_SWITCH_EVENTS] = 2;
    ft_switches_apply(&switches, &fake.base, ALL);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_TURNED_ON);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_TIMESTAMP), FT_SWITCH_WAS_ON);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_EVENTS), FT_SWITCH_WAS_ON);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 1);
    CHECK_INT(fake.values[FT_CT_SWITCH_EVENTS], 2);
    CHECK_INT(ft_switches_owned(&switches), ACCT);
    CHECK(ft_switches_is_on(&switches, FT_CT_SWITCH_EVENTS));
    CHECK_INT(ft_switches_restore(&switches, &fake.base), 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_TIMESTAMP], 1);
    CHECK_INT(fake.values[FT_CT_SWITCH_EVENTS], 2);
    CHECK_INT(fake.n_sets, 2);
}

TEST(unwanted_is_not_touched)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, ACCT);
    CHECK_INT(fake.n_sets, 1);
    CHECK_INT(fake.values[FT_CT_SWITCH_TIMESTAMP], 0);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_TIMESTAMP), FT_SWITCH_UNWANTED);
}

TEST(a_value_that_somebody_changed_is_theirs)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, EVENTS);
    fake.values[FT_CT_SWITCH_EVENTS] = 2;
    CHECK_INT(ft_switches_restore(&switches, &fake.base), 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_EVENTS], 2);
    CHECK_INT(fake.n_sets, 1);
}

TEST(changed_while_running_is_seen_at_the_next_apply)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, ACCT | EVENTS);
    fake.values[FT_CT_SWITCH_EVENTS] = 2;
    fake.values[FT_CT_SWITCH_ACCT] = 0;
    ft_switches_apply(&switches, &fake.base, ACCT | EVENTS);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_EVENTS), FT_SWITCH_WAS_ON);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_TURNED_ON);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 1);
    CHECK_INT(ft_switches_owned(&switches), ACCT);
}

TEST(no_longer_wanted_is_restored)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, ACCT | TIMESTAMP);
    ft_switches_apply(&switches, &fake.base, TIMESTAMP);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_TIMESTAMP], 1);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_UNWANTED);
}

TEST(read_only_and_missing_are_told_apart)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    fake.set_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EROFS);
    fake.get_err[FT_CT_SWITCH_TIMESTAMP] = ft_err_from_errno(ENOENT);
    fake.get_err[FT_CT_SWITCH_EVENTS] = ft_err_from_errno(EIO);
    ft_switches_apply(&switches, &fake.base, ALL);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_READ_ONLY);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_TIMESTAMP), FT_SWITCH_MISSING);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_EVENTS), FT_SWITCH_FAILED);
    CHECK_ERR(switches.switches[FT_CT_SWITCH_EVENTS].err, ft_err_from_errno(EIO));
    CHECK_INT(ft_switches_owned(&switches), 0);
    CHECK(!ft_switches_is_on(&switches, FT_CT_SWITCH_ACCT));
    /* Where /proc can be written later, another try helps. */
    fake.set_err[FT_CT_SWITCH_ACCT] = FT_OK;
    ft_switches_apply(&switches, &fake.base, ALL);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_TURNED_ON);
}

TEST(read_only_but_on_is_on)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    fake.values[FT_CT_SWITCH_ACCT] = 1;
    fake.set_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EACCES);
    ft_switches_apply(&switches, &fake.base, ACCT);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_WAS_ON);
    CHECK_INT(fake.n_sets, 0);
}

TEST(what_cannot_be_restored_stays_owned)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, ACCT);
    fake.set_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EROFS);
    CHECK_INT(ft_switches_restore(&switches, &fake.base), ACCT);
    fake.set_err[FT_CT_SWITCH_ACCT] = FT_OK;
    CHECK_INT(ft_switches_restore(&switches, &fake.base), 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 0);
}

TEST(a_crash_does_not_make_ours_somebody_elses)
{
    struct fake fake;
    struct ft_switches switches;
    setup(&fake, &switches);
    ft_switches_apply(&switches, &fake.base, ACCT | TIMESTAMP);
    unsigned owned = ft_switches_owned(&switches);
    fake.values[FT_CT_SWITCH_TIMESTAMP] = 0; /* Somebody turned it off meanwhile. */
    ft_switches_init(&switches, owned, NULL, NULL);
    ft_switches_apply(&switches, &fake.base, ACCT);
    CHECK_INT(state_of(&switches, FT_CT_SWITCH_ACCT), FT_SWITCH_TURNED_ON);
    CHECK_INT(ft_switches_restore(&switches, &fake.base), 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_ACCT], 0);
    CHECK_INT(fake.values[FT_CT_SWITCH_TIMESTAMP], 0);
}

/* What was kept, and how many switches were on when it was first told. */
struct keeper {
    struct fake fake;
    unsigned owned;
    unsigned n_calls;
    int acct_at_first_call;
};

static void keep(void *ctx, unsigned owned)
{
    struct keeper *keeper = ctx;
    if (keeper->n_calls++ == 0) {
        keeper->acct_at_first_call = keeper->fake.values[FT_CT_SWITCH_ACCT];
    }
    keeper->owned = owned;
}

TEST(what_is_ours_is_kept_before_it_is_turned_on_and_until_it_is_off)
{
    struct keeper keeper = {.fake.base.ops = &fake_ops};
    struct ft_switches switches;
    ft_switches_init(&switches, 0, keep, &keeper);
    ft_switches_apply(&switches, &keeper.fake.base, 0);
    CHECK_INT(keeper.n_calls, 0);
    ft_switches_apply(&switches, &keeper.fake.base, ACCT | TIMESTAMP);
    CHECK_INT(keeper.acct_at_first_call, 0);
    CHECK_INT(keeper.owned, ACCT | TIMESTAMP);
    keeper.fake.set_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EROFS);
    CHECK_INT(ft_switches_restore(&switches, &keeper.fake.base), ACCT);
    CHECK_INT(keeper.owned, ACCT);
    keeper.fake.set_err[FT_CT_SWITCH_ACCT] = FT_OK;
    CHECK_INT(ft_switches_restore(&switches, &keeper.fake.base), 0);
    CHECK_INT(keeper.owned, 0);
    /* One that cannot be turned on is not ours. */
    keeper.fake.set_err[FT_CT_SWITCH_ACCT] = ft_err_from_errno(EROFS);
    ft_switches_apply(&switches, &keeper.fake.base, ACCT);
    CHECK_INT(keeper.owned, 0);
}

TEST(every_state_has_a_text)
{
    for (unsigned i = 0; i < FT_SWITCH_STATE_N; i++) {
        CHECK(ft_switch_state_text((enum ft_switch_state)i)[0] != '\0');
    }
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        CHECK(strncmp(ft_ct_switch_name((enum ft_ct_switch)i), "nf_conntrack_", 13) == 0);
    }
}
