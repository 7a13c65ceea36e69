/*
 * The storage that files take, and how much of it they share with other files, as after `cp --reflink` or a stream on
 * XFS or btrfs. Only Linux tells what is shared (FIEMAP).
 */
#include "command.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#endif

#ifdef FS_IOC_FIEMAP
#define EXTENTS 256u

/* Adds up the shared extents of a file; none where the file system does not tell. The number of the request fits the
 * parameter of some C libraries' ioctl only as a negative number. */
static uint64_t shared_bytes(int descriptor)
{
    struct fiemap *map = calloc(1, sizeof *map + EXTENTS * sizeof map->fm_extents[0]);
    uint64_t shared = 0;
    bool more = map != NULL;
    for (uint64_t start = 0; more;) {
        *map = (struct fiemap){.fm_start = start, .fm_length = FIEMAP_MAX_OFFSET - start, .fm_extent_count = EXTENTS};
        more = syscall(SYS_ioctl, descriptor, FS_IOC_FIEMAP, map) == 0 && map->fm_mapped_extents > 0;
        for (uint32_t i = 0; more && i < map->fm_mapped_extents; i++) {
            const struct fiemap_extent *extent = &map->fm_extents[i];
            shared += extent->fe_flags & FIEMAP_EXTENT_SHARED ? extent->fe_length : 0;
            start = extent->fe_logical + extent->fe_length;
            more = !(extent->fe_flags & FIEMAP_EXTENT_LAST);
        }
    }
    free(map);
    return shared;
}
#else
static uint64_t shared_bytes(int descriptor)
{
    (void)descriptor;
    return 0;
}
#endif

void add_usage(const char *path, struct usage *usage)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (stat(path, &status) == 0) {
        usage->size += (uint64_t)status.st_blocks * 512;
    }
    if (descriptor >= 0) {
        usage->shared += shared_bytes(descriptor);
        close(descriptor);
    }
}
