/*
 * The table of the system calls that matter, and the search for the file that a call is about.
 *
 * A descriptor is followed through /proc, so it does not matter how the program came to it. A path is read from the
 * program's memory. It decides only whether the call counts; what a call has done to names is seen in the directory
 * (traced_record.c).
 */
#include "observe/traced_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096u

static const struct call_shape shapes[] = {
    {SYS_read, "read", WATCH_READ, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_pread64, "pread64", WATCH_READ, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_readv, "readv", WATCH_READ, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_preadv, "preadv", WATCH_READ, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_preadv2, "preadv2", WATCH_READ, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_write, "write", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_AT_POSITION},
    {SYS_pwrite64, "pwrite64", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_AT_ARGUMENT},
    {SYS_writev, "writev", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_AT_POSITION},
    {SYS_pwritev, "pwritev", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_AT_ARGUMENT},
    {SYS_pwritev2, "pwritev2", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_AT_ARGUMENT},
    {SYS_sendfile, "sendfile", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_WHOLE},
    {SYS_copy_file_range, "copy_file_range", WATCH_WRITE, NAMES_DESCRIPTOR, 2, RANGE_WHOLE},
    {SYS_splice, "splice", WATCH_WRITE, NAMES_DESCRIPTOR, 2, RANGE_WHOLE},
    {SYS_ioctl, "ioctl", WATCH_WRITE, NAMES_DESCRIPTOR, 0, RANGE_WHOLE}, /* only those that clone: see the filter */
    {SYS_fsync, "fsync", WATCH_SYNC, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_fdatasync, "fdatasync", WATCH_SYNC, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_syncfs, "syncfs", WATCH_SYNC, NAMES_ALL, 0, RANGE_NONE},
    {SYS_sync, "sync", WATCH_SYNC, NAMES_ALL, 0, RANGE_NONE},
    {SYS_ftruncate, "ftruncate", WATCH_TRUNCATE, NAMES_DESCRIPTOR, 0, RANGE_NONE},
    {SYS_truncate, "truncate", WATCH_TRUNCATE, NAMES_PATH, 0, RANGE_NONE},
    {SYS_fallocate, "fallocate", WATCH_ALLOCATE, NAMES_DESCRIPTOR, 0, RANGE_WHOLE},
    {SYS_openat, "openat", WATCH_OPEN, NAMES_PATH_AT, 1, RANGE_NONE},
    {SYS_renameat2, "renameat2", WATCH_NAMES, NAMES_TWO_AT, 0, RANGE_NONE},
    {SYS_linkat, "linkat", WATCH_NAMES, NAMES_TWO_AT, 0, RANGE_NONE},
    {SYS_unlinkat, "unlinkat", WATCH_NAMES, NAMES_PATH_AT, 1, RANGE_NONE},
    {SYS_symlinkat, "symlinkat", WATCH_NAMES, NAMES_PATH_AT, 2, RANGE_NONE},
    {SYS_mknodat, "mknodat", WATCH_NAMES, NAMES_PATH_AT, 1, RANGE_NONE},
#ifdef SYS_openat2
    {SYS_openat2, "openat2", WATCH_OPEN, NAMES_PATH_AT, 1, RANGE_NONE},
#endif
#ifdef SYS_open /* newer processors have only the calls that end in "at" */
    {SYS_open, "open", WATCH_OPEN, NAMES_PATH, 0, RANGE_NONE},
    {SYS_creat, "creat", WATCH_OPEN, NAMES_PATH, 0, RANGE_NONE},
    {SYS_link, "link", WATCH_NAMES, NAMES_TWO_PATHS, 0, RANGE_NONE},
    {SYS_unlink, "unlink", WATCH_NAMES, NAMES_PATH, 0, RANGE_NONE},
    {SYS_symlink, "symlink", WATCH_NAMES, NAMES_PATH, 1, RANGE_NONE},
    {SYS_mknod, "mknod", WATCH_NAMES, NAMES_PATH, 0, RANGE_NONE},
    {SYS_rename, "rename", WATCH_NAMES, NAMES_TWO_PATHS, 0, RANGE_NONE},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "renameat", WATCH_NAMES, NAMES_TWO_AT, 0, RANGE_NONE},
#endif
    {CALL_MMAP, "mmap", WATCH_WRITE, NAMES_DESCRIPTOR, 4, RANGE_NONE}, /* shared and writable only */
    {SYS_io_submit, "io_submit", WATCH_WRITE, NAMES_UNSEEN, WATCH_UNSEEN_AIO, RANGE_NONE},
#ifdef SYS_io_uring_setup
    {SYS_io_uring_setup, "io_uring_setup", WATCH_WRITE, NAMES_UNSEEN, WATCH_UNSEEN_URING, RANGE_NONE},
#endif
};

const struct call_shape *call_shapes(size_t *count)
{
    *count = sizeof shapes / sizeof shapes[0];
    return shapes;
}

static void note_unseen(struct watch *watch, enum watch_unseen what)
{
    atomic_fetch_or(&watch->unseen, 1u << what);
}

bool call_read_memory(pid_t thread, uint64_t address, void *bytes, size_t length)
{
    struct iovec to = {bytes, length};
    struct iovec from = {(void *)(uintptr_t)address, length};
    return process_vm_readv(thread, &to, 1, &from, 1, 0) == (ssize_t)length;
}

