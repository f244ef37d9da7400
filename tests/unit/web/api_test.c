/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flows_api.h"

#include <errno.h>

#include "fake_reader.h"
#include "http_client.h"
#include "text/csv.h"
#include "text/json.h"
#include "json/reader.h"

struct fixture {
    struct ft_web *web;
    struct ft_flows_api *api;
    struct ft_metrics *metrics;
    struct fake_reader fake;
    uint16_t port;
};

/* The end of the hour that the fake rows lie in. */
static int64_t fixed_real(const struct ft_clock *clock)
{
    (void)clock;
    return FAKE_TIME + 1800 * FT_NS_PER_S;
}

static int64_t system_mono(const struct ft_clock *clock)
{
    (void)clock;
    return ft_clock_mono_ns(ft_clock_system());
}

static const struct ft_clock fixed_clock = {.mono_ns = system_mono, .real_ns = fixed_real};

static void write_agents(void *ctx, struct ft_json_writer *writer)
{
    (void)ctx;
    ft_json_array_begin(writer);
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "host_name", "web-1");
    ft_json_object_end(writer);
    ft_json_array_end(writer);
}

static void write_status(void *ctx, struct ft_json_writer *writer)
{
    (void)ctx;
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "program", "tester");
    ft_json_object_end(writer);
}

/* Says back what it is asked for. */
static ft_err write_ledger(void *ctx, const struct ft_flows_ledger_query *query,
                           struct ft_json_writer *writer)
{
    (void)ctx;
    if (query->n_agents == 1 && strcmp(query->agents[0], "none") == 0) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_json_object_begin(writer);
    ft_json_key_array(writer, "agents");
    for (size_t i = 0; i < query->n_agents; i++) {
        ft_json_str(writer, query->agents[i]);
    }
    ft_json_array_end(writer);
    ft_json_key_u64(writer, "limit", query->limit);
    if (query->has_after) {
        char text[FT_UUID_TEXT_SIZE];
        ft_uuid_format(&query->after_agent, text);
        ft_json_key_str(writer, "agent", text);
        ft_uuid_format(&query->after_instance, text);
        ft_json_key_str(writer, "instance", text);
    }
    ft_json_object_end(writer);
    return FT_OK;
}

static void fixture_init(struct fixture *fixture, uint64_t n_rows)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->fake.reader.ops = &fake_reader_ops;
    fixture->fake.n_rows = n_rows;
    CHECK_OK(ft_metrics_create(0, &fixture->metrics));
    CHECK_OK(ft_web_create(&(struct ft_web_options){.address = "127.0.0.1:0"}, &fixture->web));
    CHECK_OK(ft_flows_api_create(fixture->web,
                                 &(struct ft_flows_api_options){.reader = &fixture->fake.reader,
                                                                .clock = &fixed_clock,
                                                                .metrics = fixture->metrics,
                                                                .metrics_prefix = "test",
                                                                .agents = write_agents,
                                                                .status = write_status,
                                                                .ledger = write_ledger},
                                 &fixture->api));
    struct ft_diag diag;
    CHECK_OK(ft_web_start(fixture->web, &diag));
    fixture->port = ft_web_get_port(fixture->web);
}

static void fixture_deinit(struct fixture *fixture)
{
    ft_web_destroy(fixture->web);
    ft_flows_api_destroy(fixture->api);
    ft_metrics_destroy(fixture->metrics);
}

static struct ft_json_doc *get_json(const struct fixture *fixture, const char *path,
                                    unsigned status)
{
    struct answer answer;
    client_get(fixture->port, path, &answer);
    if (answer.status != status) {
        ft_test_fail(__FILE__, __LINE__, "%s gave %u %s", path, answer.status,
                     ft_buf_str(&answer.body));
    }
    CHECK(answer.complete);
    CHECK_STR(answer_header(&answer, "Content-Type"), "application/json");
    struct ft_json_doc *doc = NULL;
    struct ft_diag diag;
    CHECK_OK(ft_json_parse(answer.body.data, answer.body.size, path, &doc, &diag));
    answer_deinit(&answer);
    return doc;
}

