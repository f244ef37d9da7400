/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the quarantine (collector/quarantine.h has its form): written, read, named.
 *
 * Thread: any.
 */
#ifndef FT_COLLECTOR_QUARANTINE_FILE_H
#define FT_COLLECTOR_QUARANTINE_FILE_H 1

#include "collector/quarantine.h"

/* A new file; after a failure a part of it may be there. */
FT_MUST_USE ft_err ft_quarantine_file_write(struct ft_disk *disk, const struct ft_uuid *log_id,
                                            const struct ft_quarantine_entry *entry,
                                            const void *data, bool durable);

/*
 * Fills all but kind and number, which name the file.  FT_E_CORRUPT, FT_E_RANGE (larger than any
 * block), or the disk's error.
 */
FT_MUST_USE ft_err ft_quarantine_file_read(struct ft_disk *disk, const struct ft_uuid *log_id,
                                           struct ft_quarantine_entry *entry);

/* False for a name that is not one of ours. */
bool ft_quarantine_name_parse(const char *name, enum ft_quarantine_kind *ret_kind,
                              uint64_t *ret_number);

#endif
