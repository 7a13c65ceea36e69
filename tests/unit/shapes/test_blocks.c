/*
 * The production engine on disks whose bitmap has three blocks, and up to seven after growing: several dirty ones are
 * flushed, again and again, with failures, and are cut away.
 */
#include "engine/sparse_disk.h"
#include "support/changed_files.h"

#include "addcow_disk.h"

#define CLUSTERS (3 * BLOCK - 70)

_Static_assert(BLOCK == ADDCOW_BLOCK_BITS, "the disks here have three blocks");

/* What the bitmap must be: a byte for each cluster. */
static uint8_t expected[7 * BLOCK];

static void make_blocks(const struct disk_spec *spec)
{
    make_sparse_disk(spec, CLUSTERS);
    assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 3 * 4096), 0);
    memset(expected, 0, sizeof expected);
}

static void allocate(struct addcow *disk, uint64_t cluster)
{
    uint8_t byte = pattern(7, cluster);
    assert_ok(addcow_write(disk, cluster * 4096 + 5, 1, &byte, &reason));
    expected[cluster] = 1;
}

/* The bits in the file. */
static void assert_file(uint64_t clusters)
{
    uint8_t *file = load_file("disk.add-cow");
    uint64_t bits = 8 * (file_length("disk.add-cow") - 4096);
    for (uint64_t k = 0; k < bits; k++) {
        if ((file[4096 + k / 8] >> k % 8 & 1) != (k < clusters ? expected[k] : 0)) {
            fail_msg("cluster %" PRIu64 " of %" PRIu64, k, clusters);
        }
    }
    free(file);
}

/* What the disk answers, run by run; the content of each first cluster of an allocated run. */
static void assert_disk(struct addcow *disk, uint64_t clusters)
{
    assert_int_equal(addcow_size(disk), clusters * 4096);
    for (uint64_t k = 0, end; k < clusters; k = end) {
        for (end = k; end < clusters && expected[end] == expected[k];) {
            end++;
        }
        assert_run(disk, k, end, expected[k]);
        uint8_t byte;
        assert_ok(addcow_read(disk, k * 4096 + 5, 1, &byte, &reason));
        assert_int_equal(byte, expected[k] ? pattern(7, k) : 0);
    }
}

static struct addcow *reopen(struct addcow *disk)
{
    close_disk(disk);
    return open_disk("disk.add-cow");
}

/* Places in each block: its ends, the ends of words, and between. */
static const uint64_t places[3][5] = {
    {0, 63, 64, 1000, BLOCK - 1},
    {BLOCK, BLOCK + 63, BLOCK + 64, BLOCK + 5000, 2 * BLOCK - 1},
    {2 * BLOCK, 2 * BLOCK + 63, 2 * BLOCK + 64, 3 * BLOCK - 200, CLUSTERS - 1},
};

/* The orders in which three blocks become dirty. */
static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}};

#define ORDERS (sizeof orders / sizeof orders[0])

/* DUR-01 BMP-01: several dirty blocks, a flush, other ones, a flush, and so on; the file has all bits each time. */
static void test_flush_again(void **state)
{
    (void)state;
    for (size_t order = 0; order < ORDERS; order++) {
        make_blocks(&(struct disk_spec){.size = 4096});
        struct addcow *disk = open_disk("disk.add-cow");
        for (size_t round = 0; round < 5; round++) {
            /* All three blocks, then two, then one, in which the others stay as they are. */
            for (size_t i = 0; i < 3 - round % 3; i++) {
                allocate(disk, places[orders[order][i]][round]);
            }
            assert_ok(addcow_flush(disk, &reason));
            assert_file(CLUSTERS);
        }
        assert_disk(disk, CLUSTERS);
        disk = reopen(disk);
        assert_disk(disk, CLUSTERS);
        close_disk(disk);
    }
}

/* What is written while a flush syncs the image: the disk, or null. */
static struct addcow *written_meanwhile;

static int sync_and_write(struct addcow_file *file)
{
    struct addcow *disk = written_meanwhile;
    written_meanwhile = NULL;
    int result = changed_from()->sync(file);
    for (unsigned block = 0; disk && block < 3; block++) {
        uint8_t byte = 1;
        assert_ok(addcow_write(disk, (places[block][1] + 7) * 4096, 1, &byte, &reason));
    }
    return result;
}

static void let_write(const char *path, struct addcow_file_ops *calls)
{
    if (strstr(path, "disk.raw")) {
        calls->sync = sync_and_write;
    }
}

