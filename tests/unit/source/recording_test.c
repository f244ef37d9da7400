/* SPDX-License-Identifier: Apache-2.0 */
#include "source/recording.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/test.h"
#include "rig.h"
#include "source/replay.h"

static const char *path_of(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", ft_test_tmpdir(), name);
    return path;
}

/* A file of three chunks; its size. */
static size_t write_three(const char *path)
{
    struct ft_recording_writer *writer;
    CHECK_OK(ft_recording_writer_open(path, FT_RECORDING_BYTES_DEFAULT, &writer));
    uint8_t data[] = {1, 2, 3, 4, 5};
    struct ft_chunk chunk = {.kind = FT_CHUNK_OPENED,
                             .real_ns = INT64_C(0x0102030405060708),
                             .mono_ns = 1000,
                             .value = -1,
                             .data = data};
    CHECK_OK(ft_recording_writer_add(writer, &chunk));
    chunk.kind = FT_CHUNK_EVENTS;
    chunk.mono_ns = 2000;
    chunk.size = sizeof data;
    CHECK_OK(ft_recording_writer_add(writer, &chunk));
    chunk.kind = (enum ft_chunk_kind)99;
    chunk.mono_ns = 5000;
    chunk.size = 1;
    CHECK_OK(ft_recording_writer_add(writer, &chunk));
    size_t size = (size_t)ft_recording_writer_get_bytes(writer);
    CHECK_OK(ft_recording_writer_close(writer));
    CHECK_INT(size, 8 + 3 * 40 + 5 + 1);
    return size;
}

static size_t read_file(const char *path, uint8_t *buf, size_t size)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t got = fread(buf, 1, size, file);
    fclose(file);
    return got;
}

static void write_file(const char *path, const uint8_t *buf, size_t size)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_INT(fwrite(buf, 1, size, file), size);
    fclose(file);
}

/* Reads as far as it goes; the error at the end. */
static ft_err read_all(const char *path, unsigned *ret_n, struct ft_diag *diag)
{
    struct ft_recording_reader *reader;
    const struct ft_chunk *chunk;
    *ret_n = 0;
    ft_err err = ft_recording_reader_open(path, &reader, diag);
    if (err != FT_OK) {
        return err;
    }
    while ((err = ft_recording_reader_next(reader, &chunk, diag)) == FT_OK) {
        (*ret_n)++;
    }
    ft_recording_reader_close(reader);
    return err;
}

TEST(reads_back_what_was_written)
{
    const char *path = path_of("three");
    write_three(path);
    struct ft_recording_reader *reader;
    const struct ft_chunk *chunk;
    CHECK_OK(ft_recording_reader_open(path, &reader, NULL));
    CHECK_OK(ft_recording_reader_next(reader, &chunk, NULL));
    CHECK_INT(chunk->kind, FT_CHUNK_OPENED);
    CHECK_INT(chunk->real_ns, INT64_C(0x0102030405060708));
    CHECK_INT(chunk->value, -1);
    CHECK_INT(chunk->size, 0);
    CHECK_OK(ft_recording_reader_next(reader, &chunk, NULL));
    CHECK_INT(chunk->kind, FT_CHUNK_EVENTS);
    CHECK_INT(chunk->mono_ns, 2000);
    CHECK_BYTES(chunk->data, chunk->size, ((uint8_t[]){1, 2, 3, 4, 5}), 5);
    CHECK_OK(ft_recording_reader_next(reader, &chunk, NULL));
    CHECK_INT(chunk->kind, 99);
    CHECK_ERR(ft_recording_reader_next(reader, &chunk, NULL), FT_E_END);
    ft_recording_reader_close(reader);
}

TEST(bytes_are_as_documented)
{
    const char *path = path_of("golden");
    uint8_t buf[256];
    write_three(path);
    CHECK_GOLDEN("source/recording.bin", buf, read_file(path, buf, sizeof buf));
}

