/*
 * Steps on memory: from an access of the program to an event of the graph.
 *
 * Memory holds the last store of every location, for accesses outside a run. What has not been stored to in this
 * execution, and is not shared, is read from memory without an event.
 */
#include "weak/parts.h"

#include "base/report.h"

#include <string.h>

/* An access: of `size` bytes at `memory`, or of a cell, which is no memory of the program (size 0). */
struct target {
    const void *memory;
    unsigned size;
    enum weak_order order;
    const void *place;
};

static uint64_t peek(const struct target *target)
{
    uint32_t narrow;
    uint64_t value;
    if (target->size == sizeof narrow) {
        memcpy(&narrow, target->memory, sizeof narrow);
        return narrow;
    }
    memcpy(&value, target->memory, sizeof value);
    return value;
}

static void poke(const struct target *target, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    bool is_narrow = target->size == sizeof narrow;
    memcpy((void *)(uintptr_t)target->memory, is_narrow ? (void *)&narrow : (void *)&value,
           is_narrow ? sizeof narrow : sizeof value);
}

static void note_use(const struct target *target, enum weak_use use)
{
    if (target->size != 0) {
        weak_do_plain(target->memory, target->size, use, target->place);
    }
}

static uint32_t location_of(const struct target *target)
{
    return weak_location(target->memory, peek(target));
}

static struct weak_access access_to(const struct target *target, enum weak_kind kind)
{
    return (struct weak_access){.thread = weak_self(),
                                .kind = kind,
                                .order = target->order,
                                .location = location_of(target),
                                .object = target->memory,
                                .place = target->place};
}

/* Adds the event of one option; the value that it reads is known to the caller. */
static void add(const struct target *target, const struct weak_access *access, const struct weak_option *option,
                uint64_t value)
{
    bool becomes_last = option->after == weak_last_store(access->location);
    uint32_t event = weak_add(access, option, value);
    if (becomes_last) {
        poke(target, value);
    }
    weak_tell(event, value);
}

/* ---- Loads and stores ---- */

/* Whether there has been a store. Of what is not shared, only by the thread itself: others have no part in the answer.
 */
static bool is_stored(const void *address)
{
    uint32_t location = weak_location_find(address);
    return location != WEAK_NONE && weak_store_count(location) > 1;
}

static uint64_t load(const struct target *target)
{
    if (!weak_running()) {
        return peek(target);
    }
    note_use(target, WEAK_ATOMIC_READ);
    bool shared = weak_is_shared(target->memory);
    if (!shared && !is_stored(target->memory)) {
        weak_step(true);
        weak_touch(weak_self());
        return peek(target);
    }
    weak_step(!shared);
    struct weak_option options[WEAK_OPTIONS];
    struct weak_access access = access_to(target, WEAK_LOAD);
    unsigned chosen = weak_choose(weak_options(&access, options));
    weak_note_stale(options[chosen].source);
    add(target, &access, &options[chosen], 0);
    return weak_store_at(options[chosen].source)->value;
}

static void store(const struct target *target, uint64_t value)
{
    if (!weak_running()) {
        poke(target, value);
        return;
    }
    note_use(target, WEAK_ATOMIC_WRITE);
    weak_note_store(target->memory);
    weak_step(true);
    struct weak_option options[WEAK_OPTIONS];
    struct weak_access access = access_to(target, WEAK_STORE);
    unsigned chosen = weak_choose(weak_options(&access, options));
    add(target, &access, &options[chosen], value);
}

/* ---- Read-modify-writes ---- */

static uint64_t change(const struct target *target, uint64_t (*update)(uint64_t old, uint64_t operand),
                       uint64_t operand)
{
    if (!weak_running()) {
        uint64_t old = peek(target);
        poke(target, update(old, operand));
        return old;
    }
    note_use(target, WEAK_ATOMIC_WRITE);
    weak_note_store(target->memory);
    weak_step(!weak_is_shared(target->memory));
    struct weak_option options[WEAK_OPTIONS];
    struct weak_access access = access_to(target, WEAK_RMW);
    unsigned chosen = weak_choose(weak_options(&access, options));
    uint64_t old = weak_store_at(options[chosen].source)->value;
    add(target, &access, &options[chosen], update(old, operand));
    return old;
}

