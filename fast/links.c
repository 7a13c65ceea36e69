/*
 * The files below a disk that is not opened itself.
 *
 * A disk that is opened checks everything below it. But a file down there could also be one of the files above
 * (LNK-07), which the caller may have locked. So this file walks down the levels, and opens each one, without its
 * backing file, for as long as it takes to note its files and the next level.
 */
#include "addcow_links.h"

#include <stdlib.h>
#include <string.h>

/* The next backing file of the walk. */
struct level {
    char *path; /* owned; null: the chain has ended */
    bool is_disk;
    unsigned disks; /* above it */
};

/* `locked`: refuses it if it cannot be locked as open would do it (LCK-05). */
static enum addcow_status add_file(struct addcow_storage *storage, const char *path, bool locked,
                                   struct addcow_identities *identities, struct addcow_error *error)
{
    struct addcow_io io;
    enum addcow_status code = addcow_io_open(storage, path, ADDCOW_FILE_READ, &io, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_identities_add(identities, &io, error);
    if (code == ADDCOW_OK && locked) {
        code = addcow_io_lock_data(&io, false, error);
    }
    addcow_io_close(&io, NULL);
    return code;
}

/* Moves to the backing file of the opened disk, if that is in use (LNK-10). */
static enum addcow_status descend(const struct addcow_info *info, struct level *level, struct addcow_error *error)
{
    free(level->path);
    *level = (struct level){.disks = level->disks};
    if (!info->backing_name || info->all_allocated) {
        return ADDCOW_OK;
    }
    level->is_disk = strcmp(info->backing_format, "add-cow") == 0;
    level->path = strdup(info->backing_path);
    return level->path ? ADDCOW_OK : addcow_fail_memory(error, info->backing_path);
}

/*
 * Notes the two files of the disk at this level. The metadata file comes first: if it occurs above, it must not be
 * opened again.
 */
static enum addcow_status add_disk(struct addcow_storage *storage, struct level *level,
                                   struct addcow_identities *identities, struct addcow_error *error)
{
    struct addcow *disk;
    const struct addcow_identities above = *identities;
    enum addcow_status code = add_file(storage, level->path, false, identities, error);
    if (code == ADDCOW_OK && ++level->disks > ADDCOW_CHAIN_MAX) {
        code = addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "LNK-09", "%s: more than %d metadata files in one chain",
                           level->path, ADDCOW_CHAIN_MAX);
    }
    if (code == ADDCOW_OK) {
        code = addcow_open_below(level->path, &above, storage, &disk, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    code = add_file(storage, info.image_path, false, identities, error);
    if (code == ADDCOW_OK) {
        code = descend(&info, level, error);
    }
    addcow_close(disk, NULL);
    return code;
}

enum addcow_status addcow_links_add_backing(struct addcow_storage *storage, const struct addcow_metadata *metadata,
                                            struct addcow_identities *identities, struct addcow_error *error)
{
    struct level level = {
        .path = strdup(metadata->backing_path), .is_disk = addcow_backing_is_addcow(&metadata->header), .disks = 1};
    if (!level.path) {
        return addcow_fail_memory(error, metadata->backing_path);
    }
    enum addcow_status code = ADDCOW_OK;
    while (code == ADDCOW_OK && level.path && level.is_disk) {
        code = add_disk(storage, &level, identities, error);
    }
    if (code == ADDCOW_OK && level.path) {
        code = add_file(storage, level.path, true, identities, error);
    }
    free(level.path);
    return code;
}

static enum addcow_status disk_length(struct addcow_storage *storage, const char *path, uint64_t *length,
                                      struct addcow_error *error)
{
    struct addcow *disk;
    enum addcow_status code = addcow_open(path, ADDCOW_OPEN_READONLY | ADDCOW_OPEN_NO_BACKING, storage, &disk, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    *length = addcow_size(disk);
    return addcow_close(disk, error);
}

enum addcow_status addcow_links_backing_length(struct addcow_storage *storage, const struct addcow_metadata *metadata,
                                               uint64_t *length, struct addcow_error *error)
{
    if (addcow_backing_is_addcow(&metadata->header)) {
        return disk_length(storage, metadata->backing_path, length, error);
    }
    struct addcow_io io;
    enum addcow_status code = addcow_io_open(storage, metadata->backing_path, ADDCOW_FILE_READ, &io, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_io_length(&io, length, error);
    enum addcow_status closed = addcow_io_close(&io, code == ADDCOW_OK ? error : NULL);
    return code != ADDCOW_OK ? code : closed;
}
