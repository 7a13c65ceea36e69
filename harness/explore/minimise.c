/*
 * The minimiser.
 *
 * A change of the trace is kept if some schedule of a fixed series still fails. A trace of one thread has one schedule.
 * The schedule with the fewest preemptions is searched exhaustively, bound after bound, up to a limit.
 */
#include "explore/minimise.h"

#include "addcow_format.h"
#include "base/report.h"

#include <stdlib.h>
#include <string.h>

#define SCHEDULES 300u           /* tried on a smaller trace */
#define SCHEDULES_BOUNDED 20000u /* tried to find fewer preemptions */

/* ---- Does it fail? ---- */

static void take_result(const struct explore *explore, struct minimise_result *result)
{
    const struct sched_schedule *failing = explore_schedule(explore);
    result->schedule.count = 0;
    for (uint32_t i = 0; i < failing->count; i++) {
        sched_schedule_append(&result->schedule, failing->segments[i].thread, failing->segments[i].steps);
    }
    result->ended = explore_ended(explore);
    result->wrong_byte = explore_wrong_byte(explore);
}

static bool fails_with(const struct trace *trace, const struct explore_options *options,
                       struct sched_strategy *strategy, uint32_t most, struct minimise_result *result)
{
    struct explore_counts counts = {0};
    struct explore *explore = explore_make(trace, options);
    FILE *nowhere = fopen("/dev/null", "w");
    enum explore_answer answer = EXPLORE_OK;
    if (nowhere == NULL) {
        report_fatal("cannot open /dev/null");
    }
    for (uint32_t i = 0; i < most && answer == EXPLORE_OK; i++) {
        answer = explore_run(explore, strategy, &counts, nowhere);
    }
    if (answer == EXPLORE_FAILED) {
        take_result(explore, result);
    }
    fclose(nowhere);
    explore_free(explore);
    return answer == EXPLORE_FAILED;
}

bool minimise_fails(const struct trace *trace, const struct explore_options *options, struct minimise_result *result)
{
    if (explore_problem(trace, options) != NULL) {
        return false;
    }
    struct sched_strategy *random = sched_make_random(1);
    struct sched_strategy *pct = sched_make_pct(1, 3);
    bool failing =
        fails_with(trace, options, random, SCHEDULES, result) || fails_with(trace, options, pct, SCHEDULES, result);
    sched_strategy_free(random);
    sched_strategy_free(pct);
    return failing;
}

/* What must still fail. */
struct goal {
    bool (*still_fails)(const struct trace *trace, void *context);
    void *context;
};

static bool fails(const struct trace *trace, const struct goal *goal)
{
    return trace_problem(trace) == NULL && goal->still_fails(trace, goal->context);
}

/* ---- Smaller traces ---- */

static void remove_operation(struct trace *trace, uint32_t index)
{
    trace->count--;
    memmove(&trace->operations[index], &trace->operations[index + 1],
            (trace->count - index) * sizeof trace->operations[0]);
}

/* Removes a thread that has no operation: those above it move down. */
static void close_gaps(struct trace *trace)
{
    for (uint32_t thread = trace->threads; thread-- > 0 && trace->threads > 1;) {
        bool used = false;
        for (uint32_t i = 0; i < trace->count; i++) {
            used = used || trace->operations[i].thread == thread;
        }
        if (used) {
            continue;
        }
        for (uint32_t i = 0; i < trace->count; i++) {
            trace->operations[i].thread -= trace->operations[i].thread > thread;
        }
        trace->threads--;
    }
}

/* Keeps *smaller as *trace if it fails. */
static bool keep(struct trace *trace, struct trace *smaller, const struct goal *goal)
{
    close_gaps(smaller);
    bool failing = fails(smaller, goal);
    if (failing) {
        *trace = *smaller;
    }
    return failing;
}

static bool shrink_operations(struct trace *trace, struct trace *smaller, const struct goal *goal)
{
    bool shrunk = false;
    for (uint32_t i = trace->count; i-- > 0;) {
        *smaller = *trace;
        remove_operation(smaller, i);
        if (smaller->count > 0 && keep(trace, smaller, goal)) {
            shrunk = true;
            continue;
        }
        struct trace_operation *operation = &smaller->operations[i];
        if (operation_has_range(trace->operations[i].kind) && trace->operations[i].length > SIM_SECTOR) {
            *smaller = *trace;
            operation->length = SIM_SECTOR;
            shrunk = keep(trace, smaller, goal) || shrunk;
        }
    }
    return shrunk;
}

static bool shrink_disk(struct trace *trace, struct trace *smaller, const struct goal *goal)
{
    bool shrunk = false;
    *smaller = *trace;
    smaller->disk.unknown_compatible = false;
    smaller->disk.seed = 0;
    smaller->disk.allocation = TRACE_NONE_ALLOCATED;
    if (memcmp(&smaller->disk, &trace->disk, sizeof trace->disk) != 0) {
        shrunk = keep(trace, smaller, goal);
    }
    *smaller = *trace;
    smaller->disk.chain = 0;
    smaller->disk.layout = ADDCOW_R20;
    smaller->disk.cluster_bits = ADDCOW_CLUSTER_BITS_MIN;
    if (memcmp(&smaller->disk, &trace->disk, sizeof trace->disk) != 0) {
        shrunk = keep(trace, smaller, goal) || shrunk;
    }
    if (trace->disk.size > 4096) {
        *smaller = *trace;
        smaller->disk.size = (trace->disk.size - 1) / 4096 * 4096;
        shrunk = keep(trace, smaller, goal) || shrunk;
    }
    return shrunk;
}

/* Makes a failing trace smaller until no change is possible. */
static void shrink(struct trace *trace, const struct goal *goal)
{
    struct trace *smaller = report_allocate(1, sizeof *smaller);
    bool shrunk = true;
    while (shrunk) {
        shrunk = shrink_operations(trace, smaller, goal);
        shrunk = shrink_disk(trace, smaller, goal) || shrunk;
    }
    free(smaller);
}

bool minimise_while(struct trace *trace, bool (*still_fails)(const struct trace *trace, void *context), void *context)
{
    struct goal goal = {still_fails, context};
    bool failing = fails(trace, &goal);
    if (failing) {
        shrink(trace, &goal);
    }
    return failing;
}

struct exploring {
    const struct explore_options *options;
    struct minimise_result *result;
};

static bool still_fails(const struct trace *trace, void *context)
{
    struct exploring *exploring = context;
    return minimise_fails(trace, exploring->options, exploring->result);
}

bool minimise(struct trace *trace, const struct explore_options *options, struct minimise_result *result)
{
    struct exploring exploring = {options, result};
    *result = (struct minimise_result){.wrong_byte = UINT64_MAX};
    if (!minimise_while(trace, still_fails, &exploring)) {
        return false;
    }
    struct minimise_result fewer = {.wrong_byte = UINT64_MAX};
    struct sched_strategy *exhaustive = sched_make_exhaustive(4, true);
    if (trace->threads > 1 && fails_with(trace, options, exhaustive, SCHEDULES_BOUNDED, &fewer)) {
        struct minimise_result replaced = *result;
        *result = fewer;
        fewer = replaced;
    }
    sched_strategy_free(exhaustive);
    sched_schedule_free(&fewer.schedule);
    return true;
}
