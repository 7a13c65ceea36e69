/*
 * The contents of a concurrent phase (CON-02).
 *
 * The disk is cut into fragments: at sectors, at the ends of requests and at its sizes. So each request covers a
 * fragment whole or not at all. A growth writes zeros into the fragments that it brings. A commit reads every fragment
 * into the backing file, which still shows what the commit has read if no later commit has read it again. The content
 * at rest is a read after everything.
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

/* A fragment: the bytes [begin, end) of the disk, and what was done to it. */
struct fragment {
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

static void fragment_make(struct fragment *fragment, uint32_t room)
{
    *fragment = (struct fragment){
        .operations = report_allocate(room, sizeof *fragment->operations),
        .names = report_allocate(room, sizeof *fragment->names),
        .epochs = report_allocate(room, sizeof *fragment->epochs),
        .values = report_allocate((size_t)room + 1, sizeof *fragment->values),
        .written = report_allocate(room, sizeof *fragment->written),
        .order = report_allocate(room, sizeof *fragment->order),
    };
}

static void fragment_free(struct fragment *fragment)
{
    free(fragment->operations);
    free(fragment->names);
    free(fragment->epochs);
    free(fragment->values);
    free(fragment->written);
    free(fragment->order);
}

static uint32_t value_number(struct fragment *fragment, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < fragment->value_count; i++) {
        if (memcmp(fragment->values[i], bytes, (size_t)(fragment->end - fragment->begin)) == 0) {
            return i;
        }
    }
    fragment->values[fragment->value_count] = bytes;
    return fragment->value_count++;
}

static struct linearizability_operation *fragment_add(struct fragment *fragment, uint32_t name, uint32_t epoch,
                                                      bool is_write, const uint8_t *bytes, uint64_t invoked,
                                                      uint64_t returned)
{
    struct linearizability_operation *operation = &fragment->operations[fragment->count];
    fragment->epochs[fragment->count] = epoch;
    fragment->names[fragment->count++] = name;
    *operation = (struct linearizability_operation){
        .invoked = invoked, .returned = returned, .value = value_number(fragment, bytes), .is_write = is_write};
    return operation;
}

static void fragment_add_access(const struct history *history, struct fragment *fragment, const struct access *access)
{
    const uint8_t *bytes = fragment->written[fragment->count];
    if (!access->is_write) {
        bytes = history_record(history, access->operation)->data + (fragment->begin - access->begin);
    } else {
        bool stamped = history->trace->operations[access->operation].kind == OPERATION_WRITE;
        struct stamp stamp = {stamped ? STAMP_WRITE : STAMP_ZERO, access->operation};
        stamp_fill(stamp, fragment->begin, fragment->written[fragment->count],
                   (size_t)(fragment->end - fragment->begin));
    }
    fragment_add(fragment, access->operation, history_epoch(history, access->invoked), access->is_write, bytes,
                 access->invoked, access->returned)
        ->may_be_lost = access->may_be_lost;
}

/* Whether the backing file shows what exclusive operation number `index`, a commit, has read. */
static bool shows_commit(const struct history *history, uint32_t index, const struct fragment *fragment)
{
    const struct exclusive *commit = &history->exclusives[index];
    if (!commit->is_commit || history->committed == NULL || commit->old_size < fragment->end) {
        return false;
    }
    /* Past the backing file's end nothing was allocated, and the unallocated reads as zeros there (CMT-02). */
    bool later = false;
    for (uint32_t i = index + 1; i < history->exclusive_count; i++) {
        later = later || (history->exclusives[i].is_commit && history->exclusives[i].old_size >= fragment->end);
    }
    return !later || fragment->begin >= history->oracle->disk.backing_size;
}

static void fragment_add_exclusive(const struct history *history, struct fragment *fragment, uint32_t index)
{
    const struct exclusive *exclusive = &history->exclusives[index];
    uint64_t moment = exclusive->moment;
    if (fragment->end <= exclusive->new_size && fragment->end > exclusive->old_size) {
        fragment_add(fragment, exclusive->operation, index + 1, true, zeros, moment, moment + 1);
    } else if (shows_commit(history, index, fragment)) {
        fragment_add(fragment, exclusive->operation, index + 1, false, history->committed + fragment->begin, moment,
                     moment + 1);
    }
}

static void fill_fragment(const struct history *history, const uint32_t *covering, uint32_t count,
                          struct fragment *fragment)
{
    fragment->count = fragment->value_count = 0;
    value_number(fragment, history->initial + fragment->begin);
    for (uint32_t i = 0; i < count; i++) {
        fragment_add_access(history, fragment, &history->accesses[covering[i]]);
    }
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        fragment_add_exclusive(history, fragment, i);
    }
    if (fragment->end <= history->snapshot.size) {
        fragment_add(fragment, HISTORY_NONE, history->exclusive_count, false, history->snapshot.bytes + fragment->begin,
                     HISTORY_AT_REST, UINT64_MAX);
    }
}

/* ---- Messages ---- */

static void print_content(FILE *out, const struct fragment *fragment, uint32_t value)
{
    uint64_t length = fragment->end - fragment->begin;
    fputc('\n', out);
    if (length < 16) {
        for (uint64_t i = 0; i < length; i++) {
            fprintf(out, " %02x", fragment->values[value][i]);
        }
        fputc('\n', out);
        return;
    }
    stamp_print_writers(out, fragment->begin, fragment->values[value], (size_t)length);
}

