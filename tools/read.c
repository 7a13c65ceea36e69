/*
 * read: copies a range of the disk to a file, a pipe or a device.
 *
 * Data passes in chunks through one buffer, so that a disk or a pipe may be of any length. What the disk knows to be
 * zeros, because no file holds it or the file has a hole there, is not read. output.c has the other side.
 */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *output; /* null: standard output */
} read_options;

static const struct command_option read_table[] = {
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    {0, "direct", OPTION_SWITCH, &direct},
    {'o', NULL, OPTION_PATH, &read_options.output},
    OPTIONS_END,
};

static int complain_stopped(const char *path)
{
    return complain("%s: interrupted", path);
}

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
static int copy_some(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer, struct output *out,
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
        return output_hole(out, zeros);
    }
    if (zeros > 0) {
        *done = zeros < *done ? zeros : *done;
        memset(buffer, 0, (size_t)*done);
        return output_put(out, buffer, (size_t)*done);
    }
    if (addcow_read(disk, offset, *done, buffer, &error) != ADDCOW_OK) {
        return signals_stopped() ? complain_stopped(out->name) : complain_error(&error);
    }
    return output_put(out, buffer, (size_t)*done);
}

static int copy_range(struct addcow *disk, uint64_t offset, uint64_t length, uint8_t *buffer, struct output *out)
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
    int code = output_open(&out, named_file(read_options.output), length);
    if (code == EXIT_OK) {
        code = copy_range(disk, offset, length, buffer, &out);
    }
    code = output_close(&out, code);
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
        "      --direct       read the image and the backing files, and write OUT, without the cache of the system\n"
        "  -o OUT      create the file OUT instead, with holes where the disk is zero; - is standard output. A "
        "regular\n"
        "              file that exists is refused; a pipe, or a device that nobody uses, is written to.\n"
        "  -h, --help  print this and exit\n",
};
