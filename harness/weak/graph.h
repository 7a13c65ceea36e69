/*
 * An execution as C11 sees it: a graph of events, and what the memory model lets the next event of a thread do.
 *
 * The model is RC11 (Lahav, Vafeiadis, Kang, Hur, Dreyer, PLDI 2017): C11 with its seq_cst order repaired, and without
 * values out of thin air. So no load reads a store that depends on it: the relaxed outcome of load buffering is not
 * shown. Release sequences are those since C++20: a store and the read-modify-writes that follow it. C11's also hold
 * later stores of the same thread, so whatever C11 forbids for that reason only is shown here.
 *
 * Events are added one after another, each at the end of its thread. A load may read any store that coherence and the
 * seq_cst order allow, not only the last one; a store may take any place in the order of its location that they allow,
 * not only the last one. These are the options of an event. Every graph that the model allows can be made, in any order
 * of events in which a store comes before the loads that read it.
 *
 * There is one graph, for one thread of the operating system.
 */
#ifndef HARNESS_WEAK_GRAPH_H
#define HARNESS_WEAK_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#define WEAK_THREADS 4u
#define WEAK_OPTIONS 64u
#define WEAK_NONE UINT32_MAX
#define WEAK_NEVER UINT16_MAX

/* For each thread, the number of its last event that happens before something. Threads count from 1 on. */
struct weak_clock {
    uint16_t at[WEAK_THREADS];
};

static inline void weak_clock_join(struct weak_clock *clock, const struct weak_clock *other)
{
    for (unsigned t = 0; t < WEAK_THREADS; t++) {
        clock->at[t] = other->at[t] > clock->at[t] ? other->at[t] : clock->at[t];
    }
}

/* As memory_order of C11, which the compiler passes as these numbers. */
enum weak_order { WEAK_RELAXED, WEAK_CONSUME, WEAK_ACQUIRE, WEAK_RELEASE, WEAK_ACQ_REL, WEAK_SEQ_CST };

enum weak_kind { WEAK_LOAD, WEAK_STORE, WEAK_RMW, WEAK_FENCE, WEAK_LOCK, WEAK_UNLOCK, WEAK_WAIT, WEAK_BROADCAST };

struct weak_event {
    uint8_t thread;
    uint8_t kind;  /* enum weak_kind */
    uint8_t order; /* enum weak_order */
    uint16_t number;
    uint16_t left; /* the number of the first later event of its thread that is not at its location, or WEAK_NEVER */
    uint32_t location;        /* WEAK_NONE: none */
    uint32_t source;          /* the store that it reads, or WEAK_NONE */
    uint32_t store;           /* the store that it makes, or WEAK_NONE */
    uint32_t strong;          /* its number among the seq_cst events, or WEAK_NONE */
    struct weak_clock clock;  /* what happens before it, and itself */
    struct weak_clock before; /* what happens before the last event of its thread that is not at its location */
    const void *object;       /* the address of what it is done to */
    const void *place;        /* in the code */
};

struct weak_store {
    uint64_t value;
    uint32_t location;
    uint32_t position; /* in the order of its location */
    uint32_t event;    /* WEAK_NONE: what was there at the beginning */
    bool updated;      /* a read-modify-write reads it, and follows it at once */
    bool releases;     /* who acquires it, comes after `released` */
    struct weak_clock released;
    uint16_t first_read[WEAK_THREADS]; /* the first event of each thread that reads it, or WEAK_NEVER */
};

/* What an event may do: read `source`, and store right behind `after`. */
struct weak_option {
    uint32_t source; /* a store, or WEAK_NONE */
    uint32_t after;  /* a store, or WEAK_NONE */
};

/* ---- Building ---- */

/* An empty graph. */
void weak_graph_clear(void);

/* The location at an address. Its first store, if it has none yet, has this value. */
uint32_t weak_location(const void *address, uint64_t value);
/* WEAK_NONE if there is none yet. */
uint32_t weak_location_find(const void *address);

/* How many stores a location has, the first one included. */
uint32_t weak_store_count(uint32_t location);

/* The first store after the beginning in the order of a location, which has one; and the last one. */
uint32_t weak_second_store(uint32_t location);
uint32_t weak_last_store(uint32_t location);
const struct weak_store *weak_store_at(uint32_t store);

/* The next event of `thread`, about to be added. */
struct weak_access {
    unsigned thread;
    enum weak_kind kind; /* WEAK_LOAD, WEAK_STORE or WEAK_RMW */
    enum weak_order order;
    uint32_t location;
    const void *object;
    const void *place;
};

/* What it may do, the usual first: to read the last store, to become the last one. At most WEAK_OPTIONS, at least 1. */
unsigned weak_options(const struct weak_access *access, struct weak_option *options);

/* Adds the event. A store gets `value`. Returns the event. */
uint32_t weak_add(const struct weak_access *access, const struct weak_option *option, uint64_t value);

/* Adds a fence. Nothing forbids one. */
uint32_t weak_add_fence(unsigned thread, enum weak_order order, const void *place);

/*
 * Adds an event of a lock or a condition variable. `source` is the event that it follows, or WEAK_NONE; `what` tells
 * apart what else it may have done.
 */
uint32_t weak_add_other(unsigned thread, enum weak_kind kind, const void *object, uint32_t source, uint64_t what,
                        const void *place);

/* The thread does something that is not an event of the graph, at another location than its last event. */
void weak_touch(unsigned thread);

/* ---- Looking ---- */

uint32_t weak_event_count(void);
const struct weak_event *weak_event_at(uint32_t event);

/* What happens before the next event of a thread. Locks and condition variables join to it. */
struct weak_clock *weak_thread_clock(unsigned thread);

/* Whether the event comes before whatever has `clock`. */
static inline bool weak_precedes(const struct weak_event *event, const struct weak_clock *clock)
{
    return event->number <= clock->at[event->thread];
}

/* Whether the store, or a load that reads it, comes before whatever has `clock`, so that no older one may be read. */
bool weak_store_known(uint32_t store, const struct weak_clock *clock);

/* Two graphs are equal if these are: the same events read and follow the same ones, and stores have the same order. */
uint64_t weak_graph_hash(void);

/* ---- order.c: the seq_cst order ---- */

void weak_order_clear(void);
/* Whether an event with this option, which has not been added, lets all seq_cst events be in one order. */
bool weak_order_allows(const struct weak_event *event, const struct weak_option *option);
/* An event has been added by this option. */
void weak_order_add(uint32_t event, const struct weak_option *option);
/* Judges the whole graph anew, by the definition. For graphs with seq_cst fences; at most 64 events. */
bool weak_order_holds(void);

#endif
