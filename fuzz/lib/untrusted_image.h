/*
 * An untrusted image: any bytes as the metadata file of a disk, in simulated storage, beside files of the names that
 * its header gives.
 *
 * The targets that read such files use it. Whether the disk must open follows from the codec of the reference engine
 * and the opening rules of sim_disk.h.
 */
#ifndef FUZZ_UNTRUSTED_IMAGE_H
#define FUZZ_UNTRUSTED_IMAGE_H

#include "addcow_fast.h"
#include "lib/fuzz.h"
#include "storage/sim.h"

/*
 * The file section of an input:
 *
 *   u16    length of the metadata file, in units
 *   u8     lower half: 15 for units of 64 bytes, else units of one byte, so most files are small;
 *          bits 6 and 7: the image, the backing file that the header names does not exist
 *   rest   first bytes of the metadata file; it is zero behind them
 */
#define UNTRUSTED_IMAGE_LENGTH_BYTES 3u
#define UNTRUSTED_IMAGE_UNIT 64u
#define UNTRUSTED_IMAGE_UNITS 15u
#define UNTRUSTED_IMAGE_NO_IMAGE 0x40u
#define UNTRUSTED_IMAGE_NO_BACKING 0x80u

struct untrusted_image {
    struct sim *sim;
    uint8_t *bytes; /* the metadata file, exactly its length */
    uint64_t length;
    enum addcow_rule rule; /* of decoding it */
    struct addcow_header header;
    bool opens; /* whether the disk must open */
};

/* Makes the files; the image and the backing file have these lengths. Free with untrusted_image_free. */
void untrusted_image_make(const struct fuzz_part *file, uint64_t image_length, uint64_t backing_length,
                          struct untrusted_image *untrusted);
void untrusted_image_free(struct untrusted_image *untrusted);

/* Opens it with the production engine, and requires that it opens if and only if it must. Null if it does not. */
struct addcow *untrusted_image_open(const struct untrusted_image *untrusted, enum addcow_open_flags flags);

#endif
