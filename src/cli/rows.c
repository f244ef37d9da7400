/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "http/sse.h"
#include "text/json.h"
#include "json/reader.h"

#define LIVE_PATH        "/api/v1/live"
#define QUERY_TIMEOUT_MS 130000L
#define CURSOR_SIZE      512

struct paging {
    const struct ft_cli_rows_query *query;
    ft_row_fn *fn;
    void *ctx;
    char cursor[CURSOR_SIZE]; /* "" before the first page and behind the last one. */
    uint64_t n_rows;
    /* Newest first: the pages, to be given out in reverse. */
    struct ft_json_doc **held;
    size_t n_held;
};

struct stream {
    const struct ft_cli_live *live;
    bool open;
    struct ft_sse sse;
};

static ft_err get_pages(struct ft_http_client *client, struct paging *paging,
                        struct ft_diag *reterr_diag);
static ft_err get_page(struct ft_http_client *client, const struct paging *paging,
                       struct ft_json_doc **ret_doc, struct ft_diag *reterr_diag);
static ft_err take_page(struct paging *paging, struct ft_json_doc *doc, bool *ret_more,
                        struct ft_diag *reterr_diag);
static ft_err give_held(struct paging *paging, struct ft_diag *reterr_diag);
static ft_err give_row(const struct ft_json_value *object, ft_row_fn *fn, void *ctx,
                       struct ft_diag *reterr_diag);
static ft_err on_bytes(void *ctx, const char *data, size_t size);
static ft_err on_event(void *ctx, const char *type, const char *data, size_t size);

ft_err ft_cli_rows_stored(struct ft_http_client *client, const struct ft_cli_rows_query *query,
                          ft_row_fn *fn, void *ctx, struct ft_diag *reterr_diag)
{
    struct paging paging = {.query = query, .fn = fn, .ctx = ctx};
    ft_err err = get_pages(client, &paging, reterr_diag);
    if (err == FT_OK && query->newest_first) {
        err = give_held(&paging, reterr_diag);
    }
    while (paging.n_held > 0) {
        ft_json_doc_destroy(paging.held[--paging.n_held]);
    }
    free(paging.held);
    return err;
}

ft_err ft_cli_rows_live(struct ft_http_client *client, const struct ft_cli_live *live,
                        struct ft_diag *reterr_diag)
{
    struct stream stream = {.live = live};
    struct ft_buf path;
    ft_buf_init(&path, 0);
    ft_buf_addf(&path, LIVE_PATH "%s%s", live->filters[0] != '\0' ? "?" : "",
                live->filters[0] != '\0' ? live->filters + 1 : "");
    ft_err err = path.err;
    if (err == FT_OK) {
        ft_sse_init(&stream.sse, on_event, &stream);
        err = ft_http_get(client, ft_buf_str(&path), 0, on_bytes, &stream, reterr_diag);
        ft_sse_deinit(&stream.sse);
    }
    ft_buf_deinit(&path);
    if (err == FT_OK || err == FT_E_CLOSED) {
        return ft_diag_set(reterr_diag, FT_E_CLOSED, NULL, 0, 0,
                           "the stream of flows ended: the server went away");
    }
    return err;
}

static ft_err get_pages(struct ft_http_client *client, struct paging *paging,
                        struct ft_diag *reterr_diag)
{
    bool more = true;
    while (more) {
        struct ft_json_doc *doc = NULL;
        FT_TRY(get_page(client, paging, &doc, reterr_diag));
        FT_TRY(take_page(paging, doc, &more, reterr_diag));
    }
    return FT_OK;
}

static ft_err get_page(struct ft_http_client *client, const struct paging *paging,
                       struct ft_json_doc **ret_doc, struct ft_diag *reterr_diag)
{
    const struct ft_cli_rows_query *query = paging->query;
    uint64_t limit = FT_CLI_PAGE_ROWS;
    if (query->rows_max != 0 && query->rows_max - paging->n_rows < limit) {
        limit = query->rows_max - paging->n_rows;
    }
    struct ft_buf path;
    struct ft_buf body;
    ft_buf_init(&path, 0);
    ft_buf_init(&body, FT_HTTP_BODY_BYTES_MAX);
    ft_buf_addf(&path, "%s?format=json&order=%s&limit=%llu%s", query->path,
                query->newest_first ? "newest" : "oldest", (unsigned long long)limit,
                query->filters);
    if (paging->cursor[0] != '\0') {
        ft_buf_add_str(&path, "&cursor=");
        ft_http_add_escaped(&path, paging->cursor);
    }
    ft_err err = path.err;
    if (err == FT_OK) {
        err = ft_http_get_all(client, ft_buf_str(&path), QUERY_TIMEOUT_MS, &body, reterr_diag);
    }
    if (err == FT_OK) {
        err = ft_json_parse(ft_buf_str(&body), body.size, query->path, ret_doc, reterr_diag);
    }
    ft_buf_deinit(&path);
    ft_buf_deinit(&body);
    return err;
}

