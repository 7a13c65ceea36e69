/* The production engine: contents, requests and what it says of a disk. */
#include "engine/usual_disks.h"

#include "support/changed_files.h"

static const struct disk_spec long_backing = {
    .size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = 20 * 4096, .allocated = 0x106};

/* ---- Contents ---- */

static struct addcow *asked_twice; /* the disk, when another request is to come in between */

/* While a block of the bitmap is read for one request, another one needs it too and is faster. */
static ssize_t read_for_another(struct addcow_file *file, void *buffer, size_t size, uint64_t offset)
{
    struct addcow *disk = asked_twice;
    bool allocated;
    uint64_t run;
    asked_twice = NULL;
    if (disk) {
        assert_ok(addcow_map(disk, 4096, 1, &allocated, &run, &reason));
    }
    return probe_pread(file, buffer, size, offset);
}

static void read_for_others(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->pread = read_for_another;
}

/* BMP-01 CON-07: two requests load a block at once; the slower one drops its copy, and bits that the faster one set
 * stay. */
static void test_block_loaded_twice(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct model model = make_model(&usual);
    struct probe *probe = make_probe();
    struct addcow *disk =
        open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(&probe->storage, read_for_others));
    asked_twice = disk;
    write_both(disk, &model, 3 * 4096 + 5, 100, 4);
    assert_null(asked_twice);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_probe(probe);
    free_model(&model);
}

/* VRT-01 VRT-02 VRT-03 RD-01 BMP-01 BMP-02 BMP-05: also with stale bits behind the last cluster. */
static void test_reads_virt(void **state)
{
    (void)state;
    const struct disk_spec *specs[] = {&usual, &no_backing, &long_backing};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct disk_spec spec = *specs[i];
        struct model model = make_model(&spec);
        spec.allocated |= (uint64_t)0xF0 << 8;
        make_disk("disk", &spec);
        compare_reopened("disk.add-cow", &model);
        free_model(&model);
    }
}

/* VRT-04 LNK-10: the bitmap does not count, and the backing file need not exist. */
static void test_all_allocated(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.compatible = ADDCOW_ALL_ALLOCATED;
    make_disk("disk", &spec);
    assert_int_equal(unlink(in_directory("base.raw")), 0);
    spec.allocated = UINT64_MAX;
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    compare(disk, &model);
    write_both(disk, &model, 4096 * 3 + 5, 9000, 9);
    compare(disk, &model);
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    assert_true(info.all_allocated);
    assert_int_equal(info.backing_length, 0);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

static void check_image_outside(const struct disk_spec *spec, const struct model *model)
{
    uint8_t *image = load_file("disk.raw");
    for (uint64_t i = 0; i < spec->size; i++) {
        uint8_t expected = model->allocated[i / model->cluster] ? model->virt[i] : pattern(SEED_IMAGE, i);
        if (image[i] != expected) {
            fail_msg("image byte %" PRIu64 " is %02x, expected %02x", i, image[i], expected);
        }
    }
    free(image);
}

/* Writes one range to a fresh disk and compares everything. */
static void check_write(const struct disk_spec *spec, uint64_t offset, uint64_t length)
{
    make_disk("disk", spec);
    struct model model = make_model(spec);
    struct addcow *disk = open_disk("disk.add-cow");
    write_both(disk, &model, offset, length, 3);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    assert_int_equal(file_length("disk.raw"), spec->size);
    check_image_outside(spec, &model);
    free_model(&model);
}

/* WR-01 WR-02 WR-03 WR-04 WR-05: head, tail, both, neither, over the backing file's end, in the last cluster. */
static void test_write_shapes(void **state)
{
    (void)state;
    static const uint64_t ranges[][2] = {
        {3 * 4096, 4096},           /* a whole cluster */
        {3 * 4096, 100},            /* tail only */
        {3 * 4096 + 100, 3996},     /* head only */
        {3 * 4096 + 100, 50},       /* both */
        {3 * 4096 + 10, 4000},      /* both, most of it covered */
        {3 * 4096 + 100, 3 * 4096}, /* head, whole, tail; the backing file ends inside */
        {5 * 4096 + 1000, 400},     /* over the backing file's end */
        {5 * 4096 + 2000, 4},       /* behind it in the same cluster */
        {7 * 4096 + 5, 6},          /* behind it */
        {10 * 4096 + 700, 77},      /* up to the end, in the partial last cluster */
        {10 * 4096, 1},             /* its first byte */
        {10 * 4096, 777},           /* all of it */
        {4096 - 1, 2},              /* unallocated, then allocated */
        {3 * 4096 - 1, 2},          /* allocated, then unallocated */
        {0, 10 * 4096 + 777},       /* everything */
        {4096 + 17, 2000},          /* allocated */
        {123, 10 * 4096},           /* all sorts */
    };
    const struct disk_spec *specs[] = {&usual, &no_backing, &long_backing};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        for (size_t j = 0; j < sizeof ranges / sizeof ranges[0]; j++) {
            check_write(specs[i], ranges[j][0], ranges[j][1]);
        }
    }
}

