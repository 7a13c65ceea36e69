/*
 * Memory of the program under test. The same execution gets the same addresses again.
 *
 * What is allocated before the threads begin is kept, and restored before every execution. Each thread allocates from a
 * part of its own, so that its addresses depend only on what it does itself. Freed memory is not used again before the
 * next execution.
 */
#ifndef HARNESS_WEAK_HEAP_H
#define HARNESS_WEAK_HEAP_H

#include <stddef.h>

#define WEAK_OUTSIDE 4u /* the part of who is no thread */

/* Empties everything: a new program begins. */
void weak_heap_clear(void);
/* What is allocated now is what every execution begins with. */
void weak_heap_keep(void);
/* Everything is as it was then. */
void weak_heap_restore(void);

/* Memory from a part, a thread's number or WEAK_OUTSIDE, filled with 0xa5. Null if `size` is more than there is. */
void *weak_heap_allocate(unsigned part, size_t size);
/* How much was asked for. Ends the process if it is no allocated memory, or freed already. */
size_t weak_heap_size(const void *memory);
void weak_heap_free(void *memory);

#endif
