/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "text/json.h"
#include "json/reader.h"
#include "json/writer.h"

#define QUERY_TIMEOUT_MS 120000L
/* The longest line of the live stream: one row. */
#define LINE_SIZE_MAX ((size_t)1 << 20)

static ft_err give_page(const struct ft_json_value *flows, ft_cli_row_fn *fn, void *ctx,
                        struct ft_diag *reterr_diag);
static ft_err give_row(const struct ft_json_value *object, ft_cli_row_fn *fn, void *ctx,
                       struct ft_diag *reterr_diag);

/* Pages that are held to be given out in reverse. */
struct held {
    struct ft_json_doc *docs[FT_CLI_NEWEST_MAX / 100];
    size_t n;
};

static ft_err get_page(struct ft_http_client *client, const struct ft_cli_rows_query *query,
                       uint64_t limit, const char *cursor, struct ft_json_doc **ret_doc,
                       struct ft_diag *reterr_diag)
{
    struct ft_buf path;
    struct ft_buf body;
    ft_buf_init(&path, 0);
    ft_buf_init(&body, FT_HTTP_BODY_BYTES_MAX);
    ft_buf_addf(&path, "%s?format=json&order=%s&limit=%llu%s", query->path,
                query->newest_first ? "newest" : "oldest", (unsigned long long)limit,
                query->filters);
    if (cursor != NULL) {
        ft_buf_addf(&path, "&cursor=%s", cursor);
    }
    ft_err err = ft_http_get_all(client, ft_buf_str(&path), QUERY_TIMEOUT_MS, &body, reterr_diag);
    if (err == FT_OK) {
        err = ft_json_parse(ft_buf_str(&body), body.size, query->path, ret_doc, reterr_diag);
    }
    ft_buf_deinit(&path);
    ft_buf_deinit(&body);
    return err;
}

/* Gives the rows of the page out, or holds the page. */
static ft_err take_page(const struct ft_cli_rows_query *query, struct ft_json_doc *doc,
                        struct held *held, ft_cli_row_fn *fn, void *ctx, char *cursor,
                        size_t cursor_size, uint64_t *n_rows, struct ft_diag *reterr_diag)
{
    const struct ft_json_value *root = ft_json_doc_get_root(doc);
    const struct ft_json_value *flows = ft_json_get(root, "flows");
    const char *next = "";
    ft_err_ignore(ft_json_get_str(root, "next", &next, NULL), "the last page has none");
    (void)snprintf(cursor, cursor_size, "%s", next);
    *n_rows += ft_json_size(flows);
    if (query->newest_first) {
        if (held->n == sizeof held->docs / sizeof held->docs[0]) {
            return FT_E_FULL;
        }
        held->docs[held->n++] = doc;
        return FT_OK;
    }
    ft_err err = give_page(flows, fn, ctx, reterr_diag);
    ft_json_doc_destroy(doc);
    return err;
}

