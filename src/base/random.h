/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Randomness as an argument: the kernel's in production, a seeded generator in simulation, so
 * that a failing run can be repeated from its seed.
 *
 * Thread: the system source any; a seeded one belongs to one thread.
 */
#ifndef FT_BASE_RANDOM_H
#define FT_BASE_RANDOM_H 1

#include <stddef.h>
#include <stdint.h>

struct ft_random {
    void (*fill)(struct ft_random *random, void *buf, size_t size);
};

/* getrandom(2).  Aborts if the kernel has none: no identity can be made then. Static storage. */
struct ft_random *ft_random_system(void);

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
struct ft_random_seeded {
    struct ft_random base;
    uint64_t state;
};

void ft_random_seeded_init(struct ft_random_seeded *random, uint64_t seed);

uint64_t ft_random_u64(struct ft_random *random);

/* Uniform in [0, bound); 'bound' > 0. */
uint64_t ft_random_below(struct ft_random *random, uint64_t bound);

#endif
