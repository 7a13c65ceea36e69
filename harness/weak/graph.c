/*
 * Events, stores and coherence.
 *
 * Happens-before is kept as vector clocks. The stores of a location stand in its order. The oldest store that a thread
 * may read is the last one in that order that it knows: one that happens before, or that a load read which happens
 * before. A store comes behind everything that its thread knows, and never between a read-modify-write and what that
 * read.
 */
#include "weak/graph.h"

#include "base/random.h"
#include "base/report.h"

#include <string.h>

#define EVENTS 16384u
#define STORES 16384u
#define LOCATIONS 4096u
#define SLOTS 8192u /* of the table of locations; a power of 2 */

struct location {
    const void *address;
    uint32_t *order; /* its stores, in `orders` */
    uint32_t count;
    uint32_t room;
};

struct thread {
    struct weak_clock clock;
    struct weak_clock before;   /* the clock before its events at `run`, the location of its last event */
    struct weak_clock fence;    /* of its last release fence */
    struct weak_clock acquired; /* what an acquire fence adds */
    bool fenced;
    uint32_t run;
    uint32_t events;
    uint32_t open[WEAK_OPTIONS]; /* seq_cst events that wait for their `left` */
    unsigned open_count;
};

static struct graph {
    struct weak_event events[EVENTS];
    struct weak_store stores[STORES];
    struct location locations[LOCATIONS];
    struct {
        const void *address;
        uint32_t generation;
        uint32_t location;
    } slots[SLOTS];
    uint32_t orders[4 * STORES];
    uint32_t generation;
    uint32_t event_count, store_count, location_count, orders_used, strong_count;
    bool fenced; /* there is a seq_cst fence */
    struct thread threads[WEAK_THREADS];
    uint64_t hash;
} graph;

void weak_graph_clear(void)
{
    graph.generation++;
    graph.event_count = graph.store_count = graph.location_count = graph.orders_used = graph.strong_count = 0;
    graph.fenced = false;
    graph.hash = 0;
    memset(graph.threads, 0, sizeof graph.threads);
    for (unsigned t = 0; t < WEAK_THREADS; t++) {
        graph.threads[t].run = WEAK_NONE;
        graph.threads[t].clock.at[t] = 1;
    }
    weak_order_clear();
}

/* ---- Locations ---- */

static uint32_t *order_room(uint32_t count)
{
    if (graph.orders_used + count > sizeof graph.orders / sizeof graph.orders[0]) {
        report_fatal("weak memory: too many stores in one execution");
    }
    uint32_t *room = graph.orders + graph.orders_used;
    graph.orders_used += count;
    return room;
}

static uint32_t new_store(uint32_t location, uint64_t value)
{
    if (graph.store_count == STORES) {
        report_fatal("weak memory: too many stores in one execution");
    }
    struct weak_store *store = &graph.stores[graph.store_count];
    *store = (struct weak_store){.value = value, .location = location, .event = WEAK_NONE};
    memset(store->first_read, 0xff, sizeof store->first_read);
    return graph.store_count++;
}

