/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sse.h"

#include <stdio.h>

#include "lib/test.h"

static ft_err note(void *ctx, const char *type, const char *data, size_t size)
{
    CHECK_INT(strlen(data), size);
    ft_buf_addf(ctx, "[%s|%s]", type, data);
    return FT_OK;
}

/* The events of 'stream', whatever the pieces are in which it comes. */
static void gives(const char *stream, const char *events)
{
    size_t size = strlen(stream);
    for (size_t piece = 1; piece <= size; piece++) {
        struct ft_buf got;
        struct ft_sse sse;
        ft_buf_init(&got, 0);
        ft_sse_init(&sse, note, &got);
        for (size_t at = 0; at < size; at += piece) {
            size_t n = size - at < piece ? size - at : piece;
            CHECK_OK(ft_sse_feed(&sse, stream + at, n));
        }
        CHECK_STR(ft_buf_str(&got), events);
        ft_sse_deinit(&sse);
        ft_buf_deinit(&got);
    }
}

TEST(events_in_pieces_of_any_size)
{
    gives("data: one\n\ndata: two\n\n", "[message|one][message|two]");
    gives("event: dropped\ndata: {\"count\":17}\n\ndata: x\n\n",
          "[dropped|{\"count\":17}][message|x]");
    gives(": comment\n\nretry: 3000\n\n:\n\ndata: a\n\n", "[message|a]");
    gives("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[message|a][message|b][message|c]");
    gives("data: a\ndata: b\n\n", "[message|a\nb]");
    gives("data:no space\ndata:  two\n\n", "[message|no space\n two]");
    gives("data\n\n", "[message|]");
    gives("event: x\n\ndata: y\n\n", "[message|y]");
    gives("dat: a\ndatas: b\nid: 7\n\n", "");
    gives("\xef\xbb\xbf"
          "data: bom\n\n",
          "[message|bom]");
}

TEST(unfinished_event_is_none) { gives("data: a\n\ndata: lost", "[message|a]"); }

TEST(bounds)
{
    static char piece[600000];
    struct ft_buf got;
    struct ft_sse sse;
    memset(piece, 'x', sizeof piece);
    ft_buf_init(&got, 0);
    ft_sse_init(&sse, note, &got);
    CHECK_OK(ft_sse_feed(&sse, piece, sizeof piece));
    CHECK_ERR(ft_sse_feed(&sse, piece, sizeof piece), FT_E_FULL);
    ft_sse_deinit(&sse);

    /* Short lines that add up to one event. */
    memcpy(piece, "data: ", 6);
    piece[sizeof piece - 1] = '\n';
    ft_sse_init(&sse, note, &got);
    CHECK_OK(ft_sse_feed(&sse, piece, sizeof piece));
    CHECK_ERR(ft_sse_feed(&sse, piece, sizeof piece), FT_E_FULL);
    ft_sse_deinit(&sse);
    ft_buf_deinit(&got);
}

static ft_err refuse(void *ctx, const char *type, const char *data, size_t size)
{
    (void)ctx;
    (void)type;
    (void)data;
    (void)size;
    return FT_E_END;
}

TEST(receiver_can_end_it)
{
    struct ft_sse sse;
    ft_sse_init(&sse, refuse, NULL);
    CHECK_OK(ft_sse_feed(&sse, "data: a\n", 8));
    CHECK_ERR(ft_sse_feed(&sse, "\n", 1), FT_E_END);
    ft_sse_deinit(&sse);
}
