/*
 * Reports a run for people: one result after the other, and a summary at the end.
 *
 * The summary lists each broken clause with its sentence in the specification, the number of cases that break it, and
 * the shortest one. It says of all other clauses that the implementation claims whether they are kept, or why they are
 * not judged.
 */
#include "corpus/corpus_report.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 10u /* cases and clauses that are named in a list, unless all are wanted */
#define NAMED_MAX 3u  /* cases that are named beside a reason */

const char *corpus_verdict_name(enum corpus_verdict verdict)
{
    static const char *const names[CORPUS_VERDICTS] = {"passed",  "failed", "not judged here", "not applicable",
                                                       "crashed", "hung",   "not run"};
    return names[verdict];
}

/* ---- One result ---- */

/* Prints text line by line, each behind a prefix. */
static void print_lines(FILE *out, const char *prefix, const char *text)
{
    while (text && *text) {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%s%.*s\n", prefix, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* A clause with its sentence, where the specification can be read. */
static void print_clause(FILE *out, const struct corpus_results *results, const char *prefix, const char *clause)
{
    char *sentence = corpus_clause_sentence(results->spec, clause);
    fprintf(out, "%s%s: %s\n", prefix, clause, sentence ? sentence : "");
    free(sentence);
}

void corpus_print_explanation(FILE *out, const struct corpus_results *results, size_t index, const char *prefix)
{
    const struct corpus_result *result = &results->items[index];
    print_lines(out, prefix, result->text);
    if (!corpus_is_bad(result)) {
        return;
    }
    for (size_t i = 0; i < result->findings.broken_count; i++) {
        print_clause(out, results, prefix, result->findings.broken[i]);
    }
    if (result->c->notes[0]) {
        fprintf(out, "%sNote: %s\n", prefix, result->c->notes);
    }
    fprintf(out, "%sRepeat: %s --case %s\n", prefix, results->repeat, result->c->id);
}

void corpus_print_tap(FILE *out, const struct corpus_results *results, size_t index)
{
    const struct corpus_result *result = &results->items[index];
    bool skipped = result->verdict == CORPUS_NOT_APPLICABLE;
    bool good = skipped || result->verdict == CORPUS_PASSED;
    fprintf(out, "%s %zu - %s: ", good ? "ok" : "not ok", index + 1, result->c->id);
    for (const char *c = result->c->title; *c; c++) {
        fprintf(out, *c == '#' || *c == '\\' ? "\\%c" : "%c", *c); /* a bare # would begin a directive */
    }
    if (skipped) {
        fprintf(out, " # SKIP %.*s", (int)strcspn(result->text, "\n"), result->text);
    }
    fputc('\n', out);
    if (!good) {
        corpus_print_explanation(out, results, index, "# ");
    }
    fflush(out);
}

void corpus_print_failure(FILE *out, const struct corpus_results *results, size_t index)
{
    const struct corpus_result *result = &results->items[index];
    fprintf(out, "%s: %s: %s\n", result->c->id, corpus_verdict_name(result->verdict), result->c->title);
    corpus_print_explanation(out, results, index, "  ");
}

void corpus_print_failure_line(FILE *out, const struct corpus_results *results, size_t index)
{
    const struct corpus_result *result = &results->items[index];
    int length = (int)strcspn(result->text, "\n");
    fprintf(out, "%s: %s: %.*s\n", result->c->id, corpus_verdict_name(result->verdict), length, result->text);
}

/* ---- The summary ---- */

/* What is printed, and how much of it. */
struct summary {
    FILE *out;
    const struct corpus_results *results;
    const char *prefix;
    bool all;
};

/* The number of cases that found a clause broken. */
static size_t count_breaking(const struct corpus_results *results, const char *clause)
{
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_findings *findings = &results->items[i].findings;
        for (size_t j = 0; j < findings->broken_count; j++) {
            count += !strcmp(findings->broken[j], clause);
        }
    }
    return count;
}

/* A clause is broken by cases, by another judge, or by both. */
static void print_broken(const struct summary *summary, const struct clause *clause)
{
    const struct corpus_result *shortest = corpus_shortest(summary->results, clause->id);
    fprintf(summary->out, "%s  %s %s\n", summary->prefix, clause->id, clause->sentence);
    if (shortest) {
        size_t count = count_breaking(summary->results, clause->id);
        fprintf(summary->out, "%s         broken by %zu %s, the shortest: %s (%s)\n", summary->prefix, count,
                count == 1 ? "case" : "cases", shortest->c->id, shortest->c->title);
    }
    for (size_t i = 0; i < clause->statement_count; i++) {
        const struct clause_statement *statement = &clause->statements[i];
        if (statement->verdict == CLAUSE_BROKEN && strcmp(statement->judge, CORPUS_JUDGE)) {
            fprintf(summary->out, "%s         broken under the %s\n", summary->prefix, statement->judge);
        }
    }
}

static void print_all_broken(const struct summary *summary)
{
    const struct clauses *clauses = summary->results->clauses;
    size_t broken = 0;
    for (size_t i = 0; i < clauses->count; i++) {
        broken += clause_verdict(&clauses->items[i], NULL) == CLAUSE_BROKEN;
    }
    if (broken) {
        fprintf(summary->out, "%sbroken clauses: %zu\n", summary->prefix, broken);
    }
    for (size_t i = 0; i < clauses->count; i++) {
        if (clause_verdict(&clauses->items[i], NULL) == CLAUSE_BROKEN) {
            print_broken(summary, &clauses->items[i]);
        }
    }
}

/* The cases whose precondition failed, each with a case that is about the clause which that broke. */
static void print_unreached(const struct summary *summary)
{
    const struct corpus_results *results = summary->results;
    size_t shown = 0, count = corpus_count(results, CORPUS_NOT_JUDGED);
    for (size_t i = 0; i < results->count && (summary->all || shown < SHOWN_MAX); i++) {
        const struct corpus_result *result = &results->items[i];
        const char *clause = result->findings.broken[0];
        if (result->verdict == CORPUS_NOT_JUDGED && result->findings.broken_count > 0) {
            const struct corpus_result *other = corpus_shortest(results, clause);
            fprintf(summary->out, "%s%s: not judged here: %.*s; %s is broken, see %s\n", summary->prefix, result->c->id,
                    (int)strcspn(result->text, "\n"), result->text, clause, other->c->id);
            shown++;
        }
    }
    if (count > shown) {
        fprintf(summary->out, "%sand %zu more cases that were not judged\n", summary->prefix, count - shown);
    }
}

static void print_reasons(const struct summary *summary)
{
    struct corpus_reason *reasons;
    size_t count = corpus_reasons(summary->results, &reasons);
    for (size_t i = 0; i < count; i++) {
        const struct corpus_reason *reason = &reasons[i];
        if (i == 0) {
            fprintf(summary->out, "%scases %s, as the implementation does not claim:\n", summary->prefix,
                    reason->left_out ? "left out" : "that are not applicable");
        }
        fprintf(summary->out, "%s  %s: %zu %s:", summary->prefix, reason->ability, reason->count,
                reason->count == 1 ? "case" : "cases");
        for (size_t j = 0; j < reason->count && (summary->all || j < NAMED_MAX); j++) {
            fprintf(summary->out, " %s", reason->cases[j]->id);
        }
        fputs(!summary->all && reason->count > NAMED_MAX ? " ...\n" : "\n", summary->out);
    }
    corpus_free_reasons(reasons, count);
}

static bool is_unjudged(const struct summary *summary, size_t index)
{
    const struct clause *clause = &summary->results->clauses->items[index];
    return corpus_is_claimed(summary->results, clause) && clause_verdict(clause, NULL) == CLAUSE_NOT_JUDGED;
}

/* The claimed clauses that are not judged for the same reason as clause `first`, unless an earlier one has it. */
static void print_same_reason(const struct summary *summary, size_t first)
{
    const struct clause *items = summary->results->clauses->items;
    const char *reason = clause_reason(&items[first]);
    size_t named = 0, count = 0;
    for (size_t i = 0; i < first; i++) {
        if (is_unjudged(summary, i) && !strcmp(clause_reason(&items[i]), reason)) {
            return;
        }
    }
    fprintf(summary->out, "%s ", summary->prefix);
    for (size_t i = first; i < summary->results->clauses->count; i++) {
        if (is_unjudged(summary, i) && !strcmp(clause_reason(&items[i]), reason)) {
            if (summary->all || named < SHOWN_MAX) {
                fprintf(summary->out, " %s", items[i].id);
                named++;
            }
            count++;
        }
    }
    if (count > named) {
        fprintf(summary->out, " and %zu more", count - named);
    }
    fprintf(summary->out, ": %s\n", reason);
}

static void print_counts(const struct summary *summary)
{
    const struct clauses *clauses = summary->results->clauses;
    size_t counts[3] = {0};
    for (size_t i = 0; i < clauses->count; i++) {
        if (corpus_is_claimed(summary->results, &clauses->items[i])) {
            counts[clause_verdict(&clauses->items[i], NULL)]++;
        }
    }
    fprintf(summary->out, "%s%zu clauses claimed: %zu kept, %zu broken, %zu not judged\n", summary->prefix,
            counts[0] + counts[1] + counts[2], counts[CLAUSE_KEPT], counts[CLAUSE_BROKEN], counts[CLAUSE_NOT_JUDGED]);
    for (size_t i = 0; i < clauses->count; i++) {
        if (is_unjudged(summary, i)) {
            print_same_reason(summary, i);
        }
    }
}

void corpus_print_summary(FILE *out, const struct corpus_results *results, const char *prefix, bool all)
{
    const struct summary summary = {.out = out, .results = results, .prefix = prefix, .all = all};
    print_all_broken(&summary);
    print_unreached(&summary);
    print_reasons(&summary);
    print_counts(&summary);
    fprintf(out, "%scorpus %s, %s: %zu of %zu cases passed", prefix, results->version, results->implementation,
            corpus_count(results, CORPUS_PASSED), results->count);
    for (int verdict = CORPUS_PASSED + 1; verdict < CORPUS_VERDICTS; verdict++) {
        size_t cases = corpus_count(results, (enum corpus_verdict)verdict);
        if (cases) {
            fprintf(out, ", %zu %s", cases, corpus_verdict_name((enum corpus_verdict)verdict));
        }
    }
    char *conclusion = corpus_conclusion(results);
    fprintf(out, ": %s\n", conclusion);
    free(conclusion);
}
