/* The history judge: phases with streams, resizes and commits. */
#include "harness/history_support.h"
#include "adapters/perform.h"

/* ---- Stream, commit, resize ---- */

static void test_stream_beside_writes(void **state)
{
    (void)state; /* STR-01, CON-11 */
    for (int lost = 0; lost < 3; lost++) {
        begin();
        uint32_t a = add(0, OPERATION_STREAM, 0, 0);
        uint32_t b = add(1, OPERATION_WRITE, SECTOR, SECTOR);
        start();
        if (lost == 2) {
            claimed(a, 1, 10);
        } else {
            done(a, 1, 10);
        }
        if (lost == 1) {
            claimed(b, 2, 9);
        } else {
            done(b, 2, 9);
        }
        assert_int_equal(judged(), lost == 0);
    }
}

/*
 * A commit from 4 to 7 beside a write from `invoked` to `returned` to cluster `cluster`; which of them is done first?
 */
static bool commit_judged(uint64_t invoked, uint64_t returned, uint64_t cluster, bool write_first)
{
    begin();
    uint32_t a = add(0, OPERATION_WRITE, cluster * CLUSTER, SECTOR);
    uint32_t b = add(1, OPERATION_COMMIT, 0, 0);
    start();
    if (write_first) {
        done(a, invoked, returned);
    }
    done(b, 4, 7);
    if (!write_first) {
        done(a, invoked, returned);
    }
    return judged();
}

static void test_commit_beside_writes(void **state)
{
    (void)state; /* CON-09, CMT-01, CMT-02 */
    assert_true(commit_judged(5, 6, 0, true));
    assert_true(commit_judged(5, 6, 0, false));
    assert_true(commit_judged(1, 2, 0, true));
    assert_false(commit_judged(1, 2, 0, false)); /* the write came before, but was not committed */
    assert_true(commit_judged(8, 9, 0, false));
    assert_false(commit_judged(8, 9, 0, true)); /* committed before it was written */
    assert_true(commit_judged(5, 6, 4, true));  /* refused: behind the backing file's end */
    assert_true(commit_judged(5, 6, 4, false));
    assert_false(commit_judged(1, 2, 4, false)); /* must have been refused */
    assert_false(commit_judged(8, 9, 4, true));  /* must not have been refused */
}

static void test_commit_that_loses_a_write(void **state)
{
    (void)state; /* the write passed the commit: its bit was cleared, its data not copied */
    begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_COMMIT, 0, 0);
    start();
    claimed(a, 2, 5);
    done(b, 1, 6);
    assert_false(judged());
}

static void test_commit_beside_a_stream(void **state)
{
    (void)state;
    for (int order = 0; order < 4; order++) {
        begin_disk(6 * CLUSTER, TRACE_SOME_ALLOCATED);
        uint32_t a = add(0, OPERATION_STREAM, 0, 0);
        uint32_t b = add(1, OPERATION_COMMIT, 0, 0);
        uint32_t c = add(2, OPERATION_WRITE, SECTOR, CLUSTER);
        start();
        if (order % 2 == 0) {
            done(a, 1, 20);
            done(c, 2, 19);
            done(b, 3, 18);
        } else {
            done(b, 3, 18);
            done(a, 1, 20);
            done(c, 2, 19);
        }
        if (order == 2) {
            run.records[a].invoked = 30; /* the stream came after the commit, but nothing is allocated */
            run.records[a].returned = 31;
        }
        if (order == 3) {
            run.records[b].invoked = 30;
            run.records[b].returned = 31;
        }
        assert_int_equal(judged(), order < 2);
    }
}

/*
 * A write across the end of a disk that is resized from 4 to 7, both being said to have succeeded, or the write to have
 * been refused.
 */
static bool resize_judged(uint64_t new_size, uint64_t offset, uint64_t invoked, uint64_t returned, bool write_first)
{
    begin();
    uint32_t a = add(0, OPERATION_WRITE, offset, 2 * SECTOR);
    uint32_t b = add(1, OPERATION_RESIZE, new_size, 0);
    start();
    if (write_first) {
        done(a, invoked, returned);
    }
    done(b, 4, 7);
    if (!write_first) {
        done(a, invoked, returned);
    }
    return judged();
}

