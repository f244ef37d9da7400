/* SPDX-License-Identifier: Apache-2.0 */
/* The small modules at the bottom, without memory. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../text/sample_rows.h"
#include "auth/receipt_key.h"
#include "auth/token_store.h"
#include "base/fd.h"
#include "base/thread.h"
#include "filter/filter.h"
#include "flow/ids.h"
#include "http/client.h"
#include "http/sse.h"
#include "lib/alloc_fail.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "metrics/process.h"
#include "metrics/rows.h"
#include "text/csv.h"
#include "text/json.h"
#include "text/line.h"

#define SCENARIO(name_, run_)                                                                      \
    TEST(run_##_without_memory)                                                                    \
    {                                                                                              \
        struct ft_alloc_scenario scenario = {.name = name_, .run = run_};                          \
        ft_alloc_fail_each(&scenario);                                                             \
    }

/* A buffer remembers its first error, and has nothing of what did not fit. */
static ft_err buffer(void *ctx)
{
    (void)ctx;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (unsigned i = 0; i < 200; i++) {
        ft_buf_addf(&buf, "line %u of %s\n", i, "many");
        ft_buf_add_u64(&buf, i);
        void *room = ft_buf_reserve(&buf, 17);
        CHECK((room == NULL) == (buf.err != FT_OK));
        if (room != NULL) {
            memset(room, 'x', 17);
        }
    }
    ft_err err = buf.err;
    CHECK(err == FT_OK || strcmp(ft_buf_str(&buf), "") == 0);
    ft_buf_deinit(&buf);
    return err;
}
SCENARIO("buffer", buffer)

static void note(void *ctx) { *(bool *)ctx = true; }

static ft_err thread(void *ctx)
{
    (void)ctx;
    bool ran = false;
    struct ft_thread made = {0};
    ft_err err = ft_thread_start(&made, "test", note, &ran);
    ft_thread_join(&made);
    CHECK_INT(ran, err == FT_OK);
    return err;
}
SCENARIO("thread", thread)

/* A file that is replaced without memory is the old one or the new one. */
static ft_err disk_file(void *ctx)
{
    const char *dir = ctx;
    struct ft_disk *disk = NULL;
    char *data = NULL;
    size_t size = 0;
    static char content[20000];
    memset(content, 'n', sizeof content);
    ft_alloc_fail_pause();
    CHECK_OK(ft_disk_posix_create(dir, &disk));
    CHECK_OK(ft_disk_replace(disk, "f", "old", 3));
    ft_disk_destroy(disk);
    disk = NULL;
    ft_alloc_fail_resume();
    FT_TRY(ft_disk_posix_create_private(dir, &disk));
    ft_err err = ft_disk_replace(disk, "f", content, sizeof content);
    if (err == FT_OK) {
        err = ft_disk_read_all(disk, "f", sizeof content, &data, &size);
        free(data);
    }
    ft_alloc_fail_pause();
    CHECK_OK(ft_disk_read_all(disk, "f", sizeof content, &data, &size));
    CHECK((size == 3 && memcmp(data, "old", 3) == 0) ||
          (size == sizeof content && memcmp(data, content, size) == 0));
    free(data);
    ft_alloc_fail_resume();
    ft_disk_destroy(disk);
    return err;
}

TEST(disk_file_without_memory)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s", ft_test_tmpdir());
    struct ft_alloc_scenario scenario = {.name = "file", .run = disk_file, .ctx = dir};
    ft_alloc_fail_each(&scenario);
}

static double read_one(void *ctx)
{
    (void)ctx;
    return 1;
}

static ft_err metrics(void *ctx)
{
    (void)ctx;
    static const struct ft_label labels[] = {{"a", "1"}, {"b", "2"}};
    static const char *const values[] = {"x", "y", "z"};
    static _Atomic uint64_t number;
    static const struct ft_metric_row rows[] = {
        {"r_total", "R.", "kind", "a", ft_metric_read_u64, &number, false},
        {"r_total", "R.", "kind", "b", ft_metric_read_u64, &number, false},
        {"s", "S.", NULL, NULL, ft_metric_read_u64, &number, true}};
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *registry = NULL;
    struct ft_counter *counters[3];
    struct ft_gauge *gauge;
    struct ft_histogram *histogram;
    FT_TRY(ft_metrics_create(0, &registry));
    FT_TRY(ft_metrics_add_counters(registry, "c_total", "C.", "kind", values, 3, counters));
    FT_TRY(ft_metrics_add_gauge(registry, "g", "G.", labels, 2, &gauge));
    FT_TRY(ft_metrics_add_histogram(registry, "h", "H.", NULL, 0, ft_metrics_latency_bounds,
                                    FT_METRICS_N_LATENCY_BOUNDS, &histogram));
    FT_TRY(ft_metrics_add_gauge_fn(registry, "f", "F.", labels, 1, read_one, NULL));
    FT_TRY(ft_metrics_add_rows(registry, rows, 3));
    FT_TRY(ft_metrics_add_process(registry));
    FT_TRY(ft_metrics_add_build_info(registry, "test", "1", "abc"));
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_metrics_write(registry, &out);
    ft_err err = out.err;
    ft_buf_deinit(&out);
    return err;
}
SCENARIO("metrics", metrics)

