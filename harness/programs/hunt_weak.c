/*
 * hunt explore --memory weak: random requests on the engine under weak memory (weak/explore.h).
 *
 * Workload number i has the seed --seed + i. What fails is minimised, requests first and then choices, and told as a
 * timeline.
 */
#include "programs/hunt.h"

#include "base/clock.h"
#include "base/report.h"
#include "weak/explore.h"
#include "weak/programs/programs.h"

#include <inttypes.h>
#include <stdio.h>

#define EXECUTIONS_DEFAULT 500u

struct totals {
    uint64_t workloads;
    uint64_t executions;
    uint64_t steps;
    uint64_t stale;
    uint64_t exhausted; /* workloads of which every execution was run */
    uint64_t start;
};

static void explore(const struct hunt_weak *hunt, uint64_t seed, bool random, FILE *timeline, struct weak_found *found)
{
    struct weak_options_of_search options = {
        .preemptions = (uint32_t)hunt->preemptions,
        .executions = hunt->executions != 0 ? hunt->executions : EXECUTIONS_DEFAULT,
        .random = random,
        .seed = seed,
    };
    weak_explore(&weak_random, &options, timeline, found);
}

/* First executions by chance, which differ much; then all of them in order, as far as they go. */
static bool fails(const struct hunt_weak *hunt, uint64_t seed, FILE *timeline, struct weak_found *found)
{
    explore(hunt, seed, true, timeline, found);
    if (!found->failed) {
        explore(hunt, seed, false, timeline, found);
    }
    return found->failed;
}

static void minimise_requests(const struct hunt_weak *hunt, uint64_t seed)
{
    struct weak_found found;
    for (unsigned i = 0; i < WEAK_THREADS * WEAK_RANDOM_REQUESTS; i++) {
        weak_random_keep(false);
        if (weak_random_remove(i) && !fails(hunt, seed, NULL, &found)) {
            weak_random_keep(true);
        }
    }
}

static void print_failure(const struct hunt_weak *hunt, uint64_t seed, const struct weak_found *found)
{
    struct weak_found again;
    char command[HUNT_COMMAND_BYTES];
    report_progress(NULL);
    printf("the workload of --seed %" PRIu64 " fails under weak memory: %s\n", seed, found->message);
    if (!hunt->brief) {
        minimise_requests(hunt, seed);
        puts("\nminimised:\n");
        weak_random_print(stdout);
        puts("");
        fails(hunt, seed, stdout, &again);
    }
    snprintf(command, sizeof command, "the same options with --seed %" PRIu64 " --traces 1", seed);
    hunt_print_failure(found->message, command);
}

static void add(struct totals *totals, const struct weak_found *found)
{
    totals->executions += found->executions;
    totals->steps += found->steps;
    totals->stale += found->stale;
    totals->exhausted += found->complete;
}

/* Explores one workload, which must not fail. */
static bool judge(const struct hunt_weak *hunt, uint64_t seed, struct totals *totals)
{
    struct weak_found found;
    weak_random_make(seed, hunt->threads, hunt->operations);
    totals->workloads++;
    explore(hunt, seed, true, NULL, &found);
    add(totals, &found);
    if (!found.failed) {
        explore(hunt, seed, false, NULL, &found);
        add(totals, &found);
    }
    if (found.failed) {
        print_failure(hunt, seed, &found);
    }
    return !found.failed;
}

static bool is_over(const struct hunt_weak *hunt, const struct totals *totals)
{
    return (hunt->traces != 0 && totals->workloads >= hunt->traces) ||
           (hunt->seconds != 0 && clock_seconds_since(totals->start) >= (double)hunt->seconds);
}

int hunt_weak(const struct hunt_weak *hunt)
{
    struct totals totals = {.start = clock_nanoseconds()};
    bool conforms = true;
    if (!weak_random_make(hunt->seed, hunt->threads, hunt->operations)) {
        fputs("hunt: this program was built without weak memory: its compiler knows no -fsanitize=thread\n", stderr);
        return REPORT_INCOMPLETE;
    }
    while (conforms && !is_over(hunt, &totals)) {
        conforms = judge(hunt, hunt->seed + totals.workloads, &totals);
        report_progress("hunt: %.0f s, %" PRIu64 " workloads, %" PRIu64 " executions",
                        clock_seconds_since(totals.start), totals.workloads, totals.executions);
    }
    report_progress(NULL);
    printf("hunt: weak memory: %" PRIu64 " workloads, %" PRIu64 " executions, %" PRIu64 " steps, %" PRIu64
           " old stores read; of %" PRIu64 " workloads all executions were run; %u failures\n",
           totals.workloads, totals.executions, totals.steps, totals.stale, totals.exhausted, !conforms);
    return conforms ? REPORT_CONFORMS : REPORT_DIFFERS;
}
