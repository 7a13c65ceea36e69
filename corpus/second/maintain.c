/*
 * Resize, stream and commit (sections 8 and 9).
 */
#include "second.h"

#include <stdlib.h>
#include <string.h>

/* ---- Resize ---- */

/* RSZ-03, without changing the size. Clusters from `first` on are new. */
static bool prepare_growth(struct disk *disk, uint64_t size, struct problem *problem)
{
    uint64_t first = disk_clusters(disk, disk->size), end = disk_clusters(disk, size);
    if (disk_has_all(disk)) {
        bitmap_fill(disk, first, end, true);
        return true;
    }
    if (!below_need(disk, problem)) {
        return false;
    }
    uint64_t limit = size < disk->below.length ? size : disk->below.length;
    bitmap_fill(disk, first, end, false); /* also what another writer has left there (BMP-05) */
    if (disk->size >= limit) {
        return true;
    }
    bool partial = disk->size % disk->header.cluster != 0;
    if (partial && !request_allocate(disk, disk->size / disk->header.cluster, problem)) {
        return false;
    }
    bitmap_fill(disk, first, disk_clusters(disk, limit), true);
    return true;
}

/* RSZ-04: the bits become durable, and then the image gets longer. */
static bool grow(struct disk *disk, uint64_t size, struct problem *problem)
{
    struct identity identity;
    uint64_t length, needed = header_file_length(&disk->header, size);
    uint64_t first = disk_clusters(disk, disk->size), end = disk_clusters(disk, size);
    if (!file_identify(disk->metadata, &identity, &length, problem) ||
        (length < needed && !file_cut(disk->metadata, needed, problem)) || /* RSZ-08 */
        !bitmap_reserve(disk, header_bitmap_bytes(&disk->header, size), problem)) {
        return false;
    }
    if (!prepare_growth(disk, size, problem) || !flush_disk(disk, problem) || !file_cut(disk->image, size, problem)) {
        bitmap_fill(disk, first, end, false); /* BMP-05; the next flush writes them */
        return false;
    }
    disk->size = size;
    return true;
}

/* RSZ-05. When the image is cut, it is done. */
static bool shrink(struct disk *disk, uint64_t size, struct problem *problem)
{
    uint64_t end = disk_clusters(disk, disk->size);
    if (!file_cut(disk->image, size, problem)) {
        return false;
    }
    disk->size = size;
    if (!flush_image(disk, problem)) {
        return true; /* the next flush fails, too */
    }
    bitmap_fill(disk, disk_clusters(disk, size), end, false);
    if (!flush_bitmap(disk, &disk->owed)) {
        disk->owes = true;
    }
    return true;
}

bool disk_resize(struct disk *disk, uint64_t size, struct problem *problem)
{
    pthread_rwlock_wrlock(&disk->gate);
    bool good = request_check(disk, 0, 0, true, problem);
    if (good && size > SIZE_MAXIMUM) {
        good = fail(problem, "range", "RSZ-09", "no disk is that large");
    } else if (good && size > disk->size) {
        good = grow(disk, size, problem);
    } else if (good && size < disk->size) {
        good = shrink(disk, size, problem);
    }
    pthread_rwlock_unlock(&disk->gate);
    return good;
}

/* ---- Stream ---- */

static bool set_flag(struct disk *disk, uint64_t compatible, struct problem *problem)
{
    if (compatible != atomic_load(&disk->compatible)) {
        atomic_store(&disk->compatible, compatible);
        atomic_store(&disk->compatible_dirty, true);
    }
    return flush_disk(disk, problem);
}

/* Every bit is set. STR-02, DUR-08. */
static bool end_stream(struct disk *disk, struct problem *problem)
{
    if (!flush_disk(disk, problem)) {
        return false;
    }
    return disk->header.is_r9 || set_flag(disk, atomic_load(&disk->compatible) | ALL_ALLOCATED, problem);
}

/* One part: others may come in between (STR-01). *next is where to look, and UINT64_MAX at the end. */
static bool stream_part(struct disk *disk, uint64_t *next, struct problem *problem)
{
    if (!request_check(disk, 0, 0, true, problem)) {
        return false;
    }
    uint64_t end = disk_clusters(disk, disk->size);
    uint64_t cluster = bitmap_next(disk, *next < end ? *next : end, end, false);
    if (cluster == end) {
        cluster = bitmap_next(disk, 0, end, false); /* a resize or a commit may have cleared some */
    }
    if (cluster == end) {
        *next = UINT64_MAX;
        return end_stream(disk, problem);
    }
    *next = cluster + 1;
    return request_allocate(disk, cluster, problem);
}

bool disk_stream(struct disk *disk, struct problem *problem)
{
    bool good = true;
    for (uint64_t next = 0; good && next != UINT64_MAX;) {
        pthread_rwlock_rdlock(&disk->gate);
        good = stream_part(disk, &next, problem);
        pthread_rwlock_unlock(&disk->gate);
    }
    return good;
}

