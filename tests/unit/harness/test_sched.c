/*
 * The deterministic scheduler on small programs, whose schedules can be counted and whose outcomes are known.
 */
#include "sched/addcow_sync.h"
#include "sched/sched.h"

#include "base/random.h"
#include "exhaustive/scope.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct sched_options plain = {0};

/* How many programs a test makes. */
static int programs(void)
{
    return scope_is_small() ? 5 : 100;
}

/* ---- A program of random steps on a few variables ---- */

#define VARIABLES 3u
#define STEPS_MAX 4u
#define THREADS_MAX 3u

enum step { STEP_READ, STEP_STORE, STEP_ADD, STEP_LOCK, STEP_UNLOCK, STEPS };

struct program {
    uint32_t threads;
    uint32_t lengths[THREADS_MAX];
    struct {
        enum step step;
        uint32_t variable;
    } steps[THREADS_MAX][STEPS_MAX + 2];
    sync_u64 variables[VARIABLES];
    sync_mutex mutex;
    uint64_t seen[THREADS_MAX]; /* a number that depends on everything that the thread read */
};

struct worker {
    struct program *program;
    uint32_t thread;
};

static void work(void *context)
{
    struct worker *worker = context;
    struct program *program = worker->program;
    uint32_t self = worker->thread;
    for (uint32_t i = 0; i < program->lengths[self]; i++) {
        sync_u64 *variable = &program->variables[program->steps[self][i].variable];
        switch (program->steps[self][i].step) {
        case STEP_READ:
            program->seen[self] = program->seen[self] * 31 + sync_load(variable) + 1;
            break;
        case STEP_STORE:
            sync_store(variable, (uint64_t)self * 10 + i + 1);
            break;
        case STEP_ADD:
            sync_add(variable, 100);
            break;
        case STEP_LOCK:
            sync_lock(&program->mutex);
            break;
        default:
            sync_unlock(&program->mutex);
        }
    }
}

/* Threads of up to STEPS_MAX steps; half of them do some of these under the mutex. */
static void make_program(struct random *random, struct program *program)
{
    memset(program, 0, sizeof *program);
    program->threads = (uint32_t)random_between(random, 2, THREADS_MAX);
    uint32_t most = program->threads == 2 ? STEPS_MAX : STEPS_MAX - 1;
    for (uint32_t t = 0; t < program->threads; t++) {
        uint32_t count = (uint32_t)random_between(random, 1, most);
        uint32_t lock_at = random_once_in(random, 2) ? (uint32_t)random_below(random, count) : UINT32_MAX;
        uint32_t length = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (i == lock_at) {
                program->steps[t][length++].step = STEP_LOCK;
            }
            program->steps[t][length].step = (enum step)random_below(random, STEP_LOCK);
            program->steps[t][length++].variable = (uint32_t)random_below(random, VARIABLES);
        }
        if (lock_at != UINT32_MAX) {
            program->steps[t][length++].step = STEP_UNLOCK;
        }
        program->lengths[t] = length;
    }
}

static uint64_t run_once(struct sched_strategy *strategy, struct program *program, struct sched_run *run, bool *more)
{
    struct worker workers[THREADS_MAX];
    struct sched_thread threads[THREADS_MAX];
    for (uint32_t t = 0; t < program->threads; t++) {
        workers[t] = (struct worker){program, t};
        threads[t] = (struct sched_thread){work, &workers[t]};
        program->seen[t] = 0;
    }
    memset(program->variables, 0, sizeof program->variables);
    sync_mutex_init(&program->mutex);
    *more = sched_run(strategy, threads, program->threads, &plain, run);
    uint64_t outcome = run->outcome;
    for (uint32_t t = 0; t < program->threads; t++) {
        outcome = random_hash(outcome ^ program->seen[t]);
    }
    for (uint32_t v = 0; v < VARIABLES; v++) {
        outcome = random_hash(outcome ^ program->variables[v]);
    }
    return outcome;
}

struct outcomes {
    uint64_t list[4096];
    uint32_t count;
};

static bool contains(const struct outcomes *outcomes, uint64_t outcome)
{
    for (uint32_t i = 0; i < outcomes->count; i++) {
        if (outcomes->list[i] == outcome) {
            return true;
        }
    }
    return false;
}

/* All outcomes that the strategy finds, and how many schedules it took. */
static struct sched_exhaustive_counts explore(struct sched_strategy *strategy, struct program *program,
                                              struct outcomes *outcomes)
{
    struct sched_run run = {0};
    outcomes->count = 0;
    for (bool more = true; more;) {
        uint64_t outcome = run_once(strategy, program, &run, &more);
        if (more && !contains(outcomes, outcome)) {
            assert_true(outcomes->count < 4096);
            outcomes->list[outcomes->count++] = outcome;
        }
    }
    struct sched_exhaustive_counts counts = sched_exhaustive_counts(strategy);
    sched_strategy_free(strategy);
    sched_schedule_free(&run.schedule);
    return counts;
}

