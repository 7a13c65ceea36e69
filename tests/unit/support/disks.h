/*
 * Disks for the tests of the production engine.
 *
 * Metadata files are made here from the encoder of ref/, not by addcow_create, so that a mistake of create cannot hide
 * one of open.
 */
#ifndef TESTS_SUPPORT_DISKS_H
#define TESTS_SUPPORT_DISKS_H

#include "support/files.h"

#include "addcow_fast.h"
#include "addcow_header.h"

#define SEED_BACKING 1
#define SEED_IMAGE 2 /* what the image holds where nothing was written: must never show */

struct disk_spec {
    enum addcow_layout layout;  /* 0: r20 */
    uint32_t cluster_bits;      /* 0: 12, or 16 in r9 */
    uint64_t size;              /* bytes */
    const char *backing_name;   /* null: none */
    const char *backing_format; /* null: raw */
    uint64_t backing_size;      /* made from SEED_BACKING, unless the format is add-cow */
    uint64_t allocated;         /* the bits of the first 64 clusters */
    uint64_t compatible;
    uint64_t features;
    const char *image_name; /* null: NAME.raw */
    bool backing_is_made;   /* the backing file exists already */
};

static inline uint32_t spec_bits(const struct disk_spec *spec)
{
    return spec->layout == ADDCOW_R9 ? 16 : spec->cluster_bits ? spec->cluster_bits : 12;
}

/* Makes NAME.add-cow, its image, and its raw backing file. */
static inline void make_disk(const char *name, const struct disk_spec *spec)
{
    char image[64], metadata[64];
    snprintf(image, sizeof image, "%s.raw", name);
    snprintf(metadata, sizeof metadata, "%s.add-cow", name);
    const char *image_name = spec->image_name ? spec->image_name : image;
    const char *format = spec->backing_format ? spec->backing_format : "raw";
    struct addcow_header header = {
        .layout = spec->layout ? spec->layout : ADDCOW_R20,
        .cluster_bits = spec_bits(spec),
        .image_size = (uint32_t)strlen(image_name),
        .backing_size = spec->backing_name ? (uint32_t)strlen(spec->backing_name) : 0,
        .features = spec->features,
        .compatible_features = spec->compatible,
        .image_format = "raw",
    };
    header.header_size = spec->layout == ADDCOW_R9 || header.cluster_bits < 12 ? 4096 : 1u << header.cluster_bits;
    addcow_place_names(&header);
    if (spec->backing_name) {
        memcpy(header.backing_format, format, strlen(format));
    }
    uint64_t length = addcow_file_length(&header, spec->size);
    uint8_t *bytes = allocate_bytes(length);
    assert_int_equal(
        addcow_encode(&header, (const uint8_t *)spec->backing_name, (const uint8_t *)image_name, bytes, length),
        ADDCOW_RULE_NONE);
    for (uint64_t i = 0; i < 8 && header.header_size + i < length; i++) {
        bytes[header.header_size + i] = (uint8_t)(spec->allocated >> (8 * i));
    }
    store_file(metadata, bytes, length);
    free(bytes);
    store_pattern(image_name, SEED_IMAGE, spec->size);
    if (spec->backing_name && strcmp(format, "raw") == 0 && !spec->backing_is_made) {
        store_pattern(spec->backing_name, SEED_BACKING, spec->backing_size);
    }
}

static inline struct addcow *open_disk_on(const char *name, enum addcow_open_flags flags,
                                          struct addcow_storage *storage)
{
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_open(in_directory(name), flags, storage, &disk, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
    return disk;
}

static inline struct addcow *open_disk(const char *name)
{
    return open_disk_on(name, ADDCOW_OPEN_READWRITE, NULL);
}

static inline void close_disk(struct addcow *disk)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_close(disk, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
}

/* Asserts that opening fails with this class and clause, and says why. */
static inline void refuse_open(const char *name, enum addcow_open_flags flags, enum addcow_status code,
                               const char *clause)
{
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_open(in_directory(name), flags, NULL, &disk, &error) != code) {
        fail_msg("expected %s: %s", addcow_status_name(code), error.message);
    }
    assert_int_equal(error.code, code);
    assert_string_equal(error.clause, clause);
    assert_true(strlen(error.message) > 0);
    assert_null(strstr(error.message, "(null)"));
    assert_true(error.errnum != 0 || strstr(error.message, "Success") == NULL);
    assert_null(disk);
}

/* Calls of the engine put their error here, and assert_ok fails the test with its message. */
static _Thread_local struct addcow_error reason = ADDCOW_ERROR_INIT;

static inline void assert_ok(enum addcow_status code)
{
    if (code != ADDCOW_OK) {
        fail_msg("%s", reason.message);
    }
}

#endif
