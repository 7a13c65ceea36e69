/*
 * DUR-03, DUR-05: flushes beside what they make durable.
 */
#include "programs.h"
#include "rig.h"

static void setup(void)
{
    rig_begin(&(struct rig_options){.backing_size = RIG_CLUSTER, .loaded = true});
}

static void flush_beside_write(unsigned self)
{
    if (self == 0) {
        rig_write(self, 0);
    } else {
        rig_expect(addcow_disk_flush(rig->disk, NULL));
    }
}

static void write_and_flush(unsigned self)
{
    rig_write(self, 8 * self);
    rig_expect(addcow_flush(rig->disk, NULL));
}

static void features(unsigned self)
{
    if (self == 0) {
        rig_expect(addcow_disk_set_all_allocated(rig->disk, false, NULL));
    } else if (self == 1) {
        rig_expect(addcow_disk_flush(rig->disk, NULL));
    } else {
        rig_write(self, 0);
        rig_read(self, 0);
    }
}

/* As a stream does: everything is allocated and flushed, then the flag is set; the other thread reads meanwhile. */
static void set_flag(unsigned self)
{
    if (self == 0) {
        for (uint64_t cluster = 0; cluster < RIG_CLUSTERS; cluster++) {
            struct addcow_inflight range;
            if (addcow_inflight_begin(rig->disk, &range, cluster, cluster)) {
                rig->plain[cluster] = 1;
                addcow_inflight_end(rig->disk, &range, true);
            }
        }
        rig_expect(addcow_disk_set_all_allocated(rig->disk, true, NULL));
    } else {
        bool allocated;
        uint64_t end;
        rig_expect(addcow_bitmap_run(rig->disk, 1, 2, &allocated, &end, NULL));
        if (allocated && rig->plain[1] != 1) {
            weak_fail("CON-04: a cluster is allocated before its content is there");
        }
    }
}

const struct weak_program weak_flush_write = {
    "flush-write", "two flushes beside a first write", 3, setup, flush_beside_write, rig_finish};
const struct weak_program weak_write_flush = {"write-flush", "two threads write and flush", 2, setup, write_and_flush,
                                              rig_finish};
const struct weak_program weak_features = {
    "features", "a change of \"all allocated\" beside a flush and a write", 3, setup, features, rig_finish};
const struct weak_program weak_set_flag = {
    "set-flag", "\"all allocated\" is set while another thread looks", 2, setup, set_flag, NULL};
const struct weak_program weak_write_flush_three = {
    "write-flush-three", "three threads write and flush", 3, setup, write_and_flush, rig_finish};
