/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds the event socket and the working memory (source/memory.h) while the agent is dead: the
 * service manager, if one started us (its descriptor store), else a process of our own that does
 * nothing else, the keeper.
 *
 * The keeper listens on the Unix socket "<control socket>.keep" (mode 0600) and gives what it has
 * to a process of its own user that connects.  It ends with a clean stop of the agent, or when no
 * agent has come for FT_HOLD_NS after the last one died: what the kernel keeps for a socket that
 * nobody reads takes room in its table.  For the same reason it gives NETLINK_BROADCAST_ERROR up
 * where the table is fuller than FT_HOLD_TABLE_PERCENT_MAX.
 *
 * Thread: the main thread; ft_hold_keep_events() is the source thread's once it runs.
 */
#ifndef FT_AGENT_HOLD_H
#define FT_AGENT_HOLD_H 1

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

#define FT_HOLD_NS                (60 * FT_NS_PER_S)
#define FT_HOLD_TABLE_PERCENT_MAX 80U

struct ft_hold;

/* What the process before has left; each is -1 where there is none, and the caller's. */
struct ft_held {
    int memory_fd;
    int events_fd;
};

/* Asks the service manager's list and the keeper's socket beside 'control_socket' ("": there is
 * none).  Fails with -ENOMEM only. */
FT_MUST_USE ft_err ft_hold_open(const char *control_socket, struct ft_hold **ret_hold,
                                struct ft_held *ret_held);

/* Accepts NULL.  What is held stays held. */
void ft_hold_close(struct ft_hold *hold);
FT_DEFINE_CLEANUP(struct ft_hold, ft_hold_close);

/* Has this held from now on instead of what was.  FT_E_UNSUPPORTED when there is nobody who can. */
FT_MUST_USE ft_err ft_hold_keep_memory(struct ft_hold *hold, int memory_fd);
FT_MUST_USE ft_err ft_hold_keep_events(struct ft_hold *hold, int events_fd);

/* Nothing is to be held any more: a clean stop. */
void ft_hold_release(struct ft_hold *hold);

/* True when 'argv' is a keeper's: then the program is nothing else. */
bool ft_hold_is_keeper(int argc, char **argv);
/* The keeper's life.  Returns the exit code. */
int ft_hold_keeper_main(void);

#endif
