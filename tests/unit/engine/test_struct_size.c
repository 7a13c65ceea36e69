/*
 * Programs that were compiled with another version of the public structs (addcow_version.h).
 *
 * Such a program has a shorter or a longer struct than the library, and says so in struct_size. Here every size stands
 * in a larger piece of memory, whose other bytes must keep their value.
 */
#include "support/disks.h"

#define ROOM 4096 /* bytes, more than any struct has */
#define UNTOUCHED 0xa5

static const struct disk_spec usual = {.size = 5 * 4096, .backing_name = "base.raw", .backing_size = 5 * 4096};

/* A struct of `size` bytes as a caller has it. */
static void begin(uint8_t *memory, size_t size)
{
    memset(memory, UNTOUCHED, ROOM);
    memcpy(memory, &size, sizeof size);
}

struct member {
    size_t offset, size;
};

/* Members by name, so that what stands between them does not count. */
#define MEMBER(type, name) {offsetof(struct addcow_##type, name), sizeof(((struct addcow_##type *)0)->name)}

/*
 * Compares what a function gave to a caller that has `given` of `size` bytes with what it gives to one that has all:
 * the members that end within `given`. A given size of 0 is all of version 0.2.0.
 */
static void compare(const uint8_t *memory, size_t given, const void *whole, size_t size, const struct member *members,
                    size_t count)
{
    size_t kept;
    memcpy(&kept, memory, sizeof kept);
    assert_int_equal(kept, given);
    size_t end = given == 0 || given > size ? size : given;
    for (size_t i = 0; i < count; i++) {
        if (members[i].offset + members[i].size <= end) {
            assert_memory_equal(memory + members[i].offset, (const uint8_t *)whole + members[i].offset,
                                members[i].size);
        }
    }
    for (size_t i = end; i < ROOM; i++) {
        assert_int_equal(memory[i], UNTOUCHED);
    }
}

#define COMPARE(memory, given, whole, members)                                                                         \
    compare(memory, given, &(whole), sizeof(whole), members, sizeof(members) / sizeof(members)[0])

/* The sizes to try for a struct of `size` bytes: each shorter one, a longer one, and none. */
static size_t next_size(size_t given, size_t size)
{
    return given == 0 ? sizeof(size_t) : given == size ? ROOM : given + 1;
}

static void test_error(void **state)
{
    (void)state;
    static const struct member members[] = {MEMBER(error, code), MEMBER(error, errnum), MEMBER(error, clause)};
    struct addcow *disk;
    static struct addcow_error whole;
    const size_t message = offsetof(struct addcow_error, message);
    assert_int_equal(addcow_open("none", ADDCOW_OPEN_READONLY, NULL, &disk, &whole), ADDCOW_UNLINKABLE);
    assert_string_equal(whole.message, "none: cannot open for reading: No such file or directory");
    _Alignas(16) uint8_t memory[ROOM];
    for (size_t given = 0; given <= ROOM; given = next_size(given, sizeof whole)) {
        begin(memory, given);
        assert_int_equal(addcow_open("none", ADDCOW_OPEN_READONLY, NULL, &disk, (struct addcow_error *)(void *)memory),
                         ADDCOW_UNLINKABLE);
        COMPARE(memory, given, whole, members);
        size_t room = given == 0 || given > sizeof whole ? sizeof whole.message
                      : given <= message                 ? 0
                                                         : given - message;
        if (room > 0) { /* a message that is cut short is a string too */
            char expected[sizeof whole.message];
            snprintf(expected, room, "%s", whole.message);
            assert_string_equal((char *)memory + message, expected);
        }
    }
}

static void test_info(void **state)
{
    (void)state;
    static const struct member members[] = {MEMBER(info, layout),
                                            MEMBER(info, virtual_size),
                                            MEMBER(info, cluster_size),
                                            MEMBER(info, all_allocated),
                                            MEMBER(info, read_only),
                                            MEMBER(info, features),
                                            MEMBER(info, compatible_features),
                                            MEMBER(info, image_name),
                                            MEMBER(info, image_path),
                                            MEMBER(info, image_format),
                                            MEMBER(info, backing_name),
                                            MEMBER(info, backing_path),
                                            MEMBER(info, backing_format),
                                            MEMBER(info, backing_length),
                                            MEMBER(info, chain_depth)};
    make_disk("disk", &usual);
    struct addcow *disk = open_disk("disk.add-cow");
    static struct addcow_info whole;
    addcow_get_info(disk, &whole);
    assert_int_equal(whole.virtual_size, usual.size);
    _Alignas(16) uint8_t memory[ROOM];
    for (size_t given = 0; given <= ROOM; given = next_size(given, sizeof whole)) {
        begin(memory, given);
        addcow_get_info(disk, (struct addcow_info *)(void *)memory);
        COMPARE(memory, given, whole, members);
    }
    close_disk(disk);
}

static void test_extent(void **state)
{
    (void)state;
    static const struct member members[] = {MEMBER(extent, length), MEMBER(extent, depth), MEMBER(extent, present),
                                            MEMBER(extent, file_offset), MEMBER(extent, path)};
    make_disk("disk", &usual);
    struct addcow *disk = open_disk("disk.add-cow");
    static struct addcow_extent whole;
    assert_ok(addcow_map_chain(disk, 1, 5000, &whole, &reason));
    assert_int_equal(whole.length, 5000);
    _Alignas(16) uint8_t memory[ROOM];
    for (size_t given = 0; given <= ROOM; given = next_size(given, sizeof whole)) {
        begin(memory, given);
        assert_ok(addcow_map_chain(disk, 1, 5000, (struct addcow_extent *)(void *)memory, &reason));
        COMPARE(memory, given, whole, members);
    }
    close_disk(disk);
}

