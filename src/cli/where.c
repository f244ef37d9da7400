/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/where.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/terminal.h"

#define ANSWER_TIMEOUT_MS 10000L

bool ft_cli_is_collector(const struct ft_cli_where *where) { return where->server[0] != '\0'; }

struct ft_http_client *ft_cli_connect(const struct ft_cli_where *where)
{
    FT_CLEANUP(ft_http_client_destroy) struct ft_http_client *client = NULL;
    struct ft_diag diag = {0};
    char *address = NULL;
    bool collector = ft_cli_is_collector(where);
    if (asprintf(&address, "%s%s",
                 collector ? "" : "unix:", collector ? where->server : where->agent) < 0) {
        ft_cli_error("%s", ft_err_text(ft_err_from_errno(ENOMEM)));
        return NULL;
    }
    ft_err err = ft_http_client_create(address, &client, &diag);
    free(address);
    if (err == FT_OK && where->ca_file[0] != '\0') {
        err = ft_http_client_set_ca(client, where->ca_file);
    }
    if (err != FT_OK) {
        ft_cli_error("%s", diag.text[0] != '\0' ? diag.text : ft_err_text(err));
        return NULL;
    }
    ft_cli_register(client);
    return FT_TAKE(client);
}

void ft_cli_disconnect(struct ft_http_client *client)
{
    ft_cli_unregister(client);
    ft_http_client_destroy(client);
}

ft_err ft_cli_get_json(struct ft_http_client *client, const char *path,
                       struct ft_json_doc **ret_doc, struct ft_diag *reterr_diag)
{
    struct ft_buf body;
    ft_buf_init(&body, FT_HTTP_BODY_BYTES_MAX);
    ft_err err = ft_http_get_all(client, path, ANSWER_TIMEOUT_MS, &body, reterr_diag);
    if (err == FT_OK) {
        err = ft_json_parse(ft_buf_str(&body), body.size, path, ret_doc, reterr_diag);
    }
    ft_buf_deinit(&body);
    return err;
}

const char *ft_cli_text_of(const struct ft_json_value *object, const char *key)
{
    const char *text = "";
    ft_err_ignore(ft_json_get_str(object, key, &text, NULL), "absent is empty");
    return text;
}

uint64_t ft_cli_number_of(const struct ft_json_value *object, const char *key)
{
    uint64_t number = 0;
    ft_err_ignore(ft_json_get_u64(object, key, &number, NULL), "absent is zero");
    return number;
}

bool ft_cli_is_set(const struct ft_json_value *object, const char *key)
{
    bool set = false;
    ft_err_ignore(ft_json_get_bool(object, key, &set, NULL), "absent is false");
    return set;
}

void ft_cli_tell_failure(const struct ft_cli_where *where, ft_err err, const struct ft_diag *diag)
{
    ft_cli_diag(diag);
    if (err == FT_E_UNREACHABLE && !ft_cli_is_collector(where)) {
        ft_cli_error("is the agent running, and may you ask it?  systemctl status flowtraild; or "
                     "ask a collector: --server HOST:PORT");
    }
}
