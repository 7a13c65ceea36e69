/*
 * The checks of the judge of faults.
 *
 * A wrong byte is blamed on the clause that fits: on ERR-01 if it would be right had the operations that succeeded
 * failed, on ERR-04 if the fault was only an interruption or a short transfer, and on ERR-02 otherwise. A request that
 * fails because the file system refuses to free space breaks DC-01.
 */
#include "observe/fault_check.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "observe/replay.h"
#include "storage/sim_disk.h"
#include "workload/disk_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int error;
    const char *name;
} error_names[] = {
    {EIO, "EIO"},       {ENOSPC, "ENOSPC"}, {EDQUOT, "EDQUOT"}, {EINTR, "EINTR"}, {EOPNOTSUPP, "EOPNOTSUPP"},
    {ENOSYS, "ENOSYS"}, {EINVAL, "EINVAL"}, {EPERM, "EPERM"}};

struct fault_check *fault_check_make(struct observed *observed, const struct scenario *scenario,
                                     struct findings *findings)
{
    struct fault_check *check = report_allocate(1, sizeof *check);
    char problem[128];
    check->observed = observed;
    check->scenario = scenario;
    check->trace = check->contents.trace = check->lenient.trace = &scenario->trace;
    check->findings = findings;
    check->sim = sim_make();
    sim_disk_make(check->sim, &scenario->trace.disk);
    if (!sim_disk_read(check->sim, trace_capacity(&scenario->trace), &check->contents.start,
                       &check->contents.start_size, problem, sizeof problem)) {
        report_fatal("the disk of a scenario: %s", problem);
    }
    check->lenient.start = check->contents.start;
    check->lenient.start_size = check->contents.start_size;
    return check;
}

void fault_check_free(struct fault_check *check)
{
    sim_free(check->sim);
    free(check->contents.start);
    free(check);
}

bool fault_check_is_possible(const struct fault_check *check)
{
    for (uint32_t i = 0; i < check->trace->count; i++) {
        if (check->trace->operations[i].kind == TRACE_REOPEN) {
            return false;
        }
    }
    return true;
}

void fault_check_begin(struct fault_check *check, const struct watch_plan *plan)
{
    check->plan = *plan;
    check->image_lost = check->other_lost = check->forgotten = check->resize_failed = check->stream_failed =
        check->close_failed = check->ended = false;
    check->broken[0] = check->story[0] = '\0';
    fault_contents_begin(&check->contents);
    fault_contents_begin(&check->lenient);
    observed_reset(check->observed, &check->trace->disk);
}

/* ---- Reports ---- */

static void print_fault(const struct fault_check *check, FILE *out)
{
    const struct watch *watch = check->observed->watch;
    const char *name = "a short transfer";
    for (size_t i = 0; check->plan.action == WATCH_FAIL && i < sizeof error_names / sizeof error_names[0]; i++) {
        name = error_names[i].error == check->plan.error ? error_names[i].name : name;
    }
    fprintf(out, "  (the fault: %s at %s number %" PRIu64 ", %s of %s, %s)\n", name,
            watch_kind_name((enum watch_kind)watch->hit_kind), check->plan.at,
            watch->hit_call[0] != '\0' ? watch->hit_call : "not reached", watch->hit_file,
            check->plan.lasting ? "and all like it" : "once");
}

bool fault_check_break(struct fault_check *check, const char *clauses, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->story, sizeof check->story, format, arguments);
    va_end(arguments);
    snprintf(check->broken, sizeof check->broken, "%s", clauses);
    size_t length = strlen(check->story);
    if (length > 0 && check->story[length - 1] == '\n') {
        check->story[length - 1] = '\0';
    }
    return false;
}

void fault_check_report(struct fault_check *check)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    if (strstr(check->story, check->broken) != NULL) {
        fprintf(out, "%s\n", check->story);
    } else {
        fprintf(out, "%s (%s)\n", check->story, check->broken);
    }
    print_fault(check, out);
    fprintf(out, "scenario %s: %s\n", check->scenario->name, check->scenario->story);
    fclose(out);
    findings_break(check->findings, check->broken, text);
    check->findings->crashed = check->findings->crashed || check->ended;
    free(text);
}

/* ---- Statuses ---- */

