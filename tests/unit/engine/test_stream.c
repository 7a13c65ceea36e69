/* The production engine: stream, with failures at every I/O. */
#include "engine/maintain.h"

/* ---- Failing at the n-th I/O ---- */

static enum addcow_status stream(struct addcow *disk)
{
    return addcow_stream(disk, NULL, NULL, NULL);
}

static struct model streamed(const struct disk_spec *spec)
{
    struct model model = make_model(spec);
    memset(model.allocated, 1, (size_t)addcow_cluster_count(model.size, model.cluster));
    return model;
}

/* STR-03 ERR-03 */
static void test_stream_failing(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096 + 9);
    struct model after = streamed(&spec);
    fail_everywhere(&spec, stream, &after);
    free_model(&after);
    spec = spec_with_backing(0); /* only zeros */
    after = streamed(&spec);
    fail_everywhere(&spec, stream, &after);
    free_model(&after);
}

/* ---- Stream ---- */

/* Once "all allocated" was written, the syncs of the metadata file fail. */
static int fail_after_flag(struct probe *probe, const struct event *event)
{
    bool *written = probe->context;
    if (event->file == 'm' && event->kind == EVENT_WRITE && event->offset == ADDCOW_COMPATIBLE_OFFSET) {
        *written = true;
    }
    return *written && event->file == 'm' && event->kind == EVENT_SYNC ? -EIO : 0;
}

/* DUR-06 STR-03: a flag whose sync failed is written again, as it is in memory, by the next flush, or that fails too.
 */
