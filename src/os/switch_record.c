/* SPDX-License-Identifier: Apache-2.0 */
#include "os/switch_record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/ct_kernel.h"
#include "os/host.h"
#include "os/switches.h"

/* Three lines and the names of all switches. */
#define TEXT_SIZE 512

static ft_err make_head(char *text, size_t size);
static ft_err write_file(const char *path, const char *text);
static ft_err parse_names(const char *names, unsigned *ret_owned);

ft_err ft_switch_record_load(const char *path, unsigned *ret_owned)
{
    char text[TEXT_SIZE];
    char head[TEXT_SIZE];
    ft_err err = ft_read_text_file(path, text, sizeof text);
    if (err == ft_err_from_errno(ENOENT)) {
        *ret_owned = 0;
        return FT_OK;
    }
    if (err == FT_E_RANGE) {
        return FT_E_SYNTAX;
    }
    FT_TRY(err);
    FT_TRY(make_head(head, sizeof head));
    if (strncmp(text, head, strlen(head)) == 0) {
        return parse_names(text + strlen(head), ret_owned);
    }
    if (strncmp(text, head, strcspn(head, "\n") + 1) != 0) {
        return FT_E_SYNTAX;
    }
    *ret_owned = 0; /* Of another boot or namespace. */
    return FT_OK;
}

ft_err ft_switch_record_save(const char *path, unsigned owned)
{
    char text[TEXT_SIZE];
    if (owned == 0) {
        return unlink(path) == 0 || errno == ENOENT ? FT_OK : ft_err_last();
    }
    FT_TRY(make_head(text, sizeof text));
    for (unsigned i = 0; i < FT_CT_SWITCH_N; i++) {
        if ((owned & FT_SWITCH_BIT(i)) != 0) {
            size_t len = strlen(text);
            (void)snprintf(text + len, sizeof text - len, "%s\n",
                           ft_ct_switch_name((enum ft_ct_switch)i));
        }
    }
    return write_file(path, text);
}

static ft_err make_head(char *text, size_t size)
{
    char boot_id[FT_HOST_TEXT_SIZE];
    uint64_t netns;
    FT_TRY(ft_host_boot_id(boot_id));
    FT_TRY(ft_host_netns(&netns));
    (void)snprintf(text, size, "flowtrail switches 1\nboot %s\nnetns %" PRIu64 "\n", boot_id,
                   netns);
    return FT_OK;
}

static ft_err write_file(const char *path, const char *text)
{
    char fresh[PATH_MAX];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh) {
        return ft_err_from_errno(ENAMETOOLONG);
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return ft_err_last();
    }
    size_t left = strlen(text);
    ft_err err = FT_OK;
    while (err == FT_OK && left > 0) {
        ssize_t n = write(fd, text, left);
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            err = n == 0 ? ft_err_from_errno(EIO) : ft_err_last();
        }
    }
    ft_fd_close(&fd);
    if (err == FT_OK && rename(fresh, path) != 0) {
        err = ft_err_last();
    }
    return err;
}

static ft_err parse_names(const char *names, unsigned *ret_owned)
{
    unsigned owned = 0;
    while (*names != '\0') {
        size_t len = strcspn(names, "\n");
        unsigned which = 0;
        while (which < FT_CT_SWITCH_N) {
            const char *name = ft_ct_switch_name((enum ft_ct_switch)which);
            if (strlen(name) == len && strncmp(name, names, len) == 0) {
                break;
            }
            which++;
        }
        if (which == FT_CT_SWITCH_N) {
            return FT_E_SYNTAX;
        }
        owned |= FT_SWITCH_BIT(which);
        names += len + (names[len] == '\n' ? 1 : 0);
    }
    *ret_owned = owned;
    return FT_OK;
}
