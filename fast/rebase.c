/*
 * Rebase: another backing file, or none, under a disk that reads the same.
 *
 * The order makes it safe (RBS-03). First all is judged: the new header is encoded and decoded, and the new chain is
 * opened, as opening the new disk would do it. Then every unallocated cluster that would read differently is allocated,
 * with what the disk reads as. That changes nothing for a reader, so it may end at any point. A flush makes these
 * clusters and bits durable. Only then the header changes.
 *
 * The header must change at once, and only the write of one sector does. So old and new header must differ within one
 * sector; names that are so long that they do not are refused before anything is written.
 *
 * With `header_only` nothing is compared, and neither the old nor the new backing file is opened (RBS-05).
 */
#include "addcow_disk.h"
#include "addcow_links.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct rebase {
    const char *path;
    const struct addcow_rebase_options *options;
    struct addcow_storage *storage;
    addcow_progress *progress;
    void *context;
    struct addcow *disk;
    struct addcow_header_bytes old_bytes;
    struct addcow_header_bytes new_bytes;
    struct addcow_metadata metadata; /* decoded from new_bytes */
    uint64_t sector;                 /* the offset of the one in which they differ; 0: perhaps in none */
    struct addcow *new_disk;         /* the new backing file, if it is a disk */
    struct addcow_io new_raw;        /* or if it is raw */
    uint64_t new_length;             /* its length; 0: there is none */
    uint8_t *old_data;               /* of a step */
    uint8_t *new_data;
    struct addcow_checkpoints checkpoints;
};

/* Opens a disk as the options say. */
static enum addcow_status open_disk(const struct rebase *rebase, const char *path, enum addcow_open_flags flags,
                                    struct addcow **disk, struct addcow_error *error)
{
    enum addcow_open_flags direct = rebase->options->open_flags == ADDCOW_OPEN_DIRECT ? ADDCOW_OPEN_DIRECT : 0;
    return addcow_open(path, flags | direct, rebase->storage, disk, error);
}

/* ---- The new header ---- */

static enum addcow_status check_options(const struct rebase *rebase, struct addcow_error *error)
{
    const struct addcow_rebase_options *options = rebase->options;
    const struct addcow_header *header = &rebase->disk->metadata.header;
    const char *format = options->backing_format;
    bool known = format && (strcmp(format, "raw") == 0 || strcmp(format, "add-cow") == 0);
    if (options->backing_name && !known) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "LNK-04", "%s: the backing format is neither raw nor add-cow",
                           rebase->path);
    }
    if (header->layout == ADDCOW_R9 && (!options->backing_name || strcmp(format, "raw") != 0)) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "HR9-08", "%s: layout r9 needs a raw backing file",
                           rebase->path);
    }
    size_t backing = options->backing_name ? strlen(options->backing_name) : 0;
    size_t image = strlen(rebase->disk->metadata.image_name);
    size_t room = header->header_size - ADDCOW_NAMES_OFFSET;
    bool fits = header->layout == ADDCOW_R9 ? backing < ADDCOW_R9_NAME_SIZE : image <= room && backing <= room - image;
    if (fits) {
        return ADDCOW_OK;
    }
    return addcow_fail(error, ADDCOW_RANGE, 0, "RBS-02", "%s: the name of the backing file is too long for the header",
                       rebase->path);
}

/* The header of now with the new backing file, everything else kept (HDR-21). */
static void describe_header(const struct rebase *rebase, struct addcow_header *header)
{
    const struct addcow_rebase_options *options = rebase->options;
    *header = rebase->disk->metadata.header;
    header->backing_size = options->backing_name ? (uint32_t)strlen(options->backing_name) : 0;
    addcow_place_names(header);
    memset(header->backing_format, 0, ADDCOW_FORMAT_SIZE);
    if (options->backing_name) {
        memcpy(header->backing_format, options->backing_format, strlen(options->backing_format));
    }
}

