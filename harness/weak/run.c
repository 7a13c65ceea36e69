/*
 * Threads, and who goes on; locks and condition variables.
 *
 * A wait gives the lock up and sleeps in one step. Only a broadcast wakes: nothing wakes without a reason, which POSIX
 * allows, because a program that relies on it would be seen to hang otherwise.
 */
#include "weak/run.h"

#include "weak/heap.h"
#include "weak/parts.h"

#include "base/random.h"
#include "base/report.h"
#include "sched/coroutine.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 12000u /* fewer than a graph has room for events */
#define LOCKS 256u
#define OBJECTS 8192u /* a power of 2 */
#define NOBODY WEAK_THREADS

struct thread {
    struct coroutine *coroutine;
    bool started;
    bool finished;
    const struct lock *waits_for; /* what its next step locks, or null */
    const void *condition;        /* what it sleeps on, or null */
};

struct lock {
    const void *address;
    unsigned owner; /* or NOBODY */
    uint32_t last;  /* the event that released it, or WEAK_NONE */
    struct weak_clock released;
};

/* What threads store to or lock: a bit for each thread. */
struct object {
    const void *address;
    uint8_t known;   /* from earlier executions */
    uint8_t learned; /* since */
};

static struct {
    struct coroutine *outside;
    struct thread threads[WEAK_THREADS];
    const struct weak_program *program;
    struct weak_strategy *strategy;
    struct weak_run *run;
    unsigned current;
    bool running;
    bool starting; /* not every thread has come to its first choice */
    struct lock locks[LOCKS];
    unsigned lock_count;
    struct object objects[OBJECTS];
} machine;

bool weak_running(void)
{
    return machine.running;
}

unsigned weak_self(void)
{
    return machine.running ? machine.current : 0;
}

/* ---- Ending ---- */

static void leave(enum weak_end end)
{
    machine.run->end = end;
    if (machine.running) {
        coroutine_leave(machine.threads[machine.current].coroutine, machine.outside);
    }
}

void weak_fail(const char *format, ...)
{
    if (machine.run == NULL) {
        report_fatal("weak memory: the program fails before it begins: %s", format);
    }
    if (machine.run->end != WEAK_FAILED) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(machine.run->message, WEAK_MESSAGE, format, arguments);
        va_end(arguments);
    }
    leave(WEAK_FAILED);
}

/* ---- What is shared ---- */

static struct object *object_at(const void *address)
{
    uint32_t slot = (uint32_t)random_hash((uint64_t)(uintptr_t)address) % OBJECTS;
    for (uint32_t tries = 0; tries < OBJECTS; tries++, slot = (slot + 1) % OBJECTS) {
        struct object *object = &machine.objects[slot];
        if (object->address == NULL) {
            object->address = address;
        }
        if (object->address == address) {
            return object;
        }
    }
    report_fatal("weak memory: the program stores to too many places");
}

void weak_note_store(const void *address)
{
    struct object *object = object_at(address);
    uint8_t self = (uint8_t)(1u << machine.current);
    object->learned |= self;
    machine.run->learned |= (object->known & self) == 0;
}

bool weak_is_shared(const void *address)
{
    return (object_at(address)->known & ~(1u << machine.current)) != 0 || machine.strategy->all_steps;
}

void weak_note_stale(uint32_t source)
{
    machine.run->stale += source != weak_last_store(weak_store_at(source)->location);
}

void weak_learn(void)
{
    for (uint32_t i = 0; i < OBJECTS; i++) {
        machine.objects[i].known |= machine.objects[i].learned;
    }
}

/* ---- Choosing ---- */

unsigned weak_choose(unsigned count)
{
    return count > 1 ? machine.strategy->choose(machine.strategy, count, false) : 0;
}

static bool can_run(const struct thread *thread)
{
    return !thread->finished && thread->condition == NULL &&
           (thread->waits_for == NULL || thread->waits_for->owner == NOBODY);
}

