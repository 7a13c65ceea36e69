/*
 * Locks of image and raw backing files, for the reference engine on files (LCK-05, LCK-06).
 */
#ifndef HARNESS_REF_LOCK_H
#define HARNESS_REF_LOCK_H

#include <stdbool.h>

/* Locks the open file until it is closed or unlocked, or changes the kind of its lock. False: another one conflicts.
 */
bool ref_lock_data(int descriptor, bool exclusive);

/* Gives up every lock of the open file. */
void ref_unlock(int descriptor);

#endif
