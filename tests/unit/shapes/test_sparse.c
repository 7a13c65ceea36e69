/*
 * The production engine on sparse files: holes where the bits are 0, holes inside allocated clusters, whole sparse
 * images, at each level of a chain and in the raw file below.
 *
 * A hole of an image means zeros only where its cluster is allocated. Everywhere else the file below shows.
 */
#include "support/model.h"
#include "support/probe.h"

#define CLUSTERS 12
#define LEVELS 3 /* "disk", "low" and the raw file */

/* Which part of each cluster is data in a file: the first 4 KiB of it, the second, both or none. The rest is a hole. */
struct sparse {
    const char *name;
    uint8_t data[LEVELS][CLUSTERS]; /* 1: the first 4 KiB, 2: the second */
    uint64_t allocated[LEVELS - 1];
};

static const struct sparse shapes[] = {
    {"whole sparse images, nothing allocated", {{0}, {0}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}}, {0, 0}},
    {"whole sparse images, some allocated", {{0}, {0}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}}, {0x124, 0x888}},
    {"holes where bits are 0",
     {{0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 0}, {0, 3, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
     {0x124, 0x88A}},
    {"holes inside allocated clusters",
     {{0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0}, {0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
     {0x124, 0x88A}},
    {"sparse raw file",
     {{0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 0}, {0, 3, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3}, {1, 0, 0, 2, 0, 0, 3, 0, 0, 0, 2, 0}},
     {0x124, 0x88A}},
    {"data that nothing shows",
     {{3, 3, 0, 3, 3, 0, 3, 3, 0, 3, 3, 3}, {3, 0, 3, 0, 3, 3, 3, 0, 3, 3, 3, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
     {0x124, 0x88A}},
};

static const char *const files[LEVELS] = {"disk.raw", "low.raw", "base.raw"};

static uint64_t cluster_of(uint32_t bits)
{
    return (uint64_t)1 << bits;
}

/* Makes one file of the chain: a hole but for its data. The last cluster is short. */
static void make_file(const struct sparse *shape, unsigned level, uint32_t bits, uint64_t size)
{
    uint8_t bytes[4096];
    assert_int_equal(truncate(in_directory(files[level]), 0), 0);
    assert_int_equal(truncate(in_directory(files[level]), (off_t)size), 0);
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        for (unsigned part = 0; part < 2; part++) {
            uint64_t offset = k * cluster_of(bits) + part * 4096;
            uint64_t length = offset >= size ? 0 : size - offset < 4096 ? size - offset : 4096;
            if ((shape->data[level][k] >> part & 1) != 0 && length > 0) {
                fill_pattern(bytes, 10 + level, offset, length);
                patch_file(files[level], offset, bytes, (size_t)length);
            }
        }
    }
}

static void make_files(const struct sparse *shape, uint32_t bits, uint64_t size)
{
    struct disk_spec low = {.cluster_bits = bits, .size = size, .backing_name = "base.raw", .backing_size = size};
    struct disk_spec top = {
        .cluster_bits = bits, .size = size, .backing_name = "low.add-cow", .backing_format = "add-cow"};
    low.allocated = shape->allocated[1];
    top.allocated = shape->allocated[0];
    make_disk("low", &low);
    make_disk("disk", &top);
    for (unsigned level = 0; level < LEVELS; level++) {
        make_file(shape, level, bits, size);
    }
}

/* What the disk must read as. */
static struct model model_of(const struct sparse *shape, uint32_t bits, uint64_t size)
{
    struct model model = make_model(&(struct disk_spec){.cluster_bits = bits, .size = size});
    for (uint64_t i = 0; i < size; i++) {
        uint64_t k = i >> bits;
        unsigned level = (shape->allocated[0] >> k & 1) != 0 ? 0 : (shape->allocated[1] >> k & 1) != 0 ? 1 : 2;
        uint64_t part = i % cluster_of(bits) / 4096;
        bool data = part < 2 && (shape->data[level][k] >> part & 1) != 0;
        model.virt[i] = data ? pattern(10 + level, i) : 0;
    }
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        model.allocated[k] = shape->allocated[0] >> k & 1;
    }
    return model;
}

typedef void change(struct addcow *disk, struct model *model);

static void change_nothing(struct addcow *disk, struct model *model)
{
    (void)disk;
    (void)model;
}

static void do_stream(struct addcow *disk, struct model *model)
{
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    memset(model->allocated, 1, CLUSTERS);
}

/* CMT-04: the clusters that were allocated have no storage in the image any more, wherever in them data was. */
static void assert_freed(const struct model *model)
{
    struct addcow_file *file = NULL;
    struct addcow_storage *posix = addcow_posix_storage();
    assert_int_equal(posix->ops->open(posix, in_directory("disk.raw"), ADDCOW_FILE_READ, &file), 0);
    for (uint64_t k = 0; k < CLUSTERS; k++) {
        uint64_t start = k * model->cluster, data = start;
        uint64_t end = start + model->cluster < model->size ? start + model->cluster : model->size;
        int result = file->ops->next_data(file, start, &data);
        if (model->allocated[k] && result == 0 && data < end) {
            fail_msg("cluster %" PRIu64 " has data at %" PRIu64, k, data);
        }
    }
    assert_int_equal(file->ops->close(file), 0);
}

static void do_commit(struct addcow *disk, struct model *model)
{
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    if (LIBRARY_KNOWS_HOLES) {
        assert_freed(model);
    }
    memset(model->allocated, 0, CLUSTERS);
}

static void do_commit_and_stream(struct addcow *disk, struct model *model)
{
    do_commit(disk, model);
    do_stream(disk, model);
}

/* A ragged run over all clusters but the ends of the first and the last one, and a byte in between first. */
static void do_write(struct addcow *disk, struct model *model)
{
    write_both(disk, model, 5 * model->cluster + 100, 1, 20);
    write_both(disk, model, 4100, model->size - 4300, 21);
}

/* Most of one cluster, between two ragged ends; and a little of another one. */
static void do_write_inside(struct addcow *disk, struct model *model)
{
    write_both(disk, model, 3 * model->cluster + 777, model->cluster - 1000, 22);
    write_both(disk, model, 7 * model->cluster + 4099, 1001, 23);
}

static void do_zero(struct addcow *disk, struct model *model)
{
    zero_both(disk, model, 700, model->size - 900, false);
}

static void do_shrink_and_grow(struct addcow *disk, struct model *model)
{
    uint64_t size = 7 * model->cluster + 100;
    assert_ok(addcow_resize(disk, size, &reason));
    assert_ok(addcow_resize(disk, model->size, &reason));
    memset(model->virt + size, 0, (size_t)(model->size - size));
    memset(model->allocated + 7, 1, CLUSTERS - 7); /* the backing file would show there */
}

/* RD-01 VRT-02 STR-01 CMT-01 WR-01 ZR-01 RSZ-03: each change of each shape, with small clusters and with those of 2
 * MiB. */
static void test_shapes(void **state)
{
    (void)state;
    static change *const changes[] = {change_nothing, do_stream, do_commit,          do_commit_and_stream,
                                      do_write,       do_zero,   do_shrink_and_grow, do_write_inside};
    static const uint32_t bits[] = {13, 21};
    for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++) {
        uint64_t size = (CLUSTERS - 1) * cluster_of(bits[b]) + 5000;
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            for (size_t j = 0; j < sizeof changes / sizeof changes[0]; j++) {
                bool large = j == 7 ? i == 4 : i >= 3 && i <= 4 && j >= 1 && j <= 2;
                if (bits[b] == 21 && !large) {
                    continue; /* the large ones take long */
                }
                struct model model = model_of(&shapes[i], bits[b], size);
                make_files(&shapes[i], bits[b], size);
                struct addcow *disk = open_disk("disk.add-cow");
                compare(disk, &model);
                changes[j](disk, &model);
                compare(disk, &model);
                close_disk(disk);
                compare_reopened("disk.add-cow", &model);
                free_model(&model);
            }
        }
    }
}

/*
 * CRE-02: data in a long image with holes and with zeros that are written, which a backing file would hide: in the
 * first piece of zeros, in a later one, where a hole begins and ends, and at the end.
 */
static void test_hidden_data(void **state)
{
    (void)state;
    const uint64_t length = 7 * MIB + 5;
    /* UINT64_MAX: no data. */
    const uint64_t places[] = {UINT64_MAX,  0,       2 * MIB, 2 * MIB + 5, 3 * MIB + 1,
                               4 * MIB - 1, 5 * MIB, 6 * MIB, length - 1};
    static const uint8_t zeros[2 * MIB];
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.image_name = "long.raw";
    options.backing_name = "base.raw";
    options.backing_format = "raw";
    store_pattern("base.raw", SEED_BACKING, 5000);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        bool hides = places[i] < length;
        store_file("long.raw", zeros, 1);
        assert_int_equal(truncate(in_directory("long.raw"), 0), 0);
        assert_int_equal(truncate(in_directory("long.raw"), (off_t)length), 0);
        patch_file("long.raw", 2 * MIB, zeros, sizeof zeros);
        patch_file("long.raw", 6 * MIB, zeros, 4096);
        if (hides) {
            patch_file("long.raw", places[i], "x", 1);
        }
        enum addcow_status code = addcow_create(in_directory("new.add-cow"), &options, NULL, &error);
        assert_int_equal(code, hides ? ADDCOW_RANGE : ADDCOW_OK);
        assert_string_equal(error.clause, hides ? "CRE-02" : "");
        unlink(in_directory("new.add-cow"));
    }
}

