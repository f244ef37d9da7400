/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/pem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static ft_err read_all(int fd, char **ret_text);

ft_err ft_rpc_pem_read(const char *path, char **ret_text, struct ft_diag *reterr_diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ft_err err = fd < 0 ? ft_err_last() : FT_OK;
    char *text = NULL;
    if (err == FT_OK) {
        err = read_all(fd, &text);
        ft_fd_close(&fd);
    }
    if (err == FT_OK && strstr(text, "-----BEGIN ") == NULL) {
        ft_rpc_pem_free(text);
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, path, 0, 0, "holds no PEM block");
    }
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot be read: %s", ft_err_text(err));
    }
    *ret_text = text;
    return FT_OK;
}

void ft_rpc_pem_free(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

static ft_err read_all(int fd, char **ret_text)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return ft_err_last();
    }
    if (st.st_size < 0 || st.st_size > FT_RPC_PEM_SIZE_MAX) {
        return FT_E_RANGE;
    }
    size_t size_max = (size_t)st.st_size;
    char *text = malloc(size_max + 1);
    if (text == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    size_t size = 0;
    while (size < size_max) {
        ssize_t n = read(fd, text + size, size_max - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            ft_err err = ft_err_last();
            text[size] = '\0';
            ft_rpc_pem_free(text);
            return err;
        }
        if (n == 0) {
            break;
        }
        size += (size_t)n;
    }
    text[size] = '\0';
    *ret_text = text;
    return FT_OK;
}
