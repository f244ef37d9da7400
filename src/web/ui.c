/* SPDX-License-Identifier: Apache-2.0 */
#include "web/ui.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "web/request.h"

/* A file's bytes between two symbols.  The assembler reads it: no generated source, no tool. */
#define EMBED(symbol, file)                                                                        \
    __asm__(".section .rodata\n"                                                                   \
            ".global ft_ui_" #symbol "\n"                                                          \
            ".global ft_ui_" #symbol "_end\n"                                                      \
            ".hidden ft_ui_" #symbol "\n"                                                          \
            ".hidden ft_ui_" #symbol "_end\n"                                                      \
            "ft_ui_" #symbol ":\n"                                                                 \
            ".incbin \"" FT_WEB_UI_DIR "/" file "\"\n"                                             \
            "ft_ui_" #symbol "_end:\n"                                                             \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const char ft_ui_##symbol[] __attribute__((visibility("hidden")));                      \
    extern const char ft_ui_##symbol##_end[] __attribute__((visibility("hidden")))

EMBED(index_html, "index.html");
EMBED(app_js, "app.js");
EMBED(style_css, "style.css");
EMBED(icon_svg, "icon.svg");

static const struct file {
    const char *path;
    const char *type;
    const char *begin;
    const char *end;
} files[] = {
    {"/", "text/html; charset=utf-8", ft_ui_index_html, ft_ui_index_html_end},
    {"/app.js", "text/javascript; charset=utf-8", ft_ui_app_js, ft_ui_app_js_end},
    {"/style.css", "text/css; charset=utf-8", ft_ui_style_css, ft_ui_style_css_end},
    {"/icon.svg", "image/svg+xml", ft_ui_icon_svg, ft_ui_icon_svg_end},
};

static void on_file(void *ctx, struct ft_web_request *request)
{
    const struct file *file = ctx;
    size_t size = (size_t)((uintptr_t)file->end - (uintptr_t)file->begin);
    char etag[32];
    (void)snprintf(etag, sizeof etag, "\"%016" PRIx64 "\"", ft_hash64(file->begin, size, 0));
    ft_web_set_header(request, "ETag", etag);
    ft_web_set_header(request, "Cache-Control", "no-cache");
    if (strcmp(ft_web_request_get_if_none_match(request), etag) == 0) {
        ft_web_respond(request, 304, file->type, "", 0);
    } else {
        ft_web_respond(request, 200, file->type, file->begin, size);
    }
}

ft_err ft_web_add_ui(struct ft_web *web)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FT_TRY(ft_web_route(web, files[i].path, FT_WEB_RUN_DIRECT, on_file,
                            (void *)(uintptr_t)&files[i]));
    }
    return FT_OK;
}
