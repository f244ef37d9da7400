/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the programs that are replaced at link time (--wrap): randomness comes from the
 * seed, and nothing waits.
 */
#include "sim.h"

struct ft_random *__wrap_ft_random_system(void);
bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns);

struct ft_random *__wrap_ft_random_system(void) { return &sim_world->program_random.base; }

bool __wrap_ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only,
                               int64_t deadline_mono_ns)
{
    (void)reader;
    (void)durable_only;
    return sim_collector_sink_waits(&sim_world->collector, deadline_mono_ns);
}
