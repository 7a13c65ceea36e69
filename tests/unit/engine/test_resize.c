/* The production engine: resize, with failures at every I/O. */
#include "engine/maintain.h"
#include "engine/sparse_disk.h"

#include "addcow_disk.h"

/* ---- Resize ---- */

/* What resize does to the model (RSZ-02, RSZ-03). */
static void resize_model(struct model *model, const struct disk_spec *spec, uint64_t new_size)
{
    uint64_t old_size = model->size;
    uint64_t count = addcow_cluster_count(new_size, model->cluster);
    uint64_t old_count = addcow_cluster_count(old_size, model->cluster);
    model->virt = realloc(model->virt, (size_t)new_size + 1);
    model->allocated = realloc(model->allocated, (size_t)count + 1);
    bool flagged = (spec->compatible & ADDCOW_ALL_ALLOCATED) != 0;
    for (uint64_t i = old_size; i < new_size; i++) {
        model->virt[i] = 0;
    }
    for (uint64_t k = old_count; k < count; k++) {
        model->allocated[k] = flagged;
    }
    uint64_t shown = new_size < spec->backing_size ? new_size : spec->backing_size;
    if (shown > old_size && !flagged) {
        for (uint64_t k = old_size / model->cluster; k <= (shown - 1) / model->cluster; k++) {
            model->allocated[k] = 1;
        }
    }
    model->size = new_size;
}

static void resize_both(struct addcow *disk, struct model *model, const struct disk_spec *spec, uint64_t new_size)
{
    assert_ok(addcow_resize(disk, new_size, &reason));
    resize_model(model, spec, new_size);
    compare(disk, model);
    assert_int_equal(file_length("disk.raw"), new_size);
}

/* RSZ-01 RSZ-02 RSZ-03 RSZ-05 RSZ-06 RSZ-08: over every kind of old and new end, backing file ends, and back again. */
static void test_resize(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {10 * 4096 + 778, 11 * 4096, 30 * 4096 + 5, 10 * 4096, 2 * 4096, 4096 + 9, 1, 0};
    static const uint64_t backing_sizes[] = {0, 3 * 4096 + 8, 10 * 4096 + 800, 40 * 4096};
    for (size_t i = 0; i < sizeof backing_sizes / sizeof backing_sizes[0]; i++) {
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            struct disk_spec spec = spec_with_backing(backing_sizes[i]);
            make_disk("disk", &spec);
            struct model model = make_model(&spec);
            struct addcow *disk = open_disk("disk.add-cow");
            resize_both(disk, &model, &spec, sizes[j]);
            if (j % 2 == 0) {
                close_disk(disk);
                compare_reopened("disk.add-cow", &model);
                disk = open_disk("disk.add-cow");
            }
            resize_both(disk, &model, &spec, 20 * 4096 + 11);
            write_both(disk, &model, 15 * 4096 + 3, 10000, 7);
            compare(disk, &model);
            resize_both(disk, &model, &spec, 16 * 4096 + 1);
            resize_both(disk, &model, &spec, 24 * 4096);
            close_disk(disk);
            compare_reopened("disk.add-cow", &model);
            free_model(&model);
        }
    }
}

/* RSZ-03 RSZ-08 BMP-03: over the 8 bits of a byte, the 32768 of a block, and with stale bits behind the end in the file
 * (BMP-05). */
static void test_resize_bitmap(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 3 * 4096};
    make_disk("disk", &spec);
    uint8_t *junk = allocate_bytes(4096);
    memset(junk, 0xFF, 4096);
    junk[0] = 0xFA;
    patch_file("disk.add-cow", 4096, junk, 4096);
    free(junk);
    struct addcow *disk = open_disk("disk.add-cow");
    struct model model = make_model(&spec);
    model.allocated[1] = 1;
    fill_pattern(model.virt + 4096, SEED_IMAGE, 4096, 4096);
    compare(disk, &model);
    resize_both(disk, &model, &spec, 13 * 4096);
    resize_both(disk, &model, &spec, 300 * 4096);
    free_model(&model);

    uint64_t huge = (uint64_t)100000 * 4096;
    assert_ok(addcow_resize(disk, huge, &reason));
    uint8_t byte = 9;
    assert_ok(addcow_write(disk, huge - 1, 1, &byte, &reason));
    assert_ok(addcow_flush(disk, &reason));
    assert_int_equal(file_length("disk.add-cow"), 4096 + 4 * 4096);
    assert_ok(addcow_resize(disk, (uint64_t)50000 * 4096, &reason));
    assert_ok(addcow_resize(disk, huge, &reason));
    bool allocated;
    uint64_t run;
    assert_ok(addcow_map(disk, 2 * 4096, huge - 2 * 4096, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, huge - 2 * 4096);
    close_disk(disk);
    disk = open_disk("disk.add-cow");
    assert_ok(addcow_map(disk, 2 * 4096, huge - 2 * 4096, &allocated, &run, &reason));
    assert_int_equal(run, huge - 2 * 4096);
    close_disk(disk);
}

