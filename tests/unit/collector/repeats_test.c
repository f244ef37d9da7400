/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every event comes three times at least, in any order behind its first, over restarts and at two
 * collectors: each shows it once.  From the session to the rows of the store all is the
 * collector's; an agent is what the protocol says, but that it repeats itself without need.
 */
#include "collector/recovery.h"
#include "collector/sinker.h"
#include "ingest_world.h"
#include "sink/duckdb_sink.h"

#ifndef REPEATS_BLOCKS
#define REPEATS_BLOCKS 50
#endif

#define N_SITES         2
#define N_AGENTS        4
#define N_BLOCKS        REPEATS_BLOCKS
#define BLOCK_EVENTS    50U
#define N_TIMES         3
#define EVENTS          ((uint64_t)N_AGENTS * N_BLOCKS * BLOCK_EVENTS)
#define LIFE_SENDS      (2 * N_BLOCKS + 3)
#define COMMIT_SENDS    8
#define DEDUP_BYTES_MAX 1024

/* What an instance costs, whatever number of events it had. */
_Static_assert(6 * sizeof(uint64_t) + 2 * sizeof(struct ft_ranges) +
                       sizeof(struct ft_instance_key) <=
                   DEDUP_BYTES_MAX,
               "telling repeats takes 1 KiB for each instance");

struct agent {
    struct ft_instance_key key;
    struct peer peer;
    uint64_t next;                     /* The block that comes next, from 0. */
    uint64_t n_pooled;                 /* Blocks up to here have their repeats in the pool. */
    uint32_t pool[N_TIMES * N_BLOCKS]; /* Blocks that are to be sent again. */
    size_t n_pool;
};

struct site {
    struct ft_disk *disk;
    struct ft_duckdb *duckdb;
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_sink *sink;
    struct ft_sinker *sinker;
    struct ft_ingest *ingest;
    struct ft_random_seeded random;
    struct agent agents[N_AGENTS];
    uint64_t n_sent;
    uint64_t n_lives;
};

static ft_err set_gaps(void *ctx, const struct ft_instance_key *of, const struct ft_ranges *gaps)
{
    struct site *site = ctx;
    return ft_duckdb_sink_set_gaps(site->sink, &of->agent_id, &of->instance_id, gaps, NULL);
}

static void greet(struct site *site, struct agent *agent)
{
    struct ft_principal principal = {.name = "test"};
    agent->peer = (struct peer){0};
    CHECK_OK(ft_ingest_session_open(site->ingest, &agent->peer, "192.0.2.1:1", &principal,
                                    &agent->peer.session));
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = agent->key.agent_id,
                                 .instance_id = agent->key.instance_id,
                                 .oldest_seq = agent->next * BLOCK_EVENTS + 1,
                                 .next_seq = agent->next * BLOCK_EVENTS + 1};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    CHECK(ft_ingest_session_message(agent->peer.session, buf.data, buf.size));
    ft_buf_deinit(&buf);
    CHECK_INT(agent->peer.last.kind, FT_RESPONSE_WELCOME);
    CHECK_INT(agent->peer.last.welcome.n_lost, 0);
    /* What was not committed when the collector was stopped comes once more, in order. */
    agent->next = agent->peer.last.welcome.durable_seq / BLOCK_EVENTS;
}

/* As a collector that starts; its store is open already. */
static void start(struct site *site)
{
    struct ft_log_options log = {
        .bytes_max = 64 << 20, .segment_bytes = 1 << 20, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_disk_open(site->disk, &log, NULL, NULL, &site->log));
    CHECK_OK(ft_instances_create(&site->instances));
    CHECK_OK(ft_recovery_from_store(site->duckdb, site->instances, NULL));
    CHECK_OK(ft_duckdb_sink_create(site->duckdb, &site->sink, NULL));
    struct ft_sinker_options sinker = {.name = "duckdb",
                                       .batch_rows = 5000,
                                       .batch_interval_ns = FT_NS_PER_S,
                                       .clock = ft_clock_system(),
                                       .log = site->log,
                                       .log_id = {{7}},
                                       .sink = site->sink,
                                       .instances = site->instances};
    CHECK_OK(ft_sinker_create(&sinker, &site->sinker, NULL));
    uint64_t position = ft_sinker_stats(site->sinker)->committed_position;
    uint64_t n_behind;
    CHECK_OK(ft_recovery_from_log(site->log, position, site->instances, set_gaps, site));
    CHECK_OK(ft_recovery_reconcile(site->instances, NULL, position, &n_behind));
    struct ft_ingest_options ingest = {.collector_id = collector_id,
                                       .store_epoch = store_epoch,
                                       .random = &site->random.base,
                                       .version = "test",
                                       .queue_bytes_max = 64 << 20,
                                       .window_bytes = 8 << 20,
                                       .message_bytes_max = 1 << 20,
                                       .status_interval_ms = 1000,
                                       .clock = ft_clock_system(),
                                       .log = site->log,
                                       .instances = site->instances,
                                       .peer_ops = &peer_ops};
    CHECK_OK(ft_ingest_create(&ingest, &site->ingest));
    for (size_t i = 0; i < N_AGENTS; i++) {
        greet(site, &site->agents[i]);
    }
    site->n_lives++;
}