/* HR9-08 BMP-01 WR-03: the other layout, and other cluster sizes. */
static void test_layouts_and_cluster_sizes(void **state)
{
    (void)state;
    struct disk_spec r9 = {.layout = ADDCOW_R9,
                           .size = 5 * 65536 + 99,
                           .backing_name = "base.raw",
                           .backing_size = 3 * 65536 + 1,
                           .allocated = 2};
    check_write(&r9, 65536 * 2 + 100, 65536);
    assert_int_equal(file_length("disk.add-cow"), 4096 + 1);
    for (uint32_t bits = 12; bits <= 21; bits++) {
        uint64_t cluster = (uint64_t)1 << bits;
        struct disk_spec spec = {.cluster_bits = bits,
                                 .size = 3 * cluster + 513,
                                 .backing_name = "base.raw",
                                 .backing_size = cluster + 100,
                                 .allocated = 4};
        check_write(&spec, cluster - 7, cluster + 20);
    }
}

/* ZR-01 DC-01 WR-02 WR-04 */
static void test_zero_and_discard(void **state)
{
    (void)state;
    static const uint64_t ranges[][2] = {{0, 10 * 4096 + 777},   {100, 50},        {4096 + 100, 50},
                                         {4096 - 10, 8192 + 20}, {10 * 4096, 777}, {10 * 4096 + 5, 5},
                                         {2 * 4096, 8192}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (int discard = 0; discard < 2; discard++) {
            make_disk("disk", &usual);
            struct model model = make_model(&usual);
            struct addcow *disk = open_disk("disk.add-cow");
            zero_both(disk, &model, ranges[i][0], ranges[i][1], discard);
            compare(disk, &model);
            close_disk(disk);
            compare_reopened("disk.add-cow", &model);
            check_image_outside(&usual, &model);
            free_model(&model);
        }
    }
}

/* WR-01 MAP-02 RD-01: many requests one after another, read back in pieces of any size, across openings. */
static void test_random_requests(void **state)
{
    (void)state;
    unsigned seed = 12345;
    for (int round = 0; round < 12; round++) {
        struct disk_spec spec = round % 3 == 0 ? no_backing : round % 3 == 1 ? usual : long_backing;
        spec.allocated = (uint64_t)rand_r(&seed);
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        struct addcow *disk = open_disk("disk.add-cow");
        for (unsigned i = 0; i < 40; i++) {
            uint64_t offset = (uint64_t)rand_r(&seed) % (spec.size + 1);
            uint64_t length = (uint64_t)rand_r(&seed) % (i % 4 == 0 ? spec.size : 2000);
            if (length > spec.size - offset) {
                length = spec.size - offset;
            }
            unsigned kind = (unsigned)rand_r(&seed) % 8;
            if (kind < 3) {
                write_both(disk, &model, offset, length, i + 5);
            } else if (kind < 5) {
                zero_both(disk, &model, offset, length, kind == 4);
            } else {
                compare_range(disk, &model, offset, length);
            }
            if (i == 20) {
                close_disk(disk);
                disk = open_disk("disk.add-cow");
            }
        }
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        free_model(&model);
    }
}

/* BMP-01 BMP-02 VRT-01: sparse, 5 TiB, so that cluster and sector numbers exceed 32 bits and bitmaps span blocks. */
static void test_huge_disk(void **state)
{
    (void)state;
    uint64_t size = (uint64_t)5 << 40;
    struct disk_spec spec = {.size = 4096};
    make_disk("disk", &spec);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)size), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + (off_t)(size / 4096 / 8)), 0);
    struct addcow *disk = open_disk("disk.add-cow");
    uint64_t offsets[] = {0,
                          (uint64_t)3 << 40,
                          ((uint64_t)1 << 32) - 3,
                          ((uint64_t)1 << 41) + 4095,
                          size - 10,
                          ADDCOW_HEADER_MIN * (uint64_t)32768 * 5 - 5};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        uint8_t data[10], back[10];
        fill_pattern(data, 4, offsets[i], sizeof data);
        assert_ok(addcow_write(disk, offsets[i], sizeof data, data, &reason));
        assert_ok(addcow_read(disk, offsets[i], sizeof back, back, &reason));
        assert_memory_equal(data, back, sizeof data);
    }
    bool allocated;
    uint64_t run;
    uint64_t start = ((uint64_t)3 << 40) + 4096;
    assert_ok(addcow_map(disk, start, size - start, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, (size - 10) / 4096 * 4096 - start);
    close_disk(disk);
    uint8_t bits;
    int descriptor = open(in_directory("disk.add-cow"), O_RDONLY);
    assert_int_equal(pread(descriptor, &bits, 1, 4096 + (off_t)(start / 4096 / 8)), 1);
    assert_int_equal(bits, 1);
    close(descriptor);
}

