/*
 * The judge of power cuts beside concurrent requests.
 *
 * The moments of an operation are numbers of entries of the record, taken just before it is asked and just after it is
 * answered. Calls that are made in between may belong to any operation in progress; so no operation counts as durable
 * before it is.
 */
#include "observe/beside.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "observe/power_cut.h"
#include "observe/replay.h"
#include "observe/slow.h"
#include "storage/sim_disk.h"
#include "workload/disk_files.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLANS 15u       /* in a part */
#define STATES_MAX 12u  /* judged at a moment in order, and as many at random */
#define DELAY_MAX 3000u /* microseconds */
#define CLAUSES "DUR-01 DUR-02 DUR-03 DUR-05"

struct beside {
    struct observed *observed;
    struct trace *trace;
    struct crash_span *spans; /* one an operation, and one for the close; at first in entries of the record */
    char (*messages)[128];    /* of operations that failed */
    atomic_uint_fast64_t clock;
};

struct worker {
    struct beside *beside;
    uint32_t thread;
    uint32_t begin;
    uint32_t end;
    pthread_t handle;
};

/* ---- Doing ---- */

static void do_operation(struct beside *beside, uint32_t index)
{
    struct adapter *adapter = beside->observed->adapter;
    struct watch *watch = beside->observed->watch;
    struct crash_span *span = &beside->spans[index];
    struct addcow_error error = ADDCOW_ERROR_INIT;
    span->begin = atomic_load(&watch->records);
    span->invoked = atomic_fetch_add(&beside->clock, 1);
    span->status = index == beside->trace->count
                       ? adapter->ops->close(adapter, &error)
                       : crash_perform(adapter, &beside->trace->operations[index], index, &error);
    span->returned = atomic_fetch_add(&beside->clock, 1);
    span->end = atomic_load(&watch->records);
    memcpy(beside->messages[index], error.message, sizeof beside->messages[index] - 1);
}

static void *work(void *context)
{
    const struct worker *worker = context;
    for (uint32_t i = worker->begin; i < worker->end; i++) {
        if (worker->beside->trace->operations[i].thread == worker->thread) {
            do_operation(worker->beside, i);
        }
    }
    return NULL;
}

static void do_phase(struct beside *beside, uint32_t begin, uint32_t end)
{
    struct worker workers[TRACE_THREADS_MAX];
    for (uint32_t i = 0; i < beside->trace->threads; i++) {
        workers[i] = (struct worker){.beside = beside, .thread = i, .begin = begin, .end = end};
        if (pthread_create(&workers[i].handle, NULL, work, &workers[i]) != 0) {
            report_fatal("cannot start a thread");
        }
    }
    for (uint32_t i = 0; i < beside->trace->threads; i++) {
        pthread_join(workers[i].handle, NULL);
    }
}

/* Opens, does all, and closes. False, with the reason, if something fails that has no reason to. */
static bool run(struct beside *beside, char *why, size_t why_size)
{
    const struct trace *trace = beside->trace;
    struct adapter *adapter = beside->observed->adapter;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    char path[WATCH_PATH_BYTES];
    observed_path(beside->observed, DISK_METADATA, path);
    enum addcow_status code = adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, &error);
    if (code != ADDCOW_OK) {
        snprintf(why, why_size, "open gives %s: %s", addcow_status_name(code), error.message);
        return false;
    }
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        do_phase(beside, begin, trace_phase_end(trace, begin));
    }
    do_operation(beside, trace->count);
    for (uint32_t i = 0; i <= trace->count; i++) {
        if (beside->spans[i].status != ADDCOW_OK && beside->spans[i].status != ADDCOW_RANGE) {
            snprintf(why, why_size, "%s gives %s: %s",
                     i == trace->count ? "close" : trace_kind_name(trace->operations[i].kind),
                     addcow_status_name(beside->spans[i].status), beside->messages[i]);
            return false;
        }
    }
    return true;
}

/* ---- Judging ---- */

/* Whether a flush that was answered before the crash may have relied on one that had begun before it. */
static bool may_have_joined(const struct beside *beside, uint64_t moment)
{
    const struct trace *trace = beside->trace;
    for (uint32_t i = 0; i < trace->count; i++) {
        for (uint32_t j = 0; j < trace->count; j++) {
            const struct crash_span *later = &beside->spans[i];
            const struct crash_span *earlier = &beside->spans[j];
            if (trace->operations[i].kind == OPERATION_FLUSH && trace->operations[j].kind == OPERATION_FLUSH &&
                later->end <= moment && earlier->invoked < later->invoked && later->invoked < earlier->returned) {
                return true;
            }
        }
    }
    return false;
}

