/*
 * The production engine: long work makes durable what it has done from time to time (STR-03, RBS-03). So a process that
 * dies has not copied all of it in vain. What the metadata file holds is looked at in the middle of the work.
 *
 * Between, it lets the storage begin to make durable what it has written, so that the next sync takes little time.
 */
#include "support/changed_files.h"
#include "support/model.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

#define CLUSTER_BITS 16u
#define MIB ((uint64_t)1 << 20)
#define CHECKPOINT (32 * MIB) /* after so many bytes */
#define LOOK (40 * MIB)       /* there the work is stopped */

static const struct disk_spec disk_spec = {
    .cluster_bits = CLUSTER_BITS, .size = 48 * MIB, .backing_name = "base.raw", .backing_size = 48 * MIB};

/* How many clusters are allocated in the metadata file. */
static unsigned allocated_in_file(void)
{
    uint8_t *file = load_file("disk.add-cow");
    unsigned count = 0;
    for (uint64_t k = 0; k < disk_spec.size >> CLUSTER_BITS; k++) {
        count += file[(1u << CLUSTER_BITS) + k / 8] >> k % 8 & 1u;
    }
    free(file);
    return count;
}

static bool stop_and_look(void *context, uint64_t done, uint64_t total)
{
    unsigned *count = context;
    assert_int_equal(total, disk_spec.size);
    *count = done >= LOOK ? allocated_in_file() : 0;
    return done < LOOK;
}

/* STR-03 */
static void test_stream_keeps_its_work(void **state)
{
    (void)state;
    unsigned count = 0;
    make_disk("disk", &disk_spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_stream(disk, stop_and_look, &count, &error), ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    close_disk(disk);
    assert_true(count >= CHECKPOINT >> CLUSTER_BITS && count <= LOOK >> CLUSTER_BITS);
}

/* RBS-03 */
static void test_rebase_keeps_its_work(void **state)
{
    (void)state;
    unsigned count = 0;
    make_disk("disk", &disk_spec);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_rebase_options none = {.struct_size = sizeof none};
    assert_int_equal(addcow_rebase(in_directory("disk.add-cow"), &none, NULL, stop_and_look, &count, &error),
                     ADDCOW_IO);
    assert_int_equal(error.errnum, ECANCELED);
    assert_true(count >= CHECKPOINT >> CLUSTER_BITS && count <= LOOK >> CLUSTER_BITS);
}

/* ---- What the storage is told to begin ---- */

#define UNIT (4 * MIB) /* what it begins with at once */

/* The storage of the system, whose calls of begin_sync are looked at. */
static struct {
    const char *target; /* the file that is written */
    uint8_t *source;    /* what it shall have */
    uint64_t end;       /* all before was begun, in order */
} begun;

static void look_at_begin(struct addcow_file *file, uint64_t offset, uint64_t size)
{
    struct stat status;
    struct addcow_identity identity;
    uint8_t *bytes = allocate_bytes(size);
    assert_int_equal(changed_from()->identity(file, &identity), 0);
    assert_int_equal(stat(in_directory(begun.target), &status), 0);
    assert_int_equal(identity.inode, status.st_ino);
    assert_int_equal(offset, begun.end);
    assert_int_equal(size % UNIT, 0);
    begun.end = offset + size;
    assert_true(begun.end <= disk_spec.size);
    assert_int_equal(changed_from()->pread(file, bytes, (size_t)size, offset), size);
    assert_memory_equal(bytes, begun.source + offset, (size_t)size); /* it is there already */
    free(bytes);
    changed_from()->begin_sync(file, offset, size);
}

static void look_at(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->begin_sync = look_at_begin;
}

static struct addcow_storage *looked_at(const char *target, const char *source)
{
    free(begun.source);
    begun.source = load_file(source);
    begun.target = target;
    begun.end = 0;
    return changed_files(NULL, look_at);
}

static void expect_all_begun(void)
{
    assert_int_equal(begun.end, disk_spec.size);
    free(begun.source);
    begun.source = NULL;
}

static void test_writing_begins_beside_the_copying(void **state)
{
    (void)state;
    make_disk("disk", &disk_spec);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, looked_at("disk.raw", "base.raw"));
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    expect_all_begun();
    close_disk(disk);
    store_pattern("base.raw", 9, disk_spec.size);
    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, looked_at("base.raw", "disk.raw"));
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    expect_all_begun();
    close_disk(disk);
    struct addcow_rebase_options none = {.struct_size = sizeof none};
    struct addcow_storage *storage = looked_at("disk.raw", "base.raw");
    assert_ok(addcow_rebase(in_directory("disk.add-cow"), &none, storage, NULL, NULL, &reason));
    expect_all_begun();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stream_keeps_its_work),
        TEST(test_rebase_keeps_its_work),
        TEST(test_writing_begins_beside_the_copying),
    };
    return cmocka_run_group_tests_name("fast, checkpoints", tests, NULL, NULL);
}
