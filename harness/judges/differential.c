/*
 * The differential judge.
 *
 * The oracle follows the implementation phase by phase, so the first difference is found where it happens.
 */
#include "judges/differential.h"

#include "workload/disk_files.h"
#include "judges/oracle.h"
#include "adapters/ref_disk.h"
#include "base/report.h"
#include "workload/stamp.h"
#include "judges/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define PATH_BYTES 4096u

/* The answer of the oracle to one operation. */
struct answer {
    enum addcow_status status;
    struct operation_request request; /* with what is answered */
    uint8_t *data;                    /* that it writes, or has read; owned; null unless it has any */
};

static bool in_disk(const struct oracle *oracle, const struct trace_operation *operation)
{
    return operation->offset <= oracle->disk.size && operation->length <= oracle->disk.size - operation->offset;
}

static struct answer ask(struct oracle *oracle, const struct trace_operation *operation, uint32_t index)
{
    enum operation_data data = operation_properties(operation->kind)->data;
    struct answer answer = {.request = {.operation = (enum operation)operation->kind,
                                        .offset = operation->offset,
                                        .length = operation->length}};
    if (operation->kind >= OPERATIONS) {
        return answer;
    }
    if (data != DATA_NONE && !in_disk(oracle, operation)) {
        answer.status = ADDCOW_RANGE;
        return answer;
    }
    if (data != DATA_NONE) {
        answer.data = report_allocate(operation->length, 1);
        answer.request.data = answer.request.buffer = answer.data;
    }
    if (data == DATA_TO_DISK) {
        stamp_fill((struct stamp){STAMP_WRITE, index}, operation->offset, answer.data, (size_t)operation->length);
    }
    answer.status = oracle_perform(oracle, &answer.request);
    return answer;
}

static void print_read(const struct trace_operation *operation, const uint8_t *expected, const uint8_t *got, FILE *out)
{
    size_t first = report_first_difference(expected, got, (size_t)operation->length);
    size_t begin = first - first % SECTOR;
    size_t length = (size_t)(operation->length - begin < SECTOR ? operation->length - begin : SECTOR);
    fprintf(out, "  byte %" PRIu64 " of the disk differs (RD-01)\n", operation->offset + first);
    report_hex_window(out, operation->offset + begin, expected + begin, got + begin, length);
    fputs("  expected:\n", out);
    stamp_print_writers(out, operation->offset + begin, expected + begin, length);
    fputs("  got:\n", out);
    stamp_print_writers(out, operation->offset + begin, got + begin, length);
}

static bool same_answer(const struct answer *answer, const struct execution_record *record,
                        const struct trace_operation *operation)
{
    if (answer->status != record->status) {
        return false;
    }
    if (answer->status != ADDCOW_OK) {
        return true;
    }
    const struct operation_properties *properties = operation_properties(operation->kind);
    if (properties->data == DATA_FROM_DISK) {
        return memcmp(answer->data, record->data, (size_t)operation->length) == 0;
    }
    return !properties->answers_map ||
           (answer->request.allocated == record->allocated && answer->request.map_length == record->map_length);
}

/* Judges one operation of a phase with one thread. */
static bool judge_operation(const struct execution *execution, uint32_t index, struct oracle *oracle, FILE *out)
{
    const struct trace_operation *operation = &execution->trace->operations[index];
    const struct execution_record *record = &execution->records[index];
    struct answer answer = ask(oracle, operation, index);
    bool same = same_answer(&answer, record, operation);
    if (!same) {
        fprintf(out, "operation %" PRIu32 " (", index);
        trace_print_operation(out, operation);
        fprintf(out, "): expected %s", addcow_status_name(answer.status));
        if (operation->kind == OPERATION_MAP) {
            fprintf(out, ", %sallocated for %" PRIu64, answer.request.allocated ? "" : "un", answer.request.map_length);
        }
        fprintf(out, "; got %s", addcow_status_name(record->status));
        if (operation->kind == OPERATION_MAP) {
            fprintf(out, ", %sallocated for %" PRIu64, record->allocated ? "" : "un", record->map_length);
        }
        fprintf(out, " %s\n", record->message);
        if (operation->kind == OPERATION_READ && answer.status == ADDCOW_OK && record->status == ADDCOW_OK) {
            print_read(operation, answer.data, record->data, out);
        }
    }
    free(answer.data);
    return same;
}

static void count_phase(const struct execution *execution, uint32_t begin, uint32_t end,
                        struct differential_counts *counts)
{
    for (uint32_t i = begin; i < end; i++) {
        const struct trace_operation *operation = &execution->trace->operations[i];
        counts->operations++;
        if (operation->kind == OPERATION_READ && execution->records[i].status == ADDCOW_OK) {
            counts->sectors += (operation->length + SECTOR - 1) / SECTOR;
        }
    }
}