static void assert_same(const struct outcomes *a, const struct outcomes *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_true(contains(b, a->list[i]));
    }
}

/*
 * The reductions lose no outcome: every schedule, those that partial order reduction leaves, and those of growing
 * preemption bounds.
 */
static void reductions_find_every_outcome(void **state)
{
    (void)state;
    struct random random = {1};
    static struct program program;
    static struct outcomes all, reduced, bounded;
    uint64_t schedules = 0, reduced_schedules = 0, most = 0;
    for (int i = 0; i < programs(); i++) {
        make_program(&random, &program);
        struct sched_exhaustive_counts counts = explore(sched_make_exhaustive(SCHED_UNBOUNDED, false), &program, &all);
        assert_true(counts.complete);
        schedules += counts.schedules;
        counts = explore(sched_make_exhaustive(SCHED_UNBOUNDED, true), &program, &reduced);
        assert_true(counts.complete);
        reduced_schedules += counts.schedules;
        assert_same(&all, &reduced);
        counts = explore(sched_make_exhaustive(20, true), &program, &bounded);
        assert_true(counts.complete);
        assert_same(&all, &bounded);
        most = all.count > most ? all.count : most;
    }
    print_message("# %" PRIu64 " schedules, %" PRIu64 " after reduction; up to %" PRIu64 " outcomes\n", schedules,
                  reduced_schedules, most);
    assert_true(most > 3);
    assert_true(reduced_schedules * 2 < schedules);
}

/* With at most b preemptions, the reduced search finds what the full search with the same bound finds. */
static void bounded_reduction_finds_what_the_bound_allows(void **state)
{
    (void)state;
    struct random random = {2};
    static struct program program;
    static struct outcomes all, reduced;
    for (int i = 0; i < programs(); i++) {
        make_program(&random, &program);
        for (uint32_t bound = 0; bound < 3; bound++) {
            explore(sched_make_exhaustive(bound, false), &program, &all);
            explore(sched_make_exhaustive(bound, true), &program, &reduced);
            for (uint32_t k = 0; k < all.count; k++) {
                assert_true(contains(&reduced, all.list[k]));
            }
        }
    }
}

static struct sched_exhaustive_counts count_schedules(enum step step, bool same_variable, bool reduce)
{
    static struct program program;
    static struct outcomes outcomes;
    memset(&program, 0, sizeof program);
    program.threads = 2;
    for (uint32_t t = 0; t < 2; t++) {
        program.lengths[t] = 3;
        for (uint32_t i = 0; i < 3; i++) {
            program.steps[t][i].step = step;
            program.steps[t][i].variable = same_variable ? 0 : t;
        }
    }
    return explore(sched_make_exhaustive(SCHED_UNBOUNDED, reduce), &program, &outcomes);
}

/*
 * Two threads of a start and three steps: 8! / (4! 4!) = 70 schedules; 6! / (3! 3!) = 20 orders of dependent steps; 1
 * of independent ones.
 */
static void schedules_are_counted(void **state)
{
    (void)state;
    assert_int_equal(count_schedules(STEP_STORE, true, false).schedules, 70);
    struct sched_exhaustive_counts counts = count_schedules(STEP_STORE, true, true);
    assert_int_equal(counts.schedules - counts.redundant, 20);
    assert_int_equal(count_schedules(STEP_STORE, false, true).schedules, 1);
    assert_int_equal(count_schedules(STEP_READ, true, true).schedules, 1);
}

/* ---- Programs with a known mistake ---- */

struct counter {
    sync_u64 value;
    sync_mutex first;
    sync_mutex second;
    sync_cond changed;
    bool ready;
};

static void add_without_atomicity(void *context)
{
    struct counter *counter = context;
    for (int i = 0; i < 2; i++) {
        sync_store(&counter->value, sync_load(&counter->value) + 1);
    }
}

static void lock_up(void *context)
{
    struct counter *counter = context;
    sync_lock(&counter->first);
    sync_lock(&counter->second);
    sync_unlock(&counter->second);
    sync_unlock(&counter->first);
}

static void lock_down(void *context)
{
    struct counter *counter = context;
    sync_lock(&counter->second);
    sync_lock(&counter->first);
    sync_unlock(&counter->first);
    sync_unlock(&counter->second);
}

static void spin(void *context)
{
    struct counter *counter = context;
    while (sync_load(&counter->value) == 0) {
    }
}