/* Keeps the page for later; it belongs to 'paging' then. */
static ft_err hold_page(struct paging *paging, struct ft_json_doc *doc)
{
    struct ft_json_doc **held = realloc(paging->held, (paging->n_held + 1) * sizeof *held);
    if (held == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    paging->held = held;
    paging->held[paging->n_held++] = doc;
    return FT_OK;
}

static ft_err take_page(struct paging *paging, struct ft_json_doc *doc, bool *ret_more,
                        struct ft_diag *reterr_diag)
{
    const struct ft_cli_rows_query *query = paging->query;
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *page = doc;
    const struct ft_json_value *root = ft_json_doc_get_root(page);
    const struct ft_json_value *rows = ft_json_get(root, "flows");
    if (ft_json_kind(rows) != FT_JSON_ARRAY) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "%s: the answer has no rows",
                           query->path);
    }
    const char *next = "";
    ft_err_ignore(ft_json_get_str(root, "next", &next, NULL), "the last page has none");
    (void)snprintf(paging->cursor, sizeof paging->cursor, "%s", next);
    size_t n = ft_json_size(rows);
    paging->n_rows += n;
    /* A page without rows cannot have a next one. */
    *ret_more =
        n > 0 && next[0] != '\0' && (query->rows_max == 0 || paging->n_rows < query->rows_max);
    if (query->newest_first) {
        FT_TRY(hold_page(paging, page));
        page = NULL;
        return FT_OK;
    }
    for (size_t i = 0; i < n; i++) {
        FT_TRY(give_row(ft_json_at(rows, i), paging->fn, paging->ctx, reterr_diag));
    }
    return FT_OK;
}

static ft_err give_held(struct paging *paging, struct ft_diag *reterr_diag)
{
    for (size_t page = paging->n_held; page > 0; page--) {
        const struct ft_json_value *root = ft_json_doc_get_root(paging->held[page - 1]);
        const struct ft_json_value *rows = ft_json_get(root, "flows");
        for (size_t i = ft_json_size(rows); i > 0; i--) {
            FT_TRY(give_row(ft_json_at(rows, i - 1), paging->fn, paging->ctx, reterr_diag));
        }
    }
    return FT_OK;
}

static ft_err give_row(const struct ft_json_value *object, ft_row_fn *fn, void *ctx,
                       struct ft_diag *reterr_diag)
{
    struct ft_row row;
    FT_TRY(ft_text_json_parse_row(object, &row, reterr_diag));
    return fn(ctx, &row);
}

static ft_err on_bytes(void *ctx, const char *data, size_t size)
{
    struct stream *stream = ctx;
    if (!stream->open) {
        stream->open = true;
        if (stream->live->on_open != NULL) {
            FT_TRY(stream->live->on_open(stream->live->ctx));
        }
    }
    return ft_sse_feed(&stream->sse, data, size);
}

static ft_err on_event(void *ctx, const char *type, const char *data, size_t size)
{
    struct stream *stream = ctx;
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    struct ft_diag diag = {0};
    struct ft_row row;
    ft_err err = ft_json_parse(data, size, "", &doc, &diag);
    if (err == FT_OK && strcmp(type, "dropped") == 0) {
        uint64_t count = 0;
        ft_err_ignore(ft_json_get_u64(ft_json_doc_get_root(doc), "count", &count, NULL), "told");
        ft_cli_error("%llu rows were left out: there are more than can be shown",
                     (unsigned long long)count);
        return FT_OK;
    }
    if (err == FT_OK && strcmp(type, "message") != 0) {
        return FT_OK; /* A newer server's; not a row. */
    }
    if (err == FT_OK) {
        err = ft_text_json_parse_row(ft_json_doc_get_root(doc), &row, &diag);
    }
    if (err != FT_OK) {
        ft_cli_error("a row was not understood: %s",
                     diag.text[0] != '\0' ? diag.text : ft_err_text(err));
        return FT_OK;
    }
    return stream->live->fn(stream->live->ctx, &row);
}
