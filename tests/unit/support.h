/*
 * What the unit tests of the production engine share: disks made in a directory of their own, a model of what they must
 * read as, and a storage that records and fails.
 *
 * Metadata files are made here from the encoder of ref/, not by addcow_create, so that a mistake of create cannot hide
 * one of open.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "addcow_fast.h"
#include "addcow_header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_SIZE 512
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

/* ---- A directory for each test ---- */

static char directory[PATH_SIZE / 2];

static inline int make_directory(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/addcow-test-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
    (void)state;
    char command[PATH_SIZE];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

/* A path in that directory; of the last 16 that were asked for. */
static inline const char *in_directory(const char *name)
{
    static _Thread_local char paths[16][PATH_SIZE];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_SIZE, "%s/%s", directory, name);
    return path;
}

/* ---- Files ---- */

/* Byte i of a file made from this seed. Never 0, so that it differs from what is not there. */
static inline uint8_t pattern(unsigned seed, uint64_t i)
{
    return (uint8_t)(1 + (i * 2654435761u + (i >> 9) * 97u + seed * 83u) / 7 % 255);
}

static inline void fill_pattern(uint8_t *bytes, unsigned seed, uint64_t offset, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = pattern(seed, offset + i);
    }
}

static inline uint8_t *allocate_bytes(uint64_t size)
{
    uint8_t *bytes = calloc(size > 0 ? (size_t)size : 1, 1);
    assert_non_null(bytes);
    return bytes;
}

static inline void store_file(const char *name, const uint8_t *bytes, uint64_t size)
{
    FILE *file = fopen(in_directory(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void store_pattern(const char *name, unsigned seed, uint64_t size)
{
    uint8_t *bytes = allocate_bytes(size);
    fill_pattern(bytes, seed, 0, size);
    store_file(name, bytes, size);
    free(bytes);
}

static inline uint64_t file_length(const char *name)
{
    struct stat status;
    assert_int_equal(stat(in_directory(name), &status), 0);
    return (uint64_t)status.st_size;
}

/* The caller frees it. */
static inline uint8_t *load_file(const char *name)
{
    uint64_t size = file_length(name);
    uint8_t *bytes = allocate_bytes(size);
    FILE *file = fopen(in_directory(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    return bytes;
}

static inline void patch_file(const char *name, uint64_t offset, const void *bytes, size_t size)
{
    int descriptor = open(in_directory(name), O_WRONLY);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, size, (off_t)offset), size);
    close(descriptor);
}

/* ---- Disks ---- */

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
    if (spec->layout == ADDCOW_R9) {
        header.backing_offset = ADDCOW_R9_BACKING_OFFSET;
        header.image_offset = ADDCOW_R9_IMAGE_OFFSET;
    } else {
        header.backing_offset = spec->backing_name ? ADDCOW_NAMES_OFFSET : 0;
        header.image_offset = ADDCOW_NAMES_OFFSET + header.backing_size;
    }
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
    struct addcow_error error = {0};
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
    struct addcow_error error = {0};
    if (addcow_close(disk, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
}

/* Asserts that opening fails with this class and clause, and says why. */
static inline void refuse_open(const char *name, enum addcow_open_flags flags, enum addcow_status code,
                               const char *clause)
{
    struct addcow *disk = NULL;
    struct addcow_error error = {0};
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
static _Thread_local struct addcow_error reason;

static inline void assert_ok(enum addcow_status code)
{
    if (code != ADDCOW_OK) {
        fail_msg("%s", reason.message);
    }
}

/* ---- The model: what a disk must read as ---- */

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

/* ---- A storage that records and fails ---- */

enum event_kind { EVENT_READ, EVENT_WRITE, EVENT_SYNC, EVENT_TRUNCATE, EVENT_PUNCH, EVENT_CLOSE };

struct event {
    enum event_kind kind;
    char file; /* 'm' metadata, 'i' image, 'b' anything else */
    uint64_t offset;
    uint64_t size;
    int result; /* 0, or a negative errno */
};

#define EVENTS_MAX 65536

/*
 * Passes on to POSIX what `decide` lets pass: it returns 0, or a negative errno for the engine to get, or, for a
 * transfer, a positive limit of how many bytes may move.
 */
struct probe {
    struct addcow_storage storage;
    int (*decide)(struct probe *probe, const struct event *event);
    void *context;
    pthread_mutex_t lock;
    size_t count;
    struct event events[EVENTS_MAX];
};

struct probe_file {
    struct addcow_file file;
    struct addcow_file *inner;
    struct probe *probe;
    char name;
};

static inline int probe_decide(struct probe_file *file, enum event_kind kind, uint64_t offset, uint64_t size)
{
    struct probe *probe = file->probe;
    struct event event = {.kind = kind, .file = file->name, .offset = offset, .size = size};
    pthread_mutex_lock(&probe->lock);
    int result = probe->decide ? probe->decide(probe, &event) : 0;
    event.result = result < 0 ? result : 0;
    if (probe->count < EVENTS_MAX) {
        probe->events[probe->count++] = event;
    }
    pthread_mutex_unlock(&probe->lock);
    return result;
}

static inline size_t probe_limit(size_t size, int result)
{
    return result > 0 && (size_t)result < size ? (size_t)result : size;
}

static inline ssize_t probe_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_READ, offset, size);
    return result < 0 ? result : file->inner->ops->pread(file->inner, buffer, probe_limit(size, result), offset);
}

static inline ssize_t probe_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_WRITE, offset, size);
    return result < 0 ? result : file->inner->ops->pwrite(file->inner, buffer, probe_limit(size, result), offset);
}

static inline int probe_sync(struct addcow_file *self)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_SYNC, 0, 0);
    return result < 0 ? result : file->inner->ops->sync(file->inner);
}

