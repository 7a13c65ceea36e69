/*
 * A hostile metadata file in simulated storage.
 */
#include "lib/untrusted_image.h"

#include "addcow_header.h"
#include "workload/disk_files.h"
#include "base/report.h"
#include "storage/sim_disk.h"

#include <stdlib.h>
#include <string.h>

/* A file of `length` bytes of a pattern, under the name that stands in the header; but not if it is left out. False if
 * another file has the name. */
static bool put_named(struct hostile *hostile, uint32_t offset, uint32_t size, uint64_t length, uint8_t seed,
                      bool left_out)
{
    char name[SIM_NAME_BYTES];
    uint64_t there;
    if (size >= sizeof name) {
        return true;
    }
    memcpy(name, hostile->bytes + offset, size);
    name[size] = '\0';
    if (sim_bytes(hostile->sim, name, &there)) {
        return false;
    }
    if (left_out) {
        return true;
    }
    uint8_t *bytes = report_allocate(length > 0 ? length : 1, 1);
    for (uint64_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(seed + i % 251);
    }
    sim_put(hostile->sim, name, bytes, length);
    free(bytes);
    return true;
}

void hostile_make(const struct fuzz_part *file, uint64_t image_length, uint64_t backing_length, struct hostile *hostile)
{
    const uint8_t *bytes = file->bytes;
    uint32_t length = 0;
    size_t count = 0;
    unsigned missing = 0;
    if (file->count >= HOSTILE_LENGTH_BYTES) {
        length = (uint32_t)(bytes[0] | bytes[1] << 8) * (bytes[2] % 16 == HOSTILE_UNITS ? HOSTILE_UNIT : 1);
        missing = bytes[2];
        count = file->count - HOSTILE_LENGTH_BYTES;
        count = count < length ? count : length;
    }
    *hostile = (struct hostile){.sim = sim_make(), .length = length};
    hostile->bytes = report_allocate(length > 0 ? length : 1, 1);
    if (count > 0) {
        memcpy(hostile->bytes, bytes + HOSTILE_LENGTH_BYTES, count);
    }
    hostile->rule = addcow_decode(hostile->bytes, length, &hostile->header);
    sim_put(hostile->sim, DISK_METADATA, hostile->bytes, length);
    bool apart = true; /* no two of the files are one (LNK-07) */
    if (hostile->rule == ADDCOW_RULE_NONE) {
        const struct addcow_header *header = &hostile->header;
        apart =
            put_named(hostile, header->image_offset, header->image_size, image_length, 1, missing & HOSTILE_NO_IMAGE);
        if (header->backing_size > 0) {
            bool other = put_named(hostile, header->backing_offset, header->backing_size, backing_length, 101,
                                   missing & HOSTILE_NO_BACKING);
            bool opened = header->layout == ADDCOW_R9 || !(header->compatible_features & ADDCOW_ALL_ALLOCATED);
            apart = apart && (other || !opened);
        }
    }
    sim_keep(hostile->sim);
    struct sim_disk disk;
    char problem[256];
    hostile->opens = sim_disk_open(hostile->sim, &disk, problem, sizeof problem);
    if (hostile->opens) {
        sim_disk_close(&disk);
    }
    hostile->opens = hostile->opens && apart;
}

void hostile_free(struct hostile *hostile)
{
    sim_free(hostile->sim);
    free(hostile->bytes);
}

struct addcow *hostile_open(const struct hostile *hostile, enum addcow_open_flags flags)
{
    struct addcow *disk = NULL;
    struct addcow_error error;
    enum addcow_status code = addcow_open(DISK_METADATA, flags, sim_storage(hostile->sim), &disk, &error);
    if (code != ADDCOW_OK) {
        fuzz_demand(!hostile->opens, error.message);
        fuzz_demand(disk == NULL && sim_open_files(hostile->sim) == 0,
                    "an open that fails leaves nothing open (ERR-06)");
        fuzz_demand(hostile->rule == ADDCOW_RULE_NONE || code == addcow_rule_status(hostile->rule),
                    "the class of a refusal is that of the first broken rule");
        return NULL;
    }
    fuzz_demand(hostile->opens, "what the reference engine refuses is refused");
    return disk;
}
