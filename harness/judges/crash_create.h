/*
 * Crashes of the creation of a disk.
 */
#ifndef HARNESS_CRASH_CREATE_H
#define HARNESS_CRASH_CREATE_H

#include "judges/crash_sequence.h"

struct crash_creation {
    enum addcow_layout layout;
    bool has_backing;
    bool make_image;
    bool replace; /* a disk of the same layout */
};

/*
 * Creates a disk and judges crashes at every moment. After each, the disk is missing or complete, and its image is as
 * it was or complete (CRE-01, CRE-06). A disk that is replaced is the old or the new one.
 */
bool crash_create(const struct crash_creation *how, struct crash_counts *counts, FILE *out);

/* The same for all ways to create a disk. */
bool crash_every_creation(struct crash_counts *counts, FILE *out);

/* For judges that create by other means: how, and in which files. The options point to static storage. */
struct addcow_create_options crash_creation_options(const struct crash_creation *how);

/* Puts the files that a creation finds into a storage, and keeps that state. */
void crash_creation_prepare(const struct crash_creation *how, struct sim *sim);

/* Judges the storage after a crash in the creation, or, if it is `complete`, after it had succeeded (CRE-06). Prints
 * what is wrong. */
bool crash_creation_judge(const struct crash_creation *how, struct sim *crashed, bool complete, FILE *out);

#endif
