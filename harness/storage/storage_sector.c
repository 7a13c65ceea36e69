/*
 * Storage with exactly the atomicity that the spec assumes.
 *
 * Linux does not promise that a read of a page-cached file sees a write of the same sector whole. On the other hand, a
 * pwrite of many sectors is often seen whole. So every transfer is done in steps, each under a lock for its block of
 * eight sectors. A step is one sector, or as much as lies in its block. All files of a storage share the locks: two
 * handles on one file must exclude each other, and it does no harm that blocks of other files sometimes wait.
 *
 * The file below may move less than a step, for example where a file system is nearly full. The step then continues
 * under its lock, since a sector that another request could see in two halves would be a fault of the storage.
 */
#include "storage/storage_sector.h"

#include "base/random.h"
#include "base/report.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECTOR 512u
#define BLOCK 4096u
#define LOCKS 64u
#define SHORT_ONCE_IN 16u
#define PAUSE_NANOSECONDS 20000

struct sector_storage {
    struct addcow_storage storage;
    struct storage_sector_options options;
    _Atomic uint64_t requests;     /* so far; each draws its choices from a sequence of its own */
    pthread_mutex_t failure_lock;  /* protects: */
    char failure[128];             /* of the files below, the first one; "" if none */
    pthread_rwlock_t locks[LOCKS]; /* the block of number n in any file: n % LOCKS */
};

struct sector_file {
    struct addcow_file file;
    struct addcow_file *below;
    struct sector_storage *storage;
};

static struct sector_file *sector_file(struct addcow_file *file)
{
    return (struct sector_file *)file;
}

/* ---- Failures of the files below ---- */

/* Errors that an implementation does not cause with a request up to this offset. */
#define FAILURE_OFFSET_MAX ((uint64_t)1 << 30)

static bool is_failure(int64_t result, uint64_t end)
{
    switch (-result) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return end <= FAILURE_OFFSET_MAX;
    default:
        return false;
    }
}

/* Notes a result of the files below if it is a failure of theirs. `end` is where the request ends in the file. */
static void note_result(struct sector_storage *storage, const char *call, int64_t result, uint64_t end)
{
    if (!is_failure(result, end)) {
        return;
    }
    pthread_mutex_lock(&storage->failure_lock);
    if (storage->failure[0] == '\0') {
        snprintf(storage->failure, sizeof storage->failure, "%s: %s", call, strerror((int)-result));
    }
    pthread_mutex_unlock(&storage->failure_lock);
}

const char *storage_sector_failure(const struct addcow_storage *storage)
{
    const struct sector_storage *sectors = (const struct sector_storage *)storage;
    return sectors->failure[0] != '\0' ? sectors->failure : NULL;
}

/* ---- Transfers ---- */

/* The choices of one request. */
struct choices {
    struct random random;
    const struct storage_sector_options *options;
    bool single_sectors;
};

static struct choices choose(struct sector_storage *storage)
{
    uint64_t number = atomic_fetch_add_explicit(&storage->requests, 1, memory_order_relaxed);
    struct choices choices = {.random = {random_hash(storage->options.seed ^ random_hash(number))},
                              .options = &storage->options};
    choices.single_sectors = random_once_in(&choices.random, 4);
    return choices;
}

static void pause_perhaps(struct choices *choices)
{
    unsigned once_in = choices->options->pause;
    if (once_in == 0 || !random_once_in(&choices->random, once_in)) {
        return;
    }
    if (random_once_in(&choices->random, 4)) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
    } else {
        sched_yield();
    }
}

/* How much of [offset, offset + size) the next step takes. */
static size_t step_size(struct choices *choices, uint64_t offset, size_t size)
{
    uint64_t unit = choices->single_sectors ? SECTOR : BLOCK;
    uint64_t left = unit - offset % unit;
    return size < left ? size : (size_t)left;
}

/*
 * Shortens or interrupts a transfer: returns the size that it shall have, or -EINTR. It ends between two sectors;
 * otherwise the rest of a sector would come later, and the sector would not be atomic.
 */
static ssize_t shorten(struct choices *choices, size_t size, uint64_t offset)
{
    if (!choices->options->short_transfers || !random_once_in(&choices->random, SHORT_ONCE_IN)) {
        return (ssize_t)size;
    }
    if (random_once_in(&choices->random, 3)) {
        return -EINTR;
    }
    uint64_t first = SECTOR - offset % SECTOR;
    uint64_t shorter = first + random_below(&choices->random, 16) * SECTOR;
    return (ssize_t)(shorter < size ? shorter : size);
}

