/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rescue.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hold.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"

/* How long a process that is ending is waited for. */
#define BUSY_WAIT_NS   (20 * FT_NS_PER_MS)
#define BUSY_TRIES_MAX 150

struct ft_rescue {
    const struct ft_agent_options *config;
    struct ft_random *random;
    bool wanted;
    struct ft_hold *hold;
    int events_fd;
    struct ft_memory *memory;
    bool adopted;
    bool has_kept;
    struct ft_spool_kept kept;
    bool lost;
};

_Static_assert(sizeof(struct ft_pipeline_kept) <= FT_MEMORY_OWNER_BYTES, "room in a commit");
_Static_assert(sizeof(struct ft_block_info) <= FT_MEMORY_INFO_BYTES, "room beside a block");
_Static_assert(FT_LOG_BLOCK_SIZE_MAX <= FT_MEMORY_BLOCK_BYTES, "room for a block");

static void adopt(struct ft_rescue *rescue, int memory_fd);
static bool take_kept(struct ft_rescue *rescue);
static void find_first(void *ctx, const void *info, size_t info_size, const void *block,
                       size_t block_size);
static void let_go(struct ft_rescue *rescue, const char *why);

bool ft_rescue_is_wanted(const struct ft_agent_options *config)
{
    return config->capture.crash_safe != FT_CRASH_SAFE_OFF && config->spool.path[0] != '\0' &&
           config->replay[0] == '\0';
}

ft_err ft_rescue_open(const struct ft_agent_options *config, struct ft_random *random,
                      struct ft_rescue **ret_rescue)
{
    FT_CLEANUP(ft_rescue_close) struct ft_rescue *rescue = calloc(1, sizeof *rescue);
    if (rescue == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    rescue->config = config;
    rescue->random = random;
    rescue->wanted = ft_rescue_is_wanted(config);
    rescue->events_fd = -1;
    struct ft_held held;
    FT_TRY(ft_hold_open(config->control.socket, &rescue->hold, &held));
    rescue->events_fd = held.events_fd;
    if (!rescue->wanted) {
        if (held.memory_fd >= 0 || held.events_fd >= 0) {
            ft_fd_close(&held.memory_fd);
            let_go(rescue, "capture.crash_safe is off");
        }
    } else if (held.memory_fd >= 0) {
        adopt(rescue, held.memory_fd);
    } else if (held.events_fd >= 0) {
        let_go(rescue, "the memory that belongs to the socket is gone");
    }
    *ret_rescue = FT_TAKE(rescue);
    return FT_OK;
}

void ft_rescue_close(struct ft_rescue *rescue)
{
    if (rescue != NULL) {
        ft_memory_destroy(rescue->memory);
        ft_fd_close(&rescue->events_fd);
        ft_hold_close(rescue->hold);
        free(rescue);
    }
}

const struct ft_spool_kept *ft_rescue_get_kept(const struct ft_rescue *rescue)
{
    return rescue->has_kept ? &rescue->kept : NULL;
}

void ft_rescue_begin(struct ft_rescue *rescue, bool went_on, bool unclean)
{
    if (rescue->memory != NULL && !went_on) {
        let_go(rescue, "it belongs to another spool");
    }
    rescue->lost = rescue->lost || (rescue->wanted && unclean && !went_on);
    if (!rescue->wanted || rescue->memory != NULL) {
        return;
    }
    struct ft_memory_options options = {.ring_bytes = rescue->config->capture.queue_bytes_max,
                                        .table_bytes_max =
                                            rescue->config->capture.flow_table_bytes_max,
                                        .hash_seed = ft_random_u64(rescue->random)};
    ft_err err = ft_memory_create(&options, &rescue->memory);
    if (err == FT_OK) {
        err = ft_hold_keep_memory(rescue->hold, rescue->memory->fd);
    }
    if (err != FT_OK) {
        ft_memory_destroy(rescue->memory);
        rescue->memory = NULL;
        ft_log(FT_LOG_WARN, "agent",
               "nobody can hold the event socket over a crash of this process (%s): going on "
               "without, a crash loses what is heard meanwhile",
               ft_err_text(err));
    }
}

void ft_rescue_load(struct ft_rescue *rescue, struct ft_disk *disk,
                    const struct ft_saved_owner *owner)
{
    if (rescue->memory == NULL || rescue->adopted) {
        return;
    }
    ft_err err = ft_saved_read(disk, rescue->memory, owner);
    if (err != FT_OK && err != FT_E_NOT_FOUND) {
        ft_log(FT_LOG_WARN, "agent",
               "what the last stop has kept of flows cannot be read (%s): those that go on are "
               "reported as new",
               ft_err_text(err));
    }
}

void ft_rescue_begin_anew(struct ft_rescue *rescue, const char *why)
{
    let_go(rescue, why);
    ft_rescue_begin(rescue, false, true);
}

struct ft_memory *ft_rescue_get_memory(const struct ft_rescue *rescue) { return rescue->memory; }

int ft_rescue_take_events(struct ft_rescue *rescue)
{
    int fd = rescue->events_fd;
    rescue->events_fd = -1;
    return fd;
}

void ft_rescue_on_socket(void *ctx, int fd)
{
    struct ft_rescue *rescue = ctx;
    ft_err err = ft_hold_keep_events(rescue->hold, fd);
    if (err != FT_OK) {
        ft_log(FT_LOG_WARN, "agent",
               "the event socket is not held over a crash of this process: %s", ft_err_text(err));
    }
}

struct restoring {
    struct ft_pipeline *pipeline;
    uint64_t known_seq;
    uint64_t held_seq;
};

static void restore_block(void *ctx, const void *info, size_t info_size, const void *block,
                          size_t block_size)
{
    const struct restoring *restoring = ctx;
    struct ft_block_info parsed;
    if (info_size == sizeof parsed) {
        memcpy(&parsed, info, sizeof parsed);
        if (parsed.first_seq > restoring->known_seq || parsed.first_seq == restoring->held_seq) {
            ft_pipeline_restore(restoring->pipeline, &parsed, block, block_size);
        }
    }
}

void ft_rescue_restore(const struct ft_rescue *rescue, struct ft_pipeline *pipeline,
                       uint64_t known_seq, uint64_t held_seq)
{
    struct restoring restoring = {pipeline, known_seq, held_seq};
    if (rescue->adopted) {
        ft_memory_each_block(rescue->memory, restore_block, &restoring);
    }
}

bool ft_rescue_get_loss(const struct ft_rescue *rescue, struct ft_loss *ret_loss)
{
    if (!rescue->lost) {
        return false;
    }
    int64_t now_ns = ft_clock_real_ns(ft_clock_system());
    *ret_loss = (struct ft_loss){.cause = FT_LOSS_CRASH,
                                 .estimated = true,
                                 .begin_ns = now_ns,
                                 .end_ns = now_ns,
                                 .count = 1};
    return true;
}

void ft_rescue_release(struct ft_rescue *rescue) { ft_hold_release(rescue->hold); }

static void adopt(struct ft_rescue *rescue, int memory_fd)
{
    struct ft_diag diag = {0};
    ft_err err = ft_err_from_errno(EBUSY);
    for (unsigned i = 0; i < BUSY_TRIES_MAX && err == ft_err_from_errno(EBUSY); i++) {
        if (i > 0) {
            ft_thread_sleep(BUSY_WAIT_NS);
        }
        int fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, 3);
        err = ft_memory_adopt(fd, &rescue->memory, &diag);
    }
    ft_fd_close(&memory_fd);
    rescue->adopted = err == FT_OK;
    if (err != FT_OK) {
        let_go(rescue, diag.text[0] != '\0' ? diag.text : ft_err_text(err));
    } else if (!take_kept(rescue)) {
        let_go(rescue, "it ended before its first commit");
    } else {
        ft_log(FT_LOG_INFO, "agent", "going on where the last run was cut off, with its memory%s",
               rescue->events_fd >= 0 ? " and its event socket" : "");
    }
}

