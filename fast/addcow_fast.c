/*
 * The front door: every public function on an opened disk.
 *
 * Each function checks its arguments and calls the file of its concern (addcow_disk.h lists them).
 * A request runs between addcow_request_begin and addcow_request_end, so that no resize or commit runs at the same time
 * (CON-09). The range is checked in there, as a resize may change the size until then. Resize and commit quiesce the
 * disk instead. Stream runs beside requests and is a request itself, one short step at a time (stream.c).
 *
 * Opening, creating and checking start from the path of a file. They are in open.c, create.c and check.c.
 */
#include "addcow_disk.h"

#include <assert.h>
#include <inttypes.h>

/* ---- Checks ---- */

/* A refusal if the disk was opened read-only (REQ-03). */
static enum addcow_status check_writable(const struct addcow *disk, struct addcow_error *error)
{
    if (!disk->read_only) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_READONLY, 0, "REQ-03", "%s: the disk was opened read-only", disk->file.path);
}

/*@ requires sane_disk(disk) && \separated(disk, error);
    terminates \true;
    assigns *error;
    ensures REQ_01: \result == ADDCOW_OK <==> offset + length <= disk->size;
*/
static enum addcow_status check_range(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    uint64_t size = sync_load_acquire(&disk->size);
    if (offset <= size && length <= size - offset) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_RANGE, 0, "REQ-01",
                       "%s: at %" PRIu64 ": %" PRIu64 " bytes exceed the virtual size of %" PRIu64, disk->file.path,
                       offset, length, size);
}

/* ---- Requests ---- */

enum addcow_status addcow_read(struct addcow *disk, uint64_t offset, uint64_t length, void *buffer,
                               struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    if (code == ADDCOW_OK) {
        code = addcow_disk_read(disk, offset, length, buffer, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

/* Null data: zeros. */
static enum addcow_status write_request(struct addcow *disk, uint64_t offset, uint64_t length, const uint8_t *data,
                                        struct addcow_error *error)
{
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_writable(disk, error);
    if (code == ADDCOW_OK) {
        code = check_range(disk, offset, length, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_write(disk, offset, length, data, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

enum addcow_status addcow_write(struct addcow *disk, uint64_t offset, uint64_t length, const void *buffer,
                                struct addcow_error *error)
{
    assert(buffer || length == 0);
    return write_request(disk, offset, length, buffer, error);
}

enum addcow_status addcow_zero(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    return write_request(disk, offset, length, NULL, error);
}

enum addcow_status addcow_discard(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error)
{
    return write_request(disk, offset, length, NULL, error);
}

enum addcow_status addcow_map(struct addcow *disk, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
                              struct addcow_error *error)
{
    bool status;
    uint64_t run_length;
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    if (code == ADDCOW_OK) {
        code = addcow_disk_map(disk, offset, length, &status, &run_length, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    if (code == ADDCOW_OK) {
        *allocated = status;
        *run = run_length;
    }
    return code;
}

/* Null `data`: a run may hold both data and holes. */
static enum addcow_status map_request(struct addcow *disk, uint64_t offset, uint64_t length,
                                      struct addcow_extent *extent, bool *data, struct addcow_error *error)
{
    struct addcow_extent found;
    bool is_data = false;
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = check_range(disk, offset, length, error);
    if (code == ADDCOW_OK) {
        code = addcow_disk_map_chain(disk, offset, length, &found, data ? &is_data : NULL, error);
    }
    addcow_request_end(&disk->quiesce, stripe);
    if (code == ADDCOW_OK) {
        addcow_give(extent, &found, sizeof found, ADDCOW_SIZE_TO(struct addcow_extent, path));
    }
    if (code == ADDCOW_OK && data) {
        *data = is_data;
    }
    return code;
}

enum addcow_status addcow_map_chain(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_extent *extent,
                                    struct addcow_error *error)
{
    return map_request(disk, offset, length, extent, NULL, error);
}

enum addcow_status addcow_map_data(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_extent *extent,
                                   bool *data, struct addcow_error *error)
{
    return map_request(disk, offset, length, extent, data, error);
}

enum addcow_status addcow_flush(struct addcow *disk, struct addcow_error *error)
{
    if (disk->read_only) {
        return ADDCOW_OK;
    }
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    enum addcow_status code = addcow_disk_flush(disk, error);
    addcow_request_end(&disk->quiesce, stripe);
    return code;
}

/* ---- Operations on the whole disk ---- */

enum addcow_status addcow_resize(struct addcow *disk, uint64_t new_size, struct addcow_error *error)
{
    enum addcow_status code = check_writable(disk, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    if (new_size > ADDCOW_SIZE_MAX) {
        return addcow_fail(error, ADDCOW_RANGE, 0, "RSZ-09", "%s: a size of %" PRIu64 " is above 2^62", disk->file.path,
                           new_size);
    }
    addcow_quiesce_begin(&disk->quiesce);
    uint64_t old_size = sync_load_acquire(&disk->size);
    code = addcow_disk_resize(disk, old_size, new_size, error);
    addcow_quiesce_end(&disk->quiesce);
    return code;
}

enum addcow_status addcow_stream(struct addcow *disk, addcow_progress *progress, void *context,
                                 struct addcow_error *error)
{
    enum addcow_status code = check_writable(disk, error);
    return code == ADDCOW_OK ? addcow_disk_stream(disk, progress, context, error) : code;
}

enum addcow_status addcow_commit(struct addcow *disk, addcow_progress *progress, void *context,
                                 struct addcow_error *error)
{
    enum addcow_status code = check_writable(disk, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    if (!disk->metadata.backing_name) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "CMT-02", "%s: there is no backing file to commit into",
                           disk->file.path);
    }
    addcow_quiesce_begin(&disk->quiesce);
    code = addcow_disk_commit(disk, progress, context, error);
    addcow_quiesce_end(&disk->quiesce);
    return code;
}

/* ---- The handle ---- */

void addcow_get_info(struct addcow *disk, struct addcow_info *info)
{
    struct addcow_info found;
    unsigned stripe = addcow_request_begin(&disk->quiesce);
    addcow_disk_describe(disk, &found);
    addcow_request_end(&disk->quiesce, stripe);
    addcow_give(info, &found, sizeof found, ADDCOW_SIZE_TO(struct addcow_info, chain_depth));
}

uint64_t addcow_size(struct addcow *disk)
{
    return sync_load_acquire(&disk->size);
}

enum addcow_status addcow_close(struct addcow *disk, struct addcow_error *error)
{
    enum addcow_status code = addcow_flush(disk, error);
    enum addcow_status close_code = addcow_disk_close(disk, code == ADDCOW_OK ? error : NULL);
    return code != ADDCOW_OK ? code : close_code;
}

const char *addcow_version(void)
{
    return ADDCOW_VERSION;
}