static void test_flag_that_was_not_synced(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096 + 9);
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    bool written = false;
    probe->context = &written;
    probe->decide = fail_after_flag;
    assert_int_equal(addcow_stream(disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_true(written);
    assert_int_equal(addcow_flush(disk, NULL), ADDCOW_IO);
    probe->decide = NULL;
    assert_ok(addcow_flush(disk, &reason));
    close_disk(disk);
    struct addcow_info info = ADDCOW_INFO_INIT;
    disk = open_disk("disk.add-cow");
    addcow_get_info(disk, &info);
    assert_false(info.all_allocated);
    close_disk(disk);
    free_probe(probe);
}

/* STR-01 STR-02 VRT-05 HDR-20 HDR-21: afterwards the image alone is the disk; unknown compatible bits stay. */
static void test_stream(void **state)
{
    (void)state;
    static const uint64_t backing_sizes[] = {0, 3 * 4096 + 8, 40 * 4096};
    for (size_t i = 0; i < sizeof backing_sizes / sizeof backing_sizes[0]; i++) {
        struct disk_spec spec = spec_with_backing(backing_sizes[i]);
        spec.compatible = (uint64_t)0xF00000000000000E;
        make_disk("disk", &spec);
        struct model model = streamed(&spec);
        struct addcow *disk = open_disk("disk.add-cow");
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        compare(disk, &model);
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        uint8_t *image = load_file("disk.raw");
        assert_bytes(image, model.virt, model.size, 0);
        free(image);
        uint8_t *file = load_file("disk.add-cow");
        static const uint8_t features[8] = {0xF, 0, 0, 0, 0, 0, 0, 0xF0}, bits[] = {0xFF, 0x07, 0};
        assert_memory_equal(file + 32, features, 8);
        assert_memory_equal(file + 4096, bits, sizeof bits);
        free(file);
        free_model(&model);
    }
}

/* HR9-08 STR-02: r9 has no flag; and a chain, and a disk that grows behind the backing file. */
static void test_stream_others(void **state)
{
    (void)state;
    struct disk_spec spec = {.layout = ADDCOW_R9,
                             .size = 9 * 65536 + 3,
                             .backing_name = "base.raw",
                             .backing_size = 7 * 65536,
                             .allocated = 0x104};
    make_disk("disk", &spec);
    struct model model = streamed(&spec);
    uint8_t *before = load_file("disk.add-cow");
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    compare(disk, &model);
    close_disk(disk);
    uint8_t *after = load_file("disk.add-cow");
    assert_memory_equal(before, after, 4096);
    compare_reopened("disk.add-cow", &model);
    free(before);
    free(after);
    free_model(&model);

    struct disk_spec low = spec_with_backing(7 * 4096);
    make_disk("low", &low);
    make_disk("disk",
              &(struct disk_spec){.size = low.size, .backing_name = "low.add-cow", .backing_format = "add-cow"});
    model = streamed(&low);
    disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    close_disk(disk);
    unlink(in_directory("low.add-cow"));
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* STR-01: clusters that are longer than what a stream copies at once. */
static void test_stream_large_clusters(void **state)
{
    (void)state;
    struct disk_spec spec = {.cluster_bits = 20,
                             .size = 3 * MIB + 777,
                             .backing_name = "base.raw",
                             .backing_size = 3 * MIB + 500,
                             .allocated = 2};
    make_disk("disk", &spec);
    struct model model = streamed(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* STR-02: a disk without clusters has them all. */
static void test_stream_empty(void **state)
{
    (void)state;
    struct addcow_info info = ADDCOW_INFO_INIT;
    make_disk("disk", &(struct disk_spec){.backing_name = "base.raw", .backing_size = 4096});
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    addcow_get_info(disk, &info);
    assert_true(info.all_allocated);
    close_disk(disk);
}

static bool commit_at_end(void *context, uint64_t done, uint64_t total)
{
    struct addcow **disk = context;
    if (*disk && done == total) {
        uint8_t junk[4096];
        memset(junk, 0xA5, sizeof junk);
        assert_ok(addcow_commit(*disk, NULL, NULL, &reason));
        patch_file("disk.raw", 3 * 4096, junk, sizeof junk);
        *disk = NULL;
    }
    return true;
}

/* STR-01 STR-02: a commit comes in after the last step; whatever the image then holds, all is copied again. */
static void test_stream_then_commit(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(11 * 4096);
    make_disk("disk", &spec);
    struct model model = streamed(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct addcow *committed_once = disk;
    assert_ok(addcow_stream(disk, commit_at_end, &committed_once, &reason));
    assert_null(committed_once);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* VRT-05: under "all allocated" another writer may have forgotten bits; a stream sets them. */
static void test_stream_forgotten_bits(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096);
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    spec.allocated = 0x102;
    make_disk("disk", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    close_disk(disk);
    uint8_t *file = load_file("disk.add-cow");
    static const uint8_t bits[] = {0xFF, 0x07, 0};
    assert_memory_equal(file + 4096, bits, sizeof bits);
    free(file);
}

/* DUR-08: the flag is written after everything else was written and synced. */
static void test_stream_order(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096);
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    size_t n = probe->count;
    assert_int_equal(probe->events[n - 1].kind, EVENT_SYNC);
    assert_int_equal(probe->events[n - 1].file, 'm');
    assert_int_equal(probe->events[n - 2].kind, EVENT_WRITE);
    assert_int_equal(probe->events[n - 2].offset, 32);
    assert_int_equal(probe->events[n - 2].size, 8);
    assert_int_equal(probe->events[n - 3].kind, EVENT_SYNC);
    assert_int_equal(probe->events[n - 3].file, 'm');
    assert_int_equal(count_events(probe, n - 3, EVENT_WRITE, 'i'), 0);
    close_disk(disk);
    free_probe(probe);
}

struct stopping {
    unsigned calls_left;
    uint64_t done;
};

static bool stop_later(void *context, uint64_t done, uint64_t total)
{
    struct stopping *stopping = context;
    assert_true(done <= total && stopping->done <= done);
    stopping->done = done;
    return stopping->calls_left-- > 0;
}

/* STR-03 CMT-03: stopped by its caller, then started again. */
static void test_stopping(void **state)
{
    (void)state;
    struct disk_spec spec = {.cluster_bits = 18,
                             .size = 20 * 262144 + 50,
                             .backing_name = "base.raw",
                             .backing_size = 21 * 262144,
                             .allocated = 0x11110};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct stopping stopping = {.calls_left = 3};
    assert_int_equal(addcow_commit(disk, stop_later, &stopping, &error), ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    compare(disk, &model);
    stopping = (struct stopping){.calls_left = 5};
    assert_int_equal(addcow_stream(disk, stop_later, &stopping, &error), ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    assert_true(stopping.done >= 2 * 262144 && stopping.done % 262144 == 0); /* bytes, of whole clusters */
    compare_range(disk, &model, 0, model.size);
    stopping = (struct stopping){.calls_left = 1000};
    assert_ok(addcow_stream(disk, stop_later, &stopping, &reason));
    assert_int_equal(stopping.done, model.size);
    close_disk(disk);
    memset(model.allocated, 1, 21);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flag_that_was_not_synced),
        TEST(test_stream),
        TEST(test_stream_others),
        TEST(test_stream_large_clusters),
        TEST(test_stream_empty),
        TEST(test_stream_then_commit),
        TEST(test_stream_forgotten_bits),
        TEST(test_stream_order),
        TEST(test_stream_failing),
        TEST(test_stopping),
    };
    return cmocka_run_group_tests_name("fast, stream", tests, NULL, NULL);
}
