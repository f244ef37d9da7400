/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail doctor, the way to the collector, step by step as the agent goes it. */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "auth/token.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/doctor.h"
#include "rpc/client.h"
#include "rpc/rpc.h"

#define CONNECT_TIMEOUT_MS 5000
#define OPEN_TIMEOUT_NS    (10 * FT_NS_PER_S)
/* The stream itself says that it took too long; this is for the case that it does not. */
#define OPEN_GRACE_NS FT_NS_PER_S
/* A refusal of the token comes at once, or not at all. */
#define REFUSAL_WAIT_NS (500 * FT_NS_PER_MS)

static bool check_url(const char *url, struct ft_rpc_target *ret_target,
                      struct ft_checkup *checkup);
static bool check_name(const struct ft_rpc_target *target, struct addrinfo **ret_found,
                       struct ft_checkup *checkup);
static bool check_tcp(const struct ft_rpc_target *target, const struct addrinfo *found,
                      struct ft_checkup *checkup);
static bool check_token(const char *path, struct ft_token *token, struct ft_checkup *checkup);
static void check_login(const struct ft_doctor_target *target, const struct ft_rpc_target *where,
                        struct ft_token *token, struct ft_checkup *checkup);

void ft_doctor_collector(const struct ft_doctor_target *target, struct ft_checkup *checkup)
{
    struct ft_rpc_target where;
    struct ft_token token = {0};
    struct addrinfo *found = NULL;
    if (target->url[0] == '\0') {
        struct ft_check *check =
            ft_checkup_add(checkup, "collector", FT_CHECK_UNSEEN,
                           "no collector is known: neither from the agent nor from --url");
        ft_check_set_fix(check, "# set collector.url in flowtraild.yaml, or: flowtrail doctor "
                                "--url https://HOST:4317");
    }
    bool token_ok = check_token(target->token_file, &token, checkup);
    if (target->url[0] != '\0' && check_url(target->url, &where, checkup) &&
        check_name(&where, &found, checkup) && check_tcp(&where, found, checkup)) {
        check_login(target, &where, token_ok ? &token : NULL, checkup);
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    ft_token_wipe(&token);
}

static bool check_url(const char *url, struct ft_rpc_target *ret_target, struct ft_checkup *checkup)
{
    struct ft_diag diag = {0};
    ft_err err = ft_rpc_target_parse(url, FT_RPC_PLAINTEXT_ANYWHERE, ret_target, &diag);
    if (err != FT_OK) {
        struct ft_check *check =
            ft_checkup_add(checkup, "url", FT_CHECK_FAIL, "%s",
                           diag.text[0] != '\0' ? diag.text : ft_err_text(err));
        ft_check_set_fix(check, "# collector.url is written https://HOST:PORT");
        return false;
    }
    if (!ret_target->tls && !ret_target->is_loopback) {
        struct ft_check *check = ft_checkup_add(
            checkup, "url", FT_CHECK_WARN,
            "%s: the token and all flows travel unencrypted, for everybody on the way to read",
            url);
        ft_check_set_fix(check, "# give the collector a certificate (ingest.cert_file), and write "
                                "https:// in collector.url");
    } else {
        ft_checkup_add(checkup, "url", FT_CHECK_OK, "%s", url);
    }
    return true;
}

static bool check_name(const struct ft_rpc_target *target, struct addrinfo **ret_found,
                       struct ft_checkup *checkup)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)target->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int64_t begin_ns = ft_clock_mono_ns(ft_clock_system());
    int failure = getaddrinfo(target->host, port, &hints, ret_found);
    int64_t took_ms = (ft_clock_mono_ns(ft_clock_system()) - begin_ns) / FT_NS_PER_MS;
    if (failure != 0) {
        *ret_found = NULL;
        struct ft_check *check = ft_checkup_add(checkup, "name resolution", FT_CHECK_FAIL, "%s: %s",
                                                target->host, gai_strerror(failure));
        ft_check_set_fix(check, "getent ahosts %s; resolvectl status", target->host);
        return false;
    }
    char text[NI_MAXHOST] = "";
    size_t n = 0;
    for (const struct addrinfo *at = *ret_found; at != NULL; at = at->ai_next) {
        n++;
    }
    (void)getnameinfo((*ret_found)->ai_addr, (*ret_found)->ai_addrlen, text, sizeof text, NULL, 0,
                      NI_NUMERICHOST);
    /* The agent waits ten seconds in all for an answer. */
    ft_checkup_add(checkup, "name resolution", took_ms > 2000 ? FT_CHECK_WARN : FT_CHECK_OK,
                   "%s is %s%s, found in %lld ms", target->host, text, n > 1 ? " and others" : "",
                   (long long)took_ms);
    return true;
}

