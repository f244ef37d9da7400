/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts for shells, made from the tables of the commands.
 *
 * Thread: any.  Errors stay in 'out->err'.
 */
#ifndef FT_CLI_COMPLETION_H
#define FT_CLI_COMPLETION_H 1

#include "base/buf.h"

void ft_completion_bash(struct ft_buf *out);
void ft_completion_zsh(struct ft_buf *out);
void ft_completion_fish(struct ft_buf *out);

#endif
