/*
 * Loads the conformance corpus, strictly.
 *
 * Every kind of object in a case has a table of its fields: name, type, whether it must be there. check_object() holds
 * an object against its table and refuses unknown and missing fields; only then are the values taken out and looked at
 * more closely. `where` follows the JSON path, so that each refusal says exactly what it is about. The first refusal
 * wins, and the whole corpus is refused with it: a gate that silently left out a case that it could not read would call
 * itself complete when it is not.
 */
#include "corpus/corpus.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 << 20) /* bytes of a case's file: far more than one needs */
#define CASES_AT_ONCE 256  /* cases that room is made for at a time */

enum value_type { TEXT, NUMBER, BOOLEAN, LIST, OBJECT, TEXT_OR_LIST };

struct field {
    const char *name;
    enum value_type type;
};

/* Where in which file the loader is, and the first thing that was wrong. */
struct where {
    const char *file;
    char path[256];
    char *error;
    size_t error_size;
    json_t *known_flags;
};

static bool refuse(struct where *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct where *where, const char *format, ...)
{
    if (where->error[0]) {
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    char reason[512];
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(where->error, where->error_size, "%s: $%s: %s", where->file, where->path, reason);
    return false;
}

/* Goes down to a member or element; the result takes leave() back up. */
static size_t enter_member(struct where *where, const char *name)
{
    size_t mark = strlen(where->path);
    snprintf(where->path + mark, sizeof where->path - mark, ".%s", name);
    return mark;
}

static size_t enter_element(struct where *where, size_t index)
{
    size_t mark = strlen(where->path);
    snprintf(where->path + mark, sizeof where->path - mark, "[%zu]", index);
    return mark;
}

static void leave(struct where *where, size_t mark)
{
    where->path[mark] = 0;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        abort();
    }
    return memory;
}

/* ---- Values ---- */

/* A number is a JSON integer, or "0x..." for those that JSON readers cannot hold. */
static bool parse_number(json_t *value, uint64_t *number)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || strncmp(text, "0x", 2) || !text[2] || strlen(text) > 18 ||
        strspn(text + 2, "0123456789abcdef") != strlen(text + 2)) {
        return false;
    }
    *number = strtoull(text + 2, NULL, 16);
    return true;
}

static bool has_type(json_t *value, enum value_type type)
{
    uint64_t number;
    switch (type) {
    case TEXT:
        return json_is_string(value);
    case NUMBER:
        return parse_number(value, &number);
    case BOOLEAN:
        return json_is_boolean(value);
    case LIST:
        return json_is_array(value);
    case OBJECT:
        return json_is_object(value);
    case TEXT_OR_LIST:
        return json_is_string(value) || json_is_array(value);
    }
    return false;
}

static const char *const type_names[] = {
    "a string",      "an integer from 0, or a string \"0x...\" of 1 to 16 digits 0-9a-f",
    "true or false", "an array",
    "an object",     "a string or an array"};

/*
 * Holds an object against its table. Bit i of `required` and `allowed` speaks of fields[i]; a field that is in neither
 * is as unknown as one that is not in the table.
 */
static bool check_object(struct where *where, json_t *object, const struct field *fields, size_t count,
                         uint32_t required, uint32_t allowed)
{
    if (!json_is_object(object)) {
        return refuse(where, "must be an object");
    }
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, key)) {
            i++;
        }
        if (i == count || !((required | allowed) & 1u << i)) {
            return refuse(where, "unknown field \"%s\"", key);
        }
        size_t mark = enter_member(where, key);
        if (!has_type(value, fields[i].type)) {
            return refuse(where, "must be %s", type_names[fields[i].type]);
        }
        leave(where, mark);
    }
    for (size_t i = 0; i < count; i++) {
        if (required & 1u << i && !json_object_get(object, fields[i].name)) {
            return refuse(where, "field \"%s\" is missing", fields[i].name);
        }
    }
    return true;
}

/* The value of a string that check_object() has seen; null if it is absent. */
static const char *text_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The value of a number that check_object() has seen; 0 if it is absent. */
static uint64_t number_of(json_t *object, const char *name)
{
    uint64_t number = 0;
    parse_number(json_object_get(object, name), &number);
    return number;
}

/* The index of `text` in a list of names, or refuses. */
static bool choose(struct where *where, const char *name, const char *text, const char *const *names, size_t count,
                   size_t *index)
{
    for (*index = 0; *index < count; ++*index) {
        if (!strcmp(names[*index], text)) {
            return true;
        }
    }
    size_t mark = enter_member(where, name);
    refuse(where, "\"%s\" is none of the values that are possible here", text);
    leave(where, mark);
    return false;
}

/* A corpus must not reach outside the directory that a case is given. */
static bool check_path(struct where *where, const char *name, const char *path)
{
    size_t mark = enter_member(where, name);
    bool good = path[0] && path[0] != '/' && strlen(path) < 256;
    for (const char *part = path; good && part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        good = length > 0 && !(length == 2 && part[0] == '.' && part[1] == '.');
    }
    if (!good) {
        return refuse(where, "\"%s\" is no path below the case's directory", path);
    }
    leave(where, mark);
    return true;
}

