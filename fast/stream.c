/*
 * Stream: allocates every cluster while other requests run, then sets "all allocated".
 *
 * It goes over the disk in short steps, each of them a request. A step enters a few unallocated clusters as an
 * in-flight range, as a write does, shares or copies what the backing file has, and publishes them. So it waits for
 * guest writes to the same clusters and never overwrites them (CON-11); resize and commit can run between two steps;
 * and stopping it at any point loses nothing (STR-03). Clusters that hold only zeros are punched, so a sparse backing
 * file gives a sparse image.
 *
 * From time to time what was copied is made durable, so that a process that dies has not worked in vain.
 *
 * The disk may have grown or been committed meanwhile. So at the end stream checks all bits again and, in the same
 * request, makes them durable and sets the flag (DUR-08).
 */
#include "addcow_disk.h"

#include <stdlib.h>
#include <string.h>

static uint64_t step_bytes(const struct addcow *disk)
{
    uint64_t cluster_size = addcow_disk_cluster_size(disk);
    return cluster_size > STREAM_STEP_BYTES ? cluster_size : STREAM_STEP_BYTES;
}

/* Copies [start, end) from the backing file into the image. */
static enum addcow_status copy_bytes(struct addcow *disk, uint64_t start, uint64_t end, uint8_t *buffer,
                                     struct addcow_error *error)
{
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t part; start < end && code == ADDCOW_OK; start += part) {
        part = end - start < step_bytes(disk) ? end - start : step_bytes(disk);
        code = addcow_disk_read_backing(disk, start, part, buffer, error);
        if (code == ADDCOW_OK) {
            code = addcow_io_write_sparse(&disk->image, buffer, part, start, error);
        }
    }
    return code;
}

/*
 * Fills an in-flight range from the backing file. Without a buffer it is known to be zeros. Adds to *copied what a
 * crash would undo.
 */
static enum addcow_status copy_up(struct addcow *disk, const struct addcow_inflight *range, uint8_t *buffer,
                                  uint64_t *copied, struct addcow_error *error)
{
    uint64_t size = sync_load_acquire(&disk->size);
    uint64_t start = range->first << disk->cluster_bits;
    uint64_t end = (range->last + 1) << disk->cluster_bits;
    if (end > size) {
        end = size;
    }
    if (!buffer) {
        return addcow_disk_put(disk, start, end - start, NULL, error);
    }
    uint64_t shared;
    enum addcow_status code = addcow_disk_share_backing(disk, start, end, &shared, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    *copied += (shared - start) / SHARED_PER_COPIED + (end - shared);
    code = copy_bytes(disk, shared, end, buffer, error);
    addcow_io_begin_sync(&disk->image, shared, end);
    return code;
}

/*
 * Advances *position, which is below the cluster count, by some clusters; by none if another request was faster. Adds
 * to *copied what a crash would undo.
 */
static enum addcow_status step(struct addcow *disk, uint64_t *position, uint8_t *buffer, uint64_t *copied,
                               struct addcow_error *error)
{
    uint64_t limit = disk->bitmap.cluster_count;
    if (limit - *position > STEP_CLUSTERS_MAX) {
        limit = *position + STEP_CLUSTERS_MAX;
    }
    bool allocated;
    uint64_t end;
    enum addcow_status code = addcow_bitmap_run(disk, *position, limit, &allocated, &end, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    if (allocated) {
        *position = end;
        return ADDCOW_OK;
    }
    bool shares = addcow_disk_sharing(disk) == ADDCOW_SHARING_WORKS;
    uint64_t most = (shares ? STREAM_SHARE_BYTES : step_bytes(disk)) >> disk->cluster_bits;
    uint64_t zeros = addcow_backing_zeros_end(disk, *position << disk->cluster_bits) >> disk->cluster_bits;
    if (zeros > *position) {
        buffer = NULL;
        most = zeros - *position;
    }
    if (end - *position > most) {
        end = *position + most;
    }
    struct addcow_inflight range;
    if (!addcow_inflight_begin(disk, &range, *position, end - 1)) {
        return ADDCOW_OK;
    }
    code = copy_up(disk, &range, buffer, copied, error);
    addcow_inflight_end(disk, &range, code == ADDCOW_OK);
    if (code == ADDCOW_OK) {
        *position = range.last + 1;
    }
    return code;
}

/* Goes once over the disk. */
static enum addcow_status pass(struct addcow *disk, uint8_t *buffer, addcow_progress *progress, void *context,
                               struct addcow_error *error)
{
    uint64_t position = 0;
    struct addcow_checkpoints checkpoints = {.distance = CHECKPOINT_BYTES};
    for (bool more = true; more;) {
        unsigned stripe = addcow_request_begin(&disk->quiesce);
        enum addcow_status code = ADDCOW_OK;
        if (position < disk->bitmap.cluster_count) {
            code = step(disk, &position, buffer, &checkpoints.copied, error);
        }
        if (code == ADDCOW_OK) {
            code = addcow_disk_checkpoint(disk, &checkpoints, error);
        }
        more = position < disk->bitmap.cluster_count;
        uint64_t total = sync_load_acquire(&disk->size);
        addcow_request_end(&disk->quiesce, stripe);
        uint64_t done = more ? position << disk->cluster_bits : total;
        if (code == ADDCOW_OK) {
            code = addcow_disk_report_progress(disk, progress, context, done, total, error);
        }
        if (code != ADDCOW_OK) {
            return code;
        }
    }
    return ADDCOW_OK;
}

/* With "all allocated" every bit should be set (VRT-05), but another implementation may have missed some, and lookups
 * do not show it. */
static enum addcow_status set_forgotten_bits(struct addcow *disk, uint64_t count, struct addcow_error *error)
{
    enum addcow_status code = addcow_bitmap_load(disk, 0, count, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    sync_lock(&disk->allocation.lock);
    addcow_bitmap_set(disk, 0, count);
    sync_unlock(&disk->allocation.lock);
    return ADDCOW_OK;
}

/* Sets "all allocated" if every cluster is; *complete says so. */
static enum addcow_status finish(struct addcow *disk, bool *complete, struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    uint64_t count = disk->bitmap.cluster_count;
    bool allocated = true;
    uint64_t end = count;
    enum addcow_status code = ADDCOW_OK;
    if (count > 0) {
        code = addcow_bitmap_run(disk, 0, count, &allocated, &end, error);
    }
    *complete = allocated && end == count;
    if (code == ADDCOW_OK && addcow_disk_all_allocated(disk)) {
        code = set_forgotten_bits(disk, count, error);
    }
    if (code == ADDCOW_OK && *complete) {
        code = addcow_disk_flush(disk, error);
    }
    if (code == ADDCOW_OK && *complete && disk->metadata.header.layout == ADDCOW_R20) {
        code = addcow_disk_set_all_allocated(disk, true, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

enum addcow_status addcow_disk_stream(struct addcow *disk, addcow_progress *progress, void *context,
                                      struct addcow_error *error)
{
    uint8_t *buffer = malloc((size_t)step_bytes(disk));
    if (!buffer) {
        return addcow_fail_memory(error, disk->image.path);
    }
    enum addcow_status code = ADDCOW_OK;
    for (bool complete = false; code == ADDCOW_OK && !complete;) {
        code = pass(disk, buffer, progress, context, error);
        if (code == ADDCOW_OK) {
            code = finish(disk, &complete, error);
        }
    }
    free(buffer);
    return code;
}
