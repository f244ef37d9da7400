/* SPDX-License-Identifier: Apache-2.0 */
/* The POSIX disk, and the helpers over any disk with one that fails. */
#include "base/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fault_disk.h"
#include "lib/test.h"

static struct ft_disk *posix_disk(const char **ret_path)
{
    struct ft_disk *disk;
    *ret_path = ft_test_tmpdir();
    CHECK_OK(ft_disk_posix_create(*ret_path, &disk));
    return disk;
}

struct listing {
    unsigned n;
    uint64_t bytes;
    char last[FT_DISK_NAME_SIZE];
};

static void add_name(void *ctx, const char *name, uint64_t size)
{
    struct listing *listing = ctx;
    listing->n++;
    listing->bytes += size;
    (void)snprintf(listing->last, sizeof listing->last, "%s", name);
}

TEST(names_are_plain)
{
    static const char *const bad[] = {
        "",      ".",
        "..",    ".hidden",
        "a/b",   "/etc/passwd",
        "../x",  "a\nb",
        "a\x7f", "0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!ft_disk_name_valid(bad[i]));
    }
    CHECK(ft_disk_name_valid("seg-0000000000000001"));
    CHECK(ft_disk_name_valid("a.b"));
    CHECK(ft_disk_name_valid("012345678901234567890123456789012345678901234567890123456789012"));
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    ft_err invalid = ft_err_from_errno(EINVAL);
    struct ft_disk_file *file;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERR(disk->ops->open(disk, bad[i], true, &file), invalid);
        CHECK_ERR(disk->ops->remove(disk, bad[i]), invalid);
        CHECK_ERR(disk->ops->rename(disk, bad[i], "x"), invalid);
        CHECK_ERR(disk->ops->rename(disk, "x", bad[i]), invalid);
        CHECK_ERR(ft_disk_replace(disk, bad[i], "", 0), invalid);
    }
    ft_disk_destroy(disk);
    ft_disk_destroy(NULL);
}

TEST(files_are_written_and_read)
{
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    struct ft_disk_file *file;
    CHECK_ERR(disk->ops->open(disk, "f", false, &file), ft_err_from_errno(ENOENT));
    CHECK_OK(disk->ops->open(disk, "f", true, &file));
    struct ft_disk_file *other;
    CHECK_ERR(disk->ops->open(disk, "f", true, &other), ft_err_from_errno(EEXIST));
    CHECK_OK(disk->ops->write_at(file, 0, "hello", 5));
    CHECK_OK(disk->ops->write_at(file, 3, "p me", 4));
    CHECK_OK(disk->ops->write_at(file, 10, "!", 1));
    CHECK_OK(disk->ops->write_at(file, 0, NULL, 0));
    char data[64];
    size_t size;
    CHECK_OK(disk->ops->read_at(file, 0, data, sizeof data, &size));
    CHECK_BYTES(data, size, "help me\0\0\0!", 11);
    CHECK_OK(disk->ops->read_at(file, 5, data, 2, &size));
    CHECK_BYTES(data, size, "me", 2);
    CHECK_OK(disk->ops->read_at(file, 11, data, sizeof data, &size));
    CHECK_INT(size, 0);
    CHECK_ERR(disk->ops->write_at(file, UINT64_MAX, "x", 1), ft_err_from_errno(EFBIG));
    CHECK_ERR(disk->ops->read_at(file, UINT64_MAX, data, 1, &size), ft_err_from_errno(EINVAL));
    CHECK_OK(disk->ops->sync(file));
    CHECK_OK(disk->ops->sync_dir(disk));
    CHECK_OK(disk->ops->truncate(file, 4));
    CHECK_OK(disk->ops->read_at(file, 0, data, sizeof data, &size));
    CHECK_BYTES(data, size, "help", 4);
    disk->ops->close(file);
    CHECK_OK(disk->ops->rename(disk, "f", "g"));
    struct listing listing = {0};
    CHECK_OK(disk->ops->list(disk, add_name, &listing));
    CHECK_INT(listing.n, 1);
    CHECK_STR(listing.last, "g");
    CHECK_INT(listing.bytes, 4);
    CHECK_OK(disk->ops->remove(disk, "g"));
    CHECK_ERR(disk->ops->remove(disk, "g"), ft_err_from_errno(ENOENT));
    ft_disk_destroy(disk);
}

