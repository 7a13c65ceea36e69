/*
 * The production engine under the deterministic scheduler: some small traces exhaustively, many by chance.
 */
#include "explore/explore.h"
#include "workload/generate.h"
#include "exhaustive/scope.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SCHEDULES_MAX 100000u /* more than any of these traces has: who reaches it has lost its end */
#define SCHEDULES_SMALL 40u

static struct trace trace;

static void begin_trace(uint32_t threads, uint64_t size, uint64_t backing_size)
{
    trace = (struct trace){
        .disk = {.layout = ADDCOW_R20,
                 .cluster_bits = 12,
                 .size = size,
                 .has_backing = backing_size > 0,
                 .backing_size = backing_size},
        .threads = threads,
    };
}

/* Explores the trace with a strategy, `schedules` at most; returns whether the strategy came to its end. */
static bool explore(struct sched_strategy *strategy, const struct explore_options *options, uint64_t schedules,
                    struct explore_counts *counts)
{
    struct explore *explore = explore_make(&trace, options);
    enum explore_answer answer = EXPLORE_OK;
    for (uint64_t i = 0; i < schedules && answer == EXPLORE_OK; i++) {
        answer = explore_run(explore, strategy, counts, stdout);
    }
    if (answer == EXPLORE_FAILED) {
        trace_print(stdout, &trace);
        sched_schedule_print(stdout, explore_schedule(explore));
        puts("");
    }
    assert_int_not_equal(answer, EXPLORE_FAILED);
    explore_free(explore);
    return answer == EXPLORE_OVER;
}

/* All schedules with so many preemptions, which the strategy must come to the end of; slow builds take the first ones.
 */
static void explore_all(const char *name, uint32_t preemptions)
{
    struct explore_counts counts = {0};
    struct explore_options options = {.whole_requests = true, .refuse_punch = true};
    struct sched_strategy *strategy = sched_make_exhaustive(preemptions, true);
    bool over = explore(strategy, &options, scope_is_small() ? SCHEDULES_SMALL : SCHEDULES_MAX, &counts);
    struct sched_exhaustive_counts exhaustive = sched_exhaustive_counts(strategy);
    print_message("# %s: %" PRIu64 " schedules, %" PRIu64 " of them redundant, %" PRIu64 " steps: %s\n", name,
                  exhaustive.schedules, exhaustive.redundant, counts.steps,
                  exhaustive.complete ? "all there are"
                  : over              ? "all within the bound"
                                      : "the first ones");
    assert_true(counts.schedules > 1);
    assert_true(over || scope_is_small());
    sched_strategy_free(strategy);
}

/* CON-04, CON-05, CON-06: two writes to different parts of one unallocated cluster. */
static void two_writes_to_one_cluster(void **state)
{
    (void)state;
    begin_trace(2, 4096, 4096);
    trace_add(&trace, 0, OPERATION_WRITE, 0, 512);
    trace_add(&trace, 1, OPERATION_WRITE, 1024, 512);
    explore_all("two writes to one cluster", SCHED_UNBOUNDED);
}

/* CON-04: a read beside an allocating write sees the backing file or the data. */
static void a_read_beside_an_allocating_write(void **state)
{
    (void)state;
    begin_trace(2, 8192, 8192);
    trace_add(&trace, 0, OPERATION_WRITE, 3584, 1024);
    trace_add(&trace, 1, OPERATION_READ, 3072, 2048);
    explore_all("a read beside an allocating write", SCHED_UNBOUNDED);
}

/* CON-07: bits of one word. */
static void writes_to_neighbouring_clusters(void **state)
{
    (void)state;
    begin_trace(2, 8192, 8192);
    trace_add(&trace, 0, OPERATION_WRITE, 0, 512);
    trace_add(&trace, 1, OPERATION_WRITE, 4096, 512);
    explore_all("writes to neighbouring clusters", SCHED_UNBOUNDED);
}

/* CON-12: requests that meet each other's clusters from both sides. */
static void crossing_writes(void **state)
{
    (void)state;
    begin_trace(2, 16384, 16384);
    trace_add(&trace, 0, OPERATION_WRITE, 2048, 6144);
    trace_add(&trace, 1, OPERATION_WRITE, 1024, 4096);
    explore_all("crossing writes", 2);
}

/* CON-09: a resize beside a write and a read. */
static void a_resize_beside_requests(void **state)
{
    (void)state;
    begin_trace(2, 8192, 12288);
    trace_add(&trace, 0, OPERATION_RESIZE, 10000, 0);
    trace_add(&trace, 1, OPERATION_WRITE, 7680, 512);
    explore_all("a resize beside a write", 2);
}

/* CON-10: the run of a map is that of the status which it reports. */
static void a_map_beside_a_write(void **state)
{
    (void)state;
    begin_trace(2, 12288, 12288);
    trace_add(&trace, 0, OPERATION_MAP, 0, 12288);
    trace_add(&trace, 1, OPERATION_ZERO, 0, 512);
    explore_all("a map beside a write", SCHED_UNBOUNDED);
}

/* CON-11: a stream beside a write. */
static void a_stream_beside_a_write(void **state)
{
    (void)state;
    begin_trace(2, 8192, 8192);
    trace_add(&trace, 0, OPERATION_STREAM, 0, 0);
    trace_add(&trace, 1, OPERATION_WRITE, 512, 1024);
    explore_all("a stream beside a write", 2);
}

