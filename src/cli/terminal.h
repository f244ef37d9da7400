/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line's side towards the person: output, messages, colour, Ctrl-C.
 *
 * Whatever a server, a file or a name holds, what is written here cannot move the cursor or begin
 * a line of its own: text from outside goes through ft_cli_add_clean() or the escaping of text/.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_TERMINAL_H
#define FT_CLI_TERMINAL_H 1

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "http/client.h"

enum ft_cli_colour { FT_COLOUR_AUTO, FT_COLOUR_ALWAYS, FT_COLOUR_NEVER };
extern const char *const ft_cli_colour_names[];

/* The option --color, for tables; 'member' is an int. */
#define FT_CLI_COLOUR_OPTION(type, member)                                                         \
    FT_OPT_ENUM(type, member, "color", "auto", ft_cli_colour_names,                                \
                "Colour: auto is on a terminal only.")

/* Colour on standard output? */
bool ft_cli_use_colour(int colour);

/* "flowtrail: TEXT" on standard error, on one line. */
void ft_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ft_cli_diag(const struct ft_diag *diag);
/* A line on standard error for somebody who watches: only when that and standard output are
 * terminals. */
void ft_cli_hint(const char *text);

/* What is being done, on standard error, over the last such text; NULL takes it away.  Only when
 * that is a terminal and standard output is none. */
void ft_cli_progress(const char *text);

/* Control characters as "\xNN"; a backslash stays as it is, unlike in ft_text_escape(). */
void ft_cli_add_clean(struct ft_buf *buf, const char *text);
/* The same in at least 'width' bytes, padded behind. */
void ft_cli_add_column(struct ft_buf *buf, const char *text, unsigned width);
/* 'text' is valid JSON: what a terminal could obey becomes "\\uNNNN", line breaks become spaces. */
void ft_cli_add_json(struct ft_buf *buf, const char *text, size_t size);

/*
 * Writes the buffer to standard output, at once.  -EPIPE when nobody reads any more, FT_E_CANCELLED
 * when Ctrl-C came while waiting for the reader, or the system's error.
 */
FT_MUST_USE ft_err ft_cli_write(const struct ft_buf *buf);

/* The same for a whole answer: 'code', or FT_EXIT_FAILED and a message when writing failed.  A
 * reader that has enough is no failure. */
int ft_cli_finish(const struct ft_buf *buf, int code);

/* Is there still somebody who reads standard output?  For a pipe's other end. */
bool ft_cli_has_reader(void);

/*
 * From now on Ctrl-C and SIGTERM cancel the requests of all clients that are registered (where.h
 * does that) instead of ending the program; a second one ends it.
 */
void ft_cli_catch_signals(void);
bool ft_cli_is_interrupted(void);

#define FT_CLI_CLIENTS_MAX 4
void ft_cli_register(struct ft_http_client *client);
void ft_cli_unregister(struct ft_http_client *client);

#endif
