/*
 * Every execution of a litmus program that RC11 allows, by brute force over its definition: every store that each load
 * may read, every order of the stores of each place; then the axioms. Nothing is shared with harness/weak.
 *
 * The relations have the names of the paper: po, rf, mo, rb, sw, hb, eco, scb, psc. A read-modify-write is one event.
 */
#include "litmus.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS (LITMUS_THREADS * LITMUS_STEPS + LITMUS_PLACES)

typedef uint32_t rows[EVENTS]; /* bit b of row a: a is related to b */

struct event {
    enum litmus_kind kind; /* SWAP: whether it stores depends on what it reads */
    enum litmus_order order;
    int thread; /* -1: the first store of a place */
    int place;  /* -1: a fence */
    unsigned value;
    bool reads, writes;
};

static struct event events[EVENTS];
static unsigned count;
static unsigned source[EVENTS]; /* that a load reads */
static unsigned rank[EVENTS];   /* of a store in mo */
static unsigned stored[EVENTS];
static struct axioms_count *result;

/* ---- Relations ---- */

static bool in(const rows relation, unsigned a, unsigned b)
{
    assert(a < EVENTS && b < EVENTS);
    return relation[a] >> b & 1;
}

static void compose(const rows a, const rows b, rows to)
{
    rows made = {0};
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            made[i] |= in(a, i, j) ? b[j] : 0;
        }
    }
    memcpy(to, made, sizeof made);
}

static void unite(const rows a, const rows b, rows to)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        to[i] = a[i] | b[i];
    }
}

static void close(rows relation)
{
    for (unsigned k = 0; k < count; k++) {
        for (unsigned i = 0; i < count; i++) {
            relation[i] |= in(relation, i, k) ? relation[k] : 0;
        }
    }
}

static bool is_irreflexive(const rows relation)
{
    for (unsigned i = 0; i < count; i++) {
        if (in(relation, i, i)) {
            return false;
        }
    }
    return true;
}

static bool is_acyclic(const rows relation)
{
    rows closed;
    memcpy(closed, relation, sizeof closed);
    close(closed);
    return is_irreflexive(closed);
}

typedef bool related(unsigned a, unsigned b);

static void fill(rows relation, related *test)
{
    memset(relation, 0, sizeof(rows));
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            relation[i] |= (uint32_t)(i != j && test(i, j)) << j;
        }
    }
}

static bool po(unsigned a, unsigned b)
{
    return (events[a].thread == events[b].thread && events[a].thread >= 0 && a < b) ||
           (events[a].thread < 0 && events[b].thread >= 0);
}

static bool same_place(unsigned a, unsigned b)
{
    return events[a].place >= 0 && events[a].place == events[b].place;
}

static bool rf(unsigned a, unsigned b)
{
    return events[b].reads && source[b] == a;
}

static bool rf_update(unsigned a, unsigned b)
{
    return rf(a, b) && events[b].writes;
}

static bool mo(unsigned a, unsigned b)
{
    return same_place(a, b) && events[a].writes && events[b].writes && rank[a] < rank[b];
}

static bool rb(unsigned a, unsigned b)
{
    return events[a].reads && events[b].writes && same_place(a, b) && rank[source[a]] < rank[b];
}

static bool po_elsewhere(unsigned a, unsigned b)
{
    return po(a, b) && !same_place(a, b);
}

static bool releases(unsigned a)
{
    bool by_order = events[a].order >= LITMUS_RELEASE && (events[a].writes || events[a].kind == LITMUS_FENCE);
    return events[a].thread >= 0 && by_order;
}

static bool acquires(unsigned a)
{
    enum litmus_order order = events[a].order;
    /* A compare-and-swap that fails loads relaxed. */
    bool failed = events[a].kind == LITMUS_SWAP && !events[a].writes;
    return (order == LITMUS_ACQUIRE || order >= LITMUS_ACQ_REL) && !failed &&
           (events[a].reads || events[a].kind == LITMUS_FENCE);
}

static bool is_strong(unsigned a)
{
    bool failed = events[a].kind == LITMUS_SWAP && !events[a].writes;
    return events[a].thread >= 0 && events[a].order == LITMUS_SEQ_CST && !failed;
}

