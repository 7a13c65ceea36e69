/*
 * Simulated storage: files in memory with a volatile cache, which can lose power.
 *
 * A read gives what was last written. A crash keeps less. Since the last sync of a file, each of its sectors may or may
 * not have reached the disk, in any order, and so may its length. A sector is written as a whole or not at all, except
 * for those that are declared to tear. A sync that failed covers nothing: what was written before it may be lost even
 * if a later sync succeeds. The creation or removal of a name may be lost until the next rename, which is durable and
 * atomic, or until the names are synced.
 *
 * Every transfer is a point of the scheduler (sched/sched.h), or one for each sector if the storage is split. A hook
 * may make any call fail.
 *
 * Not for several threads of the operating system at once.
 */
#ifndef HARNESS_SIM_H
#define HARNESS_SIM_H

#include "addcow_storage.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SECTOR 512u
#define SIM_FILES_MAX 16u
#define SIM_NAME_BYTES 64u
#define SIM_LENGTH_MAX ((uint64_t)1 << 40) /* no file can become longer */

struct sim;

/* ---- Storage ---- */

struct sim *sim_make(void);
void sim_free(struct sim *sim);

/* The table for an engine. It lives as long as the storage. */
struct addcow_storage *sim_storage(struct sim *sim);

/* Whether multi-sector transfers are split into steps of one sector (the default), or are one step. */
void sim_set_split(struct sim *sim, bool split);

/* Whether punching is refused with -EOPNOTSUPP. */
void sim_set_punch_refused(struct sim *sim, bool refused);

/* Whether files can share storage; by default they cannot. A shared range is like one that was copied. */
void sim_set_shares(struct sim *sim, bool shares);

/*
 * Whether a rename is durable only after sim_sync_names, as the creation and removal of a name then are: like a system
 * call, and unlike the rename of an engine's storage, which syncs the directory.
 */
void sim_set_names_loose(struct sim *sim, bool loose);

/* Makes all names durable: a sync of the directory. */
void sim_sync_names(struct sim *sim);

/* Makes durable what was written to the sectors that meet a range, and the length of the file: a write with O_DSYNC. */
void sim_sync_range(struct sim *sim, const char *name, uint64_t offset, uint64_t length);

/* Gives the file `from` the name `to` as well. Returns 0 or a negative errno. */
int sim_link(struct sim *sim, const char *from, const char *to);

/* Creates or replaces a file, durably. */
void sim_put(struct sim *sim, const char *name, const uint8_t *bytes, uint64_t length);

/* The content of a file now, and its length; null if there is no such file. Valid until the next change. */
const uint8_t *sim_bytes(const struct sim *sim, const char *name, uint64_t *length);

/* The name of file number `index`, counted from 0, in no particular order; null if there are fewer. */
const char *sim_name(const struct sim *sim, uint32_t index);

/* Keeps the state of now, for sim_restore. No file is open, and all is durable. The log begins anew. */
void sim_keep(struct sim *sim);
void sim_restore(struct sim *sim);

/* The name of the file whose object a step of the scheduler names; null if it is none. */
const char *sim_name_of(const struct sim *sim, const void *object);

/* How many files are open: an engine that is closed has none. */
uint32_t sim_open_files(const struct sim *sim);

/* ---- Faults ---- */

enum sim_call {
    SIM_PREAD,
    SIM_PWRITE,
    SIM_SYNC,
    SIM_LENGTH,
    SIM_TRUNCATE,
    SIM_PUNCH,
    SIM_LOCK,
    SIM_IDENTITY,
    SIM_CLOSE,
    SIM_OPEN,
    SIM_REMOVE,
    SIM_RENAME,
    SIM_SHARE,
    SIM_CALLS
};

const char *sim_call_name(enum sim_call call);

/* An answer of a hook, beside an errno: the process is dead. The call does nothing, and no sync has failed. */
#define SIM_DEAD (-ESHUTDOWN)

/*
 * Called before every call. 0 lets the call happen; a negative errno is its answer instead. It may shorten *size, the
 * size of a transfer, but not to 0. A close that fails has closed the file.
 */
typedef int sim_hook(void *context, enum sim_call call, const char *name, size_t *size);
void sim_set_hook(struct sim *sim, sim_hook *hook, void *context);

/* For a hook: the offset of the transfer that it is asked about. */
uint64_t sim_transfer_offset(const struct sim *sim);

/* ---- The log: at which moments it may crash (sim_crash.h) ---- */

/* The number of events since sim_keep. It grows with every change and sync. A crash happens at such a moment. */
uint64_t sim_moment(const struct sim *sim);

/* Whether event number `moment`, counted from 0, makes something durable. A crash just before it loses most. */
bool sim_is_barrier(const struct sim *sim, uint64_t moment);

/* Whether anything was changed, not only synced, since a moment. */
bool sim_is_changed(const struct sim *sim, uint64_t moment);

#endif