typedef ssize_t transfer_step(struct addcow_file *file, void *buffer, size_t size, uint64_t offset);

static ssize_t read_step(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    return file->ops->pread(file, buffer, size, offset);
}

static ssize_t write_step(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    return file->ops->pwrite(file, buffer, size, offset);
}

static void lock_block(struct sector_storage *storage, uint64_t offset, bool exclusive)
{
    pthread_rwlock_t *lock = &storage->locks[offset / BLOCK % LOCKS];
    if (exclusive) {
        pthread_rwlock_wrlock(lock);
    } else {
        pthread_rwlock_rdlock(lock);
    }
}

static void unlock_block(struct sector_storage *storage, uint64_t offset)
{
    pthread_rwlock_unlock(&storage->locks[offset / BLOCK % LOCKS]);
}

/* One step, whole unless the file below ends or fails. Returns the bytes moved, or the failure if none was. */
static ssize_t locked_step(struct sector_file *file, transfer_step *step, bool exclusive, uint8_t *buffer, size_t size,
                           uint64_t offset)
{
    size_t done = 0;
    ssize_t count = 0;
    lock_block(file->storage, offset, exclusive);
    while (done < size) {
        count = step(file->below, buffer + done, size - done, offset + done);
        if (count > 0) {
            done += (size_t)count;
        } else if (count != -EINTR) {
            break;
        }
    }
    unlock_block(file->storage, offset);
    note_result(file->storage, exclusive ? "pwrite" : "pread", count, offset + size);
    return done > 0 ? (ssize_t)done : count;
}

static ssize_t transfer(struct sector_file *file, transfer_step *step, bool exclusive, uint8_t *buffer, size_t size,
                        uint64_t offset)
{
    struct choices choices = choose(file->storage);
    ssize_t wanted = shorten(&choices, size, offset);
    ssize_t done = 0;
    while (done < wanted) {
        uint64_t at = offset + (uint64_t)done;
        size_t length = step_size(&choices, at, (size_t)(wanted - done));
        ssize_t count = locked_step(file, step, exclusive, buffer + done, length, at);
        if (count < (ssize_t)length) {
            done += count > 0 ? count : 0;
            return done > 0 ? done : count;
        }
        done += count;
        pause_perhaps(&choices);
    }
    return wanted < 0 ? wanted : done;
}

static ssize_t sector_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    return transfer(sector_file(file), read_step, false, buffer, size, offset);
}

static ssize_t sector_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    return transfer(sector_file(file), write_step, true, (uint8_t *)(uintptr_t)buffer, size, offset);
}

static bool refuses(struct choices *choices)
{
    return choices->options->refuse_holes && random_once_in(&choices->random, 2);
}

static int sector_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    struct sector_file *self = sector_file(file);
    struct choices choices = choose(self->storage);
    if (refuses(&choices)) {
        return -EOPNOTSUPP;
    }
    int result = 0;
    for (uint64_t done = 0; done < size && result == 0;) {
        uint64_t at = offset + done;
        size_t length = step_size(&choices, at, (size_t)(size - done));
        lock_block(self->storage, at, true);
        result = self->below->ops->punch(self->below, at, length);
        unlock_block(self->storage, at);
        note_result(self->storage, "fallocate", result, at + length);
        done += length;
        pause_perhaps(&choices);
    }
    return result;
}

static int sector_sync(struct addcow_file *file)
{
    struct choices choices = choose(sector_file(file)->storage);
    pause_perhaps(&choices);
    int result = sector_file(file)->below->ops->sync(sector_file(file)->below);
    note_result(sector_file(file)->storage, "fdatasync", result, 0);
    return result;
}

static int sector_length(struct addcow_file *file, uint64_t *length)
{
    return sector_file(file)->below->ops->length(sector_file(file)->below, length);
}

static int sector_truncate(struct addcow_file *file, uint64_t length)
{
    int result = sector_file(file)->below->ops->truncate(sector_file(file)->below, length);
    note_result(sector_file(file)->storage, "ftruncate", result, length);
    return result;
}

