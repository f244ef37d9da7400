/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian numbers in files, whatever the machine is.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_BASE_LE_H
#define FT_BASE_LE_H 1

#include <stdint.h>

static inline void ft_le_put(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t ft_le_get(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

#endif