TEST(finds_every_flipped_byte)
{
    const char *path = path_of("flipped");
    uint8_t buf[256];
    size_t size = write_three(path);
    CHECK_INT(read_file(path, buf, sizeof buf), size);
    for (size_t i = 0; i < size; i++) {
        struct ft_diag diag = {0};
        unsigned n;
        buf[i] ^= 0x20;
        write_file(path, buf, size);
        ft_err expected = i < 7 ? FT_E_SYNTAX : i == 7 ? FT_E_UNSUPPORTED : FT_E_CORRUPT;
        CHECK_ERR(read_all(path, &n, &diag), expected);
        CHECK(diag.text[0] != '\0');
        CHECK_STR(diag.file, path);
        unsigned good = i < 48 ? 0 : i < 93 ? 1 : 2;
        CHECK_INT(n, good);
        buf[i] ^= 0x20;
    }
}

TEST(a_cut_file_is_good_up_to_the_cut)
{
    const char *path = path_of("cut");
    uint8_t buf[256];
    size_t size = write_three(path);
    CHECK_INT(read_file(path, buf, sizeof buf), size);
    for (size_t cut = 0; cut < size; cut++) {
        struct ft_diag diag = {0};
        unsigned n;
        write_file(path, buf, cut);
        bool at_end = cut == 8 || cut == 48 || cut == 93;
        CHECK_ERR(read_all(path, &n, &diag), cut < 8  ? FT_E_SYNTAX
                                             : at_end ? FT_E_END
                                                      : FT_E_CORRUPT);
        CHECK_INT(n, cut < 48 ? 0 : cut < 93 ? 1 : 2);
    }
    struct ft_diag diag;
    unsigned n;
    write_file(path, buf, 60);
    CHECK_ERR(read_all(path, &n, &diag), FT_E_CORRUPT);
    CHECK_STR(diag.text, "the chunk at offset 48 is cut off in its header");
}

TEST(an_impossible_size_is_refused_before_it_is_read)
{
    const char *path = path_of("huge");
    uint8_t buf[256];
    size_t size = write_three(path);
    CHECK_INT(read_file(path, buf, sizeof buf), size);
    memcpy(buf + 8 + 12, "\xff\xff\xff\x7f", 4);
    write_file(path, buf, size);
    struct ft_diag diag;
    unsigned n;
    CHECK_ERR(read_all(path, &n, &diag), FT_E_CORRUPT);
    CHECK_STR(diag.text, "the chunk at offset 8 has an impossible size");
}

TEST(stops_at_its_bound_with_whole_chunks)
{
    const char *path = path_of("bound");
    struct ft_recording_writer *writer;
    uint8_t data[16] = {0};
    struct ft_chunk chunk = {.kind = FT_CHUNK_EVENTS, .size = sizeof data, .data = data};
    CHECK_OK(ft_recording_writer_open(path, 8 + 56 + 55, &writer));
    CHECK_OK(ft_recording_writer_add(writer, &chunk));
    CHECK_ERR(ft_recording_writer_add(writer, &chunk), FT_E_FULL);
    chunk.size = 0;
    CHECK_ERR(ft_recording_writer_add(writer, &chunk), FT_E_FULL); /* No hole in the middle. */
    CHECK_OK(ft_recording_writer_close(writer));
    struct ft_diag diag;
    unsigned n;
    CHECK_ERR(read_all(path, &n, &diag), FT_E_END);
    CHECK_INT(n, 1);
    CHECK_ERR(ft_recording_writer_open(path, 1000, &writer), ft_err_from_errno(EEXIST));
}

TEST(follows_no_link)
{
    struct ft_recording_writer *writer;
    const char *path = path_of("link");
    CHECK_INT(symlink("/dev/null", path), 0);
    CHECK_ERR(ft_recording_writer_open(path, 1 << 20, &writer), ft_err_from_errno(EEXIST));
}

TEST(tells_of_a_disk_that_takes_no_more)
{
    struct ft_recording_writer *writer;
    uint8_t *data = calloc(1, FT_CHUNK_SIZE_MAX);
    struct ft_chunk chunk = {.kind = FT_CHUNK_EVENTS, .size = FT_CHUNK_SIZE_MAX, .data = data};
    struct rlimit old;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {.rlim_cur = 4096, .rlim_max = old.rlim_max};
    CHECK_OK(ft_recording_writer_open(path_of("small"), 1 << 24, &writer));
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    ft_err err = FT_OK;
    for (unsigned i = 0; i < 3 && err == FT_OK; i++) {
        err = ft_recording_writer_add(writer, &chunk);
    }
    ft_err again = ft_recording_writer_add(writer, &chunk);
    ft_err at_close = ft_recording_writer_close(writer);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
    free(data);
    CHECK_ERR(err, ft_err_from_errno(EFBIG));
    CHECK_ERR(again, ft_err_from_errno(EFBIG));
    CHECK_ERR(at_close, ft_err_from_errno(EFBIG));
}

