/* SPDX-License-Identifier: Apache-2.0 */
/* The source on the fake kernel and virtual time, with a ledger at its end.  Thread: owner only. */
#ifndef FT_TESTS_UNIT_SOURCE_RIG_H
#define FT_TESTS_UNIT_SOURCE_RIG_H 1

#include "lib/fake_kernel.h"
#include "lib/flow_ledger.h"
#include "source/source.h"

struct rig {
    struct ft_fake_kernel kernel;
    struct ft_source_options options; /* May be changed between init and start. */
    struct ft_random_seeded random;
    struct ft_ledger ledger;
    struct ft_source *source;
    enum ft_reader_wait wait;
    int64_t wait_until;
    bool reader_stalls; /* The source thread gets no CPU. */
    bool pipeline_stalls;
    ft_emit_fn *emit; /* NULL: ft_ledger_emit.  Handed the ledger. */
    ft_chunk_fn *tap;
    void *tap_ctx;
};

/* The host is 10.0.0.0 … 10.0.0.3 and 192.0.2.9. */
void rig_init(struct rig *rig);
void rig_start(struct rig *rig);
FT_MUST_USE ft_err rig_try_start(struct rig *rig);
/* Lets 'ns' pass in steps of a millisecond. */
void rig_run(struct rig *rig, int64_t ns);
/* Until nothing is left to do now. */
void rig_settle(struct rig *rig);
void rig_deinit(struct rig *rig);
uint64_t rig_stat(const ft_stat *stat);

/* Feeds addresses: entries of FT_LOCALS_ENTRY_SIZE bytes. */
void rig_feed(struct rig *rig, enum ft_chunk_kind kind, int64_t value, const void *data,
              size_t size);

/* Checks that the flow has one START and one END and that its sums are the kernel's count. */
void rig_check_complete(struct rig *rig, size_t flow);

#endif
