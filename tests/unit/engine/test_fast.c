/* The production engine on real files, one thread: opening, contents, map. */
#include "support.h"

/* 10 clusters and a bit of 4 KiB; the backing file ends inside cluster 5; clusters 1, 2 and 8 are allocated. */
static const struct disk_spec usual = {
    .size = 10 * 4096 + 777,
    .backing_name = "base.raw",
    .backing_size = 5 * 4096 + 1234,
    .allocated = 0x106,
};

static const struct disk_spec no_backing = {.size = 10 * 4096 + 777, .allocated = 0x106};
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

static int open_for_another(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                            struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    int result = probe_open(storage, path, mode, file);
    if (result == 0) {
        ops = *(*file)->ops;
        ops.pread = read_for_another;
        (*file)->ops = &ops;
    }
    return result;
}

/* BMP-01 CON-07: the slower one of two requests that load a block drops its own, and what the faster one has set since
 * stays. */
static void test_block_loaded_twice(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    struct model model = make_model(&usual);
    struct probe *probe = make_probe();
    probe->storage.ops = &(const struct addcow_storage_ops){.open = open_for_another};
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
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
    struct addcow_info info;
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
    assert_int_equal(pread(descriptor, &bits, 1, 4096 + (3l << 40) / 4096 / 8), 1);
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
        struct addcow_info info;
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
        struct addcow_extent extent;
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
    struct addcow_error error = {0};
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

/* ---- Chains ---- */

/* LNK-08 VRT-02: three levels of different sizes and clusters over a raw file. */
static void make_chain(void)
{
    make_disk("low", &(struct disk_spec){.cluster_bits = 13,
                                         .size = 6 * 8192 + 100,
                                         .backing_name = "base.raw",
                                         .backing_size = 5 * 8192 + 50,
                                         .allocated = 2});
    make_disk("middle",
              &(struct disk_spec){
                  .size = 8 * 4096, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 0x11});
    make_disk("disk", &(struct disk_spec){.size = 10 * 4096 + 9,
                                          .backing_name = "middle.add-cow",
                                          .backing_format = "add-cow",
                                          .allocated = 0x208});
}

static uint8_t chain_byte(uint64_t i)
{
    uint64_t k = i / 4096;
    bool image = k == 3 || k == 9 || k == 0 || k == 4 || (i / 8192 == 1 && k != 4);
    if (k != 3 && k != 9 && i >= 8 * 4096) {
        return 0;
    }
    return image ? pattern(SEED_IMAGE, i) : pattern(SEED_BACKING, i);
}

static void test_chain(void **state)
{
    (void)state;
    make_chain();
    struct model model = make_model(&(struct disk_spec){.size = 10 * 4096 + 9, .allocated = 0x208});
    for (uint64_t i = 0; i < model.size; i++) {
        model.virt[i] = chain_byte(i);
    }
    struct addcow *disk = open_disk("disk.add-cow");
    compare(disk, &model);
    struct addcow_info info;
    addcow_get_info(disk, &info);
    assert_int_equal(info.chain_depth, 2);
    assert_int_equal(info.backing_length, 8 * 4096);
    assert_string_equal(info.backing_format, "add-cow");
    assert_string_equal(info.backing_name, "middle.add-cow");
    assert_string_equal(info.image_path, in_directory("disk.raw"));
    write_both(disk, &model, 5 * 4096 + 100, 9000, 3);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_model(&model);
}

static void test_map_chain(void **state)
{
    (void)state;
    make_chain();
    struct addcow *disk = open_disk("disk.add-cow");
    static const struct {
        uint64_t offset, length;
        unsigned depth;
        const char *file;
    } expected[] = {
        {0, 4096, 1, "middle.raw"},      {4096, 4096, 3, "base.raw"},       {2 * 4096, 4096, 2, "low.raw"},
        {3 * 4096, 4096, 0, "disk.raw"}, {4 * 4096, 4096, 1, "middle.raw"}, {5 * 4096, 3 * 4096, 3, "base.raw"},
        {8 * 4096, 4096, 0, NULL},       {9 * 4096, 4096, 0, "disk.raw"},   {10 * 4096, 9, 0, NULL},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct addcow_extent extent;
        uint64_t offset = expected[i].offset;
        assert_ok(addcow_map_chain(disk, offset, addcow_size(disk) - offset, &extent, &reason));
        assert_int_equal(extent.length, expected[i].length);
        assert_int_equal(extent.depth, expected[i].depth);
        assert_int_equal(extent.present, expected[i].file != NULL);
        if (extent.present) {
            assert_int_equal(extent.file_offset, offset);
            assert_string_equal(extent.path, in_directory(expected[i].file));
        }
    }
    /* MAP-03: nothing is in no place, wherever it is asked for. */
    static const uint64_t offsets[] = {0, 4096 + 5, 10 * 4096 + 9};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct addcow_extent extent = {.length = 5, .present = true};
        assert_ok(addcow_map_chain(disk, offsets[i], 0, &extent, &reason));
        assert_int_equal(extent.length, 0);
        assert_false(extent.present);
    }
    close_disk(disk);
}