/* DUR-03: bits that are set while the image is synced are in no block that this flush writes; the next one has them. */
static void test_bits_set_during_the_sync(void **state)
{
    (void)state;
    for (size_t order = 0; order < ORDERS; order++) {
        make_blocks(&(struct disk_spec){.size = 4096});
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, changed_files(NULL, let_write));
        for (size_t i = 0; i < 3; i++) {
            allocate(disk, places[orders[order][i]][0]);
        }
        written_meanwhile = disk;
        assert_ok(addcow_flush(disk, &reason));
        assert_null(written_meanwhile);
        assert_file(CLUSTERS);
        assert_ok(addcow_flush(disk, &reason));
        for (size_t i = 0; i < 3; i++) {
            expected[places[i][1] + 7] = 1;
        }
        assert_file(CLUSTERS);
        close_disk(disk);
    }
}

/* A call on the metadata file that fails: the n-th of its kind. */
struct failing {
    enum event_kind kind;
    unsigned left; /* 0: none fails any more */
};

static int fail_nth(struct probe *probe, const struct event *event)
{
    struct failing *failing = probe->context;
    if (event->file != 'm' || event->kind != failing->kind || failing->left == 0) {
        return 0;
    }
    return --failing->left == 0 ? -EIO : 0;
}

/* DUR-06: each write of a block fails, and the sync after them; the next flush writes all blocks. */
static void test_each_write_fails(void **state)
{
    (void)state;
    for (size_t order = 0; order < ORDERS; order++) {
        for (unsigned n = 1; n <= 4; n++) {
            for (int more = 0; more < 3; more++) {
                make_blocks(&(struct disk_spec){.size = 4096});
                struct failing failing = {.kind = n < 4 ? EVENT_WRITE : EVENT_SYNC};
                struct probe *probe = make_probe();
                struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
                for (size_t i = 0; i < 3; i++) {
                    allocate(disk, places[orders[order][i]][0]);
                }
                failing.left = n < 4 ? n : 1;
                probe->context = &failing;
                probe->decide = fail_nth;
                assert_int_equal(addcow_flush(disk, &reason), ADDCOW_IO);
                assert_int_equal(failing.left, 0);
                /* Nothing more, more in a block that is dirty again, or in one of a later write. */
                if (more > 0) {
                    allocate(disk, places[orders[order][more - 1]][3]);
                }
                assert_ok(addcow_flush(disk, &reason));
                assert_file(CLUSTERS);
                assert_disk(disk, CLUSTERS);
                close_disk(disk);
                free_probe(probe);
            }
        }
    }
}

/* RSZ-05 RSZ-06: dirty blocks are cut away, within a block and at its end, and come back empty. */
static void test_shrink_away(void **state)
{
    (void)state;
    static const uint64_t ends[] = {
        1,          64,         65,           1001,          BLOCK - 1, BLOCK,         BLOCK + 1,      BLOCK + 63,
        BLOCK + 64, BLOCK + 65, BLOCK + 5001, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 2 * BLOCK + 64, 3 * BLOCK - 199};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (int flushed = 0; flushed < 2; flushed++) {
            make_blocks(&(struct disk_spec){.size = 4096});
            struct addcow *disk = open_disk("disk.add-cow");
            for (size_t j = 0; j < 3 * 5; j++) {
                allocate(disk, places[(j + i) % 3][j / 3]);
            }
            if (flushed) {
                assert_ok(addcow_flush(disk, &reason));
                allocate(disk, places[0][1] + 1);
                allocate(disk, places[2][1] + 1);
            }
            assert_ok(addcow_resize(disk, ends[i] * 4096, &reason));
            memset(expected + ends[i], 0, (size_t)(sizeof expected - ends[i]));
            assert_disk(disk, ends[i]);
            assert_file(ends[i]);
            assert_ok(addcow_resize(disk, CLUSTERS * 4096, &reason));
            allocate(disk, 2 * BLOCK + 7);
            assert_disk(disk, CLUSTERS);
            assert_ok(addcow_flush(disk, &reason));
            assert_file(CLUSTERS);
            disk = reopen(disk);
            assert_disk(disk, CLUSTERS);
            close_disk(disk);
        }
    }
}

/*
 * RSZ-02 RSZ-04: growing over several blocks while all blocks are dirty keeps the bits of each, and the new ones are
 * clear, also where the file has stale bits behind the old end.
 */
