/*
 * The judge of power cuts beside concurrent requests.
 *
 * The moments of an operation are numbers of entries of the record, taken just before it is asked and just after it is
 * answered. Calls that are made in between may belong to any operation in progress; so no operation counts as durable
 * before it is.
 *
 * In further workloads a sync fails. What was written before it is never durable, so a flush that relied on it, and
 * succeeds all the same, promises what a power cut may take (DUR-06).
 */
#include "observe/beside.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "observe/power_cut.h"
#include "observe/replay.h"
#include "observe/scenario_run.h"
#include "observe/slow.h"
#include "storage/sim_disk.h"
#include "workload/disk_files.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLANS 15u       /* in a part */
#define STREAMS 3u      /* more plans in a part: a stream beside other requests */
#define THREADS_MAX 4u  /* of workloads in which a sync fails */
#define WRITES 4u       /* and what each of their threads writes */
#define FAULTS 16u      /* more plans in a part: a sync fails */
#define STATES_MAX 12u  /* judged at a moment in order, and as many at random */
#define DELAY_MAX 3000u /* microseconds */
#define CLAUSES "DUR-01 DUR-02 DUR-03 DUR-05"
#define FAULT_CLAUSES "DUR-06 DUR-07"

struct beside {
    struct observed *observed;
    struct trace *trace;
    struct crash_span *spans;       /* one an operation, and one for the close; at first in entries of the record */
    char (*messages)[128];          /* of operations that failed */
    const struct watch_plan *fault; /* a sync that fails; null: none does */
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
    struct watch *watch = beside->observed->watch;
    if (beside->fault != NULL) {
        watch_arm(watch, beside->fault);
    }
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        do_phase(beside, begin, trace_phase_end(trace, begin));
    }
    do_operation(beside, trace->count);
    bool failed = beside->fault != NULL && atomic_load(&watch->hits) > 0;
    watch_disarm(watch);
    for (uint32_t i = 0; i <= trace->count; i++) {
        enum addcow_status status = beside->spans[i].status;
        if (status != ADDCOW_OK && status != ADDCOW_RANGE && !(failed && status == ADDCOW_IO)) {
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

static FILE *open_story(char **story, size_t *size)
{
    FILE *out = open_memstream(story, size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    return out;
}

/* Breaks clauses with the story that was written to `out`, and adds which workload it was. */
static void end_story(const struct beside *beside, uint64_t seed, const char *clauses, FILE *out, char **story,
                      struct findings *findings)
{
    if (beside->fault != NULL) {
        fprintf(out, "  (the fault: EIO at sync number %" PRIu64 " of %s, once)\n", beside->fault->at,
                beside->fault->file);
    }
    fprintf(out, "scenario flushes: delay plan %" PRIu64 " of this workload:\n", seed);
    trace_print(out, beside->trace);
    fclose(out);
    findings_break(findings, clauses, *story);
    free(*story);
}

static void report(const struct beside *beside, struct crash_judge *judge, uint64_t seed, uint64_t moment,
                   const char *text, struct findings *findings)
{
    char *story = NULL;
    size_t size = 0;
    FILE *out = open_story(&story, &size);
    const char *clauses = beside->fault != NULL
                              ? "DUR-06"
                              : power_cut_clauses(crash_fault_of(judge), beside->trace, beside->spans, moment);
    if (strcmp(clauses, "DUR-01") == 0 && may_have_joined(beside, moment)) {
        clauses = "DUR-01 DUR-05";
    }
    fputs(text, out);
    end_story(beside, seed, clauses, out, &story, findings);
}

/* After a sync of the image file has failed, no flush succeeds that is asked for then (DUR-07). False if one does. */
static bool check_later_flushes(struct beside *beside, const struct record_list *list, uint64_t seed,
                                struct findings *findings)
{
    size_t at = 0;
    while (at < list->count &&
           (list->items[at].kind != RECORD_SYNC_FAILED || strcmp(list->items[at].name, DISK_IMAGE) != 0)) {
        at++;
    }
    for (uint32_t i = 0; i <= beside->trace->count; i++) {
        bool flushes = i == beside->trace->count || beside->trace->operations[i].kind == OPERATION_FLUSH;
        const struct crash_span *span = &beside->spans[i];
        if (flushes && span->status == ADDCOW_OK && span->begin > at) {
            char *story = NULL;
            size_t size = 0;
            FILE *out = open_story(&story, &size);
            fprintf(out, "%s succeeds although an earlier sync of the image file has failed (DUR-07)\n",
                    i == beside->trace->count ? "the close" : "a flush");
            end_story(beside, seed, "DUR-07", out, &story, findings);
            return false;
        }
    }
    return true;
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
    if (fine && beside->fault != NULL) {
        fine = check_later_flushes(beside, &list, seed, findings);
    }
    if (fine) {
        struct crash_judge *judge = crash_make(beside->trace);
        FILE *out = open_story(&text, &size);
        place_spans(beside, moments);
        fine = crash_judge_log(judge, sim, beside->spans, &options, counts, &moment, out);
        fclose(out);
        if (fine) {
            findings_keep(findings, beside->fault != NULL ? FAULT_CLAUSES : CLAUSES);
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
static bool judge_plan(struct observed *observed, uint64_t seed, struct trace *trace, const struct watch_plan *fault,
                       struct crash_counts *counts, struct findings *findings)
{
    char why[2048] = "";
    struct beside beside = {.observed = observed, .trace = trace, .fault = fault};
    beside.spans = report_allocate(trace->count + 1, sizeof *beside.spans);
    beside.messages = report_allocate(trace->count + 1, sizeof *beside.messages);
    observed_stop(observed);
    observed_reset(observed, &trace->disk);
    observed_start(observed,
                   &(struct observed_manner){.records = true, .delay_seed = seed, .delay_microseconds = DELAY_MAX});
    adapter_exec_reserve(observed->adapter, trace_capacity(trace));
    bool ran = run(&beside, why, sizeof why);
    if (scenario_has_ended(observed, why, sizeof why)) {
        findings->crashed = true;
    } else if (ran) {
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

/* Each thread writes to clusters of its own, and flushes after each write: so flushes share syncs. */
static void make_shared_flushes(const struct protocol_abilities *abilities, struct trace *trace)
{
    trace->disk = (struct trace_disk){.layout = ADDCOW_R20,
                                      .cluster_bits = 12,
                                      .size = (uint64_t)THREADS_MAX * WRITES << 12,
                                      .has_backing = true,
                                      .backing_size = (uint64_t)THREADS_MAX * WRITES << 12,
                                      .allocation = TRACE_SOME_ALLOCATED,
                                      .seed = 6};
    trace->threads = abilities->concurrency < THREADS_MAX ? abilities->concurrency : THREADS_MAX;
    trace->count = 0;
    for (uint32_t i = 0; i < trace->threads * WRITES; i++) {
        uint32_t thread = i % trace->threads;
        trace_add(trace, thread, OPERATION_WRITE, ((uint64_t)i << 12) + 512, 1024);
        trace_add(trace, thread, OPERATION_FLUSH, 0, 0);
    }
    assert(trace_problem(trace) == NULL);
}

/* One of the first syncs of the image or of the metadata file fails. */
static struct watch_plan make_fault(uint64_t i)
{
    struct watch_plan fault = {.at = 1 + i / 2 % 4, .kinds = 1u << WATCH_SYNC, .action = WATCH_FAIL, .error = EIO};
    snprintf(fault.file, sizeof fault.file, "%s", i % 2 == 0 ? DISK_IMAGE : DISK_METADATA);
    return fault;
}

static bool can_share(const struct protocol_abilities *abilities)
{
    const unsigned wanted = 1u << OPERATION_WRITE | 1u << OPERATION_FLUSH;
    return abilities->r20 && (abilities->requests & wanted) == wanted;
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
    for (uint64_t i = 0; fine && i < PLANS + STREAMS + FAULTS; i++) {
        uint64_t seed = 1 + part * (PLANS + STREAMS + FAULTS) + i;
        bool streams = i >= PLANS && i < PLANS + STREAMS, fails = i >= PLANS + STREAMS;
        const struct watch_plan fault = make_fault(i);
        if (streams && (abilities.requests & 1u << OPERATION_STREAM) == 0) {
            continue;
        }
        if (!can_share(&abilities) || !slow_workload(seed, streams ? SLOW_STREAM : SLOW_FLUSHES, &abilities, trace)) {
            findings_pass_over(findings, CLAUSES, "the adapter declares too little");
            break;
        }
        if (fails) {
            make_shared_flushes(&abilities, trace);
        }
        ++*plans;
        fine = judge_plan(observed, seed, trace, fails ? &fault : NULL, counts, findings);
    }
    free(trace);
    observed_stop(observed);
}
