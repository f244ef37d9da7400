/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_set.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

struct entry {
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    unsigned line;
    struct ft_principal principal;
};

struct ft_token_set {
    size_t n;
    size_t capacity;
    struct entry *entries;
};

/* A word of a line. */
struct word {
    const char *text;
    size_t len;
    unsigned column;
};

struct line_parser {
    const char *file;
    unsigned line;
    const char *start;
    const char *at;
    const char *end;
    struct ft_diag *diag;
};

static ft_err parse_line(struct line_parser *p, struct ft_token_set *set);
static ft_err parse_name(struct line_parser *p, const struct word *word, struct entry *entry);
static ft_err parse_attribute(struct line_parser *p, const struct word *word, struct entry *entry);
static ft_err parse_uuid(struct line_parser *p, const struct word *word, const char *text,
                         size_t len, struct entry *entry);
static bool next_word(struct line_parser *p, struct word *ret_word);
static bool copy_name(const char *text, size_t len, char name[FT_PRINCIPAL_NAME_SIZE]);
static ft_err add_entry(struct line_parser *p, struct ft_token_set *set, const struct entry *entry);
static ft_err check_unique(const struct ft_token_set *set, const char *file,
                           struct ft_diag *reterr_diag);
static ft_err read_all(const char *path, char **ret_text, size_t *ret_size,
                       struct ft_diag *reterr_diag);

static const char *const role_names[FT_ROLE_N] = {"agent", "query", "admin"};

ft_err ft_token_set_parse(const char *text, size_t size, const char *file,
                          struct ft_token_set **ret_set, struct ft_diag *reterr_diag)
{
    if (size > FT_TOKEN_SET_FILE_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, file, 0, 0, "too large; allowed: %u bytes",
                           FT_TOKEN_SET_FILE_MAX);
    }
    FT_CLEANUP(ft_token_set_destroy) struct ft_token_set *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
    }
    struct line_parser p = {.file = file, .line = 1, .diag = reterr_diag};
    for (const char *at = text; at < text + size; p.line++) {
        const char *end = memchr(at, '\n', (size_t)(text + size - at));
        p.start = at;
        p.at = at;
        p.end = end != NULL ? end : text + size;
        FT_TRY(parse_line(&p, set));
        at = p.end + 1;
    }
    FT_TRY(check_unique(set, file, reterr_diag));
    *ret_set = FT_TAKE(set);
    return FT_OK;
}

ft_err ft_token_set_load(const char *path, struct ft_token_set **ret_set,
                         struct ft_diag *reterr_diag)
{
    char *text = NULL;
    size_t size = 0;
    FT_TRY(read_all(path, &text, &size, reterr_diag));
    ft_err err = ft_token_set_parse(text, size, path, ret_set, reterr_diag);
    free(text);
    return err;
}

void ft_token_set_destroy(struct ft_token_set *set)
{
    if (set != NULL) {
        free(set->entries);
        free(set);
    }
}

size_t ft_token_set_size(const struct ft_token_set *set) { return set != NULL ? set->n : 0; }

ft_err ft_token_set_lookup(const struct ft_token_set *set, const char *token, size_t len,
                           struct ft_principal *ret_principal)
{
    const char *why;
    uint8_t hash[FT_TOKEN_HASH_SIZE];
    if (set == NULL || !ft_token_ok(token, len, &why)) {
        return FT_E_AUTH;
    }
    FT_TRY(ft_token_hash(token, len, hash));
    /* No early end: how long this takes must not depend on which entry matches. */
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < set->n; i++) {
        if (CRYPTO_memcmp(set->entries[i].hash, hash, sizeof hash) == 0) {
            found = i;
        }
    }
    OPENSSL_cleanse(hash, sizeof hash);
    if (found == SIZE_MAX) {
        return FT_E_AUTH;
    }
    *ret_principal = set->entries[found].principal;
    return FT_OK;
}

const char *ft_role_text(enum ft_role role) { return role < FT_ROLE_N ? role_names[role] : "?"; }

