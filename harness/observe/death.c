/*
 * The judge of deaths.
 *
 * A run without a death counts the calls. Then the scenario runs once for each of them, with a new process each time.
 * The operation in which the process died may have been done or not; those that were answered have been done, and what
 * a flush answered must be there.
 */
#include "observe/death.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "observe/power_cut.h"
#include "observe/replay.h"
#include "storage/sim_disk.h"
#include "workload/disk_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEATHS_MAX 40u /* in one scenario */

static const struct observed_manner recording = {.records = true};

/*
 * The spans of a run that ended in operation `dead`, or in the open if that is UINT32_MAX. Operation i begins at moment
 * 2 * i + 1. Returns the moment of the death.
 */
static uint64_t make_spans(const struct scenario_run *run, const struct trace *trace, uint32_t dead,
                           struct crash_span *spans)
{
    for (uint32_t i = 0; i <= trace->count; i++) {
        bool began = dead != UINT32_MAX && i <= dead;
        bool ended = began && i < dead;
        spans[i] = (struct crash_span){.begin = began ? 2 * i + 1 : UINT64_MAX,
                                       .end = ended ? 2 * i + 2 : UINT64_MAX,
                                       .invoked = began ? 2 * i + 1 : UINT64_MAX,
                                       .returned = ended ? 2 * i + 2 : UINT64_MAX,
                                       .status = ended ? run->statuses[i] : ADDCOW_OK};
    }
    return dead == UINT32_MAX ? 0 : 2 * (uint64_t)dead + 1;
}

/* Puts the files of the scenario's disk, as they are in the directory, into a storage. False if one is gone. */
static bool load_files(const struct observed *observed, const struct trace_disk *disk, struct sim *sim)
{
    struct disk_files files;
    bool good = true;
    disk_files_make(disk, &files);
    for (unsigned i = 0; i < files.count; i++) {
        uint8_t *bytes = NULL;
        uint64_t length;
        good = good && disk_files_load(observed->directory, files.list[i].name, &bytes, &length);
        if (good) {
            sim_put(sim, files.list[i].name, bytes, length);
        }
        free(bytes);
    }
    disk_files_free(&files);
    return good;
}

/*
 * Whether the record of both processes leaves the expected disk if the power fails at its end: the second one has
 * flushed and closed it. Prints what is wrong.
 */
static bool is_durable(struct observed *observed, const struct trace_disk *disk, const uint8_t *expected, uint64_t size,
                       FILE *out)
{
    char path[WATCH_PATH_BYTES + 16], problem[256] = "the record cannot be read";
    struct sim_crash_options options = sim_disk_crash_options(disk);
    struct choices choices = {0};
    struct record_list list;
    struct sim *sim = sim_make();
    struct sim *crashed = sim_make();
    uint8_t *bytes = NULL;
    uint64_t found = 0;
    snprintf(path, sizeof path, "%s/record", observed->root);
    sim_disk_make(sim, disk);
    bool loaded = records_load(path, &list);
    uint64_t *moments = report_allocate(list.count + 1, sizeof *moments);
    bool fine = loaded && replay_records(&list, sim, moments, problem, sizeof problem);
    if (fine) {
        sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
        fine = sim_disk_read(crashed, 0, &bytes, &found, problem, sizeof problem);
    }
    if (!fine) {
        fprintf(out, "after a death, a flush of the next process and a power cut: %s\n", problem);
    } else if (found != size || memcmp(bytes, expected, (size_t)size) != 0) {
        fputs("what the next process read and flushed after a death is lost when the power fails\n", out);
        fine = false;
    }
    free(bytes);
    free(moments);
    records_free(&list);
    sim_free(crashed);
    sim_free(sim);
    return fine;
}

/* Judges the files that a process left. Prints what is wrong; *clauses are those that it breaks. *crashed: the next
 * process, which opened them, has crashed or hung. */
static bool judge_files(struct observed *observed, const struct trace *trace, const struct crash_span *spans,
                        uint64_t moment, const char **clauses, bool *crashed, FILE *out)
{
    struct crash_judge *judge = crash_make(trace);
    struct sim *sim = crash_storage(judge);
    char problem[128];
    uint8_t *expected;
    uint64_t size;
    *clauses = "DUR-11";
    *crashed = false;
    bool fine = load_files(observed, &trace->disk, sim);
    if (!fine) {
        fputs("after a death a file of the disk is gone (DUR-11)\n", out);
    } else if (!crash_judge_storage(judge, spans, moment, out)) {
        *clauses = power_cut_clauses(crash_fault_of(judge), trace, spans, moment);
        fine = false;
    } else if (sim_disk_read(sim, 0, &expected, &size, problem, sizeof problem)) {
        observed_start(observed, &recording);
        fine = power_cut_is_usable(observed, expected, size, out);
        char why[2048];
        *crashed = scenario_has_ended(observed, why, sizeof why);
        observed_stop(observed);
        if (fine && !is_durable(observed, &trace->disk, expected, size, out)) {
            bool commits =
                moment > 0 && moment / 2 < trace->count && trace->operations[moment / 2].kind == OPERATION_COMMIT;
            *clauses = commits ? "CMT-03" : "DUR-12";
            fine = false;
        }
        free(expected);
    }
    crash_free(judge);
    return fine;
}

