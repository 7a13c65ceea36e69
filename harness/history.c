/*
 * The judge of a phase in which several threads work on one disk.
 *
 * Steps, in the order of the functions below:
 *
 *   1. Statuses. Without a resize they are known, but for requests that the storage has failed: these did to each sector
 *      of their range what they were asked to or nothing (ERR-02), and otherwise nothing but allocate (RSZ-07, STR-03,
 *      CMT-03). With one, requests that only fit the larger disk may succeed or not,
 *      and what they did bounds the moment at which the disk changed its size; that moment bounds in turn when those
 *      requests took effect.
 *   2. Clusters. Each map, and the statuses at rest afterwards, must have been true at some moment.
 *   3. Registers. The disk is cut at sectors and at the ends of requests, so that each request covers a register whole
 *      or not at all. A commit reads every register into the backing file; the content at rest is read by nobody after
 *      everything.
 *   4. Replay. The oracle resizes, writes in witness order, commits in between, streams; then everything must be equal.
 */
#include "history.h"

#include "files.h"
#include "register.h"
#include "report.h"
#include "stamp.h"
#include "view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define NONE UINT32_MAX
#define AT_REST (UINT64_MAX - 1) /* the moment of the view; UINT64_MAX: never */

/* A request that succeeded, on bytes [begin, end), which are not none. */
struct access {
    uint32_t operation;
    uint64_t begin;
    uint64_t end;
    uint64_t invoked; /* the request took effect between these two */
    uint64_t returned;
    bool is_write;
    bool may_be_lost; /* a write that failed */
};

/* A write's part on one register, in witness order. */
struct fragment {
    uint64_t begin;
    uint64_t end;
    uint32_t operation; /* NONE: nobody knows; the content at rest */
    bool after_commit;
};

struct history {
    const struct run *run;
    const struct trace *trace;
    struct oracle *oracle;
    const char *directory; /* of the files */
    FILE *out;
    uint32_t begin;
    uint32_t end;
    uint64_t old_size;
    uint64_t new_size;
    uint64_t larger_size;
    uint32_t resize;      /* the operation that changes the size; NONE: none does */
    uint64_t resize_low;  /* the disk changes its size after this moment, */
    uint64_t resize_high; /* and before this one */
    uint32_t commit;      /* a commit that succeeded, or NONE */
    uint32_t stream;      /* a stream that succeeded, or NONE; the first of several */
    bool commit_failed;   /* a commit did, and may have changed the backing file under allocated clusters */
    struct access *accesses;
    uint32_t access_count;
    uint8_t *initial;   /* larger_size bytes: virt at the start, zeros behind it */
    uint8_t *committed; /* after a commit: old_size bytes, the backing file's contents and zeros behind them */
    struct view view;
    struct fragment *fragments;
    size_t fragment_count;
    size_t fragment_room;
};

static const struct run_record *record_of(const struct history *history, uint32_t operation)
{
    return &history->run->records[operation];
}

/* Whether the storage failed, and an operation with it. */
static bool has_failed(const struct history *history, uint32_t operation)
{
    enum addcow_class status = record_of(history, operation)->status;
    return status != ADDCOW_OK && (history->run->failures >> status & 1) != 0;
}

/* ---- What can be judged ---- */

const char *history_problem(const struct trace *trace, uint32_t begin, uint32_t end)
{
    uint32_t exclusive = 0;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t kind = trace->operations[i].kind;
        if (kind == TRACE_REOPEN) {
            return "a reopen beside other threads";
        }
        exclusive += kind == TRACE_RESIZE || kind == TRACE_COMMIT;
    }
    return exclusive > 1 ? "more than one resize or commit beside other threads" : NULL;
}

void history_make_judgeable(struct trace *trace)
{
    uint32_t begin = 0;
    while (begin < trace->count) {
        uint32_t end = trace_phase_end(trace, begin);
        if (trace_phase_is_concurrent(trace, begin, end) && history_problem(trace, begin, end) != NULL) {
            for (uint32_t i = begin; i < end; i++) {
                trace->operations[i].thread = trace->operations[begin].thread;
            }
        }
        begin = end + 1;
    }
}

/* ---- Messages ---- */

