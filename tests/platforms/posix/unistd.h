/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
#pragma once
#include <sys/types.h>
enum { SEEK_SET, SEEK_CUR, SEEK_END };
int chown(const char *path, uid_t owner, gid_t group);
int close(int descriptor);
int fsync(int descriptor);
pid_t getpid(void);
#ifndef WITHOUT_FDATASYNC
int fdatasync(int descriptor);
#endif
int ftruncate(int descriptor, off_t length);
int link(const char *from, const char *to);
off_t lseek(int descriptor, off_t offset, int whence);
ssize_t pread(int descriptor, void *buffer, size_t size, off_t offset);
ssize_t pwrite(int descriptor, const void *buffer, size_t size, off_t offset);
int unlink(const char *path);
int posix_close(int descriptor, int flags); /* POSIX.1-2024 */
