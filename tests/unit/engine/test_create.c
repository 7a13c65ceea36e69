/*
 * addcow_create: what the command line cannot reach. Every call of the storage fails once, before and after doing its
 * work, and whatever happens, the directory must hold either just what it held (CRE-01, CRE-04) or a complete disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "addcow_fast.h"
#include "addcow_header.h"
#include "support/current_directory.h"
#include "support/every_call.h"
#include "support/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_SIZE 30001
#define BASE_SIZE 20000

/* ---- A directory, and what it holds ---- */

static void empty_directory(void)
{
    DIR *directory = opendir(".");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(unlink(entry->d_name), 0);
        }
    }
    closedir(directory);
}

static int leave_directory(void **state)
{
    (void)state;
    empty_directory();
    return leave_empty_directory();
}

static uint64_t length_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    return (uint64_t)status.st_size;
}

/* A number for the names and contents of all files; equal numbers mean equal directories. */
static uint64_t fingerprint(void)
{
    DIR *directory = opendir(".");
    assert_non_null(directory);
    uint64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || strcmp(entry->d_name, "..") == 0)) {
            continue;
        }
        uint64_t hash = 14695981039346656037u;
        for (const char *at = entry->d_name; *at; at++) {
            hash = (hash ^ (uint8_t)*at) * 1099511628211u;
        }
        FILE *file = fopen(entry->d_name, "rb");
        assert_non_null(file);
        for (int byte; (byte = fgetc(file)) != EOF;) {
            hash = (hash ^ (uint8_t)byte) * 1099511628211u;
        }
        fclose(file);
        sum += hash;
    }
    closedir(directory);
    return sum;
}

/* Opens the disk, and checks that it reads as the file `expected`, then zeros, and that nothing of it is broken. */
static void assert_complete(const char *path, const char *expected)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow *disk;
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    if (addcow_open(path, ADDCOW_OPEN_READONLY, NULL, &disk, &error) != ADDCOW_OK) {
        fail_msg("%s", error.message);
    }
    uint64_t size = addcow_size(disk);
    uint8_t *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(addcow_read(disk, 0, size, bytes, NULL), ADDCOW_OK);
    FILE *file = fopen(expected, "rb");
    assert_non_null(file);
    for (uint64_t i = 0; i < size; i++) {
        int byte = fgetc(file);
        assert_int_equal(bytes[i], byte == EOF ? 0 : byte);
    }
    fclose(file);
    free(bytes);
    assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
    assert_int_equal(addcow_check(path, false, NULL, NULL, NULL, &result, NULL), ADDCOW_OK);
    assert_int_equal(result.broken, 0);
}

/* ---- Faults ---- */

struct scenario {
    const char *name;
    struct addcow_create_options options;
    bool replaces;
    const char *expected; /* the file that the disk reads as */
};

