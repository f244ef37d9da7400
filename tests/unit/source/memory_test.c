/* SPDX-License-Identifier: Apache-2.0 */
#include "source/memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "lib/test.h"
#include "source/flow_table.h"

#define RING_BYTES ((uint64_t)1 << 20)

static struct ft_memory *make(void)
{
    struct ft_memory *memory;
    struct ft_memory_options options = {
        .ring_bytes = RING_BYTES, .table_bytes_max = FT_FLOW_TABLE_BYTES_MIN, .hash_seed = 7};
    CHECK_OK(ft_memory_create(&options, &memory));
    return memory;
}

/* Another memfd with the same content: what a process would find that comes now. */
static int copy_of(const struct ft_memory *memory)
{
    uint64_t size = memory->header->total_bytes;
    int fd = memfd_create("copy", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    void *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(to != MAP_FAILED);
    memcpy(to, memory->base, size);
    CHECK_INT(munmap(to, size), 0);
    return fd;
}

static struct ft_memory *adopt_copy(const struct ft_memory *memory)
{
    struct ft_memory *adopted;
    struct ft_diag diag = {0};
    CHECK_OK(ft_memory_adopt(copy_of(memory), &adopted, &diag));
    return adopted;
}

static void commit(struct ft_memory *memory, uint64_t n, const void *block, size_t size)
{
    uint64_t owner[3] = {n, n, n};
    struct ft_memory_commit commit = {.position = n,
                                      .offset = 2 * n,
                                      .source = &n,
                                      .source_size = sizeof n,
                                      .owner = owner,
                                      .owner_size = sizeof owner,
                                      .block = block,
                                      .block_size = size,
                                      .block_info = &n,
                                      .block_info_size = sizeof n,
                                      .block_last = n};
    ft_memory_commit(memory, &commit);
}

static void check_committed(const struct ft_memory *memory, uint64_t n)
{
    struct ft_memory_commit found;
    CHECK_INT(ft_memory_get_committed(memory, &found), n > 0);
    if (n > 0) {
        uint64_t owner[3] = {n, n, n};
        CHECK_INT(found.position, n);
        CHECK_INT(found.offset, 2 * n);
        CHECK_BYTES(found.source, found.source_size, &n, sizeof n);
        CHECK_BYTES(found.owner, found.owner_size, owner, sizeof owner);
    }
}

TEST(what_was_not_committed_is_undone)
{
    struct ft_memory *memory = make();
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    uint32_t *cells = (uint32_t *)(void *)memory->cells;
    for (uint64_t round = 0; round < 20; round++) {
        uint32_t before[256];
        memcpy(before, cells, sizeof before);
        for (unsigned i = 0; i < 500; i++) {
            unsigned at = (unsigned)(ft_random_u64(&random.base) % 240);
            unsigned n = 1 + (unsigned)(ft_random_u64(&random.base) % 10);
            ft_memory_save(memory, &cells[at], n * sizeof cells[0]);
            for (unsigned k = 0; k < n; k++) {
                cells[at + k] = (uint32_t)ft_random_u64(&random.base);
            }
        }
        struct ft_memory *adopted = adopt_copy(memory);
        CHECK_BYTES(adopted->cells, sizeof before, before, sizeof before);
        check_committed(adopted, round);
        /* And once more, as when the one that adopts dies on the way. */
        struct ft_memory *again = adopt_copy(adopted);
        CHECK_BYTES(again->cells, sizeof before, before, sizeof before);
        ft_memory_destroy(again);
        ft_memory_destroy(adopted);
        memcpy(before, cells, sizeof before);
        commit(memory, round + 1, NULL, 0);
        adopted = adopt_copy(memory);
        CHECK_BYTES(adopted->cells, sizeof before, before, sizeof before);
        check_committed(adopted, round + 1);
        ft_memory_destroy(adopted);
    }
    ft_memory_destroy(memory);
}

/* A commit cut off behind each of its stores: it is made by one of them. */
TEST(a_commit_is_made_at_once)
{
    struct ft_memory *memory = make();
    uint32_t *cells = (uint32_t *)(void *)memory->cells;
    commit(memory, 1, "one", 3);
    ft_memory_save(memory, cells, 4);
    cells[0] = 77;
    size_t size = (size_t)memory->header->total_bytes;
    uint8_t *before = malloc(size);
    CHECK(before != NULL);
    memcpy(before, memory->base, size);
    commit(memory, 2, "two", 3);
    struct ft_memory_header after = *memory->header;
    struct ft_memory_header *header = memory->header;
    for (unsigned stores = 0; stores <= 4; stores++) {
        /* Slot and block are written first. */
        *header = *(const struct ft_memory_header *)(const void *)before;
        header->committed = stores >= 1 ? after.committed : header->committed;
        header->undo_used = stores >= 2 ? after.undo_used : header->undo_used;
        header->undo_of = stores >= 3 ? after.undo_of : header->undo_of;
        header->n_adoptions = stores >= 4 ? after.n_adoptions : header->n_adoptions;
        struct ft_memory *adopted = adopt_copy(memory);
        check_committed(adopted, stores >= 1 ? 2 : 1);
        CHECK_INT(*(uint32_t *)(void *)adopted->cells, stores >= 1 ? 77 : 0);
        ft_memory_destroy(adopted);
    }
    free(before);
    ft_memory_destroy(memory);
}

struct found {
    uint64_t first;
    uint64_t last;
    unsigned n;
};

static void find_block(void *ctx, const void *info, size_t info_size, const void *block,
                       size_t block_size)
{
    struct found *found = ctx;
    uint64_t n;
    CHECK_INT(info_size, sizeof n);
    memcpy(&n, info, sizeof n);
    for (size_t i = 0; i < block_size; i += 997) {
        CHECK_INT(((const uint8_t *)block)[i], n & 0xff);
    }
    found->first = found->n++ == 0 ? n : found->first;
    found->last = n;
}

TEST(blocks_are_kept_until_they_are_released)
{
    struct ft_memory *memory = make();
    uint8_t *block = malloc(FT_MEMORY_BLOCK_BYTES);
    CHECK(block != NULL);
    for (uint64_t n = 1; n <= 300; n++) {
        size_t size = n % 7 == 0 ? FT_MEMORY_BLOCK_BYTES : (size_t)(n * 997 % 100000);
        memset(block, (int)(n & 0xff), FT_MEMORY_BLOCK_BYTES);
        commit(memory, n, block, size);
        if (n % 4 == 0) {
            ft_memory_release(memory, n - 2, n - 2);
        }
        if (n % 10 == 3) {
            struct ft_memory *adopted = adopt_copy(memory);
            struct found found = {0};
            ft_memory_each_block(adopted, find_block, &found);
            CHECK_INT(found.last, n);
            CHECK_INT(found.first, n - n % 4 - 1 > n ? 1 : n - n % 4 - 1);
            CHECK_INT(found.n, found.last - found.first + 1);
            ft_memory_destroy(adopted);
        }
    }
    CHECK_INT(memory->n_unkept, 0);
    ft_memory_release(memory, 300, 300);
    struct found none = {0};
    ft_memory_each_block(memory, find_block, &none);
    CHECK_INT(none.n, 0);
    free(block);
    ft_memory_destroy(memory);
}

/* The disk takes nothing: the latest are kept, as far as there is room. */
TEST(the_oldest_blocks_make_room)
{
    struct ft_memory *memory = make();
    uint8_t *block = malloc(FT_MEMORY_BLOCK_BYTES);
    CHECK(block != NULL);
    for (uint64_t n = 1; n <= 200; n++) {
        memset(block, (int)(n & 0xff), FT_MEMORY_BLOCK_BYTES);
        commit(memory, n, block, (size_t)(n % 5) * 200000);
        struct found found = {0};
        ft_memory_each_block(memory, find_block, &found);
        CHECK_INT(found.last, n);
        CHECK_INT(found.n, found.last - found.first + 1);
        CHECK_INT(memory->n_unkept, n - found.n);
        CHECK(found.n >= 7 || n < 7);
    }
    /* Those that are written, if not synced, are no loss. */
    uint64_t n_unkept = memory->n_unkept;
    ft_memory_release(memory, 0, 300);
    for (uint64_t n = 201; n <= 300; n++) {
        commit(memory, n, block, 500000);
    }
    CHECK_INT(memory->n_unkept, n_unkept);
    free(block);
    ft_memory_destroy(memory);
}

static void expect_refused(const struct ft_memory *memory, ft_err expected, const char *why)
{
    struct ft_memory *adopted;
    struct ft_diag diag = {0};
    CHECK_ERR(ft_memory_adopt(copy_of(memory), &adopted, &diag), expected);
    CHECK_STR(diag.text, why);
}

TEST(what_is_not_ours_is_refused)
{
    struct ft_memory *memory = make();
    struct ft_memory_header good = *memory->header;
    struct ft_memory_header *header = memory->header;
    commit(memory, 1, NULL, 0);
    good = *header;
    header->magic[0] = 'X';
    expect_refused(memory, FT_E_CORRUPT, "it is not flowtrail's");
    *header = good;
    header->layout++;
    expect_refused(memory, FT_E_UNSUPPORTED, "another version has written it");
    *header = good;
    header->boot_id[0] = 'x';
    expect_refused(memory, FT_E_CORRUPT, "its header is damaged");
    *header = good;
    header->blocks_tail = 64;
    expect_refused(memory, FT_E_CORRUPT, "its last commit is damaged");
    *header = good;
    header->undo_used = 16;
    expect_refused(memory, FT_E_CORRUPT, "what it keeps for undoing is damaged");
    *header = good;
    header->n_adoptions = FT_MEMORY_ADOPTIONS_MAX;
    expect_refused(memory, FT_E_RANGE, "20 starts with it have ended before they came to anything");
    *header = good;
    ft_memory_destroy(adopt_copy(memory));
    int fd = memfd_create("empty", MFD_CLOEXEC);
    struct ft_memory *adopted;
    CHECK_ERR(ft_memory_adopt(fd, &adopted, NULL), FT_E_CORRUPT);
    CHECK_ERR(ft_memory_adopt(-1, &adopted, NULL), ft_err_from_errno(EBADF));
    ft_memory_destroy(memory);
}

/* A wild store into what was committed: any byte of both slots is either void or found. */
TEST(a_damaged_commit_is_not_taken)
{
    struct ft_memory *memory = make();
    commit(memory, 1, NULL, 0);
    size_t slots_size = (size_t)(memory->blocks - memory->slots);
    unsigned n_refused = 0;
    for (size_t at = 0; at < slots_size; at += 23) {
        memory->slots[at] ^= 0x40;
        struct ft_memory *adopted = NULL;
        ft_err err = ft_memory_adopt(dup(memory->fd), &adopted, NULL);
        memory->slots[at] ^= 0x40;
        n_refused += err == FT_E_CORRUPT ? 1 : 0;
        if (err == FT_OK) {
            memory->header->n_adoptions = 0;
            check_committed(adopted, 1);
            ft_memory_destroy(adopted);
        }
    }
    CHECK(n_refused >= 3);
    ft_memory_destroy(memory);
}

TEST(too_much_to_undo_makes_it_useless_until_the_next_commit)
{
    struct ft_memory *memory = make();
    while (memory->header->undo_of != UINT64_MAX) {
        ft_memory_save(memory, memory->cells, 40);
    }
    CHECK(ft_memory_wants_commit(memory));
    expect_refused(memory, FT_E_CORRUPT, "its last changes cannot be undone");
    commit(memory, 1, NULL, 0);
    CHECK(!ft_memory_wants_commit(memory));
    ft_memory_destroy(adopt_copy(memory));
    ft_memory_destroy(memory);
}

/* Two processes with the same memory would spoil it; one that ends is waited for. */
TEST(one_process_at_a_time)
{
    struct ft_memory *memory = make();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct ft_memory *adopted;
        struct ft_diag diag = {0};
        ft_err err = ft_memory_adopt(dup(memory->fd), &adopted, &diag);
        _exit(err == ft_err_from_errno(EBUSY) ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ft_memory_destroy(memory);
}
