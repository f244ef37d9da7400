/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as JSON and back.  One object per row, members named as the fields of
 * flowtrail.v1.FlowEvent:
 *
 *   times        "time", "start", "window_begin", …: RFC 3339, UTC, nine decimals
 *   ids          UUID text; addresses as text; numbers as JSON numbers
 *   enumerations "type", "direction", "traffic_class", "tcp_state": upper-case names
 *   protocol     "protocol": 6 and, where it has a name, "protocol_name": "tcp"
 *   flags        "inferred": true, …: only when set
 *   loss         "loss": {"cause", "begin", "end", "count", …}
 *
 * What is absent is left out: never null, never zero, never "".
 *
 * Thread: any.
 */
#ifndef FT_TEXT_JSON_H
#define FT_TEXT_JSON_H 1

#include "base/buf.h"
#include "base/error.h"
#include "flow/query.h"
#include "json/reader.h"
#include "json/writer.h"

#define FT_TEXT_NDJSON_CONTENT_TYPE "application/x-ndjson"

/* Writes one object. */
void ft_text_json_row(struct ft_json_writer *writer, const struct ft_row *row);

/* The member "lost_by_cause": causes by name, of which there is something. */
void ft_text_json_lost_by_cause(struct ft_json_writer *writer,
                                const uint64_t lost[FT_LOSS_CAUSE_N]);

/* One line: the object and '\n'.  Errors stay in 'buf->err'. */
void ft_text_ndjson_row(struct ft_buf *buf, const struct ft_row *row);

/*
 * Reads a row back from 'object'.  Its strings are borrowed from the document of 'object'.
 * "time" and "type" must be there; a part of an event (ports, counters, loss, …) is there whole or
 * not at all.  Unknown members are skipped and unknown names of enumerations are UNKNOWN: a newer
 * writer may know more.  Fails with FT_E_SYNTAX, FT_E_RANGE or FT_E_NOT_FOUND and '*reterr_diag';
 * '*ret_row' is then undefined.  Numbers above INT64_MAX cannot be read back (json/reader.h).
 */
FT_MUST_USE ft_err ft_text_json_parse_row(const struct ft_json_value *object,
                                          struct ft_row *ret_row, struct ft_diag *reterr_diag);

#endif