static bool wrong_status(const struct history *history, uint32_t operation, const char *expected)
{
    const struct run_record *record = record_of(history, operation);
    fprintf(history->out, "operation %" PRIu32 " (", operation);
    trace_print_operation(history->out, &history->trace->operations[operation]);
    fprintf(history->out, ") gives %s instead of %s %s\n", addcow_class_name(record->status), expected,
            record->message);
    return false;
}

/* ---- 1. Statuses ---- */

/* REQ-01 */
static bool fits(const struct trace_operation *operation, uint64_t size)
{
    return operation->offset <= size && operation->length <= size - operation->offset;
}

/* A request fitted only the larger disk: what came of it bounds the moment of the resize. */
static bool bound_resize(struct history *history, uint32_t operation)
{
    const struct run_record *record = record_of(history, operation);
    bool grows = history->new_size > history->old_size;
    if (record->status != ADDCOW_OK && record->status != ADDCOW_RANGE) {
        return wrong_status(history, operation, "ok or range");
    }
    if ((record->status == ADDCOW_OK) == grows) { /* the disk had changed when the request took effect... */
        if (record->returned < history->resize_high) {
            history->resize_high = record->returned;
        }
    } else if (record->invoked > history->resize_low) { /* ...or it had not yet */
        history->resize_low = record->invoked;
    }
    return true;
}

/* The status of a request on a range. */
static bool judge_range_status(struct history *history, uint32_t operation)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    uint64_t smaller = history->old_size < history->new_size ? history->old_size : history->new_size;
    if (has_failed(history, operation) && fits(request, history->larger_size)) {
        return true;
    }
    if (!fits(request, smaller) && fits(request, history->larger_size)) {
        return bound_resize(history, operation);
    }
    enum addcow_class expected = fits(request, smaller) ? ADDCOW_OK : ADDCOW_RANGE;
    if (record_of(history, operation)->status != expected) {
        return wrong_status(history, operation, addcow_class_name(expected));
    }
    return true;
}

static bool judge_statuses(struct history *history)
{
    for (uint32_t i = history->begin; i < history->end; i++) {
        uint32_t kind = history->trace->operations[i].kind;
        enum addcow_class status = record_of(history, i)->status;
        if (trace_kind_has_length(kind)) {
            if (!judge_range_status(history, i)) {
                return false;
            }
        } else if (kind == TRACE_RESIZE && history->trace->operations[i].offset > ADDCOW_SIZE_MAX) {
            if (status != ADDCOW_RANGE) {
                return wrong_status(history, i, "range (RSZ-09)");
            }
        } else if (kind != TRACE_COMMIT && status != ADDCOW_OK && !has_failed(history, i)) {
            return wrong_status(history, i, "ok");
        }
    }
    if (history->resize_low >= history->resize_high) {
        fprintf(history->out, "some requests saw the disk resized while later ones saw it as before (CON-09)\n");
        return false;
    }
    return true;
}

/* Finds the operations on the whole disk, and what the sizes are. */
static void find_whole_disk_operations(struct history *history)
{
    history->old_size = history->new_size = history->oracle->disk.size;
    history->resize = history->commit = history->stream = NONE;
    history->resize_low = 0;
    history->resize_high = UINT64_MAX;
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct trace_operation *operation = &history->trace->operations[i];
        const struct run_record *record = record_of(history, i);
        if (has_failed(history, i)) {
            history->commit_failed = history->commit_failed || operation->kind == TRACE_COMMIT;
        } else if (operation->kind == TRACE_RESIZE && operation->offset <= ADDCOW_SIZE_MAX) {
            history->resize = i;
            history->new_size = operation->offset;
            history->resize_low = record->invoked;
            history->resize_high = record->returned;
        } else if (operation->kind == TRACE_COMMIT && record->status == ADDCOW_OK) {
            history->commit = i;
        } else if (operation->kind == TRACE_STREAM && history->stream == NONE) {
            history->stream = i;
        }
    }
    history->larger_size = history->old_size > history->new_size ? history->old_size : history->new_size;
}

