/*
 * The judge of power cuts.
 */
#include "observe/power_cut.h"

#include "adapters/perform.h"
#include "base/report.h"
#include "observe/replay.h"
#include "storage/sim_disk.h"
#include "workload/disk_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STATES_MAX 48u /* judged at a moment in order, and as many at random */
#define OPENED_MAX 4u  /* states that the implementation opens itself */
#define ALWAYS "DUR-02 DUR-03 DUR-04"

/* One judgement. */
struct cut {
    struct observed *observed;
    const struct scenario *scenario;
    struct scenario_run run;
    struct record_list record;
    uint64_t *moments;
    struct sim *sim;
    struct crash_span spans[SCENARIO_OPERATIONS_MAX + 1];
    struct findings *findings;
    struct crash_counts *counts;
};

void power_cut_spans(const struct scenario_run *run, const struct trace *trace, const uint64_t *moments,
                     struct crash_span *spans)
{
    for (uint32_t i = 0; i <= trace->count; i++) {
        spans[i] = (struct crash_span){.begin = moments[run->begin[i]],
                                       .end = moments[run->end[i]],
                                       .invoked = 2 * i + 1,
                                       .returned = 2 * i + 2,
                                       .status = run->statuses[i]};
    }
}

static const char *clauses_of_operation(const struct trace *trace, uint32_t index)
{
    uint64_t size = trace->disk.size;
    for (uint32_t i = 0; i < index; i++) {
        size = trace->operations[i].kind == OPERATION_RESIZE ? trace->operations[i].offset : size;
    }
    switch (trace->operations[index].kind) {
    case OPERATION_RESIZE:
        return trace->operations[index].offset > size ? "DUR-11 RSZ-04" : "DUR-11 RSZ-05";
    case OPERATION_COMMIT:
        return "DUR-11 CMT-03";
    case OPERATION_STREAM:
        return "DUR-11";
    default:
        return NULL;
    }
}

const char *power_cut_clauses(enum crash_fault fault, const struct trace *trace, const struct crash_span *spans,
                              uint64_t moment)
{
    const char *in_progress = NULL;
    bool resized = false;
    for (uint32_t i = 0; i < trace->count; i++) {
        resized = resized || (trace->operations[i].kind == OPERATION_RESIZE && spans[i].begin <= moment);
        bool covers = spans[i].begin <= moment && moment < spans[i].end;
        in_progress = covers && clauses_of_operation(trace, i) != NULL ? clauses_of_operation(trace, i) : in_progress;
    }
    if (fault == CRASH_FLAG) { /* where the flag was set from the start, the bits of new clusters are missing */
        return resized && trace->disk.allocation == TRACE_ALL_ALLOCATED ? "RSZ-04 VRT-05" : "DUR-08";
    }
    if (in_progress != NULL) {
        return in_progress;
    }
    bool closed = spans[trace->count].end <= moment;
    return fault == CRASH_EXPOSED                          ? "DUR-03"
           : fault == CRASH_FOREIGN                        ? "DUR-02"
           : fault == CRASH_REFUSED || fault == CRASH_SIZE ? "DUR-11"
           : closed                                        ? "DUR-10"
                                                           : "DUR-01";
}

/* ---- Stories ---- */

static FILE *begin_story(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    return out;
}

/* Breaks clauses with the story that was written to `out`, and adds which scenario it was. */
static void end_story(struct cut *cut, const char *clauses, FILE *out, char **text)
{
    fprintf(out, "scenario %s: %s\n", cut->scenario->name, cut->scenario->story);
    fclose(out);
    findings_break(cut->findings, clauses, *text);
    free(*text);
}

/* Prints the record around the entry that a crash came before. */
static void print_record(const struct cut *cut, uint64_t moment, FILE *out)
{
    size_t at = 0;
    while (at < cut->record.count && cut->moments[at] < moment) {
        at++;
    }
    for (size_t i = at > 6 ? at - 6 : 0; i < at; i++) {
        fputs("  before: ", out);
        record_print(out, &cut->record.items[i]);
        fputs(" (", out);
        uint32_t request = cut->record.items[i].request;
        if (request == 0) {
            fputs("the open", out);
        } else {
            scenario_print_operation(out, &cut->scenario->trace, request - 1);
        }
        fputs(")\n", out);
    }
}

