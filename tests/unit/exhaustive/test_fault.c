/*
 * Faults: every call of the storage that short sequences of operations make fails, in every way; or the process dies at
 * it, and another one goes on.
 */
#include "judges/bounded_crash.h"
#include "explore/explore.h"
#include "workload/generate.h"
#include "judges/fault.h"
#include "exhaustive/scope.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct trace trace;

static void print_counts(const struct fault_counts *counts)
{
    print_message("# %" PRIu64 " traces, %" PRIu64 " runs with a fault each, %" PRIu64 " failed requests\n",
                  counts->traces, counts->runs, counts->failures);
    assert_true(counts->failures > counts->traces);
}

/* In r9 a ninth cluster needs a longer file. A growth that failed may have left bytes; the second growth must not rely
 * on them. */
static void every_fault_of_a_second_growth(void **state)
{
    (void)state;
    struct fault_counts counts = {0};
    uint64_t cluster = addcow_cluster_size(scope_disks[SCOPE_R9].cluster_bits);
    trace = (struct trace){.disk = scope_disks[SCOPE_R9], .threads = 1};
    trace_add(&trace, 0, OPERATION_RESIZE, 8 * cluster + 1, 0);
    trace_add(&trace, 0, OPERATION_RESIZE, 8 * cluster + 1, 0);
    trace_add(&trace, 0, OPERATION_FLUSH, 0, 0);
    assert_true(fault_trace(&trace, &counts, stdout));
    print_counts(&counts);
}

/* ERR-01, ERR-02, ERR-03, ERR-04, ERR-05, ERR-06, DUR-06, DUR-07, DUR-10, DUR-12, RSZ-07, STR-03, CMT-03: what a failed
 * call is reported as, and what it leaves behind. */
static void every_fault_of_short_sequences(void **state)
{
    (void)state;
    struct fault_counts counts = {0};
    for (size_t i = 0; i < SCOPE_DISKS; i++) {
        uint32_t longest = scope_is_small() || i == SCOPE_R9 ? 1 : 2;
        for (uint32_t length = 1; length <= longest; length++) {
            for (uint32_t number = 0; bounded_crash_check_trace(&scope_disks[i], length, number, &trace); number++) {
                assert_true(fault_problem(&trace) != NULL || fault_trace(&trace, &counts, stdout));
            }
        }
    }
    print_counts(&counts);
}

/* Blocks of the bitmap that are dirty at once are written again after a failure, or cut away; DUR-06, RSZ-07. */
static void every_fault_with_several_blocks(void **state)
{
    (void)state;
    struct fault_counts counts = {0};
    make_several_blocks(&trace);
    assert_true(fault_trace(&trace, &counts, stdout));
    print_counts(&counts);
}

static void every_fault_of_random_traces(void **state)
{
    (void)state;
    struct fault_counts counts = {0};
    struct generate_small_options options = {.threads = 1, .operations = 6, .whole_disk = true, .reopens = true};
    for (uint64_t seed = 0; seed < (scope_is_small() ? 5 : 30); seed++) {
        generate_small_trace(seed, &options, &trace);
        assert_true(fault_trace(&trace, &counts, stdout));
    }
    print_counts(&counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_of_a_second_growth),
        cmocka_unit_test(every_fault_with_several_blocks),
        cmocka_unit_test(every_fault_of_random_traces),
        cmocka_unit_test(every_fault_of_short_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
