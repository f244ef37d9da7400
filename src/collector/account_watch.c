/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/account_watch.h"

#include <stdio.h>

#include "base/log.h"

struct news {
    struct ft_instance_key key;
    char host_name[FT_WIRE_NAME_SIZE];
    struct ft_discrepancy discrepancy;
};

struct look {
    size_t n;
    struct news news[FT_ACCOUNT_WATCH_TELL_MAX];
};

void ft_account_tell(const char *host_name, const struct ft_uuid *instance_id,
                     const struct ft_discrepancy *discrepancy, uint64_t held)
{
    char id[FT_UUID_TEXT_SIZE];
    ft_uuid_format(instance_id, id);
    if (ft_discrepancy_total(discrepancy) == 0) {
        ft_log(FT_LOG_INFO, "collector", "the account of %s, instance %s, balances again",
               host_name, id);
        return;
    }
    struct ft_buf words;
    ft_buf_init(&words, 0);
    ft_discrepancy_format(discrepancy, &words);
    ft_log(FT_LOG_ERROR, "collector",
           "the account of %s, instance %s, does not balance: %s (%llu further lines held back)",
           host_name, id, ft_buf_str(&words), (unsigned long long)held);
    ft_buf_deinit(&words);
}

static void look_at(void *ctx, const struct ft_instance *instance)
{
    struct look *look = ctx;
    if (look->n == FT_ACCOUNT_WATCH_TELL_MAX) {
        return;
    }
    struct news *news = &look->news[look->n];
    ft_discrepancy_of(instance, &news->discrepancy);
    if (ft_discrepancy_total(&news->discrepancy) != instance->complained_events) {
        news->key = instance->key;
        (void)snprintf(news->host_name, sizeof news->host_name, "%s", instance->host_name);
        look->n++;
    }
}

static void note(void *ctx, struct ft_instance *instance)
{
    const struct news *news = ctx;
    instance->complained_events = ft_discrepancy_total(&news->discrepancy);
}

size_t ft_account_watch(struct ft_instances *instances)
{
    struct look look = {0};
    ft_instances_each(instances, look_at, &look);
    for (size_t i = 0; i < look.n; i++) {
        struct news *news = &look.news[i];
        ft_err_ignore(ft_instances_with(instances, &news->key, note, news),
                      "it is told again at the next look");
        ft_account_tell(news->host_name, &news->key.instance_id, &news->discrepancy, 0);
    }
    return look.n;
}
