/*
 * add-cow production engine: disks on real files, for any number of threads.
 *
 * A disk is opened with addcow_open and used through the handle by any number of threads at once. All offsets and
 * lengths are in bytes; nothing needs to be aligned. Clauses in brackets are those of spec/add-cow.md.
 *
 * Errors: every function that can fail returns an enum addcow_status, ADDCOW_OK being 0, and, if `error` is not null,
 * fills *error on failure with a message that names the file, the offset and the reason. *error is not touched on
 * success.
 *
 * Structs that begin with struct_size can grow in newer versions (addcow_version.h). Those that a function fills begin
 * as `= ADDCOW_..._INIT`; {0} means the struct as version 0.2.0 had it. Members beyond struct_size are not touched.
 *
 * Thread-safety: every function is safe from any thread at any time on the same handle, except addcow_close, which must
 * be the last call, with no other call in progress.
 */
#ifndef ADDCOW_FAST_H
#define ADDCOW_FAST_H

#include "addcow_format.h"
#include "addcow_storage.h"
#include "addcow_version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDCOW_CHAIN_MAX 16 /* metadata files in one chain (LNK-09) */

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* what the shared library exports */

/* The name of a status as the spec spells it, such as "malformed"; "ok" for ADDCOW_OK. Static storage. */
const char *addcow_status_name(enum addcow_status status);

/* An opened disk. Opaque. */
struct addcow;

struct addcow_error {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_error));
    enum addcow_status code;
    int errnum;         /* the errno that caused it, or 0 */
    char clause[8];     /* the broken clause, or "" */
    char message[1024]; /* "FILE: at OFFSET: reason", without a newline; always NUL-terminated */
};
#define ADDCOW_ERROR_INIT ADDCOW_INIT(.struct_size = sizeof(struct addcow_error))

enum addcow_open_flags {
    ADDCOW_OPEN_READONLY = 0,
    ADDCOW_OPEN_READWRITE = 1,
    /*
     * Or'ed to ADDCOW_OPEN_READONLY: does not open the backing file, which may be missing. Reads and addcow_map_chain
     * fail with ADDCOW_UNSUPPORTED where they need it.
     */
    ADDCOW_OPEN_NO_BACKING = 1 << 4,
    /*
     * Or'ed: image and backing files, those of all levels, are read and written without the cache of the system
     * (O_DIRECT). ADDCOW_UNSUPPORTED if one of them cannot be. Only flushes make data durable, as ever.
     */
    ADDCOW_OPEN_DIRECT = 1 << 5,
};

struct addcow_info {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_info));
    enum addcow_layout layout;
    uint64_t virtual_size; /* bytes */
    uint32_t cluster_size; /* bytes */
    bool all_allocated;    /* the flag in the header */
    bool read_only;
    uint64_t features;
    uint64_t compatible_features;
    const char *image_name; /* as stored in the header */
    const char *image_path; /* the resolved path */
    const char *image_format;
    const char *backing_name; /* null without a backing file */
    const char *backing_path;
    const char *backing_format; /* null without a backing file */
    uint64_t backing_length;    /* bytes; 0 if there is none or it is not opened (LNK-10) */
    unsigned chain_depth;       /* opened metadata files below this one */
};
#define ADDCOW_INFO_INIT ADDCOW_INIT(.struct_size = sizeof(struct addcow_info))

/*
 * Opens the disk whose metadata file is `path` [HDR, HR9, BMP, LNK, VRT-01, LCK]. `storage` may be null for POSIX
 * files; it must outlive the handle. Opening for writing syncs the image and the metadata file [DUR-12]. On success the
 * caller closes *disk with addcow_close.
 */
enum addcow_status addcow_open(const char *path, enum addcow_open_flags flags, struct addcow_storage *storage,
                               struct addcow **disk, struct addcow_error *error);

/* Flushes a disk that was opened for writing, closes all files, and frees the handle even if it reports an error
 * [DUR-10]. */
enum addcow_status addcow_close(struct addcow *disk, struct addcow_error *error);

/* Fills *info; its strings live as long as the handle. Sizes and flags are current values. */
void addcow_get_info(struct addcow *disk, struct addcow_info *info);

/* The current virtual size in bytes [VRT-01]. */
uint64_t addcow_size(struct addcow *disk);

/* Reads virt [RD-01]. On failure the buffer's content is unspecified. */
enum addcow_status addcow_read(struct addcow *disk, uint64_t offset, uint64_t length, void *buffer,
                               struct addcow_error *error);

