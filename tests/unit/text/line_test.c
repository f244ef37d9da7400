/* SPDX-License-Identifier: Apache-2.0 */
#include "text/line.h"

#include "lib/test.h"
#include "sample_rows.h"

static const char *name_of(void *ctx, const struct ft_uuid *agent_id)
{
    (void)agent_id;
    return ctx;
}

typedef void row_fn(struct ft_buf *buf, const struct ft_text_line_options *options,
                    const struct ft_row *row);

static void write_all(struct ft_buf *buf, const struct ft_text_line_options *options, row_fn *fn)
{
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    for (size_t i = 0; i < N_SAMPLE_ROWS; i++) {
        fn(buf, options, &rows[i]);
    }
    CHECK_OK(buf->err);
}

TEST(compact_matches_golden)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_text_line_options plain = {0};
    write_all(&buf, &plain, ft_text_compact_row);
    struct ft_text_line_options colour = {.colour = true,
                                          .time = FT_TEXT_TIME_RFC3339,
                                          .agent_name = name_of,
                                          .agent_name_ctx = (char[]){"web-1\x07"}};
    write_all(&buf, &colour, ft_text_compact_row);
    CHECK_GOLDEN("text/compact.txt", buf.data, buf.size);
    ft_buf_deinit(&buf);
}

TEST(table_matches_golden)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_text_line_options options = {.agent_name = name_of,
                                           .agent_name_ctx = (char[]){"web-1"}};
    ft_text_table_header(&buf, &options);
    write_all(&buf, &options, ft_text_table_row);
    options.time = FT_TEXT_TIME_RFC3339;
    options.colour = true;
    ft_text_table_header(&buf, &options);
    write_all(&buf, &options, ft_text_table_row);
    CHECK_GOLDEN("text/table.txt", buf.data, buf.size);
    ft_buf_deinit(&buf);
}

TEST(dict_matches_golden)
{
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_text_line_options options = {0};
    for (size_t i = 0; i < N_SAMPLE_ROWS; i++) {
        ft_text_dict_row(&buf, &options, &rows[i], i == 0);
    }
    CHECK_GOLDEN("text/dict.txt", buf.data, buf.size);
    ft_buf_deinit(&buf);
}

TEST(no_form_lets_control_bytes_through)
{
    struct ft_row row;
    sample_end(&row);
    row.event.rule_id = "a\nb\x1b]0;x\x07";
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_text_line_options options = {0};
    ft_text_compact_row(&buf, &options, &row);
    ft_text_table_row(&buf, &options, &row);
    size_t n_lines = 0;
    for (size_t i = 0; i < buf.size; i++) {
        n_lines += buf.data[i] == '\n' ? 1 : 0;
        CHECK(buf.data[i] == '\n' || (unsigned char)buf.data[i] >= 0x20);
    }
    CHECK_INT(n_lines, 2);
    ft_buf_deinit(&buf);
}

static void check_bytes(uint64_t bytes, const char *expected)
{
    char text[FT_TEXT_BYTES_SIZE];
    ft_text_format_bytes(bytes, text);
    CHECK_STR(text, expected);
}

TEST(bytes_are_readable)
{
    check_bytes(0, "0 B");
    check_bytes(1023, "1023 B");
    check_bytes(1024, "1.0 KiB");
    check_bytes(1536, "1.5 KiB");
    check_bytes(1024 * 1024 - 1, "1023.9 KiB");
    check_bytes(1024 * 1024, "1.0 MiB");
    check_bytes(UINT64_MAX, "15.9 EiB");
}

static void check_span(int64_t ns, const char *expected)
{
    char text[FT_TEXT_SPAN_SIZE];
    ft_text_format_span(ns, text);
    CHECK_STR(text, expected);
}

TEST(spans_are_readable)
{
    check_span(0, "0ms");
    check_span(INT64_C(350000000), "350ms");
    check_span(INT64_C(1204000000), "1.204s");
    check_span(INT64_C(125000000000), "2m05s");
    check_span(INT64_C(11400000000000), "3h10m");
    check_span(INT64_C(190000000000000), "2d4h");
    check_span(-1, "?");
}
