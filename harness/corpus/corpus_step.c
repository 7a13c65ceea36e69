/*
 * Loads the steps of a case. The fields of an operation follow from its operands and its answer (operation.h); one
 * table lists the fields of the other steps.
 */
#include "corpus/corpus_parse.h"

#include <string.h>

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
    STEP_OBSERVES,
    STEP_REPEATED,
    STEP_FIELDS
};

static const char *const step_fields[STEP_FIELDS] = {
    "op",      "disk",           "path",   "mode",    "offset", "length", "size",         "data",
    "expect",  "allocated",      "run",    "content", "absent", "layout", "cluster_bits", "image",
    "backing", "backing_format", "result", "clause",  "beside", "by",     "observes",     "repeated"};

#define BIT(field) (1u << (field))
#define OUTCOME_FIELDS (BIT(STEP_RESULT) | BIT(STEP_CLAUSE) | BIT(STEP_OBSERVES))

/* Required fields, fields required unless the step must fail, and optional fields. */
struct step_rule {
    uint32_t required;
    uint32_t required_on_success;
    uint32_t optional;
};

static struct step_rule operation_rule(uint32_t operation)
{
    const struct operation_properties *properties = operation_properties(operation);
    struct step_rule rule = {.optional = BIT(STEP_DISK) | BIT(STEP_BESIDE) | OUTCOME_FIELDS};
    if (properties->operands == OPERANDS_RANGE) {
        rule.required = BIT(STEP_OFFSET) | BIT(STEP_LENGTH);
    } else if (properties->operands == OPERANDS_SIZE) {
        rule.required = BIT(STEP_SIZE);
    }
    if (properties->data == DATA_TO_DISK) {
        rule.required |= BIT(STEP_DATA);
    } else if (properties->data == DATA_FROM_DISK) {
        rule.required_on_success = BIT(STEP_EXPECT);
    }
    if (properties->answers_map || properties->data == DATA_FROM_DISK || operation == OPERATION_FLUSH) {
        rule.optional |= BIT(STEP_REPEATED); /* what changes no contents may be asked for any number of times */
    }
    if (properties->answers_map) {
        rule.required_on_success |= BIT(STEP_ALLOCATED) | BIT(STEP_RUN);
    }
    return rule;
}

static struct step_rule rule_of(uint32_t op)
{
    static const struct step_rule rules[CORPUS_OPS] = {
        [PROTOCOL_OPEN] = {BIT(STEP_PATH) | BIT(STEP_MODE), 0, BIT(STEP_DISK) | BIT(STEP_BY) | OUTCOME_FIELDS},
        [PROTOCOL_CLOSE] = {0, 0, BIT(STEP_DISK) | OUTCOME_FIELDS},
        [PROTOCOL_SIZE] = {BIT(STEP_SIZE), 0, BIT(STEP_DISK) | BIT(STEP_OBSERVES)},
        [PROTOCOL_CREATE] = {BIT(STEP_PATH) | BIT(STEP_LAYOUT) | BIT(STEP_CLUSTER_BITS) | BIT(STEP_IMAGE), 0,
                             BIT(STEP_BACKING) | BIT(STEP_BACKING_FORMAT) | OUTCOME_FIELDS},
        [CORPUS_FILE] = {BIT(STEP_PATH), 0,
                         BIT(STEP_LENGTH) | BIT(STEP_CONTENT) | BIT(STEP_ABSENT) | BIT(STEP_OBSERVES)},
        [CORPUS_REMOVE] = {BIT(STEP_PATH), 0, 0},
        [CORPUS_CUT] = {BIT(STEP_PATH) | BIT(STEP_SIZE), 0, 0},
        [CORPUS_KILL] = {0, 0, BIT(STEP_DISK)},
    };
    return op < OPERATIONS ? operation_rule(op) : rules[op];
}

const char *corpus_op_name(uint32_t op)
{
    static const char *const events[] = {"file", "remove", "cut", "kill"};
    return op < PROTOCOL_REQUESTS ? protocol_request_name(op) : events[op - PROTOCOL_REQUESTS];
}

/* The members of a step; null or -1: absent. */
struct step_members {
    const char *op, *disk, *path, *mode, *layout, *image, *backing, *backing_format, *clause, *by;
    json_t *offset, *length, *size, *data, *expect, *run, *content, *cluster_bits, *result, *observes, *allocated;
    int absent, beside, repeated;
};

