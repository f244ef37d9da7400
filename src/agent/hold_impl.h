/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agent and keeper say to each other, in packets (SOCK_SEQPACKET) of one byte, with a
 * descriptor or two.
 *
 *     keeper -> agent, once connected    HELD   memory, then events, as far as there are any
 *     agent -> keeper                    MEMORY, EVENTS   hold this one instead
 *                                        RELEASE          end
 *
 * Thread: pure functions.
 */
#ifndef FT_AGENT_HOLD_IMPL_H
#define FT_AGENT_HOLD_IMPL_H 1

#include <stddef.h>

#include "base/error.h"

#define FT_HOLD_MEMORY_NAME "flowtrail-memory"
#define FT_HOLD_EVENTS_NAME "flowtrail-events"

/* The keeper's descriptors when it begins: the agent's connection, and where others connect. */
#define FT_HOLD_AGENT_FD  3
#define FT_HOLD_LISTEN_FD 4

/* argv[1] of a keeper. */
#define FT_HOLD_KEEPER_WORD "--keep-for-a-crash"

enum ft_hold_word {
    FT_HOLD_HELD_NONE = '0',
    FT_HOLD_HELD_MEMORY = '1',
    FT_HOLD_HELD_BOTH = '2',
    FT_HOLD_KEEP_MEMORY = 'm',
    FT_HOLD_KEEP_EVENTS = 'e',
    FT_HOLD_RELEASE = 'r'
};

#define FT_HOLD_FDS_MAX 2

/* Fails with the system's error. */
FT_MUST_USE ft_err ft_hold_send(int socket, enum ft_hold_word word, const int *fds, size_t n_fds);

/* '*ret_fds' has FT_HOLD_FDS_MAX places; unused ones are -1.  FT_E_CLOSED at the end. */
FT_MUST_USE ft_err ft_hold_receive(int socket, char *ret_word, int *ret_fds);

#endif
