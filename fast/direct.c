/*
 * Transfers that bypass the cache of the system (O_DIRECT), for addresses, offsets and lengths of any alignment.
 *
 * The system wants a transfer to begin and to end with a block, and its memory to be aligned. So a transfer is done in
 * parts, each of which is a short one for the caller:
 *
 *   read     whole blocks, straight into the caller's memory or through a buffer, from which it gets what it wants;
 *   write    whole blocks in the same way; a part of a block is put into the block, which is read and written back.
 *
 * Between this reading and writing nothing else may write to the block, or it would be undone. So a part of a block is
 * written alone, and everything else side by side. Other programs are kept off by the lock on the file (LCK-05).
 *
 * The block in which the file ends cannot be written as a whole: the file would become longer. What goes into it goes
 * through the cache, also alone; the system writes that out before the next transfer that bypasses the cache there.
 */
#include "addcow_direct.h"

#include "addcow_platform.h"
#include "addcow_quiesce.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct addcow_direct {
    int descriptor;
    struct addcow_platform_units units;
    struct addcow_quiesce transfers; /* counts those that run side by side */
};

int addcow_direct_begin(int descriptor, struct addcow_direct **direct)
{
    struct addcow_direct *begun = calloc(1, sizeof *begun);
    if (!begun) {
        return -ENOMEM;
    }
    begun->descriptor = descriptor;
    int result = addcow_platform_direct_units(descriptor, &begun->units);
    if (result == 0) {
        result = addcow_platform_set_direct(descriptor, true);
    }
    if (result < 0) {
        free(begun);
        return result;
    }
    addcow_quiesce_init(&begun->transfers);
    *direct = begun;
    return 0;
}

void addcow_direct_end(struct addcow_direct *direct)
{
    if (direct) {
        addcow_quiesce_destroy(&direct->transfers);
        free(direct);
    }
}

/* ---- Whole blocks, side by side with others ---- */

static ssize_t read_blocks(struct addcow_direct *direct, void *memory, size_t size, uint64_t offset)
{
    unsigned stripe = addcow_request_begin(&direct->transfers);
    ssize_t count = pread(direct->descriptor, memory, size, (off_t)offset);
    count = count < 0 ? -errno : count;
    addcow_request_end(&direct->transfers, stripe);
    return count;
}

static ssize_t write_blocks(struct addcow_direct *direct, const void *memory, size_t size, uint64_t offset)
{
    unsigned stripe = addcow_request_begin(&direct->transfers);
    ssize_t count = pwrite(direct->descriptor, memory, size, (off_t)offset);
    count = count < 0 ? -errno : count;
    addcow_request_end(&direct->transfers, stripe);
    return count;
}

/* ---- Memory ---- */

static bool is_aligned(const struct addcow_direct *direct, const void *memory)
{
    return (uintptr_t)memory % direct->units.memory == 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A buffer for `size` bytes from a block's start on, in whole blocks, but not for too many; *room is how many. */
static uint8_t *get_buffer(const struct addcow_direct *direct, size_t size, size_t *room)
{
    size_t block = direct->units.block;
    size_t most = DIRECT_BUFFER_BYTES > block ? DIRECT_BUFFER_BYTES - DIRECT_BUFFER_BYTES % block : block;
    size = least(size, most);
    *room = size + (block - size % block) % block;
    void *memory = NULL;
    size_t alignment = direct->units.memory > sizeof(void *) ? direct->units.memory : sizeof(void *);
    return posix_memalign(&memory, alignment, *room) == 0 ? memory : NULL;
}

/* ---- Reading ---- */

ssize_t addcow_direct_read(struct addcow_direct *direct, void *buffer, size_t size, uint64_t offset)
{
    size_t block = direct->units.block;
    size_t lead = (size_t)(offset % block);
    if (lead == 0 && size >= block && is_aligned(direct, buffer)) {
        return read_blocks(direct, buffer, size - size % block, offset);
    }
    size_t room;
    uint8_t *blocks = get_buffer(direct, least(size, DIRECT_BUFFER_BYTES) + lead, &room);
    if (!blocks) {
        return -ENOMEM;
    }
    ssize_t count = read_blocks(direct, blocks, room, offset - lead);
    if (count > 0) {
        size_t got = (size_t)count > lead ? least((size_t)count - lead, size) : 0; /* 0: the file ends before that */
        memcpy(buffer, blocks + lead, got);
        count = (ssize_t)got;
    }
    free(blocks);
    return count;
}

/* ---- Writing ---- */

/* Alone. Writes through the cache: in the block in which the file ends. */
static ssize_t write_cached(struct addcow_direct *direct, const void *data, size_t size, uint64_t offset)
{
    int result = addcow_platform_set_direct(direct->descriptor, false);
    if (result < 0) {
        return result;
    }
    ssize_t count = pwrite(direct->descriptor, data, size, (off_t)offset);
    count = count < 0 ? -errno : count;
    result = addcow_platform_set_direct(direct->descriptor, true);
    return result < 0 ? result : count;
}

/* Alone. Puts `size` bytes into the block at `start`, `lead` bytes behind its begin. `memory` has room for it. */
static ssize_t change_block(struct addcow_direct *direct, uint8_t *memory, const void *data, size_t size,
                            uint64_t start, size_t lead)
{
    size_t block = direct->units.block;
    ssize_t count = pread(direct->descriptor, memory, block, (off_t)start);
    if (count < 0) {
        return -errno;
    }
    if ((size_t)count < block) {
        return write_cached(direct, data, size, start + lead);
    }
    memcpy(memory + lead, data, size);
    count = pwrite(direct->descriptor, memory, block, (off_t)start);
    if (count < 0) {
        return -errno;
    }
    return (size_t)count == block ? (ssize_t)size : -EIO;
}

static ssize_t write_part(struct addcow_direct *direct, const void *data, size_t size, uint64_t offset)
{
    size_t room;
    size_t lead = (size_t)(offset % direct->units.block);
    uint8_t *memory = get_buffer(direct, direct->units.block, &room);
    if (!memory) {
        return -ENOMEM;
    }
    addcow_quiesce_begin(&direct->transfers);
    ssize_t count = change_block(direct, memory, data, least(size, room - lead), offset - lead, lead);
    addcow_quiesce_end(&direct->transfers);
    free(memory);
    return count;
}

ssize_t addcow_direct_write(struct addcow_direct *direct, const void *buffer, size_t size, uint64_t offset)
{
    size_t block = direct->units.block;
    if (size == 0) {
        return 0;
    }
    if (offset % block != 0 || size < block) {
        return write_part(direct, buffer, size, offset);
    }
    if (is_aligned(direct, buffer)) {
        return write_blocks(direct, buffer, size - size % block, offset);
    }
    size_t room;
    uint8_t *blocks = get_buffer(direct, size - size % block, &room);
    if (!blocks) {
        return -ENOMEM;
    }
    memcpy(blocks, buffer, room);
    ssize_t count = write_blocks(direct, blocks, room, offset);
    free(blocks);
    return count;
}
