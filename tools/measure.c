/*
 * measure: how much storage a disk needs. The output is that of `qemu-img measure`.
 *
 * It counts the add-cow file, and the clusters of the image file in which there is data. What is known to be zeros
 * without reading it takes no storage.
 */
#include "command.h"
#include "json.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MIN 4096u
#define CLUSTER_MIN 4096u
#define CLUSTER_MAX (2u << 20)
#define CLUSTER_DEFAULT (64u << 10)

static struct {
    const char *format; /* of FILE; null: add-cow */
    const char *target; /* null: add-cow */
    struct size_value size;
    struct size_value cluster_size;
    enum addcow_layout layout;
    bool json;
} measure_options = {.layout = ADDCOW_R20};

static const struct command_option measure_table[] = {
    {'f', "format", OPTION_TEXT, &measure_options.format},
    {'O', "target-format", OPTION_TEXT, &measure_options.target},
    {'s', "size", OPTION_SIZE, &measure_options.size},
    {'c', "cluster-size", OPTION_SIZE, &measure_options.cluster_size},
    {0, "layout", OPTION_LAYOUT, &measure_options.layout},
    {0, "output", OPTION_OUTPUT, &measure_options.json},
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    OPTIONS_END,
};

static uint64_t round_up(uint64_t number, uint64_t unit)
{
    return (number + unit - 1) / unit * unit;
}

static uint64_t cluster_size(void)
{
    return measure_options.cluster_size.given ? measure_options.cluster_size.bytes : CLUSTER_DEFAULT;
}

static bool is_raw(void)
{
    return measure_options.target && strcmp(measure_options.target, "raw") == 0;
}

/* The length of the add-cow file for a disk of `size` bytes, at most 2^62 (BMP-04). */
static uint64_t metadata_length(uint64_t size)
{
    uint64_t bitmap = round_up(round_up(size, cluster_size()) / cluster_size(), 8) / 8;
    if (measure_options.layout == ADDCOW_R9) {
        return HEADER_MIN + bitmap;
    }
    uint64_t header = cluster_size() > HEADER_MIN ? cluster_size() : HEADER_MIN;
    return header + round_up(bitmap, cluster_size());
}

/* The bytes of the cluster in which `offset` lies, of a disk of `size` bytes; *end is where it ends. */
static uint64_t count_cluster(uint64_t offset, uint64_t size, uint64_t *end)
{
    uint64_t start = offset - offset % cluster_size();
    *end = size - start < cluster_size() ? size : start + cluster_size();
    return *end - start;
}

/* The bytes of the clusters of the source that hold data. */
static int count_data(const struct source *source, uint64_t *data)
{
    *data = 0;
    for (uint64_t offset = 0; offset < source->size;) {
        uint64_t zeros;
        int code = source_zeros(source, offset, source->size - offset, &zeros);
        if (code != EXIT_OK) {
            return code;
        }
        uint64_t end = offset + zeros;
        if (zeros == 0) {
            *data += count_cluster(offset, source->size, &end);
        }
        offset = end;
    }
    return EXIT_OK;
}

static int print_measure(uint64_t size, uint64_t data)
{
    uint64_t overhead = is_raw() ? 0 : metadata_length(size);
    if (measure_options.json) {
        return print_json(json_pack("{s:o, s:o}", "required", json_size(overhead + data), "fully-allocated",
                                    json_size(overhead + size)),
                          "measure");
    }
    printf("required size: %" PRIu64 "\n", overhead + data);
    printf("fully allocated size: %" PRIu64 "\n", overhead + size);
    return EXIT_OK;
}

static int check_usage(const struct operands *operands)
{
    uint64_t cluster = cluster_size();
    if (measure_options.size.given == (operands->count > 0)) {
        return complain_usage("measure", "either --size or FILE is required");
    }
    if (measure_options.size.given && measure_options.format) {
        return complain_usage("measure", "-f FORMAT requires FILE");
    }
    if (measure_options.target && !is_raw() && strcmp(measure_options.target, "add-cow") != 0) {
        return complain_usage("measure", "the target format must be add-cow or raw");
    }
    if (cluster < CLUSTER_MIN || cluster > CLUSTER_MAX || (cluster & (cluster - 1)) != 0) {
        return complain_usage("measure", "the cluster size must be a power of two from 4k to 2M");
    }
    if (measure_options.layout == ADDCOW_R9 && cluster != CLUSTER_DEFAULT) {
        return complain_usage("measure", "layout r9 has clusters of 64k");
    }
    return EXIT_OK;
}

static int complain_size(const char *what, uint64_t size)
{
    return complain("%s: a size of %" PRIu64 " is above 2^62 (%s)", what, size, addcow_status_name(ADDCOW_RANGE));
}

static int run_measure(const struct operands *operands)
{
    int code = check_usage(operands);
    if (code != EXIT_OK) {
        return code;
    }
    if (measure_options.size.given) {
        uint64_t size = measure_options.size.bytes;
        return size > UINT64_C(1) << 62 ? complain_size("measure", size) : print_measure(size, 0);
    }
    struct source source;
    code = source_open(&source, operands->item[0], measure_options.format);
    if (code != EXIT_OK) {
        return code;
    }
    uint64_t data;
    code = count_data(&source, &data);
    if (code == EXIT_OK) {
        code = print_measure(source.size, data);
    }
    return source_close(&source, code);
}

const struct command command_measure = {
    .name = "measure",
    .options = measure_table,
    .least_operands = 0,
    .most_operands = 1,
    .run = run_measure,
    .help =
        "measure [-U] [-f FORMAT] [-O FORMAT] [-c SIZE] [--layout=r20|r9] [--output=human|json] FILE | --size SIZE\n"
        "Prints how many bytes of storage the add-cow file and the image file of a new disk need together: for the\n"
        "data of FILE, or for a disk without data; and how many once every cluster is allocated.\n\n"
        "  -f, --format=FORMAT         of FILE: add-cow (the default) or raw\n"
        "  -O, --target-format=FORMAT  add-cow (the default), or raw for the image file alone\n"
        "  -s, --size=SIZE             a new disk of this size instead of FILE\n"
        "  -c, --cluster-size=SIZE     of the new disk: a power of two from 4k to 2M (default 64k)\n"
        "      --layout=LAYOUT         of the new disk: r20 (the default) or r9\n"
        "      --output=FORMAT         human (the default) or json\n"
        "  -U, --force-share           also while FILE is written to\n"
        "  -h, --help                  print this and exit\n",
};
