/*
 * Reports a run of the corpus.
 *
 * A failed case breaks the clauses that it names. The summary lists each broken clause with its sentence in the
 * specification, the number of cases that break it, and the shortest one, which has the fewest steps. A clause counts
 * as not judged if none of its cases passed or failed.
 */
#include "corpus/corpus_report.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

const char *corpus_verdict_name(enum corpus_verdict verdict)
{
    static const char *const names[] = {"passed", "failed", "not applicable", "crashed", "not run"};
    return names[verdict];
}

size_t corpus_count(const struct corpus_results *results, enum corpus_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        count += results->items[i].verdict == verdict;
    }
    return count;
}

int corpus_exit(const struct corpus_results *results)
{
    if (corpus_count(results, CORPUS_CRASHED)) {
        return REPORT_CRASHED;
    }
    if (corpus_count(results, CORPUS_FAILED)) {
        return REPORT_DIFFERS;
    }
    bool all = results->count > 0 && corpus_count(results, CORPUS_PASSED) == results->count;
    return all ? REPORT_CONFORMS : REPORT_INCOMPLETE;
}

static bool is_broken(const struct corpus_result *result)
{
    return result->verdict == CORPUS_FAILED || result->verdict == CORPUS_CRASHED;
}

/* ---- Clauses ---- */

char *corpus_read_spec(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, 0, file) < 0) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

char *corpus_clause_sentence(const char *spec, const char *clause)
{
    char start[32];
    snprintf(start, sizeof start, "\n**%s** ", clause);
    const char *from = spec ? strstr(spec, start) : NULL;
    if (!from) {
        return NULL;
    }
    from += strlen(start);
    const char *end = strstr(from, "\n\n");
    char *sentence = strndup(from, end ? (size_t)(end - from) : strlen(from));
    for (char *c = sentence; c && *c; c++) {
        if (*c == '\n') {
            *c = ' ';
        }
    }
    return sentence;
}

/* The results of the cases that name a clause. */
struct tally {
    const char *clause;
    size_t passed;
    size_t broken_by;
    size_t not_judged;                  /* cases not applicable, or not run */
    const struct corpus_case *shortest; /* of those that break it; or null */
};

static int by_clause(const void *left, const void *right)
{
    return strcmp(((const struct tally *)left)->clause, ((const struct tally *)right)->clause);
}

static void count_result(struct tally *tally, const struct corpus_result *result)
{
    if (is_broken(result)) {
        tally->broken_by++;
        if (!tally->shortest || result->c->step_count < tally->shortest->step_count) {
            tally->shortest = result->c;
        }
    } else {
        tally->passed += result->verdict == CORPUS_PASSED;
        tally->not_judged += result->verdict != CORPUS_PASSED;
    }
}

/* Lists all clauses that the cases name, in order. The caller frees *list. */
static size_t tally_clauses(const struct corpus_results *results, struct tally **list)
{
    size_t room = 0;
    for (size_t i = 0; i < results->count; i++) {
        room += results->items[i].c->clause_count;
    }
    *list = report_allocate(room, sizeof **list);
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_case *c = results->items[i].c;
        for (size_t j = 0; j < c->clause_count; j++) {
            size_t k = 0;
            while (k < count && strcmp((*list)[k].clause, c->clauses[j])) {
                k++;
            }
            if (k == count) {
                (*list)[count++] = (struct tally){.clause = c->clauses[j]};
            }
            count_result(&(*list)[k], &results->items[i]);
        }
    }
    qsort(*list, count, sizeof **list, by_clause);
    return count;
}

/* ---- For people ---- */

