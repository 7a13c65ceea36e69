/*
 * The judge of faults: which calls fail, and how, and the run of a scenario with one fault.
 *
 * One process serves many runs; each begins with new files. After the last operation the fault is gone, and the disk
 * must be usable. What the disk may hold says fault_contents.h, what is durable the replay of the record
 * (fault_check.h).
 */
#include "observe/faults.h"

#include "adapters/perform.h"
#include "addcow_header.h"
#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "judges/crash_sequence.h"
#include "judges/recovery.h"
#include "observe/fault_check.h"
#include "workload/disk_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLS_MAX 24u /* of one kind in one scenario that fail, spread evenly */

#define COMPATIBLE_AT 32u /* the compatible features in a header of layout r20 */
#define TRANSFERS (1u << WATCH_READ | 1u << WATCH_WRITE)
#define GROWING (1u << WATCH_WRITE | 1u << WATCH_TRUNCATE | 1u << WATCH_ALLOCATE | 1u << WATCH_SYNC)

/* How calls fail. EINTR does not last: a program would rightly try for ever. */
static const struct variant {
    unsigned kinds;
    enum watch_action action;
    int error;
    bool lasting;
} variants[] = {
    {WATCH_EVERY & ~(1u << WATCH_NAMES), WATCH_FAIL, EIO, false},
    {1u << WATCH_READ | 1u << WATCH_WRITE | 1u << WATCH_SYNC, WATCH_FAIL, EIO, true},
    {GROWING, WATCH_FAIL, ENOSPC, false},
    {1u << WATCH_WRITE, WATCH_FAIL, ENOSPC, true},
    {1u << WATCH_WRITE, WATCH_FAIL, EDQUOT, false},
    {TRANSFERS | 1u << WATCH_SYNC | 1u << WATCH_TRUNCATE | 1u << WATCH_ALLOCATE, WATCH_FAIL, EINTR, false},
    {TRANSFERS, WATCH_SHORTEN, 0, false},
    {1u << WATCH_ALLOCATE, WATCH_FAIL, EOPNOTSUPP, true},
    {1u << WATCH_ALLOCATE, WATCH_FAIL, ENOSYS, true},
    {1u << WATCH_ALLOCATE, WATCH_FAIL, EINVAL, false},
    {1u << WATCH_ALLOCATE, WATCH_FAIL, EPERM, false},
};

/* ---- The operations ---- */

/*
 * Judges a flush or a close that succeeded. `before`: whether a sync of the image file had failed before it began; if
 * one has failed since then, it is its own, and `own` are the clauses.
 */
static bool check_flushed(struct fault_check *check, bool before, const char *own, const char *what)
{
    if (check->image_lost) {
        return fault_check_break(check, before ? "DUR-07" : own, "%s succeeds although %s of the image file has failed",
                                 what, before ? "an earlier sync" : "its sync");
    }
    fault_contents_flush(&check->contents);
    fault_contents_flush(&check->lenient);
    return fault_check_durable(check, what);
}

static bool do_operation(struct fault_check *check, uint32_t index)
{
    const struct trace_operation *operation = &check->trace->operations[index];
    struct adapter *adapter = check->observed->adapter;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool before = check->image_lost;
    atomic_store(&check->observed->watch->request, index + 1);
    enum addcow_status code = crash_perform(adapter, operation, index, &error);
    fault_check_note_sync(check);
    if (!fault_check_alive(check)) {
        return false;
    }
    bool depends = check->resize_failed && code == ADDCOW_RANGE; /* a later request may not fit any more */
    if (operation->kind == OPERATION_RESIZE && code != ADDCOW_OK) {
        check->resize_failed = true;
    }
    check->stream_failed = check->stream_failed || (operation->kind == OPERATION_STREAM && code != ADDCOW_OK);
    if (!depends) {
        fault_contents_operation(&check->contents, index, code == ADDCOW_OK);
        fault_contents_operation(&check->lenient, index, false);
        if (operation->kind == OPERATION_RESIZE && code == ADDCOW_OK) {
            fault_contents_operation(&check->lenient, index, true);
        }
    }
    uint64_t size = adapter->ops->size(adapter);
    if (size != check->contents.size) {
        return fault_check_break(
            check, "RSZ-07", "after %s gives %s the disk has %" PRIu64 " bytes instead of %" PRIu64,
            trace_kind_name(operation->kind), addcow_status_name(code), size, check->contents.size);
    }
    return (depends || fault_check_status(check, trace_kind_name(operation->kind), code, &error)) &&
           (operation->kind != OPERATION_FLUSH || code != ADDCOW_OK ||
            check_flushed(check, before, "DUR-06", "a flush"));
}

/* ---- Afterwards ---- */

