/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: a real difference shows as its number, and nothing else ever shows. */
#include "collector/account.h"

#include "base/random.h"
#include "lib/test.h"

/* An instance that said it observed 'o', with 'a' acknowledged, 'r' retained and 'l' lost, when we
 * had 'd'; now we have 'now'. */
static struct ft_instance instance_of(uint64_t o, uint64_t a, uint64_t r, uint64_t l, uint64_t d,
                                      uint64_t now)
{
    struct ft_instance instance = {.appended_events = now,
                                   .appended_seq = now,
                                   .stored_events = now,
                                   .stored_seq = now,
                                   .told = {.known = true,
                                            .observed_events = o,
                                            .acknowledged_events = a,
                                            .retained_events = r,
                                            .our_appended_events = d}};
    instance.told.lost[FT_LOSS_LOG_FULL] = l;
    return instance;
}

static struct ft_account account_of(const struct ft_instance *instance)
{
    struct ft_account account = {0};
    ft_account_add(&account, instance);
    return account;
}

static void check_words(const struct ft_instance *instance, uint64_t unaccounted, const char *words)
{
    struct ft_discrepancy discrepancy;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_discrepancy_of(instance, &discrepancy);
    CHECK_INT(ft_discrepancy_total(&discrepancy), unaccounted);
    CHECK_INT(account_of(instance).unaccounted, unaccounted);
    CHECK_INT(account_of(instance).n_unbalanced, unaccounted > 0);
    ft_discrepancy_format(&discrepancy, &buf);
    CHECK_STR(ft_buf_str(&buf), words);
    ft_buf_deinit(&buf);
}

TEST(what_came_since_the_status_moves_from_retained_to_stored)
{
    struct ft_instance instance = instance_of(100, 40, 50, 10, 45, 70);
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.observed, 100);
    CHECK_INT(account.stored, 70);
    CHECK_INT(account.retained, 20);
    CHECK_INT(account.lost, 10);
    check_words(&instance, 0, "");
    /* All that was retained has come, and five that did not exist then. */
    instance = instance_of(100, 40, 50, 10, 45, 95);
    account = account_of(&instance);
    CHECK_INT(account.observed, 105);
    CHECK_INT(account.stored, 95);
    CHECK_INT(account.retained, 0);
    CHECK_INT(account.unaccounted, 0);
}

TEST(what_the_agent_believes_here_and_is_not_is_missing)
{
    struct ft_instance instance = instance_of(100, 60, 30, 10, 53, 53);
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.observed, 100);
    CHECK_INT(account.stored, 53);
    CHECK_INT(account.retained, 30);
    check_words(&instance, 7, "events that the agent believes here and are not: 7");
    /* Nor does it become right by what comes next. */
    instance.appended_events = instance.stored_events = instance.appended_seq = 80;
    instance.stored_seq = 80;
    CHECK_INT(account_of(&instance).unaccounted, 7);
}

TEST(an_agent_whose_own_account_is_off_shows_by_how_much)
{
    struct ft_instance more = instance_of(103, 50, 40, 10, 50, 50);
    struct ft_instance less = instance_of(97, 50, 40, 10, 50, 50);
    check_words(&more, 3, "events by which the agent\'s own account is off: 3");
    check_words(&less, 3, "events by which the agent\'s own account is off: 3");
}

TEST(a_rejection_that_the_agent_did_not_hear_of_is_no_difference)
{
    struct ft_instance instance = instance_of(100, 100, 0, 0, 95, 95);
    instance.told.our_rejected_events = 5;
    check_words(&instance, 0, "");
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.lost, 5);
    CHECK_INT(account.lost_by_cause[FT_LOSS_REJECTED], 5);
    CHECK_INT(account.observed, account.stored + account.retained + account.lost);
    /* One that it did hear of excuses nothing. */
    instance.told.lost[FT_LOSS_REJECTED] = 5;
    instance.told.acknowledged_events = 95;
    check_words(&instance, 0, "");
    instance.told.our_appended_events = 94;
    check_words(&instance, 1, "events that the agent believes here and are not: 1");
}

