/*
 * Plain memory: every access that is not atomic must be ordered by happens-before with every conflicting one.
 *
 * Every byte remembers the last plain and atomic reads and writes of every thread. Two accesses of different threads
 * conflict if one of them writes and at least one of them is plain; that is a data race, which is undefined in C11.
 * Memory that is allocated counts as written then, and memory that is freed as well, and may not be used afterwards.
 */
#ifndef HARNESS_WEAK_PLAIN_H
#define HARNESS_WEAK_PLAIN_H

#include "weak/graph.h"

#include <stddef.h>

enum weak_use { WEAK_PLAIN_READ, WEAK_PLAIN_WRITE, WEAK_ATOMIC_READ, WEAK_ATOMIC_WRITE, WEAK_USES };

/* What is wrong with an access. */
struct weak_conflict {
    bool freed; /* the memory is */
    unsigned thread;
    enum weak_use use; /* of that other thread */
    const void *address;
};

/* Forgets all accesses. */
void weak_plain_clear(void);

/* Notes an access by a thread whose clock this is. False, and *conflict, if it is a race or the memory is freed. */
bool weak_plain_use(unsigned thread, const struct weak_clock *clock, const void *address, size_t size,
                    enum weak_use use, struct weak_conflict *conflict);

/* From now on, using this memory is an error. */
void weak_plain_forbid(const void *address, size_t size);

#endif
