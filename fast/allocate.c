/*
 * Allocating clusters: which request may, and what goes into them.
 *
 * A request that finds clusters unallocated enters them as an in-flight range into a list under the allocation lock.
 * In-flight ranges never overlap. A request waits only while its first cluster is in flight for another request; its
 * range then ends before the next in-flight range. So it has one range at a time and never waits while it has one:
 * deadlock is impossible (CON-12). Once the range is entered, the request checks the bits again, because another
 * request may have allocated clusters in between (CON-06). All I/O happens outside the lock, so different clusters are
 * allocated in parallel (CON-08).
 *
 * The whole content of the clusters is in the image before their bits are set (CON-04). A cluster that the data covers
 * only in part is assembled in a buffer, from the data and from what the backing file has around it, and written at
 * once; of a large cluster, what is around the data is shared if possible. Guest data is never overwritten by such a
 * copy (CON-05): its cluster is allocated, and no request copies into an allocated cluster.
 */
#include "addcow_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void addcow_allocation_init(struct addcow *disk)
{
    sync_mutex_init(&disk->allocation.lock);
    sync_cond_init(&disk->allocation.range_ended);
    sync_mutex_init(&disk->buffers.lock);
}

void addcow_allocation_destroy(struct addcow *disk)
{
    assert(!disk->allocation.inflight);
    while (disk->buffers.unused) {
        void *buffer = disk->buffers.unused;
        memcpy(&disk->buffers.unused, buffer, sizeof(void *));
        free(buffer);
    }
    sync_mutex_destroy(&disk->buffers.lock);
    sync_cond_destroy(&disk->allocation.range_ended);
    sync_mutex_destroy(&disk->allocation.lock);
}

/* ---- In-flight ranges ---- */

static bool in_flight(const struct addcow_allocation *allocation, uint64_t cluster)
{
    for (const struct addcow_inflight *range = allocation->inflight; range; range = range->next) {
        if (range->first <= cluster && cluster <= range->last) {
            return true;
        }
    }
    return false;
}

/* The last cluster of [first, last] before the next range; `first` is in none. */
static uint64_t clip_to_free(const struct addcow_allocation *allocation, uint64_t first, uint64_t last)
{
    for (const struct addcow_inflight *range = allocation->inflight; range; range = range->next) {
        if (range->first > first && range->first <= last) {
            last = range->first - 1;
        }
    }
    return last;
}

static uint64_t clip_to_maximum(const struct addcow *disk, uint64_t first, uint64_t last)
{
    uint64_t most = INFLIGHT_CLUSTERS_MAX(disk->cluster_bits);
    return last - first < most ? last : first + most - 1;
}

bool addcow_inflight_begin(struct addcow *disk, struct addcow_inflight *range, uint64_t first, uint64_t last)
{
    struct addcow_allocation *allocation = &disk->allocation;
    sync_lock(&allocation->lock);
    while (in_flight(allocation, first)) {
        allocation->waiters++;
        sync_wait(&allocation->range_ended, &allocation->lock);
        allocation->waiters--;
    }
    last = clip_to_free(allocation, first, clip_to_maximum(disk, first, last));
    bool allocated;
    uint64_t run_end;
    /* Loads nothing and cannot fail: the clusters were looked at before. */
    enum addcow_status code = addcow_bitmap_run(disk, first, last + 1, &allocated, &run_end, NULL);
    assert(code == ADDCOW_OK);
    (void)code;
    if (!allocated) {
        *range = (struct addcow_inflight){.first = first, .last = run_end - 1, .next = allocation->inflight};
        allocation->inflight = range;
    }
    sync_unlock(&allocation->lock);
    return !allocated;
}

void addcow_inflight_end(struct addcow *disk, struct addcow_inflight *range, bool filled)
{
    struct addcow_allocation *allocation = &disk->allocation;
    sync_lock(&allocation->lock);
    if (filled) {
        addcow_bitmap_set(disk, range->first, range->last + 1);
    }
    struct addcow_inflight **link = &allocation->inflight;
    while (*link != range) {
        link = &(*link)->next;
    }
    *link = range->next;
    if (allocation->waiters > 0) {
        sync_broadcast(&allocation->range_ended);
    }
    sync_unlock(&allocation->lock);
}

/* ---- Buffers ---- */

uint8_t *addcow_buffer_get(struct addcow *disk)
{
    struct addcow_buffers *buffers = &disk->buffers;
    sync_lock(&buffers->lock);
    void *buffer = buffers->unused;
    if (buffer) {
        memcpy(&buffers->unused, buffer, sizeof(void *));
        buffers->count--;
    }
    sync_unlock(&buffers->lock);
    return buffer ? buffer : malloc((size_t)addcow_disk_cluster_size(disk));
}

