/*
 * Loads one case: its head, its files, its steps, and the conditions between them.
 */
#include "corpus/corpus_parse.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

/* ---- Files ---- */

struct file_members {
    const char *path, *symlink, *hardlink, *mode;
    json_t *size, *content;
    int directory, fifo; /* -1: none */
};

static bool parse_link(struct where *where, const char *name, const char *target, enum corpus_file_kind kind,
                       struct corpus_file *file)
{
    if (!target) {
        return true;
    }
    file->kind = kind;
    file->target = target;
    /* A device cannot be made without privileges, but this one is everywhere. */
    return (kind == CORPUS_SYMLINK && !strcmp(target, "/dev/null")) || shape_is_path(where, name, target);
}

/* The kind of a file, and its length or target. */
static bool parse_file_kind(struct where *where, const struct file_members *members, struct corpus_file *file)
{
    int kinds = (members->size != NULL) + (members->directory >= 0) + (members->fifo >= 0) +
                (members->symlink != NULL) + (members->hardlink != NULL);
    if (kinds != 1) {
        return refuse(where, "needs exactly one of size, directory, fifo, symlink, hardlink");
    }
    file->kind = members->directory >= 0 ? CORPUS_DIRECTORY : members->fifo >= 0 ? CORPUS_FIFO : CORPUS_REGULAR;
    return shape_number(where, "size", members->size, &file->length) &&
           parse_link(where, "symlink", members->symlink, CORPUS_SYMLINK, file) &&
           parse_link(where, "hardlink", members->hardlink, CORPUS_HARDLINK, file);
}

/* "mode": the file may not be opened, or not for writing. */
static bool parse_mode(struct where *where, const char *mode, struct corpus_file *file)
{
    static const char *const modes[] = {"000", "444"};
    size_t chosen = 0;
    file->has_mode = mode != NULL;
    if (mode && !shape_choose(where, "mode", mode, modes, 2, &chosen)) {
        return false;
    }
    file->mode = chosen == 1 ? 0444 : 0;
    return true;
}

bool parse_file(struct where *where, json_t *value, struct corpus_file *file)
{
    struct file_members m = {.directory = -1, .fifo = -1};
    if (!shape_unpack(where, value, "{s:s,s?o,s?o,s?b,s?b,s?s,s?s,s?s}", "path", &m.path, "size", &m.size, "content",
                      &m.content, "directory", &m.directory, "fifo", &m.fifo, "symlink", &m.symlink, "hardlink",
                      &m.hardlink, "mode", &m.mode)) {
        return false;
    }
    file->path = m.path;
    if (!shape_is_path(where, "path", file->path) || !parse_file_kind(where, &m, file)) {
        return false;
    }
    if (file->kind != CORPUS_REGULAR && (m.content || m.mode)) {
        return refuse(where, "only a file with a size has content and a mode");
    }
    if (!parse_mode(where, m.mode, file)) {
        return false;
    }
    if (!parse_spans(where, "content", m.content, &file->content) || !check_definite(where, &file->content)) {
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

/* ---- The head ---- */

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

bool parse_texts(struct where *where, const char *name, json_t *list, const char ***texts, size_t *count)
{
    if (!shape_is_list(where, name, list)) {
        return false;
    }
    size_t outer = enter_member(where, name);
    *texts = report_allocate(json_array_size(list), sizeof **texts);
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t mark = enter_element(where, i);
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) {
            return refuse(where, "must be a string");
        }
        for (size_t j = 0; j < *count; j++) {
            if (!strcmp((*texts)[j], text)) {
                return refuse(where, "\"%s\" is repeated", text);
            }
        }
        (*texts)[(*count)++] = text;
        leave(where, mark);
    }
    leave(where, outer);
    return true;
}

static bool parse_needs(struct where *where, json_t *list, unsigned *needs)
{
    const char **texts = NULL;
    size_t count = 0;
    bool good = parse_texts(where, "needs", list, &texts, &count);
    for (size_t i = 0; good && i < count; i++) {
        size_t need;
        good = shape_choose(where, "needs", texts[i], need_names, sizeof need_names / sizeof *need_names, &need);
        *needs |= good ? 1u << need : 0;
    }
    free(texts);
    return good;
}

