/*
 * The programs that are explored under weak memory.
 */
#ifndef HARNESS_WEAK_PROGRAMS_H
#define HARNESS_WEAK_PROGRAMS_H

#include "weak/program.h"

#include <stdbool.h>
#include <stdio.h>

/* Those whose executions are all run within a second; up to a null. */
extern const struct weak_program *const weak_programs[];

/* Those that take longer, and the most preemptions for which all executions are run; up to one without a program. */
struct weak_large_program {
    const struct weak_program *program;
    uint32_t preemptions; /* UINT32_MAX: all */
};
extern const struct weak_large_program weak_large_programs[];

extern const struct weak_program weak_quiesce_requests, weak_quiesce_operations, weak_quiesce_again, weak_quiesce_four;
extern const struct weak_program weak_allocate_same, weak_allocate_different, weak_allocate_ranges, weak_load_block,
    weak_load_block_three, weak_reserve, weak_buffers, weak_buffers_three;
extern const struct weak_program weak_flush_write, weak_write_flush, weak_features, weak_set_flag,
    weak_write_flush_three;
extern const struct weak_program weak_write_read, weak_write_read_unloaded, weak_read_twice, weak_resize, weak_shrink,
    weak_three_requests, weak_three_with_resize;

/* ---- Random requests (random.c) ---- */

#define WEAK_RANDOM_REQUESTS 8u /* most of a thread */

/* Runs the requests that weak_random_make has made. */
extern struct weak_program weak_random;

/*
 * Makes requests that follow from the seed. 0 threads or requests of each thread: some. False if this was built without
 * weak memory (absent.c).
 */
bool weak_random_make(uint64_t seed, unsigned threads, unsigned requests);

/* Takes request `number`, below WEAK_THREADS * WEAK_RANDOM_REQUESTS, out; false if there is none. */
bool weak_random_remove(unsigned number);

/* Keeps the requests as they are, or restores them. */
void weak_random_keep(bool restore);

void weak_random_print(FILE *out);

#endif
