/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/unary.h"

static enum ft_rpc_status on_open(void *ctx, struct ft_rpc_session *session,
                                  const struct ft_rpc_request *request, char *reterr_text);
static bool on_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data, size_t size);
static void on_end(void *ctx, struct ft_rpc_session *session);
static void on_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end);

const struct ft_rpc_handler ft_rpc_unary_handler = {
    .on_open = on_open,
    .on_message = on_message,
    .on_end = on_end,
    .on_closed = on_closed,
};

static enum ft_rpc_status on_open(void *ctx, struct ft_rpc_session *session,
                                  const struct ft_rpc_request *request, char *reterr_text)
{
    (void)session;
    const struct ft_rpc_unary *unary = ctx;
    return unary->admit != NULL ? unary->admit(unary->ctx, request, reterr_text) : FT_RPC_OK;
}

static bool on_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data, size_t size)
{
    const struct ft_rpc_unary *unary = ctx;
    char text[FT_RPC_TEXT_SIZE] = "";
    struct ft_buf reply;
    ft_buf_init(&reply, 0);
    enum ft_rpc_status status = unary->call(unary->ctx, data, size, &reply, text);
    if (status == FT_RPC_OK &&
        (reply.err != FT_OK || ft_rpc_session_send(session, reply.data, reply.size) != FT_OK)) {
        status = FT_RPC_INTERNAL;
    }
    ft_buf_deinit(&reply);
    ft_rpc_session_close(session, status, text);
    return false;
}

static void on_end(void *ctx, struct ft_rpc_session *session)
{
    (void)ctx;
    ft_rpc_session_close(session, FT_RPC_INVALID_ARGUMENT, "the request has no message");
}

static void on_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    (void)ctx;
    (void)session;
    (void)end;
}
