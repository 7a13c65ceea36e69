/*
 * Is a history of one register linearizable?
 *
 * The history is replayed moment by moment. The check keeps all states that the register may be in: its value, and
 * which of the operations in progress have already taken effect. An operation takes effect as late as possible, when
 * its own response or that of a read demands it:
 *
 *   - A read takes effect at once when the value is its own: that changes nothing.
 *   - When a write returns that has not taken effect, it takes effect now, and the value is its own; or it took effect
 *     directly before another write that took effect while it was in progress, so that nobody saw it ("covered"); or,
 *     if it failed, never.
 *   - When a read returns that has not taken effect, a write of its value in progress takes effect now.
 *   - Directly before either, other writes may take effect that a read in progress has seen.
 *
 * Late effects exclude no witness order: in a given order, a write that no read saw can be moved to just before the
 * next write or to its own response, and one that reads saw to just before the response that demands it first.
 */
#include "judges/linearizability.h"

#include "base/report.h"

#include <assert.h>
#include <stdlib.h>

#define NOTHING UINT32_MAX

/* How a state came to be: one operation took effect after `parent`. */
struct step {
    uint32_t parent; /* index of a step, or NOTHING */
    uint32_t operation;
    bool covered; /* took effect directly before the last write of the parent */
};

struct state {
    uint32_t effective; /* a bit for each slot: its operation has taken effect */
    uint32_t value;
    uint64_t last_write; /* the moment at which a write last took effect; 0: before the history */
    uint32_t step;
};

/* A growing array of states without two that differ only in how they came to be. */
struct states {
    struct state *list;
    uint32_t count;
    uint32_t room;
};

struct moment {
    uint64_t time;
    uint32_t operation;
    bool is_response;
};

struct checker {
    const struct linearizability_operation *operations;
    uint32_t count;
    uint32_t slots[LINEARIZABILITY_OPEN_MAX]; /* the operations in progress, or NOTHING */
    struct states now;
    struct states next;
    struct step *steps;
    uint32_t step_count;
    uint32_t step_room;
    bool gave_up;
};

static void *grow(void *list, uint32_t *room, size_t size)
{
    *room = *room == 0 ? 64 : *room * 2;
    list = realloc(list, *room * size);
    if (list == NULL) {
        report_fatal("no memory for a linearizability check");
    }
    return list;
}

/*
 * Adds a state. Of two that are otherwise equal, the one whose last write is later allows more. False if it brought
 * nothing new.
 */
static bool add_state(struct checker *checker, struct states *states, struct state state)
{
    for (uint32_t i = 0; i < states->count; i++) {
        struct state *other = &states->list[i];
        if (other->effective == state.effective && other->value == state.value) {
            if (other->last_write >= state.last_write) {
                return false;
            }
            *other = state;
            return true;
        }
    }
    if (states->count == LINEARIZABILITY_STATES_MAX) {
        checker->gave_up = true;
        return false;
    }
    if (states->count == states->room) {
        states->list = grow(states->list, &states->room, sizeof *states->list);
    }
    states->list[states->count++] = state;
    return true;
}

static uint32_t add_step(struct checker *checker, uint32_t parent, uint32_t operation, bool covered)
{
    if (checker->step_count == checker->step_room) {
        checker->steps = grow(checker->steps, &checker->step_room, sizeof *checker->steps);
    }
    checker->steps[checker->step_count] = (struct step){parent, operation, covered};
    return checker->step_count++;
}

static bool is_effective(const struct state *state, uint32_t slot)
{
    return (state->effective >> slot & 1) != 0;
}

/* Lets all reads in progress take effect that return the state's value. */
static void let_reads(struct checker *checker, struct state *state)
{
    for (uint32_t slot = 0; slot < LINEARIZABILITY_OPEN_MAX; slot++) {
        uint32_t index = checker->slots[slot];
        if (index != NOTHING && !is_effective(state, slot) && !checker->operations[index].is_write &&
            checker->operations[index].value == state->value) {
            state->effective |= 1u << slot;
            state->step = add_step(checker, state->step, index, false);
        }
    }
}

static struct state after_write(struct checker *checker, const struct state *before, uint32_t slot, uint64_t time)
{
    uint32_t index = checker->slots[slot];
    struct state state = *before;
    state.effective |= 1u << slot;
    state.value = checker->operations[index].value;
    state.last_write = time;
    state.step = add_step(checker, state.step, index, false);
    let_reads(checker, &state);
    return state;
}

/*
 * Whether a read in progress that has not taken effect returns the value of the write in `slot`, which has not either.
 */
static bool is_awaited(const struct checker *checker, const struct state *state, uint32_t slot)
{
    uint32_t write = checker->slots[slot];
    if (write == NOTHING || is_effective(state, slot) || !checker->operations[write].is_write) {
        return false;
    }
    for (uint32_t other = 0; other < LINEARIZABILITY_OPEN_MAX; other++) {
        uint32_t index = checker->slots[other];
        if (index != NOTHING && !is_effective(state, other) && !checker->operations[index].is_write &&
            checker->operations[index].value == checker->operations[write].value) {
            return true;
        }
    }
    return false;
}