static void test_resize_beside_writes(void **state)
{
    (void)state; /* CON-09 */
    uint64_t grown = 7 * CLUSTER + 100;
    uint64_t across = 6 * CLUSTER - SECTOR;
    assert_true(resize_judged(grown, across, 5, 6, true));  /* refused */
    assert_true(resize_judged(grown, across, 5, 6, false)); /* allowed */
    assert_true(resize_judged(grown, across, 1, 2, true));
    assert_false(resize_judged(grown, across, 1, 2, false)); /* allowed before the disk grew */
    assert_true(resize_judged(grown, across, 8, 9, false));
    assert_false(resize_judged(grown, across, 8, 9, true)); /* refused after it grew */
    uint64_t shrunk = 2 * CLUSTER + 10;
    across = 2 * CLUSTER - SECTOR;
    assert_true(resize_judged(shrunk, across, 5, 6, true));
    assert_true(resize_judged(shrunk, across, 5, 6, false));
    assert_false(resize_judged(shrunk, across, 1, 2, false));
    assert_false(resize_judged(shrunk, across, 8, 9, true));
}

static void test_resize_seen_in_two_orders(void **state)
{
    (void)state; /* one request saw the disk grown, a later one did not */
    for (int wrong = 0; wrong < 2; wrong++) {
        begin();
        uint32_t a = add(0, OPERATION_RESIZE, 7 * CLUSTER, 0);
        uint32_t b = add(1, OPERATION_READ, 6 * CLUSTER, SECTOR);
        uint32_t c = add(2, OPERATION_READ, 6 * CLUSTER, SECTOR);
        start();
        done(b, wrong != 0 ? 6 : 2, wrong != 0 ? 7 : 3); /* refused */
        done(a, 1, 10);
        done(c, 4, 5);
        assert_int_equal(judged(), !wrong);
    }
}

static void test_growth_must_read_as_zeros(void **state)
{
    (void)state; /* RSZ-02: the backing file is longer than the disk was */
    begin_disk(8 * CLUSTER, TRACE_NONE_ALLOCATED);
    uint32_t a = add(0, OPERATION_RESIZE, 7 * CLUSTER, 0);
    uint32_t b = add(1, OPERATION_READ, 6 * CLUSTER, SECTOR);
    start();
    done(a, 1, 10);
    struct execution_record *read = done(b, 2, 9);
    stamp_fill((struct stamp){STAMP_BACKING, 8}, 6 * CLUSTER, read->data, SECTOR);
    assert_false(judged());
}

/* ---- Several resizes and commits ---- */

static void test_two_resizes_in_either_order(void **state)
{
    (void)state; /* CON-09, RSZ-01 */
    for (int order = 0; order < 4; order++) {
        begin();
        uint32_t a = add(0, OPERATION_RESIZE, 3 * CLUSTER, 0);
        uint32_t b = add(1, OPERATION_RESIZE, 7 * CLUSTER, 0);
        start();
        done(order % 2 == 0 ? a : b, 1, 10);
        done(order % 2 == 0 ? b : a, order < 2 ? 2 : 11, order < 2 ? 9 : 12);
        if (order >= 2) { /* in real time it was the other way round */
            struct execution_record saved = run.records[a];
            run.records[a] = run.records[b];
            run.records[b] = saved;
        }
        assert_int_equal(judged(), order < 2);
    }
}

/* A shrink, a growth, and a write to what the shrink cuts; it may be said to have succeeded though it was refused. */
static bool cut_write_judged(const uint64_t moments[6], bool write_first, bool write_between, bool claims)
{
    begin();
    uint32_t a = add(0, OPERATION_RESIZE, 3 * CLUSTER, 0);
    uint32_t b = add(1, OPERATION_RESIZE, 6 * CLUSTER, 0);
    uint32_t c = add(2, OPERATION_WRITE, 4 * CLUSTER, SECTOR);
    start();
    if (write_first) {
        done(c, moments[4], moments[5]);
    }
    done(a, moments[0], moments[1]);
    if (write_between) {
        done(c, moments[4], moments[5]); /* refused */
    }
    done(b, moments[2], moments[3]);
    if (!write_first && !write_between) {
        done(c, moments[4], moments[5]);
    }
    if (claims) {
        run.records[c].status = ADDCOW_OK;
    }
    return judged();
}

