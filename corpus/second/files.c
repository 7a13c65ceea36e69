/*
 * Files: whole transfers (ERR-04), errors with their classes (ERR-05), and locks (LCK).
 */
#include "second.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROS_BYTES 65536u

bool fail_storage(struct problem *problem, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    return fail(problem, full ? "nospace" : "io", full ? "ERR-05" : "-", "%s: %s", what, strerror(errno));
}

char *file_resolve(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int directory = name[0] == '/' || slash == NULL ? 0 : (int)(slash - path + 1);
    char *resolved = NULL;
    return asprintf(&resolved, "%.*s%s", directory, path, name) < 0 ? NULL : resolved;
}

/* LNK-06: what a file that cannot be opened is. */
static bool refuse(const char *path, bool writable, struct problem *problem)
{
    int error = errno;
    const char *kind = "io";
    if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG) {
        kind = "unlinkable";
    } else if (writable && access(path, R_OK) == 0) {
        kind = "readonly";
    }
    return fail(problem, kind, "LNK-06", "%.150s: %s", path, strerror(error));
}

bool file_open(const char *path, bool writable, int *fd, struct problem *problem)
{
    struct stat status;
    if (path == NULL) {
        return fail(problem, "io", "-", "no memory");
    }
    /* It is looked at before it is opened: opening a pipe may block. */
    if (stat(path, &status) != 0) {
        return refuse(path, writable, problem);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(problem, "unlinkable", "LNK-06", "%.150s is no regular file", path);
    }
    do {
        *fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    } while (*fd < 0 && errno == EINTR);
    return *fd >= 0 || refuse(path, writable, problem);
}

bool file_identify(int fd, struct identity *identity, uint64_t *length, struct problem *problem)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return fail_storage(problem, "the state of a file");
    }
    *identity = (struct identity){status.st_dev, status.st_ino};
    *length = (uint64_t)status.st_size;
    return true;
}

bool file_read(int fd, uint64_t offset, uint64_t length, void *bytes, struct problem *problem)
{
    for (uint64_t done = 0; done < length;) {
        ssize_t count = pread(fd, (uint8_t *)bytes + done, (size_t)(length - done), (off_t)(offset + done));
        if (count == 0) {
            return fail(problem, "io", "ERR-04", "a file ends before its known length");
        }
        if (count < 0 && errno != EINTR) {
            return fail_storage(problem, "reading");
        }
        done += count > 0 ? (uint64_t)count : 0;
    }
    return true;
}

bool file_write(int fd, uint64_t offset, uint64_t length, const void *bytes, struct problem *problem)
{
    for (uint64_t done = 0; done < length;) {
        ssize_t count = pwrite(fd, (const uint8_t *)bytes + done, (size_t)(length - done), (off_t)(offset + done));
        if (count < 0 && errno != EINTR) {
            return fail_storage(problem, "writing");
        }
        if (count == 0) {
            return fail(problem, "io", "ERR-04", "the storage takes no more");
        }
        done += count > 0 ? (uint64_t)count : 0;
    }
    return true;
}

bool file_zero(int fd, uint64_t offset, uint64_t length, struct problem *problem)
{
    static const uint8_t zeros[ZEROS_BYTES];
    for (uint64_t done = 0; done < length;) {
        uint64_t part = length - done < sizeof zeros ? length - done : sizeof zeros;
        if (!file_write(fd, offset + done, part, zeros, problem)) {
            return false;
        }
        done += part;
    }
    return true;
}

bool file_punch(int fd, uint64_t offset, uint64_t length, struct problem *problem)
{
    int result = 0;
    do {
        result =
            length == 0 ? 0 : fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
    } while (result != 0 && errno == EINTR);
    return result == 0 || file_zero(fd, offset, length, problem); /* it only may free space */
}

bool file_cut(int fd, uint64_t length, struct problem *problem)
{
    int result;
    do {
        result = ftruncate(fd, (off_t)length);
    } while (result != 0 && errno == EINTR);
    return result == 0 || fail_storage(problem, "changing a length");
}

bool file_sync(int fd, struct problem *problem)
{
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 || fail_storage(problem, "syncing");
}

bool file_sync_directory(const char *path, struct problem *problem)
{
    char *directory = file_resolve(path, ".");
    int fd = directory != NULL ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(directory);
    if (fd < 0) {
        return fail_storage(problem, "opening a directory");
    }
    bool good = file_sync(fd, problem);
    close(fd);
    return good;
}

/* ---- Locks ---- */

static bool lock_range(int fd, int command, struct flock *range, struct problem *problem)
{
    if (fcntl(fd, command, range) == 0) {
        return true;
    }
    if (errno == EAGAIN || errno == EACCES) {
        return fail(problem, "busy", "LCK-02", "another process holds the disk");
    }
    return fail(problem, "io", "LCK-07", "locking: %s", strerror(errno));
}

/* LCK-04: whether the file still has the name. */
static bool has_name(int fd, const char *path, struct problem *problem)
{
    struct stat named, opened;
    if (stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
        named.st_ino == opened.st_ino) {
        return true;
    }
    return fail(problem, "busy", "LCK-04", "another file has the name by now");
}

bool file_lock_metadata(int fd, const char *path, bool exclusive, struct problem *problem)
{
    struct flock whole = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    return lock_range(fd, F_OFD_SETLK, &whole, problem) && has_name(fd, path, problem);
}

/* LCK-06: bytes by which programs tell what they do with a file, and what they allow. */
bool file_lock_data(int fd, const char *path, bool exclusive, struct problem *problem)
{
    static const int every[] = {100, 101, 102, 103, 200, 201, 202, 203, 0};
    static const int shared[] = {100, 201, 203, 0};
    static const int against_shared[] = {101, 103, 200, 0};
    const int *own = exclusive ? every : shared;
    const int *others = exclusive ? every : against_shared;
    for (; *own != 0; own++) {
        struct flock byte = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = *own, .l_len = 1};
        if (!lock_range(fd, F_OFD_SETLK, &byte, problem)) {
            return false;
        }
    }
    for (; *others != 0; others++) {
        struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = *others, .l_len = 1};
        if (!lock_range(fd, F_OFD_GETLK, &byte, problem)) {
            return false;
        }
        if (byte.l_type != F_UNLCK) {
            return fail(problem, "busy", "LCK-05", "another process uses the file");
        }
    }
    return has_name(fd, path, problem);
}
