/* The production engine: resize, stream and commit, with failures at every I/O. */
#include "support.h"

/* 10 clusters and a bit of 4 KiB; clusters 1 and 2 are allocated. */
static struct disk_spec spec_with_backing(uint64_t backing_size)
{
    return (struct disk_spec){
        .size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = backing_size, .allocated = 6};
}

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
static void test_stale_bits_far_behind(void **state)
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
    struct addcow_error error;
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

/* ---- Failing at the n-th I/O ---- */

struct countdown {
    size_t left; /* calls that still succeed */
    int errnum;
    bool once;     /* one call fails, instead of all from then on */
    bool no_holes; /* nothing can be punched: that is no failure */
    bool failed;
};

static int fail_later(struct probe *probe, const struct event *event)
{
    struct countdown *countdown = probe->context;
    if (event->kind == EVENT_CLOSE && !countdown->once) {
        return 0;
    }
    if (event->kind == EVENT_PUNCH && countdown->no_holes) {
        return -EOPNOTSUPP;
    }
    if (countdown->left > 0) {
        countdown->left--;
        return 0;
    }
    int result = countdown->failed && countdown->once ? 0 : -countdown->errnum;
    countdown->failed = true;
    return result;
}

typedef enum addcow_status operation(struct addcow *disk);

static enum addcow_status grow(struct addcow *disk)
{
    return addcow_resize(disk, 14 * 4096 + 5, NULL);
}

static enum addcow_status shrink(struct addcow *disk)
{
    return addcow_resize(disk, 2 * 4096 + 5, NULL);
}

/*
 * Runs the operation with the n-th I/O failing, alone or with all that follow, for every n. Each time the disk must
 * read and map as before or as after, in the handle and when it is opened again; and when nothing fails any more, the
 * operation can be run again, unless the image was lost.
 */
static void fail_at_each(const struct disk_spec *spec, operation *run, const struct model *after, bool once,
                         bool no_holes)
{
    for (size_t n = 0;; n++) {
        make_disk("disk", spec);
        struct model before = make_model(spec);
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        struct countdown countdown = {.left = n, .errnum = n % 2 ? ENOSPC : EIO, .once = once, .no_holes = no_holes};
        probe->context = &countdown;
        probe->decide = fail_later;
        enum addcow_status code = run(disk);
        bool complete = code == ADDCOW_OK && !countdown.failed;
        probe->decide = NULL;
        assert_true(code == ADDCOW_OK || code == (n % 2 ? ADDCOW_NOSPACE : ADDCOW_IO));
        /* Nothing fails a shrink once it has cut the image. */
        assert_true(code != ADDCOW_OK || !countdown.failed || run == shrink);
        const struct model *expected = code == ADDCOW_OK ? after : &before;
        assert_int_equal(addcow_size(disk), expected->size);
        compare_range(disk, expected, 0, expected->size);
        addcow_close(disk, NULL);
        disk = open_disk("disk.add-cow");
        assert_int_equal(addcow_size(disk), expected->size);
        compare_range(disk, expected, 0, expected->size);
        assert_int_equal(run(disk), ADDCOW_OK);
        compare(disk, after);
        close_disk(disk);
        compare_reopened("disk.add-cow", after);
        free_probe(probe);
        free_model(&before);
        if (complete) {
            return;
        }
    }
}

static void fail_everywhere(const struct disk_spec *spec, operation *run, const struct model *after)
{
    fail_at_each(spec, run, after, false, false);
    fail_at_each(spec, run, after, true, false);
    fail_at_each(spec, run, after, true, true);
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

static int refuse_punch(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_PUNCH ? -EOPNOTSUPP : 0;
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
    struct addcow_info info;
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
    struct addcow_info info;
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
    struct addcow_error error;
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
    struct addcow_error error;
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
    struct addcow_storage storage = {.ops = &(const struct addcow_storage_ops){.open = read_only_open}};
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_resize),
        TEST(test_shrink_drops_dirty_blocks),
        TEST(test_shrink_clears_bits),
        TEST(test_grow_over_stale_block),
        TEST(test_stale_bits_far_behind),
        TEST(test_grow_failing_late),
        TEST(test_grow_within_the_file),
        TEST(test_writing_after_failed_commit),
        TEST(test_resize_bitmap),
        TEST(test_resize_all_allocated),
        TEST(test_resize_range),
        TEST(test_resize_to_limit),
        TEST(test_resize_to_same),
        TEST(test_resize_order),
        TEST(test_resize_failing),
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
        TEST(test_commit),
        TEST(test_commit_chain),
        TEST(test_commit_refused),
        TEST(test_commit_replaced),
        TEST(test_commit_order),
        TEST(test_commit_flushes_first),
        TEST(test_commit_failing),
    };
    return cmocka_run_group_tests_name("fast, resize, stream and commit", tests, NULL, NULL);
}
