/*
 * The judge of creations.
 *
 * The record of a creation is replayed, and every state after a crash at its end is judged. A name that was not made
 * durable by a sync of the directory may be gone then. What a crash in the middle leaves is not judged: no clause says
 * what that is.
 */
#include "observe/creation.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "judges/crash_create.h"
#include "observe/replay.h"
#include "observe/scenario_run.h"
#include "workload/disk_files.h"

#include <stdlib.h>
#include <string.h>

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

/* Judges every state after a crash at the end of the log. */
static bool judge_states(const struct crash_creation *how, const struct sim *sim, struct crash_counts *counts,
                         FILE *out)
{
    const struct sim_crash_options options = {.uniform = NULL};
    struct sim *crashed = sim_make();
    struct choices choices = {0};
    bool fine;
    do {
        choices.count = 0;
        sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
        counts->states++;
        fine = crash_creation_judge(how, crashed, out);
    } while (fine && choices_next(&choices));
    sim_free(crashed);
    return fine;
}

/* Creates, and replays the record into `sim`. False, with the reason, if that fails or cannot be judged. */
static bool create(struct observed *observed, const struct crash_creation *how, struct sim *sim, char *why,
                   size_t why_size)
{
    const struct addcow_create_options options = crash_creation_options(how);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct record_list list;
    char path[WATCH_PATH_BYTES + 16];
    crash_creation_prepare(how, sim);
    store_files(observed, sim);
    observed_path(observed, DISK_METADATA, path);
    enum addcow_status code = observed->adapter->ops->create(observed->adapter, path, &options, &error);
    char *unseen = watch_unseen_text(observed->watch);
    if (code != ADDCOW_OK || unseen[0] != '\0') {
        snprintf(why, why_size, "%s%s%s", unseen, code != ADDCOW_OK ? "create gives " : "",
                 code != ADDCOW_OK ? addcow_status_name(code) : "");
        free(unseen);
        return false;
    }
    free(unseen);
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

/* Judges one creation. False if it is wrong. */
static bool judge_creation(struct observed *observed, const struct crash_creation *how, struct crash_counts *counts,
                           struct findings *findings)
{
    char why[512] = "", *story = NULL;
    size_t size = 0;
    struct sim *sim = sim_make();
    FILE *out = open_memstream(&story, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool fine = true;
    if (!create(observed, how, sim, why, sizeof why)) {
        findings_pass_over(findings, "CRE-06", why);
    } else {
        fine = judge_states(how, sim, counts, out);
        fprintf(out,
                "scenario create: layout %s, %s backing file; the power fails when create has succeeded (CRE-06)\n",
                how->layout == ADDCOW_R9 ? "r9" : "r20", how->has_backing ? "with a" : "without a");
    }
    fclose(out);
    sim_free(sim);
    if (!fine) {
        findings_break(findings, "CRE-06", story);
    } else if (why[0] == '\0') {
        findings_keep(findings, "CRE-06");
    }
    free(story);
    return fine;
}

void creation_judge(struct observed *observed, struct crash_counts *counts, struct findings *findings)
{
    static const struct crash_creation creations[] = {
        {.layout = ADDCOW_R20, .has_backing = true},
        {.layout = ADDCOW_R20, .has_backing = false},
        {.layout = ADDCOW_R9, .has_backing = true},
    };
    char why[2048];
    observed_start(observed, &(struct observed_manner){.records = true});
    const struct protocol_abilities *abilities = adapter_exec_abilities(observed->adapter);
    if (scenario_has_ended(observed, why, sizeof why)) {
        findings->crashed = true;
        findings_pass_over(findings, "CRE-06", why);
    } else if (observed->adapter->ops->create == NULL) {
        findings_pass_over(findings, "CRE-06", "the adapter does not declare create");
    }
    bool fine = abilities != NULL && observed->adapter->ops->create != NULL;
    for (size_t i = 0; fine && i < sizeof creations / sizeof creations[0]; i++) {
        bool declared = creations[i].layout == ADDCOW_R9 ? abilities->r9 : abilities->r20;
        fine = !declared || judge_creation(observed, &creations[i], counts, findings);
    }
    observed_stop(observed);
}
