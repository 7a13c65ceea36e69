/*
 * followed: executions of the production engine as lists of events, for the model of proofs/model to accept.
 *
 * All schedules, or the first ones, of the small workloads that tests/unit/exhaustive explores too; and random
 * schedules of random workloads, every other one with a call of the storage that fails.
 */
#include "base/options.h"
#include "base/report.h"
#include "explore/explore.h"
#include "explore/follow.h"
#include "workload/disk_files.h"
#include "workload/generate.h"

#include <inttypes.h>

static struct trace trace;

struct counts {
    uint64_t workloads;
    uint64_t executions;
};

/* Runs up to `schedules` of the trace and writes each down. */
static void follow_trace(struct sched_strategy *strategy, const struct fault_injection *fault, uint64_t schedules,
                         struct counts *counts, FILE *out)
{
    struct explore_counts explored = {0};
    struct follow *follow = follow_make(&trace, fault, out);
    struct explore_options options = {.whole_requests = true, .fault = *fault, .observer = follow_observer(follow)};
    struct explore *explore = explore_make(&trace, &options);
    enum explore_answer answer = EXPLORE_OK;
    follow_set(follow, explore);
    for (uint64_t i = 0; i < schedules && answer != EXPLORE_OVER; i++) {
        follow_begin(follow);
        answer = explore_run(explore, strategy, &explored, stderr);
        if (answer != EXPLORE_OVER) {
            follow_end(follow);
            counts->executions++;
        }
    }
    counts->workloads++;
    explore_free(explore);
    follow_free(follow);
    sched_strategy_free(strategy);
}

/* ---- Small workloads ---- */

struct small {
    uint64_t clusters;
    uint32_t threads;
    struct {
        uint32_t thread;
        uint32_t kind;
        uint64_t offset;
        uint64_t length;
    } list[4]; /* up to one without kind and length */
    uint32_t count;
    uint32_t preemptions;
};

static const struct small smalls[] = {
    {1, 2, {{0, OPERATION_WRITE, 0, 512}, {1, OPERATION_WRITE, 1024, 512}}, 2, 3},
    {2, 2, {{0, OPERATION_WRITE, 3584, 1024}, {1, OPERATION_READ, 3072, 2048}}, 2, 3},
    {2, 2, {{0, OPERATION_WRITE, 0, 512}, {1, OPERATION_WRITE, 4096, 512}}, 2, 3},
    {4, 2, {{0, OPERATION_WRITE, 2048, 6144}, {1, OPERATION_WRITE, 1024, 4096}}, 2, 2},
    {3, 2, {{0, OPERATION_MAP, 0, 12288}, {1, OPERATION_ZERO, 0, 512}}, 2, 3},
    {2, 2, {{0, OPERATION_FLUSH, 0, 0}, {1, OPERATION_WRITE, 0, 512}, {1, OPERATION_WRITE, 4096, 512}}, 3, 2},
    {1,
     3,
     {{0, OPERATION_FLUSH, 0, 0}, {1, OPERATION_WRITE, 0, 512}, {1, OPERATION_FLUSH, 0, 0}, {2, OPERATION_FLUSH, 0, 0}},
     4,
     1},
};

static void follow_smalls(uint64_t schedules, struct counts *counts, FILE *out)
{
    const struct fault_injection none = {.at = 0};
    for (size_t i = 0; i < sizeof smalls / sizeof smalls[0]; i++) {
        const struct small *small = &smalls[i];
        uint64_t size = small->clusters * 4096;
        trace = (struct trace){
            .disk = {.layout = ADDCOW_R20, .cluster_bits = 12, .size = size, .has_backing = true, .backing_size = size},
            .threads = small->threads};
        for (uint32_t k = 0; k < small->count; k++) {
            trace_add(&trace, small->list[k].thread, small->list[k].kind, small->list[k].offset, small->list[k].length);
        }
        follow_trace(sched_make_exhaustive(small->preemptions, true), &none, schedules, counts, out);
    }
}

/* ---- Random workloads ---- */

static struct fault_injection fault_of(uint64_t seed)
{
    static const struct {
        enum sim_call call;
        const char *name;
    } calls[] = {
        {SIM_SYNC, DISK_IMAGE}, {SIM_SYNC, DISK_METADATA}, {SIM_PWRITE, DISK_METADATA}, {SIM_PWRITE, DISK_IMAGE}};
    struct fault_injection fault = {.one_kind = true, .kind = FAULT_EIO, .call = calls[seed % 4].call};
    fault.at = seed % 8 == 0 ? 0 : 1 + seed / 4 % 2;
    snprintf(fault.name, sizeof fault.name, "%s", calls[seed % 4].name);
    return fault;
}

static void follow_random(uint64_t seed, uint64_t workloads, uint64_t schedules, struct counts *counts, FILE *out)
{
    const struct generate_small_options small = {.threads = 3, .operations = 2, .flushes = true};
    const struct generate_small_options mixed = {.threads = 3, .operations = 2};
    for (uint64_t done = 0; done < workloads; seed++) {
        struct fault_injection fault = fault_of(seed);
        generate_small_trace(seed, seed % 3 == 0 ? &mixed : &small, &trace);
        if (follow_problem(&trace, &fault) == NULL) {
            follow_trace(sched_make_pct(seed, 1 + (uint32_t)(seed % 5)), &fault, schedules, counts, out);
            done++;
        }
    }
}

int main(int count, char **words)
{
    uint64_t seed = 1;
    uint64_t workloads = 1000;
    uint64_t schedules = 10;
    uint64_t exhaustive = 1000;
    const struct option_row rows[] = {
        {"seed", "N", "of the random workloads", .number = &seed, .greatest = UINT32_MAX},
        {"traces", "N", "random workloads", .number = &workloads, .greatest = UINT32_MAX},
        {"schedules", "N", "of each random workload", .number = &schedules, .least = 1, .greatest = UINT32_MAX},
        {"exhaustive", "N", "schedules of each small workload, at most", .number = &exhaustive, .greatest = UINT32_MAX},
    };
    const struct options_command command = {
        .program = "followed",
        .call = PROGRAM_PREFIX "followed",
        .synopsis = "[OPTION]... FILE",
        .purpose =
            "Writes executions of the production engine under the deterministic scheduler to a file, as events "
            "that the model of proofs/model has to accept.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    struct counts counts = {0};
    int first = options_parse(&command, count, words, NULL);
    if (count - first != 1) {
        options_refuse(&command, "one file is needed");
    }
    FILE *out = fopen(words[first], "w");
    if (out == NULL) {
        report_fatal("cannot write %s", words[first]);
    }
    follow_smalls(exhaustive, &counts, out);
    follow_random(seed, workloads, schedules, &counts, out);
    if (fclose(out) != 0) {
        report_fatal("cannot write %s", words[first]);
    }
    printf("followed: %" PRIu64 " executions of %" PRIu64 " workloads\n", counts.executions, counts.workloads);
    return REPORT_CONFORMS;
}
