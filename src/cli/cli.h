/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line `flowtrail`: watch flows, see how agent and collector are, find what is wrong.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_CLI_H
#define FT_CLI_CLI_H 1

#include "base/buf.h"

/* Runs a command; the exit code. */
int ft_cli_run(int argc, char **argv);

/* The manual flowtrail(1), with all commands, in scdoc's language.  Errors stay in 'out->err'. */
void ft_cli_man(struct ft_buf *out);

#endif
