/*
 * The replay of a concurrent phase.
 *
 * The oracle does the writes in witness order, the resizes and commits in between, and the streams. Then the oracle and
 * the snapshot of the disk must be equal.
 */
#include "judges/history_parts.h"

#include "workload/stamp.h"

#include <assert.h>
#include <string.h>

static void replay_write(struct history *history, struct oracle *oracle, const struct witness_write *write)
{
    uint8_t bytes[HISTORY_SECTOR];
    uint64_t length = write->end - write->begin;
    struct operation_request request = {
        .operation = OPERATION_ZERO, .offset = write->begin, .length = length, .data = bytes};
    if (operation_properties(history->trace->operations[write->operation].kind)->data == DATA_TO_DISK) {
        stamp_fill((struct stamp){STAMP_WRITE, write->operation}, write->begin, bytes, (size_t)length);
        request.operation = OPERATION_WRITE;
    }
    enum addcow_status code = oracle_perform(oracle, &request);
    /* Between a shrink and a growth there is nothing to write to, and the growth brings zeros. */
    assert(code == ADDCOW_OK || code == ADDCOW_RANGE);
    (void)code;
}

/* Takes over the bytes at rest, those of the files too, where it is not known how they came about. */
static void take_over(const struct history *history, struct oracle *oracle, const struct witness_write *write)
{
    uint64_t length = write->end - write->begin;
    if (write->end <= oracle->disk.size) {
        oracle_write(oracle, write->begin, length, history->snapshot.bytes + write->begin);
    }
    if (history->committed != NULL && write->end <= oracle->disk.backing_size) {
        memcpy(oracle->disk.backing + write->begin, history->committed + write->begin, (size_t)length);
    }
}

/* Moves the oracle through the epochs. Whether the commits may have succeeded has been judged. */
static void replay_epochs(struct history *history, struct oracle *oracle)
{
    for (uint32_t epoch = 0; epoch <= history->exclusive_count; epoch++) {
        for (size_t i = 0; i < history->witness_count; i++) {
            if (history->witness[i].epoch != epoch) {
                continue;
            }
            if (history->witness[i].operation == HISTORY_NONE) {
                take_over(history, oracle, &history->witness[i]);
            } else {
                replay_write(history, oracle, &history->witness[i]);
            }
        }
        const struct exclusive *exclusive = &history->exclusives[epoch];
        if (epoch == history->exclusive_count) {
            break;
        }
        if (!exclusive->is_commit) {
            oracle_resize(oracle, exclusive->new_size);
        } else {
            oracle_commit_surely(oracle);
        }
    }
}

/*
 * A commit that failed may have changed the backing file, and cleared "all allocated" and bits. If another commit
 * succeeded, it is not known which of them wrote a byte of the backing file, and so which writes came later. Then the
 * oracle takes over the contents of the disk, which have been judged.
 */
static bool replay_failed_commit(const struct history *history, struct oracle *oracle)
{
    if (history->flag_known) {
        oracle->disk.all_allocated = history->flag;
    }
    for (uint64_t k = 0; k < history->snapshot.clusters; k++) {
        oracle->disk.all_allocated = oracle->disk.all_allocated && history->snapshot.allocated[k] != 0;
    }
    if (history->commits > 0 && history->snapshot.size > 0) {
        oracle_write(oracle, 0, history->snapshot.size, history->snapshot.bytes);
    }
    return oracle_fail_commit(oracle, history->larger_size, history->directory, history->out);
}

/*
 * Whether "all allocated" is set at the end, if there was a stream or a commit that failed. After a stream it is,
 * unless there was a commit too. Then what was found must be possible. A commit that failed may have cleared it or not.
 */
static bool judge_flag(const struct history *history, bool *set)
{
    *set = history->flag_known ? history->flag : history->commits == 0 && !history->commit_failed;
    bool impossible = history->flag_known && (history->flag ? !history_flag_may_be_set(history, HISTORY_AT_REST)
                                                            : history_flag_is_set(history, HISTORY_AT_REST));
    if (impossible) {
        fprintf(history->out,
                "at rest \"all allocated\" is %s, which the stream and the commits cannot explain "
                "(STR-02, CMT-01)\n",
                history->flag ? "set" : "not set");
    }
    return !impossible;
}

/* Moves the oracle through the phase, and takes over the statuses at rest, which have been judged. */
static bool replay(struct history *history, struct oracle *oracle)
{
    bool flag = false;
    replay_epochs(history, oracle);
    if ((history->streamed || history->commit_failed) && !judge_flag(history, &flag)) {
        return false;
    }
    if (flag && !oracle->disk.all_allocated) {
        oracle_perform(oracle, &(struct operation_request){.operation = OPERATION_STREAM});
    } else if (history->streamed) {
        oracle_touch_all(oracle); /* what the stream allocated, a commit may have made unallocated again */
    }
    if (history->commit_failed && !replay_failed_commit(history, oracle)) {
        return false;
    }
    for (uint64_t k = 0; k < history->snapshot.clusters; k++) {
        if (!oracle_set_status(oracle, k, history->snapshot.allocated[k] != 0)) {
            return history_impossible_status(history, HISTORY_NONE, k, history->snapshot.allocated[k] != 0);
        }
    }
    return snapshot_judge(&history->snapshot, oracle, history->out) &&
           (history->committed == NULL || oracle_judge_backing(oracle, history->committed, history->out));
}

bool history_replay(struct history *history)
{
    struct oracle copy;
    if (history->exclusive_count == 0) {
        return replay(history, history->oracle);
    }
    oracle_copy(history->oracle, &copy);
    bool conforms = replay(history, &copy);
    if (conforms) {
        oracle_free(history->oracle);
        *history->oracle = copy;
    } else {
        oracle_free(&copy);
    }
    return conforms;
}