static void wait_until_ready(void *context)
{
    struct counter *counter = context;
    sync_lock(&counter->first);
    while (!counter->ready) {
        sync_wait(&counter->changed, &counter->first);
    }
    sync_unlock(&counter->first);
}

static void make_ready(void *context)
{
    struct counter *counter = context;
    sync_lock(&counter->first);
    counter->ready = true;
    sync_broadcast(&counter->changed);
    sync_unlock(&counter->first);
}

/* Broadcasts before the condition holds: a waiter may sleep for ever. */
static void make_ready_too_late(void *context)
{
    struct counter *counter = context;
    sync_broadcast(&counter->changed);
    sync_lock(&counter->first);
    counter->ready = true;
    sync_unlock(&counter->first);
}

/*
 * How many of at most `most` schedules it takes until the outcome is `wanted` and, if SCHED_DONE, an update was lost.
 * 0: never.
 */
static uint64_t find(struct sched_strategy *strategy, void (*one)(void *), void (*other)(void *),
                     enum sched_outcome wanted, uint64_t most, struct sched_run *run)
{
    struct counter counter;
    struct sched_thread threads[2] = {{one, &counter}, {other, &counter}};
    struct sched_options options = {.step_limit = 1000};
    for (uint64_t i = 1; i <= most; i++) {
        counter = (struct counter){0};
        if (!sched_run(strategy, threads, 2, &options, run)) {
            return 0;
        }
        if (run->outcome == wanted && (wanted != SCHED_DONE || counter.value < 4)) {
            return i;
        }
    }
    return 0;
}

struct mistake {
    void (*one)(void *);
    void (*other)(void *);
    enum sched_outcome outcome;
};

static const struct mistake mistakes[] = {
    {add_without_atomicity, add_without_atomicity, SCHED_DONE},
    {lock_up, lock_down, SCHED_DEADLOCK},
    {wait_until_ready, make_ready_too_late, SCHED_DEADLOCK},
    {spin, make_ready, SCHED_LIVELOCK},
};

/* The list of strategies: messages name those that search by themselves, and each of them finds a mistake. */
static void strategies_are_found_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"random", "pct", "exhaustive"};
    const struct sched_strategy_options options = {.seed = 7, .depth = 3, .preemptions = 3};
    struct sched_run run = {0};
    assert_null(sched_strategy_at(sizeof names / sizeof names[0])); /* the others need input */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct sched_strategy_kind *kind = sched_strategy_find(names[i]);
        assert_non_null(kind);
        assert_string_equal(kind->name, names[i]);
        assert_ptr_equal(kind, sched_strategy_at(i));
        struct sched_strategy *strategy = kind->make(&options);
        assert_true(find(strategy, add_without_atomicity, add_without_atomicity, SCHED_DONE, 20000, &run) > 0);
        sched_strategy_free(strategy);
    }
    assert_true(sched_strategy_find("replay")->needs_input && sched_strategy_find("bytes")->needs_input);
    assert_null(sched_strategy_find("rand"));
    sched_schedule_free(&run.schedule);
}

static void every_strategy_finds_mistakes(void **state)
{
    (void)state;
    struct sched_run run = {0};
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const struct mistake *mistake = &mistakes[i];
        for (uint32_t depth = 0; depth <= 5; depth++) {
            struct sched_strategy *strategy = depth == 0 ? sched_make_random(7) : sched_make_pct(7, depth);
            uint64_t schedules = find(strategy, mistake->one, mistake->other, mistake->outcome, 20000, &run);
            /* Without a change of priorities nobody is preempted. */
            bool needs_preemption = mistake->outcome != SCHED_LIVELOCK;
            assert_true(schedules > 0 || (depth == 1 && needs_preemption));
            sched_strategy_free(strategy);
        }
        struct sched_strategy *strategy = sched_make_exhaustive(3, true);
        assert_true(find(strategy, mistake->one, mistake->other, mistake->outcome, 20000, &run) > 0);
        sched_strategy_free(strategy);
    }
    sched_schedule_free(&run.schedule);
}

static void correct_programs_pass(void **state)
{
    (void)state;
    struct sched_run run = {0};
    struct sched_strategy *strategy = sched_make_exhaustive(SCHED_UNBOUNDED, true);
    assert_int_equal(find(strategy, wait_until_ready, make_ready, SCHED_DEADLOCK, UINT64_MAX, &run), 0);
    assert_true(sched_exhaustive_counts(strategy).complete);
    sched_strategy_free(strategy);
    strategy = sched_make_exhaustive(SCHED_UNBOUNDED, true);
    assert_int_equal(find(strategy, lock_up, lock_up, SCHED_DEADLOCK, UINT64_MAX, &run), 0);
    assert_true(sched_exhaustive_counts(strategy).complete);
    sched_strategy_free(strategy);
    sched_schedule_free(&run.schedule);
}

