/*
 * A storage fault: one call of the storage fails, in the ways of fault_injection.h or with another error of the
 * operating system.
 *
 * For targets that check that the engine survives it, but not the exact status of each failure.
 */
#ifndef FUZZ_STORAGE_FAULT_H
#define FUZZ_STORAGE_FAULT_H

#include "storage/fault_injection.h"

#define STORAGE_FAULT_BYTES 2u

struct storage_fault {
    struct fault_injection inject;
    int errnum; /* instead of EIO; 0: EIO */
};

/* The fault that STORAGE_FAULT_BYTES bytes choose: the number of the call, from 0 on, and how it fails. */
struct storage_fault storage_fault_choose(const uint8_t *bytes);

/* Injects the fault into a storage, until sim_set_hook removes it. */
void storage_fault_begin(struct storage_fault *fault, struct sim *sim);

/* Whether a request may fail with this status because of the fault. */
bool storage_fault_explains(const struct storage_fault *fault, enum addcow_status code);

#endif
