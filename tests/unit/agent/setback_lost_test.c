/* SPDX-License-Identifier: Apache-2.0 */
/* What agent and collector tell one another of blocks and places that one of them has lost. */
#include "setback_world.h"

/* A collector that was set back, and a disk that fails as the agent hears of it: if it went on, a
 * crash would make it forget what is lost there, and nobody would ask for that any more. */
TEST(what_a_collector_lost_is_kept_before_it_gets_more)
{
    setup(70);
    CHECK_OK(open_agent());
    for (unsigned i = 0; i < 20; i++) {
        make(1000);
        work(true, 3 * FT_NS_PER_S);
    }
    CHECK_INT(world.current->n_stored, 20000);
    memset(world.current->events + 51, 0, (SEQ_MAX - 51) * sizeof world.current->events[0]);
    world.current->durable_seq = 50;
    world.current->n_stored = 50;
    world.may_repeat = true;
    make(10);
    work(false, 2 * FT_NS_PER_S);
    ft_fault_disk_fail(world.disk, FT_FAULT_SYNC, 1, UINT64_MAX, ft_err_from_errno(EIO));
    ft_exporter_restart(world.exporter);
    work(true, 20 * FT_NS_PER_S);
    ft_fault_disk_stop_now(world.disk);
    close_agent();
    ft_fault_disk_restart(world.disk, FT_FAULT_LOSE);
    CHECK_OK(open_agent());
    make(10);
    work(true, 60 * FT_NS_PER_S);
    CHECK(world.current->n_told > 1000);
    CHECK_INT(world.current->n_told, world.current->durable_seq - world.current->n_stored);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

TEST(blocks_that_cannot_be_read_are_told_in_their_turn)
{
    setup(3);
    CHECK_OK(open_agent());
    for (unsigned i = 0; i < 30; i++) {
        make(1500);
        work(false, FT_NS_PER_S / 5);
    }
    work(false, 2 * FT_NS_PER_S);
    close_agent();
    CHECK_OK(open_agent());
    /* Behind the back of the log, in segments that it does not look into at the start. */
    size_t size;
    uint8_t *content = ft_fault_disk_content(world.disk, ft_fault_disk_name(world.disk, 5), &size);
    CHECK(size > 200 << 10);
    content[size / 2] ^= 1;
    content = ft_fault_disk_content(world.disk, ft_fault_disk_name(world.disk, 6), &size);
    memset(content + size / 3, 0xee, 3000);
    /* What comes next can be told from its header alone: the hole ends there all the same. */
    struct ft_store_block_header header;
    size_t at = (size / 3 + 3000 + 7) / 8 * 8;
    while (!ft_store_decode_block_header(content + at, NULL, &header)) {
        at += 8;
        CHECK(at < size);
    }
    content[at + FT_STORE_BLOCK_HEADER_SIZE + 10] ^= 1;
    make(100);
    work(true, 60 * FT_NS_PER_S);
    make(1);
    work(true, 10 * FT_NS_PER_S);
    CHECK(world.n_damaged >= 20 && world.n_damaged <= 300);
    check_account();
    uint64_t n_missing = 0;
    for (uint32_t id = 2; id <= world.n_made; id++) {
        n_missing += world.n_times[id] == 0 ? 1 : 0;
    }
    CHECK_INT(n_missing, world.n_damaged);
    close_agent();
    CHECK_OK(open_agent());
    work(true, 10 * FT_NS_PER_S);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

static void remove_files(const char *prefix)
{
    for (size_t i = 0; ft_fault_disk_name(world.disk, i) != NULL;) {
        const char *name = ft_fault_disk_name(world.disk, i);
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            CHECK_OK(world.disk->ops->remove(world.disk, name));
        } else {
            i++;
        }
    }
    CHECK_OK(world.disk->ops->sync_dir(world.disk));
}

/* What was numbered and is nowhere may have been delivered: the collector knows. */
TEST(what_the_collector_has_tells_where_a_lost_place_was)
{
    for (unsigned round = 0; round < 4; round++) {
        setup(50 + round);
        CHECK_OK(open_agent());
        make(200);
        work(true, 3 * FT_NS_PER_S);
        CHECK_INT(world.current->durable_seq, 200);
        make(100);
        work(false, 2 * FT_NS_PER_S);
        close_agent();
        remove_files("cursor-");
        if (round % 2 == 1) {
            remove_files("seg-");
        }
        if (round / 2 == 1) {
            CHECK_OK(open_agent()); /* Nobody to ask yet. */
            work(false, 2 * FT_NS_PER_S);
            close_agent();
        }
        CHECK_OK(open_agent());
        make(10);
        work(true, 60 * FT_NS_PER_S);
        CHECK_INT(world.n_held, 1);
        CHECK_INT(world.current->n_told, round % 2 == 1 ? 100 : 0);
        check_account();
        close_agent();
        ft_disk_destroy(world.disk);
    }
}
