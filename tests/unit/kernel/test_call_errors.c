/*
 * What an error says: each system call of an operation fails in turn, and the error that the caller gets must have the
 * errno that the kernel gave, the file and the offset of the call, and the class that goes with it. Further calls that
 * fail afterwards, while files are closed and work is undone, must not hide the first. An interruption is no failure.
 *
 * Witnesses ERR-01, ERR-04, ERR-05, LNK-06, LCK-07, DUR-07.
 */
#include "support/disks.h"
#include "support/kernel_calls.h"

#if HAS_KERNEL_CALLS && defined __GLIBC__ && defined F_OFD_SETLK && defined FALLOC_FL_PUNCH_HOLE && defined SEEK_DATA

#define CLUSTER 4096u
#define SIZE (16 * CLUSTER + 700)

/* ---- The operations ---- */

static struct addcow *disk;
static struct addcow_error failure, failure_of_close;

static enum addcow_status open_top(void)
{
    return addcow_open(in_directory("top.add-cow"), ADDCOW_OPEN_READWRITE, NULL, &disk, &failure);
}

static enum addcow_status opening(void)
{
    return open_top();
}

static enum addcow_status opening_to_read(void)
{
    return addcow_open(in_directory("top.add-cow"), ADDCOW_OPEN_READONLY, NULL, &disk, &failure);
}

static enum addcow_status reading(void)
{
    static uint8_t bytes[SIZE];
    return addcow_read(disk, 0, SIZE, bytes, &failure);
}

static enum addcow_status writing(void)
{
    static const uint8_t bytes[3 * CLUSTER] = {5};
    return addcow_write(disk, 4 * CLUSTER + 100, sizeof bytes, bytes, &failure);
}

static enum addcow_status zeroing(void)
{
    return addcow_zero(disk, 2 * CLUSTER + 50, 6 * CLUSTER, &failure);
}

static enum addcow_status flushing(void)
{
    return addcow_flush(disk, &failure);
}

static enum addcow_status growing(void)
{
    return addcow_resize(disk, 40 * CLUSTER, &failure);
}

static enum addcow_status shrinking(void)
{
    return addcow_resize(disk, 3 * CLUSTER, &failure);
}

static enum addcow_status streaming(void)
{
    return addcow_stream(disk, NULL, NULL, &failure);
}

static enum addcow_status committing(void)
{
    return addcow_commit(disk, NULL, NULL, &failure);
}

static enum addcow_status closing(void)
{
    struct addcow *closed = disk;
    disk = NULL;
    return addcow_close(closed, &failure);
}

static enum addcow_status rebasing(void)
{
    struct addcow_rebase_options options = ADDCOW_REBASE_OPTIONS_INIT;
    options.backing_name = "other.raw";
    options.backing_format = "raw";
    return addcow_rebase(in_directory("top.add-cow"), &options, NULL, NULL, NULL, &failure);
}

static enum addcow_status create(const char *name, const char *image, bool make, bool replace)
{
    struct addcow_create_options options = ADDCOW_CREATE_OPTIONS_INIT;
    options.image_name = image;
    options.backing_name = "low.add-cow";
    options.backing_format = "add-cow";
    options.replace = options.hide_image_data = replace;
    options.make_image = make;
    options.image_size = SIZE;
    return addcow_create(in_directory(name), &options, NULL, &failure);
}

static enum addcow_status creating(void)
{
    return create("new.add-cow", "new.raw", true, false);
}

static enum addcow_status replacing(void)
{
    return create("top.add-cow", "top.raw", false, true);
}

