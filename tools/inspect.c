/*
 * check and map: the commands that inspect a disk cluster by cluster. Only check --repair changes it.
 *
 * Output for people and JSON are those of qemu-img, field by field, where the two have the same thing to say; the JSON
 * is made by jansson. Lists that may be long (map) are printed object by object, so that memory does not grow with the
 * disk.
 */
#include "command.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- check ---- */

static struct {
    bool json;
    bool repair;
    bool quiet;
} check_options;

static const struct command_option check_table[] = {
    {0, "output", OPTION_OUTPUT, &check_options.json},
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    {'r', "repair", OPTION_SWITCH, &check_options.repair},
    {'q', "quiet", OPTION_SWITCH, &check_options.quiet},
    OPTIONS_END,
};

struct check_output {
    bool print;
    json_t *findings; /* null: for people */
};

static void report_finding(void *context, const struct addcow_finding *finding)
{
    struct check_output *output = context;
    if (output->findings) {
        json_array_append_new(output->findings,
                              json_pack("{s:s, s:s, s:o, s:b, s:b}", "clause", finding->clause, "class",
                                        addcow_status_name(finding->code), "message", json_text(finding->message),
                                        "repairable", finding->repairable, "repaired", finding->repaired));
    } else if (output->print) {
        const char *state = finding->repaired     ? " [repaired]"
                            : finding->repairable ? " [repairable with --repair]"
                                                  : "";
        print_line("%s: %s: %s%s", finding->clause, addcow_status_name(finding->code), finding->message, state);
    }
}

static int check_json(const char *path, json_t *findings, const struct addcow_check_result *result)
{
    json_t *object = json_pack("{s:o, s:s, s:i, s:i, s:i, s:o, s:o, s:o}", "filename", json_text(path), "format",
                               "add-cow", "check-errors", 0, "corruptions", (int)result->broken, "corruptions-fixed",
                               (int)result->repaired, "total-clusters", json_size(result->clusters),
                               "allocated-clusters", json_size(result->allocated), "findings", json_incref(findings));
    return print_json(object, path);
}

static void check_human(const struct addcow_check_result *result)
{
    if (result->repaired) {
        printf("%u broken clauses were repaired.\n", result->repaired);
    }
    if (result->broken) {
        printf("%u broken clauses were found.\n", result->broken);
    } else {
        printf("No errors %s on the disk.\n", result->repaired ? "are left" : "were found");
    }
    if (result->clusters) {
        printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated\n", result->allocated, result->clusters,
               100 * (double)result->allocated / (double)result->clusters);
    }
}

static int run_check(const struct operands *operands)
{
    const char *path = operands->item[0];
    if (locking.shared && check_options.repair) {
        return complain_usage("check", "-U and --repair exclude each other");
    }
    struct check_output output = {.print = !check_options.quiet, .findings = check_options.json ? json_array() : NULL};
    struct addcow_check_result result = ADDCOW_CHECK_RESULT_INIT;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    if (addcow_check(path, check_options.repair, locking_storage(), report_finding, &output, &result, &error) !=
        ADDCOW_OK) {
        json_decref(output.findings);
        return complain_error(&error);
    }
    int code = EXIT_OK;
    if (check_options.json) {
        code = check_json(path, output.findings, &result);
    } else if (!check_options.quiet) {
        check_human(&result);
    }
    json_decref(output.findings);
    return code == EXIT_OK && result.broken ? EXIT_BROKEN : code;
}

const struct command command_check = {
    .name = "check",
    .options = check_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_check,
    .help =
        "check [--repair | -U] [--output=human|json] [-q] FILE\n"
        "Lists every clause of the specification that the add-cow file FILE, its bitmap and its links break.\n\n"
        "      --repair         clear bits past the end, extend short padding, set the bits that \"all allocated\"\n"
        "                       promises; nothing that would need a guess\n"
        "  -U, --force-share    check also while the disk is written to, which may report what is no damage\n"
        "      --output=FORMAT  human (the default) or json\n"
        "  -q, --quiet          print nothing, only return the exit status\n"
        "  -h, --help           print this and exit\n\n"
        "Exit status: 0 no broken clauses remain; 1 FILE could not be checked; 2 wrong usage; 3 broken clauses "
        "remain.\n",
};

/* ---- map ---- */

static struct {
    bool json;
    struct size_value start;  /* not given: 0 */
    struct size_value length; /* not given: up to the end of the disk */
} map_options;

static const struct command_option map_table[] = {
    {0, "output", OPTION_OUTPUT, &map_options.json},
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    {0, "start-offset", OPTION_SIZE, &map_options.start},
    {0, "max-length", OPTION_SIZE, &map_options.length},
    OPTIONS_END,
};

/* A line of the map. `file` is null where no file holds the bytes. */
struct map_entry {
    uint64_t start;
    uint64_t length; /* 0: there is no entry yet */
    unsigned depth;
    bool present;
    bool data; /* present, and not a hole of its file */
    uint64_t offset;
    const char *file;
};

struct map_output {
    bool json;
    bool begun;
    struct map_entry pending; /* printed when the next entry cannot be joined to it */
};