/* ---- Commit ---- */

static bool write_below(struct below *below, uint64_t offset, uint64_t length, const uint8_t *bytes,
                        struct problem *problem)
{
    return below->disk != NULL ? disk_write(below->disk, offset, length, bytes, problem)
                               : file_write(below->fd, offset, length, bytes, problem);
}

static bool sync_below(struct below *below, struct problem *problem)
{
    return below->disk != NULL ? disk_flush(below->disk, problem) : file_sync(below->fd, problem);
}

/* CMT-02: the backing file reaches as far as the allocated clusters. */
static bool is_long_enough(struct disk *disk, uint64_t length, struct problem *problem)
{
    uint64_t end = disk_clusters(disk, disk->size), first = length / disk->header.cluster;
    uint64_t needed = 0;
    for (uint64_t k = bitmap_next(disk, first < end ? first : end, end, true); k < end;
         k = bitmap_next(disk, k + 1, end, true)) {
        needed = disk_cluster_end(disk, k);
    }
    return needed <= length || fail(problem, "range", "CMT-02", "the backing file is too short");
}

static bool copy_down(struct disk *disk, struct below *below, struct problem *problem)
{
    uint64_t end = disk_clusters(disk, disk->size);
    uint8_t *buffer = malloc((size_t)disk->header.cluster);
    bool good = buffer != NULL || fail(problem, "io", "-", "no memory");
    for (uint64_t k = bitmap_next(disk, 0, end, true); good && k < end; k = bitmap_next(disk, k + 1, end, true)) {
        uint64_t at = k * disk->header.cluster, length = disk_cluster_end(disk, k) - at;
        good = file_read(disk->image, at, length, buffer, problem) && write_below(below, at, length, buffer, problem);
    }
    free(buffer);
    return good && sync_below(below, problem); /* CMT-03 */
}

/* Frees the clusters of the image that a copy of the bitmap names (CMT-04). That may fail. */
static void free_clusters(struct disk *disk, const uint8_t *bits)
{
    struct problem ignored;
    for (uint64_t k = 0; k < disk_clusters(disk, disk->size); k++) {
        uint64_t at = k * disk->header.cluster;
        if ((bits[k / 8] >> (k % 8) & 1) != 0 &&
            !file_punch(disk->image, at, disk_cluster_end(disk, k) - at, &ignored)) {
            return;
        }
    }
}

/* Clears all bits and "all allocated". The backing file has everything. */
static bool clear_all(struct disk *disk, struct problem *problem)
{
    uint64_t end = disk_clusters(disk, disk->size), bytes = header_bitmap_bytes(&disk->header, disk->size);
    if (disk_has_all(disk)) {
        bitmap_fill(disk, 0, end, true); /* VRT-05: whoever ignores the flag reads the same */
        if (!flush_disk(disk, problem)) {
            return false;
        }
    }
    uint8_t *old = malloc((size_t)bytes + 1);
    if (old == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    memcpy(old, (const void *)disk->bits, (size_t)bytes);
    bool good = set_flag(disk, atomic_load(&disk->compatible) & ~(uint64_t)ALL_ALLOCATED, problem);
    if (good) {
        bitmap_fill(disk, 0, end, false);
        good = flush_disk(disk, problem);
    }
    if (good) {
        free_clusters(disk, old);
    }
    free(old);
    return good;
}

static bool commit_into(struct disk *disk, struct below *below, struct problem *problem)
{
    struct problem ignored;
    bool good = is_long_enough(disk, below->length, problem) && flush_disk(disk, problem) && /* CMT-03 */
                copy_down(disk, below, problem);
    return below_close(below, good ? problem : &ignored) && good && clear_all(disk, problem);
}

static bool commit(struct disk *disk, struct problem *problem)
{
    struct below below;
    struct problem ignored;
    if (!request_check(disk, 0, 0, true, problem)) {
        return false;
    }
    if (disk->header.backing == NULL) {
        return fail(problem, "unsupported", "CMT-02", "there is no backing file");
    }
    /* LCK-03: the shared lock would be in the way of the exclusive one. All is read again. */
    below_close(&disk->below, &ignored);
    bool good = below_open(disk, true, &below, problem);
    if (good) {
        good = commit_into(disk, &below, problem);
    } else if (strcmp(problem->kind, "readonly") == 0) {
        problem->clause = "CMT-02";
    }
    if (!disk_has_all(disk) && !below_need(disk, &ignored)) {
        return good; /* the next request that needs it tries again */
    }
    return good;
}

bool disk_commit(struct disk *disk, struct problem *problem)
{
    pthread_rwlock_wrlock(&disk->gate);
    bool good = commit(disk, problem);
    pthread_rwlock_unlock(&disk->gate);
    return good;
}