static const char *text_at(const struct ft_json_value *object, const char *key)
{
    const char *text = NULL;
    struct ft_diag diag;
    CHECK_OK(ft_json_get_str(object, key, &text, &diag));
    return text;
}

static void check_error(const struct fixture *fixture, const char *path, unsigned status,
                        const char *code, const char *parameter)
{
    struct ft_json_doc *doc = get_json(fixture, path, status);
    const struct ft_json_value *error = ft_json_get(ft_json_doc_get_root(doc), "error");
    CHECK_STR(text_at(error, "code"), code);
    CHECK(text_at(error, "message")[0] != '\0');
    if (parameter != NULL) {
        CHECK_STR(text_at(error, "parameter"), parameter);
    }
    ft_json_doc_destroy(doc);
}

TEST(flows_come_in_pages)
{
    struct fixture fixture;
    fixture_init(&fixture, 250);
    char path[256] = "/api/v1/flows?limit=100&not.type=loss";
    uint64_t expected = 250;
    unsigned n_pages = 0;
    uint64_t n_rows = 0;
    for (;;) {
        struct ft_json_doc *doc = get_json(&fixture, path, 200);
        const struct ft_json_value *root = ft_json_doc_get_root(doc);
        const struct ft_json_value *flows = ft_json_get(root, "flows");
        CHECK_STR(text_at(root, "order"), "newest");
        for (size_t i = 0; i < ft_json_size(flows); i++) {
            struct ft_row row;
            struct ft_diag diag;
            CHECK_OK(ft_text_json_parse_row(ft_json_at(flows, i), &row, &diag));
            expected -= expected % 10 == 0 ? 1 : 0; /* Those are losses. */
            CHECK_INT(row.event.seq, expected);
            expected--;
        }
        n_rows += ft_json_size(flows);
        n_pages++;
        bool more;
        CHECK(ft_json_as_bool(ft_json_get(root, "more"), &more));
        if (!more) {
            CHECK(ft_json_get(root, "next") == NULL);
            ft_json_doc_destroy(doc);
            break;
        }
        (void)snprintf(path, sizeof path, "/api/v1/flows?limit=100&not.type=loss&cursor=%s",
                       text_at(root, "next"));
        ft_json_doc_destroy(doc);
    }
    CHECK_INT(n_pages, 3);
    CHECK_INT(n_rows, 225);
    fixture_deinit(&fixture);
}

TEST(the_default_is_the_last_hour)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    struct ft_json_doc *doc = get_json(&fixture, "/api/v1/flows", 200);
    CHECK_STR(text_at(ft_json_doc_get_root(doc), "begin"), "2026-11-21T08:30:00.000000000Z");
    CHECK_STR(text_at(ft_json_doc_get_root(doc), "end"), "2026-11-21T09:30:00.000000000Z");
    ft_json_doc_destroy(doc);
    CHECK_INT(fixture.fake.last.timeout_ns, 30 * FT_NS_PER_S);
    fixture_deinit(&fixture);
}

TEST(losses_are_flows_of_type_loss)
{
    struct fixture fixture;
    fixture_init(&fixture, 100);
    struct ft_json_doc *doc = get_json(&fixture, "/api/v1/losses", 200);
    const struct ft_json_value *flows = ft_json_get(ft_json_doc_get_root(doc), "flows");
    CHECK_INT(ft_json_size(flows), 10);
    CHECK_STR(text_at(ft_json_at(flows, 0), "type"), "LOSS");
    ft_json_doc_destroy(doc);
    fixture_deinit(&fixture);
}