/* Lists the reads and writes, with the moments between which they took effect. */
static void list_accesses(struct history *history)
{
    history->accesses = report_allocate(history->end - history->begin, sizeof *history->accesses);
    uint64_t smaller = history->old_size < history->new_size ? history->old_size : history->new_size;
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct trace_operation *operation = &history->trace->operations[i];
        const struct run_record *record = record_of(history, i);
        bool is_write = trace_kind_changes(operation->kind);
        bool lost = is_write && has_failed(history, i);
        if (operation->length == 0 || (record->status != ADDCOW_OK && !lost) ||
            (!is_write && operation->kind != TRACE_READ)) {
            continue;
        }
        struct access *access = &history->accesses[history->access_count++];
        *access = (struct access){
            .operation = i,
            .begin = operation->offset,
            .end = operation->offset + operation->length,
            .invoked = record->invoked,
            .returned = record->returned,
            .is_write = is_write,
            .may_be_lost = lost,
        };
        if (access->end > smaller && history->new_size > history->old_size && access->invoked < history->resize_low) {
            access->invoked = history->resize_low;
        }
        if (access->end > smaller && history->new_size < history->old_size && access->returned > history->resize_high) {
            access->returned = history->resize_high;
        }
    }
}

/* ---- 2. Clusters ---- */

/* Between which moments a cluster became allocated, as far as is known. */
struct becoming {
    uint64_t not_before; /* UINT64_MAX: nothing allocates it */
    uint64_t not_after;
};

static void may_allocate(struct becoming *becoming, uint64_t invoked, uint64_t returned)
{
    if (invoked < becoming->not_before) {
        becoming->not_before = invoked;
    }
    if (returned < becoming->not_after) {
        becoming->not_after = returned;
    }
}

static bool covers_cluster(const struct history *history, uint64_t begin, uint64_t end, uint64_t cluster)
{
    uint64_t size = history->oracle->disk.cluster_size;
    return begin < end && begin < (cluster + 1) * size && end > cluster * size;
}

static bool was_allocated(const struct history *history, uint64_t cluster)
{
    return history->oracle->disk.all_allocated || (cluster * history->oracle->disk.cluster_size < history->old_size &&
                                                   oracle_is_allocated(history->oracle, cluster));
}

/*
 * STR-01. A cluster that a growth beside the stream brings is allocated once both are done, if the growth came second
 * thanks to the flag.
 */
static void stream_becoming(const struct history *history, const struct run_record *stream, uint64_t cluster,
                            struct becoming *becoming)
{
    uint64_t returned = stream->status == ADDCOW_OK ? stream->returned : UINT64_MAX;
    if (cluster * history->oracle->disk.cluster_size >= history->old_size && stream->invoked < history->resize_high) {
        bool has_flag = history->oracle->start.layout == ADDCOW_R20;
        returned = !has_flag ? UINT64_MAX : returned < history->resize_high ? history->resize_high : returned;
    }
    may_allocate(becoming, stream->invoked, returned);
}

/* A stream, and a growth where the backing file would show, allocate too (STR-01, RSZ-03). */
static void whole_disk_becoming(const struct history *history, uint64_t cluster, struct becoming *becoming)
{
    const struct addcow_ref *disk = &history->oracle->disk;
    uint64_t covered = disk->backing_size < history->new_size ? disk->backing_size : history->new_size;
    if (history->resize != NONE && covers_cluster(history, history->old_size, covered, cluster)) {
        may_allocate(becoming, history->resize_low, history->resize_high);
    }
    for (uint32_t i = history->begin; i < history->end; i++) {
        uint32_t kind = history->trace->operations[i].kind;
        if (kind == TRACE_STREAM) {
            stream_becoming(history, record_of(history, i), cluster, becoming);
        } else if (kind == TRACE_RESIZE && has_failed(history, i)) {
            may_allocate(becoming, record_of(history, i)->invoked, UINT64_MAX);
        }
    }
}

static struct becoming cluster_becoming(const struct history *history, uint64_t cluster)
{
    struct becoming becoming = {UINT64_MAX, UINT64_MAX};
    if (was_allocated(history, cluster)) {
        return (struct becoming){0, 0};
    }
    for (uint32_t i = 0; i < history->access_count; i++) {
        const struct access *access = &history->accesses[i];
        if (access->is_write && covers_cluster(history, access->begin, access->end, cluster)) {
            may_allocate(&becoming, access->invoked, access->may_be_lost ? UINT64_MAX : access->returned);
        }
    }
    whole_disk_becoming(history, cluster, &becoming);
    return becoming;
}

