/*
 * From the verdicts on cases to the verdicts on clauses, the exit code and the conclusion.
 *
 * A case that failed breaks the clauses that its failed steps observed. It keeps its other clauses if all its steps
 * were reached. A clause that no case has kept or broken is not judged, and the statement says why: its cases do not
 * apply, were not selected, crashed, or ended at a precondition. A clause without a case has the reason that
 * corpus.json gives.
 *
 * An implementation that claims to take several requests at once, but was never seen to, is not judged in the clauses
 * on concurrency: whatever a case expects of requests at once then holds by itself.
 */
#include "corpus/corpus_report.h"

#include "base/report.h"

#include <stdlib.h>
#include <string.h>

size_t corpus_count(const struct corpus_results *results, enum corpus_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        count += results->items[i].verdict == verdict;
    }
    return count;
}

bool corpus_is_bad(const struct corpus_result *result)
{
    return result->verdict == CORPUS_FAILED || result->verdict == CORPUS_NOT_JUDGED ||
           result->verdict == CORPUS_CRASHED || result->verdict == CORPUS_HUNG;
}

/* ---- What is claimed ---- */

static const struct protocol_abilities *abilities_of(const struct corpus_results *results)
{
    /* The engines of this program claim everything. */
    static const struct protocol_abilities all = {
        .r20 = true, .r9 = true, .concurrency = PROTOCOL_CONCURRENCY_MAX, .level = PROTOCOL_DURABLE};
    const struct corpus_subject *subject = results->subject;
    return subject && subject->abilities ? subject->abilities : &all;
}

bool corpus_is_claimed(const struct corpus_results *results, const struct clause *clause)
{
    const struct protocol_abilities *abilities = abilities_of(results);
    bool needs_r9 = !strncmp(clause->id, "HR9-", strlen("HR9-"));
    return clause_is_claimed(clause, abilities->level, abilities->concurrency > 1) && (!needs_r9 || abilities->r9);
}

/* ---- Statements ---- */

static bool has_clause(const struct corpus_case *c, const char *clause)
{
    for (size_t i = 0; i < c->clause_count; i++) {
        if (!strcmp(c->clauses[i], clause)) {
            return true;
        }
    }
    return false;
}

static bool found_broken(const struct corpus_result *result, const char *clause)
{
    for (size_t i = 0; i < result->findings.broken_count; i++) {
        if (!strcmp(result->findings.broken[i], clause)) {
            return true;
        }
    }
    return false;
}

const struct corpus_result *corpus_shortest(const struct corpus_results *results, const char *clause)
{
    const struct corpus_result *best = NULL;
    for (size_t i = 0; i < results->count; i++) {
        const struct corpus_result *result = &results->items[i];
        if (!found_broken(result, clause)) {
            continue;
        }
        bool is_about = has_clause(result->c, clause), best_is = best && has_clause(best->c, clause);
        if (!best || (is_about && !best_is) || (is_about == best_is && result->c->step_count < best->c->step_count)) {
            best = result;
        }
    }
    return best;
}

/* The groups of concurrent requests that all cases have run, and those in which requests were in progress at once. */
static void count_groups(const struct corpus_results *results, unsigned *groups, unsigned *interleaved)
{
    *groups = *interleaved = 0;
    for (size_t i = 0; i < results->count; i++) {
        *groups += results->items[i].findings.groups;
        *interleaved += results->items[i].findings.interleaved;
    }
}

static bool is_on_concurrency(const struct clause *clause)
{
    return clause->levels == 1u << PROTOCOL_CONCURRENT;
}

static bool is_on_durability(const struct clause *clause)
{
    return clause->levels == 1u << PROTOCOL_DURABLE;
}

/* Why a case that is about a clause has neither kept nor broken it. */
static void print_reason(FILE *out, const struct corpus_result *result)
{
    static const char *const reasons[CORPUS_VERDICTS] = {
        [CORPUS_FAILED] = "its case failed before", [CORPUS_NOT_JUDGED] = "a precondition of its cases failed",
        [CORPUS_CRASHED] = "its case crashed",      [CORPUS_HUNG] = "its case hung",
        [CORPUS_NOT_RUN] = "its case was not run",
    };
    if (result->verdict == CORPUS_NOT_APPLICABLE) {
        const char *what = strstr(result->text, "does not claim");
        fprintf(out, "it %.*s", (int)strcspn(what, "\n"), what);
    } else {
        fprintf(out, "%s: %s", reasons[result->verdict], result->c->id);
    }
}

static void state(struct corpus_results *results, const char *clause, enum clause_verdict verdict,
                  const struct corpus_result *result, const char *text)
{
    clauses_state(results->clauses, CORPUS_JUDGE, clause, verdict, result ? result->c->id : NULL, text);
}

