/*
 * The judge of a phase in which several threads work on one disk.
 *
 * The judge supposes an order of the successful resizes and commits, and a moment for each. Then it checks, in this
 * order:
 *
 *   1. Statuses (history_statuses.c). They follow from the sizes of the disk at these moments. A request that the
 *      storage has failed did to each sector of its range what it should or nothing (ERR-02). Beyond that it has at
 *      most allocated (RSZ-07, STR-03, CMT-03). The statuses say between which moments a request took effect.
 *   2. Clusters (history_clusters.c). Each map, and the statuses at rest afterwards, were true at some moment.
 *   3. Sectors (history_sectors.c). Each sector has a witness order of its operations.
 *   4. Replay (history_replay.c). The oracle does the writes in witness order, the resizes and commits in between,
 *      and the streams. Then everything must be equal.
 *
 * If a check fails, the judge supposes other orders and moments, until none is left. It prints why the first ones
 * failed. It tries late moments first, since an exclusive operation mostly ends soon after it took effect for all
 * others.
 */
#include "judges/history_parts.h"

#include "workload/disk_files.h"
#include "workload/phase.h"
#include "base/report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct execution_record *history_record(const struct history *history, uint32_t operation)
{
    return &history->execution->records[operation];
}

bool history_has_failed(const struct history *history, uint32_t operation)
{
    enum addcow_status status = history_record(history, operation)->status;
    return status != ADDCOW_OK && (history->execution->failures >> status & 1) != 0;
}

uint32_t history_epoch(const struct history *history, uint64_t moment)
{
    uint32_t epoch = 0;
    while (epoch < history->exclusive_count && history->exclusives[epoch].moment < moment) {
        epoch++;
    }
    return epoch;
}

uint64_t history_size(const struct history *history, uint32_t epoch)
{
    return epoch == 0 ? history->old_size : history->exclusives[epoch - 1].new_size;
}

static bool is_exclusive(uint32_t kind)
{
    return kind == OPERATION_RESIZE || kind == OPERATION_COMMIT;
}

/* ---- One supposition ---- */

/* Sets the moments, scaled, and the sizes of the disk from exclusive operation to exclusive operation. */
static void set_moments(struct history *history)
{
    uint64_t size = history->old_size;
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        struct exclusive *exclusive = &history->exclusives[i];
        exclusive->moment = exclusive->after * history->scale + 4 * i + 2;
        exclusive->old_size = size;
        exclusive->new_size = exclusive->is_commit ? size : history->trace->operations[exclusive->operation].offset;
        size = exclusive->new_size;
    }
}

static bool judge_size(const struct history *history)
{
    uint64_t size = history_size(history, history->exclusive_count);
    if (history->snapshot.size != size) {
        fprintf(history->out, "the disk has %" PRIu64 " bytes instead of %" PRIu64 " (VRT-01, RSZ-01)\n",
                history->snapshot.size, size);
    }
    return history->snapshot.size == size;
}

/* Judges the phase with the exclusive operations in this order and after these moments. */
static bool judge_supposition(struct history *history)
{
    set_moments(history);
    history->witness_count = 0;
    history->counts = (struct history_counts){0};
    if (!judge_size(history) || !history_judge_statuses(history)) {
        return false;
    }
    history_list_accesses(history);
    return history_judge_clusters(history) && history_judge_sectors(history) && history_replay(history);
}

/* ---- All of them ---- */

struct search {
    struct history *history;
    struct history_counts first; /* of the first supposition */
    uint64_t suppositions;
    char *explanation; /* of the first one, owned */
};

static bool try_supposition(struct search *search)
{
    struct history *history = search->history;
    char *explanation = NULL;
    size_t length = 0;
    history->out = open_memstream(&explanation, &length);
    if (history->out == NULL) {
        report_fatal("no memory for a report");
    }
    bool conforms = judge_supposition(history);
    fclose(history->out);
    if (search->suppositions++ == 0) {
        search->first = history->counts;
        search->explanation = explanation;
    } else {
        free(explanation);
    }
    return conforms;
}

static void swap(struct exclusive *a, struct exclusive *b)
{
    struct exclusive saved = *a;
    *a = *b;
    *b = saved;
}

/* Whether the exclusive operation number `index` can be the last of those up to number `last`, in real time. */
static bool can_be_last(const struct history *history, uint32_t index, uint32_t last)
{
    uint64_t returned = history_record(history, history->exclusives[index].operation)->returned;
    for (uint32_t i = 0; i <= last; i++) {
        if (i != index && history_record(history, history->exclusives[i].operation)->invoked > returned) {
            return false;
        }
    }
    return true;
}

/*
 * Supposes orders and moments of the first `left` exclusive operations; those behind them are fixed. The last of the
 * first ones takes effect after a moment up to `latest`. True as soon as everything conforms.
 */
static bool suppose(struct search *search, uint32_t left, uint64_t latest)
{
    struct history *history = search->history;
    if (left == 0) {
        return try_supposition(search);
    }
    struct exclusive *last = &history->exclusives[left - 1];
    for (uint32_t i = left; i-- > 0;) {
        if (!can_be_last(history, i, left - 1)) {
            continue;
        }
        swap(&history->exclusives[i], last);
        const struct execution_record *record = history_record(history, last->operation);
        uint64_t after = record->returned - 1 < latest ? record->returned - 1 : latest;
        for (; after >= record->invoked; after--) {
            last->after = after;
            if (suppose(search, left - 1, after)) {
                return true;
            }
        }
        swap(&history->exclusives[i], last);
    }
    return false;
}

