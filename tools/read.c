/*
 * read: copies a range of the disk to a file, a pipe or a device.
 *
 * Data passes in chunks through one buffer, so that a disk or a pipe may be of any length. What the disk knows to be
 * zeros, because no file holds it or the file has a hole there, is not read. In a file that can have holes, zeros
 * become holes.
 *
 * The output is checked to the end: it is synced and closed, and each of these can fail, as the data may only then meet
 * a full or broken storage. A pipe or a terminal cannot be synced, and that is no failure.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u /* runs of zeros of this size become holes of an output file */

struct output {
    int descriptor;
    const char *name;
    bool made;    /* a regular file that this command has made: removed after a failure */
    bool sparse;  /* a regular file, of which everything from the position on is to be written: zeros become holes */
    uint64_t end; /* sparse: the length that it has to have in the end */
};

static struct {
    const char *output; /* null: standard output */
} read_options;

static const struct command_option read_table[] = {
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    {0, "direct", OPTION_SWITCH, &direct},
    {'o', NULL, OPTION_PATH, &read_options.output},
    OPTIONS_END,
};

static int complain_output(const struct output *out)
{
    return complain("%s: %s", out->name, strerror(errno));
}

static int complain_stopped(const char *path)
{
    return complain("%s: interrupted", path);
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static int put_all(const struct output *out, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = write(out->descriptor, bytes, count);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return complain_output(out);
        }
        bytes += put;
        count -= (size_t)put;
    }
    return EXIT_OK;
}

static int put_hole(const struct output *out, uint64_t count)
{
    return lseek(out->descriptor, (off_t)count, SEEK_CUR) < 0 ? complain_output(out) : EXIT_OK;
}

/* Writes a chunk; in a sparse file, blocks of zeros are left as holes. */
static int put_chunk(const struct output *out, const uint8_t *bytes, size_t count)
{
    if (!out->sparse) {
        return put_all(out, bytes, count);
    }
    int code = EXIT_OK;
    for (size_t at = 0; at < count && code == EXIT_OK;) {
        size_t part = count - at < BLOCK ? count - at : BLOCK;
        bool hole = all_zero(bytes + at, part);
        size_t end = at + part;
        while (end < count && all_zero(bytes + end, count - end < BLOCK ? count - end : BLOCK) == hole) {
            end += count - end < BLOCK ? count - end : BLOCK;
        }
        code = hole ? put_hole(out, end - at) : put_all(out, bytes + at, end - at);
        at = end;
    }
    return code;
}

/* ---- The output ---- */

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

/*
 * Opens the output of `read`. A regular file is created. One that exists is never overwritten: it could be the image of
 * the disk that is read.
 */
static int open_output(const char *path, uint64_t length, struct output *out)
{
    *out = (struct output){.name = path, .end = length};
    if (!path) {
        use_standard_output(length, out);
        return EXIT_OK;
    }
    /* From before it is made, so that a signal cannot leave a part of it behind. */
    signals_catch();
    out->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    out->made = out->descriptor >= 0;
    out->sparse = out->made;
    if (out->made) {
        return EXIT_OK;
    }
    int errnum = errno;
    signals_release();
    if (errnum != EEXIST) {
        return complain("%s: %s", path, strerror(errnum));
    }
    struct stat status;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) {
        return complain("%s: exists and is not overwritten", path);
    }
    out->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    return out->descriptor >= 0 ? EXIT_OK : complain_output(out);
}

/* False, and errno: the data may not have arrived. */
static bool sync_output(const struct output *out)
{
    int result;
    do {
        result = fsync(out->descriptor);
    } while (result != 0 && errno == EINTR);
    return result == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP || errno == EOPNOTSUPP;
}

/* The last hole has nothing behind it, so it needs the length, and the next writer of the descriptor the position. */
static bool end_holes(const struct output *out)
{
    return !out->sparse ||
           (ftruncate(out->descriptor, (off_t)out->end) == 0 && lseek(out->descriptor, (off_t)out->end, SEEK_SET) >= 0);
}

/* Completes the output, syncs it and closes it; standard output is closed by main. Removes what a failed read made. */
static int close_output(struct output *out, int code)
{
    if (out->descriptor < 0) {
        return code;
    }
    if (code == EXIT_OK && !(end_holes(out) && sync_output(out))) {
        code = complain_output(out);
    }
    if (out->descriptor != STDOUT_FILENO && close(out->descriptor) != 0 && code == EXIT_OK) {
        code = complain_output(out);
    }
    if (code != EXIT_OK && out->made) {
        unlink(out->name);
    }
    return code;
}

