/*
 * read, write, zero and discard: the commands that move data.
 *
 * Data passes in chunks through one buffer, so that a disk or a pipe may be of any length. Chunks after the first begin
 * at multiples of the buffer's size, which is a multiple of every cluster size: each cluster is then written whole, in
 * one piece.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (4u << 20) /* at least the largest cluster */
#define BLOCK 4096u      /* runs of zeros of this size become holes of an output file */

/* The file or pipe on the other side of a copy. */
struct stream {
    int descriptor;
    const char *name;
    bool made;    /* a regular file that this command has made: removed after a failure */
    uint64_t end; /* made: the length that it has to have in the end */
};

/* Bytes from `offset` to the end of the first chunk. */
static uint64_t chunk_at(uint64_t offset)
{
    return CHUNK - offset % CHUNK;
}

/* Reads operand `index` as a size, if it is there. Returns EXIT_OK, or EXIT_USAGE after a message. */
static int parse_operand(const struct operands *operands, const char *command, int index, uint64_t *value)
{
    if (operands->count <= index || parse_size(operands->item[index], value)) {
        return EXIT_OK;
    }
    return complain_usage(command, "'%s' is not a size", operands->item[index]);
}

static int complain_range(const char *path, uint64_t offset, uint64_t length, uint64_t size)
{
    return complain("%s: %" PRIu64 " bytes at offset %" PRIu64 " are not within the disk (%" PRIu64 " bytes) (%s)",
                    path, length, offset, size, addcow_status_name(ADDCOW_RANGE));
}

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

/* ---- read ---- */

static struct {
    const char *output; /* null: standard output */
} read_options;

static const struct command_option read_table[] = {
    {'o', NULL, OPTION_PATH, &read_options.output},
    OPTIONS_END,
};

static bool all_zero(const uint8_t *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static int put_all(struct stream *out, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = write(out->descriptor, bytes, count);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return complain("%s: %s", out->name, strerror(errno));
        }
        bytes += put;
        count -= (size_t)put;
    }
    return EXIT_OK;
}

/* Writes a chunk; in a file that this command has made, blocks of zeros are left as holes. */
static int put_chunk(struct stream *out, const uint8_t *bytes, size_t count)
{
    if (!out->made) {
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
        if (!hole) {
            code = put_all(out, bytes + at, end - at);
        } else if (lseek(out->descriptor, (off_t)(end - at), SEEK_CUR) < 0) {
            code = complain("%s: %s", out->name, strerror(errno));
        }
        at = end;
    }
    return code;
}

/*
 * Opens the output of `read`. A regular file is created. One that exists is never overwritten: it could be the image of
 * the disk that is read.
 */
static int open_output(const char *path, struct stream *out)
{
    *out = (struct stream){.descriptor = STDOUT_FILENO, .name = "standard output"};
    if (!path) {
        return EXIT_OK;
    }
    out->name = path;
    out->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    out->made = out->descriptor >= 0;
    if (out->descriptor >= 0 || errno != EEXIST) {
        return out->made ? EXIT_OK : complain("%s: %s", path, strerror(errno));
    }
    struct stat status;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) {
        return complain("%s: exists and is not overwritten", path);
    }
    out->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    return out->descriptor >= 0 ? EXIT_OK : complain("%s: %s", path, strerror(errno));
}

/* Sets the length of the output file, syncs it and closes it. Removes it if the read failed. */
static int close_output(struct stream *out, int code)
{
    if (out->descriptor < 0 || out->descriptor == STDOUT_FILENO) {
        return code;
    }
    if (code == EXIT_OK && out->made && (ftruncate(out->descriptor, (off_t)out->end) != 0 || fsync(out->descriptor))) {
        code = complain("%s: %s", out->name, strerror(errno));
    }
    if (close(out->descriptor) != 0 && code == EXIT_OK) {
        code = complain("%s: %s", out->name, strerror(errno));
    }
    if (code != EXIT_OK && out->made) {
        unlink(out->name);
    }
    return code;
}

static int read_chunks(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer, struct stream *out)
{
    int code = EXIT_OK;
    out->end = length;
    while (length > 0 && code == EXIT_OK) {
        uint64_t part = chunk_at(offset) < length ? chunk_at(offset) : length;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        if (addcow_read(disk, offset, part, buffer, &error) != ADDCOW_OK) {
            return complain_error(&error);
        }
        code = put_chunk(out, buffer, (size_t)part);
        offset += part;
        length -= part;
    }
    return code;
}