/* Runs the scenario with a death at call `at`. False, and the clauses are broken, if it leaves a wrong disk. */
static bool judge_death(struct observed *observed, const struct scenario *scenario, uint64_t at,
                        struct findings *findings)
{
    const struct watch_plan plan = {.at = at, .kinds = WATCH_CHANGES, .action = WATCH_KILL};
    const struct trace *trace = &scenario->trace;
    struct crash_span spans[SCENARIO_OPERATIONS_MAX + 1];
    struct scenario_run run;
    char call[sizeof observed->watch->hit_call], file[WATCH_NAME_BYTES], *story = NULL;
    size_t size = 0;
    observed_reset(observed, &trace->disk);
    observed_start(observed, &recording);
    watch_arm(observed->watch, &plan);
    scenario_run(observed, trace, &run);
    memcpy(call, observed->watch->hit_call, sizeof call);
    memcpy(file, observed->watch->hit_file, sizeof file);
    bool hit = atomic_load(&observed->watch->hits) > 0;
    observed_stop(observed);
    if (!hit) {
        return true; /* the program does not make as many calls each time */
    }
    uint32_t dead = run.open != ADDCOW_OK ? UINT32_MAX : run.done;
    uint64_t moment = make_spans(&run, trace, dead, spans);
    const char *clauses;
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool crashed;
    bool fine = judge_files(observed, trace, spans, moment, &clauses, &crashed, out);
    findings->crashed = findings->crashed || crashed;
    fprintf(out, "  (the process died before call %" PRIu64 " that changes a file, %s of %s, in ", at, call, file);
    if (dead == UINT32_MAX) {
        fputs("the open", out);
    } else {
        scenario_print_operation(out, trace, dead);
    }
    fprintf(out, ": %s)\nscenario %s: %s\n", clauses, scenario->name, scenario->story);
    fclose(out);
    if (!fine) {
        findings_break(findings, clauses, story);
    }
    free(story);
    return fine;
}

/* The number of calls that change a file, without a death. 0 if the scenario does not run; then `why` says why. */
static uint64_t count_calls(struct observed *observed, const struct scenario *scenario, bool *crashed, char *why,
                            size_t why_size)
{
    struct scenario_run run;
    observed_reset(observed, &scenario->trace.disk);
    observed_start(observed, &recording);
    watch_arm(observed->watch, &(struct watch_plan){.kinds = WATCH_CHANGES});
    scenario_run(observed, &scenario->trace, &run);
    uint64_t calls = atomic_load(&observed->watch->calls);
    why[0] = '\0';
    *crashed = scenario_has_ended(observed, why, why_size);
    if (*crashed || run.done <= scenario->trace.count) {
        calls = 0;
    } else if (calls == 0) {
        snprintf(why, why_size, "no call changes a file");
    }
    char *unseen = watch_unseen_text(observed->watch);
    if (calls > 0 && unseen[0] != '\0') {
        snprintf(why, why_size, "the observer does not see everything: %s", unseen);
        calls = 0;
    }
    free(unseen);
    observed_stop(observed);
    return calls;
}

void death_judge(struct observed *observed, const struct scenario *scenario, uint64_t *deaths,
                 struct findings *findings)
{
    char why[2048];
    bool crashed;
    uint64_t calls = count_calls(observed, scenario, &crashed, why, sizeof why);
    if (calls == 0) {
        findings->crashed = findings->crashed || crashed;
        findings_pass_over(findings, "DUR-02 DUR-11 DUR-12",
                           why[0] != '\0' ? why : "an operation fails without a fault");
        return;
    }
    uint64_t steps = calls < DEATHS_MAX ? calls : DEATHS_MAX;
    for (uint64_t i = 0; i < steps; i++) {
        ++*deaths;
        if (!judge_death(observed, scenario, 1 + i * calls / steps, findings)) {
            return;
        }
    }
    findings_keep(findings, "DUR-02 DUR-11 DUR-12");
}
