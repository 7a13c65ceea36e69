/*
 * A hostile metadata file: bytes of unknown origin as a disk, in simulated storage, beside files of the names that they
 * give.
 *
 * Used by the targets that read such files. The expectation comes from the reference engine's codec and the opening
 * rules as sim_disk.h has them.
 */
#ifndef FUZZ_HOSTILE_H
#define FUZZ_HOSTILE_H

#include "addcow_fast.h"
#include "lib/fuzz.h"
#include "storage/sim.h"

/*
 * The section for files begins with the length of the metadata file: u16, and a byte that says in units of how many
 * bytes it is, 64 if its lower half is 15, else 1; so that files are mostly small, but can hold the largest header. Two
 * bits of that byte leave out files that the header names. The rest are the first bytes of the metadata file; what
 * follows them is zero.
 */
#define HOSTILE_LENGTH_BYTES 3u
#define HOSTILE_UNIT 64u
#define HOSTILE_UNITS 15u
#define HOSTILE_NO_IMAGE 0x40u
#define HOSTILE_NO_BACKING 0x80u

struct hostile {
    struct sim *sim;
    uint8_t *bytes; /* the metadata file, exactly its length */
    uint64_t length;
    enum addcow_rule rule; /* of decoding it */
    struct addcow_header header;
    bool opens; /* whether the disk must open */
};

/* Lays the files out: the image and the backing file have these lengths. The caller calls hostile_free. */
void hostile_make(const struct fuzz_part *file, uint64_t image_length, uint64_t backing_length,
                  struct hostile *hostile);
void hostile_free(struct hostile *hostile);

/* Opens it with the production engine, and demands that it opens if and only if it must. Null if it does not. */
struct addcow *hostile_open(const struct hostile *hostile, enum addcow_open_flags flags);

#endif
