/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 10000L
#define SILENCE_TIMEOUT_S  60L
#define ERROR_BODY_MAX     4096

struct ft_http_client {
    CURL *curl;
    char *base;        /* "http://HOST:PORT" without a slash at the end */
    char *unix_socket; /* NULL: TCP */
    _Atomic bool cancelled;
};

struct transfer {
    struct ft_http_client *client;
    ft_http_data_fn *fn;
    void *ctx;
    ft_err err; /* What 'fn' said. */
    struct ft_buf error_body;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx);
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d);
static ft_err judge(struct transfer *transfer, CURLcode code, const char *path,
                    struct ft_diag *reterr_diag);
static void tell_status(long status, struct ft_buf *body, const char *path,
                        struct ft_diag *reterr_diag);

ft_err ft_http_client_create(const char *where, struct ft_http_client **ret_client,
                             struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_http_client_destroy) struct ft_http_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    int size;
    if (strncmp(where, "unix:/", 6) == 0) {
        client->unix_socket = strdup(where + 5);
        client->base = strdup("http://localhost");
        size = client->unix_socket != NULL && client->base != NULL ? 0 : -1;
    } else if (strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0) {
        size = asprintf(&client->base, "%s", where);
    } else if (strchr(where, ':') != NULL && strchr(where, '/') == NULL) {
        size = asprintf(&client->base, "http://%s", where);
    } else {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0,
                           "\"%s\" is no address: write unix:/PATH, http://HOST:PORT or HOST:PORT",
                           where);
    }
    if (size < 0) {
        return ft_err_from_errno(ENOMEM);
    }
    size_t len = strlen(client->base);
    while (len > 0 && client->base[len - 1] == '/') {
        client->base[--len] = '\0';
    }
    client->curl = curl_easy_init();
    if (client->curl == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_client = FT_TAKE(client);
    return FT_OK;
}

void ft_http_client_destroy(struct ft_http_client *client)
{
    if (client != NULL) {
        if (client->curl != NULL) {
            curl_easy_cleanup(client->curl);
        }
        free(client->base);
        free(client->unix_socket);
        free(client);
    }
}

ft_err ft_http_client_set_ca(struct ft_http_client *client, const char *ca_file)
{
    return curl_easy_setopt(client->curl, CURLOPT_CAINFO, ca_file) == CURLE_OK
               ? FT_OK
               : ft_err_from_errno(ENOMEM);
}

ft_err ft_http_get(struct ft_http_client *client, const char *path, long timeout_ms,
                   ft_http_data_fn *fn, void *ctx, struct ft_diag *reterr_diag)
{
    char *url = NULL;
    if (asprintf(&url, "%s%s", client->base, path) < 0) {
        return ft_err_from_errno(ENOMEM);
    }
    struct transfer transfer = {.client = client, .fn = fn, .ctx = ctx};
    ft_buf_init(&transfer.error_body, ERROR_BODY_MAX);
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "flowtrail/" FT_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    if (client->unix_socket != NULL) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    }
    CURLcode code = curl_easy_perform(curl);
    ft_err err = judge(&transfer, code, path, reterr_diag);
    ft_buf_deinit(&transfer.error_body);
    free(url);
    return err;
}

static ft_err collect(void *ctx, const char *data, size_t size)
{
    struct ft_buf *buf = ctx;
    ft_buf_add(buf, data, size);
    return buf->err;
}

ft_err ft_http_get_all(struct ft_http_client *client, const char *path, long timeout_ms,
                       struct ft_buf *buf, struct ft_diag *reterr_diag)
{
    return ft_http_get(client, path, timeout_ms, collect, buf, reterr_diag);
}

void ft_http_client_cancel(struct ft_http_client *client) { client->cancelled = true; }

void ft_http_add_escaped(struct ft_buf *buf, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (isalnum(*c) || strchr("-._~:/*", *c) != NULL) {
            ft_buf_add_char(buf, (char)*c);
        } else {
            ft_buf_addf(buf, "%%%02X", *c);
        }
    }
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *transfer = ctx;
    long status = 0;
    curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        ft_buf_add(&transfer->error_body, data, size * n);
        return size * n;
    }
    transfer->err = transfer->fn(transfer->ctx, data, size * n);
    return transfer->err == FT_OK ? size * n : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    struct ft_http_client *client = ctx;
    return client->cancelled ? 1 : 0;
}

static ft_err judge(struct transfer *transfer, CURLcode code, const char *path,
                    struct ft_diag *reterr_diag)
{
    struct ft_http_client *client = transfer->client;
    if (client->cancelled) {
        return ft_diag_set(reterr_diag, FT_E_CANCELLED, NULL, 0, 0, "interrupted");
    }
    if (transfer->err != FT_OK) {
        return ft_diag_set(reterr_diag, transfer->err, NULL, 0, 0, "%s",
                           ft_err_text(transfer->err));
    }
    const char *where = client->unix_socket != NULL ? client->unix_socket : client->base;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ETIMEDOUT), NULL, 0, 0,
                           "%s did not answer in time", where);
    }
    if (code != CURLE_OK) {
        return ft_diag_set(reterr_diag, FT_E_UNREACHABLE, NULL, 0, 0, "cannot reach %s: %s", where,
                           curl_easy_strerror(code));
    }
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        return FT_OK;
    }
    tell_status(status, &transfer->error_body, path, reterr_diag);
    if (status == 404) {
        return FT_E_NOT_FOUND;
    }
    return status >= 500 ? FT_E_STORE : FT_E_SYNTAX;
}

/* The server's words, on one line. */
static void tell_status(long status, struct ft_buf *body, const char *path,
                        struct ft_diag *reterr_diag)
{
    char text[FT_DIAG_TEXT_SIZE / 2];
    (void)snprintf(text, sizeof text, "%s", ft_buf_str(body));
    for (char *c = text; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c)) {
            *c = ' ';
        }
    }
    (void)ft_diag_set(reterr_diag, FT_E_STORE, NULL, 0, 0, "%s answered %ld: %s", path, status,
                      text);
}
