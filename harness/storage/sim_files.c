/*
 * The calls on one simulated file.
 *
 * Each call first asks the hook, which may make it fail. Each transfer is a point of the scheduler, one for every
 * sector if the storage is split. Every change goes to the log.
 */
#include "storage/sim_parts.h"

#include "base/report.h"
#include "sched/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLE_BYTES 4096u

enum lock { LOCK_NONE, LOCK_SHARED, LOCK_EXCLUSIVE };

struct sim_file {
    struct addcow_file file;
    struct sim *sim;
    uint32_t inode;
    enum lock lock;
    bool writable;
    char name[SIM_NAME_BYTES];
};

static struct sim_file *sim_of(struct addcow_file *file)
{
    return (struct sim_file *)file;
}

static struct sim_inode *inode_of(struct sim_file *file)
{
    return &file->sim->list[file->inode];
}

const char *sim_call_name(enum sim_call call)
{
    static const char *const names[SIM_CALLS] = {"pread",    "pwrite", "sync", "length", "truncate", "punch", "lock",
                                                 "identity", "close",  "open", "remove", "rename",   "share"};
    return names[call];
}

int sim_ask_hook(struct sim *sim, enum sim_call call, const char *name, size_t *size)
{
    size_t unused = 0;
    return sim->hook == NULL ? 0 : sim->hook(sim->hook_context, call, name, size != NULL ? size : &unused);
}

/* The part of [offset, end) that is one step: up to the end of its first sector if the storage is split. */
static uint64_t step_end(const struct sim *sim, uint64_t offset, uint64_t end)
{
    uint64_t sector_end = (offset / SIM_SECTOR + 1) * SIM_SECTOR;
    return sim->split && sector_end < end ? sector_end : end;
}

static void file_point(struct sim_file *file, enum sched_kind kind, uint64_t begin, uint64_t end)
{
    sched_file_point(inode_of(file), kind, begin / SIM_SECTOR, (end - 1) / SIM_SECTOR);
}

static void whole_file_point(struct sim_file *file, enum sched_kind kind)
{
    sched_file_point(inode_of(file), kind, 0, UINT64_MAX);
}

static ssize_t sim_pread(struct addcow_file *self, void *buffer, size_t size, uint64_t offset)
{
    struct sim_file *file = sim_of(self);
    file->sim->transfer_offset = offset;
    int fault = sim_ask_hook(file->sim, SIM_PREAD, file->name, &size);
    if (fault != 0) {
        return fault;
    }
    const struct sim_content *now = &inode_of(file)->now;
    uint64_t position = offset;
    for (uint64_t end; position < offset + size && position < now->length; position = end) {
        end = step_end(file->sim, position, offset + size);
        file_point(file, SCHED_READ, position, end);
        end = end < now->length ? end : now->length;
        if (end <= position) {
            break;
        }
        memcpy((uint8_t *)buffer + (position - offset), now->bytes + position, (size_t)(end - position));
    }
    return (ssize_t)(position - offset);
}

/* Sets [begin, end), which is one step, to `data`, or to zeros if that is null. The file is long enough. */
static void change(struct sim_file *file, uint64_t begin, uint64_t end, const uint8_t *data)
{
    struct sim_content *now = &inode_of(file)->now;
    if (data != NULL) {
        memcpy(now->bytes + begin, data, (size_t)(end - begin));
    } else {
        memset(now->bytes + begin, 0, (size_t)(end - begin));
    }
    for (uint64_t sector = begin / SIM_SECTOR; sector <= (end - 1) / SIM_SECTOR; sector++) {
        sim_log_sector(file->sim, file->inode, sector);
    }
}

static void change_length(struct sim_file *file, uint64_t length)
{
    sim_content_set_length(&inode_of(file)->now, length);
    sim_log_event(file->sim, SIM_EVENT_LENGTH, file->inode)->number = length;
}

static ssize_t sim_pwrite(struct addcow_file *self, const void *buffer, size_t size, uint64_t offset)
{
    struct sim_file *file = sim_of(self);
    file->sim->transfer_offset = offset;
    int fault = sim_ask_hook(file->sim, SIM_PWRITE, file->name, &size);
    if (fault != 0) {
        return fault;
    }
    if (!file->writable) {
        return -EBADF;
    }
    for (uint64_t position = offset, end; position < offset + size; position = end) {
        end = step_end(file->sim, position, offset + size);
        file_point(file, SCHED_WRITE, position, end);
        if (end > inode_of(file)->now.length) {
            change_length(file, end);
        }
        change(file, position, end, (const uint8_t *)buffer + (position - offset));
    }
    return (ssize_t)size;
}

static int sim_punch(struct addcow_file *self, uint64_t offset, uint64_t size)
{
    struct sim_file *file = sim_of(self);
    int fault = sim_ask_hook(file->sim, SIM_PUNCH, file->name, NULL);
    if (fault != 0 || file->sim->punch_refused) {
        return fault != 0 ? fault : -EOPNOTSUPP;
    }
    uint64_t length = inode_of(file)->now.length;
    uint64_t limit = offset + size < length ? offset + size : length;
    for (uint64_t position = offset, end; position < limit; position = end) {
        end = step_end(file->sim, position, limit);
        file_point(file, SCHED_WRITE, position, end);
        change(file, position, end, NULL);
    }
    return 0;
}

/*
 * Like a copy, sector by sector. A file system makes it in one step, but nobody may rely on that. With a fault it ends
 * half-way.
 */
