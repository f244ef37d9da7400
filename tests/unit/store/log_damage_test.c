/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a log that were changed behind its back: what is lost is bounded, and it is told. */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "store/format.h"

#define N_BLOCKS 20
/* Reads that no log of this size needs: it goes round in circles. */
#define STEPS_MAX 1000

struct damages {
    unsigned n;
    uint64_t blocks_lost;
    char what[64];
};

static void count_damage(void *ctx, const struct ft_log_damage *damage)
{
    struct damages *damages = ctx;
    damages->n++;
    damages->blocks_lost += damage->blocks_lost;
    (void)snprintf(damages->what, sizeof damages->what, "%s", damage->what);
}

static size_t size_of(uint64_t n) { return 100 + (size_t)(n * 97 % 500); }

static void fill(uint8_t *data, uint64_t n)
{
    for (size_t i = 0; i < size_of(n); i++) {
        data[i] = (uint8_t)(n * 59 + i * 3);
    }
}

static const struct ft_log_options options = {
    .bytes_max = 1 << 20, .full = FT_LOG_REFUSE, .segment_bytes = 4096};

static struct ft_log *open_log(struct ft_disk *disk, struct damages *damages)
{
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, count_damage, damages, &log));
    return log;
}

static ft_err append(struct ft_log *log, uint64_t n, uint64_t *ret_position)
{
    uint8_t data[600];
    fill(data, n);
    struct ft_block_info info = {.first_seq = n, .n_events = 1, .time_ns = 5};
    return ft_log_append(log, &info, data, size_of(n), ret_position);
}

/*
 * A log of N_BLOCKS blocks in some segments.  With 'in_place' a large file behind them keeps
 * recovery from writing them again, so that whole segments are only read when a reader comes.
 */
static struct ft_disk *make(bool killed, bool in_place)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    uint64_t position;
    for (uint64_t n = 1; n <= N_BLOCKS; n++) {
        CHECK_OK(append(log, n, &position));
        if (n % 3 == 0) {
            CHECK_OK(ft_log_sync(log, &position));
        }
    }
    CHECK_OK(ft_log_sync(log, &position));
    struct ft_disk *copy = killed ? ft_fault_disk_clone(disk) : NULL;
    ft_log_destroy(log);
    if (killed) {
        ft_disk_destroy(disk);
        disk = copy;
    }
    if (in_place) {
        size_t size = ((size_t)1 << 20) + 1;
        uint8_t *large = calloc(1, size);
        CHECK(large != NULL);
        struct ft_store_segment_header header = {.number = 1, .first = 1};
        ft_store_encode_segment_header(&header, large);
        ft_fault_disk_put(disk, "seg-0000000000001000", large, size);
        free(large);
    }
    return disk;
}

/* Bit n: block n was read. */
static uint32_t read_all(struct ft_log *log, unsigned *ret_n_corrupt)
{
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "check", true, &reader));
    uint32_t found = 0;
    uint64_t last = 0;
    *ret_n_corrupt = 0;
    for (unsigned step = 0;; step++) {
        CHECK(step < STEPS_MAX);
        struct ft_block block;
        ft_err err = ft_log_reader_next(reader, true, &block);
        if (err == ft_err_from_errno(EAGAIN)) {
            break;
        }
        CHECK(block.position > last);
        last = block.position;
        if (err == FT_E_CORRUPT) {
            (*ret_n_corrupt)++;
            continue;
        }
        CHECK_OK(err);
        uint64_t n = block.info.first_seq;
        CHECK(n >= 1 && n < 32);
        uint8_t data[600];
        fill(data, n);
        CHECK_BYTES(block.data, block.size, data, size_of(n));
        found |= UINT32_C(1) << n;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return found;
}

#define ALL_BLOCKS ((UINT32_C(1) << (N_BLOCKS + 1)) - 2)

/*
 * The last block says up to where the log was durable; of what is behind that nobody knows that it
 * is not the rest of a power cut, so a damaged block there takes the next one along.
 */
#define UNCERTAIN_BLOCK (UINT32_C(1) << (N_BLOCKS - 1))

/*
 * Opens a copy of the log and fails the test when more than 'may_miss' is missing, when that was
 * not told, or when the log does not go on.  Returns what is missing.
 */
