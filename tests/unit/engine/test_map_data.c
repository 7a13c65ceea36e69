/*
 * The production engine: addcow_map_data, which tells data from holes in the files of a chain.
 */
#include "support/changed_files.h"
#include "support/disks.h"

#include <stddef.h>

#define CLUSTER ((uint64_t)65536)

struct run {
    uint64_t clusters;
    bool data;
    const char *file; /* null: none */
};

/* The whole disk, run by run. */
static void assert_runs(struct addcow *disk, const struct run *runs, size_t count)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        bool data;
        assert_ok(addcow_map_data(disk, offset, addcow_size(disk) - offset, &extent, &data, &reason));
        assert_int_equal(extent.length, runs[i].clusters * CLUSTER);
        assert_int_equal(data, runs[i].data);
        assert_int_equal(extent.present, runs[i].file != NULL);
        if (extent.present) {
            assert_string_equal(extent.path, in_directory(runs[i].file));
            assert_int_equal(extent.file_offset, offset);
        }
        offset += extent.length;
    }
    assert_int_equal(offset, addcow_size(disk));
}

/*
 * A disk of ten clusters over a file of eight, of which 2 and 3 are data. Cluster 5 is data of the image, 6 a hole of
 * it, 3 a hole of it that hides data.
 */
static void make_files(void)
{
    uint8_t bytes[2 * CLUSTER];
    memset(bytes, 7, sizeof bytes);
    make_disk("disk", &(struct disk_spec){.size = 10 * CLUSTER,
                                          .cluster_bits = 16,
                                          .backing_name = "base.raw",
                                          .backing_size = 8 * CLUSTER,
                                          .allocated = 1 << 3 | 1 << 5 | 1 << 6});
    for (size_t i = 0; i < 2; i++) {
        const char *path = in_directory(i == 0 ? "disk.raw" : "base.raw");
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(truncate(path, (off_t)((i == 0 ? 10 : 8) * CLUSTER)), 0);
    }
    patch_file("base.raw", 2 * CLUSTER, bytes, 2 * CLUSTER);
    patch_file("disk.raw", 5 * CLUSTER, bytes, CLUSTER);
}

/* What a disk is whose storage tells nothing: all that is in a file is data. */
static const struct run all_data[] = {
    {3, true, "base.raw"}, {1, true, "disk.raw"}, {1, true, "base.raw"},
    {2, true, "disk.raw"}, {1, true, "base.raw"}, {2, false, NULL},
};
#define ALL_DATA (sizeof all_data / sizeof all_data[0])

/* Whether the files of this system can tell at all. */
static bool files_tell(void)
{
    uint64_t data;
    struct addcow_file *file;
    struct addcow_storage *posix = addcow_posix_storage();
    assert_int_equal(posix->ops->open(posix, in_directory("base.raw"), ADDCOW_FILE_READ, &file), 0);
    int result = file->ops->next_data(file, 0, &data);
    assert_int_equal(file->ops->close(file), 0);
    return result == 0;
}

static void test_map_data(void **state)
{
    (void)state;
    make_files();
    if (!files_tell()) {
        struct addcow *untold = open_disk("disk.add-cow");
        assert_runs(untold, all_data, ALL_DATA);
        close_disk(untold);
        return;
    }
    struct addcow *disk = open_disk("disk.add-cow");
    static const struct run runs[] = {
        {2, false, "base.raw"}, {1, true, "base.raw"},  {1, false, "disk.raw"}, {1, false, "base.raw"},
        {1, true, "disk.raw"},  {1, false, "disk.raw"}, {1, false, "base.raw"}, {2, false, NULL},
    };
    assert_runs(disk, runs, sizeof runs / sizeof runs[0]);
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    bool data = true;
    assert_ok(addcow_map_data(disk, 10 * CLUSTER, 0, &extent, &data, &reason));
    assert_false(data);
    assert_int_equal(extent.length, 0);
    assert_int_equal(addcow_map_data(disk, 10 * CLUSTER, 1, &extent, &data, &reason), ADDCOW_RANGE);
    close_disk(disk);
}

