/*
 * The parts of the corpus' loader, for one another only: each takes one kind of JSON object, checks it and fills a
 * structure of corpus.h. False means refused, as corpus_shape.h has it.
 */
#ifndef HARNESS_CORPUS_PARSE_H
#define HARNESS_CORPUS_PARSE_H

#include "corpus/corpus.h"
#include "corpus/corpus_shape.h"

/* A list of spans, the member `name`; null is none. */
bool parse_spans(struct where *where, const char *name, json_t *list, struct corpus_spans *spans);

/* Refuses choices: what is made or written is one thing. */
bool check_definite(struct where *where, const struct corpus_spans *spans);

/* Refuses spans that do not say every byte of the range once, in order. */
bool check_tiling(struct where *where, const char *name, const struct corpus_spans *spans, uint64_t offset,
                  uint64_t length);

/* One entry of "files". */
bool parse_file(struct where *where, json_t *value, struct corpus_file *file);

/* One step; adds its disk to those of the case. */
bool parse_step(struct where *where, json_t *value, struct corpus_case *c, struct corpus_step *step);

/* The case c->document; `id` is its file's name. */
bool parse_case(struct where *where, const char *id, struct corpus_case *c);

#endif
