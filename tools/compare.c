/*
 * compare: whether two disks read the same. The manners, and the exit codes, are those of `qemu-img compare`.
 *
 * Where both are known to be zeros, nothing is read. The shorter one has zeros past its end.
 */
#include "command.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The exit codes of this command only. */
enum { COMPARE_SAME = 0, COMPARE_DIFFERENT = 1, COMPARE_NOT_OPEN = 2, COMPARE_NO_MAP = 3, COMPARE_NOT_READ = 4 };

static struct {
    const char *formats[2]; /* null: add-cow */
    bool strict;
    bool progress;
    bool quiet;
} compare_options;

static const struct command_option compare_table[] = {
    {'f', "format", OPTION_TEXT, &compare_options.formats[0]},
    {'F', "second-format", OPTION_TEXT, &compare_options.formats[1]},
    {'s', "strict", OPTION_SWITCH, &compare_options.strict},
    {0, "direct", OPTION_SWITCH, &direct},
    {'p', "progress", OPTION_SWITCH, &compare_options.progress},
    {'q', "quiet", OPTION_SWITCH, &compare_options.quiet},
    {'U', "force-share", OPTION_SWITCH, &locking.shared},
    OPTIONS_END,
};

struct comparison {
    struct source sources[2];
    uint8_t *buffers[2]; /* CHUNK bytes each */
    uint64_t size;       /* of the longer one */
    struct progress progress;
};

static void say(const char *text)
{
    if (!compare_options.quiet) {
        printf("%s\n", text);
    }
}

static int say_different(uint64_t offset)
{
    if (!compare_options.quiet) {
        printf("Content mismatch at offset %" PRIu64 "!\n", offset);
    }
    return COMPARE_DIFFERENT;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b)
{
    uint64_t at = 0;
    while (a[at] == b[at]) {
        at++;
    }
    return at;
}

/* Compares the beginning of [offset, size). *part becomes how much that was. */
static int compare_some(struct comparison *comparison, uint64_t offset, uint64_t *part)
{
    uint64_t rest = comparison->size - offset;
    uint64_t zeros[2];
    for (int i = 0; i < 2; i++) {
        if (source_zeros(&comparison->sources[i], offset, rest, &zeros[i]) != EXIT_OK) {
            return COMPARE_NO_MAP;
        }
    }
    *part = zeros[0] < zeros[1] ? zeros[0] : zeros[1];
    if (*part > 0) {
        return COMPARE_SAME;
    }
    *part = rest < chunk_at(offset) ? rest : chunk_at(offset);
    for (int i = 0; i < 2; i++) {
        if (source_read(&comparison->sources[i], offset, *part, comparison->buffers[i]) != EXIT_OK) {
            return COMPARE_NOT_READ;
        }
    }
    if (memcmp(comparison->buffers[0], comparison->buffers[1], (size_t)*part) == 0) {
        return COMPARE_SAME;
    }
    return say_different(offset + first_difference(comparison->buffers[0], comparison->buffers[1]));
}

static int compare_contents(struct comparison *comparison)
{
    int code = COMPARE_SAME;
    for (uint64_t offset = 0; offset < comparison->size && code == COMPARE_SAME;) {
        uint64_t part = 0;
        code = compare_some(comparison, offset, &part);
        offset += part;
        if (code == COMPARE_SAME && !progress_step(&comparison->progress, offset, comparison->size)) {
            complain("%s: interrupted", comparison->sources[0].path);
            code = COMPARE_NOT_READ;
        }
    }
    return code;
}

static int compare(struct comparison *comparison)
{
    uint64_t sizes[2] = {comparison->sources[0].size, comparison->sources[1].size};
    if (sizes[0] != sizes[1] && compare_options.strict) {
        say("Strict mode: Image size mismatch!");
        return COMPARE_DIFFERENT;
    }
    comparison->size = sizes[0] > sizes[1] ? sizes[0] : sizes[1];
    progress_start(&comparison->progress, compare_options.progress, compare_options.quiet);
    int code = compare_contents(comparison);
    progress_end(&comparison->progress);
    if (code == COMPARE_SAME && sizes[0] != sizes[1]) {
        say("Warning: Image size mismatch!");
    }
    if (code == COMPARE_SAME) {
        say("Images are identical.");
    }
    return code;
}

/* A failure is no answer. */
static int close_source(struct source *source, int code)
{
    return source_close(source, EXIT_OK) == EXIT_OK ? code : COMPARE_NOT_READ;
}

static int run_compare(const struct operands *operands)
{
    struct comparison comparison = {.buffers = {malloc(CHUNK), malloc(CHUNK)}};
    struct source *sources = comparison.sources;
    int code = COMPARE_NOT_OPEN;
    if (!comparison.buffers[0] || !comparison.buffers[1]) {
        complain("no memory to compare with");
    } else if (source_open(&sources[0], operands->item[0], compare_options.formats[0]) == EXIT_OK) {
        if (source_open(&sources[1], operands->item[1], compare_options.formats[1]) == EXIT_OK) {
            code = compare(&comparison);
            code = close_source(&sources[1], code);
        }
        code = close_source(&sources[0], code);
    }
    free(comparison.buffers[0]);
    free(comparison.buffers[1]);
    return code;
}

const struct command command_compare = {
    .name = "compare",
    .options = compare_table,
    .least_operands = 2,
    .most_operands = 2,
    .lost_answer = COMPARE_NOT_READ,
    .run = run_compare,
    .help =
        "compare [-f FORMAT] [-F FORMAT] [-s] [-U] [--direct] [-p] [-q] FILE FILE2\n"
        "Compares what two disks read as. The shorter one counts as if it had zeros past its end.\n\n"
        "  -f, --format=FORMAT         of FILE: add-cow (the default) or raw\n"
        "  -F, --second-format=FORMAT  of FILE2\n"
        "  -s, --strict                disks of different sizes differ\n"
        "  -U, --force-share           also while the disks are written to; the answer may be of no one moment\n"
        "      --direct                read without the cache of the system\n"
        "  -p, --progress              show progress even if standard error is not a terminal\n"
        "  -q, --quiet                 print nothing but errors\n"
        "  -h, --help                  print this and exit\n\n"
        "Exit status: 0 the same; 1 different, and the offset of the first difference is printed; 2 a disk could not\n"
        "be opened, or wrong usage; 3 the search for holes failed; 4 reading, or printing the answer, failed.\n",
};