/* ---- From the record alone ---- */

/* The first entry from `from` on, up to `end`, that syncs a file, or all; `end` if there is none. */
static size_t find_sync(const struct cut *cut, size_t from, size_t end, const char *name)
{
    while (from < end) {
        const struct record *record = &cut->record.items[from];
        if (record->kind == RECORD_SYNC_ALL ||
            (record->kind == RECORD_SYNC && record->length == 0 && strcmp(record->name, name) == 0)) {
            return from;
        }
        from++;
    }
    return end;
}

static bool has_synced(const struct cut *cut, size_t begin, size_t end, const char *image, const char *metadata)
{
    size_t first = find_sync(cut, begin, end, image);
    return first < end && find_sync(cut, first, end, metadata) < end;
}

/* Opening for writing syncs the image, then the metadata; a commit does so before it writes to a disk below. */
static void judge_opening(struct cut *cut)
{
    const struct trace *trace = &cut->scenario->trace;
    bool fine = has_synced(cut, 0, (size_t)cut->run.opened, DISK_IMAGE, DISK_METADATA);
    const char *what = "the open for writing does not sync the image file and then the metadata file (DUR-12)\n";
    for (uint32_t i = 0; fine && i < trace->count && trace->disk.chain > 0; i++) {
        size_t begin = (size_t)cut->run.begin[i];
        size_t end = begin;
        while (end < cut->run.end[i] && !(cut->record.items[end].kind == RECORD_WRITE &&
                                          (strcmp(cut->record.items[end].name, DISK_CHAIN_TOP) == 0 ||
                                           strcmp(cut->record.items[end].name, DISK_CHAIN_TOP_IMAGE) == 0))) {
            end++;
        }
        if (trace->operations[i].kind == OPERATION_COMMIT && end < cut->run.end[i]) {
            fine = has_synced(cut, begin, end, DISK_CHAIN_TOP_IMAGE, DISK_CHAIN_TOP);
            what = "a commit writes to the disk below before it has synced its image and then its metadata (DUR-12)\n";
        }
    }
    if (fine) {
        findings_keep(cut->findings, "DUR-12");
        return;
    }
    char *text;
    size_t size;
    FILE *out = begin_story(&text, &size);
    fputs(what, out);
    end_story(cut, "DUR-12", out, &text);
}

/* A flush with no bit to write syncs only the image: on a disk whose clusters all are allocated, every flush. */
static void judge_flushes(struct cut *cut)
{
    const struct trace *trace = &cut->scenario->trace;
    if (trace->disk.allocation != TRACE_EVERY_ALLOCATED || strstr(cut->scenario->clauses, "DUR-09") == NULL) {
        return;
    }
    for (uint32_t i = 0; i < trace->count; i++) {
        size_t wrong = (size_t)cut->run.begin[i];
        while (wrong < cut->run.end[i] && strcmp(cut->record.items[wrong].name, DISK_METADATA) != 0) {
            wrong++;
        }
        if (trace->operations[i].kind == OPERATION_FLUSH && wrong < cut->run.end[i]) {
            char *text;
            size_t size;
            FILE *out = begin_story(&text, &size);
            fputs("a flush with no bit to write touches the metadata file: ", out);
            record_print(out, &cut->record.items[wrong]);
            fputs(" (DUR-09)\n", out);
            end_story(cut, "DUR-09", out, &text);
            return;
        }
    }
    findings_keep(cut->findings, "DUR-09");
}

/* ---- Crashes ---- */