/* States what one case has found about the clauses that it is about, and those that it broke on its way. */
static void state_result(struct corpus_results *results, const struct corpus_result *result, bool at_once)
{
    for (size_t i = 0; i < result->findings.broken_count; i++) {
        if (clauses_find(results->clauses, result->findings.broken[i])) {
            state(results, result->findings.broken[i], CLAUSE_BROKEN, result, result->text);
        }
    }
    for (size_t i = 0; i < result->c->clause_count; i++) {
        const char *clause = result->c->clauses[i];
        char *text = NULL;
        size_t size = 0;
        if (found_broken(result, clause)) {
            continue;
        }
        if (result->verdict == CORPUS_PASSED || (result->verdict == CORPUS_FAILED && result->findings.complete)) {
            bool seen = at_once || !is_on_concurrency(clauses_find(results->clauses, clause));
            state(results, clause, seen ? CLAUSE_KEPT : CLAUSE_NOT_JUDGED, result,
                  seen ? "" : "no two requests were ever seen in progress at once");
            continue;
        }
        FILE *out = open_memstream(&text, &size);
        if (!out) {
            abort();
        }
        print_reason(out, result);
        fclose(out);
        state(results, clause, CLAUSE_NOT_JUDGED, result, text);
        free(text);
    }
}

/* States why nobody has said anything about a clause that has cases. */
static void state_unselected(struct corpus_results *results, const struct clause *clause)
{
    for (size_t i = 0; i < results->left_out_count; i++) {
        const struct corpus_result *result = &results->left_out[i];
        if (has_clause(result->c, clause->id)) {
            char *text = corpus_applies(result->c, results->subject);
            struct corpus_result skipped = {.c = result->c, .verdict = CORPUS_NOT_APPLICABLE, .text = text};
            state_result(results, &skipped, true);
            free(text);
            return;
        }
    }
    for (size_t i = 0; i < results->corpus->count; i++) {
        if (has_clause(&results->corpus->cases[i], clause->id)) {
            state(results, clause->id, CLAUSE_NOT_JUDGED, NULL, "no case of it was selected");
            return;
        }
    }
}

void corpus_state_clauses(struct corpus_results *results)
{
    unsigned groups, interleaved;
    count_groups(results, &groups, &interleaved);
    results->clauses->interleavings += interleaved;
    for (size_t i = 0; i < results->count; i++) {
        state_result(results, &results->items[i], interleaved > 0);
    }
    for (size_t i = 0; i < results->clauses->count; i++) {
        if (results->clauses->items[i].statement_count == 0) {
            state_unselected(results, &results->clauses->items[i]);
        }
    }
}

/* ---- The exit code ---- */

/* Whether some clause has this verdict: any clause if it is broken, a claimed one otherwise. */
static bool has_verdict(const struct corpus_results *results, enum clause_verdict verdict)
{
    for (size_t i = 0; results->clauses && i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        bool counts = verdict == CLAUSE_BROKEN || (corpus_is_claimed(results, clause) && !clause_is_hidden(clause));
        if (counts && clause_verdict(clause, NULL) == verdict) {
            return true;
        }
    }
    return false;
}

int corpus_exit(const struct corpus_results *results)
{
    if (corpus_count(results, CORPUS_CRASHED) || corpus_count(results, CORPUS_HUNG) || results->crashed) {
        return REPORT_CRASHED;
    }
    if (corpus_count(results, CORPUS_FAILED) || corpus_count(results, CORPUS_NOT_JUDGED) ||
        has_verdict(results, CLAUSE_BROKEN)) {
        return REPORT_DIFFERS;
    }
    bool any = results->count > 0 || results->only_observed;
    bool all = any && corpus_count(results, CORPUS_PASSED) == results->count && !results->unobserved;
    all = all && !(results->complete && has_verdict(results, CLAUSE_NOT_JUDGED));
    return all ? REPORT_CONFORMS : REPORT_INCOMPLETE;
}

/* ---- The conclusion ---- */

/* The verdicts on the claimed clauses of one kind. */
struct part {
    size_t count, kept, broken;
    size_t by_reserved;            /* kept or broken ones that only one judge can find kept */
    const struct clause *unjudged; /* one that is not judged, though it can be; or null */
};

/*
 * How much the reason why a clause is not judged says about the whole part: most if a case ran. What only one judge can
 * see is nearly all of durability, and the exception elsewhere.
 */
static int weight(const struct clause *clause)
{
    const struct clause_statement *because;
    clause_verdict(clause, &because);
    return because && because->case_id ? 2 : !clause->reserved ? 0 : is_on_durability(clause) ? 1 : -1;
}

static struct part count_part(const struct corpus_results *results, bool (*belongs)(const struct clause *clause))
{
    struct part part = {0};
    for (size_t i = 0; results->clauses && i < results->clauses->count; i++) {
        const struct clause *clause = &results->clauses->items[i];
        if (!corpus_is_claimed(results, clause) || !belongs(clause)) {
            continue;
        }
        enum clause_verdict verdict = clause_verdict(clause, NULL);
        part.count++;
        part.kept += verdict == CLAUSE_KEPT;
        part.broken += verdict == CLAUSE_BROKEN;
        part.by_reserved += verdict != CLAUSE_NOT_JUDGED && clause->reserved;
        bool unjudged = verdict == CLAUSE_NOT_JUDGED && !clause_is_hidden(clause);
        if (unjudged && (!part.unjudged || weight(clause) > weight(part.unjudged))) {
            part.unjudged = clause;
        }
    }
    return part;
}

