/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail token. */
#include <stdio.h>
#include <sys/stat.h>

#include "auth/token_set.h"
#include "fixture.h"

static void accepts(const char *line, const char *token, const char *name, enum ft_role role)
{
    struct ft_diag diag = {0};
    struct ft_token_set *set = NULL;
    struct ft_principal principal;
    CHECK_OK(ft_token_set_parse(line, strlen(line), "tokens", &set, &diag));
    CHECK_OK(ft_token_set_lookup(set, token, strlen(token), &principal));
    CHECK_STR(principal.name, name);
    CHECK_INT(principal.role, role);
    ft_token_set_destroy(set);
}

TEST(collector_accepts_what_is_made)
{
    struct process process;
    char path[128];
    struct ft_token token;
    struct ft_diag diag = {0};
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/token", ft_test_tmpdir());
    CHECK_INT(RUN(&process, "token", "web-1", "--out", path, "--agent-id",
                  "11111111-2222-4333-8444-555555555555"),
              0);
    CHECK_STR(ERR(&process), "");
    CHECK_OK(ft_token_load(path, &token, &diag));
    accepts(OUT(&process), token.text, "web-1", FT_ROLE_AGENT);
    CHECK(strstr(OUT(&process), token.text) == NULL);
    CHECK(strstr(OUT(&process), " agent=11111111-2222-4333-8444-555555555555\n") != NULL);
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    process_clear(&process);

    /* It is never written over. */
    CHECK_INT(RUN(&process, "token", "web-1", "--out", path), 2);
    CHECK_STR(OUT(&process), "");
    CHECK(strstr(ERR(&process), "File exists") != NULL);
    process_clear(&process);
}

TEST(token_is_shown_apart_from_the_line)
{
    struct process process;
    char token[64] = "";
    CHECK_INT(RUN(&process, "token", "dba", "--role", "query"), 0);
    CHECK_INT(sscanf(ERR(&process), "token: %63s\n", token), 1);
    accepts(OUT(&process), token, "dba", FT_ROLE_QUERY);
    process_clear(&process);
}

TEST(what_the_collector_would_refuse_is_not_made)
{
    static const char *const names[] = {"", "two words", "a:b", "#a", "\xc3\xbc", "a\nb"};
    struct process process;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_INT(RUN(&process, "token", names[i]), 64);
        CHECK_STR(OUT(&process), "");
        CHECK(strstr(ERR(&process), "token: ") == NULL);
        process_clear(&process);
    }
    CHECK_INT(RUN(&process, "token", "a", "--agent-id", "7"), 64);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    CHECK_INT(RUN(&process, "token"), 64);
    process_clear(&process);
    CHECK_INT(RUN(&process, "token", "a", "b"), 64);
    process_clear(&process);
}