static void test_grow_with_dirty_blocks(void **state)
{
    (void)state;
    for (size_t order = 0; order < ORDERS; order++) {
        for (unsigned stale = 0; stale < 2; stale++) {
            make_blocks(&(struct disk_spec){.size = 4096});
            assert_int_equal(truncate(in_directory("disk.add-cow"), 4096 + 7 * 4096), 0);
            if (stale) {
                static uint8_t ones[4 * 4096 + 8];
                memset(ones, 0xff, sizeof ones);
                patch_file("disk.add-cow", 4096 + CLUSTERS / 8 + 1, ones, sizeof ones);
            }
            struct addcow *disk = open_disk("disk.add-cow");
            for (size_t i = 0; i < 3 * 5; i++) {
                allocate(disk, places[orders[order][i % 3]][i / 3]);
            }
            for (uint64_t blocks = 4; blocks < 8; blocks++) {
                assert_ok(addcow_resize(disk, (blocks * BLOCK - 3) * 4096, &reason));
                assert_disk(disk, blocks * BLOCK - 3);
                allocate(disk, blocks * BLOCK - 4);
                allocate(disk, places[orders[order][0]][1] + blocks);
            }
            assert_ok(addcow_flush(disk, &reason));
            assert_file(7 * BLOCK - 3);
            disk = reopen(disk);
            assert_disk(disk, 7 * BLOCK - 3);
            /* All of them dirty at once. */
            for (uint64_t block = 0; block < 7; block++) {
                allocate(disk, block * BLOCK + 77);
            }
            assert_ok(addcow_flush(disk, &reason));
            assert_file(7 * BLOCK - 3);
            close_disk(disk);
        }
    }
}

/*
 * RSZ-04: bits of a disk that somebody cut while it was closed: growing clears them in all blocks. RSZ-05: shrinking a
 * disk of which all is allocated clears them, too.
 */
static void test_bits_behind_the_end(void **state)
{
    (void)state;
    for (unsigned all = 0; all < 2; all++) {
        for (uint64_t kept = 1; kept < CLUSTERS; kept += BLOCK - 5) {
            make_blocks(&(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 1});
            struct addcow *disk = open_disk("disk.add-cow");
            for (size_t i = 0; i < 3 * 5; i++) {
                allocate(disk, places[i % 3][i / 3]);
            }
            if (all) {
                assert_ok(addcow_stream(disk, NULL, NULL, &reason));
                memset(expected, 1, CLUSTERS);
                assert_ok(addcow_resize(disk, kept * 4096, &reason));
                assert_file(kept);
            } else {
                close_disk(disk);
                assert_int_equal(truncate(in_directory("disk.raw"), (off_t)(kept * 4096)), 0);
                disk = open_disk("disk.add-cow");
                memset(expected + kept, 0, (size_t)(sizeof expected - kept));
                assert_ok(addcow_resize(disk, CLUSTERS * 4096, &reason));
                assert_disk(disk, CLUSTERS);
                assert_ok(addcow_flush(disk, &reason));
                assert_file(CLUSTERS);
            }
            close_disk(disk);
        }
    }
}

/* VRT-05: another writer has forgotten bits of a disk of which all is allocated; a stream sets those of all blocks. */
static void test_forgotten_bits(void **state)
{
    (void)state;
    make_blocks(&(struct disk_spec){
        .size = 4096, .backing_name = "base.raw", .backing_size = 1, .compatible = ADDCOW_ALL_ALLOCATED});
    struct addcow *disk = open_disk("disk.add-cow");
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    memset(expected, 1, CLUSTERS);
    assert_file(CLUSTERS);
    close_disk(disk);
}

/* CMT-03: a commit whose clearing of the bits may or may not have happened: the next flush writes all of them again. */
static void test_failed_clearing(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        make_blocks(&(struct disk_spec){.size = 4096, .backing_name = "base.raw", .backing_size = 4096});
        assert_int_equal(truncate(in_directory("base.raw"), (off_t)(CLUSTERS * 4096)), 0);
        struct failing failing = {.kind = EVENT_SYNC, .left = 0};
        struct probe *probe = make_probe();
        probe->context = &failing;
        probe->decide = fail_nth;
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        for (size_t i = 0; i < 3 * 5; i++) {
            allocate(disk, places[i % 3][i / 3]);
        }
        assert_ok(addcow_flush(disk, &reason));
        failing.left = n; /* that of the flag, or of the bits */
        assert_int_equal(addcow_commit(disk, NULL, NULL, &reason), ADDCOW_IO);
        assert_int_equal(failing.left, 0);
        assert_disk(disk, CLUSTERS);
        assert_ok(addcow_flush(disk, &reason));
        assert_file(CLUSTERS);
        close_disk(disk);
        free_probe(probe);
    }
}

