/*
 * Stands in for fast/addcow_sync.h where helgrind or drd looks on (-include): the same locks and atomics, and for each
 * atomic the word to them, who do not know C11 atomics, of what it orders. Both understand the same words.
 *
 * A release happens before the acquire that reads it; an operation that is both does both. What they then report is a
 * real race: an access that neither a lock nor an atomic orders.
 */
#ifndef ADDCOW_SYNC_H
#define ADDCOW_SYNC_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <valgrind/helgrind.h>

/* ---- Locks ---- */

typedef pthread_mutex_t sync_mutex;
typedef pthread_cond_t sync_cond;

#define sync_mutex_init(mutex) ((void)pthread_mutex_init(mutex, NULL))
#define sync_mutex_destroy(mutex) ((void)pthread_mutex_destroy(mutex))
#define sync_lock(mutex) ((void)pthread_mutex_lock(mutex))
#define sync_unlock(mutex) ((void)pthread_mutex_unlock(mutex))
#define sync_cond_init(condition) ((void)pthread_cond_init(condition, NULL))
#define sync_cond_destroy(condition) ((void)pthread_cond_destroy(condition))
#define sync_wait(condition, mutex) ((void)pthread_cond_wait(condition, mutex))
#define sync_broadcast(condition) ((void)pthread_cond_broadcast(condition))

/* ---- Atomic numbers ---- */

typedef _Atomic(uint64_t) sync_u64;

/* The atomic itself is never a race. */
#define SYNC_ATOMIC(object) VALGRIND_HG_DISABLE_CHECKING(object, sizeof *(object))

#define SYNC_ACQUIRE(object) ANNOTATE_HAPPENS_AFTER(object)
#define SYNC_RELEASE(object) ANNOTATE_HAPPENS_BEFORE(object)

static inline uint64_t sync_load(const sync_u64 *number)
{
    SYNC_ATOMIC(number);
    uint64_t value = atomic_load(number);
    SYNC_ACQUIRE(number);
    return value;
}

static inline void sync_store(sync_u64 *number, uint64_t value)
{
    SYNC_ATOMIC(number);
    SYNC_RELEASE(number);
    atomic_store(number, value);
}

#define sync_load_acquire sync_load
#define sync_store_release sync_store

static inline void sync_add(sync_u64 *number, uint64_t value)
{
    SYNC_ATOMIC(number);
    SYNC_RELEASE(number);
    atomic_fetch_add(number, value);
    SYNC_ACQUIRE(number);
}

static inline void sync_subtract(sync_u64 *number, uint64_t value)
{
    SYNC_ATOMIC(number);
    SYNC_RELEASE(number);
    atomic_fetch_sub(number, value);
    SYNC_ACQUIRE(number);
}

static inline void sync_or_release(sync_u64 *number, uint64_t bits)
{
    SYNC_ATOMIC(number);
    SYNC_RELEASE(number);
    atomic_fetch_or_explicit(number, bits, memory_order_release);
}

/* ---- Atomic pointers ---- */

typedef _Atomic(void *) sync_pointer;

static inline void *sync_pointer_load(const sync_pointer *pointer)
{
    SYNC_ATOMIC(pointer);
    void *value = atomic_load(pointer);
    SYNC_ACQUIRE(pointer);
    return value;
}

static inline void sync_pointer_set(sync_pointer *pointer, void *value)
{
    SYNC_ATOMIC(pointer);
    SYNC_RELEASE(pointer);
    atomic_store(pointer, value);
}

static inline void *sync_pointer_publish(sync_pointer *pointer, void *value)
{
    SYNC_ATOMIC(pointer);
    SYNC_RELEASE(pointer);
    void *found = NULL;
    if (atomic_compare_exchange_strong(pointer, &found, value)) {
        return value;
    }
    SYNC_ACQUIRE(pointer);
    return found;
}

/* ---- Threads ---- */

static inline unsigned sync_thread_number(void)
{
    static _Atomic(unsigned) last;
    static _Thread_local unsigned number;
    if (number == 0) {
        SYNC_ATOMIC(&last);
        number = atomic_fetch_add(&last, 1) + 1;
    }
    return number;
}

#endif
