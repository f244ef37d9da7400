/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's metrics: names on the left, where the numbers live on the right.  Every number is
 * read when /metrics is asked for.
 *
 * Thread: registration: the main thread.
 */
#ifndef FT_AGENT_AGENT_METRICS_H
#define FT_AGENT_AGENT_METRICS_H 1

#include "base/error.h"

struct ft_agent;

/* After all parts are made; they outlive the registry's use. */
FT_MUST_USE ft_err ft_agent_metrics_register(struct ft_agent *agent);

#endif
