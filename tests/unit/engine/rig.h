/*
 * A disk on a probe, with the model of what it must read as.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include "support/model.h"
#include "support/probe.h"

#define CLUSTERS 16

static const struct disk_spec usual = {
    .size = CLUSTERS * 4096, .backing_name = "base.raw", .backing_size = 7 * 4096 + 5, .allocated = 6};

struct rig {
    struct probe *probe;
    struct addcow *disk;
    struct model model;
};

static inline struct rig make_rig(const struct disk_spec *spec)
{
    make_disk("disk", spec);
    struct rig rig = {.probe = make_probe(), .model = make_model(spec)};
    rig.disk = open_disk_on("disk.add-cow", ADDCOW_OPEN_READWRITE, &rig.probe->storage);
    rig.probe->count = 0;
    return rig;
}

static inline void free_rig(struct rig *rig)
{
    free_probe(rig->probe);
    free_model(&rig->model);
}

#endif