static ft_err tokens(void *ctx)
{
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_token_store_destroy) struct ft_token_store *store = NULL;
    ft_err err = ft_token_store_create(ctx, &store, &diag);
    if (err != FT_OK) {
        CHECK(diag.text[0] != '\0');
        return err;
    }
    /* A reload that finds no memory keeps the set. */
    err = ft_token_store_reload(store, &diag);
    CHECK_INT(ft_token_store_size(store), 40);
    return err;
}

TEST(tokens_without_memory)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/tokens", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    for (int i = 0; i < 40; i++) {
        CHECK(fprintf(file, "agent-%d: sha256:%064x role=query tenant=t\n", i, i + 1) > 0);
    }
    CHECK(fclose(file) == 0);
    struct ft_alloc_scenario scenario = {.name = "tokens", .run = tokens, .ctx = path};
    ft_alloc_fail_each(&scenario);
}

/* Whatever happens, the key that is on disk afterwards is the one that is given out. */
static ft_err receipt_key(void *ctx)
{
    (void)ctx;
    ft_alloc_fail_pause();
    struct ft_disk *disk = ft_fault_disk_create(1);
    ft_alloc_fail_resume();
    struct ft_receipt_signer *signer = NULL;
    ft_err err = ft_receipt_signer_load(disk, "key", ft_random_system(), &signer);
    struct ft_receipt_signer *again = NULL;
    if (err == FT_OK) {
        err = ft_receipt_signer_load(disk, "key", ft_random_system(), &again);
    }
    ft_alloc_fail_pause();
    struct ft_receipt_signer *later = NULL;
    CHECK_OK(ft_receipt_signer_load(disk, "key", ft_random_system(), &later));
    CHECK(signer == NULL || memcmp(ft_receipt_signer_key(signer), ft_receipt_signer_key(later),
                                   FT_RECEIPT_KEY_SIZE) == 0);
    ft_receipt_signer_destroy(later);
    ft_disk_destroy(disk);
    ft_alloc_fail_resume();
    ft_receipt_signer_destroy(again);
    ft_receipt_signer_destroy(signer);
    return err;
}
SCENARIO("receipt key", receipt_key)

static ft_err filter(void *ctx)
{
    (void)ctx;
    struct ft_cidr addresses[3] = {{.prefix_len = 8}, {.prefix_len = 16}};
    struct ft_port_range ports[] = {{53, 53}, {1000, 2000}};
    uint8_t protocols[] = {FT_PROTO_UDP};
    struct ft_filter_rule rules[3] = {
        {.action = FT_FILTER_DROP, .addresses = addresses, .n_addresses = 3},
        {.action = FT_FILTER_KEEP, .ports = ports, .n_ports = 2},
        {.action = FT_FILTER_DROP, .protocols = protocols, .n_protocols = 1}};
    struct ft_filter_options options = {.rules = rules, .n_rules = 3};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *made = NULL;
    FT_TRY(ft_filter_create(&options, &made));
    struct ft_event event = {.fields = FT_FIELD_TUPLE, .protocol = FT_PROTO_UDP};
    CHECK_INT(ft_filter_judge(made, NULL, 0, &event), FT_VERDICT_RULE);
    return FT_OK;
}
SCENARIO("filter", filter)

/* A query without one of its filters would give rows that nobody asked for. */
static ft_err query(void *ctx)
{
    (void)ctx;
    struct ft_query made;
    struct ft_diag diag = {0};
    ft_query_init(&made);
    ft_err err = ft_query_add_filter(&made, "dst_port", "443,8000-9000", false, &diag);
    if (err == FT_OK) {
        err = ft_query_add_filter(&made, "addr", "10.0.0.0/8", true, &diag);
    }
    if (err == FT_OK) {
        err = ft_query_add_filter(&made, "process_name", "cu*", false, &diag);
    }
    CHECK((err == FT_OK) == (made.n_filters == 3));
    CHECK((err == FT_OK) == (diag.text[0] == '\0'));
    ft_query_deinit(&made);
    return err;
}
SCENARIO("query", query)

