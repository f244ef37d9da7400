/* SPDX-License-Identifier: Apache-2.0 */
/* The file as others see it: an independent DuckDB, the views, versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "rows.h"
#include "store.h"

/* What 'python3 -c script path' prints; false when that DuckDB is not installed. */
static bool run_python(const char *script, const char *path, char *output, size_t size)
{
    char command[4096];
    static const char *const pythons[] = {"python3", "/usr/bin/python3"};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(command, sizeof command,
                       "%s -c 'import duckdb, sys; sys.exit(duckdb.__version__ != \"%s\")' "
                       "2>/dev/null",
                       pythons[i], ft_duckdb_version() + 1);
        if (system(command) != 0) {
            continue;
        }
        (void)snprintf(command, sizeof command, "%s -c '%s' '%s' 2>&1", pythons[i], script, path);
        FILE *from = popen(command, "r");
        CHECK(from != NULL);
        size_t n = fread(output, 1, size - 1, from);
        output[n] = '\0';
        (void)pclose(from);
        return true;
    }
    return false;
}

TEST(another_duckdb_reads_the_views)
{
    char path[256];
    char output[4096];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    struct ft_row r[2] = {row_simple(1), row_full(2)};
    store_add(&store, r, 2, 9);
    store_close(&store);
    bool ran =
        run_python("import duckdb, sys\n"
                   "c = duckdb.connect(sys.argv[1], read_only=True)\n"
                   "for q in (\"SELECT type, direction, src_addr, dst_addr, protocol, flow_id, "
                   "inferred FROM flows_text ORDER BY seq\",\n"
                   "          \"SELECT cause, count, estimated, first_seq FROM losses\",\n"
                   "          \"SELECT durable_seq, n_events FROM instances\",\n"
                   "          \"SELECT n_instances, n_events FROM agents\",\n"
                   "          \"SELECT position FROM log_cursor\",\n"
                   "          \"SELECT version FROM schema_version\"):\n"
                   "    for row in c.execute(q).fetchall(): print(*row)\n",
                   path, output, sizeof output);
    if (!ran) {
        ft_test_skip("no Python with duckdb of the version that is linked");
    }
    struct ft_uuid flow;
    char flow_text[FT_UUID_TEXT_SIZE];
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    CHECK_OK(ft_id_deriver_create(&deriver));
    ft_id_derive_flow(deriver, &r[0].instance_id, r[0].event.ct_id, r[0].event.start_ns, &flow);
    ft_uuid_format(&flow, flow_text);
    char expected[4096];
    (void)snprintf(expected, sizeof expected,
                   "END EGRESS 10.0.0.1 192.0.2.1 6 %s False\n"
                   "LOSS FORWARDED 2001:0db8:0000:0000:0000:0000:0000:0001 "
                   "ff02:0000:0000:0000:0000:0000:0000:0002 255 "
                   "f1f1f1f1-f1f1-f1f1-f1f1-f1f1f1f1f1f1 True\n"
                   "SHUTDOWN 18446744073709551611 True 18446744073709551609\n"
                   "2 2\n1 2\n9\n1\n",
                   flow_text);
    CHECK_STR(output, expected);
}

TEST(a_newer_schema_is_refused_and_left_alone)
{
    char path[256];
    char output[256];
    struct ft_duckdb *db;
    struct ft_diag words = {0};
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    struct store store = store_open(path, 1);
    store_close(&store);
    if (!run_python(
            "import duckdb, sys\n"
            "duckdb.connect(sys.argv[1]).execute(\"UPDATE schema_version SET version = 99\")",
            path, output, sizeof output)) {
        ft_test_skip("no Python with duckdb of the version that is linked");
    }
    CHECK_ERR(ft_duckdb_open(&(struct ft_duckdb_options){.path = path}, &db, &words),
              FT_E_UNSUPPORTED);
    CHECK(strstr(words.text, "99") != NULL);
}
