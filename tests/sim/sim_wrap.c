/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the programs that are replaced at link time (--wrap): randomness comes from the
 * seed, and nothing waits.
 */
#include <stdarg.h>

#include "base/log.h"
#include "sim.h"

struct ft_random *__wrap_ft_random_system(void);
bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns);

ft_err __wrap_ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position);
ft_err __real_ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position);

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
        if (sim_world->agents[i].log == log) {
            sim_agent_appended(&sim_world->agents[i], info, err);
        }
    }
    return err;
}

struct ft_random *__wrap_ft_random_system(void) { return &sim_world->program_random.base; }

bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns)
{
    (void)reader;
    (void)durable_only;
    return sim_collector_sink_waits(&sim_world->collector, deadline_mono_ns);
}
