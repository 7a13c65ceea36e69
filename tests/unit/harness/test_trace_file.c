/*
 * Trace files: they keep every plan exactly, and what cannot be replayed exactly is refused with its line. And plans:
 * each kind of workload occurs, and the limits are kept.
 */
#include "base/random.h"
#include "explore/trace_file.h"
#include "workload/phase.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct trace trace;
static struct trace_file file;
static struct trace_file parsed;

static char *print(const struct trace_file *from)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    trace_file_print(out, from);
    fclose(out);
    return text;
}

static bool parse(const char *text, char *error, size_t error_size)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    bool good = trace_file_parse(in, &parsed, error, error_size);
    fclose(in);
    return good;
}

/* Prints and parses: everything must be as before. */
static void assert_round_trip(const struct trace_file *from)
{
    char error[200] = "";
    char *text = print(from);
    parse(text, error, sizeof error);
    assert_string_equal(error, "");
    assert_true(trace_equal(&from->trace, &parsed.trace));
    assert_int_equal(from->run, parsed.run);
    assert_int_equal(from->judge, parsed.judge);
    assert_int_equal(from->every_crash, parsed.every_crash);
    assert_int_equal(from->every_fault, parsed.every_fault);
    assert_int_equal(from->stress, parsed.stress);
    if (from->every_crash) {
        assert_memory_equal(&from->crashes, &parsed.crashes, sizeof from->crashes);
    }
    assert_int_equal(from->fault.at, parsed.fault.at);
    assert_string_equal(from->fault.name, parsed.fault.name);
    char *again = print(&parsed); /* the rest */
    assert_string_equal(text, again);
    free(text);
    free(again);
    trace_file_free(&parsed);
}

static const struct plan_limits all = {.judges = PLAN_ALL_JUDGES, .preemptions = 2};

/* A schedule of any steps, of threads that the trace has. */
static void make_schedule(uint64_t seed, uint32_t threads, struct sched_schedule *schedule)
{
    struct random random = {seed};
    *schedule = (struct sched_schedule){0};
    for (uint64_t i = random_below(&random, 30) + 1; i > 0; i--) {
        sched_schedule_append(schedule, (uint32_t)random_below(&random, threads), random_between(&random, 1, 500));
    }
}

static void files_keep_every_plan(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct plan plan;
        struct sched_schedule schedule;
        plan_make(seed, &all, &plan);
        plan_make_trace(&plan, &trace);
        make_schedule(seed, trace.threads, &schedule);
        trace_file_make(&plan, &trace, plan.every ? NULL : &schedule, seed % 7 == 0, &file);
        assert_round_trip(&file);
        struct explore_options options = trace_file_explore_options(&file);
        if (!plan.every) {
            assert_int_equal(options.crash, plan.run.crash);
            assert_int_equal(options.refuse_punch, plan.run.refuse_punch);
            assert_int_equal(options.shares, plan.run.shares);
            assert_int_equal(options.seed, plan.run.seed);
            assert_memory_equal(&options.fault, &plan.run.fault, sizeof options.fault);
        }
        trace_file_free(&file);
        sched_schedule_free(&schedule);
    }
}

static void files_keep_stress_plans(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 16; i++) {
        memset(&file, 0, sizeof file);
        file.stress = true;
        file.storage = (struct trace_file_storage){i & 1, i & 2, i & 4, i & 8 ? 10 : 0};
        generate_trace(i, &(struct generate_options){.threads = 3, .operations = 40}, &file.trace);
        assert_round_trip(&file);
        assert_memory_equal(&file.storage, &parsed.storage, sizeof file.storage);
    }
}

static void a_seed_determines_the_plan(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct plan first, second;
        memset(&first, 0, sizeof first);
        memset(&second, 0, sizeof second);
        plan_make(seed, &all, &first);
        plan_make(seed, &all, &second);
        assert_int_equal(first.judge, second.judge);
        assert_int_equal(first.strategy_options.seed, second.strategy_options.seed);
        assert_int_equal(first.run.fault.at, second.run.fault.at);
        assert_int_equal(first.workload.threads, second.workload.threads);
    }
}

