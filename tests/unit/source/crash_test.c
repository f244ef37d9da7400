/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source dies at any point, and another one goes on with its memory and its socket: every flow
 * has one START and one END all the same, and its sums are the kernel's.
 *
 * The owner that packs events into blocks is played by the test: what was emitted since the last
 * commit dies with the process; blocks are in the log when the ledger has them.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fake_kernel.h"
#include "lib/flow_ledger.h"
#include "lib/test.h"
#include "source/flow_table.h"
#include "source/source.h"

/* Events of a block. */
#define BLOCK_EVENTS 16

struct owner {
    uint64_t next_seq;
};

struct info {
    uint64_t first_seq;
    uint64_t n_events;
};

struct host {
    struct ft_fake_kernel kernel;
    struct ft_source_options options;
    struct ft_random_seeded random;
    struct ft_ledger ledger; /* What is in the log. */
    uint64_t last_seq;       /* Of it. */

    /* The process. */
    struct ft_memory *memory;
    struct ft_source *source;
    struct owner owner;
    struct ft_event open[FT_MEMORY_BLOCK_BYTES / sizeof(struct ft_event)];
    size_t n_open;
    enum ft_reader_wait wait;
    int64_t wait_until;

    /* When it dies: after so many of them. */
    unsigned steps_left; /* Emits, settles, commits, appends; UINT_MAX: never. */
    jmp_buf death;
    unsigned n_deaths;
    unsigned n_commits;
};

/* A point at which the process may die. */
static void pass(struct host *host)
{
    if (host->steps_left != UINT_MAX && host->steps_left-- == 0) {
        longjmp(host->death, 1);
    }
}

static void append(void *ctx, const void *info, size_t info_size, const void *block,
                   size_t block_size)
{
    struct host *host = ctx;
    struct info parsed;
    CHECK_INT(info_size, sizeof parsed);
    memcpy(&parsed, info, sizeof parsed);
    CHECK_INT(block_size, parsed.n_events * sizeof(struct ft_event));
    if (parsed.first_seq <= host->last_seq) {
        return; /* It had come so far. */
    }
    CHECK_INT(parsed.first_seq, host->last_seq + 1);
    for (uint64_t i = 0; i < parsed.n_events; i++) {
        struct ft_event event;
        memcpy(&event, (const uint8_t *)block + i * sizeof event, sizeof event);
        CHECK_INT(event.seq, parsed.first_seq + i);
        ft_ledger_emit(&host->ledger, &event);
    }
    host->last_seq += parsed.n_events;
}

static void commit(struct host *host)
{
    struct info info = {host->owner.next_seq - host->n_open, host->n_open};
    struct ft_source_commit commit = {.owner = &host->owner, .owner_size = sizeof host->owner};
    if (host->n_open > 0) {
        commit.block = host->open;
        commit.block_size = host->n_open * sizeof host->open[0];
        commit.block_info = &info;
        commit.block_info_size = sizeof info;
        commit.block_last = host->owner.next_seq - 1;
    }
    pass(host);
    ft_source_commit(host->source, &commit);
    host->n_commits++;
    pass(host);
    if (host->n_open > 0) {
        append(host, &info, sizeof info, host->open, commit.block_size);
        pass(host);
        ft_memory_release(host->memory, host->last_seq, host->last_seq);
        pass(host);
    }
    host->n_open = 0;
}

static void emit(void *ctx, struct ft_event *event)
{
    struct host *host = ctx;
    pass(host);
    event->seq = host->owner.next_seq++;
    if (event->type == FT_EVENT_START) {
        event->traffic_class = FT_CLASS_PHYSICAL; /* As the ledger would. */
    }
    CHECK(host->n_open < sizeof host->open / sizeof host->open[0]);
    host->open[host->n_open++] = *event;
    pass(host);
}

static void settled(void *ctx)
{
    struct host *host = ctx;
    pass(host);
    if (host->n_open >= BLOCK_EVENTS || ft_source_wants_commit(host->source)) {
        commit(host);
    }
}

