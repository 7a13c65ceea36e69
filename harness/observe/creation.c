/*
 * The judge of creations.
 *
 * The record of a creation is replayed, and crashes at every moment are judged: during it, the disk is missing or
 * whole, and afterwards it is whole. A name that was not made durable by a sync of the directory may be gone then. Then
 * calls of a creation fail, one in each run: it reports that and leaves no file behind, or what it says is done is
 * durable.
 */
#include "observe/creation.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "judges/crash_create.h"
#include "observe/replay.h"
#include "observe/scenario_run.h"
#include "workload/disk_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STATES_MAX 48u /* judged at a moment in order, and as many at random */
#define CALLS_MAX 24u  /* of one kind that fail */
#define CLAUSES "CRE-04 CRE-06"

/* Puts the files that a creation finds into the directory. */
static void store_files(struct observed *observed, const struct sim *sim)
{
    static const struct trace_disk none = {.layout = ADDCOW_R20, .cluster_bits = 12};
    struct disk_files files = {.count = 0};
    const char *name;
    char path[WATCH_PATH_BYTES];
    observed_reset(observed, &none); /* empties the record, and the directory of all but these two: */
    observed_path(observed, DISK_METADATA, path);
    remove(path);
    for (uint32_t i = 0; (name = sim_name(sim, i)) != NULL && files.count < DISK_MAX; i++) {
        struct disk_file *file = &files.list[files.count++];
        snprintf(file->name, sizeof file->name, "%.*s", (int)sizeof file->name - 1, name);
        file->bytes = (uint8_t *)(uintptr_t)sim_bytes(sim, name, &file->length);
    }
    disk_files_store(&files, observed->directory);
}

/* Judges states after a crash at a moment: all of them, or if they are many the first ones and as many at random. */
static bool judge_moment(const struct crash_creation *how, const struct sim *sim, uint64_t moment, bool complete,
                         struct crash_counts *counts, FILE *out)
{
    const struct sim_crash_options options = {.uniform = NULL};
    struct sim *crashed = sim_make();
    struct random random = {random_hash(moment)};
    struct choices choices = {0};
    bool fine = true;
    bool more = true;
    for (unsigned i = 0; fine && more && i < 2 * STATES_MAX; i++) {
        if (i == STATES_MAX) {
            choices = (struct choices){.random = &random};
        }
        choices.count = 0;
        sim_crash(sim, moment, &options, &choices, crashed);
        counts->states++;
        fine = crash_creation_judge(how, crashed, complete, out);
        more = i + 1 >= STATES_MAX || choices_next(&choices);
    }
    sim_free(crashed);
    return fine;
}

/* Judges crashes at every moment, or at the end only. */
static bool judge_states(const struct crash_creation *how, const struct sim *sim, bool only_end,
                         struct crash_counts *counts, FILE *out)
{
    uint64_t end = sim_moment(sim);
    for (uint64_t moment = only_end ? end : 0; moment <= end; moment++) {
        if ((moment == end || sim_is_barrier(sim, moment)) &&
            !judge_moment(how, sim, moment, moment == end, counts, out)) {
            fprintf(out, "  (the power failed %s)\n", moment < end ? "during the create" : "when it had succeeded");
            return false;
        }
    }
    return true;
}