static int sector_lock(struct addcow_file *file, int exclusive)
{
    return sector_file(file)->below->ops->lock(sector_file(file)->below, exclusive);
}

static int sector_lock_data(struct addcow_file *file, int exclusive)
{
    return sector_file(file)->below->ops->lock_data(sector_file(file)->below, exclusive);
}

static int sector_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    return sector_file(file)->below->ops->identity(sector_file(file)->below, identity);
}

static int sector_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    struct choices choices = choose(sector_file(file)->storage);
    struct addcow_file *below = sector_file(file)->below;
    if (below->ops->next_data == NULL || refuses(&choices)) {
        return -EOPNOTSUPP;
    }
    return below->ops->next_data(below, offset, data);
}

/* Sector by sector, like other transfers. Nobody may rely on more, though a file system does it in one step. */
static int sector_share(struct addcow_file *file, struct addcow_file *source, uint64_t offset, uint64_t size)
{
    struct choices choices = choose(sector_file(file)->storage);
    uint8_t bytes[BLOCK];
    if (!choices.options->shares) {
        return -EOPNOTSUPP;
    }
    for (uint64_t end = offset + size; offset < end; offset += sizeof bytes) {
        bool copied = locked_step(sector_file(source), read_step, false, bytes, sizeof bytes, offset) == sizeof bytes &&
                      locked_step(sector_file(file), write_step, true, bytes, sizeof bytes, offset) == sizeof bytes;
        if (!copied || (refuses(&choices) && random_once_in(&choices.random, SHORT_ONCE_IN))) {
            return -EOPNOTSUPP;
        }
        pause_perhaps(&choices);
    }
    return 0;
}

static int sector_may_grow(struct addcow_file *file, uint64_t length)
{
    int result = sector_file(file)->below->ops->may_grow(sector_file(file)->below, length);
    note_result(sector_file(file)->storage, "asking for a length", result, length);
    return result;
}

static int sector_close(struct addcow_file *file)
{
    struct addcow_file *below = sector_file(file)->below;
    free(file);
    return below->ops->close(below);
}

static int sector_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                       struct addcow_file **file)
{
    static const struct addcow_file_ops ops = {
        .struct_size = sizeof ops,
        .pread = sector_pread,
        .pwrite = sector_pwrite,
        .sync = sector_sync,
        .length = sector_length,
        .truncate = sector_truncate,
        .punch = sector_punch,
        .lock = sector_lock,
        .identity = sector_identity,
        .next_data = sector_next_data,
        .close = sector_close,
        .may_grow = sector_may_grow,
        .lock_data = sector_lock_data,
        .share = sector_share,
    };
    struct addcow_file *below;
    int result = addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, &below);
    if (result != 0) {
        note_result((struct sector_storage *)storage, "open", result, 0);
        return result;
    }
    struct sector_file *made = report_allocate(1, sizeof *made);
    made->file.ops = &ops;
    made->below = below;
    made->storage = (struct sector_storage *)storage;
    *file = &made->file;
    return 0;
}

static int sector_remove(struct addcow_storage *storage, const char *path)
{
    (void)storage;
    return addcow_posix_storage()->ops->remove(addcow_posix_storage(), path);
}

static int sector_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    (void)storage;
    return addcow_posix_storage()->ops->rename(addcow_posix_storage(), from, to, replace);
}

struct addcow_storage *storage_sector_make(const struct storage_sector_options *options)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops,
        .open = sector_open,
        .remove = sector_remove,
        .rename = sector_rename,
    };
    struct sector_storage *storage = report_allocate(1, sizeof *storage);
    storage->storage.ops = &ops;
    storage->options = *options;
    pthread_mutex_init(&storage->failure_lock, NULL);
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_rwlock_init(&storage->locks[i], NULL);
    }
    return &storage->storage;
}

void storage_sector_set(struct addcow_storage *storage, const struct storage_sector_options *options)
{
    struct sector_storage *sectors = (struct sector_storage *)storage;
    sectors->options = *options;
    sectors->failure[0] = '\0';
    atomic_store(&sectors->requests, 0);
}

void storage_sector_free(struct addcow_storage *storage)
{
    struct sector_storage *sectors = (struct sector_storage *)storage;
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_rwlock_destroy(&sectors->locks[i]);
    }
    pthread_mutex_destroy(&sectors->failure_lock);
    free(sectors);
}