/* Writes [WR, CON, ERR-02]. Durable after the next flush. */
enum addcow_status addcow_write(struct addcow *disk, uint64_t offset, uint64_t length, const void *buffer,
                                struct addcow_error *error);

/* A write of zeros, which may punch the image [ZR-01]. */
enum addcow_status addcow_zero(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error);

/* Like addcow_zero, and may free space [DC-01]. */
enum addcow_status addcow_discard(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_error *error);

/* The status at `offset` and the longest run of it within the range, in bytes [MAP-01, CON-10]. */
enum addcow_status addcow_map(struct addcow *disk, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
                              struct addcow_error *error);

/* Like addcow_map for the whole chain: the longest run that one file supplies. */
struct addcow_extent {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_extent));
    uint64_t length;      /* bytes */
    unsigned depth;       /* 0: this disk's image; 1: its backing file, or that one's image; ... */
    bool present;         /* allocated at some depth, or within a raw backing file */
    uint64_t file_offset; /* bytes; the run's offset in that file, if present */
    const char *path;     /* that file, if present; lives as long as the handle */
};
#define ADDCOW_EXTENT_INIT ADDCOW_INIT(.struct_size = sizeof(struct addcow_extent))

enum addcow_status addcow_map_chain(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_extent *extent,
                                    struct addcow_error *error);

/*
 * Like addcow_map_chain, for the longest run that is also all data or all hole in that file. *data is false where no
 * file holds the run and where it is a hole: it reads as zeros and takes no storage. A storage that does not tell has
 * data only. Beside other requests the answer was true at some moment during the call. Length 0 is no data.
 */
enum addcow_status addcow_map_data(struct addcow *disk, uint64_t offset, uint64_t length, struct addcow_extent *extent,
                                   bool *data, struct addcow_error *error);

/*
 * Makes every request that completed before durable [DUR-01, DUR-03]. Concurrent flushes share their syncs [DUR-05]. A
 * failed sync of the image is final for the handle [DUR-07]; reads and writes still work.
 */
enum addcow_status addcow_flush(struct addcow *disk, struct addcow_error *error);

/*
 * Grows or shrinks the disk; other requests wait meanwhile [RSZ, CON-09]. Durable after the next flush. Once the image
 * is truncated, a shrink succeeds: if the sync that follows fails, all later flushes do [DUR-07].
 */
enum addcow_status addcow_resize(struct addcow *disk, uint64_t new_size, struct addcow_error *error);

/*
 * Gives the image of the disk of the metadata file `path`, which nobody has open, the length back that it had before
 * another program made it longer: `old_length` bytes. ADDCOW_RANGE, and nothing has changed, if the bitmap does not
 * cover so many [BMP-03], or if the image is shorter or holds anything but zeros past them. Durable on return. It can
 * be repeated after a failure.
 */
enum addcow_status addcow_restore_length(const char *path, uint64_t old_length, struct addcow_storage *storage,
                                         struct addcow_error *error);

/*
 * Called repeatedly by addcow_stream, addcow_commit and addcow_rebase, in the thread that called them; `done` and
 * `total` are in bytes. If it returns false, the operation stops and fails with ADDCOW_IO and errnum ECANCELED; no data
 * is lost [STR-03, CMT-03]. During a commit it must not call functions on the disk, because they would wait for the
 * commit.
 */
typedef bool addcow_progress(void *context, uint64_t done, uint64_t total);

/*
 * Allocates every cluster, concurrently with other requests, then sets "all allocated" [STR]. Call it from a separate
 * thread to stream in the background. `progress` may be null.
 */
enum addcow_status addcow_stream(struct addcow *disk, addcow_progress *progress, void *context,
                                 struct addcow_error *error);

/*
 * Copies the allocated clusters into the backing file, clears the bits, and frees the storage of these clusters in the
 * image if the storage can do that; other requests wait meanwhile [CMT]. If only the last step fails, the error says
 * so, and the rest is done [CMT-04].
 */
enum addcow_status addcow_commit(struct addcow *disk, addcow_progress *progress, void *context,
                                 struct addcow_error *error);

/* ---- Functions on files that are not open ---- */

/* The storage that a new image has from the start. */
enum addcow_preallocation {
    ADDCOW_PREALLOCATE_OFF,    /* none: the image is a hole */
    ADDCOW_PREALLOCATE_FALLOC, /* reserved; zeros are written where the storage cannot do that */
    ADDCOW_PREALLOCATE_FULL,   /* zeros are written */
};