TEST(exports_page_by_themselves)
{
    struct fixture fixture;
    fixture_init(&fixture, 150000);
    struct answer answer;
    client_get(fixture.port, "/api/v1/flows?format=ndjson&order=oldest&limit=120000", &answer);
    CHECK_INT(answer.status, 200);
    CHECK(answer.complete);
    CHECK_STR(answer_header(&answer, "Content-Type"), FT_TEXT_NDJSON_CONTENT_TYPE);
    CHECK_STR(answer_header(&answer, "Content-Disposition"),
              "attachment; filename=\"flows.ndjson\"");
    size_t n_lines = 0;
    for (size_t i = 0; i < answer.body.size; i++) {
        n_lines += answer.body.data[i] == '\n' ? 1 : 0;
    }
    CHECK_INT(n_lines, 120000);
    CHECK_INT(atomic_load(&fixture.fake.n_calls), 2);
    CHECK(strstr(ft_buf_str(&answer.trailers), "Flowtrail-More: true\r\n") != NULL);
    CHECK(strstr(ft_buf_str(&answer.trailers), "Flowtrail-Next: ") != NULL);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(csv_has_a_header_and_disarmed_cells)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    struct answer answer;
    client_get(fixture.port, "/api/v1/flows?format=csv", &answer);
    CHECK_INT(answer.status, 200);
    CHECK_STR(answer_header(&answer, "Content-Type"), FT_TEXT_CSV_CONTENT_TYPE);
    struct ft_buf expected;
    ft_buf_init(&expected, 0);
    ft_text_csv_header(&expected);
    for (uint64_t seq = 3; seq > 0; seq--) {
        struct ft_row row;
        fake_row(seq, &row);
        ft_text_csv_row(&expected, &row);
    }
    CHECK_BYTES(answer.body.data, answer.body.size, expected.data, expected.size);
    CHECK(strstr(ft_buf_str(&answer.trailers), "Flowtrail-More: false\r\n") != NULL);
    ft_buf_deinit(&expected);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(head_does_not_query)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    struct answer answer;
    client_request(fixture.port, "HEAD", "/api/v1/flows?format=csv", "", &answer);
    CHECK_INT(answer.status, 200);
    CHECK(answer.complete);
    CHECK_INT(atomic_load(&fixture.fake.n_calls), 0);
    answer_deinit(&answer);
    client_request(fixture.port, "HEAD", "/api/v1/flows?x=1", "", &answer);
    CHECK_INT(answer.status, 400);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(wrong_parameters_are_named)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    check_error(&fixture, "/api/v1/flows?src_adr=10.0.0.1", 400, "unknown_parameter", "src_adr");
    check_error(&fixture, "/api/v1/flows?limit=x", 400, "invalid_parameter", "limit");
    check_error(&fixture, "/api/v1/flows?cursor=tampered", 400, "invalid_parameter", "cursor");
    check_error(&fixture, "/api/v1/top", 400, "invalid_parameter", "by");
    check_error(&fixture, "/api/v1/agents?x=1", 400, "unknown_parameter", "x");
    check_error(&fixture, "/api/v1/flows?x=%zz", 400, "malformed_query", NULL);
    CHECK_INT(atomic_load(&fixture.fake.n_calls), 0);
    fixture_deinit(&fixture);
}

TEST(failures_of_the_store_have_their_status)
{
    static const struct {
        ft_err err;
        unsigned status;
        const char *code;
    } cases[] = {{(ft_err)-ETIMEDOUT, 504, "timeout"},     {FT_E_RANGE, 400, "invalid_query"},
                 {FT_E_UNSUPPORTED, 400, "invalid_query"}, {FT_E_STORE, 503, "store_unavailable"},
                 {FT_E_FULL, 503, "store_unavailable"},    {FT_E_CORRUPT, 500, "internal"}};
    struct fixture fixture;
    fixture_init(&fixture, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture.fake.fail = cases[i].err;
        check_error(&fixture, "/api/v1/flows", cases[i].status, cases[i].code, NULL);
        check_error(&fixture, "/api/v1/top?by=src_addr", cases[i].status, cases[i].code, NULL);
    }
    /* Behind a few rows the status can still be told, behind many the answer is cut. */
    fixture.fake.fail_behind = 10;
    check_error(&fixture, "/api/v1/flows?format=csv", 500, "internal", NULL);
    fixture.fake.fail_behind = 900;
    struct answer answer;
    client_get(fixture.port, "/api/v1/flows?format=csv", &answer);
    CHECK_INT(answer.status, 200);
    CHECK(!answer.complete);
    answer_deinit(&answer);
    struct ft_buf metrics;
    ft_buf_init(&metrics, 0);
    ft_metrics_write(fixture.metrics, &metrics);
    CHECK(strstr(ft_buf_str(&metrics), "test_queries_cancelled_total{reason=\"timeout\"} 2\n"));
    ft_buf_deinit(&metrics);
    fixture_deinit(&fixture);
}

