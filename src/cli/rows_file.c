/* SPDX-License-Identifier: Apache-2.0 */
/* Rows from a file of JSON lines. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/rows.h"
#include "cli/terminal.h"
#include "text/json.h"
#include "json/reader.h"

#define LINE_BYTES_MAX ((size_t)1 << 20)
#define READ_SIZE      ((size_t)64 << 10)

struct reader {
    const char *name; /* For messages. */
    int fd;
    unsigned line;
    struct ft_buf bytes; /* Read and not yet taken. */
    ft_row_fn *fn;
    void *ctx;
    struct ft_diag *diag;
};

static ft_err read_rows(struct reader *reader);
static ft_err fill(struct reader *reader, bool *ret_end);
static ft_err take_line(struct reader *reader, const char *line, size_t size);

ft_err ft_cli_rows_file(const char *path, ft_row_fn *fn, void *ctx, struct ft_diag *reterr_diag)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct reader reader = {.name = is_stdin ? "standard input" : path,
                            .fd = STDIN_FILENO,
                            .fn = fn,
                            .ctx = ctx,
                            .diag = reterr_diag};
    if (!is_stdin) {
        reader.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (reader.fd < 0) {
            ft_err err = ft_err_last();
            return ft_diag_set(reterr_diag, err, path, 0, 0, "%s", ft_err_text(err));
        }
    }
    ft_buf_init(&reader.bytes, LINE_BYTES_MAX + READ_SIZE);
    ft_err err = read_rows(&reader);
    ft_buf_deinit(&reader.bytes);
    if (!is_stdin) {
        ft_fd_close(&reader.fd);
    }
    return err;
}

static ft_err read_rows(struct reader *reader)
{
    bool end = false;
    while (!end) {
        FT_TRY(fill(reader, &end));
        size_t at = 0;
        const char *newline = NULL;
        while (at < reader->bytes.size &&
               (newline = memchr(reader->bytes.data + at, '\n', reader->bytes.size - at)) != NULL) {
            size_t size = (size_t)(newline - (reader->bytes.data + at));
            FT_TRY(take_line(reader, reader->bytes.data + at, size));
            at += size + 1;
        }
        if (end && at < reader->bytes.size) {
            return take_line(reader, reader->bytes.data + at, reader->bytes.size - at);
        }
        ft_buf_consume(&reader->bytes, at);
        if (reader->bytes.size > LINE_BYTES_MAX) {
            return ft_diag_set(reader->diag, FT_E_RANGE, reader->name, reader->line + 1, 0,
                               "the line is longer than 1 MiB");
        }
    }
    return FT_OK;
}

static ft_err fill(struct reader *reader, bool *ret_end)
{
    char piece[READ_SIZE];
    ssize_t n;
    do {
        n = read(reader->fd, piece, sizeof piece);
    } while (n < 0 && errno == EINTR && !ft_cli_is_interrupted());
    if (n < 0) {
        ft_err err = errno == EINTR ? FT_E_CANCELLED : ft_err_last();
        return ft_diag_set(reader->diag, err, reader->name, 0, 0, "%s", ft_err_text(err));
    }
    ft_buf_add(&reader->bytes, piece, (size_t)n);
    *ret_end = n == 0;
    return reader->bytes.err;
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr(" \t\r", line[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static ft_err take_line(struct reader *reader, const char *line, size_t size)
{
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    struct ft_diag diag = {0};
    struct ft_row row;
    reader->line++;
    if (is_blank(line, size)) {
        return FT_OK;
    }
    ft_err err = ft_json_parse(line, size, "", &doc, &diag);
    if (err == FT_OK) {
        err = ft_text_json_parse_row(ft_json_doc_get_root(doc), &row, &diag);
    }
    if (err != FT_OK) {
        return ft_diag_set(reader->diag, err, reader->name, reader->line, 0, "%s",
                           diag.text[0] != '\0' ? diag.text : ft_err_text(err));
    }
    return reader->fn(reader->ctx, &row);
}
