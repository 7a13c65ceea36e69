/*
 * Requests of clients: read, write, flush, trim, zero, extents.
 *
 * nbdkit has checked the range, and asks for a flush after a request with FUA, which syncs together with the flushes of
 * other connections.
 *
 * A cluster that is not allocated, and that a zero or a trim covers only in part, has to be copied from the backing
 * file. So a trim leaves such a part alone, as it may: it never takes storage. And a fast zero is refused there, as it
 * would cost what a write costs; so it is if the file system cannot make holes, or the client wants none.
 */
#include "plugin.h"

#include <errno.h>

/* A client that gets extents of less than it asked for asks again: one reply takes no longer than this. */
#define EXTENTS_MAX 32768u

/* How far one look at the bitmap goes. In a fragmented file, each extent costs one. */
#define LOOK_BYTES ((uint64_t)64 << 20)

int request_read(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct served *served = handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    (void)flags;
    return addcow_read(served->disk, offset, count, buffer, &error) == ADDCOW_OK ? 0 : report(&error);
}

int request_write(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct served *served = handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    (void)flags;
    return addcow_write(served->disk, offset, count, buffer, &error) == ADDCOW_OK ? 0 : report(&error);
}

int request_flush(void *handle, uint32_t flags)
{
    struct served *served = handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    (void)flags;
    return addcow_flush(served->disk, &error) == ADDCOW_OK ? 0 : report(&error);
}

/* Cuts off what lies in a cluster at either end that is not allocated and only covered in part. */
static enum addcow_status leave_out_copies(struct served *served, uint64_t *start, uint64_t *end,
                                           struct addcow_error *error)
{
    uint64_t cluster = served->cluster_size;
    uint64_t run;
    bool allocated = true;
    enum addcow_status code = ADDCOW_OK;
    if (*start % cluster != 0) {
        code = addcow_map(served->disk, *start, 1, &allocated, &run, error);
        uint64_t next = *start - *start % cluster + cluster;
        *start = allocated ? *start : next < *end ? next : *end;
    }
    if (code == ADDCOW_OK && *end % cluster != 0 && *start < *end && *end < addcow_size(served->disk)) {
        code = addcow_map(served->disk, *end - 1, 1, &allocated, &run, error);
        uint64_t last = *end - *end % cluster;
        *end = allocated ? *end : last > *start ? last : *start;
    }
    return code;
}

int request_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct served *served = handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint64_t start = offset;
    uint64_t end = offset + count;
    (void)flags;
    enum addcow_status code = leave_out_copies(served, &start, &end, &error);
    if (code == ADDCOW_OK && start < end) {
        code = addcow_discard(served->disk, start, end - start, &error);
    }
    return code == ADDCOW_OK ? 0 : report(&error);
}

/* Whether zeros cost less than a write of them. -1: reported. */
static int is_fast(struct served *served, uint32_t count, uint64_t offset)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint64_t start = offset;
    uint64_t end = offset + count;
    if (!served->punches) {
        return 0;
    }
    if (leave_out_copies(served, &start, &end, &error) != ADDCOW_OK) {
        return report(&error);
    }
    return start == offset && end == offset + count;
}

int request_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct served *served = handle;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (!(flags & NBDKIT_FLAG_MAY_TRIM)) {
        /* The client wants storage there. nbdkit writes zeros then, or tells him that it would not be fast. */
        nbdkit_set_error(EOPNOTSUPP);
        return -1;
    }
    int fast = (flags & NBDKIT_FLAG_FAST_ZERO) ? is_fast(served, count, offset) : 1;
    if (fast == 0) {
        nbdkit_set_error(EOPNOTSUPP);
    }
    if (fast != 1) {
        return -1;
    }
    return addcow_zero(served->disk, offset, count, &error) == ADDCOW_OK ? 0 : report(&error);
}

int request_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    struct served *served = handle;
    uint64_t end = offset + count;
    bool first_data = false;
    for (unsigned found = 0; offset < end && found < EXTENTS_MAX; found++) {
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        bool data;
        uint64_t part = end - offset < LOOK_BYTES ? end - offset : LOOK_BYTES;
        if (addcow_map_data(served->disk, offset, part, &extent, &data, &error) != ADDCOW_OK) {
            return report(&error);
        }
        first_data = found == 0 ? data : first_data;
        if ((flags & NBDKIT_FLAG_REQ_ONE) && data != first_data) {
            break;
        }
        if (nbdkit_add_extent(extents, offset, extent.length, data ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO)) {
            return -1;
        }
        offset += extent.length;
    }
    return 0;
}
