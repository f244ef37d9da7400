/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source counts.  Each number is written by one thread (named below) and may be read by
 * any other at any time: relaxed atomics, so a reader sees each number whole, but not all of one
 * moment.
 */
#ifndef FT_SOURCE_STATS_H
#define FT_SOURCE_STATS_H 1

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t ft_stat;

struct ft_source_stats {
    /* Source thread. */
    ft_stat n_datagrams;     /* read from the event socket */
    ft_stat n_bytes;         /* of them */
    ft_stat n_overruns;      /* ENOBUFS seen */
    ft_stat n_drops;         /* messages the kernel could not queue (attempts) */
    ft_stat n_opens;         /* times the socket was opened */
    ft_stat n_open_failures; /* times it could not be */
    ft_stat n_failures;      /* times an open socket died */
    ft_stat n_unreliable;    /* times the watchdog let NETLINK_BROADCAST_ERROR go */
    ft_stat no_room_ns;      /* time for which the reader found no free chunk */
    ft_stat n_step_changes;  /* of the shedding ladder */
    ft_stat step;            /* enum ft_ladder_step now */
    ft_stat socket_open;     /* 1 or 0 */
    ft_stat reliable;        /* 1: the kernel re-sends ENDs */
    ft_stat paced;           /* 1: timed drains, 0: poll */
    ft_stat rcvbuf_bytes;    /* what the socket got */
    ft_stat last_error;      /* the number of the last failure, positive; 0: none so far */
    ft_stat table_count;     /* of the kernel */
    ft_stat table_max;       /* of the kernel */
    ft_stat rate;            /* datagrams a second, of the last window */
    ft_stat n_foreign;       /* datagrams of other processes that were skipped */

    /* Pipeline thread. */
    ft_stat n_new; /* kernel events by kind */
    ft_stat n_update;
    ft_stat n_destroy;
    ft_stat n_parse_errors; /* messages not understood, of events and dumps */
    ft_stat n_starts;       /* flow events emitted */
    ft_stat n_updates;
    ft_stat n_ends;
    ft_stat n_losses;
    ft_stat n_inferred_starts; /* of n_starts */
    ft_stat n_inferred_ends;   /* of n_ends */
    ft_stat n_duplicates;      /* NEW and DESTROY of what was known already */
    ft_stat n_late_ends;       /* DESTROY of flows whose END had been inferred */
    ft_stat n_untracked;       /* flows that found no room in the flow table */
    ft_stat n_dumps;           /* complete ones */
    ft_stat n_dump_failures;
    ft_stat n_dump_entries; /* of all dumps */
    ft_stat dump_ns;        /* how long the last complete dump took */
    ft_stat dump_ns_total;
    ft_stat n_resyncs;   /* gaps that were reconciled */
    ft_stat n_flows;     /* in the table now */
    ft_stat table_bytes; /* memory of the flow table */
    ft_stat crash_safe;  /* 1: with a working memory that outlives the process */
    ft_stat n_commits;   /* of it */
    ft_stat n_unkept;    /* blocks that made room in it before they were on disk */
};

static inline void ft_stat_add(ft_stat *stat, uint64_t n)
{
    atomic_store_explicit(stat, atomic_load_explicit(stat, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void ft_stat_set(ft_stat *stat, uint64_t value)
{
    atomic_store_explicit(stat, value, memory_order_relaxed);
}

static inline uint64_t ft_stat_get(const ft_stat *stat)
{
    return atomic_load_explicit(stat, memory_order_relaxed);
}

#endif