static inline int probe_length(struct addcow_file *self, uint64_t *length)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->length(file->inner, length);
}

static inline int probe_truncate(struct addcow_file *self, uint64_t length)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_TRUNCATE, length, 0);
    return result < 0 ? result : file->inner->ops->truncate(file->inner, length);
}

static inline int probe_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_PUNCH, offset, size);
    return result < 0 ? result : file->inner->ops->punch(file->inner, offset, size);
}

static inline int probe_lock(struct addcow_file *self, int exclusive)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->lock(file->inner, exclusive);
}

static inline int probe_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    struct probe_file *file = (struct probe_file *)self;
    return file->inner->ops->identity(file->inner, identity);
}

static inline int probe_close(struct addcow_file *self)
{
    struct probe_file *file = (struct probe_file *)self;
    int result = probe_decide(file, EVENT_CLOSE, 0, 0);
    int inner = file->inner->ops->close(file->inner);
    free(file);
    return result < 0 ? result : inner;
}

static inline int probe_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                             struct addcow_file **file)
{
    static const struct addcow_file_ops ops = {
        .pread = probe_pread,
        .pwrite = probe_pwrite,
        .sync = probe_sync,
        .length = probe_length,
        .truncate = probe_truncate,
        .punch = probe_punch,
        .lock = probe_lock,
        .identity = probe_identity,
        .close = probe_close,
    };
    struct addcow_storage *posix = addcow_posix_storage();
    struct addcow_file *inner;
    int result = posix->ops->open(posix, path, mode, &inner);
    if (result < 0) {
        return result;
    }
    struct probe_file *opened = malloc(sizeof *opened);
    assert_non_null(opened);
    const char *name = strrchr(path, '/') + 1;
    *opened = (struct probe_file){
        .file = {.ops = &ops},
        .inner = inner,
        .probe = (struct probe *)storage,
        .name = strcmp(name, "disk.add-cow") == 0 ? 'm'
                : strcmp(name, "disk.raw") == 0   ? 'i'
                                                  : 'b',
    };
    *file = &opened->file;
    return 0;
}

/* The caller frees it after the disk is closed. */
static inline struct probe *make_probe(void)
{
    static const struct addcow_storage_ops ops = {.open = probe_open};
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->storage.ops = &ops;
    pthread_mutex_init(&probe->lock, NULL);
    return probe;
}

static inline void free_probe(struct probe *probe)
{
    pthread_mutex_destroy(&probe->lock);
    free(probe);
}

/* How many events of this kind and file there are from the n-th on. */
static inline size_t count_events(const struct probe *probe, size_t from, enum event_kind kind, char file)
{
    size_t count = 0;
    for (size_t i = from; i < probe->count; i++) {
        count += probe->events[i].kind == kind && probe->events[i].file == file;
    }
    return count;
}

#endif
