/*
 * The crash judge.
 *
 * Operations that change contents are kept as fragments: a range that each of them covers whole or not at all, within
 * one sector. A fragment may have the content of any operation that had begun, unless another one that followed it
 * entirely was durable; and its content at the start unless any was. The disk counts as zero behind its end, so a
 * resize writes zeros from the new size on, and sizes are judged in the same way.
 *
 * Where the operations of a trace with a resize follow one another, more is known: each sector must be, as a whole,
 * what it was in one of the states that the disk went through. Where a change failed before, these are not known; then
 * the disk must open, and be the same to both engines.
 */
#include "judges/crash.h"

#include "workload/disk_files.h"
#include "storage/fault_injection.h"
#include "base/report.h"
#include "sched/sched.h"
#include "storage/sim_disk.h"
#include "workload/stamp.h"
#include "adapters/adapter_scheduled.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

/* The contents of the disk before or after an operation. */
struct state {
    uint8_t *bytes; /* owned */
    uint64_t size;
};

struct crash_judge {
    const struct trace *trace;
    struct state start;
    struct sim *crashed;
    struct adapter *adapter; /* over `crashed` */
    uint64_t guilty;         /* the first byte of the fragment that was found wrong, or UINT64_MAX */
    bool in_states;          /* operations follow one another, a resize among them */
};

static bool changes_size(const struct trace *trace)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        if (trace->operations[i].kind == TRACE_RESIZE) {
            return true;
        }
    }
    return false;
}

