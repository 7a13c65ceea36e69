/*
 * Reports a run as one web page, which needs no network and no other file.
 *
 * All content is plain HTML, so that it can be read where scripts are not allowed. report.html is the page around it,
 * with the style and the script of the filter; it becomes a part of the program (mk/harness.mk). Text of an adapter is
 * escaped wherever it is printed.
 */
#include "corpus/corpus_html.h"

#include "base/report.h"
#include "corpus/corpus_explain.h"

#include <stdlib.h>
#include <string.h>

/* The lines of report.html. */
static const char *const page[] = {
#include "corpus/report_page.inc"
};

static const char *id_of_verdict(enum clause_verdict verdict)
{
    static const char *const ids[] = {
        [CLAUSE_NOT_JUDGED] = "not-judged", [CLAUSE_KEPT] = "kept", [CLAUSE_BROKEN] = "broken"};
    return ids[verdict];
}

/* A sentence of the specification, in which `...` is code. */
static void print_sentence(FILE *out, const char *sentence)
{
    char *copy = strdup(sentence);
    bool code = false;
    if (!copy) {
        report_fatal("no memory");
    }
    for (char *part = copy, *next; part; part = next, code = !code) {
        next = strchr(part, '`');
        if (next) {
            *next++ = '\0';
        }
        fputs(code ? "<code>" : "", out);
        corpus_print_xml(out, part);
        fputs(code ? "</code>" : "", out);
    }
    free(copy);
}

/* ---- The conclusion ---- */

static void print_head(FILE *out, const struct corpus_results *results)
{
    static const char *const classes[] = {"kept", "broken", "broken", "broken", "not-judged"};
    char *conclusion = corpus_conclusion(results);
    fputs("<h1>add-cow gate: <code>", out);
    corpus_print_xml(out, results->implementation);
    fprintf(out, "</code></h1>\n<p id=\"conclusion\" class=\"verdict %s\">", classes[corpus_exit(results)]);
    corpus_print_xml(out, conclusion);
    fputs("</p>\n", out);
    free(conclusion);
}

static size_t count_claimed(const struct corpus_results *results, enum clause_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        count += corpus_is_claimed(results, clause) && clause_verdict(clause, NULL) == verdict;
    }
    return count;
}

static void print_counts(FILE *out, const struct corpus_results *results)
{
    size_t kept = count_claimed(results, CLAUSE_KEPT), broken = count_claimed(results, CLAUSE_BROKEN);
    size_t not_judged = count_claimed(results, CLAUSE_NOT_JUDGED);
    fprintf(out, "<p>%zu clauses claimed: %zu kept, %zu broken, %zu not judged. %zu cases of corpus ",
            kept + broken + not_judged, kept, broken, not_judged, results->count);
    corpus_print_xml(out, results->version);
    fputs(":", out);
    const char *between = " ";
    for (unsigned verdict = 0; verdict < CORPUS_VERDICTS; verdict++) {
        size_t count = corpus_count(results, (enum corpus_verdict)verdict);
        if (count) {
            fprintf(out, "%s%zu %s", between, count, corpus_verdict_name((enum corpus_verdict)verdict));
            between = ", ";
        }
    }
    fputs(results->count ? ".</p>\n" : " none was selected.</p>\n", out);
}

static void print_broken(FILE *out, const struct corpus_results *results)
{
    const char *between = "<p id=\"broken\">Broken clauses: ";
    for (size_t i = 0; i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        if (clause_verdict(clause, NULL) == CLAUSE_BROKEN) {
            fprintf(out, "%s<a href=\"#clause-%s\">%s</a>", between, clause->id, clause->id);
            between = ", ";
        }
    }
    fputs(*between == ',' ? ".</p>\n" : "", out);
}

/* ---- Clauses ---- */

/* Who broke or kept a clause, and what the reader can follow to see it. */
static void print_evidence(FILE *out, const struct corpus_results *results, const struct clause *clause)
{
    const struct corpus_result *shortest = corpus_shortest(results, clause->id);
    size_t kept = 0, broken = 0;
    for (size_t i = 0; i < clause->statement_count; i++) {
        const struct clause_statement *statement = &clause->statements[i];
        if (strcmp(statement->judge, CORPUS_JUDGE)) {
            bool is_broken = statement->verdict == CLAUSE_BROKEN;
            fprintf(out, is_broken ? "<a href=\"#observed-%s\">" : "<span id=\"by-%s\">", clause->id);
            corpus_print_xml(out, statement->judge);
            fprintf(out, ": %s%s ", clause_verdict_name(statement->verdict), is_broken ? "</a>" : "</span>");
        }
        kept += !strcmp(statement->judge, CORPUS_JUDGE) && statement->verdict == CLAUSE_KEPT;
        broken += !strcmp(statement->judge, CORPUS_JUDGE) && statement->verdict == CLAUSE_BROKEN;
    }
    if (shortest) {
        fprintf(out, "<a href=\"#case-%s\">broken by %zu case%s</a>", shortest->c->id, broken, broken == 1 ? "" : "s");
    } else if (kept) {
        fprintf(out, "%zu case%s", kept, kept == 1 ? "" : "s");
    }
}

