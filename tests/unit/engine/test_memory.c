/*
 * The production engine when memory runs out.
 *
 * The linker puts functions of this file between the engine and malloc, calloc, strdup and strndup (see the
 * GNUmakefile). Every operation is done on a fresh disk with its first, second, third... allocation failing, until the
 * failing one would be behind the last: alone, with all that follow, or with any other one, in the same call or when it
 * is done again. It may do without; else it fails with ENOMEM, the disk is as usable as before, and doing the same
 * again succeeds (ERR-01, ERR-02, ERR-03, ERR-06).
 */
#include "addcow_disk.h"
#include "support/model.h"

static bool armed;
static bool all_that_follow;
static uint64_t calls;
static uint64_t fail_at;
static uint64_t second; /* another one, after that; 0: none */

static bool fails(void)
{
    if (!armed) {
        return false;
    }
    calls++;
    return calls == fail_at || calls == second || (all_that_follow && calls > fail_at);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

/* As the real functions do. In a static program those of libc allocate here too, and pass errno on. */
static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? no_memory() : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? no_memory() : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? no_memory() : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? no_memory() : __real_strndup(text, size);
}

/* ---- Operations on an opened disk ---- */

/* The last cluster is not full, so growing copies it up; and it goes beyond one block of the bitmap, so that the array
 * of blocks becomes longer. */
#define CLUSTER 4096u
#define CLUSTERS 40u

static const struct disk_spec spec = {
    .size = CLUSTERS * CLUSTER - 100, .backing_name = "base.raw", .backing_size = CLUSTERS * CLUSTER, .allocated = 6};

typedef enum addcow_status action(struct addcow *disk, struct model *model, struct addcow_error *error);

static enum addcow_status act_read(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    static uint8_t bytes[CLUSTERS * CLUSTER];
    enum addcow_status code = addcow_read(disk, 0, model->size, bytes, error);
    if (code == ADDCOW_OK) {
        assert_bytes(bytes, model->virt, model->size, 0);
    }
    return code;
}

static enum addcow_status act_map(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    bool allocated = false;
    uint64_t run = 0;
    (void)model;
    enum addcow_status code = addcow_map(disk, CLUSTER, 5 * CLUSTER, &allocated, &run, error);
    if (code == ADDCOW_OK) {
        assert_true(allocated);
        assert_int_equal(run, 2 * CLUSTER);
    }
    return code;
}

static enum addcow_status act_write(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    uint8_t data[100];
    fill_pattern(data, 9, 5 * CLUSTER + 10, sizeof data);
    enum addcow_status code = addcow_write(disk, 5 * CLUSTER + 10, sizeof data, data, error);
    if (code == ADDCOW_OK) {
        memcpy(model->virt + 5 * CLUSTER + 10, data, sizeof data);
        model->allocated[5] = 1;
    }
    return code;
}

/* The write has its memory; the flush has not. */
static enum addcow_status act_flush(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    bool was_armed = armed;
    armed = false;
    assert_ok(act_write(disk, model, &reason));
    armed = was_armed;
    return addcow_flush(disk, error);
}

static enum addcow_status act_grow(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    const uint64_t clusters = 32768 + 50;
    enum addcow_status code = addcow_resize(disk, clusters * CLUSTER, error);
    armed = false;
    if (code == ADDCOW_OK) {
        struct model larger = {.size = clusters * CLUSTER, .cluster = CLUSTER};
        larger.virt = allocate_bytes(larger.size);
        larger.allocated = allocate_bytes(clusters);
        memcpy(larger.virt, model->virt, (size_t)model->size);
        memcpy(larger.allocated, model->allocated, CLUSTERS);
        larger.allocated[CLUSTERS - 1] = 1;
        free_model(model);
        *model = larger;
    }
    return code;
}

static enum addcow_status act_shrink(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    enum addcow_status code = addcow_resize(disk, 3 * CLUSTER, error);
    if (code == ADDCOW_OK) {
        model->size = 3 * CLUSTER;
    }
    return code;
}

static enum addcow_status act_stream(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    enum addcow_status code = addcow_stream(disk, NULL, NULL, error);
    struct addcow_info info = ADDCOW_INFO_INIT;
    armed = false;
    addcow_get_info(disk, &info);
    assert_true(info.all_allocated == (code == ADDCOW_OK));
    if (code == ADDCOW_OK) {
        memset(model->allocated, 1, CLUSTERS);
    }
    return code;
}

static enum addcow_status act_commit(struct addcow *disk, struct model *model, struct addcow_error *error)
{
    enum addcow_status code = addcow_commit(disk, NULL, NULL, error);
    if (code == ADDCOW_OK) {
        memset(model->allocated, 0, CLUSTERS);
    }
    return code;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int descriptor = 0; descriptor < 200; descriptor++) {
        count += fcntl(descriptor, F_GETFD) >= 0;
    }
    return count;
}

/* A failing stream may have allocated some clusters: only the content is known then. */
static void compare_content(struct addcow *disk, const struct model *model)
{
    assert_int_equal(addcow_size(disk), model->size);
    compare_range(disk, model, 0, model->size < spec.size ? model->size : spec.size);
}

