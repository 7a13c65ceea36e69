/*
 * The production engine: sharing storage instead of copying, on a storage that can share, refuses to, or fails
 * half-way.
 */
#include "support/model.h"
#include "support/probe.h"

enum manner { SHARES, REFUSES, FAILS_LATER, INTERRUPTED, MANNERS };

struct share_rule {
    enum manner manner;
    size_t asked;
};

static int decide_shares(struct probe *probe, const struct event *event)
{
    struct share_rule *rule = probe->context;
    if (event->kind != EVENT_SHARE) {
        return 0;
    }
    size_t before = rule->asked++;
    switch (rule->manner) {
    case REFUSES:
        return -EXDEV;
    case FAILS_LATER:
        return before < 2 ? 0 : -EIO;
    case INTERRUPTED:
        return before % 2 == 0 ? -EINTR : 0;
    default:
        return 0;
    }
}

static struct probe *make_sharing_probe(struct share_rule *rule)
{
    struct probe *probe = make_probe();
    probe->shares = true;
    probe->context = rule;
    probe->decide = decide_shares;
    return probe;
}

/* The bytes that the calls of one kind on a file had. */
static uint64_t sum_events(const struct probe *probe, enum event_kind kind, char file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < probe->count; i++) {
        const struct event *event = &probe->events[i];
        sum += event->kind == kind && event->file == file && event->result == 0 ? event->size : 0;
    }
    return sum;
}

/* Every second cluster, and a run of them at the end. */
static const struct disk_spec ragged = {.cluster_bits = 16,
                                        .size = (40 << 16) + 5000,
                                        .backing_name = "base.raw",
                                        .backing_size = (39 << 16) + 4096 + 700,
                                        .allocated = 0x55555};

static uint64_t unallocated_bytes(const struct disk_spec *spec, const struct model *model)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < spec->backing_size; i++) {
        sum += !model->allocated[i / model->cluster];
    }
    return sum;
}

/* STR-01 STR-03: whether the storage shares, refuses or fails half-way, the content is the same. A refusal is asked for
 * once. What is shared is not copied. */
static void test_stream_shares(void **state)
{
    (void)state;
    for (enum manner manner = SHARES; manner < MANNERS; manner++) {
        make_disk("disk", &ragged);
        struct model model = make_model(&ragged);
        uint64_t missing = unallocated_bytes(&ragged, &model);
        struct share_rule rule = {.manner = manner};
        struct probe *probe = make_sharing_probe(&rule);
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        memset(model.allocated, 1, 41);
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        bool works = manner == SHARES || manner == INTERRUPTED;
        assert_int_equal(sum_events(probe, EVENT_SHARE, 'i'), works               ? missing - missing % 4096
                                                              : manner == REFUSES ? 0
                                                                                  : 2 << 16);
        assert_true(works || rule.asked == (manner == REFUSES ? 1 : 3));
        if (works) {
            assert_in_range(sum_events(probe, EVENT_READ, 'b'), 1, 2 << 16);
        }
        free_probe(probe);
        free_model(&model);
    }
}

/* Makes a chain of two disks over base.raw. Of the lower one, of other clusters, some are allocated. */
static struct model make_chain(void)
{
    struct disk_spec low = {.cluster_bits = 15,
                            .size = (20 << 16) + 600,
                            .backing_name = "base.raw",
                            .backing_size = (12 << 16) + 4096,
                            .allocated = 0xF0F35};
    make_disk("low", &low);
    struct model below = make_model(&low);
    struct disk_spec spec = {.cluster_bits = 16,
                             .size = (21 << 16) + 777,
                             .backing_name = "low.add-cow",
                             .backing_format = "add-cow",
                             .allocated = 6};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    for (uint64_t i = 0; i < spec.size; i++) {
        if (!model.allocated[i >> 16]) {
            model.virt[i] = i < low.size ? below.virt[i] : 0;
        }
    }
    free_model(&below);
    return model;
}