static uint32_t check(struct ft_disk *disk, uint32_t may_miss)
{
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    unsigned n_corrupt;
    uint32_t found = read_all(log, &n_corrupt);
    uint32_t missing = ALL_BLOCKS & ~found;
    if ((missing & UNCERTAIN_BLOCK) != 0) {
        may_miss |= UNCERTAIN_BLOCK << 1;
    }
    CHECK_INT(missing & ~may_miss, 0);
    CHECK(missing == 0 || damages.n + n_corrupt > 0);
    uint64_t position;
    uint64_t synced;
    CHECK_OK(append(log, N_BLOCKS + 1, &position));
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, position);
    ft_log_destroy(log);
    log = open_log(disk, &damages);
    CHECK_INT(read_all(log, &n_corrupt), found | UINT32_C(1) << (N_BLOCKS + 1));
    ft_log_destroy(log);
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    return missing;
}

/* The blocks of a segment of 'disk' that byte 'offset' belongs to, as a bit; 0: to none. */
static uint32_t block_at(struct ft_disk *disk, const char *name, size_t offset)
{
    size_t size;
    const uint8_t *content = ft_fault_disk_content(disk, name, &size);
    for (size_t at = FT_STORE_SEGMENT_HEADER_SIZE; at + FT_STORE_BLOCK_HEADER_SIZE <= size;) {
        struct ft_store_block_header header;
        if (!ft_store_decode_block_header(content + at, NULL, &header)) {
            break;
        }
        size_t end = at + ft_store_frame_size(header.size);
        if (offset >= at && offset < end) {
            return UINT32_C(1) << header.info.first_seq;
        }
        at = end;
    }
    return 0;
}

/* By all tests here, for the fault matrix. */
static unsigned n_flips;
static unsigned n_truncations;

/* Changes one bit of every 'stride'-th byte in turn. */
static void flip_everywhere(bool killed, bool in_place, size_t stride)
{
    struct ft_disk *disk = make(killed, in_place);
    const char *name;
    uint32_t ever_missing = 0;
    for (size_t i = 0; (name = ft_fault_disk_name(disk, i)) != NULL; i++) {
        size_t size;
        CHECK(ft_fault_disk_content(disk, name, &size) != NULL);
        for (size_t offset = i % stride; offset < size && size < 10000; offset += stride) {
            struct ft_disk *copy = ft_fault_disk_clone(disk);
            ft_fault_disk_content(copy, name, &size)[offset] ^= (uint8_t)(1U << (offset % 8));
            ever_missing |= check(copy, block_at(disk, name, offset));
            n_flips++;
            ft_disk_destroy(copy);
        }
    }
    CHECK_INT(ever_missing, ALL_BLOCKS);
    ft_disk_destroy(disk);
}

TEST(a_flipped_bit_costs_at_most_its_block) { flip_everywhere(false, false, 5); }
TEST(a_flipped_bit_costs_at_most_its_block_after_a_kill) { flip_everywhere(true, false, 7); }
TEST(a_flipped_bit_costs_at_most_its_block_when_read) { flip_everywhere(false, true, 53); }
TEST(a_flipped_bit_costs_at_most_its_block_in_place) { flip_everywhere(true, true, 61); }

static void truncate_everywhere(bool killed, bool in_place, size_t stride)
{
    struct ft_disk *disk = make(killed, in_place);
    const char *name;
    for (size_t i = 0; (name = ft_fault_disk_name(disk, i)) != NULL; i++) {
        size_t size;
        CHECK(ft_fault_disk_content(disk, name, &size) != NULL);
        uint32_t may_miss = 0;
        for (size_t left = size; left-- > 0 && size < 10000;) {
            may_miss |= block_at(disk, name, left);
            if (left % stride != 0) {
                continue;
            }
            struct ft_disk *copy = ft_fault_disk_clone(disk);
            uint8_t *content = malloc(left + 1);
            CHECK(content != NULL);
            memcpy(content, ft_fault_disk_content(disk, name, &size), left);
            ft_fault_disk_put(copy, name, content, left);
            free(content);
            n_truncations++;
            /* Where the cut falls between blocks, the last segment looks as if it ended there. */
            bool is_last = !in_place && ft_fault_disk_name(disk, i + 1) == NULL;
            if (!is_last) {
                CHECK_INT(check(copy, may_miss), may_miss);
            } else {
                struct damages damages = {0};
                struct ft_log *log = open_log(copy, &damages);
                unsigned n_corrupt;
                CHECK_INT(read_all(log, &n_corrupt), ALL_BLOCKS & ~may_miss);
                ft_log_destroy(log);
            }
            ft_disk_destroy(copy);
        }
    }
    ft_disk_destroy(disk);
}