static const struct operation {
    const char *name;
    enum addcow_status (*act)(void);
    bool opens;         /* the disk is not open before */
    bool is_dirty;      /* it has bits that are not in the file */
    const char *target; /* of a creation: the file that gets its name */
} operations[] = {
    {"open", opening, true, false, NULL},
    {"open to read", opening_to_read, true, false, NULL},
    {"read", reading, false, false, NULL},
    {"write", writing, false, false, NULL},
    {"zero", zeroing, false, false, NULL},
    {"flush", flushing, false, true, NULL},
    {"grow", growing, false, true, NULL},
    {"shrink", shrinking, false, true, NULL},
    {"stream", streaming, false, true, NULL},
    {"commit", committing, false, true, NULL},
    {"close", closing, false, true, NULL},
    {"rebase", rebasing, true, false, NULL},
    {"create", creating, true, false, "new.add-cow"},
    {"create in the place of another", replacing, true, false, "top.add-cow"},
};

/* ---- What may happen ---- */

static bool is(const struct kernel_call *call, const char *name)
{
    return strcmp(call->name, name) == 0;
}

static bool is_name(const struct kernel_call *call)
{
    return strncmp(call->name, "rename", 6) == 0;
}

static bool is_among(int error, const int *list)
{
    while (*list != 0 && *list != error) {
        list++;
    }
    return *list != 0;
}

static const int no_permission[] = {EACCES, EPERM, EROFS, ETXTBSY, 0};
static const int no_file[] = {ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EISDIR, ENXIO, ENODEV, 0};
static const int no_locks[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL, 0};
static const int no_renaming[] = {EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EMLINK, 0};
static const int no_directory_sync[] = {EINVAL, EACCES, EPERM, EROFS, ENOSYS, EOPNOTSUPP, 0};
static const int broken[] = {EIO, EBADF, 0};

/* Whether an operation may succeed although this call has failed. `done`: the last file has its name. */
static bool is_tolerable(const struct operation *operation, const struct kernel_call *call, bool done)
{
    int error = call->error;
    bool lower = is(call, "open") && strcmp(call->file, "low.add-cow") == 0;
    return error == EINTR || is(call, "lseek") || is(call, "ioctl") || is(call, "chown") || is(call, "listxattr") ||
           (is(call, "fallocate") && !is_among(error, broken)) || (is(call, "close") && operation->act != closing) ||
           (strcmp(call->file, ".") == 0 && is_among(error, no_directory_sync)) ||
           (is_name(call) && is_among(error, no_renaming)) || (lower && is_among(error, no_permission)) ||
           (operation->target && done && !is(call, "fsync") && strcmp(call->file, ".") != 0);
}

/* The errno that the caller gets. */
static int expected_errno(const struct kernel_call *call)
{
    bool too_long = is(call, "lseek") && (call->error == EINVAL || call->error == EOVERFLOW);
    return is(call, "fcntl") && call->error == EACCES && strncmp(call->details, "set", 3) == 0 ? EAGAIN
           : too_long                                                                          ? EFBIG
                                                                                               : call->error;
}

static enum addcow_status expected_class(const struct kernel_call *call)
{
    int error = expected_errno(call);
    if (is(call, "open") && is_among(error, no_file)) {
        return ADDCOW_UNLINKABLE;
    }
    if (is(call, "open") && is_among(error, no_permission) && call->details[1] == 'w') {
        return ADDCOW_READONLY;
    }
    if (is(call, "fcntl") && error == EAGAIN) {
        return ADDCOW_BUSY;
    }
    return error == ENOSPC || error == EDQUOT ? ADDCOW_NOSPACE : ADDCOW_IO;
}

/* The file that a message about the call names; null: one that has only a temporary name. */
static const char *expected_file(const struct operation *operation, const struct kernel_call *call)
{
    const char *name = is_name(call) ? call->other : call->file;
    bool temporary = name[0] == '.';
    if (!temporary) {
        return name;
    }
    return operation->target ? NULL : name;
}

