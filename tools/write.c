/*
 * write: copies a file, a pipe or a device to the disk.
 *
 * Data passes in chunks through one buffer. Chunks after the first begin at multiples of the buffer's size, which is a
 * multiple of every cluster size: each cluster is then written whole, in one piece. Holes of an input file are not
 * read: the disk gets zeros there, which take no storage where the image can have holes.
 *
 * A failure says how much of the input is on the disk. A write of the engine that fails may have written any part of
 * its range, so then there are two limits.
 */
#include "command.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u /* of the disk: data and zeros meet at a multiple of it */

struct input {
    const char *name;
    struct source source; /* a regular file or block device that was named: locked, and open as --direct says */
    uint64_t position;    /* in it, bytes */
    int descriptor;       /* else: of standard input, a pipe or another device */
    bool regular;         /* the descriptor is that of a regular file, which may have holes */
};

/* How far the copy has come. */
struct copy {
    struct addcow *disk;
    struct input *in;
    uint8_t *buffer; /* CHUNK bytes */
    uint64_t begin;  /* where the first byte of the input goes */
    uint64_t offset; /* everything before is on the disk */
    uint64_t most;   /* everything from here on is as it was */
    bool more;       /* the input may hold more */
};

static struct {
    const char *input; /* null: standard input */
    bool detect_zeroes;
    bool quiet; /* accepted, as there is nothing to keep quiet about */
} write_options;

static const struct command_option write_table[] = {
    {'i', NULL, OPTION_PATH, &write_options.input},
    {0, "direct", OPTION_SWITCH, &direct},
    {0, "detect-zeroes", OPTION_SWITCH, &write_options.detect_zeroes},
    {'q', "quiet", OPTION_SWITCH, &write_options.quiet},
    OPTIONS_END,
};

/* ---- The input ---- */

/* The bytes that are left in `in`; not given: only reading them will tell. */
static struct size_value input_length(const struct input *in)
{
    struct stat status;
    if (in->source.file) {
        return (struct size_value){.given = true, .bytes = in->source.size};
    }
    off_t position = lseek(in->descriptor, 0, SEEK_CUR);
    if (!in->regular || position < 0 || fstat(in->descriptor, &status) != 0) {
        return (struct size_value){0};
    }
    uint64_t rest = status.st_size > position ? (uint64_t)(status.st_size - position) : 0;
    return (struct size_value){.given = true, .bytes = rest};
}