static void check_finding(void *context, const struct addcow_finding *finding)
{
    assert_int_equal(finding->struct_size, sizeof *finding);
    ++*(unsigned *)context;
}

static void test_check_result(void **state)
{
    (void)state;
    static const struct member members[] = {MEMBER(check_result, broken), MEMBER(check_result, repaired),
                                            MEMBER(check_result, clusters), MEMBER(check_result, allocated)};
    make_disk("disk", &usual);
    store_pattern("disk.raw", SEED_IMAGE, 6 * 4096 + 1); /* one cluster and a part more than there are bits for */
    static struct addcow_check_result whole;
    unsigned findings = 0;
    const char *path = in_directory("disk.add-cow");
    assert_ok(addcow_check(path, false, NULL, check_finding, &findings, &whole, &reason));
    assert_int_equal(whole.clusters, 7);
    _Alignas(16) uint8_t memory[ROOM];
    for (size_t given = 0; given <= ROOM; given = next_size(given, sizeof whole)) {
        begin(memory, given);
        struct addcow_check_result *result = (struct addcow_check_result *)(void *)memory;
        assert_ok(addcow_check(path, false, NULL, NULL, NULL, result, &reason));
        COMPARE(memory, given, whole, members);
    }
    /* A check that fails gives its result too. */
    begin(memory, sizeof whole);
    assert_int_not_equal(
        addcow_check("none", false, NULL, NULL, NULL, (struct addcow_check_result *)(void *)memory, NULL), ADDCOW_OK);
    whole = (struct addcow_check_result){0};
    COMPARE(memory, sizeof whole, whole, members);
    make_disk("broken", &usual);
    store_file("broken.add-cow", (const uint8_t *)"ADD_COW", 7);
    assert_ok(addcow_check(in_directory("broken.add-cow"), false, NULL, check_finding, &findings, &whole, &reason));
    assert_int_equal(findings, whole.broken);
    assert_true(findings > 0);
}

/* Creates a disk with the options of a caller who has `given` bytes of them. */
static enum addcow_status create(const struct addcow_create_options *options, size_t given, uint8_t after)
{
    _Alignas(16) uint8_t memory[ROOM];
    memset(memory, after, ROOM);
    memcpy(memory, options, sizeof *options);
    memcpy(memory, &given, sizeof given);
    size_t kept = given < sizeof given ? sizeof given : given; /* struct_size itself is there in any case */
    if (kept < sizeof *options) {
        memset(memory + kept, UNTOUCHED, sizeof *options - kept);
    }
    memset(&reason, 0, sizeof reason);
    return addcow_create(in_directory("new.add-cow"), (const struct addcow_create_options *)(void *)memory, NULL,
                         &reason);
}

static void test_create_options(void **state)
{
    (void)state;
    store_pattern("base.raw", SEED_BACKING, 4096);
    store_pattern("image.raw", SEED_IMAGE, 4096);
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    assert_int_equal(options.struct_size, sizeof options);
    options.image_name = "image.raw";
    options.replace = true;
    /* A longer struct, of whose new members none is used; and one of which some are. */
    assert_ok(create(&options, ROOM, 0));
    assert_int_equal(create(&options, ROOM, 1), ADDCOW_UNSUPPORTED);
    assert_non_null(strstr(reason.message, "newer version"));
    assert_int_equal(create(&options, sizeof options + 1, 1), ADDCOW_UNSUPPORTED);
    /* A struct without struct_size, or with a part of it. */
    assert_int_equal(create(&options, 0, 0), ADDCOW_UNSUPPORTED);
    assert_int_equal(create(&options, sizeof(size_t) - 1, 0), ADDCOW_UNSUPPORTED);
    assert_int_equal(reason.errnum, EINVAL);
    /* Members that the caller lacks are zero: here the backing file, and then also the permission to replace. */
    assert_ok(create(&options, sizeof options, 1));
    assert_ok(create(&options, offsetof(struct addcow_create_options, hide_image_data), 1));
    assert_int_equal(create(&options, offsetof(struct addcow_create_options, backing_name), 1), ADDCOW_UNLINKABLE);
    assert_int_equal(create(&options, offsetof(struct addcow_create_options, cluster_bits), 1), ADDCOW_MALFORMED);
    assert_int_equal(create(&options, sizeof(size_t), 1), ADDCOW_MALFORMED);
}

static void test_version(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", ADDCOW_VERSION_NUMBER / 10000, ADDCOW_VERSION_NUMBER / 100 % 100,
             ADDCOW_VERSION_NUMBER % 100);
    assert_string_equal(ADDCOW_VERSION, text);
    assert_string_equal(addcow_version(), text);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_error),        TEST(test_info),           TEST(test_extent),
        TEST(test_check_result), TEST(test_create_options), TEST(test_version),
    };
    return cmocka_run_group_tests_name("fast, structs of other versions", tests, NULL, NULL);
}
