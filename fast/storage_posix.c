/*
 * The default storage: files of the operating system.
 *
 * Each function makes one system call and returns its result or a negative errno. file_io.c continues short transfers,
 * retries after EINTR and words the errors. platform.c has the calls that differ between systems. Locks belong to the
 * open file and not to the process, so two handles in one process exclude each other as two processes do (LCK-01).
 */
#include "addcow_platform.h"
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
    enum addcow_platform_lock lock;
};

static int descriptor_of(struct addcow_file *file)
{
    return ((struct posix_file *)file)->descriptor;
}

static ssize_t file_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    ssize_t count = pread(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static ssize_t file_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    ssize_t count = pwrite(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int file_sync(struct addcow_file *file)
{
    return addcow_platform_sync(descriptor_of(file));
}

static int file_length(struct addcow_file *file, uint64_t *length)
{
    struct stat status;
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    *length = (uint64_t)status.st_size;
    return 0;
}

static int file_truncate(struct addcow_file *file, uint64_t length)
{
    return ftruncate(descriptor_of(file), (off_t)length) < 0 ? -errno : 0;
}

static int file_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    return addcow_platform_punch(descriptor_of(file), offset, size);
}

static int file_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    int result = addcow_platform_next_data(descriptor_of(file), offset, data);
    /* -ENXIO: only a hole, or nothing at all, is left. */
    return result == -ENXIO ? file_length(file, data) : result;
}

static int file_lock(struct addcow_file *file, int exclusive)
{
    return addcow_platform_lock(descriptor_of(file), exclusive, &((struct posix_file *)file)->lock);
}

static int file_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    struct stat status;
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    identity->device = (uint64_t)status.st_dev;
    identity->inode = (uint64_t)status.st_ino;
    return 0;
}

static int file_close(struct addcow_file *file)
{
    int result = close(descriptor_of(file)) < 0 ? -errno : 0;
    free(file);
    /* Linux, FreeBSD and macOS have freed the descriptor also when close was interrupted. */
    return result == -EINTR ? 0 : result;
}

static const struct addcow_file_ops posix_file_ops = {
    .struct_size = sizeof posix_file_ops,
    .pread = file_pread,
    .pwrite = file_pwrite,
    .sync = file_sync,
    .length = file_length,
    .truncate = file_truncate,
    .punch = file_punch,
    .next_data = file_next_data,
    .lock = file_lock,
    .identity = file_identity,
    .close = file_close,
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

static int storage_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
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

static int storage_remove(struct addcow_storage *storage, const char *path)
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
    int result = descriptor < 0 ? -errno : addcow_platform_sync_all(descriptor);
    if (descriptor >= 0) {
        close(descriptor);
    }
    free(directory);
    return result;
}

static int storage_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
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
    .struct_size = sizeof posix_storage_ops,
    .open = storage_open,
    .remove = storage_remove,
    .rename = storage_rename,
};

struct addcow_storage *addcow_posix_storage(void)
{
    static struct addcow_storage storage = {.ops = &posix_storage_ops};
    return &storage;
}