/* RSZ-05: nothing is written any more of a block of the bitmap that goes, though its bits are not in the file yet. */
static void test_shrink_drops_dirty_blocks(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = (uint64_t)100000 * 4096};
    make_disk("disk", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    uint8_t bytes[2] = {7, 9};
    assert_ok(addcow_write(disk, 4096, 1, &bytes[0], &reason));
    assert_ok(addcow_write(disk, spec.size - 1, 1, &bytes[1], &reason));
    assert_ok(addcow_resize(disk, 3 * 4096, &reason));
    assert_ok(addcow_flush(disk, &reason));
    bool allocated;
    uint64_t run;
    assert_ok(addcow_resize(disk, spec.size, &reason));
    assert_ok(addcow_map(disk, 4096, spec.size - 4096, &allocated, &run, &reason));
    assert_true(allocated);
    assert_int_equal(run, 4096);
    assert_ok(addcow_map(disk, 2 * 4096, spec.size - 2 * 4096, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, spec.size - 2 * 4096);
    close_disk(disk);
}

/* RSZ-05 RSZ-08 BMP-05: the bits of the clusters that went are 0 in the file, which keeps its length. */
static void test_shrink_clears_bits(void **state)
{
    (void)state;
    static const uint64_t old_counts[] = {64, 57};
    static const uint64_t counts[] = {63, 56, 13, 8, 1, 0};
    for (size_t i = 0; i < 12; i++) {
        struct disk_spec spec = {.size = old_counts[i % 2] * 4096, .allocated = UINT64_MAX >> (i % 2 ? 7 : 0)};
        uint64_t count = counts[i / 2] < old_counts[i % 2] ? counts[i / 2] : 49;
        make_disk("disk", &spec);
        struct addcow *disk = open_disk("disk.add-cow");
        assert_ok(addcow_resize(disk, count * 4096, &reason));
        close_disk(disk);
        assert_int_equal(file_length("disk.add-cow"), 8192);
        uint8_t *file = load_file("disk.add-cow");
        for (uint64_t k = 0; k < 64; k++) {
            assert_int_equal(file[4096 + k / 8] >> k % 8 & 1, k < count);
        }
        free(file);
    }
}

/* RSZ-03 BMP-05: stale bits in a block of the bitmap that the disk has not reached yet. */
static void test_grow_over_stale_block(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 3 * 4096};
    make_disk("disk", &spec);
    uint8_t junk[8192];
    memset(junk, 0xFF, sizeof junk);
    patch_file("disk.add-cow", 4096 + 1, junk, sizeof junk - 1);
    struct addcow *disk = open_disk("disk.add-cow");
    uint64_t size = (uint64_t)40000 * 4096;
    bool allocated;
    uint64_t run;
    assert_ok(addcow_resize(disk, size, &reason));
    assert_ok(addcow_map(disk, 0, size, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, size);
    close_disk(disk);
}

/* RSZ-03 BMP-05: stale bits in the block in which the disk ends, in words far behind its end. */
static void test_stale_bits_far_past_the_end(void **state)
{
    (void)state;
    const uint64_t count = 9000;
    const uint64_t size = 12000 * 4096;
    struct disk_spec spec = {.size = 4096};
    make_disk("disk", &spec);
    uint8_t junk[4096];
    memset(junk, 0xFF, sizeof junk);
    patch_file("disk.add-cow", 4096, junk, sizeof junk);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(count * 4096)), 0);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_resize(disk, size, &reason));
    for (int again = 0; again < 2; again++) {
        bool allocated;
        uint64_t run;
        assert_ok(addcow_map(disk, 0, size, &allocated, &run, &reason));
        assert_true(allocated);
        assert_int_equal(run, count * 4096);
        assert_ok(addcow_map(disk, count * 4096, size - count * 4096, &allocated, &run, &reason));
        assert_false(allocated);
        assert_int_equal(run, size - count * 4096);
        close_disk(disk);
        disk = open_disk("disk.add-cow");
    }
    /* Nor those of clusters that were there, in memory. */
    bool allocated;
    uint64_t run;
    assert_ok(addcow_zero(disk, 0, size, &reason));
    assert_ok(addcow_resize(disk, count * 4096, &reason));
    assert_ok(addcow_resize(disk, size, &reason));
    assert_ok(addcow_map(disk, count * 4096, size - count * 4096, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, size - count * 4096);
    close_disk(disk);
}

