/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded flow store: one DuckDB file, written by one sink (duckdb_sink.h) and read by
 * queries (duckdb_reader.h), each over connections of their own.  schema.sql says what is in the
 * file.
 *
 * The database itself is shut off: no extension is loaded, no other file is opened, settings are
 * locked.  Memory is bounded; what does not fit goes to a bounded directory beside the file.
 *
 * Thread: any.
 */
#ifndef FT_SINK_DUCKDB_H
#define FT_SINK_DUCKDB_H 1

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FT_DUCKDB_MEMORY_BYTES_DEFAULT (UINT64_C(512) << 20)
#define FT_DUCKDB_MEMORY_BYTES_MIN     (UINT64_C(64) << 20)
#define FT_DUCKDB_SPILL_BYTES_DEFAULT  (UINT64_C(2) << 30)
#define FT_DUCKDB_WAL_BYTES_DEFAULT    (UINT64_C(64) << 20)
#define FT_DUCKDB_THREADS_DEFAULT      2

struct ft_duckdb_options {
    const char *path;      /* The file, made if missing; NULL: in memory, for tests. */
    uint64_t memory_bytes; /* DuckDB's buffers; 0: default. */
    uint64_t spill_bytes;  /* On disk, of queries that do not fit into memory; 0: default. */
    uint64_t wal_bytes;    /* The write-ahead log is folded in when it is larger; 0: default. */
    unsigned threads;      /* Of all queries together, besides the callers'; 0: default. */
};

struct ft_duckdb;

/*
 * Opens or makes the store.  FT_E_UNSUPPORTED: the file was made by a newer flowtrail, and is left
 * as it is.  FT_E_STORE with DuckDB's words for anything else (no file of DuckDB's, in use by
 * another process, no permission).
 */
FT_MUST_USE ft_err ft_duckdb_open(const struct ft_duckdb_options *options,
                                  struct ft_duckdb **ret_db, struct ft_diag *reterr_diag);

/* Accepts NULL.  Sink and readers are closed. */
void ft_duckdb_close(struct ft_duckdb *db);
FT_DEFINE_CLEANUP(struct ft_duckdb, ft_duckdb_close);

/* DuckDB's own version, "v1.5.6"; static. */
const char *ft_duckdb_version(void);

struct ft_duckdb_stats {
    uint64_t file_bytes; /* On disk.  0 in memory. */
    uint64_t wal_bytes;
    uint64_t used_bytes; /* In the file, of blocks that hold data; the rest is filled again. */
    uint64_t rows;       /* Of flows; an estimate while rows are being deleted. */
    int64_t oldest_ns;   /* Time of the oldest event; 0 when there is none. */
    int64_t newest_ns;
};

FT_MUST_USE ft_err ft_duckdb_get_stats(struct ft_duckdb *db, struct ft_duckdb_stats *ret_stats,
                                       struct ft_diag *reterr_diag);

#endif
