/*
 * The production engine on disks where numbers pass 31 and 32 bits: of bytes, of sectors, of clusters, and of bytes of
 * the bitmap. The files are in memory and nearly all holes (support/sparse_storage.h).
 */
#include "support/disks.h"
#include "support/sparse_storage.h"

#define DISK "/disk.add-cow"
#define CLUSTER ((uint64_t)4096)
#define PER_BIT ((uint64_t)8) /* clusters of a byte of the bitmap */

/* Where a number passes 31 or 32 bits, as an offset on a disk with clusters of 4 KiB. */
static const struct {
    const char *name;
    uint64_t offset;
} boundaries[] = {
    {"byte 2^31", (uint64_t)1 << 31},
    {"byte 2^32", (uint64_t)1 << 32},
    {"sector 2^31", (uint64_t)1 << 40},
    {"sector 2^32", (uint64_t)1 << 41},
    {"cluster 2^31", CLUSTER << 31},
    {"cluster 2^32", CLUSTER << 32},
    {"bit of byte 2^31 of the bitmap", PER_BIT *CLUSTER << 31},
    {"bit of byte 2^32 of the bitmap", PER_BIT *CLUSTER << 32},
    {"byte 2^31 of the metadata file", PER_BIT *CLUSTER *(((uint64_t)1 << 31) - CLUSTER)},
    {"byte 2^32 of the metadata file", PER_BIT *CLUSTER *(((uint64_t)1 << 32) - CLUSTER)},
};

#define BOUNDARIES (sizeof boundaries / sizeof boundaries[0])
#define LARGEST ((PER_BIT * CLUSTER << 32) + 10 * CLUSTER)

static struct sparse_storage *storage;

/* Makes a disk with a backing file of so many bytes, all of it a hole. */
static void make(uint64_t size, uint64_t backing, uint32_t cluster_bits)
{
    storage = make_sparse_storage();
    sparse_put(storage, "base.raw", backing);
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.cluster_bits = cluster_bits;
    options.image_name = "disk.raw";
    options.backing_name = "base.raw";
    options.backing_format = "raw";
    options.make_image = true;
    options.image_size = size;
    assert_ok(addcow_create(DISK, &options, &storage->storage, &reason));
}

static struct addcow *open_it(void)
{
    struct addcow *disk = NULL;
    assert_ok(addcow_open(DISK, ADDCOW_OPEN_READWRITE, &storage->storage, &disk, &reason));
    return disk;
}

static struct addcow *reopen(struct addcow *disk)
{
    close_disk(disk);
    return open_it();
}

static void assert_map(struct addcow *disk, uint64_t offset, uint64_t length, bool expected, uint64_t expected_run)
{
    bool allocated;
    uint64_t run;
    assert_ok(addcow_map(disk, offset, length, &allocated, &run, &reason));
    assert_int_equal(allocated, expected);
    assert_int_equal(run, expected_run);
}

static void assert_pattern(struct addcow *disk, unsigned seed, uint64_t offset, uint64_t length)
{
    uint8_t *bytes = allocate_bytes(length);
    assert_ok(addcow_read(disk, offset, length, bytes, &reason));
    for (uint64_t i = 0; i < length; i++) {
        assert_int_equal(bytes[i], seed == 0 ? 0 : pattern(seed, offset + i));
    }
    free(bytes);
}

static void write_pattern(struct addcow *disk, unsigned seed, uint64_t offset, uint64_t length)
{
    uint8_t *bytes = allocate_bytes(length);
    fill_pattern(bytes, seed, offset, length);
    assert_ok(addcow_write(disk, offset, length, bytes, &reason));
    free(bytes);
}

/* The places that a number cut to 32 or 31 bits would give, and the neighbours, hold nothing. */
static void assert_nowhere_else(struct addcow *disk, uint64_t offset)
{
    const uint64_t cuts[] = {offset % ((uint64_t)1 << 31), offset % ((uint64_t)1 << 32), offset % ((uint64_t)1 << 41),
                             offset % (CLUSTER << 31),     offset % (CLUSTER << 32),     offset - 8 * CLUSTER,
                             offset + 4 * CLUSTER};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        if (cuts[i] < offset - 2 * CLUSTER || cuts[i] >= offset + 2 * CLUSTER) {
            assert_map(disk, cuts[i], 2 * CLUSTER, false, 2 * CLUSTER);
            assert_pattern(disk, 0, cuts[i], 2 * CLUSTER);
        }
    }
}

static uint8_t bitmap_byte(uint64_t offset)
{
    uint8_t byte;
    sparse_load(storage, "disk.add-cow", CLUSTER + offset / CLUSTER / 8, &byte, 1);
    return byte;
}

