/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_set.h"

#include <stdio.h>

#include "auth/token_store.h"
#include "base/buf.h"
#include "base/thread.h"
#include "lib/test.h"

#define TOKEN_A "aaaaaaaaaaaaaaaaaaaa"
#define TOKEN_B "bbbbbbbbbbbbbbbbbbbb"
#define TOKEN_C "cccccccccccccccccccc"

static struct ft_diag diag;

static const char *digest(const char *token)
{
    static char texts[4][FT_TOKEN_DIGEST_SIZE];
    static unsigned next;
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    char *text = texts[next++ % 4];
    CHECK_OK(ft_token_hash(token, strlen(token), hash));
    ft_token_hash_format(hash, text);
    return text;
}

static ft_err parse(const char *text, struct ft_token_set **ret_set)
{
    memset(&diag, 0, sizeof diag);
    return ft_token_set_parse(text, strlen(text), "tokens", ret_set, &diag);
}

static ft_err lookup(const struct ft_token_set *set, const char *token,
                     struct ft_principal *principal)
{
    return ft_token_set_lookup(set, token, strlen(token), principal);
}

TEST(entries_and_lookup)
{
    char text[1024];
    FT_CLEANUP(ft_token_set_destroy) struct ft_token_set *set = NULL;
    (void)snprintf(text, sizeof text,
                   "# comment\n"
                   "\n"
                   "  web-tier:  %s   # trailing comment\r\n"
                   "db_01.x: %s agent=6ba7b810-9dad-11d1-80B4-00c04fd430c8 tenant=acme\n"
                   "ops: %s role=admin",
                   digest(TOKEN_A), digest(TOKEN_B), digest(TOKEN_C));
    CHECK_OK(parse(text, &set));
    CHECK_INT(ft_token_set_size(set), 3);
    struct ft_principal principal;
    CHECK_OK(lookup(set, TOKEN_A, &principal));
    CHECK_STR(principal.name, "web-tier");
    CHECK_STR(principal.tenant, "default");
    CHECK_INT(principal.role, FT_ROLE_AGENT);
    CHECK(!principal.has_agent_id);
    CHECK_OK(lookup(set, TOKEN_B, &principal));
    CHECK_STR(principal.name, "db_01.x");
    CHECK_STR(principal.tenant, "acme");
    static const uint8_t uuid[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                     0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    CHECK(principal.has_agent_id);
    CHECK_BYTES(principal.agent_id, sizeof principal.agent_id, uuid, sizeof uuid);
    CHECK_OK(lookup(set, TOKEN_C, &principal));
    CHECK_INT(principal.role, FT_ROLE_ADMIN);
    CHECK_STR(ft_role_text(principal.role), "admin");
    CHECK_ERR(lookup(set, "dddddddddddddddddddd", &principal), FT_E_AUTH);
    CHECK_ERR(lookup(set, TOKEN_A "a", &principal), FT_E_AUTH);
    CHECK_ERR(lookup(set, "", &principal), FT_E_AUTH);
    /* The hash itself opens nothing. */
    CHECK_ERR(lookup(set, digest(TOKEN_A), &principal), FT_E_AUTH);
    CHECK_ERR(lookup(NULL, TOKEN_A, &principal), FT_E_AUTH);
    CHECK_STR(principal.name, "ops");
}

TEST(mistakes_are_named_with_their_place)
{
    static const struct {
        const char *line;
        ft_err err;
        const char *place;
    } cases[] = {
        {"web", FT_E_SYNTAX, "2:1 a name and a colon"},
        {"we b: H", FT_E_SYNTAX, "2:1 a name and a colon"},
        {"w\xc3\xa4: H", FT_E_SYNTAX, "2:1 a name and a colon"},
        {": H", FT_E_SYNTAX, "2:1 a name and a colon"},
        {"web:", FT_E_SYNTAX, "2:5 sha256:HEX is missing"},
        {"web: mytokenmytokenmytoken", FT_E_SYNTAX, "2:6 \"sha256:\" and 64"},
        {"web: H agent=1234", FT_E_SYNTAX, "2:78 agent: a UUID"},
        {"web: H agent=6ba7b810-9dad-11d1-80b4-00c04fd430cg", FT_E_SYNTAX, "2:78 agent: a UUID"},
        {"web: H agent=6ba7b81099dad-11d1-80b4-00c04fd430c8", FT_E_SYNTAX, "2:78 agent: a UUID"},
        {"web: H role=root", FT_E_SYNTAX, "2:78 role: allowed are"},
        {"web: H tenant=", FT_E_SYNTAX, "2:78 tenant: allowed are"},
        {"web: H agnt=1", FT_E_UNKNOWN_KEY, "2:78 agent=UUID, role=ROLE or tenant=NAME"},
        {"web: H extra", FT_E_UNKNOWN_KEY, "2:78 agent=UUID, role=ROLE or tenant=NAME"},
        {"web: H role=query agent=6ba7b810-9dad-11d1-80b4-00c04fd430c8", FT_E_SYNTAX,
         "2:1 agent= goes with role=agent only"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_token_set *set = NULL;
        struct ft_buf text;
        char shown[600];
        ft_buf_init(&text, 0);
        ft_buf_add_str(&text, "# first\n");
        const char *hash = strstr(cases[i].line, " H");
        if (hash != NULL) {
            ft_buf_add(&text, cases[i].line, (size_t)(hash + 1 - cases[i].line));
            ft_buf_addf(&text, "%s%s\n", digest(TOKEN_A), hash + 2);
        } else {
            ft_buf_addf(&text, "%s\n", cases[i].line);
        }
        CHECK_ERR(parse(ft_buf_str(&text), &set), cases[i].err);
        CHECK(set == NULL);
        (void)snprintf(shown, sizeof shown, "%u:%u %s", diag.line, diag.column, diag.text);
        if (strncmp(shown, cases[i].place, strlen(cases[i].place)) != 0) {
            ft_test_fail(__FILE__, __LINE__, "%s gave %s", cases[i].line, shown);
        }
        CHECK(strstr(diag.text, "mytoken") == NULL);
        ft_buf_deinit(&text);
    }
}

TEST(one_token_stands_for_one_principal)
{
    struct ft_token_set *set = NULL;
    char text[512];
    (void)snprintf(text, sizeof text, "a: %s\nb: %s\nc: %s\n", digest(TOKEN_A), digest(TOKEN_B),
                   digest(TOKEN_A));
    CHECK_ERR(parse(text, &set), FT_E_SYNTAX);
    CHECK_INT(diag.line, 3);
    CHECK_STR(diag.text, "this token is on line 1 already");
    /* The same name may have several tokens. */
    (void)snprintf(text, sizeof text, "a: %s\na: %s\n", digest(TOKEN_A), digest(TOKEN_B));
    CHECK_OK(parse(text, &set));
    ft_token_set_destroy(set);
}

TEST(an_empty_file_admits_nobody)
{
    FT_CLEANUP(ft_token_set_destroy) struct ft_token_set *set = NULL;
    struct ft_principal principal;
    CHECK_OK(parse("# none yet\n", &set));
    CHECK_INT(ft_token_set_size(set), 0);
    CHECK_ERR(lookup(set, TOKEN_A, &principal), FT_E_AUTH);
}

TEST(entries_are_bounded)
{
    struct ft_token_set *set = NULL;
    struct ft_buf text;
    ft_buf_init(&text, 0);
    for (unsigned i = 0; i <= FT_TOKEN_SET_MAX; i++) {
        ft_buf_addf(&text, "a: sha256:%064x\n", i);
    }
    CHECK_ERR(ft_token_set_parse(text.data, text.size, "tokens", &set, &diag), FT_E_RANGE);
    CHECK_INT(diag.line, FT_TOKEN_SET_MAX + 1);
    CHECK_OK(ft_token_set_parse(text.data, text.size - strlen("a: sha256:\n") - 64, "tokens", &set,
                                &diag));
    CHECK_INT(ft_token_set_size(set), FT_TOKEN_SET_MAX);
    ft_token_set_destroy(set);
    ft_buf_deinit(&text);
}

static void write_file(const char *path, const char *token)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "a: %s\n", digest(token)) > 0 && fclose(file) == 0);
}

