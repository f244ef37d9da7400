/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/channel.h"

#include <grpc/compression.h>
#include <grpc/grpc_security.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/args.h"
#include "rpc/pem.h"

#define OPEN_TIMEOUT_NS           (10 * FT_NS_PER_S)
#define KEEPALIVE_INTERVAL_NS     (30 * FT_NS_PER_S)
#define KEEPALIVE_TIMEOUT_NS      (20 * FT_NS_PER_S)
#define MESSAGE_SEND_BYTES_MAX    ((size_t)4 * 1024 * 1024)
#define MESSAGE_RECEIVE_BYTES_MAX ((size_t)1024 * 1024)
#define METADATA_BYTES_MAX        ((size_t)16 * 1024)

/* "dns:///" and a host with brackets and port. */
#define ADDRESS_SIZE (FT_RPC_HOST_SIZE + 32)

struct peer_check {
    bool (*verify_peer)(void *ctx, const char *server_name, const char *certificate_pem);
    void *ctx;
};

static ft_err copy_string(const char *from, const char *fallback, char **to);
static ft_err copy_strings(struct ft_rpc_channel_config *config,
                           const struct ft_rpc_client_options *options);
static ft_err create_credentials(const struct ft_rpc_channel_config *config,
                                 grpc_channel_credentials **ret_credentials, struct ft_diag *diag);
static int on_verify_peer(const char *server_name, const char *certificate_pem, void *ctx);
static void format_address(const struct ft_rpc_target *target, char *buf, size_t size);
static int64_t or_default(int64_t value, int64_t fallback);

ft_err ft_rpc_channel_config_init(struct ft_rpc_channel_config *config,
                                  const struct ft_rpc_client_options *options,
                                  struct ft_diag *reterr_diag)
{
    *config = (struct ft_rpc_channel_config){
        .token = options->token,
        .verify_peer = options->verify_peer,
        .ctx = options->ctx,
        .open_timeout_ns = or_default(options->open_timeout_ns, OPEN_TIMEOUT_NS),
        .keepalive_interval_ns = or_default(options->keepalive_interval_ns, KEEPALIVE_INTERVAL_NS),
        .keepalive_timeout_ns = or_default(options->keepalive_timeout_ns, KEEPALIVE_TIMEOUT_NS),
        .message_send_bytes_max = options->message_send_bytes_max != 0
                                      ? options->message_send_bytes_max
                                      : MESSAGE_SEND_BYTES_MAX,
        .message_receive_bytes_max = options->message_receive_bytes_max != 0
                                         ? options->message_receive_bytes_max
                                         : MESSAGE_RECEIVE_BYTES_MAX,
        .metadata_bytes_max =
            options->metadata_bytes_max != 0 ? options->metadata_bytes_max : METADATA_BYTES_MAX,
        .use_http_proxy = options->use_http_proxy,
    };
    if (config->message_send_bytes_max > INT_MAX || config->message_receive_bytes_max > INT_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0, "a message limit is above 2 GiB");
    }
    FT_TRY(ft_rpc_target_parse(options->url, options->plaintext, &config->target, reterr_diag));
    if ((options->certificate_path == NULL) != (options->key_path == NULL)) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "a client certificate and its key come together");
    }
    FT_TRY(copy_strings(config, options));
    grpc_channel_credentials *credentials = NULL;
    FT_TRY(create_credentials(config, &credentials, reterr_diag));
    grpc_channel_credentials_release(credentials);
    return FT_OK;
}

void ft_rpc_channel_config_deinit(struct ft_rpc_channel_config *config)
{
    free(config->method);
    free(config->ca_path);
    free(config->certificate_path);
    free(config->key_path);
    free(config->server_name);
    free(config->user_agent);
}