ft_err ft_cli_rows_stored(struct ft_http_client *client, const struct ft_cli_rows_query *query,
                          ft_cli_row_fn *fn, void *ctx, struct ft_diag *reterr_diag)
{
    struct held *held = calloc(1, sizeof *held);
    if (held == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    char cursor[512] = "";
    uint64_t n_rows = 0;
    ft_err err = FT_OK;
    do {
        uint64_t limit = query->page_rows;
        if (query->rows_max != 0 && query->rows_max - n_rows < limit) {
            limit = query->rows_max - n_rows;
        }
        struct ft_json_doc *doc = NULL;
        err = get_page(client, query, limit, cursor[0] != '\0' ? cursor : NULL, &doc, reterr_diag);
        if (err == FT_OK) {
            err = take_page(query, doc, held, fn, ctx, cursor, sizeof cursor, &n_rows, reterr_diag);
        }
    } while (err == FT_OK && cursor[0] != '\0' &&
             (query->rows_max == 0 || n_rows < query->rows_max));
    while (held->n > 0) {
        struct ft_json_doc *doc = held->docs[--held->n];
        const struct ft_json_value *flows = ft_json_get(ft_json_doc_get_root(doc), "flows");
        for (size_t i = ft_json_size(flows); err == FT_OK && i > 0; i--) {
            err = give_row(ft_json_at(flows, i - 1), fn, ctx, reterr_diag);
        }
        ft_json_doc_destroy(doc);
    }
    free(held);
    return err;
}

struct live {
    struct ft_buf line;
    bool dropped; /* The event under way tells of rows left out. */
    ft_cli_row_fn *fn;
    void *ctx;
    struct ft_diag *reterr_diag;
};

/* One line of a stream of server-sent events (HTML standard, "Server-sent events"). */
static ft_err take_line(struct live *live, const char *line)
{
    if (line[0] == '\0') {
        live->dropped = false;
    } else if (strncmp(line, "event: ", 7) == 0) {
        live->dropped = strcmp(line + 7, "dropped") == 0;
    } else if (strncmp(line, "data: ", 6) == 0 && live->dropped) {
        ft_cli_error("rows left out, this terminal is too slow: %s", line + 6);
    } else if (strncmp(line, "data: ", 6) == 0) {
        FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
        FT_TRY(ft_json_parse(line + 6, strlen(line + 6), "", &doc, live->reterr_diag));
        return give_row(ft_json_doc_get_root(doc), live->fn, live->ctx, live->reterr_diag);
    }
    return FT_OK;
}

static ft_err take_bytes(void *ctx, const char *data, size_t size)
{
    struct live *live = ctx;
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        size_t n = end != NULL ? (size_t)(end - data) : size;
        ft_buf_add(&live->line, data, n);
        if (live->line.err != FT_OK) {
            return live->line.err;
        }
        if (end == NULL) {
            return FT_OK;
        }
        FT_TRY(take_line(live, ft_buf_str(&live->line)));
        ft_buf_clear(&live->line);
        data += n + 1;
        size -= n + 1;
    }
    return FT_OK;
}

ft_err ft_cli_rows_live(struct ft_http_client *client, const char *path, ft_cli_row_fn *fn,
                        void *ctx, struct ft_diag *reterr_diag)
{
    struct live live = {.fn = fn, .ctx = ctx, .reterr_diag = reterr_diag};
    ft_buf_init(&live.line, LINE_SIZE_MAX);
    ft_err err = ft_http_get(client, path, 0, take_bytes, &live, reterr_diag);
    ft_buf_deinit(&live.line);
    return err;
}

ft_err ft_cli_parse_time(const char *text, int64_t *ret_real_ns)
{
    int64_t ago_ns;
    if (ft_parse_duration(text, &ago_ns) == FT_OK) {
        *ret_real_ns = ft_clock_real_ns(ft_clock_system()) - ago_ns;
        return FT_OK;
    }
    return ft_parse_rfc3339(text, ret_real_ns);
}

ft_err ft_cli_write(const struct ft_buf *buf)
{
    FT_TRY(buf->err);
    if (fwrite(buf->data, 1, buf->size, stdout) != buf->size || fflush(stdout) != 0) {
        return ft_err_last();
    }
    return FT_OK;
}

static ft_err give_page(const struct ft_json_value *flows, ft_cli_row_fn *fn, void *ctx,
                        struct ft_diag *reterr_diag)
{
    for (size_t i = 0; i < ft_json_size(flows); i++) {
        FT_TRY(give_row(ft_json_at(flows, i), fn, ctx, reterr_diag));
    }
    return FT_OK;
}

static ft_err give_row(const struct ft_json_value *object, ft_cli_row_fn *fn, void *ctx,
                       struct ft_diag *reterr_diag)
{
    struct ft_row row;
    FT_TRY(ft_text_json_parse_row(object, &row, reterr_diag));
    struct ft_buf json;
    ft_buf_init(&json, 0);
    struct ft_json_writer writer;
    ft_json_writer_init(&writer, &json);
    ft_text_json_row(&writer, &row);
    ft_err err = json.err != FT_OK ? json.err : fn(ctx, &row, json.data, json.size);
    ft_buf_deinit(&json);
    return err;
}