/* CON-04 WR-01: writes to clusters of 2 MiB that are data all over, with ragged ends, short and long. */
static void test_large_clusters(void **state)
{
    (void)state;
    const struct disk_spec spec = {
        .cluster_bits = 21, .size = 3 * 2 * MIB + 777, .backing_name = "base.raw", .backing_size = 3 * 2 * MIB - 5};
    const uint64_t lengths[] = {1, 511, MIB - 1, MIB + 1, MIB + 300, 2 * MIB - 901, 2 * MIB + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        struct addcow *disk = open_disk("disk.add-cow");
        write_both(disk, &model, i % 2 ? 2 * MIB : 2 * MIB + 700, lengths[i], 3);
        write_both(disk, &model, spec.size - 100 - i, 50, 4);
        compare(disk, &model);
        close_disk(disk);
        free_model(&model);
    }
}

/* CMT-01: zeros that were written as data, of any length, are zeros of the disk below. */
static void test_commit_of_written_zeros(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 777, 4096, 4096 + 777, 65536, 65536 + 777, MIB + 777, MIB + 65536 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct disk_spec low = {.size = sizes[i], .backing_name = "base.raw", .backing_size = sizes[i]};
        struct disk_spec top = {.size = sizes[i], .backing_name = "low.add-cow", .backing_format = "add-cow"};
        uint8_t *bytes = allocate_bytes(sizes[i]);
        make_disk("low", &low);
        make_disk("disk", &top);
        struct addcow *disk = open_disk("disk.add-cow");
        assert_ok(addcow_write(disk, 0, sizes[i], bytes, &reason));
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        close_disk(disk);
        disk = open_disk("low.add-cow");
        memset(bytes, 1, (size_t)sizes[i]);
        assert_ok(addcow_read(disk, 0, sizes[i], bytes, &reason));
        for (uint64_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(bytes[at], 0);
        }
        close_disk(disk);
        free(bytes);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_shapes), TEST(test_hidden_data), TEST(test_large_clusters),
                                       TEST(test_commit_of_written_zeros)};
    return cmocka_run_group_tests_name("sparse files", tests, NULL, NULL);
}