static ft_err parse_line(struct line_parser *p, struct ft_token_set *set)
{
    struct word word;
    if (!next_word(p, &word)) {
        return FT_OK;
    }
    struct entry entry = {.line = p->line, .principal = {.tenant = "default"}};
    FT_TRY(parse_name(p, &word, &entry));
    if (!next_word(p, &word)) {
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line,
                           (unsigned)(p->end - p->start) + 1, "sha256:HEX is missing");
    }
    if (!ft_token_hash_parse(word.text, word.len, entry.hash)) {
        /* The word may be a token that was pasted in by mistake: it is not repeated here. */
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, word.column,
                           "\"sha256:\" and 64 hexadecimal digits are wanted here");
    }
    while (next_word(p, &word)) {
        FT_TRY(parse_attribute(p, &word, &entry));
    }
    return add_entry(p, set, &entry);
}

static ft_err parse_name(struct line_parser *p, const struct word *word, struct entry *entry)
{
    if (word->text[word->len - 1] != ':' ||
        !copy_name(word->text, word->len - 1, entry->principal.name)) {
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, word->column,
                           "a name and a colon are wanted here; allowed in a name: letters, "
                           "digits and . _ -, at most %d",
                           FT_PRINCIPAL_NAME_SIZE - 1);
    }
    return FT_OK;
}

static ft_err parse_attribute(struct line_parser *p, const struct word *word, struct entry *entry)
{
    const char *equals = memchr(word->text, '=', word->len);
    size_t key_len = equals != NULL ? (size_t)(equals - word->text) : 0;
    const char *value = equals != NULL ? equals + 1 : "";
    size_t len = equals != NULL ? word->len - key_len - 1 : 0;
    if (key_len == 5 && strncmp(word->text, "agent", 5) == 0) {
        return parse_uuid(p, word, value, len, entry);
    }
    if (key_len == 6 && strncmp(word->text, "tenant", 6) == 0) {
        if (copy_name(value, len, entry->principal.tenant)) {
            return FT_OK;
        }
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, word->column,
                           "tenant: allowed are letters, digits and . _ -, at most %d",
                           FT_PRINCIPAL_NAME_SIZE - 1);
    }
    if (key_len == 4 && strncmp(word->text, "role", 4) == 0) {
        for (unsigned i = 0; i < FT_ROLE_N; i++) {
            if (strlen(role_names[i]) == len && strncmp(value, role_names[i], len) == 0) {
                entry->principal.role = (enum ft_role)i;
                return FT_OK;
            }
        }
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, word->column,
                           "role: allowed are agent, query, admin");
    }
    return ft_diag_set(p->diag, FT_E_UNKNOWN_KEY, p->file, p->line, word->column,
                       "agent=UUID, role=ROLE or tenant=NAME is wanted here");
}

/* Own code, because libuuid belongs to another folder; the form of RFC 4122 and nothing else. */
static ft_err parse_uuid(struct line_parser *p, const struct word *word, const char *text,
                         size_t len, struct entry *entry)
{
    bool ok = len == 36;
    size_t n = 0;
    for (size_t i = 0; ok && i < len;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            ok = text[i] == '-';
            i++;
            continue;
        }
        unsigned byte = 0;
        char digits[3] = {text[i], text[i + 1], '\0'};
        ok = strspn(digits, "0123456789abcdefABCDEF") == 2 && sscanf(digits, "%2x", &byte) == 1;
        entry->principal.agent_id[n++] = (uint8_t)byte;
        i += 2;
    }
    if (!ok) {
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, word->column,
                           "agent: a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is wanted");
    }
    entry->principal.has_agent_id = true;
    return FT_OK;
}

/* False at the end of the line or at a comment. */
static bool next_word(struct line_parser *p, struct word *ret_word)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) {
        p->at++;
    }
    if (p->at == p->end || *p->at == '#') {
        p->at = p->end;
        return false;
    }
    const char *start = p->at;
    while (p->at < p->end && *p->at != ' ' && *p->at != '\t' && *p->at != '\r') {
        p->at++;
    }
    *ret_word = (struct word){start, (size_t)(p->at - start), (unsigned)(start - p->start) + 1};
    return true;
}