static int sim_share(struct addcow_file *self, struct addcow_file *other, uint64_t offset, uint64_t size)
{
    struct sim_file *file = sim_of(self);
    struct sim_file *source = sim_of(other);
    if (!file->sim->shares) {
        return -EOPNOTSUPP;
    }
    int fault = sim_ask_hook(file->sim, SIM_SHARE, file->name, NULL);
    if (fault == -EINTR || fault == SIM_DEAD) {
        return fault;
    }
    uint64_t limit = offset + size;
    assert(offset % HOLE_BYTES == 0 && size % HOLE_BYTES == 0 && file->writable && file->inode != source->inode);
    assert(limit <= inode_of(file)->now.length && limit <= inode_of(source)->now.length);
    limit = fault != 0 ? offset + size / 2 : limit;
    for (uint64_t position = offset, end; position < limit; position = end) {
        end = step_end(file->sim, position, limit);
        file_point(source, SCHED_READ, position, end);
        uint8_t bytes[HOLE_BYTES];
        end = end - position < sizeof bytes ? end : position + sizeof bytes;
        memcpy(bytes, inode_of(source)->now.bytes + position, (size_t)(end - position));
        file_point(file, SCHED_WRITE, position, end);
        change(file, position, end, bytes);
    }
    return fault != 0 ? -EOPNOTSUPP : 0;
}

/* Every aligned block of zeros counts as a hole. */
static int sim_next_data(struct addcow_file *self, uint64_t offset, uint64_t *data)
{
    struct sim_file *file = sim_of(self);
    const struct sim_content *now = &inode_of(file)->now;
    whole_file_point(file, SCHED_READ);
    uint64_t position = offset < now->length ? offset : now->length;
    while (position < now->length && now->bytes[position] == 0) {
        position++;
    }
    uint64_t block = position < now->length ? position / HOLE_BYTES * HOLE_BYTES : position;
    *data = block > offset ? block : offset;
    return 0;
}

static int sim_sync(struct addcow_file *self)
{
    struct sim_file *file = sim_of(self);
    int fault = sim_ask_hook(file->sim, SIM_SYNC, file->name, NULL);
    whole_file_point(file, SCHED_WRITE);
    if (fault != -EINTR && fault != SIM_DEAD) {
        sim_log_event(file->sim, fault != 0 ? SIM_EVENT_SYNC_FAILED : SIM_EVENT_SYNC, file->inode);
    }
    return fault;
}

static int sim_length(struct addcow_file *self, uint64_t *length)
{
    struct sim_file *file = sim_of(self);
    int fault = sim_ask_hook(file->sim, SIM_LENGTH, file->name, NULL);
    whole_file_point(file, SCHED_READ);
    *length = inode_of(file)->now.length;
    return fault;
}

static int sim_truncate(struct addcow_file *self, uint64_t length)
{
    struct sim_file *file = sim_of(self);
    int fault = sim_ask_hook(file->sim, SIM_TRUNCATE, file->name, NULL);
    if (fault != 0) {
        return fault;
    }
    if (length > SIM_LENGTH_MAX) {
        return -EFBIG;
    }
    whole_file_point(file, SCHED_WRITE);
    change_length(file, length);
    return 0;
}

static int sim_may_grow(struct addcow_file *self, uint64_t length)
{
    (void)self;
    return length > SIM_LENGTH_MAX ? -EFBIG : 0;
}

static void unlock(struct sim_file *file)
{
    struct sim_inode *inode = inode_of(file);
    if (file->lock == LOCK_SHARED) {
        inode->readers--;
    } else if (file->lock == LOCK_EXCLUSIVE) {
        inode->writer = false;
    }
    file->lock = LOCK_NONE;
}

static int sim_lock(struct addcow_file *self, int exclusive)
{
    struct sim_file *file = sim_of(self);
    struct sim_inode *inode = inode_of(file);
    int fault = sim_ask_hook(file->sim, SIM_LOCK, file->name, NULL);
    if (fault != 0) {
        return fault;
    }
    uint32_t others = inode->readers - (file->lock == LOCK_SHARED);
    bool written = inode->writer && file->lock != LOCK_EXCLUSIVE;
    if (written || (exclusive && others > 0)) {
        return -EAGAIN;
    }
    unlock(file);
    file->lock = exclusive ? LOCK_EXCLUSIVE : LOCK_SHARED;
    inode->writer = exclusive != 0;
    inode->readers += exclusive == 0;
    return 0;
}

static int sim_identity(struct addcow_file *self, struct addcow_identity *identity)
{
    struct sim_file *file = sim_of(self);
    *identity = (struct addcow_identity){.device = 1, .inode = file->inode};
    return sim_ask_hook(file->sim, SIM_IDENTITY, file->name, NULL);
}

static int sim_close(struct addcow_file *self)
{
    struct sim_file *file = sim_of(self);
    int fault = sim_ask_hook(file->sim, SIM_CLOSE, file->name, NULL);
    unlock(file);
    file->sim->open--;
    free(file);
    return fault;
}

static const struct addcow_file_ops file_ops = {
    .struct_size = sizeof file_ops,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .length = sim_length,
    .truncate = sim_truncate,
    .punch = sim_punch,
    .next_data = sim_next_data,
    .lock = sim_lock,
    .identity = sim_identity,
    .close = sim_close,
    .may_grow = sim_may_grow,
    .lock_data = sim_lock,
    .share = sim_share,
};

struct addcow_file *sim_file_open(struct sim *sim, uint32_t inode, const char *name, bool writable)
{
    struct sim_file *file = report_allocate(1, sizeof *file);
    *file = (struct sim_file){.file = {.ops = &file_ops}, .sim = sim, .inode = inode, .writable = writable};
    snprintf(file->name, sizeof file->name, "%s", name);
    sim->open++;
    return &file->file;
}