static bool parse_outcome(struct where *where, const char *text, unsigned *outcomes)
{
    for (int code = ADDCOW_OK; code <= ADDCOW_BUSY; code++) {
        if (!strcmp(text, addcow_status_name((enum addcow_status)code))) {
            *outcomes |= 1u << code;
            return true;
        }
    }
    return refuse(where, "\"%s\" is neither \"ok\" nor an error class", text);
}

void corpus_print_outcomes(FILE *out, unsigned outcomes)
{
    const char *between = "";
    for (int code = ADDCOW_OK; code <= ADDCOW_BUSY; code++) {
        if (outcomes & 1u << code) {
            fprintf(out, "%s%s", between, addcow_status_name((enum addcow_status)code));
            between = " or ";
        }
    }
}

/* "result": one outcome, or a list of allowed ones. Without it the step must succeed. */
static bool parse_result(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    json_t *result = members->result;
    size_t mark = enter_member(where, "result");
    if (!result) {
        step->outcomes = 1u << ADDCOW_OK;
    } else if (!json_is_string(result) && !json_is_array(result)) {
        return refuse(where, "must be a string or an array");
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
    step->clause = members->clause;
    if (step->clause && step->outcomes & 1u << ADDCOW_OK) {
        return refuse(where, "\"clause\" is allowed only for a step that must fail");
    }
    return true;
}

static bool parse_observes(struct where *where, json_t *list, struct corpus_step *step)
{
    if (!list) {
        return true; /* it is derived (corpus_observe.c) */
    }
    if (!parse_texts(where, "observes", list, &step->observes, &step->observe_count)) {
        return false;
    }
    for (size_t i = 0; i < step->observe_count; i++) {
        if (!protocol_is_clause(step->observes[i])) {
            return refuse(where, "observes[%zu]: \"%s\" is not a clause ID", i, step->observes[i]);
        }
    }
    return step->observe_count > 0 || refuse(where, "\"observes\" lists no clause");
}

/* "allocated": what map has to report, or "either". */
static bool parse_allocated(struct where *where, json_t *value, struct corpus_step *step)
{
    const char *text = json_string_value(value);
    step->allocated = json_is_true(value);
    step->either = text && !strcmp(text, "either");
    if (value && !json_is_boolean(value) && !step->either) {
        size_t mark = enter_member(where, "allocated");
        refuse(where, "must be true, false or \"either\"");
        leave(where, mark);
        return false;
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

static bool parse_create(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    struct addcow_create_options *create = &step->create;
    static const char *const layouts[] = {"r20", "r9"};
    size_t layout;
    uint64_t bits;
    if (!shape_choose(where, "layout", members->layout, layouts, 2, &layout) ||
        !shape_number(where, "cluster_bits", members->cluster_bits, &bits)) {
        return false;
    }
    if (bits > UINT32_MAX) {
        return refuse(where, "cluster_bits must be below 2^32");
    }
    create->struct_size = sizeof *create;
    create->layout = layout ? ADDCOW_R9 : ADDCOW_R20;
    create->cluster_bits = (uint32_t)bits;
    create->image_name = members->image;
    create->backing_name = members->backing;
    create->backing_format = members->backing_format;
    create->hide_image_data = true; /* the specification has no protection against this */
    return !create->backing_name == !create->backing_format ||
           refuse(where, "\"backing\" and \"backing_format\" need each other");
}

static bool parse_open(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    static const char *const modes[] = {"ro", "rw"};
    static const char *const engines[] = {"reference"};
    size_t mode, engine;
    if (!shape_choose(where, "mode", members->mode, modes, 2, &mode) ||
        (members->by && !shape_choose(where, "by", members->by, engines, 1, &engine))) {
        return false;
    }
    step->writable = mode == 1;
    step->by_reference = members->by != NULL;
    return true;
}

/* The data that an operation writes, or that a read is expected to return. */
static bool parse_data(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    switch (operation_properties(step->op)->data) {
    case DATA_TO_DISK:
        return parse_spans(where, "data", members->data, &step->data) && check_definite(where, &step->data) &&
               check_tiling(where, "data", &step->data, step->offset, step->length);
    case DATA_FROM_DISK:
        if (step->length > CORPUS_SPAN_MAX) {
            return refuse(where, "a %s has at most %u bytes", corpus_op_name(step->op), CORPUS_SPAN_MAX);
        }
        return parse_spans(where, "expect", members->expect, &step->data) &&
               (!members->expect || check_tiling(where, "expect", &step->data, step->offset, step->length));
    default:
        return true;
    }
}

static bool parse_expected_file(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    step->absent = members->absent == 1;
    step->has_length = members->length != NULL;
    if (step->absent == (step->has_length || members->content)) {
        return refuse(where, "needs either \"absent\": true, or a length or content");
    }
    return parse_spans(where, "content", members->content, &step->data);
}

/* Parses the fields of a step beyond their types. */
static bool parse_step_details(struct where *where, const struct step_members *members, struct corpus_step *step)
{
    switch (step->op) {
    case PROTOCOL_OPEN:
        return parse_open(where, members, step);
    case PROTOCOL_CREATE:
        return parse_create(where, members, step);
    case CORPUS_FILE:
        return parse_expected_file(where, members, step);
    default:
        return parse_data(where, members, step);
    }
}

/* Refuses a step that lacks a required field or has one that is not allowed. */
static bool check_fields(struct where *where, json_t *value, const struct step_rule *rule, bool may_succeed)
{
    uint32_t required = BIT(STEP_OP) | rule->required | (may_succeed ? rule->required_on_success : 0);
    for (unsigned field = 0; field < STEP_FIELDS; field++) {
        bool present = json_object_get(value, step_fields[field]) != NULL;
        if (present && !((required | rule->optional) & BIT(field))) {
            return refuse(where, "unknown field \"%s\"", step_fields[field]);
        }
        if (!present && required & BIT(field)) {
            return refuse(where, "field \"%s\" is missing", step_fields[field]);
        }
    }
    return true;
}

static bool unpack_step(struct where *where, json_t *value, struct step_members *m)
{
    return shape_unpack(
        where, value,
        "{s:s,s?s,s?s,s?s,s?o,s?o,s?o,s?o,s?o,s?o,s?o,s?o,s?b,s?s,s?o,s?s,s?s,s?s,s?o,s?s,s?b,s?s,s?o,s?b}", "op",
        &m->op, "disk", &m->disk, "path", &m->path, "mode", &m->mode, "offset", &m->offset, "length", &m->length,
        "size", &m->size, "data", &m->data, "expect", &m->expect, "allocated", &m->allocated, "run", &m->run, "content",
        &m->content, "absent", &m->absent, "layout", &m->layout, "cluster_bits", &m->cluster_bits, "image", &m->image,
        "backing", &m->backing, "backing_format", &m->backing_format, "result", &m->result, "clause", &m->clause,
        "beside", &m->beside, "by", &m->by, "observes", &m->observes, "repeated", &m->repeated);
}

static bool find_op(struct where *where, json_t *value, uint32_t *op)
{
    const char *name = json_string_value(json_object_get(value, "op"));
    if (!name) {
        return refuse(where, "must be an object with a string \"op\"");
    }
    for (uint32_t i = 0; i < CORPUS_OPS; i++) {
        if (i != PROTOCOL_HELLO && !strcmp(corpus_op_name(i), name)) {
            *op = i;
            return true;
        }
    }
    return refuse(where, "unknown op \"%s\"", name);
}

bool parse_step(struct where *where, json_t *value, struct corpus_case *c, struct corpus_step *step)
{
    struct step_members m = {.absent = -1, .beside = -1, .repeated = -1};
    if (!find_op(where, value, &step->op) || !unpack_step(where, value, &m)) {
        return false;
    }
    bool may_succeed = !m.result || !json_is_string(m.result) || !strcmp(json_string_value(m.result), "ok");
    struct step_rule rule = rule_of(step->op);
    if (!check_fields(where, value, &rule, may_succeed) || !shape_number(where, "offset", m.offset, &step->offset) ||
        !shape_number(where, "length", m.length, &step->length) || !shape_number(where, "size", m.size, &step->size) ||
        !shape_number(where, "run", m.run, &step->run) || (m.path && !shape_is_path(where, "path", m.path))) {
        return false;
    }
    step->path = m.path;
    step->beside = m.beside == 1;
    step->repeated = m.repeated == 1;
    return parse_allocated(where, m.allocated, step) && parse_observes(where, m.observes, step) &&
           parse_result(where, &m, step) && parse_disk(where, m.disk, c, step) && parse_step_details(where, &m, step);
}
