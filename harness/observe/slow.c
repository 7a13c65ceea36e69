/*
 * The judge of slow storage.
 *
 * Each delay plan has its own small workload of several threads; every second one resizes, streams or commits, too.
 * Transfers are made one at a time, though in any order: so a sector is read and written whole, which the specification
 * assumes of the storage and real file systems do not promise.
 */
#include "observe/slow.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "judges/differential.h"
#include "observe/scenario.h"
#include "observe/scenario_run.h"
#include "workload/generate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLANS 18u           /* in a part */
#define STREAMS 5u          /* more plans in a part: a stream beside other requests */
#define STREAM_SEED 100001u /* odd: no plan for the whole disk */
#define TRIES 50u           /* workloads that are looked at for one that the adapter can do */
#define DELAY_MAX 3000u     /* microseconds */
#define REQUESTS "CON-02 CON-04 CON-05 CON-06 CON-07 CON-12"
#define WHOLE_DISK "CON-09 CON-11"

/* Whether the adapter declares all that a workload asks for. */
static bool can_do(const struct trace *trace, const struct protocol_abilities *abilities)
{
    struct scenario *scenario = report_allocate(1, sizeof *scenario);
    char why[256];
    scenario->trace = *trace;
    scenario_problem(scenario, abilities, why, sizeof why);
    bool aligned = true;
    for (uint32_t i = 0; i < trace->count; i++) {
        aligned = aligned && trace->operations[i].offset % 512 == 0 && trace->operations[i].length % 512 == 0;
    }
    bool sized = trace->disk.size % 512 == 0 && trace->disk.backing_size % 512 == 0;
    free(scenario);
    return why[0] == '\0' && (abilities->granularity == 1 || (aligned && sized));
}

/* Makes the first operation a stream, beside the others of its workload. False if it would have nothing to do. */
static bool begin_with_stream(struct trace *trace)
{
    const struct trace_disk *disk = &trace->disk;
    trace->operations[0].kind = OPERATION_STREAM;
    trace->operations[0].offset = trace->operations[0].length = 0;
    return disk->allocation < TRACE_EVERY_ALLOCATED && disk->has_backing && disk->size >> disk->cluster_bits >= 2;
}

bool slow_workload(uint64_t seed, enum slow_kind kind, const struct protocol_abilities *abilities, struct trace *trace)
{
    const struct generate_small_options options = {.threads = abilities->concurrency < 3 ? abilities->concurrency : 3,
                                                   .operations = 5,
                                                   .whole_disk = kind == SLOW_WHOLE_DISK,
                                                   .flushes = kind == SLOW_FLUSHES};
    for (uint64_t i = 0; i < TRIES; i++) {
        generate_small_trace(seed + i * 1000, &options, trace);
        if ((kind != SLOW_STREAM || begin_with_stream(trace)) && can_do(trace, abilities)) {
            return true;
        }
    }
    return false;
}

/* Appends the clauses that a text names in parentheses to a list of words, without repetition. */
static void collect_clauses(const char *text, char *list, size_t size)
{
    for (const char *at = text; *at != '\0'; at++) {
        char word[FINDING_CLAUSE_BYTES] = "";
        size_t length = strcspn(at, " ,()\n:;");
        if ((at != text && strchr(" (,", at[-1]) == NULL) || length == 0 || length >= sizeof word) {
            continue;
        }
        memcpy(word, at, length);
        if (protocol_is_clause(word) && strstr(list, word) == NULL && strlen(list) + length + 2 < size) {
            strcat(list, list[0] != '\0' ? " " : "");
            strcat(list, word);
        }
    }
}

/* Judges one plan. False if something is broken. */
static bool judge_plan(struct observed *observed, uint64_t seed, const struct trace *trace, struct findings *findings)
{
    struct differential_counts counts = {0};
    char why[2048], clauses[256] = "", *story = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    observed_reset(observed, &trace->disk);
    adapter_exec_reserve(observed->adapter, trace_capacity(trace));
    bool fine = differential_judge(trace, observed->adapter, observed->directory, NULL, &counts, out);
    bool ended = scenario_has_ended(observed, why, sizeof why);
    fflush(out);
    collect_clauses(story, clauses, sizeof clauses);
    if (ended) {
        findings->crashed = true;
        bool hung = strstr(why, "hung") != NULL;
        snprintf(clauses, sizeof clauses, "%s", hung ? "CON-12" : "ERR-03");
        fprintf(out, "%s\n", why);
    }
    fprintf(out, "scenario slow: delay plan %" PRIu64 " of this workload:\n", seed);
    trace_print(out, trace);
    fclose(out);
    if (!fine) {
        findings_break(findings, clauses[0] != '\0' ? clauses : "CON-02", story);
    } else {
        findings_keep(findings, REQUESTS);
        if (seed % 2 == 0) {
            findings_keep(findings, WHOLE_DISK);
        }
    }
    free(story);
    return fine;
}

static void judge_plans(struct observed *observed, unsigned part, const struct protocol_abilities *abilities,
                        uint64_t *plans, struct findings *findings)
{
    struct trace *trace = report_allocate(1, sizeof *trace);
    bool fine = true;
    for (uint64_t i = 0; fine && i < PLANS + STREAMS; i++) {
        uint64_t seed = i < PLANS ? 1 + part * PLANS + i : STREAM_SEED + 2 * (part * STREAMS + i - PLANS);
        enum slow_kind kind = i >= PLANS      ? SLOW_STREAM
                              : seed % 2 == 0 ? SLOW_WHOLE_DISK
                              : seed % 4 == 1 ? SLOW_FLUSHES
                                              : SLOW_REQUESTS;
        if (kind == SLOW_STREAM && (abilities->requests & 1u << OPERATION_STREAM) == 0) {
            break;
        }
        if (!slow_workload(seed, kind, abilities, trace)) {
            findings_pass_over(findings, REQUESTS " " WHOLE_DISK, "the adapter declares too little");
            break;
        }
        observed_stop(observed);
        observed_start(observed,
                       &(struct observed_manner){
                           .reads = true, .turns = true, .delay_seed = seed, .delay_microseconds = DELAY_MAX});
        ++*plans;
        fine = judge_plan(observed, seed, trace, findings);
    }
    free(trace);
}

bool slow_abilities(struct observed *observed, const char *clauses, struct protocol_abilities *abilities,
                    struct findings *findings)
{
    char why[2048];
    observed_start(observed, &(struct observed_manner){.records = false});
    const struct protocol_abilities *found = adapter_exec_abilities(observed->adapter);
    if (found == NULL) {
        scenario_has_ended(observed, why, sizeof why);
        findings->crashed = true;
        findings_pass_over(findings, clauses, why);
        return false;
    }
    *abilities = *found;
    if (found->concurrency < 2) {
        findings_pass_over(findings, clauses, "the adapter takes one request at a time");
    }
    /* The judge has to know which clusters are allocated: from maps, or from the file after a flush. */
    bool tells = (found->requests & (1u << OPERATION_MAP | 1u << OPERATION_FLUSH)) != 0;
    if (!tells) {
        findings_pass_over(findings, clauses, "the adapter declares neither map nor flush");
    }
    return found->concurrency >= 2 && tells;
}

void slow_judge(struct observed *observed, unsigned part, uint64_t *plans, struct findings *findings)
{
    struct protocol_abilities abilities;
    if (slow_abilities(observed, REQUESTS " " WHOLE_DISK, &abilities, findings)) {
        judge_plans(observed, part, &abilities, plans, findings);
    }
    observed_stop(observed);
}
