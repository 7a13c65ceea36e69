/*
 * Private to the loader of the corpus. Each function checks one kind of JSON object and fills a structure of corpus.h.
 * It returns false after refusing the object (corpus_shape.h).
 */
#ifndef HARNESS_CORPUS_PARSE_H
#define HARNESS_CORPUS_PARSE_H

#include "corpus/corpus.h"
#include "corpus/corpus_shape.h"

/* A list of spans, the member `name`; null is an empty list. */
bool parse_spans(struct where *where, const char *name, json_t *list, struct corpus_spans *spans);

/* Refuses spans with choices ("any"): they cannot be written. */
bool check_definite(struct where *where, const struct corpus_spans *spans);

/* Refuses spans that do not cover every byte of the range once, in order. */
bool check_tiling(struct where *where, const char *name, const struct corpus_spans *spans, uint64_t offset,
                  uint64_t length);

/* One entry of "files". */
bool parse_file(struct where *where, json_t *value, struct corpus_file *file);

/* One step; adds its disk to those of the case. */
bool parse_step(struct where *where, json_t *value, struct corpus_case *c, struct corpus_step *step);

/*
 * Fills `observes` of all steps that do not say it, and `on_reference` of all steps. Refuses a case with a clause that
 * no step observes. The clauses of the case and all steps are parsed.
 */
bool derive_observed(struct where *where, struct corpus_case *c);

/* A list of strings without repetition, the member `name`; null is an empty list. The caller frees *texts; the strings
 * stay the document's. */
bool parse_texts(struct where *where, const char *name, json_t *list, const char ***texts, size_t *count);

/* The case c->document; `id` is its file's name. */
bool parse_case(struct where *where, const char *id, struct corpus_case *c);

#endif
