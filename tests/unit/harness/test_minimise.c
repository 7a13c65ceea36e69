/*
 * Finding and showing failures: fault injection, sandboxes, the minimiser, timelines, and what runs have covered.
 */
#include "judges/crash.h"
#include "explore/explore.h"
#include "workload/disk_files.h"
#include "storage/fault_injection.h"
#include "explore/minimise.h"
#include "explore/timeline.h"
#include "base/report.h"
#include "base/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Faults ---- */

/* How many of ten syncs of the image fail. */
static uint32_t failing_syncs(struct fault_injection *fault)
{
    uint32_t failed = 0;
    for (int i = 0; i < 10; i++) {
        size_t size = 0;
        assert_int_equal(fault_injection_hook(fault, SIM_SYNC, DISK_METADATA, &size), 0);
        int answer = fault_injection_hook(fault, SIM_SYNC, DISK_IMAGE, &size);
        assert_true(answer == 0 || answer == -EIO);
        failed += answer != 0;
    }
    return failed;
}

/* Whether `text` is the text of a fault. */
static bool parse_fault(const char *text, struct fault_injection *inject)
{
    char copy[100];
    char *words[10];
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    return fault_injection_parse(words, count, inject) == NULL;
}

static void a_fault_hits_the_planned_call(void **state)
{
    (void)state;
    struct fault_injection once, on, parsed;
    assert_true(parse_fault("EIO at sync 3 of disk.raw", &once));
    assert_true(parse_fault("EIO at sync 3 of disk.raw persistent", &on));
    assert_int_equal(failing_syncs(&once), 1);
    assert_int_equal(failing_syncs(&on), 8);
    assert_true(once.image_lost && fault_injection_was_hit(&once));
    assert_true(fault_injection_explains(&once, ADDCOW_IO) && !fault_injection_explains(&once, ADDCOW_NOSPACE));
    char text[80] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    fault_injection_print_text(&on, out);
    fclose(out);
    assert_string_equal(text, "EIO at sync 3 of disk.raw persistent");
    static const char *const wrong[] = {"",
                                        "EIO",
                                        "EIO at sync 1x of disk.raw",
                                        "EIO at sync 1 of disk.raw often",
                                        "EINTR at sync 1 of disk.raw persistent",
                                        "EIO at sync 1 in disk.raw",
                                        "EIO at sync 0 of disk.raw persistent",
                                        "EBAD at sync 1 of disk.raw persistent",
                                        "EIO at sink 1 of disk.raw persistent"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(parse_fault(wrong[i], &parsed));
    }
}

static void short_transfers_keep_sectors_whole(void **state)
{
    (void)state;
    static uint8_t bytes[8 * SIM_SECTOR];
    struct sim *sim = sim_make();
    sim_put(sim, "f", bytes, sizeof bytes);
    sim_keep(sim);
    struct addcow_file *file;
    assert_int_equal(sim_storage(sim)->ops->open(sim_storage(sim), "f", ADDCOW_FILE_READWRITE, &file), 0);
    struct fault_injection fault;
    assert_true(parse_fault("short at pwrite 1 of f persistent", &fault));
    fault.sim = sim;
    sim_set_hook(sim, fault_injection_hook, &fault);
    for (uint64_t offset = 0; offset < 2 * SIM_SECTOR; offset += 100) {
        for (size_t size = 1; size < 5 * SIM_SECTOR; size += 97) {
            ssize_t count = file->ops->pwrite(file, bytes, size, offset);
            uint64_t end = offset + (uint64_t)count;
            assert_true(count > 0 && (size_t)count <= size);
            assert_true(end % SIM_SECTOR == 0 || end == offset + size);
        }
    }
    sim_set_hook(sim, NULL, NULL);
    file->ops->close(file);
    sim_free(sim);
}

/* ---- Sandboxes ---- */

static int answer(void *context)
{
    return *(int *)context;
}

static int die(void *context)
{
    (void)context;
    abort();
}

static void die_in_thread(void *context)
{
    (void)context;
    abort();
}

static void rest(void *context)
{
    (void)context;
}

static int die_in_run(void *context)
{
    struct sched_thread threads[] = {{rest, NULL}, {die_in_thread, NULL}};
    struct sched_options options = {0};
    struct sched_run run = {0};
    (void)context;
    sched_run(sched_make_random(1), threads, 2, &options, &run);
    return 0;
}

