/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this collector is: its id, kept in the file "identity" of the data directory, and the id of
 * its log (the store epoch), kept inside the log's directory so that it is lost with the log.
 *
 * Thread: any; called at start.
 */
#ifndef FT_COLLECTOR_IDENTITY_H
#define FT_COLLECTOR_IDENTITY_H 1

#include "base/disk.h"
#include "base/random.h"
#include "flow/ids.h"

/* Reads the id from the file 'name', or makes one and keeps it. FT_E_CORRUPT when the file holds
 * anything else than an id. */
FT_MUST_USE ft_err ft_identity_load(struct ft_disk *disk, const char *name,
                                    struct ft_random *random, struct ft_uuid *ret_id);

#endif
