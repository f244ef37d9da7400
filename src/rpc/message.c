/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

#include <grpc/byte_buffer_reader.h>
#include <string.h>

grpc_byte_buffer *ft_rpc_message_create(const void *head, size_t head_size, const void *body,
                                        size_t body_size)
{
    grpc_slice slice = grpc_slice_malloc(head_size + body_size);
    uint8_t *to = GRPC_SLICE_START_PTR(slice);
    if (head_size > 0) {
        memcpy(to, head, head_size);
    }
    if (body_size > 0) {
        memcpy(to + head_size, body, body_size);
    }
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

ft_err ft_rpc_view_init(struct ft_rpc_view *ret_view, grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    if (buffer->data.raw.compression != GRPC_COMPRESS_NONE ||
        !grpc_byte_buffer_reader_init(&reader, buffer)) {
        return FT_E_UNSUPPORTED;
    }
    /* A message of one slice is handed on as it is; others have to be joined. */
    if (buffer->data.raw.slice_buffer.count != 1 ||
        !grpc_byte_buffer_reader_next(&reader, &ret_view->slice)) {
        ret_view->slice = grpc_byte_buffer_reader_readall(&reader);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    /* A short slice carries its bytes inside itself: the view must stay where it is. */
    ret_view->data = GRPC_SLICE_START_PTR(ret_view->slice);
    ret_view->size = GRPC_SLICE_LENGTH(ret_view->slice);
    return FT_OK;
}

void ft_rpc_view_deinit(struct ft_rpc_view *view)
{
    grpc_slice_unref(view->slice);
    view->data = NULL;
    view->size = 0;
}
