/*
 * Conditions under which a phase with several threads can be judged.
 *
 * The judge tries every order and moment of the resizes and commits of a phase. It therefore accepts few of them, and
 * several only in a short phase. A reopen has no meaning beside other threads.
 */
#ifndef HARNESS_PHASE_H
#define HARNESS_PHASE_H

#include "workload/trace.h"

/* The most resizes and commits in a concurrent phase, and the most operations in a phase with several of them. */
#define PHASE_EXCLUSIVES_MAX 3u
#define PHASE_OPERATIONS_MAX 24u

/* Why the phase [begin, end) cannot be judged; null if it can, as every phase of one thread can. Static storage. */
const char *phase_problem(const struct trace *trace, uint32_t begin, uint32_t end);

/*
 * Why a trace cannot be explored: a phase cannot be judged, or several phases are concurrent. Null if it can. Static
 * storage.
 */
const char *phases_problem(const struct trace *trace);

/* Moves all operations of each phase that cannot be judged to one thread. */
void phases_make_judgeable(struct trace *trace);

#endif
