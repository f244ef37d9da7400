/* SPDX-License-Identifier: Apache-2.0 */
#include "web/standard.h"

#include "web/request.h"
#include "json/writer.h"

static void on_live(void *ctx, struct ft_web_request *request)
{
    (void)ctx;
    ft_web_respond(request, 200, FT_WEB_TEXT, "ok\n", 3);
}

static void on_ready(void *ctx, struct ft_web_request *request)
{
    const struct ft_web_standard *standard = ctx;
    struct ft_buf why;
    ft_buf_init(&why, 0);
    bool ready = standard->ready == NULL || standard->ready(standard->ctx, &why);
    ft_buf_add_str(&why, ready ? "ready\n" : "\n");
    ft_web_respond_buf(request, ready ? 200 : 503, FT_WEB_TEXT, &why);
    ft_buf_deinit(&why);
}

static void on_version(void *ctx, struct ft_web_request *request)
{
    const struct ft_web_standard *standard = ctx;
    struct ft_buf buf;
    struct ft_json_writer writer;
    ft_buf_init(&buf, 0);
    ft_json_writer_init(&writer, &buf);
    ft_json_object_begin(&writer);
    ft_json_key_str(&writer, "program", standard->program);
    ft_json_key_str(&writer, "version", standard->version);
    ft_json_object_end(&writer);
    ft_json_newline(&writer);
    ft_web_respond_buf(request, 200, FT_WEB_JSON, &buf);
    ft_buf_deinit(&buf);
}

static void on_metrics(void *ctx, struct ft_web_request *request)
{
    const struct ft_web_standard *standard = ctx;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_metrics_write(standard->metrics, &buf);
    ft_web_respond_buf(request, 200, FT_METRICS_CONTENT_TYPE, &buf);
    ft_buf_deinit(&buf);
}

/* These tell nothing about anybody's connections: also where the rest is not shown. */
static ft_err add(struct ft_web *web, const char *path, ft_web_handler_fn *handler, void *ctx)
{
    FT_TRY(ft_web_route(web, path, FT_WEB_RUN_DIRECT, handler, ctx));
    return ft_web_set_public(web, path);
}

ft_err ft_web_add_standard(struct ft_web *web, const struct ft_web_standard *standard)
{
    void *ctx = (void *)(uintptr_t)standard;
    FT_TRY(add(web, "/livez", on_live, ctx));
    FT_TRY(add(web, "/healthz", on_live, ctx));
    FT_TRY(add(web, "/readyz", on_ready, ctx));
    FT_TRY(add(web, "/version", on_version, ctx));
    if (standard->metrics != NULL) {
        FT_TRY(add(web, "/metrics", on_metrics, ctx));
    }
    return FT_OK;
}