static void open_source(struct host *host)
{
    struct ft_source_params params = {
        .options = host->options,
        .kernel = &host->kernel.base,
        .clock = &host->kernel.clock,
        .random = &host->random.base,
        .emit = emit,
        .emit_ctx = host,
        .memory = host->memory,
        .settled = settled,
        .events_fd = open("/dev/null", O_RDWR | O_CLOEXEC),
    };
    host->n_open = 0;
    host->wait = FT_READER_WAIT_NONE;
    CHECK_OK(ft_source_create(&params, &host->source));
    static uint8_t local[] = {4, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct ft_chunk chunk = {.kind = FT_CHUNK_LOCAL_ADDRS, .size = sizeof local, .data = local};
    ft_source_feed(host->source, &chunk);
    chunk = (struct ft_chunk){.kind = FT_CHUNK_SWITCHES, .value = 3};
    ft_source_feed(host->source, &chunk);
}

/* Another process begins with what the last one has left. */
static void begin_again(struct host *host)
{
    struct ft_diag diag = {0};
    int fd = fcntl(host->memory->fd, F_DUPFD_CLOEXEC, 3);
    CHECK(fd >= 0);
    host->kernel.held = true; /* Somebody holds the socket. */
    ft_source_destroy(host->source);
    ft_memory_destroy(host->memory);
    host->kernel.held = false;
    CHECK_OK(ft_memory_adopt(fd, &host->memory, &diag));
    struct ft_memory_commit commit;
    host->owner = (struct owner){1};
    if (ft_memory_get_committed(host->memory, &commit)) {
        CHECK_INT(commit.owner_size, sizeof host->owner);
        memcpy(&host->owner, commit.owner, sizeof host->owner);
    }
    ft_memory_each_block(host->memory, append, host);
    CHECK_INT(host->last_seq + 1, host->owner.next_seq);
    ft_memory_release(host->memory, host->last_seq, host->last_seq);
    open_source(host);
    host->n_deaths++;
}

static void run(struct host *host);

static struct ft_memory *make_memory(void)
{
    struct ft_memory *memory;
    struct ft_memory_options options = {.ring_bytes = FT_CHUNK_QUEUE_BYTES_MIN,
                                        .table_bytes_max = FT_FLOW_TABLE_BYTES_MIN,
                                        .hash_seed = 7};
    CHECK_OK(ft_memory_create(&options, &memory));
    return memory;
}

static void setup(struct host *host)
{
    memset(host, 0, sizeof *host);
    ft_fake_kernel_init(&host->kernel);
    ft_random_seeded_init(&host->random, 1);
    ft_ledger_init(&host->ledger, host->kernel.real_ns);
    ft_source_options_init(&host->options);
    host->options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    host->options.tracker.update_interval_ns = 50 * FT_NS_PER_MS;
    host->owner.next_seq = 1;
    host->steps_left = UINT_MAX;
    host->memory = make_memory();
    open_source(host);
    run(host);
}

static void finish(struct host *host)
{
    ft_source_destroy(host->source);
    ft_memory_destroy(host->memory);
    ft_ledger_deinit(&host->ledger);
    ft_fake_kernel_deinit(&host->kernel);
}

/* What both threads have to do now. */
static void run(struct host *host)
{
    for (unsigned i = 0; i < 1000; i++) {
        host->wait = ft_reader_step(ft_source_get_reader(host->source), host->kernel.mono_ns,
                                    host->kernel.real_ns, &host->wait_until);
        pass(host);
        if (!ft_source_step(host->source, INT64_MIN) && host->wait != FT_READER_WAIT_NONE) {
            break;
        }
    }
}

/* The same, and another process goes on where this one dies. */
static void run_to_the_end(struct host *host)
{
    while (setjmp(host->death) != 0) {
        begin_again(host);
        host->steps_left = UINT_MAX;
    }
    run(host);
}

/* What happens on the host in a millisecond. */
static void live(struct host *host, uint32_t *next)
{
    struct ft_fake_kernel *kernel = &host->kernel;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t dice = ft_random_u64(&host->random.base);
        size_t flow = kernel->n_flows > 0 ? (size_t)(dice >> 8) % kernel->n_flows : 0;
        if (dice % 3 == 0 || kernel->n_flows == 0) {
            flow = ft_fake_kernel_begin_sample(kernel, (*next)++);
            ft_fake_kernel_count(kernel, flow, 1, 60, 0, 0);
        } else if (dice % 3 == 1 && kernel->flows[flow].alive) {
            ft_fake_kernel_count(kernel, flow, 1, dice & 0xff, 2, 99);
        } else if (kernel->flows[flow].alive) {
            ft_fake_kernel_end(kernel, flow);
        }
    }
    ft_fake_kernel_advance(kernel, FT_NS_PER_MS);
}