/* CON-09: who asked what the disk is keeps nobody from being alone afterwards. */
static void test_info_then_resize(void **state)
{
    (void)state;
    struct addcow_info info;
    make_disk("disk", &usual);
    struct addcow *disk = open_disk("disk.add-cow");
    addcow_get_info(disk, &info);
    assert_ok(addcow_resize(disk, 4096, &reason));
    addcow_get_info(disk, &info);
    assert_int_equal(info.virtual_size, 4096);
    close_disk(disk);
}

/* LNK-09: 16 metadata files are a chain, 17 are not. */
static void test_chain_length(void **state)
{
    (void)state;
    make_disk("d1", &(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 4096});
    for (int i = 2; i <= 17; i++) {
        char name[16], below[32];
        snprintf(name, sizeof name, "d%d", i);
        snprintf(below, sizeof below, "d%d.add-cow", i - 1);
        make_disk(name, &(struct disk_spec){.size = 4096, .backing_name = below, .backing_format = "add-cow"});
    }
    struct addcow *disk = open_disk("d16.add-cow");
    uint8_t byte;
    assert_ok(addcow_read(disk, 100, 1, &byte, &reason));
    assert_int_equal(byte, pattern(SEED_BACKING, 100));
    close_disk(disk);
    refuse_open("d17.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "LNK-09");
    /* The same when the backing file is not used until a commit. */
    for (int i = 16; i <= 17; i++) {
        char below[32];
        snprintf(below, sizeof below, "d%d.add-cow", i - 1);
        make_disk("disk", &(struct disk_spec){.size = 4096,
                                              .backing_name = below,
                                              .backing_format = "add-cow",
                                              .compatible = ADDCOW_ALL_ALLOCATED,
                                              .allocated = 1});
        disk = open_disk("disk.add-cow");
        assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), i == 16 ? ADDCOW_OK : ADDCOW_UNSUPPORTED);
        close_disk(disk);
    }
}

