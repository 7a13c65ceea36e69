/*
 * Who holds which lock, at every moment: before each system call of an operation the kernel is asked for the locks of
 * all files of a chain of four disks, as another program would see them.
 *
 * Three rules, for every file, at each call:
 * - Use: what is read is locked at least shared, and what is changed is locked exclusively.
 * - Keep: a lock stays until all of the operation is durable, at least shared, if the file was read, or asked for its
 *   length or identity under the lock.
 * - Open: while a disk is open, the disk itself has the locks of its kind of opening, and all below it shared ones.
 *
 * Witnesses LCK-01, LCK-03, LCK-04, LCK-05, LCK-06.
 */
#include "support/disks.h"
#include "support/kernel_calls.h"

#if HAS_KERNEL_CALLS && defined F_OFD_GETLK

#define CLUSTER 4096u
#define LEVELS 4

/* Files of data have the locks of LCK-06, the others one on the whole file. */
static const struct {
    const char *name;
    bool data;
} files[] = {
    {"top.add-cow", false},   {"top.raw", true},   {"second.add-cow", false}, {"second.raw", true},
    {"third.add-cow", false}, {"third.raw", true}, {"low.add-cow", false},    {"low.raw", true},
    {"base.raw", true},       {"other.raw", true},
};

#define FILES (sizeof files / sizeof files[0])
enum { TOP, TOP_IMAGE, SECOND, SECOND_IMAGE, THIRD, THIRD_IMAGE, LOW, LOW_IMAGE, BASE, OTHER };

/* Says where the function is. */
enum mark { OPENED = -100, CLOSING = -101 };

struct scenario {
    const char *name;
    enum addcow_status (*act)(void);
    unsigned levels;        /* the disk whose number this is, and all below it, are in use; LEVELS: only base.raw */
    bool read_only;         /* how the disk is opened */
    const char *durable[2]; /* the name and the file of the call after which locks may go; null: CLOSING */
    unsigned looked_at;     /* files that are read without a lock, a bit each */
    unsigned not_kept;      /* files whose locks may go at once */
};

/* The locks before each call, a character for each file: '-' none, 's' shared, 'x' exclusive. */
struct moments {
    int probes[FILES];
    char locks[KERNEL_CALLS_MAX][FILES];
};

static char test_range(int descriptor, short kind, off_t start, off_t length)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK ? '-' : lock.l_type == F_RDLCK ? 's' : 'x';
}

/* More bytes than those of a shared lock, as while a lock changes, still count as one. */
static char data_lock(int descriptor)
{
    static const char shared[] = "x....x.x";
    bool has_shared = true, has_all = true;
    for (unsigned i = 0; i < 8; i++) {
        bool taken = test_range(descriptor, F_WRLCK, i < 4 ? 100 + (off_t)i : 196 + (off_t)i, 1) != '-';
        has_shared = has_shared && (taken || shared[i] == '.');
        has_all = has_all && taken;
    }
    return has_all ? 'x' : has_shared ? 's' : '-';
}

static int note_locks(struct kernel_calls *calls, const struct kernel_call *call)
{
    struct moments *moments = calls->context;
    (void)call;
    for (size_t i = 0; i < FILES; i++) {
        int probe = moments->probes[i];
        moments->locks[calls->count][i] = files[i].data ? data_lock(probe) : test_range(probe, F_WRLCK, 0, 100);
    }
    return 0;
}

/* ---- The operations ---- */

static struct addcow *disk;
static struct addcow_error failure;

static enum addcow_status opened(const char *name, enum addcow_open_flags flags)
{
    enum addcow_status code = addcow_open(in_directory(name), flags, NULL, &disk, &failure);
    close(OPENED);
    return code;
}

static enum addcow_status closed(enum addcow_status code)
{
    close(CLOSING);
    enum addcow_status close_code = addcow_close(disk, code == ADDCOW_OK ? &failure : NULL);
    return code != ADDCOW_OK ? code : close_code;
}

static enum addcow_status requests(void)
{
    uint8_t bytes[3 * CLUSTER];
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    enum addcow_status code = opened("top.add-cow", ADDCOW_OPEN_READWRITE);
    memset(bytes, 7, sizeof bytes);
    code = code ? code : addcow_read(disk, 100, sizeof bytes, bytes, &failure);
    code = code ? code : addcow_map_chain(disk, 0, 16 * CLUSTER, &extent, &failure);
    code = code ? code : addcow_write(disk, 5 * CLUSTER + 9, CLUSTER, bytes, &failure);
    code = code ? code : addcow_zero(disk, 9 * CLUSTER + 1, CLUSTER, &failure);
    code = code ? code : addcow_discard(disk, 11 * CLUSTER, CLUSTER, &failure);
    code = code ? code : addcow_flush(disk, &failure);
    code = code ? code : addcow_resize(disk, 20 * CLUSTER, &failure);
    code = code ? code : addcow_resize(disk, 16 * CLUSTER, &failure);
    code = code ? code : addcow_write(disk, 0, sizeof bytes, bytes, &failure);
    return closed(code);
}