static bool judge_phases(struct execution *execution, struct oracle *oracle, const char *directory,
                         struct differential_counts *counts, FILE *out)
{
    const struct trace *trace = execution->trace;
    uint32_t begin = 0;
    while (begin < trace->count) {
        uint32_t end = trace_phase_end(trace, begin);
        execution_phase(execution, begin, end);
        execution_note(execution, true);
        count_phase(execution, begin, end, counts);
        if (trace_phase_is_concurrent(trace, begin, end)) {
            if (!history_judge(execution, begin, end, oracle, directory, &counts->history, out)) {
                return false;
            }
            counts->sectors += (oracle->disk.size + SECTOR - 1) / SECTOR;
        }
        for (uint32_t i = begin; i < end && !trace_phase_is_concurrent(trace, begin, end); i++) {
            if (!judge_operation(execution, i, oracle, out)) {
                return false;
            }
        }
        begin = end + 1;
    }
    return true;
}

/* The files must also open, and read the same, for the reference engine. */
static bool judge_by_reference(const struct oracle *oracle, const char *path, FILE *out)
{
    struct ref_disk *disk;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = ref_disk_open(path, false, &disk, &error);
    if (code != ADDCOW_OK) {
        fprintf(out, "the reference engine refuses the files: %s: %s\n", addcow_status_name(code), error.message);
        return false;
    }
    const struct addcow_ref *state = ref_disk_state(disk);
    uint64_t size = oracle->disk.size;
    bool same = state->size == size;
    if (same) {
        uint8_t *expected = report_allocate(size, 1);
        uint8_t *got = report_allocate(size, 1);
        addcow_ref_read(&oracle->disk, 0, size, expected);
        addcow_ref_read(state, 0, size, got);
        same = memcmp(expected, got, (size_t)size) == 0;
        free(expected);
        free(got);
    }
    if (!same) {
        fputs("the reference engine reads another disk from the files\n", out);
    }
    ref_disk_close(disk);
    return same;
}

static bool judge_rest(struct execution *execution, const struct oracle *oracle, struct differential_counts *counts,
                       FILE *out)
{
    struct snapshot snapshot;
    if (!snapshot_take(execution, oracle->disk.size, oracle->disk.cluster_size, &snapshot, out)) {
        return false;
    }
    bool same = snapshot_judge(&snapshot, oracle, out);
    counts->sectors += (snapshot.size + SECTOR - 1) / SECTOR;
    snapshot_free(&snapshot);
    return same;
}

/* After the last phase: the disk at rest, then its files. Closes the disk. */
static bool judge_end(struct execution *execution, const struct oracle *oracle, const char *directory,
                      struct differential_counts *counts, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool same = judge_rest(execution, oracle, counts, out);
    execution_note(execution, false);
    enum addcow_status code = execution->adapter->ops->close(execution->adapter, &error);
    execution_note(execution, true);
    if (code != ADDCOW_OK) {
        fprintf(out, "close gives %s: %s (DUR-10)\n", addcow_status_name(code), error.message);
        return false;
    }
    return same && oracle_judge_files(oracle, directory, out) && judge_by_reference(oracle, execution->path, out);
}

/* Closes the disk after a failure. The result does not matter. */
static void give_up(struct execution *execution)
{
    if (!execution->closed) {
        execution_note(execution, false);
        execution->adapter->ops->close(execution->adapter, NULL);
    }
}

bool differential_judge(const struct trace *trace, struct adapter *adapter, const char *directory,
                        struct execution_watch *watch, struct differential_counts *counts, FILE *out)
{
    char path[PATH_BYTES];
    struct disk_files files;
    struct execution execution;
    struct oracle oracle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert(trace_problem(trace) == NULL);
    snprintf(path, sizeof path, "%s/%s", directory, DISK_METADATA);
    disk_files_make(&trace->disk, &files);
    disk_files_store(&files, directory);
    disk_files_free(&files);
    counts->traces++;
    execution_make(&execution, trace, adapter, path, watch);
    execution_note(&execution, false);
    enum addcow_status code = adapter->ops->open(adapter, path, ADDCOW_OPEN_READWRITE, &error);
    execution_note(&execution, true);
    if (code != ADDCOW_OK) {
        fprintf(out, "open gives %s: %s\n", addcow_status_name(code), error.message);
        execution_free(&execution);
        return false;
    }
    oracle_make(&trace->disk, execution.capacity, &oracle);
    bool conforms = judge_phases(&execution, &oracle, directory, counts, out);
    if (!conforms) {
        give_up(&execution);
    } else {
        conforms = judge_end(&execution, &oracle, directory, counts, out);
    }
    oracle_free(&oracle);
    execution_free(&execution);
    return conforms;
}
