/* SPDX-License-Identifier: Apache-2.0 */
/* Single ownership of a heap object inside one function. Thread: any. */
#ifndef FT_BASE_CLEANUP_H
#define FT_BASE_CLEANUP_H 1

#include <stddef.h>

/* After the prototype of 'destroy(struct x *)': makes FT_CLEANUP(destroy) usable. */
#define FT_DEFINE_CLEANUP(type, destroy)                                                           \
    static inline void destroy##_cleanup_(type **object)                                           \
    {                                                                                              \
        if (*object != NULL) {                                                                     \
            destroy(*object);                                                                      \
        }                                                                                          \
    }                                                                                              \
    struct ft_require_semicolon_

/* Destroys the variable's object when it goes out of scope, unless FT_TAKE moved it away. */
#define FT_CLEANUP(destroy) __attribute__((cleanup(destroy##_cleanup_)))

/* Moves the object out of 'variable', which becomes NULL. */
#define FT_TAKE(variable)                                                                          \
    ({                                                                                             \
        __typeof__(variable) taken_ = (variable);                                                  \
        (variable) = NULL;                                                                         \
        taken_;                                                                                    \
    })

#endif
