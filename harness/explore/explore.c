/*
 * Explores a trace under the deterministic scheduler.
 *
 * What is the same in every run is made once: the files, which each run restores, and the oracle.
 */
#include "explore/explore_parts.h"

#include "judges/crash.h"
#include "workload/disk_files.h"
#include "workload/phase.h"
#include "base/random.h"
#include "base/report.h"
#include "base/scratch.h"
#include "judges/execution.h"
#include "storage/sim_disk.h"
#include "adapters/adapter_scheduled.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One thread of the concurrent phase. */
struct worker {
    struct execution *execution;
    struct explore *explore;
    uint32_t thread;
    uint32_t begin;
    uint32_t end;
};

static bool has_kind(const struct trace *trace, uint32_t kind)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        if (trace->operations[i].kind == (uint32_t)kind) {
            return true;
        }
    }
    return false;
}

const char *explore_problem(const struct trace *trace, const struct explore_options *options)
{
    const char *problem = phases_problem(trace);
    bool may_fail = has_kind(trace, TRACE_REOPEN) && options->fault.at != 0;
    return problem == NULL && may_fail ? "a reopen that may fail" : problem;
}

struct explore *explore_make(const struct trace *trace, const struct explore_options *options)
{
    struct explore *explore = report_allocate(1, sizeof *explore);
    assert(explore_problem(trace, options) == NULL);
    explore->trace = trace;
    explore->options = *options;
    explore->sim = sim_make();
    explore->fault = options->fault;
    explore->fault.sim = explore->sim;
    sim_set_split(explore->sim, !options->whole_requests);
    sim_set_punch_refused(explore->sim, options->refuse_punch);
    sim_disk_make(explore->sim, &trace->disk);
    sim_set_shares(explore->sim, options->shares);
    explore->adapter = sched_adapter_make_fast(sim_storage(explore->sim));
    explore->spans = report_allocate(trace->count + 1, sizeof *explore->spans);
    if (options->fault.at != 0) {
        explore->crashed = sim_make();
    }
    if (options->crash || options->fault.at != 0) {
        explore->crashes = crash_make(trace);
    }
    if (has_kind(trace, OPERATION_COMMIT)) {
        if (!scratch_make(scratch_fast_parent(), "addcow-explore", explore->directory)) {
            report_fatal("cannot make %s", explore->directory);
        }
    }
    return explore;
}

/* Stores the files for history.h, which looks at them after a commit. */
static void store_files(const struct explore *explore)
{
    struct disk_files files = {.count = 0};
    for (const char *name; (name = sim_name(explore->sim, files.count)) != NULL; files.count++) {
        struct disk_file *file = &files.list[files.count];
        snprintf(file->name, sizeof file->name, "%s", name);
        file->bytes = (uint8_t *)(uintptr_t)sim_bytes(explore->sim, name, &file->length);
    }
    disk_files_store(&files, explore->directory);
}

void explore_free(struct explore *explore)
{
    if (explore->crashes != NULL) {
        crash_free(explore->crashes);
    }
    if (explore->directory[0] != '\0') {
        scratch_remove(explore->directory);
    }
    explore->adapter->ops->destroy(explore->adapter);
    if (explore->crashed != NULL) {
        sim_free(explore->crashed);
    }
    sim_free(explore->sim);
    sched_schedule_free(&explore->scheduled.schedule);
    free(explore->spans);
    free(explore);
}

const struct sched_schedule *explore_schedule(const struct explore *explore)
{
    return &explore->scheduled.schedule;
}

const char *explore_lock_name(const struct explore *explore, const void *object)
{
    return sched_adapter_lock_name(explore->adapter, object);
}

bool explore_ended(const struct explore *explore)
{
    return explore->scheduled.outcome == SCHED_DONE;
}

uint64_t explore_failed_calls(const struct explore *explore)
{
    return explore->fault.failed;
}

const struct adapter *explore_engine(const struct explore *explore)
{
    return explore->adapter;
}

const struct sim *explore_storage(const struct explore *explore)
{
    return explore->sim;
}

/* ---- A run ---- */

static void do_operation(struct explore *explore, struct execution *execution, uint32_t index)
{
    const struct explore_observer *observer = explore->options.observer;
    explore->spans[index].begin = sim_moment(explore->sim);
    if (observer != NULL) {
        observer->call(observer->context, index);
    }
    execution_operation(execution, index);
    if (observer != NULL) {
        observer->returned(observer->context, index, execution->records[index].status == ADDCOW_OK);
    }
    explore->spans[index].end = sim_moment(explore->sim);
    explore->spans[index].invoked = execution->records[index].invoked;
    explore->spans[index].returned = execution->records[index].returned;
    explore->spans[index].status = execution->records[index].status;
}

