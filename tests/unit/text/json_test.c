/* SPDX-License-Identifier: Apache-2.0 */
#include "text/json.h"

#include "lib/random_event.h"
#include "lib/test.h"
#include "sample_rows.h"

static ft_err parse(const char *text, size_t size, struct ft_json_doc **ret_doc,
                    struct ft_row *ret_row, struct ft_diag *diag)
{
    FT_TRY(ft_json_parse(text, size, "", ret_doc, diag));
    return ft_text_json_parse_row(ft_json_doc_get_root(*ret_doc), ret_row, diag);
}

TEST(rows_as_lines_match_golden)
{
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (size_t i = 0; i < N_SAMPLE_ROWS; i++) {
        ft_text_ndjson_row(&buf, &rows[i]);
    }
    CHECK_OK(buf.err);
    CHECK_GOLDEN("text/rows.ndjson", buf.data, buf.size);
    ft_buf_deinit(&buf);
}

/* Parts that say nothing are left out by the writer: the reader cannot give their bit back. */
static void normalise(struct ft_event *event)
{
    const struct {
        uint32_t bit;
        const char *a;
        const char *b;
    } parts[] = {{FT_FIELD_CONTAINER, event->container_id, NULL},
                 {FT_FIELD_DNS, event->src_name, event->dst_name},
                 {FT_FIELD_RULE, event->rule_id, NULL},
                 {FT_FIELD_RESOURCE, event->src_resource_id, event->dst_resource_id}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if ((parts[i].a == NULL || parts[i].a[0] == '\0') &&
            (parts[i].b == NULL || parts[i].b[0] == '\0')) {
            event->fields &= ~parts[i].bit;
        }
    }
    event->rx_bytes >>= 1;
    event->rx_packets >>= 1;
    event->tx_bytes >>= 1;
    event->tx_packets >>= 1;
}

TEST(random_rows_read_back_the_same)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 20261121);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        struct ft_row row = {.stored_ns = (int64_t)seq};
        ft_random_event(&random.base, seq, &row.event);
        normalise(&row.event);
        ft_uuid_make_random(&random.base, &row.agent_id);
        ft_uuid_make_random(&random.base, &row.instance_id);
        ft_uuid_make_random(&random.base, &row.event_id);
        if ((row.event.fields & FT_FIELD_FLOW) != 0) {
            ft_uuid_make_random(&random.base, &row.flow_id);
        }
        ft_buf_clear(&buf);
        ft_text_ndjson_row(&buf, &row);
        struct ft_json_doc *doc = NULL;
        struct ft_row back;
        struct ft_diag diag = {0};
        ft_err err = parse(buf.data, buf.size, &doc, &back, &diag);
        if (err != FT_OK) {
            ft_test_fail(__FILE__, __LINE__, "%s: %s", diag.text, ft_buf_str(&buf));
        }
        ft_check_event_equal(&row.event, &back.event);
        CHECK(ft_uuid_equal(&row.agent_id, &back.agent_id));
        CHECK(ft_uuid_equal(&row.instance_id, &back.instance_id));
        CHECK(ft_uuid_equal(&row.event_id, &back.event_id));
        CHECK(ft_uuid_equal(&row.flow_id, &back.flow_id));
        CHECK_INT(row.stored_ns, back.stored_ns);
        ft_json_doc_destroy(doc);
    }
    ft_buf_deinit(&buf);
}

TEST(sample_rows_read_back_the_same)
{
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (size_t i = 0; i < N_SAMPLE_ROWS; i++) {
        ft_buf_clear(&buf);
        ft_text_ndjson_row(&buf, &rows[i]);
        struct ft_json_doc *doc = NULL;
        struct ft_row back;
        struct ft_diag diag;
        CHECK_OK(parse(buf.data, buf.size, &doc, &back, &diag));
        ft_check_event_equal(&rows[i].event, &back.event);
        ft_json_doc_destroy(doc);
    }
    ft_buf_deinit(&buf);
}

static void check_refused(const char *text, ft_err expected, const char *expected_text)
{
    struct ft_json_doc *doc = NULL;
    struct ft_row row;
    struct ft_diag diag = {0};
    CHECK_ERR(parse(text, strlen(text), &doc, &row, &diag), expected);
    CHECK_STR(diag.text, expected_text);
    ft_json_doc_destroy(doc);
}

#define HEAD "{\"time\":\"2026-11-21T09:00:01Z\",\"type\":\"END\","

TEST(wrong_rows_are_refused_with_the_member)
{
    check_refused("[]", FT_E_SYNTAX, "a row is a JSON object");
    check_refused("{\"type\":\"END\"}", FT_E_NOT_FOUND, "time: missing");
    check_refused("{\"time\":\"2026-11-21T09:00:01Z\"}", FT_E_NOT_FOUND, "type: missing");
    check_refused("{\"time\":5,\"type\":\"END\"}", FT_E_SYNTAX, "time: not a text");
    check_refused("{\"time\":\"noon\",\"type\":\"END\"}", FT_E_SYNTAX,
                  "time: not an RFC 3339 time");
    check_refused(HEAD "\"src_port\":1}", FT_E_NOT_FOUND, "dst_port: missing");
    check_refused(HEAD "\"src_port\":65536,\"dst_port\":1}", FT_E_RANGE, "src_port: too large");
    check_refused(HEAD "\"src_port\":-1,\"dst_port\":1}", FT_E_SYNTAX,
                  "src_port: not a whole number from 0 on");
    check_refused(HEAD "\"protocol\":6,\"src_addr\":\"10.0.0.1\",\"dst_addr\":\"::1\"}",
                  FT_E_SYNTAX, "dst_addr: not of the same IP version as the others");
    check_refused(HEAD "\"protocol\":6,\"src_addr\":\"10.0.0\",\"dst_addr\":\"::1\"}", FT_E_SYNTAX,
                  "src_addr: not an IP address");
    check_refused(HEAD "\"loss\":{\"cause\":\"PARSE\"}}", FT_E_NOT_FOUND, "loss.begin: missing");
    check_refused(HEAD "\"inferred\":1}", FT_E_SYNTAX, "inferred: neither true nor false");
    check_refused(HEAD "\"agent_id\":\"1\"}", FT_E_SYNTAX, "agent_id: not a UUID");
}

TEST(what_is_newer_than_the_reader_is_skipped)
{
    struct ft_json_doc *doc = NULL;
    struct ft_row row;
    struct ft_diag diag;
    const char *text = HEAD "\"direction\":\"SIDEWAYS\",\"tcp_state\":77,\"weather\":{\"x\":1},"
                            "\"zone\":null}";
    CHECK_OK(parse(text, strlen(text), &doc, &row, &diag));
    CHECK_INT(row.event.type, FT_EVENT_END);
    CHECK_INT(row.event.direction, FT_DIR_UNKNOWN);
    CHECK_INT(row.event.tcp_state, 77);
    CHECK_INT(row.event.fields, FT_FIELD_TCP_STATE);
    ft_json_doc_destroy(doc);
}
