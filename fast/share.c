/*
 * Sharing instead of copying: a cluster gets the bytes of the backing file by sharing their storage, where the file
 * system can do that. The copy is made later, by the file system, for the blocks that somebody overwrites.
 *
 * Sharing takes the place of a copy into clusters that nobody reads yet. So its order among the other steps is that of
 * the copy: it is done before the bits are set, and durable when the image is synced (DUR-03). It may fail half-way:
 * then the clusters hold anything, as after a write that failed, and are copied.
 *
 * A refusal is remembered, so that a file system that cannot share is asked once and not at each write.
 */
#include "addcow_disk.h"

enum addcow_sharing addcow_disk_sharing(const struct addcow *disk)
{
    return (enum addcow_sharing)sync_load(&disk->sharing);
}

uint64_t addcow_disk_share(struct addcow *disk, const struct addcow_io *to, const struct addcow_io *from,
                           uint64_t length, uint64_t offset)
{
    uint64_t blocks = length - length % ADDCOW_SHARE_BLOCK;
    enum addcow_sharing before = addcow_disk_sharing(disk);
    if (blocks == 0 || offset % ADDCOW_SHARE_BLOCK != 0 || before == ADDCOW_SHARING_REFUSED) {
        return 0;
    }
    bool shared = addcow_io_share(to, from, blocks, offset);
    if (!shared || before == ADDCOW_SHARING_UNKNOWN) {
        sync_store(&disk->sharing, shared ? ADDCOW_SHARING_WORKS : ADDCOW_SHARING_REFUSED);
    }
    return shared ? blocks : 0;
}

enum addcow_status addcow_disk_share_backing(struct addcow *disk, uint64_t offset, uint64_t limit, uint64_t *end,
                                             struct addcow_error *error)
{
    *end = offset;
    while (*end < limit && addcow_disk_sharing(disk) != ADDCOW_SHARING_REFUSED) {
        struct addcow_extent extent = {0};
        const struct addcow_io *source = NULL;
        enum addcow_status code = addcow_disk_find_bytes(disk, *end, limit - *end, &extent, &source, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        uint64_t shared = source ? addcow_disk_share(disk, &disk->image, source, extent.length, *end) : 0;
        if (shared == 0) {
            break;
        }
        *end += shared;
    }
    return ADDCOW_OK;
}