static void switch_to(unsigned next)
{
    unsigned self = machine.current;
    struct coroutine *from = machine.threads[self].coroutine;
    if (next == self) {
        return;
    }
    machine.current = next;
    machine.threads[next].started = true;
    if (machine.threads[self].finished) {
        coroutine_leave(from, machine.threads[next].coroutine);
    }
    coroutine_switch(from, machine.threads[next].coroutine);
}

/* A thread that has not begun goes to its first choice before anything is chosen. */
static bool start_next(void)
{
    for (unsigned t = 0; t < machine.program->threads; t++) {
        if (!machine.threads[t].started) {
            switch_to(t);
            return true;
        }
    }
    return false;
}

static void end_or_hang(void)
{
    for (unsigned t = 0; t < machine.program->threads; t++) {
        if (!machine.threads[t].finished) {
            weak_fail("deadlock: thread %u %s", t,
                      machine.threads[t].condition != NULL ? "waits for a broadcast" : "waits for a lock");
        }
    }
    leave(WEAK_DONE);
}

static uint64_t state(bool self)
{
    bool matters = self && machine.strategy->preemptions != WEAK_UNBOUNDED;
    return weak_graph_hash() ^ (matters ? random_hash(machine.current + 1) : 0);
}

/* Called by the running thread before its next step, or when it is finished. Returns when that step is to be done. */
static void decide(void)
{
    if (machine.starting && start_next()) {
        return;
    }
    bool self = can_run(&machine.threads[machine.current]) && !machine.starting;
    machine.starting = false;
    unsigned list[WEAK_THREADS], count = 0;
    if (self) {
        list[count++] = machine.current;
    }
    for (unsigned t = 0; t < machine.program->threads; t++) {
        bool may = !self || (t != machine.current && machine.run->preemptions < machine.strategy->preemptions);
        if (may && can_run(&machine.threads[t])) {
            list[count++] = t;
        }
    }
    if (count == 0) {
        end_or_hang();
    }
    unsigned chosen = 0;
    if (count > 1) {
        if (machine.strategy->is_known(machine.strategy, state(self), machine.run->preemptions)) {
            leave(WEAK_KNOWN);
        }
        chosen = machine.strategy->choose(machine.strategy, count, true);
    }
    machine.run->preemptions += self && chosen != 0;
    switch_to(list[chosen]);
}

void weak_step(bool is_local)
{
    if (++machine.run->steps > STEPS_MAX) {
        weak_fail("it goes on without end");
    }
    if (!is_local || machine.strategy->all_steps) {
        decide();
    }
}

/* ---- Locks ---- */

static struct lock *lock_at(const void *address)
{
    for (unsigned i = 0; i < machine.lock_count; i++) {
        if (machine.locks[i].address == address) {
            return &machine.locks[i];
        }
    }
    if (machine.lock_count == LOCKS) {
        report_fatal("weak memory: too many locks");
    }
    struct lock *lock = &machine.locks[machine.lock_count++];
    *lock = (struct lock){.address = address, .owner = NOBODY, .last = WEAK_NONE};
    return lock;
}

/* The lock is free. */
static void take(struct lock *lock, const void *place)
{
    assert(lock->owner == NOBODY);
    lock->owner = machine.current;
    uint32_t event = weak_add_other(machine.current, WEAK_LOCK, lock->address, lock->last, 0, place);
    weak_clock_join(weak_thread_clock(machine.current), &lock->released);
    weak_tell(event, 0);
}

static void release(struct lock *lock, enum weak_kind kind, const void *object, const void *place)
{
    if (lock->owner != machine.current) {
        weak_fail("a lock is released by who does not hold it");
    }
    lock->owner = NOBODY;
    lock->last = weak_add_other(machine.current, kind, object, WEAK_NONE, 0, place);
    lock->released = weak_event_at(lock->last)->clock;
    weak_tell(lock->last, 0);
}

static void lock_outside(const void *mutex, unsigned owner)
{
    struct lock *lock = lock_at(mutex);
    if (lock->owner != NOBODY && lock->owner != WEAK_OUTSIDE + 1) {
        weak_fail("a lock is held after its thread has ended");
    }
    lock->owner = owner;
}

