/*
 * The contents of a concurrent phase (CON-02).
 *
 * The disk is cut at sectors, at the ends of requests and at its sizes, so that each request covers a register whole or
 * not at all. A growth writes zeros into registers that it brings. A commit reads every register into the backing file;
 * where a later one has not read it again, the backing file still shows what it was. The content at rest is read by
 * nobody after everything.
 */
#include "judges/history_parts.h"

#include "judges/linearizability.h"
#include "base/report.h"
#include "workload/stamp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR HISTORY_SECTOR

static const uint8_t zeros[SECTOR];

/* A register: the bytes [begin, end) of the disk, and what happened to it. */
struct cell {
    uint64_t begin;
    uint64_t end;
    uint32_t count; /* operations */
    uint32_t value_count;
    struct linearizability_operation *operations;
    uint32_t *names;  /* of the operations: of the trace, or HISTORY_NONE for the content at rest */
    uint32_t *epochs; /* the first one that the operation can be in; of an exclusive one, the one after it */
    const uint8_t **values;
    uint8_t (*written)[SECTOR]; /* room for the contents of the writes */
    uint32_t *order;
};

static void cell_make(struct cell *cell, uint32_t room)
{
    *cell = (struct cell){
        .operations = report_allocate(room, sizeof *cell->operations),
        .names = report_allocate(room, sizeof *cell->names),
        .epochs = report_allocate(room, sizeof *cell->epochs),
        .values = report_allocate((size_t)room + 1, sizeof *cell->values),
        .written = report_allocate(room, sizeof *cell->written),
        .order = report_allocate(room, sizeof *cell->order),
    };
}

static void cell_free(struct cell *cell)
{
    free(cell->operations);
    free(cell->names);
    free(cell->epochs);
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

static struct linearizability_operation *cell_add(struct cell *cell, uint32_t name, uint32_t epoch, bool is_write,
                                                  const uint8_t *bytes, uint64_t invoked, uint64_t returned)
{
    struct linearizability_operation *operation = &cell->operations[cell->count];
    cell->epochs[cell->count] = epoch;
    cell->names[cell->count++] = name;
    *operation = (struct linearizability_operation){
        .invoked = invoked, .returned = returned, .value = value_number(cell, bytes), .is_write = is_write};
    return operation;
}

static void cell_add_access(const struct history *history, struct cell *cell, const struct access *access)
{
    const uint8_t *bytes = cell->written[cell->count];
    if (!access->is_write) {
        bytes = history_record(history, access->operation)->data + (cell->begin - access->begin);
    } else {
        bool stamped = history->trace->operations[access->operation].kind == OPERATION_WRITE;
        struct stamp stamp = {stamped ? STAMP_WRITE : STAMP_ZERO, access->operation};
        stamp_fill(stamp, cell->begin, cell->written[cell->count], cell->end - cell->begin);
    }
    cell_add(cell, access->operation, history_epoch(history, access->invoked), access->is_write, bytes, access->invoked,
             access->returned)
        ->may_be_lost = access->may_be_lost;
}

/* Whether the backing file shows what the commit number `index` of the exclusive operations has read. */
static bool shows_commit(const struct history *history, uint32_t index, const struct cell *cell)
{
    const struct exclusive *commit = &history->exclusives[index];
    if (!commit->is_commit || history->committed == NULL || commit->old_size < cell->end) {
        return false;
    }
    /* Nothing was allocated behind the backing file's end, and what is not reads as zeros there (CMT-02). */
    bool later = false;
    for (uint32_t i = index + 1; i < history->exclusive_count; i++) {
        later = later || (history->exclusives[i].is_commit && history->exclusives[i].old_size >= cell->end);
    }
    return !later || cell->begin >= history->oracle->disk.backing_size;
}

static void cell_add_exclusive(const struct history *history, struct cell *cell, uint32_t index)
{
    const struct exclusive *exclusive = &history->exclusives[index];
    uint64_t moment = exclusive->moment;
    if (cell->end <= exclusive->new_size && cell->end > exclusive->old_size) {
        cell_add(cell, exclusive->operation, index + 1, true, zeros, moment, moment + 1);
    } else if (shows_commit(history, index, cell)) {
        cell_add(cell, exclusive->operation, index + 1, false, history->committed + cell->begin, moment, moment + 1);
    }
}

static void fill_cell(const struct history *history, const uint32_t *covering, uint32_t count, struct cell *cell)
{
    cell->count = cell->value_count = 0;
    value_number(cell, history->initial + cell->begin);
    for (uint32_t i = 0; i < count; i++) {
        cell_add_access(history, cell, &history->accesses[covering[i]]);
    }
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        cell_add_exclusive(history, cell, i);
    }
    if (cell->end <= history->snapshot.size) {
        cell_add(cell, HISTORY_NONE, history->exclusive_count, false, history->snapshot.bytes + cell->begin,
                 HISTORY_AT_REST, UINT64_MAX);
    }
}

/* ---- Messages ---- */

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

