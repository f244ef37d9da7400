/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sse.h"

#include <stdio.h>
#include <string.h>

#define BOM "\xef\xbb\xbf"

static ft_err end_line(struct ft_sse *sse);
static void take_field(struct ft_sse *sse, const char *line);
static ft_err dispatch(struct ft_sse *sse);

void ft_sse_init(struct ft_sse *sse, ft_sse_event_fn *fn, void *ctx)
{
    *sse = (struct ft_sse){.fn = fn, .ctx = ctx};
    ft_buf_init(&sse->line, FT_SSE_BYTES_MAX);
    ft_buf_init(&sse->data, FT_SSE_BYTES_MAX);
}

void ft_sse_deinit(struct ft_sse *sse)
{
    ft_buf_deinit(&sse->line);
    ft_buf_deinit(&sse->data);
}

ft_err ft_sse_feed(struct ft_sse *sse, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        if (sse->after_cr && bytes[at] == '\n') {
            sse->after_cr = false;
            at++;
            continue;
        }
        sse->after_cr = false;
        size_t n = 0;
        while (at + n < size && bytes[at + n] != '\n' && bytes[at + n] != '\r') {
            n++;
        }
        ft_buf_add(&sse->line, bytes + at, n);
        FT_TRY(sse->line.err);
        at += n;
        if (at < size) {
            sse->after_cr = bytes[at++] == '\r';
            FT_TRY(end_line(sse));
        }
    }
    return FT_OK;
}

static ft_err end_line(struct ft_sse *sse)
{
    const char *line = ft_buf_str(&sse->line);
    ft_err err = FT_OK;
    if (line[0] == '\0') {
        err = dispatch(sse);
    } else {
        take_field(sse, line);
        err = sse->data.err;
    }
    ft_buf_clear(&sse->line);
    return err;
}

static void take_field(struct ft_sse *sse, const char *line)
{
    line += strncmp(line, BOM, strlen(BOM)) == 0 ? strlen(BOM) : 0;
    size_t name = strcspn(line, ":");
    const char *value = line[name] == ':' ? line + name + 1 : "";
    value += value[0] == ' ' ? 1 : 0;
    if (name == 4 && strncmp(line, "data", 4) == 0) {
        ft_buf_add_str(&sse->data, value);
        ft_buf_add_char(&sse->data, '\n');
    } else if (name == 5 && strncmp(line, "event", 5) == 0) {
        (void)snprintf(sse->type, sizeof sse->type, "%s", value);
    }
}

static ft_err dispatch(struct ft_sse *sse)
{
    ft_err err = FT_OK;
    if (sse->data.size > 0) {
        sse->data.size--; /* The last line's '\n'. */
        const char *data = ft_buf_str(&sse->data);
        err = sse->data.err;
        if (err == FT_OK) {
            err = sse->fn(sse->ctx, sse->type[0] != '\0' ? sse->type : "message", data,
                          sse->data.size);
        }
    }
    ft_buf_clear(&sse->data);
    sse->type[0] = '\0';
    return err;
}