/* ---- Spans ---- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Pairs of digits; blanks between pairs are for the eye. */
static bool parse_hex(const char *text, struct corpus_span *span)
{
    span->bytes = allocate(strlen(text) / 2 + 1, 1);
    for (; *text; text++) {
        if (*text == ' ') {
            continue;
        }
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        span->bytes[span->length++] = (uint8_t)(high * 16 + low);
        text++;
    }
    return true;
}

static bool parse_integers(json_t *list, size_t width, struct corpus_span *span)
{
    span->bytes = allocate(json_array_size(list) * width, 1);
    span->width = (unsigned)width;
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint64_t number;
        if (!parse_number(json_array_get(list, i), &number) || (width == 4 && number > UINT32_MAX)) {
            return false;
        }
        for (size_t byte = 0; byte < width; byte++) {
            span->bytes[span->length++] = (uint8_t)(number >> 8 * byte);
        }
    }
    return true;
}

enum {
    SPAN_AT,
    SPAN_LENGTH,
    SPAN_ZERO,
    SPAN_PATTERN,
    SPAN_HEX,
    SPAN_TEXT,
    SPAN_LE32,
    SPAN_LE64,
    SPAN_ANY,
    SPAN_FIELDS
};

static const struct field span_fields[SPAN_FIELDS] = {{"at", NUMBER},      {"length", NUMBER}, {"zero", BOOLEAN},
                                                      {"pattern", NUMBER}, {"hex", TEXT},      {"text", TEXT},
                                                      {"le32", LIST},      {"le64", LIST},     {"any", LIST}};

/* Takes the bytes of a span that spells them out. */
static bool parse_span_bytes(struct where *where, json_t *value, struct corpus_span *span)
{
    span->fill = CORPUS_BYTES;
    const char *text = text_of(value, "text");
    if (text) {
        span->length = strlen(text);
        span->bytes = allocate(strlen(text), 1);
        memcpy(span->bytes, text, strlen(text));
    }
    const char *hex = text_of(value, "hex");
    if (hex && !parse_hex(hex, span)) {
        return refuse(where, "\"hex\" must be pairs of digits 0-9a-f, with blanks between pairs at most");
    }
    span->width = hex ? 1 : 0;
    json_t *words = json_object_get(value, "le32");
    if (words && !parse_integers(words, 4, span)) {
        return refuse(where, "\"le32\" must be numbers below 2^32");
    }
    json_t *longs = json_object_get(value, "le64");
    if (longs && !parse_integers(longs, 8, span)) {
        return refuse(where, "\"le64\" must be numbers");
    }
    return span->length > 0 || refuse(where, "holds no byte");
}

/* "any": numbers of patterns, and null for zeros. */
static bool parse_choices(struct where *where, json_t *list, struct corpus_span *span)
{
    span->fill = CORPUS_ANY;
    span->choice_count = json_array_size(list);
    if (span->choice_count < 2 || span->choice_count > CORPUS_CHOICES_MAX) {
        return refuse(where, "\"any\" lists from 2 to %d contents", CORPUS_CHOICES_MAX);
    }
    for (size_t i = 0; i < span->choice_count; i++) {
        json_t *choice = json_array_get(list, i);
        span->choices[i].zero = json_is_null(choice);
        if (!span->choices[i].zero && !parse_number(choice, &span->choices[i].seed)) {
            return refuse(where, "\"any\" lists numbers of patterns, and null for zeros");
        }
    }
    return true;
}

static bool parse_span(struct where *where, json_t *value, struct corpus_span *span)
{
    const uint32_t at = 1u << SPAN_AT;
    if (!check_object(where, value, span_fields, SPAN_FIELDS, at, ~0u)) {
        return false;
    }
    unsigned kinds = 0;
    for (size_t i = SPAN_ZERO; i < SPAN_FIELDS; i++) {
        kinds += json_object_get(value, span_fields[i].name) != NULL;
    }
    if (kinds != 1) {
        return refuse(where, "needs exactly one of zero, pattern, hex, text, le32, le64, any");
    }
    span->at = number_of(value, "at");
    json_t *zero = json_object_get(value, "zero");
    json_t *any = json_object_get(value, "any");
    bool counted = zero || any || json_object_get(value, "pattern");
    if (counted != (json_object_get(value, "length") != NULL)) {
        return refuse(where, "\"length\" belongs to zero, pattern and any, and only to them");
    }
    if (!counted) {
        if (!parse_span_bytes(where, value, span)) {
            return false;
        }
    } else {
        if (zero && !json_is_true(zero)) {
            return refuse(where, "\"zero\" can only be true");
        }
        span->fill = zero ? CORPUS_ZERO : CORPUS_PATTERN;
        span->seed = number_of(value, "pattern");
        span->length = number_of(value, "length");
        if (any && !parse_choices(where, any, span)) {
            return false;
        }
    }
    if (span->length == 0 || span->length > CORPUS_SPAN_MAX) {
        return refuse(where, "a span has from 1 to %u bytes", CORPUS_SPAN_MAX);
    }
    return span->length - 1 <= UINT64_MAX - span->at || refuse(where, "ends past 2^64");
}