bool fault_check_alive(struct fault_check *check)
{
    char why[1000];
    check->ended = scenario_has_ended(check->observed, why, sizeof why);
    const char *clause = strstr(why, "hung") != NULL ? "ERR-03" : "ERR-01"; /* a lock that stays held */
    return !check->ended || fault_check_break(check, clause, "%s", why);
}

static bool was_hit(const struct fault_check *check)
{
    return atomic_load(&check->observed->watch->hits) > 0;
}

/* Whether a call is to be repeated or continued (ERR-04). */
static bool is_partial(const struct fault_check *check)
{
    return check->plan.action == WATCH_SHORTEN || check->plan.error == EINTR;
}

/* Whether no request may fail: a call is repeated, continued, or done in another way (DC-01). */
static bool is_harmless(const struct fault_check *check)
{
    bool refused =
        check->observed->watch->hit_kind == WATCH_ALLOCATE && check->plan.error != EIO && check->plan.error != ENOSPC;
    return is_partial(check) || refused;
}

static bool explains(const struct fault_check *check, enum addcow_status code)
{
    bool full = check->plan.error == ENOSPC || check->plan.error == EDQUOT;
    if (!was_hit(check) || is_harmless(check)) {
        return false;
    }
    if (code == ADDCOW_READONLY && check->observed->watch->hit_kind == WATCH_OPEN) {
        return true; /* the file exists and cannot be opened as asked (LNK-06) */
    }
    return code == (full ? ADDCOW_NOSPACE : ADDCOW_IO) ||
           (code == ADDCOW_IO && (check->image_lost || check->other_lost));
}

bool fault_check_status(struct fault_check *check, const char *what, enum addcow_status code,
                        const struct addcow_error *error)
{
    if (code == ADDCOW_OK || explains(check, code)) {
        return true;
    }
    if (error->errnum == EXEC_UNCLASSIFIED && was_hit(check) && !is_harmless(check)) {
        return true; /* a refusal, whose class the adapter does not know */
    }
    const char *clause = !was_hit(check)      ? "ERR-03"
                         : is_partial(check)  ? "ERR-04"
                         : is_harmless(check) ? "DC-01"
                                              : "ERR-05";
    return fault_check_break(check, clause, "%s gives %s: %s", what, addcow_status_name(code), error->message);
}

void fault_check_note_sync(struct fault_check *check)
{
    const struct watch *watch = check->observed->watch;
    bool failed = was_hit(check) && !check->forgotten && watch->hit_kind == WATCH_SYNC &&
                  check->plan.action == WATCH_FAIL && check->plan.error != EINTR;
    bool image = strcmp(watch->hit_file, DISK_IMAGE) == 0;
    check->image_lost = check->image_lost || (failed && image);
    check->other_lost = check->other_lost || (failed && !image);
}

/* ---- Contents ---- */

/* The clause that wrong bytes break. */
static const char *blame(const struct fault_check *check, const uint8_t *bytes)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool explained = fault_contents_judge(&check->lenient, bytes, "", "", out);
    fclose(out);
    free(text);
    return is_partial(check) ? "ERR-04" : explained || is_harmless(check) ? "ERR-01" : "ERR-02";
}