/* STR-01 VRT-02: each part comes from the file of the chain that has it; what no file has is zeros. */
static void test_stream_shares_of_a_chain(void **state)
{
    (void)state;
    for (enum manner manner = SHARES; manner < MANNERS; manner++) {
        struct model model = make_chain();
        struct share_rule rule = {.manner = manner};
        struct probe *probe = make_sharing_probe(&rule);
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        assert_ok(addcow_stream(disk, NULL, NULL, &reason));
        memset(model.allocated, 1, 22);
        compare(disk, &model);
        close_disk(disk);
        unlink(in_directory("low.add-cow"));
        unlink(in_directory("low.raw"));
        unlink(in_directory("base.raw"));
        compare_reopened("disk.add-cow", &model);
        if (manner == SHARES) {
            assert_true(sum_events(probe, EVENT_SHARE, 'i') > 10 << 16);
        }
        free_probe(probe);
        free_model(&model);
    }
}

static const struct disk_spec large = {.cluster_bits = 18,
                                       .size = (6 << 18) + 5000,
                                       .backing_name = "base.raw",
                                       .backing_size = (5 << 18) + 4097,
                                       .allocated = 2};

/* WR-03 ZR-01 CON-04: around the data a large cluster is shared, where the backing file has it whole. */
static void test_writes_share(void **state)
{
    (void)state;
    for (enum manner manner = SHARES; manner < MANNERS; manner++) {
        make_disk("disk", &large);
        struct model model = make_model(&large);
        struct share_rule rule = {.manner = manner};
        struct probe *probe = make_sharing_probe(&rule);
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        write_both(disk, &model, 1, 1, 7);
        write_both(disk, &model, (1 << 18) + 77, 5000, 8);
        zero_both(disk, &model, (2 << 18) + 4095, 20000, false);
        write_both(disk, &model, (4 << 18) - 600, 1200, 9);
        zero_both(disk, &model, (5 << 18) + 10, 10, true);
        write_both(disk, &model, large.size - 1, 1, 10);
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        if (manner == SHARES) {
            assert_int_equal(sum_events(probe, EVENT_SHARE, 'i'), 4 << 18);
        }
        assert_int_equal(count_events(probe, 0, EVENT_SHARE, 'b'), 0);
        free_probe(probe);
        free_model(&model);
    }
}

/* CON-04: the same where the files of a chain have a part of the cluster each: what is not shared is copied. */
static void test_writes_share_of_a_chain(void **state)
{
    (void)state;
    const struct disk_spec low = {.cluster_bits = 16,
                                  .size = (6 << 18) + 5000,
                                  .backing_name = "base.raw",
                                  .backing_size = (6 << 18) + 5000,
                                  .allocated = 0x5A5A5};
    struct disk_spec top = large;
    top.backing_name = "low.add-cow";
    top.backing_format = "add-cow";
    for (enum manner manner = SHARES; manner < MANNERS; manner++) {
        make_disk("low", &low);
        make_disk("disk", &top);
        struct model model = make_model(&top);
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READONLY, NULL);
        assert_ok(addcow_read(disk, 0, model.size, model.virt, &reason));
        close_disk(disk);
        struct share_rule rule = {.manner = manner};
        struct probe *probe = make_sharing_probe(&rule);
        disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        write_both(disk, &model, 1, 1, 7);
        zero_both(disk, &model, (2 << 18) + 4095, 20000, false);
        write_both(disk, &model, (4 << 18) - 600, 1200, 9);
        write_both(disk, &model, (6 << 18) - 5, 10, 10);
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        free_probe(probe);
        free_model(&model);
    }
}

static int fail_writes(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_WRITE && event->file == 'i' ? -ENOSPC : 0;
}

