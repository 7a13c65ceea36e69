/*
 * Names of the engine's locks and conditions, for timelines; and its state, for those who compare it with the model.
 *
 * The scheduler knows only addresses. This file is compiled like the engine for the scheduler, with the locks of
 * sched/addcow_sync.h, so struct addcow has the same layout here, and the offset of an address inside it identifies the
 * member. The engine itself needs no names for this.
 */
#include "adapters/adapter_fast.h"
#include "adapters/adapter_scheduled.h"

#include "addcow_disk.h"

/* The build puts sched_ before these names (adapter_scheduled.h). */
const char *adapter_lock_name(const struct adapter *adapter, const void *object);
enum engine_object adapter_object(const struct adapter *adapter, const void *object);
void adapter_state(const struct adapter *adapter, struct engine_state *state);

#define OBJECT(name, member) {name, offsetof(struct addcow, member)}

static const struct {
    const char *name;
    size_t offset;
} objects[] = {
    OBJECT("quiesce", quiesce.lock),
    OBJECT("quiesce changed", quiesce.changed),
    OBJECT("allocation", allocation.lock),
    OBJECT("range ended", allocation.range_ended),
    OBJECT("buffers", buffers.lock),
    OBJECT("flush", flushing.lock),
    OBJECT("flush finished", flushing.finished),
};

const char *adapter_lock_name(const struct adapter *adapter, const void *object)
{
    for (const struct addcow *disk = ((const struct fast_adapter *)adapter)->disk; disk != NULL; disk = disk->lower) {
        for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
            if ((const uint8_t *)disk + objects[i].offset == (const uint8_t *)object) {
                return objects[i].name;
            }
        }
    }
    return NULL;
}

static struct addcow *disk_of(const struct adapter *adapter)
{
    return ((const struct fast_adapter *)adapter)->disk;
}

/* Read without a step of the scheduler. */
static struct addcow_block *first_block(const struct addcow *disk)
{
    return atomic_load_explicit(&disk->bitmap.blocks[0], memory_order_relaxed);
}

enum engine_object adapter_object(const struct adapter *adapter, const void *object)
{
    const struct addcow *disk = disk_of(adapter);
    const struct addcow_block *block = first_block(disk);
    if (object == &disk->allocation.lock || object == &disk->allocation.range_ended) {
        return ENGINE_ALLOCATION;
    }
    if (object == &disk->flushing.lock || object == &disk->flushing.finished) {
        return ENGINE_FLUSHING;
    }
    if (object == &disk->image_lost) {
        return ENGINE_LOST;
    }
    return block != NULL && object == &block->words[0] ? ENGINE_WORD : ENGINE_OTHER;
}

void adapter_state(const struct adapter *adapter, struct engine_state *state)
{
    const struct addcow *disk = disk_of(adapter);
    const struct addcow_block *block = first_block(disk);
    *state = (struct engine_state){
        .bits = block != NULL ? atomic_load_explicit(&block->words[0], memory_order_relaxed) : 0,
        .loaded = block != NULL,
        .running = disk->flushing.running,
        .started = disk->flushing.started,
        .lost = atomic_load_explicit(&disk->image_lost, memory_order_relaxed) != 0,
    };
    for (const struct addcow_block *dirty = disk->bitmap.dirty; dirty != NULL; dirty = dirty->next_dirty) {
        state->dirty = state->dirty || dirty == block;
    }
    for (const struct addcow_inflight *range = disk->allocation.inflight; range != NULL; range = range->next) {
        for (uint64_t cluster = range->first; cluster <= range->last && cluster < 64; cluster++) {
            state->flight |= (uint64_t)1 << cluster;
        }
    }
}