/* At least a share of the plans has each kind. */
static void plans_have_every_kind(void **state)
{
    (void)state;
    enum { PLANS = 3000 };
    uint32_t every[PLAN_JUDGES] = {0}, judges[PLAN_JUDGES] = {0}, threads[5] = {0}, strategies[3] = {0};
    uint32_t faults[FAULT_KINDS] = {0}, refused = 0, whole = 0, reopens = 0, persistent = 0, r9 = 0, chains = 0;
    for (uint64_t seed = 0; seed < PLANS; seed++) {
        struct plan plan;
        plan_make(seed, &all, &plan);
        plan_make_trace(&plan, &trace);
        judges[plan.judge]++;
        every[plan.judge] += plan.every;
        threads[plan.workload.threads]++;
        whole += plan.workload.whole_disk;
        reopens += plan.workload.reopens;
        r9 += trace.disk.layout == ADDCOW_R9;
        chains += trace.disk.chain > 0;
        for (size_t i = 0; i < 3; i++) {
            strategies[i] += plan.strategy == sched_strategy_at(i);
        }
        if (!plan.every) {
            refused += plan.run.refuse_punch;
            faults[plan.run.fault.kind] += plan.run.fault.at != 0;
            persistent += plan.run.fault.persistent;
        }
        assert_true(plan.run.fault.at == 0 || plan.judge == PLAN_FAULT);
        assert_false(plan.run.fault.persistent && plan.run.fault.kind == FAULT_EINTR);
    }
    for (uint32_t i = 0; i < PLAN_JUDGES; i++) {
        assert_int_equal(judges[i], PLANS / PLAN_JUDGES);
        assert_true(i == PLAN_SCHEDULE ? every[i] == 0 : every[i] > PLANS / 8 && every[i] < PLANS / 4);
        assert_true(threads[i + 2] > PLANS / 6 && strategies[i] > PLANS / 6);
    }
    for (uint32_t i = 0; i < FAULT_KINDS; i++) {
        assert_true(faults[i] > PLANS / 50);
    }
    assert_true(strategies[0] > PLANS * 2 / 5);
    assert_true(refused > PLANS / 6 && whole > PLANS / 3 && reopens > PLANS / 8 && persistent > PLANS / 50);
    assert_true(r9 > PLANS / 30 && chains > PLANS / 10);
}

static void limits_are_kept(void **state)
{
    (void)state;
    const struct plan_limits limits = {.judges = 1u << PLAN_SCHEDULE,
                                       .strategy = sched_strategy_find("exhaustive"),
                                       .threads = 3,
                                       .operations = 2,
                                       .schedules = 20};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct plan plan;
        plan_make(seed, &limits, &plan);
        assert_true(plan.judge == PLAN_SCHEDULE && plan.strategy == limits.strategy && plan.schedules == 20);
        assert_true(plan.workload.threads == 3 && plan.workload.operations == 2);
    }
}

/* ---- What is refused ---- */

#define DISK(threads)                                                                                                  \
    "layout r20\ncluster-bits 12\nsize 8192\nbacking 8192\nallocated none\nunknown-compatible no\nseed 1\n"            \
    "threads " threads "\n"
#define TWO DISK("2") "0 write 0 512\n1 write 1024 512\n"
#define ONE DISK("1") "0 write 0 512\n"