/* Judges bytes of a disk that has `size` bytes. `clauses`: those that are broken; null: by what fits. */
static bool check_bytes(struct fault_check *check, const uint8_t *bytes, uint64_t size, const char *when,
                        const char *clauses)
{
    char *text = NULL;
    size_t text_size = 0;
    if (size != check->contents.size) {
        return fault_check_break(check, "RSZ-07", "%s: the disk has %" PRIu64 " bytes instead of %" PRIu64, when, size,
                                 check->contents.size);
    }
    clauses = clauses != NULL ? clauses : blame(check, bytes);
    FILE *out = open_memstream(&text, &text_size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool fine = fault_contents_judge(&check->contents, bytes, when, clauses, out);
    fclose(out);
    if (!fine) {
        fault_check_break(check, clauses, "%s", text);
    }
    free(text);
    return fine;
}

bool fault_check_contents(struct fault_check *check, const uint8_t *bytes, const char *when)
{
    return check_bytes(check, bytes, check->contents.size, when, NULL);
}

/* Judges the disk in a storage. */
static bool check_storage(struct fault_check *check, const struct sim *sim, const char *when, const char *clauses)
{
    char problem[128];
    uint8_t *bytes;
    uint64_t size;
    if (!sim_disk_read(sim, 0, &bytes, &size, problem, sizeof problem)) {
        return fault_check_break(check, clauses != NULL ? clauses : "ERR-02",
                                 "%s: the reference engine refuses the disk: %s", when, problem);
    }
    bool fine = check_bytes(check, bytes, size, when, clauses);
    free(bytes);
    return fine;
}

/* Replays the record into `sim`, which becomes the start first. */
static bool replay(struct fault_check *check, struct sim *sim)
{
    struct record_list list = {.count = 0};
    char path[WATCH_PATH_BYTES + 16], why[512] = "the record cannot be read";
    snprintf(path, sizeof path, "%s/record", check->observed->root);
    bool good = records_load(path, &list);
    uint64_t *moments = report_allocate(list.count + 1, sizeof *moments);
    sim_disk_make(sim, &check->trace->disk);
    good = good && replay_records(&list, sim, moments, why, sizeof why);
    free(moments);
    records_free(&list);
    return good || fault_check_break(check, "ERR-01", "%s", why);
}

bool fault_check_durable(struct fault_check *check, const char *what)
{
    char when[128];
    struct sim *sim = sim_make();
    struct sim *crashed = sim_make();
    struct choices choices = {0};
    struct sim_crash_options options = sim_disk_crash_options(&check->trace->disk);
    bool bits = strcmp(check->observed->watch->hit_file, DISK_METADATA) == 0;
    const char *clauses = !was_hit(check)     ? "DUR-01"
                          : check->other_lost ? "DUR-06"
                          : is_partial(check) ? "ERR-04"
                          : bits              ? "DUR-06 ERR-01" /* they were not written again */
                                              : "ERR-01";
    snprintf(when, sizeof when, "what is durable after %s that succeeds", what);
    bool fine = replay(check, sim);
    if (fine) {
        sim_crash(sim, sim_moment(sim), &options, &choices, crashed);
        fine = check_storage(check, crashed, when, clauses);
    }
    sim_free(crashed);
    sim_free(sim);
    return fine;
}

/* No bit past the last cluster is set. */
static bool check_stray_bits(struct fault_check *check, const struct sim *sim, const char *when)
{
    struct sim_disk disk;
    char problem[128];
    bool stray = false;
    if (sim_disk_open(sim, &disk, problem, sizeof problem)) {
        stray = sim_disk_has_stray_bits(&disk);
        sim_disk_close(&disk);
    }
    return !stray || fault_check_break(check, "BMP-05", "%s: bits past the last cluster are set", when);
}

bool fault_check_files(struct fault_check *check, const char *when)
{
    struct sim *sim = sim_make();
    const char *name;
    bool good = true;
    for (uint32_t i = 0; good && (name = sim_name(check->sim, i)) != NULL; i++) {
        uint8_t *bytes = NULL;
        uint64_t length;
        good = disk_files_load(check->observed->directory, name, &bytes, &length);
        if (good) {
            sim_put(sim, name, bytes, length);
        } else {
            fault_check_break(check, "ERR-02", "%s: %s is gone", when, name);
        }
        free(bytes);
    }
    good = good && check_storage(check, sim, when, NULL) && check_stray_bits(check, sim, when);
    sim_free(sim);
    return good;
}

bool fault_check_unchanged(struct fault_check *check, const char *what)
{
    char why[256];
    return replay_agrees(check->sim, check->observed->directory, why, sizeof why) ||
           fault_check_break(check, "ERR-06", "%s changes files: %s", what, why);
}

bool fault_check_names(struct fault_check *check)
{
    DIR *list = opendir(check->observed->directory);
    bool fine = true;
    for (struct dirent *entry; fine && list != NULL && (entry = readdir(list)) != NULL;) {
        uint64_t length;
        bool known = entry->d_name[0] == '.' || sim_bytes(check->sim, entry->d_name, &length) != NULL;
        fine = known || fault_check_break(check, "ERR-02", "the file %s is left behind", entry->d_name);
    }
    if (list != NULL) {
        closedir(list);
    }
    return fine;
}
