/*
 * The small disk.
 */
#include "rig.h"

#include <inttypes.h>
#include <string.h>

struct rig *rig;

static void stamp(uint8_t *bytes, uint64_t value)
{
    for (size_t i = 0; i < RIG_SECTOR; i += sizeof value) {
        memcpy(bytes + i, &value, sizeof value);
    }
}

static void name_parts(void)
{
    struct addcow *disk = rig->disk;
    struct addcow_block *block = sync_pointer_load(&disk->bitmap.blocks[0]);
    weak_name(rig, sizeof *rig, "rig");
    weak_name(disk, sizeof *disk, "disk");
    weak_name_items(disk->quiesce.stripes, sizeof disk->quiesce.stripes, sizeof disk->quiesce.stripes[0], "requests");
    weak_name(&disk->quiesce.quiesced, sizeof disk->quiesce.quiesced, "quiesced");
    weak_name(&disk->quiesce.lock, sizeof disk->quiesce.lock, "quiesce lock");
    weak_name(&disk->quiesce.changed, sizeof disk->quiesce.changed, "quiesce changed");
    weak_name(&disk->allocation.lock, sizeof disk->allocation.lock, "allocation lock");
    weak_name(&disk->allocation.range_ended, sizeof disk->allocation.range_ended, "range ended");
    weak_name(&disk->buffers.lock, sizeof disk->buffers.lock, "buffers lock");
    weak_name(&disk->flushing.lock, sizeof disk->flushing.lock, "flushing lock");
    weak_name(&disk->flushing.finished, sizeof disk->flushing.finished, "flush finished");
    weak_name(&disk->compatible_features, sizeof disk->compatible_features, "features");
    weak_name(&disk->size, sizeof disk->size, "size");
    weak_name(disk->bitmap.blocks, sizeof disk->bitmap.blocks[0], "block pointer");
    if (block) {
        weak_name(block, sizeof *block, "block");
        weak_name_items(block->words, sizeof block->words, sizeof block->words[0], "bits");
    }
}

void rig_begin(const struct rig_options *options)
{
    static uint8_t bytes[RIG_CLUSTERS * RIG_CLUSTER];
    uint64_t size = options->size != 0 ? options->size : (uint64_t)RIG_CLUSTERS * RIG_CLUSTER;
    struct addcow_storage *storage = weak_storage();
    struct addcow_create_options create = ADDCOW_CREATE_OPTIONS_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    rig = calloc(1, sizeof *rig);
    memset(bytes, 0, sizeof bytes);
    weak_put("image", bytes, size);
    create.cluster_bits = 12;
    create.image_name = "image";
    if (options->backing_size != 0) {
        for (uint64_t i = 0; i < options->backing_size / RIG_SECTOR; i++) {
            stamp(bytes + i * RIG_SECTOR, RIG_BACKING);
        }
        weak_put("backing", bytes, options->backing_size);
        create.backing_name = "backing";
        create.backing_format = "raw";
    }
    rig_expect(addcow_create("disk", &create, storage, &error));
    rig_expect(addcow_open("disk", ADDCOW_OPEN_READWRITE, storage, &rig->disk, &error));
    weak_judge_bitmap("disk", RIG_CLUSTER, "image", RIG_CLUSTER);
    if (options->loaded) {
        bool allocated;
        uint64_t run;
        rig_expect(addcow_map(rig->disk, 0, size, &allocated, &run, &error));
    }
    name_parts();
}

void rig_expect(enum addcow_status status)
{
    if (status != ADDCOW_OK) {
        weak_fail("a request fails with status %d", (int)status);
    }
}

void rig_write(unsigned self, uint64_t sector)
{
    uint8_t bytes[RIG_SECTOR];
    uint64_t value = (rig->written[sector] | (uint64_t)(self + 1) << 8) + 1;
    stamp(bytes, value);
    rig_expect(addcow_write(rig->disk, sector * RIG_SECTOR, RIG_SECTOR, bytes, NULL));
    rig->written[sector] = value;
    rig->seen[self][sector] = value;
}

static uint64_t stamp_of(uint64_t sector)
{
    uint64_t values[RIG_SECTOR / sizeof(uint64_t)];
    rig_expect(addcow_read(rig->disk, sector * RIG_SECTOR, RIG_SECTOR, values, NULL));
    for (size_t i = 1; i < RIG_SECTOR / sizeof(uint64_t); i++) {
        if (values[i] != values[0]) {
            weak_fail("a read returns half a sector");
        }
    }
    return values[0];
}

void rig_read(unsigned self, uint64_t sector)
{
    uint64_t value = stamp_of(sector);
    if (value < rig->seen[self][sector]) {
        weak_fail("CON-01: sector %" PRIu64 " reads 0x%" PRIx64 " after 0x%" PRIx64, sector, value,
                  rig->seen[self][sector]);
    }
    rig->seen[self][sector] = value;
}

void rig_finish(void)
{
    uint64_t size = addcow_size(rig->disk);
    for (uint64_t sector = 0; sector < RIG_CLUSTERS * 8u && sector < size / RIG_SECTOR; sector++) {
        if (rig->written[sector] != 0 && stamp_of(sector) != rig->written[sector]) {
            weak_fail("WR-01: in the end sector %" PRIu64 " reads 0x%" PRIx64 " instead of 0x%" PRIx64, sector,
                      stamp_of(sector), rig->written[sector]);
        }
    }
    rig_expect(addcow_close(rig->disk, NULL));
}
