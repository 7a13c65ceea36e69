/*
 * The production engine: resize, stream and commit at the edges: where the bitmap's bytes, words and blocks end, where
 * files have no padding and no holes, and where a file below cannot be written.
 */
#include "engine/sparse_disk.h"

/* ---- Resize ---- */

/* RSZ-03 BMP-05: from and to the end of a block, nothing of which was looked at before; with stale bits behind the end.
 */
static void test_block_ends(void **state)
{
    (void)state;
    static const uint64_t counts[] = {BLOCK - 1, BLOCK, BLOCK + 1};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        make_sparse_disk(&(struct disk_spec){.size = 4096}, counts[i]);
        uint8_t junk[4096];
        memset(junk, 0xFF, sizeof junk);
        patch_file("disk.add-cow", 4096 + (counts[i] + 7) / 8, junk, sizeof junk);
        struct addcow *disk = open_disk("disk.add-cow");
        assert_ok(addcow_resize(disk, 40000 * 4096, &reason));
        assert_run(disk, 0, 40000, false);
        close_disk(disk);
        disk = open_disk("disk.add-cow");
        assert_run(disk, 0, 40000, false);
        close_disk(disk);
        disk = open_disk("disk.add-cow");
        assert_ok(addcow_resize(disk, counts[i] * 4096, &reason));
        assert_run(disk, 0, counts[i], false);
        close_disk(disk);
    }
}

/* RSZ-05: the new end is in the second block, and each block is written where it belongs. */
static void test_shrink_second_block(void **state)
{
    (void)state;
    make_sparse_disk(&(struct disk_spec){.size = 4096}, 40000);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_zero(disk, 3 * 4096, 4096, &reason));
    assert_ok(addcow_zero(disk, (BLOCK + 2) * 4096, 4096, &reason));
    assert_ok(addcow_zero(disk, 39000 * 4096, 4096, &reason));
    assert_ok(addcow_resize(disk, (BLOCK + 5) * 4096, &reason));
    for (int again = 0; again < 2; again++) {
        assert_run(disk, 0, 3, false);
        assert_run(disk, 3, 4, true);
        assert_run(disk, 4, BLOCK + 2, false);
        assert_run(disk, BLOCK + 2, BLOCK + 3, true);
        assert_run(disk, BLOCK + 3, BLOCK + 5, false);
        close_disk(disk);
        disk = open_disk("disk.add-cow");
    }
    /* Growing keeps the bits that are set in blocks that are not written yet. */
    assert_ok(addcow_zero(disk, 4 * 4096, 4096, &reason));
    assert_ok(addcow_zero(disk, (BLOCK + 3) * 4096, 4096, &reason));
    assert_ok(addcow_resize(disk, 5 * BLOCK * 4096, &reason));
    assert_run(disk, 3, 5, true);
    assert_run(disk, BLOCK + 2, BLOCK + 4, true);
    assert_run(disk, BLOCK + 4, 5 * BLOCK, false);
    close_disk(disk);
}

static int fail_backing(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->file == 'b' ? -EIO : 0;
}

/* RSZ-03: a backing file that ends where the disk ends shows nowhere in the new part, and is not needed for it. */
static void test_backing_ends_with_disk(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 2 * 4096 + 100, .backing_name = "base.raw", .backing_size = 2 * 4096 + 100};
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_backing;
    assert_ok(addcow_resize(disk, 5 * 4096, &reason));
    probe->decide = NULL;
    assert_run(disk, 0, 5, false);
    spec.size = 5 * 4096;
    struct model model = make_model(&spec);
    compare(disk, &model);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

/* RSZ-04: a disk of no size has no bit to write, but the room for its bitmap is durable before the image grows. */
static void test_grow_from_nothing(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = 0});
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    assert_ok(addcow_resize(disk, 5 * 4096, &reason));
    size_t room = 0, durable = 0, grown = 0;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_TRUNCATE) {
            *(event->file == 'm' ? &room : &grown) = i + 1;
        }
        if (event->kind == EVENT_SYNC && event->file == 'm') {
            durable = i + 1;
        }
    }
    assert_true(0 < room && room < durable && durable < grown);
    assert_run(disk, 0, 5, false);
    close_disk(disk);
    free_probe(probe);
}

static int refuse_punching(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_PUNCH ? -EOPNOTSUPP : 0;
}

/* RSZ-08 BMP-04: r9 has no padding; where nothing can be punched, zeros are written, and none behind the end of the
 * file. */