static void check_flow(struct host *host, size_t number)
{
    const struct ft_ct_record *record = &host->kernel.flows[number].record;
    const struct ft_ledger_flow *entry = ft_ledger_find(&host->ledger, record->id);
    CHECK(entry != NULL);
    CHECK_INT(entry->n_starts, 1);
    CHECK_INT(entry->n_ends, 1);
    bool ingress = entry->direction == FT_DIR_INGRESS;
    CHECK_INT(entry->rx_bytes, ingress ? record->orig_bytes : record->reply_bytes);
    CHECK_INT(entry->tx_bytes, ingress ? record->reply_bytes : record->orig_bytes);
    CHECK_INT(entry->rx_packets + entry->tx_packets, record->orig_packets + record->reply_packets);
}

/* Everything ends and is told; then all books are held against each other. */
static void check_all(struct host *host)
{
    for (size_t i = 0; i < host->kernel.n_flows; i++) {
        if (host->kernel.flows[i].alive) {
            ft_fake_kernel_end(&host->kernel, i);
            run_to_the_end(host);
        }
    }
    for (unsigned ms = 0; ms < 3000; ms += 10) {
        ft_fake_kernel_advance(&host->kernel, 10 * FT_NS_PER_MS);
        run_to_the_end(host);
    }
    commit(host);
    for (size_t i = 0; i < host->kernel.n_flows; i++) {
        check_flow(host, i);
    }
    CHECK_INT(host->ledger.n_events[FT_EVENT_LOSS], 0);
    CHECK_INT(ft_ledger_count_open(&host->ledger), 0);
}

/* A clean stop, and the next start; what happens between is up to 'meanwhile'. */
static ft_err stop_and_start(struct host *host, struct ft_disk *disk, uint64_t number_after,
                             void (*meanwhile)(struct host *host))
{
    struct ft_saved_owner owner = {.id = "spool", .number = host->last_seq};
    commit(host);
    owner.number = host->last_seq;
    CHECK_OK(ft_source_save(host->source, disk, &owner));
    ft_source_destroy(host->source);
    ft_memory_destroy(host->memory);
    meanwhile(host);
    host->memory = make_memory();
    owner.number = number_after != 0 ? number_after : owner.number;
    ft_err err = ft_saved_read(disk, host->memory, &owner);
    open_source(host);
    return err;
}

/* Of ten flows that began before: some end, some go on, and others begin and end. */
static void change_flows(struct host *host)
{
    struct ft_fake_kernel *kernel = &host->kernel;
    for (size_t i = 0; i < 10; i++) {
        ft_fake_kernel_count(kernel, i, 5, 500, 3, 300);
    }
    ft_fake_kernel_end(kernel, 2);
    ft_fake_kernel_end(kernel, 3);
    ft_fake_kernel_advance(kernel, 20 * FT_NS_PER_S);
    ft_fake_kernel_end(kernel, ft_fake_kernel_begin_sample(kernel, 100));
    (void)ft_fake_kernel_begin_sample(kernel, 101);
    ft_fake_kernel_advance(kernel, FT_NS_PER_S);
}