/* Whether an operation leaves a cluster allocated, or may do so if it failed: a stream, or a write to it. */
static bool allocates(const struct history *history, uint32_t operation, uint64_t cluster)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    if (request->kind == TRACE_STREAM) {
        return true;
    }
    return trace_kind_changes(request->kind) &&
           (record_of(history, operation)->status == ADDCOW_OK || has_failed(history, operation)) &&
           covers_cluster(history, request->offset, request->offset + request->length, cluster);
}

/* Beside a commit: whether the cluster can have had the status at some moment between the two. */
static bool possible_beside_commit(const struct history *history, uint64_t cluster, bool allocated, uint64_t invoked,
                                   uint64_t returned)
{
    const struct run_record *commit = record_of(history, history->commit);
    bool before = invoked < commit->returned; /* the moment may be before the commit, */
    bool after = returned > commit->invoked;  /* or after it */
    bool maybe_set = was_allocated(history, cluster) && before;
    bool surely_set_before = was_allocated(history, cluster);
    bool surely_set_after = false;
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct run_record *record = record_of(history, i);
        if (!allocates(history, i, cluster)) {
            continue;
        }
        maybe_set |= record->invoked < returned && (before || record->returned > commit->invoked);
        surely_set_before |= record->status == ADDCOW_OK && record->returned < invoked;
        surely_set_after |=
            record->status == ADDCOW_OK && record->invoked > commit->returned && record->returned < invoked;
    }
    bool maybe_clear = (before && !surely_set_before) || (after && !surely_set_after);
    return allocated ? maybe_set : maybe_clear;
}

/* The answer that a map gives for one cluster: returns 1 or 0, or -1 if it says nothing about it. */
static int map_answer(const struct history *history, uint32_t operation, uint64_t cluster)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    const struct run_record *record = record_of(history, operation);
    if (request->kind != TRACE_MAP || record->status != ADDCOW_OK || request->length == 0) {
        return -1;
    }
    uint64_t run_end = request->offset + record->run;
    if (covers_cluster(history, request->offset, run_end, cluster)) {
        return record->allocated;
    }
    /* The run ended there, so the next cluster had the other status. */
    if (record->run < request->length && covers_cluster(history, run_end, run_end + 1, cluster)) {
        return !record->allocated;
    }
    return -1;
}

static bool impossible_status(const struct history *history, uint32_t operation, uint64_t cluster, bool allocated)
{
    if (operation == NONE) {
        fputs("at rest ", history->out);
    } else {
        fprintf(history->out, "operation %" PRIu32 " (", operation);
        trace_print_operation(history->out, &history->trace->operations[operation]);
        fputs("): ", history->out);
    }
    fprintf(history->out, "cluster %" PRIu64 " is reported %s, which it was at no moment then (WR-02, CON-10)\n",
            cluster, allocated ? "allocated" : "unallocated");
    return false;
}

/* One report of a status: narrows down when the cluster became allocated. */
static bool judge_report(const struct history *history, uint32_t operation, uint64_t cluster, bool allocated,
                         uint64_t invoked, uint64_t returned, struct becoming *becoming)
{
    if (history->commit != NONE) {
        return possible_beside_commit(history, cluster, allocated, invoked, returned) ||
               impossible_status(history, operation, cluster, allocated);
    }
    if (allocated && returned < becoming->not_after) {
        becoming->not_after = returned;
    }
    if (!allocated && invoked > becoming->not_before) {
        becoming->not_before = invoked;
    }
    if (!allocated && becoming->not_before == UINT64_MAX) {
        return true;
    }
    return becoming->not_before <= becoming->not_after || impossible_status(history, operation, cluster, allocated);
}

static bool judge_cluster(const struct history *history, uint64_t cluster)
{
    struct becoming becoming = cluster_becoming(history, cluster);
    for (uint32_t i = history->begin; i < history->end; i++) {
        int answer = map_answer(history, i, cluster);
        const struct run_record *record = record_of(history, i);
        if (answer >= 0 &&
            !judge_report(history, i, cluster, answer == 1, record->invoked, record->returned, &becoming)) {
            return false;
        }
    }
    return cluster >= history->view.clusters ||
           judge_report(history, NONE, cluster, history->view.allocated[cluster] != 0, AT_REST, AT_REST, &becoming);
}

