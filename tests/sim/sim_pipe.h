/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a connection: messages in order, each with the time at which it arrives.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_PIPE_H
#define FT_TESTS_SIM_PIPE_H 1

#include "sim_net.h"
#include "wire/message.h"

/* NULL: it vanishes, because the pipe is cut or nobody is there. */
struct sim_message *sim_pipe_put(struct sim_conn *conn, struct sim_pipe *pipe,
                                 enum sim_message_kind kind, const void *data, size_t size);
/* Not before 'at_ns', nor before what is in the pipe. */
struct sim_message *sim_pipe_append(struct sim_conn *conn, struct sim_pipe *pipe,
                                    enum sim_message_kind kind, size_t size, int64_t at_ns);
/* The first one, which there is; the caller's to free. */
struct sim_message *sim_pipe_take(struct sim_pipe *pipe);
void sim_pipe_empty(struct sim_pipe *pipe);
/* To the agent, as if the collector had said it. */
void sim_pipe_put_response(struct sim_conn *conn, const struct ft_response *response);
/* The agent is told that the connection is over. */
void sim_pipe_send_close(struct sim_conn *conn, ft_err err, const char *text);
/* An end that hears nothing any more finds that out. */
void sim_pipe_notice_later(struct sim_conn *conn, struct sim_pipe *pipe);
/* What is on its way arrives up to some message, the rest never. */
void sim_pipe_lose_flying(struct sim_conn *conn, struct sim_pipe *pipe);

/* A connection that neither end has any more is another's place. */
void sim_net_free_if_unused(struct sim_conn *conn);

#endif