static enum addcow_status reading(void)
{
    uint8_t bytes[16 * CLUSTER];
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    bool data;
    enum addcow_status code = opened("top.add-cow", ADDCOW_OPEN_READONLY);
    code = code ? code : addcow_read(disk, 0, sizeof bytes, bytes, &failure);
    code = code ? code : addcow_map_data(disk, 0, 16 * CLUSTER, &extent, &data, &failure);
    return closed(code);
}

static enum addcow_status committing_twice(const char *name)
{
    uint8_t bytes[CLUSTER] = {1};
    enum addcow_status code = opened(name, ADDCOW_OPEN_READWRITE);
    code = code ? code : addcow_commit(disk, NULL, NULL, &failure);
    code = code ? code : addcow_write(disk, 3 * CLUSTER, sizeof bytes, bytes, &failure);
    code = code ? code : addcow_read(disk, 0, sizeof bytes, bytes, &failure);
    code = code ? code : addcow_commit(disk, NULL, NULL, &failure);
    return closed(code);
}

static enum addcow_status committing(void)
{
    return committing_twice("top.add-cow");
}

static enum addcow_status committing_below(void)
{
    return committing_twice("low.add-cow");
}

static enum addcow_status streaming(void)
{
    enum addcow_status code = opened("top.add-cow", ADDCOW_OPEN_READWRITE);
    code = code ? code : addcow_stream(disk, NULL, NULL, &failure);
    return closed(code);
}

static enum addcow_status rebasing(void)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "other.raw";
    options.backing_format = "raw";
    return addcow_rebase(in_directory("top.add-cow"), &options, NULL, NULL, NULL, &failure);
}

static enum addcow_status rebasing_below(void)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "low.add-cow";
    options.backing_format = "add-cow";
    return addcow_rebase(in_directory("second.add-cow"), &options, NULL, NULL, NULL, &failure);
}

static enum addcow_status replacing(void)
{
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.image_name = "top.raw";
    options.backing_name = "second.add-cow";
    options.backing_format = "add-cow";
    options.replace = options.hide_image_data = true;
    return addcow_create(in_directory("top.add-cow"), &options, NULL, &failure);
}

static enum addcow_status repairing(void)
{
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    return addcow_check(in_directory("top.add-cow"), true, NULL, NULL, NULL, &result, &failure);
}

static enum addcow_status shortening(void)
{
    return addcow_restore_length(in_directory("top.add-cow"), 16 * CLUSTER, NULL, &failure);
}

#define BIT(file) (1u << (file))
/* A creation looks at the chain below without holding it, and into the file to be replaced before it takes that. */
#define BELOW_TOP                                                                                                      \
    (BIT(SECOND) | BIT(SECOND_IMAGE) | BIT(THIRD) | BIT(THIRD_IMAGE) | BIT(LOW) | BIT(LOW_IMAGE) | BIT(BASE) |         \
     BIT(OTHER))

static const struct scenario scenarios[] = {
    {"requests", requests, 0, false, {NULL}, 0, 0},
    {"reading", reading, 0, true, {NULL}, 0, 0},
    {"commit into a disk", committing, 0, false, {NULL}, 0, 0},
    {"commit into a raw file", committing_below, 3, false, {NULL}, 0, 0},
    {"stream", streaming, 0, false, {NULL}, 0, 0},
    {"rebase onto a raw file", rebasing, 0, false, {"fdatasync", "top.add-cow"}, 0, 0},
    {"rebase onto a disk", rebasing_below, 1, false, {"fdatasync", "second.add-cow"}, 0, 0},
    {"create in the place of another", replacing, 0, false, {"fsync", "."}, BIT(TOP) | BELOW_TOP, BELOW_TOP},
    {"repair", repairing, 0, false, {"fdatasync", "top.add-cow"}, 0, BELOW_TOP},
    {"restore a length", shortening, 0, false, {"fdatasync", "top.add-cow"}, 0, 0},
};

/* ---- The rules ---- */

static size_t number_of(const char *name)
{
    size_t number = 0;
    while (number < FILES && strcmp(files[number].name, name) != 0) {
        number++;
    }
    return number;
}

static bool is_one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(name, *list) != 0) {
        list++;
    }
    return *list != NULL;
}

static const char *const reads[] = {"pread64", NULL};
static const char *const changes[] = {"pwrite64", "ftruncate", "fallocate", "ioctl", "fdatasync", "fsync", NULL};

/* The call after which locks may go. */
static size_t end_of_keeping(const struct scenario *scenario, const struct kernel_calls *calls)
{
    size_t end = 0;
    for (size_t i = 0; i < calls->count; i++) {
        const struct kernel_call *call = &calls->list[i];
        bool last = scenario->durable[0]
                        ? strcmp(call->name, scenario->durable[0]) == 0 && strcmp(call->file, scenario->durable[1]) == 0
                        : strcmp(call->name, "close") == 0 && (int)call->arguments[0] == CLOSING;
        end = last ? i : end;
    }
    assert_true(end > 0);
    return end;
}

