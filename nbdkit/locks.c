/*
 * Opening disks as the parameters say. direct=true is a flag of the library; without-locks=true is for disks on file
 * systems that have no locks (LCK-07).
 *
 * The library asks for a lock and fails where there is none. So these are its POSIX files, whose locks count as taken
 * there. A lock that somebody else has is refused as ever.
 */
#include "plugin.h"

#include <errno.h>
#include <pthread.h>

static const struct addcow_file_ops *posix; /* of every POSIX file */
static struct addcow_file_ops file_ops;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both, until they are set */

static int unless_there_are_none(int result)
{
    bool none = result == -ENOLCK || result == -ENOSYS || result == -EOPNOTSUPP || result == -EINVAL;
    return none ? 0 : result;
}

static int lock_whole(struct addcow_file *file, int exclusive)
{
    return unless_there_are_none(posix->lock(file, exclusive));
}

static int lock_data(struct addcow_file *file, int exclusive)
{
    return unless_there_are_none(posix->lock_data(file, exclusive));
}

static void note_ops(const struct addcow_file_ops *ops)
{
    pthread_mutex_lock(&lock);
    if (!posix) {
        posix = ops;
        file_ops = *ops;
        file_ops.lock = lock_whole;
        file_ops.lock_data = lock_data;
    }
    pthread_mutex_unlock(&lock);
}

static int open_file(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                     struct addcow_file **file)
{
    (void)storage;
    struct addcow_storage *files = addcow_posix_storage();
    int result = files->ops->open(files, path, mode, file);
    if (result == 0) {
        note_ops((*file)->ops);
        (*file)->ops = &file_ops;
    }
    return result;
}

enum addcow_status open_as_told(const char *path, enum addcow_open_flags flags, struct addcow **disk,
                                struct addcow_error *error)
{
    static struct addcow_storage_ops ops = {.struct_size = sizeof ops, .open = open_file};
    static struct addcow_storage storage = {.ops = &ops};
    flags = parameters.direct ? flags | ADDCOW_OPEN_DIRECT : flags;
    return addcow_open(path, flags, parameters.without_locks ? &storage : NULL, disk, error);
}