static uint32_t slot_of(const void *address)
{
    uint32_t slot = (uint32_t)random_hash((uint64_t)(uintptr_t)address) % SLOTS;
    while (graph.slots[slot].generation == graph.generation && graph.slots[slot].address != address) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

uint32_t weak_location_find(const void *address)
{
    uint32_t slot = slot_of(address);
    return graph.slots[slot].generation == graph.generation ? graph.slots[slot].location : WEAK_NONE;
}

uint32_t weak_location(const void *address, uint64_t value)
{
    uint32_t slot = slot_of(address);
    if (graph.slots[slot].generation == graph.generation) {
        return graph.slots[slot].location;
    }
    if (graph.location_count == LOCATIONS) {
        report_fatal("weak memory: too many locations in one execution");
    }
    uint32_t number = graph.location_count++;
    graph.slots[slot].address = address;
    graph.slots[slot].generation = graph.generation;
    graph.slots[slot].location = number;
    struct location *location = &graph.locations[number];
    *location = (struct location){.address = address, .order = order_room(4), .count = 1, .room = 4};
    location->order[0] = new_store(number, value);
    return number;
}

uint32_t weak_store_count(uint32_t location)
{
    return graph.locations[location].count;
}

uint32_t weak_second_store(uint32_t location)
{
    return graph.locations[location].order[1];
}

uint32_t weak_last_store(uint32_t location)
{
    return graph.locations[location].order[graph.locations[location].count - 1];
}

const struct weak_store *weak_store_at(uint32_t store)
{
    return &graph.stores[store];
}

/* ---- Coherence ---- */

bool weak_store_known(uint32_t number, const struct weak_clock *clock)
{
    const struct weak_store *store = &graph.stores[number];
    if (store->event == WEAK_NONE || weak_precedes(&graph.events[store->event], clock)) {
        return true;
    }
    for (unsigned t = 0; t < WEAK_THREADS; t++) {
        if (store->first_read[t] <= clock->at[t]) {
            return true;
        }
    }
    return false;
}

/* The position of the last store that the thread knows. */
static uint32_t floor_of(const struct location *location, const struct weak_clock *clock)
{
    uint32_t position = location->count - 1;
    while (!weak_store_known(location->order[position], clock)) {
        position--;
    }
    return position;
}

static void describe(const struct weak_access *access, struct weak_event *event)
{
    struct thread *thread = &graph.threads[access->thread];
    *event = (struct weak_event){
        .thread = (uint8_t)access->thread,
        .kind = (uint8_t)access->kind,
        .order = (uint8_t)access->order,
        .number = (uint16_t)(thread->clock.at[access->thread] + 1),
        .left = WEAK_NEVER,
        .location = access->location,
        .source = WEAK_NONE,
        .store = WEAK_NONE,
        .strong = WEAK_NONE,
        .clock = thread->clock,
        .before = thread->run == access->location && access->location != WEAK_NONE ? thread->before : thread->clock,
        .object = access->object,
        .place = access->place,
    };
    event->clock.at[access->thread] = event->number;
}

static uint32_t add_now(const struct weak_access *access, const struct weak_option *option, uint64_t value);

/* What adding an event changes, as it was before. */
static void save(struct graph *to, const struct graph *from)
{
    memcpy(to->events, from->events, from->event_count * sizeof from->events[0]);
    memcpy(to->stores, from->stores, from->store_count * sizeof from->stores[0]);
    memcpy(to->locations, from->locations, from->location_count * sizeof from->locations[0]);
    memcpy(to->orders, from->orders, from->orders_used * sizeof from->orders[0]);
    memcpy(to->threads, from->threads, sizeof from->threads);
    to->event_count = from->event_count;
    to->store_count = from->store_count;
    to->orders_used = from->orders_used;
    to->location_count = from->location_count;
    to->strong_count = from->strong_count;
    to->hash = from->hash;
}

/* With seq_cst fences even a relaxed event may close a circle: it is added, judged and removed. */
static bool fences_allow(const struct weak_access *access, const struct weak_option *option)
{
    static struct graph saved;
    save(&saved, &graph);
    add_now(access, option, 0);
    bool allowed = weak_order_holds();
    save(&graph, &saved);
    return allowed;
}

static bool is_allowed(const struct weak_access *access, const struct weak_event *event,
                       const struct weak_option *option)
{
    if (graph.fenced) {
        return fences_allow(access, option);
    }
    return access->order != WEAK_SEQ_CST || weak_order_allows(event, option);
}

unsigned weak_options(const struct weak_access *access, struct weak_option *options)
{
    const struct location *location = &graph.locations[access->location];
    struct weak_event event;
    describe(access, &event);
    uint32_t least = floor_of(location, &event.clock);
    unsigned count = 0;
    for (uint32_t position = location->count; position-- > least;) {
        uint32_t store = location->order[position];
        struct weak_option option = {.source = access->kind == WEAK_STORE ? WEAK_NONE : store,
                                     .after = access->kind == WEAK_LOAD ? WEAK_NONE : store};
        if (option.after != WEAK_NONE && graph.stores[store].updated) {
            continue;
        }
        if (!is_allowed(access, &event, &option)) {
            continue;
        }
        if (count == WEAK_OPTIONS) {
            report_fatal("weak memory: too many stores to choose from");
        }
        options[count++] = option;
    }
    return count;
}

/* ---- Adding ---- */

struct weak_clock *weak_thread_clock(unsigned thread)
{
    return &graph.threads[thread].clock;
}

static uint64_t identity(uint32_t event)
{
    return event == WEAK_NONE ? 1 : (uint64_t)(graph.events[event].thread + 2) << 32 | graph.events[event].number;
}

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
    return random_hash(random_hash(random_hash(a) ^ b) + c);
}

static uint64_t neighbours(const struct location *location, uint32_t left, uint32_t right)
{
    return mix((uint64_t)(uintptr_t)location->address, identity(graph.stores[left].event),
               identity(graph.stores[right].event));
}

static void close_run(struct thread *thread, uint16_t number)
{
    for (unsigned i = 0; i < thread->open_count; i++) {
        graph.events[thread->open[i]].left = number;
    }
    thread->open_count = 0;
}

void weak_touch(unsigned number)
{
    struct thread *thread = &graph.threads[number];
    if (thread->run != WEAK_NONE) {
        thread->run = WEAK_NONE;
        close_run(thread, thread->clock.at[number]);
    }
}

/* Adds the event to its thread; its clock is that of the thread from now on. */
static uint32_t append(struct weak_event *event)
{
    struct thread *thread = &graph.threads[event->thread];
    if (graph.event_count == EVENTS || event->number >= WEAK_NEVER - 2) {
        report_fatal("weak memory: too many events in one execution");
    }
    uint32_t number = graph.event_count++;
    if (thread->run != event->location || event->location == WEAK_NONE) {
        close_run(thread, event->number);
    }
    if (event->order == WEAK_SEQ_CST && event->kind <= WEAK_FENCE) {
        event->strong = graph.strong_count++;
        if (thread->open_count == WEAK_OPTIONS) {
            report_fatal("weak memory: too many seq_cst operations on one location in a row");
        }
        thread->open[thread->open_count++] = number;
    }
    thread->run = event->location;
    thread->before = event->before;
    graph.events[number] = *event;
    thread->clock = event->clock;
    thread->clock.at[event->thread]++; /* of what it does before its next event */
    thread->events++;
    return number;
}

