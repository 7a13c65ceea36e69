/*
 * The statuses of a concurrent phase (REQ-01, CON-09).
 *
 * The supposed moments give the sizes of the disk, and these give the statuses that a request may have. A status in
 * turn says between which moments the request took effect.
 */
#include "judges/history_parts.h"

#include <inttypes.h>

bool history_wrong_status(const struct history *history, uint32_t operation, const char *expected)
{
    const struct execution_record *record = history_record(history, operation);
    fprintf(history->out, "operation %" PRIu32 " (", operation);
    trace_print_operation(history->out, &history->trace->operations[operation]);
    fprintf(history->out, ") gives %s instead of %s %s\n", addcow_status_name(record->status), expected,
            record->message);
    return false;
}

/* REQ-01: whether an operation can have its status on a disk of this size. */
static bool suits(const struct history *history, uint32_t index, uint64_t size)
{
    const struct trace_operation *operation = &history->trace->operations[index];
    bool fits = operation->offset <= size && operation->length <= size - operation->offset;
    enum addcow_status status = history_record(history, index)->status;
    return !operation_has_range(operation->kind) ||
           (fits ? status == ADDCOW_OK || history_has_failed(history, index) : status == ADDCOW_RANGE);
}

bool history_place(const struct history *history, uint32_t operation, uint64_t *invoked, uint64_t *returned)
{
    *invoked = history_record(history, operation)->invoked * history->scale;
    *returned = history_record(history, operation)->returned * history->scale;
    uint32_t first = history_epoch(history, *invoked);
    uint32_t last = history_epoch(history, *returned);
    uint32_t low = first, high = last;
    while (low <= last && !suits(history, operation, history_size(history, low))) {
        low++;
    }
    if (low > last) {
        return false;
    }
    while (!suits(history, operation, history_size(history, high))) {
        high--;
    }
    if (low > first) {
        *invoked = history->exclusives[low - 1].moment + 2;
    }
    if (high < last) {
        *returned = history->exclusives[high].moment - 1;
    }
    return true;
}

static bool wrong_range_status(const struct history *history, uint32_t operation)
{
    enum addcow_status status = history_record(history, operation)->status;
    if (status != ADDCOW_OK && status != ADDCOW_RANGE) {
        return history_wrong_status(history, operation, "ok or range");
    }
    return history_wrong_status(history, operation, status == ADDCOW_OK ? "range (REQ-01, CON-09)" : "ok (CON-09)");
}

bool history_judge_statuses(const struct history *history)
{
    for (uint32_t i = history->begin; i < history->end; i++) {
        uint32_t kind = history->trace->operations[i].kind;
        enum addcow_status status = history_record(history, i)->status;
        uint64_t invoked, returned;
        if (operation_has_range(kind)) {
            if (!history_place(history, i, &invoked, &returned)) {
                return wrong_range_status(history, i);
            }
        } else if (kind == OPERATION_RESIZE && history->trace->operations[i].offset > ADDCOW_SIZE_MAX) {
            if (status != ADDCOW_RANGE) {
                return history_wrong_status(history, i, "range (RSZ-09)");
            }
        } else if (kind != OPERATION_COMMIT && status != ADDCOW_OK && !history_has_failed(history, i)) {
            return history_wrong_status(history, i, "ok");
        }
    }
    return true;
}

void history_list_accesses(struct history *history)
{
    history->access_count = 0;
    for (uint32_t i = history->begin; i < history->end; i++) {
        const struct trace_operation *operation = &history->trace->operations[i];
        bool is_write = operation_changes_range(operation->kind);
        bool lost = is_write && history_has_failed(history, i);
        if (operation->length == 0 || (history_record(history, i)->status != ADDCOW_OK && !lost) ||
            (!is_write && operation->kind != OPERATION_READ)) {
            continue;
        }
        struct access *access = &history->accesses[history->access_count++];
        *access = (struct access){
            .operation = i,
            .begin = operation->offset,
            .end = operation->offset + operation->length,
            .is_write = is_write,
            .may_be_lost = lost,
        };
        history_place(history, i, &access->invoked, &access->returned);
    }
}