static bool copy_name(const char *text, size_t len, char name[FT_PRINCIPAL_NAME_SIZE])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    if (len == 0 || len >= FT_PRINCIPAL_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\0' || strchr(allowed, text[i]) == NULL) {
            return false;
        }
    }
    memcpy(name, text, len);
    name[len] = '\0';
    return true;
}

static ft_err add_entry(struct line_parser *p, struct ft_token_set *set, const struct entry *entry)
{
    if (entry->principal.has_agent_id && entry->principal.role != FT_ROLE_AGENT) {
        return ft_diag_set(p->diag, FT_E_SYNTAX, p->file, p->line, 1,
                           "agent= goes with role=agent only");
    }
    if (set->n == FT_TOKEN_SET_MAX) {
        return ft_diag_set(p->diag, FT_E_RANGE, p->file, p->line, 1,
                           "too many entries; allowed: %d", FT_TOKEN_SET_MAX);
    }
    if (set->n == set->capacity) {
        size_t capacity = set->capacity != 0 ? set->capacity * 2 : 16;
        struct entry *entries = realloc(set->entries, capacity * sizeof *entries);
        if (entries == NULL) {
            return ft_diag_set(p->diag, -ENOMEM, p->file, 0, 0, "out of memory");
        }
        set->entries = entries;
        set->capacity = capacity;
    }
    set->entries[set->n++] = *entry;
    return FT_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = *(const struct entry *const *)a;
    const struct entry *right = *(const struct entry *const *)b;
    int order = memcmp(left->hash, right->hash, sizeof left->hash);
    return order != 0 ? order : left->line < right->line ? -1 : left->line > right->line;
}

/* One token must not stand for two principals. */
static ft_err check_unique(const struct ft_token_set *set, const char *file,
                           struct ft_diag *reterr_diag)
{
    const struct entry **sorted = calloc(set->n + 1, sizeof *sorted);
    if (sorted == NULL) {
        return ft_diag_set(reterr_diag, -ENOMEM, file, 0, 0, "out of memory");
    }
    for (size_t i = 0; i < set->n; i++) {
        sorted[i] = &set->entries[i];
    }
    qsort(sorted, set->n, sizeof *sorted, compare_entries);
    ft_err err = FT_OK;
    for (size_t i = 1; i < set->n && err == FT_OK; i++) {
        if (memcmp(sorted[i - 1]->hash, sorted[i]->hash, FT_TOKEN_HASH_SIZE) == 0) {
            err = ft_diag_set(reterr_diag, FT_E_SYNTAX, file, sorted[i]->line, 1,
                              "this token is on line %u already", sorted[i - 1]->line);
        }
    }
    free(sorted);
    return err;
}

static ft_err read_all(const char *path, char **ret_text, size_t *ret_size,
                       struct ft_diag *reterr_diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        ft_err err = ft_err_last();
        ft_fd_close(&fd);
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot open: %s", ft_err_text(err));
    }
    bool regular = S_ISREG(status.st_mode);
    size_t capacity = regular ? (size_t)status.st_size : 0;
    if (!regular || capacity > FT_TOKEN_SET_FILE_MAX) {
        ft_fd_close(&fd);
        return ft_diag_set(reterr_diag, FT_E_RANGE, path, 0, 0,
                           "a regular file of at most %u bytes is wanted", FT_TOKEN_SET_FILE_MAX);
    }
    char *text = malloc(capacity + 1);
    size_t size = 0;
    ft_err err = text != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    while (err == FT_OK && size < capacity) {
        ssize_t n = read(fd, text + size, capacity - size);
        if (n < 0 && errno != EINTR) {
            err = ft_err_last();
        } else if (n == 0) {
            break;
        } else if (n > 0) {
            size += (size_t)n;
        }
    }
    ft_fd_close(&fd);
    if (err != FT_OK) {
        free(text);
        return ft_diag_set(reterr_diag, err, path, 0, 0, "cannot read: %s", ft_err_text(err));
    }
    *ret_text = text;
    *ret_size = size;
    return FT_OK;
}