static void work(void *context)
{
    struct worker *worker = context;
    for (uint32_t i = worker->begin; i < worker->end; i++) {
        if (worker->execution->trace->operations[i].thread == worker->thread) {
            do_operation(worker->explore, worker->execution, i);
        }
    }
}

/* Runs the phase of several threads; false if the strategy has no schedule left. */
static bool run_concurrent(struct explore *explore, struct sched_strategy *strategy, struct execution *execution,
                           uint32_t begin, uint32_t end)
{
    struct worker workers[SCHED_THREADS_MAX];
    struct sched_thread threads[SCHED_THREADS_MAX];
    uint32_t count = execution->trace->threads;
    for (uint32_t t = 0; t < count; t++) {
        workers[t] = (struct worker){execution, explore, t, begin, end};
        threads[t] = (struct sched_thread){work, &workers[t]};
    }
    struct sched_options options = {.step_limit = explore->options.step_limit,
                                    .fingerprint = explore->options.self_check,
                                    .coverage = explore->options.coverage};
    if (explore->options.observer != NULL) {
        options.observer = explore->options.observer->step;
        options.observer_context = explore->options.observer->context;
    }
    return sched_run(strategy, threads, count, &options, &explore->scheduled);
}

static bool judge_outcome(const struct explore *explore, FILE *out)
{
    if (explore->scheduled.outcome == SCHED_DEADLOCK) {
        fputs("deadlock: no thread can run (CON-12)\n", out);
    } else if (explore->scheduled.outcome == SCHED_LIVELOCK) {
        fprintf(out, "livelock: no end after %" PRIu64 " steps (CON-12)\n", explore->scheduled.steps);
    }
    return explore->scheduled.outcome == SCHED_DONE;
}

static void add_answers(struct explore *explore, const struct execution *execution)
{
    for (uint32_t i = 0; i < execution->trace->count; i++) {
        const struct execution_record *record = &execution->records[i];
        uint64_t value = random_hash(record->invoked * 31 + record->returned) ^ (uint64_t)record->status << 32 ^
                         record->map_length << 1 ^ record->allocated;
        for (uint64_t k = 0; record->data != NULL && k + 8 <= execution->trace->operations[i].length; k += SIM_SECTOR) {
            uint64_t word;
            memcpy(&word, record->data + k, sizeof word);
            value = random_hash(value ^ word);
        }
        explore->answers = random_hash(explore->answers ^ value);
    }
}

/* Does the operations of one phase; false if the strategy has no schedule left. */
static bool run_phase_once(struct explore *explore, struct sched_strategy *strategy, struct execution *execution,
                           uint32_t begin, uint32_t end)
{
    bool more = true;
    if (explore->fault.at != 0) {
        sim_set_hook(explore->sim, fault_injection_hook, &explore->fault);
    }
    if (trace_phase_is_concurrent(execution->trace, begin, end)) {
        more = run_concurrent(explore, strategy, execution, begin, end);
    } else {
        for (uint32_t i = begin; i < end; i++) {
            do_operation(explore, execution, i);
        }
    }
    sim_set_hook(explore->sim, NULL, NULL);
    return more;
}

/* The statuses that requests may fail with because of the fault, a bit each. */
static uint32_t possible_failures(const struct fault_injection *fault)
{
    return (fault_injection_explains(fault, ADDCOW_IO) ? 1u << ADDCOW_IO : 0) |
           (fault_injection_explains(fault, ADDCOW_NOSPACE) ? 1u << ADDCOW_NOSPACE : 0);
}

static enum explore_answer run_phases(struct explore *explore, struct sched_strategy *strategy,
                                      struct execution *execution, struct oracle *oracle, struct explore_counts *counts,
                                      FILE *out)
{
    const struct trace *trace = execution->trace;
    explore->scheduled.outcome = SCHED_DONE;
    fault_injection_begin(&explore->fault);
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        if (!run_phase_once(explore, strategy, execution, begin, end)) {
            return EXPLORE_OVER;
        }
        if (!judge_outcome(explore, out)) {
            return EXPLORE_FAILED;
        }
        execution->failures = possible_failures(&explore->fault);
        if (explore->directory[0] != '\0') {
            store_files(explore);
        }
        if (begin < end && !history_judge(execution, begin, end, oracle, explore->directory, &counts->history, out)) {
            return EXPLORE_FAILED;
        }
    }
    return EXPLORE_OK;
}