static bool parse_spans(struct where *where, json_t *owner, const char *name, struct corpus_spans *spans)
{
    json_t *list = json_object_get(owner, name);
    size_t outer = enter_member(where, name);
    spans->items = allocate(json_array_size(list), sizeof *spans->items);
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t mark = enter_element(where, i);
        spans->count++;
        if (!parse_span(where, json_array_get(list, i), &spans->items[i])) {
            return false;
        }
        leave(where, mark);
    }
    leave(where, outer);
    return true;
}

/* What is made or written is one thing. */
static bool check_definite(struct where *where, const struct corpus_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        if (spans->items[i].fill == CORPUS_ANY) {
            return refuse(where, "\"any\" can only be expected");
        }
    }
    return true;
}

/* What is read or written must say every byte of the range once, in order. */
static bool check_tiling(struct where *where, const char *name, const struct corpus_spans *spans, uint64_t offset,
                         uint64_t length)
{
    uint64_t covered = 0;
    bool tiled = length <= CORPUS_SPAN_MAX;
    for (size_t i = 0; tiled && i < spans->count; i++) {
        tiled = spans->items[i].at == offset + covered && spans->items[i].length <= length - covered;
        covered += spans->items[i].length;
    }
    if (tiled && covered == length) {
        return true;
    }
    size_t mark = enter_member(where, name);
    refuse(where, "the spans must cover [offset, offset + length) without gap or overlap, at most %u bytes",
           CORPUS_SPAN_MAX);
    leave(where, mark);
    return false;
}

/* ---- Files ---- */

enum { FILE_PATH, FILE_SIZE, FILE_CONTENT, FILE_DIRECTORY, FILE_SYMLINK, FILE_HARDLINK, FILE_FIELDS };

static const struct field file_fields[FILE_FIELDS] = {{"path", TEXT},         {"size", NUMBER},  {"content", LIST},
                                                      {"directory", BOOLEAN}, {"symlink", TEXT}, {"hardlink", TEXT}};

static bool parse_link(struct where *where, json_t *value, const char *name, enum corpus_file_kind kind,
                       struct corpus_file *file)
{
    const char *target = text_of(value, name);
    if (!target) {
        return true;
    }
    file->kind = kind;
    file->target = target;
    return check_path(where, name, target);
}

static bool parse_file(struct where *where, json_t *value, struct corpus_file *file)
{
    const uint32_t path = 1u << FILE_PATH;
    if (!check_object(where, value, file_fields, FILE_FIELDS, path, ~0u)) {
        return false;
    }
    unsigned kinds = 0;
    const size_t kind_fields[] = {FILE_SIZE, FILE_DIRECTORY, FILE_SYMLINK, FILE_HARDLINK};
    for (size_t i = 0; i < sizeof kind_fields / sizeof *kind_fields; i++) {
        kinds += json_object_get(value, file_fields[kind_fields[i]].name) != NULL;
    }
    if (kinds != 1) {
        return refuse(where, "needs exactly one of size, directory, symlink, hardlink");
    }
    file->path = text_of(value, "path");
    file->length = number_of(value, "size");
    file->kind = json_object_get(value, "directory") ? CORPUS_DIRECTORY : CORPUS_REGULAR;
    if (!check_path(where, "path", file->path) || !parse_link(where, value, "symlink", CORPUS_SYMLINK, file) ||
        !parse_link(where, value, "hardlink", CORPUS_HARDLINK, file)) {
        return false;
    }
    if (file->kind != CORPUS_REGULAR && json_object_get(value, "content")) {
        return refuse(where, "only a file with a size has content");
    }
    if (!parse_spans(where, value, "content", &file->content) || !check_definite(where, &file->content)) {
        return false;
    }
    for (size_t i = 0; i < file->content.count; i++) {
        const struct corpus_span *span = &file->content.items[i];
        if (span->at > file->length || span->length > file->length - span->at) {
            return refuse(where, "content[%zu] ends past the file's size", i);
        }
    }
    return true;
}

/* ---- Steps ---- */

enum {
    STEP_OP,
    STEP_DISK,
    STEP_PATH,
    STEP_MODE,
    STEP_OFFSET,
    STEP_LENGTH,
    STEP_SIZE,
    STEP_DATA,
    STEP_EXPECT,
    STEP_ALLOCATED,
    STEP_RUN,
    STEP_CONTENT,
    STEP_ABSENT,
    STEP_LAYOUT,
    STEP_CLUSTER_BITS,
    STEP_IMAGE,
    STEP_BACKING,
    STEP_BACKING_FORMAT,
    STEP_RESULT,
    STEP_CLAUSE,
    STEP_BESIDE,
    STEP_BY,
    STEP_FIELDS
};

