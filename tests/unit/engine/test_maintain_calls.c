/* The production engine: whichever call fails in resize, stream, commit, write or close is reported; and streams over
 * holes. */
#include "engine/sparse_disk.h"

#include "support/changed_files.h"

/* ---- Stream ---- */

/* STR-01: more clusters than one step looks at, with holes in the backing file. */
static void test_stream_long(void **state)
{
    (void)state;
    make_sparse_disk(&(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 4096}, 40000);
    uint8_t data[4096];
    fill_pattern(data, 7, 0, sizeof data);
    assert_int_equal(truncate(in_directory("base.raw"), 36000 * 4096), 0);
    patch_file("base.raw", 35000 * 4096, data, sizeof data);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    assert_run(disk, 0, 40000, true);
    uint8_t read[3 * 4096];
    assert_ok(addcow_read(disk, 34999 * 4096, sizeof read, read, &reason));
    assert_memory_equal(read + 4096, data, sizeof data);
    assert_int_equal(read[0] | read[2 * 4096], 0);
    close_disk(disk);
}

struct growing {
    struct addcow *disk;
    struct probe *probe;
    bool grown;
};

static bool grow_at_end(void *context, uint64_t done, uint64_t total)
{
    struct growing *growing = context;
    if (!growing->grown && done == total) {
        assert_ok(addcow_resize(growing->disk, 40000 * 4096, &reason));
        growing->probe->decide = fail_second_block;
        growing->grown = true;
    }
    return true;
}

/* STR-02 STR-03: the disk grows after the last step, and what the bits there are cannot be read: they are not taken for
 * set. */
static void test_stream_grown_unreadable(void **state)
{
    (void)state;
    struct addcow_info info = ADDCOW_INFO_INIT;
    make_sparse_disk(&(struct disk_spec){.size = 4096}, BLOCK);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    struct growing growing = {.disk = disk, .probe = probe};
    assert_int_equal(addcow_stream(disk, grow_at_end, &growing, &reason), ADDCOW_IO);
    assert_true(growing.grown);
    addcow_get_info(disk, &info);
    assert_false(info.all_allocated);
    probe->decide = NULL;
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    assert_run(disk, 0, 40000, true);
    close_disk(disk);
    free_probe(probe);
}

/* STR-01: zeros that are stored in the backing file replace the content of the image, as holes. */
static void test_stream_stored_zeros(void **state)
{
    (void)state;
    if (!LIBRARY_KNOWS_HOLES) {
        skip();
    }
    const uint64_t cluster = 1u << 18; /* as much as one step copies */
    struct disk_spec spec = {
        .size = 3 * cluster, .cluster_bits = 18, .backing_name = "base.raw", .backing_size = 3 * cluster};
    make_disk("disk", &spec);
    uint8_t *zeros = allocate_bytes(cluster);
    patch_file("base.raw", cluster, zeros, (size_t)cluster);
    free(zeros);
    struct model model = make_model(&spec);
    memset(model.virt + cluster, 0, (size_t)cluster);
    memset(model.allocated, 1, 3);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    assert_int_equal(count_events(probe, 0, EVENT_WRITE, 'i'), 2);
    assert_int_equal(count_events(probe, 0, EVENT_PUNCH, 'i'), 1);
    compare(disk, &model);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

static int fail_image_sync(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_SYNC && event->file == 'i' ? -EIO : 0;
}

/*
 * DUR-06: a sync that fails may lose holes, too, although the file still shows them. A stream after that makes them
 * again: those of zeros that the backing file stores, and those past its end.
 */
static void test_stream_repeats_holes(void **state)
{
    (void)state;
    const uint64_t cluster = 1u << 18;
    struct disk_spec spec = {
        .size = 3 * cluster, .cluster_bits = 18, .backing_name = "base.raw", .backing_size = 2 * cluster};
    make_disk("disk", &spec);
    uint8_t *zeros = allocate_bytes(cluster);
    patch_file("base.raw", cluster, zeros, (size_t)cluster);
    free(zeros);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_image_sync;
    assert_int_equal(addcow_stream(disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_IO);
    probe->decide = NULL;
    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    assert_int_equal(count_events(probe, 0, EVENT_PUNCH, 'i'), 2);
    close_disk(disk);
    free_probe(probe);
}

/* STR-01: what the image holds behind a hole, where the backing file has ended, does not become part of the disk. */
static void test_stream_over_partial_hole(void **state)
{
    (void)state;
    const uint64_t size = 12 * 65536;
    uint8_t junk[65536], back[65536];
    memset(junk, 0xA5, sizeof junk);
    make_disk("disk",
              &(struct disk_spec){.size = size, .cluster_bits = 16, .backing_name = "base.raw", .backing_size = 4096});
    assert_int_equal(truncate(in_directory("disk.raw"), 0), 0);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)size), 0);
    patch_file("disk.raw", 9 * 65536, junk, sizeof junk);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    for (uint64_t k = 1; k < 12; k++) {
        assert_ok(addcow_read(disk, k * 65536, sizeof back, back, &reason));
        assert_true(back[0] == 0 && memcmp(back, back + 1, sizeof back - 1) == 0);
    }
    close_disk(disk);
}

/* ---- Holes ---- */

enum telling { TELL_TRUTH, TELL_NOTHING, TELL_NONSENSE };

static enum telling telling;

static size_t told;

/* What the storage says of holes: where the file's data begins, a failure that leaves rubbish, or an offset behind. */
static int tell_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    struct addcow_file *inner = ((struct probe_file *)file)->inner;
    told++;
    if (telling == TELL_TRUTH) {
        return inner->ops->next_data(inner, offset, data);
    }
    *data = telling == TELL_NOTHING ? UINT64_MAX : 0;
    return telling == TELL_NOTHING ? -EOPNOTSUPP : 0;
}

