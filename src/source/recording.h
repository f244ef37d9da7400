/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: files of chunks, in the order in which the tracker took them.  A recording replayed
 * (source/replay.h) gives the same events as the recorded run: what a user can send with a bug
 * report, and what tests are made of.  It contains addresses and ports of real connections.
 *
 * The format, little endian, nothing aligned:
 *
 *     offset  size  header of the file
 *          0     7  "FTREC1\n"
 *          7     1  version: 1
 *
 *     offset  size  each chunk
 *          0     8  XXH3-64, with seed 0, of everything behind it
 *          8     4  kind (enum ft_chunk_kind); readers pass over kinds they do not know
 *         12     4  size of the data, at most 262,144 (FT_CHUNK_SIZE_MAX)
 *         16     8  real time, ns since 1970
 *         24     8  monotonic time, ns
 *         32     8  value
 *         40  size  data
 *
 * The file has no end mark: it ends where a chunk ends.  One that was cut off (the program or the
 * machine died) is good up to there.
 *
 * Bound: the writer stops at 'bytes_max', with whole chunks.
 *
 * Thread: owner only.  The writer writes to the disk in the pipeline's thread: a recording is for
 * looking into something, not for every day.
 */
#ifndef FT_SOURCE_RECORDING_H
#define FT_SOURCE_RECORDING_H 1

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "source/chunk.h"

#define FT_RECORDING_MAGIC         "FTREC1\n"
#define FT_RECORDING_VERSION       1
#define FT_RECORDING_HEADER_SIZE   8
#define FT_RECORDING_CHUNK_SIZE    40
#define FT_RECORDING_BYTES_DEFAULT ((uint64_t)1 << 30)

struct ft_recording_writer;

/* Makes the file 'path' (mode 0600), which must not exist.  Fails with the system's error. */
FT_MUST_USE ft_err ft_recording_writer_open(const char *path, uint64_t bytes_max,
                                            struct ft_recording_writer **ret_writer);

/* FT_E_FULL at the bound, else the system's error; both are final, and later chunks give the same
 * error. */
FT_MUST_USE ft_err ft_recording_writer_add(struct ft_recording_writer *writer,
                                           const struct ft_chunk *chunk);

uint64_t ft_recording_writer_get_bytes(const struct ft_recording_writer *writer);

/* Accepts NULL.  Gives what the last write to the disk failed with, or an earlier error but
 * FT_E_FULL. */
ft_err ft_recording_writer_close(struct ft_recording_writer *writer);

struct ft_recording_reader;

/*
 * FT_E_SYNTAX: not a recording; FT_E_UNSUPPORTED: of a version that we do not know; else the
 * system's error.  '*reterr_diag' (may be NULL) says which.
 */
FT_MUST_USE ft_err ft_recording_reader_open(const char *path,
                                            struct ft_recording_reader **ret_reader,
                                            struct ft_diag *reterr_diag);
void ft_recording_reader_close(struct ft_recording_reader *reader);
FT_DEFINE_CLEANUP(struct ft_recording_reader, ft_recording_reader_close);

/*
 * The next chunk, valid until the next call.  FT_E_END at the end; FT_E_CORRUPT, with the offset
 * in '*reterr_diag', for a chunk that fails its checksum or is cut off: nothing behind it can be
 * read.
 */
FT_MUST_USE ft_err ft_recording_reader_next(struct ft_recording_reader *reader,
                                            const struct ft_chunk **ret_chunk,
                                            struct ft_diag *reterr_diag);

#endif