static const struct field step_fields[STEP_FIELDS] = {{"op", TEXT},
                                                      {"disk", TEXT},
                                                      {"path", TEXT},
                                                      {"mode", TEXT},
                                                      {"offset", NUMBER},
                                                      {"length", NUMBER},
                                                      {"size", NUMBER},
                                                      {"data", LIST},
                                                      {"expect", LIST},
                                                      {"allocated", BOOLEAN},
                                                      {"run", NUMBER},
                                                      {"content", LIST},
                                                      {"absent", BOOLEAN},
                                                      {"layout", TEXT},
                                                      {"cluster_bits", NUMBER},
                                                      {"image", TEXT},
                                                      {"backing", TEXT},
                                                      {"backing_format", TEXT},
                                                      {"result", TEXT_OR_LIST},
                                                      {"clause", TEXT},
                                                      {"beside", BOOLEAN},
                                                      {"by", TEXT}};

#define BIT(field) (1u << (field))
#define RANGE_FIELDS (BIT(STEP_OFFSET) | BIT(STEP_LENGTH))
#define OUTCOME_FIELDS (BIT(STEP_RESULT) | BIT(STEP_CLAUSE))
#define REQUEST_FIELDS (BIT(STEP_DISK) | BIT(STEP_BESIDE) | OUTCOME_FIELDS)

/* Which fields an operation must have, which it must have unless it has to fail, and which it may have. */
static const struct op_rule {
    const char *name;
    uint32_t required;
    uint32_t required_on_success;
    uint32_t optional;
} op_rules[CORPUS_OP_COUNT] = {
    [CORPUS_OPEN] = {"open", BIT(STEP_PATH) | BIT(STEP_MODE), 0, BIT(STEP_DISK) | BIT(STEP_BY) | OUTCOME_FIELDS},
    [CORPUS_CLOSE] = {"close", 0, 0, BIT(STEP_DISK) | OUTCOME_FIELDS},
    [CORPUS_SIZE] = {"size", BIT(STEP_SIZE), 0, BIT(STEP_DISK)},
    [CORPUS_READ] = {"read", RANGE_FIELDS, BIT(STEP_EXPECT), REQUEST_FIELDS},
    [CORPUS_WRITE] = {"write", RANGE_FIELDS | BIT(STEP_DATA), 0, REQUEST_FIELDS},
    [CORPUS_ZERO_RANGE] = {"zero", RANGE_FIELDS, 0, REQUEST_FIELDS},
    [CORPUS_DISCARD] = {"discard", RANGE_FIELDS, 0, REQUEST_FIELDS},
    [CORPUS_MAP] = {"map", RANGE_FIELDS, BIT(STEP_ALLOCATED) | BIT(STEP_RUN), REQUEST_FIELDS},
    [CORPUS_FLUSH] = {"flush", 0, 0, REQUEST_FIELDS},
    [CORPUS_RESIZE] = {"resize", BIT(STEP_SIZE), 0, REQUEST_FIELDS},
    [CORPUS_STREAM] = {"stream", 0, 0, REQUEST_FIELDS},
    [CORPUS_COMMIT] = {"commit", 0, 0, REQUEST_FIELDS},
    [CORPUS_CREATE] = {"create", BIT(STEP_PATH) | BIT(STEP_LAYOUT) | BIT(STEP_CLUSTER_BITS) | BIT(STEP_IMAGE), 0,
                       BIT(STEP_BACKING) | BIT(STEP_BACKING_FORMAT) | OUTCOME_FIELDS},
    [CORPUS_FILE] = {"file", BIT(STEP_PATH), 0, BIT(STEP_LENGTH) | BIT(STEP_CONTENT) | BIT(STEP_ABSENT)},
    [CORPUS_REMOVE] = {"remove", BIT(STEP_PATH), 0, 0},
    [CORPUS_CUT] = {"cut", BIT(STEP_PATH) | BIT(STEP_SIZE), 0, 0},
    [CORPUS_KILL] = {"kill", 0, 0, BIT(STEP_DISK)},
};

const char *corpus_op_name(enum corpus_op op)
{
    return op_rules[op].name;
}

static bool parse_outcome(struct where *where, const char *text, unsigned *outcomes)
{
    for (int class_code = ADDCOW_OK; class_code <= ADDCOW_BUSY; class_code++) {
        if (!strcmp(text, addcow_status_name((enum addcow_status)class_code))) {
            *outcomes |= 1u << class_code;
            return true;
        }
    }
    return refuse(where, "\"%s\" is neither \"ok\" nor a class of error", text);
}

