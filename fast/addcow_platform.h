/*
 * What operating systems do in different ways. storage_posix.c, direct.c and file_io.c are the only users.
 *
 * Everything else that the library needs is C11 and POSIX. All functions are safe from any thread. Results are 0 or a
 * negative errno, and the calls may fail with -EINTR.
 */
#ifndef ADDCOW_PLATFORM_H
#define ADDCOW_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of an errno, in `buffer` or static. Never null, never empty. `size` is more than 0. */
const char *addcow_platform_error_text(int errnum, char *buffer, size_t size);

/* Makes the content and the length of a file durable. */
int addcow_platform_sync(int descriptor);

/* Makes all of a file durable; of a directory, its names. */
int addcow_platform_sync_all(int descriptor);

/* Begins to write [offset, offset + size) to the device, where the system can be asked to, and does not wait. Takes no
 * error away from a later sync. */
void addcow_platform_begin_sync(int descriptor, uint64_t offset, uint64_t size);

/* Makes [offset, offset + size), which lies within the file and is not empty, a hole. -EOPNOTSUPP: cannot, or only some
 * of it became one. */
int addcow_platform_punch(int descriptor, uint64_t offset, uint64_t size);

/* The first byte at or past `offset` that is not part of a hole. -ENXIO: there is none. -EOPNOTSUPP: cannot tell. */
int addcow_platform_next_data(int descriptor, uint64_t offset, uint64_t *data);

/* The first byte at or past `offset` that is part of a hole. -ENXIO: `offset` is past the end. -EOPNOTSUPP: cannot
 * tell. */
int addcow_platform_next_hole(int descriptor, uint64_t offset, uint64_t *hole);

/* -EFBIG if the file system, or the limit of this process, allows no file of that length. At most 2^63 - 1. */
int addcow_platform_may_grow(int descriptor, uint64_t length);

/* What transfers that bypass the cache ask for: multiples of these. Powers of 2. */
struct addcow_platform_units {
    size_t memory; /* addresses */
    size_t block;  /* offsets and lengths */
};

/* -EOPNOTSUPP: the file has no such transfers. */
int addcow_platform_direct_units(int descriptor, struct addcow_platform_units *units);

/* Makes transfers of an open file bypass the cache, or not any more. -EOPNOTSUPP: cannot. */
int addcow_platform_set_direct(int descriptor, bool direct);

/* Whether a block device that is open for writing refuses to be written. */
bool addcow_platform_refuses_writes(int descriptor);

/* Reserves storage for the first `length` bytes of a file, more than 0. -EOPNOTSUPP: cannot. */
int addcow_platform_allocate(int descriptor, uint64_t length);

/* Makes [offset, offset + size) of a file share the storage, and so have the bytes, of the same range of `source`. */
int addcow_platform_share(int descriptor, int source, uint64_t offset, uint64_t size);

/*
 * Gives the file `to` the extended attributes of `from`, as far as the caller may set them. An access control list must
 * come along: without it, the mode would allow others than before.
 */
int addcow_platform_copy_attributes(const char *from, const char *to);

/* Renames `from` to `to` unless `to` exists: -EEXIST. -EOPNOTSUPP, or another error: cannot do that in one step. */
int addcow_platform_rename_new(const char *from, const char *to);

/* Which lock an open file holds. */
enum addcow_platform_lock { ADDCOW_UNLOCKED, ADDCOW_LOCKED_SHARED, ADDCOW_LOCKED_EXCLUSIVE };

/*
 * Locks the open file `descriptor`, until its close, against all other open files of that name, without waiting. *held
 * is what it holds before and after. -EAGAIN: another one conflicts, and *held is unchanged.
 *
 * The lock is an open file description lock, or one of flock where there is none. flock gives a shared lock up before
 * it takes an exclusive one, and so may lose it to another program: -ENOLCK, and nothing is held.
 */
int addcow_platform_lock(int descriptor, bool exclusive, enum addcow_platform_lock *held);

/*
 * The same for a file that holds data of a guest, in the way of QEMU (LCK-06), so that its programs and ours exclude
 * each other. `descriptor` may be open for reading only. With flock, only programs of ours exclude each other.
 */
int addcow_platform_lock_data(int descriptor, bool exclusive, enum addcow_platform_lock *held);

#endif
