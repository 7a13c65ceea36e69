/*
 * Opening a disk with all files below it, and closing.
 *
 * Each level is opened in the same order: the metadata file, its identity among those of the levels above, its lock,
 * whether it still has its name, its header, the image, its lock, the lengths, the backing file, its lock. The identity
 * comes before the lock, so that a chain with a cycle is reported as such and not as busy (LNK-07). Nothing is written
 * (ERR-06). A disk that is opened for writing is synced, because its last writer may have died before its sync
 * (DUR-12).
 *
 * Files of lower levels are opened for reading, with one exception. A commit into an add-cow backing file needs an
 * exclusive lock on it (LCK-03). A lock can be upgraded only on the open file that has it, and only if that is open for
 * writing. So the metadata file directly below a writable disk is opened for writing if possible. Only commit uses
 * that.
 */
#include "addcow_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum role {
    ROLE_WRITABLE,  /* the disk itself, opened for writing */
    ROLE_READ_ONLY, /* the disk itself opened read-only, or a lower level */
    ROLE_COMMITTED, /* the level below a writable disk */
};

/* What the levels of one opening share. */
struct opening {
    struct addcow_storage *storage;
    struct addcow_identities identities;
    unsigned levels;
    bool without_backing; /* the disk itself is opened, and nothing below it */
    bool direct;          /* image and backing files are used without the cache of the system */
    bool shortens;        /* the image of the disk itself may have grown, and first becomes as long as is covered */
    uint64_t old_length;  /* then: from there on, the image must hold nothing but zeros */
};

static enum addcow_status open_disk(struct opening *opening, const char *path, enum role role, struct addcow **disk,
                                    struct addcow_error *error);

/* ---- Closing ---- */

static enum addcow_status first_of(enum addcow_status first, enum addcow_status second)
{
    return first != ADDCOW_OK ? first : second;
}

enum addcow_status addcow_disk_close(struct addcow *disk, struct addcow_error *error)
{
    enum addcow_status code = disk->lower ? addcow_disk_close(disk->lower, error) : ADDCOW_OK;
    code = first_of(code, addcow_io_close(&disk->raw_backing, code == ADDCOW_OK ? error : NULL));
    code = first_of(code, addcow_io_close(&disk->image, code == ADDCOW_OK ? error : NULL));
    code = first_of(code, addcow_io_close(&disk->file, code == ADDCOW_OK ? error : NULL));
    addcow_bitmap_destroy(disk);
    addcow_metadata_free(&disk->metadata);
    addcow_flushing_destroy(disk);
    addcow_allocation_destroy(disk);
    addcow_quiesce_destroy(&disk->quiesce);
    free(disk);
    return code;
}

/* ---- Opening ---- */

static enum addcow_status open_file(struct addcow *disk, const char *path, enum role role, struct addcow_error *error)
{
    enum addcow_status code = ADDCOW_READONLY;
    if (role != ROLE_READ_ONLY) {
        code = addcow_io_open(disk->storage, path, ADDCOW_FILE_READWRITE, &disk->file, error);
    }
    disk->file_writable = code == ADDCOW_OK;
    /* A lower level that may not be written is opened for reading: only commit needs more. */
    if (code == ADDCOW_READONLY && role != ROLE_WRITABLE) {
        code = addcow_io_open(disk->storage, path, ADDCOW_FILE_READ, &disk->file, error);
    }
    return code;
}

/* Opens and locks the metadata file. *current: it still had its name when it was locked. */
static enum addcow_status open_and_lock(struct addcow *disk, struct opening *opening, const char *path, enum role role,
                                        bool *current, struct addcow_error *error)
{
    enum addcow_status code = open_file(disk, path, role, error);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&opening->identities, &disk->file, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_lock(&disk->file, role == ROLE_WRITABLE, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_named(disk->storage, &disk->file, path, current, error);
    }
    return code;
}

/* The same, until it gets the file that has the name (LCK-04). */
static enum addcow_status open_current(struct addcow *disk, struct opening *opening, const char *path, enum role role,
                                       struct addcow_error *error)
{
    const size_t known = opening->identities.count;
    for (unsigned attempt = 0; attempt < REPLACED_MAX; attempt++) {
        bool current = false;
        enum addcow_status code = open_and_lock(disk, opening, path, role, &current, error);
        if (code != ADDCOW_OK || current) {
            return code;
        }
        addcow_io_close(&disk->file, NULL);
        opening->identities.count = known;
    }
    return addcow_fail(error, ADDCOW_BUSY, 0, "LCK-04", "%s: is replaced again and again", path);
}

