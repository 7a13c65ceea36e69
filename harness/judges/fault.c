/*
 * The fault judge.
 *
 * The trace is executed once without a fault, and then once for each call and each way in which it can fail. Each time
 * fault_contents.h says what the disk may hold. To see what is durable, the judge crashes the disk so that only synced
 * data is left.
 */
#include "judges/fault.h"

#include "judges/crash_sequence.h"
#include "judges/fault_contents.h"
#include "judges/recovery.h"
#include "workload/disk_files.h"
#include "storage/fault_injection.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/adapter_scheduled.h"
#include "adapters/perform.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct judge {
    const struct trace *trace;
    struct sim *sim;
    struct sim *crashed;
    struct adapter *adapter;
    struct fault_injection fault;
    bool differs;            /* a request has failed that succeeds without the fault */
    bool size_differs;       /* a resize has failed: later requests may be in range or not */
    bool unclean;            /* a close has failed, or the process has died */
    bool durability_unknown; /* a sync has failed and the disk was closed: no later sync covers it */
    struct fault_contents contents;
    struct fault_counts *counts;
    FILE *out;
};

const char *fault_problem(const struct trace *trace)
{
    return trace->threads > 1 ? "several threads" : trace->count > FAULT_OPERATIONS_MAX ? "a long trace" : NULL;
}

/*
 * Notes that a close has failed: all that was not flushed before may be lost. What a failed sync should have made
 * durable, no later sync covers, even if it can be read.
 */
static void note_loss(struct judge *judge)
{
    fault_contents_lose(&judge->contents);
    judge->durability_unknown = judge->durability_unknown || (judge->fault.call == SIM_SYNC && !judge->fault.kills);
    judge->unclean = judge->differs = true;
}

/* ---- The disk at a moment ---- */

/* Judges the disk in `sim` with the reference engine. `live`, if not null, is what it must read as. */
static bool judge_storage(const struct judge *judge, const struct sim *sim, const uint8_t *live, const char *when,
                          const char *clause)
{
    struct sim_disk disk;
    char problem[128];
    if (!sim_disk_open(sim, &disk, problem, sizeof problem)) {
        fprintf(judge->out, "%s: the reference engine refuses the disk: %s (%s)\n", when, problem, clause);
        return false;
    }
    uint64_t size = disk.ref.size;
    /*
     * An operation that ended after it had truncated the image has left bits past the end. The next growth clears them.
     */
    bool stray = sim == judge->sim && !judge->unclean && sim_disk_has_stray_bits(&disk);
    uint8_t *bytes = report_allocate(size, 1);
    addcow_ref_read(&disk.ref, 0, size, bytes);
    sim_disk_close(&disk);
    bool fine = size == judge->contents.size;
    if (!fine) {
        fprintf(judge->out, "%s: the disk has %" PRIu64 " bytes instead of %" PRIu64 " (RSZ-07, VRT-01)\n", when, size,
                judge->contents.size);
    }
    if (fine && stray) {
        fprintf(judge->out, "%s: bits past the last cluster are set (BMP-05)\n", when);
        fine = false;
    }
    fine = fine && fault_contents_judge(&judge->contents, bytes, when, clause, judge->out);
    if (fine && live != NULL && memcmp(bytes, live, (size_t)size) != 0) {
        fprintf(judge->out, "%s: the disk differs from what was read (%s)\n", when, clause);
        fine = false;
    }
    free(bytes);
    return fine;
}

/* Judges the crash after which the disk has only the synced data: the first of all choices. */
static bool judge_durable(const struct judge *judge, const uint8_t *live)
{
    struct choices choices = {0};
    if (judge->durability_unknown) {
        return true;
    }
    struct sim_crash_options options = sim_disk_crash_options(&judge->trace->disk);
    sim_crash(judge->sim, sim_moment(judge->sim), &options, &choices, judge->crashed);
    return judge_storage(judge, judge->crashed, live, "what is durable after a flush that succeeded", "DUR-01, DUR-06");
}

/* ---- Doing a trace ---- */

static bool has_class(const struct judge *judge, enum addcow_status code)
{
    return code == ADDCOW_OK || fault_injection_explains(&judge->fault, code);
}

/* Judges what an error of the fault says: the errno of the call, and its file. A dead process has nobody to tell. */
static bool judge_reason(const struct judge *judge, const char *what, const struct addcow_error *error)
{
    char name[SIM_NAME_BYTES + 3];
    snprintf(name, sizeof name, "%s: ", judge->fault.name);
    int errnum = judge->fault.kind == FAULT_ENOSPC ? ENOSPC : EIO;
    if (judge->fault.kills || (error->errnum == errnum && strstr(error->message, name) != NULL)) {
        return true;
    }
    fprintf(judge->out, "%s has an error of another call, with the number %d instead of %d (ERR-01)\n  %s\n", what,
            error->errnum, errnum, error->message);
    return false;
}

