/*
 * Whole transfers on files, and the one place where errors get their status and message.
 *
 * A call of the storage table may transfer less than asked, and may be interrupted; the loops here continue until all
 * is done (ERR-04). A transfer that was cut inside a sector continues from the start of that sector, so that a sector
 * is not read or written in two pieces. A sector is atomic to the guest (CON-02): writing the rest of it later could
 * mix with a write of another request in between.
 */
#include "addcow_internal.h"
#include "addcow_transfer.h"
#include "addcow_platform.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Puts the end of a message that is too long into error->message, behind "...". The end tells what happened, the start
 * only repeats the directories of a path.
 */
static void keep_end(struct addcow_error *error, size_t length, const char *reason, const char *format,
                     va_list arguments)
{
    static const char mark[] = "...";
    const size_t room = sizeof error->message - 1;
    size_t reason_length = strlen(reason);
    size_t kept = room - (sizeof mark - 1) - reason_length; /* of the message */
    char *whole = malloc(length + 1);
    if (whole) {
        vsnprintf(whole, length + 1, format, arguments);
        memcpy(error->message, mark, sizeof mark - 1);
        memcpy(error->message + (sizeof mark - 1), whole + (length - kept), kept);
    } else {
        memcpy(error->message + kept, mark, sizeof mark - 1); /* the start has to do */
    }
    memcpy(error->message + room - reason_length, reason, reason_length + 1);
    free(whole);
}

enum addcow_status addcow_fail(struct addcow_error *error, enum addcow_status code, int errnum, const char *clause,
                               const char *format, ...)
{
    assert(code != ADDCOW_OK);
    if (!error) {
        return code;
    }
    struct addcow_error made = {.code = code, .errnum = errnum};
    snprintf(made.clause, sizeof made.clause, "%s", clause);
    char reason[160] = "";
    if (errnum != 0) {
        char buffer[128];
        snprintf(reason, sizeof reason, ": %s", addcow_platform_error_text(errnum, buffer, sizeof buffer));
    }
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(made.message, sizeof made.message, format, arguments);
    if (length >= 0 && (size_t)length + strlen(reason) < sizeof made.message) {
        memcpy(made.message + length, reason, strlen(reason) + 1);
    } else if (length >= 0) {
        keep_end(&made, (size_t)length, reason, format, again);
    }
    va_end(again);
    va_end(arguments);
    addcow_give_error(error, &made);
    return code;
}

enum addcow_status addcow_fail_memory(struct addcow_error *error, const char *path)
{
    return addcow_fail(error, ADDCOW_IO, ENOMEM, "", "%s", path);
}

/* ERR-05 */
static enum addcow_status storage_class(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT ? ADDCOW_NOSPACE : ADDCOW_IO;
}

static const char *storage_clause(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT ? "ERR-05" : "";
}

static enum addcow_status fail_file(struct addcow_error *error, const struct addcow_io *io, const char *action,
                                    int errnum)
{
    return addcow_fail(error, storage_class(errnum), errnum, storage_clause(errnum), "%s: %s failed", io->path, action);
}

static enum addcow_status fail_at(struct addcow_error *error, const struct addcow_io *io, const char *action,
                                  uint64_t offset, int errnum)
{
    return addcow_fail(error, storage_class(errnum), errnum, storage_clause(errnum), "%s: at %" PRIu64 ": %s failed",
                       io->path, offset, action);
}

/* ---- Opening and closing ---- */

static int open_uninterrupted(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                              struct addcow_file **file)
{
    assert(storage->ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_storage_ops, rename));
    int result;
    do {
        result = storage->ops->open(storage, path, mode, file);
    } while (result == -EINTR);
    return result;
}

/* Whether a file that could not be opened for writing can be read (LNK-06). */
static bool readable(struct addcow_storage *storage, const char *path)
{
    struct addcow_file *file;
    if (open_uninterrupted(storage, path, ADDCOW_FILE_READ, &file) < 0) {
        return false;
    }
    file->ops->close(file);
    return true;
}