/* RSZ-03 VRT-05: with "all allocated", new clusters have their bits, for a reader that ignores the flag. */
static void test_resize_all_allocated(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(40 * 4096);
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    spec.allocated = 0x7FF;
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    resize_both(disk, &model, &spec, 30 * 4096);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    uint8_t *file = load_file("disk.add-cow");
    static const uint8_t bits[] = {0xFF, 0xFF, 0xFF, 0x3F, 0};
    assert_memory_equal(file + 4096, bits, sizeof bits);
    free(file);
    free_model(&model);
}

/* RSZ-09 */
static void test_resize_range(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(4096);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_resize(disk, ADDCOW_SIZE_MAX + (uint64_t)1, &error), ADDCOW_RANGE);
    assert_string_equal(error.clause, "RSZ-09");
    assert_int_equal(addcow_resize(disk, UINT64_MAX, NULL), ADDCOW_RANGE);
    compare(disk, &model);
    close_disk(disk);
    free_model(&model);
}

static int fail_changing(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->file == 'm' && event->kind != EVENT_READ ? -ENOSPC : 0;
}

/* RSZ-09: the largest size is asked of the storage, whether or not that has room for it. */
static void test_resize_to_limit(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(4096);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_changing;
    assert_int_equal(addcow_resize(disk, ADDCOW_SIZE_MAX, NULL), ADDCOW_NOSPACE);
    probe->decide = NULL;
    compare(disk, &model);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

/* RSZ-01: a disk that has the size already is left alone. */
static void test_resize_to_same(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(40 * 4096);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    assert_ok(addcow_resize(disk, spec.size, &reason));
    assert_int_equal(probe->count, 0);
    compare(disk, &model);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

/* RSZ-04 RSZ-05: the order of the steps, as the storage sees them. */
static void test_resize_order(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(40 * 4096);
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    assert_ok(addcow_resize(disk, 20 * 4096, &reason));
    size_t bitmap = 0, image_sync = 0, metadata_sync = 0, extended = 0;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_WRITE && event->file == 'm') {
            bitmap = i;
        }
        if (event->kind == EVENT_SYNC) {
            *(event->file == 'm' ? &metadata_sync : &image_sync) = i;
        }
        if (event->kind == EVENT_TRUNCATE && event->file == 'i') {
            extended = i;
        }
    }
    assert_true(0 < image_sync && image_sync < bitmap && bitmap < metadata_sync && metadata_sync < extended);
    assert_int_equal(extended, probe->count - 1);

    probe->count = 0;
    assert_ok(addcow_resize(disk, 4096, &reason));
    size_t cut = probe->count, first_change = probe->count;
    for (size_t i = probe->count; i-- > 0;) {
        const struct event *event = &probe->events[i];
        if (event->kind == EVENT_TRUNCATE && event->file == 'i') {
            cut = i;
        }
        if ((event->kind == EVENT_WRITE || event->kind == EVENT_PUNCH) && event->file == 'm') {
            first_change = i;
        }
    }
    assert_true(cut + 1 < first_change);
    assert_int_equal(probe->events[cut + 1].kind, EVENT_SYNC);
    assert_int_equal(probe->events[cut + 1].file, 'i');
    close_disk(disk);
    free_probe(probe);
}

/* What others see of the size while a resize runs. */
struct sizes_seen {
    struct addcow *disk; /* null: not open yet */
    uint64_t expected;
    bool fails; /* setting the length of the image */
};

