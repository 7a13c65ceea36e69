/* The production engine: what reaches the storage in which order, and what happens when the storage fails. */
#include "support.h"

#define CLUSTERS 16

static const struct disk_spec usual = {
    .size = CLUSTERS * 4096, .backing_name = "base.raw", .backing_size = 7 * 4096 + 5, .allocated = 6};

struct rig {
    struct probe *probe;
    struct addcow *disk;
    struct model model;
};

static struct rig make_rig(const struct disk_spec *spec)
{
    make_disk("disk", spec);
    struct rig rig = {.probe = make_probe(), .model = make_model(spec)};
    rig.disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &rig.probe->storage);
    rig.probe->count = 0;
    return rig;
}

static void free_rig(struct rig *rig)
{
    free_probe(rig->probe);
    free_model(&rig->model);
}

/* ---- Order ---- */

/*
 * DUR-03: no bitmap write without a sync of the image between it and the last change of the image before the flush. As
 * the flushes here are not beside writes, every change of the image precedes the flush.
 */
static void check_order(const struct probe *probe)
{
    bool image_dirty = false;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->file == 'i' && (event->kind == EVENT_WRITE || event->kind == EVENT_PUNCH)) {
            image_dirty = true;
        }
        if (event->file == 'i' && event->kind == EVENT_SYNC && event->result == 0) {
            image_dirty = false;
        }
        if (event->file == 'm' && event->kind == EVENT_WRITE) {
            assert_false(image_dirty);
        }
    }
}

/* DUR-12: what somebody else has left unsynced becomes durable when the disk is opened for writing, the image first. */
static void test_opening_syncs(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    for (int writable = 0; writable <= 1; writable++) {
        struct probe *probe = make_probe();
        struct addcow *disk =
            open_disk_on("disk.add-cow", writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY, &probe->storage);
        char synced[8] = {0};
        for (size_t i = 0, count = 0; i < probe->count && count < sizeof synced - 1; i++) {
            if (probe->events[i].kind == EVENT_SYNC) {
                synced[count++] = probe->events[i].file;
            }
        }
        assert_string_equal(synced, writable ? "im" : "");
        close_disk(disk);
        free_probe(probe);
    }
}

/* DUR-01 DUR-03 DUR-09 */
static void test_flush_order(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    write_both(rig.disk, &rig.model, 4096 * 3 + 10, 20, 3);
    zero_both(rig.disk, &rig.model, 4096 * 9, 8192, false);
    /* Before a flush nothing is written to the metadata file and nothing synced. */
    assert_int_equal(count_events(rig.probe, 0, EVENT_WRITE, 'm'), 0);
    assert_int_equal(count_events(rig.probe, 0, EVENT_SYNC, 'i') + count_events(rig.probe, 0, EVENT_SYNC, 'm'), 0);
    size_t start = rig.probe->count;
    assert_ok(addcow_flush(rig.disk, &reason));
    assert_int_equal(rig.probe->count - start, 3);
    assert_int_equal(rig.probe->events[start].kind, EVENT_SYNC);
    assert_int_equal(rig.probe->events[start].file, 'i');
    assert_int_equal(rig.probe->events[start + 1].kind, EVENT_WRITE);
    assert_int_equal(rig.probe->events[start + 1].file, 'm');
    assert_int_equal(rig.probe->events[start + 2].kind, EVENT_SYNC);
    assert_int_equal(rig.probe->events[start + 2].file, 'm');

    /* No bit to write: only the image. */
    write_both(rig.disk, &rig.model, 4096 * 3, 4096, 4);
    start = rig.probe->count;
    assert_ok(addcow_flush(rig.disk, &reason));
    assert_int_equal(rig.probe->count - start, 1);
    assert_int_equal(rig.probe->events[start].kind, EVENT_SYNC);
    assert_int_equal(rig.probe->events[start].file, 'i');
    write_both(rig.disk, &rig.model, 0, usual.size, 5);
    close_disk(rig.disk);
    check_order(rig.probe);
    compare_reopened("disk.add-cow", &rig.model);
    free_rig(&rig);
}