/* Replays the record into `sim`. False, with the reason, if that fails. */
static bool replay(const struct observed *observed, struct sim *sim, char *why, size_t why_size)
{
    struct record_list list;
    char path[WATCH_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/record", observed->root);
    if (!records_load(path, &list)) {
        snprintf(why, why_size, "the record cannot be read");
        return false;
    }
    uint64_t *moments = report_allocate(list.count + 1, sizeof *moments);
    bool fine =
        replay_records(&list, sim, moments, why, why_size) && replay_agrees(sim, observed->directory, why, why_size);
    free(moments);
    records_free(&list);
    return fine;
}

/* Creates from the files of the start, of which `sim` gets a copy. */
static enum addcow_status create(struct observed *observed, const struct crash_creation *how, struct sim *sim,
                                 const struct watch_plan *plan, struct addcow_error *error)
{
    const struct addcow_create_options options = crash_creation_options(how);
    char path[WATCH_PATH_BYTES];
    crash_creation_prepare(how, sim);
    store_files(observed, sim);
    observed_path(observed, DISK_METADATA, path);
    watch_arm(observed->watch, plan);
    enum addcow_status code = observed->adapter->ops->create(observed->adapter, path, &options, error);
    watch_disarm(observed->watch);
    return code;
}

/* Creates without a fault, and replays. False, with the reason, if that fails or cannot be judged. */
static bool create_and_replay(struct observed *observed, const struct crash_creation *how, struct sim *sim,
                              uint64_t calls[WATCH_KINDS], char *why, size_t why_size)
{
    const struct watch_plan none = {.kinds = WATCH_EVERY};
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = create(observed, how, sim, &none, &error);
    for (unsigned kind = 0; kind < WATCH_KINDS; kind++) {
        calls[kind] = atomic_load(&observed->watch->calls_of[kind]);
    }
    char *unseen = watch_unseen_text(observed->watch);
    if (unseen[0] != '\0') {
        snprintf(why, why_size, "%s", unseen);
    } else if (code != ADDCOW_OK) {
        snprintf(why, why_size, "create gives %s: %s", addcow_status_name(code), error.message);
    }
    free(unseen);
    return why[0] == '\0' && replay(observed, sim, why, why_size);
}

static void print_scenario(const struct crash_creation *how, const char *clauses, FILE *out)
{
    fprintf(out, "scenario create: layout %s, %s backing file (%s)\n", how->layout == ADDCOW_R9 ? "r9" : "r20",
            how->has_backing ? "with a" : "without a", clauses);
}

/* ---- Faults ---- */

static const struct fault {
    unsigned kinds;
    enum watch_action action;
    int error;
} faults[] = {
    {WATCH_EVERY, WATCH_FAIL, EIO},
    {1u << WATCH_WRITE | 1u << WATCH_TRUNCATE | 1u << WATCH_SYNC, WATCH_FAIL, ENOSPC},
    {1u << WATCH_READ | 1u << WATCH_WRITE | 1u << WATCH_SYNC | 1u << WATCH_TRUNCATE, WATCH_FAIL, EINTR},
    {1u << WATCH_READ | 1u << WATCH_WRITE, WATCH_SHORTEN, 0},
};

/* Prints a file that is there and was not at the start, or the other way round. False if there is one. */
static bool check_names(const struct observed *observed, const struct sim *start, FILE *out)
{
    uint64_t length;
    bool fine = true;
    DIR *list = opendir(observed->directory);
    for (struct dirent *entry; fine && list != NULL && (entry = readdir(list)) != NULL;) {
        const char *name = entry->d_name;
        fine = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || sim_bytes(start, name, &length) != NULL;
        if (!fine) {
            fprintf(out, "a create that fails leaves %s behind\n", name);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    return fine;
}

/* The clauses that a failure breaks; null if it is right. Prints what is wrong. */
static const char *judge_failure(const struct observed *observed, const struct sim *start,
                                 const struct watch_plan *plan, enum addcow_status code,
                                 const struct addcow_error *error, FILE *out)
{
    const struct watch *watch = observed->watch;
    bool partial = plan->action == WATCH_SHORTEN || plan->error == EINTR;
    bool full = plan->error == ENOSPC;
    bool names = watch->hit_kind == WATCH_OPEN || watch->hit_kind == WATCH_NAMES;
    bool classified = error->errnum != EXEC_UNCLASSIFIED && !names;
    char why[256];
    if (partial || (classified && code != (full ? ADDCOW_NOSPACE : ADDCOW_IO))) {
        fprintf(out, "create gives %s: %s\n", addcow_status_name(code), error->message);
        return partial ? "ERR-04" : "ERR-05";
    }
    bool removes = strncmp(watch->hit_call, "unlink", 6) == 0; /* what cannot be removed stays */
    if (!removes && !check_names(observed, start, out)) {
        return "CRE-04";
    }
    if (!replay_agrees(start, observed->directory, why, sizeof why)) {
        fprintf(out, "a create that fails: %s\n", why);
        return "CRE-01";
    }
    return NULL;
}

/* Creates while one call fails. The clauses that this breaks, or null. Prints what is wrong. */
static const char *judge_fault(struct observed *observed, const struct crash_creation *how,
                               const struct watch_plan *plan, struct crash_counts *counts, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct sim *sim = sim_make();
    char why[2048] = "";
    const char *broken = NULL;
    enum addcow_status code = create(observed, how, sim, plan, &error);
    if (scenario_has_ended(observed, why, sizeof why)) {
        fprintf(out, "%s\n", why);
        broken = "ERR-01";
    } else if (atomic_load(&observed->watch->hits) == 0) {
        broken = NULL; /* the program does not make as many calls each time */
    } else if (code != ADDCOW_OK) {
        broken = judge_failure(observed, sim, plan, code, &error, out);
    } else if (!replay(observed, sim, why, sizeof why)) {
        fprintf(out, "%s\n", why);
        broken = "ERR-01";
    } else if (!judge_states(how, sim, true, counts, out)) {
        broken = "CRE-06 ERR-01";
    }
    sim_free(sim);
    return broken;
}

/* Lets each call of a creation fail in each way. `calls`: how many there are of each kind. False if something is
 * wrong. */
static bool judge_faults(struct observed *observed, const struct crash_creation *how, const uint64_t calls[WATCH_KINDS],
                         uint64_t *count, struct crash_counts *counts, struct findings *findings)
{
    const char *broken = NULL;
    for (unsigned i = 0; i < sizeof faults / sizeof *faults * WATCH_KINDS; i++) {
        const struct fault *fault = &faults[i / WATCH_KINDS];
        unsigned kind = i % WATCH_KINDS;
        for (uint64_t at = 1; (fault->kinds >> kind & 1) != 0 && at <= calls[kind] && at <= CALLS_MAX; at++) {
            const struct watch_plan plan = {
                .at = at, .kinds = 1u << kind, .action = fault->action, .error = fault->error};
            char *story = NULL;
            size_t size = 0;
            FILE *out = open_memstream(&story, &size);
            if (out == NULL) {
                report_fatal("no memory");
            }
            ++*count;
            broken = judge_fault(observed, how, &plan, counts, out);
            if (broken != NULL) {
                fprintf(out, "  (the fault: %s at %s number %" PRIu64 ", %s of %s)\n",
                        fault->action == WATCH_SHORTEN ? "a short transfer" : strerror(fault->error),
                        watch_kind_name((enum watch_kind)kind), at, observed->watch->hit_call,
                        observed->watch->hit_file);
                print_scenario(how, broken, out);
                fclose(out);
                findings_break(findings, broken, story);
                findings->crashed = findings->crashed || scenario_has_ended(observed, (char[2048]){""}, 2048);
                free(story);
                return false;
            }
            fclose(out);
            free(story);
        }
    }
    findings_keep(findings, "CRE-04 ERR-01 ERR-04 ERR-05");
    return true;
}

/* ---- Creations ---- */

/* Judges one creation. False if it is wrong. */
static bool judge_creation(struct observed *observed, const struct crash_creation *how, uint64_t *fault_count,
                           struct crash_counts *counts, struct findings *findings)
{
    char why[2048] = "", *story = NULL;
    size_t size = 0;
    uint64_t calls[WATCH_KINDS];
    struct sim *sim = sim_make();
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool fine = true;
    if (!create_and_replay(observed, how, sim, calls, why, sizeof why)) {
        findings->crashed = findings->crashed || scenario_has_ended(observed, why, sizeof why);
        findings_pass_over(findings, CLAUSES, why);
    } else {
        fine = judge_states(how, sim, false, counts, out);
        print_scenario(how, "CRE-06", out);
    }
    fclose(out);
    sim_free(sim);
    if (!fine) {
        findings_break(findings, "CRE-06", story);
    } else if (why[0] == '\0') {
        findings_keep(findings, "CRE-06");
        fine = judge_faults(observed, how, calls, fault_count, counts, findings);
    }
    free(story);
    return fine;
}

void creation_judge(struct observed *observed, uint64_t *fault_count, struct crash_counts *counts,
                    struct findings *findings)
{
    static const struct crash_creation creations[] = {
        {.layout = ADDCOW_R20, .has_backing = true},
        {.layout = ADDCOW_R20, .has_backing = false},
        {.layout = ADDCOW_R9, .has_backing = true},
    };
    char why[2048];
    observed_start(observed, &(struct observed_manner){.records = true, .reads = true});
    const struct protocol_abilities *abilities = adapter_exec_abilities(observed->adapter);
    bool fine = abilities != NULL && observed->adapter->ops->create != NULL && abilities->level >= PROTOCOL_WRITER;
    if (scenario_has_ended(observed, why, sizeof why)) {
        findings->crashed = true;
        findings_pass_over(findings, CLAUSES, why);
    } else if (!fine) {
        findings_pass_over(findings, CLAUSES, "the adapter does not declare create, or is no writer");
    }
    for (size_t i = 0; fine && i < sizeof creations / sizeof creations[0]; i++) {
        bool declared = creations[i].layout == ADDCOW_R9 ? abilities->r9 : abilities->r20;
        fine = !declared || judge_creation(observed, &creations[i], fault_count, counts, findings);
    }
    observed_stop(observed);
}