/* MAP-01, MAP-03: the form of a map's answer. */
static bool judge_map_form(const struct history *history, uint32_t operation)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    const struct run_record *record = record_of(history, operation);
    if (request->kind != TRACE_MAP || record->status != ADDCOW_OK) {
        return true;
    }
    uint64_t run = record->run;
    bool whole = run == request->length && (run > 0 || !record->allocated);
    bool ends_with_cluster =
        run > 0 && run < request->length && (request->offset + run) % history->oracle->disk.cluster_size == 0;
    if (!whole && !ends_with_cluster) {
        fprintf(history->out, "operation %" PRIu32 " (", operation);
        trace_print_operation(history->out, request);
        fprintf(history->out, ") answers %s for %" PRIu64 " bytes (MAP-01)\n",
                record->allocated ? "allocated" : "unallocated", run);
    }
    return whole || ends_with_cluster;
}

/* CMT-02: whether a cluster behind the backing file's end was allocated decides between ok and range. */
static bool judge_commit_status(const struct history *history, uint32_t operation)
{
    const struct addcow_ref *disk = &history->oracle->disk;
    const struct run_record *record = record_of(history, operation);
    if (has_failed(history, operation)) {
        return true;
    }
    if (!disk->has_backing) {
        return record->status == ADDCOW_UNSUPPORTED || wrong_status(history, operation, "unsupported");
    }
    bool may_fail = false;
    bool must_fail = false;
    for (uint64_t k = 0; k < addcow_cluster_count(disk->size, disk->cluster_size); k++) {
        uint64_t end = (k + 1) * disk->cluster_size < disk->size ? (k + 1) * disk->cluster_size : disk->size;
        if (end > disk->backing_size) {
            struct becoming becoming = cluster_becoming(history, k);
            may_fail |= becoming.not_before < record->returned;
            must_fail |= becoming.not_after < record->invoked;
        }
    }
    if (record->status == ADDCOW_RANGE ? !may_fail : record->status != ADDCOW_OK || must_fail) {
        return wrong_status(history, operation, must_fail ? "range" : "ok");
    }
    return true;
}

static bool judge_clusters(const struct history *history)
{
    for (uint32_t i = history->begin; i < history->end; i++) {
        if (!judge_map_form(history, i) ||
            (history->trace->operations[i].kind == TRACE_COMMIT && !judge_commit_status(history, i))) {
            return false;
        }
    }
    if (history->commit_failed) {
        return true; /* the bits of any cluster may be clear or not */
    }
    uint64_t clusters = addcow_cluster_count(history->larger_size, history->oracle->disk.cluster_size);
    for (uint64_t k = 0; k < clusters; k++) {
        if (!judge_cluster(history, k)) {
            return false;
        }
    }
    return true;
}

/* ---- 3. Registers ---- */

/* A register: the bytes [begin, end) of the disk, and what happened to it. */
struct cell {
    uint64_t begin;
    uint64_t end;
    uint32_t count; /* operations */
    uint32_t value_count;
    struct register_operation *operations;
    uint32_t *names; /* of the operations: of the trace, or NONE for the content at rest */
    const uint8_t **values;
    uint8_t (*written)[SECTOR]; /* room for the contents of the writes */
    uint32_t *order;
};

static void cell_make(struct cell *cell, uint32_t accesses)
{
    uint32_t room = accesses + 2; /* and the commit, and the content at rest */
    *cell = (struct cell){
        .operations = report_allocate(room, sizeof *cell->operations),
        .names = report_allocate(room, sizeof *cell->names),
        .values = report_allocate(room + 1, sizeof *cell->values),
        .written = report_allocate(room, sizeof *cell->written),
        .order = report_allocate(room, sizeof *cell->order),
    };
}

static void cell_free(struct cell *cell)
{
    free(cell->operations);
    free(cell->names);
    free(cell->values);
    free(cell->written);
    free(cell->order);
}

static uint32_t value_number(struct cell *cell, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < cell->value_count; i++) {
        if (memcmp(cell->values[i], bytes, cell->end - cell->begin) == 0) {
            return i;
        }
    }
    cell->values[cell->value_count] = bytes;
    return cell->value_count++;
}

static struct register_operation *cell_add(struct cell *cell, uint32_t name, bool is_write, const uint8_t *bytes,
                                           uint64_t invoked, uint64_t returned)
{
    struct register_operation *operation = &cell->operations[cell->count];
    cell->names[cell->count++] = name;
    *operation = (struct register_operation){
        .invoked = invoked, .returned = returned, .value = value_number(cell, bytes), .is_write = is_write};
    return operation;
}

