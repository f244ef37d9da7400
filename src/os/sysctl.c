/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sysctl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

static void make_path(const char *name, char *path, size_t size)
{
    (void)snprintf(path, size, "/proc/sys/%s", name);
}

ft_err ft_sysctl_get(const char *name, uint64_t *ret_value)
{
    char path[128];
    char text[32];
    make_path(name, path, sizeof path);
    FT_TRY(ft_read_text_file(path, text, sizeof text));
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-' || errno != 0) {
        return FT_E_SYNTAX;
    }
    *ret_value = value;
    return FT_OK;
}

ft_err ft_sysctl_set(const char *name, uint64_t value)
{
    char path[128];
    char text[32];
    make_path(name, path, sizeof path);
    int len = snprintf(text, sizeof text, "%" PRIu64 "\n", value);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return ft_err_last();
    }
    /* A sysctl takes one write whole or not at all. */
    ssize_t n = write(fd, text, (size_t)len);
    ft_err err = n < 0 ? ft_err_last() : n == len ? FT_OK : ft_err_from_errno(EIO);
    ft_fd_close(&fd);
    return err;
}