static void print_clause(FILE *out, const struct corpus_results *results, const struct clause *clause)
{
    enum clause_verdict verdict = clause_verdict(clause, NULL);
    bool claimed = corpus_is_claimed(results, clause) || verdict == CLAUSE_BROKEN;
    const char *id = claimed ? id_of_verdict(verdict) : "not-claimed";
    fprintf(out,
            "<tr role=\"row\" data-verdict=\"%s\" id=\"clause-%s\"><th role=\"rowheader\" scope=\"row\">%s</th>"
            "<td role=\"cell\" class=\"verdict %s\">%s</td><td role=\"cell\">",
            id, clause->id, clause->id, id, claimed ? clause_verdict_name(verdict) : "not claimed");
    print_evidence(out, results, clause);
    fputs("</td><td role=\"cell\">", out);
    print_sentence(out, clause->sentence);
    if (verdict == CLAUSE_NOT_JUDGED && claimed) {
        fputs(" <em class=\"reason\">Not judged: ", out);
        corpus_print_xml(out, clause_reason(clause));
        fputs("</em>", out);
    }
    fputs("</td></tr>\n", out);
}

static void print_head_of_table(FILE *out, const char *id, const char *caption, const char *const *columns,
                                size_t column_count)
{
    fprintf(out, "<table role=\"table\" id=\"%s\"><caption>%s</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">",
            id, caption);
    for (size_t i = 0; i < column_count; i++) {
        fprintf(out, "<th role=\"columnheader\" scope=\"col\">%s</th>", columns[i]);
    }
    fputs("</tr></thead>\n<tbody role=\"rowgroup\">\n", out);
}

static void print_clauses(FILE *out, const struct corpus_results *results)
{
    static const char *const columns[] = {"Clause", "Verdict", "Judged by", "Sentence of the specification"};
    fputs("<section aria-labelledby=\"h-clauses\"><h2 id=\"h-clauses\">Clauses</h2>\n", out);
    print_head_of_table(out, "clauses", "The verdict on each clause of the specification", columns, 4);
    for (size_t i = 0; i < results->clauses->count; i++) {
        print_clause(out, results, &results->clauses->items[i]);
    }
    fputs("</tbody></table></section>\n", out);
}

/* ---- Failures ---- */

/* A block of text under a heading, if there is any. */
static void print_block(FILE *out, const char *heading, const char *text)
{
    if (text && *text) {
        fprintf(out, "<h4>%s</h4><pre>", heading);
        corpus_print_xml(out, text);
        fputs("</pre>\n", out);
    }
}

static void print_command(FILE *out, const struct corpus_results *results, const char *option, const char *value)
{
    fputs("<h4>Repeat it</h4><pre class=\"command\"><code>", out);
    corpus_print_xml(out, results->repeat);
    fprintf(out, " %s ", option);
    corpus_print_xml(out, value);
    fputs("</code></pre>\n", out);
}

/* Files or steps of a case, as `explain` describes them. */
static void print_explained(FILE *out, const char *heading, void (*explain)(FILE *out, const struct corpus_case *c),
                            const struct corpus_case *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) {
        report_fatal("no memory");
    }
    explain(memory, c);
    fclose(memory);
    print_block(out, heading, text);
    free(text);
}

static void print_broken_by(FILE *out, const struct corpus_findings *findings)
{
    for (size_t i = 0; i < findings->broken_count; i++) {
        fprintf(out, "%s<a href=\"#clause-%s\">%s</a>", i ? ", " : "<p>Breaks ", findings->broken[i],
                findings->broken[i]);
    }
    fputs(findings->broken_count ? ".</p>\n" : "", out);
}

