/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/rpc.h"

#include <assert.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A suite that needs a pre-shared key, which neither side has: TLS 1.2 then finds no common one. */
#define NO_TLS12_SUITES "PSK-AES128-GCM-SHA256"

struct status_meaning {
    const char *name;
    ft_err err;
};

/* INTERNAL, ABORTED and their like say nothing that a client could act on but "come again". */
static const struct status_meaning meanings[] = {
    [FT_RPC_OK] = {"OK", FT_E_CLOSED},
    [FT_RPC_CANCELLED] = {"CANCELLED", FT_E_CLOSED},
    [FT_RPC_UNKNOWN] = {"UNKNOWN", FT_E_CLOSED},
    [FT_RPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", FT_E_PROTOCOL},
    [FT_RPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", FT_E_UNREACHABLE},
    [FT_RPC_NOT_FOUND] = {"NOT_FOUND", FT_E_NOT_FOUND},
    [FT_RPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", FT_E_CLOSED},
    [FT_RPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", FT_E_AUTH},
    [FT_RPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", FT_E_FULL},
    [FT_RPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", FT_E_PROTOCOL},
    [FT_RPC_ABORTED] = {"ABORTED", FT_E_CLOSED},
    [FT_RPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", FT_E_PROTOCOL},
    [FT_RPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", FT_E_UNSUPPORTED},
    [FT_RPC_INTERNAL] = {"INTERNAL", FT_E_CLOSED},
    [FT_RPC_UNAVAILABLE] = {"UNAVAILABLE", FT_E_UNREACHABLE},
    [FT_RPC_DATA_LOSS] = {"DATA_LOSS", FT_E_CLOSED},
    [FT_RPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", FT_E_AUTH},
};
#define STATUS_N (sizeof meanings / sizeof meanings[0])

/* The words by which gRPC 1.51 reports a failed handshake or certificate check. */
static const char *const tls_words[] = {
    "SSL_ERROR",
    "Ssl handshake",
    "SSL routines",
    "certificate verify",
    "Peer name",
    "ALPN",
    "TSI_",
    "Handshake failed",
    "handshake failed",
    "Cannot check peer",
    "Verify peer callback",
};

static_assert((int)FT_RPC_UNAUTHENTICATED == (int)GRPC_STATUS_UNAUTHENTICATED, "same numbers");
static_assert((int)FT_RPC_RESOURCE_EXHAUSTED == (int)GRPC_STATUS_RESOURCE_EXHAUSTED, "same");

static void log_line(gpr_log_func_args *args);

void ft_rpc_init(const struct ft_rpc_init_options *options)
{
    if (!grpc_is_initialized()) {
        if (options == NULL || !options->allow_tls12) {
            (void)setenv("GRPC_SSL_CIPHER_SUITES", NO_TLS12_SUITES, 1);
        }
        gpr_set_log_function(log_line);
        gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    }
    grpc_init();
}

void ft_rpc_shutdown(void) { grpc_shutdown_blocking(); }

const char *ft_rpc_status_name(int status)
{
    return status >= 0 && (size_t)status < STATUS_N ? meanings[status].name : "UNKNOWN";
}

ft_err ft_rpc_status_to_err(int status, const char *text)
{
    if (status < 0 || (size_t)status >= STATUS_N) {
        return FT_E_CLOSED;
    }
    if (status == FT_RPC_UNAVAILABLE && text != NULL) {
        for (size_t i = 0; i < sizeof tls_words / sizeof tls_words[0]; i++) {
            if (strstr(text, tls_words[i]) != NULL) {
                return FT_E_TLS;
            }
        }
    }
    return meanings[status].err;
}

void ft_rpc_text_escape(const void *text, size_t text_size, char *buf, size_t buf_size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = text;
    size_t n = 0;
    for (size_t i = 0; i < text_size; i++) {
        bool plain = bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\';
        if (n + (plain ? 1 : 4) >= buf_size) {
            break;
        }
        if (plain) {
            buf[n++] = (char)bytes[i];
        } else {
            buf[n++] = '\\';
            buf[n++] = 'x';
            buf[n++] = digits[bytes[i] >> 4];
            buf[n++] = digits[bytes[i] & 15];
        }
    }
    buf[n] = '\0';
}

/*
 * What went wrong comes back as a status; gRPC's own lines only help to find out why.  Except the
 * last one before it aborts the process, which nothing can return.
 */
static void log_line(gpr_log_func_args *args)
{
    bool fatal = strncmp(args->message, "assertion failed", 16) == 0;
    ft_log(fatal ? FT_LOG_ERROR : FT_LOG_DEBUG, "rpc", "gRPC: %s:%d: %s", args->file, args->line,
           args->message);
}
