/*
 * A call of the storage that fails, in the ways of fault_injection.h or with another error of the operating system.
 *
 * For targets that ask whether the engine bears it, and not what the exact class of each failure is.
 */
#ifndef FUZZ_FAILING_H
#define FUZZ_FAILING_H

#include "storage/fault_injection.h"

#define FAILING_BYTES 2u

struct failing {
    struct fault_injection inject;
    int errnum; /* instead of EIO; 0: that */
};

/* The plan that FAILING_BYTES bytes choose: the number of the call, from 0 on, and how it fails. */
struct failing failing_choose(const uint8_t *bytes);

/* Begins to let calls of a storage fail, until sim_set_hook takes that away. */
void failing_begin(struct failing *failing, struct sim *sim);

/* Whether a request may fail with this class because of it. */
bool failing_explains(const struct failing *failing, enum addcow_status code);

#endif