/* The power fails: what was not committed is not there at the next start. */
static void stop(struct site *site)
{
    ft_fault_disk_stop_now(site->disk);
    ft_err_ignore(ft_ingest_commit(site->ingest, 0), "only to empty the queue");
    for (size_t i = 0; i < N_AGENTS; i++) {
        ft_ingest_session_close(site->agents[i].peer.session);
    }
    ft_ingest_destroy(site->ingest);
    ft_sinker_destroy(site->sinker);
    ft_sink_close(site->sink);
    ft_instances_destroy(site->instances);
    ft_log_destroy(site->log);
    ft_fault_disk_restart(site->disk, FT_FAULT_LOSE);
}

/* Some repeat, or the next new block. */
static uint64_t pick(struct site *site, struct agent *agent)
{
    struct ft_random *random = &site->random.base;
    bool is_new =
        agent->next < N_BLOCKS && (agent->n_pool == 0 || ft_random_below(random, N_TIMES) == 0);
    if (!is_new) {
        size_t i = ft_random_below(random, agent->n_pool);
        uint64_t block = agent->pool[i];
        if (block < agent->next) {
            agent->pool[i] = agent->pool[--agent->n_pool];
            return block;
        }
    }
    uint64_t block = agent->next++;
    for (unsigned i = 1; i < N_TIMES && block >= agent->n_pooled; i++) {
        agent->pool[agent->n_pool++] = (uint32_t)block;
    }
    agent->n_pooled = agent->next > agent->n_pooled ? agent->next : agent->n_pooled;
    return block;
}

static bool send_some(struct site *site)
{
    size_t first = ft_random_below(&site->random.base, N_AGENTS);
    for (size_t i = 0; i < N_AGENTS; i++) {
        struct agent *agent = &site->agents[(first + i) % N_AGENTS];
        if (agent->next < N_BLOCKS || agent->n_pool > 0) {
            uint64_t block = pick(site, agent);
            (void)send_batch(agent->peer.session, &agent->key.instance_id, block * BLOCK_EVENTS + 1,
                             BLOCK_EVENTS, FT_EVENT_DROP);
            CHECK(!agent->peer.closed);
            site->n_sent += BLOCK_EVENTS;
            return true;
        }
    }
    return false;
}

static void store_all(struct site *site)
{
    uint64_t last;
    CHECK_OK(ft_log_sync(site->log, &last));
    /* The last positions may have been used up without a block. */
    for (unsigned i = 0; i < N_AGENTS * N_BLOCKS * N_TIMES &&
                         ft_sinker_stats(site->sinker)->committed_position < last;
         i++) {
        CHECK_OK(ft_sinker_step(site->sinker, 0, NULL));
        CHECK_OK(ft_sinker_flush(site->sinker, NULL));
    }
}

static void live(struct site *site)
{
    bool more = true;
    while (more) {
        start(site);
        for (unsigned n = 1; n <= LIFE_SENDS && more; n++) {
            more = send_some(site);
            if (n % COMMIT_SENDS == 0 && ft_random_below(&site->random.base, 50) != 0) {
                CHECK_OK(ft_ingest_commit(site->ingest, 0));
            }
        }
        if (site->n_lives % 2 == 0) {
            store_all(site); /* Else the next life finds it in the log. */
        }
        if (!more) {
            CHECK_OK(ft_ingest_commit(site->ingest, 0));
            store_all(site);
        }
        stop(site);
    }
}

/* The store takes rising numbers of an instance only: as many as the last one are each of them. */
static void check_each_once(struct site *site)
{
    start(site);
    struct ft_duckdb_stats stats;
    CHECK_OK(ft_duckdb_get_stats(site->duckdb, &stats, NULL));
    CHECK_INT(stats.rows, EVENTS);
    for (size_t i = 0; i < N_AGENTS; i++) {
        struct ft_instance known;
        CHECK(ft_instances_get(site->instances, &site->agents[i].key, &known));
        CHECK_INT(known.stored_events, N_BLOCKS * BLOCK_EVENTS);
        CHECK_INT(known.stored_seq, N_BLOCKS * BLOCK_EVENTS);
        CHECK_INT(known.missing_events, 0);
        CHECK_INT(known.gaps.n, 0);
    }
    stop(site);
}

TEST(every_event_three_times_in_any_order)
{
    static struct site sites[N_SITES];
    uint64_t n_sent = 0;
    uint64_t n_lives = 0;
    for (size_t k = 0; k < N_SITES; k++) {
        struct site *site = &sites[k];
        ft_random_seeded_init(&site->random, 16 + k);
        site->disk = ft_fault_disk_create(1);
        struct ft_duckdb_options duckdb = {.memory_bytes = UINT64_C(256) << 20, .threads = 1};
        CHECK_OK(ft_duckdb_open(&duckdb, &site->duckdb, NULL));
        for (size_t i = 0; i < N_AGENTS; i++) {
            site->agents[i].key = (struct ft_instance_key){{{1, (uint8_t)i}}, {{2, (uint8_t)i}}};
        }
        live(site);
        check_each_once(site);
        CHECK(site->n_sent >= N_TIMES * EVENTS);
        CHECK(site->n_lives > 5);
        n_sent += site->n_sent;
        n_lives += site->n_lives;
        ft_duckdb_close(site->duckdb);
        ft_disk_destroy(site->disk);
    }
    printf("matrix: R16 %llu events, each sent %d times or more and shuffled, over %llu starts of "
           "%d collectors (%llu sent); each collector shows each once; 1 KiB per agent at most\n",
           (unsigned long long)EVENTS, N_TIMES, (unsigned long long)n_lives, N_SITES,
           (unsigned long long)n_sent);
}
