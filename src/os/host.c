/* SPDX-License-Identifier: Apache-2.0 */
#include "os/host.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/sysctl.h"

#define ACCT_PATH "/proc/sys/net/netfilter/nf_conntrack_acct"

static void copy_text(char to[FT_HOST_TEXT_SIZE], const char *from)
{
    (void)snprintf(to, FT_HOST_TEXT_SIZE, "%s", from);
}

ft_err ft_host_read(struct ft_host *ret_host)
{
    struct utsname name;
    if (uname(&name) != 0) {
        return ft_err_last();
    }
    struct ft_host host = {0};
    copy_text(host.hostname, name.nodename);
    copy_text(host.kernel_release, name.release);
    copy_text(host.machine, name.machine);
    char *end;
    host.kernel_major = (unsigned)strtoul(name.release, &end, 10);
    if (*end == '.') {
        host.kernel_minor = (unsigned)strtoul(end + 1, NULL, 10);
    }
    *ret_host = host;
    return FT_OK;
}

ft_err ft_host_machine_id(char ret_id[FT_HOST_TEXT_SIZE])
{
    char text[FT_HOST_TEXT_SIZE];
    FT_TRY(ft_read_text_file("/etc/machine-id", text, sizeof text));
    if (text[0] == '\0' || strcmp(text, "uninitialized") == 0) {
        return ft_err_from_errno(ENOENT); /* An image that was not booted yet. */
    }
    if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32) {
        return FT_E_SYNTAX;
    }
    memcpy(ret_id, text, sizeof text);
    return FT_OK;
}

ft_err ft_host_boot_id(char ret_id[FT_HOST_TEXT_SIZE])
{
    char text[FT_HOST_TEXT_SIZE];
    FT_TRY(ft_read_text_file("/proc/sys/kernel/random/boot_id", text, sizeof text));
    if (strlen(text) != 36) {
        return FT_E_SYNTAX;
    }
    memcpy(ret_id, text, sizeof text);
    return FT_OK;
}

ft_err ft_host_has_cap(unsigned cap, bool *ret_has)
{
    /* The thread's own: capabilities may differ between the threads of one process. */
    char text[4096];
    FT_TRY(ft_read_text_file("/proc/thread-self/status", text, sizeof text));
    const char *line = strstr(text, "\nCapEff:");
    if (line == NULL) {
        return FT_E_SYNTAX;
    }
    unsigned long long mask = strtoull(line + strlen("\nCapEff:"), NULL, 16);
    *ret_has = cap < 64 && (mask >> cap & 1) != 0;
    return FT_OK;
}

bool ft_host_module_loaded(const char *name)
{
    char path[128];
    int len = snprintf(path, sizeof path, "/sys/module/%s", name);
    return len < (int)sizeof path && access(path, F_OK) == 0;
}

bool ft_host_has_conntrack(void)
{
    return access("/proc/sys/net/netfilter/nf_conntrack_count", F_OK) == 0;
}

ft_err ft_host_rmem_max(uint64_t *ret_bytes)
{
    return ft_sysctl_get("net/core/rmem_max", ret_bytes);
}

ft_err ft_host_sysctl_writable(void)
{
    /* Opening tells more than access(2): a read-only mount is seen by both, a policy only here. */
    int fd = open(ACCT_PATH, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return ft_err_last();
    }
    ft_fd_close(&fd);
    return FT_OK;
}

ft_err ft_host_netns(uint64_t *ret_inode)
{
    struct stat status;
    if (stat("/proc/thread-self/ns/net", &status) != 0) {
        return ft_err_last();
    }
    *ret_inode = status.st_ino;
    return FT_OK;
}
