/*
 * The statuses of clusters in a concurrent phase (WR-02, MAP-02, CON-10).
 *
 * A commit makes every cluster unallocated. A resize removes clusters or brings new ones. Between two of these lies a
 * life of a cluster, in which its status only goes from 0 to 1. For each life the judge keeps a moment at which the
 * cluster was not yet allocated, and one at which it was. A report of a status within one life narrows these, and must
 * not contradict them. A report that may belong to several lives must be possible in one of them.
 */
#include "judges/history_parts.h"

#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

struct life {
    uint64_t begin; /* scaled moments */
    uint64_t end;
    bool by_growth;
    uint64_t not_before; /* the cluster became allocated after this; UINT64_MAX: nothing allocates it */
    uint64_t not_after;  /* and before this */
};

struct lives {
    uint64_t cluster;
    uint32_t count;
    struct life *list;
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- All allocated ---- */

/* Whether a commit takes effect between two moments. */
static bool is_committed_between(const struct history *history, uint64_t begin, uint64_t end)
{
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        const struct exclusive *exclusive = &history->exclusives[i];
        if (exclusive->is_commit && exclusive->moment > begin && exclusive->moment < end) {
            return true;
        }
    }
    return false;
}

/* Whether a commit that failed may have cleared the flag, and bits, between two moments. */
static bool may_be_cleared_between(const struct history *history, uint64_t begin, uint64_t end)
{
    for (uint32_t i = history->begin; history->commit_failed && i < history->end; i++) {
        const struct execution_record *record = history_record(history, i);
        if (history->trace->operations[i].kind == OPERATION_COMMIT && history_has_failed(history, i) &&
            record->invoked * history->scale < end && record->returned * history->scale > begin) {
            return true;
        }
    }
    return false;
}

/* Only r20 has the flag. It is set at the start, or by a stream at some moment of it; a commit clears it. */
static bool flag(const struct history *history, uint64_t moment, bool surely)
{
    if (history->oracle->start.layout != ADDCOW_R20) {
        return false;
    }
    if (history->oracle->disk.all_allocated && !is_committed_between(history, 0, moment) &&
        (!surely || !may_be_cleared_between(history, 0, moment))) {
        return true;
    }
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct execution_record *record = history_record(history, i);
        uint64_t invoked = record->invoked * history->scale;
        uint64_t returned = record->returned * history->scale;
        if (history->trace->operations[i].kind != OPERATION_STREAM || (surely && record->status != ADDCOW_OK)) {
            continue;
        }
        if (surely ? returned < moment && !is_committed_between(history, invoked, moment) &&
                         !may_be_cleared_between(history, invoked, moment)
                   : invoked < moment && !is_committed_between(history, returned, moment)) {
            return true;
        }
    }
    return false;
}

bool history_flag_may_be_set(const struct history *history, uint64_t moment)
{
    return flag(history, moment, false);
}

bool history_flag_is_set(const struct history *history, uint64_t moment)
{
    return flag(history, moment, true);
}

/* ---- Lives ---- */

static bool covers_cluster(const struct history *history, uint64_t begin, uint64_t end, uint64_t cluster)
{
    uint64_t size = history->oracle->disk.cluster_size;
    return begin < end && begin < (cluster + 1) * size && end > cluster * size;
}

static bool is_within(const struct history *history, uint64_t cluster, uint64_t size)
{
    return cluster * history->oracle->disk.cluster_size < size;
}

/* Begins a life in which nothing allocates the cluster, so far. */
static struct life *begin_life(struct lives *lives, uint64_t moment, bool by_growth)
{
    struct life *life = &lives->list[lives->count++];
    *life = (struct life){moment, UINT64_MAX, by_growth, UINT64_MAX, UINT64_MAX};
    return life;
}

/* Something may allocate a cluster; it surely does if it happens entirely within the life. */
static void allocate(struct life *life, uint64_t invoked, uint64_t returned)
{
    if (invoked < life->end && returned > life->begin) {
        life->not_before = lesser(life->not_before, greater(invoked, life->begin));
    }
    if (invoked >= life->begin && returned <= life->end && returned != UINT64_MAX) {
        life->not_after = lesser(life->not_after, returned);
    }
}

