/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration from anyone: the bytes are the text that a collector pushes.  What is taken must
 * survive its own dump; what is refused must say why and leave the options alone.
 */
#include <stdlib.h>

#include "unit/config/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void differs(void *ctx, const struct ft_option *option)
{
    (void)ctx;
    (void)option;
    abort();
}

static ft_err load(struct sample *options, const void *text, size_t size, struct ft_diag *diag)
{
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=u", NULL};
    struct ft_options_input input = {
        .remote_text = text, .remote_size = size, .environment = environment};
    require(ft_options_init(&sample_table, options) == FT_OK);
    return ft_options_load(&sample_table, &input, options, NULL, diag);
}

/* The dump holds what only this host may set; the collector's part is what comes after it. */
static void check_round_trip(const struct sample *options)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_options_dump(&sample_table, options, NULL, &out);
    require(out.err == FT_OK);
    const char *rest = strstr(ft_buf_str(&out), "\nlog:\n");
    require(rest != NULL);
    struct sample again;
    struct ft_diag diag;
    bool tls = options->tls;
    require(load(&again, rest, strlen(rest), &diag) == FT_OK);
    again.tls = tls;
    ft_options_diff(&sample_table, options, &again, differs, NULL);
    ft_options_deinit(&sample_table, &again);
    ft_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample options;
    struct ft_diag diag = {0};
    if (load(&options, data, size, &diag) == FT_OK) {
        check_round_trip(&options);
    } else {
        require(diag.text[0] != '\0');
        require(options.bytes_max == 64u << 20 && options.networks.n == 2);
    }
    ft_options_deinit(&sample_table, &options);
    return 0;
}