static ft_err connect_one(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return ft_err_last();
    }
    ft_err err = FT_OK;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        err = ft_err_last();
    }
    if (err == ft_err_from_errno(EINPROGRESS)) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int failure = ETIMEDOUT;
        socklen_t size = sizeof failure;
        if (poll(&wait, 1, CONNECT_TIMEOUT_MS) == 1) {
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        }
        err = ft_err_from_errno(failure);
    }
    ft_fd_close(&fd);
    return err;
}

static bool check_tcp(const struct ft_rpc_target *target, const struct addrinfo *found,
                      struct ft_checkup *checkup)
{
    ft_err err = FT_E_UNREACHABLE;
    int64_t begin_ns = ft_clock_mono_ns(ft_clock_system());
    for (const struct addrinfo *at = found; at != NULL && err != FT_OK; at = at->ai_next) {
        err = connect_one(at);
    }
    int64_t took_ms = (ft_clock_mono_ns(ft_clock_system()) - begin_ns) / FT_NS_PER_MS;
    if (err == FT_OK) {
        ft_checkup_add(checkup, "tcp", FT_CHECK_OK, "%s port %u answers, in %lld ms", target->host,
                       (unsigned)target->port, (long long)took_ms);
        return true;
    }
    struct ft_check *check = ft_checkup_add(checkup, "tcp", FT_CHECK_FAIL, "%s port %u: %s",
                                            target->host, (unsigned)target->port, ft_err_text(err));
    if (err == ft_err_from_errno(ECONNREFUSED)) {
        ft_check_set_fix(check, "systemctl status flowtrail-collector   # on %s", target->host);
    } else {
        ft_check_set_fix(check, "ip route get %s; nft list ruleset   # a firewall in between?",
                         target->host);
    }
    return false;
}

static bool check_token(const char *path, struct ft_token *token, struct ft_checkup *checkup)
{
    static const char name[] = "token file";
    struct ft_diag diag = {0};
    if (path[0] == '\0') {
        struct ft_check *check = ft_checkup_add(checkup, name, FT_CHECK_UNSEEN,
                                                "none is known: neither from the agent nor from "
                                                "--token-file");
        ft_check_set_fix(check, "# set collector.token_file in flowtraild.yaml");
        return false;
    }
    ft_err err = ft_token_load(path, token, &diag);
    if (err == ft_err_from_errno(EACCES)) {
        struct ft_check *check =
            ft_checkup_add(checkup, name, FT_CHECK_UNSEEN, "%s: only its owner may read it", path);
        ft_check_set_fix(check, "sudo flowtrail doctor");
        return false;
    }
    if (err != FT_OK) {
        struct ft_check *check =
            ft_checkup_add(checkup, name, FT_CHECK_FAIL, "%s: %s", path,
                           diag.text[0] != '\0' ? diag.text : ft_err_text(err));
        ft_check_set_fix(check, "flowtrail token NAME --out %s   # the line goes to the collector",
                         path);
        return false;
    }
    if (token->exposed) {
        struct ft_check *check = ft_checkup_add(checkup, name, FT_CHECK_WARN,
                                                "%s can be read by others than its owner", path);
        ft_check_set_fix(check, "chmod 600 %s", path);
    } else {
        ft_checkup_add(checkup, name, FT_CHECK_OK, "%s", path);
    }
    return true;
}

static ft_err give_token(void *ctx, char *buf, size_t buf_size)
{
    const struct ft_token *token = ctx;
    if (token == NULL || token->len >= buf_size) {
        buf[0] = '\0';
        return token == NULL ? FT_OK : FT_E_RANGE;
    }
    memcpy(buf, token->text, token->len + 1);
    return FT_OK;
}