/* ---- The phase ---- */

/* Lists the exclusive operations, and notes what else there is. */
static void find_whole_disk_operations(struct history *history)
{
    history->old_size = history->larger_size = history->oracle->disk.size;
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct trace_operation *operation = &history->trace->operations[i];
        bool succeeded = history_record(history, i)->status == ADDCOW_OK;
        if (history_has_failed(history, i)) {
            history->commit_failed = history->commit_failed || operation->kind == OPERATION_COMMIT;
        } else if (succeeded && is_exclusive(operation->kind)) {
            bool is_commit = operation->kind == OPERATION_COMMIT;
            history->exclusives[history->exclusive_count++] =
                (struct exclusive){.operation = i, .is_commit = is_commit};
            history->commits += is_commit;
            if (!is_commit && operation->offset > history->larger_size) {
                history->larger_size = operation->offset;
            }
        } else if (operation->kind == OPERATION_STREAM) {
            history->streamed = true;
        }
    }
    history->scale = 4 * (uint64_t)history->exclusive_count + 4;
}

/* The size that the disk should have: its size now, if one of the resizes gives it. */
static uint64_t expected_size(const struct history *history)
{
    uint64_t size = history->execution->adapter->ops->size(history->execution->adapter);
    uint64_t expected = history->old_size;
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        const struct exclusive *exclusive = &history->exclusives[i];
        if (!exclusive->is_commit && expected != size) {
            expected = history->trace->operations[exclusive->operation].offset;
        }
    }
    return expected;
}

/*
 * Loads what commits left in the backing file. If a commit failed after another one had succeeded, it is not known
 * which of them wrote a byte.
 */
static bool load_committed(struct history *history, FILE *out)
{
    uint64_t backing_size = history->oracle->disk.backing_size;
    if (history->commits == 0 || history->commit_failed || !history->oracle->disk.has_backing) {
        return true;
    }
    history->committed = report_allocate(backing_size > history->larger_size ? backing_size : history->larger_size, 1);
    return oracle_load_backing(history->oracle, history->directory, history->committed, out);
}

/*
 * Finds "all allocated", if a commit that failed, or a stream and a commit, decide about it. After a failure the file
 * may differ from the state of the implementation until a flush; so the implementation is asked.
 */
static bool find_flag(struct history *history)
{
    uint8_t *bytes;
    uint64_t length;
    struct adapter *adapter = history->execution->adapter;
    if (history->oracle->start.layout != ADDCOW_R20) {
        return false;
    }
    if (history->commit_failed && adapter->ops->all_allocated != NULL) {
        history->flag = adapter->ops->all_allocated(adapter);
        return true;
    }
    if (!history->streamed || history->commits + history->commit_failed == 0 ||
        !disk_files_load(history->directory, DISK_METADATA, &bytes, &length)) {
        return false;
    }
    history->flag = length > ADDCOW_COMPATIBLE_OFFSET && (bytes[ADDCOW_COMPATIBLE_OFFSET] & ADDCOW_ALL_ALLOCATED) != 0;
    free(bytes);
    return true;
}

static void take_counts(const struct history_counts *from, struct history_counts *to)
{
    to->fragments += from->fragments;
    to->undecided += from->undecided;
    to->wrong_byte = from->has_wrong_byte ? from->wrong_byte : to->wrong_byte;
    to->has_wrong_byte = to->has_wrong_byte || from->has_wrong_byte;
}

/* Judges the phase, with all that is needed for it. */
static bool judge_contents(struct history *history, struct history_counts *counts, FILE *out)
{
    struct search search = {.history = history};
    history->initial = report_allocate(history->larger_size, 1);
    addcow_ref_read(&history->oracle->disk, 0, history->old_size, history->initial);
    history->flag_known = find_flag(history);
    bool conforms = load_committed(history, out);
    if (conforms && history->exclusive_count == 0) {
        history->out = out;
        conforms = judge_supposition(history);
        take_counts(&history->counts, counts);
    } else if (conforms) {
        conforms = suppose(&search, history->exclusive_count, UINT64_MAX);
        take_counts(conforms ? &history->counts : &search.first, counts);
    }
    if (!conforms && search.explanation != NULL) {
        fputs(search.explanation, out);
    }
    if (!conforms && search.suppositions > 1) {
        fprintf(out,
                "  (this is for one order and moment of the resizes and commits; %" PRIu64
                " others do not explain the phase either)\n",
                search.suppositions - 1);
    }
    free(search.explanation);
    free(history->initial);
    free(history->committed);
    free(history->witness);
    return conforms;
}

bool history_judge(struct execution *execution, uint32_t begin, uint32_t end, struct oracle *oracle,
                   const char *directory, struct history_counts *counts, FILE *out)
{
    struct history history = {.execution = execution,
                              .trace = execution->trace,
                              .oracle = oracle,
                              .directory = directory,
                              .begin = begin,
                              .end = end};
    assert(phase_problem(execution->trace, begin, end) == NULL);
    history.exclusives = report_allocate(end - begin + 1, sizeof *history.exclusives);
    history.accesses = report_allocate(end - begin, sizeof *history.accesses);
    find_whole_disk_operations(&history);
    bool conforms =
        snapshot_take(execution, expected_size(&history), oracle->disk.cluster_size, &history.snapshot, out);
    if (conforms) {
        conforms = judge_contents(&history, counts, out);
        snapshot_free(&history.snapshot);
    }
    free(history.accesses);
    free(history.exclusives);
    return conforms;
}
