/*
 * Writes the record (record.h) of what a call has done.
 */
#ifndef HARNESS_TRACED_RECORD_H
#define HARNESS_TRACED_RECORD_H

#include "observe/traced_calls.h"

#include <sys/types.h>

#define SNAPSHOT_MAX 64u /* names in the directory */

/* The names in the directory. */
struct directory_snapshot {
    unsigned count;
    struct {
        char name[WATCH_NAME_BYTES];
        ino_t inode;
    } list[SNAPSHOT_MAX];
};

struct recorder {
    struct watch *watch;
    int file;                         /* the record; -1: none */
    int directory;                    /* that is observed */
    struct directory_snapshot before; /* the call that is in progress, if it may change names */
};

/* Opens the record and the directory. False, with errno, on failure. */
bool recorder_open(struct recorder *recorder, struct watch *watch);

/* Whether a call is to be recorded: whether it may change a file, a name, or what is durable. */
bool recorder_wants(const struct recorder *recorder, const struct traced_call *call);

/* A call begins that recorder_wants. No other one is in progress. */
void recorder_begin(struct recorder *recorder, const struct traced_call *call);

/* It has returned `result`, a negative errno for an error. */
void recorder_end(struct recorder *recorder, pid_t thread, const struct traced_call *call, int64_t result);

/* Records that a sync fails to which nothing happens. */
void recorder_fail_sync(struct recorder *recorder, const struct traced_call *call);

#endif
