/* Not the real header: what the library uses of POSIX, for tests/cli/platforms.bats. */
#pragma once
#include <sys/types.h>
struct stat {
    uint64_t st_dev;
    uint64_t st_ino;
    uint32_t st_mode;
    off_t st_size;
};
#define S_ISREG(mode) (((mode) & 0170000) == 0100000)
int fstat(int descriptor, struct stat *status);
