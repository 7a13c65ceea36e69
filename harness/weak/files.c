/*
 * Files in memory, as part of the memory model.
 *
 * Each sector of a file, and its length, is a relaxed location. So a read that nothing orders after a write may return
 * what was there before, and two reads may see two writes in different orders. The system promises more than that, but
 * the engine relies on no more. A sector is read and written as a whole; a write of a part of one is a
 * read-modify-write.
 *
 * Files are made before the threads begin. Syncs order nothing. They are noted, to judge what is written to a bitmap:
 * the first data of a cluster must be ordered before a sync of the image that is ordered before the write of its bit
 * (DUR-03).
 */
#include "weak/heap.h"
#include "weak/run.h"

#include "addcow_storage.h"
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR 512u
#define SECTORS 64u
#define CONTENTS 65536u
#define FILES 8u
#define SYNCS 64u
#define NAME_BYTES 32u
#define PLACE __builtin_return_address(0)

struct content {
    uint8_t bytes[SECTOR];
};

/* All that is in files lies in the heap of the program, and is restored with it. */
struct file_data {
    char name[NAME_BYTES];
    char sectors[2 * NAME_BYTES]; /* what timelines call them */
    char length_name[2 * NAME_BYTES];
    uint64_t length;
    uint64_t cells[SECTORS]; /* numbers of contents */
    struct {
        unsigned thread;
        uint16_t number;
        struct weak_clock clock;
    } syncs[SYNCS];
    unsigned sync_count;
};

struct opened {
    struct addcow_file base;
    struct file_data *data;
};

struct directory {
    struct file_data *files[FILES];
    unsigned count;
    /* The bitmap that is judged, its offset in the file, and the image of its clusters. */
    struct file_data *bitmap;
    uint64_t bitmap_offset;
    struct file_data *image;
    uint64_t cluster_size;
};

static struct addcow_storage storage;
static struct directory *directory;
static struct content contents[CONTENTS]; /* number 0: zeros */
static uint32_t content_count = 1;

/* What a thread puts into a sector. */
static struct patch {
    size_t from, size;
    const uint8_t *bytes; /* null: zeros */
} patches[WEAK_THREADS];

/* ---- Contents ---- */

static uint64_t number_of(const struct content *content)
{
    for (uint32_t i = 0; i < content_count; i++) {
        if (memcmp(&contents[i], content, sizeof *content) == 0) {
            return i;
        }
    }
    if (content_count == CONTENTS) {
        report_fatal("weak memory: files have too many different sectors");
    }
    contents[content_count] = *content;
    return content_count++;
}

static uint64_t update_sector(uint64_t old, uint64_t operand)
{
    const struct patch *patch = &patches[operand];
    struct content content = contents[old];
    if (patch->bytes != NULL) {
        memcpy(content.bytes + patch->from, patch->bytes, patch->size);
    } else {
        memset(content.bytes + patch->from, 0, patch->size);
    }
    return number_of(&content);
}

/* ---- Transfers ---- */

static struct file_data *data_of(struct addcow_file *file)
{
    return ((struct opened *)file)->data;
}

/* Writes to one sector; zeros if `bytes` is null. */
static void write_sector(struct file_data *data, uint64_t sector, size_t from, size_t size, const uint8_t *bytes,
                         const void *place)
{
    unsigned self = weak_self();
    patches[self] = (struct patch){.from = from, .size = size, .bytes = bytes};
    if (size == SECTOR) {
        weak_do_store_cell(&data->cells[sector], update_sector(0, self), place);
    } else {
        weak_do_update_cell(&data->cells[sector], update_sector, self, place);
    }
}

static void write_range(struct file_data *data, const uint8_t *bytes, uint64_t size, uint64_t offset, const void *place)
{
    for (uint64_t at = offset, part; at < offset + size; at += part) {
        size_t from = (size_t)(at % SECTOR);
        part = SECTOR - from < offset + size - at ? SECTOR - from : offset + size - at;
        write_sector(data, at / SECTOR, from, (size_t)part, bytes != NULL ? bytes + (at - offset) : NULL, place);
    }
}

