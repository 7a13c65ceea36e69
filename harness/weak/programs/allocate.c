/*
 * CON-04..08: allocation, loading of the bitmap, the pool of buffers.
 *
 * The content of a cluster stands in plain memory: who finds a bit set without being ordered after what was put there,
 * races with that.
 */
#include "programs.h"
#include "rig.h"

static void setup(void)
{
    rig_begin(&(struct rig_options){.backing_size = RIG_CLUSTER, .loaded = true});
    weak_name(rig->plain, sizeof rig->plain, "content of clusters");
}

static void setup_unloaded(void)
{
    rig_begin(&(struct rig_options){.backing_size = RIG_CLUSTER});
}

/* Writes a cluster as addcow_disk_write does. */
static void fill(uint64_t cluster)
{
    for (;;) {
        bool allocated;
        uint64_t end;
        rig_expect(addcow_bitmap_run(rig->disk, cluster, cluster + 1, &allocated, &end, NULL));
        if (allocated) {
            break;
        }
        struct addcow_inflight range;
        if (addcow_inflight_begin(rig->disk, &range, cluster, cluster)) {
            rig->plain[cluster]++;
            addcow_inflight_end(rig->disk, &range, true);
            return;
        }
    }
    if (rig->plain[cluster] != 1) {
        weak_fail("CON-04: a cluster is allocated before its content is there");
    }
}

static void look(uint64_t first, uint64_t limit)
{
    for (uint64_t cluster = first; cluster < limit; cluster++) {
        bool allocated;
        uint64_t end;
        rig_expect(addcow_bitmap_run(rig->disk, cluster, limit, &allocated, &end, NULL));
        if (allocated && rig->plain[cluster] != 1) {
            weak_fail("CON-04: a cluster is allocated before its content is there");
        }
    }
}

static void expect_allocated(uint64_t count)
{
    bool allocated;
    uint64_t end;
    rig_expect(addcow_bitmap_run(rig->disk, 0, count, &allocated, &end, NULL));
    if (!allocated || end != count) {
        weak_fail("CON-07: a bit is lost");
    }
    for (uint64_t i = 0; i < count; i++) {
        if (rig->plain[i] != 1) {
            weak_fail("CON-06: a cluster is filled %u times", (unsigned)rig->plain[i]);
        }
    }
}

static void same_cluster(unsigned self)
{
    if (self < 2) {
        fill(0);
    } else {
        look(0, 1);
    }
}

static void different_clusters(unsigned self)
{
    if (self < 2) {
        fill(self);
    } else {
        look(0, 2);
    }
}

/* Ranges that overlap in the middle cluster. */
static void ranges(unsigned self)
{
    if (self == 2) {
        look(0, 3);
        return;
    }
    for (uint64_t first = self, limit = self + 2; first < limit;) {
        bool allocated;
        uint64_t end;
        rig_expect(addcow_bitmap_run(rig->disk, first, limit, &allocated, &end, NULL));
        struct addcow_inflight range;
        if (!allocated && addcow_inflight_begin(rig->disk, &range, first, end - 1)) {
            for (uint64_t cluster = range.first; cluster <= range.last; cluster++) {
                rig->plain[cluster]++;
            }
            end = range.last + 1;
            addcow_inflight_end(rig->disk, &range, true);
            first = end;
        } else if (allocated) {
            look(first, end);
            first = end;
        }
    }
}

static void one_allocated(void)
{
    expect_allocated(1);
}

static void two_allocated(void)
{
    expect_allocated(2);
}

static void three_allocated(void)
{
    expect_allocated(3);
}

/* ---- Loading ---- */

static void load_and_set(unsigned self)
{
    bool allocated;
    uint64_t end;
    rig_expect(addcow_bitmap_run(rig->disk, self, self + 1, &allocated, &end, NULL));
    if (self < 2) {
        struct addcow_inflight range;
        if (!addcow_inflight_begin(rig->disk, &range, self, self)) {
            weak_fail("CON-06: a cluster is allocated that nobody allocates");
        }
        rig->plain[self]++;
        addcow_inflight_end(rig->disk, &range, true);
    }
}

/* ---- A longer array of blocks ---- */

static void reserve(unsigned self)
{
    if (self == 0) {
        addcow_quiesce_begin(&rig->disk->quiesce);
        rig_expect(addcow_bitmap_resize(rig->disk, ADDCOW_BLOCK_BITS + 1, NULL));
        addcow_quiesce_end(&rig->disk->quiesce);
    } else {
        unsigned stripe = addcow_request_begin(&rig->disk->quiesce);
        fill(0);
        look(0, rig->disk->bitmap.cluster_count > ADDCOW_BLOCK_BITS ? 3 : 2);
        addcow_request_end(&rig->disk->quiesce, stripe);
    }
}

/* ---- Buffers ---- */

static void use_buffers(unsigned self)
{
    for (unsigned i = 0; i < (self == 2 ? 1 : 2); i++) {
        uint8_t *buffer = addcow_buffer_get(rig->disk);
        if (!buffer) {
            weak_fail("there is no memory");
            return;
        }
        buffer[100] = (uint8_t)self;
        if (buffer[100] != self) {
            weak_fail("two threads have one buffer");
        }
        addcow_buffer_put(rig->disk, buffer);
    }
}

const struct weak_program weak_allocate_same = {
    "allocate-same", "two threads allocate one cluster, a third looks", 3, setup, same_cluster, one_allocated};
const struct weak_program weak_allocate_different = {
    "allocate-different", "two threads allocate two clusters, a third looks", 3, setup, different_clusters,
    two_allocated};
const struct weak_program weak_allocate_ranges = {
    "allocate-ranges", "two threads allocate ranges that overlap, a third looks", 3, setup, ranges, three_allocated};
const struct weak_program weak_load_block = {
    "load-block", "two threads load one block of the bitmap and allocate", 2, setup_unloaded, load_and_set,
    two_allocated};
const struct weak_program weak_load_block_three = {
    "load-block-three", "the same, and a third thread loads it and looks", 3, setup_unloaded, load_and_set,
    two_allocated};
const struct weak_program weak_reserve = {"reserve",    "the array of blocks grows beside a request", 2, setup, reserve,
                                          one_allocated};
const struct weak_program weak_buffers = {"buffers", "two threads use the pool of buffers", 2, setup, use_buffers,
                                          NULL};
const struct weak_program weak_buffers_three = {
    "buffers-three", "three threads use the pool of buffers", 3, setup, use_buffers, NULL};