/* CON-04 ERR-03: the cluster has been shared, but the data cannot be written. It stays what it was. */
static void test_write_fails_after_sharing(void **state)
{
    (void)state;
    make_disk("disk", &large);
    struct model model = make_model(&large);
    struct probe *probe = make_probe();
    probe->shares = true;
    probe->decide = fail_writes;
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_int_equal(addcow_write(disk, 500, 3, "abc", NULL), ADDCOW_NOSPACE);
    assert_int_equal(count_events(probe, 0, EVENT_SHARE, 'i'), 1);
    compare(disk, &model);
    probe->decide = NULL;
    write_both(disk, &model, 600, 10, 3);
    compare(disk, &model);
    close_disk(disk);
    free_probe(probe);
    free_model(&model);
}

/* Small clusters are copied: that costs no more. */
static void test_small_clusters_are_copied(void **state)
{
    (void)state;
    struct disk_spec spec = {
        .cluster_bits = 12, .size = 10 << 12, .backing_name = "base.raw", .backing_size = 10 << 12};
    make_disk("disk", &spec);
    struct model model = make_model(&spec);
    struct share_rule rule = {.manner = SHARES};
    struct probe *probe = make_sharing_probe(&rule);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    write_both(disk, &model, 100, 5, 1);
    compare(disk, &model);
    close_disk(disk);
    assert_int_equal(rule.asked, 0);
    free_probe(probe);
    free_model(&model);
}

/* CMT-01 CMT-03: the backing file shares what the image has, before the sync of the backing file. */
static void test_commit_shares(void **state)
{
    (void)state;
    for (enum manner manner = SHARES; manner < MANNERS; manner++) {
        struct disk_spec spec = ragged;
        spec.size = spec.backing_size;
        spec.allocated |= (uint64_t)1 << 39;
        make_disk("disk", &spec);
        struct model model = make_model(&spec);
        struct share_rule rule = {.manner = manner};
        struct probe *probe = make_sharing_probe(&rule);
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        assert_ok(addcow_commit(disk, NULL, NULL, &reason));
        memset(model.allocated, 0, 40);
        compare(disk, &model);
        close_disk(disk);
        compare_reopened("disk.add-cow", &model);
        uint64_t shared = sum_events(probe, EVENT_SHARE, 'b');
        bool works = manner == SHARES || manner == INTERRUPTED;
        assert_int_equal(shared, works ? (10 << 16) + 4096 : manner == REFUSES ? 0 : 2 << 16);
        size_t synced = 0;
        for (size_t i = 0; i < probe->count; i++) {
            synced = probe->events[i].kind == EVENT_SYNC && probe->events[i].file == 'b' ? i : synced;
        }
        assert_int_equal(count_events(probe, synced, EVENT_SHARE, 'b'), 0);
        free_probe(probe);
        free_model(&model);
    }
}

/* CMT-01: an add-cow backing file is written like any disk. */
static void test_commit_into_a_disk_copies(void **state)
{
    (void)state;
    struct model model = make_chain();
    struct share_rule rule = {.manner = SHARES};
    struct probe *probe = make_sharing_probe(&rule);
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_commit(disk, NULL, NULL, &reason));
    memset(model.allocated, 0, 22);
    compare(disk, &model);
    close_disk(disk);
    compare_reopened("disk.add-cow", &model);
    free_probe(probe);
    free_model(&model);
}

/* A table of an older caller ends before `share`. */
static void test_tables_without_sharing(void **state)
{
    (void)state;
    make_disk("disk", &ragged);
    struct model model = make_model(&ragged);
    struct probe *probe = make_probe();
    struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
    assert_ok(addcow_stream(disk, NULL, NULL, &reason));
    memset(model.allocated, 1, 41);
    compare(disk, &model);
    close_disk(disk);
    assert_int_equal(count_events(probe, 0, EVENT_SHARE, 'i'), 0);
    free_probe(probe);
    free_model(&model);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stream_shares),           TEST(test_stream_shares_of_a_chain),  TEST(test_writes_share),
        TEST(test_writes_share_of_a_chain), TEST(test_write_fails_after_sharing), TEST(test_small_clusters_are_copied),
        TEST(test_commit_shares),           TEST(test_commit_into_a_disk_copies), TEST(test_tables_without_sharing),
    };
    return cmocka_run_group_tests_name("fast, sharing", tests, NULL, NULL);
}