static enum addcow_status open_metadata(struct addcow *disk, struct opening *opening, const char *path, enum role role,
                                        struct addcow_error *error)
{
    enum addcow_status code = open_current(disk, opening, path, role, error);
    if (code == ADDCOW_OK) {
        code = addcow_metadata_load(&disk->file, &disk->metadata, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    disk->cluster_bits = disk->metadata.header.cluster_bits;
    uint64_t features = disk->metadata.header.compatible_features;
    sync_store_release(&disk->compatible_features, disk->metadata.header.layout == ADDCOW_R9 ? 0 : features);
    return ADDCOW_OK;
}

static enum addcow_status open_image(struct addcow *disk, struct opening *opening, struct addcow_error *error)
{
    enum addcow_open_mode mode = disk->read_only ? ADDCOW_FILE_READ : ADDCOW_FILE_READWRITE;
    uint64_t size = 0;
    enum addcow_status code = addcow_io_open(disk->storage, disk->metadata.image_path, mode, &disk->image, error);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&opening->identities, &disk->image, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_hold_data(disk->storage, &disk->image, !disk->read_only, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_bypass_cache(disk, &disk->image, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_length(&disk->image, &size, error);
    }
    if (code == ADDCOW_OK && opening->shortens && !disk->read_only) {
        code = addcow_disk_shorten_image(disk, opening->old_length, &size, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_metadata_check_lengths(&disk->metadata, disk->file.path, size, error);
    }
    sync_store_release(&disk->size, size);
    return code;
}

static enum addcow_status open_raw_backing(struct addcow *disk, struct opening *opening, struct addcow_error *error)
{
    struct addcow_io io;
    enum addcow_status code = addcow_io_open(disk->storage, disk->metadata.backing_path, ADDCOW_FILE_READ, &io, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    uint64_t length = 0;
    code = addcow_identities_add(&opening->identities, &io, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_hold_data(disk->storage, &io, false, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_bypass_cache(disk, &io, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_length(&io, &length, error);
    }
    if (code != ADDCOW_OK) {
        addcow_io_close(&io, NULL);
        return code;
    }
    disk->raw_backing = io;
    disk->backing_length = length;
    return ADDCOW_OK;
}

static enum addcow_status open_backing(struct addcow *disk, struct opening *opening, struct addcow_error *error)
{
    assert(!disk->lower && !disk->raw_backing.file);
    if (!addcow_backing_is_addcow(&disk->metadata.header)) {
        return open_raw_backing(disk, opening, error);
    }
    enum role role = disk->read_only ? ROLE_READ_ONLY : ROLE_COMMITTED;
    struct addcow *lower = NULL;
    enum addcow_status code = open_disk(opening, disk->metadata.backing_path, role, &lower, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    disk->lower = lower;
    disk->backing_length = sync_load_acquire(&lower->size);
    return ADDCOW_OK;
}

enum addcow_status addcow_disk_open_backing(struct addcow *disk, struct addcow_error *error)
{
    struct opening opening = {.storage = disk->storage, .levels = 1, .direct = disk->direct};
    enum addcow_status code = addcow_identities_add(&opening.identities, &disk->file, error);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&opening.identities, &disk->image, error);
    }
    return code == ADDCOW_OK ? open_backing(disk, &opening, error) : code;
}

static enum addcow_status open_all(struct addcow *disk, struct opening *opening, const char *path, enum role role,
                                   struct addcow_error *error)
{
    enum addcow_status code = open_metadata(disk, opening, path, role, error);
    if (code == ADDCOW_OK) {
        code = open_image(disk, opening, error);
    }
    /* LNK-10 */
    if (code == ADDCOW_OK && disk->metadata.backing_name && !addcow_disk_all_allocated(disk)) {
        disk->backing_left_out = opening->without_backing;
        code = disk->backing_left_out ? ADDCOW_OK : open_backing(disk, opening, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_bitmap_init(
            disk, addcow_cluster_count(sync_load_acquire(&disk->size), addcow_disk_cluster_size(disk)), error);
    }
    if (code == ADDCOW_OK && role == ROLE_WRITABLE) {
        code = addcow_disk_sync_on_open(disk, error);
    }
    return code;
}

static enum addcow_status open_disk(struct opening *opening, const char *path, enum role role, struct addcow **disk,
                                    struct addcow_error *error)
{
    if (opening->levels == ADDCOW_CHAIN_MAX) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "LNK-09", "%s: the chain has more than %d metadata files",
                           path, ADDCOW_CHAIN_MAX);
    }
    opening->levels++;
    struct addcow *opened = calloc(1, sizeof *opened);
    if (!opened) {
        return addcow_fail_memory(error, path);
    }
    opened->storage = opening->storage;
    opened->direct = opening->direct;
    opened->read_only = role != ROLE_WRITABLE;
    addcow_quiesce_init(&opened->quiesce);
    addcow_allocation_init(opened);
    addcow_flushing_init(opened);
    enum addcow_status code = open_all(opened, opening, path, role, error);
    if (code != ADDCOW_OK) {
        addcow_disk_close(opened, NULL);
        return code;
    }
    *disk = opened;
    return ADDCOW_OK;
}

enum addcow_status addcow_open(const char *path, enum addcow_open_flags flags, struct addcow_storage *storage,
                               struct addcow **disk, struct addcow_error *error)
{
    struct opening opening = {
        .storage = storage ? storage : addcow_posix_storage(),
        .without_backing = (flags & ADDCOW_OPEN_NO_BACKING) != 0,
        .direct = (flags & ADDCOW_OPEN_DIRECT) != 0,
    };
    bool writable = (flags & ADDCOW_OPEN_READWRITE) != 0;
    if (writable && opening.without_backing) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, EINVAL, "", "%s: no backing file is left out for writing", path);
    }
    return open_disk(&opening, path, writable ? ROLE_WRITABLE : ROLE_READ_ONLY, disk, error);
}

enum addcow_status addcow_disk_open_alone(const char *path, struct addcow_storage *storage, struct addcow **disk,
                                          struct addcow_error *error)
{
    struct opening opening = {.storage = storage, .without_backing = true};
    return open_disk(&opening, path, ROLE_WRITABLE, disk, error);
}

enum addcow_status addcow_restore_length(const char *path, uint64_t old_length, struct addcow_storage *storage,
                                         struct addcow_error *error)
{
    struct opening opening = {
        .storage = storage ? storage : addcow_posix_storage(), .shortens = true, .old_length = old_length};
    struct addcow *disk = NULL;
    enum addcow_status code = open_disk(&opening, path, ROLE_WRITABLE, &disk, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_resize(disk, old_length, error);
    if (code == ADDCOW_OK) {
        code = addcow_flush(disk, error);
    }
    return first_of(code, addcow_close(disk, code == ADDCOW_OK ? error : NULL));
}

enum addcow_status addcow_open_below(const char *path, const struct addcow_identities *above,
                                     struct addcow_storage *storage, struct addcow **disk, struct addcow_error *error)
{
    struct opening opening = {.storage = storage, .identities = *above, .without_backing = true};
    return open_disk(&opening, path, ROLE_READ_ONLY, disk, error);
}

/* ---- What an opened disk is ---- */

static unsigned depth_below(const struct addcow *disk)
{
    unsigned depth = 0;
    for (const struct addcow *lower = disk->lower; lower; lower = lower->lower) {
        depth++;
    }
    return depth;
}

void addcow_disk_describe(const struct addcow *disk, struct addcow_info *info)
{
    const struct addcow_metadata *metadata = &disk->metadata;
    *info = (struct addcow_info){
        .layout = metadata->header.layout == ADDCOW_R9 ? ADDCOW_R9 : ADDCOW_R20,
        .virtual_size = sync_load_acquire(&disk->size),
        .cluster_size = (uint32_t)addcow_disk_cluster_size(disk),
        .all_allocated = addcow_disk_all_allocated(disk),
        .read_only = disk->read_only,
        .features = metadata->header.features,
        .compatible_features = sync_load_acquire(&disk->compatible_features),
        .image_name = metadata->image_name,
        .image_path = metadata->image_path,
        .image_format = (const char *)metadata->header.image_format,
        .backing_name = metadata->backing_name,
        .backing_path = metadata->backing_path,
        .backing_format = metadata->backing_name ? (const char *)metadata->header.backing_format : NULL,
        .backing_length = disk->backing_length,
        .chain_depth = depth_below(disk),
    };
}
