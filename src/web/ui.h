/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dashboard: the files of ui/, which are in the program.  "/" is the page; it uses the API and
 * nothing else.  Answers carry an ETag; a client that has the file already gets 304.
 *
 * Thread: the routes run in threads of the web server.
 */
#ifndef FT_WEB_UI_H
#define FT_WEB_UI_H 1

#include "web/web.h"

/* Fails as ft_web_route(). */
FT_MUST_USE ft_err ft_web_add_ui(struct ft_web *web);

#endif
