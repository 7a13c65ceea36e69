/*
 * What the gate says about a run of the corpus: to people, to prove, and to CI.
 */
#ifndef HARNESS_CORPUS_REPORT_H
#define HARNESS_CORPUS_REPORT_H

#include "corpus/corpus.h"

#define CORPUS_REPORT 1 /* the version of the report in JSON, "report" */

struct corpus_results {
    struct corpus_result *items; /* in the order of the corpus */
    size_t count;
    const char *version;        /* of the corpus */
    const char *implementation; /* as the user named it, in UTF-8 */
    const char *repeat;         /* the command that runs one case when "--case ID" is added */
    char *spec;                 /* the text of the specification, or null */
};

/* The verdict as reports spell it. Static storage. */
const char *corpus_verdict_name(enum corpus_verdict verdict);

size_t corpus_count(const struct corpus_results *results, enum corpus_verdict verdict);

/* The gate's exit code: a value of enum report_exit. */
int corpus_exit(const struct corpus_results *results);

/* Reads the specification whose clauses are quoted; null if it cannot be read. The caller frees it. */
char *corpus_read_spec(const char *path);

/* The sentence of a clause, white space folded, to be freed by the caller; null if the text has none of that ID. */
char *corpus_clause_sentence(const char *spec, const char *clause);

/* One result as a line of TAP, with its explanation as diagnostics. */
void corpus_print_tap(FILE *out, const struct corpus_results *results, size_t index);

/* One result that did not pass, with its story and the command that repeats it. */
void corpus_print_failure(FILE *out, const struct corpus_results *results, size_t index);

/* The same on one line: the verdict, and the first line of why. */
void corpus_print_failure_line(FILE *out, const struct corpus_results *results, size_t index);

/*
 * The clauses that are broken, each with its sentence and the shortest case; how many clauses are kept, broken and not
 * judged; then the verdict. Every line begins with `prefix`.
 */
void corpus_print_summary(FILE *out, const struct corpus_results *results, const char *prefix);

/* Writes the report for machines. False, with errno, if the file could not be written. */
bool corpus_write_json(const char *path, const struct corpus_results *results);
bool corpus_write_junit(const char *path, const struct corpus_results *results);

#endif