TEST(a_cut_costs_what_was_behind_it) { truncate_everywhere(false, false, 17); }
TEST(a_cut_costs_what_was_behind_it_after_a_kill) { truncate_everywhere(true, false, 19); }
TEST(a_cut_costs_what_was_behind_it_in_place) { truncate_everywhere(false, true, 101); }

TEST(a_missing_segment_is_told)
{
    struct ft_disk *disk = make(false, false);
    char second[FT_DISK_NAME_SIZE];
    (void)snprintf(second, sizeof second, "%s", ft_fault_disk_name(disk, 1));
    CHECK(ft_fault_disk_name(disk, 2) != NULL);
    uint32_t lost = 0;
    size_t size;
    CHECK(ft_fault_disk_content(disk, second, &size) != NULL);
    for (size_t offset = 0; offset < size; offset++) {
        lost |= block_at(disk, second, offset);
    }
    CHECK_OK(disk->ops->remove(disk, second));
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    CHECK_INT(damages.n, 1);
    CHECK_INT(damages.blocks_lost, __builtin_popcount(lost));
    CHECK_STR(damages.what, "blocks before it are missing");
    unsigned n_corrupt;
    CHECK_INT(read_all(log, &n_corrupt), ALL_BLOCKS & ~lost);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(an_ordinary_torn_tail_is_cut_short)
{
    struct ft_disk *disk = make(true, false);
    const char *name = "";
    for (size_t i = 0; ft_fault_disk_name(disk, i) != NULL; i++) {
        name = ft_fault_disk_name(disk, i);
    }
    size_t size;
    uint8_t *content = ft_fault_disk_content(disk, name, &size);
    uint8_t longer[8192] = {0};
    memcpy(longer, content, size);
    /* Zeros behind the end: the file was made longer and nothing was written. */
    struct ft_disk *copy = ft_fault_disk_clone(disk);
    ft_fault_disk_put(copy, name, longer, size + 1000);
    struct damages damages = {0};
    struct ft_log *log = open_log(copy, &damages);
    CHECK_INT(damages.n, 0);
    ft_log_destroy(log);
    ft_disk_destroy(copy);
    /* The beginning of a block: it was being written, it was never durable. */
    memcpy(longer + size, content + FT_STORE_SEGMENT_HEADER_SIZE, 150);
    ft_fault_disk_put(disk, name, longer, size + 120);
    log = open_log(disk, &damages);
    CHECK_INT(damages.n, 1);
    CHECK_STR(damages.what, "cut short");
    unsigned n_corrupt;
    CHECK_INT(read_all(log, &n_corrupt), ALL_BLOCKS);
    ft_log_destroy(log);
    /* It was mended on the way. */
    damages = (struct damages){0};
    log = open_log(disk, &damages);
    CHECK_INT(damages.n, 0);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(a_payload_that_looks_like_a_block_is_not_one)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    uint8_t fake[128];
    struct ft_store_block_header header = {
        .info = {.first_seq = 666, .n_events = 1}, .salt = 42, .position = 2, .size = 24};
    ft_store_encode_block(&header, fake);
    struct ft_block_info info = {.first_seq = 1, .n_events = 1};
    uint64_t position;
    CHECK_OK(ft_log_append(log, &info, fake, sizeof fake, &position));
    CHECK_OK(ft_log_sync(log, &position));
    CHECK_OK(ft_log_append(log, &info, "after", 5, &position));
    CHECK_OK(ft_log_sync(log, &position));
    struct ft_disk *copy = ft_fault_disk_clone(disk);
    ft_log_destroy(log);
    size_t size;
    ft_fault_disk_content(copy, ft_fault_disk_name(copy, 0),
                          &size)[FT_STORE_SEGMENT_HEADER_SIZE + 1] ^= 1;
    log = open_log(copy, &damages);
    CHECK_INT(damages.n, 1);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", true, &reader));
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, true, &block));
    CHECK_INT(block.position, 2);
    CHECK_BYTES(block.data, block.size, "after", 5);
    ft_block_release(&block);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(copy);
    ft_disk_destroy(disk);
}

