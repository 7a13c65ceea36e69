/*
 * What the parts of a run need of each other: run.c, access.c, timeline.c.
 */
#ifndef HARNESS_WEAK_PARTS_H
#define HARNESS_WEAK_PARTS_H

#include "weak/run.h"

/* ---- run.c ---- */

/* Before a step; `is_local`: nothing need be chosen before it. */
void weak_step(bool is_local);

/* One of `count` outcomes of a step. */
unsigned weak_choose(unsigned count);

/* Counts a load of a store that is not the last one. */
void weak_note_stale(uint32_t source);

/* The running thread stores to the address, or locks what is there. */
void weak_note_store(const void *address);

/* Whether other threads are known to store there. */
bool weak_is_shared(const void *address);

/* ---- timeline.c ---- */

void weak_tell_to(FILE *out);
void weak_names_clear(void);

/* Tells an event, with the value that it stored (of a broadcast: a bit for each thread that it woke). */
void weak_tell(uint32_t event, uint64_t stored);

/* Writes a name for an address, at most `size` bytes of text. Returns `text`. */
const char *weak_name_of(const void *address, char *text, size_t size);

/* Writes where in the code a place is. Returns `text`. */
const char *weak_place_of(const void *place, char *text, size_t size);

#endif
