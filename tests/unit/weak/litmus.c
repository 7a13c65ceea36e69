/*
 * Runs a litmus program with C11's own atomics. Compiled like the engine under weak memory.
 */
#include "litmus.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* gcc warns that its thread sanitizer knows no fences; here they are not its business. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

struct state {
    _Atomic(uint64_t) places[LITMUS_PLACES];
    uint64_t read[LITMUS_THREADS][LITMUS_STEPS];
};

static struct state *state;
const struct litmus *litmus_now;

static void setup(void)
{
    state = calloc(1, sizeof *state);
    for (unsigned i = 0; i < LITMUS_PLACES; i++) {
        static const char *const names[] = {"x", "y", "z"};
        weak_name(&state->places[i], sizeof state->places[i], names[i]);
    }
}

/* The compiler passes an order on only if it is a constant. */
#define BY_ORDER(order, operation)                                                                                     \
    switch (order) {                                                                                                   \
    case LITMUS_RELAXED:                                                                                               \
        operation(memory_order_relaxed);                                                                               \
        break;                                                                                                         \
    case LITMUS_ACQUIRE:                                                                                               \
        operation(memory_order_acquire);                                                                               \
        break;                                                                                                         \
    case LITMUS_RELEASE:                                                                                               \
        operation(memory_order_release);                                                                               \
        break;                                                                                                         \
    case LITMUS_ACQ_REL:                                                                                               \
        operation(memory_order_acq_rel);                                                                               \
        break;                                                                                                         \
    case LITMUS_SEQ_CST:                                                                                               \
        operation(memory_order_seq_cst);                                                                               \
        break;                                                                                                         \
    }

static uint64_t load(_Atomic(uint64_t) *place, enum litmus_order order)
{
    switch (order) {
    case LITMUS_ACQUIRE:
        return atomic_load_explicit(place, memory_order_acquire);
    case LITMUS_SEQ_CST:
        return atomic_load_explicit(place, memory_order_seq_cst);
    default:
        return atomic_load_explicit(place, memory_order_relaxed);
    }
}

static void store(_Atomic(uint64_t) *place, enum litmus_order order, uint64_t value)
{
    switch (order) {
    case LITMUS_RELEASE:
        atomic_store_explicit(place, value, memory_order_release);
        break;
    case LITMUS_SEQ_CST:
        atomic_store_explicit(place, value, memory_order_seq_cst);
        break;
    default:
        atomic_store_explicit(place, value, memory_order_relaxed);
        break;
    }
}

static uint64_t add(_Atomic(uint64_t) *place, enum litmus_order order, uint64_t value)
{
    uint64_t old = 0;
#define ADD(constant) old = atomic_fetch_add_explicit(place, value, constant)
    BY_ORDER(order, ADD)
    return old;
}

/* Fails with a relaxed load. */
static uint64_t swap(_Atomic(uint64_t) *place, enum litmus_order order, uint64_t value)
{
    uint64_t found = 0;
#define SWAP(constant)                                                                                                 \
    (void)atomic_compare_exchange_strong_explicit(place, &found, value, constant, memory_order_relaxed)
    BY_ORDER(order, SWAP)
    return found;
}

static void fence(enum litmus_order order)
{
    BY_ORDER(order, atomic_thread_fence)
}

static void run_thread(unsigned self)
{
    for (unsigned i = 0; i < LITMUS_STEPS; i++) {
        const struct litmus_step *step = &litmus_now->steps[self][i];
        _Atomic(uint64_t) *place = &state->places[step->place];
        uint64_t *read = &state->read[self][i];
        switch (step->kind) {
        case LITMUS_END:
            return;
        case LITMUS_LOAD:
            *read = load(place, step->order);
            break;
        case LITMUS_STORE:
            store(place, step->order, step->value);
            break;
        case LITMUS_ADD:
            *read = add(place, step->order, step->value);
            break;
        case LITMUS_SWAP:
            *read = swap(place, step->order, step->value);
            break;
        case LITMUS_FENCE:
            fence(step->order);
            break;
        }
    }
}

static void finish(void)
{
    uint64_t outcome = 0;
    unsigned shift = 0;
    for (unsigned t = 0; t < litmus_now->threads; t++) {
        for (unsigned i = 0; i < LITMUS_STEPS && litmus_now->steps[t][i].kind != LITMUS_END; i++) {
            enum litmus_kind kind = litmus_now->steps[t][i].kind;
            if (kind == LITMUS_LOAD || kind == LITMUS_ADD || kind == LITMUS_SWAP) {
                outcome |= state->read[t][i] << shift;
                shift += LITMUS_BITS;
            }
        }
    }
    for (unsigned i = 0; i < LITMUS_PLACES; i++, shift += LITMUS_BITS) {
        outcome |= atomic_load(&state->places[i]) << shift;
    }
    weak_outcome(outcome);
}

const struct weak_program litmus_program = {
    .name = "litmus", .threads = LITMUS_THREADS, .setup = setup, .thread = run_thread, .finish = finish};