static bool is_fence(unsigned a)
{
    return events[a].kind == LITMUS_FENCE && events[a].thread >= 0;
}

static void only(rows to, bool (*test)(unsigned a))
{
    memset(to, 0, sizeof(rows));
    for (unsigned i = 0; i < count; i++) {
        to[i] = (uint32_t)test(i) << i;
    }
}

static bool is_any(unsigned a)
{
    (void)a;
    return true;
}

static bool is_store(unsigned a)
{
    return events[a].writes;
}

static bool is_load(unsigned a)
{
    return events[a].reads;
}

/* ---- The axioms ---- */

/* sw = [release]; ([fence]; po)?; rs; rf; (po; [fence])?; [acquire], where rs = [store]; (rf; [update])* */
static void make_sw(const rows program_order, rows sw)
{
    rows part, rs, any, fences, stores, loads;
    only(any, is_any);
    only(fences, is_fence);
    only(stores, is_store);
    only(loads, is_load);
    fill(rs, rf_update);
    close(rs);
    unite(rs, any, rs);
    compose(stores, rs, rs);
    only(sw, releases);
    compose(fences, program_order, part);
    unite(any, part, part);
    compose(sw, part, sw);
    compose(sw, stores, sw);
    compose(sw, rs, sw);
    fill(part, rf);
    compose(sw, part, sw);
    compose(sw, loads, sw);
    compose(program_order, fences, part);
    unite(any, part, part);
    compose(sw, part, sw);
    only(part, acquires);
    compose(sw, part, sw);
}

/* scb = po | po elsewhere; hb; po elsewhere | hb at one place | mo | rb */
static void make_scb(const rows program_order, const rows hb, rows scb)
{
    rows elsewhere, part;
    fill(elsewhere, po_elsewhere);
    compose(elsewhere, hb, scb);
    compose(scb, elsewhere, scb);
    unite(scb, program_order, scb);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            scb[i] |= (uint32_t)(in(hb, i, j) && same_place(i, j)) << j;
        }
    }
    fill(part, mo);
    unite(scb, part, scb);
    fill(part, rb);
    unite(scb, part, scb);
}

static bool is_strong_fence(unsigned a)
{
    return is_fence(a) && is_strong(a);
}

/* psc = ([sc] | [scf]; hb?); scb; ([sc] | hb?; [scf]) | [scf]; (hb | hb; eco; hb); [scf] */
static bool psc_holds(const rows program_order, const rows hb, const rows eco)
{
    rows strong, fences, any, left, right, maybe, psc, part;
    only(strong, is_strong);
    only(fences, is_strong_fence);
    only(any, is_any);
    unite(hb, any, maybe);
    compose(fences, maybe, left);
    unite(strong, left, left);
    compose(maybe, fences, right);
    unite(strong, right, right);
    make_scb(program_order, hb, part);
    compose(left, part, psc);
    compose(psc, right, psc);
    compose(hb, eco, part);
    compose(part, hb, part);
    unite(part, hb, part);
    compose(fences, part, part);
    compose(part, fences, part);
    unite(psc, part, psc);
    return is_acyclic(psc);
}

static bool is_atomic(void)
{
    for (unsigned a = 0; a < count; a++) {
        if (events[a].reads && events[a].writes && rank[a] != rank[source[a]] + 1) {
            return false;
        }
    }
    return true;
}

static bool is_allowed(void)
{
    rows program_order, reads, part, sw, hb, eco;
    fill(program_order, po);
    fill(reads, rf);
    unite(program_order, reads, part);
    if (!is_atomic() || !is_acyclic(part)) {
        return false;
    }
    make_sw(program_order, sw);
    unite(program_order, sw, hb);
    close(hb);
    fill(part, mo);
    unite(reads, part, eco);
    fill(part, rb);
    unite(eco, part, eco);
    close(eco);
    compose(hb, eco, part);
    return is_irreflexive(hb) && is_irreflexive(part) && psc_holds(program_order, hb, eco);
}

/* ---- All executions ---- */

