/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example configurations of both programs, damaged in many ways, through the loader: each
 * document is taken, or refused with file and line, and then the options stay as they were.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/options.h"
#include "base/random.h"
#include "collector/options.h"
#include "lib/test.h"

#define DOCUMENTS     10000
#define MUTATIONS_MAX 6
#define HUGE_BYTES    ((size_t)10 << 20)

struct program {
    const char *example; /* In deploy/etc. */
    const struct ft_option_table *table;
    char *const *environment; /* What has to be set. */
};

static char file[256];
static struct ft_random_seeded random_state;
static uint64_t seed;
static unsigned n_taken;
static unsigned n_refused;

static size_t draw(size_t below) { return (size_t)ft_random_below(&random_state.base, below); }

static char *read_example(const char *name)
{
    static char text[1 << 17];
    char path[512];
    (void)snprintf(path, sizeof path, "%s/../deploy/etc/%s", FT_TESTS_DIR, name);
    FILE *from = fopen(path, "r");
    CHECK(from != NULL);
    size_t size = fread(text, 1, sizeof text - 1, from);
    CHECK(size > 1000 && feof(from));
    (void)fclose(from);
    text[size] = '\0';
    return text;
}

static bool is_option(const char *line)
{
    size_t len = strspn(line + (line[0] == '#'), "abcdefghijklmnopqrstuvwxyz_.");
    return line[0] == '#' && len > 0 && line[1 + len] == ':';
}

/* Some of the example's options, set to their defaults. */
static void choose_lines(const char *example, struct ft_buf *document)
{
    unsigned share = 1 + (unsigned)draw(20);
    for (const char *line = example; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        if (is_option(line) && draw(share) == 0) {
            ft_buf_add(document, line + 1, len - 1);
            ft_buf_add_char(document, '\n');
        } else if (draw(10) == 0) {
            ft_buf_add(document, line, len);
            ft_buf_add_char(document, '\n');
        }
        line += len + (line[len] == '\n');
    }
    if (draw(4) == 0) {
        ft_buf_add_str(document, "filter.rules:\n"
                                 "  - {action: drop, addresses: [10.0.0.0/8], ports: [9100]}\n"
                                 "  - action: keep\n    protocols: [tcp, udp]\n");
    }
}

/* A line's begin and end, its line break included. */
static void choose_line(const struct ft_buf *document, size_t *ret_begin, size_t *ret_end)
{
    size_t at = draw(document->size);
    size_t begin = at;
    while (begin > 0 && document->data[begin - 1] != '\n') {
        begin--;
    }
    const char *end = memchr(document->data + at, '\n', document->size - at);
    *ret_begin = begin;
    *ret_end = end != NULL ? (size_t)(end - document->data) + 1 : document->size;
}

/* Bytes from 'begin' to 'end' become 'text'. */
static void replace(struct ft_buf *document, size_t begin, size_t end, const char *text,
                    size_t size)
{
    struct ft_buf copy;
    ft_buf_init(&copy, 0);
    ft_buf_add(&copy, document->data, begin);
    ft_buf_add(&copy, text, size);
    ft_buf_add(&copy, document->data + end, document->size - end);
    CHECK_OK(copy.err);
    ft_buf_deinit(document);
    *document = copy;
}

static void repeat(struct ft_buf *to, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ft_buf_add_str(to, text);
    }
}

/* What a value may be taken for, and what parsers have stumbled over. */
static const char *const values[] = {"[]",
                                     "{}",
                                     "[1, [2, [3]]]",
                                     "{a: {b: c}}",
                                     "~",
                                     "null",
                                     "true",
                                     "-1",
                                     "0",
                                     "1e999",
                                     "0x7f",
                                     "NaN",
                                     ".inf",
                                     "1s",
                                     "1h1",
                                     "-5MiB",
                                     "18446744073709551616",
                                     "\"\"",
                                     "''",
                                     "\"\\0\"",
                                     "*a",
                                     "&a b",
                                     "!!binary x",
                                     "!!str 7",
                                     "|\n  a\n  b\n",
                                     ">-\n x",
                                     "? x",
                                     "- x",
                                     "@x",
                                     "`x`",
                                     "\"unclosed",
                                     "[1,",
                                     "{a: ",
                                     "%x",
                                     "\t7",
                                     "\xff\xfe",
                                     "\xc3\x28",
                                     "\xe2\x80\xae",
                                     "a: b: c",
                                     "<<: *x",
                                     "999999999999999999999d"};

