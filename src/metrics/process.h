/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program reports about itself: process_* (the names and units of the Prometheus client
 * libraries) and NAME_build_info.
 *
 * Thread: any.
 */
#ifndef FT_METRICS_PROCESS_H
#define FT_METRICS_PROCESS_H 1

#include "metrics/metrics.h"

/* Fails as ft_metrics_add_gauge_fn(). */
FT_MUST_USE ft_err ft_metrics_add_process(struct ft_metrics *metrics);

/* A gauge "PREFIX_build_info" with the value 1; 'prefix' is such as "flowtrail_agent". */
FT_MUST_USE ft_err ft_metrics_add_build_info(struct ft_metrics *metrics, const char *prefix,
                                             const char *version, const char *revision);

#endif
