/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's parts, for the files that assemble them (collector.c, site.c). */
#ifndef FT_COLLECTOR_COLLECTOR_IMPL_H
#define FT_COLLECTOR_COLLECTOR_IMPL_H 1

#include <stdatomic.h>

#include "auth/token_store.h"
#include "base/disk.h"
#include "base/thread.h"
#include "collector/api.h"
#include "collector/collector.h"
#include "collector/identity.h"
#include "collector/ingest.h"
#include "collector/quarantine.h"
#include "collector/service.h"
#include "collector/sinker.h"
#include "collector/site.h"
#include "metrics/metrics.h"
#include "os/host.h"
#include "sink/duckdb.h"
#include "sink/duckdb_reader.h"
#include "sink/duckdb_sink.h"

#define FT_COLLECTOR_ERROR_SIZE 256

struct ft_collector {
    /* Set at the start. */
    struct ft_collector_options options; /* Its strings are the caller's. */
    ft_collector_load_fn *load;
    void *load_ctx;
    const struct ft_clock *clock;
    int signal_fd;
    int64_t started_ns;
    struct ft_host host;
    struct ft_identity identity;
    uint64_t damaged_blocks; /* That the log had to give up at the start. */
    char ingest_listen[128];
    struct ft_metrics *metrics;
    struct ft_token_store *tokens;
    struct ft_disk *disk;
    struct ft_disk *log_disk;
    struct ft_log *log;
    struct ft_disk *quarantine_disk;
    struct ft_quarantine *quarantine;
    struct ft_instances *instances;
    struct ft_ledger *ledger;
    bool recovered; /* The main thread; so is the next one. */
    bool ledger_failed;
    struct ft_duckdb *duckdb;
    struct ft_sink *sink;
    struct ft_flow_reader *reader;
    struct ft_sinker *sinker;
    struct ft_ingest *ingest;
    struct ft_service *service;
    struct ft_site site;
    struct ft_thread commit_thread;
    struct ft_thread sinker_thread;
    /* Any thread. */
    _Atomic bool stopping;
    _Atomic int64_t commit_alive_ns;
    _Atomic int64_t sinker_alive_ns;
    struct ft_mutex lock;
    char store_error[FT_COLLECTOR_ERROR_SIZE] FT_GUARDED; /* "" while it works. */
    char ingest_error[FT_COLLECTOR_ERROR_SIZE] FT_GUARDED;
    uint64_t store_file_bytes FT_GUARDED;
    /* Its counters are read by metrics, which outlive it at the stop; NULL while it does not
     * listen. Only the main thread changes it, and may read it without the lock. */
    struct ft_mutex server_lock;
    struct ft_rpc_server *server FT_GUARDED;
};

struct ft_collector_texts {
    char store_error[FT_COLLECTOR_ERROR_SIZE];
    char ingest_error[FT_COLLECTOR_ERROR_SIZE];
};

/* What the API shows; 'ret_texts' holds the strings of the view.  Thread: any. */
void ft_collector_get_view(struct ft_collector *collector, struct ft_collector_view *ret_view,
                           struct ft_collector_texts *ret_texts);

#endif
