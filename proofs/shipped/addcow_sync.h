/*
 * Replaces fast/addcow_sync.h when functions of the production engine are proven. It has the same guard and the same
 * names, but there is one thread: a lock does nothing, and an atomic number is a number.
 *
 * So the proofs are about what one thread computes while no other one changes what it reads. The contracts of the
 * engine may use the vocabulary of the oracle.
 */
#ifndef ADDCOW_SYNC_H
#define ADDCOW_SYNC_H

#include "addcow_ref.h"

#include <stddef.h>
#include <stdint.h>

typedef int sync_mutex;
typedef int sync_cond;
typedef uint64_t sync_u64;
typedef void *sync_pointer;

#define atomic_init(number, value) (*(number) = (value))
int __builtin_ctzll(unsigned long long number);

/*@ terminates \true;
    assigns \nothing;
*/
static inline void sync_lock(sync_mutex *mutex)
{
    (void)mutex;
}

/*@ terminates \true;
    assigns \nothing;
*/
static inline void sync_unlock(sync_mutex *mutex)
{
    (void)mutex;
}

void sync_mutex_init(sync_mutex *mutex);
void sync_mutex_destroy(sync_mutex *mutex);
void sync_cond_init(sync_cond *condition);
void sync_cond_destroy(sync_cond *condition);
void sync_wait(sync_cond *condition, sync_mutex *mutex);
void sync_broadcast(sync_cond *condition);

/*@ requires \valid_read(number);
    terminates \true;
    assigns \nothing;
    ensures value: \result == *number;
*/
static inline uint64_t sync_load(const sync_u64 *number)
{
    return *number;
}

/*@ requires \valid_read(number);
    terminates \true;
    assigns \nothing;
    ensures value: \result == *number;
*/
static inline uint64_t sync_load_acquire(const sync_u64 *number)
{
    return *number;
}

void sync_store(sync_u64 *number, uint64_t value);
void sync_store_release(sync_u64 *number, uint64_t value);
void sync_add(sync_u64 *number, uint64_t value);
void sync_subtract(sync_u64 *number, uint64_t value);
void sync_or_release(sync_u64 *number, uint64_t bits);

void *sync_pointer_load(const sync_pointer *pointer);
void sync_pointer_set(sync_pointer *pointer, void *value);
void *sync_pointer_publish(sync_pointer *pointer, void *value);

unsigned sync_thread_number(void);

#endif