static void print_operation(const struct history *history, const struct cell *cell, uint32_t index)
{
    FILE *out = history->out;
    uint32_t name = cell->names[index];
    if (name == HISTORY_NONE) {
        fputs("  at rest afterwards:", out);
    } else {
        const struct execution_record *record = history_record(history, name);
        fprintf(out, "  moments %" PRIu64 "..%" PRIu64 ", operation %" PRIu32 " (thread ", record->invoked,
                record->returned, name);
        trace_print_operation(out, &history->trace->operations[name]);
        fputs(cell->operations[index].is_write ? ") wrote:" : ") read:", out);
    }
    print_content(out, cell, cell->operations[index].value);
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
        print_operation(history, cell, i);
    }
    if (cell->names[guilty] == HISTORY_NONE) {
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

/* ---- Judging ---- */

static void add_fragment(struct history *history, const struct cell *cell, uint32_t operation, uint32_t epoch)
{
    if (history->fragment_count == history->fragment_room) {
        history->fragment_room = history->fragment_room * 2 + 1024;
        history->fragments = realloc(history->fragments, history->fragment_room * sizeof *history->fragments);
        if (history->fragments == NULL) {
            report_fatal("no memory for a witness order");
        }
    }
    history->fragments[history->fragment_count++] = (struct fragment){cell->begin, cell->end, operation, epoch};
}

/* Takes over the writes in witness order, each into the first epoch that the order leaves it. */
static void add_fragments(struct history *history, const struct cell *cell, const struct linearizability_result *result)
{
    uint32_t epoch = 0;
    for (uint32_t i = 0; i < result->ordered; i++) {
        uint32_t index = result->order[i];
        epoch = cell->epochs[index] > epoch ? cell->epochs[index] : epoch;
        if (cell->operations[index].is_write &&
            operation_changes_range(history->trace->operations[cell->names[index]].kind)) {
            add_fragment(history, cell, cell->names[index], epoch);
        }
    }
}

static bool judge_cell(struct history *history, struct cell *cell)
{
    struct linearizability_result result = {.order = cell->order};
    history->counts.registers++;
    switch (linearizability_check(0, cell->operations, cell->count, &result)) {
    case NOT_LINEARIZABLE:
        print_cell(history, cell, result.guilty);
        history->counts.guilty = cell->begin;
        history->counts.found_guilty = true;
        return false;
    case LINEARIZABILITY_UNDECIDED:
        history->counts.undecided++;
        add_fragment(history, cell, HISTORY_NONE, history->exclusive_count);
        return true;
    default:
        add_fragments(history, cell, &result);
        return true;
    }
}

/* Whether [begin, end), which no request touched, existed always or never, and shows its first content everywhere. */
static bool rests(const struct history *history, uint64_t begin, uint64_t end)
{
    const uint8_t *expected = history->initial + begin;
    for (uint32_t epoch = 1; epoch <= history->exclusive_count; epoch++) {
        if ((end <= history_size(history, epoch)) != (end <= history->old_size)) {
            return false;
        }
    }
    return end > history->old_size ||
           (memcmp(expected, history->snapshot.bytes + begin, end - begin) == 0 &&
            (history->committed == NULL || memcmp(expected, history->committed + begin, end - begin) == 0));
}

/* Judges [begin, end), every byte of which the accesses covering[0, count) cover, and no others. */
static bool judge_stretch(struct history *history, uint64_t begin, uint64_t end, const uint32_t *covering,
                          uint32_t count, struct cell *cell)
{
    if (count == 0 && rests(history, begin, end)) {
        history->counts.registers += (end - begin + SECTOR - 1) / SECTOR;
        return true;
    }
    for (uint64_t at = begin; at < end; at = cell->end) {
        uint64_t sector_end = (at / SECTOR + 1) * SECTOR;
        cell->begin = at;
        cell->end = sector_end < end ? sector_end : end;
        fill_cell(history, covering, count, cell);
        if (!judge_cell(history, cell)) {
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
    size_t room = 2 * (size_t)history->access_count + history->exclusive_count + 3;
    uint64_t *list = report_allocate(room, sizeof *list);
    uint64_t backing_size = history->oracle->disk.backing_size;
    uint32_t count = 0;
    list[count++] = 0;
    list[count++] = history->old_size;
    list[count++] = backing_size < history->larger_size ? backing_size : 0;
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        list[count++] = history->exclusives[i].new_size;
    }
    for (uint32_t i = 0; i < history->access_count; i++) {
        list[count++] = history->accesses[i].begin;
        list[count++] = history->accesses[i].end;
    }
    qsort(list, count, sizeof *list, compare_offsets);
    *cuts = list;
    return count;
}

bool history_judge_registers(struct history *history)
{
    uint64_t *cuts;
    uint32_t cut_count = list_cuts(history, &cuts);
    uint32_t *covering = report_allocate(history->access_count, sizeof *covering);
    struct cell cell;
    bool conforms = true;
    cell_make(&cell, history->access_count + history->exclusive_count + 1);
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
        conforms = judge_stretch(history, cuts[i], cuts[i + 1], covering, count, &cell);
    }
    cell_free(&cell);
    free(covering);
    free(cuts);
    return conforms;
}
