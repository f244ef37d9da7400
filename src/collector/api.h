/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collector says of itself and of its agents, as JSON: /api/v1/status, /api/v1/agents,
 * /api/v1/quarantine.
 *
 * Thread: any.
 */
#ifndef FT_COLLECTOR_API_H
#define FT_COLLECTOR_API_H 1

#include "auth/receipt_key.h"
#include "collector/account.h"
#include "collector/ingest.h"
#include "collector/instances.h"
#include "collector/sinker.h"
#include "json/writer.h"

/* What the parts say; borrowed for the call. */
struct ft_collector_view {
    const char *host_name;
    struct ft_uuid collector_id;
    struct ft_uuid store_epoch;
    char receipt_key[FT_RECEIPT_KEY_TEXT_SIZE];
    int64_t started_ns;
    int64_t now_ns;
    const char *ingest_listen;
    struct ft_instances *instances;
    const struct ft_ingest_stats *ingest;
    const struct ft_sinker_stats *sinker;
    struct ft_log *log;
    struct ft_quarantine *quarantine;
    uint64_t store_file_bytes;
    const char *store_error;  /* "" when the store works. */
    const char *ingest_error; /* "" when the log works. */
};

void ft_collector_write_status(struct ft_json_writer *writer, const struct ft_collector_view *view);
/* An array of what is in quarantine. */
void ft_collector_write_quarantine(struct ft_json_writer *writer,
                                   const struct ft_collector_view *view);
void ft_collector_write_agents(struct ft_json_writer *writer, const struct ft_collector_view *view);

#endif
