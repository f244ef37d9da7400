/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection tracking in memory, on virtual time: a table of flows, the event socket with its
 * bounded buffer, and dumps.  It behaves as Linux 6.18 was measured and read to behave:
 *
 * - each event takes 1,280 bytes of the receive buffer; one that does not fit is dropped, and from
 *   then on all are, until the socket was read empty; the first read after that gives OVERRUN;
 * - with "reliable" an END that was dropped is kept with its entry and sent again, each 100 ms;
 * - NEW has no counters and no start time; a dump and END have them, as far as the switches were
 *   on when the flow began;
 * - a dump is made as it is read: what changes meanwhile is in it or not, by where it stands.
 *
 * Thread: owner only, its own clock included.
 */
#ifndef FT_TESTS_LIB_FAKE_KERNEL_H
#define FT_TESTS_LIB_FAKE_KERNEL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "os/ct_kernel.h"
#include "os/ct_record.h"

#define FT_FAKE_EVENT_BYTES 1280U

struct ft_fake_flow {
    struct ft_ct_record record; /* id, tuples, mark, zone, counters as they are now */
    bool alive;
    bool dying; /* ended, but its END is still to be delivered */
    bool end_told;
};

struct ft_fake_event {
    size_t size;
    uint8_t data[512];
};

struct ft_fake_kernel {
    struct ft_ct_kernel base;
    struct ft_clock clock;
    int64_t mono_ns;
    int64_t real_ns;

    /* What a test may set. */
    bool event_stamps;  /* attribute 27, since 6.14 */
    uint64_t table_max; /* nf_conntrack_max */
    int switches[FT_CT_SWITCH_N];
    unsigned n_open_errors;  /* So many opens fail. */
    ft_err recv_error;       /* The next read fails with it. */
    unsigned n_dump_errors;  /* So many dumps cannot be asked for. */
    bool dump_changes;       /* The next dump says that the table changed. */
    size_t dump_entries_max; /* In one datagram. */
    uint64_t rcvbuf_bytes_max;
    bool held; /* Closing the socket does not end it: somebody else has it, too. */

    /* What it did. */
    bool open;
    bool reliable;
    unsigned groups;
    unsigned n_opens;
    unsigned n_closes;
    unsigned n_adopted;
    unsigned n_dumps;
    uint64_t n_sent;
    uint64_t drops;

    /* Its own. */
    struct ft_fake_flow *flows;
    size_t n_flows;
    size_t capacity;
    uint64_t rcvbuf_bytes;
    struct ft_fake_event *events; /* A ring. */
    size_t n_places;
    size_t first;
    size_t n_events;
    bool congested;
    bool overrun_due;
    int64_t resend_mono_ns;
    bool dumping;
    size_t dump_at;
};

/* Accounting and time stamps on, event stamps on, time 1,700,000,000 s real and 1,000 s mono. */
void ft_fake_kernel_init(struct ft_fake_kernel *fake);
void ft_fake_kernel_deinit(struct ft_fake_kernel *fake);

/* Time passes; ENDs that are due are sent again. */
void ft_fake_kernel_advance(struct ft_fake_kernel *fake, int64_t ns);

/* A flow begins, as 'record' has it; its number, which stays good, is returned. */
size_t ft_fake_kernel_begin(struct ft_fake_kernel *fake, const struct ft_ct_record *record);

/* The same with ft_ct_build_sample()'s n-th TCP flow. */
size_t ft_fake_kernel_begin_sample(struct ft_fake_kernel *fake, uint32_t n);

/* Packets pass. */
void ft_fake_kernel_count(struct ft_fake_kernel *fake, size_t flow, uint64_t orig_packets,
                          uint64_t orig_bytes, uint64_t reply_packets, uint64_t reply_bytes);

/* An UPDATE event for a change of the record that the test made. */
void ft_fake_kernel_update(struct ft_fake_kernel *fake, size_t flow);

void ft_fake_kernel_end(struct ft_fake_kernel *fake, size_t flow);

/* Sends the END once more, as after another listener did not take it. */
void ft_fake_kernel_repeat_end(struct ft_fake_kernel *fake, size_t flow);

/* Puts any datagram into the event socket. */
void ft_fake_kernel_send_raw(struct ft_fake_kernel *fake, const void *data, size_t size);

#endif