/* A disk writes a sector of the log to the place of another one. */
TEST(a_misdirected_write_costs_at_most_what_it_hits)
{
    for (unsigned killed = 0; killed < 2; killed++) {
        struct ft_disk *disk = make(killed == 1, false);
        char names[3][FT_DISK_NAME_SIZE];
        uint8_t *from;
        uint8_t *to;
        size_t from_size;
        size_t to_size;
        for (size_t i = 0; i < 3; i++) {
            CHECK(ft_fault_disk_name(disk, i) != NULL);
            (void)snprintf(names[i], sizeof names[i], "%s", ft_fault_disk_name(disk, i));
        }
        for (size_t k = 0; k < 9; k++) {
            CHECK(ft_fault_disk_content(disk, names[k / 3], &from_size) != NULL);
            CHECK(ft_fault_disk_content(disk, names[k % 3], &to_size) != NULL);
            for (size_t a = 0; a + 512 <= from_size; a += 512) {
                for (size_t b = 0; b + 512 <= to_size; b += 512) {
                    uint32_t may_miss = 0;
                    for (size_t offset = b; offset < b + 512; offset++) {
                        may_miss |= block_at(disk, names[k % 3], offset);
                    }
                    struct ft_disk *copy = ft_fault_disk_clone(disk);
                    from = ft_fault_disk_content(copy, names[k / 3], &from_size);
                    to = ft_fault_disk_content(copy, names[k % 3], &to_size);
                    memmove(to + b, from + a, 512);
                    (void)check(copy, may_miss);
                    ft_disk_destroy(copy);
                }
            }
        }
        ft_disk_destroy(disk);
    }
}

TEST(a_position_that_was_used_up_takes_no_block_along)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct damages damages = {0};
    uint64_t position;
    size_t size;
    for (unsigned life = 0; life < 2; life++) {
        struct ft_log *log = open_log(disk, &damages);
        CHECK_OK(append(log, 1 + 2 * life, &position));
        CHECK_OK(ft_log_sync(log, &position));
        if (life == 0) {
            CHECK_OK(append(log, 2, &position));
            CHECK_OK(ft_log_sync(log, &position));
        }
        struct ft_disk *killed = ft_fault_disk_clone(disk);
        ft_log_destroy(log);
        ft_disk_destroy(disk);
        disk = killed;
        /* First the second block, whose position is then used up; then the first one. */
        uint8_t *content = ft_fault_disk_content(disk, ft_fault_disk_name(disk, 0), &size);
        size_t second = ft_store_frame_size(size_of(1));
        content[FT_STORE_SEGMENT_HEADER_SIZE + (life == 0 ? second : 0) + 20] ^= 1;
    }
    struct ft_log *log = open_log(disk, &damages);
    unsigned n_corrupt;
    CHECK_INT(read_all(log, &n_corrupt), UINT32_C(1) << 3);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(a_damaged_cursor_repeats_and_never_skips)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    struct ft_log_reader *reader;
    uint64_t position;
    CHECK_OK(ft_log_reader_open(log, "sink", false, &reader));
    for (uint64_t n = 1; n <= 3; n++) {
        CHECK_OK(append(log, n, &position));
        CHECK_OK(ft_log_reader_confirm(reader, n));
    }
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    size_t size;
    CHECK(ft_fault_disk_content(disk, "cursor-sink", &size) != NULL);
    unsigned n_reset = 0;
    for (size_t i = 0; i < size; i++) {
        struct ft_disk *copy = ft_fault_disk_clone(disk);
        uint8_t *content = ft_fault_disk_content(copy, "cursor-sink", &size);
        content[i] ^= 4;
        content[(i + ft_store_cursor_kind.slot_bytes) % size] ^= 4;
        damages = (struct damages){0};
        log = open_log(copy, &damages);
        CHECK_OK(ft_log_reader_open(log, "sink", false, &reader));
        uint64_t confirmed = ft_log_reader_confirmed(reader);
        CHECK(confirmed == 3 || (confirmed == 0 && damages.n == 1));
        n_reset += confirmed == 0 ? 1 : 0;
        ft_log_reader_close(reader);
        ft_log_destroy(log);
        ft_disk_destroy(copy);
    }
    CHECK_INT(n_reset, 2 * (FT_SLOT_HEADER_SIZE + 8));
    ft_disk_destroy(disk);
}