static ssize_t file_pread(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    struct file_data *data = data_of(file);
    const void *place = PLACE;
    weak_do_plain(buffer, size, WEAK_PLAIN_WRITE, place);
    uint64_t length = weak_do_load_cell(&data->length, place);
    uint64_t end = offset >= length ? offset : length - offset < size ? length : offset + size;
    for (uint64_t at = offset, part; at < end; at += part) {
        size_t from = (size_t)(at % SECTOR);
        part = SECTOR - from < end - at ? SECTOR - from : end - at;
        uint64_t number = weak_do_load_cell(&data->cells[at / SECTOR], place);
        memcpy((uint8_t *)buffer + (at - offset), contents[number].bytes + from, (size_t)part);
    }
    return (ssize_t)(end - offset);
}

/* ---- Judging a bitmap ---- */

static bool is_synced(const struct file_data *image, const struct weak_event *event, const struct weak_clock *clock)
{
    for (unsigned i = 0; i < image->sync_count; i++) {
        bool before = image->syncs[i].number <= clock->at[image->syncs[i].thread];
        if (before && weak_precedes(event, &image->syncs[i].clock)) {
            return true;
        }
    }
    return false;
}

/* Every sector of the cluster that was written first has been synced. */
static void judge_cluster(uint64_t cluster)
{
    const struct file_data *image = directory->image;
    const struct weak_clock *clock = weak_thread_clock(weak_self());
    for (uint64_t i = 0; i < directory->cluster_size / SECTOR; i++) {
        uint32_t location = weak_location_find(&image->cells[cluster * (directory->cluster_size / SECTOR) + i]);
        if (location == WEAK_NONE || weak_store_count(location) == 1) {
            continue;
        }
        const struct weak_event *first = weak_event_at(weak_store_at(weak_second_store(location))->event);
        if (!is_synced(image, first, clock)) {
            weak_fail("DUR-03: the bit of cluster %" PRIu64
                      " goes into the file; nothing orders a sync of the image after "
                      "the cluster's data, which thread %u wrote, and before that",
                      cluster, first->thread);
        }
    }
}

static void judge_bitmap(const struct file_data *data, const uint8_t *bytes, uint64_t size, uint64_t offset)
{
    if (directory->bitmap != data || !weak_running()) {
        return;
    }
    for (uint64_t i = 0; i < 8 * size; i++) {
        if (offset + i / 8 >= directory->bitmap_offset && (bytes[i / 8] >> i % 8 & 1) != 0) {
            judge_cluster(8 * (offset - directory->bitmap_offset) + i);
        }
    }
}

static ssize_t file_pwrite(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    struct file_data *data = data_of(file);
    const void *place = PLACE;
    if (offset + size > (uint64_t)SECTORS * SECTOR) {
        return -EFBIG;
    }
    weak_do_plain(buffer, size, WEAK_PLAIN_READ, place);
    judge_bitmap(data, buffer, size, offset);
    write_range(data, buffer, size, offset, place);
    if (weak_do_load_cell(&data->length, place) < offset + size) {
        weak_do_store_cell(&data->length, offset + size, place);
    }
    return (ssize_t)size;
}

/* ---- The rest of a file ---- */

static int file_sync(struct addcow_file *file)
{
    struct file_data *data = data_of(file);
    if (!weak_running()) {
        return 0;
    }
    if (data->sync_count == SYNCS) {
        report_fatal("weak memory: too many syncs in one execution");
    }
    const struct weak_clock *clock = weak_thread_clock(weak_self());
    data->syncs[data->sync_count].thread = weak_self();
    data->syncs[data->sync_count].number = clock->at[weak_self()];
    data->syncs[data->sync_count++].clock = *clock;
    return 0;
}

static int file_length(struct addcow_file *file, uint64_t *length)
{
    *length = weak_do_load_cell(&data_of(file)->length, PLACE);
    return 0;
}

static int file_truncate(struct addcow_file *file, uint64_t length)
{
    struct file_data *data = data_of(file);
    const void *place = PLACE;
    if (length > (uint64_t)SECTORS * SECTOR) {
        return -EFBIG;
    }
    uint64_t old = weak_do_load_cell(&data->length, place);
    weak_do_store_cell(&data->length, length, place);
    if (length < old) {
        write_range(data, NULL, old - length, length, place);
    }
    return 0;
}

