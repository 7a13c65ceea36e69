/*
 * What the programs for weak memory share: a small disk, and requests on it that are judged.
 *
 * Each sector of the disk has one writer, who writes stamps that grow. Who reads a sector must never see an older stamp
 * than before, the writer must see its own last one, and in the end every sector has its writer's last stamp.
 */
#ifndef HARNESS_WEAK_RIG_H
#define HARNESS_WEAK_RIG_H

#include "addcow_disk.h"
#include "weak/program.h"

#include <stdlib.h>

#define RIG_CLUSTER 4096u
#define RIG_SECTOR 512u
#define RIG_CLUSTERS 3u
#define RIG_THREADS 4u

/* The stamp of a sector that the backing file supplies. */
#define RIG_BACKING 1u

/* All that the threads change; allocated by rig_begin. */
struct rig {
    struct addcow *disk;
    uint64_t written[RIG_CLUSTERS * 8];           /* the last stamp of each sector; its writer's */
    uint64_t seen[RIG_THREADS][RIG_CLUSTERS * 8]; /* the newest stamp that each thread saw */
    uint64_t plain[4];                            /* for the program */
};
extern struct rig *rig;

struct rig_options {
    uint64_t size;         /* bytes; 0: RIG_CLUSTERS clusters */
    uint64_t backing_size; /* bytes; 0: no backing file; all of its sectors have the stamp RIG_BACKING */
    bool loaded;           /* the block of the bitmap is loaded already */
};

/* Makes and opens the disk. Writes to its bitmap are judged by DUR-03. */
void rig_begin(const struct rig_options *options);

/* Thread `self` writes a new stamp into a sector, or reads it. Requests of the public interface. */
void rig_write(unsigned self, uint64_t sector);
void rig_read(unsigned self, uint64_t sector);

/* The request must succeed. */
void rig_expect(enum addcow_status status);

/* Every sector has its last stamp. */
void rig_finish(void);

#endif
