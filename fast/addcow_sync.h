/*
 * The only way in which the engine uses locks, condition variables and atomics: pthread and C11 atomics.
 *
 * It is small so that another header with the same guard and names can replace it and decide which thread runs next.
 */
#ifndef ADDCOW_SYNC_H
#define ADDCOW_SYNC_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Locks. Their functions fail only when they are misused. ---- */

typedef pthread_mutex_t sync_mutex;
typedef pthread_cond_t sync_cond;

static inline void sync_succeeded(int result)
{
    assert(result == 0);
    (void)result;
}

static inline void sync_mutex_init(sync_mutex *mutex)
{
    sync_succeeded(pthread_mutex_init(mutex, NULL));
}

static inline void sync_mutex_destroy(sync_mutex *mutex)
{
    sync_succeeded(pthread_mutex_destroy(mutex));
}

static inline void sync_lock(sync_mutex *mutex)
{
    sync_succeeded(pthread_mutex_lock(mutex));
}

static inline void sync_unlock(sync_mutex *mutex)
{
    sync_succeeded(pthread_mutex_unlock(mutex));
}

static inline void sync_cond_init(sync_cond *condition)
{
    sync_succeeded(pthread_cond_init(condition, NULL));
}

static inline void sync_cond_destroy(sync_cond *condition)
{
    sync_succeeded(pthread_cond_destroy(condition));
}

static inline void sync_wait(sync_cond *condition, sync_mutex *mutex)
{
    sync_succeeded(pthread_cond_wait(condition, mutex));
}

static inline void sync_broadcast(sync_cond *condition)
{
    sync_succeeded(pthread_cond_broadcast(condition));
}

/* ---- Atomic numbers. Without a suffix: sequentially consistent. ---- */

typedef _Atomic(uint64_t) sync_u64;

static inline uint64_t sync_load(const sync_u64 *number)
{
    return atomic_load_explicit(number, memory_order_seq_cst);
}

static inline uint64_t sync_load_acquire(const sync_u64 *number)
{
    return atomic_load_explicit(number, memory_order_acquire);
}

static inline void sync_store(sync_u64 *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_seq_cst);
}

static inline void sync_store_release(sync_u64 *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_release);
}

static inline void sync_add(sync_u64 *number, uint64_t value)
{
    atomic_fetch_add_explicit(number, value, memory_order_seq_cst);
}

static inline void sync_subtract(sync_u64 *number, uint64_t value)
{
    atomic_fetch_sub_explicit(number, value, memory_order_seq_cst);
}

static inline void sync_or_release(sync_u64 *number, uint64_t bits)
{
    atomic_fetch_or_explicit(number, bits, memory_order_release);
}

/* ---- Atomic pointers that are published once ---- */

typedef _Atomic(void *) sync_pointer;

static inline void *sync_pointer_load(const sync_pointer *pointer)
{
    return atomic_load_explicit(pointer, memory_order_acquire);
}

/* Only while no other thread can see the pointer. */
static inline void sync_pointer_set(sync_pointer *pointer, void *value)
{
    atomic_store_explicit(pointer, value, memory_order_release);
}

/* Makes a null pointer `value`, unless another thread was faster. Returns what the pointer is afterwards. */
static inline void *sync_pointer_publish(sync_pointer *pointer, void *value)
{
    void *found = NULL;
    if (atomic_compare_exchange_strong_explicit(pointer, &found, value, memory_order_acq_rel, memory_order_acquire)) {
        return value;
    }
    return found;
}

/* ---- Threads ---- */

/* A small number that differs between threads as long as there are few of them. */
static inline unsigned sync_thread_number(void)
{
    static _Atomic(unsigned) last;
    static _Thread_local unsigned number;
    if (number == 0) {
        number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    }
    return number;
}

#endif
