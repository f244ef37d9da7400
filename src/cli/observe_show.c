/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/observe.h"
#include "cli/seen.h"
#include "cli/terminal.h"
#include "text/json.h"
#include "text/line.h"

#define FLOWS_PATH "/api/v1/flows"
/* Progress of long answers into a file or pipe. */
#define PROGRESS_ROWS 10000

struct viewer {
    const struct ft_observe_options *options;
    struct ft_cli_names *names;
    struct ft_text_line_options line;
    struct ft_http_client *client; /* NULL: a file is read. */
    struct ft_buf stored_filters;
    struct ft_buf live_filters;
    struct ft_buf out;
    uint64_t n_rows;
    bool seen_wanted; /* Stored rows are shown before live ones. */
    struct ft_cli_seen seen;
    struct ft_diag *diag;
};

/* Rows of a file that match, and the last of them when only those are wanted. */
struct file_view {
    struct viewer *viewer;
    const struct ft_query *query;
    uint64_t n_rows;
    char **last; /* A ring of rows as JSON, 'n_last' long. */
    uint64_t n_last;
};

static ft_err show(struct viewer *viewer, struct ft_cli_filters *filters);
static ft_err show_stored(struct viewer *viewer, struct ft_http_client *client);
static ft_err show_live(struct viewer *viewer);
static ft_err show_file(struct viewer *viewer, struct ft_cli_filters *filters);
static ft_err print_row(void *ctx, const struct ft_row *row);
static int judge(const struct viewer *viewer, ft_err err);

int ft_observe(const struct ft_observe_options *options, struct ft_cli_filters *filters,
               struct ft_cli_names *names)
{
    struct ft_diag diag = {0};
    bool file = options->input_file[0] != '\0';
    struct viewer viewer = {.options = options,
                            .names = names,
                            .line = {.time = (enum ft_text_time)options->time_format,
                                     .colour = ft_cli_use_colour(options->colour),
                                     .agent_name = file ? NULL : ft_cli_names_find,
                                     .agent_name_ctx = names},
                            .diag = &diag};
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = NULL;
    if (!file) {
        client = viewer.client = ft_cli_connect(&options->where);
        if (client == NULL) {
            return FT_EXIT_USAGE;
        }
    }
    ft_buf_init(&viewer.stored_filters, 0);
    ft_buf_init(&viewer.live_filters, 0);
    ft_buf_init(&viewer.out, 0);
    ft_cli_catch_signals();
    ft_err err = show(&viewer, filters);
    if (viewer.n_rows >= PROGRESS_ROWS) {
        ft_cli_progress(NULL);
    }
    int code = judge(&viewer, err);
    ft_cli_seen_deinit(&viewer.seen);
    ft_buf_deinit(&viewer.out);
    ft_buf_deinit(&viewer.live_filters);
    ft_buf_deinit(&viewer.stored_filters);
    return code;
}

static ft_err show(struct viewer *viewer, struct ft_cli_filters *filters)
{
    const struct ft_observe_options *options = viewer->options;
    if (options->input_file[0] != '\0') {
        return show_file(viewer, filters);
    }
    ft_cli_filters_format(filters, true, &viewer->stored_filters);
    ft_cli_filters_format(filters, false, &viewer->live_filters);
    FT_TRY(viewer->stored_filters.err);
    FT_TRY(viewer->live_filters.err);
    return options->follow ? show_live(viewer) : show_stored(viewer, viewer->client);
}

static int judge(const struct viewer *viewer, ft_err err)
{
    if (err == FT_OK || err == ft_err_from_errno(EPIPE)) {
        return FT_EXIT_OK;
    }
    if (err == FT_E_CANCELLED) {
        /* That is how following ends; anything else is not complete. */
        return viewer->options->follow || !ft_cli_is_interrupted() ? FT_EXIT_OK
                                                                   : FT_EXIT_INTERRUPTED;
    }
    struct ft_diag diag = *viewer->diag;
    if (diag.text[0] == '\0') {
        (void)ft_diag_set(&diag, err, NULL, 0, 0, "%s", ft_err_text(err));
    }
    ft_cli_tell_failure(&viewer->options->where, err, &diag);
    return FT_EXIT_FAILED;
}

/* Stops waiting for rows when nobody reads them any more (`observe -f | head -1`). */
static bool has_reader(void *ctx)
{
    (void)ctx;
    return ft_cli_has_reader();
}

static ft_err show_stored(struct viewer *viewer, struct ft_http_client *client)
{
    const struct ft_observe_options *options = viewer->options;
    bool newest =
        options->last > 0 || (options->first == 0 && !options->all && options->since[0] == '\0');
    uint64_t want = options->first > 0 ? options->first : options->last;
    struct ft_cli_rows_query query = {.path = FLOWS_PATH,
                                      .filters = ft_buf_str(&viewer->stored_filters),
                                      .newest_first = newest,
                                      .rows_max =
                                          newest && want == 0 ? FT_OBSERVE_LAST_DEFAULT : want};
    return ft_cli_rows_stored(client, &query, print_row, viewer, viewer->diag);
}

static ft_err print_unseen(void *ctx, const struct ft_row *row)
{
    struct viewer *viewer = ctx;
    return ft_cli_seen_has(&viewer->seen, row) ? FT_OK : print_row(viewer, row);
}

/*
 * The live stream is open, so that nothing falls between it and what is stored: a row is either
 * stored already, or comes live when it is.  What is both is shown once.
 */
