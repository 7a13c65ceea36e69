/* The production engine: commit, with failures at every I/O. */
#include "engine/maintain.h"

/* ---- Failing at the n-th I/O ---- */

static enum addcow_status commit(struct addcow *disk)
{
    return addcow_commit(disk, NULL, NULL, NULL);
}

static struct model committed(const struct disk_spec *spec)
{
    struct model model = make_model(spec);
    memset(model.allocated, 0, (size_t)addcow_cluster_count(model.size, model.cluster));
    return model;
}

/* CMT-03 ERR-03 */
static void test_commit_failing(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096 + 9);
    struct model after = committed(&spec);
    fail_everywhere(&spec, commit, &after);
    free_model(&after);
    spec = spec_with_backing(11 * 4096);
    spec.allocated = 0x7FF;
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    after = committed(&spec);
    fail_everywhere(&spec, commit, &after);
    free_model(&after);
}

/* Once the bits were punched in the metadata file, its syncs fail. */
static int fail_after_clearing(struct probe *probe, const struct event *event)
{
    bool *cleared = probe->context;
    if (event->file == 'm' && event->kind == EVENT_PUNCH) {
        *cleared = true;
    }
    return *cleared && event->file == 'm' && event->kind == EVENT_SYNC ? -EIO : 0;
}

/* CMT-03 DUR-06: a commit that failed while it cleared bits; what is written to these clusters afterwards is not lost.
 */
static void test_writing_after_failed_commit(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(7 * 4096 + 9);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    bool cleared = false;
    probe->context = &cleared;
    probe->decide = fail_after_clearing;
    assert_int_equal(addcow_commit(disk, NULL, NULL, NULL), ADDCOW_IO);
    assert_true(cleared);
    probe->decide = NULL;
    compare(disk, &model);
    write_both(disk, &model, 4096 + 5, 100, 9);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_probe(probe);
    free_model(&model);
}

/* ---- Commit ---- */

/* CMT-01 CMT-02: a raw backing file, also after a stream, when it was not even open. */
static void test_commit(void **state)
{
    (void)state;
    for (int flagged = 0; flagged < 2; flagged++) {
        struct disk_spec spec = spec_with_backing(10 * 4096 + 777 + 100);
        if (flagged) {
            spec.allocated = 0x7FF;
            spec.compatible = 3;
        }
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        struct addcow *disk = open_disk("disk.add-cow");
        write_both(disk, &model, 5 * 4096 + 50, 5000, 9);
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        memset(model.allocated, 0, 11);
        compare(disk, &model);
        uint8_t *backing = load_file("base.raw");
        assert_int_equal(file_length("base.raw"), spec.backing_size);
        assert_bytes(backing, model.virt, model.size, 0);
        for (uint64_t i = model.size; i < spec.backing_size; i++) {
            assert_int_equal(backing[i], pattern(SEED_BACKING, i));
        }
        free(backing);
        write_both(disk, &model, 4096 + 7, 20, 11);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        uint8_t *file = load_file("disk.add-cow");
        assert_int_equal(file[32], flagged ? 2 : 0);
        free(file);
        free_model(&model);
    }
}

/* CMT-01 LCK-03: into an add-cow backing file with a backing file of its own, which stays as it was. */
static void test_commit_chain(void **state)
{
    (void)state;
    struct disk_spec low = spec_with_backing(40 * 4096);
    make_disk("low", &low);
    struct disk_spec spec = {
        .size = 9 * 4096 + 99, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 0x209};
    make_disk("disk", &spec);
    struct model below = make_model(&low);
    for (uint64_t i = 0; i < spec.size; i++) {
        if (spec.allocated >> (i / 4096) & 1) {
            below.virt[i] = pattern(SEED_IMAGE, i);
        }
    }
    struct addcow *disk = open_disk("disk.add-cow");
    compare_range(disk, &below, 0, spec.size);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    compare_range(disk, &below, 0, spec.size);
    refuse_open("low.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    close_disk(disk);
    below.allocated[0] = below.allocated[3] = below.allocated[9] = 1;
    compare_reopened("low.add-cow", &below);
    uint8_t *base = load_file("base.raw");
    for (uint64_t i = 0; i < low.backing_size; i++) {
        assert_int_equal(base[i], pattern(SEED_BACKING, i));
    }
    free(base);
    free_model(&below);
}

static int read_only_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                          struct addcow_file **file)
{
    (void)storage;
    if (strstr(path, "base.raw") && mode != ADDCOW_FILE_READ) {
        return -EACCES;
    }
    return addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, file);
}

