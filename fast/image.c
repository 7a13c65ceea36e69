/*
 * The image file: data goes into it, and it is synced. One that another program has made longer is cut when asked for.
 * It and a raw backing file may be used without the cache of the system.
 *
 * A sync of the image that fails is final for this handle (DUR-07). The operating system may have dropped the data, and
 * a second sync would report success without it. So the error is kept, and no flush succeeds and no bit is written any
 * more.
 */
#include "addcow_disk.h"

#include <errno.h>
#include <inttypes.h>

enum addcow_status addcow_disk_bypass_cache(const struct addcow *disk, const struct addcow_io *io,
                                            struct addcow_error *error)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, bypass_cache) && ops->bypass_cache;
    if (!disk->direct) {
        return ADDCOW_OK;
    }
    int result;
    do {
        result = known ? ops->bypass_cache(io->file) : -EOPNOTSUPP;
    } while (result == -EINTR);
    if (result == 0) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, result == -EOPNOTSUPP ? ADDCOW_UNSUPPORTED : ADDCOW_IO, -result, "",
                       "%s: cannot be read and written without the cache of the system", io->path);
}

enum addcow_status addcow_disk_put(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                   struct addcow_error *error)
{
    return data ? addcow_io_write(&disk->image, data, length, offset, error)
                : addcow_io_zero(&disk->image, length, offset, error);
}

enum addcow_status addcow_disk_check_image(struct addcow *disk, struct addcow_error *error)
{
    uint64_t errnum = sync_load(&disk->image_lost);
    if (errnum == 0) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_IO, (int)errnum, "DUR-07", "%s: an earlier sync of the image failed",
                       disk->image.path);
}

enum addcow_status addcow_disk_sync_image(struct addcow *disk, struct addcow_error *error)
{
    enum addcow_status code = addcow_disk_check_image(disk, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_error failure = ADDCOW_ERROR_INIT;
    code = addcow_io_sync(&disk->image, &failure);
    if (code != ADDCOW_OK) {
        sync_store(&disk->image_lost, (uint64_t)failure.errnum);
        addcow_give_error(error, &failure);
    }
    return code;
}

enum addcow_status addcow_disk_shorten_image(struct addcow *disk, uint64_t old_length, uint64_t *length,
                                             struct addcow_error *error)
{
    if (*length < old_length) {
        return addcow_fail(error, ADDCOW_RANGE, 0, "", "%s: has %" PRIu64 " bytes, which is less than %" PRIu64,
                           disk->image.path, *length, old_length);
    }
    uint64_t covered = addcow_metadata_covered(&disk->metadata);
    if (old_length > covered) {
        return addcow_fail(error, ADDCOW_RANGE, 0, "BMP-03",
                           "%s: covers images of up to %" PRIu64 " bytes, so none of %" PRIu64, disk->file.path,
                           covered, old_length);
    }
    uint64_t data = 0;
    enum addcow_status code = addcow_io_find_data(&disk->image, old_length, *length, &data, error);
    if (code == ADDCOW_OK && data < *length) {
        code =
            addcow_fail(error, ADDCOW_RANGE, 0, "", "%s: holds data near offset %" PRIu64 ", past the end of %" PRIu64,
                        disk->image.path, data, old_length);
    }
    if (code == ADDCOW_OK && *length > covered) {
        code = addcow_io_truncate(&disk->image, covered, error);
        *length = covered;
    }
    return code;
}
