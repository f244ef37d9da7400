/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which conntrack switches the agent has turned on, in a small file that a crash leaves behind: the
 * next start takes them over, and its stop turns them off again.
 *
 * The file is text, a line each: "flowtrail switches 1", "boot" with the boot id, "netns" with the
 * inode of the network namespace, then the name of each switch that is ours.  It counts only for
 * the boot and the network namespace that it names.  It is replaced by renaming, so that it is
 * whole after a crash of the process; a reboot makes it void, so it is not synced.
 *
 * Thread: any; one at a time for a path.
 */
#ifndef FT_OS_SWITCH_RECORD_H
#define FT_OS_SWITCH_RECORD_H 1

#include "base/error.h"

/*
 * The bits (FT_SWITCH_BIT) that a former run has left; 0 where there is no file, or one of another
 * boot or namespace.  FT_E_SYNTAX: something else; the system's error when it cannot be read.
 */
FT_MUST_USE ft_err ft_switch_record_load(const char *path, unsigned *ret_owned);

/* 0 removes the file.  Fails with the system's error. */
FT_MUST_USE ft_err ft_switch_record_save(const char *path, unsigned owned);

#endif