static void assert_out_of_memory(enum addcow_status code, const struct addcow_error *error)
{
    assert_int_equal(code, ADDCOW_IO);
    assert_int_equal(error->code, ADDCOW_IO);
    assert_int_equal(error->errnum, ENOMEM);
}

/* Does it, again and again until it succeeds. Returns how many allocations that took until none failed any more. */
static uint64_t try_action(action *act)
{
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct addcow *disk = open_disk("disk.add-cow");
    unsigned descriptors = open_descriptors();
    unsigned tries = 0;
    enum addcow_status code;
    calls = 0;
    do {
        struct addcow_error error = ADDCOW_ERROR_INIT;
        armed = tries == 0 || !all_that_follow;
        code = act(disk, &model, &error);
        armed = false;
        assert_int_equal(open_descriptors(), descriptors);
        if (code != ADDCOW_OK) {
            assert_true(calls >= fail_at);
            assert_out_of_memory(code, &error);
            compare_content(disk, &model);
        }
    } while (code != ADDCOW_OK && tries++ < 2);
    assert_int_equal(code, ADDCOW_OK);
    assert_int_equal(addcow_size(disk), model.size);
    compare_map(disk, &model);
    compare_content(disk, &model);
    close_disk(disk);
    struct addcow *again = open_disk("disk.add-cow");
    compare_map(again, &model);
    compare_content(again, &model);
    close_disk(again);
    free_model(&model);
    return calls;
}

static action *const actions[] = {act_read, act_map,    act_write,  act_flush,
                                  act_grow, act_shrink, act_stream, act_commit};

static void test_actions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        for (int all = 0; all < 2; all++) {
            all_that_follow = all == 1;
            fail_at = 1;
            while (try_action(actions[i]) >= fail_at) {
                fail_at++;
            }
            assert_true(fail_at > 1);
        }
    }
}

/* Every two allocations, of which the second one may be one of a call that does it again. */
static void test_pairs(void **state)
{
    (void)state;
    unsigned pairs = 0;
    all_that_follow = false;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        fail_at = 1;
        do {
            second = fail_at + 1;
            while (try_action(actions[i]) >= second) {
                second++;
                pairs++;
            }
            fail_at++;
        } while (second > fail_at);
    }
    second = 0;
    print_message("# %u pairs of allocations that fail\n", pairs);
    assert_true(pairs > 20);
}

/* ---- Files that are not opened yet ---- */

/* Done with allocation number `fail_at` failing, and then without a failure. */
static enum addcow_status do_open(struct addcow_error *error)
{
    struct addcow *disk = NULL;
    enum addcow_status code = addcow_open(in_directory("top.add-cow"), ADDCOW_OPEN_READWRITE, NULL, &disk, error);
    armed = false;
    if (code == ADDCOW_OK) {
        uint8_t byte;
        assert_ok(addcow_read(disk, CLUSTER, 1, &byte, &reason));
        assert_int_equal(byte, pattern(SEED_IMAGE, CLUSTER));
        close_disk(disk);
    }
    return code;
}

/* The second look has no memory for the bitmap of the lower disk. */
static enum addcow_status do_map_chain(struct addcow_error *error)
{
    bool was_armed = armed;
    armed = false;
    struct addcow *disk = open_disk("top.add-cow");
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    armed = was_armed;
    enum addcow_status code = addcow_map_chain(disk, CLUSTER, 5 * CLUSTER, &extent, error);
    armed = false;
    if (code == ADDCOW_OK) {
        assert_true(extent.present);
        assert_int_equal(extent.depth, 1);
        assert_int_equal(extent.length, 2 * CLUSTER);
    }
    close_disk(disk);
    return code;
}

/* The first that a new file gets. */
static const char *temporary_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, ".addcow-create-%ld-0", (long)getpid());
    return name;
}

static bool exists(const char *name)
{
    return access(in_directory(name), F_OK) == 0;
}

static enum addcow_status do_create(struct addcow_error *error)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "new.raw",
                                                  .backing_name = "disk.add-cow",
                                                  .backing_format = "add-cow",
                                                  .make_image = true,
                                                  .image_size = 5 * CLUSTER};
    enum addcow_status code = addcow_create(in_directory("new.add-cow"), &options, NULL, error);
    armed = false;
    if (code == ADDCOW_OK) {
        close_disk(open_disk("new.add-cow"));
        assert_int_equal(unlink(in_directory("new.add-cow")), 0);
        assert_int_equal(unlink(in_directory("new.raw")), 0);
    }
    assert_false(exists("new.add-cow"));
    assert_false(exists("new.raw"));
    assert_false(exists(temporary_name()));
    return code;
}

static enum addcow_status create_around_empty(const char *backing_name, struct addcow_error *error)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "empty.raw",
                                                  .backing_name = backing_name,
                                                  .backing_format = backing_name ? "raw" : NULL};
    enum addcow_status code = addcow_create(in_directory("new.add-cow"), &options, NULL, error);
    armed = false;
    if (code == ADDCOW_OK) {
        assert_int_equal(unlink(in_directory("new.add-cow")), 0);
    }
    assert_false(exists("new.add-cow"));
    assert_true(exists("empty.raw"));
    return code;
}