/*
 * ADDCOW_CREATE_OPTIONS_INIT sets the layout and the size of clusters that most want. A missing struct_size, and
 * members of a newer version that are not zero, are refused with ADDCOW_UNSUPPORTED.
 */
struct addcow_create_options {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_create_options));
    enum addcow_layout layout ADDCOW_INITIALLY(ADDCOW_R20);
    uint32_t cluster_bits ADDCOW_INITIALLY(ADDCOW_CLUSTER_BITS_DEFAULT); /* 12..21; 16 for r9 */
    const char *image_name;     /* stored as given; resolved relative to the metadata file's directory */
    const char *backing_name;   /* null: no backing file (r20 only) */
    const char *backing_format; /* "raw" or "add-cow" */
    bool replace;               /* may replace an existing metadata file that is not in use */
    bool hide_image_data;       /* with a backing file: may hide the data of an image that is not all zeros */
    bool make_image;            /* make a sparse image of image_size; it must not exist */
    uint64_t image_size;        /* bytes */
    bool make_missing_image;    /* with a backing file: an image that does not exist is made, as long as that file */
    uint64_t preallocation; /* enum addcow_preallocation, of an image that is made; no cluster is allocated by that */
};
#define ADDCOW_CREATE_OPTIONS_INIT                                                                                     \
    ADDCOW_INIT(.struct_size = sizeof(struct addcow_create_options), .layout = ADDCOW_R20,                             \
                .cluster_bits = ADDCOW_CLUSTER_BITS_DEFAULT)

/*
 * Creates the metadata file `path` [CRE], and the image file if make_image is set. Durable on return. A failure leaves
 * no new file. With a backing file and an image that holds anything but zeros, fails with ADDCOW_RANGE unless
 * hide_image_data.
 */
enum addcow_status addcow_create(const char *path, const struct addcow_create_options *options,
                                 struct addcow_storage *storage, struct addcow_error *error);

/* A missing struct_size, and members of a newer version that are not zero, are refused with ADDCOW_UNSUPPORTED. */
struct addcow_rebase_options {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_rebase_options));
    const char *backing_name;   /* stored as given; null: no backing file (r20 only) */
    const char *backing_format; /* "raw" or "add-cow" */
    bool header_only;           /* opens neither the old nor the new backing file: the disk may read differently */
    uint64_t open_flags;        /* ADDCOW_OPEN_DIRECT or 0: how the files are opened */
};
#define ADDCOW_REBASE_OPTIONS_INIT ADDCOW_INIT(.struct_size = sizeof(struct addcow_rebase_options))

/*
 * Gives the disk of the metadata file `path`, which nobody has open, another backing file [RBS]. The disk reads the
 * same as before: clusters that would not are allocated. Durable on return. A failure or a crash at any point leaves
 * what the disk reads as, and the call can be repeated. `progress` may be null; it is not called with header_only.
 */
enum addcow_status addcow_rebase(const char *path, const struct addcow_rebase_options *options,
                                 struct addcow_storage *storage, addcow_progress *progress, void *context,
                                 struct addcow_error *error);

/* One finding of addcow_check. The library sets struct_size: members beyond it are not there. */
struct addcow_finding {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_finding));
    enum addcow_status code;
    const char *clause;
    const char *message;
    bool repairable;
    bool repaired;
};
typedef void addcow_report(void *context, const struct addcow_finding *finding);

struct addcow_check_result {
    size_t struct_size ADDCOW_INITIALLY(sizeof(struct addcow_check_result));
    unsigned broken; /* findings that remain after the check */
    unsigned repaired;
    uint64_t clusters; /* 0 if the header could not be read */
    uint64_t allocated;
};
#define ADDCOW_CHECK_RESULT_INIT ADDCOW_INIT(.struct_size = sizeof(struct addcow_check_result))

/*
 * Reports every broken clause of the metadata file `path` and of its links [CHK-01]; with `repair` fixes
 * what can be fixed without guessing [CHK-02]. Calls `report` once for each finding, whose strings are valid only
 * during the call. Returns ADDCOW_OK if the check ran to its end, whatever it found.
 */
enum addcow_status addcow_check(const char *path, bool repair, struct addcow_storage *storage, addcow_report *report,
                                void *context, struct addcow_check_result *result, struct addcow_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