/* What the pipeline had committed. */
static bool take_kept(struct ft_rescue *rescue)
{
    struct ft_memory_commit commit;
    struct ft_pipeline_kept kept;
    if (!ft_memory_get_committed(rescue->memory, &commit) || commit.owner_size != sizeof kept) {
        return false;
    }
    memcpy(&kept, commit.owner, sizeof kept);
    rescue->kept.instance_id = kept.instance_id;
    rescue->kept.tally = kept.tally;
    ft_memory_each_block(rescue->memory, find_first, rescue);
    rescue->has_kept = true;
    return true;
}

static void find_first(void *ctx, const void *info, size_t info_size, const void *block,
                       size_t block_size)
{
    struct ft_rescue *rescue = ctx;
    struct ft_block_info parsed;
    (void)block;
    (void)block_size;
    if (rescue->kept.first_seq == 0 && info_size == sizeof parsed) {
        memcpy(&parsed, info, sizeof parsed);
        rescue->kept.first_seq = parsed.first_seq;
    }
}

static void let_go(struct ft_rescue *rescue, const char *why)
{
    ft_log(FT_LOG_WARN, "agent",
           "what the last run has left in memory is of no use, beginning anew: %s", why);
    ft_memory_destroy(rescue->memory);
    rescue->memory = NULL;
    rescue->adopted = false;
    rescue->has_kept = false;
    ft_fd_close(&rescue->events_fd);
    ft_hold_release(rescue->hold);
    rescue->lost = rescue->wanted;
}
