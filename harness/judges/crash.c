/*
 * The crash judge.
 *
 * The disk is cut into fragments: ranges within a sector that each operation covers whole or not at all. A fragment may
 * have the content of any operation that had begun, unless a durable operation followed that one entirely. It may have
 * its content at the start unless any operation on it was durable. The disk counts as zero behind its end. So a resize
 * writes zeros from the new size on, and sizes are judged in the same way.
 *
 * If the operations of a trace with a resize follow one another, more is known: each sector, as a whole, must be as in
 * one of the states that the disk went through. After a change that failed these states are not known. Then the disk
 * must open, and be the same for both engines.
 */
#include "judges/crash_parts.h"

#include "workload/disk_contents.h"
#include "workload/disk_files.h"
#include "base/report.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/adapter_scheduled.h"
#include "adapters/perform.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

static bool changes_size(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        if (trace->operations[i].kind == OPERATION_RESIZE) {
            return true;
        }
    }
    return false;
}

bool crash_is_flush(const struct trace_operation *operation)
{
    return operation_properties(operation->kind)->makes_durable || operation->kind == TRACE_REOPEN;
}

static bool is_concurrent(const struct trace *trace)
{
    for (uint32_t begin = 0; begin < trace->count; begin = trace_phase_end(trace, begin) + 1) {
        if (trace_phase_is_concurrent(trace, begin, trace_phase_end(trace, begin))) {
            return true;
        }
    }
    return false;
}

/* The contents of the disk, with zeros behind them if it can grow. */
static struct crash_state read_state(const struct sim *sim, uint64_t capacity)
{
    struct crash_state state;
    char problem[128];
    if (!sim_disk_read(sim, capacity, &state.bytes, &state.size, problem, sizeof problem)) {
        report_fatal("the disk of a crash judge: %s", problem);
    }
    return state;
}

struct crash_judge *crash_make(const struct trace *trace)
{
    struct crash_judge *judge = report_allocate(1, sizeof *judge);
    struct sim *sim = sim_make();
    sim_disk_make(sim, &trace->disk);
    judge->trace = trace;
    judge->start = read_state(sim, trace_capacity(trace));
    sim_free(sim);
    judge->crashed = sim_make();
    judge->adapter = sched_adapter_make_fast(sim_storage(judge->crashed));
    judge->in_states = changes_size(trace) && !is_concurrent(trace);
    return judge;
}

void crash_free(struct crash_judge *judge)
{
    judge->adapter->ops->destroy(judge->adapter);
    sim_free(judge->crashed);
    free(judge->start.bytes);
    free(judge);
}

/* ---- What is there ---- */

bool crash_refused(FILE *out, const char *what, enum addcow_status code, const struct addcow_error *error)
{
    if (code != ADDCOW_OK) {
        fprintf(out, "after a crash %s gives %s: %s (DUR-11)\n", what, addcow_status_name(code), error->message);
    }
    return code != ADDCOW_OK;
}

/* Reads the crashed disk with the production engine, which must find the same as the reference engine. */
static bool is_read_by_engine(struct crash_judge *judge, const struct crash_state *got, FILE *out)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    const struct adapter_ops *ops = judge->adapter->ops;
    if (crash_refused(out, "open", ops->open(judge->adapter, DISK_METADATA, ADDCOW_OPEN_READONLY, &error), &error)) {
        return false;
    }
    uint8_t *bytes = report_allocate(got->size, 1);
    bool same = ops->size(judge->adapter) == got->size;
    enum addcow_status code = same ? adapter_read(judge->adapter, 0, got->size, bytes, &error) : ADDCOW_OK;
    bool fine = !crash_refused(out, "read", code, &error);
    fine = !crash_refused(out, "close", ops->close(judge->adapter, &error), &error) && fine;
    same = same && memcmp(bytes, got->bytes, (size_t)got->size) == 0;
    if (fine && !same) {
        fputs("after a crash the two engines read different disks\n", out);
    }
    free(bytes);
    return fine && same;
}

/* "All allocated" is written only after every bit is durable. */
static bool is_flag_true(struct crash_judge *judge, FILE *out)
{
    struct sim_disk disk;
    char problem[128];
    if (!sim_disk_open(judge->crashed, &disk, problem, sizeof problem)) {
        return true; /* that is judged elsewhere */
    }
    uint64_t clusters = addcow_cluster_count(disk.ref.size, disk.ref.cluster_size);
    uint64_t k = 0;
    while (disk.ref.all_allocated && k < clusters && (disk.ref.bitmap[k / 8] >> k % 8 & 1) != 0) {
        k++;
    }
    bool fine = !disk.ref.all_allocated || k == clusters;
    sim_disk_close(&disk);
    if (!fine) {
        fprintf(out, "after a crash \"all allocated\" is set, but the bit of cluster %" PRIu64 " is not (DUR-08)\n", k);
        judge->fault = CRASH_FLAG;
    }
    return fine;
}