static int open_input(const char *path, struct input *in)
{
    struct stat status;
    *in = (struct input){.name = path ? path : "standard input", .descriptor = STDIN_FILENO};
    if (path && stat(path, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
        return source_open(&in->source, path, "raw");
    }
    if (path) {
        in->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (in->descriptor < 0) {
        return complain("%s: %s", path, strerror(errno));
    }
    in->regular = fstat(in->descriptor, &status) == 0 && S_ISREG(status.st_mode);
    return EXIT_OK;
}

static int close_input(struct input *in, int code)
{
    if (in->descriptor != STDIN_FILENO) {
        close(in->descriptor);
    }
    return in->source.file ? source_close(&in->source, code) : code;
}

/* Fills *error with a failure that is not the engine's, and returns its class. */
static enum addcow_status fail_input(struct addcow_error *error, enum addcow_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum addcow_status fail_input(struct addcow_error *error, enum addcow_status code, const char *format, ...)
{
    *error = (struct addcow_error)ADDCOW_ERROR_INIT;
    error->code = code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return code;
}

/* Like read(), but with a negative errno. A file whose length was known is not shorter by now. */
static ssize_t read_some(struct input *in, uint8_t *bytes, size_t count)
{
    const struct source *source = &in->source;
    if (!source->file) {
        ssize_t got = read(in->descriptor, bytes, count);
        return got < 0 ? -errno : got;
    }
    uint64_t rest = source->size - in->position;
    size_t part = count < rest ? count : (size_t)rest;
    ssize_t got = part > 0 ? source->file->ops->pread(source->file, bytes, part, in->position) : 0;
    if (got > 0) {
        in->position += (uint64_t)got;
    }
    return got == 0 && part > 0 ? -EIO : got;
}

/* Reads until `count` bytes or the end of the input; *got tells how far that came, also after a failure. */
static enum addcow_status get_chunk(struct input *in, uint8_t *bytes, size_t count, size_t *got,
                                    struct addcow_error *error)
{
    *got = 0;
    while (*got < count) {
        ssize_t part = read_some(in, bytes + *got, count - *got);
        if (part == -EINTR) {
            continue;
        }
        if (part < 0) {
            return fail_input(error, ADDCOW_IO, "%s: %s", in->name, strerror((int)-part));
        }
        if (part == 0) {
            break;
        }
        *got += (size_t)part;
    }
    return ADDCOW_OK;
}

/* find_hole of a file that was named. */
static uint64_t find_source_hole(const struct input *in, uint64_t *data)
{
    uint64_t hole = 0;
    *data = UINT64_MAX;
    if (in->position < in->source.size && source_zeros(&in->source, in->position, UINT64_MAX, &hole) == EXIT_OK &&
        hole == 0) {
        uint64_t end = source_data_end(&in->source, in->position);
        *data = end == UINT64_MAX ? end : end - in->position;
    }
    return hole;
}

/*
 * The length of the hole in which the input stands, or 0; *data is how far the data goes otherwise, UINT64_MAX if that
 * is not known. The position stays. A file system that cannot tell has only data.
 */
static uint64_t find_hole(const struct input *in, uint64_t *data)
{
    if (in->source.file) {
        return find_source_hole(in, data);
    }
    *data = UINT64_MAX;
    off_t position = in->regular ? lseek(in->descriptor, 0, SEEK_CUR) : -1;
    if (position < 0) {
        return 0;
    }
    struct stat status;
    off_t end = lseek(in->descriptor, position, SEEK_DATA);
    if (end < 0 && errno == ENXIO && fstat(in->descriptor, &status) == 0) {
        end = status.st_size; /* only a hole, or nothing at all, is left */
    }
    off_t hole = end == position ? lseek(in->descriptor, position, SEEK_HOLE) : -1;
    if (hole > position) {
        *data = (uint64_t)(hole - position);
    }
    bool back = lseek(in->descriptor, position, SEEK_SET) == position;
    return back && end > position ? (uint64_t)(end - position) : 0;
}

/* ---- Copying ---- */

static enum addcow_status fail_past_end(const struct copy *copy, struct addcow_error *error)
{
    return fail_input(error, ADDCOW_RANGE, "%s: the input goes past the end of the disk (%" PRIu64 " bytes)",
                      copy->in->name, addcow_size(copy->disk));
}

/* Puts `count` bytes (zeros if `bytes` is null) on the disk, as far as it reaches. */
static enum addcow_status put(struct copy *copy, const uint8_t *bytes, uint64_t count, struct addcow_error *error)
{
    uint64_t rest = addcow_size(copy->disk) - copy->offset;
    uint64_t part = count < rest ? count : rest;
    struct addcow_error failure = ADDCOW_ERROR_INIT;
    enum addcow_status code = ADDCOW_OK;
    if (part > 0) {
        code = bytes ? addcow_write(copy->disk, copy->offset, part, bytes, &failure)
                     : addcow_zero(copy->disk, copy->offset, part, &failure);
    }
    if (code != ADDCOW_OK) {
        copy->most = copy->offset + part;
        *error = failure;
        return code;
    }
    copy->offset += part;
    copy->most = copy->offset;
    return part < count ? fail_past_end(copy, error) : ADDCOW_OK;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* The end, in a chunk of `count` bytes that begins at `offset` of the disk, of the block in which `at` lies. */
static size_t block_end(uint64_t offset, size_t at, size_t count)
{
    size_t rest = BLOCK - (size_t)((offset + at) % BLOCK);
    return count - at < rest ? count : at + rest;
}

/* Puts data on the disk, runs of whole blocks of zeros as zeros. */
static enum addcow_status put_detecting(struct copy *copy, size_t count, struct addcow_error *error)
{
    enum addcow_status code = ADDCOW_OK;
    const uint8_t *bytes = copy->buffer;
    uint64_t start = copy->offset;
    for (size_t at = 0; at < count && code == ADDCOW_OK;) {
        size_t end = block_end(start, at, count);
        bool zero = is_zero(bytes + at, end - at);
        while (end < count && is_zero(bytes + end, block_end(start, end, count) - end) == zero) {
            end = block_end(start, end, count);
        }
        code = put(copy, zero ? NULL : bytes + at, end - at, error);
        at = end;
    }
    return code;
}

/* A hole of the input becomes zeros of the disk. */
static enum addcow_status copy_hole(struct copy *copy, uint64_t length, struct addcow_error *error)
{
    copy->in->position += length;
    if (!copy->in->source.file && lseek(copy->in->descriptor, (off_t)length, SEEK_CUR) < 0) {
        return fail_input(error, ADDCOW_IO, "%s: %s", copy->in->name, strerror(errno));
    }
    return put(copy, NULL, length, error);
}

/* Copies at most `data` bytes, up to the end of the chunk. What was read before a failure of the input is written. */
static enum addcow_status copy_data(struct copy *copy, uint64_t data, struct addcow_error *error)
{
    uint64_t wanted = chunk_at(copy->offset) < data ? chunk_at(copy->offset) : data;
    size_t got;
    struct addcow_error failure = ADDCOW_ERROR_INIT;
    enum addcow_status input = get_chunk(copy->in, copy->buffer, (size_t)wanted, &got, &failure);
    enum addcow_status code =
        write_options.detect_zeroes ? put_detecting(copy, got, error) : put(copy, copy->buffer, got, error);
    copy->more = got == wanted;
    if (code == ADDCOW_OK && input != ADDCOW_OK) {
        *error = failure;
        code = input;
    }
    return code;
}

/*
 * Data and holes of the input meet anywhere, and each is a request of its own. Within a sector of the disk that would
 * leave it half old and half new, if the command fails or dies between the two. So a hole begins and ends with a block
 * of the disk; the rest of it counts as data.
 */
static enum addcow_status copy_some(struct copy *copy, struct addcow_error *error)
{
    uint64_t data;
    uint64_t hole = find_hole(copy->in, &data);
    uint64_t rest = BLOCK - copy->offset % BLOCK; /* of this block */
    if (hole >= rest) {
        return copy_hole(copy, hole - (copy->offset + hole) % BLOCK, error);
    }
    if (hole > 0) {
        data = rest;
    } else if (data < UINT64_MAX - BLOCK) {
        data += (BLOCK - (copy->offset + data) % BLOCK) % BLOCK;
    }
    return copy_data(copy, data, error);
}

/* Says why the copy failed, and how much of the input is on the disk by now. */
static int complain_copy(const struct copy *copy, const struct addcow_error *error)
{
    uint64_t least = copy->offset - copy->begin;
    uint64_t most = copy->most - copy->begin;
    char written[128];
    if (addcow_flush(copy->disk, NULL) != ADDCOW_OK) {
        snprintf(written, sizeof(written), "; at most the first %" PRIu64 " bytes were written, and may not last",
                 most);
    } else if (least < most) {
        snprintf(written, sizeof(written),
                 "; at least the first %" PRIu64 " and at most %" PRIu64 " bytes were written", least, most);
    } else {
        snprintf(written, sizeof(written), "; the first %" PRIu64 " bytes were written", least);
    }
    return complain_error_and(error, written);
}

/* Copies the input to the disk until it ends. */
static int copy_input(struct addcow *disk, uint64_t offset, struct input *in, struct size_value length)
{
    struct copy copy = {
        .disk = disk,
        .in = in,
        .buffer = malloc(CHUNK),
        .begin = offset,
        .offset = offset,
        .most = offset,
        .more = true,
    };
    if (!copy.buffer) {
        return complain("%s: %s", in->name, strerror(errno));
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = ADDCOW_OK;
    while (copy.more && code == ADDCOW_OK) {
        code = copy_some(&copy, &error);
        progress_answer(copy.offset - offset, length);
    }
    free(copy.buffer);
    return code == ADDCOW_OK ? EXIT_OK : complain_copy(&copy, &error);
}

static int write_input(const char *path, struct addcow *disk, uint64_t offset, struct input *in)
{
    uint64_t size = addcow_size(disk);
    struct size_value length = input_length(in);
    if (!within(offset, length.bytes, size)) {
        return complain_range(path, offset, length.bytes, size);
    }
    return copy_input(disk, offset, in, length);
}

static int run_write(const struct operands *operands)
{
    struct size_value offset = {0};
    int code = parse_operand(operands, "write", 1, &offset);
    if (code != EXIT_OK) {
        return code;
    }
    struct input in;
    code = open_input(named_file(write_options.input), &in);
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow *disk;
    code = open_disk(operands->item[0], ADDCOW_OPEN_READWRITE, &disk);
    if (code == EXIT_OK) {
        code = close_disk(disk, write_input(operands->item[0], disk, offset.bytes, &in));
    }
    return close_input(&in, code);
}

const struct command command_write = {
    .name = "write",
    .options = write_table,
    .least_operands = 1,
    .most_operands = 2,
    .run = run_write,
    .help =
        "write [-i IN] [--detect-zeroes] [--direct] [-q] FILE [OFFSET]\n"
        "Copies standard input to the disk, from OFFSET (default 0) on. Durable when it succeeds. Holes of an input\n"
        "file become zeros that take no storage where possible.\n\n"
        "  -i IN                copy the file or device IN, locked meanwhile, instead; - is standard input\n"
        "      --detect-zeroes  zeros in the input become zeros that take no storage, like holes\n"
        "      --direct         read IN, and write to the image, without the cache of the system\n"
        "  -q, --quiet          print nothing but errors\n"
        "  -h, --help           print this and exit\n\n"
        "If the input is a regular file and would go past the end of the disk, nothing is written. Input of unknown\n"
        "length is written up to the end of the disk; then the command fails and says how many bytes it wrote.\n",
};