static void run_for(struct host *host, int64_t ns)
{
    for (; ns > 0; ns -= 10 * FT_NS_PER_MS) {
        ft_fake_kernel_advance(&host->kernel, 10 * FT_NS_PER_MS);
        run_to_the_end(host);
    }
}

static struct host host;

TEST(a_stop_and_a_start_change_no_flow)
{
    struct ft_disk *disk;
    CHECK_OK(ft_disk_posix_create(ft_test_tmpdir(), &disk));
    setup(&host);
    for (uint32_t n = 0; n < 10; n++) {
        ft_fake_kernel_count(&host.kernel, ft_fake_kernel_begin_sample(&host.kernel, n), n, n, 1,
                             1);
    }
    run_for(&host, 2 * FT_NS_PER_S);
    CHECK_INT(host.ledger.n_events[FT_EVENT_START], 10);
    CHECK(host.ledger.n_events[FT_EVENT_UPDATE] > 0); /* Deltas were told. */
    CHECK_OK(stop_and_start(&host, disk, 0, change_flows));
    run_for(&host, 5 * FT_NS_PER_S);
    commit(&host);
    /* The two that ended without a witness, and the one that began; the other was never seen. */
    CHECK_INT(host.ledger.n_inferred[FT_EVENT_END], 2);
    CHECK_INT(host.ledger.n_events[FT_EVENT_START], 11);
    CHECK((ft_ledger_find(&host.ledger, 101)->start_fields & FT_FIELD_PREEXISTING) == 0);
    CHECK_INT(host.ledger.n_events[FT_EVENT_LOSS], 1);
    CHECK_INT(host.ledger.last_loss.cause, FT_LOSS_SHUTDOWN);
    CHECK(host.ledger.last_loss.estimated);
    for (size_t i = 0; i < host.kernel.n_flows; i++) {
        if (host.kernel.flows[i].alive) {
            ft_fake_kernel_end(&host.kernel, i);
        }
    }
    run_for(&host, 3 * FT_NS_PER_S);
    commit(&host);
    for (size_t i = 0; i < 10; i++) {
        if (i != 2 && i != 3) {
            check_flow(&host, i);
        }
    }
    CHECK_INT(ft_ledger_count_open(&host.ledger), 0);
    finish(&host);
    ft_disk_destroy(disk);
}

static void do_nothing(struct host *unused) { (void)unused; }

/* A file that counts once, and only where nothing has changed since. */
TEST(what_a_stop_has_kept_counts_once)
{
    struct ft_disk *disk;
    struct ft_saved_owner owner = {.id = "spool"};
    CHECK_OK(ft_disk_posix_create(ft_test_tmpdir(), &disk));
    setup(&host);
    struct ft_memory *memory = make_memory();
    CHECK_ERR(ft_saved_read(disk, memory, &owner), FT_E_NOT_FOUND);
    CHECK_ERR(stop_and_start(&host, disk, 99, do_nothing), FT_E_NOT_FOUND);
    CHECK_OK(stop_and_start(&host, disk, 0, do_nothing));
    owner.number = host.last_seq;
    CHECK_ERR(ft_saved_read(disk, memory, &owner), FT_E_NOT_FOUND);
    /* Any byte of it may be wrong. */
    for (uint64_t at = 0; at < 2000; at += 13) {
        CHECK_OK(ft_source_save(host.source, disk, &owner));
        struct ft_disk_file *file;
        CHECK_OK(disk->ops->open(disk, FT_SAVED_NAME, false, &file));
        uint8_t byte;
        size_t size;
        CHECK_OK(disk->ops->read_at(file, at, &byte, 1, &size));
        byte ^= 0x10;
        CHECK_OK(disk->ops->write_at(file, at, &byte, 1));
        disk->ops->close(file);
        ft_err err = ft_saved_read(disk, memory, &owner);
        CHECK(err == FT_E_CORRUPT || err == FT_E_NOT_FOUND);
        CHECK_INT(memory->header->n_segments, 0);
        CHECK_INT(memory->header->committed, 0);
    }
    ft_memory_destroy(memory);
    finish(&host);
    ft_disk_destroy(disk);
}

