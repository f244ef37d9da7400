/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "text/escape.h"

const char *const ft_cli_colour_names[] = {"auto", "always", "never", NULL};

static struct ft_http_client *volatile clients[FT_CLI_CLIENTS_MAX];
static volatile sig_atomic_t interrupted;

bool ft_cli_use_colour(int colour)
{
    if (colour != FT_COLOUR_AUTO) {
        return colour == FT_COLOUR_ALWAYS;
    }
    /* https://no-color.org */
    const char *no_color = getenv("NO_COLOR");
    return (no_color == NULL || no_color[0] == '\0') && isatty(STDOUT_FILENO) == 1;
}

static void write_error(const char *begin, const char *text)
{
    struct ft_buf line;
    ft_buf_init(&line, 0);
    ft_buf_add_str(&line, begin);
    ft_cli_add_clean(&line, text);
    ft_buf_add_char(&line, '\n');
    /* In one piece, so that lines of several programs do not mix. */
    if (line.err == FT_OK && write(STDERR_FILENO, line.data, line.size) < 0) {
        ft_err_ignore(ft_err_last(), "there is nowhere else to tell");
    }
    ft_buf_deinit(&line);
}

void ft_cli_error(const char *format, ...)
{
    struct ft_buf text;
    ft_buf_init(&text, 0);
    va_list args;
    va_start(args, format);
    ft_buf_vaddf(&text, format, args);
    va_end(args);
    write_error("flowtrail: ", ft_buf_str(&text));
    ft_buf_deinit(&text);
}

void ft_cli_diag(const struct ft_diag *diag)
{
    char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
    ft_diag_format(diag, text, sizeof text);
    ft_cli_error("%s", text);
}

void ft_cli_hint(const char *text)
{
    if (isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {
        write_error("", text);
    }
}

void ft_cli_progress(const char *text)
{
    if (isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1) {
        (void)fprintf(stderr, "\r\033[K%s", text != NULL ? text : "");
    }
}

void ft_cli_add_clean(struct ft_buf *buf, const char *text)
{
    char part[256];
    while (*text != '\0') {
        size_t len = strcspn(text, "\\");
        if (len == 0) {
            ft_buf_add_char(buf, '\\');
            text++;
            continue;
        }
        if (len >= sizeof part) {
            len = sizeof part - 1;
            /* Not inside a character. */
            while (len > 1 && ((unsigned char)text[len] & 0xc0) == 0x80) {
                len--;
            }
        }
        memcpy(part, text, len);
        part[len] = '\0';
        ft_text_escape(buf, part);
        text += len;
    }
}

void ft_cli_add_column(struct ft_buf *buf, const char *text, unsigned width)
{
    size_t before = buf->size;
    ft_cli_add_clean(buf, text);
    while (buf->err == FT_OK && buf->size - before < width) {
        ft_buf_add_char(buf, ' ');
    }
}

/* The code point of a sequence of two or three bytes, which is all that matters here; 0: none. */
static unsigned code_point(const unsigned char *at, size_t size)
{
    if (size >= 2 && (at[0] & 0xe0) == 0xc0) {
        return (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU);
    }
    if (size >= 3 && (at[0] & 0xf0) == 0xe0) {
        return (at[0] & 0x0fU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
    }
    return 0;
}

/* C1, and what turns the direction of reading; these can stand inside strings only. */
static bool is_obeyed(unsigned point)
{
    return (point >= 0x80 && point <= 0x9f) || point == 0x061c || point == 0x200e ||
           point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

void ft_cli_add_json(struct ft_buf *buf, const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0; i < size; i++) {
        unsigned point = code_point(at + i, size - i);
        if (is_obeyed(point)) {
            ft_buf_addf(buf, "\\u%04x", point);
            i += point < 0x800 ? 1 : 2;
        } else if (at[i] == 0x7f) {
            ft_buf_add_str(buf, "\\u007f");
        } else {
            /* Below 0x20 there is only white space between the values. */
            ft_buf_add_char(buf, at[i] < 0x20 ? ' ' : (char)at[i]);
        }
    }
}

ft_err ft_cli_write(const struct ft_buf *buf)
{
    FT_TRY(buf->err);
    for (size_t at = 0; at < buf->size;) {
        ssize_t n = write(STDOUT_FILENO, buf->data + at, buf->size - at);
        if (n >= 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            return ft_err_last();
        } else if (interrupted != 0) {
            return FT_E_CANCELLED;
        }
    }
    return FT_OK;
}

int ft_cli_finish(const struct ft_buf *buf, int code)
{
    ft_err err = ft_cli_write(buf);
    if (err == FT_OK || err == ft_err_from_errno(EPIPE)) {
        return code;
    }
    ft_cli_error("cannot write the answer: %s", ft_err_text(err));
    return FT_EXIT_FAILED;
}

bool ft_cli_has_reader(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) <= 0 || (out.revents & POLLERR) == 0;
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    for (size_t i = 0; i < FT_CLI_CLIENTS_MAX; i++) {
        if (clients[i] != NULL) {
            ft_http_client_cancel(clients[i]);
        }
    }
}

void ft_cli_catch_signals(void)
{
    /* No SA_RESTART: a write that waits for its reader must return. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool ft_cli_is_interrupted(void) { return interrupted != 0; }

void ft_cli_register(struct ft_http_client *client)
{
    size_t i = 0;
    while (i < FT_CLI_CLIENTS_MAX && clients[i] != NULL) {
        i++;
    }
    assert(i < FT_CLI_CLIENTS_MAX);
    clients[i] = client;
}

void ft_cli_unregister(struct ft_http_client *client)
{
    for (size_t i = 0; i < FT_CLI_CLIENTS_MAX; i++) {
        if (clients[i] == client) {
            clients[i] = NULL;
        }
    }
}