static const struct scenario scenarios[] = {
    {"wrap an image",
     {.struct_size = sizeof(struct addcow_create_options),
      .layout = ADDCOW_R20,
      .cluster_bits = 12,
      .image_name = "image"},
     false,
     "image"},
    {"make an image and wrap it",
     {.struct_size = sizeof(struct addcow_create_options),
      .layout = ADDCOW_R20,
      .cluster_bits = 16,
      .image_name = "new",
      .make_image = true,
      .image_size = IMAGE_SIZE},
     false,
     "/dev/null"},
    {"an overlay",
     {.struct_size = sizeof(struct addcow_create_options),
      .layout = ADDCOW_R20,
      .cluster_bits = 16,
      .image_name = "new",
      .backing_name = "base",
      .backing_format = "raw",
      .make_image = true,
      .image_size = IMAGE_SIZE},
     false,
     "base"},
    {"an r9 overlay over an image of zeros",
     {.struct_size = sizeof(struct addcow_create_options),
      .layout = ADDCOW_R9,
      .cluster_bits = 16,
      .image_name = "zeros",
      .backing_name = "base",
      .backing_format = "raw"},
     false,
     "base"},
    {"an overlay over a disk, in place of another",
     {.struct_size = sizeof(struct addcow_create_options),
      .layout = ADDCOW_R20,
      .cluster_bits = 12,
      .image_name = "new",
      .backing_name = "below",
      .backing_format = "add-cow",
      .replace = true,
      .make_image = true,
      .image_size = IMAGE_SIZE},
     true,
     "image"},
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

static void prepare(const struct scenario *scenario)
{
    empty_directory();
    store("image", IMAGE_SIZE, 1);
    store("base", BASE_SIZE, 2);
    store("zeros", 0, 0);
    assert_int_equal(truncate("zeros", IMAGE_SIZE), 0);
    struct addcow_create_options below = {
        .struct_size = sizeof below, .layout = ADDCOW_R20, .cluster_bits = 14, .image_name = "image"};
    assert_int_equal(addcow_create("below", &below, NULL, NULL), ADDCOW_OK);
    if (scenario->replaces) {
        struct addcow_create_options old = below;
        old.image_name = "zeros";
        assert_int_equal(addcow_create("disk", &old, NULL, NULL), ADDCOW_OK);
    }
}

/* Whether the new metadata file has got its name although create failed: allowed only where it replaced another. */
static bool was_replaced(const struct scenario *scenario)
{
    return scenario->replaces && access("new", F_OK) == 0;
}

/* Runs the scenario with the fault. Returns whether the fault came to happen. */
static bool try_fault(size_t variant, uint64_t fail_at, int errnum, bool after)
{
    const struct scenario *scenario = &scenarios[variant];
    prepare(scenario);
    uint64_t before = fingerprint();
    struct faults faults = make_faults(fail_at, errnum, after);
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_create("disk", &scenario->options, &faults.storage, &error);
    print_message("# %s: call %u, errno %d, %s: %s\n", scenario->name, (unsigned)fail_at, errnum,
                  after ? "after" : "before", code == ADDCOW_OK ? "made" : error.message);
    assert_int_equal(code, error.code);
    if (code == ADDCOW_OK) {
        assert_complete("disk", scenario->expected);
    } else {
        assert_int_not_equal(errnum, EINTR);
        assert_int_equal(error.errnum, errnum);
        assert_int_not_equal(strlen(error.message), 0);
        if (was_replaced(scenario)) {
            assert_complete("disk", scenario->expected);
        } else {
            assert_int_equal(fingerprint(), before);
        }
    }
    return faults.calls >= fail_at;
}

/* CRE-04, ERR-01, ERR-05; ERR-04 for interruptions */
static struct every_call every_call = {try_fault, SCENARIOS};

/* ---- Options ---- */

static void refused(struct addcow_create_options options, enum addcow_status code, const char *clause)
{
    uint64_t before = fingerprint();
    struct addcow_error error = ADDCOW_ERROR_INIT;
    assert_int_equal(addcow_create("disk", &options, NULL, &error), code);
    assert_int_equal(error.code, code);
    assert_string_equal(error.clause, clause);
    assert_int_equal(addcow_create("disk", &options, NULL, NULL), code);
    assert_int_equal(fingerprint(), before);
}

/* CRE-03, CRE-05: the class that open would give. */
static void test_options(void **state)
{
    (void)state;
    prepare(&scenarios[0]);
    const struct addcow_create_options good = scenarios[2].options;
    struct addcow_create_options bad = good;
    bad.image_name = NULL;
    refused(bad, ADDCOW_MALFORMED, "HDR-10");
    bad.image_name = "";
    refused(bad, ADDCOW_MALFORMED, "HDR-10");
    bad = good;
    bad.backing_name = "";
    refused(bad, ADDCOW_MALFORMED, "HDR-15");
    bad.layout = ADDCOW_R9;
    refused(bad, ADDCOW_MALFORMED, "HR9-03");
    bad = good;
    bad.backing_format = NULL;
    refused(bad, ADDCOW_UNSUPPORTED, "LNK-04");
    bad = good;
    bad.layout = ADDCOW_R9;
    bad.backing_name = NULL;
    refused(bad, ADDCOW_UNSUPPORTED, "CRE-03");
    bad = good;
    bad.layout = ADDCOW_R9;
    bad.cluster_bits = 12;
    refused(bad, ADDCOW_UNSUPPORTED, "HR9-08");
    bad = good;
    bad.layout = ADDCOW_R9;
    bad.backing_name = "below";
    bad.backing_format = "add-cow";
    refused(bad, ADDCOW_UNSUPPORTED, "HR9-08");
    const uint32_t bits[] = {0, 11, 22, 64, UINT32_MAX};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        bad = good;
        bad.cluster_bits = bits[i];
        refused(bad, ADDCOW_MALFORMED, "HDR-04");
    }
    bad = good;
    bad.layout = (enum addcow_layout)7;
    refused(bad, ADDCOW_MALFORMED, "HDR-02");
    bad = good;
    bad.image_size = ADDCOW_SIZE_MAX + 1;
    refused(bad, ADDCOW_UNSUPPORTED, "VRT-01");
    bad.image_size = UINT64_MAX;
    refused(bad, ADDCOW_UNSUPPORTED, "VRT-01");
}

