/*
 * What the files of the nbdkit plugin share: parameters, open disks, export names, the stream, messages.
 *
 * Functions that report a failure do so as nbdkit wants it: the message goes to nbdkit_error, and thereby into the log
 * of the server, and the errno for the client to nbdkit_set_error. All are safe from any thread, except that the
 * parameters are set before the server serves.
 */
#ifndef ADDCOW_NBDKIT_PLUGIN_H
#define ADDCOW_NBDKIT_PLUGIN_H

#define NBDKIT_API_VERSION 2

#include "addcow_fast.h"

#include <nbdkit-plugin.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- plugin.c ---- */

/* The parameters of the command line. Either `file` or `directory` is set. */
struct parameters {
    char *file;         /* absolute path of the one disk */
    char *directory;    /* absolute path; its disks are exports by their names */
    bool without_locks; /* go on where the file system has none */
    bool direct;        /* the files of the disks are used without the cache of the system */
    bool stream;        /* stream=background */
    uint64_t rate;      /* of the stream, in bytes per second; 0: no limit */
};
extern struct parameters parameters;

/* ---- served.c ---- */

/* A disk that is open. All connections to it share it, so a flush of one covers the writes of all. */
struct served {
    struct addcow *disk;
    char *path;
    bool read_only;        /* the server was told so, or the files cannot be written */
    bool punches;          /* the file system of the image can make holes */
    uint64_t cluster_size; /* bytes */
    unsigned users;        /* connections, and the stream */
    atomic_int percent;    /* how far a stream is; -1: none runs */
    struct served *next;
};

/*
 * The disk of this path, opened if nobody has it open. The caller gives it back with served_release. Null: the failure
 * has been reported.
 */
struct served *served_acquire(const char *path, bool read_only);

/* The last user closes the disk, which flushes it. A failure goes to the log: the protocol has no answer for it. */
void served_release(struct served *served);

/* Flushes all disks that have a user. Failures go to the log. */
void served_flush_all(void);

/* ---- exports.c ---- */

/* The path of the disk that a client means, which the caller frees. Null: the failure has been reported. */
char *export_path(const char *name);

/* The callbacks of these names. */
int export_list(int read_only, int is_tls, struct nbdkit_exports *exports);
const char *export_default(int read_only, int is_tls);

/* Whether the directory of the parameters can be read. -1: no, and that has been reported. */
int export_check_directory(void);

/* ---- locks.c ---- */

/* addcow_open, as the parameters say. */
enum addcow_status open_as_told(const char *path, enum addcow_open_flags flags, struct addcow **disk,
                                struct addcow_error *error);

/* ---- requests.c ---- */

int request_read(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags);
int request_write(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags);
int request_flush(void *handle, uint32_t flags);
int request_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int request_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int request_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents);

/* ---- stream.c ---- */

/* Streams the disk in a thread of its own, which is one more user. False: it cannot begin, which has been reported. */
bool stream_begin(struct served *served);

/* Stops all streams and waits for them. Nothing is lost. */
void stream_end_all(void);

/* ---- errors.c ---- */

/* Replaces control characters, so that names from strangers forge no lines of the log. */
void make_harmless(char *text);

/* Reports a failure of the library. Returns -1. */
int report(const struct addcow_error *error);

#endif
