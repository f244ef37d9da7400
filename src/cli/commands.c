/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `flowtrail`, in the order in which help shows them. */
#include <string.h>

#include "cli/command.h"

const struct ft_command *const ft_commands[] = {
    &ft_command_observe,    &ft_command_status,  &ft_command_losses,
    &ft_command_ledger,     &ft_command_doctor,  &ft_command_token,
    &ft_command_completion, &ft_command_version, NULL,
};

const struct ft_command *ft_command_find(const char *name)
{
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        if (strcmp(ft_commands[i]->name, name) == 0) {
            return ft_commands[i];
        }
    }
    return NULL;
}