/* LNK-07: chains that meet themselves, directly and over two levels, however they are opened. */
static void test_loops(void **state)
{
    (void)state;
    make_disk("self", &(struct disk_spec){.size = 4096, .backing_name = "self.add-cow", .backing_format = "add-cow"});
    make_disk("a", &(struct disk_spec){.size = 4096, .backing_name = "b.add-cow", .backing_format = "add-cow"});
    make_disk("b", &(struct disk_spec){.size = 4096, .backing_name = "./a.add-cow", .backing_format = "add-cow"});
    refuse_open("self.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");
    refuse_open("a.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");
    refuse_open("a.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_UNLINKABLE, "LNK-07");
}

/* ---- Opening ---- */

/* LNK-07: by hard link, symbolic link and spelling; image, backing and metadata. */
static void test_identity(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    unlink(in_directory("base.raw"));
    assert_int_equal(link(in_directory("disk.raw"), in_directory("base.raw")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");
    unlink(in_directory("base.raw"));
    assert_int_equal(symlink("disk.raw", in_directory("base.raw")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");
    unlink(in_directory("base.raw"));
    assert_int_equal(symlink("disk.add-cow", in_directory("base.raw")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_UNLINKABLE, "LNK-07");

    struct disk_spec spelled = usual;
    spelled.backing_name = "./disk.raw";
    spelled.backing_size = spelled.size;
    unlink(in_directory("base.raw"));
    make_disk("disk", &spelled);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");

    make_disk("disk", &no_backing);
    unlink(in_directory("disk.raw"));
    assert_int_equal(link(in_directory("disk.add-cow"), in_directory("disk.raw")), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");

    unlink(in_directory("disk.raw"));
    make_disk("low", &usual);
    make_disk("disk",
              &(struct disk_spec){
                  .size = 4096, .backing_name = "low.add-cow", .backing_format = "add-cow", .image_name = "base.raw"});
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-07");
}

/* A storage that numbers files from the one whose number is `first_inode`. */
static uint64_t first_inode;
static const struct addcow_file_ops *posix_ops;

static int number_file(struct addcow_file *file, struct addcow_identity *identity)
{
    int result = posix_ops->identity(file, identity);
    identity->device = 0;
    identity->inode -= first_inode;
    return result;
}

static int open_numbered(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                         struct addcow_file **file)
{
    static struct addcow_file_ops ops;
    (void)storage;
    int result = addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, file);
    if (result == 0) {
        posix_ops = (*file)->ops;
        ops = *(*file)->ops;
        ops.identity = number_file;
        (*file)->ops = &ops;
    }
    return result;
}

/* LNK-07: no number means that there is no file, also not 0. */
static void test_identity_zero(void **state)
{
    (void)state;
    struct addcow_storage storage = {.ops = &(const struct addcow_storage_ops){.open = open_numbered}};
    static const char *const names[] = {"disk.add-cow", "disk.raw", "base.raw"};
    make_disk("disk", &usual);
    for (size_t i = 0; i < 3; i++) {
        struct stat status;
        assert_int_equal(stat(in_directory(names[i]), &status), 0);
        first_inode = (uint64_t)status.st_ino;
        close_disk(open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &storage));
    }
}

/* LNK-06 */
static void test_missing_files(void **state)
{
    (void)state;
    refuse_open("nothing.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-06");
    refuse_open("nowhere/disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_UNLINKABLE, "LNK-06");
    make_disk("disk", &usual);
    unlink(in_directory("base.raw"));
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-06");
    assert_int_equal(mkdir(in_directory("base.raw"), 0755), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-06");
    rmdir(in_directory("base.raw"));
    assert_int_equal(mkfifo(in_directory("base.raw"), 0600), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-06");
    make_disk("disk", &no_backing);
    unlink(in_directory("disk.raw"));
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNLINKABLE, "LNK-06");
    refuse_open("disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_UNLINKABLE, "LNK-06");
}

static void assert_reason(enum addcow_open_flags flags, const char *text, int errnum)
{
    struct addcow *disk;
    struct addcow_error error;
    char expected[PATH_SIZE + 100];
    snprintf(expected, sizeof expected, "%s: %s: %s", in_directory("disk.raw"), text, strerror(errnum));
    assert_int_equal(addcow_open(in_directory("disk.add-cow"), flags, NULL, &disk, &error), ADDCOW_UNLINKABLE);
    assert_string_equal(error.message, expected);
}

/* LNK-06: the message names the file, what was to be done with it, and why it could not be. */
static void test_reasons(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    unlink(in_directory("disk.raw"));
    assert_reason(ADDCOW_OPEN_READWRITE, "cannot open for writing", ENOENT);
    assert_reason(ADDCOW_OPEN_READONLY, "cannot open for reading", ENOENT);
    assert_int_equal(mkfifo(in_directory("disk.raw"), 0600), 0);
    assert_reason(ADDCOW_OPEN_READWRITE, "is not a regular file", EINVAL);
    assert_reason(ADDCOW_OPEN_READONLY, "is not a regular file", EINVAL);
}

/* A storage in which disk.raw cannot be opened for writing, and by `context` not even for reading: root may open
 * everything. */
static int no_write_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                         struct addcow_file **file);
static bool readable_for_test;
static struct addcow_storage no_write_storage = {.ops = &(const struct addcow_storage_ops){.open = no_write_open}};

static int no_write_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                         struct addcow_file **file)
{
    (void)storage;
    if (strstr(path, "disk.raw") && (mode != ADDCOW_FILE_READ || !readable_for_test)) {
        return mode == ADDCOW_FILE_READ ? -EACCES : -EROFS;
    }
    return addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, file);
}

/* LNK-06: `readonly` if it could be read, `io` if not. */
static void test_not_permitted(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    for (int readable = 0; readable < 2; readable++) {
        readable_for_test = readable;
        struct addcow *disk = NULL;
        struct addcow_error error = {0};
        assert_int_equal(
            addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READWRITE, &no_write_storage, &disk, &error),
            readable ? ADDCOW_READONLY : ADDCOW_IO);
        assert_int_equal(error.errnum, EROFS);
        assert_non_null(strstr(error.message, "disk.raw"));
    }
    close_disk(open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, &no_write_storage));
}

/* LNK-01: relative to the metadata file's directory, not to the current one; and absolute. */
static void test_names(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_directory("sub"), 0755), 0);
    make_disk("disk", &usual);
    struct model model = make_model(&usual);

    char here[PATH_SIZE];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(in_directory("sub")), 0);
    struct addcow *disk = NULL;
    assert_ok(addcow_open("../disk.add-cow", ADDCOW_OPEN_READONLY, NULL, &disk, &reason));
    compare(disk, &model);
    close_disk(disk);
    assert_int_equal(chdir(directory), 0);
    assert_ok(addcow_open("disk.add-cow", ADDCOW_OPEN_READONLY, NULL, &disk, &reason));
    compare(disk, &model);
    close_disk(disk);
    assert_int_equal(chdir(here), 0);
    free_model(&model);

    store_pattern("base.raw", SEED_BACKING, 4096);
    make_disk("disk", &(struct disk_spec){.size = 4096,
                                          .backing_name = in_directory("base.raw"),
                                          .backing_format = "raw",
                                          .backing_is_made = true});
    disk = open_disk("disk.add-cow");
    struct addcow_info info;
    addcow_get_info(disk, &info);
    assert_string_equal(info.backing_path, in_directory("base.raw"));
    close_disk(disk);
}