ft_err ft_rpc_channel_create(const struct ft_rpc_channel_config *config, grpc_channel **ret_channel)
{
    grpc_channel_credentials *credentials = NULL;
    FT_TRY(create_credentials(config, &credentials, NULL));
    char address[ADDRESS_SIZE];
    format_address(&config->target, address, sizeof address);
    struct ft_rpc_args args = {.n = 0};
    ft_rpc_args_int(&args, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, (int)config->message_send_bytes_max);
    ft_rpc_args_int(&args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                    (int)config->message_receive_bytes_max);
    ft_rpc_args_int(&args, GRPC_ARG_MAX_METADATA_SIZE, (int)config->metadata_bytes_max);
    ft_rpc_args_ms(&args, GRPC_ARG_KEEPALIVE_TIME_MS, config->keepalive_interval_ns);
    ft_rpc_args_ms(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, config->keepalive_timeout_ns);
    /* Else gRPC stops its keepalive after two pings on a stream without traffic. */
    ft_rpc_args_int(&args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    ft_rpc_args_ms(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, config->open_timeout_ns);
    /* A shared connection would bring another channel's back-off along. */
    ft_rpc_args_int(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    ft_rpc_args_int(&args, GRPC_ARG_ENABLE_RETRIES, 0);
    ft_rpc_args_int(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    ft_rpc_args_int(&args, GRPC_ARG_ENABLE_HTTP_PROXY, config->use_http_proxy ? 1 : 0);
    ft_rpc_args_common(&args);
    ft_rpc_args_str(&args, GRPC_ARG_PRIMARY_USER_AGENT_STRING, config->user_agent);
    if (config->server_name != NULL) {
        ft_rpc_args_str(&args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, config->server_name);
    }
    grpc_channel_args channel_args = {.num_args = args.n, .args = args.args};
    *ret_channel = grpc_channel_create(address, credentials, &channel_args);
    grpc_channel_credentials_release(credentials);
    return FT_OK;
}

static ft_err copy_string(const char *from, const char *fallback, char **to)
{
    const char *text = from != NULL ? from : fallback;
    if (text == NULL) {
        return FT_OK;
    }
    *to = strdup(text);
    return *to != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
}

static ft_err copy_strings(struct ft_rpc_channel_config *config,
                           const struct ft_rpc_client_options *options)
{
    FT_TRY(copy_string(options->method, FT_RPC_EXPORT_METHOD, &config->method));
    FT_TRY(copy_string(options->ca_path, NULL, &config->ca_path));
    FT_TRY(copy_string(options->certificate_path, NULL, &config->certificate_path));
    FT_TRY(copy_string(options->key_path, NULL, &config->key_path));
    FT_TRY(copy_string(options->server_name, NULL, &config->server_name));
    return copy_string(options->user_agent, "flowtrail/" FT_VERSION, &config->user_agent);
}

static ft_err create_credentials(const struct ft_rpc_channel_config *config,
                                 grpc_channel_credentials **ret_credentials, struct ft_diag *diag)
{
    if (!config->target.tls) {
        *ret_credentials = grpc_insecure_credentials_create();
        return FT_OK;
    }
    char *ca = NULL;
    grpc_ssl_pem_key_cert_pair pair = {NULL, NULL};
    char *key = NULL;
    char *certificate = NULL;
    ft_err err = config->ca_path != NULL ? ft_rpc_pem_read(config->ca_path, &ca, diag) : FT_OK;
    if (err == FT_OK && config->key_path != NULL) {
        err = ft_rpc_pem_read(config->key_path, &key, diag);
    }
    if (err == FT_OK && config->certificate_path != NULL) {
        err = ft_rpc_pem_read(config->certificate_path, &certificate, diag);
    }
    struct peer_check *check = NULL;
    if (err == FT_OK && config->verify_peer != NULL) {
        check = malloc(sizeof *check);
        err = check != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    }
    if (err == FT_OK) {
        grpc_ssl_verify_peer_options verify = {.verify_peer_callback = NULL};
        if (check != NULL) {
            check->verify_peer = config->verify_peer;
            check->ctx = config->ctx;
            verify.verify_peer_callback = on_verify_peer;
            verify.verify_peer_callback_userdata = check;
            verify.verify_peer_destruct = free;
        }
        pair.private_key = key;
        pair.cert_chain = certificate;
        *ret_credentials = grpc_ssl_credentials_create_ex(ca, key != NULL ? &pair : NULL,
                                                          check != NULL ? &verify : NULL, NULL);
    }
    ft_rpc_pem_free(ca);
    ft_rpc_pem_free(key);
    ft_rpc_pem_free(certificate);
    return err;
}

static int on_verify_peer(const char *server_name, const char *certificate_pem, void *ctx)
{
    const struct peer_check *check = ctx;
    return check->verify_peer(check->ctx, server_name, certificate_pem) ? 0 : 1;
}

static void format_address(const struct ft_rpc_target *target, char *buf, size_t size)
{
    (void)snprintf(buf, size, target->is_ipv6 ? "ipv6:%%5B%s%%5D:%u" : "dns:///%s:%u", target->host,
                   (unsigned)target->port);
}

static int64_t or_default(int64_t value, int64_t fallback) { return value != 0 ? value : fallback; }