/* Growing allocates where the backing file would show; under "all allocated" every new cluster (RSZ-03). */
static void grow(const struct history *history, const struct exclusive *growth, struct lives *lives)
{
    uint64_t cluster = lives->cluster;
    uint64_t shown = lesser(history->oracle->disk.backing_size, growth->new_size);
    bool is_shown = covers_cluster(history, growth->old_size, shown, cluster);
    bool is_new = !is_within(history, cluster, growth->old_size) && is_within(history, cluster, growth->new_size);
    struct life *life = is_new ? begin_life(lives, growth->moment, true) : &lives->list[lives->count - 1];
    if (is_new && (is_shown || history_flag_may_be_set(history, growth->moment))) {
        life->not_before = growth->moment;
    }
    if (is_new && (is_shown || history_flag_is_set(history, growth->moment))) {
        life->not_after = growth->moment;
    }
    if (!is_new && is_shown) {
        allocate(life, growth->moment, growth->moment + 1);
    }
}

static void list_lives(const struct history *history, uint64_t cluster, struct lives *lives)
{
    lives->cluster = cluster;
    lives->count = 0;
    if (is_within(history, cluster, history->old_size)) {
        struct life *life = begin_life(lives, 0, false);
        if (oracle_is_allocated(history->oracle, cluster)) {
            life->not_before = life->not_after = 0;
        }
    }
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        const struct exclusive *exclusive = &history->exclusives[i];
        bool was = is_within(history, cluster, exclusive->old_size);
        bool is = is_within(history, cluster, exclusive->new_size);
        if (was && (exclusive->is_commit || !is)) {
            lives->list[lives->count - 1].end = exclusive->moment;
        }
        if (was && exclusive->is_commit) {
            begin_life(lives, exclusive->moment, false);
        } else if (is && exclusive->new_size > exclusive->old_size) {
            grow(history, exclusive, lives);
        }
    }
}

/*
 * STR-01. A growth beside the stream brings a cluster. It is allocated once both are done, if the growth came second
 * and the flag was set.
 */
static void stream_allocates(const struct history *history, uint32_t operation, struct life *life)
{
    const struct execution_record *record = history_record(history, operation);
    uint64_t invoked = record->invoked * history->scale;
    uint64_t returned = record->status == ADDCOW_OK ? record->returned * history->scale : UINT64_MAX;
    allocate(life, invoked, returned);
    bool keeps_flag = history->oracle->start.layout == ADDCOW_R20 && life->by_growth && invoked < life->begin &&
                      !is_committed_between(history, invoked, life->begin) &&
                      !may_be_cleared_between(history, invoked, life->begin);
    if (keeps_flag && returned <= life->end && returned != UINT64_MAX) {
        life->not_after = lesser(life->not_after, greater(returned, life->begin));
    }
}

/* Notes everything that allocates a cluster in its lives. */
static void fill_lives(const struct history *history, uint64_t cluster, struct lives *lives)
{
    list_lives(history, cluster, lives);
    for (uint32_t n = 0; n < lives->count; n++) {
        struct life *life = &lives->list[n];
        for (uint32_t i = 0; i < history->access_count; i++) {
            const struct access *access = &history->accesses[i];
            if (access->is_write && covers_cluster(history, access->begin, access->end, cluster)) {
                allocate(life, access->invoked, access->may_be_lost ? UINT64_MAX : access->returned);
            }
        }
        for (uint32_t i = history->begin; i < history->end; i++) {
            uint32_t kind = history->trace->operations[i].kind;
            if (kind == OPERATION_STREAM) {
                stream_allocates(history, i, life);
            } else if (kind == OPERATION_RESIZE && history_has_failed(history, i)) {
                allocate(life, history_record(history, i)->invoked * history->scale, UINT64_MAX);
            }
        }
    }
}

/* ---- Reports ---- */

bool history_impossible_status(const struct history *history, uint32_t operation, uint64_t cluster, bool allocated)
{
    if (operation == HISTORY_NONE) {
        fputs("at rest ", history->out);
    } else {
        fprintf(history->out, "operation %" PRIu32 " (", operation);
        trace_print_operation(history->out, &history->trace->operations[operation]);
        fputs("): ", history->out);
    }
    fprintf(history->out, "cluster %" PRIu64 " is reported %s, but was not at any moment then (WR-02, CON-10)\n",
            cluster, allocated ? "allocated" : "unallocated");
    return false;
}

