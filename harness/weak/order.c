/*
 * The seq_cst order: RC11's rule that the relation psc has no circle.
 *
 * Between seq_cst operations A and B, psc holds if A is before B in its thread; if A happens before B and both are at
 * one location; if both store to one location in this order; if A reads what B overwrites later; or if A is before X, X
 * happens before Y and Y is before B, where X is at another location than A, and Y at another than B.
 *
 * None of this changes between two events when more events are added. So each seq_cst event keeps the set of those that
 * come before it by psc, and a new one is refused if it would come before one of its own predecessors.
 *
 * seq_cst fences are related by way of other events, which may be added later. With a fence the whole relation is made
 * anew for every event. That is for small programs.
 */
#include "weak/graph.h"

#include "base/report.h"

#include <string.h>

#define STRONG 512u
#define WORDS (STRONG / 64u)
#define SMALL 64u

struct set {
    uint64_t words[WORDS];
};

static struct {
    uint32_t events[STRONG];
    struct set before[STRONG];
    uint32_t count;
} order;

void weak_order_clear(void)
{
    order.count = 0;
}

static void set_add(struct set *set, uint32_t member)
{
    set->words[member / 64] |= (uint64_t)1 << member % 64;
}

static void set_join(struct set *set, const struct set *other)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        set->words[i] |= other->words[i];
    }
}

static bool sets_meet(const struct set *a, const struct set *b)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        if ((a->words[i] & b->words[i]) != 0) {
            return true;
        }
    }
    return false;
}

static uint32_t position_of(uint32_t store)
{
    return weak_store_at(store)->position;
}

/* ---- One event ---- */

/* psc from an older seq_cst event to the new one, which reads and stores as the option says. */
static bool leads_to(const struct weak_event *a, const struct weak_event *event, const struct weak_option *option)
{
    if (a->thread == event->thread || a->left <= event->before.at[a->thread]) {
        return true;
    }
    if (a->location != event->location || a->location == WEAK_NONE) {
        return false;
    }
    if (weak_precedes(a, &event->clock)) {
        return true;
    }
    if (option->after == WEAK_NONE) {
        return false;
    }
    uint32_t place = position_of(option->after);
    return (a->store != WEAK_NONE && position_of(a->store) <= place) ||
           (a->source != WEAK_NONE && position_of(a->source) <= place);
}

/* psc from the new event to an older one. */
static bool leads_from(const struct weak_event *a, const struct weak_event *event, const struct weak_option *option)
{
    if (a->location != event->location || a->store == WEAK_NONE) {
        return false;
    }
    uint32_t place = position_of(a->store);
    return (option->after != WEAK_NONE && place > position_of(option->after)) ||
           (option->source != WEAK_NONE && place > position_of(option->source));
}

static void find_before(const struct weak_event *event, const struct weak_option *option, struct set *before)
{
    memset(before, 0, sizeof *before);
    for (uint32_t i = 0; i < order.count; i++) {
        if (leads_to(weak_event_at(order.events[i]), event, option)) {
            set_add(before, i);
            set_join(before, &order.before[i]);
        }
    }
}

static void find_after(const struct weak_event *event, const struct weak_option *option, struct set *after)
{
    memset(after, 0, sizeof *after);
    for (uint32_t i = 0; i < order.count; i++) {
        if (leads_from(weak_event_at(order.events[i]), event, option)) {
            set_add(after, i);
        }
    }
}

/*
 * What the event will acquire from the store that it reads may order further events at its location before it. They
 * store, or read, something before that store, and so before whatever follows the event by psc: no circle needs them.
 */
bool weak_order_allows(const struct weak_event *event, const struct weak_option *option)
{
    struct set before, after;
    find_before(event, option, &before);
    find_after(event, option, &after);
    return !sets_meet(&before, &after);
}

void weak_order_add(uint32_t number, const struct weak_option *option)
{
    const struct weak_event *event = weak_event_at(number);
    if (event->strong == WEAK_NONE || event->kind == WEAK_FENCE) {
        return;
    }
    if (order.count == STRONG) {
        report_fatal("weak memory: too many seq_cst operations in one execution");
    }
    struct set before, after;
    find_before(event, option, &before);
    find_after(event, option, &after);
    uint32_t self = order.count++;
    order.events[self] = number;
    order.before[self] = before;
    struct set passed_on = before;
    set_add(&passed_on, self);
    for (uint32_t i = 0; i < self; i++) {
        bool follows = (after.words[i / 64] >> i % 64 & 1) != 0 || sets_meet(&order.before[i], &after);
        if (follows) {
            set_join(&order.before[i], &passed_on);
        }
    }
}