static void test_what_a_shrink_cuts_stays_cut(void **state)
{
    (void)state; /* RSZ-06, CON-09 */
    static const uint64_t all[] = {1, 6, 2, 7, 3, 8};
    static const uint64_t before[] = {3, 7, 4, 8, 1, 2};
    static const uint64_t between[] = {1, 2, 5, 6, 3, 4};
    static const uint64_t after[] = {1, 4, 2, 5, 6, 7};
    assert_true(cut_write_judged(all, true, false, false));
    assert_true(cut_write_judged(all, false, true, false));
    assert_true(cut_write_judged(all, false, true, true)); /* it was before the shrink */
    assert_true(cut_write_judged(all, false, false, false));
    assert_true(cut_write_judged(before, true, false, false));
    assert_false(cut_write_judged(before, false, false, false)); /* written before, and came back */
    assert_true(cut_write_judged(between, false, true, false));
    assert_false(cut_write_judged(between, false, true, true)); /* there was nothing to write to */
    assert_true(cut_write_judged(after, false, false, false));
    assert_false(cut_write_judged(after, true, false, false)); /* written afterwards, and lost */
    assert_false(cut_write_judged(after, false, true, false)); /* refused when it had grown again */
}

/*
 * A commit beside a shrink and a growth: which of the three was done first, only the backing file shows. The oracle
 * must have been led through the right order, or it expects wrong files afterwards.
 */
static void test_commit_among_resizes_shows_in_the_backing_file(void **state)
{
    (void)state; /* CMT-01, CON-09 */
    for (uint32_t place = 0; place < 3; place++) {
        begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
        uint32_t resizes[] = {add(0, OPERATION_RESIZE, 3 * CLUSTER - 7, 0), add(1, OPERATION_RESIZE, 5 * CLUSTER, 0)};
        uint32_t commit = add(2, OPERATION_COMMIT, 0, 0);
        start();
        for (uint32_t i = 0, resized = 0; i < 3; i++) {
            done(i == place ? commit : resizes[resized++], 1 + i, 10 + i);
        }
        assert_true(judged_with_files());
    }
}

/*
 * A write between two commits, of which only the sectors behind a cut show that it came after the first one: that one
 * would have been refused.
 */
static void test_write_between_commits_that_the_second_one_hides(void **state)
{
    (void)state; /* CMT-01, CMT-02 */
    begin();
    uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
    uint32_t b = add(1, OPERATION_WRITE, 2 * CLUSTER, CLUSTER);
    uint32_t c = add(0, OPERATION_RESIZE, 2 * CLUSTER + 500, 0);
    uint32_t d = add(0, OPERATION_COMMIT, 0, 0);
    start();
    done(a, 2, 10);
    done(b, 1, 12);
    done(c, 13, 14);
    done(d, 15, 16);
    assert_true(judged_with_files());
}

/* What nobody can judge is taken over from the disk and from what a commit left. */
static void test_too_many_writes_beside_a_commit(void **state)
{
    (void)state;
    begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
    for (uint32_t i = 0; i < LINEARIZABILITY_OPEN_MAX + 8; i++) {
        add(0, i == 20 ? OPERATION_COMMIT : OPERATION_WRITE, 0, i == 20 ? 0 : SECTOR);
    }
    trace.operations[0].thread = 1;
    start();
    for (uint32_t i = 0; i < trace.count; i++) {
        done(i, 1 + i, 100 + i);
    }
    assert_true(judge(true, false));
}