static void report(const struct beside *beside, struct crash_judge *judge, uint64_t seed, uint64_t moment,
                   const char *text, struct findings *findings)
{
    char *story = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    const char *clauses = power_cut_clauses(crash_fault_of(judge), beside->trace, beside->spans, moment);
    if (strcmp(clauses, "DUR-01") == 0 && may_have_joined(beside, moment)) {
        clauses = "DUR-01 DUR-05";
    }
    fprintf(out, "%sscenario flushes: delay plan %" PRIu64 " of this workload:\n", text, seed);
    trace_print(out, beside->trace);
    fclose(out);
    findings_break(findings, clauses, story);
    free(story);
}

/* Turns the moments of the spans from entries of the record into moments of the storage. */
static void place_spans(struct beside *beside, const uint64_t *moments)
{
    for (uint32_t i = 0; i <= beside->trace->count; i++) {
        beside->spans[i].begin = moments[beside->spans[i].begin];
        beside->spans[i].end = moments[beside->spans[i].end];
    }
}

/* Judges the record of a run. False if something is wrong, or cannot be judged; then `why` says why. */
static bool judge_record(struct beside *beside, uint64_t seed, struct crash_counts *counts, struct findings *findings,
                         char *why, size_t why_size)
{
    const struct crash_options options = {.states = STATES_MAX};
    struct record_list list;
    char path[WATCH_PATH_BYTES + 16], *text = NULL;
    size_t size = 0;
    uint64_t moment = 0;
    snprintf(path, sizeof path, "%s/record", beside->observed->root);
    if (!records_load(path, &list)) {
        snprintf(why, why_size, "the record cannot be read");
        return false;
    }
    struct sim *sim = sim_make();
    uint64_t *moments = report_allocate(list.count + 1, sizeof *moments);
    sim_disk_make(sim, &beside->trace->disk);
    bool fine = replay_records(&list, sim, moments, why, why_size) &&
                replay_agrees(sim, beside->observed->directory, why, why_size);
    if (fine) {
        struct crash_judge *judge = crash_make(beside->trace);
        FILE *out = open_memstream(&text, &size);
        if (out == NULL) {
            report_fatal("no memory");
        }
        place_spans(beside, moments);
        fine = crash_judge_log(judge, sim, beside->spans, &options, counts, &moment, out);
        fclose(out);
        if (fine) {
            findings_keep(findings, CLAUSES);
        } else {
            report(beside, judge, seed, moment, text, findings);
        }
        crash_free(judge);
        free(text);
    }
    free(moments);
    sim_free(sim);
    records_free(&list);
    return fine;
}

/* Runs and judges one plan. False if nothing more is to be judged. */
static bool judge_plan(struct observed *observed, uint64_t seed, struct trace *trace, struct crash_counts *counts,
                       struct findings *findings)
{
    char why[2048] = "";
    struct beside beside = {.observed = observed, .trace = trace};
    beside.spans = report_allocate(trace->count + 1, sizeof *beside.spans);
    beside.messages = report_allocate(trace->count + 1, sizeof *beside.messages);
    observed_stop(observed);
    observed_reset(observed, &trace->disk);
    observed_start(observed,
                   &(struct observed_manner){.records = true, .delay_seed = seed, .delay_microseconds = DELAY_MAX});
    adapter_exec_reserve(observed->adapter, trace_capacity(trace));
    bool ran = run(&beside, why, sizeof why);
    if (ran) {
        char *unseen = watch_unseen_text(observed->watch);
        snprintf(why, sizeof why, "%s%s", unseen[0] != '\0' ? "the observer does not see everything: " : "", unseen);
        free(unseen);
    }
    bool fine = why[0] == '\0' && judge_record(&beside, seed, counts, findings, why, sizeof why);
    if (why[0] != '\0') {
        findings_pass_over(findings, CLAUSES, why);
    }
    free(beside.messages);
    free(beside.spans);
    return fine;
}

void beside_judge(struct observed *observed, unsigned part, uint64_t *plans, struct crash_counts *counts,
                  struct findings *findings)
{
    struct protocol_abilities abilities;
    if (!slow_abilities(observed, CLAUSES, &abilities, findings)) {
        observed_stop(observed);
        return;
    }
    if (abilities.level < PROTOCOL_DURABLE) {
        findings_pass_over(findings, CLAUSES, "the adapter does not claim level durable");
        observed_stop(observed);
        return;
    }
    struct trace *trace = report_allocate(1, sizeof *trace);
    bool fine = true;
    for (uint64_t i = 0; fine && i < PLANS; i++) {
        uint64_t seed = 1 + part * PLANS + i;
        if (!slow_workload(seed, SLOW_FLUSHES, &abilities, trace)) {
            findings_pass_over(findings, CLAUSES, "the adapter declares too little");
            break;
        }
        ++*plans;
        fine = judge_plan(observed, seed, trace, counts, findings);
    }
    free(trace);
    observed_stop(observed);
}