/* Over an image that is there, and must hold nothing. */
static enum addcow_status do_cover(struct addcow_error *error)
{
    return create_around_empty("base.raw", error);
}

/* Around an image that is there, without a backing file: every bit is written. */
static enum addcow_status do_wrap(struct addcow_error *error)
{
    return create_around_empty(NULL, error);
}

/* Over an image that is there, in place of a metadata file that is there. */
static enum addcow_status do_replace(struct addcow_error *error)
{
    const struct addcow_create_options options = {.struct_size = sizeof options,
                                                  .layout = ADDCOW_R20,
                                                  .cluster_bits = 12,
                                                  .image_name = "old.raw",
                                                  .backing_name = "base.raw",
                                                  .backing_format = "raw",
                                                  .replace = true,
                                                  .hide_image_data = false};
    truncate(in_directory("old.raw"), 0);
    truncate(in_directory("old.raw"), 3 * CLUSTER);
    enum addcow_status code = addcow_create(in_directory("old.add-cow"), &options, NULL, error);
    armed = false;
    close_disk(open_disk("old.add-cow"));
    assert_int_equal(file_length("old.raw"), 3 * CLUSTER);
    assert_false(exists(temporary_name()));
    return code;
}

static void count_finding(void *context, const struct addcow_finding *finding)
{
    (void)finding;
    ++*(unsigned *)context;
}

static enum addcow_status do_check(struct addcow_error *error)
{
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    unsigned findings = 0;
    enum addcow_status code =
        addcow_check(in_directory("top.add-cow"), true, NULL, count_finding, &findings, &result, error);
    armed = false;
    assert_int_equal(findings, 0);
    if (code == ADDCOW_OK) {
        assert_int_equal(result.clusters, CLUSTERS);
    }
    return code;
}

static void test_files(void **state)
{
    (void)state;
    enum addcow_status (*const operations[])(struct addcow_error *error) = {do_open, do_map_chain, do_create, do_cover,
                                                                            do_wrap, do_replace,   do_check};
    make_disk("disk", &spec);
    make_disk("old", &(struct disk_spec){.size = 3 * CLUSTER, .backing_name = "base.raw", .backing_is_made = true});
    make_disk("top",
              &(struct disk_spec){.size = spec.size, .backing_name = "disk.add-cow", .backing_format = "add-cow"});
    store_file("empty.raw", (const uint8_t[CLUSTER]){0}, CLUSTER);
    unsigned descriptors = open_descriptors();
    all_that_follow = false;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        fail_at = 0;
        do {
            struct addcow_error error = ADDCOW_ERROR_INIT;
            fail_at++;
            calls = 0;
            armed = true;
            enum addcow_status code = operations[i](&error);
            if (code != ADDCOW_OK) {
                assert_true(calls >= fail_at);
                assert_out_of_memory(code, &error);
            } else if (calls >= fail_at) {
                /* A disk below that cannot be opened for writing is opened for reading. */
                assert_true(operations[i] == do_open || operations[i] == do_replace);
            }
            assert_int_equal(open_descriptors(), descriptors);
            assert_ok(operations[i](&reason));
        } while (calls >= fail_at);
        assert_true(fail_at > 1);
    }
}

/* ERR-01: the reason is reported even if there is no name to put before it. */
static void test_empty_path(void **state)
{
    (void)state;
    char reason_alone[256];
    snprintf(reason_alone, sizeof reason_alone, ": %s", strerror(ENOMEM));
    all_that_follow = false;
    fail_at = 0;
    do {
        struct addcow *disk;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        fail_at++;
        calls = 0;
        armed = true;
        enum addcow_status code = addcow_open("", ADDCOW_OPEN_READONLY, NULL, &disk, &error);
        armed = false;
        if (calls < fail_at) {
            assert_int_equal(code, ADDCOW_UNLINKABLE);
        } else {
            assert_out_of_memory(code, &error);
            assert_non_null(strstr(error.message, reason_alone));
        }
    } while (calls >= fail_at);
    assert_true(fail_at > 1);
}

/* ---- Buffers ---- */

/* More at a time than are kept for reuse. */
static void test_buffers(void **state)
{
    (void)state;
    make_disk("disk", &spec);
    struct addcow *disk = open_disk("disk.add-cow");
    for (int again = 0; again < 2; again++) {
        uint8_t *buffers[20];
        for (int i = 0; i < 20; i++) {
            buffers[i] = addcow_buffer_get(disk);
            assert_non_null(buffers[i]);
            memset(buffers[i], i, CLUSTER);
        }
        for (int i = 0; i < 20; i++) {
            assert_int_equal(buffers[i][CLUSTER - 1], i);
            addcow_buffer_put(disk, buffers[i]);
        }
    }
    close_disk(disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_actions), TEST(test_pairs), TEST(test_files), TEST(test_empty_path),
                                       TEST(test_buffers)};
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
