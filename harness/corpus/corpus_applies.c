/*
 * Decides whether a conformance case applies to an implementation.
 *
 * A case applies if the adapter declares (corpus/PROTOCOL.md, section 3) every ability that the steps of the case need.
 * Otherwise the report names the case and all missing abilities.
 */
#include "corpus/corpus.h"

#include <stdlib.h>
#include <string.h>

/* Whether all offsets, lengths and sizes of the requests are multiples of `granularity`. */
static bool is_granular(const struct corpus_case *c, unsigned granularity)
{
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

/* The largest number of requests in flight at once. */
static unsigned max_in_flight(const struct corpus_case *c)
{
    unsigned in_flight = 0, most = 0;
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

static void name_undeclared_requests(const struct corpus_case *c, const struct protocol_abilities *abilities, FILE *out)
{
    unsigned named = abilities->requests;
    for (size_t i = 0; i < c->step_count; i++) {
        uint32_t op = c->steps[i].op;
        if (op < PROTOCOL_REQUESTS && !(named & 1u << op)) {
            fprintf(out, " %s", protocol_request_name(op));
            named |= 1u << op;
        }
    }
}

char *corpus_applies(const struct corpus_case *c, const struct corpus_subject *subject)
{
    const struct protocol_abilities *abilities = subject->abilities;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        abort();
    }
    long start = fprintf(out, "not applicable to %s, which does not claim", subject->name);
    for (unsigned need = 1; corpus_need_name(need); need <<= 1) {
        if (c->needs & subject->cannot & need) {
            fprintf(out, " %s", corpus_need_name(need));
        }
    }
    if (abilities) {
        name_undeclared_requests(c, abilities, out);
        if (!is_granular(c, abilities->granularity)) {
            fputs(" granularity 1", out);
        }
        if (max_in_flight(c) > abilities->concurrency) {
            fprintf(out, " concurrency %u", max_in_flight(c));
        }
        if (corpus_level(c) > abilities->level) {
            fprintf(out, " level %s", c->level);
        }
    }
    bool applies = ftell(out) == start;
    fputc('\n', out);
    fclose(out);
    if (applies) {
        free(text);
        return NULL;
    }
    return text;
}