static void a_sandbox_outlives_the_engine(void **state)
{
    (void)state;
    struct sandbox *sandbox = sandbox_make(true, sched_print_current);
    for (int code = REPORT_CONFORMS; code <= REPORT_INCOMPLETE; code++) {
        assert_int_equal(sandbox_run(sandbox, answer, &code), code);
    }
    assert_int_equal(sandbox_run(sandbox, die, NULL), REPORT_CRASHED);
    assert_string_equal(sandbox->state, "");
    assert_int_equal(sandbox_run(sandbox, die_in_run, NULL), REPORT_CRASHED);
    struct sched_schedule schedule;
    assert_true(sched_schedule_parse(sandbox->state, &schedule));
    assert_int_equal(schedule.segments[schedule.count - 1].thread, 1);
    sched_schedule_free(&schedule);
    sandbox_free(sandbox);
}

/* ---- Making small ---- */

/* A failure that needs a write of the sector at 20480, and a flush of another thread. */
static bool needs_two(const struct trace *trace, void *context)
{
    bool writes = false;
    bool flushes = false;
    ++*(uint32_t *)context;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        writes = writes || (operation->kind == OPERATION_WRITE && operation->offset <= 20480 &&
                            operation->thread == 0 && operation->offset + operation->length >= 20480 + SIM_SECTOR);
        flushes = flushes || (operation->kind == OPERATION_FLUSH && operation->thread != 0);
    }
    return writes && flushes;
}

static void failing_traces_are_minimised(void **state)
{
    (void)state;
    static struct trace trace;
    uint32_t tried = 0;
    trace = (struct trace){.disk = {.layout = ADDCOW_R20,
                                    .cluster_bits = 16,
                                    .size = 100000,
                                    .has_backing = true,
                                    .backing_size = 100000,
                                    .chain = 2,
                                    .allocation = TRACE_SOME_ALLOCATED,
                                    .unknown_compatible = true,
                                    .seed = 7},
                           .threads = 4};
    for (uint32_t i = 0; i < 8; i++) {
        trace_add(&trace, i % 4, i % 3 == 0 ? OPERATION_READ : OPERATION_ZERO, 0, 4096);
    }
    trace_add(&trace, 0, OPERATION_WRITE, 20480, 8192);
    trace_add(&trace, 3, OPERATION_FLUSH, 0, 0);
    trace_add(&trace, 2, OPERATION_STREAM, 0, 0);
    assert_true(minimise_while(&trace, needs_two, &tried));
    assert_int_equal(trace.count, 2);
    assert_int_equal(trace.threads, 2);
    assert_int_equal(trace.operations[0].length, SIM_SECTOR);
    assert_int_equal(trace.disk.size, 4096);
    assert_int_equal(trace.disk.chain, 0);
    assert_int_equal(trace.disk.cluster_bits, 12);
    assert_int_equal(trace.disk.seed, 0);
    assert_true(tried > 10);
    trace.count = 1;
    assert_false(minimise_while(&trace, needs_two, &tried));
}

/* ---- Timelines, coverage ---- */

static struct trace two_writes;

static void make_two_writes(void)
{
    two_writes = (struct trace){
        .disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = 8192, .has_backing = true, .backing_size = 8192},
        .threads = 2};
    trace_add(&two_writes, 0, OPERATION_WRITE, 0, 512);
    trace_add(&two_writes, 1, OPERATION_WRITE, 1024, 512);
}

