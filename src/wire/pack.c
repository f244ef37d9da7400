/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pack.h"

#include <string.h>

ft_err ft_pack(const ProtobufCMessage *message, struct ft_buf *buf)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *to = ft_buf_reserve(buf, size);
    if (to == NULL) {
        return buf->err;
    }
    (void)protobuf_c_message_pack(message, to);
    return FT_OK;
}

ProtobufCBinaryData ft_pack_uuid(const struct ft_uuid *uuid)
{
    /* protobuf-c has no const view; packing does not write. */
    return (ProtobufCBinaryData){.len = sizeof uuid->bytes, .data = (uint8_t *)uuid->bytes};
}

ProtobufCBinaryData ft_pack_bytes(const void *bytes, size_t size)
{
    return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)bytes};
}

char *ft_pack_text(const char *text) { return (char *)text; }

ft_err ft_unpack_uuid(const ProtobufCBinaryData *bytes, const char *name, struct ft_uuid *ret_uuid,
                      struct ft_diag *reterr_diag)
{
    if (bytes->len != sizeof ret_uuid->bytes) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "%s has %zu bytes instead of 16",
                           name, bytes->len);
    }
    memcpy(ret_uuid->bytes, bytes->data, sizeof ret_uuid->bytes);
    return FT_OK;
}

ft_err ft_unpack_bytes(const ProtobufCBinaryData *bytes, const char *name, void *to, size_t size,
                       bool *ret_has, struct ft_diag *reterr_diag)
{
    if (bytes->len != 0 && bytes->len != size) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                           "%s has %zu bytes instead of %zu", name, bytes->len, size);
    }
    *ret_has = bytes->len != 0;
    if (*ret_has) {
        memcpy(to, bytes->data, size);
    }
    return FT_OK;
}

ft_err ft_unpack_text(const char *text, char *to, size_t to_size, struct ft_diag *reterr_diag)
{
    size_t len = strlen(text);
    if (len >= to_size) {
        return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0,
                           "a text has %zu bytes, allowed are %zu", len, to_size - 1);
    }
    memcpy(to, text, len + 1);
    return FT_OK;
}
