/*
 * Runs a program once: its threads, their steps on memory, locks and condition variables, under weak memory.
 *
 * Threads are coroutines (sched/coroutine.h) in one thread of the operating system. Before a step that others can
 * notice, a strategy chooses who makes the next step; then, if the memory model allows several outcomes of the step,
 * which one. The program is compiled as it is, see entry.c.
 *
 * A *local* step cannot do anything else if others go first, so nothing is chosen before it: a store and an unlock,
 * because the graph lets loads read older stores and stores come before older ones anyway; and a load,
 * read-modify-write or lock of what no other thread ever stores to, or locks. What threads store to is learned from
 * earlier executions.
 */
#ifndef HARNESS_WEAK_RUN_H
#define HARNESS_WEAK_RUN_H

#include "weak/graph.h"
#include "weak/plain.h"
#include "weak/program.h"

#include <stdio.h>

#define WEAK_MESSAGE 512u

struct weak_strategy {
    /* One of `count` choices, at least 2. The first is to go on with the thread, and the newest store. */
    unsigned (*choose)(struct weak_strategy *strategy, unsigned count, bool of_thread);
    /* Whether what can follow from this state has been run already; it is abandoned then. `current`: who may go on. */
    bool (*is_known)(struct weak_strategy *strategy, uint64_t state, unsigned preemptions);
    unsigned preemptions; /* most switches away from a thread that could go on */
    bool all_steps;       /* choose before local steps too */
};

#define WEAK_UNBOUNDED UINT32_MAX

enum weak_end { WEAK_DONE, WEAK_FAILED, WEAK_KNOWN };

struct weak_run {
    enum weak_end end;
    char message[WEAK_MESSAGE]; /* of a failure */
    uint64_t steps;
    uint64_t stale; /* loads that did not read the last store */
    unsigned preemptions;
    bool learned; /* that a thread stores to, or locks, something that it was not known to: local steps were wrong */
};

/* Prepares a program: forgets what was learned, and calls its `setup`. */
void weak_prepare(const struct weak_program *program);

/* What earlier runs learned counts from now on. Runs before and after this have different choices. */
void weak_learn(void);

/* Runs it once. With `timeline` every step is told there. */
void weak_run(const struct weak_program *program, struct weak_strategy *strategy, FILE *timeline, struct weak_run *run);

/* ---- Steps, for entry.c and files.c. Outside a run they are done at once. ---- */

bool weak_running(void);
unsigned weak_self(void); /* the number of the thread */

/* An access of `size` bytes of memory. */
uint64_t weak_do_load(const void *address, unsigned size, enum weak_order order, const void *place);
void weak_do_store(void *address, unsigned size, uint64_t value, enum weak_order order, const void *place);
/* Stores update(old, operand); returns the old value. */
uint64_t weak_do_update(void *address, unsigned size, uint64_t (*update)(uint64_t old, uint64_t operand),
                        uint64_t operand, enum weak_order order, const void *place);
/* Returns the old value; stores `value` if that was `expected`. */
uint64_t weak_do_exchange_if(void *address, unsigned size, uint64_t expected, uint64_t value, enum weak_order order,
                             enum weak_order otherwise, const void *place);
void weak_do_fence(enum weak_order order, const void *place);

/* A sector of a file, or its length: relaxed, and not in the memory of the program. */
uint64_t weak_do_load_cell(const uint64_t *cell, const void *place);
void weak_do_store_cell(uint64_t *cell, uint64_t value, const void *place);
uint64_t weak_do_update_cell(uint64_t *cell, uint64_t (*update)(uint64_t old, uint64_t operand), uint64_t operand,
                             const void *place);

void weak_do_plain(const void *address, size_t size, enum weak_use use, const void *place);

void weak_do_lock(const void *mutex, const void *place);
void weak_do_unlock(const void *mutex, const void *place);
void weak_do_wait(const void *condition, const void *mutex, const void *place);
void weak_do_broadcast(const void *condition, const void *place);
void weak_do_destroy_mutex(const void *mutex);

#endif
