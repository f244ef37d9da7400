/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What arrives from the other side of the network.  The first byte says what the rest is: an even
 * number a message to the collector, else one to the agent.  Whatever it holds, decoding ends,
 * within the bounds of its memory, and a batch that is taken gives exactly the events it counts,
 * which packed again give the same events.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/random_event.h"
#include "wire/batch_builder.h"
#include "wire/batch_reader.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Both hold the same events. */
static void compare(const uint8_t *data, size_t size, const struct ft_buf *again)
{
    struct ft_batch_reader *a = NULL;
    struct ft_batch_reader *b = NULL;
    demand(ft_batch_reader_open(data, size, &a, NULL) == FT_OK);
    demand(ft_batch_reader_open(again->data, again->size, &b, NULL) == FT_OK);
    struct ft_event first;
    struct ft_event second;
    while (ft_batch_reader_next(a, &first)) {
        demand(ft_batch_reader_next(b, &second));
        ft_check_event_equal(&first, &second);
    }
    demand(!ft_batch_reader_next(b, &second));
    ft_batch_reader_close(a);
    ft_batch_reader_close(b);
}

static void take_batch(const uint8_t *data, size_t size)
{
    uint64_t first_seq = 0;
    uint32_t n_events = 0;
    bool peeked = ft_batch_peek(data, size, &first_seq, &n_events) == FT_OK;
    struct ft_batch_reader *reader = NULL;
    struct ft_diag diag = {0};
    if (ft_batch_reader_open(data, size, &reader, &diag) != FT_OK) {
        return;
    }
    demand(peeked && first_seq == ft_batch_reader_first_seq(reader));
    demand(n_events == ft_batch_reader_count(reader));
    struct ft_batch_builder *builder = NULL;
    demand(ft_batch_builder_create(ft_batch_reader_instance(reader), &builder) == FT_OK);
    struct ft_event event;
    uint32_t n = 0;
    bool complete = true;
    while (ft_batch_reader_next(reader, &event)) {
        demand(event.seq == first_seq + n);
        n++;
        complete = complete && ft_batch_builder_add(builder, &event) == FT_OK;
    }
    demand(n == n_events);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (complete && ft_batch_builder_seal(builder, &buf) == FT_OK) {
        compare(data, size, &buf);
    }
    ft_buf_deinit(&buf);
    ft_batch_builder_destroy(builder);
    ft_batch_reader_close(reader);
}

static void take_request(const uint8_t *data, size_t size)
{
    struct ft_request request;
    struct ft_diag diag = {0};
    if (ft_request_decode(data, size, &request, &diag) != FT_OK) {
        return;
    }
    if (request.kind == FT_REQUEST_BATCH) {
        take_batch(request.batch.data, request.batch.size);
    }
    ft_request_clear(&request);
}

static void take_response(const uint8_t *data, size_t size)
{
    struct ft_response response;
    struct ft_diag diag = {0};
    if (ft_response_decode(data, size, &response, &diag) != FT_OK) {
        return;
    }
    if (response.kind == FT_RESPONSE_ACK) {
        demand(response.ack.n_rejected <= FT_WIRE_REJECTED_MAX);
    }
    /* What was understood can be said again. */
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (response.kind != FT_RESPONSE_OTHER) {
        demand(ft_response_encode(&response, &buf) == FT_OK);
    }
    ft_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        take_request(data + 1, size - 1);
    } else {
        take_response(data + 1, size - 1);
    }
    return 0;
}