void addcow_buffer_put(struct addcow *disk, uint8_t *buffer)
{
    struct addcow_buffers *buffers = &disk->buffers;
    sync_lock(&buffers->lock);
    bool keep = buffers->count < UNUSED_BUFFERS_MAX;
    if (keep) {
        memcpy(buffer, &buffers->unused, sizeof(void *));
        buffers->unused = buffer;
        buffers->count++;
    }
    sync_unlock(&buffers->lock);
    if (!keep) {
        free(buffer);
    }
}

/* ---- Filling ---- */

/*
 * Reads what virt has around [from, to) in the cluster [start, end) into the buffer that stands for the cluster. Where
 * the part between is small, reading it along costs less than a second read.
 */
static enum addcow_status read_around(struct addcow *disk, uint64_t start, uint64_t end, uint64_t from, uint64_t to,
                                      uint8_t *buffer, struct addcow_error *error)
{
    bool both = from > start && to < end;
    if (both && to - from <= (end - start) / 2) {
        return addcow_disk_read_backing(disk, start, end - start, buffer, error);
    }
    enum addcow_status code = addcow_disk_read_backing(disk, start, from - start, buffer, error);
    return code == ADDCOW_OK ? addcow_disk_read_backing(disk, to, end - to, buffer + (to - start), error) : code;
}

/* Whether all of a cluster is to be had by sharing, as far as its place says that. */
static bool is_worth_sharing(const struct addcow *disk, uint64_t start, uint64_t end)
{
    return end - start >= SHARE_LEAST && end <= disk->backing_length && end % ADDCOW_SHARE_BLOCK == 0;
}

/* fill within the one cluster [start, end). */
static enum addcow_status fill_partly(struct addcow *disk, uint64_t start, uint64_t end, uint64_t offset,
                                      uint64_t length, const uint8_t *data, struct addcow_error *error)
{
    assert(start <= offset && length <= end - offset);
    if (is_worth_sharing(disk, start, end)) {
        uint64_t shared;
        enum addcow_status code = addcow_disk_share_backing(disk, start, end, &shared, error);
        if (code != ADDCOW_OK || shared == end) {
            return code == ADDCOW_OK ? addcow_disk_put(disk, offset, length, data, error) : code;
        }
    }
    uint8_t *buffer = addcow_buffer_get(disk);
    if (!buffer) {
        return addcow_fail_memory(error, disk->image.path);
    }
    enum addcow_status code = read_around(disk, start, end, offset, offset + length, buffer, error);
    if (code == ADDCOW_OK) {
        if (data) {
            memcpy(buffer + (offset - start), data, (size_t)length);
        } else {
            memset(buffer + (offset - start), 0, (size_t)length);
        }
        code = addcow_io_write(&disk->image, buffer, end - start, start, error);
    }
    addcow_buffer_put(disk, buffer);
    return code;
}

/*
 * Puts data (zeros if it is null) at [offset, offset + length) into the image, and what the disk reads as around it in
 * the same clusters, which are unallocated and in flight.
 */
static enum addcow_status fill(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                               struct addcow_error *error)
{
    uint64_t cluster_size = addcow_disk_cluster_size(disk);
    uint64_t size = sync_load_acquire(&disk->size);
    uint64_t limit = offset + length;
    assert(limit <= size);
    enum addcow_status code = ADDCOW_OK;
    while (offset < limit && code == ADDCOW_OK) {
        uint64_t start = offset - offset % cluster_size;
        uint64_t end = size - start < cluster_size ? size : start + cluster_size;
        uint64_t part;
        if (offset > start || limit < end) {
            part = (limit < end ? limit : end) - offset;
            code = fill_partly(disk, start, end, offset, part, data, error);
        } else {
            part = limit == size ? limit - offset : limit - limit % cluster_size - offset;
            code = addcow_disk_put(disk, offset, part, data, error);
        }
        offset += part;
        data = data ? data + part : NULL;
    }
    return code;
}

/* ---- Both together ---- */

enum addcow_status addcow_allocate(struct addcow *disk, uint64_t offset, uint64_t limit, const uint8_t *data,
                                   uint64_t *end, struct addcow_error *error)
{
    struct addcow_inflight range;
    *end = offset;
    if (!addcow_inflight_begin(disk, &range, offset >> disk->cluster_bits, (limit - 1) >> disk->cluster_bits)) {
        return ADDCOW_OK;
    }
    uint64_t range_end = (range.last + 1) << disk->cluster_bits;
    *end = limit < range_end ? limit : range_end;
    enum addcow_status code = fill(disk, offset, *end - offset, data, error);
    addcow_inflight_end(disk, &range, code == ADDCOW_OK);
    return code;
}
