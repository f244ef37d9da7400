/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/server_tls.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "rpc/pem.h"

struct material {
    char *certificate;
    char *key;
    char *client_ca; /* NULL: none. */
};

struct ft_rpc_server_tls {
    /* Set at creation. */
    char *certificate_path;
    char *key_path;
    char *client_ca_path;
    grpc_ssl_client_certificate_request_type client_cert;

    struct ft_mutex lock;
    struct material material FT_GUARDED;
    bool is_new FT_GUARDED; /* gRPC has not fetched it yet. */

    atomic_uint_least64_t reloads;
    atomic_uint_least64_t failures;
};

static ft_err copy_options(struct ft_rpc_server_tls *tls,
                           const struct ft_rpc_server_options *options, struct ft_diag *diag);
static ft_err read_material(const struct ft_rpc_server_tls *tls, struct material *material,
                            struct ft_diag *diag);
static void free_material(struct material *material);
static bool is_usable(const struct ft_rpc_server_tls *tls, const struct material *material);
static grpc_ssl_server_certificate_config *to_config(const struct material *material);
static grpc_ssl_certificate_config_reload_status
on_fetch(void *ctx, grpc_ssl_server_certificate_config **ret_config);

ft_err ft_rpc_server_tls_create(const struct ft_rpc_server_options *options,
                                struct ft_rpc_server_tls **ret_tls, struct ft_diag *reterr_diag)
{
    struct ft_rpc_server_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&tls->lock);
    ft_err err = copy_options(tls, options, reterr_diag);
    if (err == FT_OK) {
        err = ft_rpc_server_tls_reload(tls, reterr_diag);
    }
    if (err != FT_OK) {
        ft_rpc_server_tls_destroy(tls);
        return err;
    }
    atomic_store(&tls->reloads, 0);
    *ret_tls = tls;
    return FT_OK;
}

void ft_rpc_server_tls_destroy(struct ft_rpc_server_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    ft_mutex_lock(&tls->lock);
    free_material(&tls->material);
    ft_mutex_unlock(&tls->lock);
    ft_mutex_deinit(&tls->lock);
    free(tls->certificate_path);
    free(tls->key_path);
    free(tls->client_ca_path);
    free(tls);
}

ft_err ft_rpc_server_tls_reload(struct ft_rpc_server_tls *tls, struct ft_diag *reterr_diag)
{
    struct material material = {NULL, NULL, NULL};
    ft_err err = read_material(tls, &material, reterr_diag);
    if (err == FT_OK && !is_usable(tls, &material)) {
        err = ft_diag_set(reterr_diag, FT_E_SYNTAX, tls->certificate_path, 0, 0,
                          "certificate, key and client CA do not fit together");
    }
    if (err != FT_OK) {
        free_material(&material);
        atomic_fetch_add(&tls->failures, 1);
        return err;
    }
    ft_mutex_lock(&tls->lock);
    struct material before = tls->material;
    tls->material = material;
    tls->is_new = true;
    ft_mutex_unlock(&tls->lock);
    free_material(&before);
    atomic_fetch_add(&tls->reloads, 1);
    return FT_OK;
}

void ft_rpc_server_tls_count(const struct ft_rpc_server_tls *tls, uint64_t *ret_reloads,
                             uint64_t *ret_failures)
{
    *ret_reloads = atomic_load(&tls->reloads);
    *ret_failures = atomic_load(&tls->failures);
}

grpc_server_credentials *ft_rpc_server_tls_credentials(struct ft_rpc_server_tls *tls)
{
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(tls->client_cert, on_fetch,
                                                                        tls));
}