static ft_err show_stored_first(void *ctx)
{
    struct viewer *viewer = ctx;
    const struct ft_observe_options *options = viewer->options;
    if (options->last == 0 && !options->all && options->since[0] == '\0') {
        return FT_OK;
    }
    /* A connection of its own: the stream goes on. */
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return ft_err_from_errno(ENOMEM); /* Its address was good before. */
    }
    viewer->seen_wanted = true;
    ft_err err = show_stored(viewer, client);
    viewer->seen_wanted = false;
    return err;
}

static ft_err show_live(struct viewer *viewer)
{
    ft_http_client_set_tick(viewer->client, has_reader, NULL);
    struct ft_cli_live live = {.filters = ft_buf_str(&viewer->live_filters),
                               .fn = print_unseen,
                               .on_open = show_stored_first,
                               .ctx = viewer};
    ft_cli_hint("Flows are shown as they come; Ctrl-C ends.");
    return ft_cli_rows_live(viewer->client, &live, viewer->diag);
}

static void tell_progress(const struct viewer *viewer)
{
    char text[64];
    if (viewer->n_rows % PROGRESS_ROWS == 0 && !viewer->options->follow) {
        (void)snprintf(text, sizeof text, "%llu rows", (unsigned long long)viewer->n_rows);
        ft_cli_progress(text);
    }
}

static ft_err print_row(void *ctx, const struct ft_row *row)
{
    struct viewer *viewer = ctx;
    struct ft_buf *out = &viewer->out;
    ft_buf_clear(out);
    switch ((enum ft_observe_output)viewer->options->output) {
    case FT_OBSERVE_COMPACT:
        ft_text_compact_row(out, &viewer->line, row);
        break;
    case FT_OBSERVE_TABLE:
        if (viewer->n_rows == 0) {
            ft_text_table_header(out, &viewer->line);
        }
        ft_text_table_row(out, &viewer->line, row);
        break;
    case FT_OBSERVE_DICT:
        ft_text_dict_row(out, &viewer->line, row, viewer->n_rows == 0);
        break;
    case FT_OBSERVE_JSON:
    case FT_OBSERVE_JSONPB: {
        struct ft_buf json;
        ft_buf_init(&json, 0);
        struct ft_json_writer writer;
        ft_json_writer_init(&writer, &json);
        ft_text_json_row(&writer, row);
        ft_cli_add_json(out, json.data, json.size);
        ft_buf_add_char(out, '\n');
        out->err = out->err == FT_OK ? json.err : out->err;
        ft_buf_deinit(&json);
        break;
    }
    }
    if (viewer->seen_wanted) {
        ft_cli_seen_add(&viewer->seen, row);
    }
    viewer->n_rows++;
    ft_err err = ft_cli_write(out);
    if (err != FT_OK && err != FT_E_CANCELLED && err != ft_err_from_errno(EPIPE)) {
        return ft_diag_set(viewer->diag, err, NULL, 0, 0, "cannot write the rows: %s",
                           ft_err_text(err));
    }
    tell_progress(viewer);
    return err;
}

/* Instead of the oldest one that is kept. */
static ft_err keep_row(struct file_view *view, const struct ft_row *row)
{
    struct ft_buf json;
    ft_buf_init(&json, 0);
    ft_text_ndjson_row(&json, row);
    ft_err err = json.err;
    if (err == FT_OK) {
        char **place = &view->last[view->n_rows % view->n_last];
        free(*place);
        *place = strdup(ft_buf_str(&json));
        err = *place != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    }
    ft_buf_deinit(&json);
    return err;
}

static ft_err take_file_row(void *ctx, const struct ft_row *row)
{
    struct file_view *view = ctx;
    uint64_t first = view->viewer->options->first;
    if (ft_cli_is_interrupted()) {
        return FT_E_CANCELLED;
    }
    if (!ft_query_matches(view->query, row)) {
        return FT_OK;
    }
    FT_TRY(view->last != NULL ? keep_row(view, row) : print_row(view->viewer, row));
    view->n_rows++;
    return first > 0 && view->n_rows == first ? FT_E_END : FT_OK;
}

static ft_err print_kept(struct file_view *view, uint64_t i)
{
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    const char *json = view->last[i % view->n_last];
    struct ft_row row;
    FT_TRY(ft_json_parse(json, strlen(json), "", &doc, view->viewer->diag));
    FT_TRY(ft_text_json_parse_row(ft_json_doc_get_root(doc), &row, view->viewer->diag));
    return print_row(view->viewer, &row);
}

static ft_err show_file(struct viewer *viewer, struct ft_cli_filters *filters)
{
    struct ft_query query;
    FT_TRY(ft_cli_filters_to_query(filters, &query, viewer->diag));
    struct file_view view = {.viewer = viewer, .query = &query, .n_last = viewer->options->last};
    ft_err err = FT_OK;
    if (view.n_last > 0) {
        view.last = calloc(view.n_last, sizeof *view.last);
        err = view.last != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    }
    if (err == FT_OK) {
        err = ft_cli_rows_file(viewer->options->input_file, take_file_row, &view, viewer->diag);
        err = err == FT_E_END ? FT_OK : err;
    }
    uint64_t n_kept = view.n_rows < view.n_last ? view.n_rows : view.n_last;
    for (uint64_t i = view.n_rows - n_kept; err == FT_OK && i < view.n_rows && n_kept > 0; i++) {
        err = print_kept(&view, i);
    }
    for (uint64_t i = 0; view.last != NULL && i < view.n_last; i++) {
        free(view.last[i]);
    }
    free(view.last);
    ft_query_deinit(&query);
    return err;
}
