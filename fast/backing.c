/*
 * Reading the backing file.
 *
 * It is a raw file or the disk of the level below. Past its end the disk reads as zeros (VRT-02). A cluster of a raw
 * backing file that lies in a hole is known to be zeros without a read.
 */
#include "addcow_disk.h"

#include <string.h>

enum addcow_status addcow_disk_check_backing(const struct addcow *disk, struct addcow_error *error)
{
    if (!disk->backing_left_out) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "", "%s: the disk was opened without its backing file",
                       disk->file.path);
}

enum addcow_status addcow_disk_read_backing(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                            struct addcow_error *error)
{
    uint64_t available = offset < disk->backing_length ? disk->backing_length - offset : 0;
    uint64_t part = length < available ? length : available;
    enum addcow_status code = addcow_disk_check_backing(disk, error);
    if (code == ADDCOW_OK && part > 0) {
        code = disk->lower ? addcow_disk_read(disk->lower, offset, part, buffer, error)
                           : addcow_io_read(&disk->raw_backing, buffer, part, offset, error);
    }
    if (part < length) {
        memset(buffer + part, 0, (size_t)(length - part));
    }
    return code;
}

uint64_t addcow_backing_zeros_end(const struct addcow *disk, uint64_t offset)
{
    uint64_t end = offset;
    if (offset < disk->backing_length) {
        end = disk->lower ? offset : addcow_io_hole_end(&disk->raw_backing, offset);
    }
    return end < disk->backing_length ? end : UINT64_MAX;
}
