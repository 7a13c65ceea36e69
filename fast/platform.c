/*
 * Linux, FreeBSD, macOS and others: each function takes the call that the headers of the system declare, or else what
 * POSIX has. The symbols of the calls tell them apart, not the name of the system.
 */
#include "addcow_platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_OFD_SETLK
#include <sys/file.h>
#endif
#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/mount.h> /* BLKROGET, BLKSSZGET */
#include <sys/syscall.h>
#include <sys/xattr.h>
#endif
#ifdef FALLOC_FL_KEEP_SIZE /* Linux, and not only what POSIX has */
#include <linux/fs.h>
#endif

static int result_of(int returned)
{
    return returned < 0 ? -errno : 0;
}

/* ---- Texts of errors ---- */

/* POSIX: puts the text into the buffer. */
static inline const char *text_in_buffer(int result, const char *buffer)
{
    return result == 0 && buffer[0] != '\0' ? buffer : "unknown error";
}

/* GNU: returns the text. */
static inline const char *text_returned(const char *text, const char *buffer)
{
    (void)buffer;
    return text;
}

const char *addcow_platform_error_text(int errnum, char *buffer, size_t size)
{
    buffer[0] = '\0';
    return _Generic(strerror_r(errnum, buffer, size), int: text_in_buffer, char *: text_returned)(
        strerror_r(errnum, buffer, size), buffer);
}

/* ---- Durability ---- */

/* On macOS, fsync leaves the data in the cache of the device, unless it is asked to flush that too. */
#ifdef F_FULLFSYNC
static int full_sync(int descriptor)
{
    if (fcntl(descriptor, F_FULLFSYNC) == 0) {
        return 0;
    }
    bool unknown = errno == ENOTSUP || errno == EINVAL || errno == ENOTTY; /* not to every file system */
    return unknown ? result_of(fsync(descriptor)) : -errno;
}

int addcow_platform_sync(int descriptor)
{
    return full_sync(descriptor);
}

int addcow_platform_sync_all(int descriptor)
{
    return full_sync(descriptor);
}
#else
int addcow_platform_sync(int descriptor)
{
    return result_of(fdatasync(descriptor));
}

int addcow_platform_sync_all(int descriptor)
{
    return result_of(fsync(descriptor));
}
#endif

void addcow_platform_begin_sync(int descriptor, uint64_t offset, uint64_t size)
{
#ifdef SYNC_FILE_RANGE_WRITE /* Linux; alone, it leaves errors for fsync to report */
    (void)sync_file_range(descriptor, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor;
    (void)offset;
    (void)size;
#endif
}

/* ---- Holes ---- */

#if defined FALLOC_FL_PUNCH_HOLE /* Linux */
int addcow_platform_punch(int descriptor, uint64_t offset, uint64_t size)
{
    if (fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0) {
        return 0;
    }
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}
#elif defined SPACECTL_DEALLOC /* FreeBSD */
int addcow_platform_punch(int descriptor, uint64_t offset, uint64_t size)
{
    struct spacectl_range rest = {.r_offset = (off_t)offset, .r_len = (off_t)size};
    while (rest.r_len > 0) {
        if (fspacectl(descriptor, SPACECTL_DEALLOC, &rest, 0, &rest) < 0) {
            return errno == ENOSYS || errno == ENODEV || errno == EINVAL ? -EOPNOTSUPP : -errno;
        }
    }
    return 0;
}
#elif defined F_PUNCHHOLE      /* macOS, whole blocks of the file system only */
int addcow_platform_punch(int descriptor, uint64_t offset, uint64_t size)
{
    struct fpunchhole hole = {.fp_offset = (off_t)offset, .fp_length = (off_t)size};
    if (fcntl(descriptor, F_PUNCHHOLE, &hole) == 0) {
        return 0;
    }
    return errno == ENOTSUP || errno == ENOTTY || errno == EINVAL ? -EOPNOTSUPP : -errno;
}
#else
int addcow_platform_punch(int descriptor, uint64_t offset, uint64_t size)
{
    (void)offset;
    (void)size;
    return fcntl(descriptor, F_GETFD) < 0 ? -errno : -EOPNOTSUPP;
}
#endif

#ifdef SEEK_DATA
static int seek(int descriptor, int whence, uint64_t offset, uint64_t *found)
{
    off_t result = lseek(descriptor, (off_t)offset, whence);
    if (result < 0) {
        return errno == EINVAL || errno == ENOTTY ? -EOPNOTSUPP : -errno;
    }
    *found = (uint64_t)result;
    return 0;
}
#else
#define SEEK_DATA 0
#define SEEK_HOLE 0
static int seek(int descriptor, int whence, uint64_t offset, uint64_t *found)
{
    (void)whence;
    (void)offset;
    (void)found;
    return fcntl(descriptor, F_GETFD) < 0 ? -errno : -EOPNOTSUPP;
}
#endif

int addcow_platform_next_data(int descriptor, uint64_t offset, uint64_t *data)
{
    return seek(descriptor, SEEK_DATA, offset, data);
}

int addcow_platform_next_hole(int descriptor, uint64_t offset, uint64_t *hole)
{
    return seek(descriptor, SEEK_HOLE, offset, hole);
}

/* ---- Lengths ---- */

/* A position is refused where no byte can be. Nothing else uses the position of the file. */
int addcow_platform_may_grow(int descriptor, uint64_t length)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    if (limited && length > (uint64_t)limit.rlim_cur) {
        return -EFBIG;
    }
    if (lseek(descriptor, (off_t)length, SEEK_SET) < 0) {
        return errno == EINVAL || errno == EOVERFLOW ? -EFBIG : -errno;
    }
    return 0;
}

