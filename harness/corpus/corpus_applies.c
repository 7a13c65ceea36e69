/*
 * Whether a conformance case applies to an implementation: whether all that it needs is claimed.
 *
 * What an adapter declares (corpus/PROTOCOL.md, section 3) is compared with what the steps of the case ask for. A case
 * that does not apply is reported by name, with everything that is missing.
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

/* How many requests the case has in flight at once. */
static unsigned together_of(const struct corpus_case *c)
{
    unsigned together = 0, most = 0;
    for (size_t i = 0; i < c->step_count; i++) {
        together = c->steps[i].beside ? together + 1 : 1;
        most = together > most ? together : most;
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
        if (together_of(c) > abilities->concurrency) {
            fprintf(out, " concurrency %u", together_of(c));
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
