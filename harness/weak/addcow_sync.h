/*
 * The engine's own fast/addcow_sync.h, but for the numbers of threads: the threads of a run are coroutines in one
 * thread of the operating system, which has one thread-local number.
 */
#ifndef HARNESS_WEAK_ADDCOW_SYNC_H
#define HARNESS_WEAK_ADDCOW_SYNC_H

#define sync_thread_number sync_thread_number_of_the_system
#include <addcow_sync.h> /* of fast/ */
#undef sync_thread_number

unsigned weak_thread_number(void);

static inline unsigned sync_thread_number(void)
{
    return weak_thread_number();
}

#endif