/* CRE-05: which of two errors is reported; how much room the names have is not known without a cluster size.
 */
static void test_options_and_long_names(void **state)
{
    (void)state;
    prepare(&scenarios[0]);
    const size_t longest = (size_t)2 << ADDCOW_CLUSTER_BITS_MAX; /* too long for every header */
    char *name = calloc(1, longest + 1);
    assert_non_null(name);
    memset(name, 'n', longest);
    struct addcow_create_options bad = scenarios[2].options;
    bad.backing_name = name;
    bad.cluster_bits = ADDCOW_CLUSTER_BITS_MIN - 1;
    refused(bad, ADDCOW_MALFORMED, "HDR-04");
    bad.cluster_bits = ADDCOW_CLUSTER_BITS_MAX + 1;
    refused(bad, ADDCOW_MALFORMED, "HDR-04");
    bad.cluster_bits = ADDCOW_CLUSTER_BITS_MIN;
    refused(bad, ADDCOW_RANGE, "CRE-05");
    /* The one name just fits, and the other is not too long but missing. */
    name[ADDCOW_HEADER_MIN - ADDCOW_NAMES_OFFSET] = '\0';
    refused(bad, ADDCOW_RANGE, "CRE-05");
    bad.image_name = NULL;
    refused(bad, ADDCOW_MALFORMED, "HDR-10");
    free(name);
}

/* CRE-02: one byte of data, anywhere in the image, would be hidden by the backing file. */
static void test_hidden_data(void **state)
{
    (void)state;
    const uint64_t places[] = {0, 1, 4095, 4096, IMAGE_SIZE - 1};
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "zeros",
                                                  .backing_name = "base",
                                                  .backing_format = "raw"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        prepare(&scenarios[0]);
        FILE *file = fopen("zeros", "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, (long)places[i], SEEK_SET), 0);
        fputc(1, file);
        assert_int_equal(fclose(file), 0);
        refused(options, ADDCOW_RANGE, "CRE-02");
        /* A storage that does not report holes: every byte is read. */
        struct faults without_holes = make_faults(0, EIO, false);
        assert_int_equal(addcow_create("disk", &options, &without_holes.storage, NULL), ADDCOW_RANGE);
    }
}

/* A new image has its storage: reserved, or as zeros that have been written, which the file system knows to be data. */
static void test_preallocation(void **state)
{
    (void)state;
    struct stat status;
    for (uint64_t kind = ADDCOW_PREALLOCATE_OFF; kind <= ADDCOW_PREALLOCATE_FULL; kind++) {
        empty_directory();
        struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
        options.image_name = "image";
        options.make_image = true;
        options.image_size = 3000001;
        options.preallocation = kind;
        assert_int_equal(addcow_create("disk", &options, NULL, NULL), ADDCOW_OK);
        assert_int_equal(stat("image", &status), 0);
        assert_int_equal(status.st_size, 3000001);
        assert_true(kind == ADDCOW_PREALLOCATE_OFF || status.st_blocks >= 3000001 / 512);
#ifdef SEEK_DATA
        int image = open("image", O_RDONLY);
        off_t data = lseek(image, 0, SEEK_DATA);
        assert_true(kind != ADDCOW_PREALLOCATE_FULL || data == 0);
        close(image);
#endif
    }
}

/* Every cluster size, and disks whose last byte of bitmap is not full (BMP-04, BMP-05, VRT-05). */
static void test_sizes(void **state)
{
    (void)state;
    for (uint32_t bits = ADDCOW_CLUSTER_BITS_MIN; bits <= ADDCOW_CLUSTER_BITS_MAX; bits++) {
        uint64_t cluster = addcow_cluster_size(bits);
        const uint64_t sizes[] = {0, 1, cluster - 1, cluster, cluster + 1, 8 * cluster, 8 * cluster + 1, 77 * cluster};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            empty_directory();
            struct addcow_create_options options = {.struct_size = sizeof options,
                                                    .layout = ADDCOW_R20,
                                                    .cluster_bits = bits,
                                                    .image_name = "new",
                                                    .make_image = true,
                                                    .image_size = sizes[i]};
            struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
            assert_int_equal(addcow_create("disk", &options, NULL, NULL), ADDCOW_OK);
            assert_int_equal(length_of("new"), sizes[i]);
            assert_int_equal(length_of("disk") % cluster, 0);
            assert_int_equal(addcow_check("disk", false, NULL, NULL, NULL, &result, NULL), ADDCOW_OK);
            assert_int_equal(result.broken, 0);
            assert_int_equal(result.allocated, (sizes[i] + cluster - 1) / cluster);
        }
    }
}

