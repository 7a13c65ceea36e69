/*
 * A file that somebody replaces between its opening and its locking: the lock must be that of the file which has the
 * name (LCK-04). A storage does the replacing at the moment of the lock, as another process could.
 */
#include "support/changed_files.h"
#include "support/disks.h"

/* Does `replace` just before a file is locked, as often as `times` says; everything else is POSIX. */
static struct {
    void (*replace)(void);
    unsigned times;
    unsigned of_data; /* n: before the n-th file of data, image or backing file, is locked; 0: before none */
} moment;

static int replacing_lock(struct addcow_file *file, int exclusive)
{
    if (moment.times > 0) {
        moment.times--;
        moment.replace();
    }
    return changed_from()->lock(file, exclusive);
}

static int replacing_lock_data(struct addcow_file *file, int exclusive)
{
    if (moment.of_data > 0 && --moment.of_data == 0) {
        moment.replace();
    }
    return changed_from()->lock_data(file, exclusive);
}

static void let_replace(const char *path, struct addcow_file_ops *calls)
{
    (void)path;
    calls->lock = replacing_lock;
    calls->lock_data = replacing_lock_data;
}

static struct addcow_storage *replacing_storage(void (*replace)(void), unsigned times)
{
    moment.replace = replace;
    moment.times = times;
    return changed_files(NULL, let_replace);
}

/* Moves the disk `other` to the name of `disk`. */
static void move_other(void)
{
    char to[4096];
    snprintf(to, sizeof to, "%s", in_directory("disk.add-cow"));
    assert_int_equal(rename(in_directory("other.add-cow"), to), 0);
}

static void make_other_again(void)
{
    move_other();
    make_disk("other", &(struct disk_spec){.size = 9 * 4096});
}

static void remove_name(void)
{
    assert_int_equal(unlink(in_directory("disk.add-cow")), 0);
}

static void make_both(void)
{
    make_disk("disk", &(struct disk_spec){.size = 5 * 4096});
    make_disk("other", &(struct disk_spec){.size = 9 * 4096});
}

/* The disk of the file that has the name is opened, for reading and for writing, and the lock is its lock. */
static void test_reopened(void **state)
{
    (void)state;
    for (int flags = ADDCOW_OPEN_READONLY; flags <= ADDCOW_OPEN_READWRITE; flags++) {
        make_both();
        struct addcow_storage *storage = replacing_storage(move_other, 1);
        struct addcow *disk = open_disk_on("disk.add-cow", (enum addcow_open_flags)flags, storage);
        assert_int_equal(addcow_size(disk), 9 * 4096);
        refuse_open("disk.add-cow", ADDCOW_OPEN_READWRITE, ADDCOW_BUSY, "LCK-02");
        close_disk(disk);
        close_disk(open_disk("disk.add-cow"));
    }
}

/* A lower level too. */
static void test_backing_reopened(void **state)
{
    (void)state;
    make_both();
    make_disk("top", &(struct disk_spec){.size = 4096, .backing_name = "disk.add-cow", .backing_format = "add-cow"});
    struct addcow_storage *storage = replacing_storage(move_other, 0);
    struct addcow *disk = open_disk_on("top.add-cow", ADDCOW_OPEN_READONLY, storage);
    close_disk(disk);
    moment.times = 2; /* of the two levels, the lower one loses its name at the second lock */
    moment.replace = make_other_again;
    disk = open_disk_on("top.add-cow", ADDCOW_OPEN_READONLY, storage);
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(disk, &info);
    assert_int_equal(info.backing_length, 9 * 4096);
    close_disk(disk);
}

/* Whoever never gets the file that has the name is refused, and so is who finds no file any more; nothing stays
 * locked. */