static void insert(struct location *location, uint32_t store, uint32_t position)
{
    if (location->count == location->room) {
        uint32_t *wider = order_room(2 * location->room);
        memcpy(wider, location->order, location->count * sizeof *wider);
        location->order = wider;
        location->room *= 2;
    }
    for (uint32_t i = location->count; i > position; i--) {
        location->order[i] = location->order[i - 1];
        graph.stores[location->order[i]].position = i;
    }
    location->order[position] = store;
    graph.stores[store].position = position;
    location->count++;
}

/* The store joins the order of its location, behind `after`. */
static void place_store(uint32_t number, uint32_t after)
{
    struct location *location = &graph.locations[graph.stores[number].location];
    uint32_t position = graph.stores[after].position + 1;
    uint32_t next = position < location->count ? location->order[position] : WEAK_NONE;
    insert(location, number, position);
    graph.hash ^= neighbours(location, after, number);
    if (next != WEAK_NONE) {
        graph.hash ^= neighbours(location, after, next) ^ neighbours(location, number, next);
    }
}

static bool acquires(enum weak_order order)
{
    return order == WEAK_CONSUME || order == WEAK_ACQUIRE || order == WEAK_ACQ_REL || order == WEAK_SEQ_CST;
}

static bool releases(enum weak_order order)
{
    return order >= WEAK_RELEASE;
}

static void read_from(struct thread *thread, struct weak_event *event, uint32_t source)
{
    struct weak_store *store = &graph.stores[source];
    event->source = source;
    if (event->number < store->first_read[event->thread]) {
        store->first_read[event->thread] = event->number;
    }
    if (!store->releases) {
        return;
    }
    weak_clock_join(&thread->acquired, &store->released);
    if (acquires(event->order)) {
        weak_clock_join(&event->clock, &store->released);
    }
}

static void release_by(const struct thread *thread, const struct weak_event *event, struct weak_store *store)
{
    if (releases(event->order)) {
        store->releases = true;
        weak_clock_join(&store->released, &event->clock);
    } else if (thread->fenced) {
        store->releases = true;
        weak_clock_join(&store->released, &thread->fence);
    }
    if (event->source != WEAK_NONE && graph.stores[event->source].releases) {
        store->releases = true;
        weak_clock_join(&store->released, &graph.stores[event->source].released);
    }
}

static uint32_t add_now(const struct weak_access *access, const struct weak_option *option, uint64_t value)
{
    struct weak_event event;
    describe(access, &event);
    struct thread *thread = &graph.threads[access->thread];
    if (option->source != WEAK_NONE) {
        read_from(thread, &event, option->source);
    }
    if (option->after != WEAK_NONE) {
        event.store = new_store(access->location, value);
        release_by(thread, &event, &graph.stores[event.store]);
        graph.stores[event.store].event = graph.event_count;
    }
    uint32_t number = append(&event);
    if (option->after != WEAK_NONE) {
        place_store(event.store, option->after);
        graph.stores[option->after].updated |= option->source != WEAK_NONE;
    }
    uint64_t source = option->source == WEAK_NONE ? 0 : identity(graph.stores[option->source].event);
    graph.hash ^= mix(identity(number), source, access->kind);
    return number;
}

uint32_t weak_add(const struct weak_access *access, const struct weak_option *option, uint64_t value)
{
    uint32_t number = add_now(access, option, value);
    weak_order_add(number, option);
    return number;
}

uint32_t weak_add_fence(unsigned number, enum weak_order order, const void *place)
{
    struct weak_access access = {
        .thread = number, .kind = WEAK_FENCE, .order = order, .location = WEAK_NONE, .place = place};
    struct weak_event event;
    describe(&access, &event);
    struct thread *thread = &graph.threads[number];
    if (acquires(order)) {
        weak_clock_join(&event.clock, &thread->acquired);
    }
    if (releases(order)) {
        thread->fence = event.clock;
        thread->fenced = true;
    }
    graph.fenced |= order == WEAK_SEQ_CST;
    uint32_t added = append(&event);
    graph.hash ^= mix(identity(added), 0, WEAK_FENCE);
    return added;
}

uint32_t weak_add_other(unsigned thread, enum weak_kind kind, const void *object, uint32_t source, uint64_t what,
                        const void *place)
{
    struct weak_access access = {
        .thread = thread, .kind = kind, .location = WEAK_NONE, .object = object, .place = place};
    struct weak_event event;
    describe(&access, &event);
    uint32_t number = append(&event);
    graph.hash ^= mix(identity(number), source == WEAK_NONE ? 0 : identity(source), what << 8 | kind);
    return number;
}

/* ---- Looking ---- */

uint32_t weak_event_count(void)
{
    return graph.event_count;
}

const struct weak_event *weak_event_at(uint32_t event)
{
    return &graph.events[event];
}

uint64_t weak_graph_hash(void)
{
    return graph.hash;
}
