/*
 * Traces: the text form.
 *
 * A trace is lines of words separated by blanks. A `#` begins a comment. Comments and empty lines are ignored. The
 * first line names the format and its version. Then come the disk and the number of threads, each once and in any
 * order, then the operations, one a line:
 *
 *   add-cow trace 2
 *   layout r20              r20 or r9
 *   cluster-bits 12         12..21
 *   size 100000             bytes
 *   backing 50000 chain 1   `none`, or bytes, and, if it is an add-cow disk itself, how many of them there are below
 *   allocated some          none, some, every, or flag: every one and the header says so
 *   unknown-compatible no   yes or no
 *   seed 7                  0..65535
 *   threads 2               1..16
 *
 *   0 write 4096 512        thread, kind, offset, length
 *   1 flush
 *   barrier
 *   1 resize 120000         thread, kind, new size
 *
 * Numbers are decimal, or hexadecimal with 0x.
 */
#include "workload/trace.h"

#include "addcow_format.h"
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 10u
#define LINE_BYTES_MAX (1u << 20) /* a schedule is one word */

static const char *const allocation_names[TRACE_ALLOCATIONS] = {
    [TRACE_NONE_ALLOCATED] = "none",
    [TRACE_SOME_ALLOCATED] = "some",
    [TRACE_EVERY_ALLOCATED] = "every",
    [TRACE_ALL_ALLOCATED] = "flag",
};

enum setting {
    SETTING_LAYOUT,
    SETTING_CLUSTER_BITS,
    SETTING_SIZE,
    SETTING_BACKING,
    SETTING_ALLOCATED,
    SETTING_UNKNOWN_COMPATIBLE,
    SETTING_SEED,
    SETTING_THREADS,
    SETTINGS
};

static const char *const setting_names[SETTINGS] = {
    "layout", "cluster-bits", "size", "backing", "allocated", "unknown-compatible", "seed", "threads",
};

/* ---- Printing ---- */

void trace_print_operation(FILE *out, const struct trace_operation *operation)
{
    if (operation->kind == TRACE_BARRIER) {
        fputs("barrier", out);
        return;
    }
    fprintf(out, "%" PRIu32 " %s", operation->thread, trace_kind_name(operation->kind));
    if (operation_has_offset(operation->kind)) {
        fprintf(out, " %" PRIu64, operation->offset);
    }
    if (operation_has_range(operation->kind)) {
        fprintf(out, " %" PRIu64, operation->length);
    }
}

void trace_print_body(FILE *out, const struct trace *trace)
{
    const struct trace_disk *disk = &trace->disk;
    fprintf(out, "layout %s\ncluster-bits %" PRIu32 "\nsize %" PRIu64 "\n", disk->layout == ADDCOW_R9 ? "r9" : "r20",
            disk->cluster_bits, disk->size);
    if (!disk->has_backing) {
        fputs("backing none\n", out);
    } else if (disk->chain == 0) {
        fprintf(out, "backing %" PRIu64 "\n", disk->backing_size);
    } else {
        fprintf(out, "backing %" PRIu64 " chain %" PRIu32 "\n", disk->backing_size, disk->chain);
    }
    fprintf(out, "allocated %s\nunknown-compatible %s\nseed %" PRIu32 "\nthreads %" PRIu32 "\n\n",
            allocation_names[disk->allocation], disk->unknown_compatible ? "yes" : "no", disk->seed, trace->threads);
    for (uint32_t i = 0; i < trace->count; i++) {
        trace_print_operation(out, &trace->operations[i]);
        if (trace->operations[i].kind != TRACE_BARRIER) {
            fprintf(out, "  # operation %" PRIu32, i);
        }
        fputc('\n', out);
    }
}

void trace_print(FILE *out, const struct trace *trace)
{
    fputs(TRACE_FIRST_LINE "\n", out);
    trace_print_body(out, trace);
}

/* ---- Parsing ---- */

