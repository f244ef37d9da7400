/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "json/reader.h"

#define CONNECT_TIMEOUT_MS 10000L
#define SILENCE_TIMEOUT_S  60L
#define ERROR_BODY_MAX     8192
#define WHERE_LEN_MAX      512

struct ft_http_client {
    CURL *curl;
    char *base;        /* "http://HOST:PORT" without a slash at the end */
    char *unix_socket; /* NULL: TCP */
    ft_http_tick_fn *tick;
    void *tick_ctx;
    _Atomic bool cancelled;
    char words[CURL_ERROR_SIZE]; /* libcurl's, of the last request. */
};

struct transfer {
    struct ft_http_client *client;
    ft_http_data_fn *fn;
    void *ctx;
    ft_err err; /* What 'fn' said. */
    struct ft_buf error_body;
};

static ft_err take_where(struct ft_http_client *client, const char *where, struct ft_diag *diag);
static void set_options(struct ft_http_client *client, const char *url, long timeout_ms,
                        struct transfer *transfer);
static size_t on_body(char *data, size_t size, size_t n, void *ctx);
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d);
static ft_err judge(struct transfer *transfer, CURLcode code, struct ft_diag *reterr_diag);
static ft_err judge_failure(struct ft_http_client *client, CURLcode code,
                            struct ft_diag *reterr_diag);
static ft_err judge_status(struct ft_http_client *client, long status, struct ft_buf *body,
                           struct ft_diag *reterr_diag);

ft_err ft_http_client_create(const char *where, struct ft_http_client **ret_client,
                             struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_http_client_destroy) struct ft_http_client *client = calloc(1, sizeof *client);
    ft_err err = client != NULL ? take_where(client, where, reterr_diag) : ft_err_last();
    if (err == FT_OK) {
        client->curl = curl_easy_init();
        err = client->curl != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    }
    if (err == ft_err_from_errno(ENOMEM)) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s", ft_err_text(err));
    }
    if (err == FT_OK) {
        *ret_client = FT_TAKE(client);
    }
    return err;
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

void ft_http_client_set_tick(struct ft_http_client *client, ft_http_tick_fn *tick, void *ctx)
{
    client->tick = tick;
    client->tick_ctx = ctx;
}

ft_err ft_http_get(struct ft_http_client *client, const char *path, long timeout_ms,
                   ft_http_data_fn *fn, void *ctx, struct ft_diag *reterr_diag)
{
    char *url = NULL;
    if (asprintf(&url, "%s%s", client->base, path) < 0) {
        ft_err err = ft_err_from_errno(ENOMEM);
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s", ft_err_text(err));
    }
    struct transfer transfer = {.client = client, .fn = fn, .ctx = ctx};
    ft_buf_init(&transfer.error_body, ERROR_BODY_MAX);
    set_options(client, url, timeout_ms, &transfer);
    CURLcode code = curl_easy_perform(client->curl);
    ft_err err = judge(&transfer, code, reterr_diag);
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

/* An address and nothing else: spaces or control bytes would change the request. */
static bool is_plain(const char *where)
{
    for (const unsigned char *c = (const unsigned char *)where; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f) {
            return false;
        }
    }
    return strlen(where) <= WHERE_LEN_MAX;
}

/* "HOST:PORT" */
static bool is_pair(const char *where)
{
    const char *port = strrchr(where, ':');
    return port != NULL && port > where && port[1] != '\0' && strchr(where, '/') == NULL &&
           strspn(port + 1, "0123456789") == strlen(port + 1);
}

static ft_err take_unix(struct ft_http_client *client, const char *path, struct ft_diag *diag)
{
    if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        return ft_diag_set(diag, FT_E_SYNTAX, NULL, 0, 0,
                           "the path of the socket is longer than %zu bytes: %s",
                           sizeof((struct sockaddr_un *)NULL)->sun_path - 1, path);
    }
    client->unix_socket = strdup(path);
    client->base = strdup("http://localhost");
    return client->unix_socket != NULL && client->base != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
}