/* Nothing but the disk tells where data is: what a storage does not say is data. */
enum knowledge { KNOWS_DATA, KNOWS_NOTHING, OLDER };

static enum knowledge knowledge;

static int no_next_data(struct addcow_file *file, uint64_t offset, uint64_t *data)
{
    (void)file;
    *data = offset + CLUSTER;
    return -EOPNOTSUPP;
}

static int no_next_hole(struct addcow_file *file, uint64_t offset, uint64_t *hole)
{
    (void)file;
    *hole = offset + 1;
    return -EOPNOTSUPP;
}

static void make_ignorant(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->next_hole = no_next_hole;
    calls->next_data = knowledge == KNOWS_NOTHING ? no_next_data : calls->next_data;
    if (knowledge == OLDER) {
        calls->struct_size = offsetof(struct addcow_file_ops, next_hole);
    }
}

static void test_storage_that_does_not_tell(void **state)
{
    (void)state;
    make_files();
    struct addcow_storage *storage = changed_files(NULL, make_ignorant);
    for (knowledge = KNOWS_DATA; knowledge <= OLDER; knowledge++) {
        static const struct run holes[] = {
            {2, false, "base.raw"}, {1, true, "base.raw"},  {1, false, "disk.raw"}, {1, false, "base.raw"},
            {2, true, "disk.raw"},  {1, false, "base.raw"}, {2, false, NULL},
        };
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, storage);
        bool tells = knowledge != KNOWS_NOTHING && files_tell();
        assert_runs(disk, tells ? holes : all_data, tells ? sizeof holes / sizeof holes[0] : ALL_DATA);
        close_disk(disk);
    }
}

/*
 * VRT-02: a chain of three disks on a raw file, each shorter than the one above: every sector of it is told with
 * its level, its file and its place there, and with what is left of its run.
 */
static void test_levels(void **state)
{
    (void)state;
    enum { LEVELS = 3, UNIT = 4096, CLUSTERS = 12 };
    static const char *const names[] = {"disk.raw", "middle.raw", "low.raw", "base.raw"};
    static const uint64_t allocated[LEVELS] = {0x081, 0x102, 0x024};
    static const uint64_t ends[LEVELS + 1] = {CLUSTERS * UNIT - 100, 11 * UNIT - 200, 10 * UNIT - 300, 9 * UNIT - 400};
    struct disk_spec low = {
        .size = ends[2], .backing_name = "base.raw", .backing_size = ends[3], .allocated = allocated[2]};
    struct disk_spec middle = {
        .size = ends[1], .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = allocated[1]};
    struct disk_spec top = {
        .size = ends[0], .backing_name = "middle.add-cow", .backing_format = "add-cow", .allocated = allocated[0]};
    make_disk("low", &low);
    make_disk("middle", &middle);
    make_disk("disk", &top);
    struct addcow *disk = open_disk("disk.add-cow");
    for (uint64_t at = 0; at < ends[0]; at += 100) {
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        unsigned level = 0;
        while (level < LEVELS && !(allocated[level] >> at / UNIT & 1) && at < ends[level + 1]) {
            level++;
        }
        bool present = level == LEVELS || (allocated[level] >> at / UNIT & 1);
        assert_ok(addcow_map_chain(disk, at, ends[0] - at, &extent, &reason));
        assert_int_equal(extent.present, present);
        assert_int_equal(extent.depth, level);
        assert_true(extent.length > 0);
        if (present) {
            assert_string_equal(extent.path, in_directory(names[level]));
            assert_int_equal(extent.file_offset, at);
            assert_true(at + extent.length <= ends[level]);
        }
    }
    close_disk(disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_map_data),
        TEST(test_storage_that_does_not_tell),
        TEST(test_levels),
    };
    return cmocka_run_group_tests_name("fast, map of data", tests, NULL, NULL);
}