/* ---- Copying ---- */

enum addcow_status known_zeros(struct addcow *disk, uint64_t offset, uint64_t length, uint64_t *zeros,
                               struct addcow_error *error)
{
    struct addcow_extent extent = ADDCOW_EXTENT_INIT;
    enum addcow_status code = addcow_map_chain(disk, offset, length, &extent, error);
    if (code != ADDCOW_OK) {
        return code;
    }
    *zeros = extent.length;
    if (extent.present) {
        uint64_t hole = hole_end(extent.path, extent.file_offset) - extent.file_offset;
        *zeros = hole < extent.length ? hole : extent.length;
    }
    return ADDCOW_OK;
}

/* Copies some of `length` bytes from `offset` on; *done is how many. */
static int copy_some(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer, const struct output *out,
                     uint64_t *done)
{
    struct addcow_error error = ADDCOW_ERROR_INIT;
    uint64_t zeros = 0;
    *done = chunk_at(offset) < length ? chunk_at(offset) : length;
    if (known_zeros(disk, offset, length, &zeros, &error) != ADDCOW_OK) {
        return complain_error(&error);
    }
    if (zeros > 0 && out->sparse) {
        *done = zeros;
        return put_hole(out, zeros);
    }
    if (zeros > 0) {
        *done = zeros < *done ? zeros : *done;
        memset(buffer, 0, (size_t)*done);
        return put_all(out, buffer, (size_t)*done);
    }
    if (addcow_read(disk, offset, *done, buffer, &error) != ADDCOW_OK) {
        return signals_stopped() ? complain_stopped(out->name) : complain_error(&error);
    }
    return put_chunk(out, buffer, (size_t)*done);
}

static int copy_range(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer, const struct output *out)
{
    for (uint64_t position = 0; position < length;) {
        uint64_t part = 0;
        if (signals_stopped()) {
            return complain_stopped(out->name);
        }
        int code = copy_some(disk, offset + position, length - position, buffer, out, &part);
        if (code != EXIT_OK) {
            return code;
        }
        position += part;
        progress_answer(position, (struct size_value){.given = true, .bytes = length});
    }
    return EXIT_OK;
}

static int read_range(const char *path, struct addcow *disk, uint64_t offset, struct size_value asked)
{
    uint64_t size = addcow_size(disk);
    uint64_t rest = offset <= size ? size - offset : 0;
    uint64_t length = asked.given ? asked.bytes : rest;
    if (!within(offset, length, size)) {
        return complain_range(path, offset, length, size);
    }
    uint8_t *buffer = malloc(CHUNK);
    if (!buffer) {
        return complain("%s: %s", path, strerror(errno));
    }
    struct output out;
    int code = open_output(named_file(read_options.output), length, &out);
    if (code == EXIT_OK) {
        code = copy_range(disk, offset, length, buffer, &out);
    }
    code = close_output(&out, code);
    free(buffer);
    return code;
}

static int run_read(const struct operands *operands)
{
    struct size_value offset = {0};
    struct size_value length = {0};
    int code = parse_operand(operands, "read", 1, &offset);
    if (code == EXIT_OK) {
        code = parse_operand(operands, "read", 2, &length);
    }
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow *disk;
    code = open_disk(operands->item[0], ADDCOW_OPEN_READONLY, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    return close_disk(disk, read_range(operands->item[0], disk, offset.bytes, length));
}

const struct command command_read = {
    .name = "read",
    .options = read_table,
    .least_operands = 1,
    .most_operands = 3,
    .run = run_read,
    .help =
        "read [-U] [--direct] [-o OUT] FILE [OFFSET [LENGTH]]\n"
        "Copies LENGTH bytes of the disk from OFFSET on to standard output; without LENGTH, up to its end. What is\n"
        "written to a file or a device is on its storage when the command succeeds.\n\n"
        "  -U, --force-share  also while the disk is written to; the data may be of no one moment\n"
        "      --direct       read the image and the backing files without the cache of the system\n"
        "  -o OUT      create the file OUT instead, with holes where the disk is zero; - is standard output. A "
        "regular\n"
        "              file that exists is refused; a device or pipe is written to.\n"
        "  -h, --help  print this and exit\n",
};
