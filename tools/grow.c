/*
 * commit --grow-backing: makes a backing file as long as the disk above it, before the commit.
 *
 * A disk reads zeros past the end of its backing file, and the new bytes are zeros: so this changes nothing that any
 * disk above the file reads, and it does no harm if the commit fails afterwards. The file is locked meanwhile.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the backing file of a disk is, and how long it has to become. */
struct growth {
    char *path; /* null: there is no backing file */
    bool raw;
    uint64_t size;
};

/* The disk is closed afterwards, so that its locks do not stand in the way. The caller frees the path. */
static int find_backing(const char *path, struct growth *growth)
{
    struct addcow *disk;
    *growth = (struct growth){.path = NULL};
    int code = open_disk(path, ADDCOW_OPEN_NO_BACKING, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    if (info.backing_path) {
        *growth = (struct growth){.path = strdup(info.backing_path),
                                  .raw = strcmp(info.backing_format, "raw") == 0,
                                  .size = info.virtual_size};
        code = growth->path ? EXIT_OK : complain("%s: %s", path, strerror(ENOMEM));
    }
    return close_disk(disk, code);
}

static int grow_disk(const struct growth *growth)
{
    struct addcow *disk;
    int code = open_disk(growth->path, ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    bool grown = addcow_size(disk) >= growth->size || addcow_resize(disk, growth->size, &error) == ADDCOW_OK;
    return close_disk(disk, grown ? EXIT_OK : complain_error(&error));
}

/* Locks, makes longer and syncs. Returns 0 or a negative errno. */
static int grow_file(struct addcow_file *file, uint64_t size)
{
    uint64_t length = 0;
    int result = file->ops->lock_data(file, 1);
    if (result == 0) {
        result = file->ops->length(file, &length);
    }
    if (result == 0 && length < size) {
        result = file->ops->truncate(file, size);
        result = result < 0 ? result : file->ops->sync(file);
    }
    return result;
}

static int grow_raw(const struct growth *growth)
{
    struct addcow_storage *storage = locking_storage();
    struct addcow_file *file;
    int result = storage->ops->open(storage, growth->path, ADDCOW_FILE_READWRITE, &file);
    if (result == 0) {
        result = grow_file(file, growth->size);
        int closed = file->ops->close(file);
        result = result < 0 ? result : closed;
    }
    if (result == -EAGAIN) {
        return complain("%s: is in use elsewhere (%s, LCK-05)", growth->path, addcow_status_name(ADDCOW_BUSY));
    }
    return result < 0 ? complain("%s: cannot be made longer: %s", growth->path, strerror(-result)) : EXIT_OK;
}

int grow_backing(const char *path)
{
    struct growth growth;
    int code = find_backing(path, &growth);
    if (code == EXIT_OK && growth.path) {
        code = growth.raw ? grow_raw(&growth) : grow_disk(&growth);
    }
    free(growth.path);
    return code;
}