/* Without the close, the disk would be wrong too: then it is a flush that has failed, not the close. */
static const char *blame(const struct cut *cut, struct crash_judge *judge, uint64_t moment, const char *clauses)
{
    const struct crash_span *close_span = &cut->spans[cut->scenario->trace.count];
    struct choices choices = {0};
    FILE *nowhere = fopen("/dev/null", "we");
    bool lost = false;
    if (strcmp(clauses, "DUR-10") == 0 && close_span->begin < moment && nowhere != NULL) {
        lost = !crash_judge(judge, cut->sim, cut->spans, close_span->begin, &choices, nowhere);
    }
    if (nowhere != NULL) {
        fclose(nowhere);
    }
    return lost ? "DUR-01" : clauses;
}

static bool judge_crashes(struct cut *cut, struct crash_judge *judge)
{
    const struct trace *trace = &cut->scenario->trace;
    const struct crash_options options = {.states = STATES_MAX};
    char *text;
    size_t size;
    uint64_t moment = 0;
    FILE *out = begin_story(&text, &size);
    if (crash_judge_log(judge, cut->sim, cut->spans, &options, cut->counts, &moment, out)) {
        fclose(out);
        free(text);
        findings_keep(cut->findings, ALWAYS);
        findings_keep(cut->findings, cut->scenario->clauses);
        return true;
    }
    print_record(cut, moment, out);
    const char *clauses = power_cut_clauses(crash_fault_of(judge), trace, cut->spans, moment);
    end_story(cut, blame(cut, judge, moment, clauses), out, &text);
    return false;
}

/* ---- The implementation itself ---- */

/* Puts the files of a storage into the directory, in the place of those there. */
static void store_files(const struct cut *cut, const struct sim *sim)
{
    struct disk_files files = {.count = 0};
    const char *name;
    for (uint32_t i = 0; (name = sim_name(sim, i)) != NULL && files.count < DISK_MAX; i++) {
        struct disk_file *file = &files.list[files.count];
        uint64_t length;
        const uint8_t *bytes = sim_bytes(sim, name, &length);
        if (strlen(name) < sizeof file->name) {
            snprintf(file->name, sizeof file->name, "%.*s", (int)sizeof file->name - 1, name);
            file->bytes = (uint8_t *)(uintptr_t)bytes;
            file->length = length;
            files.count++;
        }
    }
    disk_files_store(&files, cut->observed->directory);
}

bool power_cut_is_usable(const struct observed *observed, const uint8_t *expected, uint64_t size, FILE *out)
{
    struct adapter *adapter = observed->adapter;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t *bytes = report_allocate(size + 1, 1);
    const char *what = "open for writing";
    enum addcow_status code = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error);
    bool same = true;
    if (code == ADDCOW_OK) {
        what = "read";
        same = adapter->ops->size(adapter) == size;
        code = same ? adapter_read(adapter, 0, size, bytes, &error) : code;
        same = same && (code != ADDCOW_OK || memcmp(bytes, expected, (size_t)size) == 0);
        if (code == ADDCOW_OK && same) {
            what = "write and flush";
            uint64_t at = size < 512 ? 0 : size - 512; /* where few scenarios write */
            code = adapter_write(adapter, at, size - at, expected + at, &error);
            code = code == ADDCOW_OK ? adapter_flush(adapter, &error) : code;
        }
        enum addcow_status closed = adapter->ops->close(adapter, &error);
        code = code == ADDCOW_OK ? closed : code;
    }
    free(bytes);
    if (code != ADDCOW_OK) {
        fprintf(out, "after a crash the implementation's %s gives %s: %s (DUR-11)\n", what, addcow_status_name(code),
                error.message);
    } else if (!same) {
        fputs("after a crash the implementation reads another disk than the reference engine (DUR-11)\n", out);
    }
    return code == ADDCOW_OK && same;
}

