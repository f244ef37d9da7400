/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/checkup.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "json/writer.h"

static const char *const state_names[] = {"ok", "unseen", "warn", "fail"};
static const char *const state_paints[] = {"\033[32m", "\033[2m", "\033[33m", "\033[31m"};

struct ft_check *ft_checkup_add(struct ft_checkup *checkup, const char *name,
                                enum ft_check_state state, const char *format, ...)
{
    assert(checkup->n < FT_CHECKS_MAX);
    struct ft_check *check = &checkup->checks[checkup->n++];
    *check = (struct ft_check){.name = name, .state = state};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(check->text, sizeof check->text, format, args);
    va_end(args);
    return check;
}

void ft_check_set_fix(struct ft_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(check->fix, sizeof check->fix, format, args);
    va_end(args);
}

static enum ft_check_state worst(const struct ft_checkup *checkup)
{
    enum ft_check_state state = FT_CHECK_OK;
    for (size_t i = 0; i < checkup->n; i++) {
        enum ft_check_state row = checkup->checks[i].state;
        state = row != FT_CHECK_UNSEEN && row > state ? row : state;
    }
    return state;
}

int ft_checkup_judge(const struct ft_checkup *checkup)
{
    switch (worst(checkup)) {
    case FT_CHECK_FAIL:
        return FT_EXIT_FAILED;
    case FT_CHECK_WARN:
        return FT_EXIT_DEGRADED;
    default:
        return FT_EXIT_OK;
    }
}

void ft_checkup_write_table(const struct ft_checkup *checkup, bool colour, struct ft_buf *out)
{
    for (size_t i = 0; i < checkup->n; i++) {
        const struct ft_check *check = &checkup->checks[i];
        ft_buf_addf(out, "%s%-6s%s  %-24s  ", colour ? state_paints[check->state] : "",
                    state_names[check->state], colour ? "\033[0m" : "", check->name);
        ft_cli_add_clean(out, check->text);
        if (check->fix[0] != '\0') {
            ft_buf_add_str(out, "\n                                  fix: ");
            ft_cli_add_clean(out, check->fix);
        }
        ft_buf_add_char(out, '\n');
    }
}

void ft_checkup_write_json(const struct ft_checkup *checkup, struct ft_buf *out)
{
    struct ft_buf json;
    ft_buf_init(&json, 0);
    struct ft_json_writer writer;
    ft_json_writer_init(&writer, &json);
    ft_json_object_begin(&writer);
    ft_json_key_str(&writer, "state", state_names[worst(checkup)]);
    ft_json_key_array(&writer, "checks");
    for (size_t i = 0; i < checkup->n; i++) {
        const struct ft_check *check = &checkup->checks[i];
        ft_json_object_begin(&writer);
        ft_json_key_str(&writer, "name", check->name);
        ft_json_key_str(&writer, "state", state_names[check->state]);
        ft_json_key_str(&writer, "text", check->text);
        if (check->fix[0] != '\0') {
            ft_json_key_str(&writer, "fix", check->fix);
        }
        ft_json_object_end(&writer);
    }
    ft_json_array_end(&writer);
    ft_json_object_end(&writer);
    ft_cli_add_json(out, json.data, json.size);
    ft_buf_add_char(out, '\n');
    out->err = out->err == FT_OK ? json.err : out->err;
    ft_buf_deinit(&json);
}
