/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a row as one table: name, kind, when it is present, where it is in struct ft_row.
 * JSON, CSV, the dictionary form and the JSON parser all walk this table, so that they cannot
 * disagree.  Names are those of flowtrail.v1.FlowEvent (proto/flowtrail/v1/event.proto); times
 * lose the suffix "_unix_ns", because they are written as RFC 3339.
 *
 * Private to this folder.  Thread: any; constant data.
 */
#ifndef FT_TEXT_FIELD_H
#define FT_TEXT_FIELD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/query.h"

enum ft_text_kind {
    FT_TEXT_TIME, /* int64_t, nanoseconds since 1970 */
    FT_TEXT_U64,
    FT_TEXT_U32,
    FT_TEXT_U16,
    FT_TEXT_U8,
    FT_TEXT_ADDR,
    FT_TEXT_UUID,
    FT_TEXT_STRING,
    FT_TEXT_TYPE,
    FT_TEXT_DIRECTION,
    FT_TEXT_CLASS,
    FT_TEXT_TCP_STATE,
    FT_TEXT_CAUSE,
    FT_TEXT_BOOL,
    FT_TEXT_FLAG,         /* The bit 'need' of the event's fields is the value. */
    FT_TEXT_PROTOCOL_NAME /* Derived from 'protocol'; ignored when parsed. */
};

struct ft_text_field {
    const char *name;      /* In CSV and in the dictionary form. */
    const char *json_name; /* In JSON: below "loss" when 'in_loss'. */
    enum ft_text_kind kind;
    bool in_loss;
    bool zero_is_absent; /* Has no presence bit of its own. */
    uint32_t need;       /* All these FT_FIELD_* bits; 0: in every event. */
    size_t offset;       /* In struct ft_row. */
};

extern const struct ft_text_field ft_text_fields[];
extern const size_t ft_text_n_fields;

/* Room for any value that is not FT_TEXT_STRING. */
#define FT_TEXT_VALUE_SIZE 64

bool ft_text_field_is_present(const struct ft_text_field *field, const struct ft_row *row);

/* Is the value a number in JSON, and without need of protection in CSV? */
bool ft_text_field_is_number(const struct ft_text_field *field, const struct ft_row *row);

/* An unsigned value of any width; 0 for kinds that have none. */
uint64_t ft_text_field_u64(const struct ft_text_field *field, const struct ft_row *row);

/* The value as plain text: in 'buf', static, or the row's own string.  Only when present. */
const char *ft_text_field_text(const struct ft_text_field *field, const struct ft_row *row,
                               char buf[FT_TEXT_VALUE_SIZE]);

#endif