/* Prints text line by line, each behind a prefix. */
static void print_lines(FILE *out, const char *prefix, const char *text)
{
    while (text && *text) {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%s%.*s\n", prefix, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_explanation(FILE *out, const struct corpus_results *results, size_t index, const char *prefix)
{
    const struct corpus_result *result = &results->items[index];
    print_lines(out, prefix, result->text);
    if (!is_broken(result)) {
        return;
    }
    for (size_t i = 0; i < result->c->clause_count; i++) {
        char *sentence = corpus_clause_sentence(results->spec, result->c->clauses[i]);
        fprintf(out, "%s%s: %s\n", prefix, result->c->clauses[i], sentence ? sentence : "");
        free(sentence);
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
        print_explanation(out, results, index, "# ");
    }
    fflush(out);
}

void corpus_print_failure(FILE *out, const struct corpus_results *results, size_t index)
{
    const struct corpus_result *result = &results->items[index];
    fprintf(out, "%s: %s: %s\n", result->c->id, corpus_verdict_name(result->verdict), result->c->title);
    print_explanation(out, results, index, "  ");
}

void corpus_print_failure_line(FILE *out, const struct corpus_results *results, size_t index)
{
    const struct corpus_result *result = &results->items[index];
    int length = (int)strcspn(result->text, "\n");
    fprintf(out, "%s: %s: %.*s\n", result->c->id, corpus_verdict_name(result->verdict), length, result->text);
}

static void print_clauses(FILE *out, const struct corpus_results *results, const char *prefix, const struct tally *list,
                          size_t count)
{
    size_t broken = 0, held = 0;
    for (size_t i = 0; i < count; i++) {
        broken += list[i].broken_by > 0;
        held += !list[i].broken_by && list[i].passed > 0;
    }
    if (broken) {
        fprintf(out, "%sbroken clauses: %zu\n", prefix, broken);
    }
    for (size_t i = 0; i < count; i++) {
        if (!list[i].broken_by) {
            continue;
        }
        char *sentence = corpus_clause_sentence(results->spec, list[i].clause);
        fprintf(out, "%s  %s %s\n", prefix, list[i].clause, sentence ? sentence : "");
        fprintf(out, "%s         broken by %zu %s, the shortest: %s (%s)\n", prefix, list[i].broken_by,
                list[i].broken_by == 1 ? "case" : "cases", list[i].shortest->id, list[i].shortest->title);
        free(sentence);
    }
    fprintf(out, "%s%zu clauses: %zu kept, %zu broken, %zu not judged\n", prefix, count, held, broken,
            count - held - broken);
}

static const char *conclusion_of(const struct corpus_results *results)
{
    static const char *const conclusions[] = {"conforms", "does not conform", "", "crashed or hung", "incomplete"};
    return conclusions[corpus_exit(results)];
}

void corpus_print_summary(FILE *out, const struct corpus_results *results, const char *prefix)
{
    struct tally *list;
    size_t count = tally_clauses(results, &list);
    print_clauses(out, results, prefix, list, count);
    free(list);
    fprintf(out, "%scorpus %s, %s: %zu of %zu cases passed", prefix, results->version, results->implementation,
            corpus_count(results, CORPUS_PASSED), results->count);
    for (int verdict = CORPUS_FAILED; verdict <= CORPUS_NOT_RUN; verdict++) {
        size_t cases = corpus_count(results, (enum corpus_verdict)verdict);
        if (cases) {
            fprintf(out, ", %zu %s", cases, corpus_verdict_name((enum corpus_verdict)verdict));
        }
    }
    fprintf(out, ": %s\n", conclusion_of(results));
}

/* ---- For machines ---- */

static json_t *strings(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_string(texts[i]));
    }
    return list;
}

static json_t *json_of_result(const struct corpus_result *result)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:f}", "id", result->c->id, "title", result->c->title, "clauses",
                     strings(result->c->clauses, result->c->clause_count), "verdict",
                     corpus_verdict_name(result->verdict), "text", result->text ? result->text : "", "seconds",
                     result->seconds);
}

static json_t *json_of_clause(const struct corpus_results *results, const struct tally *tally)
{
    char *sentence = corpus_clause_sentence(results->spec, tally->clause);
    json_t *value = json_pack("{s:s, s:s, s:I, s:I, s:I}", "clause", tally->clause, "sentence",
                              sentence ? sentence : "", "passed", (json_int_t)tally->passed, "broken",
                              (json_int_t)tally->broken_by, "not judged", (json_int_t)tally->not_judged);
    free(sentence);
    return value;
}

static json_t *json_of_broken_clause(const struct corpus_results *results, const struct tally *tally)
{
    char *sentence = corpus_clause_sentence(results->spec, tally->clause);
    json_t *value = json_pack("{s:s, s:s, s:I, s:s}", "clause", tally->clause, "sentence", sentence ? sentence : "",
                              "cases", (json_int_t)tally->broken_by, "shortest", tally->shortest->id);
    free(sentence);
    return value;
}