static void note_outcome(void)
{
    uint64_t outcome = 0;
    unsigned shift = 0, at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (events[i].reads) {
            outcome |= (uint64_t)stored[source[i]] << shift;
            shift += LITMUS_BITS;
        }
    }
    for (unsigned place = 0; place < LITMUS_PLACES; place++, shift += LITMUS_BITS) {
        unsigned last = place;
        for (unsigned i = 0; i < count; i++) {
            if (events[i].writes && events[i].place == (int)place && rank[i] > rank[last]) {
                last = i;
            }
        }
        outcome |= (uint64_t)stored[last] << shift;
    }
    result->executions++;
    while (at < result->outcome_count && result->outcomes[at] < outcome) {
        at++;
    }
    if (at < result->outcome_count && result->outcomes[at] == outcome) {
        return;
    }
    assert(result->outcome_count < sizeof result->outcomes / sizeof result->outcomes[0]);
    memmove(result->outcomes + at + 1, result->outcomes + at, (result->outcome_count - at) * sizeof outcome);
    result->outcomes[at] = outcome;
    result->outcome_count++;
}

/* Gives the stores of `place` from the `next`-th place in mo on every order. */
static void order_stores(unsigned place, unsigned next)
{
    if (place == LITMUS_PLACES) {
        if (is_allowed()) {
            note_outcome();
        }
        return;
    }
    bool all = true;
    for (unsigned i = LITMUS_PLACES; i < count; i++) {
        if (events[i].writes && events[i].place == (int)place && rank[i] == 0) {
            all = false;
            rank[i] = next;
            order_stores(place, next + 1);
            rank[i] = 0;
        }
    }
    if (all) {
        order_stores(place + 1, 1);
    }
}

/* What the stores are, given what is read: in an order of po | rf, if that has no circle. False: it has, or a swap
 * stores although it should not, or the reverse. */
static bool compute_values(void)
{
    bool known[EVENTS] = {0};
    for (unsigned round = 0; round < count; round++) {
        for (unsigned i = 0; i < count; i++) {
            if (events[i].reads && !known[source[i]]) {
                continue;
            }
            unsigned old = events[i].reads ? stored[source[i]] : 0;
            stored[i] = events[i].kind == LITMUS_ADD ? old + events[i].value : events[i].value;
            known[i] = true;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (!known[i] || (events[i].kind == LITMUS_SWAP && events[i].writes != (stored[source[i]] == 0))) {
            return false;
        }
    }
    return true;
}

static void choose_sources(unsigned at)
{
    while (at < count && !events[at].reads) {
        at++;
    }
    if (at == count) {
        if (compute_values()) {
            order_stores(0, 1);
        }
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (i != at && events[i].writes && events[i].place == events[at].place) {
            source[at] = i;
            choose_sources(at + 1);
        }
    }
}

/* Whether each swap stores. */
static void choose_swaps(unsigned at)
{
    while (at < count && events[at].kind != LITMUS_SWAP) {
        at++;
    }
    if (at == count) {
        choose_sources(0);
        return;
    }
    for (unsigned writes = 0; writes < 2; writes++) {
        events[at].writes = writes;
        choose_swaps(at + 1);
    }
}

void axioms_enumerate(const struct litmus *litmus, struct axioms_count *counted)
{
    result = counted;
    *result = (struct axioms_count){0};
    memset(rank, 0, sizeof rank);
    count = 0;
    for (int place = 0; place < (int)LITMUS_PLACES; place++) {
        events[count++] = (struct event){.kind = LITMUS_STORE, .thread = -1, .place = place, .writes = true};
    }
    for (unsigned t = 0; t < litmus->threads; t++) {
        for (unsigned i = 0; i < LITMUS_STEPS && litmus->steps[t][i].kind != LITMUS_END; i++) {
            const struct litmus_step *step = &litmus->steps[t][i];
            bool fence = step->kind == LITMUS_FENCE;
            events[count++] = (struct event){
                .kind = step->kind,
                .order = step->order,
                .thread = (int)t,
                .place = fence ? -1 : (int)step->place,
                .value = step->value,
                .reads = step->kind == LITMUS_LOAD || step->kind == LITMUS_ADD || step->kind == LITMUS_SWAP,
                .writes = step->kind == LITMUS_STORE || step->kind == LITMUS_ADD || step->kind == LITMUS_SWAP,
            };
        }
    }
    choose_swaps(0);
}
