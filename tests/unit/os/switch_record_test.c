/* SPDX-License-Identifier: Apache-2.0 */
#include "os/switch_record.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/test.h"
#include "netns.h"
#include "os/switches.h"

#define ACCT      FT_SWITCH_BIT(FT_CT_SWITCH_ACCT)
#define TIMESTAMP FT_SWITCH_BIT(FT_CT_SWITCH_TIMESTAMP)

static const char *path_in(const char *dir)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/switches", dir);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK_INT(fclose(file), 0);
}

TEST(is_read_as_it_was_written)
{
    const char *path = path_in(ft_test_tmpdir());
    unsigned owned = 77;
    CHECK_OK(ft_switch_record_load(path, &owned));
    CHECK_INT(owned, 0);
    CHECK_OK(ft_switch_record_save(path, ACCT | TIMESTAMP));
    CHECK_OK(ft_switch_record_load(path, &owned));
    CHECK_INT(owned, ACCT | TIMESTAMP);
    CHECK_OK(ft_switch_record_save(path, TIMESTAMP));
    CHECK_OK(ft_switch_record_load(path, &owned));
    CHECK_INT(owned, TIMESTAMP);
    CHECK_OK(ft_switch_record_save(path, 0));
    CHECK_INT(access(path, F_OK), -1);
    CHECK_OK(ft_switch_record_save(path, 0));
}

TEST(another_boot_is_none_of_ours)
{
    const char *path = path_in(ft_test_tmpdir());
    unsigned owned = 77;
    write_text(path, "flowtrail switches 1\nboot 00000000-0000-0000-0000-000000000000\nnetns 1\n"
                     "nf_conntrack_acct\n");
    CHECK_OK(ft_switch_record_load(path, &owned));
    CHECK_INT(owned, 0);
}

TEST(another_network_namespace_is_none_of_ours)
{
    const char *path = path_in(ft_test_tmpdir());
    unsigned owned = 77;
    CHECK_OK(ft_switch_record_save(path, ACCT));
    netns_enter();
    CHECK_OK(ft_switch_record_load(path, &owned));
    CHECK_INT(owned, 0);
}

TEST(anything_else_is_refused)
{
    const char *path = path_in(ft_test_tmpdir());
    unsigned owned = 77;
    write_text(path, "flowtrail switches 2\n");
    CHECK_ERR(ft_switch_record_load(path, &owned), FT_E_SYNTAX);
    write_text(path, "");
    CHECK_ERR(ft_switch_record_load(path, &owned), FT_E_SYNTAX);
    CHECK_OK(ft_switch_record_save(path, ACCT));
    FILE *file = fopen(path, "ae");
    CHECK(file != NULL && fputs("nf_conntrack_max\n", file) >= 0 && fclose(file) == 0);
    CHECK_ERR(ft_switch_record_load(path, &owned), FT_E_SYNTAX);
    CHECK_INT(owned, 77);
    CHECK_ERR(ft_switch_record_save("/nonexistent/switches", ACCT), ft_err_from_errno(ENOENT));
}