/* "result": one outcome, or the list of those that the spec allows. Without it the step must succeed. */
static bool parse_result(struct where *where, json_t *value, struct corpus_step *step)
{
    json_t *result = json_object_get(value, "result");
    step->clause = text_of(value, "clause");
    size_t mark = enter_member(where, "result");
    if (!result) {
        step->outcomes = 1u << ADDCOW_OK;
    } else if (json_is_string(result) && !parse_outcome(where, json_string_value(result), &step->outcomes)) {
        return false;
    }
    for (size_t i = 0; json_is_array(result) && i < json_array_size(result); i++) {
        const char *text = json_string_value(json_array_get(result, i));
        if (!text) {
            return refuse(where, "[%zu] must be a string", i);
        }
        if (!parse_outcome(where, text, &step->outcomes)) {
            return false;
        }
    }
    if (!step->outcomes) {
        return refuse(where, "lists no outcome");
    }
    leave(where, mark);
    if (step->clause && step->outcomes & 1u << ADDCOW_OK) {
        return refuse(where, "\"clause\" names the reason of a refusal, but the step may succeed");
    }
    return true;
}

static bool parse_disk(struct where *where, const char *name, struct corpus_case *c, struct corpus_step *step)
{
    if (!name) {
        name = "disk";
    }
    for (step->disk = 0; step->disk < c->disk_count; step->disk++) {
        if (!strcmp(c->disks[step->disk], name)) {
            return true;
        }
    }
    if (c->disk_count == CORPUS_DISKS_MAX) {
        return refuse(where, "a case names at most %d disks", CORPUS_DISKS_MAX);
    }
    c->disks[c->disk_count++] = name;
    return true;
}

static bool parse_create(struct where *where, json_t *value, struct corpus_step *step)
{
    struct addcow_create_options *create = &step->create;
    static const char *const layouts[] = {"r20", "r9"};
    size_t layout;
    if (!choose(where, "layout", text_of(value, "layout"), layouts, 2, &layout)) {
        return false;
    }
    uint64_t bits = number_of(value, "cluster_bits");
    if (bits > UINT32_MAX) {
        return refuse(where, "cluster_bits has 32 bits");
    }
    create->layout = layout ? ADDCOW_R9 : ADDCOW_R20;
    create->cluster_bits = (uint32_t)bits;
    create->image_name = text_of(value, "image");
    create->backing_name = text_of(value, "backing");
    create->backing_format = text_of(value, "backing_format");
    create->hide_image_data = true; /* the specification knows no guard against it */
    return !create->backing_name == !create->backing_format ||
           refuse(where, "\"backing\" and \"backing_format\" go together");
}

/* What a step needs beyond the types of its fields. */
static bool parse_step_details(struct where *where, json_t *value, struct corpus_step *step)
{
    if (step->op == CORPUS_OPEN) {
        static const char *const modes[] = {"ro", "rw"};
        size_t mode;
        if (!choose(where, "mode", text_of(value, "mode"), modes, 2, &mode)) {
            return false;
        }
        step->writable = mode == 1;
        static const char *const engines[] = {"reference"};
        const char *by = text_of(value, "by");
        size_t engine;
        if (by && !choose(where, "by", by, engines, 1, &engine)) {
            return false;
        }
        step->by_reference = by;
    }
    if (step->op == CORPUS_CREATE) {
        return parse_create(where, value, step);
    }
    if (step->op == CORPUS_WRITE) {
        return parse_spans(where, value, "data", &step->data) && check_definite(where, &step->data) &&
               check_tiling(where, "data", &step->data, step->offset, step->length);
    }
    if (step->op == CORPUS_READ) {
        if (step->length > CORPUS_SPAN_MAX) {
            return refuse(where, "a read has at most %u bytes", CORPUS_SPAN_MAX);
        }
        return parse_spans(where, value, "expect", &step->data) &&
               (!json_object_get(value, "expect") ||
                check_tiling(where, "expect", &step->data, step->offset, step->length));
    }
    if (step->op == CORPUS_FILE) {
        step->absent = json_is_true(json_object_get(value, "absent"));
        step->has_length = json_object_get(value, "length") != NULL;
        bool says_something = step->has_length || json_object_get(value, "content");
        if (step->absent == says_something) {
            return refuse(where, "needs either \"absent\": true, or a length or content");
        }
        return parse_spans(where, value, "content", &step->data);
    }
    return true;
}

static bool parse_step(struct where *where, json_t *value, struct corpus_case *c, struct corpus_step *step)
{
    const char *name = json_is_object(value) ? text_of(value, "op") : NULL;
    if (!name) {
        return refuse(where, "must be an object with a string \"op\"");
    }
    size_t op = 0;
    while (op < CORPUS_OP_COUNT && strcmp(op_rules[op].name, name)) {
        op++;
    }
    if (op == CORPUS_OP_COUNT) {
        return refuse(where, "unknown op \"%s\"", name);
    }
    step->op = (enum corpus_op)op;
    const struct op_rule *rule = &op_rules[op];
    const char *result = text_of(value, "result");
    bool may_succeed = !result || !strcmp(result, "ok");
    if (!check_object(where, value, step_fields, STEP_FIELDS,
                      BIT(STEP_OP) | rule->required | (may_succeed ? rule->required_on_success : 0), rule->optional)) {
        return false;
    }
    step->path = text_of(value, "path");
    step->offset = number_of(value, "offset");
    step->length = number_of(value, "length");
    step->size = number_of(value, "size");
    step->allocated = json_is_true(json_object_get(value, "allocated"));
    step->run = number_of(value, "run");
    step->beside = json_is_true(json_object_get(value, "beside"));
    if (step->path && !check_path(where, "path", step->path)) {
        return false;
    }
    return parse_result(where, value, step) && parse_disk(where, text_of(value, "disk"), c, step) &&
           parse_step_details(where, value, step);
}

