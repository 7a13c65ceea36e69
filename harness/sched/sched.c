/*
 * The deterministic scheduler: how threads run, and what they do at a point.
 *
 * At a point a thread says what it is about to do. It decides, on its own stack, which thread runs next, and switches
 * to that thread's stack directly. The strategy grants a number of steps at once, so most points only count down
 * (addcow_sync.h). A thread is not enabled while its next step takes a lock that is held, or while it waits for a
 * broadcast. Only enabled threads are switched to, so a lock that is taken is always free.
 */
#include "sched/sched.h"

#include "addcow_sync.h"
#include "sched/coroutine.h"

#include "base/random.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

#define STEPS_DEFAULT 1000000u
#define OWNER_OUTSIDE UINT32_MAX /* of a lock that is held outside of any run */

int64_t sched_budget = INT64_MAX;

struct thread {
    struct coroutine *coroutine;
    struct sched_thread program;
    struct sched_access pending;
    sync_mutex *mutex;    /* that the pending step locks, else null */
    sync_cond *condition; /* that it waits for a broadcast of, else null */
    bool finished;
};

static struct {
    struct coroutine *outside;
    struct thread threads[SCHED_THREADS_MAX];
    uint32_t made; /* coroutines, kept from run to run */
    uint32_t count;
    uint32_t current;
    bool running;
    bool woken;       /* a thread may have become enabled: the strategy is asked at the next point */
    uint64_t granted; /* steps, when the budget was last set */
    uint64_t left;    /* steps until the strategy is asked again */
    uint64_t limit;
    struct sched_strategy *strategy;
    struct sched_run *run;
    bool fingerprint;
    struct sched_coverage *coverage;
    sched_observer *observer;
    void *observer_context;
} scheduler;

/* Numbers from both ends, so that few threads reach the first and the last of whatever is chosen by them. */
unsigned sched_thread_number(void)
{
    return scheduler.running ? 0u - scheduler.current : 0;
}

/* ---- Choosing ---- */

static bool is_enabled(const struct thread *thread)
{
    return !thread->finished && thread->condition == NULL && (thread->mutex == NULL || thread->mutex->owner == 0);
}

static uint32_t enabled_threads(void)
{
    uint32_t enabled = 0;
    for (uint32_t i = 0; i < scheduler.count; i++) {
        if (is_enabled(&scheduler.threads[i])) {
            enabled |= 1u << i;
        }
    }
    return enabled;
}

/* Adds the steps since the budget was set to the schedule. */
static void account(void)
{
    if (scheduler.current == SCHED_NOBODY) {
        return;
    }
    uint64_t done = (uint64_t)((int64_t)scheduler.granted - 1 - sched_budget);
    scheduler.run->steps += done;
    scheduler.left -= done < scheduler.left ? done : scheduler.left;
    sched_schedule_append(&scheduler.run->schedule, scheduler.current, done);
}

static uint32_t ask_strategy(uint32_t enabled)
{
    struct sched_choice choice = {
        .threads = scheduler.count,
        .enabled = enabled,
        .current = scheduler.current,
        .step = scheduler.run->steps,
    };
    for (uint32_t i = 0; i < scheduler.count; i++) {
        choice.pending[i] = &scheduler.threads[i].pending;
    }
    uint64_t run = 1;
    uint32_t next = scheduler.strategy->ops->choose(scheduler.strategy, &choice, &run);
    assert(next < scheduler.count && (enabled >> next & 1) != 0 && run > 0);
    scheduler.left = run;
    return next;
}

/* Ends the run. Resources that unfinished threads hold are lost. */
_Noreturn static void stop(enum sched_outcome outcome)
{
    scheduler.run->outcome = outcome;
    sched_budget = INT64_MAX;
    coroutine_leave(scheduler.threads[scheduler.current].coroutine, scheduler.outside);
}

static void switch_to(uint32_t next)
{
    struct thread *self = &scheduler.threads[scheduler.current];
    scheduler.current = next;
    if (self->finished) {
        coroutine_leave(self->coroutine, scheduler.threads[next].coroutine);
    }
    coroutine_switch(self->coroutine, scheduler.threads[next].coroutine);
}

static void add_to_fingerprint(const struct sched_access *access, uint32_t thread)
{
    uint64_t value = (uint64_t)thread << 56 ^ (uint64_t)access->kind << 48 ^ access->first << 24 ^ access->last;
    scheduler.run->fingerprint = random_hash(scheduler.run->fingerprint ^ value);
}

