/*
 * Reading an add-cow disk or a raw file alike.
 */
#include "source.h"

#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Says what a call on a raw file has failed with: a negative errno. */
static int complain_raw(struct source *source, int result)
{
    if (result == -EAGAIN) {
        complain("%s: is in use elsewhere (busy, LCK-05)", source->path);
    } else if (result == -EOPNOTSUPP) {
        complain("%s: cannot be read without the cache of the system (%s)", source->path,
                 addcow_status_name(ADDCOW_UNSUPPORTED));
    } else if (result == -EINVAL) {
        complain("%s: is no file or device that has a length", source->path);
    } else {
        complain("%s: %s", source->path, strerror(-result));
    }
    return source_close(source, EXIT_FAILED);
}

static int open_raw(struct source *source)
{
    struct addcow_storage *storage = locking_storage();
    int result;
    do {
        result = storage->ops->open(storage, source->path, ADDCOW_FILE_READ, &source->file);
    } while (result == -EINTR);
    if (result == 0) {
        result = source->file->ops->lock_data(source->file, 0);
    }
    if (result == 0 && direct) {
        result = source->file->ops->bypass_cache(source->file);
    }
    if (result == 0) {
        result = source->file->ops->length(source->file, &source->size);
    }
    return result == 0 ? EXIT_OK : complain_raw(source, result);
}

int source_open(struct source *source, const char *path, const char *format)
{
    *source = (struct source){.path = path};
    if (format && strcmp(format, "raw") == 0) {
        return open_raw(source);
    }
    if (format && strcmp(format, "add-cow") != 0) {
        return complain("%s: the format '%s' is neither raw nor add-cow", path, format);
    }
    int code = open_disk(path, ADDCOW_OPEN_READONLY, &source->disk);
    source->size = code == EXIT_OK ? addcow_size(source->disk) : 0;
    return code;
}

int source_close(struct source *source, int code)
{
    if (source->disk) {
        code = close_disk(source->disk, code);
    }
    if (source->file) {
        source->file->ops->close(source->file);
    }
    *source = (struct source){.path = source->path};
    return code;
}

/* The end of the hole at `offset`, which is below the size; `offset` if there may be data. */
static uint64_t raw_hole_end(const struct source *source, uint64_t offset)
{
    uint64_t data;
    if (source->file->ops->next_data(source->file, offset, &data) < 0 || data < offset) {
        return offset; /* or the file has been cut, which reading it will tell */
    }
    return data < source->size ? data : source->size;
}

uint64_t source_data_end(const struct source *source, uint64_t offset)
{
    uint64_t hole;
    bool known = source->file->ops->next_hole(source->file, offset, &hole) == 0 && hole > offset;
    return known ? hole : UINT64_MAX;
}

int source_zeros(const struct source *source, uint64_t offset, uint64_t length, uint64_t *zeros)
{
    *zeros = length;
    if (offset >= source->size) {
        return EXIT_OK;
    }
    uint64_t inside = source->size - offset < length ? source->size - offset : length;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (!source->disk) {
        uint64_t hole = raw_hole_end(source, offset) - offset;
        *zeros = hole < inside ? hole : inside;
    } else if (known_zeros(source->disk, offset, inside, zeros, &error) != ADDCOW_OK) {
        return complain_error(&error);
    }
    return EXIT_OK;
}

static int read_raw(const struct source *source, uint64_t offset, uint64_t length, uint8_t *buffer)
{
    while (length > 0) {
        ssize_t got = source->file->ops->pread(source->file, buffer, (size_t)length, offset);
        if (got == -EINTR) {
            continue;
        }
        if (got <= 0) {
            return complain("%s: at %" PRIu64 ": %s", source->path, offset,
                            got < 0 ? strerror((int)-got) : "the file ends too early");
        }
        buffer += got;
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return EXIT_OK;
}

int source_read(const struct source *source, uint64_t offset, uint64_t length, uint8_t *buffer)
{
    uint64_t rest = offset < source->size ? source->size - offset : 0;
    uint64_t part = length < rest ? length : rest;
    memset(buffer + part, 0, (size_t)(length - part));
    if (part == 0) {
        return EXIT_OK;
    }
    if (!source->disk) {
        return read_raw(source, offset, part, buffer);
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    return addcow_read(source->disk, offset, part, buffer, &error) == ADDCOW_OK ? EXIT_OK : complain_error(&error);
}