/* ---- Cases ---- */

static const char *const need_names[] = {"r9", "create", "links", "chain", "locks", "large", "cut", "kill"};

const char *corpus_need_name(unsigned need)
{
    for (size_t i = 0; i < sizeof need_names / sizeof *need_names; i++) {
        if (need == 1u << i) {
            return need_names[i];
        }
    }
    return NULL;
}

enum {
    CASE_ID,
    CASE_TITLE,
    CASE_CLAUSES,
    CASE_LEVEL,
    CASE_FLAGS,
    CASE_NEEDS,
    CASE_NOTES,
    CASE_FILES,
    CASE_STEPS,
    CASE_FIELDS
};

static const struct field case_fields[CASE_FIELDS] = {{"id", TEXT},    {"title", TEXT}, {"clauses", LIST},
                                                      {"level", TEXT}, {"flags", LIST}, {"needs", LIST},
                                                      {"notes", TEXT}, {"files", LIST}, {"steps", LIST}};

/* A list of strings without repetition. The strings stay the document's. */
static bool parse_texts(struct where *where, json_t *owner, const char *name, const char ***texts, size_t *count)
{
    json_t *list = json_object_get(owner, name);
    size_t outer = enter_member(where, name);
    *texts = allocate(json_array_size(list), sizeof **texts);
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t mark = enter_element(where, i);
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) {
            return refuse(where, "must be a string");
        }
        for (size_t j = 0; j < *count; j++) {
            if (!strcmp((*texts)[j], text)) {
                return refuse(where, "\"%s\" stands twice", text);
            }
        }
        (*texts)[(*count)++] = text;
        leave(where, mark);
    }
    leave(where, outer);
    return true;
}

static bool is_clause(const char *text)
{
    size_t letters = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    return letters >= 2 && letters <= 3 && text[letters] == '-' && strlen(text + letters + 1) == 2 &&
           strspn(text + letters + 1, "0123456789") == 2;
}

static bool parse_needs(struct where *where, json_t *value, unsigned *needs)
{
    const char **texts = NULL;
    size_t count = 0;
    bool good = parse_texts(where, value, "needs", &texts, &count);
    for (size_t i = 0; good && i < count; i++) {
        size_t need;
        good = choose(where, "needs", texts[i], need_names, sizeof need_names / sizeof *need_names, &need);
        *needs |= good ? 1u << need : 0;
    }
    free(texts);
    return good;
}

/* What can be judged by the strings of a case alone. */
static bool parse_case_head(struct where *where, json_t *document, const char *stem, struct corpus_case *c)
{
    c->id = text_of(document, "id");
    c->title = text_of(document, "title");
    c->notes = json_object_get(document, "notes") ? text_of(document, "notes") : "";
    c->level = text_of(document, "level");
    if (strcmp(c->id, stem) || strspn(c->id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(c->id)) {
        return refuse(where, "id \"%s\" is not the file's name in a-z, 0-9 and '-', so it may be taken twice", c->id);
    }
    static const char *const levels[] = {"reader", "writer", "concurrent writer", "durable writer"};
    size_t level;
    if (!choose(where, "level", c->level, levels, 4, &level) ||
        !parse_texts(where, document, "clauses", &c->clauses, &c->clause_count) ||
        !parse_texts(where, document, "flags", &c->flags, &c->flag_count) || !parse_needs(where, document, &c->needs)) {
        return false;
    }
    if (c->clause_count == 0) {
        return refuse(where, "a case witnesses at least one clause");
    }
    for (size_t i = 0; i < c->clause_count; i++) {
        if (!is_clause(c->clauses[i])) {
            return refuse(where, "clauses[%zu]: \"%s\" is no ID of a clause", i, c->clauses[i]);
        }
    }
    for (size_t i = 0; i < c->flag_count; i++) {
        if (!json_object_get(where->known_flags, c->flags[i])) {
            return refuse(where, "flags[%zu]: \"%s\" is not explained in corpus.json", i, c->flags[i]);
        }
    }
    return true;
}

/* What a case does must be among what it says that it needs; the rest of its needs only its author knows. */
static bool check_needs(struct where *where, const struct corpus_case *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        unsigned need = c->steps[i].op == CORPUS_CREATE ? CORPUS_NEEDS_CREATE
                        : c->steps[i].op == CORPUS_CUT  ? CORPUS_NEEDS_CUT
                        : c->steps[i].op == CORPUS_KILL ? CORPUS_NEEDS_KILL
                                                        : 0;
        if (need & ~c->needs) {
            return refuse(where, "step %zu needs \"%s\", which \"needs\" must say", i, corpus_need_name(need));
        }
    }
    return true;
}

