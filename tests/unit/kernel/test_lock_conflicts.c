/*
 * Locks that somebody else has: for each operation and each file of a chain, whether the operation is refused, with
 * which clause, and that a refusal leaves every lock as it was. A disk that is open keeps its own.
 *
 * The other one is a second opening of the file, which counts like another program (LCK-01).
 *
 * Witnesses LCK-01, LCK-02, LCK-03, LCK-05.
 */
#include "support/disks.h"

#define CLUSTER 4096u
#define SIZE (6 * CLUSTER)

static const struct {
    const char *name;
    bool data; /* has the locks of LCK-05 */
} files[] = {{"top.add-cow", false}, {"top.raw", true},  {"low.add-cow", false},
             {"low.raw", true},      {"base.raw", true}, {"other.raw", true}};

#define FILES (sizeof files / sizeof files[0])

/* ---- The locks of others ---- */

static struct addcow_file *open_other(size_t file)
{
    struct addcow_file *opened = NULL;
    struct addcow_storage *posix = addcow_posix_storage();
    assert_int_equal(posix->ops->open(posix, in_directory(files[file].name), ADDCOW_FILE_READWRITE, &opened), 0);
    return opened;
}

static int take(struct addcow_file *opened, size_t file, bool exclusive)
{
    return files[file].data ? opened->ops->lock_data(opened, exclusive) : opened->ops->lock(opened, exclusive);
}

/* The lock that is held on a file: '-' none, 's' shared, 'x' exclusive. */
static char held_lock(size_t file)
{
    static const char answers[] = {'x', 's', '-'};
    struct addcow_file *opened = open_other(file);
    int free_for = take(opened, file, false) == 0;
    free_for += free_for && take(opened, file, true) == 0;
    assert_int_equal(opened->ops->close(opened), 0);
    return answers[free_for];
}

static void assert_locks(const char *name, const char *expected)
{
    for (size_t file = 0; file < FILES; file++) {
        if (held_lock(file) != expected[file]) {
            fail_msg("%s: %s has the lock '%c' instead of '%c'", name, files[file].name, held_lock(file),
                     expected[file]);
        }
    }
}

/* ---- The operations ---- */

static struct addcow *disk; /* is open, or null */
static struct addcow_error failure;

static enum addcow_status open_top(enum addcow_open_flags flags)
{
    return addcow_open(in_directory("top.add-cow"), flags, NULL, &disk, &failure);
}

static enum addcow_status opening(void)
{
    return open_top(ADDCOW_OPEN_READWRITE);
}

static enum addcow_status opening_to_read(void)
{
    return open_top(ADDCOW_OPEN_READONLY);
}

static enum addcow_status committing(void)
{
    return addcow_commit(disk, NULL, NULL, &failure);
}

static enum addcow_status rebasing(void)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "other.raw";
    options.backing_format = "raw";
    return addcow_rebase(in_directory("top.add-cow"), &options, NULL, NULL, NULL, &failure);
}

static enum addcow_status create(const char *name, const char *image, const char *backing, const char *format)
{
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.image_name = image;
    options.backing_name = backing;
    options.backing_format = format;
    options.replace = options.hide_image_data = true;
    enum addcow_status code = addcow_create(in_directory(name), &options, NULL, &failure);
    if (code == ADDCOW_OK && strcmp(name, "new.add-cow") == 0) {
        assert_int_equal(unlink(in_directory(name)), 0);
    }
    return code;
}

static enum addcow_status creating_above(void)
{
    return create("new.add-cow", "other.raw", "low.add-cow", "add-cow");
}

static enum addcow_status creating_on_raw(void)
{
    return create("new.add-cow", "other.raw", "base.raw", "raw");
}

static enum addcow_status replacing(void)
{
    return create("top.add-cow", "top.raw", "low.add-cow", "add-cow");
}

static enum addcow_status check(bool repair)
{
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    return addcow_check(in_directory("top.add-cow"), repair, NULL, NULL, NULL, &result, &failure);
}

static enum addcow_status checking(void)
{
    return check(false);
}

static enum addcow_status repairing(void)
{
    return check(true);
}

static enum addcow_status restoring(void)
{
    return addcow_restore_length(in_directory("top.add-cow"), SIZE, NULL, &failure);
}

static const struct operation {
    const char *name;
    enum addcow_status (*act)(void);
    const char *needs; /* the lock on each file: '-' none, 's' shared, 'x' exclusive */
    const char *has;   /* before and after; not all '-': the disk is open */
} operations[] = {
    {"open", opening, "xxsss-", "------"},
    {"open to read", opening_to_read, "sssss-", "------"},
    {"commit", committing, "xxxxs-", "xxsss-"},
    {"rebase", rebasing, "xxssss", "------"},
    {"create above", creating_above, "--ssss", "------"},
    {"create on a raw file", creating_on_raw, "----ss", "------"},
    {"replace", replacing, "xssss-", "------"},
    {"check", checking, "sssss-", "------"},
    {"repair", repairing, "xxsss-", "------"},
    {"restore a length", restoring, "xxsss-", "------"},
};

/* ---- Running ---- */

static void make_chain(void)
{
    make_disk("low", &(struct disk_spec){.size = SIZE, .backing_name = "base.raw", .backing_size = SIZE});
    make_disk("top", &(struct disk_spec){
                         .size = SIZE, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 5});
    store_pattern("other.raw", 9, SIZE);
}

static bool conflicts(char needed, bool exclusive)
{
    return needed == 'x' || (needed == 's' && exclusive);
}

static void close_it(void)
{
    if (disk) {
        close_disk(disk);
        disk = NULL;
    }
}

static void try_operation(const struct operation *operation, size_t file, bool exclusive)
{
    bool open = operation->has[0] != '-';
    make_chain();
    if (open) {
        assert_ok(open_top(ADDCOW_OPEN_READWRITE));
    }
    assert_locks(operation->name, operation->has);
    struct addcow_file *other = open_other(file);
    if (take(other, file, exclusive) != 0) { /* the disk that is open has more */
        assert_true(conflicts(operation->has[file], exclusive));
        other->ops->close(other);
        close_it();
        return;
    }
    failure = (struct addcow_error)ADDCOW_ERROR_INIT;
    enum addcow_status code = operation->act();
    bool refused = conflicts(operation->needs[file], exclusive);
    if (code != (refused ? ADDCOW_BUSY : ADDCOW_OK)) {
        fail_msg("%s beside %s lock on %s: %s", operation->name, exclusive ? "an exclusive" : "a shared",
                 files[file].name, code == ADDCOW_OK ? "is not refused" : failure.message);
    }
    if (refused) {
        assert_string_equal(failure.clause, files[file].data ? "LCK-05" : "LCK-02");
        assert_non_null(strstr(failure.message, files[file].name));
    }
    assert_int_equal(other->ops->close(other), 0);
    if (refused || open) {
        assert_locks(operation->name, operation->has);
    }
    close_it();
    assert_locks(operation->name, "------");
}

static void test_conflicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        for (size_t file = 0; file < FILES; file++) {
            for (int exclusive = 0; exclusive < 2; exclusive++) {
                try_operation(&operations[i], file, exclusive != 0);
            }
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conflicts),
    };
    return cmocka_run_group_tests_name("fast, locks of others", tests, NULL, NULL);
}
