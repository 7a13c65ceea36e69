/*
 * The production engine: resize, stream and commit at the edges: where the bitmap's bytes, words and blocks end, where
 * files have no padding and no holes, and where a file below cannot be written.
 */
#include "faults.h"
#include "support.h"

#define BLOCK ((uint64_t)32768) /* clusters whose bits share 4 KiB of the bitmap */

/* Makes "disk" with so many clusters of 4 KiB, all of them a hole, and with a bitmap of two blocks. */
static void make_sparse_disk(const struct disk_spec *spec, uint64_t clusters)
{
    make_disk("disk", spec);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(clusters * 4096)), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 2 * 4096), 0);
}

static void assert_run(struct addcow *disk, uint64_t first, uint64_t limit, bool expected)
{
    bool allocated;
    uint64_t run;
    uint64_t length = addcow_size(disk) - first * 4096;
    assert_ok(addcow_map(disk, first * 4096, length, &allocated, &run, &reason));
    assert_int_equal(allocated, expected);
    assert_int_equal(run, (limit - first) * 4096);
}

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
    /* Growing keeps what is set in blocks that are not written yet. */
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

static int fail_second_block(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_READ && event->file == 'm' && event->offset >= 4096 + 4096 ? -EIO : 0;
}

/* RSZ-07 VRT-05: with "all allocated" new bits are set; if they cannot be read before, the disk does not grow. */
static void test_grow_unreadable(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = 3 * 4096, .compatible = ADDCOW_ALL_ALLOCATED, .allocated = 7});
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_second_block;
    assert_int_equal(addcow_resize(disk, 40000 * 4096, &reason), ADDCOW_IO);
    assert_int_equal(addcow_size(disk), 3 * 4096);
    assert_int_equal(file_length("disk.raw"), 3 * 4096);
    probe->decide = NULL;
    assert_ok(addcow_resize(disk, 40000 * 4096, &reason));
    close_disk(disk);
    uint8_t *file = load_file("disk.add-cow");
    for (uint64_t i = 0; i < 40000 / 8; i++) {
        assert_int_equal(file[4096 + i], 0xFF);
    }
    assert_int_equal(file[4096 + 40000 / 8], 0);
    free(file);
    free_probe(probe);
}

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
    struct addcow_info info;
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

/* STR-01: zeros that the backing file stores replace what the image holds, and are punched. */
static void test_stream_stored_zeros(void **state)
{
    (void)state;
    const uint64_t cluster = 1u << 18; /* as much as one step copies */
    struct disk_spec spec = {
        .size = 3 * cluster, .cluster_bits = 18, .backing_name = "base.raw", .backing_size = 3 * cluster};
    make_disk("disk", &spec);
    uint8_t *zeros = allocate_bytes(cluster);
    patch_file("base.raw", cluster, zeros, cluster);
    free(zeros);
    struct model model = make_model(&spec);
    memset(model.virt + cluster, 0, cluster);
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

static const struct addcow_storage_ops restricted_ops = {.open = open_restricted};

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

static int open_telling(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                        struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    int result = probe_open(storage, path, mode, file);
    if (result == 0) {
        ops = *(*file)->ops;
        ops.next_data = tell_next_data;
        (*file)->ops = &ops;
    }
    return result;
}

/* STR-01: a hole of the backing file is not read, if the storage knows of it; and a storage that knows nothing is not
 * believed. */
static void test_stream_holes(void **state)
{
    (void)state;
    for (telling = TELL_TRUTH; telling <= TELL_NONSENSE; telling++) {
        struct disk_spec spec = {
            .size = 64 * 65536, .cluster_bits = 16, .backing_name = "base.raw", .backing_size = 4096};
        make_disk("disk", &spec);
        assert_int_equal(truncate(in_directory("base.raw"), (off_t)spec.size), 0);
        uint8_t data[65536];
        fill_pattern(data, 8, 0, sizeof data);
        patch_file("base.raw", 40 * 65536, data, sizeof data);
        struct probe *probe = make_probe();
        probe->storage.ops = &(const struct addcow_storage_ops){.open = open_telling};
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
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
    struct addcow_error error = {0};
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
        TEST(test_block_ends),
        TEST(test_shrink_second_block),
        TEST(test_backing_ends_with_disk),
        TEST(test_grow_from_nothing),
        TEST(test_no_padding_no_punching),
        TEST(test_grow_unreadable),
        TEST(test_stream_long),
        TEST(test_stream_grown_unreadable),
        TEST(test_stream_stored_zeros),
        TEST(test_stream_over_partial_hole),
        TEST(test_commit_one_cluster),
        TEST(test_commit_into_itself),
        TEST(test_commit_failing_in_blocks),
        TEST(test_commit_into_read_only),
        TEST(test_commit_without_backing),
        TEST(test_commit_nothing),
        TEST(test_stream_holes),
        TEST(test_every_call_reported),
    };
    return cmocka_run_group_tests_name("maintenance, edges", tests, NULL, NULL);
}
