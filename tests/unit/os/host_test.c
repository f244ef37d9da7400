/* SPDX-License-Identifier: Apache-2.0 */
#include "os/host.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/test.h"

TEST(names_are_those_of_the_kernel)
{
    struct ft_host host;
    CHECK_OK(ft_host_read(&host));
    CHECK(host.kernel_major >= 4);
    char name[FT_HOST_TEXT_SIZE];
    CHECK_INT(gethostname(name, sizeof name), 0);
    CHECK_STR(host.hostname, name);
    char start[32];
    (void)snprintf(start, sizeof start, "%u.%u", host.kernel_major, host.kernel_minor);
    CHECK(strncmp(host.kernel_release, start, strlen(start)) == 0);
    CHECK(host.machine[0] != '\0');
}

TEST(ids_have_their_form)
{
    char id[FT_HOST_TEXT_SIZE];
    ft_err err = ft_host_machine_id(id);
    if (err == FT_OK) {
        CHECK_INT(strlen(id), 32);
    } else {
        CHECK_ERR(err, ft_err_from_errno(ENOENT));
    }
    CHECK_OK(ft_host_boot_id(id));
    CHECK_INT(strlen(id), 36);
    CHECK_INT(id[8], '-');
}

TEST(capabilities_of_this_thread)
{
    bool has = false;
    CHECK_OK(ft_host_has_cap(63, &has));
    CHECK(!has);
    CHECK_OK(ft_host_has_cap(64, &has));
    CHECK(!has);
    CHECK_OK(ft_host_has_cap(FT_CAP_NET_ADMIN, &has));
    if (geteuid() != 0) {
        CHECK(!has);
    }
}

TEST(kernel_facts)
{
    uint64_t bytes = 0;
    CHECK_OK(ft_host_rmem_max(&bytes));
    CHECK(bytes >= 4096);
    CHECK(!ft_host_module_loaded("no_such_module_flowtrail"));
    uint64_t inode = 0;
    CHECK_OK(ft_host_netns(&inode));
    struct stat status;
    CHECK_INT(stat("/proc/self/ns/net", &status), 0);
    CHECK_INT(inode, status.st_ino);
    ft_err err = ft_host_sysctl_writable();
    CHECK(err != FT_OK || ft_host_has_conntrack());
}