static enum explore_answer run_once(struct explore *explore, struct sched_strategy *strategy,
                                    struct explore_counts *counts, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct execution execution;
    struct oracle oracle;
    sim_restore(explore->sim);
    memset(explore->spans, 0xff, (explore->trace->count + 1) * sizeof *explore->spans);
    enum addcow_status code =
        explore->adapter->ops->open(explore->adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error);
    if (code != ADDCOW_OK) {
        fprintf(out, "open gives %s: %s\n", addcow_status_name(code), error.message);
        return EXPLORE_FAILED;
    }
    execution_make(&execution, explore->trace, explore->adapter, DISK_METADATA, NULL);
    oracle_make(&explore->trace->disk, execution.capacity, &oracle);
    enum explore_answer answer = run_phases(explore, strategy, &execution, &oracle, counts, out);
    explore->answers = random_hash(explore->trace->disk.seed);
    add_answers(explore, &execution);
    explore->fingerprint = explore->scheduled.fingerprint ^ explore->answers;
    /* After a deadlock threads are still inside, and the handle cannot be closed. It is lost. */
    bool closable = answer != EXPLORE_FAILED || explore->scheduled.outcome == SCHED_DONE;
    if (answer == EXPLORE_OK) {
        explore->horizon = sim_moment(explore->sim);
        bool recovered = explore_judge_recovery(explore, &oracle, out);
        bool closed = explore_judge_close(explore, &oracle, out);
        if (explore->fault.at == 0) {
            explore->horizon = sim_moment(explore->sim);
        }
        answer = recovered && closed && explore_judge_crashes(explore, counts, out) ? EXPLORE_OK : EXPLORE_FAILED;
        counts->faults += fault_injection_was_hit(&explore->fault);
    } else if (closable) {
        explore->adapter->ops->close(explore->adapter, NULL);
    } else {
        explore->adapter = sched_adapter_make_fast(sim_storage(explore->sim));
    }
    oracle_free(&oracle);
    execution_free(&execution);
    return answer;
}

/* Runs the last schedule again. */
static bool repeats(struct explore *explore, struct explore_counts *counts, FILE *out)
{
    uint64_t fingerprint = explore->fingerprint;
    struct sched_schedule schedule = explore->scheduled.schedule;
    explore->scheduled.schedule = (struct sched_schedule){0};
    struct sched_strategy *replay = sched_make_replay(&schedule);
    enum explore_answer answer = run_once(explore, replay, counts, out);
    sched_strategy_free(replay);
    sched_schedule_free(&schedule);
    if (answer == EXPLORE_OK && explore->fingerprint != fingerprint) {
        fputs("the same schedule gives a different run the second time\n", out);
    }
    return answer == EXPLORE_OK && explore->fingerprint == fingerprint;
}

/* Counts the behaviour of a run, if no run before had it. */
static void count_behaviour(const struct explore *explore, struct explore_counts *counts)
{
    uint64_t value = explore->answers % EXPLORE_BEHAVIOURS;
    if (counts->seen != NULL && (counts->seen[value / 8] >> value % 8 & 1) == 0) {
        counts->seen[value / 8] = (uint8_t)(counts->seen[value / 8] | 1u << value % 8);
        counts->behaviours++;
    }
}

/* Notes the wrong byte of a run that failed. */
static void find_wrong_byte(struct explore *explore, const struct explore_counts *counts)
{
    explore->wrong_byte = counts->history.has_wrong_byte ? counts->history.wrong_byte
                          : explore->crashes != NULL     ? crash_wrong_byte(explore->crashes)
                                                         : UINT64_MAX;
}

uint64_t explore_wrong_byte(const struct explore *explore)
{
    return explore->wrong_byte;
}

enum explore_answer explore_run(struct explore *explore, struct sched_strategy *strategy, struct explore_counts *counts,
                                FILE *out)
{
    enum explore_answer answer = run_once(explore, strategy, counts, out);
    if (answer == EXPLORE_OK && explore->options.self_check && !repeats(explore, counts, out)) {
        answer = EXPLORE_FAILED;
    }
    explore->wrong_byte = UINT64_MAX;
    if (answer == EXPLORE_FAILED) {
        find_wrong_byte(explore, counts);
    }
    if (answer != EXPLORE_OVER) {
        counts->schedules++;
        counts->steps += explore->scheduled.steps;
        counts->preemptions += explore->scheduled.preemptions;
        count_behaviour(explore, counts);
    }
    return answer;
}
