/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/receipt_key.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define PRIVATE_TEXT      "ed25519-private:"
#define PRIVATE_TEXT_SIZE (sizeof PRIVATE_TEXT - 1)
/* Of a file with keys: comments may take most of it. */
#define FILE_SIZE_MAX ((size_t)16 << 10)

static ft_err make_seed(struct ft_disk *disk, const char *name, struct ft_random *random,
                        uint8_t *ret_seed);
static ft_err publish(struct ft_disk *disk, const char *name, const uint8_t *key);
static bool parse_hex(const char *text, size_t len, uint8_t *ret_bytes, size_t size);
static bool parse_base64(const char *text, size_t len, uint8_t *ret_bytes, size_t size);
static void format_hex(const uint8_t *bytes, size_t size, char *text);
static ft_err read_key_file(const char *path, char *buf, size_t size, struct ft_diag *reterr_diag);

ft_err ft_receipt_signer_load(struct ft_disk *disk, const char *name, struct ft_random *random,
                              struct ft_receipt_signer **ret_signer)
{
    uint8_t seed[FT_RECEIPT_SEED_SIZE];
    char *text = NULL;
    size_t size = 0;
    ft_err err = ft_disk_read_private(disk, name, FILE_SIZE_MAX, &text, &size);
    if (err == FT_OK) {
        size_t len = strcspn(text, "\n");
        bool good = len > PRIVATE_TEXT_SIZE && memcmp(text, PRIVATE_TEXT, PRIVATE_TEXT_SIZE) == 0 &&
                    parse_hex(text + PRIVATE_TEXT_SIZE, len - PRIVATE_TEXT_SIZE, seed, sizeof seed);
        explicit_bzero(text, size);
        free(text);
        err = good ? FT_OK : FT_E_CORRUPT;
    } else if (err == ft_err_from_errno(ENOENT)) {
        err = make_seed(disk, name, random, seed);
    }
    FT_CLEANUP(ft_receipt_signer_destroy) struct ft_receipt_signer *signer = NULL;
    if (err == FT_OK) {
        err = ft_receipt_signer_create(seed, &signer);
    }
    explicit_bzero(seed, sizeof seed);
    FT_TRY(err);
    FT_TRY(publish(disk, name, ft_receipt_signer_key(signer)));
    *ret_signer = FT_TAKE(signer);
    return FT_OK;
}

void ft_receipt_key_format(const uint8_t key[FT_RECEIPT_KEY_SIZE],
                           char text[FT_RECEIPT_KEY_TEXT_SIZE])
{
    size_t at = strlen(FT_RECEIPT_KEY_TEXT);
    memcpy(text, FT_RECEIPT_KEY_TEXT, at);
    format_hex(key, FT_RECEIPT_KEY_SIZE, text + at);
}

bool ft_receipt_key_parse(const char *text, size_t len, uint8_t ret_key[FT_RECEIPT_KEY_SIZE])
{
    size_t prefix = strlen(FT_RECEIPT_KEY_TEXT);
    if (len > prefix && memcmp(text, FT_RECEIPT_KEY_TEXT, prefix) == 0) {
        text += prefix;
        len -= prefix;
    }
    return parse_hex(text, len, ret_key, FT_RECEIPT_KEY_SIZE) ||
           parse_base64(text, len, ret_key, FT_RECEIPT_KEY_SIZE);
}

ft_err ft_receipt_keys_load(const char *text, struct ft_receipt_keys *ret_keys,
                            struct ft_diag *reterr_diag)
{
    struct ft_receipt_keys keys = {0};
    char buf[FILE_SIZE_MAX + 1];
    const char *path = NULL;
    if (text[0] != '\0' && ft_receipt_key_parse(text, strlen(text), keys.keys[0])) {
        keys.n = 1;
    } else if (text[0] != '\0') {
        path = text;
        FT_TRY(read_key_file(path, buf, sizeof buf, reterr_diag));
    }
    unsigned line = 0;
    for (const char *at = path != NULL ? buf : ""; *at != '\0';) {
        line++;
        size_t len = strcspn(at, "\n");
        const char *next = at + len + (at[len] == '\n');
        size_t skip = strspn(at, " \t\r");
        skip = skip < len ? skip : len;
        size_t end = len;
        while (end > skip && strchr(" \t\r", at[end - 1]) != NULL) {
            end--;
        }
        if (end > skip && at[skip] != '#') {
            if (keys.n == FT_RECEIPT_KEYS_MAX) {
                return ft_diag_set(reterr_diag, FT_E_RANGE, path, line, 0,
                                   "more than %d receipt keys", FT_RECEIPT_KEYS_MAX);
            }
            if (!ft_receipt_key_parse(at + skip, end - skip, keys.keys[keys.n])) {
                return ft_diag_set(reterr_diag, FT_E_SYNTAX, path, line, 0,
                                   "a receipt key is \"ed25519:\" and 64 hexadecimal digits");
            }
            keys.n++;
        }
        at = next;
    }
    if (path != NULL && keys.n == 0) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, path, 0, 0, "there is no receipt key in it");
    }
    *ret_keys = keys;
    return FT_OK;
}