static int look_at_size(struct probe *probe, const struct event *event)
{
    struct sizes_seen *seen = probe->context;
    if (!seen->disk || event->kind == EVENT_CLOSE) {
        return 0;
    }
    assert_int_equal(addcow_size(seen->disk), seen->expected);
    if (event->kind != EVENT_TRUNCATE || event->file != 'i') {
        return 0;
    }
    seen->expected = seen->fails ? seen->expected : event->offset; /* from the next call on, as nobody can tell when */
    return seen->fails ? -EIO : 0;
}

/* RSZ-07: the size is the old one until the image has its new length, whether that fails or not. */
static void test_size_changes_with_the_image(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {20 * 4096 + 5, 3 * 4096};
    for (size_t i = 0; i < 4; i++) {
        struct disk_spec spec = spec_with_backing(40 * 4096);
        make_disk("disk", &spec);
        struct sizes_seen seen = {.expected = spec.size, .fails = i / 2 != 0};
        struct probe *probe = make_probe();
        probe->context = &seen;
        probe->decide = look_at_size;
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        seen.disk = disk;
        assert_int_equal(addcow_resize(disk, sizes[i % 2], &reason), seen.fails ? ADDCOW_IO : ADDCOW_OK);
        assert_int_equal(addcow_size(disk), seen.fails ? spec.size : sizes[i % 2]);
        close_disk(disk);
        free_probe(probe);
    }
}

/* ---- Failing at the n-th I/O ---- */

static enum addcow_status grow(struct addcow *disk)
{
    return addcow_resize(disk, 14 * 4096 + 5, NULL);
}

/* RSZ-07 ERR-03: whatever fails. */
static void test_resize_failing(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(12 * 4096 + 9);
    struct model after = make_model(&spec);
    resize_model(&after, &spec, 14 * 4096 + 5);
    fail_everywhere(&spec, grow, &after);
    free_model(&after);
    after = make_model(&spec);
    resize_model(&after, &spec, 2 * 4096 + 5);
    fail_everywhere(&spec, shrink, &after);
    free_model(&after);
}

static int fail_extending(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_TRUNCATE && event->file == 'i' ? -ENOSPC : 0;
}

/* RSZ-07 BMP-05 ERR-03: after growing failed at its last step, neither the file nor the handle knows of clusters past
 * the end. */
static void test_grow_failing_late(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(30 * 4096);
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_extending;
    assert_int_equal(addcow_resize(disk, 50 * 4096, NULL), ADDCOW_NOSPACE);
    probe->decide = NULL;
    compare_range(disk, &model, 0, model.size);
    close_disk(disk);
    uint8_t *file = load_file("disk.add-cow");
    for (uint64_t k = 11; k < 50; k++) {
        assert_int_equal(file[4096 + k / 8] >> k % 8 & 1, 0);
    }
    free(file);
    free_probe(probe);
    free_model(&model);
}

/* RSZ-07: if one of the two files cannot become so long, nothing is tried. */
static void test_grow_beyond_the_limit(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(30 * 4096);
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    probe->longest = 100 * 4096 - 1;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_resize(disk, 100 * 4096, &error), ADDCOW_IO);
    assert_int_equal(error.errnum, EFBIG);
    assert_non_null(strstr(error.message, "disk.raw: at 409600: setting the length failed"));
    assert_int_equal(probe->count, 0);
    probe->longest++;
    assert_ok(addcow_resize(disk, 100 * 4096, &reason));
    close_disk(disk);
    free_probe(probe);

    /* Of an image of one byte, the metadata file is the longer one. */
    spec.size = 0;
    spec.allocated = 0;
    make_disk("disk", &spec);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096), 0);
    probe = make_probe();
    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->count = 0;
    probe->longest = 8191;
    assert_int_equal(addcow_resize(disk, 1, &error), ADDCOW_IO);
    assert_non_null(strstr(error.message, "disk.add-cow: at 8192: setting the length failed"));
    assert_int_equal(probe->count, 0);
    close_disk(disk);
    free_probe(probe);
}

static int fail_metadata_sync(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_SYNC && event->file == 'm' ? -EIO : 0;
}

