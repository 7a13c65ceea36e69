/*
 * An implementation in a process under the observer: its adapter, the directory of its files, and the watch.
 */
#ifndef HARNESS_OBSERVED_H
#define HARNESS_OBSERVED_H

#include "adapters/adapter.h"
#include "observe/record.h"
#include "workload/trace.h"

/* Where and how implementations are started. */
struct observed_command {
    const char *observer;  /* the program that runs `observe WATCH COMMAND`: gate */
    const char *command;   /* the adapter's, for the shell */
    const char *directory; /* in which it is started */
    const char *parent;    /* of scratch directories */
    int timeout;           /* of an answer, in milliseconds */
};

struct observed {
    const struct observed_command *how;
    char root[WATCH_PATH_BYTES];      /* the scratch directory */
    char directory[WATCH_PATH_BYTES]; /* in it: of the disk's files */
    char watch_path[WATCH_PATH_BYTES];
    struct watch *watch;
    struct adapter *adapter; /* null between observed_stop and observed_start */
};

/* Makes the directories, without a process. False, with errno, on failure. The caller calls observed_free. */
bool observed_make(const struct observed_command *how, struct observed *observed);
void observed_free(struct observed *observed);

/* Whether there is something beside the directory of the disk that no judge has put there. Then `name` is one of it. */
bool observed_has_stray(const struct observed *observed, char name[WATCH_NAME_BYTES]);

/* How a process is observed. */
struct observed_manner {
    bool records;
    bool reads; /* reads count, too */
    bool turns; /* no two transfers at once (watch.h) */
    uint64_t delay_seed;
    uint32_t delay_microseconds;
};

/* Starts a process; the one before has been stopped. Whether it started, adapter_exec_state tells. */
void observed_start(struct observed *observed, const struct observed_manner *manner);

/* Ends the process. */
void observed_stop(struct observed *observed);

/* Puts the files of a trace's disk in the place of all files in the directory, and empties the record. */
void observed_reset(struct observed *observed, const struct trace_disk *disk);

/* The absolute path of the file `name`. */
void observed_path(const struct observed *observed, const char *name, char path[WATCH_PATH_BYTES]);

/* Prints the command that runs another one, whatever characters it has, under the observer. The caller frees it. */
char *observed_wrap(const char *observer, const char *watch_path, const char *command);

#endif