/* WR-05 SEC-02: requests stay within the disk and the files' lengths, and the backing file is only read. */
static void test_bounds(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.size = 9 * 4096 + 100;
    struct rig rig = make_rig(&spec);
    write_both(rig.disk, &rig.model, 6 * 4096 + 4000, 2 * 4096 + 195, 3);
    zero_both(rig.disk, &rig.model, 9 * 4096 + 50, 50, true);
    compare(rig.disk, &rig.model);
    close_disk(rig.disk);
    for (size_t i = 0; i < rig.probe->count; i++) {
        const struct event *event = &rig.probe->events[i];
        uint64_t length = event->file == 'i' ? spec.size : event->file == 'b' ? spec.backing_size : 4096 + 2;
        assert_true(event->offset + event->size <= length);
        assert_true(event->kind != EVENT_TRUNCATE);
        assert_true(event->file != 'b' || event->kind == EVENT_READ || event->kind == EVENT_CLOSE);
    }
    free_rig(&rig);
}

/* The path without a lock makes no system call but the transfer. */
static void test_no_needless_calls(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    uint8_t data[4096];
    assert_ok(addcow_read(rig.disk, 4096, 4096, data, &reason));
    rig.probe->count = 0;
    assert_ok(addcow_read(rig.disk, 2 * 4096, 4096, data, &reason));
    assert_ok(addcow_write(rig.disk, 2 * 4096, 4096, data, &reason));
    assert_int_equal(rig.probe->count, 2);
    /* A first write: one read of what is around, one write of the cluster. */
    assert_ok(addcow_write(rig.disk, 4 * 4096 + 10, 10, data, &reason));
    assert_int_equal(rig.probe->count, 4);
    assert_ok(addcow_write(rig.disk, 5 * 4096, 4096, data, &reason));
    assert_int_equal(rig.probe->count, 5);
    /* Of whole clusters, however many, too; and zeros are punched. */
    uint8_t clusters[2 * 4096] = {1};
    assert_ok(addcow_write(rig.disk, 6 * 4096, sizeof clusters, clusters, &reason));
    assert_int_equal(rig.probe->count, 6);
    assert_ok(addcow_zero(rig.disk, 8 * 4096, 3 * 4096, &reason));
    assert_int_equal(rig.probe->count, 7);
    assert_ok(addcow_zero(rig.disk, 12 * 4096, 4096, &reason));
    assert_int_equal(rig.probe->count, 8);
    assert_int_equal(count_events(rig.probe, 6, EVENT_PUNCH, 'i'), 2);
    close_disk(rig.disk);
    free_rig(&rig);
}

/* SEC-02 BMP-04: a bitmap that is not padded is as long as before when its last byte has been written, also behind a
 * whole block. */
static void test_bitmap_bounds(void **state)
{
    (void)state;
    const uint64_t clusters = 4096 * 8 + 16;
    struct disk_spec spec = {.layout = ADDCOW_R9, .size = 65536, .backing_name = "base.raw", .backing_size = 65536};
    make_disk("disk", &spec);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(clusters * 65536)), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), (off_t)(4096 + clusters / 8)), 0);
    struct addcow *disk = open_disk("disk.add-cow");
    uint8_t data[10] = {1};
    for (int last = 0; last < 2; last++) {
        assert_ok(addcow_write(disk, last ? (clusters - 1) * 65536 : 65536, sizeof data, data, &reason));
        assert_ok(addcow_flush(disk, &reason));
        assert_int_equal(file_length("disk.add-cow"), 4096 + clusters / 8);
    }
    close_disk(disk);
    uint8_t *bytes = load_file("disk.add-cow");
    assert_int_equal(bytes[4096], 2);
    assert_int_equal(bytes[4096 + clusters / 8 - 1], 0x80);
    free(bytes);
}

/* REQ-03 DUR-10: a disk that was opened read-only has nothing to flush, and changes nothing. */
static void test_read_only_flush(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, &probe->storage);
    probe->count = 0;
    assert_ok(addcow_flush(disk, &reason));
    close_disk(disk);
    for (size_t i = 0; i < probe->count; i++) {
        assert_int_equal(probe->events[i].kind, EVENT_CLOSE);
    }
    free_probe(probe);
}

/* ---- Failing syncs ---- */

/* What fails: all syncs of the file named by `context`. */
static int fail_sync(struct probe *probe, const struct event *event)
{
    return event->kind == EVENT_SYNC && event->file == *(const char *)probe->context ? -EIO : 0;
}

