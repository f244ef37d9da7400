/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How ingest keeps what agents send within bounds: who is let in and with which window
 * (admission.h), who is told to slow down or to go away, and who waits until it has paid for what
 * it sent (commit_queue.h).  Private to ingest.
 *
 * Nothing is lost by any of it: an agent keeps an event until it is acknowledged.
 */
#ifndef FT_COLLECTOR_FLOW_CONTROL_H
#define FT_COLLECTOR_FLOW_CONTROL_H 1

#include "collector/ingest_impl.h"

/* False: it was sent away.  '*ret_window' is what Welcome grants.  The session's thread. */
bool ft_flow_admit(struct ft_ingest_session *session, const struct ft_msg_hello *hello,
                   uint64_t *ret_window);
/* Gives back what it had from the budget.  Thread: any. */
void ft_flow_leave(struct ft_ingest_session *session);
/* It is gone: its place is another's.  The session's thread. */
void ft_flow_forget(struct ft_ingest_session *session);

/* GoAway and the end of the session.  Thread: any. */
void ft_flow_send_away(struct ft_ingest_session *session, uint32_t retry_after_ms,
                       const char *reason);

/* After each batch: a fuller queue makes windows smaller, an emptier one gives them back.  The
 * session's thread. */
void ft_flow_mind_queue(struct ft_ingest_session *session);

/* A batch up to 'last_seq' is in the log.  The commit thread. */
void ft_flow_on_progress(struct ft_ingest_session *session, uint64_t last_seq);

/*
 * The session reads on at that time.  Takes no reference over.  The commit thread.
 */
void ft_flow_hold(struct ft_ingest_session *session, int64_t until_mono_ns);
/* Lets those read on whose time has come, and takes places back from those who do not use them.
 * Returns when it wants to be called next; FT_TIME_NEVER for never.  The commit thread. */
int64_t ft_flow_run(struct ft_ingest *ingest);
/* Forgets all that are held. */
void ft_flow_deinit(struct ft_ingest *ingest);

#endif
