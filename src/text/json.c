/* SPDX-License-Identifier: Apache-2.0 */
#include "text/json.h"

#include <string.h>

#include "base/parse.h"
#include "text/field.h"

static void write_field(struct ft_json_writer *writer, const struct ft_text_field *field,
                        const struct ft_row *row)
{
    ft_json_key(writer, field->json_name);
    if (ft_text_field_is_number(field, row)) {
        ft_json_u64(writer, ft_text_field_u64(field, row));
    } else if (field->kind == FT_TEXT_FLAG || field->kind == FT_TEXT_BOOL) {
        ft_json_bool(writer, true);
    } else {
        char value[FT_TEXT_VALUE_SIZE];
        ft_json_str(writer, ft_text_field_text(field, row, value));
    }
}

void ft_text_json_row(struct ft_json_writer *writer, const struct ft_row *row)
{
    bool in_loss = false;
    ft_json_object_begin(writer);
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        const struct ft_text_field *field = &ft_text_fields[i];
        if (in_loss && !field->in_loss) {
            ft_json_object_end(writer);
            in_loss = false;
        }
        if (!ft_text_field_is_present(field, row)) {
            continue;
        }
        if (field->in_loss && !in_loss) {
            ft_json_key_object(writer, "loss");
            in_loss = true;
        }
        write_field(writer, field, row);
    }
    if (in_loss) {
        ft_json_object_end(writer);
    }
    ft_json_object_end(writer);
}

void ft_text_json_lost_by_cause(struct ft_json_writer *writer, const uint64_t lost[FT_LOSS_CAUSE_N])
{
    ft_json_key_object(writer, "lost_by_cause");
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        if (lost[cause] > 0) {
            ft_json_key_u64(writer, ft_loss_cause_name(cause), lost[cause]);
        }
    }
    ft_json_object_end(writer);
}

void ft_text_ndjson_row(struct ft_buf *buf, const struct ft_row *row)
{
    struct ft_json_writer writer;
    ft_json_writer_init(&writer, buf);
    ft_text_json_row(&writer, row);
    ft_json_newline(&writer);
}

static ft_err refuse(struct ft_diag *diag, ft_err err, const struct ft_text_field *field,
                     const char *why)
{
    return ft_diag_set(diag, err, "", 0, 0, "%s%s: %s", field->in_loss ? "loss." : "",
                       field->json_name, why);
}

static void put(const struct ft_text_field *field, struct ft_row *row, const void *value,
                size_t size)
{
    memcpy((char *)row + field->offset, value, size);
}

static ft_err put_number(const struct ft_text_field *field, const struct ft_json_value *value,
                         struct ft_row *row, struct ft_diag *diag)
{
    uint64_t number;
    if (!ft_json_as_u64(value, &number)) {
        return refuse(diag, FT_E_SYNTAX, field, "not a whole number from 0 on");
    }
    uint64_t max = field->kind == FT_TEXT_U64   ? UINT64_MAX
                   : field->kind == FT_TEXT_U32 ? UINT32_MAX
                   : field->kind == FT_TEXT_U16 ? UINT16_MAX
                                                : UINT8_MAX;
    if (number > max) {
        return refuse(diag, FT_E_RANGE, field, "too large");
    }
    uint32_t u32 = (uint32_t)number;
    uint16_t u16 = (uint16_t)number;
    uint8_t u8 = (uint8_t)number;
    if (max == UINT64_MAX) {
        put(field, row, &number, sizeof number);
    } else if (max == UINT32_MAX) {
        put(field, row, &u32, sizeof u32);
    } else if (max == UINT16_MAX) {
        put(field, row, &u16, sizeof u16);
    } else {
        put(field, row, &u8, sizeof u8);
    }
    return FT_OK;
}

static ft_err put_addr(const struct ft_text_field *field, const char *text, bool *ipv6_known,
                       struct ft_row *row, struct ft_diag *diag)
{
    struct ft_addr addr;
    bool ipv6;
    if (ft_addr_parse(text, &addr, &ipv6) != FT_OK) {
        return refuse(diag, FT_E_SYNTAX, field, "not an IP address");
    }
    if (*ipv6_known && ipv6 != ((row->event.fields & FT_FIELD_IPV6) != 0)) {
        return refuse(diag, FT_E_SYNTAX, field, "not of the same IP version as the others");
    }
    *ipv6_known = true;
    row->event.fields |= ipv6 ? FT_FIELD_IPV6 : 0;
    put(field, row, &addr, sizeof addr);
    return FT_OK;
}

/* The number of a name; 0, which is "unknown" everywhere, for a name that is not known here. */
static unsigned enumeration(enum ft_text_kind kind, const char *name)
{
    unsigned number = 0;
    bool known = kind == FT_TEXT_TYPE        ? ft_event_type_parse(name, &number)
                 : kind == FT_TEXT_DIRECTION ? ft_direction_parse(name, &number)
                 : kind == FT_TEXT_CLASS     ? ft_traffic_class_parse(name, &number)
                 : kind == FT_TEXT_TCP_STATE ? ft_tcp_state_parse(name, &number)
                                             : ft_loss_cause_parse(name, &number);
    return known ? number : 0;
}

