/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. The numbers are of no matter. */
#pragma once
#include <sys/types.h>
enum { F_GETFD = 1, F_SETLK = 6 };
enum { F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2 };
enum {
    O_RDONLY = 0,
    O_WRONLY = 1,
    O_RDWR = 2,
    O_CREAT = 64,
    O_EXCL = 128,
    O_NOCTTY = 256,
    O_NONBLOCK = 2048,
    O_DIRECTORY = 65536,
    O_CLOEXEC = 524288
};
int open(const char *path, int flags, ...);
int fcntl(int descriptor, int command, ...);