/* BMP-01 MAP-01 CON-07: runs of bits that begin and end anywhere in the words of 64 in which they are kept. */
static void test_runs_over_words(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {0, 1, 62, 63, 64, 65, 127, 190};
    static const uint64_t counts[] = {1, 2, 10, 63, 64, 65, 66, 129};
    const struct disk_spec spec = {.size = 320 * 4096};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++) {
            struct model model = make_model(&spec);
            make_disk("disk", &(struct disk_spec){.size = 4096});
            assert_int_equal(truncate(in_directory("disk.raw"), (off_t)spec.size), 0);
            struct addcow *disk = open_disk("disk.add-cow");
            zero_both(disk, &model, firsts[i] * 4096, counts[j] * 4096, false);
            compare_map(disk, &model);
            close_disk(disk);
            disk = open_disk("disk.add-cow");
            compare_map(disk, &model);
            close_disk(disk);
            free_model(&model);
        }
    }
}

/* ZR-01 WR-03: a request of more than what is allocated at once, from a cluster that is not the first. */
static void test_huge_request(void **state)
{
    (void)state;
    const uint64_t size = (uint64_t)160 << 20;
    const uint64_t length = (uint64_t)150 << 20;
    struct disk_spec spec = {.size = 4096, .backing_name = "base.raw", .backing_size = 3 * 4096};
    make_disk("disk", &spec);
    assert_int_equal(truncate(in_directory("disk.raw"), (off_t)size), 0);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + (off_t)(size / 4096 / 8)), 0);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_zero(disk, 4096, length, &reason));
    for (int again = 0; again < 2; again++) {
        bool allocated;
        uint64_t run;
        assert_ok(addcow_map(disk, 0, size, &allocated, &run, &reason));
        assert_false(allocated);
        assert_int_equal(run, 4096);
        assert_ok(addcow_map(disk, 4096, size - 4096, &allocated, &run, &reason));
        assert_true(allocated);
        assert_int_equal(run, length);
        close_disk(disk);
        disk = open_disk("disk.add-cow");
    }
    /* A small one before a cluster that is allocated, both far behind the first 32768. */
    bool allocated;
    uint64_t run;
    assert_ok(addcow_zero(disk, 39500 * 4096, 4096, &reason));
    assert_ok(addcow_zero(disk, 38600 * 4096, 2 * 4096, &reason));
    assert_ok(addcow_map(disk, 38602 * 4096, size - 38602 * 4096, &allocated, &run, &reason));
    assert_false(allocated);
    assert_int_equal(run, (39500 - 38602) * 4096);
    close_disk(disk);
}

/* HDR-01 HR9-01 VRT-01: what the handle says of the disk. */
static void test_info(void **state)
{
    (void)state;
    const struct disk_spec specs[] = {
        {.size = 99, .backing_name = "base.raw", .backing_size = 5000, .cluster_bits = 14, .compatible = 0x100},
        {.layout = ADDCOW_R9, .size = 98, .backing_name = "base.raw", .backing_size = 5001},
        {.size = 97, .compatible = ADDCOW_ALL_ALLOCATED, .allocated = 1},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct addcow_info info = ADDCOW_INFO_INIT;
        make_disk("disk", &specs[i]);
        struct addcow *disk = open_disk_on("disk.add-cow", i == 0 ? ADDCOW_OPEN_READONLY : ADDCOW_OPEN_READWRITE, NULL);
        addcow_get_info(disk, &info);
        assert_int_equal(info.layout, i == 1 ? ADDCOW_R9 : ADDCOW_R20);
        assert_int_equal(info.virtual_size, specs[i].size);
        assert_int_equal(info.cluster_size, 1 << spec_bits(&specs[i]));
        assert_int_equal(info.all_allocated, i == 2);
        assert_int_equal(info.read_only, i == 0);
        assert_int_equal(info.features, 0);
        assert_int_equal(info.compatible_features, specs[i].compatible);
        assert_string_equal(info.image_name, "disk.raw");
        assert_string_equal(info.image_path, in_directory("disk.raw"));
        assert_string_equal(info.image_format, "raw");
        assert_int_equal(info.backing_length, specs[i].backing_size);
        assert_int_equal(info.chain_depth, 0);
        if (i < 2) {
            assert_string_equal(info.backing_name, "base.raw");
            assert_string_equal(info.backing_path, in_directory("base.raw"));
            assert_string_equal(info.backing_format, "raw");
        } else {
            assert_true(!info.backing_name && !info.backing_path && !info.backing_format);
        }
        close_disk(disk);
    }
}

