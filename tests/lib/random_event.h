/* SPDX-License-Identifier: Apache-2.0 */
/* Events with every combination of parts, from a seed.  Thread: owner only. */
#ifndef FT_TESTS_LIB_RANDOM_EVENT_H
#define FT_TESTS_LIB_RANDOM_EVENT_H 1

#include "base/random.h"
#include "flow/event.h"

/* Strings are static.  'seq' becomes the event's. */
void ft_random_event(struct ft_random *random, uint64_t seq, struct ft_event *ret_event);

/* Fails the test on the first field that differs, looking only at parts that are present. */
void ft_check_event_equal(const struct ft_event *a, const struct ft_event *b);

#endif
