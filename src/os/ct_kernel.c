/* SPDX-License-Identifier: Apache-2.0 */
/* What all implementations of os/ct_kernel.h share. */
#include "os/ct_kernel.h"

#include <assert.h>

void ft_ct_kernel_destroy(struct ft_ct_kernel *kernel)
{
    if (kernel != NULL) {
        kernel->ops->destroy(kernel);
    }
}

uint64_t ft_ct_kernel_n_foreign(const struct ft_ct_kernel *kernel)
{
    return kernel->ops->n_foreign != NULL ? kernel->ops->n_foreign(kernel) : 0;
}

const char *ft_ct_switch_name(enum ft_ct_switch which)
{
    static const char *const names[FT_CT_SWITCH_N] = {
        [FT_CT_SWITCH_ACCT] = "nf_conntrack_acct",
        [FT_CT_SWITCH_TIMESTAMP] = "nf_conntrack_timestamp",
        [FT_CT_SWITCH_EVENTS] = "nf_conntrack_events",
    };
    assert(which < FT_CT_SWITCH_N);
    return names[which];
}