/* Opens the crashed disk with both engines and reads it. The caller frees got->bytes if this succeeds. */
static bool reopen(struct crash_judge *judge, struct crash_state *got, FILE *out)
{
    char problem[128];
    judge->fault = CRASH_REFUSED;
    if (!sim_disk_read(judge->crashed, 0, &got->bytes, &got->size, problem, sizeof problem)) {
        fprintf(out, "after a crash the reference engine refuses the disk: %s (DUR-11)\n", problem);
        return false;
    }
    bool fine = is_read_by_engine(judge, got, out) && is_flag_true(judge, out);
    if (!fine) {
        free(got->bytes);
    }
    return fine;
}

void crash_print_moment(uint64_t moment, const struct sim *sim, FILE *out)
{
    fprintf(out, "  (the crash was at moment %" PRIu64 " of %" PRIu64 ")\n", moment, sim_moment(sim));
}

/* ---- What may be there ---- */

/*
 * Whether change number `index` was durable at the crash: a flush or a close followed it, and has returned.
 */
static bool is_durable(const struct crash_judge *judge, const struct crash_span *spans, uint32_t index, uint64_t moment)
{
    for (uint32_t i = 0; i <= judge->trace->count; i++) {
        if ((i == judge->trace->count || crash_is_flush(&judge->trace->operations[i])) && spans[i].end <= moment &&
            spans[i].status == ADDCOW_OK && spans[index].returned < spans[i].invoked) {
            return spans[index].status == ADDCOW_OK;
        }
    }
    return false;
}

static bool covers(const struct trace_operation *operation, uint64_t begin, uint64_t end)
{
    if (operation->kind == OPERATION_RESIZE) {
        return operation->offset <= begin;
    }
    return operation_changes_range(operation->kind) && operation->offset <= begin &&
           end - operation->offset <= operation->length;
}

/* What an operation writes at an offset. For the operation number trace->count: the content at the start. */
static void fill(const struct crash_judge *judge, uint32_t index, uint64_t begin, uint64_t end, uint8_t *bytes)
{
    if (index == judge->trace->count) {
        memcpy(bytes, judge->start.bytes + begin, (size_t)(end - begin));
    } else if (judge->trace->operations[index].kind == OPERATION_WRITE) {
        stamp_fill((struct stamp){STAMP_WRITE, index}, begin, bytes, (size_t)(end - begin));
    } else {
        memset(bytes, 0, (size_t)(end - begin));
    }
}

/* Whether a durable change of [begin, end) followed operation `index`, or the start, entirely. */
static bool is_overwritten(const struct crash_judge *judge, const struct crash_span *spans, uint32_t index,
                           uint64_t begin, uint64_t end, uint64_t moment)
{
    uint64_t returned = index == judge->trace->count ? 0 : spans[index].returned;
    for (uint32_t i = 0; i < judge->trace->count; i++) {
        if (covers(&judge->trace->operations[i], begin, end) && returned < spans[i].invoked &&
            is_durable(judge, spans, i, moment)) {
            return true;
        }
    }
    return false;
}

/* Whether an operation may have had an effect. One that was refused, and a resize that failed, have none (RSZ-07). */
static bool has_begun(const struct crash_judge *judge, const struct crash_span *spans, uint32_t index, uint64_t moment)
{
    bool all_or_nothing = judge->trace->operations[index].kind == OPERATION_RESIZE;
    bool failed = spans[index].status != ADDCOW_OK && spans[index].end <= moment;
    return spans[index].begin <= moment && spans[index].status != ADDCOW_RANGE && !(all_or_nothing && failed);
}

static bool is_allowed(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment, uint64_t begin,
                       uint64_t end, const uint8_t *got)
{
    uint8_t expected[SIM_SECTOR];
    for (uint32_t i = 0; i <= judge->trace->count; i++) {
        bool is_start = i == judge->trace->count;
        if (!is_start && (!covers(&judge->trace->operations[i], begin, end) || !has_begun(judge, spans, i, moment))) {
            continue;
        }
        fill(judge, i, begin, end, expected);
        if (memcmp(expected, got, (size_t)(end - begin)) == 0 && !is_overwritten(judge, spans, i, begin, end, moment)) {
            return true;
        }
    }
    return false;
}

