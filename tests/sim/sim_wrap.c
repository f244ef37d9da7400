/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the programs that are replaced at link time (--wrap): randomness comes from the
 * seed, and nothing waits.
 */
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "sim.h"
#include "wire/batch_reader.h"

struct ft_random *__wrap_ft_random_system(void);
bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns);

bool __real_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns);

void __wrap_ft_spool_on_drop(void *ctx, const struct ft_block_info *info, size_t size);
void __real_ft_spool_on_drop(void *ctx, const struct ft_block_info *info, size_t size);
ft_err __wrap_ft_spool_on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread);
ft_err __real_ft_spool_on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread);

/* Only look on. */
void __wrap_ft_spool_on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    sim_spool_drops(ctx, info);
    __real_ft_spool_on_drop(ctx, info, size);
}

ft_err __wrap_ft_spool_on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread)
{
    ft_err err = __real_ft_spool_on_dropped(ctx, first, last, n_unread);
    sim_spool_dropped(ctx, first, last, n_unread, err);
    return err;
}

ft_err __wrap_ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position);
ft_err __real_ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position);

bool __wrap_ft_cond_wait_until(struct ft_cond *cond, struct ft_mutex *mutex,
                               int64_t deadline_mono_ns);

/* Nobody else is there to wait for. */
bool __wrap_ft_cond_wait_until(struct ft_cond *cond, struct ft_mutex *mutex,
                               int64_t deadline_mono_ns)
{
    (void)cond;
    (void)mutex;
    (void)deadline_mono_ns;
    return false;
}

void __wrap_ft_log(enum ft_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines for people are part of the trace. */
void __wrap_ft_log(enum ft_log_level level, const char *module, const char *format, ...)
{
    (void)level;
    if (sim_world == NULL || !sim_is_traced(sim_world)) {
        return;
    }
    char words[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    sim_print_trace(sim_world, "%s says: %s", module, words);
}

/* Only looks on. */
ft_err __wrap_ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position)
{
    ft_err err = __real_ft_log_append(log, info, data, size, ret_position);
    for (unsigned i = 0; i < sim_world->plan.n_agents; i++) {
        if (sim_world->agents[i].memory == log) {
            sim_agent_appended(&sim_world->agents[i], info, err);
        } else if (sim_world->agents[i].log == log && err == FT_OK) {
            sim_spool_appended(&sim_world->agents[i], info, *ret_position);
        }
    }
    if (log == sim_world->collector.log && err == FT_OK) {
        sim_collector_appended(&sim_world->collector, *ret_position);
        sim_oracle_taken(sim_world, info, ft_batch_peek_life(data, size));
    }
    return err;
}

ft_err __wrap_ft_log_sync(struct ft_log *log, uint64_t *ret_position);
ft_err __real_ft_log_sync(struct ft_log *log, uint64_t *ret_position);

ft_err __wrap_ft_log_sync(struct ft_log *log, uint64_t *ret_position)
{
    return log == sim_world->collector.log
               ? sim_collector_sync(&sim_world->collector, log, ret_position)
               : __real_ft_log_sync(log, ret_position);
}

ft_err sim_wrap_real_sync(struct ft_log *log, uint64_t *ret_position)
{
    return __real_ft_log_sync(log, ret_position);
}

ft_err __wrap_ft_slot_file_write(struct ft_slot_file *file, const void *record, size_t size,
                                 bool sync);
ft_err __real_ft_slot_file_write(struct ft_slot_file *file, const void *record, size_t size,
                                 bool sync);

/* Looks on, but for a mutant. */
ft_err __wrap_ft_slot_file_write(struct ft_slot_file *file, const void *record, size_t size,
                                 bool sync)
{
    bool unsynced = file->kind == &ft_spool_state_kind &&
                    sim_world->options.mutant == SIM_MUTANT_ACCOUNT_NOT_SYNCED;
    ft_err err = __real_ft_slot_file_write(file, record, size, sync && !unsynced);
    for (unsigned i = 0; i < sim_world->plan.n_agents && err == FT_OK && sync; i++) {
        struct sim_agent *agent = &sim_world->agents[i];
        if (file->disk == agent->spool.disk && file->kind == &ft_spool_state_kind &&
            agent->spool.spool != NULL) {
            sim_overrun_kept(agent);
        }
    }
    return err;
}

struct ft_exporter;
ft_err __wrap_ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq);
ft_err __real_ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq);

ft_err __wrap_ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq)
{
    return sim_world->options.mutant == SIM_MUTANT_BACK_IGNORED
               ? FT_OK
               : __real_ft_exporter_go_back(exporter, durable_seq);
}

uint64_t __wrap_ft_lives_fork(const struct ft_lives *lives, uint64_t done_seq, uint64_t newest_seq,
                              uint64_t newest_life);
uint64_t __real_ft_lives_fork(const struct ft_lives *lives, uint64_t done_seq, uint64_t newest_seq,
                              uint64_t newest_life);

uint64_t __wrap_ft_lives_fork(const struct ft_lives *lives, uint64_t done_seq, uint64_t newest_seq,
                              uint64_t newest_life)
{
    return sim_world->options.mutant == SIM_MUTANT_LIVES_IGNORED
               ? 0
               : __real_ft_lives_fork(lives, done_seq, newest_seq, newest_life);
}

void __wrap_ft_loss_book_dropped(struct ft_loss_book *book, uint64_t first_seq, uint64_t last_seq);
void __real_ft_loss_book_dropped(struct ft_loss_book *book, uint64_t first_seq, uint64_t last_seq);

void __wrap_ft_loss_book_dropped(struct ft_loss_book *book, uint64_t first_seq, uint64_t last_seq)
{
    if (sim_world->options.mutant != SIM_MUTANT_LOSS_NOT_RETOLD) {
        __real_ft_loss_book_dropped(book, first_seq, last_seq);
    }
}

ft_err __wrap_ft_instances_with(struct ft_instances *instances, const struct ft_instance_key *key,
                                ft_instance_fn *fn, void *ctx);
ft_err __real_ft_instances_with(struct ft_instances *instances, const struct ft_instance_key *key,
                                ft_instance_fn *fn, void *ctx);

ft_err __wrap_ft_instances_with(struct ft_instances *instances, const struct ft_instance_key *key,
                                ft_instance_fn *fn, void *ctx)
{
    struct ft_instance_key bare = *key;
    if (sim_world->options.mutant == SIM_MUTANT_DEDUP_BARE) {
        memset(&bare.agent_id, 0, sizeof bare.agent_id);
    }
    return __real_ft_instances_with(instances, &bare, fn, ctx);
}

struct ft_random *__wrap_ft_random_system(void) { return &sim_world->program_random.base; }

bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns)
{
    if (deadline_mono_ns == 0) {
        return __real_ft_log_reader_wait(reader, durable_only, 0);
    }
    return sim_collector_sink_waits(&sim_world->collector, deadline_mono_ns);
}