static ft_err put_text(const struct ft_text_field *field, const char *text, bool *ipv6_known,
                       struct ft_row *row, struct ft_diag *diag)
{
    int64_t time_ns;
    struct ft_uuid uuid;
    uint8_t u8;
    switch (field->kind) {
    case FT_TEXT_TIME:
        if (ft_parse_rfc3339(text, &time_ns) != FT_OK) {
            return refuse(diag, FT_E_SYNTAX, field, "not an RFC 3339 time");
        }
        put(field, row, &time_ns, sizeof time_ns);
        return FT_OK;
    case FT_TEXT_ADDR:
        return put_addr(field, text, ipv6_known, row, diag);
    case FT_TEXT_UUID:
        if (ft_uuid_parse(text, &uuid) != FT_OK) {
            return refuse(diag, FT_E_SYNTAX, field, "not a UUID");
        }
        put(field, row, &uuid, sizeof uuid);
        return FT_OK;
    case FT_TEXT_STRING:
        if (strlen(text) > FT_EVENT_STRING_LEN_MAX) {
            return refuse(diag, FT_E_RANGE, field, "longer than 255 bytes");
        }
        put(field, row, &text, sizeof text);
        return FT_OK;
    case FT_TEXT_CAUSE:
        row->event.loss.cause = (enum ft_loss_cause)enumeration(field->kind, text);
        return FT_OK;
    default:
        u8 = (uint8_t)enumeration(field->kind, text);
        put(field, row, &u8, sizeof u8);
        return FT_OK;
    }
}

static ft_err put_bool(const struct ft_text_field *field, const struct ft_json_value *value,
                       struct ft_row *row, struct ft_diag *diag)
{
    bool flag;
    if (!ft_json_as_bool(value, &flag)) {
        return refuse(diag, FT_E_SYNTAX, field, "neither true nor false");
    }
    if (field->kind == FT_TEXT_BOOL) {
        put(field, row, &flag, sizeof flag);
    } else if (flag) {
        row->event.fields |= field->need;
    }
    return FT_OK;
}

static ft_err put_value(const struct ft_text_field *field, const struct ft_json_value *value,
                        bool *ipv6_known, struct ft_row *row, struct ft_diag *diag)
{
    if (field->kind == FT_TEXT_BOOL || field->kind == FT_TEXT_FLAG) {
        return put_bool(field, value, row, diag);
    }
    const char *text;
    bool is_text = ft_json_as_str(value, &text);
    bool state_number = field->kind == FT_TEXT_TCP_STATE && !is_text;
    if (field->kind <= FT_TEXT_U8 && field->kind >= FT_TEXT_U64) {
        FT_TRY(put_number(field, value, row, diag));
    } else if (state_number) {
        struct ft_text_field as_number = *field;
        as_number.kind = FT_TEXT_U8;
        FT_TRY(put_number(&as_number, value, row, diag));
    } else if (is_text) {
        FT_TRY(put_text(field, text, ipv6_known, row, diag));
    } else {
        return refuse(diag, FT_E_SYNTAX, field, "not a text");
    }
    row->event.fields |= field->need;
    return FT_OK;
}

static const struct ft_json_value *find(const struct ft_text_field *field,
                                        const struct ft_json_value *object)
{
    const struct ft_json_value *parent = field->in_loss ? ft_json_get(object, "loss") : object;
    const struct ft_json_value *value = ft_json_get(parent, field->json_name);
    return ft_json_kind(value) == FT_JSON_NULL ? NULL : value;
}

/* A field without which its part would say zero where nothing is known. */
static bool is_required(const struct ft_text_field *field, const struct ft_row *row)
{
    if (field->zero_is_absent || field->kind == FT_TEXT_STRING || field->kind == FT_TEXT_FLAG ||
        field->kind == FT_TEXT_PROTOCOL_NAME) {
        return false;
    }
    if (field->need == 0) {
        return field->kind == FT_TEXT_TIME || field->kind == FT_TEXT_TYPE;
    }
    return (row->event.fields & field->need) == field->need;
}

ft_err ft_text_json_parse_row(const struct ft_json_value *object, struct ft_row *ret_row,
                              struct ft_diag *reterr_diag)
{
    if (ft_json_kind(object) != FT_JSON_OBJECT) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, "", 0, 0, "a row is a JSON object");
    }
    memset(ret_row, 0, sizeof *ret_row);
    bool ipv6_known = false;
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        const struct ft_text_field *field = &ft_text_fields[i];
        const struct ft_json_value *value = find(field, object);
        if (value != NULL && field->kind != FT_TEXT_PROTOCOL_NAME) {
            FT_TRY(put_value(field, value, &ipv6_known, ret_row, reterr_diag));
        }
    }
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        if (is_required(&ft_text_fields[i], ret_row) && find(&ft_text_fields[i], object) == NULL) {
            return refuse(reterr_diag, FT_E_NOT_FOUND, &ft_text_fields[i], "missing");
        }
    }
    return FT_OK;
}
