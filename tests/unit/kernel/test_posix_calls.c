/*
 * The storage of POSIX files against the kernel: the system calls that each function makes, with their files, flags and
 * modes; and each error that the kernel may give to each of them. A sync must be the right one of the right descriptor,
 * a closed descriptor is not closed again, and an error arrives as it is, unless a rule of the table says otherwise.
 *
 * Witnesses ERR-01, ERR-04, ERR-05, CRE-06, LCK-06.
 */
#include "kernel/posix_operations.h"
#include "support/kernel_calls.h"

#ifdef __linux__
#include <sys/xattr.h>
#endif

#if HAS_KERNEL_CALLS && defined __GLIBC__ && defined F_OFD_SETLK && defined FALLOC_FL_PUNCH_HOLE && defined SEEK_DATA

/* ---- Running ---- */

static const struct operation *running;
static struct work work;

/* The calls before this one belong to the preparation. */
static int act(void *argument)
{
    (void)argument;
    return running->act(&work);
}

/* An access list with an entry for another user, as its attribute holds it; and an attribute of a user. */
static bool give_attributes(const char *name)
{
    static const uint8_t list[] = {2,  0, 0, 0,                          /* version */
                                   1,  0, 6, 0, 0xff, 0xff, 0xff, 0xff,  /* the owner: rw */
                                   2,  0, 4, 0, 1,    0,    0,    0,     /* user 1: r */
                                   4,  0, 4, 0, 0xff, 0xff, 0xff, 0xff,  /* the group: r */
                                   16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,  /* the mask: rw */
                                   32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}; /* others: nothing */
    return setxattr(in_directory(name), "system.posix_acl_access", list, sizeof list, 0) == 0 &&
           setxattr(in_directory(name), "user.a", "b", 1, 0) == 0;
}

/* Whether the operation can be tried here: whether files can have these attributes, and have no others. */
static bool can_try(const struct operation *operation)
{
    char names[256];
    store_file("other", (const uint8_t *)"1", 1);
    bool others = listxattr(in_directory("other"), names, sizeof names) > 0;
    bool attributes = give_attributes("other");
    unlink(in_directory("other"));
    return !operation->target || (!others && (attributes || !operation->attributes));
}

static void prepare(const struct operation *operation)
{
    static const char *const names[] = {"file", "from", "to", "new"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(in_directory(names[i]));
    }
    store_pattern("file", 1, 8192);
    store_file("from", (const uint8_t *)"1", 1);
    if (operation->target) {
        store_file("to", (const uint8_t *)"22", 2);
        assert_int_equal(chmod(in_directory("to"), 0640), 0);
        assert_true(!operation->attributes || give_attributes("to"));
    }
    memset(&work, 0, sizeof work);
    snprintf(work.from, sizeof work.from, "%s", in_directory("from"));
    snprintf(work.to, sizeof work.to, "%s", in_directory("to"));
    assert_int_equal(posix()->ops->open(posix(), in_directory("file"), ADDCOW_FILE_READWRITE, &work.file), 0);
    assert_true(!operation->before || operation->before(&work) == 0);
    running = operation;
}

static void finish(void)
{
    if (work.file) {
        work.file->ops->close(work.file);
        work.file = NULL;
    }
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int descriptor = 0; descriptor < 256; descriptor++) {
        count += fcntl(descriptor, F_GETFD) >= 0;
    }
    return count;
}

static void print_call(const struct kernel_call *call, char *text, size_t size)
{
    snprintf(text, size, "%s %s%s%s%s%s", call->name, call->file, call->other[0] ? " " : "", call->other,
             call->details[0] ? " " : "", call->details);
}

struct injection {
    size_t at;
    int error; /* 0: none */
};

/* Whether a call, whose name `text` begins with, is among those that are not there. */
static bool is_refused(const struct operation *operation, const char *text)
{
    size_t length = strcspn(text, " ");
    const char *found = operation->refused;
    while (found && (strncmp(found, text, length) != 0 || strcspn(found, " ") != length)) {
        found = strchr(found, ' ');
        found = found ? found + 1 : NULL;
    }
    return found != NULL;
}

