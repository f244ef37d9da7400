/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every sink that keeps a cursor promises (sink/sink.h).  A test program includes this after
 * it has defined
 *     struct subject                         an open sink, with whatever it needs
 *     void subject_open(struct subject *, const char *dir, uint8_t log)
 *     void subject_close(struct subject *)   what is not committed is gone
 *     size_t subject_count(struct subject *) rows kept
 * with members 'sink' and 'position' (what begin() gave).
 */
static void conform_add(struct subject *subject, uint64_t first_seq, uint64_t last_seq)
{
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        struct ft_row row = row_simple(seq);
        CHECK_OK(ft_sink_append(subject->sink, &row, 1, NULL));
    }
}

TEST(new_sink_begins_at_zero)
{
    struct subject subject;
    subject_open(&subject, ft_test_tmpdir(), 1);
    CHECK_INT(subject.position, 0);
    CHECK_INT(subject_count(&subject), 0);
    subject_close(&subject);
}

TEST(committed_rows_and_cursor_survive_a_restart)
{
    struct subject subject;
    const char *dir = ft_test_tmpdir();
    subject_open(&subject, dir, 1);
    conform_add(&subject, 1, 5000);
    CHECK_OK(ft_sink_commit(subject.sink, 17, NULL));
    subject_close(&subject);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 17);
    CHECK_INT(subject_count(&subject), 5000);
    subject_close(&subject);
}

TEST(rows_without_commit_are_gone)
{
    struct subject subject;
    const char *dir = ft_test_tmpdir();
    subject_open(&subject, dir, 1);
    conform_add(&subject, 1, 10);
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    conform_add(&subject, 11, 3000);
    subject_close(&subject);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 1);
    CHECK_INT(subject_count(&subject), 10);
    conform_add(&subject, 11, 3000);
    CHECK_OK(ft_sink_commit(subject.sink, 2, NULL));
    CHECK_INT(subject_count(&subject), 3000);
    subject_close(&subject);
}

TEST(replayed_rows_are_kept_once)
{
    struct subject subject;
    struct ft_sink_stats stats;
    subject_open(&subject, ft_test_tmpdir(), 1);
    conform_add(&subject, 1, 100);
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    conform_add(&subject, 51, 150);
    conform_add(&subject, 140, 150);
    CHECK_OK(ft_sink_commit(subject.sink, 2, NULL));
    CHECK_INT(subject_count(&subject), 150);
    ft_sink_stats(subject.sink, &stats);
    CHECK_INT(stats.rows, 150);
    CHECK_INT(stats.duplicates, 61);
    CHECK_INT(stats.commits, 2);
    subject_close(&subject);
}

TEST(another_log_begins_at_zero_and_its_repeats_are_known)
{
    struct subject subject;
    const char *dir = ft_test_tmpdir();
    subject_open(&subject, dir, 1);
    conform_add(&subject, 1, 100);
    CHECK_OK(ft_sink_commit(subject.sink, 9, NULL));
    subject_close(&subject);
    subject_open(&subject, dir, 2);
    CHECK_INT(subject.position, 0);
    conform_add(&subject, 1, 120);
    CHECK_OK(ft_sink_commit(subject.sink, 3, NULL));
    CHECK_INT(subject_count(&subject), 120);
    subject_close(&subject);
    subject_open(&subject, dir, 2);
    CHECK_INT(subject.position, 3);
    subject_close(&subject);
}

TEST(instances_and_agents_do_not_hide_each_other)
{
    struct subject subject;
    subject_open(&subject, ft_test_tmpdir(), 1);
    for (unsigned i = 0; i < 8; i++) {
        struct ft_row row = row_simple(7);
        row.agent_id = rows_uuid((uint8_t)(0xa0 + i / 2));
        row.instance_id = rows_uuid((uint8_t)(0xb0 + i));
        CHECK_OK(ft_sink_append(subject.sink, &row, 1, NULL));
    }
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    CHECK_INT(subject_count(&subject), 8);
    subject_close(&subject);
}

TEST(rows_without_a_number_are_always_kept)
{
    struct subject subject;
    subject_open(&subject, ft_test_tmpdir(), 1);
    for (unsigned i = 0; i < 3; i++) {
        struct ft_row row = row_simple(1);
        row.event.seq = 0;
        row.event_id = rows_uuid((uint8_t)(i + 1));
        CHECK_OK(ft_sink_append(subject.sink, &row, 1, NULL));
    }
    CHECK_OK(ft_sink_commit(subject.sink, 1, NULL));
    CHECK_INT(subject_count(&subject), 3);
    subject_close(&subject);
}

TEST(commit_without_rows_moves_the_cursor)
{
    struct subject subject;
    const char *dir = ft_test_tmpdir();
    subject_open(&subject, dir, 1);
    CHECK_OK(ft_sink_commit(subject.sink, 5, NULL));
    subject_close(&subject);
    subject_open(&subject, dir, 1);
    CHECK_INT(subject.position, 5);
    subject_close(&subject);
}