/* BMP-01 BMP-02 VRT-01 WR-02 MAP-01: writes over each boundary; the bits are where they belong, and nowhere else. */
static void test_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDARIES; i++) {
        print_message("# %s\n", boundaries[i].name);
        uint64_t at = boundaries[i].offset;
        make(LARGEST, 1, 12);
        struct addcow *disk = open_it();
        write_pattern(disk, 3, at - CLUSTER - 100, 2 * CLUSTER + 200);
        for (int again = 0; again < 2; again++) {
            assert_pattern(disk, 3, at - CLUSTER - 100, 2 * CLUSTER + 200);
            assert_map(disk, at - 6 * CLUSTER, 12 * CLUSTER, false, 4 * CLUSTER);
            assert_map(disk, at - 2 * CLUSTER, 12 * CLUSTER, true, 4 * CLUSTER);
            assert_map(disk, at + 2 * CLUSTER, 6 * CLUSTER, false, 6 * CLUSTER);
            assert_map(disk, at, CLUSTER, true, CLUSTER); /* one cluster is looked up in another way than several */
            assert_pattern(disk, 3, at - 50, 40);
            assert_pattern(disk, 3, at, CLUSTER);
            assert_nowhere_else(disk, at);
            assert_ok(addcow_flush(disk, &reason));
            assert_int_equal(bitmap_byte(at - CLUSTER), 0xC0);
            assert_int_equal(bitmap_byte(at), 0x03);
            disk = reopen(disk);
        }
        assert_int_equal(addcow_size(disk), LARGEST);
        assert_ok(addcow_discard(disk, at - CLUSTER, 2 * CLUSTER, &reason));
        assert_pattern(disk, 0, at - CLUSTER, 2 * CLUSTER);
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

/* RD-01 VRT-02 CON-05: what the backing file holds at each boundary is read, mapped and copied up. */
static void test_backing(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDARIES; i++) {
        uint64_t at = boundaries[i].offset;
        uint8_t bytes[4 * 4096];
        make(LARGEST, at + 2 * CLUSTER - 300, 12);
        fill_pattern(bytes, SEED_BACKING, at - 2 * CLUSTER, sizeof bytes);
        sparse_store(storage, "base.raw", at - 2 * CLUSTER, bytes, sizeof bytes - 300);
        struct addcow *disk = open_it();
        assert_pattern(disk, SEED_BACKING, at - 2 * CLUSTER, 4 * CLUSTER - 300);
        assert_pattern(disk, 0, at + 2 * CLUSTER - 300, 600);
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        bool data = false;
        assert_ok(addcow_map_data(disk, at - CLUSTER, 8 * CLUSTER, &extent, &data, &reason));
        assert_true(data && extent.present && extent.depth == 1);
        assert_int_equal(extent.file_offset, at - CLUSTER);
        assert_int_equal(extent.length, 3 * CLUSTER - 300);
        write_pattern(disk, 4, at - 10, 20);
        disk = reopen(disk);
        assert_pattern(disk, 4, at - 10, 20);
        assert_pattern(disk, SEED_BACKING, at - 2 * CLUSTER, 2 * CLUSTER - 10);
        assert_pattern(disk, SEED_BACKING, at + 10, 2 * CLUSTER - 310);
        assert_ok(addcow_map_chain(disk, at - CLUSTER, 8 * CLUSTER, &extent, &reason));
        assert_true(extent.present && extent.depth == 0);
        assert_int_equal(extent.length, 2 * CLUSTER);
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

/* RSZ-01 RSZ-03 RSZ-05 RSZ-06: shrinking to each boundary, and growing over it again. */
static void test_resize(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDARIES; i++) {
        uint64_t at = boundaries[i].offset;
        make(at + 4 * CLUSTER, 1, 12);
        struct addcow *disk = open_it();
        write_pattern(disk, 5, at - 2 * CLUSTER, 4 * CLUSTER);
        assert_ok(addcow_resize(disk, at + 100, &reason));
        assert_int_equal(addcow_size(disk), at + 100);
        assert_map(disk, at - 2 * CLUSTER, 2 * CLUSTER + 100, true, 2 * CLUSTER + 100);
        assert_ok(addcow_resize(disk, at, &reason));
        assert_ok(addcow_resize(disk, at + 3 * CLUSTER, &reason));
        for (int again = 0; again < 2; again++) {
            assert_int_equal(addcow_size(disk), at + 3 * CLUSTER);
            assert_map(disk, at - 2 * CLUSTER, 5 * CLUSTER, true, 2 * CLUSTER);
            assert_map(disk, at, 3 * CLUSTER, false, 3 * CLUSTER);
            assert_pattern(disk, 5, at - 2 * CLUSTER, 2 * CLUSTER);
            assert_pattern(disk, 0, at, 3 * CLUSTER);
            disk = reopen(disk);
        }
        struct addcow_info info = ADDCOW_INFO_INIT;
        addcow_get_info(disk, &info);
        assert_int_equal(info.virtual_size, at + 3 * CLUSTER);
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

/* RSZ-05: shrinking clears the bits of more than 2^32 bytes of the bitmap, up to the last one. */
static void test_shrink_far(void **state)
{
    (void)state;
    make(LARGEST, 1, 12);
    struct addcow *disk = open_it();
    for (size_t i = 0; i < BOUNDARIES; i++) {
        write_pattern(disk, 5, boundaries[i].offset, 1);
    }
    write_pattern(disk, 5, LARGEST - 1, 1);
    assert_ok(addcow_flush(disk, &reason));
    assert_int_equal(bitmap_byte(LARGEST - 1), 2);
    assert_ok(addcow_resize(disk, 100, &reason));
    for (size_t i = 0; i < BOUNDARIES; i++) {
        assert_int_equal(bitmap_byte(boundaries[i].offset), 0);
    }
    assert_int_equal(bitmap_byte(LARGEST - 1), 0);
    close_disk(disk);
    free_sparse_storage(storage);
}

#define AROUND 8192 /* bytes */

/* Makes a disk with clusters of 2 MiB, whose backing file has a pattern around `at`, from 4096 bytes before, and is a
 * hole elsewhere. */
static void make_with_data_at(uint64_t at)
{
    const uint64_t size = at + ((uint64_t)1 << 21) + 5000;
    uint8_t bytes[AROUND];
    make(size, size, 21);
    fill_pattern(bytes, SEED_BACKING, at - 4096, sizeof bytes);
    sparse_store(storage, "base.raw", at - 4096, bytes, sizeof bytes);
}

/* STR-01 CMT-01: whole-disk operations over the boundaries of bytes and sectors, with clusters of 2 MiB. */
static void test_whole_disk(void **state)
{
    (void)state;
    const uint64_t cluster = (uint64_t)1 << 21;
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = boundaries[i].offset;
        make_with_data_at(at);
        struct addcow *disk = open_it();
        write_pattern(disk, 6, at + 4096, cluster + 300);
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        assert_map(disk, at - cluster, 2 * cluster + 5000, false, 2 * cluster + 5000);
        assert_pattern(disk, SEED_BACKING, at - 4096, AROUND);
        assert_pattern(disk, 6, at + 4096, cluster + 300);
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        disk = reopen(disk);
        assert_map(disk, 0, at + cluster + 5000, true, at + cluster + 5000);
        assert_pattern(disk, SEED_BACKING, at - 4096, AROUND);
        assert_pattern(disk, 6, at + 4096, cluster + 300);
        assert_pattern(disk, 0, at - cluster, 4096);
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

/*
 * CMT-01 CMT-04: a commit of a disk of which all is allocated goes over each boundary, and frees all of the image. Such
 * a disk needs no blocks of the bitmap, so this reaches far.
 */
static void test_commit_of_all(void **state)
{
    (void)state;
    for (size_t i = 0; boundaries[i].offset <= CLUSTER << 32; i++) {
        uint64_t at = boundaries[i].offset;
        uint64_t size = at + 4 * CLUSTER;
        make(size, size, 12);
        uint8_t flag = 1, bytes[8 * 4096];
        sparse_store(storage, "disk.add-cow", ADDCOW_COMPATIBLE_OFFSET, &flag, 1);
        struct addcow *disk = open_it();
        write_pattern(disk, 6, at - 4 * CLUSTER, 8 * CLUSTER);
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        assert_int_equal(sparse_first_data(storage, "disk.raw"), size); /* all of it is a hole */
        assert_map(disk, at - 4 * CLUSTER, 8 * CLUSTER, false, 8 * CLUSTER);
        assert_pattern(disk, 6, at - 4 * CLUSTER, 8 * CLUSTER);
        assert_pattern(disk, 0, at - 8 * CLUSTER, 4 * CLUSTER);
        sparse_load(storage, "base.raw", at - 4 * CLUSTER, bytes, sizeof bytes);
        for (uint64_t k = 0; k < sizeof bytes; k++) {
            assert_int_equal(bytes[k], pattern(6, at - 4 * CLUSTER + k));
        }
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

/* RBS-01: another backing file that differs at each boundary of bytes and sectors, and nowhere else. */
static void test_rebase(void **state)
{
    (void)state;
    const uint64_t cluster = (uint64_t)1 << 21;
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = boundaries[i].offset;
        uint8_t bytes[100];
        make_with_data_at(at);
        fill_pattern(bytes, SEED_BACKING, at - 4096, sizeof bytes);
        sparse_put(storage, "other.raw", at + 2 * cluster);
        sparse_store(storage, "other.raw", at + cluster, bytes, sizeof bytes);
        struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
        options.backing_name = "other.raw";
        options.backing_format = "raw";
        assert_ok(addcow_rebase(DISK, &options, &storage->storage, NULL, NULL, &reason));
        struct addcow *disk = open_it();
        assert_map(disk, 0, at + cluster + 5000, false, at - cluster);
        assert_map(disk, at - cluster, 2 * cluster + 5000, true, 2 * cluster + 5000);
        assert_pattern(disk, SEED_BACKING, at - 4096, AROUND);
        assert_pattern(disk, 0, at + cluster, 5000);
        close_disk(disk);
        free_sparse_storage(storage);
    }
}

struct found {
    unsigned count;
    char text[300]; /* of the last finding */
};

static void note_finding(void *context, const struct addcow_finding *finding)
{
    struct found *found = context;
    found->count++;
    snprintf(found->text, sizeof found->text, "%s %s", finding->clause, finding->message);
}

/* A check makes so many findings, the last one with this text, and a repair mends them. One cluster is allocated. */
static void assert_mended(uint64_t clusters, unsigned findings, const char *text)
{
    for (int repair = 0; repair < 3; repair++) {
        struct found found = {.count = 0};
        struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
        assert_ok(addcow_check(DISK, repair == 1, &storage->storage, note_finding, &found, &result, &reason));
        assert_int_equal(result.clusters, clusters);
        assert_int_equal(result.allocated, 1);
        assert_int_equal(found.count, repair == 2 ? 0 : findings);
        if (repair < 2 && !strstr(found.text, text)) {
            fail_msg("'%s' does not say '%s'", found.text, text);
        }
    }
}

/* CHK-01 CHK-02: numbers of clusters in what a check says, and counts of them; most of the bitmap is a hole. */
static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDARIES; i++) {
        char text[128];
        uint64_t at = boundaries[i].offset;
        uint64_t last = at / CLUSTER;
        make(at + 3 * CLUSTER, 1, 12);
        struct addcow *disk = open_it();
        write_pattern(disk, 3, at, 1);
        close_disk(disk);
        /* A bit past the end, in the last byte in use, or behind it in the padding, which is a finding of its own. */
        for (uint64_t past = 5; past < 14; past += 8) {
            uint8_t stray = (uint8_t)(past < 8 ? 1u << past | 1 : 1u << (past - 8));
            sparse_store(storage, "disk.add-cow", CLUSTER + (last + past) / 8, &stray, 1);
            snprintf(text, sizeof text, "1 bits past the last cluster are set, the first one for cluster %" PRIu64,
                     last + past);
            assert_mended(last + 3, past < 8 ? 1 : 2, text);
        }
        free_sparse_storage(storage);
    }
}

/* CHK-01 VRT-05: clear bits under the flag are counted, in holes of the bitmap and outside, and the first one named. */
static void test_check_of_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < BOUNDARIES; i++) {
        char text[128];
        uint8_t flag = 1, bits = 5;
        uint64_t clusters = boundaries[i].offset / CLUSTER + 3;
        make(clusters * CLUSTER, 1, 12);
        sparse_store(storage, "disk.add-cow", ADDCOW_COMPATIBLE_OFFSET, &flag, 1);
        sparse_store(storage, "disk.add-cow", CLUSTER + clusters / 8, &bits, 1);
        struct found found = {.count = 0};
        struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
        assert_ok(addcow_check(DISK, false, &storage->storage, note_finding, &found, &result, &reason));
        assert_int_equal(found.count, 1);
        assert_int_equal(result.allocated, clusters);
        snprintf(text, sizeof text, "but the bits of %" PRIu64 " are clear, the first one of cluster 0;", clusters - 2);
        assert_non_null(strstr(found.text, text));
        free_sparse_storage(storage);
    }
}

#define TEST(function) cmocka_unit_test(function)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_write),         TEST(test_backing), TEST(test_resize), TEST(test_shrink_far),   TEST(test_whole_disk),
        TEST(test_commit_of_all), TEST(test_rebase),  TEST(test_check),  TEST(test_check_of_all),
    };
    return cmocka_run_group_tests_name("beyond 32 bits", tests, NULL, NULL);
}
