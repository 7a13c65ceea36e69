/*
 * A model of a disk: what it must read as, and which clusters are allocated.
 */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "support/disks.h"

struct model {
    uint64_t size;
    uint64_t cluster;
    uint8_t *virt;
    uint8_t *allocated; /* one byte a cluster */
};

static inline struct model make_model(const struct disk_spec *spec)
{
    struct model model = {.size = spec->size, .cluster = (uint64_t)1 << spec_bits(spec)};
    uint64_t count = addcow_cluster_count(spec->size, model.cluster);
    model.virt = allocate_bytes(spec->size);
    model.allocated = allocate_bytes(count);
    for (uint64_t k = 0; k < count && k < 64; k++) {
        model.allocated[k] = spec->allocated >> k & 1;
    }
    for (uint64_t i = 0; i < spec->size; i++) {
        model.virt[i] = model.allocated[i / model.cluster] ? pattern(SEED_IMAGE, i)
                        : i < spec->backing_size           ? pattern(SEED_BACKING, i)
                                                           : 0;
    }
    return model;
}

static inline void free_model(struct model *model)
{
    free(model->virt);
    free(model->allocated);
}

static inline void model_allocate(struct model *model, uint64_t offset, uint64_t length)
{
    for (uint64_t k = offset / model->cluster; length > 0 && k <= (offset + length - 1) / model->cluster; k++) {
        model->allocated[k] = 1;
    }
}

/* Writes to both. */
static inline void write_both(struct addcow *disk, struct model *model, uint64_t offset, uint64_t length, unsigned seed)
{
    uint8_t *data = allocate_bytes(length);
    fill_pattern(data, seed, offset, length);
    assert_ok(addcow_write(disk, offset, length, data, &reason));
    memcpy(model->virt + offset, data, (size_t)length);
    model_allocate(model, offset, length);
    free(data);
}

static inline void zero_both(struct addcow *disk, struct model *model, uint64_t offset, uint64_t length, bool discard)
{
    if (discard) {
        assert_ok(addcow_discard(disk, offset, length, &reason));
    } else {
        assert_ok(addcow_zero(disk, offset, length, &reason));
    }
    memset(model->virt + offset, 0, (size_t)length);
    model_allocate(model, offset, length);
}

static inline void assert_bytes(const uint8_t *actual, const uint8_t *expected, uint64_t length, uint64_t offset)
{
    for (uint64_t i = 0; i < length; i++) {
        if (actual[i] != expected[i]) {
            fail_msg("byte %" PRIu64 " is %02x, expected %02x", offset + i, actual[i], expected[i]);
        }
    }
}

static inline void compare_range(struct addcow *disk, const struct model *model, uint64_t offset, uint64_t length)
{
    uint8_t *bytes = allocate_bytes(length);
    memset(bytes, 0xA5, (size_t)length);
    assert_ok(addcow_read(disk, offset, length, bytes, &reason));
    assert_bytes(bytes, model->virt + offset, length, offset);
    free(bytes);
}

static inline void compare_map(struct addcow *disk, const struct model *model)
{
    uint64_t count = addcow_cluster_count(model->size, model->cluster);
    for (uint64_t k = 0; k < count;) {
        uint64_t end = k;
        while (end < count && model->allocated[end] == model->allocated[k]) {
            end++;
        }
        uint64_t end_byte = end * model->cluster < model->size ? end * model->cluster : model->size;
        bool allocated = false;
        uint64_t run = 0;
        uint64_t offset = k * model->cluster;
        assert_ok(addcow_map(disk, offset, model->size - offset, &allocated, &run, &reason));
        assert_int_equal(allocated, model->allocated[k]);
        assert_int_equal(run, end_byte - offset);
        k = end;
    }
}

static inline void compare(struct addcow *disk, const struct model *model)
{
    assert_int_equal(addcow_size(disk), model->size);
    compare_range(disk, model, 0, model->size);
    compare_map(disk, model);
}

/* Opens the disk again, read-only, and compares. */
static inline void compare_reopened(const char *name, const struct model *model)
{
    struct addcow *disk = open_disk_on(name, ADDCOW_OPEN_READONLY, NULL);
    compare(disk, model);
    close_disk(disk);
}

#endif