TEST(lives_without_a_crash)
{
    uint32_t next = 0;
    setup(&host);
    for (unsigned ms = 0; ms < 300; ms++) {
        live(&host, &next);
        run_to_the_end(&host);
    }
    check_all(&host);
    CHECK(host.n_commits > 20);
    CHECK(host.ledger.n_events[FT_EVENT_UPDATE] > 10);
    finish(&host);
}

/* One death, at each point of a short life in turn. */
TEST(dies_at_each_point)
{
    for (unsigned point = 0;; point++) {
        uint32_t next = 0;
        setup(&host);
        host.steps_left = point;
        for (unsigned ms = 0; ms < 60; ms++) {
            live(&host, &next);
            run_to_the_end(&host);
        }
        bool died = host.n_deaths > 0;
        host.steps_left = UINT_MAX;
        if (point % 32 == 0 || !died) {
            check_all(&host); /* Takes most of the time. */
        }
        finish(&host);
        if (!died) {
            CHECK(point > 300);
            break;
        }
    }
}

TEST(dies_again_and_again)
{
    uint32_t next = 0;
    setup(&host);
    for (unsigned ms = 0; ms < 1000; ms++) {
        live(&host, &next);
        if (host.steps_left == UINT_MAX) {
            host.steps_left = (unsigned)(ft_random_u64(&host.random.base) % 200);
        }
        run_to_the_end(&host);
    }
    CHECK(host.n_deaths > 50);
    host.steps_left = UINT_MAX;
    check_all(&host);
    finish(&host);
}

/* The first dump of all never comes to its end in one life. */
TEST(a_first_dump_that_dies_again_and_again_is_made_at_once)
{
    setup(&host);
    finish(&host);
    memset(&host, 0, sizeof host);
    ft_fake_kernel_init(&host.kernel);
    ft_random_seeded_init(&host.random, 1);
    ft_ledger_init(&host.ledger, host.kernel.real_ns);
    ft_source_options_init(&host.options);
    host.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    host.owner.next_seq = 1;
    host.steps_left = UINT_MAX;
    host.memory = make_memory();
    for (uint32_t n = 0; n < 40; n++) {
        (void)ft_fake_kernel_begin_sample(&host.kernel, n); /* There before the agent. */
    }
    ft_fake_kernel_advance(&host.kernel, FT_NS_PER_S);
    open_source(&host);
    for (unsigned i = 0; i < 30; i++) {
        ft_fake_kernel_advance(&host.kernel, 10 * FT_NS_PER_MS);
        for (unsigned turn = 0; turn < 4; turn++) { /* Amid the dump. */
            host.wait = ft_reader_step(ft_source_get_reader(host.source), host.kernel.mono_ns,
                                       host.kernel.real_ns, &host.wait_until);
            (void)ft_source_step(host.source, INT64_MIN);
        }
        commit(&host);
        begin_again(&host);
    }
    run_for(&host, 100 * FT_NS_PER_MS);
    commit(&host);
    CHECK_INT(host.ledger.n_events[FT_EVENT_START], 40);
    check_all(&host);
    finish(&host);
}

/* The kernel drops events while nobody is there, and those that are new are found by a dump. */
TEST(an_overrun_while_it_was_dead_is_made_good)
{
    uint32_t next = 0;
    setup(&host);
    host.kernel.rcvbuf_bytes_max = UINT64_C(50) * FT_FAKE_EVENT_BYTES;
    finish(&host);
    setup(&host);
    host.kernel.rcvbuf_bytes_max = UINT64_C(50) * FT_FAKE_EVENT_BYTES;
    for (unsigned ms = 0; ms < 1000; ms++) {
        live(&host, &next);
        if (ms % 100 > 60) {
            continue; /* It is stopped. */
        }
        if (ms % 100 == 0) {
            host.steps_left = 3;
        }
        run_to_the_end(&host);
    }
    CHECK(host.n_deaths >= 9);
    CHECK(host.kernel.drops > 0);
    check_all(&host);
    finish(&host);
}
