/* The production engine: the order and number of syncs and writes, and syncs that fail. */
#include "engine/rig.h"

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

/* Every shape of disk: layouts, flags, a chain, partial ends, no backing file, no cluster. */
static const struct disk_spec shapes[] = {
    {.size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = 5 * 4096 + 1234, .allocated = 0x106},
    {.size = 10 * 4096, .backing_name = "base.raw", .backing_size = 20 * 4096},
    {.size = 10 * 4096 + 777, .allocated = 0x106},
    {.size = 10 * 4096 + 777, .allocated = 0x7FF, .compatible = ADDCOW_ALL_ALLOCATED},
    {.size = 10 * 4096 + 777,
     .backing_name = "base.raw",
     .backing_size = 4096,
     .compatible = ADDCOW_ALL_ALLOCATED | (uint64_t)1 << 63},
    {.size = 10 * 4096, .backing_name = "base.raw", .backing_size = 4096, .allocated = 0x3FF},
    {.size = 300000, .layout = ADDCOW_R9, .backing_name = "base.raw", .backing_size = 100000, .allocated = 2},
    {.size = 300000, .layout = ADDCOW_R9, .backing_name = "base.raw", .backing_size = 0, .allocated = 0x1F},
    {.size = 10 * 4096, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 1},
    {.size = 10 * 4096, .backing_name = "low.add-cow", .backing_format = "add-cow", .compatible = ADDCOW_ALL_ALLOCATED},
    {.size = 0},
    {.size = 3, .cluster_bits = 21, .backing_name = "base.raw", .backing_size = 2},
};

#define SHAPES (sizeof shapes / sizeof shapes[0])

static void make_shape(const struct disk_spec *shape)
{
    make_disk("low", &(struct disk_spec){.size = 9 * 4096 + 5, .allocated = 3, .backing_name = "base.raw"});
    make_disk("disk", shape);
}

/* The files that were synced from an event on, in this order, as they are named in struct event. */
static void list_syncs(const struct probe *probe, size_t from, char synced[8])
{
    size_t count = 0;
    memset(synced, 0, 8);
    for (size_t i = from; i < probe->count && count < 7; i++) {
        if (probe->events[i].kind == EVENT_SYNC) {
            synced[count++] = probe->events[i].file;
        }
    }
}

/* DUR-12: what somebody else has left unsynced becomes durable when the disk is opened for writing, the image first. */
static void test_opening_syncs(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SHAPES; i++) {
        bool writable = i % 2 == 1;
        char synced[8];
        make_shape(&shapes[i / 2]);
        struct probe *probe = make_probe();
        struct addcow *disk =
            open_disk_on("disk.add-cow", writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY, &probe->storage);
        list_syncs(probe, 0, synced);
        assert_string_equal(synced, writable ? "im" : "");
        close_disk(disk);
        free_probe(probe);
    }
}

/* DUR-01 DUR-09: a flush syncs the image of every shape, with and without a write before, and so does closing. */
static void test_flush_syncs(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        char synced[8];
        make_shape(&shapes[i]);
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        for (int round = 0; round < 3; round++) {
            uint64_t size = addcow_size(disk);
            if (round > 0 && size > 0) {
                assert_ok(addcow_write(disk, size - 1, 1, "x", &reason));
            }
            size_t from = probe->count;
            assert_ok(addcow_flush(disk, &reason));
            list_syncs(probe, from, synced);
            assert_int_equal(synced[0], 'i');
        }
        size_t from = probe->count;
        close_disk(disk);
        list_syncs(probe, from, synced);
        assert_int_equal(synced[0], 'i');
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
    assert_ok(addcow_zero(rig.disk, 12 * 4096, 4096, &reason));
    assert_int_equal(count_events(rig.probe, 6, EVENT_PUNCH, 'i'), 2);
    assert_int_equal(rig.probe->count, LIBRARY_KNOWS_HOLES ? 8 : 10); /* a punch that is refused, then a write */
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
            struct addcow_error error = ADDCOW_ERROR_INIT;
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

/* DUR-07 DUR-10 ERR-03: final for this opening; nothing is ever written to the bitmap; reads and writes continue. */
static void test_image_sync_failure(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    write_both(rig.disk, &rig.model, 5 * 4096, 100, 3);
    char file = 'i';
    rig.probe->context = &file;
    rig.probe->decide = fail_sync;
    struct addcow_error error = ADDCOW_ERROR_INIT;
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
    struct addcow_error error = ADDCOW_ERROR_INIT;
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
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_close(rig.disk, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.raw"));
    free_rig(&rig);
}

/* RBS-03: the new header is durable when a rebase succeeds, whatever it had to copy. */
static void test_rebase_is_durable(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 4; shape++) {
        bool all = shape % 2 != 0;
        make_disk("disk", &(struct disk_spec){.size = 5 * 4096,
                                              .backing_name = "base.raw",
                                              .backing_size = 4096,
                                              .allocated = all ? 31 : 0,
                                              .compatible = all ? ADDCOW_ALL_ALLOCATED : 0});
        store_pattern("other.raw", 9, 3 * 4096);
        struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
        options.backing_name = "other.raw";
        options.backing_format = "raw";
        options.header_only = shape / 2 != 0;
        struct probe *probe = make_probe();
        assert_ok(addcow_rebase(in_directory("disk.add-cow"), &options, &probe->storage, NULL, NULL, &reason));
        bool written = false, synced = false;
        for (size_t i = 0; i < probe->count; i++) {
            const struct event *event = &probe->events[i];
            bool changes = event->kind == EVENT_WRITE || event->kind == EVENT_PUNCH || event->kind == EVENT_TRUNCATE;
            if (event->file == 'm') {
                written = written || (event->kind == EVENT_WRITE && event->offset < 4096);
                synced = event->kind == EVENT_SYNC || (synced && !changes);
            }
        }
        assert_true(written && synced);
        free_probe(probe);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_opening_syncs),
        TEST(test_flush_syncs),
        TEST(test_flush_order),
        TEST(test_read_only_flush),
        TEST(test_bounds),
        TEST(test_no_needless_calls),
        TEST(test_bitmap_bounds),
        TEST(test_metadata_failures),
        TEST(test_image_sync_failure),
        TEST(test_close_flushes),
        TEST(test_close_failure),
        TEST(test_rebase_is_durable),
    };
    return cmocka_run_group_tests_name("fast, durability", tests, NULL, NULL);
}
