/*
 * Each function of the storage of POSIX files, called with arguments that the tests know.
 */
#ifndef TESTS_KERNEL_POSIX_FUNCTIONS_H
#define TESTS_KERNEL_POSIX_FUNCTIONS_H

#include "support/files.h"

#include "addcow_storage.h"

/* What a function works on. `number` is what it tells. */
struct work {
    struct addcow_file *file;
    char from[PATH_SIZE], to[PATH_SIZE];
    uint64_t number;
    uint64_t large; /* is added to each offset and length */
};

static inline struct addcow_storage *posix(void)
{
    return addcow_posix_storage();
}

static inline int act_pread(struct work *work)
{
    char buffer[8];
    return (int)work->file->ops->pread(work->file, buffer, 8, work->large + 100);
}

static inline int act_pwrite(struct work *work)
{
    return (int)work->file->ops->pwrite(work->file, "12345678", 8, work->large + 4096);
}

static inline int act_sync(struct work *work)
{
    return work->file->ops->sync(work->file);
}

static inline int act_length(struct work *work)
{
    return work->file->ops->length(work->file, &work->number);
}

static inline int act_truncate(struct work *work)
{
    return work->file->ops->truncate(work->file, work->large + 9000);
}

static inline int act_punch(struct work *work)
{
    return work->file->ops->punch(work->file, work->large + 512, work->large + 1024);
}

static inline int act_next_data(struct work *work)
{
    return work->file->ops->next_data(work->file, work->large + 5, &work->number);
}

static inline int act_next_hole(struct work *work)
{
    return work->file->ops->next_hole(work->file, work->large + 5, &work->number);
}

static inline int act_lock(struct work *work)
{
    return work->file->ops->lock(work->file, 1);
}

static inline int act_lock_shared(struct work *work)
{
    return work->file->ops->lock(work->file, 0);
}

static inline int act_lock_data(struct work *work)
{
    return work->file->ops->lock_data(work->file, 1);
}

static inline int act_lock_data_shared(struct work *work)
{
    return work->file->ops->lock_data(work->file, 0);
}

static inline int act_identity(struct work *work)
{
    struct addcow_identity identity;
    return work->file->ops->identity(work->file, &identity);
}

static inline int act_close(struct work *work)
{
    int result = work->file->ops->close(work->file);
    work->file = NULL;
    return result;
}

static inline int act_may_grow(struct work *work)
{
    return work->file->ops->may_grow(work->file, work->large + 77777);
}

static inline int act_allocate(struct work *work)
{
    return work->file->ops->allocate(work->file, work->large + 8192);
}

/* With itself: only the call matters. */
static inline int act_share(struct work *work)
{
    return work->file->ops->share(work->file, work->file, work->large + 4096, work->large + 4096);
}

static inline int act_bypass_cache(struct work *work)
{
    return work->file->ops->bypass_cache(work->file);
}

static inline int act_begin_sync(struct work *work)
{
    work->file->ops->begin_sync(work->file, 4096, 8192);
    return 0;
}

static inline int open_as(struct work *work, enum addcow_open_mode mode, const char *path)
{
    work->file->ops->close(work->file);
    work->file = NULL;
    return posix()->ops->open(posix(), path, mode, &work->file);
}

static inline int act_open_read(struct work *work)
{
    return open_as(work, ADDCOW_FILE_READ, in_directory("file"));
}

static inline int act_open_write(struct work *work)
{
    return open_as(work, ADDCOW_FILE_READWRITE, in_directory("file"));
}

static inline int act_open_new(struct work *work)
{
    return open_as(work, ADDCOW_FILE_CREATE, in_directory("new"));
}

static inline int act_remove(struct work *work)
{
    return posix()->ops->remove(posix(), work->from);
}

static inline int act_rename_new(struct work *work)
{
    return posix()->ops->rename(posix(), work->from, work->to, 0);
}

static inline int act_rename_over(struct work *work)
{
    return posix()->ops->rename(posix(), work->from, work->to, 1);
}

#endif
