/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(struct ft_random *random, void *buf, size_t size)
{
    (void)random;
    unsigned char *at = buf;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }
        at += n;
        size -= (size_t)n;
    }
}

struct ft_random *ft_random_system(void)
{
    static struct ft_random system_random = {system_fill};
    return &system_random;
}

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void seeded_fill(struct ft_random *random, void *buf, size_t size)
{
    struct ft_random_seeded *seeded = (struct ft_random_seeded *)random;
    unsigned char *at = buf;
    while (size > 0) {
        uint64_t word = splitmix64(&seeded->state);
        size_t n = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, n);
        at += n;
        size -= n;
    }
}

void ft_random_seeded_init(struct ft_random_seeded *random, uint64_t seed)
{
    random->base.fill = seeded_fill;
    random->state = seed;
}

uint64_t ft_random_u64(struct ft_random *random)
{
    uint64_t value;
    random->fill(random, &value, sizeof value);
    return value;
}

uint64_t ft_random_below(struct ft_random *random, uint64_t bound)
{
    assert(bound > 0);
    /* Rejects the tail that would make small values likelier. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value;
    do {
        value = ft_random_u64(random);
    } while (value >= limit);
    return value % bound;
}
