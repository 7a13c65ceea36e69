/*
 * The bitmap in memory: one copy, of atomic bytes, with a mark for each sector that has to be written.
 *
 * It lies in memory that is only reserved, and of the file only what is no hole is read. So a bitmap of a disk of many
 * terabytes costs what has been written.
 */
#include "second.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *reserve(uint64_t bytes)
{
    void *memory =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t sectors(uint64_t bytes)
{
    return bytes / BITMAP_SECTOR + 1;
}

/* Reads bytes [begin, end) of the bitmap from the file, which has them. */
static bool load(struct disk *disk, uint8_t *bytes, uint64_t begin, uint64_t end, struct problem *problem)
{
    uint64_t base = disk->header.size, at = begin;
    while (at < end) {
        off_t data = lseek(disk->metadata, (off_t)(base + at), SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            return true; /* nothing but a hole */
        }
        at = data < 0 ? at : (uint64_t)data - base; /* a file system that does not know holes */
        off_t hole = data < 0 ? -1 : lseek(disk->metadata, data, SEEK_HOLE);
        uint64_t stop = hole < 0 || (uint64_t)hole - base > end ? end : (uint64_t)hole - base;
        if (at < end && !file_read(disk->metadata, base + at, stop - at, bytes + at, problem)) {
            return false;
        }
        at = at < end ? stop : end;
    }
    return true;
}

bool bitmap_reserve(struct disk *disk, uint64_t bytes, struct problem *problem)
{
    if (disk->bits != NULL && bytes <= disk->bitmap_bytes) {
        return true;
    }
    uint8_t *bits = reserve(bytes + 1), *dirty = reserve(sectors(bytes));
    if (bits == NULL || dirty == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    if (!load(disk, bits, disk->bitmap_bytes, bytes, problem)) {
        munmap(bits, (size_t)bytes + 1);
        munmap(dirty, (size_t)sectors(bytes));
        return false;
    }
    if (disk->bits != NULL) {
        memcpy(bits, (const void *)disk->bits, (size_t)disk->bitmap_bytes);
        memcpy(dirty, (const void *)disk->dirty, (size_t)sectors(disk->bitmap_bytes));
        bitmap_free(disk);
    }
    disk->bits = (_Atomic uint8_t *)bits;
    disk->dirty = (_Atomic uint8_t *)dirty;
    disk->bitmap_bytes = bytes;
    return true;
}

void bitmap_free(struct disk *disk)
{
    if (disk->bits != NULL) {
        munmap((void *)disk->bits, (size_t)disk->bitmap_bytes + 1);
        munmap((void *)disk->dirty, (size_t)sectors(disk->bitmap_bytes));
    }
}

bool bitmap_has(struct disk *disk, uint64_t cluster)
{
    return disk_has_all(disk) || (atomic_load(&disk->bits[cluster / 8]) >> (cluster % 8) & 1) != 0;
}

void bitmap_set(struct disk *disk, uint64_t cluster)
{
    atomic_fetch_or(&disk->bits[cluster / 8], (uint8_t)(1u << (cluster % 8))); /* CON-07 */
    atomic_store(&disk->dirty[cluster / 8 / BITMAP_SECTOR], 1);                /* a flush looks here first */
}

void bitmap_fill(struct disk *disk, uint64_t begin, uint64_t end, bool value)
{
    for (uint64_t k = begin; k < end;) {
        uint64_t stop = k - k % 8 + 8 < end ? k - k % 8 + 8 : end;
        uint8_t mask = (uint8_t)((1u << (stop - k)) - 1u);
        mask = (uint8_t)(mask << (k % 8));
        uint8_t old = atomic_load(&disk->bits[k / 8]);
        uint8_t new = (uint8_t)(value ? old | mask : old & ~mask);
        if (new != old) {
            atomic_store(&disk->bits[k / 8], new);
            atomic_store(&disk->dirty[k / 8 / BITMAP_SECTOR], 1);
        }
        k = stop;
    }
}

uint64_t bitmap_next(struct disk *disk, uint64_t cluster, uint64_t end, bool value)
{
    if (disk_has_all(disk)) {
        return value ? cluster : end;
    }
    uint8_t none = value ? 0 : 0xff;
    while (cluster < end) {
        if (cluster % 8 == 0 && end - cluster >= 8 && atomic_load(&disk->bits[cluster / 8]) == none) {
            cluster += 8;
        } else if (bitmap_has(disk, cluster) == value) {
            return cluster;
        } else {
            cluster++;
        }
    }
    return end;
}
