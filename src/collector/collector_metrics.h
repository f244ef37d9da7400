/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's metrics: names on the left, where the numbers live on the right.  Every number is
 * read when /metrics is asked for.
 *
 * Thread: registration: the main thread.
 */
#ifndef FT_COLLECTOR_COLLECTOR_METRICS_H
#define FT_COLLECTOR_COLLECTOR_METRICS_H 1

#include "base/error.h"

struct ft_collector;

/* After all parts but the network are made; they outlive the registry's use. */
FT_MUST_USE ft_err ft_collector_metrics_register(struct ft_collector *collector);

#endif
