/*
 * Names of the engine's locks and conditions, for timelines.
 *
 * The scheduler knows only addresses. This file is compiled like the engine for the scheduler, with the locks of
 * sched/addcow_sync.h, so struct addcow has the same layout here, and the offset of an address inside it identifies the
 * member. The engine itself needs no names for this.
 */
#include "adapters/adapter_fast.h"

#include "addcow_disk.h"

/* The build makes this name sched_adapter_lock_name (adapter_scheduled.h). */
const char *adapter_lock_name(const struct adapter *adapter, const void *object);

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
