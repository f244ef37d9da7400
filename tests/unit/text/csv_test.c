/* SPDX-License-Identifier: Apache-2.0 */
#include "text/csv.h"

#include "lib/random_event.h"
#include "lib/test.h"
#include "sample_rows.h"

TEST(rows_match_golden)
{
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_text_csv_header(&buf);
    for (size_t i = 0; i < N_SAMPLE_ROWS; i++) {
        ft_text_csv_row(&buf, &rows[i]);
    }
    CHECK_OK(buf.err);
    CHECK_GOLDEN("text/rows.csv", buf.data, buf.size);
    ft_buf_deinit(&buf);
}

static void check_cell(const char *text, const char *expected)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_text_csv_cell(&buf, text);
    CHECK_STR(ft_buf_str(&buf), expected);
    ft_buf_deinit(&buf);
}

TEST(cells_are_quoted_when_they_must_be)
{
    check_cell(NULL, "");
    check_cell("", "");
    check_cell("plain", "plain");
    check_cell("a b", "a b");
    check_cell("a,b", "\"a,b\"");
    check_cell("say \"hi\"", "\"say \"\"hi\"\"\"");
    check_cell("\"", "\"\"\"\"");
    check_cell("two\nlines", "\"two\\x0alines\"");
    check_cell("back\\slash", "back\\slash");
    check_cell("b\xc3\xbc"
               "cher",
               "b\xc3\xbc"
               "cher");
}

TEST(formulas_are_disarmed)
{
    check_cell("=1+1", "'=1+1");
    check_cell("+1", "'+1");
    check_cell("-1", "'-1");
    check_cell("@SUM(A1)", "'@SUM(A1)");
    check_cell("\t=1", "'\\x09=1");
    check_cell("\r=1", "\"'\\x0d=1\"");
    check_cell("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
    check_cell("1=1", "1=1");
}

/* Counts the cells of one line as RFC 4180 reads them. */
static size_t n_cells(const char *line, size_t size)
{
    size_t n = 1;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        quoted = line[i] == '"' ? !quoted : quoted;
        n += line[i] == ',' && !quoted ? 1 : 0;
    }
    CHECK(!quoted);
    return n;
}

TEST(every_row_is_one_line_with_all_cells)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 7);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_text_csv_header(&buf);
    size_t expected = n_cells(buf.data, buf.size);
    char hostile[FT_EVENT_STRING_LEN_MAX + 1];
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        struct ft_row row = {0};
        ft_random_event(&random.base, seq, &row.event);
        random.base.fill(&random.base, hostile, sizeof hostile);
        hostile[sizeof hostile - 1] = '\0';
        row.event.process_name = hostile;
        row.event.dst_name = hostile;
        ft_buf_clear(&buf);
        ft_text_csv_row(&buf, &row);
        CHECK_OK(buf.err);
        CHECK(buf.size > 2 && memcmp(buf.data + buf.size - 2, "\r\n", 2) == 0);
        CHECK(memchr(buf.data, '\n', buf.size - 1) == NULL);
        CHECK_INT(n_cells(buf.data, buf.size), expected);
    }
    ft_buf_deinit(&buf);
}
