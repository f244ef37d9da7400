/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small values as people write them: durations, sizes, whole numbers.
 *
 * Thread: any.
 */
#ifndef FT_BASE_PARSE_H
#define FT_BASE_PARSE_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * "250ms", "1h30m", "5s", "10us", "2d": a sum of whole numbers with a unit (ns us ms s m h d), or
 * "0".  FT_E_SYNTAX for anything else, FT_E_RANGE past about 292 years.
 */
FT_MUST_USE ft_err ft_parse_duration(const char *text, int64_t *ret_ns);

/* "64MiB", "1GB", "4096", "512KiB", "10k": whole number, unit B, kB/k/MB/GB/TB or KiB/MiB/GiB/TiB.
 */
FT_MUST_USE ft_err ft_parse_size(const char *text, uint64_t *ret_bytes);

/* Digits only, at most 'max'. */
FT_MUST_USE ft_err ft_parse_u64(const char *text, uint64_t max, uint64_t *ret_value);

/* "2026-01-02T03:04:05Z", with decimals or an offset ("+02:00"), or a date alone (UTC midnight). */
FT_MUST_USE ft_err ft_parse_rfc3339(const char *text, int64_t *ret_real_ns);

/* "1h30m", "250ms": the largest exact form; what ft_parse_duration reads back. */
void ft_format_duration(int64_t ns, char *buf, size_t size);

/* "64MiB", or plain digits when no binary unit fits exactly; what ft_parse_size reads back. */
void ft_format_size(uint64_t bytes, char *buf, size_t size);

#endif