/* CON-09: a commit beside a write and a read. */
static void a_commit_beside_requests(void **state)
{
    (void)state;
    begin_trace(2, 8192, 8192);
    trace.disk.allocation = TRACE_EVERY_ALLOCATED;
    trace_add(&trace, 0, OPERATION_COMMIT, 0, 0);
    trace_add(&trace, 1, OPERATION_WRITE, 512, 512);
    trace_add(&trace, 1, OPERATION_READ, 0, 2048);
    explore_all("a commit beside requests", 1);
}

/* CON-09: whole-disk operations beside each other, and a write where the disk shrinks and grows. */
static void whole_disk_operations_beside_each_other(void **state)
{
    (void)state;
    begin_trace(3, 8192, 12288);
    trace_add(&trace, 0, OPERATION_RESIZE, 5000, 0);
    trace_add(&trace, 1, OPERATION_RESIZE, 10000, 0);
    trace_add(&trace, 2, OPERATION_WRITE, 7680, 512);
    explore_all("two resizes beside a write", 1);
    begin_trace(3, 8192, 8192);
    trace_add(&trace, 0, OPERATION_RESIZE, 12288, 0);
    trace_add(&trace, 1, OPERATION_COMMIT, 0, 0);
    trace_add(&trace, 2, OPERATION_WRITE, 512, 512);
    explore_all("a resize and a commit beside a write", 1);
    begin_trace(2, 8192, 8192);
    trace_add(&trace, 0, OPERATION_COMMIT, 0, 0);
    trace_add(&trace, 1, OPERATION_WRITE, 512, 512);
    trace_add(&trace, 1, OPERATION_COMMIT, 0, 0);
    explore_all("two commits", 1);
}

/* CON-02: zeros that are more than the engine writes at once, from the middle of a sector on. */
static void zeroing_keeps_sectors_atomic(void **state)
{
    (void)state;
    begin_trace(2, 73728, 73728);
    trace.disk.allocation = TRACE_EVERY_ALLOCATED;
    trace_add(&trace, 0, OPERATION_ZERO, 100, 70000);
    trace_add(&trace, 1, OPERATION_WRITE, 65536, 512);
    explore_all("many zeros beside a write", SCHED_UNBOUNDED);
}

/* DUR-05: joined flushes. */
static void flushes_beside_a_write(void **state)
{
    (void)state;
    begin_trace(3, 4096, 4096);
    trace_add(&trace, 0, OPERATION_FLUSH, 0, 0);
    trace_add(&trace, 1, OPERATION_WRITE, 0, 512);
    trace_add(&trace, 1, OPERATION_FLUSH, 0, 0);
    trace_add(&trace, 2, OPERATION_FLUSH, 0, 0);
    explore_all("flushes beside a write", 1);
}

static struct sched_strategy *strategy_of(uint64_t seed)
{
    return seed % 2 == 0 ? sched_make_random(seed) : sched_make_pct(seed, 1 + (uint32_t)(seed / 2 % 5));
}

/* Many small traces, a few schedules of each, with crashes. */
static void random_traces(void **state)
{
    (void)state;
    struct explore_counts counts = {0};
    const uint64_t traces = scope_is_small() ? 20 : 400;
    for (uint64_t seed = 0; seed < traces; seed++) {
        struct generate_small_options generate = {
            .threads = 1 + (uint32_t)(seed % 4), .operations = 2 + (uint32_t)(seed % 3), .whole_disk = seed % 5 == 0};
        struct explore_options options = {.crash = true, .refuse_punch = seed % 3 == 0, .seed = seed};
        generate_small_trace(seed, &generate, &trace);
        struct sched_strategy *strategy = strategy_of(seed);
        explore(strategy, &options, 25, &counts);
        sched_strategy_free(strategy);
    }
    print_message("# %" PRIu64 " traces, %" PRIu64 " schedules, %" PRIu64 " steps, %" PRIu64 " preemptions, %" PRIu64
                  " crashes\n",
                  traces, counts.schedules, counts.steps, counts.preemptions, counts.crash_states);
    assert_true(counts.preemptions > counts.schedules / 4);
}

/* Every schedule again, step by step: the same answers. */
static void runs_repeat_exactly(void **state)
{
    (void)state;
    struct explore_counts counts = {0};
    for (uint64_t seed = 1000; seed < 1030; seed++) {
        struct generate_small_options generate = {.threads = 3, .operations = 2, .whole_disk = true};
        struct explore_options options = {.self_check = true};
        generate_small_trace(seed, &generate, &trace);
        struct sched_strategy *strategy = strategy_of(seed);
        explore(strategy, &options, 5, &counts);
        sched_strategy_free(strategy);
    }
    assert_int_equal(counts.schedules, 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_writes_to_one_cluster),
        cmocka_unit_test(a_read_beside_an_allocating_write),
        cmocka_unit_test(writes_to_neighbouring_clusters),
        cmocka_unit_test(crossing_writes),
        cmocka_unit_test(a_resize_beside_requests),
        cmocka_unit_test(a_map_beside_a_write),
        cmocka_unit_test(a_stream_beside_a_write),
        cmocka_unit_test(a_commit_beside_requests),
        cmocka_unit_test(whole_disk_operations_beside_each_other),
        cmocka_unit_test(zeroing_keeps_sectors_atomic),
        cmocka_unit_test(flushes_beside_a_write),
        cmocka_unit_test(random_traces),
        cmocka_unit_test(runs_repeat_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
