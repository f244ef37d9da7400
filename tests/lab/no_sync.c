/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: files whose path begins with FT_NO_SYNC are not synced, and it is told
 * that they were.  So a test can see that it would find a program that forgets to sync.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

/* Declared here, because <unistd.h> has attributes that a definition must not repeat. */
EXPORTED int fsync(int fd);
EXPORTED int fdatasync(int fd);
EXPORTED int syncfs(int fd);

static bool is_meant(int fd)
{
    const char *prefix = getenv("FT_NO_SYNC");
    char link[64];
    char path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (prefix == NULL || n < 0) {
        return false;
    }
    path[n] = '\0';
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static int pass_on(const char *name, int fd)
{
    if (is_meant(fd)) {
        return 0;
    }
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return pass_on("fsync", fd); }
int fdatasync(int fd) { return pass_on("fdatasync", fd); }
int syncfs(int fd) { return pass_on("syncfs", fd); }
