/*
 * The layer below the opened disk: errors, whole transfers on files, and metadata files before a disk is opened from
 * them.
 *
 * Every function that can fail returns an enum addcow_status and fills *error, if error is not null, as addcow_fast.h
 * says. All are safe from any thread on different objects; the transfers also on the same struct addcow_io.
 */
#ifndef ADDCOW_INTERNAL_H
#define ADDCOW_INTERNAL_H

#include "addcow_fast.h"
#include "addcow_header.h"
#include "addcow_sizes.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define ADDCOW_SECTOR 512u

/* ---- Bytes ---- */

static inline bool addcow_all_zero(const uint8_t *bytes, uint64_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)count - 1) == 0);
}

static inline uint32_t addcow_load_le32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* A number in the order of the processor as one in little-endian order, and back: both are the same change. */
static inline uint64_t addcow_le64(uint64_t number)
{
    uint8_t bytes[8];
    memcpy(bytes, &number, sizeof bytes);
    return (uint64_t)addcow_load_le32(bytes) | (uint64_t)addcow_load_le32(bytes + 4) << 32;
}

/* ---- Structs that grow (addcow_version.h) ---- */

/* The size of a struct that ends with `member`. With the last one of version 0.2.0: what every caller has. */
#define ADDCOW_SIZE_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/*
 * Copies the struct `from`, of `size` bytes, to the one of a caller, whose struct_size says how much of it he has. That
 * stays as it is. 0 counts as `first`, the size of version 0.2.0.
 */
static inline void addcow_give(void *to, const void *from, size_t size, size_t first)
{
    size_t room;
    memcpy(&room, to, sizeof room);
    room = room == 0 ? first : room;
    room = room < size ? room : size;
    if (room > sizeof room) {
        memcpy((uint8_t *)to + sizeof room, (const uint8_t *)from + sizeof room, room - sizeof room);
    }
}

/* Gives an error to a caller, who wants none if `to` is null. A message that is cut short ends with a NUL too. */
static inline void addcow_give_error(struct addcow_error *to, const struct addcow_error *from)
{
    if (to) {
        addcow_give(to, from, sizeof *from, ADDCOW_SIZE_TO(struct addcow_error, message));
        if (to->struct_size > offsetof(struct addcow_error, message) && to->struct_size < sizeof *to) {
            ((char *)to)[to->struct_size - 1] = '\0';
        }
    }
}

/*
 * Copies the struct of a caller to `to`, of `size` bytes, which are all zero. Members that the caller does not have
 * stay zero. Returns false, and copies nothing, if the caller did not set struct_size, or says what this version does
 * not know: anything but zeros after `size` bytes.
 */
static inline bool addcow_take(void *to, const void *from, size_t size)
{
    size_t given;
    memcpy(&given, from, sizeof given);
    if (given < sizeof given || (given > size && !addcow_all_zero((const uint8_t *)from + size, given - size))) {
        return false;
    }
    memcpy(to, from, given < size ? given : size);
    return true;
}

/* ---- Errors ---- */

/*
 * Fills *error, if it is not null, and returns `code`. `clause` is an ID of the spec or "". The message is the
 * formatted text, followed by the text of errnum if that is not 0.
 */
/*@ terminates \true;
    assigns *error;
    ensures code: \result == code;
*/
enum addcow_status addcow_fail(struct addcow_error *error, enum addcow_status code, int errnum, const char *clause,
                               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A refusal of the file `path` for breaking `rule`. */
enum addcow_status addcow_fail_rule(struct addcow_error *error, const char *path, enum addcow_rule rule);

/* What is wrong with a file that breaks `rule`, as part of a sentence without a full stop. Static storage. */
const char *addcow_rule_text(enum addcow_rule rule);

/* Out of memory: ADDCOW_IO with ENOMEM. */
enum addcow_status addcow_fail_memory(struct addcow_error *error, const char *path);

/* ---- Files (ERR-04, ERR-05) ---- */

/* An opened file and the name that messages give it. All zero: not open. */
struct addcow_io {
    struct addcow_file *file;
    char *path;
};

/*
 * Opens `path`; LNK-06 says which class a failure has (-EEXIST from ADDCOW_FILE_CREATE is ADDCOW_READONLY). On failure
 * *io is all zero.
 */
enum addcow_status addcow_io_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                                  struct addcow_io *io, struct addcow_error *error);