static void complain(const struct scenario *scenario, const struct kernel_calls *calls, size_t at, size_t file,
                     const char *rule)
{
    const struct moments *moments = calls->context;
    const struct kernel_call *call = &calls->list[at];
    fail_msg("%s: call %zu, %s of %s: %s has the lock '%c': %s", scenario->name, at, call->name, call->file,
             files[file].name, moments->locks[at][file], rule);
}

static void check_use(const struct scenario *scenario, const struct kernel_calls *calls, size_t at)
{
    const struct moments *moments = calls->context;
    const struct kernel_call *call = &calls->list[at];
    size_t file = number_of(call->file);
    if (file == FILES) {
        return;
    }
    char held = moments->locks[at][file];
    bool looked_at = scenario->looked_at >> file & 1;
    if ((is_one_of(call->name, reads) && held == '-' && !looked_at) ||
        (is_one_of(call->name, changes) && held != 'x')) {
        complain(scenario, calls, at, file, "it is used");
    }
}

/* What a file that is used by an open disk has at least. */
static char least_lock(const struct scenario *scenario, size_t file)
{
    size_t own = 2 * (size_t)scenario->levels;
    if (file == OTHER || file < own) {
        return '-';
    }
    return file < own + 2 && !scenario->read_only ? 'x' : 's';
}

static void check_scenario(const struct scenario *scenario, const struct kernel_calls *calls)
{
    const struct moments *moments = calls->context;
    size_t end = end_of_keeping(scenario, calls);
    bool open = false, taken[FILES] = {false}, used[FILES] = {false};
    for (size_t at = 0; at < calls->count; at++) {
        open = open || (strcmp(calls->list[at].name, "close") == 0 && (int)calls->list[at].arguments[0] == OPENED);
        check_use(scenario, calls, at);
        for (size_t file = 0; file < FILES && at <= end; file++) {
            char held = moments->locks[at][file];
            if (taken[file] && used[file] && held == '-' && !(scenario->not_kept >> file & 1)) {
                complain(scenario, calls, at, file, "it was let go");
            }
            taken[file] = taken[file] || held != '-';
            bool asked = held != '-' && strcmp(calls->list[at].name, "fstat") == 0;
            bool now = number_of(calls->list[at].file) == file;
            used[file] = used[file] || (now && (asked || is_one_of(calls->list[at].name, reads)));
            char least = open ? least_lock(scenario, file) : '-';
            if ((least == 'x' && held != 'x') || (least == 's' && held == '-')) {
                complain(scenario, calls, at, file, "the disk is open");
            }
        }
    }
}

/* ---- Running ---- */

static int act(void *argument)
{
    return (int)((const struct scenario *)argument)->act();
}

/* Each level has some clusters of its own. Nothing of the files is left from a test before. */
static void make_chain(void)
{
    static const char *const names[LEVELS] = {"top", "second", "third", "low"};
    for (size_t i = 0; i < LEVELS; i++) {
        char backing[32] = "base.raw";
        if (i + 1 < LEVELS) {
            snprintf(backing, sizeof backing, "%s.add-cow", names[i + 1]);
        }
        make_disk(names[i], &(struct disk_spec){.size = 16 * CLUSTER,
                                                .backing_name = backing,
                                                .backing_format = i + 1 < LEVELS ? "add-cow" : NULL,
                                                .backing_size = 16 * CLUSTER,
                                                .allocated = (uint64_t)0x421 << i});
    }
    store_pattern("other.raw", 9, 16 * CLUSTER);
}

static void try_scenario(struct kernel_calls *calls, const struct scenario *scenario)
{
    struct moments *moments = calls->context;
    make_chain();
    for (size_t i = 0; i < FILES; i++) {
        moments->probes[i] = open(in_directory(files[i].name), O_RDWR | O_CLOEXEC);
        assert_true(moments->probes[i] >= 0);
    }
    failure = (struct addcow_error)ADDCOW_ERROR_INIT;
    if (kernel_run(calls, act, (void *)(uintptr_t)scenario) != ADDCOW_OK) {
        fail_msg("%s: %s", scenario->name, failure.message);
    }
    check_scenario(scenario, calls);
    for (size_t i = 0; i < FILES; i++) {
        assert_int_equal(files[i].data ? data_lock(moments->probes[i]) : test_range(moments->probes[i], F_WRLCK, 0, 0),
                         '-');
        close(moments->probes[i]);
    }
}

static void test_locks_of_every_moment(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    calls->decide = note_locks;
    calls->context = calloc(1, sizeof(struct moments));
    assert_non_null(calls->context);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        try_scenario(calls, &scenarios[i]);
    }
    free(calls->context);
    kernel_stop(calls);
}

#else
static void test_locks_of_every_moment(void **state)
{
    (void)state;
    skip(); /* other locks are taken here, or no call can be seen */
}
#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_locks_of_every_moment),
    };
    return cmocka_run_group_tests_name("fast, locks at every moment", tests, NULL, NULL);
}
