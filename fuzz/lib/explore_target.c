/*
 * One execution of a concurrent workload under the scheduler, on simulated storage.
 */
#include "lib/explore_target.h"
#include "workload/phase.h"

#include <malloc.h>
#include <stdlib.h>

#define STEPS_MAX 20000u
#define KEPT (64 << 20) /* bytes */

/* Only the first concurrent phase keeps its threads: no more than one can be explored. */
static void make_explorable(struct trace *trace)
{
    uint32_t concurrent = 0;
    phases_make_judgeable(trace);
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        uint32_t end = trace_phase_end(trace, begin);
        if (trace_phase_is_concurrent(trace, begin, end) && concurrent++ > 0) {
            for (uint32_t i = begin; i < end; i++) {
                trace->operations[i].thread = 0;
            }
        }
    }
}

/* Memory that one execution frees is kept for the next one, not returned to the system. Only glibc has a setting for
 * that. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    static bool kept;
    if (!kept) {
        mallopt(M_TRIM_THRESHOLD, KEPT);
        mallopt(M_MMAP_THRESHOLD, KEPT / 4);
        kept = true;
    }
#endif
}

void fuzz_explore(const struct fuzz_input *input, size_t used, const struct explore_options *options)
{
    static const struct fuzz_bounds bounds = {.threads = 3, .operations = 10, .cluster_bits = 12, .clusters = 5};
    static struct trace trace;
    if (!fuzz_trace(input, &bounds, &trace)) {
        return;
    }
    keep_memory();
    make_explorable(&trace);
    if (explore_problem(&trace, options)) {
        return;
    }
    struct fuzz_part choices = input->parts[FUZZ_CHOICES];
    used = used < choices.count ? used : choices.count;
    struct sched_strategy *strategy = sched_make_bytes(choices.bytes + used, choices.count - used);
    struct explore_options chosen = *options;
    chosen.step_limit = STEPS_MAX;
    chosen.refuse_punch = trace.disk.seed % 4 == 2;
    chosen.shares = trace.disk.seed % 2 == 1;
    struct explore *explore = explore_make(&trace, &chosen);
    struct explore_counts counts = {0};
    if (explore_run(explore, strategy, &counts, stderr) == EXPLORE_FAILED) {
        fuzz_require(false, "the judges accept every schedule, crash and fault");
    }
    explore_free(explore);
    sched_strategy_free(strategy);
}