void weak_do_lock(const void *mutex, const void *place)
{
    if (!machine.running) {
        lock_outside(mutex, WEAK_OUTSIDE + 1);
        return;
    }
    weak_do_plain(mutex, 1, WEAK_ATOMIC_READ, place);
    struct lock *lock = lock_at(mutex);
    struct thread *self = &machine.threads[machine.current];
    weak_note_store(mutex);
    self->waits_for = lock;
    weak_step(lock->owner == NOBODY && !weak_is_shared(mutex));
    self->waits_for = NULL;
    take(lock, place);
}

void weak_do_unlock(const void *mutex, const void *place)
{
    if (!machine.running) {
        lock_outside(mutex, NOBODY);
        return;
    }
    weak_step(true);
    release(lock_at(mutex), WEAK_UNLOCK, mutex, place);
}

void weak_do_destroy_mutex(const void *mutex)
{
    if (lock_at(mutex)->owner != NOBODY) {
        weak_fail("a lock is destroyed while it is held");
    }
}

/* ---- Condition variables ---- */

void weak_do_wait(const void *condition, const void *mutex, const void *place)
{
    if (!machine.running) {
        weak_fail("the only thread that is left waits for a broadcast");
        return;
    }
    struct lock *lock = lock_at(mutex);
    struct thread *self = &machine.threads[machine.current];
    weak_note_store(condition);
    weak_step(!weak_is_shared(condition));
    release(lock, WEAK_WAIT, condition, place);
    self->condition = condition;
    self->waits_for = lock;
    decide();
    self->waits_for = NULL;
    take(lock, place);
}

void weak_do_broadcast(const void *condition, const void *place)
{
    if (!machine.running) {
        return;
    }
    weak_note_store(condition);
    weak_step(!weak_is_shared(condition));
    uint64_t woken = 0;
    for (unsigned t = 0; t < machine.program->threads; t++) {
        if (machine.threads[t].condition == condition) {
            machine.threads[t].condition = NULL;
            woken |= 1u << t;
        }
    }
    weak_tell(weak_add_other(machine.current, WEAK_BROADCAST, condition, WEAK_NONE, woken, place), woken);
}

/* ---- Runs ---- */

static void body(void *context)
{
    struct thread *self = context;
    machine.program->thread(machine.current);
    self->finished = true;
    decide();
    abort();
}

static void prepare_threads(void)
{
    if (machine.outside == NULL) {
        machine.outside = coroutine_make_main();
    }
    for (unsigned t = 0; t < machine.program->threads; t++) {
        struct coroutine *coroutine = machine.threads[t].coroutine;
        machine.threads[t] = (struct thread){.coroutine = coroutine != NULL ? coroutine : coroutine_make()};
        coroutine_start(machine.threads[t].coroutine, body, &machine.threads[t]);
    }
}

void weak_prepare(const struct weak_program *program)
{
    memset(machine.objects, 0, sizeof machine.objects);
    machine.lock_count = 0;
    machine.run = NULL;
    weak_heap_clear();
    weak_names_clear();
    program->setup();
    weak_heap_keep();
}

void weak_run(const struct weak_program *program, struct weak_strategy *strategy, FILE *timeline, struct weak_run *run)
{
    *run = (struct weak_run){.end = WEAK_DONE};
    weak_heap_restore();
    weak_graph_clear();
    weak_plain_clear();
    weak_tell_to(timeline);
    machine.program = program;
    machine.strategy = strategy;
    machine.run = run;
    machine.lock_count = 0;
    machine.current = 0;
    prepare_threads();
    machine.starting = !strategy->all_steps;
    machine.threads[0].started = true;
    machine.running = true;
    coroutine_switch(machine.outside, machine.threads[0].coroutine);
    machine.running = false;
    if (run->end == WEAK_DONE && program->finish != NULL) {
        program->finish();
    }
    weak_tell_to(NULL);
}
