/*
 * Flushing (section 11).
 *
 * A flush takes copies of what has to be written before it syncs the image. So every bit that it writes belongs to data
 * that the sync makes durable (DUR-03), also when other bits are set meanwhile.
 */
#include "second.h"

#include <stdlib.h>
#include <string.h>

struct pending {
    uint64_t count;
    uint64_t *sectors;
    uint8_t (*bytes)[BITMAP_SECTOR];
    bool has_flag;
    uint64_t compatible;
};

static uint64_t sector_count(const struct disk *disk)
{
    return (disk->bitmap_bytes + BITMAP_SECTOR - 1) / BITMAP_SECTOR;
}

static uint64_t sector_bytes(const struct disk *disk, uint64_t sector)
{
    uint64_t rest = disk->bitmap_bytes - sector * BITMAP_SECTOR;
    return rest < BITMAP_SECTOR ? rest : BITMAP_SECTOR;
}

static void free_pending(struct pending *pending)
{
    free(pending->sectors);
    free(pending->bytes);
}

/* What fails has to be written again (DUR-06). */
static void put_back(struct disk *disk, const struct pending *pending)
{
    for (uint64_t i = 0; i < pending->count; i++) {
        atomic_store(&disk->dirty[pending->sectors[i]], 1);
    }
    if (pending->has_flag) {
        atomic_store(&disk->compatible_dirty, true);
    }
}

static bool take(struct disk *disk, struct pending *pending, struct problem *problem)
{
    uint64_t dirty = 0;
    for (uint64_t i = 0; i < sector_count(disk); i++) {
        dirty += atomic_load(&disk->dirty[i]);
    }
    *pending = (struct pending){.count = 0};
    pending->sectors = calloc((size_t)dirty + 1, sizeof *pending->sectors);
    pending->bytes = calloc((size_t)dirty + 1, sizeof *pending->bytes);
    if (pending->sectors == NULL || pending->bytes == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    for (uint64_t i = 0; i < sector_count(disk) && pending->count < dirty; i++) {
        if (atomic_exchange(&disk->dirty[i], 0) != 0) {
            for (uint64_t at = 0; at < sector_bytes(disk, i); at++) {
                pending->bytes[pending->count][at] = atomic_load(&disk->bits[i * BITMAP_SECTOR + at]);
            }
            pending->sectors[pending->count++] = i;
        }
    }
    pending->has_flag = atomic_exchange(&disk->compatible_dirty, false);
    pending->compatible = atomic_load(&disk->compatible);
    return true;
}

static bool write_bits(struct disk *disk, const struct pending *pending, struct problem *problem)
{
    for (uint64_t i = 0; i < pending->count; i++) {
        uint64_t sector = pending->sectors[i];
        if (!file_write(disk->metadata, disk->header.size + sector * BITMAP_SECTOR, sector_bytes(disk, sector),
                        pending->bytes[i], problem)) {
            return false;
        }
    }
    return pending->count == 0 || file_sync(disk->metadata, problem); /* DUR-09 */
}

/* DUR-08: the bits are durable. HDR-21: nothing else of the header is touched. */
static bool write_flag(struct disk *disk, const struct pending *pending, struct problem *problem)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(pending->compatible >> (8 * i));
    }
    return !pending->has_flag ||
           (file_write(disk->metadata, 32, sizeof bytes, bytes, problem) && file_sync(disk->metadata, problem));
}

bool flush_image(struct disk *disk, struct problem *problem)
{
    if (disk->image_lost) {
        return fail(problem, "io", "DUR-07", "an earlier sync of the image has failed");
    }
    disk->image_lost = !file_sync(disk->image, problem);
    return !disk->image_lost;
}

static bool write_metadata(struct disk *disk, const struct pending *pending, struct problem *problem)
{
    bool good = write_bits(disk, pending, problem) && write_flag(disk, pending, problem);
    if (!good) {
        put_back(disk, pending);
    }
    return good;
}

bool flush_bitmap(struct disk *disk, struct problem *problem)
{
    struct pending pending;
    bool good = take(disk, &pending, problem) && write_metadata(disk, &pending, problem);
    free_pending(&pending);
    return good;
}

static bool flush_all(struct disk *disk, struct problem *problem)
{
    struct pending pending;
    bool good = take(disk, &pending, problem);
    if (good && !flush_image(disk, problem)) {
        put_back(disk, &pending);
        good = false;
    }
    good = good && write_metadata(disk, &pending, problem);
    free_pending(&pending);
    if (good && disk->owes) {
        *problem = disk->owed;
        good = false;
    }
    disk->owes = false;
    return good;
}

/* Runs a flush. The mutex is held before and after. */
static void run(struct disk *disk, struct flushes *flushes)
{
    struct problem problem;
    uint64_t number = ++flushes->begun;
    flushes->runs = true;
    pthread_mutex_unlock(&flushes->mutex);
    bool good = flush_all(disk, &problem);
    pthread_mutex_lock(&flushes->mutex);
    flushes->runs = false;
    flushes->done = number;
    if (!good) {
        flushes->failed = number;
        flushes->problem = problem;
    }
    pthread_cond_broadcast(&flushes->ended);
}

bool flush_disk(struct disk *disk, struct problem *problem)
{
    struct flushes *flushes = &disk->flushes;
    pthread_mutex_lock(&flushes->mutex);
    uint64_t wanted = flushes->begun + 1; /* DUR-05 */
    while (flushes->done < wanted) {
        if (flushes->runs) {
            pthread_cond_wait(&flushes->ended, &flushes->mutex);
        } else {
            run(disk, flushes);
        }
    }
    bool good = flushes->failed < wanted; /* DUR-06 */
    if (!good) {
        *problem = flushes->problem;
    }
    pthread_mutex_unlock(&flushes->mutex);
    return good;
}