/* The end of the fragment that begins at `begin`. */
static uint64_t fragment_end(const struct trace *trace, uint64_t begin, uint64_t size)
{
    uint64_t end = (begin / SIM_SECTOR + 1) * SIM_SECTOR;
    end = end < size ? end : size;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct trace_operation *operation = &trace->operations[i];
        uint64_t limit = operation->offset + operation->length;
        if (operation_changes_range(operation->kind) || operation->kind == OPERATION_RESIZE) {
            end = operation->offset > begin && operation->offset < end ? operation->offset : end;
            end = limit > begin && limit < end ? limit : end;
        }
    }
    return end;
}

/*
 * What is wrong with bytes of the disk: they are what it held once, what the image held in a cluster that was not
 * allocated, or what was never there.
 */
static enum crash_fault classify(const struct crash_judge *judge, uint64_t begin, uint64_t end, const uint8_t *got)
{
    uint8_t known[SIM_SECTOR];
    size_t length = (size_t)(end - begin);
    for (uint32_t i = 0; i <= judge->trace->count; i++) {
        bool is_start = i == judge->trace->count;
        if (!is_start && !covers(&judge->trace->operations[i], begin, end)) {
            continue;
        }
        fill(judge, i, begin, end, known);
        if (memcmp(known, got, length) == 0) {
            return CRASH_LOST;
        }
    }
    disk_contents_fill_image(&judge->trace->disk, begin, known, length);
    return memcmp(known, got, length) == 0 ? CRASH_EXPOSED : CRASH_FOREIGN;
}

static void print_wrong_bytes(struct crash_judge *judge, uint64_t begin, uint64_t end, const uint8_t *got, FILE *out)
{
    judge->fault = classify(judge, begin, end, got);
    fprintf(out,
            "after a crash bytes [%" PRIu64 ", %" PRIu64 ") of the disk are neither durable nor written later (%s)\n",
            begin, end,
            judge->fault == CRASH_LOST      ? "DUR-01"
            : judge->fault == CRASH_EXPOSED ? "DUR-03"
                                            : "DUR-02");
    judge->wrong_byte = begin;
    stamp_print_writers(out, begin, got, (size_t)(end - begin));
}

static bool is_possible_size(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                             uint64_t size)
{
    for (uint32_t i = 0; i <= judge->trace->count; i++) {
        const struct trace_operation *operation = &judge->trace->operations[i];
        bool is_start = i == judge->trace->count;
        bool gives = is_start ? size == judge->start.size
                              : operation->kind == OPERATION_RESIZE && operation->offset == size &&
                                    has_begun(judge, spans, i, moment);
        bool replaced = false;
        for (uint32_t j = 0; gives && j < judge->trace->count; j++) {
            replaced =
                replaced || (judge->trace->operations[j].kind == OPERATION_RESIZE &&
                             (is_start || spans[i].returned < spans[j].invoked) && is_durable(judge, spans, j, moment));
        }
        if (gives && !replaced) {
            return true;
        }
    }
    return false;
}

static bool judge_fragments(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                            const struct crash_state *got, FILE *out)
{
    if (!is_possible_size(judge, spans, moment, got->size)) {
        fprintf(out,
                "after a crash the disk has %" PRIu64
                " bytes, a size that it has not had since the last flush (DUR-11)\n",
                got->size);
        judge->fault = CRASH_SIZE;
        return false;
    }
    for (uint64_t begin = 0, end; begin < got->size; begin = end) {
        end = fragment_end(judge->trace, begin, got->size);
        if (!is_allowed(judge, spans, moment, begin, end, got->bytes + begin)) {
            print_wrong_bytes(judge, begin, end, got->bytes + begin, out);
            return false;
        }
    }
    return true;
}

/* ---- The same for a disk that changes its size, one operation after the other ---- */

static void do_on_state(const struct crash_judge *judge, uint32_t index, struct crash_state *state)
{
    const struct trace_operation *operation = &judge->trace->operations[index];
    if (operation->kind == OPERATION_RESIZE) {
        uint64_t size = operation->offset;
        if (size > state->size) {
            memset(state->bytes + state->size, 0, (size_t)(size - state->size));
        }
        state->size = size;
    } else if (operation_changes_range(operation->kind)) {
        fill(judge, index, operation->offset, operation->offset + operation->length, state->bytes + operation->offset);
    }
}

