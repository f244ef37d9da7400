/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities: who saw an event, which event, which flow (ARCHITECTURE.md, "Identity and order").
 * event_id and flow_id are UUIDv5 (RFC 9562 section 5.5: SHA-1 of namespace and name) that both
 * ends derive from small numbers; neither is ever sent.
 *
 * Thread: functions any; a deriver has one owner.
 */
#ifndef FT_FLOW_IDS_H
#define FT_FLOW_IDS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/random.h"

struct ft_uuid {
    uint8_t bytes[16];
};

#define FT_UUID_TEXT_SIZE 37

void ft_uuid_format(const struct ft_uuid *uuid, char *buf);
/* 8-4-4-4-12 hexadecimal digits; FT_E_SYNTAX for anything else. */
FT_MUST_USE ft_err ft_uuid_parse(const char *text, struct ft_uuid *ret_uuid);
bool ft_uuid_equal(const struct ft_uuid *a, const struct ft_uuid *b);
bool ft_uuid_is_nil(const struct ft_uuid *uuid);

/* Version 4, from 'random', so that a seeded run makes the same ones. */
void ft_uuid_make_random(struct ft_random *random, struct ft_uuid *ret_uuid);

/*
 * A stable agent id for a host: UUIDv5 of /etc/machine-id in a namespace of our own, so that the
 * machine id itself is not published (as machine-id(5) asks).
 */
void ft_uuid_from_machine_id(const char *machine_id, struct ft_uuid *ret_uuid);

/* A prepared SHA-1, reused for each id. */
struct ft_id_deriver;

FT_MUST_USE ft_err ft_id_deriver_create(struct ft_id_deriver **ret_deriver);
void ft_id_deriver_destroy(struct ft_id_deriver *deriver);
FT_DEFINE_CLEANUP(struct ft_id_deriver, ft_id_deriver_destroy);

/* UUIDv5 in namespace 'instance' of 'seq' as 8 bytes big-endian. */
void ft_id_derive_event(struct ft_id_deriver *deriver, const struct ft_uuid *instance, uint64_t seq,
                        struct ft_uuid *ret_id);

/* UUIDv5 in namespace 'instance' of 'ct_id' (4 bytes) then 'start_ns' (8 bytes), big-endian. */
void ft_id_derive_flow(struct ft_id_deriver *deriver, const struct ft_uuid *instance,
                       uint32_t ct_id, int64_t start_ns, struct ft_uuid *ret_id);

#endif
