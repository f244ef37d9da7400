/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "lib/test.h"

/* The first values of SplitMix64 with seed 1234567, as in its authors' reference program. */
TEST(the_seeded_generator_is_splitmix64)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1234567);
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431), UINT64_C(16408922859458223821)};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        CHECK(ft_random_u64(&random.base) == expected[i]);
    }
}

TEST(the_same_seed_gives_the_same_bytes)
{
    struct ft_random_seeded a;
    struct ft_random_seeded b;
    uint8_t left[37];
    uint8_t right[37];
    ft_random_seeded_init(&a, 7);
    ft_random_seeded_init(&b, 7);
    a.base.fill(&a.base, left, sizeof left);
    b.base.fill(&b.base, right, sizeof right);
    CHECK_BYTES(left, sizeof left, right, sizeof right);
    ft_random_seeded_init(&b, 8);
    b.base.fill(&b.base, right, sizeof right);
    CHECK(memcmp(left, right, sizeof left) != 0);
}

TEST(below_is_below_and_reaches_everything)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    unsigned counts[7] = {0};
    for (unsigned i = 0; i < 7000; i++) {
        uint64_t value = ft_random_below(&random.base, 7);
        CHECK(value < 7);
        counts[value]++;
    }
    for (unsigned i = 0; i < 7; i++) {
        CHECK(counts[i] > 800 && counts[i] < 1200);
    }
    CHECK_INT(ft_random_below(&random.base, 1), 0);
    CHECK(ft_random_below(&random.base, UINT64_MAX) < UINT64_MAX);
}

TEST(the_system_gives_other_bytes_each_time)
{
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    struct ft_random *random = ft_random_system();
    random->fill(random, a, sizeof a);
    random->fill(random, b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
}
