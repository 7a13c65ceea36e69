/*
 * Requests: read, write, zero, discard, map.
 *
 * Each walks over the runs of clusters with one status. Allocated runs go straight to the image, without any lock;
 * unallocated ones are read from the backing file, or allocated by a write (allocate.c). Zero and discard are the same:
 * writes without data, which punch where whole runs or whole clusters become zero.
 */
#include "addcow_disk.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum addcow_status addcow_disk_check_writable(const struct addcow *disk, struct addcow_error *error)
{
    if (!disk->read_only) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_READONLY, 0, "REQ-03", "%s: the disk was opened read-only", disk->file.path);
}

static enum addcow_status check_range(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    uint64_t size = sync_load_acquire(&disk->size);
    if (offset <= size && length <= size - offset) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_RANGE, 0, "REQ-01",
                       "%s: at %" PRIu64 ": %" PRIu64 " bytes exceed the virtual size of %" PRIu64, disk->file.path,
                       offset, length, size);
}

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

enum addcow_status addcow_disk_read_backing(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer,
                                            struct addcow_error *error)
{
    uint64_t available = offset < disk->backing_length ? disk->backing_length - offset : 0;
    uint64_t part = length < available ? length : available;
    enum addcow_status code = ADDCOW_OK;
    if (part > 0) {
        code = disk->lower ? addcow_disk_read(disk->lower, offset, part, buffer, error)
                           : addcow_io_read(&disk->raw_backing, buffer, part, offset, error);
    }
    if (part < length) {
        memset(buffer + part, 0, (size_t)(length - part));
    }
    return code;
}

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

enum addcow_status addcow_read(struct addcow *disk, uint64_t offset, uint64_t length, void *buffer,
                               struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    if (code == ADDCOW_OK) {
        code = addcow_disk_read(disk, offset, length, buffer, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

/* ---- Writing ---- */

/*
 * Writes to [offset, limit), which was seen unallocated, or to a part of it from `offset` on. *end is how far it got:
 * nowhere if another request has allocated the first cluster meanwhile.
 */
static enum addcow_status allocate(struct addcow *disk, uint64_t offset, uint64_t limit, const uint8_t *data,
                                   uint64_t *end, struct addcow_error *error)
{
    struct addcow_inflight range;
    *end = offset;
    if (!addcow_inflight_begin(disk, &range, offset >> disk->cluster_bits, (limit - 1) >> disk->cluster_bits)) {
        return ADDCOW_OK;
    }
    uint64_t range_end = (range.last + 1) << disk->cluster_bits;
    *end = limit < range_end ? limit : range_end;
    enum addcow_status code = addcow_fill(disk, offset, *end - offset, data, error);
    addcow_inflight_end(disk, &range, code == ADDCOW_OK);
    return code;
}

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
                         : allocate(disk, offset, end, data, &end, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        data = data ? data + (end - offset) : NULL;
        offset = end;
    }
    return ADDCOW_OK;
}

static enum addcow_status write_request(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                        struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = addcow_disk_check_writable(disk, error);
    if (code == ADDCOW_OK) {
        code = check_range(disk, offset, length, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_write(disk, offset, length, data, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

enum addcow_status addcow_write(struct addcow *disk, uint64_t offset, uint64_t length, const void *buffer,
                                struct addcow_error *error)
{
    assert(buffer || length == 0);
    return write_request(disk, offset, length, buffer, error);
}

enum addcow_status addcow_zero(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    return write_request(disk, offset, length, NULL, error);
}

enum addcow_status addcow_discard(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    return write_request(disk, offset, length, NULL, error);
}

/* ---- Map ---- */

enum addcow_status addcow_map(struct addcow *disk, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
                              struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    bool status = false;
    uint64_t end = offset;
    if (code == ADDCOW_OK && length > 0) {
        code = find_run(disk, offset, offset + length, &status, &end, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    if (code != ADDCOW_OK) {
        return code;
    }
    *allocated = status;
    *run = end - offset;
    return ADDCOW_OK;
}

/* length > 0, within the disk. Goes down at most ADDCOW_CHAIN_MAX levels. */
static enum addcow_status map_level(struct addcow *disk, unsigned depth, uint64_t offset, uint64_t length,
                                    struct addcow_extent *extent, struct addcow_error *error)
{
    bool allocated;
    uint64_t end;
    enum addcow_status code = find_run(disk, offset, offset + length, &allocated, &end, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    *extent = (struct addcow_extent){.length = end - offset, .depth = depth};
    if (allocated) {
        extent->present = true;
        extent->file_offset = offset;
        extent->path = disk->image.path;
    } else if (offset < disk->backing_length) {
        uint64_t available = disk->backing_length - offset;
        if (extent->length > available) {
            extent->length = available;
        }
        if (disk->lower) {
            return map_level(disk->lower, depth + 1, offset, extent->length, extent, error);
        }
        extent->depth = depth + 1;
        extent->present = true;
        extent->file_offset = offset;
        extent->path = disk->raw_backing.path;
    }
    return ADDCOW_OK;
}

enum addcow_status addcow_map_chain(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_extent *extent,
                                    struct addcow_error *error)
{
    struct addcow_extent found = {0};
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    if (code == ADDCOW_OK && length > 0) {
        code = map_level(disk, 0, offset, length, &found, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    if (code == ADDCOW_OK) {
        *extent = found;
    }
    return code;
}