static void print_failed_case(FILE *out, const struct corpus_results *results, const struct corpus_result *result)
{
    const struct corpus_case *c = result->c;
    fprintf(out,
            "<article data-verdict=\"broken\" id=\"case-%s\" aria-labelledby=\"t-%s\"><details open><summary>"
            "<h3 id=\"t-%s\"><code>%s</code> <span class=\"verdict broken\">%s</span> ",
            c->id, c->id, c->id, c->id, corpus_verdict_name(result->verdict));
    corpus_print_xml(out, c->title);
    fputs("</h3></summary>\n", out);
    print_broken_by(out, &result->findings);
    if (c->notes[0]) {
        fputs("<p>", out);
        corpus_print_xml(out, c->notes);
        fputs("</p>\n", out);
    }
    print_block(out, "What happened", result->text);
    print_explained(out, "Steps", corpus_explain_steps, c);
    print_explained(out, "Files", corpus_explain_files, c);
    print_command(out, results, "--case", c->id);
    fputs("</details></article>\n", out);
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* What the observer found about a clause: the story, with what survived or the timeline. */
static void print_observed(FILE *out, const struct corpus_results *results, const json_t *found)
{
    const char *clause = text_of(found, "clause");
    char *sentence = corpus_clause_sentence(results->spec, clause);
    fprintf(out,
            "<article data-verdict=\"broken\" id=\"observed-%s\" aria-labelledby=\"o-%s\"><details open><summary>"
            "<h3 id=\"o-%s\"><code>%s</code> <span class=\"verdict broken\">broken</span> under the observer</h3>"
            "</summary>\n<p><a href=\"#clause-%s\">%s</a>: ",
            clause, clause, clause, clause, clause, clause);
    print_sentence(out, sentence ? sentence : "");
    fputs("</p>\n", out);
    free(sentence);
    print_block(out, "What happened", text_of(found, "text"));
    if (*text_of(found, "scenario")) {
        print_command(out, results, "--scenario", text_of(found, "scenario"));
    }
    fputs("</details></article>\n", out);
}

static void print_failures(FILE *out, const struct corpus_results *results)
{
    const json_t *observed = json_object_get(results->observed, "clauses");
    size_t failures = 0;
    fputs("<section aria-labelledby=\"h-failures\" id=\"failures\"><h2 id=\"h-failures\">Failures</h2>\n", out);
    for (size_t i = 0; i < results->count; i++) {
        if (corpus_is_bad(&results->items[i])) {
            print_failed_case(out, results, &results->items[i]);
            failures++;
        }
    }
    for (size_t i = 0; i < json_array_size(observed); i++) {
        if (!strcmp(text_of(json_array_get(observed, i), "verdict"), "broken")) {
            print_observed(out, results, json_array_get(observed, i));
            failures++;
        }
    }
    fputs(failures ? "</section>\n" : "<p>None.</p></section>\n", out);
}

/* ---- All cases ---- */

static void print_case_row(FILE *out, const struct corpus_result *result)
{
    static const char *const ids[CORPUS_VERDICTS] = {"kept",   "broken", "broken",    "not-judged",
                                                     "broken", "broken", "not-judged"};
    const char *id = ids[result->verdict], *name = corpus_verdict_name(result->verdict);
    fprintf(out, "<tr role=\"row\" data-verdict=\"%s\"><th role=\"rowheader\" scope=\"row\">", id);
    fprintf(out, corpus_is_bad(result) ? "<a href=\"#case-%s\">%s</a>" : "<span title=\"%s\">%s</span>", result->c->id,
            result->c->id);
    fprintf(out, "</th><td role=\"cell\" class=\"verdict %s\">%s</td><td role=\"cell\">", id, name);
    for (size_t i = 0; i < result->c->clause_count; i++) {
        fprintf(out, "<a href=\"#clause-%s\">%s</a> ", result->c->clauses[i], result->c->clauses[i]);
    }
    fputs("</td><td role=\"cell\">", out);
    corpus_print_xml(out, result->c->title);
    if (result->verdict == CORPUS_NOT_APPLICABLE || result->verdict == CORPUS_NOT_RUN) {
        fputs(" <em class=\"reason\">", out);
        corpus_print_xml(out, result->text);
        fputs("</em>", out);
    }
    fputs("</td></tr>\n", out);
}

static void print_cases(FILE *out, const struct corpus_results *results)
{
    static const char *const columns[] = {"Case", "Verdict", "Clauses", "What holds if it passes"};
    fputs(
        "<section aria-labelledby=\"h-cases\"><h2 id=\"h-cases\">Cases</h2>\n<details><summary>All cases that were "
        "selected</summary>\n",
        out);
    print_head_of_table(out, "cases", "The verdict on each case", columns, 4);
    for (size_t i = 0; i < results->count; i++) {
        print_case_row(out, &results->items[i]);
    }
    fputs("</tbody></table></details></section>\n", out);
}

bool corpus_write_html(const char *path, const struct corpus_results *results)
{
    FILE *out = fopen(path, "we");
    if (!out) {
        return false;
    }
    for (size_t i = 0; i < sizeof page / sizeof *page; i++) {
        if (!strcmp(page[i], "@TITLE@\n")) {
            corpus_print_xml(out, results->implementation);
        } else if (!strcmp(page[i], "@CONCLUSION@\n")) {
            print_head(out, results);
            print_counts(out, results);
            print_broken(out, results);
        } else if (!strcmp(page[i], "@CONTENT@\n")) {
            print_failures(out, results);
            print_clauses(out, results);
            print_cases(out, results);
        } else {
            fputs(page[i], out);
        }
    }
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}
