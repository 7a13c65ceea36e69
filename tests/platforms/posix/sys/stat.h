/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. */
#pragma once
#include <sys/types.h>
struct stat {
    uint64_t st_dev;
    uint64_t st_rdev;
    uint64_t st_ino;
    mode_t st_mode;
    uid_t st_uid;
    gid_t st_gid;
    off_t st_size;
};
#define S_ISREG(mode) (((mode) & 0170000) == 0100000)
#define S_ISBLK(mode) (((mode) & 0170000) == 0060000)
#define S_ISUID 04000
#define S_ISGID 02000
int chmod(const char *path, mode_t mode);
int fstat(int descriptor, struct stat *status);
int lstat(const char *path, struct stat *status);
int stat(const char *path, struct stat *status);
