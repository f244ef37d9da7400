/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/ids.h"

#include "lib/test.h"

static struct ft_uuid uuid(const char *text)
{
    struct ft_uuid parsed;
    CHECK_OK(ft_uuid_parse(text, &parsed));
    return parsed;
}

static void check_uuid(const struct ft_uuid *id, const char *expected)
{
    char text[FT_UUID_TEXT_SIZE];
    ft_uuid_format(id, text);
    CHECK_STR(text, expected);
}

/* Expected values: Python's hashlib over the same bytes (design: "Identity and order"). */
TEST(event_and_flow_ids_match_independent_vectors)
{
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    CHECK_OK(ft_id_deriver_create(&deriver));
    struct ft_uuid instance = uuid("00112233-4455-6677-8899-aabbccddeeff");
    struct ft_uuid id;
    ft_id_derive_event(deriver, &instance, 1, &id);
    check_uuid(&id, "f9f7fb52-1262-56ab-a969-7dcecefe40a0");
    ft_id_derive_event(deriver, &instance, UINT64_MAX, &id);
    check_uuid(&id, "4a5a4dc4-76d5-5fa8-8624-cc2b620dfad4");
    ft_id_derive_flow(deriver, &instance, 0x12345678, INT64_C(1767225600000000001), &id);
    check_uuid(&id, "513cbc68-2b74-5999-84de-1a70dd9c5d39");
    ft_id_derive_flow(deriver, &instance, 0, 0, &id);
    check_uuid(&id, "f5157024-c91f-573f-a3a0-a4c7b8bd663e");
}

TEST(parse_refuses_what_is_no_uuid)
{
    struct ft_uuid id;
    CHECK_ERR(ft_uuid_parse("", &id), FT_E_SYNTAX);
    CHECK_ERR(ft_uuid_parse("00112233-4455-6677-8899-aabbccddeef", &id), FT_E_SYNTAX);
    CHECK_ERR(ft_uuid_parse("00112233-4455-6677-8899-aabbccddeefff", &id), FT_E_SYNTAX);
    CHECK_ERR(ft_uuid_parse("0011223344556677-8899-aabb-ccddeeff12", &id), FT_E_SYNTAX);
    CHECK_ERR(ft_uuid_parse("00112233-4455-6677-8899-aabbccddeeg0", &id), FT_E_SYNTAX);
}

TEST(random_ids_have_version_and_variant_and_repeat_from_a_seed)
{
    struct ft_random_seeded a;
    struct ft_random_seeded b;
    ft_random_seeded_init(&a, 7);
    ft_random_seeded_init(&b, 7);
    for (int i = 0; i < 100; i++) {
        struct ft_uuid x;
        struct ft_uuid y;
        ft_uuid_make_random(&a.base, &x);
        ft_uuid_make_random(&b.base, &y);
        CHECK(ft_uuid_equal(&x, &y));
        CHECK_INT(x.bytes[6] >> 4, 4);
        CHECK_INT(x.bytes[8] >> 6, 2);
    }
}

TEST(machine_id_is_hidden_and_stable)
{
    struct ft_uuid a;
    struct ft_uuid b;
    ft_uuid_from_machine_id("0123456789abcdef0123456789abcdef", &a);
    ft_uuid_from_machine_id("0123456789abcdef0123456789abcdef", &b);
    CHECK(ft_uuid_equal(&a, &b));
    ft_uuid_from_machine_id("0123456789abcdef0123456789abcdee", &b);
    CHECK(!ft_uuid_equal(&a, &b));
    CHECK_INT(a.bytes[6] >> 4, 5);
}
