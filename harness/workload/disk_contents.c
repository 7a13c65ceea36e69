/*
 * What the files of a trace's disk contain before its first operation. All choices follow from the seed, the level and
 * the place.
 */
#include "workload/disk_contents.h"

#include "addcow_format.h"
#include "base/random.h"
#include "workload/stamp.h"

#define CLUSTER_BITS 12u /* of the disks in a chain, if they do not differ */

/* What the numbers drawn for a place are for. */
enum purpose { OF_CLUSTER, OF_LEVEL, OF_HOLE };

/* A number for a place of a level; level 0 is the disk itself. */
static uint64_t draw(const struct trace_disk *disk, enum purpose purpose, unsigned level, uint64_t place)
{
    uint64_t number = (uint64_t)disk->seed << 40 | (uint64_t)level << 32 | place;
    return random_hash(number ^ (uint64_t)purpose << 60);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t block_end(uint64_t offset)
{
    return (offset / TRACE_BLOCK + 1) * TRACE_BLOCK;
}

/* ---- Levels ---- */

static uint64_t draw_length(const struct trace_disk *disk, uint64_t number)
{
    switch (number % 4) {
    case 0:
        return disk->backing_size - number / 4 % (disk->backing_size / 2 + 1);
    case 1:
        return lesser(disk->backing_size + number / 4 % (2 * TRACE_BLOCK), TRACE_SIZE_MAX);
    default:
        return disk->backing_size;
    }
}

struct disk_level disk_contents_level(const struct trace_disk *disk, unsigned level)
{
    struct disk_level drawn = {
        .layout = ADDCOW_R20,
        .cluster_bits = CLUSTER_BITS,
        .length = disk->backing_size,
        .allocation = TRACE_SOME_ALLOCATED,
    };
    if (disk->seed % 4 < 2) {
        return drawn;
    }
    uint64_t number = draw(disk, OF_LEVEL, level, 0);
    drawn.cluster_bits += (uint32_t)(number % 5);
    if (level == disk->chain && number / 8 % 3 == 0) {
        drawn.layout = ADDCOW_R9;
        drawn.cluster_bits = 16;
    }
    if (level > 1) {
        drawn.length = draw_length(disk, number / 32);
    }
    uint64_t kind = random_hash(number) % 8;
    if (kind == 0) {
        drawn.allocation = TRACE_NONE_ALLOCATED;
    } else if (kind == 1) {
        drawn.allocation = drawn.layout == ADDCOW_R9 ? TRACE_EVERY_ALLOCATED : TRACE_ALL_ALLOCATED;
    }
    return drawn;
}

static bool is_allocated(const struct trace_disk *disk, const struct disk_level *drawn, unsigned level, uint64_t offset)
{
    if (drawn->allocation != TRACE_SOME_ALLOCATED) {
        return drawn->allocation != TRACE_NONE_ALLOCATED;
    }
    return draw(disk, OF_CLUSTER, level, offset >> drawn->cluster_bits) % 3 == 0;
}

bool disk_contents_level_is_allocated(const struct trace_disk *disk, unsigned level, uint64_t offset)
{
    struct disk_level drawn = disk_contents_level(disk, level);
    return is_allocated(disk, &drawn, level, offset);
}

/* The level whose file supplies the byte at `offset` and those up to *end; 0 if none does, and they are zeros. */
static unsigned find_level(const struct trace_disk *disk, uint64_t offset, uint64_t *end)
{
    *end = block_end(offset);
    for (unsigned level = 1;; level++) {
        struct disk_level drawn = disk_contents_level(disk, level);
        if (level > 1 && offset >= drawn.length) {
            return 0;
        }
        *end = level > 1 ? lesser(*end, drawn.length) : *end;
        if (level > disk->chain || is_allocated(disk, &drawn, level, offset)) {
            return level;
        }
    }
}

/* ---- Bytes ---- */

/* Whether a block is a hole that the backing contents show. */
static bool is_shown_hole(const struct trace_disk *disk, uint64_t offset)
{
    return disk->seed % 2 == 1 && draw(disk, OF_HOLE, 0, offset / TRACE_BLOCK) % 3 == 0;
}

/* Whether a block of a level's file that nothing shows is a hole; level 0 is the image of the disk itself. */
static bool is_hidden_hole(const struct trace_disk *disk, unsigned level, uint64_t offset)
{
    return disk->seed % 16 == 15 ||
           (disk->seed % 4 == 3 && draw(disk, OF_HOLE, level + 1, offset / TRACE_BLOCK) % 2 == 0);
}

void disk_contents_fill_backing(const struct trace_disk *disk, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    for (uint64_t limit = offset + length, end; offset < limit; offset = end) {
        bool zeros = find_level(disk, offset, &end) == 0 || is_shown_hole(disk, offset);
        end = lesser(end, limit);
        stamp_fill((struct stamp){zeros ? STAMP_ZERO : STAMP_BACKING, disk->seed}, offset, buffer,
                   (size_t)(end - offset));
        buffer += end - offset;
    }
}

void disk_contents_fill_level(const struct trace_disk *disk, unsigned level, uint8_t *bytes, uint64_t length)
{
    for (uint64_t offset = 0, end; offset < length; offset = end) {
        bool shown = find_level(disk, offset, &end) == level;
        bool hole = shown ? is_shown_hole(disk, offset) : is_hidden_hole(disk, level, offset);
        struct stamp stamp = shown ? (struct stamp){STAMP_BACKING, disk->seed} : (struct stamp){STAMP_HIDDEN, level};
        end = lesser(end, length);
        stamp_fill(hole ? (struct stamp){STAMP_ZERO, 0} : stamp, offset, bytes + offset, (size_t)(end - offset));
    }
}

/* ---- The disk itself ---- */

bool disk_contents_is_allocated(const struct trace_disk *disk, uint64_t cluster)
{
    if (disk->allocation == TRACE_SOME_ALLOCATED) {
        return draw(disk, OF_CLUSTER, 0, cluster) % 2 == 1;
    }
    return disk->allocation != TRACE_NONE_ALLOCATED;
}

void disk_contents_fill_image(const struct trace_disk *disk, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    for (uint64_t limit = offset + length, end; offset < limit; offset = end) {
        bool shown = disk_contents_is_allocated(disk, offset >> disk->cluster_bits);
        bool hole = shown ? disk->seed % 4 == 3 && draw(disk, OF_HOLE, 1, offset / TRACE_BLOCK) % 3 == 0
                          : is_hidden_hole(disk, 0, offset);
        end = lesser(block_end(offset), limit);
        stamp_fill((struct stamp){hole ? STAMP_ZERO : STAMP_IMAGE, disk->seed}, offset, buffer, (size_t)(end - offset));
        buffer += end - offset;
    }
}