TEST(each_number_is_taken_rejected_or_missing)
{
    struct ft_instance instance = instance_of(100, 100, 0, 0, 100, 100);
    instance.appended_seq = instance.stored_seq = 107;
    instance.rejected_events = 3;
    check_words(&instance, 4, "numbers of which it is not known what became of them: 4");
    instance.missing_events = 4;
    check_words(&instance, 0, "");
}

TEST(what_left_the_log_must_be_in_the_store)
{
    struct ft_instance instance = instance_of(100, 100, 0, 0, 100, 100);
    instance.stored_events = 90;
    instance.stored_seq = 90;
    check_words(&instance, 0, ""); /* On its way. */
    instance.stored_seq = 100;
    check_words(&instance, 10, "events that left the log and are not in the store: 10");
}

TEST(what_was_here_before_the_start_must_be_here)
{
    struct ft_instance instance = {.appended_seq = 100,
                                   .stored_seq = 100,
                                   .appended_events = 60,
                                   .stored_events = 60,
                                   .missing_events = 40,
                                   .expected_events = 100};
    check_words(&instance, 40, "events that were here before the last start and are not: 40");
    /* The agent misses 30 of them as well. */
    instance.told = (struct ft_told){
        .known = true, .observed_events = 90, .acknowledged_events = 90, .our_appended_events = 60};
    check_words(&instance, 40,
                "events that the agent believes here and are not: 30, "
                "events that were here before the last start and are not: 10");
    instance.appended_events = instance.stored_events = 100;
    instance.missing_events = 0;
    instance.told.our_appended_events = 90;
    check_words(&instance, 0, "");
}

TEST(what_somebody_has_deleted_is_not_called_stored)
{
    struct ft_instance instance = instance_of(100, 90, 10, 0, 90, 95);
    instance.vanished_events = 8;
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.observed, 100);
    CHECK_INT(account.stored, 87);
    CHECK_INT(account.retained, 5);
    check_words(&instance, 8, "events that somebody has deleted from the store: 8");
}

TEST(what_could_not_be_stored_is_not_called_stored)
{
    struct ft_instance instance = instance_of(100, 90, 10, 0, 90, 95);
    instance.stored_events = 80;
    instance.quarantined_events = 8;
    instance.damaged_events = 7;
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.stored, 80);
    CHECK_INT(account.quarantined, 8);
    CHECK_INT(account.damaged, 7);
    CHECK_INT(account.retained, 5);
    CHECK_INT(account.observed, 100);
    check_words(&instance, 0, "");
    CHECK_INT(ft_account_waiting(&instance), 0);
    instance.appended_seq = instance.appended_events = 98;
    CHECK_INT(ft_account_waiting(&instance), 3);
    check_words(&instance, 0, "");
}

TEST(who_has_said_nothing_is_not_judged_and_has_what_is_here)
{
    struct ft_instance instance = {.appended_events = 30,
                                   .appended_seq = 35,
                                   .stored_events = 30,
                                   .stored_seq = 35,
                                   .missing_events = 5};
    instance.lost_events[FT_LOSS_LOG_FULL] = 5;
    struct ft_account account = account_of(&instance);
    CHECK_INT(account.observed, 35);
    CHECK_INT(account.stored, 30);
    CHECK_INT(account.lost, 5);
    CHECK_INT(account.unaccounted, 0);
}

/* An agent and its collector, as the protocol has them work: in order, with delays at each step. */
struct life {
    struct ft_random *random;
    uint64_t created;
    uint64_t sent;     /* Up to this number; never less than what the collector has. */
    uint64_t queued;   /* Received, not appended. */
    uint64_t appended; /* Number; events are less by the holes and rejections. */
    uint64_t acked;    /* The agent knows. */
    /* By number: where it is. */
    uint8_t at_agent[20000]; /* 'r'etained, 'a'cknowledged, 'l'ost, 'j': rejected */
    uint8_t at_collector[20000];
    struct ft_instance instance;
};