/* Opens the agent's stream and says nothing on it: FT_OK when it was let in. */
static ft_err open_stream(struct ft_stream *stream, int64_t timeout_ns, char *text,
                          size_t text_size)
{
    const struct ft_clock *clock = ft_clock_system();
    struct ft_stream_event event = {.kind = FT_STREAM_NONE};
    ft_err err = stream->ops->open(stream);
    if (err != FT_OK) {
        (void)snprintf(text, text_size, "%s", ft_err_text(err));
        return err;
    }
    int64_t deadline_ns = ft_clock_mono_ns(clock) + timeout_ns;
    bool open = false;
    while (ft_clock_mono_ns(clock) < deadline_ns && event.kind != FT_STREAM_CLOSED) {
        stream->ops->poll(stream, deadline_ns, &event);
        if (event.kind == FT_STREAM_OPENED) {
            open = true;
            deadline_ns = ft_clock_mono_ns(clock) + REFUSAL_WAIT_NS;
        }
    }
    if (event.kind == FT_STREAM_CLOSED) {
        (void)snprintf(text, text_size, "%s", event.text);
        return event.err != FT_OK ? event.err : FT_E_CLOSED;
    }
    stream->ops->cancel(stream);
    (void)snprintf(text, text_size, "no answer in time");
    return open ? FT_OK : ft_err_from_errno(ETIMEDOUT);
}

static ft_err try_stream(const struct ft_doctor_target *target, struct ft_token *token, char *text,
                         size_t text_size)
{
    int64_t timeout_ns = target->timeout_ns != 0 ? target->timeout_ns : OPEN_TIMEOUT_NS;
    struct ft_rpc_client_options options = {.url = target->url,
                                            .open_timeout_ns = timeout_ns,
                                            .plaintext = FT_RPC_PLAINTEXT_ANYWHERE,
                                            .ca_path =
                                                target->ca_file[0] != '\0' ? target->ca_file : NULL,
                                            .token = give_token,
                                            .ctx = token};
    struct ft_stream *stream = NULL;
    struct ft_diag diag = {0};
    ft_rpc_init(NULL);
    ft_err err = ft_rpc_client_create(&options, &stream, &diag);
    if (err == FT_OK) {
        err = open_stream(stream, timeout_ns + OPEN_GRACE_NS, text, text_size);
        stream->ops->destroy(stream);
    } else {
        (void)snprintf(text, text_size, "%.200s",
                       diag.text[0] != '\0' ? diag.text : ft_err_text(err));
    }
    ft_rpc_shutdown();
    return err;
}

static void judge_tls(const struct ft_rpc_target *where, ft_err err, const char *text,
                      struct ft_checkup *checkup)
{
    if (!where->tls) {
        return;
    }
    /* Who could refuse the token has a certificate that was accepted. */
    if (err == FT_OK || err == FT_E_AUTH) {
        ft_checkup_add(checkup, "tls", FT_CHECK_OK, "the collector's certificate is good");
        return;
    }
    struct ft_check *check = ft_checkup_add(
        checkup, "tls", err == FT_E_TLS ? FT_CHECK_FAIL : FT_CHECK_UNSEEN, "%s", text);
    ft_check_set_fix(check,
                     "openssl s_client -connect %s:%u -servername %s   # whose certificate? "
                     "then collector.ca_file",
                     where->host, (unsigned)where->port, where->host);
}

static void check_login(const struct ft_doctor_target *target, const struct ft_rpc_target *where,
                        struct ft_token *token, struct ft_checkup *checkup)
{
    char text[256] = "";
    ft_err err = try_stream(target, token, text, sizeof text);
    judge_tls(where, err, text, checkup);
    if (err == FT_OK) {
        ft_checkup_add(checkup, "login", FT_CHECK_OK, "the collector takes the token");
    } else if (err == FT_E_AUTH && token == NULL) {
        ft_checkup_add(checkup, "login", FT_CHECK_UNSEEN,
                       "the collector wants a token, and none could be read here");
    } else if (err == FT_E_AUTH) {
        struct ft_check *check = ft_checkup_add(checkup, "login", FT_CHECK_FAIL,
                                                "the collector does not know the token: %s", text);
        ft_check_set_fix(check, "# add the token's line to the collector's ingest.tokens_file: "
                                "flowtrail token NAME makes both");
    } else if (err == FT_E_TLS) {
        ft_checkup_add(checkup, "login", FT_CHECK_UNSEEN, "not without TLS");
    } else {
        struct ft_check *check =
            ft_checkup_add(checkup, "login", FT_CHECK_FAIL, "no stream could be opened: %s", text);
        ft_check_set_fix(check,
                         "# is it flowtrail-collector's ingest.listen that %s names, and does it "
                         "speak %s?",
                         target->url, where->tls ? "TLS" : "plaintext");
    }
}