TEST(reload_replaces_or_keeps)
{
    char path[256];
    struct ft_principal principal;
    FT_CLEANUP(ft_token_store_destroy) struct ft_token_store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/tokens", ft_test_tmpdir());
    CHECK_ERR(ft_token_store_create(path, &store, &diag), ft_err_from_errno(ENOENT));
    write_file(path, TOKEN_A);
    CHECK_OK(ft_token_store_create(path, &store, &diag));
    CHECK_OK(ft_token_store_lookup(store, TOKEN_A, strlen(TOKEN_A), &principal));
    write_file(path, TOKEN_B);
    CHECK_OK(ft_token_store_reload(store, &diag));
    CHECK_OK(ft_token_store_lookup(store, TOKEN_B, strlen(TOKEN_B), &principal));
    CHECK_ERR(ft_token_store_lookup(store, TOKEN_A, strlen(TOKEN_A), &principal), FT_E_AUTH);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("nonsense\n", file) >= 0 && fclose(file) == 0);
    CHECK_ERR(ft_token_store_reload(store, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.file, path);
    CHECK_OK(ft_token_store_lookup(store, TOKEN_B, strlen(TOKEN_B), &principal));
    CHECK(remove(path) == 0);
    CHECK_ERR(ft_token_store_reload(store, &diag), ft_err_from_errno(ENOENT));
    CHECK_INT(ft_token_store_size(store), 1);
}

struct churn {
    struct ft_token_store *store;
    unsigned n_found;
};

static void look_up(void *ctx)
{
    struct churn *churn = ctx;
    for (unsigned i = 0; i < 200; i++) {
        struct ft_principal principal;
        if (ft_token_store_lookup(churn->store, TOKEN_A, strlen(TOKEN_A), &principal) == FT_OK) {
            churn->n_found++;
        }
    }
}

TEST(lookups_during_reloads)
{
    char path[256];
    FT_CLEANUP(ft_token_store_destroy) struct ft_token_store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/tokens", ft_test_tmpdir());
    write_file(path, TOKEN_A);
    CHECK_OK(ft_token_store_create(path, &store, &diag));
    struct churn churn = {.store = store};
    struct ft_thread thread = {0};
    CHECK_OK(ft_thread_start(&thread, "lookup", look_up, &churn));
    for (unsigned i = 0; i < 100; i++) {
        CHECK_OK(ft_token_store_reload(store, &diag));
    }
    ft_thread_join(&thread);
    CHECK_INT(churn.n_found, 200);
}
