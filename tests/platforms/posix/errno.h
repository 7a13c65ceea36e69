/* Not the real header: what the library uses of POSIX, for tests/setup/platforms.bats. The numbers are of no matter. */
#pragma once
int *errno_of_thread(void);
#define errno (*errno_of_thread())
enum {
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EBUSY = 16,
    EEXIST = 17,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENOTTY = 25,
    ETXTBSY = 26,
    EFBIG = 27,
    ENOSPC = 28,
    EROFS = 30,
    EMLINK = 31,
    ENAMETOOLONG = 36,
    ENOLCK = 37,
    ENOSYS = 38,
    ELOOP = 40,
    EOVERFLOW = 75,
    ENOTSUP = 94,
    EOPNOTSUPP = 95,
    EDQUOT = 122,
    ECANCELED = 125,
    EWOULDBLOCK = EAGAIN
};