static ft_err copy_options(struct ft_rpc_server_tls *tls,
                           const struct ft_rpc_server_options *options, struct ft_diag *diag)
{
    static const grpc_ssl_client_certificate_request_type types[] = {
        [FT_RPC_CLIENT_CERT_NONE] = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        [FT_RPC_CLIENT_CERT_OPTIONAL] = GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY,
        [FT_RPC_CLIENT_CERT_REQUIRED] = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
    };
    if (options->key_path == NULL || options->certificate_path == NULL) {
        return ft_diag_set(diag, FT_E_RANGE, "", 0, 0,
                           "a server certificate and its key come together");
    }
    if (options->client_cert != FT_RPC_CLIENT_CERT_NONE && options->client_ca_path == NULL) {
        return ft_diag_set(diag, FT_E_RANGE, "", 0, 0,
                           "client certificates need a CA that signs them");
    }
    tls->client_cert = types[options->client_cert];
    tls->certificate_path = strdup(options->certificate_path);
    tls->key_path = strdup(options->key_path);
    if (options->client_ca_path != NULL) {
        tls->client_ca_path = strdup(options->client_ca_path);
    }
    bool complete = tls->certificate_path != NULL && tls->key_path != NULL &&
                    (tls->client_ca_path != NULL || options->client_ca_path == NULL);
    return complete ? FT_OK : ft_err_from_errno(ENOMEM);
}

static ft_err read_material(const struct ft_rpc_server_tls *tls, struct material *material,
                            struct ft_diag *diag)
{
    FT_TRY(ft_rpc_pem_read(tls->certificate_path, &material->certificate, diag));
    FT_TRY(ft_rpc_pem_read(tls->key_path, &material->key, diag));
    if (tls->client_ca_path != NULL) {
        FT_TRY(ft_rpc_pem_read(tls->client_ca_path, &material->client_ca, diag));
    }
    return FT_OK;
}

static void free_material(struct material *material)
{
    ft_rpc_pem_free(material->certificate);
    ft_rpc_pem_free(material->key);
    ft_rpc_pem_free(material->client_ca);
    *material = (struct material){NULL, NULL, NULL};
}

/*
 * gRPC has no call that checks a certificate.  Adding a port does it first: a server that never
 * starts, on an abstract socket that nobody knows, tells.
 */
static bool is_usable(const struct ft_rpc_server_tls *tls, const struct material *material)
{
    static atomic_uint n_tries;
    char address[64];
    (void)snprintf(address, sizeof address, "unix-abstract:flowtrail-tls-%ld-%u", (long)getpid(),
                   atomic_fetch_add(&n_tries, 1));
    grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config(tls->client_cert,
                                                                to_config(material)));
    grpc_server *server = grpc_server_create(NULL, NULL);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    bool usable = grpc_server_add_http2_port(server, address, credentials) != 0;
    grpc_server_credentials_release(credentials);
    grpc_server_shutdown_and_notify(server, queue, NULL);
    grpc_completion_queue_shutdown(queue);
    while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_server_destroy(server);
    grpc_completion_queue_destroy(queue);
    return usable;
}

/*
 * Contrary to its header, gRPC 1.51 aborts when a fetched configuration has no client CA.  Where
 * no client certificate is asked for, the server's own stands in for it: nothing is verified by it.
 */
static grpc_ssl_server_certificate_config *to_config(const struct material *material)
{
    grpc_ssl_pem_key_cert_pair pair = {material->key, material->certificate};
    const char *client_ca =
        material->client_ca != NULL ? material->client_ca : material->certificate;
    return grpc_ssl_server_certificate_config_create(client_ca, &pair, 1);
}

/* gRPC asks at every new connection. */
static grpc_ssl_certificate_config_reload_status
on_fetch(void *ctx, grpc_ssl_server_certificate_config **ret_config)
{
    struct ft_rpc_server_tls *tls = ctx;
    ft_mutex_lock(&tls->lock);
    bool is_new = tls->is_new;
    if (is_new) {
        *ret_config = to_config(&tls->material);
        tls->is_new = false;
    }
    ft_mutex_unlock(&tls->lock);
    return is_new ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                  : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}