/* Notes, for each sector of the disk that was read, and for its size, whether this state has it. */
static void compare_state(const struct crash_state *state, const struct crash_state *got, bool *sectors, bool *size)
{
    *size = *size || state->size == got->size;
    for (uint64_t begin = 0; begin < got->size; begin += SIM_SECTOR) {
        uint64_t left = got->size - begin;
        uint64_t count = left < SIM_SECTOR ? left : SIM_SECTOR;
        sectors[begin / SIM_SECTOR] =
            sectors[begin / SIM_SECTOR] ||
            (begin + count <= state->size && memcmp(state->bytes + begin, got->bytes + begin, (size_t)count) == 0);
    }
}

static bool judge_states(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                         const struct crash_state *got, FILE *out)
{
    uint64_t capacity = trace_capacity(judge->trace);
    capacity = judge->start.size > capacity ? judge->start.size : capacity;
    struct crash_state state = {.bytes = report_allocate(capacity, 1), .size = judge->start.size};
    bool *sectors = report_allocate(got->size / SIM_SECTOR + 1, sizeof *sectors);
    bool size = false;
    memcpy(state.bytes, judge->start.bytes, (size_t)state.size);
    for (uint32_t i = 0;; i++) {
        /* The state before operation i: it is possible unless a flush came after operation i. */
        if (i == judge->trace->count || !is_durable(judge, spans, i, moment)) {
            compare_state(&state, got, sectors, &size);
        }
        if (i == judge->trace->count) {
            break;
        }
        if (judge->trace->operations[i].kind == TRACE_BARRIER) {
            continue; /* it has no span */
        }
        if (spans[i].begin > moment) {
            break;
        }
        if (spans[i].status == ADDCOW_OK || spans[i].end > moment) {
            do_on_state(judge, i, &state);
        }
    }
    bool fine = size;
    if (!size) {
        judge->fault = CRASH_SIZE;
        fprintf(out, "after a crash the disk has %" PRIu64 " bytes: neither the old size nor the new one (DUR-11)\n",
                got->size);
    }
    for (uint64_t begin = 0; fine && begin < got->size; begin += SIM_SECTOR) {
        fine = sectors[begin / SIM_SECTOR];
        if (!fine) {
            uint64_t left = got->size - begin;
            print_wrong_bytes(judge, begin, begin + (left < SIM_SECTOR ? left : SIM_SECTOR), got->bytes + begin, out);
        }
    }
    free(sectors);
    free(state.bytes);
    return fine;
}

bool crash_is_uncertain(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment)
{
    for (uint32_t i = 0; judge->in_states && i < judge->trace->count; i++) {
        bool failed = spans[i].status != ADDCOW_OK && spans[i].status != ADDCOW_RANGE && spans[i].end <= moment;
        if (operation_changes_range(judge->trace->operations[i].kind) && failed) {
            return true;
        }
    }
    return false;
}

/* ---- A crash ---- */

bool crash_judge_state(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                       struct crash_state *got, FILE *out)
{
    if (!reopen(judge, got, out)) {
        return false;
    }
    bool fine = crash_is_uncertain(judge, spans, moment) ||
                (judge->in_states ? judge_states(judge, spans, moment, got, out)
                                  : judge_fragments(judge, spans, moment, got, out));
    if (!fine) {
        free(got->bytes);
    }
    judge->fault = fine ? CRASH_RIGHT : judge->fault;
    return fine;
}

enum crash_fault crash_fault_of(const struct crash_judge *judge)
{
    return judge->fault;
}

struct sim *crash_storage(struct crash_judge *judge)
{
    return judge->crashed;
}

void crash_enter(struct crash_judge *judge, const struct sim *from, uint64_t moment, struct choices *choices)
{
    struct sim_crash_options options = sim_disk_crash_options(&judge->trace->disk);
    sim_crash(from, moment, &options, choices, judge->crashed);
}

bool crash_judge_storage(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment, FILE *out)
{
    struct crash_state got;
    judge->wrong_byte = UINT64_MAX;
    bool fine = crash_judge_state(judge, spans, moment, &got, out);
    if (fine) {
        free(got.bytes);
    }
    return fine;
}

bool crash_judge(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans, uint64_t moment,
                 struct choices *choices, FILE *out)
{
    crash_enter(judge, from, moment, choices);
    bool fine = crash_judge_storage(judge, spans, moment, out);
    if (!fine) {
        crash_print_moment(moment, from, out);
    }
    return fine;
}

uint64_t crash_wrong_byte(const struct crash_judge *judge)
{
    return judge->wrong_byte;
}
