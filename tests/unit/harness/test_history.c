/* The history judge: sectors, statuses and maps of phases without resize and commit. */
#include "harness/history_support.h"
#include "adapters/perform.h"

/* ---- Sectors ---- */

static void test_overlapping_writes_in_either_order(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, 3 * SECTOR);
        uint32_t b = add(1, OPERATION_WRITE, SECTOR, 3 * SECTOR);
        start();
        done(order == 0 ? a : b, 1, 10);
        done(order == 0 ? b : a, 2, 9);
        assert_true(judged());
    }
}

static void test_order_in_real_time_counts(void **state)
{
    (void)state;
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_WRITE, 0, SECTOR);
    start();
    done(b, 3, 4); /* really first, but said to be the later one */
    done(a, 1, 2);
    assert_false(judged());
}

/* CON-03 */
static void test_sectors_of_one_request_are_independent(void **state)
{
    (void)state;
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, 2 * SECTOR);
    uint32_t b = add(1, OPERATION_WRITE, 0, 2 * SECTOR);
    uint32_t c = add(2, OPERATION_READ, 0, 2 * SECTOR);
    start();
    done(a, 1, 10);
    struct execution_record *read = done(c, 2, 9);
    done(b, 3, 8);
    stamp_fill((struct stamp){STAMP_WRITE, b}, SECTOR, read->data + SECTOR, SECTOR);
    assert_true(judged());
}

static void test_lost_update(void **state)
{
    (void)state;
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_WRITE, SECTOR, SECTOR); /* the same cluster, another sector (CON-06) */
    start();
    done(a, 1, 10);
    claimed(b, 2, 9);
    assert_false(judged());
}

/*
 * ERR-02: a write that failed, of which each sector was written or not. A later one fails too and does nothing, or
 * succeeds and covers it.
 */
static bool accepts_failure(bool first, bool second, bool stays, uint32_t failures)
{
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, 2 * SECTOR);
    uint32_t b = add(1, OPERATION_WRITE, first ? 0 : SECTOR, first && second ? 2 * SECTOR : SECTOR);
    uint32_t c = add(2, OPERATION_WRITE, 8 * SECTOR, SECTOR);
    start();
    done(c, 2, 3);
    if (first || second) {
        uint8_t bytes[2 * SECTOR];
        uint64_t begins = first ? 0 : SECTOR;
        stamp_fill((struct stamp){STAMP_WRITE, a}, begins, bytes, sizeof bytes);
        adapter_write(adapter, begins, first && second ? 2 * SECTOR : SECTOR, bytes, NULL);
    }
    claimed(a, 1, 10);
    run.records[a].status = ADDCOW_IO;
    claimed(b, 20, 21);
    if (!stays) {
        done(b, 20, 21); /* really done: then nothing of the failed one is left where it was */
    } else {
        run.records[b].status = ADDCOW_IO;
    }
    run.failures = failures;
    return judged();
}

static void test_failed_writes(void **state)
{
    (void)state;
    const uint32_t io = 1u << ADDCOW_IO;
    for (int n = 0; n < 4; n++) {
        assert_true(accepts_failure((n & 1) != 0, (n & 2) != 0, true, io));
        assert_false(accepts_failure((n & 1) != 0, (n & 2) != 0, true, 0));
        assert_false(accepts_failure((n & 1) != 0, (n & 2) != 0, true, 1u << ADDCOW_NOSPACE));
    }
    assert_true(accepts_failure(true, true, false, io));
}

/* What a failed write did not do it must not do afterwards, nor elsewhere. */
static void test_failed_write_that_touches_more(void **state)
{
    (void)state;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        uint8_t bytes[SECTOR];
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
        uint32_t b = add(1, OPERATION_WRITE, 0, SECTOR);
        start();
        claimed(a, 1, 2);
        run.records[a].status = ADDCOW_IO;
        done(b, 3, 4);
        stamp_fill((struct stamp){STAMP_WRITE, a}, (uint64_t)elsewhere * SECTOR, bytes, sizeof bytes);
        adapter_write(adapter, (uint64_t)elsewhere * SECTOR, SECTOR, bytes, NULL);
        run.failures = 1u << ADDCOW_IO;
        assert_false(judged());
    }
}

static void test_stale_read(void **state)
{
    (void)state;
    for (int overlapping = 0; overlapping < 2; overlapping++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
        uint32_t b = add(1, OPERATION_READ, 0, SECTOR);
        start();
        done(b, overlapping != 0 ? 2 : 5, 6);
        done(a, 1, 4);
        assert_int_equal(judged(), overlapping);
    }
}

