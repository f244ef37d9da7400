/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcripts: each tests/golden/export/NAME.in is a script of verbs, one per line; NAME.out is
 * what the state machine did.  Times are milliseconds.
 */
#include "export/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lib/test.h"

struct run {
    struct ft_link link;
    struct ft_random_seeded random;
    int64_t now_ns;
    struct ft_buf out;
};

static void show(struct run *run, const char *what)
{
    ft_buf_addf(&run->out, "%8lld %-12s %s\n", (long long)(run->now_ns / FT_NS_PER_MS),
                ft_link_state_name(run->link.state), what);
}

static void run_link(struct run *run)
{
    for (;;) {
        enum ft_link_action action = ft_link_run(&run->link, run->now_ns);
        if (action == FT_LINK_NONE) {
            return;
        }
        show(run, ft_link_action_name(action));
    }
}

/* Lets time pass, waking at each deadline as the exporter does. */
static void advance(struct run *run, int64_t until_ns)
{
    for (;;) {
        int64_t deadline = ft_link_deadline(&run->link);
        if (deadline > until_ns) {
            break;
        }
        run->now_ns = deadline > run->now_ns ? deadline : run->now_ns;
        run_link(run);
        if (run->link.state == FT_LINK_CLOSING) {
            break;
        }
    }
    run->now_ns = until_ns;
}

static enum ft_link_reason reason_of(const char *name)
{
    for (int i = 0; i < FT_LINK_REASON_N; i++) {
        if (strcmp(ft_link_reason_name((enum ft_link_reason)i), name) == 0) {
            return (enum ft_link_reason)i;
        }
    }
    ft_test_fail(__FILE__, __LINE__, "no reason %s", name);
}

static void obey(struct run *run, const char *verb, const char *word, long number)
{
    if (strcmp(verb, "enable") == 0) {
        ft_link_enable(&run->link, run->now_ns);
    } else if (strcmp(verb, "disable") == 0) {
        ft_link_disable(&run->link, run->now_ns);
    } else if (strcmp(verb, "restart") == 0) {
        ft_link_restart(&run->link, run->now_ns);
    } else if (strcmp(verb, "opened") == 0) {
        ft_link_opened(&run->link, run->now_ns);
    } else if (strcmp(verb, "welcomed") == 0) {
        ft_link_welcomed(&run->link, run->now_ns);
    } else if (strcmp(verb, "sent") == 0) {
        ft_link_sent(&run->link, run->now_ns);
    } else if (strcmp(verb, "acked") == 0) {
        ft_link_acked(&run->link, run->now_ns, strcmp(word, "more") == 0);
    } else if (strcmp(verb, "give_up") == 0) {
        ft_link_give_up(&run->link, run->now_ns, reason_of(word), number * FT_NS_PER_MS);
    } else if (strcmp(verb, "closed") == 0) {
        ft_link_closed(&run->link, run->now_ns, reason_of(word));
    } else if (strcmp(verb, "wait") == 0) {
        advance(run, run->now_ns + strtol(word, NULL, 10) * FT_NS_PER_MS);
    } else {
        ft_test_fail(__FILE__, __LINE__, "no verb %s", verb);
    }
}

static void transcript(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/export/%s.in", FT_TESTS_DIR, name);
    FILE *script = fopen(path, "r");
    CHECK(script != NULL);
    struct run run = {.now_ns = 1000 * FT_NS_PER_MS};
    ft_random_seeded_init(&run.random, 42);
    ft_buf_init(&run.out, 0);
    ft_link_init(&run.link, &ft_link_options_default, &run.random.base, run.now_ns);
    char line[256];
    while (fgets(line, sizeof line, script) != NULL) {
        char verb[32] = "";
        char word[32] = "";
        long number = 0;
        if (line[0] == '#' || sscanf(line, "%31s %31s %ld", verb, word, &number) < 1) {
            continue;
        }
        ft_buf_addf(&run.out, "> %s", line);
        obey(&run, verb, word, number);
        run_link(&run);
        show(&run, "");
    }
    (void)fclose(script);
    (void)snprintf(path, sizeof path, "export/%s.out", name);
    CHECK_GOLDEN(path, run.out.data, run.out.size);
    ft_buf_deinit(&run.out);
}

TEST(a_good_day) { transcript("good_day"); }
TEST(unreachable_collector_is_tried_with_growing_jitter) { transcript("unreachable"); }
TEST(refused_token_is_tried_slowly) { transcript("refused"); }
TEST(silent_peers_time_out) { transcript("silent"); }
TEST(go_away_and_restart) { transcript("go_away"); }
TEST(stop_in_every_state) { transcript("stop"); }

TEST(waits_stay_within_their_bounds_for_any_seed)
{
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        struct ft_link link;
        int64_t now = 0;
        ft_link_init(&link, &ft_link_options_default, &random.base, now);
        ft_link_enable(&link, now);
        int64_t bound = ft_link_options_default.backoff_base_ns;
        for (unsigned i = 0; i < 70; i++) {
            CHECK_INT(ft_link_run(&link, now), FT_LINK_CONNECT);
            ft_link_closed(&link, now, FT_LINK_REASON_PEER);
            bound = bound * 2 < ft_link_options_default.backoff_max_ns
                        ? bound * 2
                        : ft_link_options_default.backoff_max_ns;
            int64_t deadline = ft_link_deadline(&link);
            CHECK(deadline >= now && deadline <= now + bound);
            CHECK(deadline == now || ft_link_run(&link, deadline - 1) == FT_LINK_NONE);
            now = deadline;
        }
    }
}