static void cell_add_access(const struct history *history, struct cell *cell, const struct access *access)
{
    const uint8_t *bytes = cell->written[cell->count];
    if (!access->is_write) {
        bytes = record_of(history, access->operation)->data + (cell->begin - access->begin);
    } else {
        bool stamped = history->trace->operations[access->operation].kind == TRACE_WRITE;
        struct stamp stamp = {stamped ? STAMP_WRITE : STAMP_ZERO, access->operation};
        stamp_fill(stamp, cell->begin, cell->written[cell->count], cell->end - cell->begin);
    }
    cell_add(cell, access->operation, access->is_write, bytes, access->invoked, access->returned)->may_be_lost =
        access->may_be_lost;
}

static void fill_cell(const struct history *history, const uint32_t *covering, uint32_t count, struct cell *cell)
{
    cell->count = cell->value_count = 0;
    value_number(cell, history->initial + cell->begin);
    for (uint32_t i = 0; i < count; i++) {
        cell_add_access(history, cell, &history->accesses[covering[i]]);
    }
    if (history->committed != NULL) {
        const struct run_record *commit = record_of(history, history->commit);
        cell_add(cell, history->commit, false, history->committed + cell->begin, commit->invoked, commit->returned);
    }
    if (cell->end <= history->new_size) {
        cell_add(cell, NONE, false, history->view.bytes + cell->begin, AT_REST, UINT64_MAX);
    }
}

static void print_content(FILE *out, const struct cell *cell, uint32_t value)
{
    uint64_t length = cell->end - cell->begin;
    fputc('\n', out);
    if (length < 16) {
        for (uint64_t i = 0; i < length; i++) {
            fprintf(out, " %02x", cell->values[value][i]);
        }
        fputc('\n', out);
        return;
    }
    stamp_print_writers(out, cell->begin, cell->values[value], length);
}

/* Tells the story of a register that no order explains. */
static void print_cell(const struct history *history, const struct cell *cell, uint32_t guilty)
{
    FILE *out = history->out;
    fprintf(out, "bytes %" PRIu64 "..%" PRIu64 ": no order of the writes explains what was read (CON-02)\n",
            cell->begin, cell->end - 1);
    fputs("  at the start:", out);
    print_content(out, cell, 0);
    for (uint32_t i = 0; i < cell->count; i++) {
        const struct register_operation *operation = &cell->operations[i];
        if (cell->names[i] == NONE) {
            fputs("  at rest afterwards:", out);
        } else {
            fprintf(out, "  moments %" PRIu64 "..%" PRIu64 ", operation %" PRIu32 " (thread ", operation->invoked,
                    operation->returned, cell->names[i]);
            trace_print_operation(out, &history->trace->operations[cell->names[i]]);
            fputs(operation->is_write ? ") wrote:" : ") read:", out);
        }
        print_content(out, cell, operation->value);
    }
    if (cell->names[guilty] == NONE) {
        fputs("  what the disk shows at rest cannot be explained", out);
    } else {
        fprintf(out, "  operation %" PRIu32 " cannot be explained", cell->names[guilty]);
    }
    uint32_t value = cell->operations[guilty].value;
    if (value != 0) {
        fputs("; against the content at the start:\n", out);
        report_hex_window(out, cell->begin, cell->values[0], cell->values[value], cell->end - cell->begin);
    } else {
        fputs(": it is the content at the start\n", out);
    }
}

static void add_fragment(struct history *history, const struct cell *cell, uint32_t operation, bool after_commit)
{
    if (history->fragment_count == history->fragment_room) {
        history->fragment_room = history->fragment_room * 2 + 1024;
        history->fragments = realloc(history->fragments, history->fragment_room * sizeof *history->fragments);
        if (history->fragments == NULL) {
            report_fatal("no memory for a witness order");
        }
    }
    history->fragments[history->fragment_count++] = (struct fragment){cell->begin, cell->end, operation, after_commit};
}