/* A commit and a growth beside a write into the new area, which the commit, if it came later, must refuse. */
static bool commit_and_growth_judged(bool commit_first, uint64_t commit_invoked, uint64_t growth_invoked, bool falsify)
{
    begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
    uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
    uint32_t b = add(1, OPERATION_RESIZE, 7 * CLUSTER, 0);
    uint32_t c = add(1, OPERATION_WRITE, 6 * CLUSTER, SECTOR);
    start();
    if (commit_first) {
        done(a, commit_invoked, 20);
    }
    done(b, growth_invoked, growth_invoked + 1);
    done(c, growth_invoked + 2, growth_invoked + 3);
    if (!commit_first) {
        done(a, commit_invoked, 20);
    }
    if (falsify) {
        run.records[a].status = run.records[a].status == ADDCOW_OK ? ADDCOW_RANGE : ADDCOW_OK;
    }
    return judged();
}

static void test_commit_beside_a_growth(void **state)
{
    (void)state; /* CMT-02, CON-09 */
    assert_true(commit_and_growth_judged(true, 1, 5, false));
    assert_true(commit_and_growth_judged(false, 1, 5, false)); /* refused */
    assert_false(commit_and_growth_judged(true, 1, 5, true));  /* said to be refused, but all is committed */
    assert_false(commit_and_growth_judged(false, 1, 5, true));
    assert_true(commit_and_growth_judged(false, 15, 5, false));
    assert_false(commit_and_growth_judged(true, 15, 5, false)); /* it came after the write, so it must be refused */
    assert_true(commit_and_growth_judged(true, 1, 25, false));
    assert_false(commit_and_growth_judged(false, 1, 25, false)); /* refused for what came later */
}

/* Nothing is allocated after the last commit but what was written after it. */
static void test_two_commits_beside_writes(void **state)
{
    (void)state; /* CMT-01, CON-09 */
    for (int wrong = 0; wrong < 2; wrong++) {
        begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
        uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
        uint32_t b = add(1, OPERATION_WRITE, 0, SECTOR);
        uint32_t c = add(0, OPERATION_COMMIT, 0, 0);
        start();
        done(a, 1, 10);
        if (wrong == 1) {
            done(c, 11, 20);
            done(b, 2, 9); /* said to be before the second commit, but its cluster is allocated after it */
        } else {
            done(b, 2, 12);
            done(c, 11, 20);
        }
        assert_int_equal(judged(), wrong == 0);
    }
}

/* What a commit read stands in the backing file, though a write to the whole cluster hides it from the disk. */
static void test_commits_leave_what_they_read(void **state)
{
    (void)state; /* CMT-01 */
    for (int commits = 1; commits <= 2; commits++) {
        for (int wrong = 0; wrong < 2; wrong++) {
            begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
            uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
            uint32_t b = add(1, OPERATION_WRITE, 0, SECTOR);
            uint32_t c = add(0, OPERATION_COMMIT, 0, 0);
            uint32_t d = add(1, OPERATION_WRITE, 0, CLUSTER);
            trace.count = commits == 1 ? b + 1 : d + 1;
            if (commits == 1) {
                trace.operations[b].length = CLUSTER;
            }
            start();
            done(a, 1, 2);
            done(b, 3, 4);
            if (commits == 2) {
                done(c, 5, 6);
                done(d, 7, 8);
            }
            if (wrong != 0) {
                char file[SCRATCH_PATH_BYTES + 64];
                snprintf(file, sizeof file, "%s/%s", directory, DISK_BASE);
                FILE *base = fopen(file, "r+");
                assert_non_null(base);
                fputc('x', base);
                fclose(base);
            }
            assert_int_equal(judged(), !wrong);
        }
    }
}

/* A stream that ended before has allocated what is in the way of a commit. */
static void test_commit_after_a_stream(void **state)
{
    (void)state; /* CMT-02 */
    for (int wrong = 0; wrong < 2; wrong++) {
        begin();
        uint32_t a = add(0, OPERATION_STREAM, 0, 0);
        uint32_t b = add(1, OPERATION_COMMIT, 0, 0);
        start();
        done(b, 3, 4);
        if (wrong == 0) {
            done(a, 1, 5);
        } else {
            claimed(a, 1, 2);
        }
        assert_int_equal(judged(), !wrong);
    }
}