TEST(allocation_keeps_the_size)
{
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    struct ft_disk_file *file;
    CHECK_OK(disk->ops->open(disk, "f", true, &file));
    CHECK_OK(disk->ops->write_at(file, 0, "abc", 3));
    CHECK_OK(disk->ops->allocate(file, 0));
    ft_err err = disk->ops->allocate(file, 1 << 20);
    CHECK(err == FT_OK || err == FT_E_UNSUPPORTED);
    struct listing listing = {0};
    CHECK_OK(disk->ops->list(disk, add_name, &listing));
    CHECK_INT(listing.bytes, 3);
    disk->ops->close(file);
    uint64_t free_bytes;
    uint64_t total;
    CHECK_OK(disk->ops->space(disk, &free_bytes, &total));
    CHECK(total > 0 && free_bytes <= total);
    ft_disk_destroy(disk);
}

TEST(only_plain_files_are_opened)
{
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK(symlinkat("/etc/passwd", fd, "link") == 0);
    CHECK(mkfifoat(fd, "fifo", 0600) == 0);
    CHECK(mkdirat(fd, "dir", 0700) == 0);
    struct ft_disk_file *file;
    CHECK_ERR(disk->ops->open(disk, "link", false, &file), ft_err_from_errno(ELOOP));
    CHECK_ERR(disk->ops->open(disk, "link", true, &file), ft_err_from_errno(EEXIST));
    CHECK_ERR(disk->ops->open(disk, "fifo", false, &file), ft_err_from_errno(EINVAL));
    CHECK_ERR(disk->ops->open(disk, "dir", false, &file), ft_err_from_errno(EISDIR));
    struct listing listing = {0};
    CHECK_OK(disk->ops->list(disk, add_name, &listing));
    CHECK_INT(listing.n, 0);
    CHECK(unlinkat(fd, "link", 0) == 0);
    (void)close(fd);
    ft_disk_destroy(disk);
}

TEST(the_directory_is_made_but_not_its_parent)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/log", ft_test_tmpdir());
    struct ft_disk *disk;
    CHECK_OK(ft_disk_posix_create(path, &disk));
    ft_disk_destroy(disk);
    CHECK_OK(ft_disk_posix_create(path, &disk));
    ft_disk_destroy(disk);
    (void)snprintf(path, sizeof path, "%s/no/log", ft_test_tmpdir());
    CHECK_ERR(ft_disk_posix_create(path, &disk), ft_err_from_errno(ENOENT));
    CHECK_ERR(ft_disk_posix_create("/dev/null", &disk), ft_err_from_errno(ENOTDIR));
}

TEST(whole_files_are_read_up_to_their_bound)
{
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    static char content[10000];
    memset(content, 'c', sizeof content);
    CHECK_OK(ft_disk_replace(disk, "f", content, sizeof content));
    char *data;
    size_t size;
    CHECK_OK(ft_disk_read_all(disk, "f", sizeof content, &data, &size));
    CHECK_BYTES(data, size, content, sizeof content);
    CHECK_INT(data[size], 0);
    free(data);
    CHECK_OK(ft_disk_read_all(disk, "f", sizeof content + 7, &data, &size));
    CHECK_INT(size, sizeof content);
    free(data);
    CHECK_ERR(ft_disk_read_all(disk, "f", sizeof content - 1, &data, &size), FT_E_RANGE);
    CHECK_ERR(ft_disk_read_all(disk, "g", 10, &data, &size), ft_err_from_errno(ENOENT));
    CHECK_OK(ft_disk_replace(disk, "f", NULL, 0));
    CHECK_OK(ft_disk_read_all(disk, "f", 0, &data, &size));
    CHECK_INT(size, 0);
    CHECK_STR(data, "");
    free(data);
    ft_disk_destroy(disk);
}