/* CMT-02: refused before anything is written. */
static void test_commit_refused(void **state)
{
    (void)state;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    make_disk("disk", &(struct disk_spec){.size = 4096, .allocated = 1});
    struct addcow *disk = open_disk("disk.add-cow");
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_UNSUPPORTED);
    assert_string_equal(error.clause, "CMT-02");
    close_disk(disk);

    struct disk_spec spec = spec_with_backing(3 * 4096 - 1);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    uint8_t *before = load_file("base.raw");
    disk = open_disk("disk.add-cow");
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_RANGE);
    assert_string_equal(error.clause, "CMT-02");
    compare(disk, &model);
    uint8_t *after = load_file("base.raw");
    assert_memory_equal(before, after, 3 * 4096 - 1);
    close_disk(disk);
    free(before);
    free(after);
    free_model(&model);

    spec = spec_with_backing(5 * 4096);
    make_disk("disk", &spec);
    struct addcow_storage storage = {.ops = &(const struct addcow_storage_ops){
                                         .struct_size = sizeof(struct addcow_storage_ops), .open = read_only_open}};
    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &storage);
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_READONLY);
    close_disk(disk);
}

/* CMT-02 LNK-07: the backing file was replaced by another one since the disk was opened. */
static void test_commit_replaced(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(5 * 4096);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    store_pattern("other", 5, 5 * 4096);
    assert_int_equal(rename(in_directory("other"), in_directory("base.raw")), 0);
    assert_int_equal(addcow_commit(disk, NULL, NULL, NULL), ADDCOW_UNLINKABLE);
    compare(disk, &model);
    uint8_t *base = load_file("base.raw");
    assert_int_equal(base[4096], pattern(5, 4096));
    free(base);
    close_disk(disk);
    free_model(&model);
}

/* CMT-03: the backing file is synced before the first change of the metadata file. */
static void test_commit_order(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(5 * 4096);
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    size_t last_copy = 0, backing_sync = 0, first_clear = 0;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_WRITE && event->file == 'b') {
            last_copy = i;
        }
        if (event->kind == EVENT_SYNC && event->file == 'b') {
            backing_sync = i;
        }
        if ((event->kind == EVENT_WRITE || event->kind == EVENT_PUNCH) && event->file == 'm' && first_clear == 0) {
            first_clear = i;
        }
    }
    assert_true(0 < last_copy && last_copy < backing_sync && backing_sync < first_clear);
    close_disk(disk);
    free_probe(probe);
}

/* CMT-03: a cluster is allocated in the file, and that is synced, before anything is written to the backing file. */
static void test_commit_flushes_first(void **state)
{
    (void)state;
    struct disk_spec spec = {
        .cluster_bits = 12, .size = 3 * 4096, .backing_name = "base.raw", .backing_size = 3 * 4096};
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_write(disk, 4096, 3, "new", &reason));
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    bool written = false, durable = false;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_WRITE && event->file == 'b') {
            break;
        }
        written = written || (event->kind == EVENT_WRITE && event->file == 'm');
        durable = durable || (written && event->kind == EVENT_SYNC && event->file == 'm');
    }
    assert_true(durable);
    close_disk(disk);
    free_probe(probe);
}

/* ---- Holes ---- */

/* Of the cleared disk "disk": what was committed is freed, after the bits were durably cleared, and nothing else is. */
static void judge_freeing(const struct probe *probe, uint64_t begin, uint64_t end)
{
    bool cleared = false, durable = false;
    size_t freed = 0;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        cleared = cleared || (event->kind == EVENT_PUNCH && event->file == 'm');
        durable = durable || (cleared && event->kind == EVENT_SYNC && event->file == 'm');
        if (event->file == 'i' && (event->kind == EVENT_PUNCH || event->kind == EVENT_WRITE)) {
            assert_int_equal(event->kind, EVENT_PUNCH);
            assert_true(durable);
            assert_int_equal(event->offset, begin);
            assert_int_equal(event->offset + event->size, end);
            freed++;
        }
    }
    assert_int_equal(freed, 1);
}