/* `data` and `zero` give the type of an entry, as in qemu-img: what is no data reads as zeros. */
static int print_json_entry(struct map_output *output, const struct map_entry *entry)
{
    json_t *object = json_pack("{s:o, s:o, s:i, s:b, s:b, s:b}", "start", json_size(entry->start), "length",
                               json_size(entry->length), "depth", (int)entry->depth, "present", entry->present, "zero",
                               !entry->data, "data", entry->data);
    if (object && entry->present) {
        json_object_set_new(object, "offset", json_size(entry->offset));
    }
    fputs(output->begun ? ",\n" : "[", stdout);
    output->begun = true;
    int result = object ? json_dumpf(object, stdout, JSON_STYLE) : -1;
    json_decref(object);
    return result == 0 ? EXIT_OK : complain("the map could not be written as JSON");
}

static int print_entry(struct map_output *output, const struct map_entry *entry)
{
    if (entry->length == 0) {
        return EXIT_OK;
    }
    if (output->json) {
        return print_json_entry(output, entry);
    }
    if (entry->data) {
        print_line("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s", entry->start, entry->length, entry->offset,
                   entry->file);
    }
    return EXIT_OK;
}

static bool joins(const struct map_entry *first, const struct map_entry *next)
{
    /* In this format a byte's offset in its file is its offset in the disk, so neighbours of one file always fit. */
    return first->length != 0 && first->depth == next->depth && first->present == next->present &&
           first->data == next->data;
}

static int add_entry(struct map_output *output, const struct map_entry *entry)
{
    if (joins(&output->pending, entry)) {
        output->pending.length += entry->length;
        return EXIT_OK;
    }
    int code = print_entry(output, &output->pending);
    output->pending = *entry;
    return code;
}

/* Adds an extent that lies in a file, split into its data and its holes. */
static int add_present(struct map_output *output, uint64_t start, const struct addcow_extent *extent)
{
    uint64_t end = extent->file_offset + extent->length;
    int code = EXIT_OK;
    for (uint64_t position = extent->file_offset; position < end && code == EXIT_OK;) {
        bool data;
        uint64_t change;
        int result = next_change(extent->path, position, end, &data, &change);
        if (result < 0) {
            return complain("%s: at %" PRIu64 ": the search for holes failed: %s", extent->path, position,
                            strerror(-result));
        }
        struct map_entry entry = {.start = start + (position - extent->file_offset),
                                  .length = change - position,
                                  .depth = extent->depth,
                                  .present = true,
                                  .data = data,
                                  .offset = position,
                                  .file = extent->path};
        code = add_entry(output, &entry);
        position = change;
    }
    return code;
}

static int map_range(struct addcow *disk, struct map_output *output, uint64_t start, uint64_t end)
{
    int code = EXIT_OK;
    while (start < end && code == EXIT_OK) {
        struct addcow_extent extent = ADDCOW_EXTENT_INIT;
        struct addcow_error error = ADDCOW_ERROR_INIT;
        if (addcow_map_chain(disk, start, end - start, &extent, &error) != ADDCOW_OK) {
            return complain_error(&error);
        }
        if (extent.present) {
            code = add_present(output, start, &extent);
        } else {
            struct map_entry entry = {.start = start, .length = extent.length, .depth = extent.depth};
            code = add_entry(output, &entry);
        }
        start += extent.length;
    }
    return code == EXIT_OK ? print_entry(output, &output->pending) : code;
}

/* Where the range ends that the options ask for. False: it begins past the end of the disk. */
static bool map_bounds(uint64_t size, uint64_t *end)
{
    uint64_t start = map_options.start.bytes;
    if (start > size) {
        return false;
    }
    uint64_t rest = size - start;
    *end = start + (map_options.length.given && map_options.length.bytes < rest ? map_options.length.bytes : rest);
    return true;
}

static int run_map(const struct operands *operands)
{
    const char *path = operands->item[0];
    struct addcow *disk;
    int code = open_disk(path, ADDCOW_OPEN_READONLY, &disk);
    if (code != EXIT_OK) {
        return code;
    }
    struct map_output output = {.json = map_options.json};
    uint64_t end;
    if (!map_bounds(addcow_size(disk), &end)) {
        code = complain("%s: offset %" PRIu64 " is past the end of the disk (%" PRIu64 " bytes)", path,
                        map_options.start.bytes, addcow_size(disk));
        return close_disk(disk, code);
    }
    if (!output.json) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    code = map_range(disk, &output, map_options.start.bytes, end);
    if (output.json) {
        printf("%s]\n", output.begun ? "" : "[");
    }
    return close_disk(disk, code);
}

const struct command command_map = {
    .name = "map",
    .options = map_table,
    .least_operands = 1,
    .most_operands = 1,
    .run = run_map,
    .help =
        "map [-U] [--output=human|json] [--start-offset=OFFSET] [--max-length=LENGTH] FILE\n"
        "Lists for every range of the disk which file of the chain holds it, and where.\n\n"
        "  -U, --force-share          also while the disk is written to; the map then may be none that it ever had\n"
        "      --output=FORMAT        human (the default) or json, with the fields of `qemu-img map`\n"
        "      --start-offset=OFFSET  first byte (default 0)\n"
        "      --max-length=LENGTH    bytes to list (default: up to the end of the disk)\n"
        "  -h, --help                 print this and exit\n",
};