static ft_err ids(void *ctx)
{
    (void)ctx;
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    FT_TRY(ft_id_deriver_create(&deriver));
    struct ft_uuid instance = {{1}};
    struct ft_uuid id;
    ft_id_derive_event(deriver, &instance, 1, &id);
    CHECK(!ft_uuid_is_nil(&id));
    return FT_OK;
}
SCENARIO("ids", ids)

/* Rows as text; an error leaves no text that could pass for the whole. */
static ft_err text(void *ctx)
{
    (void)ctx;
    struct ft_row rows[N_SAMPLE_ROWS];
    sample_rows(rows);
    struct ft_buf json;
    struct ft_buf csv;
    ft_buf_init(&json, 0);
    ft_buf_init(&csv, 0);
    ft_text_csv_header(&csv);
    for (unsigned i = 0; i < 3 * N_SAMPLE_ROWS; i++) {
        ft_text_ndjson_row(&json, &rows[i % N_SAMPLE_ROWS]);
        ft_text_csv_row(&csv, &rows[i % N_SAMPLE_ROWS]);
    }
    ft_err err = json.err != FT_OK ? json.err : csv.err;
    CHECK(json.err == FT_OK || strcmp(ft_buf_str(&json), "") == 0);
    CHECK(csv.err == FT_OK || strcmp(ft_buf_str(&csv), "") == 0);
    ft_buf_deinit(&json);
    ft_buf_deinit(&csv);
    return err;
}
SCENARIO("rows as text", text)

static ft_err json(void *ctx)
{
    (void)ctx;
    static const char document[] = "{\"a\": [1, 2.5, \"text\", null, true, {\"b\": {}}], "
                                   "\"c\": \"\\u00e4\\ud83d\\ude00\", \"d\": -7}";
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    ft_err err = ft_json_parse(document, sizeof document - 1, "f", &doc, &diag);
    if (err != FT_OK) {
        CHECK(diag.text[0] != '\0');
        return err;
    }
    CHECK_INT(ft_json_size(ft_json_get(ft_json_doc_get_root(doc), "a")), 6);
    return FT_OK;
}

/* jansson takes some of its own failures for malformed text, and tells where. */
static bool json_says_so(ft_err err)
{
    return err == ft_err_from_errno(ENOMEM) || err == FT_E_SYNTAX;
}

TEST(json_without_memory)
{
    json_malloc_t old_malloc;
    json_free_t old_free;
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(malloc, free);
    struct ft_alloc_scenario scenario = {.name = "json", .run = json, .says_so = json_says_so};
    ft_alloc_fail_each(&scenario);
    json_set_alloc_funcs(old_malloc, old_free);
}

static ft_err count_event(void *ctx, const char *type, const char *data, size_t size)
{
    (void)type;
    (void)data;
    CHECK_INT(size, 600);
    ++*(unsigned *)ctx;
    return FT_OK;
}

static ft_err sse(void *ctx)
{
    (void)ctx;
    unsigned n = 0;
    struct ft_sse stream;
    char event[700];
    int size = snprintf(event, sizeof event, "data: %0600d\n\n", 7);
    ft_sse_init(&stream, count_event, &n);
    ft_err err = FT_OK;
    for (unsigned i = 0; i < 3 && err == FT_OK; i++) {
        err = ft_sse_feed(&stream, event, 100);
        if (err == FT_OK) {
            err = ft_sse_feed(&stream, event + 100, (size_t)size - 100);
        }
        CHECK(err != FT_OK || n == i + 1);
    }
    ft_sse_deinit(&stream);
    return err;
}
SCENARIO("event stream", sse)

/* Nobody listens there: what is tried is all that comes before the connection. */
static ft_err http(void *ctx)
{
    struct ft_diag diag = {0};
    struct ft_buf body;
    FT_CLEANUP(ft_http_client_destroy) struct ft_http_client *client = NULL;
    FT_TRY(ft_http_client_create(ctx, &client, &diag));
    FT_TRY(ft_http_client_set_ca(client, "/nowhere"));
    ft_buf_init(&body, 0);
    ft_err err = ft_http_get_all(client, "/x?a=b", 1000, &body, &diag);
    ft_buf_deinit(&body);
    CHECK(diag.text[0] != '\0');
    return err == FT_E_UNREACHABLE ? FT_OK : err;
}

TEST(http_without_memory)
{
    char socket[256];
    (void)snprintf(socket, sizeof socket, "unix:%s/none", ft_test_tmpdir());
    char address[] = "http://127.0.0.1:1";
    struct ft_alloc_scenario scenario = {.name = "http, socket", .run = http, .ctx = socket};
    ft_alloc_fail_each(&scenario);
    scenario = (struct ft_alloc_scenario){.name = "http, address", .run = http, .ctx = address};
    ft_alloc_fail_each(&scenario);
}