/* ---- Names ---- */

/* Refuses to make files, or to name them; or lets somebody else take a name just before a file gets it. */
struct names {
    struct addcow_storage storage;
    int make_errnum;
    int rename_errnum;
    const char *taken;
    bool dangling; /* what takes the name is a link to nothing, so that it cannot be opened */
};

static int names_open(struct addcow_storage *self, const char *path, enum addcow_open_mode mode,
                      struct addcow_file **file)
{
    const struct names *names = (struct names *)self;
    if (mode == ADDCOW_FILE_CREATE && names->make_errnum != 0) {
        return -names->make_errnum;
    }
    return addcow_posix_storage()->ops->open(addcow_posix_storage(), path, mode, file);
}

static int names_remove(struct addcow_storage *self, const char *path)
{
    (void)self;
    return addcow_posix_storage()->ops->remove(addcow_posix_storage(), path);
}

static void take_name(const struct names *names)
{
    if (names->dangling) {
        assert_int_equal(symlink("nothing", names->taken), 0);
    } else {
        store(names->taken, 99, 3);
    }
}

static int names_rename(struct addcow_storage *self, const char *from, const char *to, int replace)
{
    const struct names *names = (struct names *)self;
    if (names->rename_errnum != 0) {
        return -names->rename_errnum;
    }
    if (names->taken && strcmp(to, names->taken) == 0) {
        take_name(names);
    }
    return addcow_posix_storage()->ops->rename(addcow_posix_storage(), from, to, replace);
}

static const struct addcow_storage_ops names_ops = {
    .struct_size = sizeof names_ops, .open = names_open, .remove = names_remove, .rename = names_rename};

/* Makes an overlay and its image on that storage, which does not go well. */
static void refused_by(struct names names, enum addcow_status code, int errnum, const char *clause)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    names.storage.ops = &names_ops;
    assert_int_equal(addcow_create("disk", &scenarios[2].options, &names.storage, &error), code);
    assert_int_equal(error.code, code);
    assert_int_equal(error.errnum, errnum);
    assert_string_equal(error.clause, clause);
    assert_non_null(strstr(error.message, strerror(errnum)));
}

/* ERR-01, CRE-04: the class of each reason for which a file is not made, or not named. */
static void test_files_not_made(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum addcow_status code;
    } reasons[] = {
        {EEXIST, ADDCOW_UNLINKABLE},  {ENOENT, ADDCOW_UNLINKABLE},
        {ENOTDIR, ADDCOW_UNLINKABLE}, {ENAMETOOLONG, ADDCOW_UNLINKABLE},
        {ENOSPC, ADDCOW_NOSPACE},     {EDQUOT, ADDCOW_NOSPACE},
        {EROFS, ADDCOW_READONLY},     {EACCES, ADDCOW_READONLY},
        {EPERM, ADDCOW_READONLY},     {EIO, ADDCOW_IO},
        {EMFILE, ADDCOW_IO},
    };
    prepare(&scenarios[2]);
    uint64_t before = fingerprint();
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        int errnum = reasons[i].errnum;
        const char *clause = reasons[i].code == ADDCOW_NOSPACE ? "ERR-05" : "";
        refused_by((struct names){.make_errnum = errnum}, reasons[i].code, errnum, clause);
        assert_int_equal(fingerprint(), before);
        clause = errnum == EEXIST ? "CRE-01" : clause;
        refused_by((struct names){.rename_errnum = errnum}, reasons[i].code, errnum, clause);
        assert_int_equal(fingerprint(), before);
    }
}

