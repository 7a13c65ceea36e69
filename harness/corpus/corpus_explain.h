/*
 * What the gate says about cases that it does not run: what a case is about and what it does, in plain words.
 */
#ifndef HARNESS_CORPUS_EXPLAIN_H
#define HARNESS_CORPUS_EXPLAIN_H

#include "corpus/corpus_report.h"

/* Tells each selected case: its story, its clauses with their sentences, its files, its steps and what must come of
 * them. */
void corpus_explain(FILE *out, const struct corpus_results *results, const struct corpus *corpus);

/* Prints a table of the selected cases: id, level, clauses, title. */
void corpus_list(FILE *out, const struct corpus_results *results);

#endif