bool crash_is_flush(const struct trace_operation *operation)
{
    return operation->kind == TRACE_FLUSH || operation->kind == TRACE_REOPEN;
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
static struct state read_state(const struct sim *sim, uint64_t capacity)
{
    struct sim_disk disk;
    char problem[128];
    if (!sim_disk_open(sim, &disk, problem, sizeof problem)) {
        report_fatal("the disk of a crash judge: %s", problem);
    }
    uint64_t room = disk.ref.size > capacity ? disk.ref.size : capacity;
    struct state state = {.bytes = report_allocate(room, 1), .size = disk.ref.size};
    addcow_ref_read(&disk.ref, 0, disk.ref.size, state.bytes);
    sim_disk_close(&disk);
    return state;
}

struct crash_judge *crash_make(const struct trace *trace)
{
    struct crash_judge *judge = report_allocate(1, sizeof *judge);
    struct sim *sim = sim_make();
    sim_disk_lay(sim, &trace->disk);
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

static bool refused(FILE *out, const char *what, enum addcow_status code, const struct addcow_error *error)
{
    if (code != ADDCOW_OK) {
        fprintf(out, "after a crash %s gives %s: %s (DUR-11)\n", what, addcow_status_name(code), error->message);
    }
    return code != ADDCOW_OK;
}

/* Reads the crashed disk with the production engine, which must find as many bytes as are there. */
static bool read_with_engine(struct crash_judge *judge, const struct state *got, uint8_t *bytes, FILE *out)
{
    struct addcow_error error;
    const struct adapter_ops *ops = judge->adapter->ops;
    if (refused(out, "open", ops->open(judge->adapter, DISK_METADATA, ADDCOW_OPEN_READONLY, &error), &error)) {
        return false;
    }
    bool same = ops->size(judge->adapter) == got->size;
    enum addcow_status code = same ? ops->read(judge->adapter, 0, got->size, bytes, &error) : ADDCOW_OK;
    bool fine = !refused(out, "read", code, &error);
    fine = !refused(out, "close", ops->close(judge->adapter, &error), &error) && fine;
    if (fine && (!same || memcmp(bytes, got->bytes, got->size) != 0)) {
        fputs("after a crash the two engines read different disks\n", out);
    }
    return fine && same && memcmp(bytes, got->bytes, got->size) == 0;
}

/* Opens the crashed disk with both engines and reads it. The caller frees got->bytes if this succeeds. */
static bool reopen(struct crash_judge *judge, struct state *got, FILE *out)
{
    struct sim_disk disk;
    char problem[128];
    if (!sim_disk_open(judge->crashed, &disk, problem, sizeof problem)) {
        fprintf(out, "after a crash the reference engine refuses the disk: %s (DUR-11)\n", problem);
        return false;
    }
    *got = (struct state){.size = disk.ref.size, .bytes = report_allocate(2, disk.ref.size)};
    addcow_ref_read(&disk.ref, 0, got->size, got->bytes);
    sim_disk_close(&disk);
    bool fine = read_with_engine(judge, got, got->bytes + got->size, out);
    if (!fine) {
        free(got->bytes);
    }
    return fine;
}

static void tell_moment(uint64_t moment, const struct sim *sim, FILE *out)
{
    fprintf(out, "  (the crash was at moment %" PRIu64 " of %" PRIu64 ")\n", moment, sim_moment(sim));
}

/* ---- What may be there ---- */

/*
 * Whether the change number `index` was durable at the crash: a flush followed it, or a close, and has returned.
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
    if (operation->kind == TRACE_RESIZE) {
        return operation->offset <= begin;
    }
    return trace_kind_changes(operation->kind) && operation->offset <= begin &&
           end - operation->offset <= operation->length;
}

/* What an operation writes at an offset; the start's content for the operation number trace->count. */
static void fill(const struct crash_judge *judge, uint32_t index, uint64_t begin, uint64_t end, uint8_t *bytes)
{
    if (index == judge->trace->count) {
        memcpy(bytes, judge->start.bytes + begin, end - begin);
    } else if (judge->trace->operations[index].kind == TRACE_WRITE) {
        stamp_fill((struct stamp){STAMP_WRITE, index}, begin, bytes, end - begin);
    } else {
        memset(bytes, 0, end - begin);
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

/* Whether an operation may have done something: one that failed and is refused, or is a resize, has not (RSZ-07). */
static bool has_begun(const struct crash_judge *judge, const struct crash_span *spans, uint32_t index, uint64_t moment)
{
    bool all_or_nothing = judge->trace->operations[index].kind == TRACE_RESIZE;
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
        if (memcmp(expected, got, end - begin) == 0 && !is_overwritten(judge, spans, i, begin, end, moment)) {
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
        if (trace_kind_changes(operation->kind) || operation->kind == TRACE_RESIZE) {
            end = operation->offset > begin && operation->offset < end ? operation->offset : end;
            end = limit > begin && limit < end ? limit : end;
        }
    }
    return end;
}

static void blame(struct crash_judge *judge, uint64_t begin, uint64_t end, const uint8_t *got, FILE *out)
{
    fprintf(out,
            "after a crash bytes [%" PRIu64 ", %" PRIu64 ") of the disk are neither durable nor written later (%s)\n",
            begin, end, "DUR-01, DUR-02");
    judge->guilty = begin;
    stamp_print_writers(out, begin, got, end - begin);
}

static bool is_possible_size(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                             uint64_t size)
{
    for (uint32_t i = 0; i <= judge->trace->count; i++) {
        const struct trace_operation *operation = &judge->trace->operations[i];
        bool is_start = i == judge->trace->count;
        bool gives = is_start ? size == judge->start.size
                              : operation->kind == TRACE_RESIZE && operation->offset == size &&
                                    has_begun(judge, spans, i, moment);
        bool replaced = false;
        for (uint32_t j = 0; gives && j < judge->trace->count; j++) {
            replaced =
                replaced || (judge->trace->operations[j].kind == TRACE_RESIZE &&
                             (is_start || spans[i].returned < spans[j].invoked) && is_durable(judge, spans, j, moment));
        }
        if (gives && !replaced) {
            return true;
        }
    }
    return false;
}

static bool judge_fragments(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                            const struct state *got, FILE *out)
{
    if (!is_possible_size(judge, spans, moment, got->size)) {
        fprintf(out, "after a crash the disk has %" PRIu64 " bytes, which it had not since the last flush (DUR-11)\n",
                got->size);
        return false;
    }
    for (uint64_t begin = 0, end; begin < got->size; begin = end) {
        end = fragment_end(judge->trace, begin, got->size);
        if (!is_allowed(judge, spans, moment, begin, end, got->bytes + begin)) {
            blame(judge, begin, end, got->bytes + begin, out);
            return false;
        }
    }
    return true;
}

/* ---- The same for a disk that changes its size, one operation after the other ---- */

static void do_on_state(const struct crash_judge *judge, uint32_t index, struct state *state)
{
    const struct trace_operation *operation = &judge->trace->operations[index];
    if (operation->kind == TRACE_RESIZE) {
        uint64_t size = operation->offset;
        if (size > state->size) {
            memset(state->bytes + state->size, 0, size - state->size);
        }
        state->size = size;
    } else if (trace_kind_changes(operation->kind)) {
        fill(judge, index, operation->offset, operation->offset + operation->length, state->bytes + operation->offset);
    }
}

/* Notes, for each sector of the disk that was found, and for its size, whether this state has it. */
static void compare_state(const struct state *state, const struct state *got, bool *sectors, bool *size)
{
    *size = *size || state->size == got->size;
    for (uint64_t begin = 0; begin < got->size; begin += SIM_SECTOR) {
        uint64_t left = got->size - begin;
        uint64_t count = left < SIM_SECTOR ? left : SIM_SECTOR;
        sectors[begin / SIM_SECTOR] =
            sectors[begin / SIM_SECTOR] ||
            (begin + count <= state->size && memcmp(state->bytes + begin, got->bytes + begin, count) == 0);
    }
}

static bool judge_states(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                         const struct state *got, FILE *out)
{
    uint64_t capacity = trace_capacity(judge->trace);
    capacity = judge->start.size > capacity ? judge->start.size : capacity;
    struct state state = {.bytes = report_allocate(capacity, 1), .size = judge->start.size};
    bool *sectors = report_allocate(got->size / SIM_SECTOR + 1, sizeof *sectors);
    bool size = false;
    memcpy(state.bytes, judge->start.bytes, state.size);
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
        fprintf(out, "after a crash the disk has %" PRIu64 " bytes: neither the old size nor the new one (DUR-11)\n",
                got->size);
    }
    for (uint64_t begin = 0; fine && begin < got->size; begin += SIM_SECTOR) {
        fine = sectors[begin / SIM_SECTOR];
        if (!fine) {
            uint64_t left = got->size - begin;
            blame(judge, begin, begin + (left < SIM_SECTOR ? left : SIM_SECTOR), got->bytes + begin, out);
        }
    }
    free(sectors);
    free(state.bytes);
    return fine;
}

/*
 * Whether a change may have happened in part, having failed or been lost with a process that died: then it is not known
 * which states the disk went through.
 */
static bool is_uncertain(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment)
{
    for (uint32_t i = 0; judge->in_states && i < judge->trace->count; i++) {
        bool failed = spans[i].status != ADDCOW_OK && spans[i].status != ADDCOW_RANGE && spans[i].end <= moment;
        if (trace_kind_changes(judge->trace->operations[i].kind) && failed) {
            return true;
        }
    }
    return false;
}

/* ---- A crash ---- */

/* Judges what is in judge->crashed; *got, which the caller frees, is what it reads as, if this succeeds. */
static bool judge_crashed(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment, struct state *got,
                          FILE *out)
{
    if (!reopen(judge, got, out)) {
        return false;
    }
    bool fine =
        is_uncertain(judge, spans, moment) || (judge->in_states ? judge_states(judge, spans, moment, got, out)
                                                                : judge_fragments(judge, spans, moment, got, out));
    if (!fine) {
        free(got->bytes);
    }
    return fine;
}

static void crash(struct crash_judge *judge, const struct sim *from, uint64_t moment, struct choices *choices)
{
    struct sim_crash_options options = sim_disk_crash_options(&judge->trace->disk);
    sim_crash(from, moment, &options, choices, judge->crashed);
}

bool crash_judge(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans, uint64_t moment,
                 struct choices *choices, FILE *out)
{
    struct state got;
    judge->guilty = UINT64_MAX;
    crash(judge, from, moment, choices);
    bool fine = judge_crashed(judge, spans, moment, &got, out);
    if (fine) {
        free(got.bytes);
    } else {
        tell_moment(moment, from, out);
    }
    return fine;
}

uint64_t crash_guilty(const struct crash_judge *judge)
{
    return judge->guilty;
}

/* ---- Every crash of a sequence ---- */

/*
 * The use after a first crash: the boundary of two clusters is written, flushed, the disk grows to more than it ever
 * was, and is written again.
 */
static void make_second_trace(const struct trace_disk *disk, uint64_t size, struct trace *trace)
{
    uint64_t cluster = addcow_cluster_size(disk->cluster_bits);
    uint64_t length = size < cluster + 1024 ? size : cluster + 1024;
    trace->disk = *disk;
    trace->threads = 1;
    trace->count = 0;
    trace_add(trace, 0, TRACE_WRITE, length / 2, length - length / 2);
    trace_add(trace, 0, TRACE_FLUSH, 0, 0);
    trace_add(trace, 0, TRACE_RESIZE, disk->size + 2 * cluster, 0);
    trace_add(trace, 0, TRACE_WRITE, 0, size < 700 ? size : 700);
}

static enum addcow_status reopen_disk(struct adapter *adapter, struct addcow_error *error)
{
    enum addcow_status closed = adapter->ops->close(adapter, error);
    enum addcow_status opened = adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, error);
    return closed != ADDCOW_OK ? closed : opened;
}

enum addcow_status crash_perform(struct adapter *adapter, const struct trace_operation *operation, uint32_t index,
                                 struct addcow_error *error)
{
    const struct adapter_ops *ops = adapter->ops;
    uint8_t *buffer;
    enum addcow_status code;
    switch (operation->kind) {
    case TRACE_WRITE:
        buffer = report_allocate(operation->length, 1);
        stamp_fill((struct stamp){STAMP_WRITE, index}, operation->offset, buffer, operation->length);
        code = ops->write(adapter, operation->offset, operation->length, buffer, error);
        free(buffer);
        return code;
    case TRACE_ZERO:
        return ops->zero(adapter, operation->offset, operation->length, error);
    case TRACE_DISCARD:
        return ops->discard(adapter, operation->offset, operation->length, error);
    case TRACE_FLUSH:
        return ops->flush(adapter, error);
    case TRACE_RESIZE:
        return ops->resize(adapter, operation->offset, error);
    case TRACE_STREAM:
        return ops->stream(adapter, error);
    case TRACE_COMMIT:
        return ops->commit(adapter, error);
    case TRACE_REOPEN:
        return reopen_disk(adapter, error);
    default:
        return ADDCOW_OK;
    }
}

/*
 * Another process opens the disk after one has died in operation `index`. What was not flushed may be lost, but a size
 * is that of the image.
 */
static bool revive(struct adapter *adapter, struct sim *sim, const struct trace *trace, uint32_t index,
                   struct crash_span *spans, FILE *out)
{
    struct addcow_error error;
    if (trace->operations[index].kind != TRACE_REOPEN) { /* that has closed it */
        adapter->ops->close(adapter, NULL);
    }
    sim_set_hook(sim, NULL, NULL);
    if (refused(out, "of a process open for writing",
                adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error), &error)) {
        return false;
    }
    if (trace->operations[index].kind == TRACE_RESIZE) {
        bool resized = adapter->ops->size(adapter) == trace->operations[index].offset;
        spans[index].status = resized ? ADDCOW_OK : ADDCOW_IO;
    }
    for (uint32_t i = index + 1; i-- > 0;) {
        if (crash_is_flush(&trace->operations[i]) && spans[i].status == ADDCOW_OK) {
            break;
        }
        if (trace_kind_changes(trace->operations[i].kind) && spans[i].status == ADDCOW_OK) {
            spans[i].status = ADDCOW_IO;
        }
    }
    return true;
}

/*
 * Opens the disk in `sim`, does a sequence, with the death of the process in it if that is planned, and closes; fills
 * the spans. False if it cannot be opened.
 */
static bool do_sequence(struct sim *sim, const struct trace *trace, struct inject *death, struct crash_span *spans,
                        FILE *out)
{
    struct addcow_error error;
    struct adapter *adapter = sched_adapter_make_fast(sim_storage(sim));
    bool opened = !refused(out, "open for writing",
                           adapter->ops->open(adapter, DISK_METADATA, ADDCOW_OPEN_READWRITE, &error), &error);
    sim_set_hook(sim, inject_hook, death);
    bool dead = false;
    for (uint32_t i = 0; opened && i <= trace->count; i++) {
        spans[i] = (struct crash_span){.begin = sim_moment(sim), .invoked = 2 * i + 1, .returned = 2 * i + 2};
        spans[i].status = i == trace->count ? adapter->ops->close(adapter, &error)
                                            : crash_perform(adapter, &trace->operations[i], i, &error);
        if (i < trace->count && !dead && inject_was_hit(death)) {
            dead = true;
            opened = revive(adapter, sim, trace, i, spans, out);
        }
        spans[i].end = sim_moment(sim);
    }
    sim_set_hook(sim, NULL, NULL);
    adapter->ops->destroy(adapter);
    return opened;
}

static bool judge_every_crash(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                              const struct crash_options *options, struct crash_counts *counts, FILE *out);

/* Uses the disk in `judge`->crashed, which reads as *start, and crashes it again. */
static bool judge_second(const struct crash_judge *judge, const struct state *start, uint64_t states,
                         struct crash_counts *counts, FILE *out)
{
    static struct trace trace;
    struct crash_span spans[8];
    struct sim *sim = judge->crashed;
    make_second_trace(&judge->trace->disk, start->size, &trace);
    struct crash_judge again = {.trace = &trace, .start = *start, .in_states = true, .crashed = sim_make()};
    again.adapter = sched_adapter_make_fast(sim_storage(again.crashed));
    sim_keep(sim);
    struct crash_counts inner = {0};
    struct crash_options options = {.states = states};
    bool fine = do_sequence(sim, &trace, &(struct inject){0}, spans, out) &&
                judge_every_crash(&again, sim, spans, &options, &inner, out);
    if (!fine) {
        fputs(
            "  (that was a second crash, after the first one; before it the disk was written, flushed, resized and "
            "written)\n",
            out);
    }
    counts->second_states += inner.states;
    again.adapter->ops->destroy(again.adapter);
    sim_free(again.crashed);
    return fine;
}

static bool judge_state(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                        uint64_t moment, const struct crash_options *options, struct choices *choices,
                        struct crash_counts *counts, FILE *out)
{
    struct state got;
    choices->count = 0;
    crash(judge, from, moment, choices);
    counts->states++;
    if (!judge_crashed(judge, spans, moment, &got, out)) {
        return false;
    }
    bool fine = !options->second || judge_second(judge, &got, options->states, counts, out);
    free(got.bytes);
    return fine;
}

static bool judge_moment(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                         uint64_t moment, const struct crash_options *options, struct crash_counts *counts, FILE *out)
{
    struct choices every = {0};
    struct random random = {moment};
    struct choices any = {.random = &random};
    uint64_t judged = 0;
    bool fine = true;
    bool more = true;
    counts->moments++;
    while (fine && more && (options->states == 0 || judged < options->states)) {
        fine = judge_state(judge, from, spans, moment, options, &every, counts, out);
        more = choices_next(&every);
        judged++;
    }
    counts->sampled += more;
    for (uint64_t i = 0; fine && more && i < options->states; i++) {
        fine = judge_state(judge, from, spans, moment, options, &any, counts, out);
    }
    if (!fine) {
        tell_moment(moment, from, out);
    }
    return fine;
}

static bool judge_every_crash(struct crash_judge *judge, const struct sim *from, const struct crash_span *spans,
                              const struct crash_options *options, struct crash_counts *counts, FILE *out)
{
    uint64_t end = sim_moment(from);
    for (uint64_t moment = 0; moment <= end; moment++) {
        if ((moment == end || sim_is_barrier(from, moment)) &&
            !judge_moment(judge, from, spans, moment, options, counts, out)) {
            return false;
        }
    }
    return true;
}

/* A death before a call that changes nothing leaves what one before the next call does. */
static bool changes_files(enum sim_call call)
{
    return call == SIM_PWRITE || call == SIM_SYNC || call == SIM_TRUNCATE || call == SIM_PUNCH;
}

/* The process dies at each of its calls, and another one goes on. */
static bool judge_deaths(struct crash_judge *judge, struct sim *sim, uint64_t calls, struct crash_span *spans,
                         const struct crash_options *options, struct crash_counts *counts, FILE *out)
{
    struct crash_options once = {.states = options->states};
    bool fine = true;
    for (uint64_t at = 1; fine && at <= calls; at++) {
        struct inject death = {.kills = true, .at = at};
        sim_restore(sim);
        fine = do_sequence(sim, judge->trace, &death, spans, out);
        if (fine && changes_files(death.call) && !is_uncertain(judge, spans, UINT64_MAX)) {
            counts->deaths++;
            fine = judge_every_crash(judge, sim, spans, &once, counts, out);
        }
        if (!fine) {
            fputs("  (before the crash, ", out);
            inject_print(&death, out);
            fputs(", and another one opened the disk)\n", out);
        }
    }
    return fine;
}

bool crash_sequence(const struct trace *trace, const struct crash_options *options, struct crash_counts *counts,
                    FILE *out)
{
    struct crash_span *spans = report_allocate(trace->count + 1, sizeof *spans);
    struct crash_judge *judge = crash_make(trace);
    struct sim *sim = sim_make();
    struct inject none = {0};
    sim_disk_lay(sim, &trace->disk);
    counts->sequences++;
    bool fine =
        do_sequence(sim, trace, &none, spans, out) && judge_every_crash(judge, sim, spans, options, counts, out);
    if (fine && options->deaths) {
        fine = judge_deaths(judge, sim, none.calls, spans, options, counts, out);
    }
    sim_free(sim);
    crash_free(judge);
    free(spans);
    return fine;
}

bool crash_every_state(const struct sim *sim, const struct sim_crash_options *options, crash_state_judge *judge,
                       const void *subject, struct crash_counts *counts, FILE *out)
{
    struct sim *crashed = sim_make();
    bool fine = true;
    for (uint64_t moment = 0; fine && moment <= sim_moment(sim); moment++) {
        struct choices choices = {0};
        counts->moments++;
        do {
            choices.count = 0;
            sim_crash(sim, moment, options, &choices, crashed);
            counts->states++;
            fine = judge(subject, crashed, moment == sim_moment(sim), out);
        } while (fine && choices_next(&choices));
        if (!fine) {
            tell_moment(moment, sim, out);
        }
    }
    sim_free(crashed);
    return fine;
}