TEST(replays_at_recorded_speed_or_at_once)
{
    const char *path = path_of("speed");
    struct ft_replay *replay;
    const struct ft_chunk *chunk;
    int64_t due;
    write_three(path);
    CHECK_OK(ft_replay_open(path, false, &replay, NULL));
    CHECK_OK(ft_replay_next(replay, 700000, &chunk, &due, NULL));
    CHECK_ERR(ft_replay_next(replay, 700000, &chunk, &due, NULL), ft_err_from_errno(EAGAIN));
    CHECK_INT(due, 701000);
    CHECK_ERR(ft_replay_next(replay, 700999, &chunk, &due, NULL), ft_err_from_errno(EAGAIN));
    CHECK_OK(ft_replay_next(replay, 701000, &chunk, &due, NULL));
    CHECK_INT(chunk->mono_ns, 2000);
    CHECK_OK(ft_replay_next(replay, 709000, &chunk, &due, NULL));
    CHECK_ERR(ft_replay_next(replay, 709000, &chunk, &due, NULL), FT_E_END);
    ft_replay_close(replay);
    CHECK_OK(ft_replay_open(path, true, &replay, NULL));
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(ft_replay_next(replay, 0, &chunk, &due, NULL));
    }
    CHECK_ERR(ft_replay_next(replay, 0, &chunk, &due, NULL), FT_E_END);
    ft_replay_close(replay);
}

static void tap(void *ctx, const struct ft_chunk *chunk)
{
    CHECK_OK(ft_recording_writer_add(ctx, chunk));
}

/* A run with overruns, dumps and interim events, and the same again from its recording. */
TEST(a_replay_gives_the_events_of_the_run)
{
    const char *path = path_of("run");
    struct rig rig;
    struct ft_recording_writer *writer;
    CHECK_OK(ft_recording_writer_open(path, FT_RECORDING_BYTES_DEFAULT, &writer));
    rig_init(&rig);
    rig.tap = tap;
    rig.tap_ctx = writer;
    rig.kernel.rcvbuf_bytes_max = 64 * FT_FAKE_EVENT_BYTES;
    rig.options.tracker.update_interval_ns = FT_NS_PER_S;
    rig_start(&rig);
    for (uint32_t n = 0; n < 300; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 9);
        if (n > 100) {
            ft_fake_kernel_count(&rig.kernel, n / 2, 1, 5, 1, 5);
            ft_fake_kernel_end(&rig.kernel, n - 100);
        }
        if (n % 50 == 0) {
            rig.reader_stalls = !rig.reader_stalls;
        }
        rig_run(&rig, 20 * FT_NS_PER_MS);
    }
    rig.reader_stalls = false;
    rig_run(&rig, 3 * FT_NS_PER_S);
    CHECK_OK(ft_recording_writer_close(writer));
    CHECK(rig.ledger.n_events[FT_EVENT_UPDATE] > 10);
    CHECK(rig.ledger.n_inferred[FT_EVENT_START] > 10);

    struct ft_ledger again;
    struct ft_source_stats stats = {0};
    struct ft_tracker *tracker;
    struct ft_replay *replay;
    const struct ft_chunk *chunk;
    int64_t due;
    ft_ledger_init(&again, rig.ledger.epoch_ns);
    CHECK_OK(ft_tracker_create(&rig.options.tracker, ft_ledger_emit, &again, &stats, &tracker));
    CHECK_OK(ft_replay_open(path, true, &replay, NULL));
    while (ft_replay_next(replay, 0, &chunk, &due, NULL) == FT_OK) {
        ft_tracker_consume(tracker, chunk);
    }
    CHECK_STR(ft_buf_str(&again.transcript), ft_buf_str(&rig.ledger.transcript));
    ft_replay_close(replay);
    ft_tracker_destroy(tracker);
    ft_ledger_deinit(&again);
    rig_deinit(&rig);
}
