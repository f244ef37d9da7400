/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writeback DIR: has the kernel write what is dirty in the files of DIR, again and again, in any
 * order and without a flush, as it may do at any time.  By itself it takes its time, up to 30 s,
 * and a test whose disk loses what was not flushed would have little to lose.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAUSE_US        5000
#define DESCRIPTORS_MAX 16

static int write_file(const char *path, const struct stat *attr, int type, struct FTW *where)
{
    (void)attr;
    (void)where;
    if (type == FTW_F) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
            (void)close(fd);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "writeback DIR\n");
        return 64;
    }
    for (;;) {
        (void)nftw(argv[1], write_file, DESCRIPTORS_MAX, FTW_PHYS | FTW_MOUNT);
        (void)usleep(PAUSE_US);
    }
}
