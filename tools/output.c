/*
 * The output of `read`.
 *
 * It is checked to the end: it is synced and closed, and each of these can fail, as the data may only then meet a full
 * or broken storage. A pipe or a terminal cannot be synced, and that is no failure. The name of a new file is synced,
 * too.
 *
 * A file that is made and a block device are files of the engine's storage. So --direct is true of them as well, and a
 * device is written to only if nobody uses it: no mounted file system, no other program that locks it as QEMU does, and
 * not the disk itself, whose image or backing file it may be.
 */
#include "output.h"

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u /* runs of zeros of this size become holes of an output file */

static int complain_output(const struct output *out, int errnum)
{
    return complain("%s: %s", out->name, strerror(errnum));
}

/* ---- Opening ---- */

/* Standard output is sparse if it is a file and stands at its end: then nothing is there that a hole would leave. */
static void use_standard_output(uint64_t length, struct output *out)
{
    struct stat status;
    out->descriptor = STDOUT_FILENO;
    out->name = "standard output";
    off_t position = lseek(STDOUT_FILENO, 0, SEEK_CUR);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    out->sparse = position >= 0 && flags >= 0 && !(flags & O_APPEND) && fstat(STDOUT_FILENO, &status) == 0 &&
                  S_ISREG(status.st_mode) && position >= status.st_size;
    out->end = out->sparse ? (uint64_t)position + length : 0;
}

static int bypass_cache(struct output *out)
{
    int result = direct ? out->file->ops->bypass_cache(out->file) : 0;
    if (result == -EOPNOTSUPP) {
        return complain("%s: cannot be written without the cache of the system (%s)", out->name,
                        addcow_status_name(ADDCOW_UNSUPPORTED));
    }
    return result < 0 ? complain_output(out, -result) : EXIT_OK;
}

/* A new file gets its length first: if that is impossible, nothing has been read in vain. */
static int prepare_file(struct output *out, uint64_t length)
{
    int result;
    do {
        result = out->file->ops->truncate(out->file, length);
    } while (result == -EINTR);
    return result < 0 ? complain_output(out, -result) : bypass_cache(out);
}

static int prepare_device(struct output *out, uint64_t length)
{
    uint64_t room = 0;
    int result = out->file->ops->lock_data(out->file, 1);
    if (result == -EAGAIN) {
        return complain("%s: is in use elsewhere (%s, LCK-05)", out->name, addcow_status_name(ADDCOW_BUSY));
    }
    if (result == 0) {
        result = out->file->ops->length(out->file, &room);
    }
    if (result < 0) {
        return complain_output(out, -result);
    }
    if (room < length) {
        return complain("%s: has %" PRIu64 " bytes, and %" PRIu64 " are needed (%s)", out->name, room, length,
                        addcow_status_name(ADDCOW_NOSPACE));
    }
    return bypass_cache(out);
}

/* What exists already: a device, a pipe. A regular file could be the image of the disk that is read. */
static int open_existing(struct output *out, uint64_t length)
{
    struct stat status;
    if (stat(out->name, &status) != 0 || S_ISREG(status.st_mode)) {
        return complain("%s: exists and is not overwritten", out->name);
    }
    if (S_ISBLK(status.st_mode)) {
        struct addcow_storage *storage = locking_storage();
        int result = storage->ops->open(storage, out->name, ADDCOW_FILE_READWRITE, &out->file);
        return result < 0 ? complain_output(out, -result) : prepare_device(out, length);
    }
    out->descriptor = open(out->name, O_WRONLY | O_CLOEXEC);
    return out->descriptor < 0 ? complain_output(out, errno) : EXIT_OK;
}

int output_open(struct output *out, const char *path, uint64_t length)
{
    *out = (struct output){.name = path, .descriptor = -1};
    if (!path) {
        use_standard_output(length, out);
        return EXIT_OK;
    }
    /* From before it is made, so that a signal cannot leave a part of it behind. */
    signals_catch();
    struct addcow_storage *storage = locking_storage();
    int result = storage->ops->open(storage, path, ADDCOW_FILE_CREATE, &out->file);
    out->made = out->sparse = result == 0;
    if (out->made) {
        return prepare_file(out, length);
    }
    signals_release();
    return result == -EEXIST ? open_existing(out, length) : complain_output(out, -result);
}

