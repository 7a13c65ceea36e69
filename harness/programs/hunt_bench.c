/*
 * How many schedules a second: small workloads of three threads with two operations each, on one core.
 *
 * Every run is judged as in a hunt. A machine that does other things too makes everything slower, never quicker, so the
 * best of several rounds counts; the load is printed beside it.
 */
#include "programs/hunt.h"

#include "base/clock.h"
#include "explore/explore.h"
#include "workload/generate.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROUNDS 10u
#define WORKLOADS 40u
#define SCHEDULES 50u /* of each, in a round */
#define CLUSTERS 4u
#define CLUSTER 4096u

/* The next workload from a seed on that is small and plain. */
static void make_workload(uint64_t *seed, struct trace *trace)
{
    const struct generate_small_options options = {.threads = 3, .operations = 2};
    do {
        generate_small_trace((*seed)++, &options, trace);
    } while (trace->disk.cluster_bits != 12 || trace->disk.size > CLUSTERS * CLUSTER || trace->disk.chain > 0);
}

/* Runs a round: how many schedules. */
static uint64_t run_round(uint64_t seed, FILE *out)
{
    static struct trace trace;
    struct explore_counts counts = {0};
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        struct explore_options options = {.seed = seed};
        make_workload(&seed, &trace);
        struct explore *explore = explore_make(&trace, &options);
        struct sched_strategy *strategy = sched_make_random(seed);
        for (uint32_t k = 0; k < SCHEDULES; k++) {
            if (explore_run(explore, strategy, &counts, out) != EXPLORE_OK) {
                report_fatal("the engine is wrong: it is no use to know how quickly");
            }
        }
        sched_strategy_free(strategy);
        explore_free(explore);
    }
    return counts.schedules;
}

int hunt_bench(int count, char **words)
{
    uint64_t seed = HUNT_NO_SEED;
    uint64_t seconds = 0;
    const struct option_row rows[] = {HUNT_ROW_SEED(&seed)};
    const struct options_command command = {
        .program = "hunt",
        .call = PROGRAM_PREFIX "hunt bench",
        .synopsis = "[OPTION]...",
        .purpose =
            "Counts how many schedules a second are run and judged, of workloads of 3 threads with 2 operations "
            "each, on one core.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int first = options_parse(&command, count, words, NULL);
    options_refuse_operands(&command, count, words, first);
    hunt_set_defaults(&seed, 0, &seconds);
    double load[1] = {0};
    double best = 0;
    double best_processor = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t wall = clock_nanoseconds();
        uint64_t processor = clock_processor_nanoseconds();
        double schedules = (double)run_round(seed, stdout) * 1e9;
        double rate = schedules / (double)(clock_nanoseconds() - wall);
        double rate_processor = schedules / (double)(clock_processor_nanoseconds() - processor);
        best = rate > best ? rate : best;
        best_processor = rate_processor > best_processor ? rate_processor : best_processor;
    }
    if (getloadavg(load, 1) != 1) {
        load[0] = 0;
    }
    printf("3 threads x 2 operations, %u workloads, %u schedules of each, best of %u rounds:\n", WORKLOADS, SCHEDULES,
           ROUNDS);
    printf("%.0f schedules a second, %.0f a second of processor time; the load of the machine is %.1f\n", best,
           best_processor, load[0]);
    return REPORT_CONFORMS;
}
