/*
 * Reports a run for machines: JSON and JUnit XML (corpus/README.md).
 */
#include "corpus/corpus_report.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

static json_t *strings(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_string(texts[i]));
    }
    return list;
}

static json_t *json_of_result(const struct corpus_results *results, const struct corpus_result *result)
{
    json_t *broken = json_array();
    for (size_t i = 0; i < result->findings.broken_count; i++) {
        json_array_append_new(broken, json_string(result->findings.broken[i]));
    }
    json_t *value =
        json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:f}", "id", result->c->id, "title", result->c->title, "clauses",
                  strings(result->c->clauses, result->c->clause_count), "verdict", corpus_verdict_name(result->verdict),
                  "broken", broken, "text", result->text ? result->text : "", "seconds", result->seconds);
    if (result->verdict == CORPUS_NOT_JUDGED && result->findings.broken_count > 0) {
        const struct corpus_result *other = corpus_shortest(results, result->findings.broken[0]);
        json_object_set_new(value, "see", json_string(other->c->id));
    }
    return value;
}

/* How many cases are about a clause and kept it, broke it, or did neither. */
struct tally {
    size_t passed, broken, not_judged;
};

static struct tally count_cases(const struct clause *clause)
{
    struct tally tally = {0};
    for (size_t i = 0; i < clause->statement_count; i++) {
        const struct clause_statement *statement = &clause->statements[i];
        if (!strcmp(statement->judge, CORPUS_JUDGE) && statement->case_id) {
            tally.passed += statement->verdict == CLAUSE_KEPT;
            tally.broken += statement->verdict == CLAUSE_BROKEN;
            tally.not_judged += statement->verdict == CLAUSE_NOT_JUDGED;
        }
    }
    return tally;
}

static json_t *json_of_clause(const struct corpus_results *results, const struct clause *clause)
{
    struct tally tally = count_cases(clause);
    enum clause_verdict verdict = clause_verdict(clause, NULL);
    json_t *value = json_pack("{s:s, s:s, s:b, s:s, s:I, s:I, s:I}", "clause", clause->id, "sentence", clause->sentence,
                              "claimed", corpus_is_claimed(results, clause), "verdict", clause_verdict_name(verdict),
                              "passed", (json_int_t)tally.passed, "broken", (json_int_t)tally.broken, "not judged",
                              (json_int_t)tally.not_judged);
    if (verdict == CLAUSE_NOT_JUDGED) {
        json_object_set_new(value, "reason", json_string(clause_reason(clause)));
    }
    return value;
}

/* What all judges have stated about a broken clause; the shortest case, if a case shows it. */
static json_t *json_of_broken_clause(const struct corpus_results *results, const struct clause *clause)
{
    json_t *value = json_pack("{s:s, s:s, s:I}", "clause", clause->id, "sentence", clause->sentence, "cases",
                              (json_int_t)count_cases(clause).broken);
    const struct corpus_result *shortest = corpus_shortest(results, clause->id);
    json_t *texts = json_array();
    for (size_t i = 0; i < clause->statement_count; i++) {
        const struct clause_statement *statement = &clause->statements[i];
        if (statement->verdict == CLAUSE_BROKEN) {
            json_array_append_new(texts, json_pack("{s:s, s:s}", "judge", statement->judge, "text", statement->text));
        }
    }
    json_object_set_new(value, "shortest", shortest ? json_string(shortest->c->id) : json_null());
    json_object_set_new(value, "found", texts);
    return value;
}

static json_t *json_of_reasons(const struct corpus_results *results)
{
    struct corpus_reason *reasons;
    size_t count = corpus_reasons(results, &reasons);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *cases = json_array();
        for (size_t j = 0; j < reasons[i].count; j++) {
            json_array_append_new(cases, json_string(reasons[i].cases[j]->id));
        }
        json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "not claimed", reasons[i].ability, "left out",
                                              reasons[i].left_out, "cases", cases));
    }
    corpus_free_reasons(reasons, count);
    return list;
}

bool corpus_write_json(const char *path, const struct corpus_results *results)
{
    static const char *const words[] = {"conforms", "does not conform", "", "crashed or hung", "incomplete"};
    json_t *cases = json_array(), *clauses = json_array(), *broken = json_array();
    for (size_t i = 0; i < results->count; i++) {
        json_array_append_new(cases, json_of_result(results, &results->items[i]));
    }
    for (size_t i = 0; i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        json_array_append_new(clauses, json_of_clause(results, clause));
        if (clause_verdict(clause, NULL) == CLAUSE_BROKEN) {
            json_array_append_new(broken, json_of_broken_clause(results, clause));
        }
    }
    int code = corpus_exit(results);
    char *covers = corpus_conclusion(results);
    json_t *report =
        json_pack("{s:i, s:s, s:i, s:i, s:s, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "report", CORPUS_REPORT,
                  "corpus", results->version, "format", CORPUS_FORMAT, "protocol", PROTOCOL_VERSION, "implementation",
                  results->implementation, "exit", code, "conclusion", words[code], "covers", covers, "interleavings",
                  (json_int_t)results->clauses->interleavings, "broken", broken, "clauses", clauses, "not applicable",
                  json_of_reasons(results), "cases", cases);
    if (results->observed) {
        json_object_set(report, "observed", results->observed);
    }
    bool good = json_dump_file(report, path, JSON_INDENT(1)) == 0;
    json_decref(report);
    free(covers);
    return good;
}