/* Finds the one sector in which the headers differ. */
static enum addcow_status find_sector(struct rebase *rebase, struct addcow_error *error)
{
    bool found = false;
    for (uint64_t at = 0; at < rebase->new_bytes.count; at += ADDCOW_SECTOR) {
        if (memcmp(rebase->old_bytes.data + at, rebase->new_bytes.data + at, ADDCOW_SECTOR) == 0) {
            continue;
        }
        if (found) {
            return addcow_fail(error, ADDCOW_RANGE, 0, "RBS-02",
                               "%s: the names in the header are too long to be changed in one sector", rebase->path);
        }
        rebase->sector = at;
        found = true;
    }
    return ADDCOW_OK;
}

/* Encodes the new header and decodes it as open would. */
static enum addcow_status make_header(struct rebase *rebase, struct addcow_error *error)
{
    struct addcow *disk = rebase->disk;
    enum addcow_status code = check_options(rebase, error);
    if (code == ADDCOW_OK) {
        code = addcow_header_read(&disk->file, &rebase->old_bytes, error);
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    struct addcow_header header;
    describe_header(rebase, &header);
    struct addcow_header_bytes *bytes = &rebase->new_bytes;
    bytes->count = header.header_size;
    bytes->file_length = rebase->old_bytes.file_length;
    bytes->data = calloc(1, header.header_size);
    if (!bytes->data) {
        return addcow_fail_memory(error, rebase->path);
    }
    enum addcow_rule rule = addcow_encode(&header, (const uint8_t *)rebase->options->backing_name,
                                          (const uint8_t *)disk->metadata.image_name, bytes->data, header.header_size);
    if (rule != ADDCOW_RULE_NONE) {
        return addcow_fail_rule(error, rebase->path, rule);
    }
    code = addcow_metadata_decode(&disk->file, bytes, &rebase->metadata, error);
    return code == ADDCOW_OK ? find_sector(rebase, error) : code;
}

/* ---- The new backing file ---- */

/* Refuses a chain that open would refuse under this disk. Before it is opened: it could hold files of the disk. */
static enum addcow_status check_chain(const struct rebase *rebase, struct addcow_error *error)
{
    struct addcow_identities identities = {0};
    enum addcow_status code = addcow_identities_add(&identities, &rebase->disk->file, error);
    if (code == ADDCOW_OK) {
        code = addcow_identities_add(&identities, &rebase->disk->image, error);
    }
    return code == ADDCOW_OK ? addcow_links_add_backing(rebase->storage, &rebase->metadata, &identities, error) : code;
}

static enum addcow_status open_new_backing(struct rebase *rebase, struct addcow_error *error)
{
    const char *path = rebase->metadata.backing_path;
    if (!path) {
        return ADDCOW_OK;
    }
    enum addcow_status code = check_chain(rebase, error);
    if (code == ADDCOW_OK && addcow_backing_is_addcow(&rebase->metadata.header)) {
        code = open_disk(rebase, path, ADDCOW_OPEN_READONLY, &rebase->new_disk, error);
        rebase->new_length = code == ADDCOW_OK ? addcow_size(rebase->new_disk) : 0;
        return code;
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_open(rebase->storage, path, ADDCOW_FILE_READ, &rebase->new_raw, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_io_hold_data(rebase->storage, &rebase->new_raw, false, error);
    }
    if (code == ADDCOW_OK) {
        code = addcow_disk_bypass_cache(rebase->disk, &rebase->new_raw, error);
    }
    return code == ADDCOW_OK ? addcow_io_length(&rebase->new_raw, &rebase->new_length, error) : code;
}

/* Reads what the disk would read as from the new backing file. */
static enum addcow_status read_new(const struct rebase *rebase, uint64_t offset, uint64_t length,
                                   struct addcow_error *error)
{
    uint64_t available = offset < rebase->new_length ? rebase->new_length - offset : 0;
    uint64_t part = length < available ? length : available;
    memset(rebase->new_data + part, 0, (size_t)(length - part));
    if (part == 0) {
        return ADDCOW_OK;
    }
    return rebase->new_disk ? addcow_read(rebase->new_disk, offset, part, rebase->new_data, error)
                            : addcow_io_read(&rebase->new_raw, rebase->new_data, part, offset, error);
}

/* Like addcow_backing_zeros_end, of the new backing file. */
static uint64_t new_zeros_end(const struct rebase *rebase, uint64_t offset)
{
    uint64_t end = offset;
    if (offset < rebase->new_length) {
        end = rebase->new_disk ? offset : addcow_io_hole_end(&rebase->new_raw, offset);
    }
    return end < rebase->new_length ? end : UINT64_MAX;
}

/* ---- Copying ---- */

static uint64_t step_bytes(const struct addcow *disk)
{
    uint64_t cluster_size = addcow_disk_cluster_size(disk);
    return cluster_size > REBASE_STEP_BYTES ? cluster_size : REBASE_STEP_BYTES;
}

/* Allocates those of the unallocated clusters [start, end) whose contents, in the two buffers, differ. */
static enum addcow_status allocate_changed(struct rebase *rebase, uint64_t start, uint64_t end,
                                           struct addcow_error *error)
{
    uint64_t cluster_size = addcow_disk_cluster_size(rebase->disk);
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t offset = start; offset < end && code == ADDCOW_OK; offset += cluster_size) {
        uint64_t length = end - offset < cluster_size ? end - offset : cluster_size;
        const uint8_t *data = rebase->old_data + (offset - start);
        if (memcmp(data, rebase->new_data + (offset - start), (size_t)length) != 0) {
            const uint8_t *put = addcow_all_zero(data, length) ? NULL : data;
            code = addcow_disk_write(rebase->disk, offset, length, put, error);
            rebase->checkpoints.copied += length;
        }
    }
    return code;
}

/* Compares the unallocated clusters [start, limit), or the first of them. *end is how far it got. */
static enum addcow_status compare_some(struct rebase *rebase, uint64_t start, uint64_t limit, uint64_t *end,
                                       struct addcow_error *error)
{
    struct addcow *disk = rebase->disk;
    uint64_t old_zeros = addcow_backing_zeros_end(disk, start);
    uint64_t new_zeros = new_zeros_end(rebase, start);
    uint64_t zeros = old_zeros < new_zeros ? old_zeros : new_zeros;
    zeros = zeros >= limit ? limit : zeros - zeros % addcow_disk_cluster_size(disk);
    if (zeros > start) {
        *end = zeros;
        return ADDCOW_OK;
    }
    *end = limit - start < step_bytes(disk) ? limit : start + step_bytes(disk);
    enum addcow_status code = addcow_disk_read_backing(disk, start, *end - start, rebase->old_data, error);
    if (code == ADDCOW_OK) {
        code = read_new(rebase, start, *end - start, error);
    }
    return code == ADDCOW_OK ? allocate_changed(rebase, start, *end, error) : code;
}

/* Advances *position by one step. */
static enum addcow_status step(struct rebase *rebase, uint64_t *position, uint64_t size, struct addcow_error *error)
{
    struct addcow *disk = rebase->disk;
    uint64_t first = *position >> disk->cluster_bits;
    uint64_t limit = disk->bitmap.cluster_count;
    limit = limit - first > STEP_CLUSTERS_MAX ? first + STEP_CLUSTERS_MAX : limit;
    bool allocated;
    uint64_t run_end;
    enum addcow_status code = addcow_bitmap_run(disk, first, limit, &allocated, &run_end, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    uint64_t end = run_end << disk->cluster_bits;
    end = end < size ? end : size;
    if (!allocated) {
        code = compare_some(rebase, *position, end, &end, error);
    }
    addcow_io_begin_sync(&disk->image, *position, end);
    *position = end;
    return code == ADDCOW_OK ? addcow_disk_checkpoint(disk, &rebase->checkpoints, error) : code;
}

/* Allocates all that would read differently, durably. */
static enum addcow_status copy_changed(struct rebase *rebase, struct addcow_error *error)
{
    uint64_t size = sync_load_acquire(&rebase->disk->size);
    rebase->old_data = malloc((size_t)step_bytes(rebase->disk));
    rebase->new_data = malloc((size_t)step_bytes(rebase->disk));
    if (!rebase->old_data || !rebase->new_data) {
        return addcow_fail_memory(error, rebase->path);
    }
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t position = 0; position < size && code == ADDCOW_OK;) {
        code = step(rebase, &position, size, error);
        if (code == ADDCOW_OK) {
            code = addcow_disk_report_progress(rebase->disk, rebase->progress, rebase->context, position, size, error);
        }
    }
    if (code != ADDCOW_OK) {
        return code;
    }
    /* Also bits that were set before: an earlier rebase may have written them, and failed to sync them. */
    addcow_bitmap_touch_all(rebase->disk);
    return addcow_disk_flush(rebase->disk, error);
}

/* ---- The whole ---- */

/* Even if the header is the new one already: the sync of the one that wrote it may have failed. */
static enum addcow_status write_header(const struct rebase *rebase, struct addcow_error *error)
{
    const struct addcow_io *file = &rebase->disk->file;
    enum addcow_status code =
        addcow_io_write(file, rebase->new_bytes.data + rebase->sector, ADDCOW_SECTOR, rebase->sector, error);
    return code == ADDCOW_OK ? addcow_io_sync(file, error) : code;
}

static enum addcow_status run(struct rebase *rebase, struct addcow_error *error)
{
    enum addcow_status code = make_header(rebase, error);
    if (code == ADDCOW_OK && !rebase->options->header_only) {
        code = open_new_backing(rebase, error);
    }
    if (code == ADDCOW_OK && !rebase->options->header_only && !addcow_disk_all_allocated(rebase->disk)) {
        code = copy_changed(rebase, error);
    }
    return code == ADDCOW_OK ? write_header(rebase, error) : code;
}

/* Closes everything, and reports the first failure if there was none before. */
static enum addcow_status finish(struct rebase *rebase, enum addcow_status code, struct addcow_error *error)
{
    enum addcow_status closed = addcow_io_close(&rebase->new_raw, code == ADDCOW_OK ? error : NULL);
    code = code != ADDCOW_OK ? code : closed;
    if (rebase->new_disk) {
        closed = addcow_close(rebase->new_disk, code == ADDCOW_OK ? error : NULL);
        code = code != ADDCOW_OK ? code : closed;
    }
    closed = addcow_close(rebase->disk, code == ADDCOW_OK ? error : NULL);
    addcow_metadata_free(&rebase->metadata);
    free(rebase->old_bytes.data);
    free(rebase->new_bytes.data);
    free(rebase->old_data);
    free(rebase->new_data);
    return code != ADDCOW_OK ? code : closed;
}

enum addcow_status addcow_rebase(const char *path, const struct addcow_rebase_options *options,
                                 struct addcow_storage *storage, addcow_progress *progress, void *context,
                                 struct addcow_error *error)
{
    assert(path && options);
    struct addcow_rebase_options known = {0};
    if (!addcow_take(&known, options, sizeof known) || (known.open_flags & ~(uint64_t)ADDCOW_OPEN_DIRECT) != 0) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, EINVAL, "",
                           "%s: the options have no struct_size, or are of a newer version", path);
    }
    struct rebase rebase = {
        .path = path,
        .options = &known,
        .storage = storage ? storage : addcow_posix_storage(),
        .progress = progress,
        .context = context,
        .checkpoints = {.distance = CHECKPOINT_BYTES},
    };
    enum addcow_status code = known.header_only ? addcow_disk_open_alone(path, rebase.storage, &rebase.disk, error)
                                                : open_disk(&rebase, path, ADDCOW_OPEN_READWRITE, &rebase.disk, error);
    return code == ADDCOW_OK ? finish(&rebase, run(&rebase, error), error) : code;
}