/* ---- Replay ---- */

static void assert_schedules_equal(const struct sched_schedule *a, const struct sched_schedule *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->segments[i].thread, b->segments[i].thread);
        assert_int_equal(a->segments[i].steps, b->segments[i].steps);
    }
}

/* A schedule printed, parsed and replayed is the same run, step by step; and so is one with a step at a time. */
static void schedules_replay_exactly(void **state)
{
    (void)state;
    struct counter counter = {0};
    struct sched_thread threads[3] = {{lock_up, &counter}, {lock_up, &counter}, {add_without_atomicity, &counter}};
    struct sched_options options = {.fingerprint = true};
    struct sched_strategy *strategy = sched_make_random(11);
    for (int i = 0; i < 200; i++) {
        struct sched_run first = {0}, second = {0}, third = {0};
        counter = (struct counter){0};
        assert_true(sched_run(strategy, threads, 3, &options, &first));
        char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        sched_schedule_print(out, &first.schedule);
        fclose(out);
        struct sched_schedule parsed;
        assert_true(sched_schedule_parse(text, &parsed));
        assert_schedules_equal(&parsed, &first.schedule);
        struct sched_strategy *replay = sched_make_replay(&parsed);
        counter = (struct counter){0};
        assert_true(sched_run(replay, threads, 3, &options, &second));
        assert_true(first.fingerprint != 0);
        assert_int_equal(first.fingerprint, second.fingerprint);
        assert_int_equal(first.steps, second.steps);
        counter = (struct counter){0};
        assert_true(sched_run(replay, threads, 3, &plain, &third));
        assert_schedules_equal(&third.schedule, &first.schedule);
        sched_strategy_free(replay);
        free(text);
        sched_schedule_free(&parsed);
        sched_schedule_free(&first.schedule);
        sched_schedule_free(&second.schedule);
        sched_schedule_free(&third.schedule);
    }
    sched_strategy_free(strategy);
}

static void bad_schedules_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     "x",    "0",    "0x",   "0x0",  "0x1,",     "0x1;1x1",
                                        "16x1", "-1x1", "0x1 ", "+0x1", "0x-1", "0x1,,1x1", "0x18446744073709551616"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sched_schedule schedule;
        assert_false(sched_schedule_parse(texts[i], &schedule));
        sched_schedule_free(&schedule);
    }
}

static void divergence_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *done;
        bool may_go_on;
        uint32_t segment;
    } cases[] = {
        {"0x3,1x4", "0x3,1x4", false, UINT32_MAX},
        {"0x3,1x4", "0x3,1x4,0x1", false, 2},
        {"0x3,1x4", "0x3,1x4,0x1", true, UINT32_MAX},
        {"0x3,1x4", "0x3,1x5", false, 1},
        {"0x3,1x4", "0x3,1x5", true, UINT32_MAX},
        {"0x3,1x4", "0x3,1x3", true, 1},
        {"0x3,1x4", "0x4,1x4", true, 0},
        {"0x3,1x4", "0x3", true, 1},
        {"0x3,1x4", "0x3,2x4", true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sched_schedule given, done;
        assert_true(sched_schedule_parse(cases[i].given, &given) && sched_schedule_parse(cases[i].done, &done));
        assert_int_equal(sched_schedule_divergence(&given, cases[i].may_go_on, &done), cases[i].segment);
        sched_schedule_free(&given);
        sched_schedule_free(&done);
    }
}

static void bytes_determine_the_schedule(void **state)
{
    (void)state;
    struct sched_run run = {0};
    /* One step of thread 0 at a time, then all of thread 1: an update is lost. */
    static const uint8_t bytes[] = {0x00, 0x00, 0xF1};
    struct sched_strategy *strategy = sched_make_bytes(bytes, sizeof bytes);
    assert_int_equal(find(strategy, add_without_atomicity, add_without_atomicity, SCHED_DONE, 1, &run), 1);
    assert_int_equal(run.schedule.segments[0].steps, 2);
    assert_int_equal(find(strategy, spin, spin, SCHED_DONE, 1, &run), 0);
    sched_strategy_free(strategy);
    sched_schedule_free(&run.schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_counted),
        cmocka_unit_test(reductions_find_every_outcome),
        cmocka_unit_test(bounded_reduction_finds_what_the_bound_allows),
        cmocka_unit_test(every_strategy_finds_mistakes),
        cmocka_unit_test(strategies_are_found_by_name),
        cmocka_unit_test(correct_programs_pass),
        cmocka_unit_test(schedules_replay_exactly),
        cmocka_unit_test(bad_schedules_are_refused),
        cmocka_unit_test(divergence_is_found),
        cmocka_unit_test(bytes_determine_the_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