static void let_tell(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->next_data = tell_next_data;
}

/* STR-01: a hole of the backing file is not read, if the storage knows of it; and a storage that knows nothing is not
 * believed. */
static void test_stream_holes(void **state)
{
    (void)state;
    if (!LIBRARY_KNOWS_HOLES) {
        skip();
    }
    for (telling = TELL_TRUTH; telling <= TELL_NONSENSE; telling++) {
        struct disk_spec spec = {
            .size = 64 * 65536, .cluster_bits = 16, .backing_name = "base.raw", .backing_size = 4096};
        make_disk("disk", &spec);
        assert_int_equal(truncate(in_directory("base.raw"), (off_t)spec.size), 0);
        uint8_t data[65536];
        fill_pattern(data, 8, 0, sizeof data);
        patch_file("base.raw", 40 * 65536, data, sizeof data);
        struct probe *probe = make_probe();
        struct addcow *disk =
            open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(&probe->storage, let_tell));
        told = 0;
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        assert_true(told > 0);
        size_t read = count_events(probe, 0, EVENT_READ, 'b');
        assert_true(telling == TELL_TRUTH ? read <= 6 : read >= 16);
        uint8_t back[65536];
        assert_ok(addcow_read(disk, 40 * 65536, sizeof back, back, &reason));
        assert_memory_equal(back, data, sizeof back);
        assert_ok(addcow_read(disk, 39 * 65536, sizeof back, back, &reason));
        assert_true(back[0] == 0 && memcmp(back, back + 1, sizeof back - 1) == 0);
        close_disk(disk);
        free_probe(probe);
    }
}

/* ---- Every call ---- */

typedef enum addcow_status action(struct addcow *disk, struct addcow_error *error);

static enum addcow_status act_grow(struct addcow *disk, struct addcow_error *error)
{
    return addcow_resize(disk, 40000 * 4096, error);
}

static enum addcow_status act_commit(struct addcow *disk, struct addcow_error *error)
{
    return addcow_commit(disk, NULL, NULL, error);
}

static enum addcow_status act_stream(struct addcow *disk, struct addcow_error *error)
{
    return addcow_stream(disk, NULL, NULL, error);
}

static enum addcow_status act_write_and_flush(struct addcow *disk, struct addcow_error *error)
{
    enum addcow_status code = addcow_write(disk, 3 * 4096 + 5, 5, "write", error);
    return code == ADDCOW_OK ? addcow_flush(disk, error) : code;
}

static enum addcow_status act_close(struct addcow *disk, struct addcow_error *error)
{
    (void)disk;
    (void)error;
    return ADDCOW_OK;
}

static void assert_told(enum addcow_status code, const struct addcow_error *error)
{
    assert_int_equal(code, ADDCOW_IO);
    assert_int_equal(error->code, ADDCOW_IO);
    assert_int_equal(error->errnum, EIO);
    assert_string_not_equal(error->clause, "ERR-05");
    assert_non_null(strstr(error->message, strerror(EIO)));
}

/* Runs an action, then closes, with call number n of the storage failing. False if there are not so many. */
static bool fail_call(const struct disk_spec *spec, action *run, uint64_t n)
{
    make_disk("low", &(struct disk_spec){
                         .size = 5 * 4096 + 9, .backing_name = "base.raw", .backing_size = 7 * 4096, .allocated = 6});
    make_disk("disk", spec);
    struct faults faults = make_faults(0, EIO, false);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &faults.storage);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    faults.calls = 0;
    faults.fail_at = n;
    enum addcow_status code = run(disk, &error);
    bool reached = faults.calls >= n;
    /* A metadata file below that cannot be opened for writing is opened for reading, and not committed into. */
    bool unwritable = code == ADDCOW_READONLY && run == act_commit && spec->compatible == ADDCOW_ALL_ALLOCATED;
    if (reached && !unwritable) {
        assert_told(code, &error);
    } else {
        assert_int_equal(code, unwritable ? ADDCOW_READONLY : ADDCOW_OK);
    }
    faults.fail_at = reached ? 0 : n;
    error = (struct addcow_error){0};
    code = addcow_close(disk, &error);
    if (faults.calls >= n && !reached) {
        assert_told(code, &error);
    }
    close_disk(open_disk("disk.add-cow"));
    return faults.calls >= n;
}

/* ERR-01 ERR-03: whichever call fails, that is reported with its reason; and nothing stays locked. */
static void test_every_call_reported(void **state)
{
    (void)state;
    static action *const actions[] = {act_grow, act_commit, act_stream, act_write_and_flush, act_close};
    static const uint64_t flags[] = {0, ADDCOW_ALL_ALLOCATED};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        for (size_t j = 0; j < 2; j++) {
            const struct disk_spec spec = {.size = 5 * 4096 + 9,
                                           .backing_name = "low.add-cow",
                                           .backing_format = "add-cow",
                                           .compatible = flags[j],
                                           .allocated = j ? 0x3F : 4};
            uint64_t n = 1;
            while (fail_call(&spec, actions[i], n)) {
                n++;
            }
            assert_true(n > 1);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stream_long),          TEST(test_stream_grown_unreadable),
        TEST(test_stream_stored_zeros),  TEST(test_stream_over_partial_hole),
        TEST(test_stream_holes),         TEST(test_every_call_reported),
        TEST(test_stream_repeats_holes),
    };
    return cmocka_run_group_tests_name("fast, every call reported, and holes", tests, NULL, NULL);
}