static int fail_metadata_write(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_WRITE && event->file == 'm' ? -ENOSPC : 0;
}

/* DUR-06: reported, and written again by the next flush. */
static void test_metadata_failures(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct rig rig = make_rig(&usual);
        write_both(rig.disk, &rig.model, 5 * 4096, 100, 3);
        char file = 'm';
        rig.probe->context = &file;
        rig.probe->decide = kind == 0 ? fail_sync : fail_metadata_write;
        for (int again = 0; again < 2; again++) {
            struct addcow_error error;
            assert_int_equal(addcow_flush(rig.disk, &error), kind == 0 ? ADDCOW_IO : ADDCOW_NOSPACE);
            assert_non_null(strstr(error.message, "disk.add-cow"));
            assert_int_equal(error.errnum, kind == 0 ? EIO : ENOSPC);
        }
        rig.probe->decide = NULL;
        size_t start = rig.probe->count;
        assert_ok(addcow_flush(rig.disk, &reason));
        assert_int_equal(count_events(rig.probe, start, EVENT_WRITE, 'm'), 1);
        compare(rig.disk, &rig.model);
        close_disk(rig.disk);
        compare_reopened("disk.add-cow", &rig.model);
        free_rig(&rig);
    }
}

/* DUR-07 DUR-10 ERR-03: final for this opening; nothing is ever written to the bitmap; reads and writes go on. */
static void test_image_sync_failure(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    write_both(rig.disk, &rig.model, 5 * 4096, 100, 3);
    char file = 'i';
    rig.probe->context = &file;
    rig.probe->decide = fail_sync;
    struct addcow_error error;
    assert_int_equal(addcow_flush(rig.disk, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.raw"));
    rig.probe->decide = NULL;
    write_both(rig.disk, &rig.model, 9 * 4096 + 7, 4096, 4);
    compare(rig.disk, &rig.model);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(addcow_flush(rig.disk, &error), ADDCOW_IO);
        assert_string_equal(error.clause, "DUR-07");
        assert_int_equal(error.errnum, EIO);
    }
    assert_int_equal(addcow_resize(rig.disk, 4096, NULL), ADDCOW_IO);
    assert_int_equal(addcow_resize(rig.disk, 80 * 4096, NULL), ADDCOW_IO);
    assert_int_equal(addcow_stream(rig.disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_int_equal(addcow_commit(rig.disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_int_equal(addcow_close(rig.disk, &error), ADDCOW_IO);
    assert_int_equal(count_events(rig.probe, 0, EVENT_WRITE, 'm'), 0);
    assert_int_equal(count_events(rig.probe, 0, EVENT_SYNC, 'i'), 1);
    free_rig(&rig);
}

/* DUR-10 */
static void test_close_flushes(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    write_both(rig.disk, &rig.model, 5 * 4096, 100, 3);
    rig.probe->decide = fail_metadata_write;
    struct addcow_error error;
    assert_int_equal(addcow_close(rig.disk, &error), ADDCOW_NOSPACE);
    assert_int_equal(count_events(rig.probe, 0, EVENT_CLOSE, 'm'), 1);
    assert_int_equal(count_events(rig.probe, 0, EVENT_CLOSE, 'i'), 1);
    assert_int_equal(count_events(rig.probe, 0, EVENT_CLOSE, 'b'), 1);
    free_rig(&rig);
}

static int fail_close(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_CLOSE && event->file == 'i' ? -EIO : 0;
}

/* ERR-01: also of closing. */
static void test_close_failure(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    rig.probe->decide = fail_close;
    struct addcow_error error;
    assert_int_equal(addcow_close(rig.disk, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.raw"));
    free_rig(&rig);
}

/* ---- Transfers ---- */

/* Cuts every transfer to some bytes, and interrupts every third call. */
static int stutter(struct probe *probe, const struct event *event)
{
    unsigned *calls = probe->context;
    ++*calls;
    if (*calls % 3 == 0 && event->kind != EVENT_CLOSE) {
        return -EINTR;
    }
    return event->kind == EVENT_READ || event->kind == EVENT_WRITE ? 1 + (int)(*calls * 389 % 1500) : 0;
}

/* ERR-04 */
static void test_short_transfers(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    unsigned calls = 0;
    rig.probe->context = &calls;
    rig.probe->decide = stutter;
    write_both(rig.disk, &rig.model, 4000, 3 * 4096, 3);
    zero_both(rig.disk, &rig.model, 9 * 4096 + 7, 9000, true);
    compare(rig.disk, &rig.model);
    assert_ok(addcow_flush(rig.disk, &reason));
    assert_ok(addcow_resize(rig.disk, usual.size - 5000, &reason));
    assert_ok(addcow_resize(rig.disk, usual.size, &reason));
    memset(rig.model.virt + usual.size - 5000, 0, 5000);
    rig.model.allocated[15] = 0;
    compare(rig.disk, &rig.model);
    assert_ok(addcow_stream(rig.disk, NULL, NULL, &reason));
    close_disk(rig.disk);
    memset(rig.model.allocated, 1, CLUSTERS);
    compare_reopened("disk.add-cow", &rig.model);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, &rig.probe->storage);
    compare(disk, &rig.model);
    close_disk(disk);
    free_rig(&rig);
}

static int cut_in_sector(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_READ || event->kind == EVENT_WRITE ? 700 : 0;
}

/* CON-02 ERR-04: a transfer that was cut inside a sector goes on from the sector's start. */
static void test_sectors_stay_whole(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    rig.probe->decide = cut_in_sector;
    write_both(rig.disk, &rig.model, 4096, 4096, 3);
    compare_range(rig.disk, &rig.model, 4096, 4096);
    for (size_t i = 0; i < rig.probe->count; i++) {
        if (rig.probe->events[i].file == 'i') {
            assert_int_equal(rig.probe->events[i].offset % 512, 0);
        }
    }
    rig.probe->decide = NULL;
    close_disk(rig.disk);
    free_rig(&rig);
}

/* ERR-04: files that became shorter are an error, never zeros, and the disk stays usable. */
static void test_vanished_bytes(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    uint8_t byte = 9, cluster[4096] = {0};
    assert_int_equal(truncate(in_directory("base.raw"), 4 * 4096), 0);
    struct addcow_error error;
    assert_int_equal(addcow_read(rig.disk, 5 * 4096, 1, &byte, &error), ADDCOW_IO);
    assert_string_equal(error.clause, "ERR-04");
    assert_non_null(strstr(error.message, "base.raw: at 20480"));
    assert_int_equal(addcow_write(rig.disk, 5 * 4096, 1, &byte, NULL), ADDCOW_IO);
    assert_ok(addcow_write(rig.disk, 5 * 4096, 4096, cluster, &reason));
    assert_int_equal(truncate(in_directory("disk.raw"), 2 * 4096), 0);
    assert_int_equal(addcow_read(rig.disk, 2 * 4096, 1, &byte, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.raw: at 8192"));
    assert_ok(addcow_read(rig.disk, 4096, 1, &byte, &reason));
    close_disk(rig.disk);
    free_rig(&rig);
}

/* ---- No punching ---- */

static int no_punch(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_PUNCH ? -EOPNOTSUPP : 0;
}

/* ZR-01 DC-01: where the storage cannot punch, zeros are written. */
static void test_without_punch(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.cluster_bits = 17;
    spec.size = 5 * 131072 + 7;
    struct rig rig = make_rig(&spec);
    rig.probe->decide = no_punch;
    zero_both(rig.disk, &rig.model, 100, spec.size - 200, true);
    compare(rig.disk, &rig.model);
    zero_both(rig.disk, &rig.model, 0, spec.size, false);
    compare(rig.disk, &rig.model);
    close_disk(rig.disk);
    compare_reopened("disk.add-cow", &rig.model);
    free_rig(&rig);
}

/* ---- Failing at the n-th I/O ---- */

struct countdown {
    size_t left;
    int errnum;
};

/* The n-th I/O fails, and only that. */
static int fail_once(struct probe *probe, const struct event *event)
{
    struct countdown *countdown = probe->context;
    if (event->kind == EVENT_CLOSE || countdown->left == SIZE_MAX) {
        return 0;
    }
    return countdown->left-- == 0 ? -countdown->errnum : 0;
}

/* Each sector of the range reads as before or as after, and everything else as before. Makes the model what was read.
 */
static void compare_old_or_new(struct rig *rig, uint64_t offset, const uint8_t *data, uint64_t length)
{
    uint8_t *now = allocate_bytes(rig->model.size);
    assert_ok(addcow_read(rig->disk, 0, rig->model.size, now, &reason));
    for (uint64_t start = 0; start < rig->model.size; start += 512) {
        uint64_t end = start + 512 < rig->model.size ? start + 512 : rig->model.size;
        bool old = true, new = true;
        for (uint64_t i = start; i < end; i++) {
            uint8_t written = i >= offset && i - offset < length ? data[i - offset] : rig->model.virt[i];
            old = old && now[i] == rig->model.virt[i];
            new = new && now[i] == written;
        }
        if (!old && !new) {
            fail_msg("sector at %" PRIu64 " is neither old nor new", start);
        }
    }
    memcpy(rig->model.virt, now, (size_t)rig->model.size);
    free(now);
}

/* ERR-01 ERR-02 ERR-03 ERR-05: a write over allocated and unallocated clusters, whichever I/O fails. */
static void test_write_failing(void **state)
{
    (void)state;
    uint64_t offset = 100, length = 8 * 4096;
    for (size_t n = 0;; n++) {
        struct rig rig = make_rig(&usual);
        struct countdown countdown = {.left = n, .errnum = n % 3 == 0 ? EIO : n % 3 == 1 ? ENOSPC : EDQUOT};
        rig.probe->context = &countdown;
        rig.probe->decide = fail_once;
        uint8_t *data = allocate_bytes(length);
        fill_pattern(data, 8, offset, length);
        struct addcow_error error;
        enum addcow_status code = addcow_write(rig.disk, offset, length, data, &error);
        rig.probe->decide = NULL;
        if (code == ADDCOW_OK) {
            assert_true(n > 5 && countdown.left != SIZE_MAX);
        } else {
            assert_int_equal(code, n % 3 == 0 ? ADDCOW_IO : ADDCOW_NOSPACE);
            assert_int_equal(error.errnum, countdown.errnum);
            assert_string_equal(error.clause, n % 3 == 0 ? "" : "ERR-05");
            assert_non_null(strstr(error.message, ": at "));
        }
        compare_old_or_new(&rig, offset, data, length);
        bool allocated;
        uint64_t run;
        assert_ok(addcow_map(rig.disk, 10 * 4096, 4096, &allocated, &run, &reason));
        assert_false(allocated);
        write_both(rig.disk, &rig.model, offset, length, 8);
        compare_range(rig.disk, &rig.model, 0, usual.size);
        close_disk(rig.disk);
        struct addcow *disk = open_disk("disk.add-cow");
        compare_range(disk, &rig.model, 0, usual.size);
        close_disk(disk);
        free(data);
        free_rig(&rig);
        if (code == ADDCOW_OK) {
            return;
        }
    }
}

/* ERR-01: a bitmap that cannot be read is an error for every request, not a status. */
static int fail_metadata_read(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_READ && event->file == 'm' ? -EIO : 0;
}

static void test_unreadable_bitmap(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    rig.probe->decide = fail_metadata_read;
    uint8_t byte = 1;
    bool allocated;
    uint64_t run;
    struct addcow_extent extent;
    struct addcow_error error;
    assert_int_equal(addcow_read(rig.disk, 0, 1, &byte, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.add-cow: at 4096"));
    assert_int_equal(addcow_write(rig.disk, 0, 1, &byte, NULL), ADDCOW_IO);
    assert_int_equal(addcow_zero(rig.disk, 0, 1, NULL), ADDCOW_IO);
    assert_int_equal(addcow_map(rig.disk, 0, 1, &allocated, &run, NULL), ADDCOW_IO);
    assert_int_equal(addcow_map_chain(rig.disk, 0, 1, &extent, NULL), ADDCOW_IO);
    assert_int_equal(addcow_stream(rig.disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_int_equal(addcow_commit(rig.disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_int_equal(addcow_resize(rig.disk, 4096, NULL), ADDCOW_IO);
    assert_int_equal(addcow_resize(rig.disk, 80 * 4096, NULL), ADDCOW_IO);
    rig.probe->decide = NULL;
    compare(rig.disk, &rig.model);
    close_disk(rig.disk);
    free_rig(&rig);
}

/* A storage that writes nothing and does not say why. */
static ssize_t write_nothing(struct addcow_file *file, const void *buffer, size_t size, uint64_t offset)
{
    (void)file, (void)buffer, (void)size, (void)offset;
    return 0;
}

static int open_idle(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                     struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    int result = probe_open(storage, path, mode, file);
    if (result == 0) {
        ops = *(*file)->ops;
        ops.pwrite = write_nothing;
        (*file)->ops = &ops;
    }
    return result;
}

/* ERR-04 ERR-05 */
static void test_writing_nothing(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct probe *probe = make_probe();
    probe->storage.ops = &(const struct addcow_storage_ops){.open = open_idle};
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    struct addcow_error error = {0};
    assert_int_equal(addcow_write(disk, 4096, 5, "write", &error), ADDCOW_IO);
    assert_int_equal(error.errnum, EIO);
    close_disk(disk);
    free_probe(probe);
}

/* ---- Closing ---- */

static int fail_closing(struct probe *probe, const struct event *event)
{
    return event->kind == EVENT_CLOSE && event->file == *(const char *)probe->context ? -EIO : 0;
}

/* ERR-01 DUR-10: whichever file fails to close, that is reported, and the others are closed too. */
static void test_close_failing(void **state)
{
    (void)state;
    for (const char *file = "mib"; *file; file++) {
        struct rig rig = make_rig(&usual);
        struct addcow_error error = {0};
        rig.probe->context = (void *)(uintptr_t)file;
        rig.probe->decide = fail_closing;
        assert_int_equal(addcow_close(rig.disk, &error), ADDCOW_IO);
        assert_int_equal(error.code, ADDCOW_IO);
        assert_int_equal(error.errnum, EIO);
        for (const char *each = "mib"; *each; each++) {
            assert_int_equal(count_events(rig.probe, 0, EVENT_CLOSE, *each), 1);
        }
        free_rig(&rig);
    }
}

/* ---- Opening ---- */

/* ERR-03 ERR-06: whichever I/O of an opening fails, nothing is changed and nothing stays locked. */
static void test_open_failing(void **state)
{
    (void)state;
    make_disk("low", &usual);
    make_disk("disk", &(struct disk_spec){.cluster_bits = 16, /* a header that is not read at once */
                                          .size = 8 * 4096,
                                          .backing_name = "low.add-cow",
                                          .backing_format = "add-cow"});
    for (size_t n = 0;; n++) {
        struct probe *probe = make_probe();
        struct countdown countdown = {.left = n, .errnum = EIO};
        probe->context = &countdown;
        probe->decide = fail_once;
        struct addcow *disk = NULL;
        struct addcow_error error = {0};
        enum addcow_status code =
            addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READWRITE, &probe->storage, &disk, &error);
        size_t writes = count_events(probe, 0, EVENT_WRITE, 'm') + count_events(probe, 0, EVENT_WRITE, 'i') +
                        count_events(probe, 0, EVENT_WRITE, 'b');
        assert_int_equal(writes, 0);
        probe->decide = NULL;
        if (code == ADDCOW_OK) {
            close_disk(disk);
        } else {
            assert_int_equal(code, ADDCOW_IO);
        }
        free_probe(probe);
        close_disk(open_disk("disk.add-cow"));
        close_disk(open_disk("low.add-cow"));
        if (code == ADDCOW_OK) {
            return;
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_opening_syncs),      TEST(test_flush_order),        TEST(test_read_only_flush),
        TEST(test_close_failing),      TEST(test_writing_nothing),    TEST(test_bounds),
        TEST(test_no_needless_calls),  TEST(test_bitmap_bounds),      TEST(test_metadata_failures),
        TEST(test_image_sync_failure), TEST(test_close_flushes),      TEST(test_close_failure),
        TEST(test_short_transfers),    TEST(test_sectors_stay_whole), TEST(test_vanished_bytes),
        TEST(test_without_punch),      TEST(test_write_failing),      TEST(test_unreadable_bitmap),
        TEST(test_open_failing),
    };
    return cmocka_run_group_tests_name("fast, durability and failures", tests, NULL, NULL);
}