static void change_value(struct ft_buf *document)
{
    size_t begin;
    size_t end;
    choose_line(document, &begin, &end);
    const char *colon = memchr(document->data + begin, ':', end - begin);
    if (colon != NULL) {
        const char *value = values[draw(sizeof values / sizeof values[0])];
        struct ft_buf text;
        ft_buf_init(&text, 0);
        ft_buf_addf(&text, ": %s\n", value);
        replace(document, (size_t)(colon - document->data), end, text.data, text.size);
        ft_buf_deinit(&text);
    }
}

static void add_large(struct ft_buf *document)
{
    static const char *const pieces[] = {"[", "{a: ", "- ", "  ", "9", "a", "a, ", "#", "x: 1\n"};
    struct ft_buf text;
    ft_buf_init(&text, 0);
    ft_buf_add_str(&text, draw(2) == 0 ? "" : "log.bytes_max: ");
    /* One draw a statement: compilers order arguments as they like. */
    const char *piece = pieces[draw(sizeof pieces / sizeof pieces[0])];
    repeat(&text, piece, 1 + draw(3000));
    size_t at = draw(document->size);
    replace(document, at, at, text.data, text.size);
    ft_buf_deinit(&text);
}

static void change_lines(struct ft_buf *document)
{
    size_t begin;
    size_t end;
    choose_line(document, &begin, &end);
    size_t size = end - begin;
    char *line = malloc(size);
    CHECK(line != NULL && size > 0);
    memcpy(line, document->data + begin, size);
    if (draw(2) == 0) {
        replace(document, begin, end, "", 0);
    } else {
        size_t at = draw(2) == 0 ? begin : draw(document->size);
        replace(document, at, at, line, size);
    }
    free(line);
}

static void change_bytes(struct ft_buf *document)
{
    static const char *const texts[] = {"\0",    "\t",        "\r", "\xef\xbb\xbf", "---\n",
                                        "...\n", "%YAML 9\n", "  ", "\n",           ":",
                                        "#",     "\"",        "'",  "\x7f"};
    size_t at = draw(document->size);
    switch (draw(4)) {
    case 0:
        document->data[at] = (char)(document->data[at] ^ (1 << draw(8)));
        break;
    case 1:
        document->data[at] = (char)draw(256);
        break;
    case 2:
        document->size = at + 1;
        break;
    default: {
        const char *text = texts[draw(sizeof texts / sizeof texts[0])];
        replace(document, at, at, text, text[0] == '\0' ? 1 : strlen(text));
        break;
    }
    }
}

static void mutate(struct ft_buf *document)
{
    for (size_t n = draw(MUTATIONS_MAX + 1); n > 0 && document->size > 0; n--) {
        switch (draw(8)) {
        case 0:
        case 1:
            change_bytes(document);
            break;
        case 2:
        case 3:
            change_lines(document);
            break;
        case 4:
            add_large(document);
            break;
        default:
            change_value(document);
            break;
        }
    }
}

static void fail_with(const char *words, const struct ft_diag *diag)
{
    char text[1024];
    ft_diag_format(diag, text, sizeof text);
    ft_test_fail(__FILE__, __LINE__, "%s (seed %llu): %s", words, (unsigned long long)seed, text);
}

static void dump(const struct program *program, const void *options, struct ft_buf *out)
{
    ft_buf_init(out, 0);
    ft_options_dump(program->table, options, NULL, out);
    CHECK_OK(out->err);
}

static ft_err load_file(const struct program *program, const struct ft_buf *document, void *options,
                        struct ft_diag *diag)
{
    /* A new file each time: some file systems write one at once that was cut to nothing. */
    (void)remove(file);
    FILE *to = fopen(file, "wb");
    CHECK(to != NULL && fwrite(document->data, 1, document->size, to) == document->size &&
          fclose(to) == 0);
    struct ft_options_input input = {.file = file, .environment = program->environment};
    return ft_options_load(program->table, &input, options, NULL, diag);
}

