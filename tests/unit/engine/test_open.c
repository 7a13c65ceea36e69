/* The production engine: opening, refusals, locks, and chains of backing files. */
#include "engine/usual_disks.h"

#include "support/changed_files.h"

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
    struct addcow_info info = ADDCOW_INFO_INIT;
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

/* The backing file may be missing if it is left out: then only what needs it fails, and never reads as zeros. */
static void test_without_backing(void **state)
{
    (void)state;
    make_disk("disk",
              &(struct disk_spec){.size = 3 * 4096, .backing_name = "base.raw", .backing_size = 4096, .allocated = 2});
    assert_int_equal(unlink(in_directory("base.raw")), 0);
    const enum addcow_open_flags without = ADDCOW_OPEN_READONLY | ADDCOW_OPEN_NO_BACKING;
    struct addcow *disk = open_disk_on("disk.add-cow", without, NULL);
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    assert_string_equal(info.backing_path, in_directory("base.raw"));
    assert_int_equal(info.backing_length, 0);
    uint8_t bytes[4096];
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    assert_ok(addcow_read(disk, 4096, sizeof bytes, bytes, &reason));
    assert_int_equal(bytes[0], pattern(SEED_IMAGE, 4096));
    assert_ok(addcow_map_chain(disk, 4096, 8192, &extent, &reason));
    assert_int_equal(extent.length, 4096);
    assert_int_equal(addcow_read(disk, 0, sizeof bytes, bytes, &reason), ADDCOW_UNSUPPORTED);
    assert_int_equal(addcow_read(disk, 8192, 1, bytes, &reason), ADDCOW_UNSUPPORTED);
    assert_int_equal(addcow_map_chain(disk, 8192, 4096, &extent, &reason), ADDCOW_UNSUPPORTED);
    assert_non_null(strstr(reason.message, "without its backing file"));
    close_disk(disk);
    refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE | ADDCOW_OPEN_NO_BACKING, ADDCOW_UNSUPPORTED, "");
    refuse_open("disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_UNLINKABLE, "LNK-06");
    /* Nothing is missing where the backing file is not used (LNK-10), or where there is none. */
    make_disk("disk", &(struct disk_spec){.size = 4096, .backing_name = "gone.raw", .compatible = 1, .allocated = 1});
    assert_int_equal(unlink(in_directory("gone.raw")), 0);
    disk = open_disk_on("disk.add-cow", without, NULL);
    assert_ok(addcow_read(disk, 0, sizeof bytes, bytes, &reason));
    close_disk(disk);
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
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
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

/* CON-09: a query of the disk's properties does not block a later exclusive operation. */
static void test_info_then_resize(void **state)
{
    (void)state;
    struct addcow_info info = ADDCOW_INFO_INIT;
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

static int number_file(struct addcow_file *file, struct addcow_identity *identity)
{
    int result = changed_from()->identity(file, identity);
    identity->device = 0;
    identity->inode -= first_inode;
    return result;
}

static void number_files(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->identity = number_file;
}

/* LNK-07: no number means that there is no file, also not 0. */
static void test_identity_zero(void **state)
{
    (void)state;
    struct addcow_storage *storage = changed_files(NULL, number_files);
    static const char *const names[] = {"disk.add-cow", "disk.raw", "base.raw"};
    make_disk("disk", &usual);
    for (size_t i = 0; i < 3; i++) {
        struct stat status;
        assert_int_equal(stat(in_directory(names[i]), &status), 0);
        first_inode = (uint64_t)status.st_ino;
        close_disk(open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, storage));
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
    struct addcow_error error = ADDCOW_ERROR_INIT;
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

static struct addcow_storage no_write_storage = {
    .ops = &(const struct addcow_storage_ops){.struct_size = sizeof(struct addcow_storage_ops), .open = no_write_open}};

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
        struct addcow_error error = ADDCOW_ERROR_INIT;
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
    struct addcow_info info = ADDCOW_INFO_INIT;
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
            struct addcow_error error = ADDCOW_ERROR_INIT;
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
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_commit(disk, NULL, NULL, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-02");
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
        TEST(test_chain),         TEST(test_without_backing), TEST(test_map_chain),     TEST(test_info_then_resize),
        TEST(test_chain_length),  TEST(test_loops),           TEST(test_identity),      TEST(test_identity_zero),
        TEST(test_missing_files), TEST(test_reasons),         TEST(test_not_permitted), TEST(test_names),
        TEST(test_refusals),      TEST(test_damaged_headers), TEST(test_locks),         TEST(test_guest_header),
    };
    return cmocka_run_group_tests_name("fast, opening", tests, NULL, NULL);
}
