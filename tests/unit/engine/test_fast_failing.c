/* The production engine: transfers that end short or fail, storage without holes, and failures at every I/O. */
#include "engine/rig.h"
#include "engine/sparse_disk.h"

#include "support/changed_files.h"

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

/* CON-02 ERR-04: a transfer that was cut inside a sector continues from the sector's start. */
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

/* The transfers of one kind on one file: the first few move a sector each, and the next one fails. */
struct late_failure {
    enum event_kind kind;
    char file;
    unsigned left;   /* transfers that still succeed */
    uint64_t offset; /* of the one that failed */
    bool failed;
};

static int fail_late(struct probe *probe, const struct event *event)
{
    struct late_failure *late = probe->context;
    if (!late || late->failed || event->kind != late->kind || event->file != late->file) {
        return 0;
    }
    if (late->left > 0) {
        late->left--;
        return 512;
    }
    late->failed = true;
    late->offset = event->offset;
    return -EIO;
}

/* ERR-01: a transfer that fails after a part of it was done tells where it failed, and not where it began. */
static void test_place_of_a_late_failure(void **state)
{
    (void)state;
    static const struct late_failure failures[] = {
        {EVENT_READ, 'i', 0, 0, false},  {EVENT_READ, 'b', 0, 0, false},  {EVENT_READ, 'm', 0, 0, false},
        {EVENT_WRITE, 'i', 0, 0, false}, {EVENT_WRITE, 'm', 0, 0, false},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        for (unsigned done = 0; done < 3; done++) {
            uint8_t data[3 * 4096];
            char place[64];
            make_sparse_disk(
                &(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 4 * 4096, .allocated = 1},
                BLOCK);
            struct late_failure late = failures[i];
            struct probe *probe = make_probe();
            struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
            late.left = done;
            probe->context = &late;
            probe->decide = fail_late;
            struct addcow_error error = ADDCOW_ERROR_INIT;
            enum addcow_status code = addcow_read(disk, 0, sizeof data, data, &error);
            code = code ? code : addcow_write(disk, 3 * 4096, sizeof data, data, &error);
            code = code ? code : addcow_flush(disk, &error);
            assert_int_equal(code, ADDCOW_IO);
            assert_true(late.failed);
            snprintf(place, sizeof place, ": at %" PRIu64 ": ", late.offset);
            if (!strstr(error.message, place)) {
                fail_msg("it failed%sand the message is: %s", place, error.message);
            }
            probe->context = NULL;
            close_disk(disk);
            free_probe(probe);
        }
    }
}

/* ERR-04: files that became shorter are an error, never zeros, and the disk stays usable. */
static void test_vanished_bytes(void **state)
{
    (void)state;
    struct rig rig = make_rig(&usual);
    uint8_t byte = 9, cluster[4096] = {0};
    assert_int_equal(truncate(in_directory("base.raw"), 4 * 4096), 0);
    struct addcow_error error = ADDCOW_ERROR_INIT;
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
        struct addcow_error error = ADDCOW_ERROR_INIT;
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
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
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

static void make_idle(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->pwrite = write_nothing;
}

/* ERR-04 ERR-05 */
static void test_writing_nothing(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(NULL, make_idle));
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_write(disk, 4096, 5, "write", &error), ADDCOW_IO);
    assert_int_equal(error.errnum, EIO);
    close_disk(disk);
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
        struct addcow_error error = ADDCOW_ERROR_INIT;
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
        struct addcow_error error = ADDCOW_ERROR_INIT;
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
        TEST(test_close_failing),           TEST(test_writing_nothing),   TEST(test_short_transfers),
        TEST(test_sectors_stay_whole),      TEST(test_vanished_bytes),    TEST(test_without_punch),
        TEST(test_write_failing),           TEST(test_unreadable_bitmap), TEST(test_open_failing),
        TEST(test_place_of_a_late_failure),
    };
    return cmocka_run_group_tests_name("fast, failing storage", tests, NULL, NULL);
}