/* Copies a string, page by page, since what follows it may not be readable. */
static bool read_string(pid_t thread, uint64_t address, char text[PATH_MAX])
{
    for (size_t done = 0; done < PATH_MAX;) {
        size_t part = PAGE - (size_t)((address + done) % PAGE);
        part = part < PATH_MAX - done ? part : PATH_MAX - done;
        if (!call_read_memory(thread, address + done, text + done, part)) {
            return false;
        }
        if (memchr(text + done, '\0', part) != NULL) {
            return true;
        }
        done += part;
    }
    return false;
}

/* Makes a name below the directory of an absolute path without symbolic links; "" is the directory itself. */
static bool name_below(struct watch *watch, const char *path, char name[WATCH_NAME_BYTES])
{
    size_t length = strlen(watch->directory);
    name[0] = '\0';
    if (strncmp(path, watch->directory, length) != 0 || (path[length] != '\0' && path[length] != '/')) {
        return false;
    }
    const char *rest = path + length + (path[length] == '/');
    if (strlen(rest) >= WATCH_NAME_BYTES || strchr(rest, '/') != NULL) {
        note_unseen(watch, WATCH_UNSEEN_DEEPER);
        return false;
    }
    memcpy(name, rest, strlen(rest) + 1);
    return true;
}

/* The target of a link in /proc. False if there is none. */
static bool read_link(char path[PATH_MAX], const char *format, pid_t thread, int descriptor)
{
    char link[64];
    snprintf(link, sizeof link, format, (int)thread, descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    return length > 0;
}

bool call_descriptor_name(struct watch *watch, pid_t thread, int descriptor, char name[WATCH_NAME_BYTES])
{
    char path[PATH_MAX];
    static const char deleted[] = " (deleted)";
    if (descriptor < 0 || !read_link(path, "/proc/%d/fd/%d", thread, descriptor) || path[0] != '/') {
        return false;
    }
    size_t length = strlen(path);
    size_t tail = sizeof deleted - 1;
    bool removed = length > tail && strcmp(path + length - tail, deleted) == 0;
    return !removed && name_below(watch, path, name);
}

/* The name below the directory that a path means; the last part of it need not exist. */
static bool find_path(struct watch *watch, pid_t thread, int base, uint64_t address, char name[WATCH_NAME_BYTES])
{
    char path[PATH_MAX], directory[PATH_MAX], joined[2 * PATH_MAX], real[PATH_MAX];
    if (!read_string(thread, address, path)) {
        return false;
    }
    directory[0] = '\0';
    if (path[0] != '/' && !read_link(directory, base == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", thread, base)) {
        return false;
    }
    snprintf(joined, sizeof joined, "%s%s%s", directory, directory[0] != '\0' ? "/" : "", path);
    if (realpath(joined, real) != NULL) {
        return name_below(watch, real, name);
    }
    char *last = strrchr(joined, '/');
    if (last == NULL) {
        return false;
    }
    *last = '\0';
    size_t length = realpath(joined[0] != '\0' ? joined : "/", real) != NULL ? strlen(real) : PATH_MAX;
    if (length + 1 + strlen(last + 1) >= PATH_MAX) {
        return false;
    }
    real[length] = '/';
    memcpy(real + length + 1, last + 1, strlen(last + 1) + 1);
    return name_below(watch, real, name);
}

/* Finds the file of a call that has this shape. False if there is none in the directory. */
static bool find_file(struct watch *watch, pid_t thread, struct traced_call *call)
{
    const struct call_shape *shape = call->shape;
    const uint64_t *arguments = call->arguments;
    switch (shape->names) {
    case NAMES_DESCRIPTOR:
        call->descriptor = (int)arguments[shape->which];
        return call_descriptor_name(watch, thread, call->descriptor, call->name);
    case NAMES_PATH:
        return find_path(watch, thread, AT_FDCWD, arguments[shape->which], call->name);
    case NAMES_PATH_AT:
        return find_path(watch, thread, (int)arguments[shape->which - 1], arguments[shape->which], call->name);
    case NAMES_TWO_PATHS:
        return find_path(watch, thread, AT_FDCWD, arguments[0], call->name) ||
               find_path(watch, thread, AT_FDCWD, arguments[1], call->name);
    case NAMES_TWO_AT:
        return find_path(watch, thread, (int)arguments[0], arguments[1], call->name) ||
               find_path(watch, thread, (int)arguments[2], arguments[3], call->name);
    case NAMES_ALL:
        return true;
    default:
        return false;
    }
}

void call_find(struct watch *watch, pid_t thread, uint64_t number, const uint64_t arguments[6],
               struct traced_call *call)
{
    *call = (struct traced_call){.descriptor = -1};
    memcpy(call->arguments, arguments, sizeof call->arguments);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] && call->shape == NULL; i++) {
        call->shape = (uint64_t)shapes[i].number == number ? &shapes[i] : NULL;
    }
    if (call->shape == NULL) {
        return;
    }
    if (call->shape->names == NAMES_UNSEEN) {
        note_unseen(watch, (enum watch_unseen)call->shape->which);
        call->shape = NULL;
    } else if (!find_file(watch, thread, call) ||
               (call->name[0] == '\0' && call->shape->kind != WATCH_SYNC && call->shape->kind != WATCH_NAMES)) {
        call->shape = NULL;
    } else if (call->shape->number == CALL_MMAP) {
        note_unseen(watch, WATCH_UNSEEN_MAPPING);
        call->shape = NULL;
    }
}