/*
 * Judges a status. A request that is refused without a fault too, like a commit onto a short file, may be refused.
 */
static bool judge_status(const struct judge *judge, const char *what, enum addcow_status code, enum addcow_status usual,
                         const struct addcow_error *error)
{
    judge->counts->failures += code != ADDCOW_OK;
    if (usual == ADDCOW_OK && code != ADDCOW_OK && !judge->size_differs && has_class(judge, code)) {
        return judge_reason(judge, what, error);
    }
    if (judge->size_differs || code == usual || (usual != ADDCOW_OK && code != ADDCOW_OK)) {
        return true;
    }
    fprintf(judge->out, "%s gives %s (ERR-01, ERR-03, ERR-04, ERR-05)\n", what, addcow_status_name(code));
    if (code != ADDCOW_OK) {
        fprintf(judge->out, "  %s\n", error->message);
    }
    return false;
}

/* Judges a flush. It must not succeed after a failed sync of the image, and it makes everything durable. */
static bool judge_flush(struct judge *judge, const char *what, enum addcow_status code)
{
    if (code != ADDCOW_OK) {
        return true;
    }
    if (judge->fault.image_lost) {
        fprintf(judge->out, "%s succeeds although a sync of the image has failed (DUR-07)\n", what);
        return false;
    }
    fault_contents_flush(&judge->contents);
    return judge_durable(judge, NULL);
}

/* Judges a close. One that fails has closed all the same; one that succeeds has flushed. */
static bool judge_close(struct judge *judge, enum addcow_status code, const struct addcow_error *error)
{
    bool known = judge->fault.image_lost && code != ADDCOW_OK; /* it fails, for the reason that flushes have */
    if (known ? !judge_reason(judge, "close", error)
              : !judge->fault.image_lost && !judge_status(judge, "close", code, ADDCOW_OK, error)) {
        return false;
    }
    if (sim_open_files(judge->sim) != 0) {
        fputs("close leaves files open\n", judge->out);
        return false;
    }
    return judge_flush(judge, "close", code);
}

/* After a commit that has succeeded nothing is allocated (CMT-01). */
static bool judge_committed(const struct judge *judge)
{
    struct sim_disk disk;
    char problem[128];
    bool opened = sim_disk_open(judge->sim, &disk, problem, sizeof problem);
    bool clear = opened && !disk.ref.all_allocated;
    for (uint64_t i = 0; clear && i < addcow_bitmap_bytes(disk.ref.size, disk.ref.cluster_size); i++) {
        clear = disk.ref.bitmap[i] == 0;
    }
    if (opened) {
        sim_disk_close(&disk);
    }
    if (!clear) {
        fputs("a commit that succeeds leaves clusters allocated (CMT-01)\n", judge->out);
    }
    return clear;
}

/* Judges an open that failed, begun at `moment`. */
static bool judge_failed_open(const struct judge *judge, enum addcow_status code, uint64_t moment,
                              const struct addcow_error *error)
{
    bool fine = judge_status(judge, "open", code, ADDCOW_OK, error);
    if (fine && sim_open_files(judge->sim) != 0) {
        fputs("an open that fails leaves files open\n", judge->out);
        fine = false;
    }
    if (fine && sim_is_changed(judge->sim, moment)) {
        fputs("an open that fails changes files (ERR-06)\n", judge->out);
        fine = false;
    }
    return fine;
}

static enum addcow_status open_disk(struct judge *judge, struct addcow_error *error)
{
    judge->fault.image_lost = false; /* an opening knows nothing of the failures of the one before */
    return judge->adapter->ops->open(judge->adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, error);
}

/* Closes and opens again; if the open fails because of the fault, once more without it. */
static bool do_reopen(struct judge *judge)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = judge->adapter->ops->close(judge->adapter, &error);
    if (!judge_close(judge, code, &error)) {
        return false;
    }
    if (code != ADDCOW_OK) {
        note_loss(judge);
    }
    uint64_t moment = sim_moment(judge->sim);
    code = open_disk(judge, &error);
    if (code == ADDCOW_OK) {
        return true;
    }
    if (!judge_failed_open(judge, code, moment, &error)) {
        return false;
    }
    sim_set_hook(judge->sim, NULL, NULL);
    code = open_disk(judge, &error);
    if (code != ADDCOW_OK) {
        fprintf(judge->out, "an open after the fault gives %s: %s (ERR-03)\n", addcow_status_name(code), error.message);
    }
    return code == ADDCOW_OK;
}