static bool is_basic(const struct clause *clause)
{
    return !is_on_concurrency(clause) && !is_on_durability(clause);
}

static void print_counts(FILE *out, const struct part *part)
{
    fprintf(out, " (%zu of %zu clauses)", part->kept, part->count);
}

/* Why a part is not judged: what stands before the first colon of a reason, as the rest is about one clause. */
static void print_unjudged(FILE *out, const char *what, const struct part *part)
{
    const char *reason = part->unjudged ? clause_reason(part->unjudged) : "nobody can";
    fprintf(out, "; %s not judged (%.*s)", what, (int)strcspn(reason, ":"), reason);
}

static void print_concurrency(FILE *out, const struct corpus_results *results)
{
    struct part part = count_part(results, is_on_concurrency);
    if (part.count == 0) {
        fputs("; concurrency not claimed", out);
    } else if (part.kept + part.broken == 0) {
        print_unjudged(out, "concurrency", &part);
    } else {
        uint64_t count = results->clauses->interleavings;
        fprintf(out, "; concurrency judged at %llu interleaving%s", (unsigned long long)count, count == 1 ? "" : "s");
        print_counts(out, &part);
    }
}

/* Most of it only an observer can see: what cases see of it alone would say too much. */
static void print_durability(FILE *out, const struct corpus_results *results)
{
    struct part part = count_part(results, is_on_durability);
    if (part.count == 0) {
        fputs("; durability not claimed", out);
    } else if (part.by_reserved == 0) {
        print_unjudged(out, "durability", &part);
    } else {
        fputs("; durability judged", out);
        if (results->clauses->power_cuts > 0) {
            fprintf(out, " at %llu power cuts", (unsigned long long)results->clauses->power_cuts);
        }
        print_counts(out, &part);
    }
}

char *corpus_conclusion(const struct corpus_results *results)
{
    static const char *const words[] = {"conforms", "does not conform", "", "crashed or hung", "incomplete"};
    int code = corpus_exit(results);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        abort();
    }
    fputs(words[code], out);
    if (code == REPORT_CONFORMS || code == REPORT_INCOMPLETE) {
        struct part part = count_part(results, is_basic);
        bool writes = abilities_of(results)->level >= PROTOCOL_WRITER;
        fprintf(out, " as %s", protocol_level_name(writes ? PROTOCOL_WRITER : PROTOCOL_READER));
        print_counts(out, &part);
        if (writes) {
            print_concurrency(out, results);
            print_durability(out, results);
        }
    }
    fclose(out);
    return text;
}

/* ---- Abilities that were not claimed ---- */

static struct corpus_reason *find_reason(struct corpus_reason *list, size_t *count, char *ability, size_t room)
{
    for (size_t i = 0; i < *count; i++) {
        if (!strcmp(list[i].ability, ability)) {
            free(ability);
            return &list[i];
        }
    }
    list[*count] = (struct corpus_reason){.ability = ability, .cases = report_allocate(room, sizeof *list->cases)};
    return &list[(*count)++];
}

static int by_count(const void *left, const void *right)
{
    const struct corpus_reason *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : strcmp(a->ability, b->ability);
}

/* Adds the reasons of the cases in `items` that do not apply. */
static void add_reasons(const struct corpus_results *results, const struct corpus_result *items, size_t item_count,
                        bool left_out, struct corpus_reason **list, size_t *count)
{
    for (size_t i = 0; i < item_count; i++) {
        char *missing[CORPUS_MISSING_MAX];
        bool applies = !left_out && items[i].verdict != CORPUS_NOT_APPLICABLE;
        size_t found = applies ? 0 : corpus_missing(items[i].c, results->subject, missing);
        for (size_t j = 0; j < found; j++) {
            struct corpus_reason *more = realloc(*list, (*count + 1) * sizeof *more);
            if (!more) {
                abort();
            }
            *list = more;
            struct corpus_reason *reason =
                find_reason(more, count, missing[j], results->count + results->left_out_count);
            reason->cases[reason->count++] = items[i].c;
            reason->left_out |= left_out;
        }
    }
}

size_t corpus_reasons(const struct corpus_results *results, struct corpus_reason **reasons)
{
    size_t count = 0;
    *reasons = NULL;
    add_reasons(results, results->items, results->count, false, reasons, &count);
    add_reasons(results, results->left_out, results->left_out_count, true, reasons, &count);
    if (count > 0) {
        qsort(*reasons, count, sizeof **reasons, by_count);
    }
    return count;
}

void corpus_free_reasons(struct corpus_reason *reasons, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(reasons[i].ability);
        free(reasons[i].cases);
    }
    free(reasons);
}
