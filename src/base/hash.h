/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes that are not for secrets: table keys (XXH3) and checksums of stored blocks (XXH3, 64
 * bit).  The only user of libxxhash.
 *
 * Thread: any.
 */
#ifndef FT_BASE_HASH_H
#define FT_BASE_HASH_H 1

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 with a seed; the same bytes and seed give the same value on every machine. */
uint64_t ft_hash64(const void *data, size_t size, uint64_t seed);

#endif
