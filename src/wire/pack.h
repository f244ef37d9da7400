/* SPDX-License-Identifier: Apache-2.0 */
/* What the encoders and decoders of single messages share.  Thread: any; pure functions. */
#ifndef FT_WIRE_PACK_H
#define FT_WIRE_PACK_H 1

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "flow/ids.h"

/* Appends the message's bytes. */
FT_MUST_USE ft_err ft_pack(const ProtobufCMessage *message, struct ft_buf *buf);

/* Borrowed views for the duration of ft_pack. */
ProtobufCBinaryData ft_pack_uuid(const struct ft_uuid *uuid);
ProtobufCBinaryData ft_pack_bytes(const void *bytes, size_t size);
char *ft_pack_text(const char *text);

FT_MUST_USE ft_err ft_unpack_uuid(const ProtobufCBinaryData *bytes, const char *name,
                                  struct ft_uuid *ret_uuid, struct ft_diag *reterr_diag);
/* Exactly 'size' bytes, or none: '*ret_has'. */
FT_MUST_USE ft_err ft_unpack_bytes(const ProtobufCBinaryData *bytes, const char *name, void *to,
                                   size_t size, bool *ret_has, struct ft_diag *reterr_diag);
/* FT_E_PROTOCOL when 'text' does not fit. */
FT_MUST_USE ft_err ft_unpack_text(const char *text, char *to, size_t to_size,
                                  struct ft_diag *reterr_diag);

/* For an array 'to'. */
#define FT_UNPACK_TEXT(text, to, diag) FT_TRY(ft_unpack_text(text, to, sizeof(to), diag))

#endif