/* After a process has died in an operation, another one opens the disk. */
static bool reopen_after_death(struct judge *judge, const struct trace_operation *operation)
{
    if (!do_reopen(judge)) {
        return false;
    }
    if (crash_has_resized(judge->adapter, operation)) {
        fault_contents_resize(&judge->contents, operation->offset);
    }
    return true;
}

static bool do_operation(struct judge *judge, uint32_t index, enum addcow_status *usual)
{
    const struct trace_operation *operation = &judge->trace->operations[index];
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = crash_perform(judge->adapter, operation, index, &error);
    if (judge->fault.at == 0) {
        *usual = code;
    }
    if (code != ADDCOW_RANGE) { /* a request that is refused does nothing (REQ-01) */
        fault_contents_operation(&judge->contents, index, code == ADDCOW_OK);
    }
    judge->size_differs = judge->size_differs || (operation->kind == OPERATION_RESIZE && code != *usual);
    /* Whether a commit is refused depends on what is allocated. */
    bool depends = operation->kind == OPERATION_COMMIT && judge->differs;
    judge->differs = judge->differs || code != *usual;
    if (judge->adapter->ops->size(judge->adapter) != judge->contents.size) {
        fprintf(judge->out,
                "operation %" PRIu32 " gives %s, but the disk does not have the size that follows (RSZ-07)\n", index,
                addcow_status_name(code));
        return false;
    }
    if (operation->kind == OPERATION_COMMIT && code == ADDCOW_OK && !judge_committed(judge)) {
        return false;
    }
    return (depends || judge_status(judge, trace_kind_name(operation->kind), code, *usual, &error)) &&
           (operation->kind != OPERATION_FLUSH || judge_flush(judge, "flush", code));
}

static void note_write(void *context, uint64_t offset, uint64_t length, const uint8_t *bytes)
{
    (void)bytes;
    fault_contents_change(context, offset, offset + length, FAULT_AFTER, true);
}

static bool write_after(struct judge *judge)
{
    uint64_t cluster = addcow_cluster_size(judge->trace->disk.cluster_bits);
    const struct stamp stamp = {STAMP_WRITE, FAULT_AFTER};
    return recovery_write(judge->adapter, judge->contents.size, cluster, stamp, note_write, &judge->contents,
                          judge->out);
}

/* Reads all of the disk; null, with a message, if that fails. The caller frees. */
static uint8_t *read_all(struct judge *judge)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t *bytes = report_allocate(judge->contents.size, 1);
    enum addcow_status code = adapter_read(judge->adapter, 0, judge->contents.size, bytes, &error);
    if (code != ADDCOW_OK) {
        fprintf(judge->out, "a read after the fault gives %s: %s (ERR-03)\n", addcow_status_name(code), error.message);
    } else if (fault_contents_judge(&judge->contents, bytes, "after the fault", "ERR-02", judge->out)) {
        return bytes;
    }
    free(bytes);
    return NULL;
}

/* After a flush everything that the disk reads as is durable, unless a sync of the image has failed. */
static bool judge_read_and_flush(struct judge *judge)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t *bytes = read_all(judge);
    if (bytes == NULL) {
        return false;
    }
    enum addcow_status code = adapter_flush(judge->adapter, &error);
    bool fine = judge_flush(judge, "a flush after the fault", code);
    if (fine && code != ADDCOW_OK && !judge->fault.image_lost) {
        fprintf(judge->out, "a flush after the fault gives %s: %s (DUR-06, ERR-03)\n", addcow_status_name(code),
                error.message);
        fine = false;
    }
    fine = fine && (code != ADDCOW_OK || judge_durable(judge, bytes));
    free(bytes);
    return fine;
}

/* The fault is gone: the disk must be readable, writable and durable, before and after some writes. */
static bool judge_usable(struct judge *judge)
{
    return judge_read_and_flush(judge) && write_after(judge) && judge_read_and_flush(judge);
}

static bool do_operations(struct judge *judge, enum addcow_status *usual)
{
    for (uint32_t i = 0; i < judge->trace->count; i++) {
        const struct trace_operation *operation = &judge->trace->operations[i];
        bool was_hit = fault_injection_was_hit(&judge->fault);
        if (!(operation->kind == TRACE_REOPEN ? do_reopen(judge) : do_operation(judge, i, &usual[i]))) {
            return false;
        }
        bool died = judge->fault.kills && fault_injection_was_hit(&judge->fault) && !was_hit;
        if (died && operation->kind != TRACE_REOPEN && !reopen_after_death(judge, operation)) {
            return false;
        }
    }
    return true;
}

