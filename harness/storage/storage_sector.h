/*
 * Storage with exactly the atomicity that the spec assumes (CON-02), over POSIX files.
 *
 * A read or write of one sector of a file is atomic. A larger one is a series of steps, between which other requests
 * may come. Transfers are split at random, now and then with a pause between two steps. On request, transfers also end
 * short or are interrupted, and operations on holes are refused, at random.
 */
#ifndef HARNESS_STORAGE_SECTOR_H
#define HARNESS_STORAGE_SECTOR_H

#include "addcow_storage.h"

#include <stdbool.h>
#include <stdint.h>

struct storage_sector_options {
    uint64_t seed;        /* of the choices below; threads draw from sequences of their own */
    unsigned pause;       /* a pause once in so many steps; 0: never */
    bool short_transfers; /* transfers end short or with -EINTR now and then (ERR-04) */
    bool refuse_holes;    /* punch and next_data answer -EOPNOTSUPP now and then */
    bool shares;          /* files can share storage: a copy stands for it */
};

/* Makes such a storage; the caller frees it with storage_sector_free, when no file of it is open. */
struct addcow_storage *storage_sector_make(const struct storage_sector_options *options);

/*
 * A failure of the files below that no implementation causes, such as a full file system: "pwrite: No space left on
 * device". Null if there was none since the options were set. Valid as long as the storage.
 */
const char *storage_sector_failure(const struct addcow_storage *storage);

/* Gives the storage other options. No file of it is open. */
void storage_sector_set(struct addcow_storage *storage, const struct storage_sector_options *options);
void storage_sector_free(struct addcow_storage *storage);

#endif