static int inject(struct kernel_calls *calls, const struct kernel_call *call)
{
    const struct injection *injection = calls->context;
    if (injection->error != 0 && calls->count == injection->at) {
        return injection->error;
    }
    return is_refused(running, call->name) ? EPERM : 0;
}

/* The calls of every function. */
static void test_calls(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    for (size_t i = 0; i < OPERATIONS; i++) {
        const struct operation *operation = &operations[i];
        if (!can_try(operation)) {
            print_message("# %s: files have other attributes here\n", operation->name);
            continue;
        }
        prepare(operation);
        calls->decide = inject;
        calls->context = &(struct injection){.error = 0};
        assert_int_equal(kernel_run(calls, act, NULL), operation->result);
        unsigned count = count_calls(operation);
        for (size_t at = 0; at < count || at < calls->count; at++) {
            char text[256] = "";
            if (at < calls->count) {
                print_call(&calls->list[at], text, sizeof text);
            }
            const char *expected = at < count ? operation->calls[at] : "";
            if (strcmp(text, expected) != 0) {
                fail_msg("%s: call %zu is '%s' instead of '%s'", operation->name, at, text, expected);
            }
        }
        finish();
    }
    kernel_stop(calls);
}

/* ---- Errors ---- */

/* No descriptor is closed twice, and none that was not opened. */
static void check_closing(const struct operation *operation, const struct kernel_calls *calls, unsigned before)
{
    bool stays = work.file != NULL;
    unsigned expected = before;
    int last = -1;
    for (size_t i = 0; i < calls->count; i++) {
        const struct kernel_call *call = &calls->list[i];
        if (strcmp(call->name, "open") == 0) {
            last = -1;
        }
        if (strcmp(call->name, "close") != 0) {
            continue;
        }
        if ((int)call->arguments[0] == last) {
            fail_msg("%s: a descriptor is closed twice", operation->name);
        }
        last = (int)call->arguments[0];
    }
    expected -= stays ? 0 : 1;
    if (open_descriptors() != expected) {
        fail_msg("%s: %u descriptors are open instead of %u", operation->name, open_descriptors(), expected);
    }
}

/* A file that is there or not, as it must be after a result. */
static void check_names(const struct operation *operation, int result)
{
    bool renames = operation->act == act_rename_new || operation->act == act_rename_over;
    bool from = access(in_directory("from"), F_OK) == 0;
    if (renames && result == 0) {
        assert_false(from);
        assert_int_equal(file_length("to"), 1);
    } else if (operation->act == act_rename_over && from && operation->target) {
        assert_int_equal(file_length("to"), 2); /* the old file still */
    } else if (renames && from && !operation->target &&
               (!operation->refused || strcmp(operation->refused, "renameat2") != 0)) {
        /* By a link it may have both names, if the old one cannot be removed. */
        assert_int_not_equal(access(in_directory("to"), F_OK), 0);
    } else if (operation->act == act_open_new) {
        assert_int_equal(access(in_directory("new"), F_OK) == 0, result == 0);
    }
}

/* What other programs see of the locks of the file: the bytes as a text. */
static void print_locks(char text[9])
{
    int descriptor = open(in_directory("file"), O_RDWR);
    assert_true(descriptor >= 0);
    for (unsigned i = 0; i < 8; i++) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i < 4 ? 100 + (off_t)i : 196 + (off_t)i, .l_len = 1};
        assert_int_equal(fcntl(descriptor, F_OFD_GETLK, &lock), 0);
        text[i] = lock.l_type == F_UNLCK ? '.' : 'x';
    }
    text[8] = '\0';
    close(descriptor);
}

static void try_error(struct kernel_calls *calls, const struct operation *operation, unsigned at, int error)
{
    struct injection injection = {at, error};
    prepare(operation);
    unsigned before = open_descriptors();
    calls->decide = inject;
    calls->context = &injection;
    int result = kernel_run(calls, act, NULL);
    int expected = expected_result(operation, at, error);
    if (result != (expected == 0 ? operation->result : expected)) {
        fail_msg("%s: error %d at '%s' gives %d instead of %d", operation->name, error, operation->calls[at], result,
                 expected);
    }
    check_closing(operation, calls, before);
    check_names(operation, result);
    if (strncmp(operation->name, "lock", 4) == 0) {
        char locks[9];
        print_locks(locks);
        /* Nothing of a lock that failed is left, and what was locked before still is. */
        assert_string_equal(locks, operation->locks ? operation->locks : "........");
    }
    finish();
}

