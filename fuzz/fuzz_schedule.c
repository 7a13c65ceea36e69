/*
 * A concurrent workload and its schedule: linearizable, no deadlock, and the files that are left are the right ones (explore.h).
 */
#include "fuzz.h"
#include "explore.h"

#include <stdlib.h>

#define STEPS_MAX 20000u

/* Leaves the first concurrent phase to its threads, and all that cannot be explored to one. */
static void make_explorable(struct trace *trace)
{
    uint32_t concurrent = 0;
    history_make_judgeable(trace);
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        if (trace_phase_is_concurrent(trace, begin, end) && concurrent++ > 0) {
            for (uint32_t i = begin; i < end; i++) {
                trace->operations[i].thread = 0;
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_bounds bounds = {.threads = 3, .operations = 10, .cluster_bits = 12, .clusters = 5};
    static struct trace trace;
    struct fuzz_input input = fuzz_split(data, size);
    if (!fuzz_trace(&input, &bounds, &trace)) {
        return 0;
    }
    make_explorable(&trace);
    if (explore_problem(&trace)) {
        return 0;
    }
    const struct fuzz_part *choices = &input.parts[FUZZ_CHOICES];
    struct sched_strategy *strategy = sched_make_bytes(choices->bytes, choices->count);
    struct explore_options options = {.step_limit = STEPS_MAX};
    struct explore *explore = explore_make(&trace, &options);
    struct explore_counts counts = {0};
    if (explore_run(explore, strategy, &counts, stderr) == EXPLORE_FAILED) {
        trace_print(stderr, &trace);
        fuzz_demand(false, "every interleaving is linearizable, and ends");
    }
    explore_free(explore);
    free(strategy);
    return 0;
}
