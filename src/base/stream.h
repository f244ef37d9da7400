/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network as an argument: one outgoing stream of whole messages, both ways, to a collector.
 * gRPC implements it (rpc/client.h); simulations hand in one on virtual time.
 *
 * The caller drives it: it asks for the next event with poll(), which is the only call that waits.
 * At most one stream is open at a time, and at most one send is under way: after send() the
 * caller waits for FT_STREAM_SENT.
 *
 * Thread: one thread calls everything, except wake(), which any thread may call.
 */
#ifndef FT_BASE_STREAM_H
#define FT_BASE_STREAM_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum ft_stream_event_kind {
    FT_STREAM_NONE,    /* The deadline passed, or wake() was called. */
    FT_STREAM_OPENED,  /* The peer answered; sending is allowed. */
    FT_STREAM_MESSAGE, /* 'data' and 'size' are valid until the next call of poll(). */
    FT_STREAM_SENT,    /* The last send() was taken by the transport. */
    FT_STREAM_CLOSED   /* The stream is over: 'err' and 'text' say why; open() may follow. */
};

struct ft_stream_event {
    enum ft_stream_event_kind kind;
    const uint8_t *data;
    size_t size;
    ft_err err;
    char text[256]; /* The peer's or the library's words, cut, control bytes escaped. */
};

/* Two parts that travel as one message, so that a header needs no copy of the block behind it. */
struct ft_stream_parts {
    const void *head;
    size_t head_size;
    const void *body; /* Copied or referenced only until send() returns. */
    size_t body_size;
};

struct ft_stream;

struct ft_stream_ops {
    /* Begins a new stream; FT_STREAM_OPENED or FT_STREAM_CLOSED follows. */
    ft_err (*open)(struct ft_stream *stream);
    ft_err (*send)(struct ft_stream *stream, const struct ft_stream_parts *parts);
    /* Gives the stream up; FT_STREAM_CLOSED follows. */
    void (*cancel)(struct ft_stream *stream);
    /* The next event, waiting until 'deadline_mono_ns' at most. */
    void (*poll)(struct ft_stream *stream, int64_t deadline_mono_ns,
                 struct ft_stream_event *ret_event);
    /* Makes a poll() that waits, or the next one, return.  Thread: any. */
    void (*wake)(struct ft_stream *stream);
    void (*destroy)(struct ft_stream *stream);
};

struct ft_stream {
    const struct ft_stream_ops *ops;
};

#endif