static enum addcow_status open_failure_class(struct addcow_storage *storage, const char *path,
                                             enum addcow_open_mode mode, int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL: /* from the storage table: not a regular file */
    case EISDIR:
    case ENXIO:
    case ENODEV:
        return ADDCOW_UNLINKABLE;
    case EEXIST:
        return ADDCOW_READONLY;
    case EBUSY: /* a device that the system itself uses */
        return ADDCOW_BUSY;
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        return mode == ADDCOW_FILE_READWRITE && readable(storage, path) ? ADDCOW_READONLY : ADDCOW_IO;
    default:
        return storage_class(errnum);
    }
}

enum addcow_status addcow_io_open(struct addcow_storage *storage, const char *path, enum addcow_open_mode mode,
                                  struct addcow_io *io, struct addcow_error *error)
{
    *io = (struct addcow_io){.path = strdup(path)};
    if (!io->path) {
        return addcow_fail_memory(error, path);
    }
    int result = open_uninterrupted(storage, path, mode, &io->file);
    if (result == 0) {
        assert(io->file->ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, close));
        return ADDCOW_OK;
    }
    free(io->path);
    *io = (struct addcow_io){0};
    int errnum = -result;
    enum addcow_status code = open_failure_class(storage, path, mode, errnum);
    if (errnum == EINVAL) {
        return addcow_fail(error, code, errnum, "LNK-06", "%s: is not a regular file", path);
    }
    return addcow_fail(error, code, errnum, "LNK-06", "%s: cannot open for %s", path,
                       mode == ADDCOW_FILE_READ ? "reading" : "writing");
}

enum addcow_status addcow_io_close(struct addcow_io *io, struct addcow_error *error)
{
    enum addcow_status code = ADDCOW_OK;
    if (io->file) {
        int result = io->file->ops->close(io->file);
        if (result < 0) {
            code = fail_file(error, io, "close", -result);
        }
    }
    free(io->path);
    *io = (struct addcow_io){0};
    return code;
}

/* ---- Transfers ---- */

enum addcow_status addcow_io_read(const struct addcow_io *io, void *buffer, uint64_t size, uint64_t offset,
                                  struct addcow_error *error)
{
    struct addcow_file *file = io->file;
    uint64_t end = offset + size;
    for (uint64_t position = offset; position < end;) {
        ssize_t count = file->ops->pread(file, (uint8_t *)buffer + (position - offset), chunk(position, end), position);
        if (count == -EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_at(error, io, "read", position, (int)-count);
        }
        if (count == 0) {
            return addcow_fail(error, ADDCOW_IO, 0, "ERR-04", "%s: at %" PRIu64 ": the file ends too early", io->path,
                               position);
        }
        position = advance(position, (uint64_t)count, end);
    }
    return ADDCOW_OK;
}

enum addcow_status addcow_io_write(const struct addcow_io *io, const void *buffer, uint64_t size, uint64_t offset,
                                   struct addcow_error *error)
{
    struct addcow_file *file = io->file;
    uint64_t end = offset + size;
    for (uint64_t position = offset; position < end;) {
        ssize_t count =
            file->ops->pwrite(file, (const uint8_t *)buffer + (position - offset), chunk(position, end), position);
        if (count == -EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_at(error, io, "write", position, (int)-count);
        }
        if (count == 0) {
            return fail_at(error, io, "write", position, EIO);
        }
        position = advance(position, (uint64_t)count, end);
    }
    return ADDCOW_OK;
}

/* ---- Zeros and holes ---- */

uint64_t addcow_io_hole_end(const struct addcow_io *io, uint64_t offset)
{
    const struct addcow_file_ops *ops = io->file->ops;
    uint64_t data;
    if (!ops->next_data || ops->next_data(io->file, offset, &data) < 0 || data < offset) {
        return offset;
    }
    return data;
}