static void print_operation(const struct history *history, const struct fragment *fragment, uint32_t index)
{
    FILE *out = history->out;
    uint32_t name = fragment->names[index];
    if (name == HISTORY_NONE) {
        fputs("  at rest afterwards:", out);
    } else {
        const struct execution_record *record = history_record(history, name);
        fprintf(out, "  moments %" PRIu64 "..%" PRIu64 ", operation %" PRIu32 " (thread ", record->invoked,
                record->returned, name);
        trace_print_operation(out, &history->trace->operations[name]);
        fputs(fragment->operations[index].is_write ? ") wrote:" : ") read:", out);
    }
    print_content(out, fragment, fragment->operations[index].value);
}

/* Prints a fragment whose contents no order explains. */
static void print_fragment(const struct history *history, const struct fragment *fragment, uint32_t unexplained)
{
    FILE *out = history->out;
    fprintf(out, "bytes %" PRIu64 "..%" PRIu64 ": no order of the writes explains what was read (CON-02)\n",
            fragment->begin, fragment->end - 1);
    fputs("  at the start:", out);
    print_content(out, fragment, 0);
    for (uint32_t i = 0; i < fragment->count; i++) {
        print_operation(history, fragment, i);
    }
    if (fragment->names[unexplained] == HISTORY_NONE) {
        fputs("  what the disk shows at rest cannot be explained", out);
    } else {
        fprintf(out, "  operation %" PRIu32 " cannot be explained", fragment->names[unexplained]);
    }
    uint32_t value = fragment->operations[unexplained].value;
    if (value != 0) {
        fputs("; against the content at the start:\n", out);
        report_hex_window(out, fragment->begin, fragment->values[0], fragment->values[value],
                          (size_t)(fragment->end - fragment->begin));
    } else {
        fputs(": it is the content at the start\n", out);
    }
}

/* ---- Judging ---- */

static void add_witness_write(struct history *history, const struct fragment *fragment, uint32_t operation,
                              uint32_t epoch)
{
    if (history->witness_count == history->witness_room) {
        history->witness_room = history->witness_room * 2 + 1024;
        history->witness = realloc(history->witness, history->witness_room * sizeof *history->witness);
        if (history->witness == NULL) {
            report_fatal("no memory for a witness order");
        }
    }
    history->witness[history->witness_count++] =
        (struct witness_write){fragment->begin, fragment->end, operation, epoch};
}

/* Takes over the writes in witness order, each into the first epoch that the order leaves it. */
static void add_witness(struct history *history, const struct fragment *fragment,
                        const struct linearizability_result *result)
{
    uint32_t epoch = 0;
    for (uint32_t i = 0; i < result->ordered; i++) {
        uint32_t index = result->order[i];
        epoch = fragment->epochs[index] > epoch ? fragment->epochs[index] : epoch;
        if (fragment->operations[index].is_write &&
            operation_changes_range(history->trace->operations[fragment->names[index]].kind)) {
            add_witness_write(history, fragment, fragment->names[index], epoch);
        }
    }
}

static bool judge_fragment(struct history *history, struct fragment *fragment)
{
    struct linearizability_result result = {.order = fragment->order};
    history->counts.fragments++;
    switch (linearizability_check(0, fragment->operations, fragment->count, &result)) {
    case NOT_LINEARIZABLE:
        print_fragment(history, fragment, result.unexplained);
        history->counts.wrong_byte = fragment->begin;
        history->counts.has_wrong_byte = true;
        return false;
    case LINEARIZABILITY_UNDECIDED:
        history->counts.undecided++;
        add_witness_write(history, fragment, HISTORY_NONE, history->exclusive_count);
        return true;
    default:
        add_witness(history, fragment, &result);
        return true;
    }
}

/* Whether [begin, end), which no request touched, existed always or never, and never changed. */
static bool rests(const struct history *history, uint64_t begin, uint64_t end)
{
    const uint8_t *expected = history->initial + begin;
    for (uint32_t epoch = 1; epoch <= history->exclusive_count; epoch++) {
        if ((end <= history_size(history, epoch)) != (end <= history->old_size)) {
            return false;
        }
    }
    return end > history->old_size ||
           (memcmp(expected, history->snapshot.bytes + begin, (size_t)(end - begin)) == 0 &&
            (history->committed == NULL || memcmp(expected, history->committed + begin, (size_t)(end - begin)) == 0));
}

/* Judges [begin, end), every byte of which the accesses covering[0, count) cover, and no others. */
static bool judge_stretch(struct history *history, uint64_t begin, uint64_t end, const uint32_t *covering,
                          uint32_t count, struct fragment *fragment)
{
    if (count == 0 && rests(history, begin, end)) {
        history->counts.fragments += (end - begin + SECTOR - 1) / SECTOR;
        return true;
    }
    for (uint64_t at = begin; at < end; at = fragment->end) {
        uint64_t sector_end = (at / SECTOR + 1) * SECTOR;
        fragment->begin = at;
        fragment->end = sector_end < end ? sector_end : end;
        fill_fragment(history, covering, count, fragment);
        if (!judge_fragment(history, fragment)) {
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

bool history_judge_sectors(struct history *history)
{
    uint64_t *cuts;
    uint32_t cut_count = list_cuts(history, &cuts);
    uint32_t *covering = report_allocate(history->access_count, sizeof *covering);
    struct fragment fragment;
    bool conforms = true;
    fragment_make(&fragment, history->access_count + history->exclusive_count + 1);
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
        conforms = judge_stretch(history, cuts[i], cuts[i + 1], covering, count, &fragment);
    }
    fragment_free(&fragment);
    free(covering);
    free(cuts);
    return conforms;
}
