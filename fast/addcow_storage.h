/*
 * How the engine reaches files.
 *
 * The engine reaches files only through these two tables. The default is POSIX (addcow_posix_storage). Simulated
 * storage, faults and latency use other tables.
 *
 * A table begins with its struct_size, as addcow_version.h explains; members of newer versions that it lacks count as
 * null. An implementation embeds struct addcow_file or struct addcow_storage as the first member of its own struct.
 * Results are 0 or a byte count, or a negative errno. Transfers may be short, and may fail with -EINTR: the engine
 * continues them, in one place. Every file function may be called from any number of threads at once.
 */
#ifndef ADDCOW_STORAGE_H
#define ADDCOW_STORAGE_H

#include "addcow_version.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* what the shared library exports */

struct addcow_file;
struct addcow_storage;

/* Identifies a file: two names with equal identities are the same file (LNK-07). */
struct addcow_identity {
    uint64_t device;
    uint64_t inode;
};

struct addcow_file_ops {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_file_ops));
    /* At most `size` bytes at `offset`; 0 only at the end of the file. */
    ssize_t (*pread)(struct addcow_file *file, void *buffer, size_t size, uint64_t offset);
    ssize_t (*pwrite)(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset);
    /* All completed writes, punches, truncates and shares of this file are durable when this returns 0. */
    int (*sync)(struct addcow_file *file);
    int (*length)(struct addcow_file *file, uint64_t *length);
    /* -EOPNOTSUPP: the file keeps its length, as a device does. */
    int (*truncate)(struct addcow_file *file, uint64_t length);
    /* Makes [offset, offset + size), which lies within the file, read as zeros and frees the space if possible.
     * -EOPNOTSUPP: not supported. */
    int (*punch)(struct addcow_file *file, uint64_t offset, uint64_t size);
    /*
     * May be null. The first byte at or past `offset` that may be anything but part of a hole, or the file's length if
     * there is none; holes read as zeros. -EOPNOTSUPP: not supported.
     */
    int (*next_data)(struct addcow_file *file, uint64_t offset, uint64_t *data);
    /*
     * Locks the whole file for as long as it is open, without waiting; -EAGAIN: another holder conflicts. A further
     * call on the same opened file changes the kind of its lock, and keeps the old one on failure.
     */
    int (*lock)(struct addcow_file *file, int exclusive);
    int (*identity)(struct addcow_file *file, struct addcow_identity *identity);
    /* Frees `file` even if it reports an error. */
    int (*close)(struct addcow_file *file);
    /*
     * May be null. Whether the file may become `length` bytes long, as far as the storage can tell without trying:
     * -EFBIG or -EOPNOTSUPP if truncate would fail with that. Changes nothing.
     */
    int (*may_grow)(struct addcow_file *file, uint64_t length);
    /*
     * May be null: image and backing files are not locked then. Like `lock`, for a file that holds data of a guest,
     * which other programs may lock too; the file may be open for reading only (LCK-05, LCK-06).
     */
    int (*lock_data)(struct addcow_file *file, int exclusive);
    /*
     * May be null. Reserves storage for the first `length` bytes, which lie within the file, and changes none of them.
     * -EOPNOTSUPP: not supported; -ENOSPC: there is not so much.
     */
    int (*allocate)(struct addcow_file *file, uint64_t length);
    /*
     * May be null. The first byte at or past `offset`, which is data, that may be part of a hole, or the file's length
     * if there is none. -EOPNOTSUPP: not supported.
     */
    int (*next_hole)(struct addcow_file *file, uint64_t offset, uint64_t *hole);
    /*
     * May be null. Gives `file` the bytes that `source`, another file of this storage, has in [offset, offset + size),
     * by sharing their storage instead of copying. Both files contain the range; offset and size are multiples of 4096.
     * -EOPNOTSUPP: not possible there; parts of the range may have been changed.
     */
    int (*share)(struct addcow_file *file, struct addcow_file *source, uint64_t offset, uint64_t size);
    /*
     * May be null. From now on, what is read and written bypasses the cache of the system (O_DIRECT). Called at most
     * once, before the first transfer. -EOPNOTSUPP: not possible there.
     */
    int (*bypass_cache)(struct addcow_file *file);
    /*
     * May be null. Advice: begin to make [offset, offset + size) durable, and do not wait. A later sync, which is still
     * needed and reports all errors, has less to do then.
     */
    void (*begin_sync)(struct addcow_file *file, uint64_t offset, uint64_t size);
};

struct addcow_file {
    const struct addcow_file_ops *ops;
};

enum addcow_open_mode {
    ADDCOW_FILE_READ,      /* must exist */
    ADDCOW_FILE_READWRITE, /* must exist */
    ADDCOW_FILE_CREATE,    /* read and write; -EEXIST if it exists */
};

struct addcow_storage_ops {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_storage_ops));
    /* Opens a regular file or a block device; -EINVAL for another kind, -EBUSY if the system uses the device. The
     * caller closes *file. */
    int (*open)(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                struct addcow_file **file);
    int (*remove)(struct addcow_storage *storage, const char *path);
    /*
     * Renames `from` to `to` atomically and durably: a crash leaves one name or the other. If `replace` is 0
     * and `to` exists: -EEXIST, nothing changed.
     */
    int (*rename)(struct addcow_storage *storage, const char *from, const char *to, int replace);
};

struct addcow_storage {
    const struct addcow_storage_ops *ops;
};

/* The files of the operating system. Static storage; safe from any thread. */
struct addcow_storage *addcow_posix_storage(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
