/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TEXT_SIZE 1001
#define LINE_SIZE (TEXT_SIZE * 6 + 128)

static struct {
    int fd;
    enum ft_log_form form;
    _Atomic int level;
} logger = {.fd = STDERR_FILENO, .form = FT_LOG_FORM_JSON, .level = FT_LOG_INFO};

static const char *const level_names[FT_LOG_LEVEL_N] = {"error", "warn", "info", "debug"};

static size_t escape(char *to, size_t size, const char *text, bool json);

void ft_log_setup(int fd, enum ft_log_form form, enum ft_log_level level)
{
    if (form == FT_LOG_FORM_AUTO) {
        if (isatty(fd)) {
            form = FT_LOG_FORM_TTY;
        } else if (getenv("JOURNAL_STREAM") != NULL) {
            form = FT_LOG_FORM_JOURNAL;
        } else {
            form = FT_LOG_FORM_JSON;
        }
    }
    logger.fd = fd;
    logger.form = form;
    logger.level = (int)level;
}

void ft_log_set_level(enum ft_log_level level) { logger.level = (int)level; }

bool ft_log_level_parse(const char *name, enum ft_log_level *ret_level)
{
    for (int i = 0; i < FT_LOG_LEVEL_N; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum ft_log_level)i;
            return true;
        }
    }
    return false;
}

void ft_log(enum ft_log_level level, const char *module, const char *format, ...)
{
    if ((int)level > logger.level) {
        return;
    }
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);

    char when[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(ft_clock_real_ns(ft_clock_system()), 3, when);
    char line[LINE_SIZE];
    size_t at = 0;
    switch (logger.form) {
    case FT_LOG_FORM_TTY:
        at = (size_t)snprintf(line, sizeof line, "%.12s %-5s %s: ", when + 11, level_names[level],
                              module);
        break;
    case FT_LOG_FORM_JOURNAL: {
        static const int priorities[FT_LOG_LEVEL_N] = {3, 4, 6, 7};
        at = (size_t)snprintf(line, sizeof line, "<%d>%s: ", priorities[level], module);
        break;
    }
    case FT_LOG_FORM_AUTO:
    case FT_LOG_FORM_JSON:
        at = (size_t)snprintf(line, sizeof line,
                              "{\"time\":\"%s\",\"level\":\"%s\",\"module\":\"%s\",\"text\":\"",
                              when, level_names[level], module);
        break;
    }
    bool json = logger.form == FT_LOG_FORM_JSON;
    at += escape(line + at, sizeof line - at - 4, text, json);
    at += (size_t)snprintf(line + at, sizeof line - at, "%s\n", json ? "\"}" : "");
    /* A log that cannot be written has no better place to go. */
    ssize_t n = write(logger.fd, line, at);
    (void)n;
}

static size_t escape(char *to, size_t size, const char *text, bool json)
{
    size_t at = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0' && at + 7 < size; c++) {
        if (json && (*c == '"' || *c == '\\')) {
            to[at++] = '\\';
            to[at++] = (char)*c;
        } else if (*c < 0x20 || *c == 0x7f) {
            at += (size_t)snprintf(to + at, size - at, json ? "\\u%04x" : "\\x%02x", *c);
        } else {
            to[at++] = (char)*c;
        }
    }
    return at;
}