/* ---- Requests ---- */

static void assert_out_of_range(enum addcow_status code, const struct addcow_error *error, uint64_t offset,
                                uint64_t length)
{
    char where[64];
    snprintf(where, sizeof where, "disk.add-cow: at %" PRIu64 ": %" PRIu64 " bytes", offset, length);
    assert_int_equal(code, ADDCOW_RANGE);
    assert_string_equal(error->clause, "REQ-01");
    assert_non_null(strstr(error->message, where));
}

/* REQ-01 REQ-02 MAP-03 SEC-02 */
static void test_ranges(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct model model = make_model(&usual);
    struct addcow *disk = open_disk("disk.add-cow");
    static const uint64_t far = UINT64_MAX;
    const uint64_t bad[][2] = {{usual.size + 1, 0}, {usual.size, 1}, {0, usual.size + 1}, {1, far}, {far, 1},
                               {far, far},          {far - 5, 10},   {4096, far - 4095}};
    uint8_t byte = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t offset = bad[i][0], length = bad[i][1], run;
        bool allocated;
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        assert_out_of_range(addcow_read(disk, offset, length, &byte, &reason), &reason, offset, length);
        assert_out_of_range(addcow_write(disk, offset, length, &byte, &reason), &reason, offset, length);
        assert_out_of_range(addcow_zero(disk, offset, length, &reason), &reason, offset, length);
        assert_out_of_range(addcow_discard(disk, offset, length, &reason), &reason, offset, length);
        assert_out_of_range(addcow_map(disk, offset, length, &allocated, &run, &reason), &reason, offset, length);
        assert_out_of_range(addcow_map_chain(disk, offset, length, &extent, &reason), &reason, offset, length);
    }
    const uint64_t empty[] = {0, 5, 4096, usual.size};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        uint64_t run = 77;
        bool allocated = true;
        assert_ok(addcow_read(disk, empty[i], 0, NULL, &reason));
        assert_ok(addcow_write(disk, empty[i], 0, NULL, &reason));
        assert_ok(addcow_zero(disk, empty[i], 0, &reason));
        assert_ok(addcow_discard(disk, empty[i], 0, &reason));
        assert_ok(addcow_map(disk, empty[i], 0, &allocated, &run, &reason));
        assert_false(allocated);
        assert_int_equal(run, 0);
    }
    compare(disk, &model);
    close_disk(disk);
    free_model(&model);
}

/* REQ-03 ERR-03 */
static void test_read_only(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct model model = make_model(&usual);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint8_t byte = 1;
    assert_int_equal(addcow_write(disk, 0, 1, &byte, &error), ADDCOW_READONLY);
    assert_string_equal(error.clause, "REQ-03");
    assert_int_equal(addcow_zero(disk, 0, 1, NULL), ADDCOW_READONLY);
    assert_int_equal(addcow_discard(disk, 0, 1, NULL), ADDCOW_READONLY);
    assert_int_equal(addcow_resize(disk, 1, NULL), ADDCOW_READONLY);
    assert_int_equal(addcow_stream(disk, NULL, NULL, NULL), ADDCOW_READONLY);
    assert_int_equal(addcow_commit(disk, NULL, NULL, NULL), ADDCOW_READONLY);
    assert_ok(addcow_flush(disk, &reason));
    compare(disk, &model);
    close_disk(disk);
    free_model(&model);
}

/* MAP-01: from everywhere to everywhere. */
static void test_map(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct model model = make_model(&usual);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    for (uint64_t offset = 0; offset < usual.size; offset += 511) {
        for (uint64_t length = 1; length <= usual.size - offset; length += 1023) {
            uint64_t expected = 1;
            while (expected < length && model.allocated[(offset + expected) / 4096] == model.allocated[offset / 4096]) {
                expected++;
            }
            bool allocated;
            uint64_t run;
            assert_ok(addcow_map(disk, offset, length, &allocated, &run, &reason));
            assert_int_equal(allocated, model.allocated[offset / 4096]);
            assert_int_equal(run, expected);
        }
    }
    close_disk(disk);
    free_model(&model);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads_virt),
        TEST(test_all_allocated),
        TEST(test_block_loaded_twice),
        TEST(test_write_shapes),
        TEST(test_layouts_and_cluster_sizes),
        TEST(test_zero_and_discard),
        TEST(test_random_requests),
        TEST(test_huge_disk),
        TEST(test_info),
        TEST(test_runs_over_words),
        TEST(test_huge_request),
        TEST(test_ranges),
        TEST(test_read_only),
        TEST(test_map),
    };
    return cmocka_run_group_tests_name("fast, requests", tests, NULL, NULL);
}