/*
 * "FILE:LINE", in the two fields of a diag or in one.  What two options say together need not have
 * a line: one of them may be in no file, or in the environment; nor has what is not there at all.
 */
static bool has_place(const struct ft_diag *diag)
{
    size_t len = strlen(file);
    if (diag->file[0] == '\0') {
        return strchr(diag->text, '.') != NULL && strchr(diag->text, '_') != NULL;
    }
    if (strncmp(diag->file, "FLOWTRAIL_", strlen("FLOWTRAIL_")) == 0) {
        return true;
    }
    return strncmp(diag->file, file, len) == 0 &&
           (diag->line > 0 || strstr(diag->text, "must be set") != NULL ||
            (diag->file[len] == ':' && isdigit((unsigned char)diag->file[len + 1])));
}

static void try_document(const struct program *program, const struct ft_buf *document)
{
    void *options = calloc(1, program->table->struct_size);
    struct ft_diag diag = {0};
    struct ft_buf before;
    struct ft_buf after;
    CHECK(options != NULL);
    CHECK_OK(ft_options_init(program->table, options));
    dump(program, options, &before);
    ft_err err = load_file(program, document, options, &diag);
    dump(program, options, &after);
    if (err == FT_OK) {
        n_taken++;
    } else {
        n_refused++;
        if (ft_err_kind(err) != FT_KIND_USAGE || diag.text[0] == '\0') {
            fail_with("refused without a reason", &diag);
        }
        if (!has_place(&diag) && document->size <= (size_t)1 << 20) {
            fail_with("refused without a place", &diag);
        }
        CHECK_BYTES(before.data, before.size, after.data, after.size);
    }
    ft_buf_deinit(&before);
    ft_buf_deinit(&after);
    ft_options_deinit(program->table, options);
    free(options);
}

static struct program programs[2];

static void setup(void)
{
    static char *const agent_environment[] = {NULL};
    static char *const collector_environment[] = {
        (char *)(uintptr_t) "FLOWTRAIL_INGEST_TOKENS_FILE=/etc/tokens",
        (char *)(uintptr_t) "FLOWTRAIL_INGEST_PLAINTEXT=true", NULL};
    (void)snprintf(file, sizeof file, "%s/main.yaml", ft_test_tmpdir());
    programs[0] = (struct program){"flowtraild.yaml", &ft_agent_option_table, agent_environment};
    programs[1] = (struct program){"flowtrail-collector.yaml", &ft_collector_option_table,
                                   collector_environment};
    n_taken = 0;
    n_refused = 0;
}

TEST(damaged_documents_are_taken_or_refused_with_a_place)
{
    setup();
    for (seed = 1; seed <= DOCUMENTS; seed++) {
        const struct program *program = &programs[seed % 2];
        ft_random_seeded_init(&random_state, seed);
        struct ft_buf document;
        ft_buf_init(&document, 0);
        choose_lines(read_example(program->example), &document);
        mutate(&document);
        try_document(program, &document);
        ft_buf_deinit(&document);
    }
    CHECK(n_taken > DOCUMENTS / 20);
    CHECK(n_refused > DOCUMENTS / 4);
    printf(
        "matrix: R24 %u damaged configurations: %u taken, %u refused with file and line, options "
        "unchanged\n",
        n_taken + n_refused, n_taken, n_refused);
}

/* Ten MiB of one thing, in a line and in many. */
TEST(huge_documents_are_refused)
{
    static const char *const pieces[] = {"a", "[",  "{",        "- ", "a: 1\n",
                                         "#", "\n", "&a [*a, ", "\0"};
    setup();
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t len = pieces[i][0] == '\0' ? 1 : strlen(pieces[i]);
        for (size_t size = HUGE_BYTES; size >= (size_t)1 << 12; size /= 50) {
            struct ft_buf document;
            ft_buf_init(&document, 0);
            char *at = ft_buf_reserve(&document, size / len * len);
            CHECK(at != NULL);
            for (size_t k = 0; k < document.size; k++) {
                at[k] = pieces[i][k % len];
            }
            try_document(&programs[i % 2], &document);
            ft_buf_deinit(&document);
        }
    }
}
