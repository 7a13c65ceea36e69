/*
 * The specification beside a corpus: its sentences for reports, and its clauses as the denominator of every verdict.
 */
#include "corpus/corpus_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *corpus_read_spec(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, 0, file) < 0) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

char *corpus_clause_sentence(const char *spec, const char *clause)
{
    char start[32];
    snprintf(start, sizeof start, "\n**%s** ", clause);
    const char *from = spec ? strstr(spec, start) : NULL;
    if (!from) {
        return NULL;
    }
    from += strlen(start);
    const char *end = strstr(from, "\n\n");
    char *sentence = strndup(from, end ? (size_t)(end - from) : strlen(from));
    for (char *c = sentence; c && *c; c++) {
        if (*c == '\n') {
            *c = ' ';
        }
    }
    return sentence;
}

struct clauses *corpus_read_clauses(const struct corpus_results *results, const char *path, char *error,
                                    size_t error_size)
{
    char why[256];
    if (!results->spec) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct clauses *clauses = clauses_read(results->spec, why, sizeof why);
    if (!clauses) {
        snprintf(error, error_size, "%s: %s", path, why);
        return NULL;
    }
    corpus_reserve(results->corpus, clauses);
    return clauses;
}

/* A clause that the case names and the specification does not have; null if there is none. */
static const char *find_unknown(const struct corpus_case *c, const struct clauses *clauses)
{
    for (size_t i = 0; i < c->clause_count; i++) {
        if (!clauses_find(clauses, c->clauses[i])) {
            return c->clauses[i];
        }
    }
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        for (size_t j = 0; j < step->observe_count; j++) {
            if (!clauses_find(clauses, step->observes[j])) {
                return step->observes[j];
            }
        }
    }
    return NULL;
}

bool corpus_check_clauses(const struct corpus *corpus, const struct clauses *clauses, char *error, size_t error_size)
{
    for (size_t i = 0; i < corpus->count; i++) {
        const char *unknown = find_unknown(&corpus->cases[i], clauses);
        if (unknown) {
            snprintf(error, error_size, "case %s: the specification has no clause %s", corpus->cases[i].id, unknown);
            return false;
        }
    }
    return true;
}
