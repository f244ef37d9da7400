/* SPDX-License-Identifier: Apache-2.0 */
/* Each YAML file in tests/golden/config is loaded; what is said must be the .out beside it. */
#include <glob.h>
#include <stdlib.h>

#include "config/options.h"
#include "lib/test.h"
#include "sample.h"

/* The error, or the effective configuration; paths without the directory of the tests. */
static void load_case(const char *path, const char *shown, struct ft_buf *out)
{
    struct sample options;
    struct ft_options_report *report = NULL;
    struct ft_diag diag = {0};
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=https://c:4317", NULL};
    struct ft_options_input input = {.file = path, .environment = environment};
    CHECK_OK(ft_options_init(&sample_table, &options));
    ft_err err = ft_options_load(&sample_table, &input, &options, &report, &diag);
    if (err != FT_OK) {
        char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE + 32];
        CHECK(strncmp(diag.file, path, strlen(path)) == 0 || diag.file[0] == '\0');
        char rest[FT_DIAG_FILE_SIZE] = "";
        if (diag.file[0] != '\0') {
            (void)snprintf(rest, sizeof rest, "%s%s", shown, diag.file + strlen(path));
        }
        memcpy(diag.file, rest, sizeof diag.file);
        ft_diag_format(&diag, text, sizeof text);
        ft_buf_addf(out, "%s\n", text);
    } else {
        ft_options_dump(&sample_table, &options, NULL, out);
    }
    ft_options_report_destroy(report);
    ft_options_deinit(&sample_table, &options);
}

TEST(messages_are_as_recorded)
{
    glob_t found;
    CHECK(glob(FT_TESTS_DIR "/golden/config/*.yaml", 0, NULL, &found) == 0);
    CHECK(found.gl_pathc > 20);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        const char *name = strrchr(path, '/') + 1;
        char golden[256];
        struct ft_buf out;
        ft_buf_init(&out, 0);
        load_case(path, name, &out);
        CHECK_OK(out.err);
        (void)snprintf(golden, sizeof golden, "config/%.*s.out", (int)(strlen(name) - 5), name);
        CHECK_GOLDEN(golden, out.data, out.size);
        ft_buf_deinit(&out);
    }
    globfree(&found);
}