/* Checks the members of a case that are strings. */
static bool check_head(struct where *where, const char *id, const struct corpus_case *c)
{
    if (strcmp(c->id, id) || strspn(c->id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(c->id)) {
        return refuse(where, "id \"%s\" is not the file's name, or has characters other than a-z, 0-9 and '-'", c->id);
    }
    static const char *const levels[] = {"reader", "writer", "concurrent writer", "durable writer"};
    size_t level;
    if (!shape_choose(where, "level", c->level, levels, 4, &level)) {
        return false;
    }
    if (c->clause_count == 0) {
        return refuse(where, "a case witnesses at least one clause");
    }
    for (size_t i = 0; i < c->clause_count; i++) {
        if (!protocol_is_clause(c->clauses[i])) {
            return refuse(where, "clauses[%zu]: \"%s\" is not a clause ID", i, c->clauses[i]);
        }
    }
    for (size_t i = 0; i < c->flag_count; i++) {
        if (!json_object_get(where->known_flags, c->flags[i])) {
            return refuse(where, "flags[%zu]: \"%s\" is not defined in corpus.json", i, c->flags[i]);
        }
    }
    return true;
}

/* ---- Steps ---- */

/* "needs" must list the needs that follow from the steps. The other needs cannot be derived. */
static bool check_needs(struct where *where, const struct corpus_case *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        unsigned need = c->steps[i].op == PROTOCOL_CREATE ? CORPUS_NEEDS_CREATE
                        : c->steps[i].op == CORPUS_CUT    ? CORPUS_NEEDS_CUT
                        : c->steps[i].op == CORPUS_KILL   ? CORPUS_NEEDS_KILL
                                                          : 0;
        if (need & ~c->needs) {
            return refuse(where, "step %zu needs \"%s\", which is missing in \"needs\"", i, corpus_need_name(need));
        }
    }
    return true;
}

/* A kill needs a process, and the reference engine has none. */
static bool check_killed(struct where *where, const struct corpus_case *c)
{
    bool by_reference[CORPUS_DISKS_MAX] = {false};
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        if (step->op == PROTOCOL_OPEN) {
            by_reference[step->disk] = step->by_reference;
        }
        if (step->op == CORPUS_KILL && by_reference[step->disk]) {
            return refuse(where, "step %zu kills the reference engine", i);
        }
    }
    return true;
}

/* A step with "beside" runs concurrently with the step before. */
static bool check_beside(struct where *where, const struct corpus_case *c)
{
    size_t in_flight = 0;
    for (size_t i = 0; i < c->step_count; i++) {
        in_flight = c->steps[i].beside ? in_flight + 1 : 1;
        if (c->steps[i].beside && (i == 0 || c->steps[i - 1].op >= OPERATIONS)) {
            return refuse(where, "step %zu is \"beside\" the step before, which is not an operation", i);
        }
        if (c->steps[i].repeated && !c->steps[i].beside) {
            return refuse(where, "step %zu is \"repeated\" until another one is answered, but is beside none", i);
        }
        if (in_flight > CORPUS_IN_FLIGHT_MAX) {
            return refuse(where, "at most %d requests are in flight at once", CORPUS_IN_FLIGHT_MAX);
        }
    }
    return true;
}

static bool parse_files(struct where *where, json_t *files, struct corpus_case *c)
{
    if (!shape_is_list(where, "files", files)) {
        return false;
    }
    c->files = report_allocate(json_array_size(files), sizeof *c->files);
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
    return true;
}

static bool parse_steps(struct where *where, json_t *steps, struct corpus_case *c)
{
    if (!shape_is_list(where, "steps", steps)) {
        return false;
    }
    c->steps = report_allocate(json_array_size(steps), sizeof *c->steps);
    size_t outer = enter_member(where, "steps");
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
    return true;
}

bool parse_case(struct where *where, const char *id, struct corpus_case *c)
{
    json_t *clauses, *files, *steps, *flags = NULL, *needs = NULL;
    c->notes = "";
    return shape_unpack(where, c->document, "{s:s,s:s,s:o,s:s,s?o,s?o,s?s,s:o,s:o}", "id", &c->id, "title", &c->title,
                        "clauses", &clauses, "level", &c->level, "flags", &flags, "needs", &needs, "notes", &c->notes,
                        "files", &files, "steps", &steps) &&
           parse_texts(where, "clauses", clauses, &c->clauses, &c->clause_count) &&
           parse_texts(where, "flags", flags, &c->flags, &c->flag_count) && parse_needs(where, needs, &c->needs) &&
           check_head(where, id, c) && parse_files(where, files, c) && parse_steps(where, steps, c) &&
           check_needs(where, c) && check_killed(where, c) && check_beside(where, c) && derive_observed(where, c);
}