enum addcow_status addcow_io_find_data(const struct addcow_io *io, uint64_t offset, uint64_t end, uint64_t *data,
                                       struct addcow_error *error)
{
    uint8_t *buffer = malloc(PIECE_BYTES);
    if (!buffer) {
        return addcow_fail_memory(error, io->path);
    }
    enum addcow_status code = ADDCOW_OK;
    *data = end;
    uint64_t at = addcow_io_hole_end(io, offset);
    while (at < end && *data == end && code == ADDCOW_OK) {
        uint64_t part = end - at < PIECE_BYTES ? end - at : PIECE_BYTES;
        code = addcow_io_read(io, buffer, part, at, error);
        if (code == ADDCOW_OK && !addcow_all_zero(buffer, part)) {
            *data = at;
        }
        at = addcow_io_hole_end(io, at + part);
    }
    free(buffer);
    return code;
}

uint64_t addcow_io_data_end(const struct addcow_io *io, uint64_t offset)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, next_hole) && ops->next_hole;
    uint64_t hole;
    if (!known || ops->next_hole(io->file, offset, &hole) < 0 || hole <= offset) {
        return UINT64_MAX;
    }
    return hole;
}

/*
 * Each write ends at a sector boundary: another request could write between two halves of a sector (CON-02). Holes stay
 * holes.
 */
static enum addcow_status write_zeros(const struct addcow_io *io, uint64_t size, uint64_t offset,
                                      struct addcow_error *error)
{
    static const uint8_t zeros[ZEROS_BYTES];
    uint64_t end = offset + size;
    for (uint64_t position = offset; position < end;) {
        uint64_t hole = addcow_io_hole_end(io, position);
        hole = hole < end ? hole - hole % ADDCOW_SECTOR : end;
        if (hole > position) {
            position = hole;
            continue;
        }
        uint64_t part = sizeof zeros - position % ADDCOW_SECTOR;
        if (part > end - position) {
            part = end - position;
        }
        enum addcow_status code = addcow_io_write(io, zeros, part, position, error);
        if (code != ADDCOW_OK) {
            return code;
        }
        position += part;
    }
    return ADDCOW_OK;
}

/* *refused: the storage cannot have holes there, and nothing is changed. */
static enum addcow_status punch(const struct addcow_io *io, uint64_t size, uint64_t offset, bool *refused,
                                struct addcow_error *error)
{
    int result;
    do {
        result = io->file->ops->punch(io->file, offset, size);
    } while (result == -EINTR);
    *refused = result == -EOPNOTSUPP;
    return result < 0 && !*refused ? fail_at(error, io, "punch", offset, -result) : ADDCOW_OK;
}

enum addcow_status addcow_io_zero(const struct addcow_io *io, uint64_t size, uint64_t offset,
                                  struct addcow_error *error)
{
    if (size == 0) {
        return ADDCOW_OK;
    }
    bool refused;
    enum addcow_status code = punch(io, size, offset, &refused, error);
    return refused ? write_zeros(io, size, offset, error) : code;
}

enum addcow_status addcow_io_free(const struct addcow_io *io, uint64_t size, uint64_t offset,
                                  struct addcow_error *error)
{
    bool refused;
    bool hole = addcow_io_hole_end(io, offset) >= offset + size;
    return hole ? ADDCOW_OK : punch(io, size, offset, &refused, error);
}

bool addcow_io_share(const struct addcow_io *io, const struct addcow_io *source, uint64_t size, uint64_t offset)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, share) && ops->share;
    int result;
    do {
        result = known ? ops->share(io->file, source->file, offset, size) : -EOPNOTSUPP;
    } while (result == -EINTR);
    return result == 0;
}

void addcow_io_begin_sync(const struct addcow_io *io, uint64_t start, uint64_t end)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, begin_sync) && ops->begin_sync;
    uint64_t from = start - start % BEGIN_SYNC_BYTES;
    uint64_t to = end - end % BEGIN_SYNC_BYTES;
    if (known && from < to) {
        ops->begin_sync(io->file, from, to - from);
    }
}

uint64_t addcow_zero_run(const uint8_t *bytes, uint64_t size, uint64_t block, bool *zeros)
{
    uint64_t end = 0;
    do {
        uint64_t part = size - end < block ? size - end : block;
        bool zero = addcow_all_zero(bytes + end, part);
        if (end == 0) {
            *zeros = zero;
        } else if (zero != *zeros) {
            break;
        }
        end += part;
    } while (end < size);
    return end;
}

