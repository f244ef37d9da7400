/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From connection tracking to events without memory: whatever the flow table could not hold, each
 * flow has one START and one END, and their counters sum up to the kernel's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../source/rig.h"
#include "base/thread.h"
#include "lib/alloc_fail.h"
#include "lib/test.h"
#include "source/recording.h"
#include "source/replay.h"

/* So many that the flow table grows several times. */
#define FLOWS 2500

static void emit_spared(void *ctx, struct ft_event *event)
{
    ft_alloc_fail_pause();
    ft_ledger_emit(ctx, event);
    ft_alloc_fail_resume();
}

static void live(struct rig *rig, size_t *flows)
{
    for (uint32_t i = 0; i < FLOWS; i++) {
        flows[i] = ft_fake_kernel_begin_sample(&rig->kernel, i);
        ft_fake_kernel_count(&rig->kernel, flows[i], 3, 300 + i, 2, 200);
        if (i % 100 == 0) {
            rig_settle(rig);
        }
    }
    /* A dump for counters comes in between. */
    rig_run(rig, 2 * FT_NS_PER_S);
    for (uint32_t i = 0; i < FLOWS; i++) {
        ft_fake_kernel_count(&rig->kernel, flows[i], 1, 100, 1, 100);
        ft_fake_kernel_end(&rig->kernel, flows[i]);
        if (i % 100 == 0) {
            rig_settle(rig);
        }
    }
    rig_run(rig, FT_NS_PER_S);
}

static ft_err source(void *ctx)
{
    (void)ctx;
    static struct rig rig;
    static size_t flows[FLOWS];
    ft_alloc_fail_pause();
    rig_init(&rig);
    rig.options.tracker.update_interval_ns = FT_NS_PER_S;
    rig.emit = emit_spared;
    ft_alloc_fail_resume();
    ft_err err = rig_try_start(&rig);
    if (err == FT_OK) {
        live(&rig, flows);
        for (size_t i = 0; i < FLOWS; i++) {
            rig_check_complete(&rig, flows[i]);
        }
        CHECK_INT(rig.ledger.n_lost, 0);
    }
    ft_source_destroy(rig.source);
    rig.source = NULL;
    ft_alloc_fail_pause();
    rig_deinit(&rig);
    ft_alloc_fail_resume();
    return err;
}

TEST(source_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "source", .run = source};
    ft_alloc_fail_each(&scenario);
}

/* With its own thread, which may not start. */
static ft_err source_thread(void *ctx)
{
    (void)ctx;
    static struct rig rig;
    ft_alloc_fail_pause();
    rig_init(&rig);
    ft_alloc_fail_resume();
    ft_err err = rig_try_start(&rig);
    if (err == FT_OK) {
        err = ft_source_start(rig.source);
        ft_source_stop(rig.source);
    }
    ft_source_destroy(rig.source);
    rig.source = NULL;
    ft_alloc_fail_pause();
    rig_deinit(&rig);
    ft_alloc_fail_resume();
    return err;
}

TEST(source_thread_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "source thread", .run = source_thread};
    ft_alloc_fail_each(&scenario);
}

static ft_err record(const char *path)
{
    struct ft_recording_writer *writer = NULL;
    FT_TRY(ft_recording_writer_open(path, FT_RECORDING_BYTES_DEFAULT, &writer));
    uint8_t data[5000] = {1};
    struct ft_chunk chunk = {.kind = FT_CHUNK_EVENTS, .data = data, .size = sizeof data};
    ft_err err = FT_OK;
    for (unsigned i = 0; i < 20 && err == FT_OK; i++) {
        chunk.mono_ns = i;
        err = ft_recording_writer_add(writer, &chunk);
    }
    ft_err close_err = ft_recording_writer_close(writer);
    return err != FT_OK ? err : close_err;
}

static ft_err play(const char *path)
{
    FT_CLEANUP(ft_replay_close) struct ft_replay *replay = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_replay_open(path, true, &replay, &diag);
    if (err != FT_OK) {
        CHECK(diag.text[0] != '\0');
        return err;
    }
    const struct ft_chunk *chunk;
    int64_t due_ns;
    unsigned n = 0;
    while ((err = ft_replay_next(replay, 0, &chunk, &due_ns, &diag)) == FT_OK) {
        n++;
    }
    CHECK(err != FT_E_END || n == 20);
    return err == FT_E_END ? FT_OK : err;
}

static ft_err recording(void *ctx)
{
    const char *path = ctx;
    ft_err err = record(path);
    if (err == FT_OK) {
        err = play(path);
    }
    (void)unlink(path);
    return err;
}

TEST(recording_without_memory)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/recording", ft_test_tmpdir());
    struct ft_alloc_scenario scenario = {.name = "recording", .run = recording, .ctx = path};
    ft_alloc_fail_each(&scenario);
}
