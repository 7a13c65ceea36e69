/*
 * Reports a run: as text, as TAP, as JSON and as JUnit XML.
 *
 * The order is: corpus_judge fills the results; corpus_state_clauses states what the cases have found in the table of
 * clauses (clauses.h); other judges state what they have found; then the functions below report all of it.
 */
#ifndef HARNESS_CORPUS_REPORT_H
#define HARNESS_CORPUS_REPORT_H

#include "corpus/clauses.h"
#include "corpus/corpus.h"

#define CORPUS_REPORT 2       /* version of the JSON report, its member "report" */
#define CORPUS_JUDGE "corpus" /* the name under which cases state verdicts on clauses */

struct corpus_results {
    struct corpus_result *items; /* in the order of the corpus */
    size_t count;
    struct corpus_result *left_out; /* cases that --applicable has left out; only `c` is set */
    size_t left_out_count;
    const struct corpus *corpus;          /* all cases */
    const struct corpus_subject *subject; /* what was judged; null: nothing is */
    struct clauses *clauses;              /* null: the specification cannot be read, and nothing is judged */
    const char *version;                  /* of the corpus */
    const char *implementation;           /* as the user named it, in UTF-8 */
    const char *repeat;                   /* a command; with "--case ID" added, it runs one case */
    char *spec;                           /* the text of the specification, or null */
    json_t *observed;   /* what an observer found (corpus/README.md), for the JSON report; the caller's, or null */
    bool complete;      /* clauses of the claimed level that are not judged count in the exit code */
    bool crashed;       /* another judge saw the implementation crash or hang */
    bool unobserved;    /* another judge was asked, and could not judge what it is there for */
    bool only_observed; /* no case was asked for, only another judge */
};

/* The name of a verdict in reports. Static storage. */
const char *corpus_verdict_name(enum corpus_verdict verdict);

/* The number of cases with this verdict. */
size_t corpus_count(const struct corpus_results *results, enum corpus_verdict verdict);

/* Whether a case failed, crashed, hung, or found a clause broken that it is not about. */
bool corpus_is_bad(const struct corpus_result *result);

/* Whether the implementation claims a clause: it belongs to its level, and to a layout that it opens. */
bool corpus_is_claimed(const struct corpus_results *results, const struct clause *clause);

/* States the verdicts of the cases on all clauses, and why a clause is not judged by any. */
void corpus_state_clauses(struct corpus_results *results);

/*
 * The case with the fewest steps among those that are about `clause` and found it broken; if there is none, among all
 * that found it broken. Null if none did.
 */
const struct corpus_result *corpus_shortest(const struct corpus_results *results, const char *clause);

/* The gate's exit code: a value of enum report_exit. */
int corpus_exit(const struct corpus_results *results);

/*
 * What the exit code means and what it covers, on one line: "conforms as writer (105 of 112 clauses); concurrency
 * judged at 31 interleavings; durability not judged (no observer)". The caller frees it.
 */
char *corpus_conclusion(const struct corpus_results *results);

/* Reads the text of the specification; null if it cannot be read. The caller frees it. */
char *corpus_read_spec(const char *path);

/*
 * The clauses of results->spec, with those reserved that cases cannot judge. Null, with the reason in `error`, if it
 * could not be read or understood; `path` is its file. The caller frees them.
 */
struct clauses *corpus_read_clauses(const struct corpus_results *results, const char *path, char *error,
                                    size_t error_size);

/* Refuses a case that names a clause which the specification does not have: it would be a witness of nothing. */
bool corpus_check_clauses(const struct corpus *corpus, const struct clauses *clauses, char *error, size_t error_size);

/* The sentence of a clause on one line; null if the text has no such clause. The caller frees it. */
char *corpus_clause_sentence(const char *spec, const char *clause);

/* One result as a line of TAP, with its explanation as diagnostics. */
void corpus_print_tap(FILE *out, const struct corpus_results *results, size_t index);

/* One result that did not pass, with its explanation and the command that repeats it. */
void corpus_print_failure(FILE *out, const struct corpus_results *results, size_t index);

/* The same on one line: the verdict, and the first line of the reason. */
void corpus_print_failure_line(FILE *out, const struct corpus_results *results, size_t index);

/* The reason of a result, and what it breaks, as lines that begin with `prefix`. */
void corpus_print_explanation(FILE *out, const struct corpus_results *results, size_t index, const char *prefix);

/*
 * Prints the broken clauses, each with its sentence and the shortest case that breaks it; the cases whose precondition
 * failed; the cases that do not apply, totalled by reason; the number of claimed clauses kept, broken and not judged,
 * and why they are not; and the conclusion, on the last line. Every line begins with `prefix`. Lists are shortened
 * unless `all`.
 */
void corpus_print_summary(FILE *out, const struct corpus_results *results, const char *prefix, bool all);

/* Escapes text for XML and HTML. '?' replaces what these cannot hold: control characters and invalid UTF-8. */
void corpus_print_xml(FILE *out, const char *text);

/* Write the report to a file. On failure return false and set errno. */
bool corpus_write_json(const char *path, const struct corpus_results *results);
bool corpus_write_junit(const char *path, const struct corpus_results *results);

/* ---- Abilities that were not claimed, totalled ---- */

/* The cases that need one ability which the implementation does not claim. */
struct corpus_reason {
    char *ability; /* "granularity 1" */
    const struct corpus_case **cases;
    size_t count;
    bool left_out; /* by --applicable */
};

/* Lists the reasons, those with most cases first. A case may have several. The caller frees the list. */
size_t corpus_reasons(const struct corpus_results *results, struct corpus_reason **reasons);
void corpus_free_reasons(struct corpus_reason *reasons, size_t count);

#endif
