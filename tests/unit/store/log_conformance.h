/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite that every home of the log passes (log_conformance.c), linked into the test program of
 * each, which says how a log of its kind is made.
 */
#ifndef FT_TESTS_UNIT_STORE_LOG_CONFORMANCE_H
#define FT_TESTS_UNIT_STORE_LOG_CONFORMANCE_H 1

#include "store/log.h"

/* A new, empty log; undone with conformance_destroy. */
struct ft_log *conformance_create(const struct ft_log_options *options);
void conformance_destroy(struct ft_log *log);

#endif
