/*
 * The default storage: files of the operating system.
 *
 * Each function makes one system call, or direct.c does, and returns its result or a negative errno. file_io.c
 * continues short transfers, retries after EINTR and words the errors. platform.c has the calls that differ between
 * systems. Locks belong to the open file and not to the process, so two handles in one process exclude each other as
 * two processes do (LCK-01).
 */
#include "addcow_direct.h"
#include "addcow_platform.h"
#include "addcow_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h> /* rename */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE_INODE UINT64_MAX /* of all block devices: no file system has it */

struct posix_file {
    struct addcow_file file;
    int descriptor;
    bool device; /* a block device: of a length that it has, not one that it is given */
    enum addcow_platform_lock lock;
    struct addcow_direct *direct; /* null: transfers go through the cache */
};

static int descriptor_of(struct addcow_file *file)
{
    return ((struct posix_file *)file)->descriptor;
}

static bool is_device(struct addcow_file *file)
{
    return ((struct posix_file *)file)->device;
}

static struct addcow_direct *direct_of(struct addcow_file *file)
{
    return ((struct posix_file *)file)->direct;
}

static ssize_t file_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    if (direct_of(file)) {
        return addcow_direct_read(direct_of(file), buffer, size, offset);
    }
    ssize_t count = pread(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static ssize_t file_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    if (direct_of(file)) {
        return addcow_direct_write(direct_of(file), buffer, size, offset);
    }
    ssize_t count = pwrite(descriptor_of(file), buffer, size, (off_t)offset);
    return count < 0 ? -errno : count;
}

static int file_sync(struct addcow_file *file)
{
    return addcow_platform_sync(descriptor_of(file));
}

/* Nothing else uses the position of the file. */
static int device_length(int descriptor, uint64_t *length)
{
    off_t end = lseek(descriptor, 0, SEEK_END);
    if (end < 0) {
        return -errno;
    }
    *length = (uint64_t)end;
    return 0;
}

static int file_length(struct addcow_file *file, uint64_t *length)
{
    struct stat status;
    if (is_device(file)) {
        return device_length(descriptor_of(file), length);
    }
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    *length = (uint64_t)status.st_size;
    return 0;
}

static int file_truncate(struct addcow_file *file, uint64_t length)
{
    if (is_device(file)) {
        return -EOPNOTSUPP;
    }
    return ftruncate(descriptor_of(file), (off_t)length) < 0 ? -errno : 0;
}

/* The result of a call that only saves storage or time. Whatever keeps a working file from that, the engine writes
 * zeros instead. */
static int of_optimisation(int result)
{
    bool refused = result < 0 && result != -EIO && result != -EINTR && result != -EBADF;
    return refused ? -EOPNOTSUPP : result;
}

static int file_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    return of_optimisation(addcow_platform_punch(descriptor_of(file), offset, size));
}

static int file_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    int result = addcow_platform_next_data(descriptor_of(file), offset, data);
    /* -ENXIO: only a hole, or nothing at all, is left. */
    return result == -ENXIO ? file_length(file, data) : result;
}

static int file_next_hole(struct addcow_file *file, uint64_t offset, uint64_t *hole)
{
    int result = addcow_platform_next_hole(descriptor_of(file), offset, hole);
    /* -ENXIO: the file ends at or before `offset`. */
    return result == -ENXIO ? file_length(file, hole) : result;
}

static int file_lock(struct addcow_file *file, int exclusive)
{
    return addcow_platform_lock(descriptor_of(file), exclusive, &((struct posix_file *)file)->lock);
}

static int file_lock_data(struct addcow_file *file, int exclusive)
{
    return addcow_platform_lock_data(descriptor_of(file), exclusive, &((struct posix_file *)file)->lock);
}

static int file_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    struct stat status;
    if (fstat(descriptor_of(file), &status) < 0) {
        return -errno;
    }
    /* A device may have several names that are no links of each other. */
    identity->device = (uint64_t)(is_device(file) ? status.st_rdev : status.st_dev);
    identity->inode = is_device(file) ? DEVICE_INODE : (uint64_t)status.st_ino;
    return 0;
}