/* DUR-06 RSZ-07: a flush that failed has given its blocks back; what is cut away then is not written. */
static void test_shrink_after_a_failure(void **state)
{
    (void)state;
    for (size_t order = 0; order < ORDERS; order++) {
        for (unsigned kept = 1; kept < 3; kept++) {
            make_blocks(&(struct disk_spec){.size = 4096});
            struct failing failing = {.kind = EVENT_WRITE, .left = 2};
            struct probe *probe = make_probe();
            struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
            for (size_t i = 0; i < 3; i++) {
                allocate(disk, places[orders[order][i]][2]);
            }
            probe->context = &failing;
            probe->decide = fail_nth;
            assert_int_equal(addcow_flush(disk, &reason), ADDCOW_IO);
            assert_ok(addcow_resize(disk, kept * BLOCK * 4096, &reason));
            memset(expected + kept * BLOCK, 0, (size_t)(sizeof expected - kept * BLOCK));
            assert_ok(addcow_flush(disk, &reason));
            assert_file(kept * BLOCK);
            assert_disk(disk, kept * BLOCK);
            close_disk(disk);
            free_probe(probe);
        }
    }
}

/* MAP-01 RD-01: a run over blocks of which one cannot be read is an error, and the blocks are read later. */
static void test_block_that_cannot_be_read(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        make_blocks(&(struct disk_spec){.size = 4096});
        struct addcow *made = open_disk("disk.add-cow");
        for (size_t i = 0; i < 3; i++) {
            allocate(made, places[i][3]);
        }
        close_disk(made);
        struct failing failing = {.kind = EVENT_READ, .left = 0};
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        failing.left = n;
        probe->context = &failing;
        probe->decide = fail_nth;
        uint8_t *bytes = allocate_bytes(4096);
        for (unsigned block = 0; block < 3; block++) {
            enum addcow_status code = addcow_read(disk, places[block][3] * 4096, 4096, bytes, &reason);
            assert_int_equal(code, block + 1 == n ? ADDCOW_IO : ADDCOW_OK);
        }
        free(bytes);
        assert_disk(disk, CLUSTERS);
        close_disk(disk);
        free_probe(probe);
    }
}

/* CMT-01 STR-01: commit clears the bits of all blocks, in memory and in the file, and they can be set again; stream
 * sets all. */
static void test_whole_disk(void **state)
{
    (void)state;
    struct disk_spec spec = {.size = 4096, .backing_name = "base.raw", .backing_size = 4096};
    make_blocks(&spec);
    assert_int_equal(truncate(in_directory("base.raw"), 0), 0);
    assert_int_equal(truncate(in_directory("base.raw"), (off_t)(CLUSTERS * 4096)), 0);
    struct addcow *disk = open_disk("disk.add-cow");
    for (size_t i = 0; i < 3 * 5; i++) {
        allocate(disk, places[i % 3][i / 3]);
    }
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    assert_run(disk, 0, CLUSTERS, false);
    uint8_t bytes[2];
    for (size_t i = 0; i < 3 * 5; i++) {
        uint64_t cluster = places[i % 3][i / 3];
        assert_ok(addcow_read(disk, cluster * 4096 + 5, 2, bytes, &reason));
        assert_int_equal(bytes[0], pattern(7, cluster));
        assert_int_equal(bytes[1], 0);
    }
    memset(expected, 0, sizeof expected);
    assert_file(CLUSTERS);
    for (size_t i = 0; i < 3; i++) {
        allocate(disk, places[2 - i][1]);
    }
    assert_ok(addcow_flush(disk, &reason));
    assert_file(CLUSTERS);
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    memset(expected, 1, sizeof expected);
    assert_run(disk, 0, CLUSTERS, true);
    assert_file(CLUSTERS);
    close_disk(disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flush_again),
        TEST(test_bits_set_during_the_sync),
        TEST(test_each_write_fails),
        TEST(test_shrink_away),
        TEST(test_grow_with_dirty_blocks),
        TEST(test_bits_behind_the_end),
        TEST(test_forgotten_bits),
        TEST(test_failed_clearing),
        TEST(test_shrink_after_a_failure),
        TEST(test_block_that_cannot_be_read),
        TEST(test_whole_disk),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