bool corpus_write_json(const char *path, const struct corpus_results *results)
{
    json_t *cases = json_array();
    json_t *clauses = json_array();
    json_t *broken = json_array();
    for (size_t i = 0; i < results->count; i++) {
        json_array_append_new(cases, json_of_result(&results->items[i]));
    }
    struct tally *list;
    size_t count = tally_clauses(results, &list);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(clauses, json_of_clause(results, &list[i]));
        if (list[i].broken_by) {
            json_array_append_new(broken, json_of_broken_clause(results, &list[i]));
        }
    }
    free(list);
    json_t *report = json_pack("{s:i, s:s, s:i, s:i, s:s, s:i, s:s, s:o, s:o, s:o}", "report", CORPUS_REPORT, "corpus",
                               results->version, "format", CORPUS_FORMAT, "protocol", PROTOCOL_VERSION,
                               "implementation", results->implementation, "exit", corpus_exit(results), "conclusion",
                               conclusion_of(results), "broken", broken, "clauses", clauses, "cases", cases);
    if (results->observed) {
        json_object_set(report, "observed", results->observed);
    }
    bool good = json_dump_file(report, path, JSON_INDENT(1)) == 0;
    json_decref(report);
    return good;
}

/* Escapes text for XML. '?' replaces what XML cannot hold: control characters and invalid UTF-8. */
static void print_xml(FILE *out, const char *text)
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
    static const char *const elements[] = {NULL, "failure", "skipped", "error", "skipped"};
    const struct corpus_result *result = &results->items[index];
    const char *element = elements[result->verdict];
    char *explanation = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&explanation, &size);
    if (!memory) {
        abort();
    }
    print_explanation(memory, results, index, "");
    fclose(memory);
    fputs("    <testcase classname=\"", out);
    print_xml(out, results->implementation);
    fprintf(out, "\" name=\"%s\" time=\"%.3f\">", result->c->id, result->seconds);
    if (element) {
        fprintf(out, "<%s message=\"", element);
        print_xml(out, is_broken(result) ? result->c->title : corpus_verdict_name(result->verdict));
        if (is_broken(result)) {
            fprintf(out, "\" type=\"%s", corpus_verdict_name(result->verdict));
        }
        fputs("\">", out);
        print_xml(out, explanation);
        fprintf(out, "</%s>", element);
    }
    fputs("</testcase>\n", out);
    free(explanation);
}

/* The clauses that an observer judged, each a test case; null prints none. Counts those with a verdict. */
static size_t print_junit_observed(FILE *out, const struct corpus_results *results, const char *verdict)
{
    size_t i, count = 0;
    json_t *clause;
    json_array_foreach(json_object_get(results->observed, "clauses"), i, clause)
    {
        const char *found = json_string_value(json_object_get(clause, "verdict"));
        const char *text = json_string_value(json_object_get(clause, "text"));
        count += !verdict || !strcmp(found, verdict);
        if (out) {
            fputs("    <testcase classname=\"", out);
            print_xml(out, results->implementation);
            fprintf(out, "\" name=\"observed %s\">", json_string_value(json_object_get(clause, "clause")));
            const char *element = !strcmp(found, "broken") ? "failure" : strcmp(found, "kept") ? "skipped" : NULL;
            if (element) {
                fprintf(out, "<%s message=\"%s\">", element, found);
                print_xml(out, text);
                fprintf(out, "</%s>", element);
            }
            fputs("</testcase>\n", out);
        }
    }
    return count;
}

bool corpus_write_junit(const char *path, const struct corpus_results *results)
{
    FILE *out = fopen(path, "we");
    if (!out) {
        return false;
    }
    double seconds = 0;
    for (size_t i = 0; i < results->count; i++) {
        seconds += results->items[i].seconds;
    }
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuites>\n"
            "  <testsuite name=\"add-cow corpus %s\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" "
            "time=\"%.3f\">\n",
            results->version, results->count + print_junit_observed(NULL, results, NULL),
            corpus_count(results, CORPUS_FAILED) + print_junit_observed(NULL, results, "broken"),
            corpus_count(results, CORPUS_CRASHED),
            corpus_count(results, CORPUS_NOT_APPLICABLE) + corpus_count(results, CORPUS_NOT_RUN) +
                print_junit_observed(NULL, results, "not judged"),
            seconds);
    for (size_t i = 0; i < results->count; i++) {
        print_junit_case(out, results, i);
    }
    print_junit_observed(out, results, NULL);
    fputs("  </testsuite>\n</testsuites>\n", out);
    bool good = !ferror(out);
    return fclose(out) == 0 && good;
}