static void note_write(void *context, uint64_t offset, uint64_t length, const uint8_t *bytes)
{
    struct fault_check *check = context;
    (void)bytes;
    fault_contents_change(&check->contents, offset, offset + length, FAULT_AFTER, true);
    fault_contents_change(&check->lenient, offset, offset + length, FAULT_AFTER, true);
}

static bool write_after(struct fault_check *check)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        report_fatal("no memory");
    }
    bool fine = recovery_write(check->observed->adapter, check->contents.size,
                               addcow_cluster_size(check->trace->disk.cluster_bits),
                               (struct stamp){STAMP_WRITE, FAULT_AFTER}, note_write, check, out);
    fclose(out);
    if (!fine) {
        fault_check_break(check, "ERR-03", "%s", text);
    }
    free(text);
    return fine;
}

/* Reads all of the disk, and flushes it. */
static bool read_and_flush(struct fault_check *check)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = check->observed->adapter;
    uint8_t *bytes = report_allocate(check->contents.size + 1, 1);
    enum addcow_status code = adapter_read(adapter, 0, check->contents.size, bytes, &error);
    bool fine = code == ADDCOW_OK || fault_check_break(check, "ERR-03", "a read after the fault gives %s: %s",
                                                       addcow_status_name(code), error.message);
    fine = fine && fault_check_contents(check, bytes, "after the fault");
    free(bytes);
    if (!fine) {
        return false;
    }
    code = adapter_flush(adapter, &error);
    if (code == ADDCOW_OK) {
        return check_flushed(check, check->image_lost, "DUR-06", "a flush after the fault");
    }
    return check->image_lost || fault_check_break(check, "DUR-06 ERR-03", "a flush after the fault gives %s: %s",
                                                  addcow_status_name(code), error.message);
}

/* Whether a close always succeeds, as far as its caller learns. */
static bool cannot_report_close(const struct fault_check *check)
{
    const struct protocol_abilities *abilities = adapter_exec_abilities(check->observed->adapter);
    return abilities != NULL && (abilities->lacks & 1u << PROTOCOL_CLOSE_ERRORS) != 0;
}

static bool close_disk(struct fault_check *check)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    atomic_store(&check->observed->watch->request, check->trace->count + 1);
    enum addcow_status code = check->observed->adapter->ops->close(check->observed->adapter, &error);
    fault_check_note_sync(check);
    if (!fault_check_alive(check)) {
        return false;
    }
    if (code != ADDCOW_OK) {
        check->close_failed = true;
        return check->image_lost || fault_check_status(check, "close", code, &error);
    }
    if (check->image_lost && cannot_report_close(check)) {
        return fault_check_files(check, "after close");
    }
    return check_flushed(check, false, "DUR-10", "close") && fault_check_files(check, "after close");
}

/* A stream that has failed is done again, and succeeds (STR-03). Then the file says so (STR-02, DUR-06). */
static bool stream_again(struct fault_check *check)
{
    static const struct trace_operation stream = {.kind = OPERATION_STREAM};
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = check->observed->adapter;
    uint8_t *bytes = NULL;
    uint64_t length = 0;
    if (!check->stream_failed || check->image_lost || check->trace->disk.layout == ADDCOW_R9) {
        return true;
    }
    enum addcow_status code = crash_perform(adapter, &stream, check->trace->count, &error);
    if (!fault_check_alive(check)) {
        return false;
    }
    if (code != ADDCOW_OK) {
        return fault_check_break(check, "STR-03", "a stream that has failed gives %s when it is done again: %s",
                                 addcow_status_name(code), error.message);
    }
    bool found = disk_files_load(check->observed->directory, DISK_METADATA, &bytes, &length) &&
                 length > COMPATIBLE_AT && (bytes[COMPATIBLE_AT] & 1) != 0;
    free(bytes);
    return found || fault_check_break(check, "STR-02 DUR-06",
                                      "a stream that has failed succeeds when it is done again, but the file does not "
                                      "say that all is allocated");
}

/* The open has failed: it has changed nothing, and without the fault it succeeds. */
static bool judge_failed_open(struct fault_check *check, enum addcow_status code, struct addcow_error *error)
{
    struct adapter *adapter = check->observed->adapter;
    if (!fault_check_alive(check) || !fault_check_status(check, "open", code, error) ||
        !fault_check_unchanged(check, "an open that fails")) {
        return false;
    }
    watch_disarm(check->observed->watch);
    check->forgotten = true;
    code = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, error);
    if (code != ADDCOW_OK) {
        return fault_check_break(check, "ERR-03", "an open after the fault gives %s: %s", addcow_status_name(code),
                                 error->message);
    }
    return read_and_flush(check) && close_disk(check);
}

