/*
 * Describes cases in text without running them (gate --explain, gate --list).
 */
#ifndef HARNESS_CORPUS_EXPLAIN_H
#define HARNESS_CORPUS_EXPLAIN_H

#include "corpus/corpus_report.h"

/* Prints each selected case: notes, clauses with their sentences, files, steps and expected results. */
void corpus_explain(FILE *out, const struct corpus_results *results, const struct corpus *corpus);

/* Print the files of a case, and its steps with their expected results: one or more lines for each. */
void corpus_explain_files(FILE *out, const struct corpus_case *c);
void corpus_explain_steps(FILE *out, const struct corpus_case *c);

/* Prints a table of the selected cases: id, level, clauses, title. */
void corpus_list(FILE *out, const struct corpus_results *results);

#endif
