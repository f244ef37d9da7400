/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"

#include <stdio.h>
#include <sys/stat.h>

#include "lib/test.h"

static struct ft_diag diag;

static struct ft_token token;

static ft_err load(const char *text, size_t size, mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/token", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fwrite(text, 1, size, file) == size && fclose(file) == 0);
    CHECK(chmod(path, mode) == 0);
    return ft_token_load(path, &token, &diag);
}

static ft_err load_text(const char *text) { return load(text, strlen(text), 0600); }

/* FIPS 180-2, appendix B.1: SHA-256 of "abc". */
#define ABC_HASH "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

TEST(hash_is_sha256)
{
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    uint8_t back[FT_TOKEN_HASH_SIZE];
    char text[FT_TOKEN_DIGEST_SIZE];
    CHECK_OK(ft_token_hash("abc", 3, hash));
    ft_token_hash_format(hash, text);
    CHECK_STR(text, ABC_HASH);
    CHECK(ft_token_hash_parse(ABC_HASH, strlen(ABC_HASH), back));
    CHECK_BYTES(back, sizeof back, hash, sizeof hash);
    CHECK(!ft_token_hash_parse(ABC_HASH, strlen(ABC_HASH) - 1, back));
    CHECK(!ft_token_hash_parse("sha1:", 5, back));
    char wrong[] = ABC_HASH;
    wrong[20] = 'g';
    CHECK(!ft_token_hash_parse(wrong, strlen(wrong), back));
}

static void fill_pattern(struct ft_random *random, void *buf, size_t size)
{
    (void)random;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = (uint8_t)(0xf8 + i);
    }
}

TEST(new_tokens_are_base64url)
{
    /* base64 of f8 f9 … ff 00 … 17 without padding, made with coreutils' basenc --base64url. */
    struct ft_random pattern = {.fill = fill_pattern};
    char text[FT_TOKEN_NEW_SIZE];
    ft_token_generate(&pattern, text);
    CHECK_STR(text, "-Pn6-_z9_v8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhc");
    char other[FT_TOKEN_NEW_SIZE];
    const char *why;
    ft_token_generate(ft_random_system(), text);
    ft_token_generate(ft_random_system(), other);
    CHECK(strcmp(text, other) != 0);
    CHECK(ft_token_ok(text, strlen(text), &why));
}

TEST(token_file_is_trimmed)
{
    CHECK_OK(load_text("  \tabcdefghijklmnop\r\n\n"));
    CHECK_STR(token.text, "abcdefghijklmnop");
    CHECK_INT(token.len, 16);
    CHECK(!token.exposed);
    ft_token_wipe(&token);
    CHECK_INT(token.len, 0);
    CHECK_STR(token.text, "");
}

TEST(open_permissions_are_noticed)
{
    static const char text[] = "abcdefghijklmnop\n";
    CHECK_OK(load(text, sizeof text - 1, 0640));
    CHECK(token.exposed);
    CHECK_OK(load(text, sizeof text - 1, 0604));
    CHECK(token.exposed);
    CHECK_OK(load(text, sizeof text - 1, 0400));
    CHECK(!token.exposed);
}

TEST(a_bad_file_keeps_the_last_good_token)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"", "there is no token in it"},
        {" \n", "there is no token in it"},
        {"short", "a token has at least 16 characters"},
        {"abcdefgh ijklmnop", "a token has no spaces and no control characters inside"},
        {"abcdefgh\nijklmnop", "a token has no spaces and no control characters inside"},
        {"abcdefghijklmn\x01op", "a token has no spaces and no control characters inside"},
        {"abcdefghijklmn\xc3\xa4", "a token is plain ASCII"},
    };
    CHECK_OK(load_text("abcdefghijklmnop"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_ERR(load_text(cases[i].text), FT_E_SYNTAX);
        CHECK_STR(diag.text, cases[i].why);
        CHECK_STR(token.text, "abcdefghijklmnop");
    }
    CHECK_ERR(load("abcdefghijklmnop\0q", 18, 0600), FT_E_SYNTAX);
    CHECK_ERR(ft_token_load("/nonexistent", &token, &diag), ft_err_from_errno(ENOENT));
    CHECK_ERR(ft_token_load("/tmp", &token, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.text, "cannot read: not a regular file");
    CHECK_STR(token.text, "abcdefghijklmnop");
}

TEST(length_is_bounded)
{
    static char text[3 * FT_TOKEN_SIZE];
    memset(text, 'x', sizeof text);
    CHECK_OK(load(text, FT_TOKEN_LEN_MAX, 0600));
    CHECK_INT(token.len, FT_TOKEN_LEN_MAX);
    CHECK_ERR(load(text, FT_TOKEN_LEN_MAX + 1, 0600), FT_E_RANGE);
    CHECK_ERR(load(text, sizeof text, 0600), FT_E_RANGE);
}