TEST(groups_are_objects)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    struct answer answer;
    client_get(fixture.port, "/api/v1/top?by=src_addr,process_name&measure=events", &answer);
    CHECK_GOLDEN("web/top.json", answer.body.data, answer.body.size);
    answer_deinit(&answer);
    client_get(fixture.port, "/api/v1/series?step=1m&by=src_addr", &answer);
    CHECK_GOLDEN("web/series.json", answer.body.data, answer.body.size);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(the_ledger_is_asked_by_agent_and_page)
{
    struct fixture fixture;
    struct answer answer;
    fixture_init(&fixture, 0);
    client_get(fixture.port, "/api/v1/ledger", &answer);
    CHECK_STR(ft_buf_str(&answer.body), "{\"agents\":[],\"limit\":1000}\n");
    answer_deinit(&answer);
#define ID "11111111-2222-4333-8444-555555555555"
    client_get(fixture.port, "/api/v1/ledger?agent=web-%2a&agent=" ID "&limit=5&cursor=" ID "/" ID,
               &answer);
    CHECK_STR(ft_buf_str(&answer.body), "{\"agents\":[\"web-*\",\"" ID "\"],\"limit\":5,"
                                        "\"agent\":\"" ID "\",\"instance\":\"" ID "\"}\n");
    answer_deinit(&answer);
    static const char *const wrong[] = {
        "agent=",          "limit=0",    "limit=1001",           "limit=x",
        "cursor=",         "cursor=" ID, "cursor=" ID "/x",      "cursor=/" ID,
        "cursor=" ID "0/", "cursor=x/x", "cursor=" ID "/" ID "0"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "/api/v1/ledger?%s", wrong[i]);
        check_error(&fixture, path, 400, "invalid_parameter", NULL);
    }
    check_error(&fixture, "/api/v1/ledger?agent_id=x", 400, "unknown_parameter", "agent_id");
    check_error(&fixture, "/api/v1/ledger?agent=none", 503, "busy", NULL);
    fixture_deinit(&fixture);
}

TEST(agents_and_status_are_the_programs)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    struct answer answer;
    client_get(fixture.port, "/api/v1/agents", &answer);
    CHECK_STR(ft_buf_str(&answer.body), "{\"agents\":[{\"host_name\":\"web-1\"}]}\n");
    answer_deinit(&answer);
    client_get(fixture.port, "/api/v1/status", &answer);
    CHECK_STR(ft_buf_str(&answer.body), "{\"program\":\"tester\"}\n");
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

static void wait_for(const atomic_bool *flag)
{
    for (int i = 0; i < CLIENT_WAIT_MS && !atomic_load(flag); i++) {
        (void)usleep(1000);
    }
    CHECK(atomic_load(flag));
}

TEST(a_query_stops_when_its_client_goes)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    fixture.fake.hang = true;
    int fd = client_connect(fixture.port);
    client_send(fd, "GET /api/v1/flows HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&fixture.fake.entered);
    (void)close(fd);
    wait_for(&fixture.fake.cancelled);
    fixture_deinit(&fixture);
}

TEST(an_export_stops_when_its_client_goes)
{
    struct fixture fixture;
    fixture_init(&fixture, 5000000);
    int fd = client_connect(fixture.port);
    client_send(fd, "GET /api/v1/flows?format=csv HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct ft_buf head;
    ft_buf_init(&head, 0);
    CHECK(client_read_until(fd, &head, "\r\n\r\n"));
    ft_buf_deinit(&head);
    (void)close(fd);
    wait_for(&fixture.fake.cancelled);
    CHECK(atomic_load(&fixture.fake.n_given) < 5000000);
    fixture_deinit(&fixture);
}

TEST(stopping_the_server_stops_queries)
{
    struct fixture fixture;
    fixture_init(&fixture, 3);
    fixture.fake.hang = true;
    int fd = client_connect(fixture.port);
    client_send(fd, "GET /api/v1/flows HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&fixture.fake.entered);
    fixture_deinit(&fixture);
    CHECK(atomic_load(&fixture.fake.cancelled));
    (void)close(fd);
}