/* ---- Bypassing the cache ---- */

#if defined O_DIRECT && defined BLKSSZGET /* Linux */
#define LARGEST_BLOCK 4096                /* of the devices that are known, for a file system that does not tell */

/* What the file system says. False: it does not tell. */
static bool told_units(int descriptor, struct addcow_platform_units *units)
{
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 && status.stx_mask & STATX_DIOALIGN) {
        *units = (struct addcow_platform_units){status.stx_dio_mem_align, status.stx_dio_offset_align};
        return true;
    }
#endif
    int block = 0;
    bool known = ioctl(descriptor, BLKSSZGET, &block) == 0 && block > 0; /* a device */
    *units = (struct addcow_platform_units){(size_t)block, (size_t)block};
    return known;
}

int addcow_platform_direct_units(int descriptor, struct addcow_platform_units *units)
{
    if (!told_units(descriptor, units)) {
        *units = (struct addcow_platform_units){LARGEST_BLOCK, LARGEST_BLOCK};
    }
    return units->memory == 0 || units->block == 0 ? -EOPNOTSUPP : 0;
}

int addcow_platform_set_direct(int descriptor, bool direct)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    if (fcntl(descriptor, F_SETFL, flags) < 0) {
        return errno == EINVAL ? -EOPNOTSUPP : -errno;
    }
    return 0;
}
#else
int addcow_platform_direct_units(int descriptor, struct addcow_platform_units *units)
{
    (void)descriptor;
    (void)units;
    return -EOPNOTSUPP;
}

int addcow_platform_set_direct(int descriptor, bool direct)
{
    (void)descriptor;
    (void)direct;
    return -EOPNOTSUPP;
}
#endif

#if defined BLKROGET /* Linux, where such a device can be opened */
bool addcow_platform_refuses_writes(int descriptor)
{
    int read_only = 0;
    return ioctl(descriptor, BLKROGET, &read_only) == 0 && read_only != 0;
}
#else
bool addcow_platform_refuses_writes(int descriptor)
{
    (void)descriptor;
    return false;
}
#endif

#if defined FALLOC_FL_KEEP_SIZE /* Linux */
int addcow_platform_allocate(int descriptor, uint64_t length)
{
    if (fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)length) == 0) {
        return 0;
    }
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}
#else
int addcow_platform_allocate(int descriptor, uint64_t length)
{
    (void)length;
    return fcntl(descriptor, F_GETFD) < 0 ? -errno : -EOPNOTSUPP;
}
#endif

/* ---- Shared storage ---- */

#ifdef FICLONERANGE /* Linux */
int addcow_platform_share(int descriptor, int source, uint64_t offset, uint64_t size)
{
    struct file_clone_range range = {.src_fd = source, .src_offset = offset, .src_length = size, .dest_offset = offset};
    return result_of(ioctl(descriptor, FICLONERANGE, &range));
}
#else
int addcow_platform_share(int descriptor, int source, uint64_t offset, uint64_t size)
{
    (void)source;
    (void)offset;
    (void)size;
    return fcntl(descriptor, F_GETFD) < 0 ? -errno : -EOPNOTSUPP;
}
#endif

/* ---- Names ---- */

#if defined SYS_renameat2 /* Linux; not every C library has the function */
int addcow_platform_rename_new(const char *from, const char *to)
{
    const unsigned no_replace = 1;
    return result_of((int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, no_replace));
}
#elif defined RENAME_EXCL /* macOS */
int addcow_platform_rename_new(const char *from, const char *to)
{
    return result_of(renamex_np(from, to, RENAME_EXCL));
}
#else
int addcow_platform_rename_new(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return -EOPNOTSUPP;
}
#endif

/* ---- Attributes ---- */

#ifdef __linux__
static int copy_attribute(const char *from, const char *to, const char *name)
{
    ssize_t size = getxattr(from, name, NULL, 0);
    void *value = size > 0 ? malloc((size_t)size) : NULL;
    if (size > 0 && !value) {
        return -ENOMEM;
    }
    if (size > 0) {
        size = getxattr(from, name, value, (size_t)size);
    }
    int result = size < 0 ? -errno : result_of(setxattr(to, name, value, (size_t)size, 0));
    free(value);
    return result;
}

static int copy_named(const char *from, const char *to, const char *names, size_t size)
{
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        int result = copy_attribute(from, to, name);
        if (result < 0 && strcmp(name, "system.posix_acl_access") == 0) {
            return result;
        }
    }
    return 0;
}

