/*
 * Whole requests through the public interface.
 */
#include "programs.h"
#include "rig.h"

static void setup(void)
{
    rig_begin(&(struct rig_options){.backing_size = (uint64_t)2 * RIG_CLUSTER, .loaded = true});
}

static void setup_unloaded(void)
{
    rig_begin(&(struct rig_options){.backing_size = (uint64_t)2 * RIG_CLUSTER});
}

/* Two clusters and a half: the last one grows. */
static void setup_partial(void)
{
    rig_begin(&(struct rig_options){
        .size = (uint64_t)2 * RIG_CLUSTER + RIG_CLUSTER / 2, .backing_size = RIG_CLUSTER, .loaded = true});
}

static void write_read(unsigned self)
{
    rig_write(self, self);
    rig_read(self, 1 - self);
    rig_read(self, self);
}

static void read_twice(unsigned self)
{
    if (self == 0) {
        rig_write(self, 0);
        rig_write(self, 0);
    } else {
        rig_read(self, 0);
        rig_read(self, 0);
    }
}

static void resize_beside(unsigned self)
{
    if (self == 0) {
        rig_expect(addcow_resize(rig->disk, (uint64_t)3 * RIG_CLUSTER, NULL));
    } else {
        rig_write(self, 16);
        rig_read(self, 16);
    }
}

static void shrink_beside(unsigned self)
{
    if (self == 0) {
        rig_expect(addcow_resize(rig->disk, (uint64_t)2 * RIG_CLUSTER, NULL));
    } else {
        rig_write(self, 8);
        rig_expect(addcow_flush(rig->disk, NULL));
    }
}

static void three_requests(unsigned self)
{
    if (self == 0) {
        rig_write(self, 0);
    } else if (self == 1) {
        rig_write(self, 1);
    } else {
        rig_read(self, 0);
        rig_expect(addcow_flush(rig->disk, NULL));
    }
}

static void with_resize(unsigned self)
{
    if (self == 0) {
        rig_expect(addcow_resize(rig->disk, (uint64_t)3 * RIG_CLUSTER, NULL));
    } else if (self == 1) {
        rig_write(self, 16);
        rig_expect(addcow_flush(rig->disk, NULL));
    } else {
        rig_read(self, 16);
    }
}

const struct weak_program weak_write_read = {
    "write-read", "two threads write into one cluster and read", 2, setup, write_read, rig_finish};
const struct weak_program weak_write_read_unloaded = {
    "write-read-unloaded", "the same, and the bitmap is not loaded", 2, setup_unloaded, write_read, rig_finish};
const struct weak_program weak_read_twice = {
    "read-twice", "a thread writes a sector twice, another reads it twice", 2, setup, read_twice, rig_finish};
const struct weak_program weak_resize = {
    "resize", "a thread grows the disk, another writes and reads", 2, setup_partial, resize_beside, rig_finish};
const struct weak_program weak_shrink = {
    "shrink", "a thread shrinks the disk, another writes and flushes", 2, setup, shrink_beside, rig_finish};
const struct weak_program weak_three_requests = {
    "three-requests", "two threads write into one cluster, a third reads and flushes", 3, setup, three_requests,
    rig_finish};
const struct weak_program weak_three_with_resize = {
    "three-with-resize", "a thread grows the disk, one writes and flushes, one reads", 3, setup_partial, with_resize,
    rig_finish};