/* After every cut the file holds the old or the new content, after success the new one. */
TEST(replacing_is_all_or_nothing)
{
    bool stopped = true;
    for (uint64_t at = 1; stopped; at++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct ft_disk *disk = ft_fault_disk_create(seed);
            static char old_content[3000];
            static char new_content[4000];
            memset(old_content, 'o', sizeof old_content);
            memset(new_content, 'n', sizeof new_content);
            CHECK_OK(ft_disk_replace(disk, "f", old_content, sizeof old_content));
            ft_fault_disk_stop_at(disk, at);
            ft_err err = ft_disk_replace(disk, "f", new_content, sizeof new_content);
            stopped = ft_fault_disk_stopped(disk);
            CHECK_INT(err == FT_OK, !stopped);
            ft_fault_disk_restart(disk, seed == 1 ? FT_FAULT_LOSE : FT_FAULT_TEAR);
            char *data;
            size_t size;
            CHECK_OK(ft_disk_read_all(disk, "f", 10000, &data, &size));
            if (data[0] == 'o') {
                CHECK(stopped);
                CHECK_BYTES(data, size, old_content, sizeof old_content);
            } else {
                CHECK_BYTES(data, size, new_content, sizeof new_content);
            }
            free(data);
            /* What was left behind is no obstacle. */
            CHECK_OK(ft_disk_replace(disk, "f", "x", 1));
            ft_disk_destroy(disk);
        }
    }
}

TEST(a_failed_replacement_leaves_the_old_file)
{
    static const enum ft_fault_op ops[] = {FT_FAULT_OPEN, FT_FAULT_WRITE, FT_FAULT_SYNC,
                                           FT_FAULT_RENAME};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct ft_disk *disk = ft_fault_disk_create(1);
        CHECK_OK(ft_disk_replace(disk, "f", "old", 3));
        ft_fault_disk_fail(disk, ops[i], 1, 1, ft_err_from_errno(ENOSPC));
        CHECK_ERR(ft_disk_replace(disk, "f", "new", 3), ft_err_from_errno(ENOSPC));
        char *data;
        size_t size;
        CHECK_OK(ft_disk_read_all(disk, "f", 10, &data, &size));
        CHECK_STR(data, "old");
        free(data);
        CHECK(ft_fault_disk_name(disk, 1) == NULL);
        ft_disk_destroy(disk);
    }
}

TEST(a_private_directory_is_for_one_process_of_one_user)
{
    char path[512];
    char link_path[600];
    (void)snprintf(path, sizeof path, "%s/spool", ft_test_tmpdir());
    (void)snprintf(link_path, sizeof link_path, "%s.link", path);
    struct ft_disk *disk;
    struct ft_disk *other;
    CHECK(mkdir(path, 0777) == 0);
    CHECK_OK(ft_disk_posix_create_private(path, &disk));
    CHECK_ERR(ft_disk_posix_create_private(path, &other), ft_err_from_errno(EBUSY));
    CHECK(symlink(path, link_path) == 0);
    CHECK_ERR(ft_disk_posix_create_private(link_path, &other), ft_err_from_errno(ENOTDIR));
    struct ft_disk_file *file;
    CHECK_OK(disk->ops->open(disk, "a", true, &file));
    disk->ops->close(file);
    struct stat status;
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0700);
    char file_path[600];
    (void)snprintf(file_path, sizeof file_path, "%s/a", path);
    CHECK(stat(file_path, &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0600);
    ft_disk_destroy(disk);
    CHECK_OK(ft_disk_posix_create_private(path, &disk));
    ft_disk_destroy(disk);
}

TEST(a_mapped_file_is_what_is_read)
{
    const char *path;
    struct ft_disk *disk = posix_disk(&path);
    struct ft_disk_file *file;
    static uint8_t data[8192];
    data[4097] = 7;
    CHECK_OK(disk->ops->open(disk, "a", true, &file));
    CHECK_OK(disk->ops->write_at(file, 0, data, sizeof data));
    void *map;
    CHECK_OK(disk->ops->map(file, 4096, 4096, &map));
    uint8_t *bytes = map;
    CHECK_INT(bytes[1], 7);
    bytes[2] = 8;
    size_t size;
    uint8_t again[4];
    CHECK_OK(disk->ops->read_at(file, 4096, again, sizeof again, &size));
    CHECK_INT(again[2], 8);
    disk->ops->close(file);
    bytes[3] = 9;
    disk->ops->unmap(disk, map, 4096);
    CHECK_OK(disk->ops->open(disk, "a", false, &file));
    CHECK_OK(disk->ops->read_at(file, 4096, again, sizeof again, &size));
    CHECK_INT(again[3], 9);
    disk->ops->close(file);
    ft_disk_destroy(disk);
}
