/*
 * A second implementation of add-cow: in C, and with threads. It was written from spec/add-cow.md alone and shares no
 * code with the engines of this project.
 *
 * Each rule stands with its clause. These rules keep requests apart:
 *
 * - The gate is a lock of the whole disk. Every request holds it shared; resize and commit hold it alone (CON-09).
 * - A claim is a lock of one cluster, held while the cluster is being allocated. Nothing else waits for it (CON-08).
 * - Bits are atomic. One is set after the whole cluster is in the image file; whoever sees it reads the image (CON-04).
 * - One flush runs at a time. Others wait for one that has begun after they were called, and share its end (DUR-05).
 *
 * Every function that can fail returns false and says why in its last argument.
 */
#ifndef SECOND_H
#define SECOND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HEADER_MIN 4096u
#define HEADER_MAX (2u << 20)
#define SIZE_MAXIMUM (UINT64_C(1) << 62)
#define CHAIN_MAX 16u
#define ALL_ALLOCATED 1u
#define BITMAP_SECTOR 512u

/* Why something failed: a class of section 12, the clause or "-", and words. */
struct problem {
    const char *kind;
    const char *clause;
    char text[256];
};

bool fail(struct problem *problem, const char *kind, const char *clause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The storage has failed, with errno (ERR-05). */
bool fail_storage(struct problem *problem, const char *what);

/* ---- header.c: section 2 ---- */

struct header {
    bool is_r9;
    uint32_t cluster_bits;
    uint64_t cluster;
    uint64_t size;
    uint64_t compatible;
    char *backing; /* null: none */
    char *image;
    char backing_format[17];
    char image_format[17];
};

/* `head` are the first bytes of a metadata file of `length` bytes: all of them, or HEADER_MAX. */
bool header_decode(const uint8_t *head, uint64_t length, struct header *header, struct problem *problem);
void header_free(struct header *header);
uint64_t header_bitmap_bytes(const struct header *header, uint64_t size);
uint64_t header_file_length(const struct header *header, uint64_t size);

/* Gives the bytes of a header as `header` describes it; the caller frees them. */
bool header_encode(const struct header *header, uint8_t **bytes, struct problem *problem);

/* ---- files.c ---- */

struct identity {
    dev_t device;
    ino_t inode;
};

/* The path of a name in the header of the metadata file `path` (LNK-01). The caller frees it. */
char *file_resolve(const char *path, const char *name);
bool file_open(const char *path, bool writable, int *fd, struct problem *problem);
bool file_identify(int fd, struct identity *identity, uint64_t *length, struct problem *problem);
bool file_read(int fd, uint64_t offset, uint64_t length, void *bytes, struct problem *problem);
bool file_write(int fd, uint64_t offset, uint64_t length, const void *bytes, struct problem *problem);
bool file_zero(int fd, uint64_t offset, uint64_t length, struct problem *problem);
bool file_punch(int fd, uint64_t offset, uint64_t length, struct problem *problem); /* like file_zero; may free space */
bool file_cut(int fd, uint64_t length, struct problem *problem);
bool file_sync(int fd, struct problem *problem);
bool file_sync_directory(const char *path, struct problem *problem); /* that of this file */
bool file_lock_metadata(int fd, const char *path, bool exclusive, struct problem *problem);
bool file_lock_data(int fd, const char *path, bool exclusive, struct problem *problem);

/* ---- disk.c: an open disk ---- */

struct claim {
    uint64_t cluster;
    struct claim *next;
};

struct below {
    int fd; /* of a raw backing file, or -1 */
    uint64_t length;
    struct disk *disk; /* a backing file that is a disk, or null */
};

/* Flushes, numbered from 1. */
struct flushes {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool runs;
    uint64_t begun;
    uint64_t done;
    uint64_t failed;        /* the last one that failed */
    struct problem problem; /* of that one */
};

struct disk {
    char *path;
    bool writable;
    const struct disk *above;
    int metadata;
    int image;
    struct identity metadata_identity;
    struct identity image_identity;
    struct header header;
    pthread_rwlock_t gate;
    uint64_t size;                /* changes while the gate is held alone */
    _Atomic uint64_t compatible;  /* as header.compatible */
    _Atomic uint8_t *bits;        /* the bitmap, of bitmap_bytes */
    _Atomic uint8_t *dirty;       /* for each of its sectors: differs from what is durable */
    uint64_t bitmap_bytes;        /* not less than the size needs */
    atomic_bool compatible_dirty; /* "all allocated" differs from what is durable */
    bool image_lost;              /* a sync of the image has failed (DUR-07); under the flush that runs */
    bool owes;                    /* a failure that no request has reported (RSZ-05) */
    struct problem owed;
    struct flushes flushes;
    pthread_mutex_t claims_mutex;
    pthread_cond_t claims_change;
    struct claim *claims;
    pthread_mutex_t below_mutex;
    struct below below; /* opened when it is first needed, at the latest */
    bool below_known;   /* below_identity is that of the backing file when the disk was opened */
    struct identity below_identity;
};

bool disk_open(const char *path, bool writable, const struct disk *above, struct disk **disk, struct problem *problem);
bool disk_close(struct disk *disk, struct problem *problem); /* closes in any case */
uint64_t disk_size(struct disk *disk);
uint64_t disk_clusters(const struct disk *disk, uint64_t size);
uint64_t disk_cluster_end(const struct disk *disk, uint64_t cluster); /* clipped at the size */
bool disk_has_all(struct disk *disk);

/* Opens the backing file if it is not open. Several may call it at once. */
bool below_open(struct disk *disk, bool writable, struct below *below, struct problem *problem);
bool below_need(struct disk *disk, struct problem *problem);
bool below_read(struct disk *disk, uint64_t offset, uint64_t length, uint8_t *bytes, struct problem *problem);
bool below_close(struct below *below, struct problem *problem);

/* ---- bitmap.c: section 3 ---- */

bool bitmap_reserve(struct disk *disk, uint64_t bytes, struct problem *problem); /* and reads what the file has there */
void bitmap_free(struct disk *disk);
bool bitmap_has(struct disk *disk, uint64_t cluster);
void bitmap_set(struct disk *disk, uint64_t cluster);
void bitmap_fill(struct disk *disk, uint64_t begin, uint64_t end, bool value);       /* while the gate is held alone */
uint64_t bitmap_next(struct disk *disk, uint64_t cluster, uint64_t end, bool value); /* the next with it, or end */

/* ---- flush.c: section 11 ---- */

bool flush_disk(struct disk *disk, struct problem *problem); /* the gate is held */
bool flush_image(struct disk *disk, struct problem *problem);
bool flush_bitmap(struct disk *disk, struct problem *problem); /* the gate is held alone */

/* ---- request.c: section 6 ---- */

bool request_check(struct disk *disk, uint64_t offset, uint64_t length, bool writes, struct problem *problem);
bool disk_read(struct disk *disk, uint64_t offset, uint64_t length, uint8_t *bytes, struct problem *problem);

/* Null for zeros, and then the space may be freed. */
bool disk_write(struct disk *disk, uint64_t offset, uint64_t length, const uint8_t *bytes, struct problem *problem);
bool disk_discard(struct disk *disk, uint64_t offset, uint64_t length, struct problem *problem);
bool disk_map(struct disk *disk, uint64_t offset, uint64_t length, bool *allocated, uint64_t *run,
              struct problem *problem);
bool disk_flush(struct disk *disk, struct problem *problem);
bool request_allocate(struct disk *disk, uint64_t cluster, struct problem *problem); /* its content stays */

/* ---- maintain.c: sections 8 and 9 ---- */

bool disk_resize(struct disk *disk, uint64_t size, struct problem *problem);
bool disk_stream(struct disk *disk, struct problem *problem);
bool disk_commit(struct disk *disk, struct problem *problem);

/* ---- create.c: section 7 ---- */

/* `header` has the layout, cluster_bits, the names and formats. */
bool disk_create(const char *path, const struct header *header, struct problem *problem);

#endif