/* CMT-04: also under "all allocated", and where the last cluster is partial. Hidden data in other clusters stays. */
static void test_commit_frees_the_image(void **state)
{
    (void)state;
    if (!LIBRARY_KNOWS_HOLES) {
        skip();
    }
    for (int flagged = 0; flagged < 2; flagged++) {
        struct disk_spec spec = spec_with_backing(11 * 4096);
        spec.allocated = flagged ? 0x7FF : 6;
        spec.compatible = flagged ? ADDCOW_ALL_ALLOCATED : 0;
        uint64_t begin = flagged ? 0 : 4096;
        uint64_t end = flagged ? spec.size : 3 * 4096;
        make_disk("disk", &spec);
        uint8_t *before = load_file("disk.raw");
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        probe->count = 0;
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        judge_freeing(probe, begin, end);
        close_disk(disk);
        uint8_t *after = load_file("disk.raw");
        assert_int_equal(file_length("disk.raw"), spec.size);
        for (uint64_t i = 0; i < spec.size; i++) {
            assert_int_equal(after[i], begin <= i && i < end ? 0 : before[i]);
        }
        free(before);
        free(after);
        free_probe(probe);
    }
}

static int fail_freeing(struct probe *probe, const struct event *event)
{
    const int *errnum = probe->context;
    return event->kind == EVENT_PUNCH && event->file == 'i' ? -*errnum : 0;
}

/* CMT-04 ERR-01: a storage that cannot free anything keeps the image; a failure is reported, and the bits are clear. */
static void test_commit_cannot_free(void **state)
{
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        struct disk_spec spec = spec_with_backing(11 * 4096);
        make_disk("disk", &spec);
        struct model after = committed(&spec);
        uint8_t *before = load_file("disk.raw");
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        int errnum = refused ? EOPNOTSUPP : EIO;
        probe->context = &errnum;
        probe->decide = fail_freeing;
        assert_int_equal(addcow_commit(disk, NULL, NULL, NULL), refused ? ADDCOW_OK : ADDCOW_IO);
        compare(disk, &after);
        close_disk(disk);
        compare_reopened("disk.add-cow", &after);
        uint8_t *image = load_file("disk.raw");
        assert_memory_equal(image, before, (size_t)spec.size);
        free(image);
        free(before);
        free_probe(probe);
        free_model(&after);
    }
}

/* CMT-01: zeros between data become holes of the backing file, and not data. */
static void test_commit_keeps_zeros_sparse(void **state)
{
    (void)state;
    if (!LIBRARY_KNOWS_HOLES) {
        skip();
    }
    const uint64_t size = 100 * 4096;
    struct disk_spec spec = {.size = size, .backing_name = "base.raw", .backing_size = size};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_zero(disk, 0, size, &reason));
    assert_ok(addcow_write(disk, 50 * 4096 + 5, 3, "new", &reason));
    memset(model.virt, 0, (size_t)size);
    memcpy(model.virt + 50 * 4096 + 5, "new", 3);
    probe->count = 0;
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    compare(disk, &model);
    size_t writes = count_events(probe, 0, EVENT_WRITE, 'b');
    assert_int_equal(writes, 1);
    assert_int_equal(count_events(probe, 0, EVENT_PUNCH, 'b'), 2);
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_WRITE && event->file == 'b') {
            assert_int_equal(event->offset, 50 * 4096);
            assert_int_equal(event->size, 4096);
        }
    }
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

static int fail_target_sync(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_SYNC && event->file == 'b' ? -EIO : 0;
}

/* DUR-06: a sync that fails may lose holes, too, although the file still shows them. The next commit makes them again.
 */
static void test_commit_repeats_holes(void **state)
{
    (void)state;
    const uint64_t size = 100 * 4096;
    struct disk_spec spec = {.size = size, .backing_name = "base.raw", .backing_size = size};
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_zero(disk, 0, size, &reason));
    probe->decide = fail_target_sync;
    assert_int_equal(addcow_commit(disk, NULL, NULL, NULL), ADDCOW_IO);
    probe->decide = NULL;
    probe->count = 0;
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    assert_true(count_events(probe, 0, EVENT_PUNCH, 'b') > 0);
    close_disk(disk);
    free_probe(probe);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_writing_after_failed_commit),
        TEST(test_commit),
        TEST(test_commit_chain),
        TEST(test_commit_refused),
        TEST(test_commit_replaced),
        TEST(test_commit_order),
        TEST(test_commit_flushes_first),
        TEST(test_commit_failing),
        TEST(test_commit_frees_the_image),
        TEST(test_commit_cannot_free),
        TEST(test_commit_keeps_zeros_sparse),
        TEST(test_commit_repeats_holes),
    };
    return cmocka_run_group_tests_name("fast, commit", tests, NULL, NULL);
}