static void check_message(const struct operation *operation, const struct kernel_call *call)
{
    const char *name = expected_file(operation, call);
    char expected[PATH_SIZE + 64];
    snprintf(expected, sizeof expected, "%s: ", in_directory(name ? name : "new."));
    if (!name) { /* a file without its name yet: that of the disk or of its image */
        assert_non_null(strstr(failure.message, operation->act == creating ? "/new." : "/top.add-cow: "));
    } else if (strncmp(failure.message, expected, strlen(expected)) != 0) {
        fail_msg("%s: %s of %s: the message names another file: %s", operation->name, call->name, call->file,
                 failure.message);
    }
    uint64_t offset = is(call, "ftruncate")   ? call->arguments[1]
                      : is(call, "fallocate") ? call->arguments[2]
                                              : call->arguments[3];
    if (is(call, "pread64") || is(call, "pwrite64") || is(call, "ftruncate") || is(call, "fallocate")) {
        snprintf(expected, sizeof expected, ": at %" PRIu64 ": ", offset);
        if (!strstr(failure.message, expected)) {
            fail_msg("%s: %s of %s %s: the message has another offset: %s", operation->name, call->name, call->file,
                     call->details, failure.message);
        }
    }
}

static const char *expected_clause(const struct kernel_call *call, enum addcow_status code)
{
    if (is(call, "open")) {
        return "LNK-06";
    }
    if (is(call, "fcntl") && is_among(call->error, no_locks)) {
        return "LCK-07";
    }
    return code == ADDCOW_NOSPACE ? "ERR-05" : code == ADDCOW_BUSY ? failure.clause : "";
}

static void check_error(const struct operation *operation, const struct kernel_call *call, enum addcow_status code)
{
    bool making = operation->target && (is_name(call) || call->file[0] == '.');
    if (failure.errnum != expected_errno(call) || failure.code != code || (!making && code != expected_class(call))) {
        fail_msg("%s: error %d at %s of %s gives the class %s and the error %d: %s", operation->name, call->error,
                 call->name, call->file, addcow_status_name(code), failure.errnum, failure.message);
    }
    if (!making) {
        assert_string_equal(failure.clause, expected_clause(call, code));
    }
    check_message(operation, call);
}

/* ---- Running ---- */

/* The files, as every run begins with them. Made once: most of the time would go into patterns. */
static struct {
    const char *name;
    uint8_t *bytes;
    uint64_t size;
} start[] = {{.name = "low.add-cow"}, {.name = "low.raw"}, {.name = "base.raw"},
             {.name = "top.add-cow"}, {.name = "top.raw"}, {.name = "other.raw"}};

#define FILES (sizeof start / sizeof start[0])

static void make_start(void)
{
    make_disk("low",
              &(struct disk_spec){
                  .size = SIZE, .backing_name = "base.raw", .backing_size = 9 * CLUSTER + 5, .allocated = 0x422});
    make_disk("top", &(struct disk_spec){
                         .size = SIZE, .backing_name = "low.add-cow", .backing_format = "add-cow", .allocated = 0x842});
    store_pattern("other.raw", 9, 12 * CLUSTER);
    for (size_t i = 0; i < FILES; i++) {
        free(start[i].bytes);
        start[i].size = file_length(start[i].name);
        start[i].bytes = load_file(start[i].name);
    }
}

static void free_start(void)
{
    for (size_t i = 0; i < FILES; i++) {
        free(start[i].bytes);
        start[i].bytes = NULL;
    }
}

static void make_chain(void)
{
    unlink(in_directory("new.add-cow"));
    unlink(in_directory("new.raw"));
    for (size_t i = 0; i < FILES; i++) {
        store_file(start[i].name, start[i].bytes, start[i].size);
    }
}

static int act(void *argument)
{
    return (int)((const struct operation *)argument)->act();
}

struct injection {
    size_t at;
    int error;
    bool later_too; /* all that fails later on */
};

static int inject(struct kernel_calls *calls, const struct kernel_call *call)
{
    const struct injection *injection = calls->context;
    if (calls->count == injection->at) {
        return injection->error;
    }
    /* Not those that tell what kind of error the first one is. */
    bool fails = injection->later_too && calls->count > injection->at && !is(call, "fcntl") && !is(call, "open") &&
                 !is(call, "fstat");
    return fails ? ESTALE : 0;
}

