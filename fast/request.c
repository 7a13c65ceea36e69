/*
 * Requests on a range within the disk: read, write, zero, discard, map.
 *
 * Each goes over runs of clusters of one status. Allocated runs are read and written in the image, without a lock.
 * Unallocated runs are read from the backing file (backing.c), or allocated by a write (allocate.c). Zero and discard
 * are writes without data, which punch holes for whole runs or clusters.
 */
#include "addcow_disk.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* The status at `offset` and where the longest run of it ends, at most at `limit`. offset < limit <= size. */
static enum addcow_status find_run(struct addcow *disk, uint64_t offset, uint64_t limit, bool *allocated, uint64_t *end,
                                   struct addcow_error *error)
{
    uint64_t run_end = 0;
    enum addcow_status code = addcow_bitmap_run(disk, offset >> disk->cluster_bits,
                                                ((limit - 1) >> disk->cluster_bits) + 1, allocated, &run_end, error);
    uint64_t run_end_byte = run_end << disk->cluster_bits;
    *end = run_end_byte < limit ? run_end_byte : limit;
    return code;
}

/* ---- Reading ---- */

enum addcow_status addcow_disk_read(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                    struct addcow_error *error)
{
    uint64_t limit = offset + length;
    while (offset < limit) {
        bool allocated;
        uint64_t end;
        enum addcow_status code = find_run(disk, offset, limit, &allocated, &end, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        code = allocated ? addcow_io_read(&disk->image, buffer, end - offset, offset, error)
                         : addcow_disk_read_backing(disk, offset, end - offset, buffer, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        buffer += end - offset;
        offset = end;
    }
    return ADDCOW_OK;
}

/* ---- Writing ---- */

enum addcow_status addcow_disk_write(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                     struct addcow_error *error)
{
    uint64_t limit = offset + length;
    while (offset < limit) {
        bool allocated;
        uint64_t end;
        enum addcow_status code = find_run(disk, offset, limit, &allocated, &end, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        code = allocated ? addcow_disk_put(disk, offset, end - offset, data, error)
                         : addcow_allocate(disk, offset, end, data, &end, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        data = data ? data + (end - offset) : NULL;
        offset = end;
    }
    return ADDCOW_OK;
}

/* ---- Map ---- */

enum addcow_status addcow_disk_map(struct addcow *disk, uint64_t offset, uint64_t length, bool *allocated,
                                   uint64_t *run, struct addcow_error *error)
{
    uint64_t end = offset;
    *allocated = false;
    enum addcow_status code = ADDCOW_OK;
    if (length > 0) {
        code = find_run(disk, offset, offset + length, allocated, &end, error);
    }
    *run = end - offset;
    return code;
}

/*
 * length > 0, within the disk. Goes down at most ADDCOW_CHAIN_MAX levels. *file is the one that holds the run, if one
 * does.
 */
static enum addcow_status map_level(struct addcow *disk, unsigned depth, uint64_t offset, uint64_t length,
                                    struct addcow_extent *extent, const struct addcow_io **file,
                                    struct addcow_error *error)
{
    bool allocated;
    uint64_t end;
    enum addcow_status code = find_run(disk, offset, offset + length, &allocated, &end, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    *extent = (struct addcow_extent){.length = end - offset, .depth = depth};
    if (!allocated && disk->backing_left_out) {
        return addcow_disk_check_backing(disk, error);
    }
    if (allocated) {
        extent->present = true;
        extent->file_offset = offset;
        extent->path = disk->image.path;
        *file = &disk->image;
    } else if (offset < disk->backing_length) {
        uint64_t available = disk->backing_length - offset;
        if (extent->length > available) {
            extent->length = available;
        }
        if (disk->lower) {
            return map_level(disk->lower, depth + 1, offset, extent->length, extent, file, error);
        }
        extent->depth = depth + 1;
        extent->present = true;
        extent->file_offset = offset;
        extent->path = disk->raw_backing.path;
        *file = &disk->raw_backing;
    }
    return ADDCOW_OK;
}

enum addcow_status addcow_disk_find_bytes(struct addcow *disk, uint64_t offset, uint64_t length,
                                          struct addcow_extent *extent, const struct addcow_io **file,
                                          struct addcow_error *error)
{
    return map_level(disk, 0, offset, length, extent, file, error);
}

/* Cuts the extent where its file changes between data and hole. */
static bool cut_to_data(const struct addcow_io *file, struct addcow_extent *extent)
{
    uint64_t start = extent->file_offset;
    uint64_t end = addcow_io_hole_end(file, start);
    bool data = end == start;
    if (data) {
        end = addcow_io_data_end(file, start);
    }
    if (extent->length > end - start) {
        extent->length = end - start;
    }
    return data;
}

enum addcow_status addcow_disk_map_chain(struct addcow *disk, uint64_t offset, uint64_t length,
                                         struct addcow_extent *extent, bool *data, struct addcow_error *error)
{
    *extent = (struct addcow_extent){0};
    const struct addcow_io *file = NULL;
    enum addcow_status code =
        length > 0 ? addcow_disk_find_bytes(disk, offset, length, extent, &file, error) : ADDCOW_OK;
    if (code == ADDCOW_OK && data) {
        *data = file && cut_to_data(file, extent);
    }
    return code;
}
