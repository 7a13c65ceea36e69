/*
 * zero and discard, and what they share with read and write: operands and ranges.
 */
#include "command.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

int parse_operand(const struct operands *operands, const char *command, int index, struct size_value *value)
{
    value->given = operands->count > index;
    if (!value->given || parse_size(operands->item[index], &value->bytes)) {
        return EXIT_OK;
    }
    return complain_usage(command, "'%s' is not a size", operands->item[index]);
}

const char *named_file(const char *value)
{
    return value && strcmp(value, "-") == 0 ? NULL : value;
}

int complain_range(const char *path, uint64_t offset, uint64_t length, uint64_t size)
{
    return complain("%s: %" PRIu64 " bytes at offset %" PRIu64 " are not within the disk (%" PRIu64 " bytes) (%s)",
                    path, length, offset, size, addcow_status_name(ADDCOW_RANGE));
}

bool within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

uint64_t chunk_at(uint64_t offset)
{
    return CHUNK - offset % CHUNK;
}

static struct {
    bool quiet; /* accepted, as there is nothing to keep quiet about */
} range_options;

static const struct command_option range_table[] = {
    {0, "direct", OPTION_SWITCH, &direct},
    {'q', "quiet", OPTION_SWITCH, &range_options.quiet},
    OPTIONS_END,
};

typedef enum addcow_status range_operation(struct addcow *disk, uint64_t offset, uint64_t length,
                                           struct addcow_error *error);

static int run_range(const struct operands *operands, const char *name, range_operation *operation)
{
    struct size_value offset = {0};
    struct size_value length = {0};
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
    if (operation(disk, offset.bytes, length.bytes, &error) != ADDCOW_OK) {
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
        "zero [--direct] [-q] FILE OFFSET LENGTH\n"
        "Writes zeros to LENGTH bytes of the disk from OFFSET on. Durable when it succeeds.\n\n"
        "      --direct  write to the image without the cache of the system\n"
        "  -q, --quiet   print nothing but errors\n"
        "  -h, --help    print this and exit\n",
};

const struct command command_discard = {
    .name = "discard",
    .options = range_table,
    .least_operands = 3,
    .most_operands = 3,
    .run = run_discard,
    .help =
        "discard [--direct] [-q] FILE OFFSET LENGTH\n"
        "Discards LENGTH bytes of the disk from OFFSET on: they read as zeros, and their storage is freed where\n"
        "possible. Durable when it succeeds.\n\n"
        "      --direct  write to the image without the cache of the system\n"
        "  -q, --quiet   print nothing but errors\n"
        "  -h, --help    print this and exit\n",
};