static void unreplayable_files_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {TWO, "1: no 'judge'"},
        {"judge schedule\nspeed 3\nschedule 0x1\n" TWO, "3: unknown keyword 'speed'"},
        {"judge nobody\n" TWO, "2: expected 'judge schedule', "},
        {"judge schedule every\n" ONE, "2: expected 'judge schedule', "},
        {"judge crash every\n" ONE, "2: expected 'judge schedule', "},
        {"judge crash every 10 births\n" ONE, "2: expected 'judge schedule', "},
        {"judge crash\njudge fault\n" TWO, "3: a second judge of one run"},
        {"judge stress\njudge crash\n" TWO, "3: 'judge stress' beside another judge"},
        {"judge crash every 10\n" TWO, "2: every crash or fault of several threads cannot be judged"},
        {"judge schedule\n" TWO, "2: no 'schedule', which is needed for one run with threads beside each other"},
        {"judge schedule\nschedule 0x1\n" ONE, "3: 'schedule' is only for one run with threads beside each other"},
        {"judge schedule\nschedule 0x1,\n" TWO, "3: expected 'schedule THREADxSTEPS,"},
        {"judge schedule\nschedule 0y1\n" TWO, "3: expected 'schedule THREADxSTEPS,"},
        {"judge schedule\nschedule 0x1 perhaps\n" TWO, "3: expected 'schedule THREADxSTEPS,"},
        {"judge schedule\nschedule 0x1,2x1\n" TWO, "3: the schedule has a thread 2, the trace has 2"},
        {"judge schedule\nschedule 0x1\nschedule 0x1\n" TWO, "4: a second 'schedule'"},
        {"judge crash\nschedule 0x1\n" TWO, "2: no 'crash-seed', which is needed for 'judge crash' and 'judge fault'"},
        {"judge crash\ncrash-seed x\n" TWO, "3: expected 'crash-seed NUMBER'"},
        {"judge schedule\ncrash-seed 1\nschedule 0x1\n" TWO, "3: 'crash-seed' is only for"},
        {"judge fault\ncrash-seed 1\nschedule 0x1\n" TWO, "2: no 'fault', which is needed for 'judge fault'"},
        {"judge fault\nfault EIO 1 sync disk.raw once\n" TWO, "3: expected 'fault KIND at CALL NUMBER of FILE"},
        {"judge fault\nfault EIO at sync 0 of disk.raw\n" TWO, "3: the number of the call that fails is not 1 or more"},
        {"judge fault\nfault EINTR at sync 1 of disk.raw persistent\n" TWO, "3: EINTR cannot be persistent"},
        {"judge schedule\nfault EIO at sync 1 of disk.raw\nschedule 0x1\n" TWO, "3: 'fault' is only for 'judge fault'"},
        {"judge schedule\nstorage slow\n" TWO, "3: expected 'storage [punch-refused]"},
        {"judge schedule\nstorage pause 3\nschedule 0x1\n" TWO, "3: simulated storage has no short transfers"},
        {"judge fault every\nstorage punch-refused\n" ONE, "3: 'storage' is only for one run, or stress"},
        {"judge stress\n" DISK("2") "0 reopen\n1 flush\n", "2: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1000];
        char error[300] = "";
        snprintf(text, sizeof text, TRACE_FIRST_LINE "\n%s", cases[i][0]);
        assert_false(parse(text, error, sizeof error));
        if (strncmp(error, cases[i][1], strlen(cases[i][1])) != 0) {
            fail_msg("'%s' instead of '%s'", error, cases[i][1]);
        }
        trace_file_free(&parsed);
    }
}

static void comments_are_ignored(void **state)
{
    (void)state;
    char error[200] = "";
    assert_true(parse(TRACE_FIRST_LINE "\n# schedule nonsense\n# fault nonsense\n# seed 5\njudge fault every\n" ONE,
                      error, sizeof error));
    assert_int_equal(parsed.fault.at, 0);
    assert_int_equal(parsed.schedule.count, 0);
    assert_false(trace_file_load("/nonexistent/file", &parsed, error, sizeof error));
    assert_string_equal(error, "/nonexistent/file: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_keep_every_plan),
        cmocka_unit_test(files_keep_stress_plans),
        cmocka_unit_test(a_seed_determines_the_plan),
        cmocka_unit_test(plans_have_every_kind),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(unreplayable_files_are_refused),
        cmocka_unit_test(comments_are_ignored),
    };
    return cmocka_run_group_tests_name("trace files", tests, NULL, NULL);
}