/* Closes the file, if it is open, and makes *io all zero even if it reports an error. */
enum addcow_status addcow_io_close(struct addcow_io *io, struct addcow_error *error);

/* Reads or writes all of [offset, offset + size). A file that ends before is an ADDCOW_IO error, never zeros. */
enum addcow_status addcow_io_read(const struct addcow_io *io, void *buffer, uint64_t size, uint64_t offset,
                                  struct addcow_error *error);
enum addcow_status addcow_io_write(const struct addcow_io *io, const void *buffer, uint64_t size, uint64_t offset,
                                   struct addcow_error *error);

/*
 * Makes [offset, offset + size), which lies within the file, read as zeros: punches, or writes zeros where that is not
 * possible. It punches holes too: one that was made before a sync that failed may be gone after a crash (DUR-06).
 */
enum addcow_status addcow_io_zero(const struct addcow_io *io, uint64_t size, uint64_t offset,
                                  struct addcow_error *error);

/* Frees the storage under [offset, offset + size), whose content nobody needs any more, if that is possible. */
enum addcow_status addcow_io_free(const struct addcow_io *io, uint64_t size, uint64_t offset,
                                  struct addcow_error *error);

/*
 * How many of the first of `size` bytes, in whole blocks or up to the end, are all zeros, or are in blocks that are
 * not. *zeros says which. size > 0.
 */
uint64_t addcow_zero_run(const uint8_t *bytes, uint64_t size, uint64_t block, bool *zeros);

/*
 * addcow_io_write for bytes that nobody reads or writes meanwhile: zeros in a hole stay one, and many of them become
 * one if possible.
 */
enum addcow_status addcow_io_write_sparse(const struct addcow_io *io, const uint8_t *bytes, uint64_t size,
                                          uint64_t offset, struct addcow_error *error);

/*
 * Where the first piece of at most 1 MiB in [offset, end) of a file begins that holds anything but zeros; `end` if none
 * does. Holes are not read.
 */
enum addcow_status addcow_io_find_data(const struct addcow_io *io, uint64_t offset, uint64_t end, uint64_t *data,
                                       struct addcow_error *error);

/* The end of the hole that begins at `offset`; `offset` itself if there is none or the storage cannot tell. */
uint64_t addcow_io_hole_end(const struct addcow_io *io, uint64_t offset);

/* The end of the data that begins at `offset`; UINT64_MAX if the storage cannot tell. */
uint64_t addcow_io_data_end(const struct addcow_io *io, uint64_t offset);

/* What can be shared begins and ends at multiples of this: the block of most file systems, and the least cluster. */
#define ADDCOW_SHARE_BLOCK 4096u

/*
 * Gives `io` the bytes of another file in [offset, offset + size), which both contain, by sharing their storage. Both
 * numbers are multiples of ADDCOW_SHARE_BLOCK. False: not possible there; the range may hold anything then.
 */
bool addcow_io_share(const struct addcow_io *io, const struct addcow_io *source, uint64_t size, uint64_t offset);

enum addcow_status addcow_io_sync(const struct addcow_io *io, struct addcow_error *error);

/*
 * For long work that writes a file in order, and has written [start, end) now: lets the storage begin to make durable
 * what it has not begun yet, in pieces that are worth it.
 */
void addcow_io_begin_sync(const struct addcow_io *io, uint64_t start, uint64_t end);

enum addcow_status addcow_io_length(const struct addcow_io *io, uint64_t *length, struct addcow_error *error);
enum addcow_status addcow_io_truncate(const struct addcow_io *io, uint64_t length, struct addcow_error *error);

/*
 * Gives a new file of `length` zeros the storage that it needs: reserves it, or writes the zeros if `full` is set or
 * the storage reserves none.
 */
enum addcow_status addcow_io_preallocate(const struct addcow_io *io, uint64_t length, bool full,
                                         struct addcow_error *error);

/* Fails as addcow_io_truncate would, if the storage can tell that the file cannot become that long. Changes nothing. */
enum addcow_status addcow_io_may_grow(const struct addcow_io *io, uint64_t length, struct addcow_error *error);