static int file_close(struct addcow_file *file)
{
    int result = close(descriptor_of(file)) < 0 ? -errno : 0;
    addcow_direct_end(direct_of(file));
    free(file);
    /* Linux, FreeBSD and macOS have freed the descriptor also when close was interrupted. */
    return result == -EINTR ? 0 : result;
}

static int file_may_grow(struct addcow_file *file, uint64_t length)
{
    return is_device(file) ? -EOPNOTSUPP : addcow_platform_may_grow(descriptor_of(file), length);
}

static int file_allocate(struct addcow_file *file, uint64_t length)
{
    int result = addcow_platform_allocate(descriptor_of(file), length);
    bool full = result == -ENOSPC || result == -EDQUOT || result == -EFBIG;
    return full ? result : of_optimisation(result);
}

static int file_share(struct addcow_file *file, struct addcow_file *source, uint64_t offset, uint64_t size)
{
    int result = addcow_platform_share(descriptor_of(file), descriptor_of(source), offset, size);
    /* As with holes. If the storage is broken or full, the copy that the engine makes instead says so. */
    return result < 0 && result != -EINTR ? -EOPNOTSUPP : result;
}

static int file_bypass_cache(struct addcow_file *file)
{
    struct posix_file *posix = (struct posix_file *)file;
    return posix->direct ? 0 : addcow_direct_begin(posix->descriptor, &posix->direct);
}