/* CRE-01, CRE-04: what somebody else gives one of the names in the last moment stays, and nothing else does. */
static void test_name_taken(void **state)
{
    (void)state;
    static const char *const taken[] = {"new", "disk"};
    for (size_t i = 0; i < 2; i++) {
        prepare(&scenarios[2]);
        uint64_t before = fingerprint();
        refused_by((struct names){.taken = taken[i], .dangling = true}, ADDCOW_UNLINKABLE, EEXIST, "CRE-01");
        assert_int_equal(unlink(taken[i]), 0);
        assert_int_equal(fingerprint(), before);
        refused_by((struct names){.taken = taken[i]}, ADDCOW_UNLINKABLE, EEXIST, "CRE-01");
        assert_int_equal(length_of(taken[i]), 99);
        assert_int_equal(unlink(taken[i]), 0);
        assert_int_equal(fingerprint(), before);
    }
}

/* CRE-01: what is no add-cow file is not replaced, as it could be anything. */
static void test_replace_other_file(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, ADDCOW_HEADER_MIN - 1, ADDCOW_HEADER_MIN, 3 * ADDCOW_HEADER_MIN};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        prepare(&scenarios[2]);
        store("disk", sizes[i], 4);
        struct addcow_create_options options = scenarios[2].options;
        refused(options, ADDCOW_UNLINKABLE, "CRE-01");
        options.replace = true;
        refused(options, ADDCOW_UNLINKABLE, "CRE-01");
    }
}

/* CRE-05, LNK-07: the file to be replaced is no file of the disk that replaces it. */
static void test_replace_own_file(void **state)
{
    (void)state;
    prepare(&scenarios[4]);
    struct addcow_create_options options = {
        .struct_size = sizeof options, .layout = ADDCOW_R20, .cluster_bits = 12, .image_name = "disk", .replace = true};
    refused(options, ADDCOW_UNLINKABLE, "LNK-07");
    options = scenarios[4].options;
    options.backing_name = "disk";
    refused(options, ADDCOW_UNLINKABLE, "LNK-07");
}

/* ---- At once ---- */

#define CREATORS 8

static void *create_one(void *argument)
{
    struct addcow_create_options options = scenarios[0].options;
    *(enum addcow_status *)argument = addcow_create("disk", &options, NULL, NULL);
    return NULL;
}

/* Several creates of one name: one wins, the others leave nothing behind (CRE-04). */
static void test_creates_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        prepare(&scenarios[0]);
        pthread_t threads[CREATORS];
        enum addcow_status codes[CREATORS];
        for (size_t i = 0; i < CREATORS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, create_one, &codes[i]), 0);
        }
        unsigned made = 0;
        for (size_t i = 0; i < CREATORS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_true(codes[i] == ADDCOW_OK || codes[i] == ADDCOW_UNLINKABLE);
            made += codes[i] == ADDCOW_OK;
        }
        assert_int_equal(made, 1);
        assert_complete("disk", "image");
        /* The directory is the one that a single create makes. */
        uint64_t after = fingerprint();
        prepare(&scenarios[0]);
        assert_int_equal(addcow_create("disk", &scenarios[0].options, NULL, NULL), ADDCOW_OK);
        assert_int_equal(fingerprint(), after);
    }
}

/* A disk that is open, even for reading, is not replaced (LCK-02). */
static void test_replace_open_disk(void **state)
{
    (void)state;
    prepare(&scenarios[4]);
    uint64_t before = fingerprint();
    for (int flags = ADDCOW_OPEN_READONLY; flags <= ADDCOW_OPEN_READWRITE; flags++) {
        struct addcow *disk;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        assert_int_equal(addcow_open("disk", (enum addcow_open_flags)flags, NULL, &disk, NULL), ADDCOW_OK);
        assert_int_equal(addcow_create("disk", &scenarios[4].options, NULL, &error), ADDCOW_BUSY);
        assert_string_equal(error.clause, "LCK-02");
        assert_int_equal(addcow_close(disk, NULL), ADDCOW_OK);
        assert_int_equal(fingerprint(), before);
    }
    assert_int_equal(addcow_create("disk", &scenarios[4].options, NULL, NULL), ADDCOW_OK);
    assert_complete("disk", "image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_failure_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_failure_at_the_end_of_every_call, &every_call),
        cmocka_unit_test_prestate(test_interruption_of_every_call, &every_call),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_and_long_names),
        cmocka_unit_test(test_hidden_data),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_files_not_made),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_replace_other_file),
        cmocka_unit_test(test_preallocation),
        cmocka_unit_test(test_replace_own_file),
        cmocka_unit_test(test_creates_at_once),
        cmocka_unit_test(test_replace_open_disk),
    };
    return cmocka_run_group_tests_name("create", tests, enter_directory, leave_directory);
}