static bool judge_cell(struct history *history, struct cell *cell, struct history_counts *counts)
{
    struct register_result result = {.order = cell->order};
    counts->registers++;
    switch (register_check(0, cell->operations, cell->count, &result)) {
    case REGISTER_IMPOSSIBLE:
        print_cell(history, cell, result.guilty);
        counts->guilty = cell->begin;
        counts->found_guilty = true;
        return false;
    case REGISTER_UNDECIDED:
        counts->undecided++;
        if (cell->end <= history->new_size) {
            add_fragment(history, cell, NONE, true);
        }
        return true;
    default:
        break;
    }
    bool after_commit = false;
    for (uint32_t i = 0; i < result.ordered; i++) {
        uint32_t index = result.order[i];
        if (cell->operations[index].is_write) {
            add_fragment(history, cell, cell->names[index], after_commit);
        } else if (cell->names[index] == history->commit && history->commit != NONE) {
            after_commit = true;
        }
    }
    return true;
}

/* Whether [begin, end), which no request touched, shows its first content everywhere. */
static bool rests(const struct history *history, uint64_t begin, uint64_t end)
{
    const uint8_t *expected = history->initial + begin;
    return (end > history->new_size || memcmp(expected, history->view.bytes + begin, end - begin) == 0) &&
           (history->committed == NULL || memcmp(expected, history->committed + begin, end - begin) == 0);
}

/* Judges [begin, end), every byte of which the accesses covering[0, count) cover, and no others. */
static bool judge_stretch(struct history *history, uint64_t begin, uint64_t end, const uint32_t *covering,
                          uint32_t count, struct cell *cell, struct history_counts *counts)
{
    if (count == 0 && rests(history, begin, end)) {
        counts->registers += (end - begin + SECTOR - 1) / SECTOR;
        return true;
    }
    for (uint64_t at = begin; at < end; at = cell->end) {
        uint64_t sector_end = (at / SECTOR + 1) * SECTOR;
        cell->begin = at;
        cell->end = sector_end < end ? sector_end : end;
        fill_cell(history, covering, count, cell);
        if (!judge_cell(history, cell, counts)) {
            return false;
        }
    }
    return true;
}