static void file_begin_sync(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    addcow_platform_begin_sync(descriptor_of(file), offset, size);
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
    .may_grow = file_may_grow,
    .lock_data = file_lock_data,
    .allocate = file_allocate,
    .next_hole = file_next_hole,
    .share = file_share,
    .bypass_cache = file_bypass_cache,
    .begin_sync = file_begin_sync,
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

/* Regular files and block devices hold bytes at offsets; nothing else does. */
static int check_kind(int descriptor, bool *device)
{
    struct stat status;
    if (fstat(descriptor, &status) < 0) {
        return -errno;
    }
    *device = S_ISBLK(status.st_mode);
    return S_ISREG(status.st_mode) || *device ? 0 : -EINVAL;
}

static int open_uninterrupted(const char *path, int flags)
{
    int descriptor;
    do {
        descriptor = open(path, flags, 0666);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

/* A lease on a regular file makes O_NONBLOCK fail: then its holder gets the time to give it up. */
static int open_descriptor(const char *path, int flags)
{
    struct stat status;
    int descriptor = open_uninterrupted(path, flags);
    if (descriptor == -EAGAIN && stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        descriptor = open_uninterrupted(path, flags & ~O_NONBLOCK);
    }
    return descriptor;
}

/*
 * Opens a file of a kind that is possible. A block device that is to be written is opened again, for this use alone:
 * the system then refuses one on which a file system is mounted. Returns the descriptor.
 */
static int open_kind(const char *path, enum addcow_open_mode mode, bool *device)
{
    int flags = open_flags(mode);
    int descriptor = open_descriptor(path, flags);
    int result = descriptor < 0 ? descriptor : check_kind(descriptor, device);
    if (result < 0) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        if (descriptor >= 0 && mode == ADDCOW_FILE_CREATE) {
            unlink(path); /* nobody else knows of it */
        }
        return result;
    }
    if (!*device || mode != ADDCOW_FILE_READWRITE) {
        return descriptor;
    }
    int alone = open_uninterrupted(path, flags | O_EXCL);
    close(descriptor);
    result = alone < 0 ? alone : check_kind(alone, device);
    if (result >= 0 && (!*device || addcow_platform_refuses_writes(alone))) {
        result = *device ? -EACCES : -EINVAL; /* no device: the name was given to another file meanwhile */
    }
    if (result < 0) {
        if (alone >= 0) {
            close(alone);
        }
        return result;
    }
    return alone;
}

static int storage_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                        struct addcow_file **file)
{
    (void)storage;
    struct posix_file *opened = malloc(sizeof *opened);
    if (!opened) {
        return -ENOMEM;
    }
    bool device = false;
    int descriptor = open_kind(path, mode, &device);
    if (descriptor < 0) {
        free(opened);
        return descriptor;
    }
    *opened = (struct posix_file){.file = {.ops = &posix_file_ops}, .descriptor = descriptor, .device = device};
    *file = &opened->file;
    return 0;
}

static int storage_remove(struct addcow_storage *storage, const char *path)
{
    (void)storage;
    return unlink(path) < 0 ? -errno : 0;
}

/* Not every file system syncs directories, and not every directory may be read: no failure of what was done in it. */
static bool cannot_be_synced(int result)
{
    return result == -EINVAL || result == -EACCES || result == -EPERM || result == -EROFS || result == -ENOSYS ||
           result == -ENOTSUP || result == -EOPNOTSUPP;
}

/* Makes the names in the directory of `path` durable, where that is possible. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    if (!directory) {
        return -ENOMEM;
    }
    int descriptor = open_uninterrupted(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = descriptor;
    if (descriptor >= 0) {
        do {
            result = addcow_platform_sync_all(descriptor);
        } while (result == -EINTR);
        close(descriptor);
    }
    free(directory);
    return cannot_be_synced(result) ? 0 : result;
}

/* ---- Renaming: an interrupted call is repeated only if it has done nothing ---- */

static bool is_gone(const char *path)
{
    struct stat status;
    return lstat(path, &status) < 0 && errno == ENOENT;
}

static bool is_one_file(const char *a, const char *b)
{
    struct stat status_a, status_b;
    return lstat(a, &status_a) == 0 && lstat(b, &status_b) == 0 && status_a.st_dev == status_b.st_dev &&
           status_a.st_ino == status_b.st_ino;
}

static int rename_over(const char *from, const char *to)
{
    while (rename(from, to) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        if (is_gone(from)) {
            break;
        }
    }
    return 0;
}

static int remove_old_name(const char *from)
{
    while (unlink(from) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        if (is_gone(from)) {
            break;
        }
    }
    return 0;
}

/* Takes the name with an empty file, and replaces that: for file systems that can do nothing else. */
static int rename_reserved(const char *from, const char *to)
{
    int descriptor = open_uninterrupted(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    if (descriptor < 0) {
        return descriptor;
    }
    close(descriptor);
    int result = rename_over(from, to);
    if (result < 0) {
        unlink(to);
    }
    return result;
}

static int add_name(const char *from, const char *to)
{
    while (link(from, to) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
        if (is_one_file(from, to)) {
            break;
        }
    }
    return 0;
}

static bool is_unsupported(int result)
{
    return result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP || result == -ENOTSUP || result == -EPERM ||
           result == -EMLINK;
}

/* Gives `from` a name that is free. Not every file system has each of the ways to do so. */
static int rename_new(const char *from, const char *to)
{
    int result = addcow_platform_rename_new(from, to);
    if (result == -EINTR && is_gone(from)) {
        return 0;
    }
    if (result != -EINTR && !is_unsupported(result)) {
        return result;
    }
    result = add_name(from, to);
    if (result == 0) {
        return remove_old_name(from);
    }
    return is_unsupported(result) ? rename_reserved(from, to) : result;
}

/* Gives `from` the mode of the file `to`, if that exists, and, as far as the caller may set them, owner, group and
 * extended attributes. */
static int take_mode(const char *from, const char *to)
{
    struct stat status;
    if (stat(to, &status) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (chown(from, status.st_uid, status.st_gid) < 0 && chown(from, (uid_t)-1, status.st_gid) < 0) {
        status.st_mode &= (mode_t) ~(S_ISUID | S_ISGID);
    }
    return chmod(from, status.st_mode & 07777) < 0 ? -errno : addcow_platform_copy_attributes(to, from);
}

/* Puts `from` in the place of the file `to`, or of the one to which the symbolic link `to` leads. */
static int rename_replacing(const char *from, const char *to, char **real)
{
    *real = realpath(to, NULL);
    if (!*real && errno != ENOENT) {
        return -errno; /* what `to` is cannot be told: neither its mode, nor whether it is a link */
    }
    int result = *real ? take_mode(from, *real) : 0;
    return result == 0 ? rename_over(from, *real ? *real : to) : result;
}

static int storage_rename(struct addcow_storage *storage, const char *from, const char *to, int replace)
{
    (void)storage;
    char *real = NULL;
    int result = replace ? rename_replacing(from, to, &real) : rename_new(from, to);
    if (result == 0) {
        result = sync_directory(real ? real : to);
    }
    free(real);
    return result;
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