static enum addcow_status run(struct kernel_calls *calls, const struct operation *operation, struct injection injection)
{
    static const uint8_t bytes[CLUSTER] = {3};
    make_chain();
    disk = NULL;
    failure = (struct addcow_error)ADDCOW_ERROR_INIT;
    if (!operation->opens) {
        assert_int_equal(open_top(), ADDCOW_OK);
    }
    if (operation->is_dirty) {
        assert_int_equal(addcow_write(disk, 8 * CLUSTER, sizeof bytes, bytes, NULL), ADDCOW_OK);
    }
    calls->decide = inject;
    calls->context = &injection;
    enum addcow_status code = (enum addcow_status)kernel_run(calls, act, (void *)(uintptr_t)operation);
    failure_of_close = (struct addcow_error)ADDCOW_ERROR_INIT;
    if (disk) {
        addcow_close(disk, &failure_of_close);
    }
    return code;
}

/* A shrink has happened when the image is cut. What fails after that is done again later, or closing says it (RSZ-05).
 */
static bool is_said_later(const struct kernel_calls *calls, size_t at)
{
    const struct kernel_call *call = &calls->list[at];
    bool cut = false;
    for (size_t i = 0; i < at; i++) {
        cut = cut || is(&calls->list[i], "ftruncate");
    }
    bool image = is(call, "fdatasync") && strcmp(call->file, "top.raw") == 0;
    return cut && (!image || failure_of_close.errnum == call->error);
}

/* Whether the call came after the last change of a name. */
static bool is_done(const struct kernel_calls *calls, size_t at)
{
    for (size_t i = at; i < calls->count; i++) {
        if (is_name(&calls->list[i])) {
            return false;
        }
    }
    return true;
}

/* A call of the list. The question what kind of file was opened is a part of opening. */
static struct kernel_call as_opening(const struct kernel_calls *calls, size_t at)
{
    struct kernel_call call = calls->list[at];
    if (at > 0 && is(&call, "fstat") && is(&calls->list[at - 1], "open")) {
        call.name = "open";
        memcpy(call.details, calls->list[at - 1].details, sizeof call.details);
    }
    return call;
}

static void try_error(struct kernel_calls *calls, const struct operation *operation, size_t at, int error)
{
    enum addcow_status code = run(calls, operation, (struct injection){at, error, false});
    if (calls->count <= at) {
        return; /* whether data or a hole comes next takes one call or two */
    }
    assert_int_equal(calls->list[at].error, error);
    const struct kernel_call call = as_opening(calls, at);
    if (code == ADDCOW_OK) {
        bool later = operation->act == shrinking && is_said_later(calls, at);
        bool asked = operation->act == replacing && at <= 1; /* whether the file exists: then it is opened again */
        if (!later && !asked && !is_tolerable(operation, &call, is_done(calls, at))) {
            fail_msg("%s: error %d at %s of %s is not reported", operation->name, error, call.name, call.file);
        }
        return;
    }
    if (error == EINTR) {
        fail_msg("%s: interrupted at %s of %s: %s", operation->name, call.name, call.file, failure.message);
    }
    check_error(operation, &call, code);
    if (error != EIO) {
        return;
    }
    struct addcow_error first = failure;
    enum addcow_status again = run(calls, operation, (struct injection){at, error, true});
    if (again != code || first.errnum != failure.errnum || strcmp(first.message, failure.message) != 0) {
        fail_msg("%s: %s of %s: a later error hides '%s': %s", operation->name, call.name, call.file, first.message,
                 failure.message);
    }
}

