/*
 * What the judges of observed implementations find, clause by clause: kept, broken, or not judged, with the reason.
 */
#ifndef HARNESS_FINDINGS_H
#define HARNESS_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FINDINGS_MAX 128u
#define FINDING_CLAUSE_BYTES 8u /* "DUR-01" and its NUL */
#define FINDING_WHERE_BYTES 64u

struct finding {
    char clause[FINDING_CLAUSE_BYTES];
    uint64_t kept;                   /* scenarios in which it was judged and kept */
    uint64_t broken;                 /* in which it was broken */
    char *story;                     /* of the first of these: lines of text; owned, or null */
    char where[FINDING_WHERE_BYTES]; /* which one that was, as --scenario selects it; "" if it is not known */
    char *not_judged;                /* why it was not judged somewhere; owned, or null */
};

struct findings {
    struct finding list[FINDINGS_MAX]; /* in the order of their first mention */
    size_t count;
    bool crashed; /* the implementation crashed, hung or broke the protocol */
};

/* Note one verdict on each of the clauses, words that are separated by spaces. Text is copied. */
void findings_keep(struct findings *findings, const char *clauses);
void findings_break(struct findings *findings, const char *clauses, const char *story);
void findings_pass_over(struct findings *findings, const char *clauses, const char *reason);

/* Says where all that was found broken so far was found, unless that is known. */
void findings_locate(struct findings *findings, const char *where);

/* Adds everything of `from` to `to`. */
void findings_merge(struct findings *to, const struct findings *from);
void findings_free(struct findings *findings);

/* Write findings to a stream and read them back: for a judge in a process of its own. */
void findings_write(FILE *out, const struct findings *findings);
bool findings_read(FILE *in, struct findings *findings);

/*
 * Prints the broken clauses with their stories, how many were kept and not judged, and if `unjudged` why they were
 * not, each line behind `prefix`.
 * `repeat` is a command that runs a scenario if " --scenario NAME" is added.
 */
void findings_print(FILE *out, const char *prefix, const char *repeat, bool unjudged, const struct findings *findings);

#endif
