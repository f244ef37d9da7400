/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define TOKEN_BYTES 32

static ft_err read_token_file(int fd, char *buf, size_t size, size_t *ret_len, bool *ret_exposed);
static int hex_value(char c);

void ft_token_generate(struct ft_random *random, char token[FT_TOKEN_NEW_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[TOKEN_BYTES + 1]; /* One zero byte fills the last group of three. */
    random->fill(random, bytes, TOKEN_BYTES);
    bytes[TOKEN_BYTES] = 0;
    size_t at = 0;
    for (size_t i = 0; i < TOKEN_BYTES; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8;
        group |= i + 2 < sizeof bytes ? bytes[i + 2] : 0u;
        for (unsigned k = 0; k < 4 && at < FT_TOKEN_NEW_SIZE - 1; k++) {
            token[at++] = digits[group >> (18 - 6 * k) & 63u];
        }
    }
    token[at] = '\0';
    explicit_bzero(bytes, sizeof bytes);
}

ft_err ft_token_hash(const char *token, size_t len, uint8_t ret_hash[FT_TOKEN_HASH_SIZE])
{
    unsigned size = 0;
    if (EVP_Digest(token, len, ret_hash, &size, EVP_sha256(), NULL) != 1 ||
        size != FT_TOKEN_HASH_SIZE) {
        return FT_E_UNSUPPORTED;
    }
    return FT_OK;
}

void ft_token_hash_format(const uint8_t hash[FT_TOKEN_HASH_SIZE], char text[FT_TOKEN_DIGEST_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = strlen(FT_TOKEN_HASH_TEXT);
    memcpy(text, FT_TOKEN_HASH_TEXT, at);
    for (size_t i = 0; i < FT_TOKEN_HASH_SIZE; i++) {
        text[at++] = digits[hash[i] >> 4];
        text[at++] = digits[hash[i] & 15u];
    }
    text[at] = '\0';
}

bool ft_token_hash_parse(const char *text, size_t len, uint8_t ret_hash[FT_TOKEN_HASH_SIZE])
{
    size_t at = strlen(FT_TOKEN_HASH_TEXT);
    if (len != at + 2u * FT_TOKEN_HASH_SIZE || strncmp(text, FT_TOKEN_HASH_TEXT, at) != 0) {
        return false;
    }
    for (size_t i = 0; i < FT_TOKEN_HASH_SIZE; i++) {
        int high = hex_value(text[at + 2 * i]);
        int low = hex_value(text[at + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool ft_token_ok(const char *token, size_t len, const char **ret_why)
{
    const char *why = NULL;
    for (size_t i = 0; i < len && why == NULL; i++) {
        unsigned char c = (unsigned char)token[i];
        if (c <= 0x20 || c == 0x7f) {
            why = "a token has no spaces and no control characters inside";
        } else if (c > 0x7f) {
            why = "a token is plain ASCII";
        }
    }
    if (len == 0) {
        why = "there is no token in it";
    } else if (why == NULL && len < FT_TOKEN_LEN_MIN) {
        why = "a token has at least 16 characters";
    } else if (why == NULL && len > FT_TOKEN_LEN_MAX) {
        why = "a token has at most 4096 characters";
    }
    if (why != NULL) {
        *ret_why = why;
    }
    return why == NULL;
}

ft_err ft_token_load(const char *path, struct ft_token *token, struct ft_diag *reterr_diag)
{
    /* White space around it may double the size; more is not a token file. */
    char text[2 * FT_TOKEN_SIZE];
    size_t size = 0;
    bool exposed = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        ft_err err = ft_err_last();
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot open: %s", ft_err_text(err));
    }
    ft_err err = read_token_file(fd, text, sizeof text, &size, &exposed);
    ft_fd_close(&fd);
    if (err != FT_OK) {
        explicit_bzero(text, sizeof text);
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot read: %s",
                           err == FT_E_SYNTAX ? "not a regular file" : ft_err_text(err));
    }
    size_t start = 0;
    while (start < size && strchr(" \t\r\n", text[start]) != NULL && text[start] != '\0') {
        start++;
    }
    while (size > start && strchr(" \t\r\n", text[size - 1]) != NULL && text[size - 1] != '\0') {
        size--;
    }
    size_t len = size - start;
    const char *why = NULL;
    if (ft_token_ok(text + start, len, &why)) {
        ft_token_wipe(token);
        memcpy(token->text, text + start, len);
        token->text[len] = '\0';
        token->len = len;
        token->exposed = exposed;
    } else {
        err = ft_diag_set(reterr_diag, len > FT_TOKEN_LEN_MAX ? FT_E_RANGE : FT_E_SYNTAX, path, 0,
                          0, "%s", why);
    }
    explicit_bzero(text, sizeof text);
    return err;
}

void ft_token_wipe(struct ft_token *token) { explicit_bzero(token, sizeof *token); }

/* FT_E_SYNTAX: no regular file; FT_E_RANGE: it does not fit. */
static ft_err read_token_file(int fd, char *buf, size_t size, size_t *ret_len, bool *ret_exposed)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return ft_err_last();
    }
    if (!S_ISREG(status.st_mode)) {
        return FT_E_SYNTAX;
    }
    *ret_exposed = (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, buf + len, size - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return ft_err_last();
        }
        if (n == 0) {
            *ret_len = len;
            return FT_OK;
        }
        len += (size_t)n;
    }
    return FT_E_RANGE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