static void append(struct life *life, uint64_t up_to)
{
    for (uint64_t seq = life->appended + 1; seq <= up_to; seq++) {
        if (life->at_agent[seq] == 'l') {
            life->instance.missing_events++; /* A hole. */
            continue;
        }
        bool rejected = seq % 97 == 0;
        life->at_collector[seq] = rejected ? 'j' : 's';
        life->instance.appended_events += !rejected;
        life->instance.rejected_events += rejected;
    }
    life->appended = up_to;
    life->instance.appended_seq = up_to;
}

static void acknowledge(struct life *life, uint64_t up_to, bool rejections_are_heard)
{
    for (uint64_t seq = life->acked + 1; seq <= up_to; seq++) {
        if (life->at_agent[seq] == 'r') {
            life->at_agent[seq] =
                life->at_collector[seq] == 'j' && rejections_are_heard ? 'j' : 'a';
        }
    }
    life->acked = up_to;
}

static void tell(struct life *life)
{
    struct ft_msg_status status = {.observed_events = life->created};
    for (uint64_t seq = 1; seq <= life->created; seq++) {
        status.acknowledged_events += life->at_agent[seq] == 'a';
        status.retained_events += life->at_agent[seq] == 'r';
        status.lost[FT_LOSS_LOG_FULL] += life->at_agent[seq] == 'l';
        status.lost[FT_LOSS_REJECTED] += life->at_agent[seq] == 'j';
    }
    ft_instance_take_status(&life->instance, &status);
}

static uint64_t below(struct life *life, uint64_t n)
{
    return n > 0 ? ft_random_below(life->random, n + 1) : 0;
}

static void live(struct life *life)
{
    switch (ft_random_below(life->random, 8)) {
    case 0:
    case 1:
        for (uint64_t n = below(life, 20); n > 0 && life->created < 19999; n--) {
            life->at_agent[++life->created] = 'r';
        }
        break;
    case 2: /* The log is full: the oldest that were never sent go. */
        if (life->sent < life->created) {
            life->at_agent[life->sent + 1] = 'l';
            life->sent++;
        }
        break;
    case 3:
        life->sent += below(life, life->created - life->sent);
        break;
    case 4:
        life->queued += below(life, life->sent - life->queued);
        break;
    case 5:
        append(life, life->appended + below(life, life->queued - life->appended));
        break;
    case 6: /* Sometimes by a Welcome, which names no rejections. */
        acknowledge(life, life->acked + below(life, life->appended - life->acked),
                    ft_random_below(life->random, 3) > 0);
        break;
    case 7: /* It comes behind what was sent before it: that is queued at least. */
        life->queued = life->sent;
        tell(life);
        break;
    }
}

TEST(no_order_of_things_looks_like_a_difference)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static struct life life;
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        life = (struct life){.random = &random.base};
        for (unsigned step = 0; step < 300; step++) {
            live(&life);
            struct ft_account account = account_of(&life.instance);
            if (account.unaccounted != 0) {
                ft_test_fail(__FILE__, __LINE__, "seed %llu step %u: %llu unaccounted",
                             (unsigned long long)seed, step,
                             (unsigned long long)account.unaccounted);
            }
            if (life.instance.told.known) {
                CHECK_INT(account.observed, account.stored + account.retained + account.lost);
            }
        }
    }
}

TEST(any_event_that_vanishes_at_the_collector_shows)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        static struct life life;
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        life = (struct life){.random = &random.base};
        for (unsigned step = 0; step < 200; step++) {
            live(&life);
        }
        if (life.instance.appended_events == 0) {
            continue;
        }
        life.instance.appended_events--;
        life.instance.missing_events++; /* As the next start would find it. */
        /* Everything is delivered and told: what is gone by then shows. */
        life.sent = life.queued = life.created;
        append(&life, life.created);
        acknowledge(&life, life.created, true);
        tell(&life);
        CHECK_INT(account_of(&life.instance).unaccounted, 1);
    }
}
