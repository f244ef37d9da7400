/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/test.h"

static char written[16384];

/* What one record looks like; the time is checked by its form. */
static const char *record(enum ft_log_form form, enum ft_log_level level, const char *text)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    ft_log_setup(ends[1], form, FT_LOG_INFO);
    ft_log(level, "agent", "%s", text);
    (void)close(ends[1]);
    ssize_t n = read(ends[0], written, sizeof written - 1);
    CHECK(n >= 0);
    written[n] = '\0';
    (void)close(ends[0]);
    ft_log_setup(STDERR_FILENO, FT_LOG_FORM_JSON, FT_LOG_INFO);
    return written;
}

TEST(journal_records_have_their_priority)
{
    CHECK_STR(record(FT_LOG_FORM_JOURNAL, FT_LOG_ERROR, "down"), "<3>agent: down\n");
    CHECK_STR(record(FT_LOG_FORM_JOURNAL, FT_LOG_WARN, "slow"), "<4>agent: slow\n");
    CHECK_STR(record(FT_LOG_FORM_JOURNAL, FT_LOG_INFO, "up"), "<6>agent: up\n");
}

TEST(records_below_the_level_are_not_written)
{
    CHECK_STR(record(FT_LOG_FORM_JOURNAL, FT_LOG_DEBUG, "noise"), "");
}

TEST(json_records_are_one_object)
{
    const char *text = record(FT_LOG_FORM_JSON, FT_LOG_WARN, "say \"hi\" \\ there");
    CHECK(strncmp(text, "{\"time\":\"2", 10) == 0);
    CHECK(strstr(text, "Z\",\"level\":\"warn\",\"module\":\"agent\","
                       "\"text\":\"say \\\"hi\\\" \\\\ there\"}\n") != NULL);
}

TEST(one_record_is_one_line)
{
    CHECK_STR(record(FT_LOG_FORM_JOURNAL, FT_LOG_INFO, "a\nb\x1b[31m\tc\x7f"),
              "<6>agent: a\\x0ab\\x1b[31m\\x09c\\x7f\n");
    CHECK(strstr(record(FT_LOG_FORM_JSON, FT_LOG_INFO, "a\nb"), "a\\u000ab") != NULL);
    const char *text = record(FT_LOG_FORM_TTY, FT_LOG_INFO, "x\r\ny");
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    CHECK(strstr(text, " INFO  agent: x") != NULL || strstr(text, " info  agent: x") != NULL);
}

TEST(long_text_is_cut)
{
    char longer[5000];
    memset(longer, 1, sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const char *text = record(FT_LOG_FORM_JSON, FT_LOG_INFO, longer);
    size_t len = strlen(text);
    CHECK(len > 6000 && len < 6200);
    CHECK_STR(text + len - 4, "1\"}\n");
}

TEST(levels_have_names)
{
    enum ft_log_level level;
    CHECK(ft_log_level_parse("debug", &level));
    CHECK_INT(level, FT_LOG_DEBUG);
    CHECK(ft_log_level_parse("error", &level));
    CHECK_INT(level, FT_LOG_ERROR);
    CHECK(!ft_log_level_parse("ERROR", &level));
    CHECK(!ft_log_level_parse("", &level));
}