static void test_no_padding_no_punching(void **state)
{
    (void)state;
    struct disk_spec spec = {.layout = ADDCOW_R9,
                             .size = 16 * 65536,
                             .backing_name = "base.raw",
                             .backing_size = 16 * 65536,
                             .allocated = 0xFFFF};
    for (int shrink = 0; shrink < 2; shrink++) {
        make_disk("disk", &spec);
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        probe->decide = refuse_punching;
        assert_int_equal(file_length("disk.add-cow"), 4096 + 2);
        if (shrink) {
            assert_ok(addcow_resize(disk, 8 * 65536, &reason));
        } else {
            assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        }
        close_disk(disk);
        assert_int_equal(file_length("disk.add-cow"), 4096 + 2);
        uint8_t *file = load_file("disk.add-cow");
        assert_int_equal(file[4096], shrink ? 0xFF : 0);
        assert_int_equal(file[4096 + 1], 0);
        free(file);
        free_probe(probe);
    }
}

static int fail_writing_second_block(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_WRITE && event->file == 'm' && event->offset >= 4096 + 4096 ? -EIO : 0;
}

/*
 * RSZ-07 VRT-05: with "all allocated" new bits are set; if they cannot be written, or the block in which the first one
 * lies cannot be read before, the disk does not grow.
 */
static void test_grow_unreadable(void **state)
{
    (void)state;
    for (int write = 0; write < 2; write++) {
        uint64_t old_count = write ? 3 : BLOCK;
        struct disk_spec spec = {.size = 3 * 4096, .compatible = ADDCOW_ALL_ALLOCATED, .allocated = 7};
        make_sparse_disk(&spec, old_count);
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        probe->decide = write ? fail_writing_second_block : fail_second_block;
        assert_int_equal(addcow_resize(disk, 40000 * 4096, &reason), ADDCOW_IO);
        assert_int_equal(addcow_size(disk), old_count * 4096);
        assert_int_equal(file_length("disk.raw"), old_count * 4096);
        probe->decide = NULL;
        assert_ok(addcow_resize(disk, 40000 * 4096, &reason));
        close_disk(disk);
        uint8_t *file = load_file("disk.add-cow");
        for (uint64_t i = old_count / 8 + 1; i < 40000 / 8; i++) {
            assert_int_equal(file[4096 + i], 0xFF);
        }
        assert_int_equal(file[4096], write ? 0xFF : 7);
        assert_int_equal(file[4096 + 40000 / 8], 0);
        free(file);
        free_probe(probe);
    }
}

/* ---- Commit ---- */

/* CMT-01: the only allocated cluster is the first one, or the last one, whose bit is alone in its byte. */
static void test_commit_one_cluster(void **state)
{
    (void)state;
    static const uint64_t bits[] = {1, 1u << 16};
    struct disk_spec spec = {.size = 17 * 4096, .backing_name = "base.raw", .backing_size = 17 * 4096};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        spec.allocated = bits[i];
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        memset(model.allocated, 0, 17);
        struct addcow *disk = open_disk("disk.add-cow");
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        free_model(&model);
    }
}

/* CMT-02 LNK-07 LNK-10: the backing file was not looked at before the commit, and is the image, or the metadata file.
 */
static void test_commit_into_itself(void **state)
{
    (void)state;
    static const char *const names[] = {"disk.raw", "disk.add-cow"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_disk("disk", &(struct disk_spec){.size = 5 * 4096,
                                              .backing_name = "base.raw",
                                              .backing_size = 5 * 4096,
                                              .compatible = ADDCOW_ALL_ALLOCATED,
                                              .allocated = 0x1F});
        struct addcow *disk = open_disk("disk.add-cow");
        assert_int_equal(unlink(in_directory("base.raw")), 0);
        assert_int_equal(link(in_directory(names[i]), in_directory("base.raw")), 0);
        assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_UNLINKABLE);
        assert_string_equal(reason.clause, "LNK-07");
        assert_run(disk, 0, 5, true);
        close_disk(disk);
        assert_int_equal(unlink(in_directory("base.raw")), 0);
    }
}

static int fail_after_punching(struct probe *probe, const struct event *event)
{
    bool *punched = probe->context;
    if (event->file == 'm' && event->kind == EVENT_PUNCH) {
        *punched = true;
    }
    return *punched && event->file == 'm' && event->kind == EVENT_SYNC ? -EIO : 0;
}