/* Neither before nor after a commit was anything allocated. */
static void test_map_beside_a_commit_of_nothing(void **state)
{
    (void)state; /* CON-10 */
    for (int wrong = 0; wrong < 2; wrong++) {
        begin();
        uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
        uint32_t b = add(1, OPERATION_MAP, 0, CLUSTER);
        start();
        done(a, 1, 10);
        done(b, 2, 9)->allocated = wrong != 0;
        assert_int_equal(judged(), !wrong);
    }
}

/* A map beside a commit and a shrink: said to take from 5 to 6, the commit from 1 to `committed`. */
static bool map_beside_judged(uint64_t committed, bool allocated)
{
    begin_disk(6 * CLUSTER, TRACE_EVERY_ALLOCATED);
    uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
    uint32_t b = add(1, OPERATION_RESIZE, 3 * CLUSTER, 0);
    uint32_t c = add(2, OPERATION_MAP, 0, 3 * CLUSTER);
    start();
    done(a, 1, committed);
    done(b, 2, 9);
    struct execution_record *map = done(c, 5, 6);
    map->allocated = allocated;
    return judged();
}

static void test_maps_beside_a_commit_and_a_shrink(void **state)
{
    (void)state; /* CON-10 */
    assert_true(map_beside_judged(10, true));
    assert_true(map_beside_judged(10, false));
    assert_true(map_beside_judged(3, false));
    assert_false(map_beside_judged(3, true)); /* nothing is allocated after a commit */
}

/* Allocates every cluster, and changes nothing else. */
static void touch_all_clusters(void)
{
    for (uint64_t at = 0; at < trace.disk.size; at += CLUSTER) {
        uint8_t byte;
        assert_int_equal(adapter_read(adapter, at, 1, &byte, NULL), ADDCOW_OK);
        assert_int_equal(adapter_write(adapter, at, 1, &byte, NULL), ADDCOW_OK);
    }
}

/* A stream that ended last has set "all allocated"; it is not enough that everything is. */
static void test_flag_after_a_commit_and_a_stream(void **state)
{
    (void)state; /* STR-02 */
    for (int wrong = 0; wrong < 3; wrong++) {
        begin_disk(6 * CLUSTER, TRACE_SOME_ALLOCATED);
        uint32_t a = add(0, OPERATION_COMMIT, 0, 0);
        uint32_t b = add(1, OPERATION_STREAM, 0, 0);
        start();
        done(a, 1, 5);
        if (wrong == 0) {
            done(b, 6, 7);
        } else {
            claimed(b, wrong == 1 ? 6 : 4, 7); /* if they overlap, the flag may have been set and cleared before */
            touch_all_clusters();
        }
        assert_int_equal(judged(), wrong != 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_beside_writes),
        cmocka_unit_test(test_commit_beside_writes),
        cmocka_unit_test(test_commit_that_loses_a_write),
        cmocka_unit_test(test_commit_beside_a_stream),
        cmocka_unit_test(test_resize_beside_writes),
        cmocka_unit_test(test_resize_seen_in_two_orders),
        cmocka_unit_test(test_growth_must_read_as_zeros),
        cmocka_unit_test(test_two_resizes_in_either_order),
        cmocka_unit_test(test_what_a_shrink_cuts_stays_cut),
        cmocka_unit_test(test_commit_among_resizes_shows_in_the_backing_file),
        cmocka_unit_test(test_write_between_commits_that_the_second_one_hides),
        cmocka_unit_test(test_too_many_writes_beside_a_commit),
        cmocka_unit_test(test_commit_beside_a_growth),
        cmocka_unit_test(test_two_commits_beside_writes),
        cmocka_unit_test(test_commits_leave_what_they_read),
        cmocka_unit_test(test_commit_after_a_stream),
        cmocka_unit_test(test_map_beside_a_commit_of_nothing),
        cmocka_unit_test(test_maps_beside_a_commit_and_a_shrink),
        cmocka_unit_test(test_flag_after_a_commit_and_a_stream),
    };
    return cmocka_run_group_tests_name("history, resize, stream and commit", tests, make_directory, remove_directory);
}