bool ft_receipt_keys_have(const struct ft_receipt_keys *keys,
                          const uint8_t key[FT_RECEIPT_KEY_SIZE])
{
    for (size_t i = 0; i < keys->n; i++) {
        if (memcmp(keys->keys[i], key, FT_RECEIPT_KEY_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static ft_err make_seed(struct ft_disk *disk, const char *name, struct ft_random *random,
                        uint8_t *ret_seed)
{
    char line[PRIVATE_TEXT_SIZE + 2 * FT_RECEIPT_SEED_SIZE + 2];
    random->fill(random, ret_seed, FT_RECEIPT_SEED_SIZE);
    memcpy(line, PRIVATE_TEXT, PRIVATE_TEXT_SIZE);
    format_hex(ret_seed, FT_RECEIPT_SEED_SIZE, line + PRIVATE_TEXT_SIZE);
    line[sizeof line - 2] = '\n';
    ft_err err = ft_disk_replace_private(disk, name, line, sizeof line - 1);
    explicit_bzero(line, sizeof line);
    return err;
}

/* For people and their tools; what is used is derived from the private one. */
static ft_err publish(struct ft_disk *disk, const char *name, const uint8_t *key)
{
    char public_name[FT_DISK_NAME_SIZE];
    char line[FT_RECEIPT_KEY_TEXT_SIZE];
    (void)snprintf(public_name, sizeof public_name, "%s.pub", name);
    ft_receipt_key_format(key, line);
    line[sizeof line - 1] = '\n';
    char *text = NULL;
    size_t size = 0;
    ft_err err = ft_disk_read_all(disk, public_name, FILE_SIZE_MAX, &text, &size);
    bool same = err == FT_OK && size == sizeof line && memcmp(text, line, size) == 0;
    free(text);
    return same ? FT_OK : ft_disk_replace(disk, public_name, line, sizeof line);
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

static bool parse_hex(const char *text, size_t len, uint8_t *ret_bytes, size_t size)
{
    if (len != 2 * size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets, with or without padding; the bits left over must be zero. */
static bool parse_base64(const char *text, size_t len, uint8_t *ret_bytes, size_t size)
{
    while (len > 0 && text[len - 1] == '=') {
        len--;
    }
    if (len != (size * 8 + 5) / 6) {
        return false;
    }
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            ret_bytes[n++] = (uint8_t)(bits >> n_bits);
            bits &= (1u << n_bits) - 1;
        }
    }
    return n == size && bits == 0;
}

/* With NUL. */
static void format_hex(const uint8_t *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15u];
    }
    text[2 * size] = '\0';
}

/* Into 'buf' with NUL. */
static ft_err read_key_file(const char *path, char *buf, size_t size, struct ft_diag *reterr_diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        ft_err err = ft_err_last();
        return ft_diag_set(reterr_diag, err, path, 0, 0,
                           "neither a receipt key nor a file that can be read: %s",
                           ft_err_text(err));
    }
    size_t at = 0;
    ssize_t n = 1;
    while (n > 0 && at < size - 1) {
        n = read(fd, buf + at, size - 1 - at);
        if (n < 0 && errno == EINTR) {
            n = 1;
        } else if (n > 0) {
            at += (size_t)n;
        }
    }
    ft_err err = n < 0 ? ft_err_last() : FT_OK;
    ft_fd_close(&fd);
    buf[at] = '\0';
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot read: %s", ft_err_text(err));
    }
    if (at == size - 1 || strlen(buf) != at) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, path, 0, 0, "this is no file of receipt keys");
    }
    return FT_OK;
}