enum addcow_status addcow_io_write_sparse(const struct addcow_io *io, const uint8_t *bytes, uint64_t size,
                                          uint64_t offset, struct addcow_error *error)
{
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t at = 0, run; at < size && code == ADDCOW_OK; at += run) {
        bool zeros = false;
        run = addcow_zero_run(bytes + at, size - at, ZERO_BLOCK, &zeros);
        bool hole =
            zeros && (run >= PUNCH_LEAST || run == size || addcow_io_hole_end(io, offset + at) >= offset + at + run);
        code = hole ? addcow_io_zero(io, run, offset + at, error)
                    : addcow_io_write(io, bytes + at, run, offset + at, error);
    }
    return code;
}

/* ---- The whole file ---- */

enum addcow_status addcow_io_sync(const struct addcow_io *io, struct addcow_error *error)
{
    int result;
    do {
        result = io->file->ops->sync(io->file);
    } while (result == -EINTR);
    return result < 0 ? fail_file(error, io, "sync", -result) : ADDCOW_OK;
}

enum addcow_status addcow_io_length(const struct addcow_io *io, uint64_t *length, struct addcow_error *error)
{
    int result;
    do {
        result = io->file->ops->length(io->file, length);
    } while (result == -EINTR);
    return result < 0 ? fail_file(error, io, "asking for the length", -result) : ADDCOW_OK;
}

/* RSZ-01 */
static enum addcow_status set_to(struct addcow_error *error, const struct addcow_io *io, uint64_t length, int result)
{
    if (result == -EOPNOTSUPP) {
        return addcow_fail(error, ADDCOW_UNSUPPORTED, 0, "RSZ-01", "%s: its length cannot be changed", io->path);
    }
    return result < 0 ? fail_at(error, io, "setting the length", length, -result) : ADDCOW_OK;
}

enum addcow_status addcow_io_truncate(const struct addcow_io *io, uint64_t length, struct addcow_error *error)
{
    int result;
    do {
        result = io->file->ops->truncate(io->file, length);
    } while (result == -EINTR);
    return set_to(error, io, length, result);
}

/* Holes do not stay holes. */
static enum addcow_status fill_with_zeros(const struct addcow_io *io, uint64_t length, struct addcow_error *error)
{
    uint8_t *zeros = calloc(1, PIECE_BYTES);
    if (!zeros) {
        return addcow_fail_memory(error, io->path);
    }
    enum addcow_status code = ADDCOW_OK;
    for (uint64_t at = 0; at < length && code == ADDCOW_OK; at += PIECE_BYTES) {
        code = addcow_io_write(io, zeros, length - at < PIECE_BYTES ? length - at : PIECE_BYTES, at, error);
    }
    free(zeros);
    return code;
}

enum addcow_status addcow_io_preallocate(const struct addcow_io *io, uint64_t length, bool full,
                                         struct addcow_error *error)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, allocate) && ops->allocate;
    if (length == 0) {
        return ADDCOW_OK;
    }
    int result;
    do {
        result = known && !full ? ops->allocate(io->file, length) : -EOPNOTSUPP;
    } while (result == -EINTR);
    if (result == -EOPNOTSUPP) {
        return fill_with_zeros(io, length, error);
    }
    return result < 0 ? fail_file(error, io, "reserving storage", -result) : ADDCOW_OK;
}

enum addcow_status addcow_io_may_grow(const struct addcow_io *io, uint64_t length, struct addcow_error *error)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, may_grow) && ops->may_grow;
    int result = known ? ops->may_grow(io->file, length) : 0;
    return result == -EFBIG || result == -EOPNOTSUPP ? set_to(error, io, length, result) : ADDCOW_OK;
}

/* ---- Locks ---- */

static bool has_no_locks(int errnum)
{
    return errnum == ENOLCK || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == ENOTSUP || errnum == EINVAL;
}