static int read_range(const char *path, struct addcow *disk, uint64_t offset, uint64_t length)
{
    uint64_t size = addcow_size(disk);
    if (length == NO_SIZE && offset <= size) {
        length = size - offset;
    }
    if (!within(offset, length, size)) {
        return complain_range(path, offset, length, size);
    }
    uint8_t *buffer = malloc(CHUNK);
    if (!buffer) {
        return complain("%s: %s", path, strerror(errno));
    }
    struct stream out;
    int code = open_output(read_options.output, &out);
    if (code == EXIT_OK) {
        code = read_chunks(disk, offset, length, buffer, &out);
    }
    code = close_output(&out, code);
    free(buffer);
    return code;
}

static int run_read(const struct operands *operands)
{
    uint64_t offset = 0;
    uint64_t length = NO_SIZE;
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
    return close_disk(disk, read_range(operands->item[0], disk, offset, length));
}

const struct command command_read = {
    .name = "read",
    .options = read_table,
    .least_operands = 1,
    .most_operands = 3,
    .run = run_read,
    .help =
        "read [-o OUT] FILE [OFFSET [LENGTH]]\n"
        "Copies LENGTH bytes of the disk from OFFSET on to standard output; without LENGTH, up to its end.\n\n"
        "  -o OUT      create the file OUT instead, with holes where the disk is zero. A regular file that exists is\n"
        "              refused; a device or pipe is written to.\n"
        "  -h, --help  print this and exit\n",
};

/* ---- write ---- */

static struct {
    const char *input; /* null: standard input */
    bool quiet;        /* accepted, as there is nothing to keep quiet about */
} write_options;

static const struct command_option write_table[] = {
    {'i', NULL, OPTION_PATH, &write_options.input},
    {'q', "quiet", OPTION_SWITCH, &write_options.quiet},
    OPTIONS_END,
};

