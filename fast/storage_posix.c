/*
 * The default storage: files of the operating system.
 *
 * Each function makes one system call and returns its result or a negative errno. file_io.c continues short transfers,
 * retries after EINTR and words the errors. Locks are open file description locks: they belong to the open file and not
 * to the process, so two handles in one process exclude each other as two processes do (LCK-01).
 */
#include "addcow_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* rename */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_file {
    struct addcow_file file;
    int descriptor;
};

static int descriptor_of(struct addcow_file *file)
{
    return ((struct posix_file *)file)->descriptor;
}

static ssize_t posix_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    ssize_t count = pread(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static ssize_t posix_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    ssize_t count = pwrite(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int posix_sync(struct addcow_file *file)
{
    return fdatasync(descriptor_of(file)) < 0 ? -errno : 0;
}

static int posix_length(struct addcow_file *file, uint64_t *length)
{
    struct stat status;
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    *length = (uint64_t)status.st_size;
    return 0;
}

static int posix_truncate(struct addcow_file *file, uint64_t length)
{
    return ftruncate(descriptor_of(file), (off_t)length) < 0 ? -errno : 0;
}

static int posix_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    if (fallocate(descriptor_of(file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0) {
        return 0;
    }
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int posix_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    off_t found = lseek(descriptor_of(file), (off_t)offset, SEEK_DATA);
    if (found >= 0) {
        *data = (uint64_t)found;
        return 0;
    }
    if (errno == ENXIO) { /* only a hole, or nothing at all, is left */
        return posix_length(file, data);
    }
    return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static int posix_lock(struct addcow_file *file, int exclusive)
{
    struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor_of(file), F_OFD_SETLK, &lock) == 0) {
        return 0;
    }
    return errno == EACCES ? -EAGAIN : -errno;
}

static int posix_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    struct stat status;
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    identity->device = (uint64_t)status.st_dev;
    identity->inode = (uint64_t)status.st_ino;
    return 0;
}

static int posix_close(struct addcow_file *file)
{
    int result = close(descriptor_of(file)) < 0 ? -errno : 0;
    free(file);
    /* Linux has freed the descriptor also when close was interrupted. */
    return result == -EINTR ? 0 : result;
}

static const struct addcow_file_ops posix_file_ops = {
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .sync = posix_sync,
    .length = posix_length,
    .truncate = posix_truncate,
    .punch = posix_punch,
    .next_data = posix_next_data,
    .lock = posix_lock,
    .identity = posix_identity,
    .close = posix_close,
};

/* O_NONBLOCK: a FIFO in the place of a file must not block the open; regular files ignore it. */
static int open_flags(enum addcow_open_mode mode)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    switch (mode) {
    case ADDCOW_FILE_READ:
        return flags | O_RDONLY;
    case ADDCOW_FILE_READWRITE:
        return flags | O_RDWR;
    case ADDCOW_FILE_CREATE:
        break;
    }
    return flags | O_RDWR | O_CREAT | O_EXCL;
}

static int check_regular(int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) < 0) {
        return -errno;
    }
    return S_ISREG(status.st_mode) ? 0 : -EINVAL;
}

static int posix_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                      struct addcow_file **file)
{
    (void)storage;
    struct posix_file *opened = malloc(sizeof *opened);
    if (!opened) {
        return -ENOMEM;
    }
    int descriptor;
    do {
        descriptor = open(path, open_flags(mode), 0666);
    } while (descriptor < 0 && errno == EINTR);
    int result = descriptor < 0 ? -errno : check_regular(descriptor);
    if (result < 0) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        free(opened);
        return result;
    }
    *opened = (struct posix_file){.file = {.ops = &posix_file_ops}, .descriptor = descriptor};
    *file = &opened->file;
    return 0;
}

static int posix_remove(struct addcow_storage *storage, const char *path)
{
    (void)storage;
    return unlink(path) < 0 ? -errno : 0;
}

/* Makes the names in the directory of `path` durable. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    if (!directory) {
        return -ENOMEM;
    }
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = descriptor < 0 || fsync(descriptor) < 0 ? -errno : 0;
    if (descriptor >= 0) {
        close(descriptor);
    }
    free(directory);
    return result;
}

static int posix_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    (void)storage;
    if (replace) {
        if (rename(from, to) < 0) {
            return -errno;
        }
    } else {
        /* link refuses an existing name on every file system, which renameat2 does not. */
        if (link(from, to) < 0) {
            return -errno;
        }
        if (unlink(from) < 0) {
            return -errno;
        }
    }
    return sync_directory(to);
}

static const struct addcow_storage_ops posix_storage_ops = {
    .open = posix_open,
    .remove = posix_remove,
    .rename = posix_rename,
};

struct addcow_storage *addcow_posix_storage(void)
{
    static struct addcow_storage storage = {.ops = &posix_storage_ops};
    return &storage;
}
