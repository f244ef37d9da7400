/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line `flowtrail`: watch flows, see how agent and collector are, find what is wrong.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_CLI_H
#define FT_CLI_CLI_H 1

/* Runs a command; the exit code. */
int ft_cli_run(int argc, char **argv);

#endif
