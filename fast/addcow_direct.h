/*
 * Transfers of an open file that bypass the cache of the system. storage_posix.c is the only user.
 *
 * Addresses, offsets and lengths may be any: what the system asks for is done here. Results are byte counts or 0, or a
 * negative errno, as of pread and pwrite; transfers may be short. Reading and writing are safe from any thread.
 */
#ifndef ADDCOW_DIRECT_H
#define ADDCOW_DIRECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct addcow_direct;

/* Begins such transfers of an open file. -EOPNOTSUPP: its file system has none. The caller ends *direct. */
int addcow_direct_begin(int descriptor, struct addcow_direct **direct);

/* Frees *direct; null: nothing. The file is left as it is. */
void addcow_direct_end(struct addcow_direct *direct);

ssize_t addcow_direct_read(struct addcow_direct *direct, void *buffer, size_t size, uint64_t offset);
ssize_t addcow_direct_write(struct addcow_direct *direct, const void *buffer, size_t size, uint64_t offset);

#endif
