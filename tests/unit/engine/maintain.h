/*
 * What the tests of resize, stream and commit share: a disk with a backing file, and failures at every I/O.
 */
#ifndef TESTS_MAINTAIN_H
#define TESTS_MAINTAIN_H

#include "support/model.h"
#include "support/probe.h"

/* 10 clusters and a bit of 4 KiB; clusters 1 and 2 are allocated. */
static inline struct disk_spec spec_with_backing(uint64_t backing_size)
{
    return (struct disk_spec){
        .size = 10 * 4096 + 777, .backing_name = "base.raw", .backing_size = backing_size, .allocated = 6};
}

struct countdown {
    size_t left; /* calls that still succeed */
    int errnum;
    bool once;     /* one call fails, instead of all from then on */
    bool no_holes; /* nothing can be punched: that is no failure */
    bool failed;
};

static inline int fail_later(struct probe *probe, const struct event *event)
{
    struct countdown *countdown = probe->context;
    if (event->kind == EVENT_CLOSE && !countdown->once) {
        return 0;
    }
    if (event->kind == EVENT_PUNCH && countdown->no_holes) {
        return -EOPNOTSUPP;
    }
    if (countdown->left > 0) {
        countdown->left--;
        return 0;
    }
    int result = countdown->failed && countdown->once ? 0 : -countdown->errnum;
    countdown->failed = true;
    return result;
}

typedef enum addcow_status operation(struct addcow *disk);

static inline enum addcow_status shrink(struct addcow *disk)
{
    return addcow_resize(disk, 2 * 4096 + 5, NULL);
}

/*
 * Runs the operation with the n-th I/O failing, alone or with all that follow, for every n. Each time the disk must
 * read and map as before or as after, in the handle and when it is opened again; and when nothing fails any more, the
 * operation can be run again, unless the image was lost.
 */
static inline void fail_at_each(const struct disk_spec *spec, operation *run, const struct model *after, bool once,
                                bool no_holes)
{
    for (size_t n = 0;; n++) {
        make_disk("disk", spec);
        struct model before = make_model(spec);
        struct probe *probe = make_probe();
        struct addcow *disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &probe->storage);
        struct countdown countdown = {.left = n, .errnum = n % 2 ? ENOSPC : EIO, .once = once, .no_holes = no_holes};
        probe->context = &countdown;
        probe->decide = fail_later;
        enum addcow_status code = run(disk);
        bool complete = code == ADDCOW_OK && !countdown.failed;
        probe->decide = NULL;
        assert_true(code == ADDCOW_OK || code == (n % 2 ? ADDCOW_NOSPACE : ADDCOW_IO));
        /* Nothing fails a shrink once it has cut the image. */
        assert_true(code != ADDCOW_OK || !countdown.failed || run == shrink);
        const struct model *expected = code == ADDCOW_OK ? after : &before;
        assert_int_equal(addcow_size(disk), expected->size);
        compare_range(disk, expected, 0, expected->size);
        addcow_close(disk, NULL);
        disk = open_disk("disk.add-cow");
        assert_int_equal(addcow_size(disk), expected->size);
        compare_range(disk, expected, 0, expected->size);
        assert_int_equal(run(disk), ADDCOW_OK);
        compare(disk, after);
        close_disk(disk);
        compare_reopened("disk.add-cow", after);
        free_probe(probe);
        free_model(&before);
        if (complete) {
            return;
        }
    }
}

static inline void fail_everywhere(const struct disk_spec *spec, operation *run, const struct model *after)
{
    fail_at_each(spec, run, after, false, false);
    fail_at_each(spec, run, after, true, false);
    fail_at_each(spec, run, after, true, true);
}

static inline int refuse_punch(struct probe *probe, const struct event *event)
{
    (void)probe;
    return event->kind == EVENT_PUNCH ? -EOPNOTSUPP : 0;
}

#endif