/* CMT-03 DUR-06: bits that a failed commit may have cleared in the file are written again, in all blocks. */
static void test_commit_failing_in_blocks(void **state)
{
    (void)state;
    static const uint64_t clusters[] = {5, BLOCK + 5};
    make_sparse_disk(&(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 4096}, 40000);
    assert_int_equal(truncate(in_directory("base.raw"), 40000 * 4096), 0);
    struct probe *probe = make_probe();
    bool punched = false;
    uint8_t data[100], back[100];
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(addcow_zero(disk, clusters[i] * 4096, 4096, &reason));
    }
    assert_ok(addcow_flush(disk, &reason));
    probe->context = &punched;
    probe->decide = fail_after_punching;
    assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_IO);
    probe->decide = NULL;
    for (size_t i = 0; i < 2; i++) {
        fill_pattern(data, 5, clusters[i] * 4096, sizeof data);
        assert_ok(addcow_write(disk, clusters[i] * 4096, sizeof data, data, &reason));
    }
    close_disk(disk);
    disk = open_disk("disk.add-cow");
    for (size_t i = 0; i < 2; i++) {
        fill_pattern(data, 5, clusters[i] * 4096, sizeof data);
        assert_ok(addcow_read(disk, clusters[i] * 4096, sizeof back, back, &reason));
        assert_memory_equal(back, data, sizeof data);
    }
    close_disk(disk);
    free_probe(probe);
}

static const char *not_writable; /* the end of a path */

static int open_restricted(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                           struct addcow_file **file)
{
    (void)storage;
    size_t length = strlen(path), end = strlen(not_writable);
    if (mode == ADDCOW_FILE_READWRITE && length >= end && strcmp(path + length - end, not_writable) == 0) {
        return -EACCES;
    }
    return addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, file);
}

static const struct addcow_storage_ops restricted_ops = {.struct_size = sizeof restricted_ops, .open = open_restricted};

/* CMT-02 LCK-03: neither the metadata file nor the image of the disk below can be written; it is free for others
 * afterwards. */
static void test_commit_into_read_only(void **state)
{
    (void)state;
    static const char *const names[] = {"/low.add-cow", "/low.raw"};
    struct addcow_storage storage = {.ops = &restricted_ops};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct disk_spec low = {.size = 5 * 4096, .allocated = 0x1F};
        struct disk_spec top = {
            .size = 5 * 4096, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 6};
        not_writable = names[i];
        make_disk("low", &low);
        make_disk("top", &top);
        struct addcow *disk = open_disk_on("top.add-cow", ADDCOW_OPEN_READWRITE, &storage);
        assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_READONLY);
        if (i == 0) {
            assert_string_equal(reason.clause, "CMT-02");
        }
        assert_run(disk, 1, 3, true);
        close_disk(open_disk_on("low.add-cow", ADDCOW_OPEN_READONLY, NULL));
        close_disk(disk);
    }
}

/* CMT-02 LNK-10: the backing file was not needed until the commit, and is not there. */
static void test_commit_without_backing(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 5 * 4096,
                             .backing_name = "base.raw",
                             .backing_size = 5 * 4096,
                             .compatible = ADDCOW_ALL_ALLOCATED,
                             .allocated = 0x1F};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_int_equal(unlink(in_directory("base.raw")), 0);
    assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_UNLINKABLE);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

/* CMT-01 CMT-02: a disk without clusters, and one without allocated ones over an empty backing file. */
static void test_commit_nothing(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = 4096, .backing_name = "base.raw"});
    struct addcow *unused = open_disk("disk.add-cow");
    assert_ok(addcow_commit(unused, NULL, NULL, &reason));
    close_disk(unused);
    make_disk("disk", &(struct disk_spec){.size = 0, .backing_name = "base.raw", .backing_size = 4096});
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    close_disk(disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_block_ends),
        TEST(test_shrink_second_block),
        TEST(test_backing_ends_with_disk),
        TEST(test_grow_from_nothing),
        TEST(test_no_padding_no_punching),
        TEST(test_grow_unreadable),
        TEST(test_commit_one_cluster),
        TEST(test_commit_into_itself),
        TEST(test_commit_failing_in_blocks),
        TEST(test_commit_into_read_only),
        TEST(test_commit_without_backing),
        TEST(test_commit_nothing),
    };
    return cmocka_run_group_tests_name("fast, edges of resize, stream and commit", tests, NULL, NULL);
}