/* The answer that a map gives for one cluster: returns 1 or 0, or -1 if it says nothing about it. */
static int map_answer(const struct history *history, uint32_t operation, uint64_t cluster)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    const struct execution_record *record = history_record(history, operation);
    if (request->kind != OPERATION_MAP || record->status != ADDCOW_OK || request->length == 0) {
        return -1;
    }
    uint64_t end = request->offset + record->map_length;
    if (covers_cluster(history, request->offset, end, cluster)) {
        return record->allocated;
    }
    /* The map ended there, so the next cluster had the other status. */
    if (record->map_length < request->length && covers_cluster(history, end, end + 1, cluster)) {
        return !record->allocated;
    }
    return -1;
}

/* A report from within one life: narrows down when the cluster became allocated. False if that leaves no moment. */
static bool narrow(struct life *life, bool allocated, uint64_t invoked, uint64_t returned)
{
    if (allocated) {
        life->not_after = lesser(life->not_after, returned);
    } else if (life->not_before == UINT64_MAX) {
        return true;
    } else {
        life->not_before = greater(life->not_before, invoked);
    }
    return life->not_before <= life->not_after;
}

/* Whether the cluster can have had a status in a life at some moment between the two. */
static bool is_possible(const struct life *life, bool allocated, uint64_t invoked, uint64_t returned)
{
    return allocated ? life->not_before < lesser(returned, life->end) : greater(invoked, life->begin) < life->not_after;
}

static bool judge_report(struct lives *lives, bool allocated, uint64_t invoked, uint64_t returned)
{
    struct life *only = NULL;
    uint32_t count = 0;
    bool possible = false;
    for (uint32_t i = 0; i < lives->count; i++) {
        struct life *life = &lives->list[i];
        if (invoked < life->end && returned > life->begin) {
            only = life;
            count++;
            possible = possible || is_possible(life, allocated, invoked, returned);
        }
    }
    return count == 1 ? narrow(only, allocated, invoked, returned) : possible;
}

static bool judge_cluster(const struct history *history, uint64_t cluster, struct lives *lives)
{
    fill_lives(history, cluster, lives);
    for (uint32_t i = history->begin; i < history->end; i++) {
        int answer = map_answer(history, i, cluster);
        uint64_t invoked, returned;
        if (answer >= 0 &&
            (!history_place(history, i, &invoked, &returned) || !judge_report(lives, answer == 1, invoked, returned))) {
            return history_impossible_status(history, i, cluster, answer == 1);
        }
    }
    bool allocated = cluster < history->snapshot.clusters && history->snapshot.allocated[cluster] != 0;
    return cluster >= history->snapshot.clusters || judge_report(lives, allocated, HISTORY_AT_REST, HISTORY_AT_REST) ||
           history_impossible_status(history, HISTORY_NONE, cluster, allocated);
}

/* MAP-01, MAP-03: the form of a map's answer. */
static bool judge_map_form(const struct history *history, uint32_t operation)
{
    const struct trace_operation *request = &history->trace->operations[operation];
    const struct execution_record *record = history_record(history, operation);
    if (request->kind != OPERATION_MAP || record->status != ADDCOW_OK) {
        return true;
    }
    uint64_t length = record->map_length;
    bool whole = length == request->length && (length > 0 || !record->allocated);
    bool ends_with_cluster =
        length > 0 && length < request->length && (request->offset + length) % history->oracle->disk.cluster_size == 0;
    if (!whole && !ends_with_cluster) {
        fprintf(history->out, "operation %" PRIu32 " (", operation);
        trace_print_operation(history->out, request);
        fprintf(history->out, ") answers %s for %" PRIu64 " bytes (MAP-01)\n",
                record->allocated ? "allocated" : "unallocated", length);
    }
    return whole || ends_with_cluster;
}

/* ---- Commits ---- */