/* The errors that a call is given: the same two always, and of the others those whose turn it is. */
static void try_call(struct kernel_calls *calls, const struct operation *operation, size_t at, bool opens)
{
    static const int others[] = {ENOSPC, EROFS, EDQUOT, ESTALE, EACCES, EPERM, EREMOTEIO, ENOMEM, EFBIG};
    static const int of_opening[] = {ELOOP,  ETXTBSY, EROFS, ENAMETOOLONG, ENOTDIR, EACCES,
                                     EMFILE, EPERM,   ENXIO, ENODEV,       EISDIR,  ENFILE};
    const size_t count = sizeof others / sizeof *others;
    const size_t count_opening = sizeof of_opening / sizeof *of_opening;
    try_error(calls, operation, at, EIO);
    try_error(calls, operation, at, EINTR);
    try_error(calls, operation, at, others[at % count]);
    for (size_t i = 0; opens && i < count_opening; i += 4) {
        try_error(calls, operation, at, of_opening[(at + i) % count_opening]);
    }
}

/* Of the locks of a file the first ones: the others are the same call again. */
static bool is_repeated(const struct kernel_call *list, size_t at)
{
    return at > 1 && is(&list[at], "fcntl") && is(&list[at - 1], "fcntl") &&
           strncmp(list[at].details, list[at - 1].details, 5) == 0;
}

static void try_operation(struct kernel_calls *calls, const struct operation *operation)
{
    if (run(calls, operation, (struct injection){SIZE_MAX, 0, false}) != ADDCOW_OK) {
        fail_msg("%s: %s", operation->name, failure.message);
    }
    const size_t count = calls->count;
    struct kernel_call *list = calloc(count, sizeof *list);
    assert_non_null(list);
    memcpy(list, calls->list, count * sizeof *list);
    for (size_t at = 0; at < count; at++) {
        if (!is_repeated(list, at)) {
            try_call(calls, operation, at, is(&list[at], "open"));
        }
    }
    assert_int_equal(run(calls, operation, (struct injection){SIZE_MAX, 0, false}), ADDCOW_OK);
    assert_true(calls->count + 4 > count);
    free(list);
}

static void test_errors_of_every_call(void **state)
{
    (void)state;
    struct kernel_calls *calls = kernel_start();
    make_start();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        try_operation(calls, &operations[i]);
    }
    free_start();
    kernel_stop(calls);
}

/* DUR-07: when the image is lost, each later flush says so with the error of the sync that failed. */
static void test_error_of_a_lost_image(void **state)
{
    (void)state;
    static const int errors[] = {EIO, ENOSPC, EROFS, ESTALE, EDQUOT};
    struct kernel_calls *calls = kernel_start();
    make_start();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        make_chain();
        assert_int_equal(open_top(), ADDCOW_OK);
        calls->decide = inject;
        calls->context = &(struct injection){0, errors[i], false};
        failure = (struct addcow_error)ADDCOW_ERROR_INIT;
        assert_int_not_equal(kernel_run(calls, act, (void *)(uintptr_t)&operations[5]), ADDCOW_OK);
        assert_string_equal(calls->list[0].name, "fdatasync");
        assert_int_equal(failure.errnum, errors[i]);
        failure = (struct addcow_error)ADDCOW_ERROR_INIT;
        assert_int_equal(addcow_flush(disk, &failure), ADDCOW_IO);
        assert_int_equal(failure.errnum, errors[i]);
        assert_string_equal(failure.clause, "DUR-07");
        assert_non_null(strstr(failure.message, in_directory("top.raw")));
        failure = (struct addcow_error)ADDCOW_ERROR_INIT;
        assert_int_equal(addcow_close(disk, &failure), ADDCOW_IO);
        assert_int_equal(failure.errnum, errors[i]);
    }
    free_start();
    kernel_stop(calls);
}

#else
static void test_errors_of_every_call(void **state)
{
    (void)state;
    skip(); /* the C library makes other calls, or none can be seen */
}
#define test_error_of_a_lost_image test_errors_of_every_call
#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_error_of_a_lost_image),
        TEST(test_errors_of_every_call),
    };
    return cmocka_run_group_tests_name("fast, errors of system calls", tests, NULL, NULL);
}