static int compare_offsets(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The offsets at which the set of requests may change, in ascending order; the caller frees *cuts. */
static uint32_t list_cuts(const struct history *history, uint64_t **cuts)
{
    uint64_t *list = report_allocate(2 * (size_t)history->access_count + 3, sizeof *list);
    uint32_t count = 0;
    list[count++] = 0;
    list[count++] = history->old_size;
    list[count++] = history->new_size;
    for (uint32_t i = 0; i < history->access_count; i++) {
        list[count++] = history->accesses[i].begin;
        list[count++] = history->accesses[i].end;
    }
    qsort(list, count, sizeof *list, compare_offsets);
    *cuts = list;
    return count;
}

static bool judge_registers(struct history *history, struct history_counts *counts)
{
    uint64_t *cuts;
    uint32_t cut_count = list_cuts(history, &cuts);
    uint32_t *covering = report_allocate(history->access_count, sizeof *covering);
    struct cell cell;
    bool conforms = true;
    cell_make(&cell, history->access_count);
    for (uint32_t i = 0; conforms && i + 1 < cut_count; i++) {
        if (cuts[i] == cuts[i + 1]) {
            continue;
        }
        uint32_t count = 0;
        for (uint32_t j = 0; j < history->access_count; j++) {
            if (history->accesses[j].begin <= cuts[i] && history->accesses[j].end > cuts[i]) {
                covering[count++] = j;
            }
        }
        conforms = judge_stretch(history, cuts[i], cuts[i + 1], covering, count, &cell, counts);
    }
    cell_free(&cell);
    free(covering);
    free(cuts);
    return conforms;
}

/* ---- 4. Replay ---- */

static void replay_fragment(struct history *history, const struct fragment *fragment)
{
    uint8_t bytes[SECTOR];
    uint64_t length = fragment->end - fragment->begin;
    enum addcow_class code;
    if (fragment->operation == NONE) {
        memcpy(bytes, history->view.bytes + fragment->begin, length);
        code = oracle_write(history->oracle, fragment->begin, length, bytes);
    } else if (history->trace->operations[fragment->operation].kind == TRACE_WRITE) {
        stamp_fill((struct stamp){STAMP_WRITE, fragment->operation}, fragment->begin, bytes, length);
        code = oracle_write(history->oracle, fragment->begin, length, bytes);
    } else {
        code = oracle_zero(history->oracle, fragment->begin, length);
    }
    assert(code == ADDCOW_OK);
    (void)code;
}

static void replay_fragments(struct history *history, bool after_commit)
{
    for (size_t i = 0; i < history->fragment_count; i++) {
        if (history->fragments[i].after_commit == after_commit) {
            replay_fragment(history, &history->fragments[i]);
        }
    }
}

/*
 * Whether a stream was the last to decide about "all allocated": always, unless a commit was beside it. Then the file
 * says which of them came last, and everything else must agree with it.
 */
static bool stream_is_last(const struct history *history)
{
    uint8_t *bytes;
    uint64_t length;
    if (history->stream == NONE || history->commit == NONE) {
        return history->stream != NONE;
    }
    if (history->oracle->start.layout != ADDCOW_R20 ||
        !files_load(history->directory, FILES_METADATA, &bytes, &length)) {
        return false;
    }
    bool flag = length > ADDCOW_COMPATIBLE_OFFSET && (bytes[ADDCOW_COMPATIBLE_OFFSET] & ADDCOW_ALL_ALLOCATED) != 0;
    free(bytes);
    return flag;
}

/* Leads the oracle through the phase, and takes over the statuses at rest, which have been judged. */
static bool replay(struct history *history)
{
    struct oracle *oracle = history->oracle;
    if (history->new_size > history->old_size) {
        oracle_resize(oracle, history->new_size);
    }
    replay_fragments(history, false);
    if (history->commit != NONE && oracle_commit(oracle) != ADDCOW_OK) {
        return wrong_status(history, history->commit, "range (CMT-02)");
    }
    replay_fragments(history, true);
    if (stream_is_last(history) && !history->commit_failed) {
        oracle_stream(oracle);
    } else if (history->stream != NONE) {
        oracle_touch_all(oracle); /* what the stream allocated, a commit may have made unallocated again */
    }
    if (history->new_size < history->old_size) {
        oracle_resize(oracle, history->new_size);
    }
    if (history->commit_failed &&
        !oracle_load_backing(oracle, history->directory, oracle->disk.backing, history->out)) {
        return false;
    }
    for (uint64_t k = 0; k < history->view.clusters; k++) {
        if (!oracle_set_status(oracle, k, history->view.allocated[k] != 0)) {
            return impossible_status(history, NONE, k, history->view.allocated[k] != 0);
        }
    }
    return view_judge(&history->view, oracle, history->out);
}

/*
 * A commit has read every register: a backing file that ends before shows that nothing was allocated behind its end,
 * and the disk reads as zeros there.
 */
static bool load_committed(struct history *history)
{
    uint64_t backing_size = history->oracle->disk.backing_size;
    uint64_t larger = backing_size > history->old_size ? backing_size : history->old_size;
    history->committed = report_allocate(larger, 1);
    return oracle_load_backing(history->oracle, history->directory, history->committed, history->out);
}

/* Steps 2 to 4, with everything at hand that they need. */
static bool judge_contents(struct history *history, struct history_counts *counts)
{
    struct oracle *oracle = history->oracle;
    history->initial = report_allocate(history->larger_size, 1);
    addcow_ref_read(&oracle->disk, 0, history->old_size, history->initial);
    bool conforms = judge_clusters(history);
    if (conforms && history->commit != NONE) {
        conforms = load_committed(history);
    }
    conforms = conforms && judge_registers(history, counts) && replay(history);
    free(history->initial);
    free(history->committed);
    free(history->fragments);
    return conforms;
}

bool history_judge(struct run *run, uint32_t begin, uint32_t end, struct oracle *oracle, const char *directory,
                   struct history_counts *counts, FILE *out)
{
    struct history history = {.run = run,
                              .trace = run->trace,
                              .oracle = oracle,
                              .directory = directory,
                              .out = out,
                              .begin = begin,
                              .end = end};
    assert(history_problem(run->trace, begin, end) == NULL);
    find_whole_disk_operations(&history);
    if (!judge_statuses(&history)) {
        return false;
    }
    list_accesses(&history);
    bool conforms = view_take(run->adapter, history.new_size, oracle->disk.cluster_size, &history.view, out);
    if (conforms) {
        conforms = judge_contents(&history, counts);
        view_free(&history.view);
    }
    free(history.accesses);
    return conforms;
}
