/*
 * A program to be explored under weak memory, and what it may call.
 *
 * Programs are compiled like the engine, into one object with it (mk/harness.mk): their atomics, locks, plain accesses
 * and allocations are those of the program under test.
 */
#ifndef HARNESS_WEAK_PROGRAM_H
#define HARNESS_WEAK_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

struct addcow_storage;

struct weak_program {
    const char *name;
    const char *meaning; /* one line */
    unsigned threads;    /* 1..WEAK_THREADS */
    /* Called once. All that threads change must lie in memory that it allocates with malloc or calloc. */
    void (*setup)(void);
    /* Thread `self`, from 0 on. */
    void (*thread)(unsigned self);
    /* After all threads have ended, and happened before; may be null. */
    void (*finish)(void);
};

/* The program shows a defect. Ends the execution, unless called by `finish`. */
void weak_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A small number that tells apart what an execution came to; called by `finish`, at most once. */
void weak_outcome(uint64_t outcome);

/* What timelines call the `size` bytes at `address`. The text must live on. */
void weak_name(const void *address, size_t size, const char *name);
/* The same for several objects of `item` bytes each, which get numbers. */
void weak_name_items(const void *address, size_t size, size_t item, const char *name);

/* ---- Files in memory, as part of the memory model (files.c). All are made by `setup`. ---- */

/* Storage without files. */
struct addcow_storage *weak_storage(void);

/* A new file. */
void weak_put(const char *name, const uint8_t *bytes, uint64_t length);

/* From now on, what is written to the bitmap at `offset` of one file is judged by the data in the other one (DUR-03).
 */
void weak_judge_bitmap(const char *metadata, uint64_t offset, const char *image, uint64_t cluster_size);

#endif