/* ---- Writing ---- */

static ssize_t put_some(const struct output *out, const uint8_t *bytes, size_t count)
{
    if (out->file) {
        return out->file->ops->pwrite(out->file, bytes, count, out->position);
    }
    ssize_t put = write(out->descriptor, bytes, count);
    return put < 0 ? -errno : put;
}

static int put_all(struct output *out, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = put_some(out, bytes, count);
        if (put == -EINTR) {
            continue;
        }
        if (put <= 0) {
            return complain_output(out, put < 0 ? (int)-put : EIO);
        }
        bytes += put;
        count -= (size_t)put;
        out->position += (uint64_t)put;
    }
    return EXIT_OK;
}

int output_hole(struct output *out, uint64_t count)
{
    if (!out->file && lseek(out->descriptor, (off_t)count, SEEK_CUR) < 0) {
        return complain_output(out, errno);
    }
    out->position += count;
    return EXIT_OK;
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* The end of the block that begins at `at`. */
static size_t block_end(size_t at, size_t count)
{
    return count - at < BLOCK ? count : at + BLOCK;
}

int output_put(struct output *out, const uint8_t *bytes, size_t count)
{
    if (!out->sparse) {
        return put_all(out, bytes, count);
    }
    int code = EXIT_OK;
    for (size_t at = 0; at < count && code == EXIT_OK;) {
        size_t end = block_end(at, count);
        bool hole = all_zero(bytes + at, end - at);
        while (end < count && all_zero(bytes + end, block_end(end, count) - end) == hole) {
            end = block_end(end, count);
        }
        code = hole ? output_hole(out, end - at) : put_all(out, bytes + at, end - at);
        at = end;
    }
    return code;
}

/* ---- Closing ---- */

static bool cannot_be_synced(int errnum)
{
    return errnum == EINVAL || errnum == EACCES || errnum == EPERM || errnum == EROFS || errnum == ENOSYS ||
           errnum == ENOTSUP || errnum == EOPNOTSUPP;
}

/* Returns 0, or a negative errno: the data may not have arrived. */
static int sync_descriptor(int descriptor)
{
    int result;
    do {
        result = fsync(descriptor);
    } while (result != 0 && errno == EINTR);
    return result == 0 || cannot_be_synced(errno) ? 0 : -errno;
}

/* The same for the name of a file, which is in its directory. */
static int sync_name(const char *path)
{
    char *copy = strdup(path);
    if (!copy) {
        return -ENOMEM;
    }
    int descriptor = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = descriptor < 0 ? -errno : sync_descriptor(descriptor);
    if (descriptor >= 0) {
        close(descriptor);
    }
    free(copy);
    return cannot_be_synced(-result) ? 0 : result;
}

static int sync_file(const struct output *out)
{
    int result;
    do {
        result = out->file->ops->sync(out->file);
    } while (result == -EINTR);
    result = cannot_be_synced(-result) ? 0 : result;
    return result == 0 && out->made ? sync_name(out->name) : result;
}

/* The last hole has nothing behind it, so it needs the length, and the next writer of the descriptor the position. */
static bool end_holes(const struct output *out)
{
    return !out->sparse ||
           (ftruncate(out->descriptor, (off_t)out->end) == 0 && lseek(out->descriptor, (off_t)out->end, SEEK_SET) >= 0);
}

/* Returns 0 or a negative errno. */
static int complete(const struct output *out)
{
    if (out->file) {
        return sync_file(out);
    }
    return end_holes(out) ? sync_descriptor(out->descriptor) : -errno;
}

static int close_file(const struct output *out)
{
    if (out->file) {
        return out->file->ops->close(out->file);
    }
    /* Interrupted, it is closed all the same. */
    return out->descriptor != STDOUT_FILENO && close(out->descriptor) != 0 && errno != EINTR ? -errno : 0;
}

int output_close(struct output *out, int code)
{
    if (!out->file && out->descriptor < 0) {
        return code;
    }
    int result = code == EXIT_OK ? complete(out) : 0;
    int closed = close_file(out);
    result = result < 0 ? result : closed;
    if (code == EXIT_OK && result < 0) {
        code = complain_output(out, -result);
    }
    if (code != EXIT_OK && out->made) {
        unlink(out->name);
    }
    return code;
}