/* A close that has failed has closed the disk all the same: it can be opened again. */
static bool open_again(struct fault_check *check)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = check->observed->adapter;
    if (!check->close_failed) {
        return true;
    }
    enum addcow_status code = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error);
    if (!fault_check_alive(check)) {
        return false;
    }
    if (code != ADDCOW_OK) {
        return fault_check_break(check, "ERR-03", "an open after a close that failed gives %s: %s",
                                 addcow_status_name(code), error.message);
    }
    adapter->ops->close(adapter, &error);
    return fault_check_alive(check);
}

/* Runs the scenario with the plan. False if something is wrong. */
static bool run_once(struct fault_check *check, const struct watch_plan *plan)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct adapter *adapter = check->observed->adapter;
    struct watch *watch = check->observed->watch;
    fault_check_begin(check, plan);
    atomic_store(&watch->request, 0);
    watch_arm(watch, plan);
    enum addcow_status code = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error);
    if (code != ADDCOW_OK) {
        return judge_failed_open(check, code, &error);
    }
    bool fine = true;
    for (uint32_t i = 0; fine && i < check->trace->count; i++) {
        fine = do_operation(check, i);
    }
    if (fine && (check->rehearses || atomic_load(&watch->hits) > 0)) {
        watch_disarm(watch);
        fine = read_and_flush(check) && stream_again(check) && write_after(check) && read_and_flush(check);
    }
    fine = fine && close_disk(check); /* the fault may hit it */
    watch_disarm(watch);
    return fine && open_again(check) && fault_check_names(check);
}

/* ---- All faults ---- */

/* Starts a process, and keeps what its run without a fault is. False, with the reason, if it does not succeed. */
static bool run_without_fault(struct fault_check *check, uint64_t calls[WATCH_KINDS], char *why, size_t why_size)
{
    const struct watch_plan none = {.kinds = WATCH_EVERY};
    observed_start(check->observed, &(struct observed_manner){.records = true, .reads = true});
    why[0] = '\0';
    bool fine = run_once(check, &none); /* which counts the calls */
    for (unsigned kind = 0; kind < WATCH_KINDS; kind++) {
        calls[kind] = atomic_load(&check->observed->watch->calls_of[kind]);
    }
    /* What is wrong without a fault must not be blamed on one. */
    check->rehearses = true;
    fine = fine && run_once(check, &none);
    check->rehearses = false;
    char *unseen = watch_unseen_text(check->observed->watch);
    if (!fine) {
        snprintf(why, why_size, "the scenario fails without a fault: %s", check->story);
        check->findings->crashed = check->findings->crashed || check->ended;
    } else if (unseen[0] != '\0') {
        snprintf(why, why_size, "the observer does not see everything: %s", unseen);
    }
    free(unseen);
    return why[0] == '\0';
}

/* Lets calls of one kind fail in one way, one after the other. False if one is handled wrongly. */
static bool judge_variant(struct fault_check *check, const struct variant *variant, enum watch_kind kind,
                          uint64_t calls, uint64_t *faults)
{
    uint64_t steps = calls < CALLS_MAX ? calls : CALLS_MAX;
    for (uint64_t i = 0; i < steps; i++) {
        const struct watch_plan plan = {.at = 1 + i * calls / steps,
                                        .kinds = 1u << kind,
                                        .action = variant->action,
                                        .error = variant->error,
                                        .lasting = variant->lasting};
        ++*faults;
        if (!run_once(check, &plan)) {
            fault_check_report(check);
            return false;
        }
    }
    return true;
}

void faults_judge(struct observed *observed, const struct scenario *scenario, uint64_t *faults,
                  struct findings *findings)
{
    static const char clauses[] = "DUR-06 DUR-07 ERR-01 ERR-02 ERR-03 ERR-04 ERR-05";
    struct fault_check *check = fault_check_make(observed, scenario, findings);
    uint64_t calls[WATCH_KINDS];
    char why[2048];
    bool fine = true;
    if (!fault_check_is_possible(check)) {
        fault_check_free(check);
        return;
    }
    if (chdir(observed->directory) != 0 || !run_without_fault(check, calls, why, sizeof why)) {
        findings_pass_over(findings, clauses, why);
        observed_stop(observed);
        fault_check_free(check);
        return;
    }
    for (size_t i = 0; fine && i < sizeof variants / sizeof variants[0]; i++) {
        for (unsigned kind = 0; fine && kind < WATCH_KINDS; kind++) {
            fine = (variants[i].kinds >> kind & 1) == 0 ||
                   judge_variant(check, &variants[i], (enum watch_kind)kind, calls[kind], faults);
        }
    }
    if (fine) {
        findings_keep(findings, clauses);
        if (strstr(scenario->clauses, "RSZ") != NULL) {
            findings_keep(findings, "RSZ-07");
        }
    }
    observed_stop(observed);
    fault_check_free(check);
}