static void falsified_read(struct stamp stamp, size_t begin_at, size_t length, bool expected)
{
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_READ, 0, SECTOR);
    start();
    done(a, 1, 4);
    struct execution_record *read = done(b, 2, 3);
    stamp_fill(stamp, begin_at, read->data + begin_at, length);
    assert_int_equal(judged(), expected);
}

static void test_garbage_of_the_image(void **state)
{
    (void)state; /* CON-04: the bit was published before the data */
    falsified_read((struct stamp){STAMP_IMAGE, 8}, 0, SECTOR, false);
    falsified_read((struct stamp){STAMP_BACKING, 8}, 0, SECTOR, true);
    falsified_read((struct stamp){STAMP_ZERO, 0}, 0, SECTOR, false);
}

static void test_torn_sector(void **state)
{
    (void)state; /* CON-02 */
    falsified_read((struct stamp){STAMP_BACKING, 8}, 0, 256, false);
    falsified_read((struct stamp){STAMP_BACKING, 8}, 504, 8, false);
}

static void test_new_then_old(void **state)
{
    (void)state;
    for (int inverted = 0; inverted < 2; inverted++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
        uint32_t b = add(1, OPERATION_READ, 0, SECTOR);
        uint32_t c = add(2, OPERATION_READ, 0, SECTOR);
        start();
        done(b, inverted != 0 ? 6 : 2, inverted != 0 ? 7 : 3);
        done(a, 1, 10);
        done(c, inverted != 0 ? 4 : 8, inverted != 0 ? 5 : 9);
        assert_int_equal(judged(), !inverted);
    }
}

static void test_zeros_of_two_requests(void **state)
{
    (void)state;
    begin();
    uint32_t a = add(0, OPERATION_ZERO, 0, SECTOR);
    uint32_t b = add(1, OPERATION_DISCARD, 0, SECTOR);
    uint32_t c = add(2, OPERATION_WRITE, 0, SECTOR);
    uint32_t d = add(3, OPERATION_READ, 0, SECTOR);
    start();
    done(a, 1, 20);
    done(c, 2, 19);
    done(d, 3, 4);
    done(b, 5, 6);
    assert_true(judged());
}

static void test_parts_of_a_sector(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 100, 50);
        uint32_t b = add(1, OPERATION_WRITE, 140, 50);
        uint32_t c = add(2, OPERATION_READ, 0, SECTOR);
        start();
        done(a, 1, 20);
        done(c, 2, 19);
        if (lost != 0) {
            claimed(b, 3, 18);
        } else {
            done(b, 3, 18);
        }
        assert_int_equal(judged(), !lost);
    }
}

static void test_untouched_bytes_stay(void **state)
{
    (void)state;
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_READ, SECTOR, SECTOR);
    start();
    done(a, 1, 10);
    done(b, 2, 9);
    adapter_write(adapter, 5 * CLUSTER, 1, "x", NULL); /* nobody asked for it (WR-01) */
    assert_false(judged());
}

/* ---- Statuses ---- */

static void test_statuses(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
        uint32_t b = add(1, OPERATION_READ, 6 * CLUSTER, 1);
        start();
        struct execution_record *write = done(a, 1, 10);
        struct execution_record *read = done(b, 2, 9);
        write->status = wrong == 1 ? ADDCOW_IO : write->status;
        read->status = wrong == 2 ? ADDCOW_OK : read->status; /* REQ-01 */
        assert_int_equal(judged(), wrong == 0);
    }
}

/* ---- Maps ---- */

/*
 * A map of clusters 0 to 2 beside a write to cluster 1: said to take from 5 to 6, the write from `invoked` to
 * `returned`.
 */
static bool map_judged(uint64_t invoked, uint64_t returned, bool allocated, uint64_t run_length)
{
    begin();
    uint32_t a = add(0, OPERATION_WRITE, CLUSTER, SECTOR);
    uint32_t b = add(1, OPERATION_MAP, 0, 3 * CLUSTER);
    start();
    done(a, invoked, returned);
    struct execution_record *map = done(b, 5, 6);
    map->allocated = allocated;
    map->map_length = run_length;
    return judged();
}

