/*
 * Reading an add-cow disk or a raw file alike.
 */
#include "source.h"

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_raw(struct source *source)
{
    struct stat status;
    source->descriptor = open(source->path, O_RDONLY | O_CLOEXEC);
    if (source->descriptor < 0 || fstat(source->descriptor, &status) != 0) {
        int errnum = errno;
        source_close(source, EXIT_FAILED);
        return complain("%s: %s", source->path, strerror(errnum));
    }
    off_t end = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ? lseek(source->descriptor, 0, SEEK_END) : -1;
    if (end < 0) {
        source_close(source, EXIT_FAILED);
        return complain("%s: is no file or device that has a length", source->path);
    }
    source->size = (uint64_t)end;
    return EXIT_OK;
}

int source_open(struct source *source, const char *path, const char *format)
{
    *source = (struct source){.path = path, .descriptor = -1};
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
    if (source->descriptor >= 0) {
        close(source->descriptor);
    }
    *source = (struct source){.path = source->path, .descriptor = -1};
    return code;
}

/* The end of the hole at `offset`, which is below the size; `offset` if there may be data. */
static uint64_t raw_hole_end(const struct source *source, uint64_t offset)
{
    off_t data = lseek(source->descriptor, (off_t)offset, SEEK_DATA);
    if (data < 0) {
        return errno == ENXIO ? source->size : offset;
    }
    return (uint64_t)data < source->size ? (uint64_t)data : source->size;
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
        ssize_t got = pread(source->descriptor, buffer, (size_t)length, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return complain("%s: at %" PRIu64 ": %s", source->path, offset,
                            got < 0 ? strerror(errno) : "the file ends too early");
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