/* RSZ-07: growing that fails, early or late, leaves a metadata file as long as before; and so it grows again. */
static void test_grow_failing_keeps_the_length(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(30 * 4096);
    const uint64_t size = (uint64_t)100000 * 4096;
    make_disk("disk", &spec);
    const uint64_t length = file_length("disk.add-cow");
    struct model model = make_model(&spec);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    probe->decide = fail_extending;
    assert_int_equal(addcow_resize(disk, size, NULL), ADDCOW_NOSPACE);
    assert_int_equal(file_length("disk.add-cow"), length);
    probe->decide = fail_metadata_sync;
    assert_int_equal(addcow_resize(disk, size, NULL), ADDCOW_IO);
    assert_int_equal(file_length("disk.add-cow"), length);
    probe->decide = NULL;
    compare_range(disk, &model, 0, model.size);
    assert_ok(addcow_resize(disk, size, &reason));
    assert_int_equal(file_length("disk.add-cow"), 4096 + 4 * 4096);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

/* Whether exactly the bits [first, limit) of the `count` clusters of "disk" are set in its file, and those before
 * `first` are as they were. */
static void assert_bits(uint64_t first, uint64_t limit, uint64_t count)
{
    uint8_t *file = load_file("disk.add-cow");
    for (uint64_t k = first; k < count; k++) {
        assert_int_equal(file[4096 + k / 8] >> k % 8 & 1, k < limit);
    }
    free(file);
}

static size_t loaded_blocks(const struct addcow *disk)
{
    size_t count = 0;
    for (uint64_t i = 0; i < disk->bitmap.capacity; i++) {
        count += sync_pointer_load(&disk->bitmap.blocks[i]) != NULL;
    }
    return count;
}

/* RSZ-03: the bits of new clusters in many blocks of the bitmap, which take no memory: over a backing file that is
 * longer, and with "all allocated". The last byte may be partial. */
static void test_grow_over_blocks(void **state)
{
    (void)state;
    static const uint64_t limits[] = {BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 8, 3 * BLOCK + 11};
    static const uint64_t starts[] = {5, BLOCK - 1, BLOCK};
    for (size_t i = 0; i < 3 * sizeof limits / sizeof limits[0]; i++) {
        for (int flagged = 0; flagged < 2; flagged++) {
            uint64_t start = starts[i % 3];
            uint64_t limit = limits[i / 3];
            uint64_t count = flagged ? limit : limit + 100;
            struct disk_spec spec = {.size = 4096, .backing_name = "base.raw", .backing_size = 4096};
            spec.compatible = flagged ? ADDCOW_ALL_ALLOCATED : 0;
            make_sparse_disk(&spec, start);
            assert_int_equal(truncate(in_directory("base.raw"), (off_t)(limit * 4096)), 0);
            struct addcow *disk = open_disk("disk.add-cow");
            assert_ok(addcow_resize(disk, count * 4096, &reason));
            assert_true(loaded_blocks(disk) <= 2);
            close_disk(disk);
            assert_bits(start, limit, count);
        }
    }
}

/* RSZ-08: stale bytes are zeroed within the metadata file, also where zeros have to be written. */
static void test_grow_within_the_file(void **state)
{
    (void)state;
    struct disk_spec spec = spec_with_backing(40 * 4096);
    spec.size = 40 * 4096;
    make_disk("disk", &spec);
    struct probe *probe = make_probe();
    probe->decide = refuse_punch;
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    uint64_t length = file_length("disk.add-cow");
    assert_ok(addcow_resize(disk, 8 * 4096, &reason));
    assert_ok(addcow_resize(disk, 32 * 4096, &reason));
    close_disk(disk);
    assert_int_equal(file_length("disk.add-cow"), length);
    free_probe(probe);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_resize),
        TEST(test_shrink_drops_dirty_blocks),
        TEST(test_shrink_clears_bits),
        TEST(test_grow_over_stale_block),
        TEST(test_stale_bits_far_past_the_end),
        TEST(test_grow_failing_late),
        TEST(test_grow_failing_keeps_the_length),
        TEST(test_grow_over_blocks),
        TEST(test_grow_beyond_the_limit),
        TEST(test_grow_within_the_file),
        TEST(test_resize_bitmap),
        TEST(test_resize_all_allocated),
        TEST(test_resize_range),
        TEST(test_resize_to_limit),
        TEST(test_resize_to_same),
        TEST(test_resize_order),
        TEST(test_size_changes_with_the_image),
        TEST(test_resize_failing),
    };
    return cmocka_run_group_tests_name("fast, resize", tests, NULL, NULL);
}