/* The implementation opens some of the states. */
static void judge_reopening(struct cut *cut, struct crash_judge *judge)
{
    struct random random = {7};
    for (unsigned i = 0; i < OPENED_MAX; i++) {
        struct choices choices = {.random = i == 0 ? NULL : &random};
        uint64_t moment = i == 0 ? sim_moment(cut->sim) : random_below(&random, sim_moment(cut->sim) + 1);
        char problem[128], *text;
        uint8_t *expected;
        uint64_t length;
        size_t size;
        FILE *out = begin_story(&text, &size);
        if (crash_judge(judge, cut->sim, cut->spans, moment, &choices, out) &&
            sim_disk_read(crash_storage(judge), 0, &expected, &length, problem, sizeof problem)) {
            store_files(cut, crash_storage(judge));
            bool fine = power_cut_is_usable(cut->observed, expected, length, out);
            free(expected);
            cut->counts->second_states++;
            if (!fine) {
                char why[2048];
                cut->findings->crashed = cut->findings->crashed || scenario_has_ended(cut->observed, why, sizeof why);
                print_record(cut, moment, out);
                end_story(cut, "DUR-11", out, &text);
                return;
            }
        }
        fclose(out);
        free(text);
    }
    findings_keep(cut->findings, "DUR-11");
}

/* ---- A scenario ---- */

static void judge_record(struct cut *cut)
{
    struct crash_judge *judge = crash_make(&cut->scenario->trace);
    power_cut_spans(&cut->run, &cut->scenario->trace, cut->moments, cut->spans);
    judge_opening(cut);
    judge_flushes(cut);
    if (judge_crashes(cut, judge)) {
        judge_reopening(cut, judge);
    }
    crash_free(judge);
}

/* Why a run cannot be judged; "" if it can. An adapter that has ended is a crash. */
static void find_problem(struct cut *cut, char *why, size_t why_size)
{
    const struct trace *trace = &cut->scenario->trace;
    why[0] = '\0';
    if (scenario_has_ended(cut->observed, why, why_size)) {
        cut->findings->crashed = true;
    } else if (cut->run.open != ADDCOW_OK) {
        snprintf(why, why_size, "open for writing gives %s", addcow_status_name(cut->run.open));
    }
    for (uint32_t i = 0; why[0] == '\0' && i <= trace->count; i++) {
        if (cut->run.statuses[i] != ADDCOW_OK) {
            snprintf(why, why_size, "%s gives %s without a fault: %s",
                     i == trace->count ? "close" : trace_kind_name(trace->operations[i].kind),
                     addcow_status_name(cut->run.statuses[i]), cut->run.messages[i]);
        }
    }
    char *unseen = watch_unseen_text(cut->observed->watch);
    if (why[0] == '\0' && unseen[0] != '\0') {
        snprintf(why, why_size, "the observer does not see everything: %s", unseen);
    }
    free(unseen);
}

void power_cut_judge(struct observed *observed, const struct scenario *scenario, struct crash_counts *counts,
                     struct findings *findings)
{
    struct cut *cut = report_allocate(1, sizeof *cut);
    char why[2048], path[WATCH_PATH_BYTES + 16];
    *cut = (struct cut){.observed = observed, .scenario = scenario, .findings = findings, .counts = counts};
    observed_reset(observed, &scenario->trace.disk);
    observed_start(observed, &(struct observed_manner){.records = true});
    scenario_run(observed, &scenario->trace, &cut->run);
    find_problem(cut, why, sizeof why);
    snprintf(path, sizeof path, "%s/record", observed->root);
    if (why[0] == '\0' && !records_load(path, &cut->record)) {
        snprintf(why, sizeof why, "the record cannot be read");
    }
    if (why[0] == '\0') {
        cut->sim = sim_make();
        cut->moments = report_allocate(cut->record.count + 1, sizeof *cut->moments);
        sim_disk_make(cut->sim, &scenario->trace.disk);
        if (replay_records(&cut->record, cut->sim, cut->moments, why, sizeof why) &&
            replay_agrees(cut->sim, observed->directory, why, sizeof why)) {
            counts->sequences++;
            judge_record(cut);
        }
        sim_free(cut->sim);
    }
    if (why[0] != '\0') {
        findings_pass_over(findings, "DUR-01 DUR-10 DUR-11 DUR-12 " ALWAYS, why);
        findings_pass_over(findings, scenario->clauses, why);
    }
    observed_stop(observed);
    records_free(&cut->record);
    free(cut->moments);
    free(cut);
}
