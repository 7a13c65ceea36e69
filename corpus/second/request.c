/*
 * Requests of a range (section 6), which run beside each other (section 10).
 */
#include "second.h"

#include <stdlib.h>
#include <string.h>

bool request_check(struct disk *disk, uint64_t offset, uint64_t length, bool writes, struct problem *problem)
{
    if (writes && !disk->writable) {
        return fail(problem, "readonly", "REQ-03", "the disk is open for reading only");
    }
    if (offset > disk->size || length > disk->size - offset) {
        return fail(problem, "range", "REQ-01", "the disk has %llu bytes", (unsigned long long)disk->size);
    }
    return true;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The end of the run of clusters with one status at `offset`, not after `end`. */
static uint64_t run_end(struct disk *disk, uint64_t offset, uint64_t end, bool status)
{
    uint64_t cluster = disk->header.cluster, last = end / cluster + (end % cluster != 0);
    uint64_t next = bitmap_next(disk, offset / cluster + 1, last, !status);
    return next == last ? end : smaller(next * cluster, end);
}

/* ---- Reading ---- */

static bool read_range(struct disk *disk, uint64_t offset, uint64_t end, uint8_t *bytes, struct problem *problem)
{
    while (offset < end) {
        /* A cluster counts as it is when its bit is looked at; the data comes later (CON-04). */
        bool allocated = bitmap_has(disk, offset / disk->header.cluster);
        uint64_t stop = run_end(disk, offset, end, allocated);
        bool good = allocated ? file_read(disk->image, offset, stop - offset, bytes, problem)
                              : below_read(disk, offset, stop - offset, bytes, problem);
        if (!good) {
            return false;
        }
        bytes += stop - offset;
        offset = stop;
    }
    return true;
}

bool disk_read(struct disk *disk, uint64_t offset, uint64_t length, uint8_t *bytes, struct problem *problem)
{
    pthread_rwlock_rdlock(&disk->gate);
    bool good = request_check(disk, offset, length, false, problem) &&
                read_range(disk, offset, offset + length, bytes, problem);
    pthread_rwlock_unlock(&disk->gate);
    return good;
}

/* ---- Writing ---- */

struct piece {
    uint64_t begin;
    uint64_t end;
    const uint8_t *bytes; /* null: zeros */
    bool frees;           /* zeros may be holes */
};

static bool is_claimed(const struct disk *disk, uint64_t cluster)
{
    for (const struct claim *claim = disk->claims; claim != NULL; claim = claim->next) {
        if (claim->cluster == cluster) {
            return true;
        }
    }
    return false;
}

static void claim_cluster(struct disk *disk, struct claim *claim, uint64_t cluster)
{
    pthread_mutex_lock(&disk->claims_mutex);
    while (is_claimed(disk, cluster)) {
        pthread_cond_wait(&disk->claims_change, &disk->claims_mutex);
    }
    *claim = (struct claim){.cluster = cluster, .next = disk->claims};
    disk->claims = claim;
    pthread_mutex_unlock(&disk->claims_mutex);
}

static void release_cluster(struct disk *disk, struct claim *claim)
{
    pthread_mutex_lock(&disk->claims_mutex);
    struct claim **link = &disk->claims;
    while (*link != claim) {
        link = &(*link)->next;
    }
    *link = claim->next;
    pthread_cond_broadcast(&disk->claims_change);
    pthread_mutex_unlock(&disk->claims_mutex);
}

/* Writes to clusters that are allocated. */
static bool overwrite(struct disk *disk, struct piece piece, struct problem *problem)
{
    uint64_t length = piece.end - piece.begin;
    if (piece.bytes != NULL) {
        return file_write(disk->image, piece.begin, length, piece.bytes, problem);
    }
    return piece.frees ? file_punch(disk->image, piece.begin, length, problem)
                       : file_zero(disk->image, piece.begin, length, problem);
}

/* Writes the whole cluster, with what lies below around the piece (WR-03), and then sets its bit. */
static bool allocate(struct disk *disk, uint64_t cluster, struct piece piece, struct problem *problem)
{
    uint64_t begin = cluster * disk->header.cluster, end = disk_cluster_end(disk, cluster);
    bool whole = piece.begin == begin && piece.end == end;
    bool good;
    if (whole) {
        good = overwrite(disk, piece, problem);
    } else {
        uint8_t *buffer = calloc(1, (size_t)(end - begin));
        if (buffer == NULL) {
            return fail(problem, "io", "-", "no memory");
        }
        good = below_read(disk, begin, piece.begin - begin, buffer, problem) &&
               below_read(disk, piece.end, end - piece.end, buffer + (piece.end - begin), problem);
        if (good && piece.bytes != NULL) {
            memcpy(buffer + (piece.begin - begin), piece.bytes, (size_t)(piece.end - piece.begin));
        }
        good = good && file_write(disk->image, begin, end - begin, buffer, problem);
        free(buffer);
    }
    if (good) {
        bitmap_set(disk, cluster);
    }
    return good;
}

/* Writes a piece within one cluster, and allocates that if nobody else has. */
static bool write_cluster(struct disk *disk, uint64_t cluster, struct piece piece, struct problem *problem)
{
    struct claim claim;
    claim_cluster(disk, &claim, cluster);
    bool good = bitmap_has(disk, cluster) ? overwrite(disk, piece, problem) : allocate(disk, cluster, piece, problem);
    release_cluster(disk, &claim);
    return good;
}

static bool write_range(struct disk *disk, struct piece piece, struct problem *problem)
{
    while (piece.begin < piece.end) {
        uint64_t cluster = piece.begin / disk->header.cluster;
        bool allocated = bitmap_has(disk, cluster);
        struct piece part = piece;
        part.end = allocated ? run_end(disk, piece.begin, piece.end, true)
                             : smaller(disk_cluster_end(disk, cluster), piece.end);
        /* CON-08: nothing is claimed for clusters that are allocated. */
        if (!(allocated ? overwrite(disk, part, problem) : write_cluster(disk, cluster, part, problem))) {
            return false;
        }
        piece.bytes += piece.bytes != NULL ? part.end - part.begin : 0;
        piece.begin = part.end;
    }
    return true;
}

static bool put(struct disk *disk, struct piece piece, struct problem *problem)
{
    pthread_rwlock_rdlock(&disk->gate);
    bool good =
        request_check(disk, piece.begin, piece.end - piece.begin, true, problem) && write_range(disk, piece, problem);
    pthread_rwlock_unlock(&disk->gate);
    return good;
}

bool disk_write(struct disk *disk, uint64_t offset, uint64_t length, const uint8_t *bytes, struct problem *problem)
{
    return put(disk, (struct piece){.begin = offset, .end = offset + length, .bytes = bytes}, problem);
}

bool disk_discard(struct disk *disk, uint64_t offset, uint64_t length, struct problem *problem)
{
    return put(disk, (struct piece){.begin = offset, .end = offset + length, .frees = true}, problem);
}

bool request_allocate(struct disk *disk, uint64_t cluster, struct problem *problem)
{
    uint64_t begin = cluster * disk->header.cluster;
    struct claim claim;
    claim_cluster(disk, &claim, cluster);
    bool good =
        bitmap_has(disk, cluster) || allocate(disk, cluster, (struct piece){.begin = begin, .end = begin}, problem);
    release_cluster(disk, &claim);
    return good;
}

/* ---- The others ---- */

bool disk_map(struct disk *disk, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
              struct problem *problem)
{
    pthread_rwlock_rdlock(&disk->gate);
    bool good = request_check(disk, offset, length, false, problem);
    *allocated = good && length > 0 && bitmap_has(disk, offset / disk->header.cluster); /* MAP-03 */
    *run = good && length > 0 ? run_end(disk, offset, offset + length, *allocated) - offset : 0;
    pthread_rwlock_unlock(&disk->gate);
    return good;
}

bool disk_flush(struct disk *disk, struct problem *problem)
{
    pthread_rwlock_rdlock(&disk->gate);
    bool good = !disk->writable || flush_disk(disk, problem);
    pthread_rwlock_unlock(&disk->gate);
    return good;
}