/* ERR-01 ERR-04: every error of every call. */
static void test_errors(void **state)
{
    (void)state;
    static const int errors[] = {EPERM,  ENOENT, EINTR,     EIO,    ENXIO,      EBADF, EAGAIN, EACCES,
                                 EEXIST, EINVAL, ENOTTY,    EFBIG,  ENOSPC,     EROFS, EMLINK, ENOSYS,
                                 ELOOP,  EDQUOT, EOVERFLOW, ESTALE, EOPNOTSUPP, EMFILE};
    struct kernel_calls *calls = kernel_start();
    for (size_t i = 0; i < OPERATIONS; i++) {
        unsigned count = can_try(&operations[i]) ? count_calls(&operations[i]) : 0;
        for (unsigned at = 0; at < count; at++) {
            for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
                try_error(calls, &operations[i], at, errors[e]);
            }
        }
    }
    kernel_stop(calls);
}

/* ---- Interruptions of what is done ---- */

/* The call of this number is made, and says that it was interrupted. */
static int interrupt_when_done(struct kernel_calls *calls, const struct kernel_call *call)
{
    const struct injection *injection = calls->context;
    if (calls->count != injection->at) {
        return is_refused(running, call->name) ? EPERM : 0;
    }
    bool links = strcmp(call->name, "link") == 0;
    assert_int_equal(links ? link(work.from, work.to) : rename(work.from, work.to), 0);
    return EINTR;
}

/* ERR-04: a call that names a file, and has done so when it is interrupted, is not made again, and is no failure. */
static void test_interrupted_when_done(void **state)
{
    (void)state;
    unsigned tried = 0;
    struct kernel_calls *calls = kernel_start();
    for (size_t i = 0; i < OPERATIONS; i++) {
        for (unsigned at = 0; can_try(&operations[i]) && at < count_calls(&operations[i]); at++) {
            const char *text = operations[i].calls[at];
            bool names = strncmp(text, "rename", 6) == 0 || strncmp(text, "link", 4) == 0;
            if (!names || is_refused(&operations[i], text)) {
                continue;
            }
            struct injection injection = {.at = at};
            prepare(&operations[i]);
            calls->decide = interrupt_when_done;
            calls->context = &injection;
            int result = kernel_run(calls, act, NULL);
            if (result != 0) {
                fail_msg("%s: '%s', done and interrupted, gives %d", operations[i].name, text, result);
            }
            check_names(&operations[i], result);
            tried++;
            finish();
        }
    }
    assert_true(tried >= 5);
    kernel_stop(calls);
}

/*
 * Offsets and lengths beyond 32 bits reach the kernel as they are. It need not have such files: each call fails, by
 * which each function ends after its first one.
 */
static void test_large_numbers(void **state)
{
    (void)state;
    static const struct {
        int (*act)(struct work *work);
        const char *call;
    } large[] = {
        {act_pread, "pread64 file 8@72057594037928036"},
        {act_pwrite, "pwrite64 file 8@72057594037932032"},
        {act_truncate, "ftruncate file 72057594037936936"},
        {act_punch, "fallocate file 3 72057594037928960@72057594037928448"},
        {act_next_data, "lseek file 72057594037927941 3"},
        {act_next_hole, "lseek file 72057594037927941 4"},
        {act_may_grow, "lseek file 72057594038005713 0"},
        {act_allocate, "fallocate file 1 72057594037936128@0"},
        {act_share, "ioctl file 72057594037932032@72057594037932032 from 72057594037932032"},
    };
    struct kernel_calls *calls = kernel_start();
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        struct operation operation = {.name = large[i].call, .act = large[i].act};
        char text[256];
        prepare(&operation);
        work.large = (uint64_t)1 << 56;
        calls->decide = inject;
        calls->context = &(struct injection){.at = 0, .error = EIO};
        kernel_run(calls, act, NULL);
        assert_int_equal(calls->count, 1);
        print_call(&calls->list[0], text, sizeof text);
        assert_string_equal(text, large[i].call);
        finish();
    }
    kernel_stop(calls);
}