/* Only the implementation has a process of its own. */
static bool check_killed(struct where *where, const struct corpus_case *c)
{
    bool by_reference[CORPUS_DISKS_MAX] = {false};
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        if (step->op == CORPUS_OPEN) {
            by_reference[step->disk] = step->by_reference;
        }
        if (step->op == CORPUS_KILL && by_reference[step->disk]) {
            return refuse(where, "step %zu kills the reference engine", i);
        }
    }
    return true;
}

/* Whether requests may be in flight beside the step: it has itself the field that says so. */
static bool is_request(const struct corpus_step *step)
{
    return (op_rules[step->op].optional & BIT(STEP_BESIDE)) != 0;
}

static bool check_beside(struct where *where, const struct corpus_case *c)
{
    size_t together = 0;
    for (size_t i = 0; i < c->step_count; i++) {
        together = c->steps[i].beside ? together + 1 : 1;
        if (c->steps[i].beside && (i == 0 || !is_request(&c->steps[i - 1]))) {
            return refuse(where, "step %zu has no request before it that it could be beside", i);
        }
        if (together > CORPUS_BESIDE_MAX) {
            return refuse(where, "at most %d requests are in flight at once", CORPUS_BESIDE_MAX);
        }
    }
    return true;
}

static bool parse_case_body(struct where *where, json_t *document, struct corpus_case *c)
{
    json_t *files = json_object_get(document, "files");
    json_t *steps = json_object_get(document, "steps");
    c->files = allocate(json_array_size(files), sizeof *c->files);
    c->steps = allocate(json_array_size(steps), sizeof *c->steps);
    size_t outer = enter_member(where, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        size_t mark = enter_element(where, i);
        c->file_count++;
        if (!parse_file(where, json_array_get(files, i), &c->files[i])) {
            return false;
        }
        leave(where, mark);
    }
    leave(where, outer);
    outer = enter_member(where, "steps");
    if (json_array_size(steps) == 0) {
        return refuse(where, "a case without a step judges nothing");
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        size_t mark = enter_element(where, i);
        c->step_count++;
        if (!parse_step(where, json_array_get(steps, i), c, &c->steps[i])) {
            return false;
        }
        leave(where, mark);
    }
    leave(where, outer);
    return check_needs(where, c) && check_killed(where, c) && check_beside(where, c);
}

/* Opens a file that may be no file at all: a pipe would make us wait for ever, and a device never end. */
static FILE *open_regular(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool good = file >= 0 && fstat(file, &status) == 0;
    if (good && (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX)) {
        errno = S_ISREG(status.st_mode) ? EFBIG : S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        good = false;
    }
    if (!good && file >= 0) {
        int reason = errno;
        close(file);
        errno = reason;
    }
    return good ? fdopen(file, "r") : NULL;
}

/* Reads one JSON file. jansson refuses what is no JSON, twice the same key, and NUL in a string. */
static json_t *load_json(struct where *where)
{
    json_error_t problem;
    FILE *file = open_regular(where->file);
    if (!file) {
        snprintf(where->error, where->error_size, "%s: %s", where->file, strerror(errno));
        return NULL;
    }
    json_t *document = json_loadf(file, JSON_REJECT_DUPLICATES, &problem);
    fclose(file);
    if (!document) {
        snprintf(where->error, where->error_size, "%s: line %d, column %d: %s", where->file, problem.line,
                 problem.column, problem.text);
    }
    return document;
}

static bool parse_case(const char *stem, struct where *where, struct corpus_case *c)
{
    const uint32_t optional = BIT(CASE_FLAGS) | BIT(CASE_NEEDS) | BIT(CASE_NOTES);
    const uint32_t required = (BIT(CASE_FIELDS) - 1) & ~optional;
    return check_object(where, c->document, case_fields, CASE_FIELDS, required, optional) &&
           parse_case_head(where, c->document, stem, c) && parse_case_body(where, c->document, c);
}