/* The options of a compare-and-swap: those that find `expected` first, then those that do not. */
static unsigned exchange_options(const struct weak_access *succeeding, const struct weak_access *failing,
                                 uint64_t expected, struct weak_option *options, unsigned *successes)
{
    struct weak_option all[WEAK_OPTIONS];
    unsigned count = 0, found = weak_options(succeeding, all);
    for (unsigned i = 0; i < found; i++) {
        if (weak_store_at(all[i].source)->value == expected) {
            options[count++] = all[i];
        }
    }
    *successes = count;
    found = weak_options(failing, all);
    for (unsigned i = 0; i < found; i++) {
        if (weak_store_at(all[i].source)->value != expected) {
            options[count++] = all[i];
        }
    }
    return count;
}

static uint64_t exchange_if(const struct target *target, enum weak_order otherwise, uint64_t expected, uint64_t value)
{
    if (!weak_running()) {
        uint64_t old = peek(target);
        if (old == expected) {
            poke(target, value);
        }
        return old;
    }
    note_use(target, WEAK_ATOMIC_WRITE);
    weak_note_store(target->memory);
    weak_step(!weak_is_shared(target->memory));
    struct weak_option options[2 * WEAK_OPTIONS];
    struct weak_access succeeding = access_to(target, WEAK_RMW);
    struct weak_access failing = succeeding;
    failing.kind = WEAK_LOAD;
    failing.order = otherwise;
    unsigned successes;
    unsigned chosen = weak_choose(exchange_options(&succeeding, &failing, expected, options, &successes));
    uint64_t old = weak_store_at(options[chosen].source)->value;
    add(target, chosen < successes ? &succeeding : &failing, &options[chosen], value);
    return old;
}

/* ---- Memory ---- */

uint64_t weak_do_load(const void *address, unsigned size, enum weak_order order, const void *place)
{
    return load(&(struct target){address, size, order, place});
}

void weak_do_store(void *address, unsigned size, uint64_t value, enum weak_order order, const void *place)
{
    store(&(struct target){address, size, order, place}, value);
}

uint64_t weak_do_update(void *address, unsigned size, uint64_t (*update)(uint64_t old, uint64_t operand),
                        uint64_t operand, enum weak_order order, const void *place)
{
    return change(&(struct target){address, size, order, place}, update, operand);
}

uint64_t weak_do_exchange_if(void *address, unsigned size, uint64_t expected, uint64_t value, enum weak_order order,
                             enum weak_order otherwise, const void *place)
{
    return exchange_if(&(struct target){address, size, order, place}, otherwise, expected, value);
}

void weak_do_fence(enum weak_order order, const void *place)
{
    if (weak_running()) {
        weak_step(true);
        weak_tell(weak_add_fence(weak_self(), order, place), 0);
    }
}

/* ---- Files ---- */

uint64_t weak_do_load_cell(const uint64_t *cell, const void *place)
{
    return load(&(struct target){cell, 0, WEAK_RELAXED, place});
}

void weak_do_store_cell(uint64_t *cell, uint64_t value, const void *place)
{
    store(&(struct target){cell, 0, WEAK_RELAXED, place}, value);
}

uint64_t weak_do_update_cell(uint64_t *cell, uint64_t (*update)(uint64_t old, uint64_t operand), uint64_t operand,
                             const void *place)
{
    return change(&(struct target){cell, 0, WEAK_RELAXED, place}, update, operand);
}

/* ---- Plain accesses ---- */

static const char *const uses[WEAK_USES] = {"a read", "a write", "an atomic read", "an atomic write"};

void weak_do_plain(const void *address, size_t size, enum weak_use use, const void *place)
{
    struct weak_conflict conflict;
    char name[128], where[256];
    if (!weak_running()) {
        return;
    }
    unsigned self = weak_self();
    if (use == WEAK_PLAIN_READ || use == WEAK_PLAIN_WRITE) {
        weak_touch(self);
    }
    if (weak_plain_use(self, weak_thread_clock(self), address, size, use, &conflict)) {
        return;
    }
    weak_name_of(conflict.address, name, sizeof name);
    weak_place_of(place, where, sizeof where);
    if (conflict.freed) {
        weak_fail("use after free: %s of %s by thread %u, %s", uses[use], name, self, where);
    }
    weak_fail("data race on %s: %s by thread %u, %s; nothing orders %s by thread %u before it", name, uses[use], self,
              where, uses[conflict.use], conflict.thread);
}
