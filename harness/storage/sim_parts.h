/*
 * What the files of the simulated storage (sim.h) share. Private to sim_*.c.
 *
 * Each file is an inode with two contents: that of now, and that of the last sim_keep. A name is an entry that gives an
 * inode. Every change of a sector, a length or a name, and every sync, is an event of the log; sim_crash.c makes the
 * states after a crash from the kept contents and the log.
 */
#ifndef HARNESS_SIM_PARTS_H
#define HARNESS_SIM_PARTS_H

#include "storage/sim.h"

enum sim_event_kind {
    SIM_EVENT_SECTOR,
    SIM_EVENT_LENGTH,
    SIM_EVENT_SYNC,
    SIM_EVENT_SYNC_FAILED,
    SIM_EVENT_CREATE,
    SIM_EVENT_REMOVE,
    SIM_EVENT_RENAME,
    SIM_EVENT_LINK,
    SIM_EVENT_SYNC_NAMES
};

struct sim_event {
    enum sim_event_kind kind;
    uint32_t inode;
    uint64_t number;           /* the sector, or the new length; of a sync the first sector, */
    uint64_t sectors;          /* and how many are synced; 0: the whole file */
    size_t data;               /* in the pool: SIM_SECTOR bytes */
    char name[SIM_NAME_BYTES]; /* that is created, removed, or given by rename */
    char from[SIM_NAME_BYTES]; /* of a rename */
};

struct sim_content {
    uint8_t *bytes; /* owned */
    uint64_t length;
    uint64_t room; /* bytes past the length are zero */
};

struct sim_inode {
    struct sim_content now;
    struct sim_content kept;
    uint32_t readers; /* shared locks */
    bool writer;      /* an exclusive one */
};

struct sim_entry {
    char text[SIM_NAME_BYTES]; /* "": none */
    uint32_t inode;
};

struct sim {
    struct addcow_storage storage;
    bool split;
    bool punch_refused;
    bool shares;
    bool names_loose;
    sim_hook *hook;
    void *hook_context;
    uint64_t transfer_offset; /* of the last transfer */
    uint32_t open;
    uint32_t inodes;
    uint32_t inodes_kept;
    struct sim_inode list[SIM_FILES_MAX];
    struct sim_entry names[SIM_FILES_MAX];
    struct sim_entry names_kept[SIM_FILES_MAX];
    struct sim_event *events;
    uint64_t event_count;
    uint64_t event_room;
    uint8_t *pool;
    size_t pool_used;
    size_t pool_room;
};

/* ---- sim_log.c ---- */

/* Sets the length; new bytes are zero. */
void sim_content_set_length(struct sim_content *content, uint64_t length);
void sim_content_copy(struct sim_content *to, const struct sim_content *from);

/* How many bytes of a sector lie within the file. */
uint64_t sim_content_sector_bytes(const struct sim_content *content, uint64_t sector);

/* Appends an event. The caller sets what its kind has. Valid until the next event. */
struct sim_event *sim_log_event(struct sim *sim, enum sim_event_kind kind, uint32_t inode);

/* Logs a sector as it is now. */
void sim_log_sector(struct sim *sim, uint32_t inode, uint64_t sector);
void sim_log_clear(struct sim *sim);

/* ---- sim_files.c ---- */

/* Asks the hook, if there is one, what becomes of a call (sim_hook). `size` may be null. */
int sim_ask_hook(struct sim *sim, enum sim_call call, const char *name, size_t *size);

/* Opens an inode under a name. Its close frees it. */
struct addcow_file *sim_file_open(struct sim *sim, uint32_t inode, const char *name, bool writable);

/* ---- sim_directory.c ---- */

/* The index of a name among the SIM_FILES_MAX entries; SIM_FILES_MAX if it is not there. */
uint32_t sim_find_entry(const struct sim_entry *names, const char *text);

/* Gives an inode a name, which another one may have had. */
void sim_set_entry(struct sim_entry *names, const char *text, uint32_t inode);
void sim_remove_entry(struct sim_entry *names, const char *text);

#endif