static bool load_case(const char *path, const char *stem, struct where *where, struct corpus_case *c)
{
    where->file = path;
    where->path[0] = 0;
    c->document = load_json(where);
    return c->document && parse_case(stem, where, c);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Loads the case file `path`, called `name`, as the next case. */
static bool load_next_case(const char *path, const char *name, struct where *where, struct corpus *corpus)
{
    char id[NAME_MAX + 1];
    const char *dot = strrchr(name, '.');
    if (!dot || strcmp(dot, ".json")) {
        snprintf(where->error, where->error_size, "%s: only cases (*.json) and folders of them may stand here", path);
        return false;
    }
    snprintf(id, sizeof id, "%.*s", (int)(dot - name), name);
    if (corpus->count % CASES_AT_ONCE == 0) {
        struct corpus_case *more = allocate(corpus->count + CASES_AT_ONCE, sizeof *more);
        if (corpus->count > 0) {
            memcpy(more, corpus->cases, corpus->count * sizeof *more);
        }
        free(corpus->cases);
        corpus->cases = more;
    }
    return load_case(path, id, where, &corpus->cases[corpus->count++]);
}

/* Loads all case files below the folder `path`; one that is `top` may hold folders. */
static bool load_folder(const char *path, bool top, struct where *where, struct corpus *corpus)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0) {
        snprintf(where->error, where->error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        char below[PATH_MAX];
        struct stat status;
        snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
        if (good && top && stat(below, &status) == 0 && S_ISDIR(status.st_mode)) {
            good = load_folder(below, false, where, corpus);
        } else if (good) {
            good = load_next_case(below, entries[i]->d_name, where, corpus);
        }
        free(entries[i]);
    }
    free(entries);
    return good;
}

static int compare_ids(const void *left, const void *right)
{
    const struct corpus_case *a = left;
    const struct corpus_case *b = right;
    return strcmp(a->id, b->id);
}

/* Loads cases/ and sorts the cases by ID, which may occur in one folder only. */
static bool load_cases(const char *directory, struct where *where, struct corpus *corpus)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cases", directory);
    if (!load_folder(path, true, where, corpus)) {
        return false;
    }
    if (corpus->count > 0) {
        qsort(corpus->cases, corpus->count, sizeof *corpus->cases, compare_ids);
    }
    for (size_t i = 1; i < corpus->count; i++) {
        if (!strcmp(corpus->cases[i - 1].id, corpus->cases[i].id)) {
            snprintf(where->error, where->error_size, "%s: two cases are called %s", path, corpus->cases[i].id);
            return false;
        }
    }
    return true;
}

static const struct field corpus_fields[] = {{"format", NUMBER}, {"version", TEXT}, {"title", TEXT}, {"flags", OBJECT}};

static bool load_corpus_file(const char *directory, struct where *where, struct corpus *corpus)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/corpus.json", directory);
    where->file = path;
    corpus->document = load_json(where);
    if (!corpus->document || !check_object(where, corpus->document, corpus_fields, 4, 0xf, 0)) {
        return false;
    }
    uint64_t format = number_of(corpus->document, "format");
    if (format != CORPUS_FORMAT) {
        return refuse(where, "the corpus has format %" PRIu64 ", this program reads format %d", format, CORPUS_FORMAT);
    }
    corpus->version = text_of(corpus->document, "version");
    where->known_flags = json_object_get(corpus->document, "flags");
    const char *key;
    json_t *value;
    json_object_foreach(where->known_flags, key, value)
    {
        if (!json_is_string(value)) {
            return refuse(where, "flags.%s must be a string", key);
        }
    }
    return true;
}

bool corpus_parse(const char *text, size_t length, const char *id, json_t *flags, struct corpus **corpus, char *error,
                  size_t error_size)
{
    json_error_t problem;
    struct where where = {.file = id, .error = error, .error_size = error_size, .known_flags = flags};
    struct corpus *parsed = allocate(1, sizeof *parsed);
    parsed->cases = allocate(1, sizeof *parsed->cases);
    parsed->count = 1;
    parsed->cases->document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!parsed->cases->document) {
        snprintf(error, error_size, "%s: line %d, column %d: %s", id, problem.line, problem.column, problem.text);
    }
    if (!parsed->cases->document || !parse_case(id, &where, parsed->cases)) {
        corpus_free(parsed);
        return false;
    }
    *corpus = parsed;
    return true;
}

bool corpus_load(const char *directory, struct corpus **corpus, char *error, size_t error_size)
{
    error[0] = 0;
    struct where where = {.error = error, .error_size = error_size};
    struct corpus *loaded = allocate(1, sizeof *loaded);
    if (!load_corpus_file(directory, &where, loaded) || !load_cases(directory, &where, loaded)) {
        corpus_free(loaded);
        return false;
    }
    *corpus = loaded;
    return true;
}

static void free_spans(struct corpus_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        free(spans->items[i].bytes);
    }
    free(spans->items);
}

static void free_case(struct corpus_case *c)
{
    for (size_t i = 0; i < c->file_count; i++) {
        free_spans(&c->files[i].content);
    }
    for (size_t i = 0; i < c->step_count; i++) {
        free_spans(&c->steps[i].data);
    }
    free(c->files);
    free(c->steps);
    free(c->clauses);
    free(c->flags);
    json_decref(c->document);
}

void corpus_free(struct corpus *corpus)
{
    if (!corpus) {
        return;
    }
    for (size_t i = 0; i < corpus->count; i++) {
        free_case(&corpus->cases[i]);
    }
    free(corpus->cases);
    json_decref(corpus->document);
    free(corpus);
}