static void grant(uint32_t next)
{
    uint64_t rest = scheduler.limit - scheduler.run->steps;
    scheduler.granted = scheduler.left < rest ? scheduler.left : rest;
    if (scheduler.fingerprint || scheduler.observer != NULL) {
        scheduler.granted = 1;
    }
    if (scheduler.fingerprint) {
        add_to_fingerprint(&scheduler.threads[next].pending, next);
    }
    if (scheduler.observer != NULL) {
        scheduler.observer(scheduler.observer_context, next, &scheduler.threads[next].pending);
    }
    sched_budget = (int64_t)scheduler.granted - 1;
}

static uint64_t is_new(struct sched_coverage *coverage, uint64_t hash)
{
    uint8_t *byte = &coverage->seen[hash % SCHED_COVERAGE / 8];
    uint8_t bit = (uint8_t)(1u << hash % 8);
    bool seen = (*byte & bit) != 0;
    *byte |= bit;
    return !seen;
}

static uint64_t point_hash(const struct sched_access *access)
{
    return random_hash((uint64_t)(uintptr_t)access->place << 4 ^ access->kind);
}

/* Notes a switch: the points at which the two threads are. */
static void cover(const struct thread *left, const struct thread *next)
{
    uint64_t from = point_hash(&left->pending);
    scheduler.coverage->points += is_new(scheduler.coverage, from);
    scheduler.coverage->pairs += is_new(scheduler.coverage, random_hash(from * 3 + point_hash(&next->pending)));
}

/*
 * Called by the running thread before its pending step, or when it is finished. Returns when that step is to be done.
 */
static void decide(void)
{
    account();
    uint32_t enabled = enabled_threads();
    uint32_t self = scheduler.current;
    if (enabled == 0) {
        bool finished = true;
        for (uint32_t i = 0; i < scheduler.count; i++) {
            finished = finished && scheduler.threads[i].finished;
        }
        stop(finished ? SCHED_DONE : SCHED_DEADLOCK);
    }
    if (scheduler.run->steps >= scheduler.limit) {
        stop(SCHED_LIVELOCK);
    }
    bool can_go_on = (enabled >> self & 1) != 0;
    uint32_t next = self;
    if (scheduler.left == 0 || scheduler.woken || !can_go_on) {
        scheduler.woken = false;
        next = ask_strategy(enabled);
    }
    grant(next);
    if (next != self) {
        scheduler.run->preemptions += can_go_on;
        if (scheduler.coverage != NULL) {
            cover(&scheduler.threads[self], &scheduler.threads[next]);
        }
        switch_to(next);
    }
}

/* ---- Points ---- */

/* Where the caller of a point was called: these functions are called from the code that is inline in the engine. */
#define PLACE __builtin_return_address(0)

static struct thread *current_thread(void)
{
    return &scheduler.threads[scheduler.current];
}

static void point(struct sched_access access)
{
    current_thread()->pending = access;
    decide();
}

void sched_atomic_point(const void *object, int is_write)
{
    point((struct sched_access){.kind = is_write ? SCHED_WRITE : SCHED_READ, .object = object, .place = PLACE});
}

void sched_file_point(const void *object, enum sched_kind kind, uint64_t first, uint64_t last)
{
    if (sched_budget-- == 0) {
        point((struct sched_access){.kind = kind, .object = object, .first = first, .last = last, .place = PLACE});
    }
}

/* The others may run now: the strategy is asked at the next point. */
static void wake(void)
{
    if (scheduler.woken) {
        return;
    }
    scheduler.woken = true;
    /* As if only the steps until now had been granted. */
    scheduler.granted -= (uint64_t)sched_budget;
    sched_budget = 0;
}

void sched_mutex_check(const sync_mutex *mutex)
{
    if (mutex->owner != 0) {
        report_fatal("a lock is destroyed while it is held");
    }
}

static void lock_outside(sync_mutex *mutex)
{
    if (mutex->owner != 0) {
        fputs("a lock is held after every request has returned (ERR-03)\n", stderr);
        abort();
    }
    mutex->owner = OWNER_OUTSIDE;
}

void sched_lock(sync_mutex *mutex)
{
    if (!scheduler.running) {
        lock_outside(mutex);
        return;
    }
    if (sched_budget-- == 0 || mutex->owner != 0) {
        struct thread *thread = current_thread();
        thread->mutex = mutex;
        point((struct sched_access){.kind = SCHED_LOCK, .object = mutex, .place = PLACE});
        thread->mutex = NULL;
    }
    assert(mutex->owner == 0);
    mutex->owner = scheduler.current + 1;
}

