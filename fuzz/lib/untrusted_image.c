/*
 * An untrusted image in simulated storage.
 */
#include "lib/untrusted_image.h"

#include "addcow_header.h"
#include "workload/disk_files.h"
#include "base/report.h"
#include "storage/sim_disk.h"

#include <stdlib.h>
#include <string.h>

/* Makes a file of `length` bytes of a pattern under the name that the header gives, unless it is left out. False if
 * another file has that name. */
static bool put_named(struct untrusted_image *untrusted, uint32_t offset, uint32_t size, uint64_t length, uint8_t seed,
                      bool left_out)
{
    char name[SIM_NAME_BYTES];
    uint64_t there;
    if (size >= sizeof name) {
        return true;
    }
    memcpy(name, untrusted->bytes + offset, size);
    name[size] = '\0';
    if (sim_bytes(untrusted->sim, name, &there)) {
        return false;
    }
    if (left_out) {
        return true;
    }
    uint8_t *bytes = report_allocate(length > 0 ? length : 1, 1);
    for (uint64_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(seed + i % 251);
    }
    sim_put(untrusted->sim, name, bytes, length);
    free(bytes);
    return true;
}

void untrusted_image_make(const struct fuzz_part *file, uint64_t image_length, uint64_t backing_length,
                          struct untrusted_image *untrusted)
{
    const uint8_t *bytes = file->bytes;
    uint32_t length = 0;
    size_t count = 0;
    unsigned missing = 0;
    if (file->count >= UNTRUSTED_IMAGE_LENGTH_BYTES) {
        length =
            (uint32_t)(bytes[0] | bytes[1] << 8) * (bytes[2] % 16 == UNTRUSTED_IMAGE_UNITS ? UNTRUSTED_IMAGE_UNIT : 1);
        missing = bytes[2];
        count = file->count - UNTRUSTED_IMAGE_LENGTH_BYTES;
        count = count < length ? count : length;
    }
    *untrusted = (struct untrusted_image){.sim = sim_make(), .length = length};
    untrusted->bytes = report_allocate(length > 0 ? length : 1, 1);
    if (count > 0) {
        memcpy(untrusted->bytes, bytes + UNTRUSTED_IMAGE_LENGTH_BYTES, count);
    }
    untrusted->rule = addcow_decode(untrusted->bytes, length, &untrusted->header);
    sim_put(untrusted->sim, DISK_METADATA, untrusted->bytes, length);
    bool apart = true; /* no two of the files are one (LNK-07) */
    if (untrusted->rule == ADDCOW_RULE_NONE) {
        const struct addcow_header *header = &untrusted->header;
        apart = put_named(untrusted, header->image_offset, header->image_size, image_length, 1,
                          missing & UNTRUSTED_IMAGE_NO_IMAGE);
        if (header->backing_size > 0) {
            bool other = put_named(untrusted, header->backing_offset, header->backing_size, backing_length, 101,
                                   missing & UNTRUSTED_IMAGE_NO_BACKING);
            bool opened = header->layout == ADDCOW_R9 || !(header->compatible_features & ADDCOW_ALL_ALLOCATED);
            apart = apart && (other || !opened);
        }
    }
    sim_keep(untrusted->sim);
    struct sim_disk disk;
    char problem[256];
    untrusted->opens = sim_disk_open(untrusted->sim, &disk, problem, sizeof problem);
    if (untrusted->opens) {
        sim_disk_close(&disk);
    }
    untrusted->opens = untrusted->opens && apart;
}

void untrusted_image_free(struct untrusted_image *untrusted)
{
    sim_free(untrusted->sim);
    free(untrusted->bytes);
}

struct addcow *untrusted_image_open(const struct untrusted_image *untrusted, enum addcow_open_flags flags)
{
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_open(DISK_METADATA, flags, sim_storage(untrusted->sim), &disk, &error);
    if (code != ADDCOW_OK) {
        fuzz_require(!untrusted->opens, error.message);
        fuzz_require(disk == NULL && sim_open_files(untrusted->sim) == 0,
                     "an open that fails leaves nothing open (ERR-06)");
        fuzz_require(untrusted->rule == ADDCOW_RULE_NONE || code == addcow_rule_status(untrusted->rule),
                     "the class of a refusal is that of the first broken rule");
        return NULL;
    }
    fuzz_require(untrusted->opens, "what the reference engine refuses is refused");
    return disk;
}
