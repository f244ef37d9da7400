/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One conntrack message of the kernel, decoded: the hot half of the netlink parser.
 *
 * The walk is our own (libmnl's attribute helpers): it is several times cheaper than
 * nfct_nlmsg_parse and also reads attribute 27, the event's own time stamp.  A differential fuzz
 * test holds it against libnetfilter_conntrack.
 *
 * A record counts only with both tuples complete and of one address family; a part of the wrong
 * size or a broken attribute makes the message FT_CT_BAD, because the kernel sends neither. Unknown
 * attributes are passed over.  Cost: 50 to 90 ns per message.
 *
 * It knows bytes and nothing else: no socket, no clock, no flow table.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_OS_CT_RECORD_H
#define FT_OS_CT_RECORD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/event.h"

/*
 * What the message says.  An entry of a dump's answer (NLM_F_MULTI) is FT_CT_NEW too: only the
 * caller knows which socket it read.
 */
enum ft_ct_kind { FT_CT_NEW, FT_CT_UPDATE, FT_CT_DESTROY, FT_CT_KIND_N };

/* Which parts of a record the message had. */
#define FT_CT_HAS_ID        (1U << 0)
#define FT_CT_HAS_STATUS    (1U << 1)
#define FT_CT_HAS_MARK      (1U << 2)
#define FT_CT_HAS_ZONE      (1U << 3) /* CTA_ZONE, else the original tuple's own zone */
#define FT_CT_HAS_COUNTERS  (1U << 4) /* both directions */
#define FT_CT_HAS_START     (1U << 5) /* start_ns: CTA_TIMESTAMP_START; never 0 */
#define FT_CT_HAS_STOP      (1U << 6) /* stop_ns: CTA_TIMESTAMP_STOP */
#define FT_CT_HAS_EVENT     (1U << 7) /* event_ns: attribute 27 */
#define FT_CT_HAS_TCP_STATE (1U << 8)
#define FT_CT_HAS_PORTS     (1U << 9)  /* TCP, UDP, SCTP, DCCP, UDP-Lite; of GRE the call keys */
#define FT_CT_HAS_ICMP      (1U << 10) /* ICMP and ICMPv6 */
#define FT_CT_HAS_TIMEOUT   (1U << 11)

/* One direction of a flow.  Ports and ids in host byte order. */
struct ft_ct_tuple {
    struct ft_addr src;
    struct ft_addr dst;
    uint16_t src_port; /* or the ICMP id */
    uint16_t dst_port;
    uint8_t icmp_type;
    uint8_t icmp_code;
    uint8_t protocol;
    bool ipv6;
};

struct ft_ct_record {
    enum ft_ct_kind kind;
    unsigned has; /* FT_CT_HAS_* */
    uint32_t id;
    uint32_t status; /* IPS_* */
    uint32_t mark;
    uint32_t timeout_s;
    uint16_t zone;
    uint8_t tcp_state;
    struct ft_ct_tuple orig;
    struct ft_ct_tuple reply;
    uint64_t orig_packets;
    uint64_t orig_bytes;
    uint64_t reply_packets;
    uint64_t reply_bytes;
    int64_t start_ns; /* Kernel's real time, as all three. */
    int64_t stop_ns;
    int64_t event_ns;
};

/* What ft_ct_next found. */
enum ft_ct_step {
    FT_CT_RECORD,      /* '*ret_record' is filled. */
    FT_CT_DONE,        /* NLMSG_DONE: a dump is complete; '*ret_errno' is its error or 0. */
    FT_CT_ERROR,       /* NLMSG_ERROR or an error in a dump: '*ret_errno'. */
    FT_CT_INTERRUPTED, /* NLM_F_DUMP_INTR: the dump changed under way; go on, then repeat it. */
    FT_CT_SKIPPED,     /* A well-formed message that is not conntrack's, or a NOOP. */
    FT_CT_BAD,         /* A message that cannot be understood: count it and go on. */
    FT_CT_EMPTY        /* Nothing is left. */
};

/* A cursor over a run of netlink messages.  Initialise it by name: {.at = data, .left = size}. */
struct ft_ct_reader {
    const uint8_t *at; /* Needs no alignment. */
    size_t left;
    bool interrupted; /* FT_CT_INTERRUPTED was given: once per run, before the message itself. */
};

/*
 * Takes the next message.  Never reads outside the run; a broken length ends the run with
 * FT_CT_BAD.  '*ret_record' is written for any conntrack message and counts only with FT_CT_RECORD;
 * '*ret_errno' is positive or 0 and is written only with FT_CT_DONE and FT_CT_ERROR.
 */
enum ft_ct_step ft_ct_next(struct ft_ct_reader *reader, struct ft_ct_record *ret_record,
                           int *ret_errno);

/*
 * The size, rounded up to a multiple of four, of an event that the kernel has written at 'data',
 * where nothing but zero was before; 0: there is none.  'room' bytes may be read.
 */
size_t ft_ct_event_size(const void *data, size_t room);

/*
 * True when the reply tuple is the original one mirrored, that is, no NAT.  Of ICMP the addresses
 * and the id are compared: a reply's type differs by nature.
 */
bool ft_ct_is_mirrored(const struct ft_ct_record *record);

#endif
