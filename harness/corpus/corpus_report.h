/*
 * Reports a run of the corpus: as text, as TAP, as JSON and as JUnit XML.
 */
#ifndef HARNESS_CORPUS_REPORT_H
#define HARNESS_CORPUS_REPORT_H

#include "corpus/corpus.h"

#define CORPUS_REPORT 1 /* version of the JSON report, its member "report" */

struct corpus_results {
    struct corpus_result *items; /* in the order of the corpus */
    size_t count;
    const char *version;        /* of the corpus */
    const char *implementation; /* as the user named it, in UTF-8 */
    const char *repeat;         /* a command; with "--case ID" added, it runs one case */
    char *spec;                 /* the text of the specification, or null */
    json_t *observed;           /* what an observer found (corpus/README.md), for the reports; the caller's, or null */
};

/* The name of a verdict in reports. Static storage. */
const char *corpus_verdict_name(enum corpus_verdict verdict);

/* The number of cases with this verdict. */
size_t corpus_count(const struct corpus_results *results, enum corpus_verdict verdict);

/* The gate's exit code: a value of enum report_exit. */
int corpus_exit(const struct corpus_results *results);

/* Reads the text of the specification; null if it cannot be read. The caller frees it. */
char *corpus_read_spec(const char *path);

/* The sentence of a clause on one line; null if the text has no such clause. The caller frees it. */
char *corpus_clause_sentence(const char *spec, const char *clause);

/* One result as a line of TAP, with its explanation as diagnostics. */
void corpus_print_tap(FILE *out, const struct corpus_results *results, size_t index);

/* One result that did not pass, with its explanation and the command that repeats it. */
void corpus_print_failure(FILE *out, const struct corpus_results *results, size_t index);

/* The same on one line: the verdict, and the first line of the reason. */
void corpus_print_failure_line(FILE *out, const struct corpus_results *results, size_t index);

/*
 * Prints the broken clauses, each with its sentence and the shortest case that breaks it; the number of clauses kept,
 * broken and not judged; and the verdict. Every line begins with `prefix`.
 */
void corpus_print_summary(FILE *out, const struct corpus_results *results, const char *prefix);

/* Write the report to a file. On failure return false and set errno. */
bool corpus_write_json(const char *path, const struct corpus_results *results);
bool corpus_write_junit(const char *path, const struct corpus_results *results);

#endif