static void release(sync_mutex *mutex)
{
    assert(mutex->owner == scheduler.current + 1);
    mutex->owner = 0;
    for (uint32_t i = 0; i < scheduler.count; i++) {
        if (scheduler.threads[i].mutex == mutex && scheduler.threads[i].condition == NULL) {
            wake();
        }
    }
}

void sched_unlock(sync_mutex *mutex)
{
    if (!scheduler.running) {
        assert(mutex->owner == OWNER_OUTSIDE);
        mutex->owner = 0;
        return;
    }
    if (sched_budget-- == 0) {
        point((struct sched_access){.kind = SCHED_UNLOCK, .object = mutex, .place = PLACE});
    }
    release(mutex);
}

void sched_wait(sync_cond *condition, sync_mutex *mutex)
{
    if (!scheduler.running) {
        fputs("a request waits although it is alone (CON-12)\n", stderr);
        abort();
    }
    if (sched_budget-- == 0) {
        point((struct sched_access){.kind = SCHED_WAIT, .object = condition, .second = mutex, .place = PLACE});
    }
    struct thread *thread = current_thread();
    release(mutex);
    thread->mutex = mutex;
    thread->condition = condition;
    condition->waiters++;
    sched_budget--;
    point((struct sched_access){.kind = SCHED_LOCK, .object = mutex, .place = PLACE});
    thread->mutex = NULL;
    assert(mutex->owner == 0);
    mutex->owner = scheduler.current + 1;
}

void sched_broadcast(sync_cond *condition)
{
    if (!scheduler.running) {
        return;
    }
    if (sched_budget-- == 0) {
        point((struct sched_access){.kind = SCHED_BROADCAST, .object = condition, .place = PLACE});
    }
    for (uint32_t i = 0; i < scheduler.count; i++) {
        if (scheduler.threads[i].condition == condition) {
            scheduler.threads[i].condition = NULL;
            wake();
        }
    }
    condition->waiters = 0;
}

/* ---- Runs ---- */

static void thread_body(void *context)
{
    struct thread *thread = context;
    thread->program.body(thread->program.context);
    thread->finished = true;
    sched_budget--;
    point((struct sched_access){.kind = SCHED_END});
}

static void prepare_threads(const struct sched_thread *threads, uint32_t count)
{
    assert(count > 0 && count <= SCHED_THREADS_MAX);
    if (scheduler.outside == NULL) {
        scheduler.outside = coroutine_make_main();
    }
    for (; scheduler.made < count; scheduler.made++) {
        scheduler.threads[scheduler.made].coroutine = coroutine_make();
    }
    for (uint32_t i = 0; i < count; i++) {
        struct coroutine *coroutine = scheduler.threads[i].coroutine;
        scheduler.threads[i] = (struct thread){
            .coroutine = coroutine,
            .program = threads[i],
            .pending = {.kind = SCHED_START},
        };
        coroutine_start(coroutine, thread_body, &scheduler.threads[i]);
    }
    scheduler.count = count;
    scheduler.current = SCHED_NOBODY;
    scheduler.woken = false;
}

bool sched_run(struct sched_strategy *strategy, const struct sched_thread *threads, uint32_t count,
               const struct sched_options *options, struct sched_run *run)
{
    assert(!scheduler.running);
    if (!strategy->ops->begin(strategy, count)) {
        return false;
    }
    prepare_threads(threads, count);
    struct sched_schedule schedule = run->schedule;
    schedule.count = 0;
    *run = (struct sched_run){.schedule = schedule};
    scheduler.strategy = strategy;
    scheduler.run = run;
    scheduler.limit = options->step_limit != 0 ? options->step_limit : STEPS_DEFAULT;
    scheduler.fingerprint = options->fingerprint;
    scheduler.coverage = options->coverage;
    scheduler.observer = options->observer;
    scheduler.observer_context = options->observer_context;
    uint32_t first = ask_strategy(enabled_threads());
    grant(first);
    scheduler.current = first;
    scheduler.running = true;
    coroutine_switch(scheduler.outside, scheduler.threads[first].coroutine);
    scheduler.running = false;
    sched_budget = INT64_MAX;
    strategy->ops->end(strategy, run->steps);
    return true;
}

void sched_print_current(FILE *out)
{
    if (scheduler.running) {
        account();
        sched_schedule_append(&scheduler.run->schedule, scheduler.current, 1); /* the step in progress */
        sched_schedule_print(out, &scheduler.run->schedule);
    }
}
