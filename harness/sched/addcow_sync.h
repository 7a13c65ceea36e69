/*
 * Replaces fast/addcow_sync.h when the engine is compiled for the scheduler. It has the same guard and the same names,
 * but every operation is a point at which the scheduler may switch to another thread.
 *
 * A point without a choice costs one decrement. Outside a run nothing is chosen, and locks must be free.
 */
#ifndef ADDCOW_SYNC_H
#define ADDCOW_SYNC_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t owner; /* a thread's number, from 1 on; 0: free */
} sync_mutex;

typedef struct {
    uint32_t waiters;
} sync_cond;

/* ---- sched.c ---- */

extern int64_t sched_budget; /* steps that may be done before the next choice */
void sched_atomic_point(const void *object, int is_write);
void sched_mutex_check(const sync_mutex *mutex);
void sched_lock(sync_mutex *mutex);
void sched_unlock(sync_mutex *mutex);
void sched_wait(sync_cond *condition, sync_mutex *mutex);
void sched_broadcast(sync_cond *condition);
unsigned sched_thread_number(void);

/* ---- Locks ---- */

static inline void sync_mutex_init(sync_mutex *mutex)
{
    mutex->owner = 0;
}

static inline void sync_mutex_destroy(sync_mutex *mutex)
{
    sched_mutex_check(mutex);
}

static inline void sync_lock(sync_mutex *mutex)
{
    sched_lock(mutex);
}

static inline void sync_unlock(sync_mutex *mutex)
{
    sched_unlock(mutex);
}

static inline void sync_cond_init(sync_cond *condition)
{
    condition->waiters = 0;
}

static inline void sync_cond_destroy(sync_cond *condition)
{
    assert(condition->waiters == 0);
    (void)condition;
}

static inline void sync_wait(sync_cond *condition, sync_mutex *mutex)
{
    sched_wait(condition, mutex);
}

static inline void sync_broadcast(sync_cond *condition)
{
    sched_broadcast(condition);
}

/* ---- Atomic numbers ---- */

typedef _Atomic(uint64_t) sync_u64;

static inline void sync_point(const void *object, int is_write)
{
    if (sched_budget-- == 0) {
        sched_atomic_point(object, is_write);
    }
}

static inline uint64_t sync_load(const sync_u64 *number)
{
    sync_point(number, 0);
    return atomic_load_explicit(number, memory_order_relaxed);
}

static inline uint64_t sync_load_acquire(const sync_u64 *number)
{
    return sync_load(number);
}

static inline void sync_store(sync_u64 *number, uint64_t value)
{
    sync_point(number, 1);
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static inline void sync_store_release(sync_u64 *number, uint64_t value)
{
    sync_store(number, value);
}

static inline void sync_add(sync_u64 *number, uint64_t value)
{
    sync_point(number, 1);
    atomic_fetch_add_explicit(number, value, memory_order_relaxed);
}

static inline void sync_subtract(sync_u64 *number, uint64_t value)
{
    sync_point(number, 1);
    atomic_fetch_sub_explicit(number, value, memory_order_relaxed);
}

static inline void sync_or_release(sync_u64 *number, uint64_t bits)
{
    sync_point(number, 1);
    atomic_fetch_or_explicit(number, bits, memory_order_relaxed);
}

/* ---- Atomic pointers ---- */

typedef _Atomic(void *) sync_pointer;

static inline void *sync_pointer_load(const sync_pointer *pointer)
{
    sync_point(pointer, 0);
    return atomic_load_explicit(pointer, memory_order_relaxed);
}

static inline void sync_pointer_set(sync_pointer *pointer, void *value)
{
    sync_point(pointer, 1);
    atomic_store_explicit(pointer, value, memory_order_relaxed);
}

static inline void *sync_pointer_publish(sync_pointer *pointer, void *value)
{
    void *found = NULL;
    sync_point(pointer, 1);
    if (atomic_compare_exchange_strong_explicit(pointer, &found, value, memory_order_relaxed, memory_order_relaxed)) {
        return value;
    }
    return found;
}

/* ---- Threads ---- */

static inline unsigned sync_thread_number(void)
{
    return sched_thread_number();
}

#endif