/* Whether a cluster that was allocated would be in the way of a commit of a disk of this size (CMT-02). */
static bool is_in_the_way(const struct history *history, uint64_t cluster, uint64_t size)
{
    uint64_t end = lesser((cluster + 1) * history->oracle->disk.cluster_size, size);
    return is_within(history, cluster, size) && end > history->oracle->disk.backing_size;
}

/* Whether a commit that was refused may have met an allocated cluster. */
static bool may_be_refused(const struct history *history, uint32_t operation, const struct lives *lives)
{
    uint64_t invoked = history_record(history, operation)->invoked * history->scale;
    uint64_t returned = history_record(history, operation)->returned * history->scale;
    for (uint32_t i = 0; i < lives->count; i++) {
        const struct life *life = &lives->list[i];
        if (invoked >= life->end || returned <= life->begin ||
            !is_possible(life, true, greater(invoked, life->begin), returned)) {
            continue;
        }
        uint32_t first = history_epoch(history, greater(invoked, life->begin + 1));
        uint32_t last = history_epoch(history, lesser(returned, life->end));
        for (uint32_t epoch = first; epoch <= last; epoch++) {
            if (is_in_the_way(history, lives->cluster, history_size(history, epoch))) {
                return true;
            }
        }
    }
    return false;
}

/* Whether a cluster was allocated when a commit that succeeded took effect, though it was in its way. */
static bool is_ignored(const struct history *history, const struct exclusive *commit, const struct lives *lives)
{
    for (uint32_t i = 0; i < lives->count; i++) {
        const struct life *life = &lives->list[i];
        if (life->end == commit->moment && life->not_after < commit->moment &&
            !may_be_cleared_between(history, life->begin, commit->moment)) {
            return is_in_the_way(history, lives->cluster, commit->old_size);
        }
    }
    return false;
}

static const struct exclusive *find_exclusive(const struct history *history, uint32_t operation)
{
    for (uint32_t i = 0; i < history->exclusive_count; i++) {
        if (history->exclusives[i].operation == operation) {
            return &history->exclusives[i];
        }
    }
    return NULL;
}

/* CMT-02: whether a cluster behind the backing file's end was allocated decides between ok and range. */
static bool judge_commit_status(const struct history *history, uint32_t operation, uint64_t clusters,
                                struct lives *lives)
{
    const struct addcow_ref *disk = &history->oracle->disk;
    const struct execution_record *record = history_record(history, operation);
    const struct exclusive *commit = find_exclusive(history, operation);
    if (history_has_failed(history, operation)) {
        return true;
    }
    if (!disk->has_backing) {
        return record->status == ADDCOW_UNSUPPORTED || history_wrong_status(history, operation, "unsupported");
    }
    if (record->status != ADDCOW_OK && record->status != ADDCOW_RANGE) {
        return history_wrong_status(history, operation, "ok or range");
    }
    bool may_be_range = false;
    for (uint64_t k = disk->backing_size / disk->cluster_size; k < clusters; k++) {
        fill_lives(history, k, lives);
        may_be_range = may_be_range || may_be_refused(history, operation, lives);
        if (commit != NULL && is_ignored(history, commit, lives)) {
            return history_wrong_status(history, operation, "range");
        }
    }
    return commit != NULL || may_be_range || history_wrong_status(history, operation, "ok");
}

static bool judge_all(const struct history *history, struct lives *lives)
{
    uint64_t clusters = addcow_cluster_count(history->larger_size, history->oracle->disk.cluster_size);
    for (uint32_t i = history->begin; i < history->end; i++) {
        if (!judge_map_form(history, i) || (history->trace->operations[i].kind == OPERATION_COMMIT &&
                                            !judge_commit_status(history, i, clusters, lives))) {
            return false;
        }
    }
    if (history->commit_failed) {
        return true; /* the bits of any cluster may be clear or not */
    }
    for (uint64_t k = 0; k < clusters; k++) {
        if (!judge_cluster(history, k, lives)) {
            return false;
        }
    }
    return true;
}

bool history_judge_clusters(const struct history *history)
{
    struct lives lives = {.list = report_allocate(history->exclusive_count + 1, sizeof *lives.list)};
    bool conforms = judge_all(history, &lives);
    free(lives.list);
    return conforms;
}