/* A file with a lease: the second attempt gives its holder time. */
static void test_lease(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    const struct operation *operation = operations;
    while (operation->act != act_open_write) {
        operation++;
    }
    prepare(operation);
    calls->decide = inject;
    calls->context = &(struct injection){1, EAGAIN};
    assert_int_equal(kernel_run(calls, act, NULL), 0);
    assert_int_equal(calls->count, 5);
    assert_string_equal(calls->list[2].name, "stat");
    assert_string_equal(calls->list[3].details, "rw waits 0");
    finish();
    kernel_stop(calls);
}

/* ---- Modes ---- */

static mode_t mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(in_directory(name), &status), 0);
    return status.st_mode & 07777;
}

/* A new file is what the umask leaves of 0666. One that replaces another has that one's mode, whatever the umask. */
static void test_mode_bits(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 027, 077, 0177, 0777};
    static const mode_t modes[] = {0600, 0640, 0444, 0666, 0777, 0000};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        mode_t before = umask(masks[i]);
        struct addcow_file *file = NULL;
        int result = posix()->ops->open(posix(), in_directory("from"), ADDCOW_FILE_CREATE, &file);
        umask(before);
        assert_int_equal(result, 0);
        file->ops->close(file);
        assert_int_equal(mode_of("from"), 0666 & ~masks[i]);
        store_file("to", (const uint8_t *)"1", 1);
        assert_int_equal(chmod(in_directory("to"), modes[i]), 0);
        before = umask(masks[i]);
        result = posix()->ops->rename(posix(), in_directory("from"), in_directory("to"), 1);
        umask(before);
        assert_int_equal(result, 0);
        assert_int_equal(mode_of("to"), modes[i]);
        assert_int_equal(unlink(in_directory("to")), 0);
    }
}

static int refuse_owners(struct kernel_calls *calls, const struct kernel_call *call)
{
    (void)calls;
    return strcmp(call->name, "chown") == 0 ? EPERM : 0;
}

/* A file that does not get the owner and the group of the one that it replaces runs as nobody else's, either. */
static void test_bits_of_other_owners(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    const struct operation *operation = operations;
    while (!operation->target) {
        operation++;
    }
    for (int refused = 0; refused < 2; refused++) {
        prepare(operation);
        assert_int_equal(chmod(in_directory("to"), 06750), 0);
        calls->decide = refused ? refuse_owners : NULL;
        assert_int_equal(kernel_run(calls, act, NULL), 0);
        assert_int_equal(mode_of("to"), refused ? 0750 : 06750);
        finish();
    }
    kernel_stop(calls);
}

/* Through a symbolic link: the file that it leads to is replaced, in its own directory, which is the one to sync. */
static void test_replacing_through_a_link(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    assert_int_equal(mkdir(in_directory("below"), 0700), 0);
    prepare(&operations[OPERATIONS - 1]);
    store_file("below/real", (const uint8_t *)"333", 3);
    assert_int_equal(symlink("below/real", in_directory("to")), 0);
    assert_int_equal(kernel_run(calls, act, NULL), 0);
    finish();
    assert_int_equal(file_length("below/real"), 1);
    struct stat status;
    assert_int_equal(lstat(in_directory("to"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    bool synced = false;
    for (size_t i = 0; i < calls->count; i++) {
        synced = synced || (strcmp(calls->list[i].name, "fsync") == 0 && strcmp(calls->list[i].file, "below") == 0);
    }
    assert_true(synced);
    kernel_stop(calls);
}

#else
static void test_calls(void **state)
{
    (void)state;
    skip(); /* the C library makes other calls, or none can be seen */
}
#define test_errors test_calls
#define test_interrupted_when_done test_calls
#define test_large_numbers test_calls
#define test_lease test_calls
#define test_mode_bits test_calls
#define test_bits_of_other_owners test_calls
#define test_replacing_through_a_link test_calls
#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls), TEST(test_errors),    TEST(test_interrupted_when_done), TEST(test_large_numbers),
        TEST(test_lease), TEST(test_mode_bits), TEST(test_bits_of_other_owners),  TEST(test_replacing_through_a_link),
    };
    return cmocka_run_group_tests_name("storage, POSIX, and the kernel", tests, NULL, NULL);
}