/* ---- JUnit ---- */

void corpus_print_xml(FILE *out, const char *text)
{
    json_t *readable = json_string(text); /* null if it is not UTF-8 */
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '<' || c == '>' || c == '&' || c == '"') {
            fputs(c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "&quot;", out);
        } else {
            fputc((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && !readable) ? '?' : c, out);
        }
    }
    json_decref(readable);
}

/* The explanation of a case goes where CI systems show the output of a failed test, the shortest form of it where they
 * show one line. */
static void print_junit_case(FILE *out, const struct corpus_results *results, size_t index)
{
    static const char *const elements[CORPUS_VERDICTS] = {NULL,    "failure", "failure", "skipped",
                                                          "error", "error",   "skipped"};
    const struct corpus_result *result = &results->items[index];
    const char *element = elements[result->verdict];
    char *explanation = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&explanation, &size);
    if (!memory) {
        abort();
    }
    corpus_print_explanation(memory, results, index, "");
    fclose(memory);
    fputs("    <testcase classname=\"", out);
    corpus_print_xml(out, results->implementation);
    fprintf(out, "\" name=\"%s\" time=\"%.3f\">", result->c->id, result->seconds);
    if (element) {
        fprintf(out, "<%s message=\"", element);
        corpus_print_xml(out, corpus_is_bad(result) ? result->c->title : corpus_verdict_name(result->verdict));
        if (corpus_is_bad(result)) {
            fprintf(out, "\" type=\"%s", corpus_verdict_name(result->verdict));
        }
        fputs("\">", out);
        corpus_print_xml(out, explanation);
        fprintf(out, "</%s>", element);
    }
    fputs("</testcase>\n", out);
    free(explanation);
}

static void print_junit_cases(FILE *out, const struct corpus_results *results)
{
    double seconds = 0;
    for (size_t i = 0; i < results->count; i++) {
        seconds += results->items[i].seconds;
    }
    fprintf(out,
            "  <testsuite name=\"add-cow corpus %s\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" "
            "time=\"%.3f\">\n",
            results->version, results->count,
            corpus_count(results, CORPUS_FAILED) + corpus_count(results, CORPUS_NOT_JUDGED),
            corpus_count(results, CORPUS_CRASHED) + corpus_count(results, CORPUS_HUNG),
            corpus_count(results, CORPUS_NOT_APPLICABLE) + corpus_count(results, CORPUS_NOT_RUN), seconds);
    for (size_t i = 0; i < results->count; i++) {
        print_junit_case(out, results, i);
    }
    fputs("  </testsuite>\n", out);
}

/* A clause is a test too: one that is broken failed, one that is not judged was skipped. */
static void print_junit_clause(FILE *out, const struct corpus_results *results, const struct clause *clause)
{
    static const char *const elements[] = {[CLAUSE_NOT_JUDGED] = "skipped", [CLAUSE_BROKEN] = "failure"};
    const struct clause_statement *because;
    enum clause_verdict verdict = clause_verdict(clause, &because);
    fputs("    <testcase classname=\"", out);
    corpus_print_xml(out, results->implementation);
    fprintf(out, "\" name=\"%s\" time=\"0\">", clause->id);
    if (verdict != CLAUSE_KEPT) {
        fprintf(out, "<%s message=\"", elements[verdict]);
        corpus_print_xml(out, verdict == CLAUSE_BROKEN ? clause->sentence : clause_reason(clause));
        fputs(verdict == CLAUSE_BROKEN ? "\" type=\"broken\">" : "\">", out);
        corpus_print_xml(out, verdict == CLAUSE_BROKEN ? because->text : "");
        fprintf(out, "</%s>", elements[verdict]);
    }
    fputs("</testcase>\n", out);
}

/* The clauses that the implementation claims, and any other that is broken. */
static bool is_reported(const struct corpus_results *results, const struct clause *clause)
{
    return corpus_is_claimed(results, clause) || clause_verdict(clause, NULL) == CLAUSE_BROKEN;
}

static void print_junit_clauses(FILE *out, const struct corpus_results *results)
{
    size_t counts[3] = {0};
    for (size_t i = 0; i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        counts[clause_verdict(clause, NULL)] += is_reported(results, clause);
    }
    fprintf(out,
            "  <testsuite name=\"add-cow clauses\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" "
            "time=\"0\">\n",
            counts[0] + counts[1] + counts[2], counts[CLAUSE_BROKEN], counts[CLAUSE_NOT_JUDGED]);
    for (size_t i = 0; i < results->clauses->count; i++) {
        if (is_reported(results, &results->clauses->items[i])) {
            print_junit_clause(out, results, &results->clauses->items[i]);
        }
    }
    fputs("  </testsuite>\n", out);
}

bool corpus_write_junit(const char *path, const struct corpus_results *results)
{
    FILE *out = fopen(path, "we");
    if (!out) {
        return false;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
    print_junit_cases(out, results);
    print_junit_clauses(out, results);
    fputs("</testsuites>\n", out);
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}