static int file_punch(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    write_range(data_of(file), NULL, size, offset, PLACE);
    return 0;
}

static int file_lock(struct addcow_file *file, int exclusive)
{
    (void)file;
    (void)exclusive;
    return 0;
}

static int file_identity(struct addcow_file *file, struct addcow_identity *identity)
{
    *identity = (struct addcow_identity){.device = 1, .inode = (uint64_t)(uintptr_t)data_of(file)};
    return 0;
}

static int file_close(struct addcow_file *file)
{
    weak_heap_free(file);
    return 0;
}

static const struct addcow_file_ops file_ops = {
    .struct_size = sizeof file_ops,
    .pread = file_pread,
    .pwrite = file_pwrite,
    .sync = file_sync,
    .length = file_length,
    .truncate = file_truncate,
    .punch = file_punch,
    .lock = file_lock,
    .identity = file_identity,
    .close = file_close,
};

/* ---- The directory ---- */

static struct file_data *find(const char *name)
{
    for (unsigned i = 0; i < directory->count; i++) {
        if (strcmp(directory->files[i]->name, name) == 0) {
            return directory->files[i];
        }
    }
    return NULL;
}

static struct file_data *make(const char *name)
{
    struct file_data *data = weak_heap_allocate(WEAK_OUTSIDE, sizeof *data);
    if (weak_running() || data == NULL || directory->count == FILES || strlen(name) >= NAME_BYTES) {
        report_fatal("weak memory: %s cannot be made", name);
    }
    memset(data, 0, sizeof *data);
    strcpy(data->name, name);
    snprintf(data->sectors, sizeof data->sectors, "%s sector", name);
    snprintf(data->length_name, sizeof data->length_name, "length of %s", name);
    directory->files[directory->count++] = data;
    weak_name_items(data->cells, sizeof data->cells, sizeof data->cells[0], data->sectors);
    weak_name(&data->length, sizeof data->length, data->length_name);
    return data;
}

static int storage_open(struct addcow_storage *self, const char *path, enum addcow_open_mode mode,
                        struct addcow_file **file)
{
    (void)self;
    struct file_data *data = find(path);
    if (mode == ADDCOW_FILE_CREATE ? data != NULL : data == NULL) {
        return mode == ADDCOW_FILE_CREATE ? -EEXIST : -ENOENT;
    }
    struct opened *opened = weak_heap_allocate(weak_running() ? weak_self() : WEAK_OUTSIDE, sizeof *opened);
    *opened = (struct opened){.base = {&file_ops}, .data = data != NULL ? data : make(path)};
    *file = &opened->base;
    return 0;
}

static int storage_remove(struct addcow_storage *self, const char *path)
{
    (void)self;
    for (unsigned i = 0; i < directory->count; i++) {
        if (strcmp(directory->files[i]->name, path) == 0) {
            directory->files[i] = directory->files[--directory->count];
            return 0;
        }
    }
    return -ENOENT;
}

static int storage_rename(struct addcow_storage *self, const char *from, const char *to, int replace)
{
    struct file_data *data = find(from);
    if (data == NULL || (find(to) != NULL && !replace) || strlen(to) >= NAME_BYTES) {
        return data == NULL ? -ENOENT : -EEXIST;
    }
    storage_remove(self, to);
    strcpy(data->name, to);
    return 0;
}

struct addcow_storage *weak_storage(void)
{
    static const struct addcow_storage_ops ops = {
        .struct_size = sizeof ops, .open = storage_open, .remove = storage_remove, .rename = storage_rename};
    storage.ops = &ops;
    directory = weak_heap_allocate(WEAK_OUTSIDE, sizeof *directory);
    memset(directory, 0, sizeof *directory);
    return &storage;
}

void weak_put(const char *name, const uint8_t *bytes, uint64_t length)
{
    struct file_data *data = make(name);
    write_range(data, bytes, length, 0, NULL);
    data->length = length;
}

void weak_judge_bitmap(const char *metadata, uint64_t offset, const char *image, uint64_t cluster_size)
{
    directory->bitmap = find(metadata);
    directory->bitmap_offset = offset;
    directory->image = find(image);
    directory->cluster_size = cluster_size;
}
