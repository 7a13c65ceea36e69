/*
 * Simulated storage: files in memory with a volatile cache, which can lose power.
 *
 * What is read is what was last written. What survives a crash is another matter: since the last sync of a file each of
 * its sectors may or may not have reached the disk, in any order, and its length too. A sector is written as a whole or
 * not at all, but for those that are declared to tear. A sync that failed covers nothing, and what was written before
 * it may be dropped even if a later sync succeeds. Creating or removing a name may be lost until the next rename, which
 * is durable and atomic.
 *
 * Every transfer is a point of the scheduler (sched/sched.h), each sector of it if the storage is split. A hook may
 * make any call fail.
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

/* Puts a file, durably, in place of one of that name. */
void sim_put(struct sim *sim, const char *name, const uint8_t *bytes, uint64_t length);

/* The content of a file as it reads now, and its length; null if there is none. Valid until the next change. */
const uint8_t *sim_bytes(const struct sim *sim, const char *name, uint64_t *length);

/* The name of the file number `index`, from 0 on, in no particular order; null if there are fewer. */
const char *sim_name(const struct sim *sim, uint32_t index);

/*
 * Notes the state of now, in which nothing is open and all is durable, as what sim_restore returns to. The log begins
 * anew.
 */
void sim_keep(struct sim *sim);
void sim_restore(struct sim *sim);

/* The name of the file that a step of the scheduler is on, by its object; null if it is on none. */
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
    SIM_CALLS
};

const char *sim_call_name(enum sim_call call);

/* A hook's answer, beside an errno: the process is dead; the call does not happen, and no sync has failed. */
#define SIM_DEAD (-ESHUTDOWN)

/*
 * Asked before every call: 0 lets it happen, a negative errno is its answer instead. *size, of a transfer, may be made
 * shorter, but not 0. A close that fails has closed the file.
 */
typedef int sim_hook(void *context, enum sim_call call, const char *name, size_t *size);
void sim_set_hook(struct sim *sim, sim_hook *hook, void *context);

/* For a hook: the offset of the transfer that it is asked about. */
uint64_t sim_transfer_offset(const struct sim *sim);

/* ---- The log: at which moments it may crash (sim_crash.h) ---- */

/* How much has been logged since sim_keep: grows with every change and sync. A crash happens at such a moment. */
uint64_t sim_moment(const struct sim *sim);

/* Whether the event number `moment`, from 0 on, makes something durable: then a crash just before it shows most. */
bool sim_is_barrier(const struct sim *sim, uint64_t moment);

/* Whether anything was changed since a moment, and not only synced. */
bool sim_is_changed(const struct sim *sim, uint64_t moment);

#endif