/* ---- The whole graph, by the definition ---- */

/* A relation between the events: bit j of row i is set if i is related to j. */
struct relation {
    uint64_t rows[SMALL];
};

static uint32_t size;

static bool holds(const struct relation *relation, uint32_t i, uint32_t j)
{
    return (relation->rows[i] >> j & 1) != 0;
}

static void relate(struct relation *relation, uint32_t i, uint32_t j, bool related)
{
    relation->rows[i] |= (uint64_t)related << j;
}

static struct relation joined(const struct relation *a, const struct relation *b)
{
    struct relation result = {{0}};
    for (uint32_t i = 0; i < size; i++) {
        result.rows[i] = a->rows[i] | b->rows[i];
    }
    return result;
}

/* a ; b */
static struct relation then(const struct relation *a, const struct relation *b)
{
    struct relation result = {{0}};
    for (uint32_t i = 0; i < size; i++) {
        for (uint32_t j = 0; j < size; j++) {
            result.rows[i] |= holds(a, i, j) ? b->rows[j] : 0;
        }
    }
    return result;
}

static struct relation closed(struct relation relation)
{
    for (uint32_t middle = 0; middle < size; middle++) {
        for (uint32_t i = 0; i < size; i++) {
            relation.rows[i] |= holds(&relation, i, middle) ? relation.rows[middle] : 0;
        }
    }
    return relation;
}

static struct relation identity_on(bool fences_only)
{
    struct relation result = {{0}};
    for (uint32_t i = 0; i < size; i++) {
        const struct weak_event *event = weak_event_at(i);
        relate(&result, i, i, event->strong != WEAK_NONE && (!fences_only || event->kind == WEAK_FENCE));
    }
    return result;
}

static bool at_one_location(const struct weak_event *a, const struct weak_event *b)
{
    return a->location != WEAK_NONE && a->location == b->location;
}

struct relations {
    struct relation happens, local, elsewhere, eco; /* local: scb but for its three-step part */
};

static void relate_pair(struct relations *to, uint32_t i, uint32_t j)
{
    const struct weak_event *a = weak_event_at(i), *b = weak_event_at(j);
    bool program = a->thread == b->thread && a->number < b->number;
    bool happens = weak_precedes(a, &b->clock);
    bool same = at_one_location(a, b);
    bool modifies =
        same && a->store != WEAK_NONE && b->store != WEAK_NONE && position_of(a->store) < position_of(b->store);
    bool reads = b->source != WEAK_NONE && a->store == b->source;
    bool before =
        same && a->source != WEAK_NONE && b->store != WEAK_NONE && position_of(a->source) < position_of(b->store);
    relate(&to->happens, i, j, happens);
    relate(&to->local, i, j, program || (happens && same) || modifies || before);
    relate(&to->elsewhere, i, j, program && !same);
    relate(&to->eco, i, j, modifies || reads || before);
}

static struct relation scb_of(const struct relations *from)
{
    struct relation way = then(&from->elsewhere, &from->happens);
    way = then(&way, &from->elsewhere);
    return joined(&from->local, &way);
}

bool weak_order_holds(void)
{
    struct relations from = {0};
    size = weak_event_count();
    if (size > SMALL) {
        report_fatal("weak memory: a program with seq_cst fences has more than %u events", SMALL);
    }
    for (uint32_t i = 0; i < size; i++) {
        for (uint32_t j = 0; j < size; j++) {
            if (i != j) {
                relate_pair(&from, i, j);
            }
        }
    }
    from.eco = closed(from.eco);
    struct relation strong = identity_on(false), fences = identity_on(true), scb = scb_of(&from);
    struct relation left = then(&fences, &from.happens), right = then(&from.happens, &fences);
    left = joined(&strong, &left);
    right = joined(&strong, &right);
    struct relation base = then(&left, &scb);
    base = then(&base, &right);
    struct relation between = then(&from.happens, &from.eco);
    between = then(&between, &from.happens);
    between = joined(&from.happens, &between);
    between = then(&fences, &between);
    between = then(&between, &fences);
    struct relation psc = closed(joined(&base, &between));
    for (uint32_t i = 0; i < size; i++) {
        if (holds(&psc, i, i)) {
            return false;
        }
    }
    return true;
}