/* Takes the lock of LCK-01, or changes the kind of the one that this file holds. ADDCOW_BUSY: in conflict with another.
 */
enum addcow_status addcow_io_lock(const struct addcow_io *io, bool exclusive, struct addcow_error *error);

/* The same for an image or raw backing file (LCK-05), in its own way. */
enum addcow_status addcow_io_lock_data(const struct addcow_io *io, bool exclusive, struct addcow_error *error);

/* The same for one that has just been opened: ADDCOW_BUSY also if it has lost its name meanwhile (LCK-04). */
enum addcow_status addcow_io_hold_data(struct addcow_storage *storage, const struct addcow_io *io, bool exclusive,
                                       struct addcow_error *error);

/* Whether two opened files are one by identity (LNK-07). */
enum addcow_status addcow_io_same(const struct addcow_io *a, const struct addcow_io *b, bool *same,
                                  struct addcow_error *error);

/*
 * Whether `path` is a name of the opened file. Between opening a file and locking it, somebody may have given its name
 * to another one: then the lock protects a file that nobody else will find.
 */
enum addcow_status addcow_io_named(struct addcow_storage *storage, const struct addcow_io *io, const char *path,
                                   bool *named, struct addcow_error *error);

/* The files of a disk and of all levels below it, to find one that occurs twice (LNK-07). Starts all zero. */
struct addcow_identities {
    size_t count;
    struct addcow_identity list[2 * ADDCOW_CHAIN_MAX + 1];
};

/* Adds an opened file; ADDCOW_UNLINKABLE if it is there already. */
enum addcow_status addcow_identities_add(struct addcow_identities *identities, const struct addcow_io *io,
                                         struct addcow_error *error);

/* Opens a disk that lies below the files `above`, none of which may occur in it: for reading, and without its backing
 * file. */
enum addcow_status addcow_open_below(const char *path, const struct addcow_identities *above,
                                     struct addcow_storage *storage, struct addcow **disk, struct addcow_error *error);

/* ---- Metadata files ---- */

/* The first bytes of a metadata file: enough for addcow_decode and addcow_header_rule_holds, whatever they are. */
struct addcow_header_bytes {
    uint8_t *data;        /* owned */
    uint64_t count;       /* min(file_length, 2 MiB) at most */
    uint64_t file_length; /* of the whole metadata file */
};

/* On success the caller frees bytes->data. */
enum addcow_status addcow_header_read(const struct addcow_io *io, struct addcow_header_bytes *bytes,
                                      struct addcow_error *error);

/* A valid header with its names as strings. All zero: empty. */
struct addcow_metadata {
    struct addcow_header header;
    uint64_t file_length;
    char *image_name;   /* as the header spells it */
    char *image_path;   /* resolved (LNK-01) */
    char *backing_name; /* null without a backing file */
    char *backing_path;
};

/*
 * Decodes the header of the opened metadata file io, from its bytes, and resolves its names. Refuses a broken rule of
 * section 2, LNK-02, LNK-03, LNK-04. On success the caller calls addcow_metadata_free.
 */
enum addcow_status addcow_metadata_decode(const struct addcow_io *io, const struct addcow_header_bytes *bytes,
                                          struct addcow_metadata *metadata, struct addcow_error *error);

/* addcow_header_read and addcow_metadata_decode in one. */
enum addcow_status addcow_metadata_load(const struct addcow_io *io, struct addcow_metadata *metadata,
                                        struct addcow_error *error);

void addcow_metadata_free(struct addcow_metadata *metadata);

/* The length of the longest image that the bitmap covers (BMP-03). */
uint64_t addcow_metadata_covered(const struct addcow_metadata *metadata);

/* The rules that need the image's length: VRT-01, BMP-03. `path` is the metadata file's, for the message. */
enum addcow_status addcow_metadata_check_lengths(const struct addcow_metadata *metadata, const char *path,
                                                 uint64_t image_length, struct addcow_error *error);

/*
 * The path of the file that a metadata file at `metadata_path` calls `name` (LNK-01). The caller frees it; null if
 * there is no memory.
 */
char *addcow_resolve(const char *metadata_path, const char *name);

#endif