static void test_maps(void **state)
{
    (void)state; /* CON-10 */
    assert_true(map_judged(1, 2, false, CLUSTER));
    assert_false(map_judged(1, 2, false, 3 * CLUSTER)); /* allocated before, reported unallocated */
    assert_true(map_judged(7, 8, false, 3 * CLUSTER));
    assert_false(map_judged(7, 8, false, CLUSTER)); /* allocated afterwards, reported allocated */
    assert_true(map_judged(1, 8, false, CLUSTER));
    assert_true(map_judged(1, 8, false, 3 * CLUSTER));
    assert_false(map_judged(1, 8, true, CLUSTER)); /* nobody allocates cluster 0 */
    assert_false(map_judged(1, 8, false, CLUSTER + 512));
    assert_false(map_judged(1, 8, false, 0));
    assert_false(map_judged(1, 8, false, 4 * CLUSTER));
}

static void test_status_never_goes_back(void **state)
{
    (void)state; /* MAP-02 */
    for (int back = 0; back < 2; back++) {
        begin();
        uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
        uint32_t b = add(1, OPERATION_MAP, 0, CLUSTER);
        uint32_t c = add(1, OPERATION_MAP, 0, CLUSTER);
        start();
        struct execution_record *maps[2] = {done(b, 2, 3), done(c, 4, 5)};
        done(a, 1, 6);
        maps[back]->allocated = false;
        maps[1 - back]->allocated = true;
        assert_int_equal(judged(), !back);
    }
}

static void test_statuses_at_rest(void **state)
{
    (void)state; /* WR-02: neither less nor more */
    begin();
    uint32_t a = add(0, OPERATION_WRITE, 0, SECTOR);
    uint32_t b = add(1, OPERATION_READ, 0, SECTOR);
    start();
    uint8_t zero = 0;
    done(a, 1, 10);
    done(b, 2, 9);
    adapter_write(adapter, 4 * CLUSTER, 1, &zero, NULL); /* virt is the same, but the cluster is allocated */
    assert_false(judged());
}

/* ---- What is not judged ---- */

static const char *problem_of(uint32_t first, uint32_t second)
{
    trace = (struct trace){.threads = 2};
    trace_add(&trace, 0, first, 0, 0);
    trace_add(&trace, 1, second, 0, 0);
    return phase_problem(&trace, 0, trace.count);
}

static void test_unjudgeable_phases_become_sequential(void **state)
{
    (void)state;
    assert_null(problem_of(OPERATION_STREAM, OPERATION_FLUSH));
    assert_null(problem_of(OPERATION_STREAM, OPERATION_RESIZE));
    assert_null(problem_of(OPERATION_STREAM, OPERATION_COMMIT));
    assert_null(problem_of(OPERATION_RESIZE, OPERATION_COMMIT));
    for (uint32_t i = 0; i < 2; i++) {
        trace_add(&trace, 0, OPERATION_RESIZE, i, 0);
    }
    assert_non_null(phase_problem(&trace, 0, trace.count));
    phases_make_judgeable(&trace);
    assert_false(trace_phase_is_concurrent(&trace, 0, trace.count));
    assert_null(phase_problem(&trace, 0, trace.count));
    problem_of(OPERATION_RESIZE, OPERATION_COMMIT);
    for (uint32_t i = 0; i < PHASE_OPERATIONS_MAX; i++) {
        trace_add(&trace, 0, OPERATION_READ, 0, 0);
    }
    assert_non_null(phase_problem(&trace, 0, trace.count));
    assert_non_null(problem_of(TRACE_REOPEN, OPERATION_FLUSH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlapping_writes_in_either_order),
        cmocka_unit_test(test_order_in_real_time_counts),
        cmocka_unit_test(test_sectors_of_one_request_are_independent),
        cmocka_unit_test(test_lost_update),
        cmocka_unit_test(test_failed_writes),
        cmocka_unit_test(test_failed_write_that_touches_more),
        cmocka_unit_test(test_stale_read),
        cmocka_unit_test(test_garbage_of_the_image),
        cmocka_unit_test(test_torn_sector),
        cmocka_unit_test(test_new_then_old),
        cmocka_unit_test(test_zeros_of_two_requests),
        cmocka_unit_test(test_parts_of_a_sector),
        cmocka_unit_test(test_untouched_bytes_stay),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_status_never_goes_back),
        cmocka_unit_test(test_statuses_at_rest),
        cmocka_unit_test(test_unjudgeable_phases_become_sequential),
    };
    return cmocka_run_group_tests_name("history", tests, make_directory, remove_directory);
}
