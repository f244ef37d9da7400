/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/balance.h"

uint64_t ft_balance_lost(const struct ft_msg_status *status)
{
    uint64_t lost = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        lost += status->lost[cause];
    }
    return lost;
}

uint64_t ft_balance_off(const struct ft_msg_status *status)
{
    uint64_t known = status->acknowledged_events + status->retained_events + status->merged_events +
                     ft_balance_lost(status);
    return known > status->observed_events ? known - status->observed_events
                                           : status->observed_events - known;
}

bool ft_balance_is_news(struct ft_balance_watch *watch, uint64_t off)
{
    bool is_news = off == watch->seen && off != watch->told;
    watch->seen = off;
    if (is_news) {
        watch->told = off;
    }
    return is_news;
}