/* LNK-02 LNK-04 LNK-05 HDR-03 BMP-03 HDR-01 HDR-02 ERR-06 */
static void test_refusals(void **state)
{
    (void)state;
    make_disk("disk", &(struct disk_spec){.size = 4096, .image_name = "nbd:x"});
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "LNK-02");
    make_disk("disk", &(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_format = "qcow2"});
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "LNK-04");
    make_disk("disk", &usual);
    patch_file("disk.add-cow", 60, "vmdk", 4);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "LNK-03");
    make_disk("disk", &usual);
    patch_file("disk.add-cow", 24, "\1", 1);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_UNSUPPORTED, "HDR-03");
    make_disk("disk", &usual);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4097), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_MALFORMED, "BMP-03");
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4098), 0);
    close_disk(open_disk("disk.add-cow"));
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4095), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_MALFORMED, "HDR-01");
    assert_int_equal(truncate(in_directory("disk.add-cow"), 0), 0);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_MALFORMED, "HDR-01");
    store_pattern("disk.add-cow", 1, 9000);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_MALFORMED, "HDR-02");
}

/* HDR-05 HDR-06 SEC-02: any one byte of the header changed gives the answer of the codec, and never a crash. */
static void test_damaged_headers(void **state)
{
    (void)state;
    make_disk("disk", &usual);
    uint8_t *bytes = load_file("disk.add-cow");
    for (unsigned i = 0; i < 120; i++) {
        static const uint8_t values[] = {0, 1, 0x0D, 0x14, 0x16, 0x7F, 0xFF};
        for (unsigned j = 0; j < sizeof values; j++) {
            patch_file("disk.add-cow", i, &values[j], 1);
            uint8_t original = bytes[i];
            bytes[i] = values[j];
            struct addcow_header header;
            enum addcow_rule rule = addcow_decode(bytes, file_length("disk.add-cow"), &header);
            struct addcow *disk = NULL;
            struct addcow_error error = {0};
            enum addcow_status code =
                addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READWRITE, NULL, &disk, &error);
            if (rule != ADDCOW_RULE_NONE) {
                assert_string_equal(error.clause, addcow_rule_clause(rule));
            }
            if (code == ADDCOW_OK) {
                close_disk(disk);
            }
            bytes[i] = original;
        }
        patch_file("disk.add-cow", i, &bytes[i], 1);
    }
    free(bytes);
}

/* LCK-01 LCK-02 LCK-03: between two openings, as between two processes. */
static void test_locks(void **state)
{
    (void)state;
    make_disk("low", &usual);
    make_disk("disk", &(struct disk_spec){.size = 4096, .backing_name = "low.add-cow", .backing_format = "add-cow"});
    struct addcow *disk = open_disk("disk.add-cow");
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    refuse_open("disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_BUSY, "LCK-02");
    refuse_open("low.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    struct addcow *low = open_disk_on("low.add-cow", ADDCOW_OPEN_READONLY, NULL);
    struct addcow_error error = {0};
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_BUSY);
    close_disk(low);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    low = open_disk_on("low.add-cow", ADDCOW_OPEN_READONLY, NULL);
    close_disk(low);
    close_disk(disk);

    disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    struct addcow *again = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
    close_disk(again);
    close_disk(disk);
    close_disk(open_disk("disk.add-cow"));
}

/* SEC-01: a guest writes an add-cow header into its disk and into its raw backing file. */
static void test_guest_header(void **state)
{
    (void)state;
    struct disk_spec spec = usual;
    spec.allocated = 6;
    make_disk("disk", &spec);
    uint8_t *header = load_file("disk.add-cow");
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_write(disk, 0, 4096, header, &reason));
    memcpy(model.virt, header, 4096);
    model_allocate(&model, 0, 4096);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    memset(model.allocated, 0, 11);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free(header);
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
        TEST(test_chain),
        TEST(test_map_chain),
        TEST(test_info_then_resize),
        TEST(test_chain_length),
        TEST(test_loops),
        TEST(test_identity),
        TEST(test_identity_zero),
        TEST(test_missing_files),
        TEST(test_reasons),
        TEST(test_not_permitted),
        TEST(test_names),
        TEST(test_refusals),
        TEST(test_damaged_headers),
        TEST(test_locks),
        TEST(test_guest_header),
    };
    return cmocka_run_group_tests_name("fast", tests, NULL, NULL);
}