static enum addcow_status lock(const struct addcow_io *io, int (*call)(struct addcow_file *file, int exclusive),
                               bool exclusive, const char *clause, struct addcow_error *error)
{
    int result;
    do {
        result = call(io->file, exclusive);
    } while (result == -EINTR);
    if (result == -EAGAIN) {
        return addcow_fail(error, ADDCOW_BUSY, EAGAIN, clause, "%s: is in use elsewhere", io->path);
    }
    if (has_no_locks(-result)) {
        return addcow_fail(error, ADDCOW_IO, -result, "LCK-07", "%s: its file system has no locks", io->path);
    }
    return result < 0 ? fail_file(error, io, "locking", -result) : ADDCOW_OK;
}

enum addcow_status addcow_io_lock(const struct addcow_io *io, bool exclusive, struct addcow_error *error)
{
    return lock(io, io->file->ops->lock, exclusive, "LCK-02", error);
}

enum addcow_status addcow_io_lock_data(const struct addcow_io *io, bool exclusive, struct addcow_error *error)
{
    const struct addcow_file_ops *ops = io->file->ops;
    bool known = ops->struct_size >= ADDCOW_SIZE_TO(struct addcow_file_ops, lock_data) && ops->lock_data;
    return known ? lock(io, ops->lock_data, exclusive, "LCK-05", error) : ADDCOW_OK;
}

enum addcow_status addcow_io_hold_data(struct addcow_storage *storage, const struct addcow_io *io, bool exclusive,
                                       struct addcow_error *error)
{
    bool named = false;
    enum addcow_status code = addcow_io_lock_data(io, exclusive, error);
    if (code == ADDCOW_OK) {
        code = addcow_io_named(storage, io, io->path, &named, error);
    }
    if (code == ADDCOW_OK && !named) {
        code = addcow_fail(error, ADDCOW_BUSY, 0, "LCK-04", "%s: was replaced by somebody else", io->path);
    }
    return code;
}

/* ---- Identity (LNK-07) ---- */

static enum addcow_status identity_of(const struct addcow_io *io, struct addcow_identity *identity,
                                      struct addcow_error *error)
{
    int result;
    do {
        result = io->file->ops->identity(io->file, identity);
    } while (result == -EINTR);
    return result < 0 ? fail_file(error, io, "asking for the identity", -result) : ADDCOW_OK;
}

static bool equal(const struct addcow_identity *a, const struct addcow_identity *b)
{
    return a->device == b->device && a->inode == b->inode;
}

enum addcow_status addcow_io_same(const struct addcow_io *a, const struct addcow_io *b, bool *same,
                                  struct addcow_error *error)
{
    struct addcow_identity identity_a, identity_b;
    enum addcow_status code = identity_of(a, &identity_a, error);
    if (code == ADDCOW_OK) {
        code = identity_of(b, &identity_b, error);
    }
    if (code == ADDCOW_OK) {
        *same = equal(&identity_a, &identity_b);
    }
    return code;
}

enum addcow_status addcow_io_named(struct addcow_storage *storage, const struct addcow_io *io, const char *path,
                                   bool *named, struct addcow_error *error)
{
    struct addcow_io found;
    enum addcow_status code = addcow_io_open(storage, path, ADDCOW_FILE_READ, &found, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    code = addcow_io_same(&found, io, named, error);
    enum addcow_status close_code = addcow_io_close(&found, code == ADDCOW_OK ? error : NULL);
    return code != ADDCOW_OK ? code : close_code;
}

enum addcow_status addcow_identities_add(struct addcow_identities *identities, const struct addcow_io *io,
                                         struct addcow_error *error)
{
    struct addcow_identity identity;
    enum addcow_status code = identity_of(io, &identity, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    for (size_t i = 0; i < identities->count; i++) {
        if (equal(&identities->list[i], &identity)) {
            return addcow_fail(error, ADDCOW_UNLINKABLE, 0, "LNK-07", "%s: the same file occurs twice in the disk",
                               io->path);
        }
    }
    assert(identities->count < sizeof identities->list / sizeof identities->list[0]);
    identities->list[identities->count++] = identity;
    return ADDCOW_OK;
}