struct parser {
    struct trace *trace;
    const struct trace_keywords *keywords; /* may be null */
    unsigned line;
    bool has_first_line;
    bool seen[SETTINGS];
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct parser *parser, const char *format, ...)
{
    int used = snprintf(parser->error, parser->error_size, "%u: ", parser->line);
    if (used >= 0 && (size_t)used < parser->error_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(parser->error + used, parser->error_size - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return false;
}

static bool parse_number(struct parser *parser, const char *word, uint64_t greatest, uint64_t *number)
{
    enum number_result result = number_parse(word, number);
    if (result == NUMBER_MALFORMED) {
        return fail(parser, "'%s' is not a number", word);
    }
    if (result == NUMBER_TOO_LARGE || *number > greatest) {
        return fail(parser, "%s is above %" PRIu64, word, greatest);
    }
    return true;
}

static bool parse_number32(struct parser *parser, const char *word, uint32_t *number)
{
    uint64_t value;
    if (!parse_number(parser, word, UINT32_MAX, &value)) {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

/* Finds `word` among the names: their index, or `count` after an error. */
static unsigned parse_choice(struct parser *parser, const char *word, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(word, names[i]) == 0) {
            return i;
        }
    }
    fail(parser, "unknown word '%s'", word);
    return count;
}

static bool parse_backing(struct parser *parser, char *const *words, unsigned count)
{
    struct trace_disk *disk = &parser->trace->disk;
    if (count == 2 && strcmp(words[1], "none") == 0) {
        return true;
    }
    disk->has_backing = true;
    if (count == 4 && strcmp(words[2], "chain") == 0) {
        return parse_number(parser, words[1], TRACE_SIZE_MAX, &disk->backing_size) &&
               parse_number32(parser, words[3], &disk->chain);
    }
    if (count != 2) {
        return fail(parser, "expected 'backing none', 'backing BYTES' or 'backing BYTES chain N'");
    }
    return parse_number(parser, words[1], TRACE_SIZE_MAX, &disk->backing_size);
}

static bool parse_setting(struct parser *parser, enum setting setting, char *const *words, unsigned count)
{
    static const char *const layouts[] = {"r20", "r9"};
    static const char *const answers[] = {"no", "yes"};
    struct trace_disk *disk = &parser->trace->disk;
    if (parser->seen[setting]) {
        return fail(parser, "a second '%s'", words[0]);
    }
    parser->seen[setting] = true;
    if (setting == SETTING_BACKING) {
        return parse_backing(parser, words, count);
    }
    if (count != 2) {
        return fail(parser, "'%s' takes one word", words[0]);
    }
    unsigned choice;
    switch (setting) {
    case SETTING_LAYOUT:
        choice = parse_choice(parser, words[1], layouts, 2);
        disk->layout = choice == 1 ? ADDCOW_R9 : ADDCOW_R20;
        return choice < 2;
    case SETTING_CLUSTER_BITS:
        return parse_number32(parser, words[1], &disk->cluster_bits);
    case SETTING_SIZE:
        return parse_number(parser, words[1], TRACE_SIZE_MAX, &disk->size);
    case SETTING_ALLOCATED:
        disk->allocation = parse_choice(parser, words[1], allocation_names, TRACE_ALLOCATIONS);
        return disk->allocation < TRACE_ALLOCATIONS;
    case SETTING_UNKNOWN_COMPATIBLE:
        choice = parse_choice(parser, words[1], answers, 2);
        disk->unknown_compatible = choice == 1;
        return choice < 2;
    case SETTING_SEED:
        return parse_number32(parser, words[1], &disk->seed);
    default:
        return parse_number32(parser, words[1], &parser->trace->threads);
    }
}

static bool parse_operation(struct parser *parser, char *const *words, unsigned count)
{
    struct trace_operation operation = {.kind = TRACE_BARRIER};
    if (strcmp(words[0], "barrier") != 0) {
        if (!parse_number32(parser, words[0], &operation.thread)) {
            return false;
        }
        if (count < 2) {
            return fail(parser, "a thread without an operation");
        }
        operation.kind = 0;
        while (operation.kind < TRACE_BARRIER && strcmp(words[1], trace_kind_name(operation.kind)) != 0) {
            operation.kind++;
        }
        if (operation.kind == TRACE_BARRIER) {
            return fail(parser, "unknown operation '%s'", words[1]);
        }
    }
    unsigned expected = (operation.kind == TRACE_BARRIER ? 1u : 2u) + operation_has_offset(operation.kind) +
                        operation_has_range(operation.kind);
    if (count != expected) {
        return fail(parser, "'%s' takes %u words, not %u", trace_kind_name(operation.kind), expected, count);
    }
    if (operation_has_offset(operation.kind) && !parse_number(parser, words[2], UINT64_MAX, &operation.offset)) {
        return false;
    }
    if (operation_has_range(operation.kind) && !parse_number(parser, words[3], UINT64_MAX, &operation.length)) {
        return false;
    }
    if (parser->trace->count == TRACE_OPERATIONS_MAX) {
        return fail(parser, "more than %u operations", TRACE_OPERATIONS_MAX);
    }
    trace_add(parser->trace, operation.thread, operation.kind, operation.offset, operation.length);
    /* Everything before this line is without problem, so a problem is this line's. */
    const char *problem = trace_problem(parser->trace);
    return problem == NULL || fail(parser, "%s", problem);
}

/* Called before the first operation, or at the end if there is none. */
static bool finish_settings(struct parser *parser)
{
    for (unsigned i = 0; i < SETTINGS; i++) {
        if (!parser->seen[i]) {
            return fail(parser, "no '%s' before the operations", setting_names[i]);
        }
    }
    const char *problem = trace_problem(parser->trace);
    return problem == NULL || fail(parser, "%s", problem);
}

/* Cuts a line without its comment into words. */
static bool cut_line(struct parser *parser, char *line, char *words[WORDS_MAX], unsigned *count)
{
    char *rest = NULL;
    *count = 0;
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (*count == WORDS_MAX) {
            return fail(parser, "too many words");
        }
        words[(*count)++] = word;
    }
    return true;
}

static bool parse_first_line(struct parser *parser, char *const *words, unsigned count)
{
    bool is_trace = count == 3 && strcmp(words[0], "add-cow") == 0 && strcmp(words[1], "trace") == 0;
    parser->has_first_line = is_trace && strcmp(words[2], "2") == 0;
    return parser->has_first_line || fail(parser, "the first line is not '" TRACE_FIRST_LINE "'");
}

/* A keyword: one of the trace, or another one. */
static bool parse_keyword(struct parser *parser, char *const *words, unsigned count)
{
    if (parser->trace->count > 0) {
        return fail(parser, "'%s' after the first operation", words[0]);
    }
    for (unsigned i = 0; i < SETTINGS; i++) {
        if (strcmp(words[0], setting_names[i]) == 0) {
            return parse_setting(parser, (enum setting)i, words, count);
        }
    }
    if (parser->keywords == NULL) {
        return fail(parser, "unknown keyword '%s'", words[0]);
    }
    const char *problem = parser->keywords->parse(parser->keywords->context, parser->line, words, count);
    return problem == NULL || fail(parser, "%s", problem);
}

static bool parse_line(struct parser *parser, char *line)
{
    char *words[WORDS_MAX];
    unsigned count;
    if (!cut_line(parser, line, words, &count)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    if (!parser->has_first_line) {
        return parse_first_line(parser, words, count);
    }
    if (isalpha((unsigned char)words[0][0]) && strcmp(words[0], "barrier") != 0) {
        return parse_keyword(parser, words, count);
    }
    if (parser->trace->count == 0 && !finish_settings(parser)) {
        return false;
    }
    return parse_operation(parser, words, count);
}

/* Parses what getline has read, with its end. */
static bool parse_bytes(struct parser *parser, char *line, size_t length)
{
    parser->line++;
    if (memchr(line, '\0', length) != NULL) {
        return fail(parser, "a NUL byte");
    }
    if (length > LINE_BYTES_MAX) {
        return fail(parser, "longer than %u bytes", LINE_BYTES_MAX);
    }
    return parse_line(parser, line);
}

bool trace_parse(FILE *in, struct trace *trace, const struct trace_keywords *keywords, char *error, size_t error_size)
{
    struct parser parser = {.trace = trace, .keywords = keywords, .error = error, .error_size = error_size};
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    *trace = (struct trace){.threads = 0};
    for (ssize_t length; good && (length = getline(&line, &room, in)) >= 0;) {
        good = parse_bytes(&parser, line, (size_t)length);
    }
    free(line);
    if (good && ferror(in)) {
        return fail(&parser, "cannot be read: %s", strerror(errno));
    }
    if (good && !parser.has_first_line) {
        return parse_first_line(&parser, NULL, 0);
    }
    return good && finish_settings(&parser);
}