static void test_not_opened(void **state)
{
    (void)state;
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    make_both();
    struct addcow_storage *storage = replacing_storage(make_other_again, UINT32_MAX);
    char path[4096]; /* in_directory keeps only the last few */
    snprintf(path, sizeof path, "%s", in_directory("disk.add-cow"));
    assert_int_equal(addcow_open(path, ADDCOW_OPEN_READWRITE, storage, &disk, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-04");
    moment.times = 0;
    close_disk(open_disk("disk.add-cow"));
    storage = replacing_storage(remove_name, 1);
    assert_int_equal(addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READONLY, storage, &disk, &error),
                     ADDCOW_UNLINKABLE);
    assert_int_equal(error.errnum, ENOENT);
}

/* Create that may replace the file does not replace another one, which a writer may hold by then. */
static void test_create(void **state)
{
    (void)state;
    make_both();
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "disk.raw",
                                                  .replace = true};
    struct addcow *writer = open_disk("other.add-cow");
    struct addcow_error error = ADDCOW_ERROR_INIT;
    struct addcow_storage *storage = replacing_storage(move_other, 1);
    assert_int_equal(addcow_create(in_directory("disk.add-cow"), &options, storage, &error), ADDCOW_BUSY);
    assert_string_equal(error.clause, "LCK-04");
    /* The writer's disk has the name, and still is what it was. */
    refuse_open("disk.add-cow", ADDCOW_OPEN_READONLY, ADDCOW_BUSY, "LCK-02");
    close_disk(writer);
    writer = open_disk("disk.add-cow");
    assert_int_equal(addcow_size(writer), 9 * 4096);
    close_disk(writer);
}

static void move_other_image(void)
{
    char to[4096];
    snprintf(to, sizeof to, "%s", in_directory("disk.raw"));
    assert_int_equal(rename(in_directory("other.raw"), to), 0);
}

static void move_other_backing(void)
{
    char to[4096];
    snprintf(to, sizeof to, "%s", in_directory("base.raw"));
    assert_int_equal(rename(in_directory("other.raw"), to), 0);
}

/* LCK-04 LCK-05: nor is an image or a raw backing file used, written or committed into that has lost its name. */
static void test_data_file(void **state)
{
    (void)state;
    struct addcow *disk = NULL;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    for (unsigned file = 1; file <= 2; file++) {
        make_disk("other", &(struct disk_spec){.size = 5 * 4096});
        make_disk("disk", &(struct disk_spec){.size = 5 * 4096, .backing_name = "base.raw", .backing_size = 4096});
        struct addcow_storage *storage = replacing_storage(file == 1 ? move_other_image : move_other_backing, 0);
        moment.of_data = file;
        assert_int_equal(addcow_open(in_directory("disk.add-cow"), ADDCOW_OPEN_READWRITE, storage, &disk, &error),
                         ADDCOW_BUSY);
        assert_string_equal(error.clause, "LCK-04");
        assert_non_null(strstr(error.message, file == 1 ? "disk.raw" : "base.raw"));
        close_disk(
            open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, storage)); /* the new one, if it is asked again */
    }
}

/* CHK-01 CHK-02: nor is a file checked or repaired that has lost its name. */
static void test_check(void **state)
{
    (void)state;
    for (int repair = 0; repair < 2; repair++) {
        for (unsigned file = 0; file < 2; file++) {
            struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
            struct addcow_error error = ADDCOW_ERROR_INIT;
            make_disk("other", &(struct disk_spec){.size = 5 * 4096});
            make_disk("disk", &(struct disk_spec){.size = 5 * 4096});
            struct addcow_storage *storage = replacing_storage(file == 0 ? move_other : move_other_image, file == 0);
            moment.of_data = file;
            assert_int_equal(
                addcow_check(in_directory("disk.add-cow"), repair != 0, storage, NULL, NULL, &result, &error),
                ADDCOW_BUSY);
            assert_string_equal(error.clause, "LCK-04");
            assert_non_null(strstr(error.message, file == 0 ? "disk.add-cow" : "disk.raw"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopened, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_backing_reopened, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_not_opened, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_data_file, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_check, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_create, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
