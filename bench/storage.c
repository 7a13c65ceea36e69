/*
 * The benchmark's storage tables: POSIX files with some functions replaced.
 *
 * A file is opened by the engine's own POSIX table, and gets a copy of its table of functions with the replaced ones in
 * it. So a function that is not replaced costs as much as in production, without a call in between.
 *
 * Files are opened by one thread at a time (addcow_open and addcow_create on the main thread); everything else is safe
 * from any thread.
 */
#include "bench.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LATENCY_NS 1000000

/* The functions of a file that the POSIX table opened; set by the first open. */
static struct addcow_file_ops posix;
static atomic_uint_fast64_t syncs;

struct table {
    struct addcow_storage storage;
    struct addcow_file_ops ops;
    void (*replace)(struct addcow_file_ops *ops);
};

static int cached_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                       struct addcow_file **file)
{
    struct table *table = (struct table *)storage;
    struct addcow_storage *below = addcow_posix_storage();
    int status = below->ops->open(below, path, mode, file);
    if (status < 0) {
        return status;
    }
    posix = *(*file)->ops;
    table->ops = posix;
    table->replace(&table->ops);
    (*file)->ops = &table->ops;
    return 0;
}

static int cached_remove(struct addcow_storage *storage, const char *path)
{
    (void)storage;
    struct addcow_storage *below = addcow_posix_storage();
    return below->ops->remove(below, path);
}

static int cached_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    (void)storage;
    if (!replace && access(to, F_OK) == 0) {
        return -EEXIST;
    }
    return rename(from, to) == 0 ? 0 : -errno;
}

static const struct addcow_storage_ops cached_ops = {sizeof cached_ops, cached_open, cached_remove, cached_rename};

static int cached_sync(struct addcow_file *file)
{
    (void)file;
    return 0;
}

static void replace_cached(struct addcow_file_ops *ops)
{
    ops->sync = cached_sync;
}

struct addcow_storage *storage_cached(void)
{
    static struct table table = {.storage = {&cached_ops}, .replace = replace_cached};
    return &table.storage;
}

void storage_wait(void)
{
    struct timespec remaining = {.tv_nsec = LATENCY_NS};
    while (nanosleep(&remaining, &remaining) != 0) {
        continue;
    }
}

static ssize_t slow_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    storage_wait();
    return posix.pread(file, buffer, size, offset);
}

static ssize_t slow_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    storage_wait();
    return posix.pwrite(file, buffer, size, offset);
}

static int slow_sync(struct addcow_file *file)
{
    storage_wait();
    return cached_sync(file);
}

static int slow_length(struct addcow_file *file, uint64_t *length)
{
    storage_wait();
    return posix.length(file, length);
}

static int slow_truncate(struct addcow_file *file, uint64_t length)
{
    storage_wait();
    return posix.truncate(file, length);
}

static int slow_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    storage_wait();
    return posix.punch(file, offset, size);
}

static int slow_lock(struct addcow_file *file, int exclusive)
{
    storage_wait();
    return posix.lock(file, exclusive);
}

static int slow_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    storage_wait();
    return posix.identity(file, identity);
}

static int slow_close(struct addcow_file *file)
{
    storage_wait();
    return posix.close(file);
}

static void replace_slow(struct addcow_file_ops *ops)
{
    *ops = (struct addcow_file_ops){
        .struct_size = sizeof *ops,
        .pread = slow_pread,
        .pwrite = slow_pwrite,
        .sync = slow_sync,
        .length = slow_length,
        .truncate = slow_truncate,
        .punch = slow_punch,
        .lock = slow_lock,
        .identity = slow_identity,
        .close = slow_close,
    };
}

struct addcow_storage *storage_slow(void)
{
    static struct table table = {.storage = {&cached_ops}, .replace = replace_slow};
    return &table.storage;
}

static int counting_sync(struct addcow_file *file)
{
    atomic_fetch_add(&syncs, 1);
    return slow_sync(file);
}

static void replace_counting(struct addcow_file_ops *ops)
{
    ops->sync = counting_sync;
}

struct addcow_storage *storage_counting(void)
{
    static struct table table = {.storage = {&cached_ops}, .replace = replace_counting};
    return &table.storage;
}

uint64_t storage_syncs(void)
{
    return atomic_load(&syncs);
}
