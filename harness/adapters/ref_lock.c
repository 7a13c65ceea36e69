/*
 * The bytes of LCK-06, written down as the specification lists them.
 */
#include "adapters/ref_lock.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

/* Each list ends with 0. */
static const off_t all[] = {100, 101, 102, 103, 200, 201, 202, 203, 0};
static const off_t of_reader[] = {100, 201, 203, 0};
static const off_t against_reader[] = {101, 103, 200, 0};

/* Whether an open file other than this one has a lock on one of the bytes. */
static bool find_others(int descriptor, const off_t *bytes)
{
    for (size_t i = 0; bytes[i] != 0; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = bytes[i], .l_len = 1};
        if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK) {
            return true;
        }
    }
    return false;
}

/* Locks exactly these bytes. */
static bool take(int descriptor, const off_t *bytes)
{
    ref_unlock(descriptor);
    for (size_t i = 0; bytes[i] != 0; i++) {
        struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = bytes[i], .l_len = 1};
        if (fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
            return false;
        }
    }
    return true;
}

bool ref_lock_data(int descriptor, bool exclusive)
{
    const off_t *bytes = exclusive ? all : of_reader;
    const off_t *others = exclusive ? all : against_reader;
    return !find_others(descriptor, others) && take(descriptor, bytes) && !find_others(descriptor, others);
}

void ref_unlock(int descriptor)
{
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(descriptor, F_OFD_SETLK, &unlock);
}
