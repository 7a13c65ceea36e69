/*
 * Decides whether a conformance case applies to an implementation.
 *
 * A case applies if the adapter declares (corpus/PROTOCOL.md, section 3) every ability that the steps of the case need.
 * Otherwise the report names the case and all missing abilities.
 */
#include "corpus/corpus.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a file is a metadata file: it begins with a magic, or is opened as one. */
static bool is_metadata(const struct corpus_case *c, const struct corpus_file *file)
{
    for (size_t i = 0; i < file->content.count; i++) {
        const struct corpus_span *span = &file->content.items[i];
        if (span->at == 0 && span->fill == CORPUS_BYTES &&
            ((span->length >= 4 && !memcmp(span->bytes, "ACOW", 4)) ||
             (span->length >= 7 && !memcmp(span->bytes, "ADD_COW", 7)))) {
            return true;
        }
    }
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        if ((step->op == PROTOCOL_OPEN || step->op == PROTOCOL_CREATE) && !strcmp(step->path, file->path)) {
            return true;
        }
    }
    return false;
}

/*
 * Whether all offsets, lengths and sizes of the requests are multiples of `granularity`, and the lengths of the files
 * that become disks too: an implementation that rounds such a length does not see the disk that the case is about.
 */
static bool is_granular(const struct corpus_case *c, unsigned granularity)
{
    for (size_t i = 0; i < c->file_count; i++) {
        const struct corpus_file *file = &c->files[i];
        if (file->kind == CORPUS_REGULAR && file->length % granularity && !is_metadata(c, file)) {
            return false;
        }
    }
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        bool sized = step->op == PROTOCOL_SIZE || operation_properties(step->op)->operands == OPERANDS_SIZE;
        if ((sized && step->size % granularity) ||
            (operation_has_range(step->op) && (step->offset % granularity || step->length % granularity))) {
            return false;
        }
    }
    return true;
}

size_t corpus_in_flight(const struct corpus_case *c)
{
    size_t in_flight = 0, most = 0;
    for (size_t i = 0; i < c->step_count; i++) {
        in_flight = c->steps[i].beside ? in_flight + 1 : 1;
        most = in_flight > most ? in_flight : most;
    }
    return most;
}

enum protocol_level corpus_level(const struct corpus_case *c)
{
    unsigned level = 0;
    while (strncmp(c->level, protocol_level_name((enum protocol_level)level), strcspn(c->level, " "))) {
        level++;
    }
    return (enum protocol_level)level;
}

/* What a case needs and the subject does not claim. */
struct list {
    char **items;
    size_t count;
};

static void add(struct list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct list *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (list->count == CORPUS_MISSING_MAX || vasprintf(&list->items[list->count++], format, arguments) < 0) {
        abort();
    }
    va_end(arguments);
}

static void add_undeclared_requests(const struct corpus_case *c, const struct protocol_abilities *abilities,
                                    struct list *list)
{
    unsigned named = abilities->requests;
    for (size_t i = 0; i < c->step_count; i++) {
        uint32_t op = c->steps[i].op;
        if (op < PROTOCOL_REQUESTS && !(named & 1u << op) && !c->steps[i].on_reference) {
            add(list, "%s", protocol_request_name(op));
            named |= 1u << op;
        }
    }
}

/* Whether the difference between a disk opened for reading and one opened for writing shows. */
static bool needs_readonly(const struct corpus_case *c)
{
    bool opened = false, shown = (c->needs & CORPUS_NEEDS_LOCKS) != 0;
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        opened = opened || (step->op == PROTOCOL_OPEN && !step->writable && !step->by_reference);
        shown = shown || (step->outcomes & 1u << ADDCOW_READONLY) != 0;
    }
    return opened && shown;
}

static bool needs_lengths(const struct corpus_case *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        bool refused = (step->outcomes & 1u << ADDCOW_OK) == 0;
        if (operation_has_range(step->op) && !step->on_reference &&
            (step->length == 0 || (refused && step->length > PROTOCOL_LENGTH_PLAIN))) {
            return true;
        }
    }
    return false;
}

static void add_lacking(const struct corpus_case *c, unsigned lacks, struct list *list)
{
    if (lacks & 1u << PROTOCOL_READONLY && needs_readonly(c)) {
        add(list, "%s", protocol_lack_name(PROTOCOL_READONLY));
    }
    if (lacks & 1u << PROTOCOL_LENGTHS && needs_lengths(c)) {
        add(list, "%s", protocol_lack_name(PROTOCOL_LENGTHS));
    }
}

static bool opens_by_reference(const struct corpus_case *c)
{
    for (size_t i = 0; i < c->step_count; i++) {
        if (c->steps[i].by_reference) {
            return true;
        }
    }
    return false;
}

size_t corpus_missing(const struct corpus_case *c, const struct corpus_subject *subject,
                      char *missing[CORPUS_MISSING_MAX])
{
    const struct protocol_abilities *abilities = subject->abilities;
    struct list list = {.items = missing};
    for (unsigned need = 1; corpus_need_name(need); need <<= 1) {
        if (c->needs & subject->cannot & need) {
            add(&list, "%s", corpus_need_name(need));
        }
    }
    if (subject->small_reference && c->needs & ~subject->cannot & CORPUS_NEEDS_LARGE && opens_by_reference(c)) {
        add(&list, "large (nor does the reference engine of this gate)");
    }
    if (abilities) {
        add_undeclared_requests(c, abilities, &list);
        add_lacking(c, abilities->lacks, &list);
        if (!is_granular(c, abilities->granularity)) {
            add(&list, "granularity 1");
        }
        if (corpus_in_flight(c) > abilities->concurrency) {
            add(&list, "concurrency %zu", corpus_in_flight(c));
        }
        if (corpus_level(c) > abilities->level) {
            add(&list, "level %s", c->level);
        }
    }
    return list.count;
}

char *corpus_applies(const struct corpus_case *c, const struct corpus_subject *subject)
{
    char *missing[CORPUS_MISSING_MAX];
    size_t count = corpus_missing(c, subject, missing);
    if (count == 0) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        abort();
    }
    fprintf(out, "not applicable to %s, which does not claim", subject->name);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, " %s", missing[i]);
        free(missing[i]);
    }
    fputc('\n', out);
    fclose(out);
    return text;
}