TEST(what_cannot_be_read_is_passed_over_at_last)
{
    struct ft_disk *disk = make(false, true);
    struct damages damages = {0};
    struct ft_log *log = open_log(disk, &damages);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", true, &reader));
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, true, &block));
    ft_block_release(&block);
    ft_fault_disk_fail(disk, FT_FAULT_READ, 1, UINT64_MAX, ft_err_from_errno(EIO));
    unsigned n = 0;
    ft_err err;
    while ((err = ft_log_reader_next(reader, true, &block)) == ft_err_from_errno(EIO)) {
        CHECK_INT(ft_log_reader_position(reader), 1);
        CHECK(++n < 100);
    }
    CHECK(n > 10);
    CHECK_ERR(err, FT_E_CORRUPT);
    CHECK_INT(block.position, 2);
    ft_fault_disk_heal(disk);
    CHECK_OK(ft_log_reader_next(reader, true, &block));
    CHECK(block.position > 2);
    ft_block_release(&block);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

/* Overwrites, zeroes, copies, cuts, swaps and removes at random. */
static void mutate(struct ft_disk *disk, struct ft_random *random)
{
    char names[2][FT_DISK_NAME_SIZE];
    size_t sizes[2];
    uint8_t *contents[2];
    for (unsigned i = 0; i < 2; i++) {
        const char *name = ft_fault_disk_name(disk, ft_random_below(random, 3));
        if (name == NULL) {
            return;
        }
        (void)snprintf(names[i], sizeof names[i], "%s", name);
        contents[i] = ft_fault_disk_content(disk, names[i], &sizes[i]);
    }
    if (sizes[0] < 16 || sizes[1] < 16) {
        return;
    }
    size_t from = ft_random_below(random, sizes[0] / 8) * 8;
    size_t n = ft_random_below(random, sizes[0] - from);
    size_t to = ft_random_below(random, sizes[1] / 8) * 8;
    uint8_t copy[8192];
    memcpy(copy, contents[0], sizes[0]);
    switch (ft_random_below(random, 6)) {
    case 0:
        random->fill(random, contents[0] + from, n);
        break;
    case 1:
        memset(contents[0] + from, 0, n);
        break;
    case 2:
        memmove(contents[1] + to, contents[0] + from, n < sizes[1] - to ? n : sizes[1] - to);
        break;
    case 3:
        ft_fault_disk_put(disk, names[0], copy, n);
        break;
    case 4:
        ft_fault_disk_put(disk, names[1], copy, sizes[0]);
        break;
    default:
        CHECK_OK(disk->ops->remove(disk, names[0]));
        break;
    }
}

TEST(whatever_is_done_to_the_files_the_log_goes_on)
{
    struct ft_disk *made = make(true, false);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        struct ft_disk *disk = ft_fault_disk_clone(made);
        for (uint64_t i = 1 + ft_random_below(&random.base, 3); i > 0; i--) {
            mutate(disk, &random.base);
        }
        struct damages damages = {0};
        struct ft_log *log = open_log(disk, &damages);
        unsigned n_corrupt;
        uint32_t found = read_all(log, &n_corrupt);
        uint64_t position;
        CHECK_OK(append(log, N_BLOCKS + 2, &position));
        CHECK_OK(ft_log_sync(log, &position));
        ft_log_destroy(log);
        log = open_log(disk, &damages);
        CHECK_INT(read_all(log, &n_corrupt), found | UINT32_C(1) << (N_BLOCKS + 2));
        ft_log_destroy(log);
        ft_disk_destroy(disk);
    }
    ft_disk_destroy(made);
    printf("matrix: R9 %u flipped bits and %u cuts in the log's files: only the damaged block, or "
           "what "
           "was behind the cut, was missing; 200 logs with files changed, swapped, doubled or "
           "removed: "
           "each opened, was read to its end and took new blocks\n",
           n_flips, n_truncations);
}

TEST(another_version_is_refused_and_left_alone)
{
    struct ft_disk *disk = make(false, false);
    const char *name = ft_fault_disk_name(disk, 0);
    size_t size;
    uint8_t *content = ft_fault_disk_content(disk, name, &size);
    struct ft_store_segment_header header;
    uint32_t version;
    CHECK(ft_store_decode_segment_header(content, &header, &version));
    ft_store_encode_segment_header_as(&header, 2, content);
    uint64_t before = ft_fault_disk_changes(disk);
    struct ft_log *log;
    CHECK_ERR(ft_log_disk_open(disk, &options, NULL, NULL, &log), FT_E_UNSUPPORTED);
    /* Files were opened, nothing else. */
    CHECK_INT(
        ft_fault_disk_calls(disk, FT_FAULT_REMOVE) + ft_fault_disk_calls(disk, FT_FAULT_RENAME), 0);
    CHECK(ft_fault_disk_changes(disk) - before <= 3);
    ft_disk_destroy(disk);
}