int addcow_platform_copy_attributes(const char *from, const char *to)
{
    ssize_t size = listxattr(from, NULL, 0);
    if (size <= 0) {
        return 0; /* none, or the file system has none */
    }
    char *names = malloc((size_t)size);
    if (!names) {
        return -ENOMEM;
    }
    size = listxattr(from, names, (size_t)size);
    int result = size < 0 ? -errno : copy_named(from, to, names, (size_t)size);
    free(names);
    return result;
}
#else
int addcow_platform_copy_attributes(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return 0;
}
#endif

/* ---- Locks ---- */

#ifdef F_OFD_SETLK
int addcow_platform_lock(int descriptor, bool exclusive, enum addcow_platform_lock *held)
{
    struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &lock) < 0) {
        return errno == EACCES ? -EAGAIN : -errno;
    }
    *held = exclusive ? ADDCOW_LOCKED_EXCLUSIVE : ADDCOW_LOCKED_SHARED;
    return 0;
}

/*
 * The bytes of LCK-06 as bits: bit p for 100 + p, "I have permission p", and bit 4 + p for 200 + p, "nobody else may
 * have it". QEMU only ever takes read locks on them, which exclude nobody, and looks for those of others.
 */
#define HAS(permission) (1u << (permission))
#define DENIES(permission) (1u << (4 + (permission)))

enum permission { CONSISTENT_READ, WRITE, WRITE_UNCHANGED, RESIZE };

/* The bytes that each kind of lock takes, and those of others that it cannot stand. */
static const unsigned taken_bytes[] = {
    [ADDCOW_LOCKED_SHARED] = HAS(CONSISTENT_READ) | DENIES(WRITE) | DENIES(RESIZE),
    [ADDCOW_LOCKED_EXCLUSIVE] = 0xff,
};
static const unsigned conflicting_bytes[] = {
    [ADDCOW_LOCKED_SHARED] = DENIES(CONSISTENT_READ) | HAS(WRITE) | HAS(RESIZE),
    [ADDCOW_LOCKED_EXCLUSIVE] = 0xff,
};

static struct flock lock_of_byte(unsigned bit, int type)
{
    off_t offset = bit < 4 ? 100 + (off_t)bit : 200 + (off_t)bit - 4;
    return (struct flock){.l_type = (short)type, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1};
}

/* Takes or gives up read locks. */
static int set_bytes(int descriptor, unsigned bytes, int type)
{
    for (unsigned bit = 0; bit < 8; bit++) {
        struct flock lock = lock_of_byte(bit, type);
        if ((bytes >> bit & 1) && fcntl(descriptor, F_OFD_SETLK, &lock) < 0) {
            return errno == EACCES ? -EAGAIN : -errno;
        }
    }
    return 0;
}

/* Whether other open files have locks on these bytes: -EAGAIN. */
static int test_bytes(int descriptor, unsigned bytes)
{
    for (unsigned bit = 0; bit < 8; bit++) {
        struct flock lock = lock_of_byte(bit, F_WRLCK);
        if (!(bytes >> bit & 1)) {
            continue;
        }
        if (fcntl(descriptor, F_OFD_GETLK, &lock) < 0) {
            return -errno;
        }
        if (lock.l_type != F_UNLCK) {
            return -EAGAIN;
        }
    }
    return 0;
}

int addcow_platform_lock_data(int descriptor, bool exclusive, enum addcow_platform_lock *held)
{
    enum addcow_platform_lock wanted = exclusive ? ADDCOW_LOCKED_EXCLUSIVE : ADDCOW_LOCKED_SHARED;
    unsigned more = taken_bytes[wanted] & ~taken_bytes[*held];
    /* Twice: first, so that an attempt without hope disturbs nobody; then, because others may have come meanwhile. */
    int result = test_bytes(descriptor, conflicting_bytes[wanted]);
    if (result < 0) {
        return result;
    }
    result = set_bytes(descriptor, more, F_RDLCK);
    if (result == 0) {
        result = test_bytes(descriptor, conflicting_bytes[wanted]);
    }
    if (result < 0) {
        set_bytes(descriptor, more, F_UNLCK);
        return result;
    }
    result = set_bytes(descriptor, taken_bytes[*held] & ~taken_bytes[wanted], F_UNLCK);
    *held = wanted;
    return result;
}
#else
int addcow_platform_lock(int descriptor, bool exclusive, enum addcow_platform_lock *held)
{
    if (flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) {
        *held = exclusive ? ADDCOW_LOCKED_EXCLUSIVE : ADDCOW_LOCKED_SHARED;
        return 0;
    }
    int reason = errno == EWOULDBLOCK ? EAGAIN : errno;
    if (*held == ADDCOW_LOCKED_SHARED && flock(descriptor, LOCK_SH | LOCK_NB) < 0) {
        *held = ADDCOW_UNLOCKED;
        reason = ENOLCK;
    }
    return -reason;
}

int addcow_platform_lock_data(int descriptor, bool exclusive, enum addcow_platform_lock *held)
{
    return addcow_platform_lock(descriptor, exclusive, held);
}
#endif