/* The bytes that are left in `in`, or NO_SIZE if that is unknown before they are read. */
static uint64_t input_length(const struct stream *in)
{
    struct stat status;
    off_t position = lseek(in->descriptor, 0, SEEK_CUR);
    if (position < 0 || fstat(in->descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NO_SIZE;
    }
    return status.st_size > position ? (uint64_t)(status.st_size - position) : 0;
}

/* Fills *error with a failure that is not the engine's, and returns its class. */
static enum addcow_status fail_input(struct addcow_error *error, enum addcow_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum addcow_status fail_input(struct addcow_error *error, enum addcow_status code, const char *format, ...)
{
    *error = (struct addcow_error){.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return code;
}

/* Reads until `count` bytes or the end of the input; *got is the number of bytes read, also after a failure. */
static enum addcow_status get_chunk(const struct stream *in, uint8_t *bytes, size_t count, size_t *got,
                                    struct addcow_error *error)
{
    *got = 0;
    while (*got < count) {
        ssize_t part = read(in->descriptor, bytes + *got, count - *got);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part < 0) {
            return fail_input(error, ADDCOW_IO, "%s: %s", in->name, strerror(errno));
        }
        if (part == 0) {
            break;
        }
        *got += (size_t)part;
    }
    return ADDCOW_OK;
}

/*
 * One chunk from the input to the disk. *more becomes whether the input may hold more. Data that goes past the end of
 * the disk is written as far as the disk reaches.
 */
static enum addcow_status write_chunk(struct addcow *disk, uint64_t *offset, uint8_t *buffer, const struct stream *in,
                                      bool *more, struct addcow_error *error)
{
    size_t wanted = (size_t)chunk_at(*offset);
    size_t got;
    enum addcow_status input = get_chunk(in, buffer, wanted, &got, error);
    uint64_t rest = addcow_size(disk) - *offset;
    uint64_t part = got < rest ? got : rest;
    if (part > 0) {
        struct addcow_error failure = ADDCOW_ERROR_INIT;
        if (addcow_write(disk, *offset, part, buffer, &failure) != ADDCOW_OK) {
            *error = failure;
            return failure.code;
        }
    }
    *offset += part;
    *more = got == wanted;
    if (input == ADDCOW_OK && got > part) {
        return fail_input(error, ADDCOW_RANGE, "%s: the input goes past the end of the disk (%" PRIu64 " bytes)",
                          in->name, addcow_size(disk));
    }
    return input;
}

/* Copies the input to the disk until it ends. */
static int write_chunks(struct addcow *disk, uint64_t offset, const struct stream *in)
{
    uint8_t *buffer = malloc(CHUNK);
    if (!buffer) {
        return complain("%s: %s", in->name, strerror(errno));
    }
    uint64_t position = offset;
    bool more = true;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = ADDCOW_OK;
    while (more && code == ADDCOW_OK) {
        code = write_chunk(disk, &position, buffer, in, &more, &error);
    }
    free(buffer);
    if (code == ADDCOW_OK) {
        return EXIT_OK;
    }
    char written[64];
    snprintf(written, sizeof(written), "; the first %" PRIu64 " bytes were written", position - offset);
    return complain_error_and(&error, written);
}

static int write_input(const char *path, struct addcow *disk, uint64_t offset, const struct stream *in)
{
    uint64_t size = addcow_size(disk);
    uint64_t known = input_length(in);
    uint64_t length = known == NO_SIZE ? 0 : known;
    if (!within(offset, length, size)) {
        return complain_range(path, offset, length, size);
    }
    return write_chunks(disk, offset, in);
}

static int run_write(const struct operands *operands)
{
    uint64_t offset = 0;
    int code = parse_operand(operands, "write", 1, &offset);
    if (code != EXIT_OK) {
        return code;
    }
    struct stream in = {.descriptor = STDIN_FILENO, .name = "standard input"};
    const char *input = write_options.input;
    if (input) {
        in.name = input;
        in.descriptor = open(input, O_RDONLY | O_CLOEXEC);
        if (in.descriptor < 0) {
            return complain("%s: %s", input, strerror(errno));
        }
    }
    struct addcow *disk;
    code = open_disk(operands->item[0], ADDCOW_OPEN_READWRITE, &disk);
    if (code == EXIT_OK) {
        code = close_disk(disk, write_input(operands->item[0], disk, offset, &in));
    }
    if (input) {
        close(in.descriptor);
    }
    return code;
}

const struct command command_write = {
    .name = "write",
    .options = write_table,
    .least_operands = 1,
    .most_operands = 2,
    .run = run_write,
    .help =
        "write [-i IN] FILE [OFFSET]\n"
        "Copies standard input to the disk, from OFFSET (default 0) on. Durable when it succeeds.\n\n"
        "  -i IN       copy the file IN instead\n"
        "  -h, --help  print this and exit\n\n"
        "If the input is a regular file and would go past the end of the disk, nothing is written. Input of unknown\n"
        "length is written up to the end of the disk; then the command fails and says how many bytes it wrote.\n",
};

/* ---- zero and discard ---- */

static struct {
    bool quiet; /* accepted, as there is nothing to keep quiet about */
} range_options;

static const struct command_option range_table[] = {
    {'q', "quiet", OPTION_SWITCH, &range_options.quiet},
    OPTIONS_END,
};

typedef enum addcow_status range_operation(struct addcow *disk, uint64_t offset, uint64_t length,
                                           struct addcow_error *error);

static int run_range(const struct operands *operands, const char *name, range_operation *operation)
{
    uint64_t offset = 0;
    uint64_t length = 0;
    int code = parse_operand(operands, name, 1, &offset);
    if (code == EXIT_OK) {
        code = parse_operand(operands, name, 2, &length);
    }
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow *disk;
    code = open_disk(operands->item[0], ADDCOW_OPEN_READWRITE, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (operation(disk, offset, length, &error) != ADDCOW_OK) {
        code = complain_error(&error);
    }
    return close_disk(disk, code);
}

static int run_zero(const struct operands *operands)
{
    return run_range(operands, "zero", addcow_zero);
}

static int run_discard(const struct operands *operands)
{
    return run_range(operands, "discard", addcow_discard);
}

const struct command command_zero = {
    .name = "zero",
    .options = range_table,
    .least_operands = 3,
    .most_operands = 3,
    .run = run_zero,
    .help =
        "zero FILE OFFSET LENGTH\n"
        "Writes zeros to LENGTH bytes of the disk from OFFSET on. Durable when it succeeds.\n\n"
        "  -h, --help  print this and exit\n",
};

const struct command command_discard = {
    .name = "discard",
    .options = range_table,
    .least_operands = 3,
    .most_operands = 3,
    .run = run_discard,
    .help =
        "discard FILE OFFSET LENGTH\n"
        "Discards LENGTH bytes of the disk from OFFSET on: they read as zeros, and their storage is freed where\n"
        "possible. Durable when it succeeds.\n\n"
        "  -h, --help  print this and exit\n",
};