static void a_timeline_has_one_row_per_step(void **state)
{
    (void)state;
    struct explore_options options = {0};
    struct sched_schedule schedule;
    char *text = NULL;
    size_t length;
    uint32_t rows = 0, columns[2] = {0, 0}, wrong_sector = 0, written = 0;
    make_two_writes();
    assert_true(sched_schedule_parse("0x20,1x5", &schedule));
    FILE *out = open_memstream(&text, &length);
    struct timeline_result told = timeline_print(&two_writes, &options, &schedule, 1030, out);
    fclose(out);
    assert_int_equal(told.answer, EXPLORE_OK);
    assert_false(told.fault_hit);
    assert_true(sched_schedule_divergence(&schedule, false, &told.done) !=
                UINT32_MAX); /* it continues after the schedule */
    assert_int_equal(sched_schedule_divergence(&told.done, false, &told.done), UINT32_MAX);
    sched_schedule_free(&told.done);
    strtok(text, "\n");
    for (const char *row; (row = strtok(NULL, "\n")) != NULL; rows++) {
        columns[strncmp(row + 7, "                               ", 31) == 0] += strncmp(row, "   end", 6) != 0;
        wrong_sector += strstr(row, "| disk.raw 2: ") != NULL;
        written += strstr(row, "| disk.raw 2: operation 1") != NULL;
    }
    assert_true(columns[0] > 5 && columns[1] > 5);
    assert_int_equal(wrong_sector, rows);
    assert_true(written > 0 && written < rows);
    sched_schedule_free(&schedule);
    free(text);
}

static void coverage_converges(void **state)
{
    (void)state;
    static struct sched_coverage coverage;
    struct explore_counts counts = {0};
    struct explore_options options = {.coverage = &coverage};
    uint64_t pairs[3];
    make_two_writes();
    for (int i = 0; i < 3; i++) {
        struct explore *explore = explore_make(&two_writes, &options);
        struct sched_strategy *strategy = sched_make_random(i == 2 ? 1 : 0);
        for (int k = 0; k < 50; k++) {
            assert_int_equal(explore_run(explore, strategy, &counts, stdout), EXPLORE_OK);
        }
        sched_strategy_free(strategy);
        explore_free(explore);
        pairs[i] = coverage.pairs;
    }
    assert_true(coverage.points > 10 && pairs[0] > coverage.points);
    assert_int_equal(pairs[0], pairs[1]); /* the same schedules again */
    assert_true(pairs[2] > pairs[1]);
}

/* ERR-03, DUR-06, DUR-07: flushes and writes beside each other, and each sync and bitmap write fails in turn. */
static void faults_beside_other_requests(void **state)
{
    (void)state;
    static const char *const plans[] = {"EIO at sync 1 of disk.raw",
                                        "EIO at sync 2 of disk.raw",
                                        "EIO at sync 1 of disk.add-cow",
                                        "EIO at sync 2 of disk.add-cow",
                                        "EIO at sync 1 of disk.add-cow persistent",
                                        "ENOSPC at pwrite 1 of disk.add-cow",
                                        "ENOSPC at pwrite 2 of disk.raw",
                                        "EIO at pread 1 of base.raw",
                                        "EINTR at sync 1 of disk.add-cow",
                                        "short at pwrite 1 of disk.raw persistent",
                                        "ENOSPC at pwrite 1 of disk.add-cow persistent",
                                        "EIO at pwrite 2 of disk.raw persistent"};
    struct explore_counts counts = {0};
    make_two_writes();
    two_writes.threads = 3;
    trace_add(&two_writes, 0, OPERATION_FLUSH, 0, 0);
    trace_add(&two_writes, 1, OPERATION_FLUSH, 0, 0);
    trace_add(&two_writes, 2, OPERATION_FLUSH, 0, 0);
    trace_add(&two_writes, 2, OPERATION_READ, 0, 4096);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct explore_options options = {.seed = i};
        assert_true(parse_fault(plans[i], &options.fault));
        struct explore *explore = explore_make(&two_writes, &options);
        struct sched_strategy *strategy = i % 2 == 0 ? sched_make_random(i) : sched_make_pct(i, 3);
        for (int k = 0; k < 60; k++) {
            assert_int_equal(explore_run(explore, strategy, &counts, stdout), EXPLORE_OK);
        }
        sched_strategy_free(strategy);
        explore_free(explore);
    }
    print_message("# %" PRIu64 " schedules, the call failed in %" PRIu64 ", %" PRIu64 " crashes\n", counts.schedules,
                  counts.faults, counts.crash_states);
    assert_true(counts.faults > counts.schedules / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_hits_the_planned_call),   cmocka_unit_test(short_transfers_keep_sectors_whole),
        cmocka_unit_test(a_sandbox_outlives_the_engine),   cmocka_unit_test(failing_traces_are_minimised),
        cmocka_unit_test(a_timeline_has_one_row_per_step), cmocka_unit_test(coverage_converges),
        cmocka_unit_test(faults_beside_other_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
