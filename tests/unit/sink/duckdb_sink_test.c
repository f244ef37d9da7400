/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_sink.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "rows.h"
#include "store.h"

struct subject {
    struct store store;
    struct ft_sink *sink;
    uint64_t position;
};

static void subject_open(struct subject *subject, const char *dir, uint8_t log)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", dir);
    subject->store = store_open(path, log);
    subject->sink = subject->store.sink;
    subject->position = subject->store.position;
}

static void subject_close(struct subject *subject) { store_close(&subject->store); }

static size_t subject_count(struct subject *subject) { return store_count(&subject->store); }

#include "conformance.h"

/*
 * The part of a child of its own, told by the environment: stores rows 1-1000, appends 1001-4000
 * and dies, before or behind the commit.  Begun anew rather than forked, because sanitizers do not
 * let a forked copy start threads.
 */
__attribute__((constructor)) static void store_and_die(void)
{
    const char *dir = getenv("FT_TEST_STORE_AND_DIE");
    if (dir == NULL) {
        return;
    }
    struct subject subject;
    subject_open(&subject, dir, 1);
    conform_add(&subject, 1, 1000);
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    conform_add(&subject, 1001, 4000);
    if (getenv("FT_TEST_COMMIT_TOO") != NULL) {
        CHECK_OK(ft_sink_commit(subject.sink, 2, NULL));
    }
    (void)kill(getpid(), SIGKILL);
}

static void run_child_to_death(const char *dir, bool commit_too)
{
    char exe[] = "/proc/self/exe";
    char *argv[] = {exe, NULL};
    pid_t child;
    int status = 0;
    CHECK_INT(setenv("FT_TEST_STORE_AND_DIE", dir, 1), 0);
    if (commit_too) {
        CHECK_INT(setenv("FT_TEST_COMMIT_TOO", "1", 1), 0);
    }
    CHECK_INT(posix_spawn(&child, exe, NULL, NULL, argv, environ), 0);
    CHECK_INT(unsetenv("FT_TEST_STORE_AND_DIE"), 0);
    CHECK_INT(unsetenv("FT_TEST_COMMIT_TOO"), 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(killed_between_append_and_commit_then_replayed)
{
    const char *dir = ft_test_tmpdir();
    struct subject subject;
    run_child_to_death(dir, false);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 1);
    CHECK_INT(subject_count(&subject), 1000);
    conform_add(&subject, 1, 4000); /* From the beginning, not just from the cursor. */
    CHECK_OK(ft_sink_commit(subject.sink, 2, NULL));
    CHECK_INT(subject_count(&subject), 4000);
    subject_close(&subject);
}

TEST(killed_right_behind_commit_has_everything)
{
    const char *dir = ft_test_tmpdir();
    struct subject subject;
    run_child_to_death(dir, true);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 2);
    CHECK_INT(subject_count(&subject), 4000);
    subject_close(&subject);
}

TEST(no_file_of_duckdb_is_refused_with_words)
{
    char path[256];
    struct ft_diag words = {0};
    struct ft_duckdb *db = NULL;
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    for (unsigned i = 0; i < 1000; i++) {
        (void)fputs("this is no database\n", file);
    }
    CHECK(fclose(file) == 0);
    CHECK_ERR(ft_duckdb_open(&(struct ft_duckdb_options){.path = path}, &db, &words), FT_E_STORE);
    CHECK(words.text[0] != '\0');
}

/* No file may grow beyond 'bytes': what a full disk does, for this process alone. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(full_disk_fails_the_commit_and_loses_nothing_that_was_committed)
{
    const char *dir = ft_test_tmpdir();
    struct subject subject;
    struct ft_diag words = {0};
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    subject_open(&subject, dir, 1);
    conform_add(&subject, 1, 1000);
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    limit_files(64 << 10);
    conform_add(&subject, 1001, 5000);
    ft_err err = ft_sink_commit(subject.sink, 2, &words);
    CHECK(err != FT_OK);
    CHECK(ft_err_kind(err) == FT_KIND_TRANSIENT);
    CHECK(words.text[0] != '\0');
    limit_files(RLIM_INFINITY);
    /* Whatever state the database is in: what the contract says to do must lead out of it. */
    struct ft_row row = row_simple(1001);
    if (ft_sink_append(subject.sink, &row, 1, &words) != FT_OK ||
        ft_sink_commit(subject.sink, 2, &words) != FT_OK) {
        subject_close(&subject);
        subject_open(&subject, dir, 1);
        CHECK(subject.position == 1 || subject.position == 2);
    }
    conform_add(&subject, 1, 5000);
    CHECK_OK(ft_sink_commit(subject.sink, 3, NULL));
    CHECK_INT(subject_count(&subject), 5000);
    subject_close(&subject);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 3);
    CHECK_INT(subject_count(&subject), 5000);
    subject_close(&subject);
}

TEST(many_instances_in_many_commits_are_folded_and_still_known)
{
    /* 60,000 marks: more than it takes to fold. */
    struct subject subject;
    subject_open(&subject, ft_test_tmpdir(), 1);
    for (uint64_t round = 1; round <= 30; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            struct ft_row row = row_bare(round);
            memcpy(row.instance_id.bytes, &i, sizeof i);
            CHECK_OK(ft_sink_append(subject.sink, &row, 1, NULL));
        }
        CHECK_OK(ft_sink_commit(subject.sink, round, NULL));
    }
    for (uint32_t i = 0; i < 2000; i++) {
        struct ft_row row = row_bare(30);
        memcpy(row.instance_id.bytes, &i, sizeof i);
        CHECK_OK(ft_sink_append(subject.sink, &row, 1, NULL));
    }
    CHECK_OK(ft_sink_commit(subject.sink, 31, NULL));
    struct ft_sink_stats stats;
    ft_sink_stats(subject.sink, &stats);
    CHECK_INT(stats.rows, 60000);
    CHECK_INT(stats.duplicates, 2000);
    struct ft_duckdb_stats db;
    STORE_OK(ft_duckdb_get_stats(subject.store.db, &db, &diag));
    CHECK_INT(db.rows, 60000);
    CHECK_INT(db.oldest_ns, ROWS_T0 + 1);
    CHECK_INT(db.newest_ns, ROWS_T0 + 30);
    CHECK(db.file_bytes > 0);
    subject_close(&subject);
}

TEST(write_ahead_log_stays_bounded)
{
    char path[256];
    char wal[264];
    struct ft_duckdb *db;
    struct ft_sink *sink;
    struct ft_uuid log_id = rows_uuid(1);
    uint64_t position;
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", ft_test_tmpdir());
    (void)snprintf(wal, sizeof wal, "%s.wal", path);
    const struct ft_duckdb_options options = {.path = path, .wal_bytes = 256 << 10};
    STORE_OK(ft_duckdb_open(&options, &db, &diag));
    STORE_OK(ft_duckdb_sink_create(db, &sink, &diag));
    STORE_OK(ft_sink_begin(sink, &log_id, &position, &diag));
    off_t largest = 0;
    for (uint64_t batch = 0; batch < 30; batch++) {
        for (uint64_t i = 1; i <= 1000; i++) {
            struct ft_row row = row_simple(batch * 1000 + i);
            STORE_OK(ft_sink_append(sink, &row, 1, &diag));
        }
        STORE_OK(ft_sink_commit(sink, batch + 1, &diag));
        struct stat status;
        if (stat(wal, &status) == 0 && status.st_size > largest) {
            largest = status.st_size;
        }
    }
    CHECK(largest < (1 << 20));
    ft_sink_close(sink);
    ft_duckdb_close(db);
}