static ft_err take_where(struct ft_http_client *client, const char *where, struct ft_diag *diag)
{
    if (strncmp(where, "unix:/", 6) == 0) {
        return take_unix(client, where + 5, diag);
    }
    bool is_url = strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0;
    if ((!is_url && !is_pair(where)) || !is_plain(where)) {
        return ft_diag_set(diag, FT_E_SYNTAX, NULL, 0, 0,
                           "\"%s\" is no address: write HOST:PORT, https://HOST:PORT or unix:/PATH",
                           where);
    }
    if (asprintf(&client->base, "%s%s", is_url ? "" : "http://", where) < 0) {
        client->base = NULL;
        return ft_err_from_errno(ENOMEM);
    }
    size_t len = strlen(client->base);
    while (len > 0 && client->base[len - 1] == '/') {
        client->base[--len] = '\0';
    }
    return FT_OK;
}

static void set_options(struct ft_http_client *client, const char *url, long timeout_ms,
                        struct transfer *transfer)
{
    CURL *curl = client->curl;
    client->words[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    /* An empty string overrides http_proxy and the like. */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "flowtrail/" FT_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->words);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    if (client->unix_socket != NULL) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
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
    if (!client->cancelled && client->tick != NULL && !client->tick(client->tick_ctx)) {
        client->cancelled = true;
    }
    return client->cancelled ? 1 : 0;
}

static ft_err judge(struct transfer *transfer, CURLcode code, struct ft_diag *reterr_diag)
{
    struct ft_http_client *client = transfer->client;
    if (client->cancelled) {
        return ft_diag_set(reterr_diag, FT_E_CANCELLED, NULL, 0, 0, "interrupted");
    }
    if (transfer->err != FT_OK) {
        if (reterr_diag != NULL && reterr_diag->text[0] != '\0') {
            return transfer->err; /* 'fn' has said it better. */
        }
        return ft_diag_set(reterr_diag, transfer->err, NULL, 0, 0, "%s",
                           ft_err_text(transfer->err));
    }
    if (code != CURLE_OK) {
        return judge_failure(client, code, reterr_diag);
    }
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 ? FT_OK : judge_status(client, status, &transfer->error_body, reterr_diag);
}

static const char *where_of(const struct ft_http_client *client)
{
    return client->unix_socket != NULL ? client->unix_socket : client->base;
}

static ft_err judge_failure(struct ft_http_client *client, CURLcode code,
                            struct ft_diag *reterr_diag)
{
    const char *where = where_of(client);
    const char *words = client->words[0] != '\0' ? client->words : curl_easy_strerror(code);
    long errnum = 0;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ft_diag_set(reterr_diag, ft_err_from_errno(ETIMEDOUT), NULL, 0, 0,
                           "%s did not answer in time", where);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
        return ft_diag_set(reterr_diag, FT_E_CLOSED, NULL, 0, 0, "%s broke off its answer", where);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ft_diag_set(reterr_diag, FT_E_TLS, NULL, 0, 0, "%s: %s", where, words);
    case CURLE_COULDNT_CONNECT:
        /* The system's own reason is shorter, and for a socket the only right one. */
        curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &errnum);
        if (errnum != 0) {
            words = ft_err_text(ft_err_from_errno((int)errnum));
        }
        return ft_diag_set(reterr_diag, FT_E_UNREACHABLE, NULL, 0, 0, "cannot reach %s: %s", where,
                           words);
    default:
        return ft_diag_set(reterr_diag, FT_E_UNREACHABLE, NULL, 0, 0, "cannot reach %s: %s", where,
                           words);
    }
}

/* The server's words: the message of its error object, or the text of the page. */
static void find_words(struct ft_buf *body, char *words, size_t size)
{
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    const char *message = ft_buf_str(body);
    if (ft_json_parse(message, body->size, "", &doc, NULL) == FT_OK) {
        const struct ft_json_value *error = ft_json_get(ft_json_doc_get_root(doc), "error");
        ft_err_ignore(ft_json_get_str(error, "message", &message, NULL), "then the text it is");
    }
    (void)snprintf(words, size, "%s", message);
    for (char *c = words; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c)) {
            *c = ' ';
        }
    }
}

static ft_err judge_status(struct ft_http_client *client, long status, struct ft_buf *body,
                           struct ft_diag *reterr_diag)
{
    char words[FT_DIAG_TEXT_SIZE - 64];
    find_words(body, words, sizeof words);
    ft_err err = status == 404 ? FT_E_NOT_FOUND : status >= 500 ? FT_E_STORE : FT_E_SYNTAX;
    if (words[0] == '\0') {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s answered with status %ld",
                           where_of(client), status);
    }
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s", words);
}