/* Adds to the states of now all that follow when awaited writes take effect, in any number and order. */
static void let_awaited_writes(struct checker *checker, uint64_t time)
{
    for (uint32_t i = 0; i < checker->now.count && !checker->gave_up; i++) {
        for (uint32_t slot = 0; slot < LINEARIZABILITY_OPEN_MAX; slot++) {
            struct state before = checker->now.list[i];
            if (is_awaited(checker, &before, slot)) {
                add_state(checker, &checker->now, after_write(checker, &before, slot, time));
            }
        }
    }
}

/* Keeps, in `next`, what a state becomes when the operation in `slot` returns. */
static void respond(struct checker *checker, struct state state, uint32_t slot, uint64_t time)
{
    const struct linearizability_operation *operation = &checker->operations[checker->slots[slot]];
    uint32_t others = ~(1u << slot);
    if (is_effective(&state, slot)) {
        state.effective &= others;
        add_state(checker, &checker->next, state);
        return;
    }
    if (!operation->is_write) {
        return; /* the awaited writes have brought every state in which it has taken effect */
    }
    struct state written = after_write(checker, &state, slot, time);
    written.effective &= others;
    add_state(checker, &checker->next, written);
    if (operation->may_be_lost) {
        add_state(checker, &checker->next, state);
    } else if (state.last_write > operation->invoked) {
        state.step = add_step(checker, state.step, checker->slots[slot], true);
        add_state(checker, &checker->next, state);
    }
}

static int compare_moments(const void *left, const void *right)
{
    uint64_t a = ((const struct moment *)left)->time;
    uint64_t b = ((const struct moment *)right)->time;
    return a < b ? -1 : a > b;
}

static void begin_operation(struct checker *checker, uint32_t index)
{
    uint32_t slot = 0;
    while (slot < LINEARIZABILITY_OPEN_MAX && checker->slots[slot] != NOTHING) {
        slot++;
    }
    if (slot == LINEARIZABILITY_OPEN_MAX) {
        checker->gave_up = true;
        return;
    }
    checker->slots[slot] = index;
    for (uint32_t i = 0; i < checker->now.count; i++) {
        let_reads(checker, &checker->now.list[i]);
    }
}

static void end_operation(struct checker *checker, uint32_t index, uint64_t time)
{
    uint32_t slot = 0;
    while (checker->slots[slot] != index) {
        slot++;
    }
    let_awaited_writes(checker, time);
    checker->next.count = 0;
    for (uint32_t i = 0; i < checker->now.count; i++) {
        respond(checker, checker->now.list[i], slot, time);
    }
    checker->slots[slot] = NOTHING;
    struct states kept = checker->next;
    checker->next = checker->now;
    checker->now = kept;
}

/* Writes the operations of the path to `step` into the result, first to last. */
static void give_order(const struct checker *checker, uint32_t step, struct linearizability_result *result)
{
    uint32_t at = checker->count;
    uint32_t *covered = report_allocate(checker->count, sizeof *covered);
    uint32_t waiting = 0;
    for (; step != NOTHING; step = checker->steps[step].parent) {
        uint32_t index = checker->steps[step].operation;
        if (checker->steps[step].covered) {
            covered[waiting++] = index;
            continue;
        }
        result->order[--at] = index;
        while (checker->operations[index].is_write && waiting > 0) {
            result->order[--at] = covered[--waiting];
        }
    }
    assert(waiting == 0);
    free(covered);
    result->ordered = checker->count - at;
    for (uint32_t i = 0; i < result->ordered; i++) {
        result->order[i] = result->order[at + i];
    }
}

static enum linearizability_verdict replay(struct checker *checker, const struct moment *moments,
                                           struct linearizability_result *result)
{
    for (uint32_t i = 0; i < 2 * checker->count; i++) {
        if (!moments[i].is_response) {
            begin_operation(checker, moments[i].operation);
        } else {
            end_operation(checker, moments[i].operation, moments[i].time);
        }
        if (checker->gave_up) {
            return LINEARIZABILITY_UNDECIDED;
        }
        if (checker->now.count == 0) {
            result->unexplained = moments[i].operation;
            return NOT_LINEARIZABLE;
        }
    }
    give_order(checker, checker->now.list[0].step, result);
    return LINEARIZABLE;
}

enum linearizability_verdict linearizability_check(uint32_t initial, const struct linearizability_operation *operations,
                                                   uint32_t count, struct linearizability_result *result)
{
    struct checker checker = {.operations = operations, .count = count};
    struct moment *moments = report_allocate(2 * (size_t)count, sizeof *moments);
    for (uint32_t i = 0; i < count; i++) {
        assert(operations[i].invoked < operations[i].returned);
        moments[2 * i] = (struct moment){operations[i].invoked, i, false};
        moments[2 * i + 1] = (struct moment){operations[i].returned, i, true};
    }
    qsort(moments, 2 * (size_t)count, sizeof *moments, compare_moments);
    for (uint32_t slot = 0; slot < LINEARIZABILITY_OPEN_MAX; slot++) {
        checker.slots[slot] = NOTHING;
    }
    result->ordered = 0;
    result->unexplained = NOTHING;
    add_state(&checker, &checker.now, (struct state){.value = initial, .step = NOTHING});
    enum linearizability_verdict answer = replay(&checker, moments, result);
    free(moments);
    free(checker.now.list);
    free(checker.next.list);
    free(checker.steps);
    return answer;
}