static bool close_disk(struct judge *judge)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = judge->adapter->ops->close(judge->adapter, &error);
    return judge_close(judge, code, &error) &&
           (code != ADDCOW_OK || judge_storage(judge, judge->sim, NULL, "after close", "DUR-10"));
}

/* The disk is open. Executes the trace with the fault, and closes. */
static bool do_trace(struct judge *judge, enum addcow_status *usual)
{
    if (!do_operations(judge, usual)) {
        return false;
    }
    if (!fault_injection_was_hit(&judge->fault) && !judge->fault.kills) {
        return close_disk(judge); /* which the fault hits, if there is one */
    }
    /* A process that has not died so far dies in the close. */
    if (!fault_injection_was_hit(&judge->fault) && !do_reopen(judge)) {
        return false;
    }
    sim_set_hook(judge->sim, NULL, NULL);
    return judge_usable(judge) && close_disk(judge);
}

/* Executes the trace with judge->fault. The execution without a fault fills the `usual` statuses. */
static bool run_once(struct judge *judge, enum addcow_status *usual)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    sim_restore(judge->sim);
    sim_set_hook(judge->sim, fault_injection_hook, &judge->fault);
    fault_contents_begin(&judge->contents);
    judge->size_differs = judge->differs = judge->unclean = judge->durability_unknown = false;
    judge->counts->runs++;
    enum addcow_status code = open_disk(judge, &error);
    bool fine = code == ADDCOW_OK ? do_trace(judge, usual) : judge_failed_open(judge, code, 0, &error);
    sim_set_hook(judge->sim, NULL, NULL);
    return fine;
}

static bool judge_fault(struct judge *judge, const struct fault_injection *fault, uint64_t calls,
                        enum addcow_status *usual)
{
    judge->fault = *fault;
    bool fine = run_once(judge, usual);
    if (!fine) {
        fputs("  (the fault: ", judge->out);
        fault_injection_print(&judge->fault, judge->out);
        fprintf(judge->out, "; there are %" PRIu64 " calls)\n", calls);
    }
    return fine;
}

static bool judge_faults(struct judge *judge)
{
    enum addcow_status usual[FAULT_OPERATIONS_MAX];
    judge->fault = (struct fault_injection){0};
    if (!run_once(judge, usual)) {
        return false;
    }
    uint64_t calls = judge->fault.calls;
    for (uint64_t at = 1; at <= calls; at++) {
        if (!judge_fault(judge, &(struct fault_injection){.kills = true, .at = at}, calls, usual)) {
            return false;
        }
        for (uint32_t variant = 0; variant < 2 * FAULT_KINDS; variant++) {
            struct fault_injection fault = {
                .kind = (enum fault_kind)(variant / 2), .persistent = variant % 2 == 1, .at = at};
            if (fault.kind == FAULT_EINTR && fault.persistent) {
                continue; /* an endless interruption would hang */
            }
            if (!judge_fault(judge, &fault, calls, usual)) {
                return false;
            }
        }
    }
    return true;
}

static void read_start(struct judge *judge)
{
    struct fault_contents *contents = &judge->contents;
    uint64_t room = trace_capacity(judge->trace); /* zeros behind the end */
    char problem[128];
    if (!sim_disk_read(judge->sim, room, &contents->start, &contents->start_size, problem, sizeof problem)) {
        report_fatal("the disk of a fault judge: %s", problem);
    }
}

bool fault_trace(const struct trace *trace, struct fault_counts *counts, FILE *out)
{
    struct judge *judge = report_allocate(1, sizeof *judge);
    assert(fault_problem(trace) == NULL);
    judge->trace = judge->contents.trace = trace;
    judge->counts = counts;
    judge->out = out;
    judge->sim = sim_make();
    judge->crashed = sim_make();
    sim_disk_make(judge->sim, &trace->disk);
    read_start(judge);
    judge->adapter = sched_adapter_make_fast(sim_storage(judge->sim));
    counts->traces++;
    bool fine = judge_faults(judge);
    if (!fine) {
        trace_print(out, trace);
    }
    judge->adapter->ops->destroy(judge->adapter);
    sim_free(judge->crashed);
    sim_free(judge->sim);
    free(judge->contents.start);
    free(judge);
    return fine;
}
