/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source thread hands to the pipeline: runs of raw netlink messages with what happened
 * between them, in order.  A recording is a file of chunks, and replaying one runs the whole path
 * behind the socket exactly as it ran then.
 *
 * Thread: a chunk has one owner at a time; the pool is safe for one giver and one taker.
 */
#ifndef FT_SOURCE_CHUNK_H
#define FT_SOURCE_CHUNK_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Numbers are those of the recording's file format (source/recording.h) and never change. */
enum ft_chunk_kind {
    FT_CHUNK_EVENTS = 1,     /* Messages of the event socket; 'value' 1: it was empty after them. */
    FT_CHUNK_DUMP_BEGIN = 2, /* A dump was asked for; 'value' tells why (enum ft_dump_reason). */
    FT_CHUNK_DUMP = 3,       /* Messages of a dump's answer. */
    FT_CHUNK_DUMP_END = 4,   /* 'value' is 1 when the table did not change meanwhile. */
    FT_CHUNK_DUMP_FAILED = 5,
    FT_CHUNK_OVERRUN = 6,     /* The kernel dropped messages here; 'value' is how many attempts. */
    FT_CHUNK_OPENED = 7,      /* The socket was opened (again); 'value' counts the openings. */
    FT_CHUNK_FAILED = 8,      /* The socket failed; 'value' is the error's number. */
    FT_CHUNK_LOCAL_ADDRS = 9, /* The host's own addresses: family byte (4, 6) and 16 bytes each. */
    FT_CHUNK_SWITCHES = 10,   /* value: bit 0 accounting is on, bit 1 time stamps are on. */
    FT_CHUNK_TICK = 11,       /* Time passes: run what is due; 'value' 1: the socket was empty. */
    FT_CHUNK_RELIABLE = 12,   /* value: 1 when the kernel re-sends ENDs from here on, 0 when not. */
    FT_CHUNK_STEP = 13,       /* value: the shedding step from here on (enum ft_ladder_step). */
    FT_CHUNK_ADOPTED = 14,    /* The process began anew, with the socket and memory of the last. */
    FT_CHUNK_KIND_N
};

/* Numbers are those of the recording's file format too. */
enum ft_dump_reason {
    FT_DUMP_START = 1,  /* The first one: flows that were there before the agent. */
    FT_DUMP_RESYNC = 2, /* After events were missed. */
    FT_DUMP_UPDATE = 3, /* For the counters of long flows. */
    FT_DUMP_REASON_N
};

#define FT_CHUNK_SIZE_MAX ((size_t)256 * 1024)

/* What the queue keeps of a chunk in front of its data (source/chunk_queue.c). */
#define FT_CHUNK_HEADER_BYTES ((size_t)64)

struct ft_chunk {
    enum ft_chunk_kind kind;
    int64_t real_ns; /* When its reading began: what was sent earlier is in it or before it. */
    int64_t mono_ns;
    int64_t value;
    size_t size;
    size_t size_max; /* Room for data: FT_CHUNK_SIZE_MAX, or less. */
    uint8_t *data;
};

#endif
