/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example configurations in deploy/etc/ are the option tables, written out: they cannot fall
 * behind.  FT_UPDATE_GOLDEN=1 writes them anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/options.h"
#include "collector/options.h"
#include "lib/test.h"

/* A line of the example that the shipped file has otherwise. */
struct change {
    const char *key;
    const char *line;
};

/* Replaces the line "#KEY: …". */
static void replace(struct ft_buf *text, const struct change *change)
{
    char begin[128];
    (void)snprintf(begin, sizeof begin, "\n#%s:", change->key);
    const char *old = ft_buf_str(text);
    const char *at = strstr(old, begin);
    CHECK(at != NULL);
    const char *rest = strchr(at + 1, '\n');
    CHECK(rest != NULL);
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_buf_add(&out, old, (size_t)(at + 1 - old));
    ft_buf_add_str(&out, change->line);
    ft_buf_add_str(&out, rest);
    ft_buf_clear(text);
    ft_buf_add(text, out.data, out.size);
    ft_buf_deinit(&out);
}

static void check_file(const char *name, const char *header, const struct ft_option_table *table,
                       const struct change *changes)
{
    struct ft_buf text;
    ft_buf_init(&text, 0);
    ft_buf_add_str(&text, header);
    ft_options_example(table, &text);
    for (; changes->key != NULL; changes++) {
        replace(&text, changes);
    }
    CHECK_OK(text.err);
    CHECK_GOLDEN(name, text.data, text.size);

    /* It loads, and sets nothing but what it says. */
    struct ft_diag diag = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/%s", FT_TESTS_DIR, name);
    struct ft_options_input input = {.file = path};
    void *options = calloc(1, table->struct_size);
    CHECK(options != NULL);
    CHECK_OK(ft_options_init(table, options));
    CHECK_OK(ft_options_load(table, &input, options, NULL, &diag));
    ft_options_deinit(table, options);
    free(options);
    ft_buf_deinit(&text);
}

TEST(agent)
{
    static const char header[] =
        "# Configuration of flowtraild, the agent.  Every option is here with its default; taking "
        "the\n"
        "# '#' away sets one.  \"flowtraild --check\" checks this file, \"systemctl reload "
        "flowtraild\"\n"
        "# takes it into use.  Files in /etc/flowtrail/conf.d/*.yaml come after this one.\n"
        "#\n"
        "# An agent needs a collector and a token; the unit hands it /etc/flowtrail/token:\n"
        "#\n"
        "#     collector.url: https://collector.example:4319\n"
        "#     collector.token_file: $CREDENTIALS_DIRECTORY/token\n\n";
    static const struct change changes[] = {{NULL, NULL}};
    check_file("../../deploy/etc/flowtraild.yaml", header, &ft_agent_option_table, changes);
}

TEST(collector)
{
    static const char header[] =
        "# Configuration of flowtrail-collector.  Every option is here with its default; taking "
        "the '#'\n"
        "# away sets one.  \"flowtrail-collector --check\" checks this file, \"systemctl reload\n"
        "# flowtrail-collector\" takes it into use.  Files in /etc/flowtrail/collector.d/*.yaml "
        "come\n"
        "# after this one.\n"
        "#\n"
        "# A collector needs a certificate and tokens.  The key must be readable by the user\n"
        "# flowtrail-collector; the file of tokens holds hashes only.  \"flowtrail token\" makes a "
        "token.\n\n";
    static const struct change changes[] = {
        {"ingest.cert_file", "ingest.cert_file: /etc/flowtrail/collector.crt"},
        {"ingest.key_file", "ingest.key_file: /etc/flowtrail/collector.key"},
        {"ingest.tokens_file", "ingest.tokens_file: /etc/flowtrail/tokens"},
        {"http.socket", "http.socket: /run/flowtrail-collector/collector.sock"},
        {NULL, NULL}};
    check_file("../../deploy/etc/flowtrail-collector.yaml", header, &ft_collector_option_table,
               changes);
}
