/*
 * The record of an observer: everything that changed the files of the directory, in the order in which it happened.
 *
 * The observer lets no two recorded calls overlap, so the order is that of the kernel. What a call has written is read
 * back from the file when the call has returned and before the next one begins. So it does not matter how the bytes
 * came there.
 */
#ifndef HARNESS_RECORD_H
#define HARNESS_RECORD_H

#include "observe/watch.h"

#include <stdio.h>

enum record_kind {
    RECORD_WRITE,       /* `length` bytes of data at `offset` */
    RECORD_LENGTH,      /* the file has `length` bytes now */
    RECORD_SYNC,        /* everything written to the file before is durable; with `length`, only that range */
    RECORD_SYNC_FAILED, /* a sync gave an error */
    RECORD_SYNC_ALL,    /* a sync of the file system */
    RECORD_SYNC_NAMES,  /* a sync of the directory */
    RECORD_CREATE,      /* a new, empty file */
    RECORD_REMOVE,      /* a name is gone */
    RECORD_RENAME,      /* the file `other` has this name now */
    RECORD_LINK,        /* the file `other` has this name too */
    RECORD_KINDS
};

/* One entry. In the file, its data follows directly. */
struct record {
    uint32_t kind;    /* enum record_kind */
    uint32_t request; /* watch.request at the time */
    uint64_t offset;
    uint64_t length;
    uint64_t data_length; /* bytes of data */
    char name[WATCH_NAME_BYTES];
    char other[WATCH_NAME_BYTES];
    char call[32]; /* the system call's name */
};

struct record_list {
    struct record *items; /* owned */
    size_t count;
    uint8_t **data; /* of each item, or null; owned */
};

/* Reads a record file. False, with errno, if it cannot be read. The caller calls records_free. */
bool records_load(const char *path, struct record_list *list);
void records_free(struct record_list *list);

/* Prints one entry as a line, such as "pwrite64 disk.raw [0, 4096)", without the line's end. */
void record_print(FILE *out, const struct record *record);

#endif
