/*
 * The table of clauses, and what judges have stated about them.
 *
 * Two passes read the specification. The first collects the paragraphs that begin with an ID in bold. The second reads
 * section 15, a list of levels, each with a list of IDs, ranges (HDR-01..20), families (LNK) and other levels.
 */
#include "corpus/clauses.h"

#include "base/report.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTION_OF_LEVELS "\n## 15. "
#define LEVEL_ITEM "\n- **"
#define ITEM_MAX 64u /* bytes of a word of section 15 */

/* ---- The clauses ---- */

/* text[0, length) on one line. The caller frees it. */
static char *copy_line(const char *text, size_t length)
{
    char *line = strndup(text, length);
    if (!line) {
        report_fatal("no memory");
    }
    for (char *c = line; *c; c++) {
        *c = (char)(isspace((unsigned char)*c) ? ' ' : *c);
    }
    return line;
}

/* If a paragraph that begins with a clause is at `text`, stores the clause. Such a paragraph is "**HDR-01** ...". */
static bool parse_clause(const char *text, struct clause *clause)
{
    const char *end = strstr(text, "** ");
    if (strncmp(text, "**", 2) || !end || end - text - 2 >= CLAUSES_ID_SIZE) {
        return false;
    }
    snprintf(clause->id, sizeof clause->id, "%.*s", (int)(end - text - 2), text + 2);
    if (!protocol_is_clause(clause->id)) {
        return false;
    }
    const char *sentence = end + strlen("** ");
    const char *last = strstr(sentence, "\n\n");
    clause->sentence = copy_line(sentence, last ? (size_t)(last - sentence) : strlen(sentence));
    return true;
}

static void list_clauses(const char *spec, struct clauses *clauses)
{
    size_t lines = 1;
    for (const char *line = strchr(spec, '\n'); line; line = strchr(line + 1, '\n')) {
        lines++;
    }
    clauses->items = report_allocate(lines, sizeof *clauses->items);
    for (const char *line = spec; line;) {
        clauses->count += parse_clause(line, &clauses->items[clauses->count]);
        const char *end = strchr(line, '\n');
        line = end ? end + 1 : NULL;
    }
}

struct clause *clauses_find(const struct clauses *clauses, const char *id)
{
    for (size_t i = 0; i < clauses->count; i++) {
        if (!strcmp(clauses->items[i].id, id)) {
            return &clauses->items[i];
        }
    }
    return NULL;
}

/* ---- The levels ---- */

/* The level with this name in section 15; PROTOCOL_LEVELS if there is none. */
static unsigned find_level(const char *name)
{
    static const char *const names[PROTOCOL_LEVELS] = {"reader", "writer", "concurrent writer", "durable writer"};
    unsigned level = 0;
    while (level < PROTOCOL_LEVELS && strcmp(names[level], name)) {
        level++;
    }
    return level;
}

/* Adds the clauses FAMILY-first..last to a level. True if there is one. */
static bool add_range(struct clauses *clauses, unsigned level, const char *family, unsigned long first,
                      unsigned long last)
{
    bool found = false;
    size_t length = strlen(family);
    for (size_t i = 0; i < clauses->count; i++) {
        const char *id = clauses->items[i].id;
        if (!strncmp(id, family, length) && id[length] == '-') {
            unsigned long number = strtoul(id + length + 1, NULL, 10);
            if (number >= first && number <= last) {
                clauses->items[i].levels |= 1u << level;
                found = true;
            }
        }
    }
    return found;
}

/* Adds what one item of the list names to a level: another level, "HDR", "HDR-01" or "HDR-01..20". */
static bool add_item(struct clauses *clauses, unsigned level, const char *item)
{
    char family[ITEM_MAX];
    unsigned other = find_level(item);
    for (size_t i = 0; other < level && i < clauses->count; i++) {
        clauses->items[i].levels |= clauses->items[i].levels & 1u << other ? 1u << level : 0;
    }
    if (other < level) {
        return true;
    }
    size_t length = strcspn(item, "-");
    snprintf(family, sizeof family, "%.*s", (int)length, item);
    if (!item[length]) {
        return add_range(clauses, level, family, 0, 99);
    }
    char *end;
    unsigned long first = strtoul(item + length + 1, &end, 10), last = first;
    if (!strncmp(end, "..", 2)) {
        last = strtoul(end + 2, &end, 10);
    }
    return !*end && add_range(clauses, level, family, first, last);
}

/* Copies `text` up to `end` in one line, without what stands in parentheses. The caller frees it. */
static char *without_parentheses(const char *text, const char *end)
{
    char *line = copy_line(text, (size_t)(end - text));
    char *to = line;
    unsigned depth = 0;
    for (const char *from = line; *from; from++) {
        depth += *from == '(';
        if (!depth) {
            *to++ = *from;
        }
        depth -= *from == ')' && depth > 0;
    }
    *to = 0;
    return line;
}

static const char *skip_word(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) ? text : text + strlen(word);
}

/* The list of one level, "HDR-01..20, HR9, and LNK". On failure stores the item that it does not know. */
static bool parse_level(struct clauses *clauses, unsigned level, char *list, char unknown[ITEM_MAX])
{
    char *rest = list;
    for (char *item = strsep(&rest, ","); item; item = strsep(&rest, ",")) {
        const char *begin = item + strspn(item, " ");
        begin = skip_word(begin, "and ");
        begin += strspn(begin, " ");
        size_t length = strlen(begin);
        while (length > 0 && begin[length - 1] == ' ') {
            length--;
        }
        snprintf(unknown, ITEM_MAX, "%.*s", (int)length, begin);
        if (!add_item(clauses, level, unknown)) {
            return false;
        }
    }
    return true;
}

/* Reads section 15. On failure stores what is wrong with it. */
static bool parse_levels(const char *spec, struct clauses *clauses, char *error, size_t error_size)
{
    const char *section = strstr(spec, SECTION_OF_LEVELS);
    const char *item = section ? strstr(section, LEVEL_ITEM) : NULL;
    unsigned known = 0;
    while (item) {
        char name[ITEM_MAX], unknown[ITEM_MAX] = "";
        const char *begin = item + strlen(LEVEL_ITEM), *colon = strstr(begin, "**: ");
        const char *paragraph = strstr(begin, "\n\n"), *next = strstr(begin, LEVEL_ITEM);
        const char *end = paragraph ? paragraph : begin + strlen(begin);
        next = next && next < end ? next : NULL;
        end = next ? next : end;
        snprintf(name, sizeof name, "%.*s", colon && colon < end ? (int)(colon - begin) : 0, begin);
        unsigned level = find_level(name);
        if (level == PROTOCOL_LEVELS) {
            snprintf(error, error_size, "section 15 has an unknown level \"%s\"", name);
            return false;
        }
        char *list = without_parentheses(colon + strlen("**: "), end);
        bool good = parse_level(clauses, level, list, unknown);
        free(list);
        if (!good) {
            snprintf(error, error_size, "section 15, %s: \"%s\" is no clause of the specification", name, unknown);
            return false;
        }
        known |= 1u << level;
        item = next;
    }
    if (known != (1u << PROTOCOL_LEVELS) - 1) {
        snprintf(error, error_size, "section 15 does not list all levels");
        return false;
    }
    return true;
}

struct clauses *clauses_read(const char *spec, char *error, size_t error_size)
{
    struct clauses *clauses = report_allocate(1, sizeof *clauses);
    list_clauses(spec, clauses);
    if (!parse_levels(spec, clauses, error, error_size)) {
        clauses_free(clauses);
        return NULL;
    }
    return clauses;
}

void clauses_free(struct clauses *clauses)
{
    for (size_t i = 0; clauses && i < clauses->count; i++) {
        struct clause *clause = &clauses->items[i];
        for (size_t j = 0; j < clause->statement_count; j++) {
            free(clause->statements[j].text);
        }
        free(clause->statements);
        free(clause->sentence);
        free(clause->reason);
    }
    free(clauses ? clauses->items : NULL);
    free(clauses);
}

/* ---- Verdicts ---- */

void clauses_reserve(struct clauses *clauses, const char *id, const char *judge, const char *reason)
{
    struct clause *clause = clauses_find(clauses, id);
    if (clause) {
        clause->reserved = judge;
        free(clause->reason);
        bool hidden = clause_is_hidden(clause);
        if (asprintf(&clause->reason, "%s%s%s%s", hidden ? "" : "no ", hidden ? "" : judge, hidden ? "" : ": ",
                     reason) < 0) {
            report_fatal("no memory");
        }
    }
}

void clauses_state(struct clauses *clauses, const char *judge, const char *id, enum clause_verdict verdict,
                   const char *case_id, const char *text)
{
    struct clause *clause = clauses_find(clauses, id);
    if (!clause) {
        report_fatal("the specification has no clause %s", id);
    }
    struct clause_statement *more = realloc(clause->statements, (clause->statement_count + 1) * sizeof *more);
    if (!more) {
        report_fatal("no memory");
    }
    clause->statements = more;
    more[clause->statement_count++] = (struct clause_statement){
        .judge = judge, .verdict = verdict, .text = copy_line(text, strlen(text)), .case_id = case_id};
}

/* Whether the judge of a statement can find the clause kept. */
static bool is_competent(const struct clause *clause, const struct clause_statement *statement)
{
    return !clause->reserved || !strcmp(clause->reserved, statement->judge);
}

enum clause_verdict clause_verdict(const struct clause *clause, const struct clause_statement **because)
{
    const struct clause_statement *best = NULL;
    enum clause_verdict verdict = CLAUSE_NOT_JUDGED;
    for (size_t i = 0; i < clause->statement_count; i++) {
        const struct clause_statement *statement = &clause->statements[i];
        bool counts = statement->verdict == CLAUSE_BROKEN || is_competent(clause, statement);
        if (counts && (!best || statement->verdict > verdict)) {
            best = statement;
            verdict = statement->verdict;
        }
    }
    if (because) {
        *because = best;
    }
    return verdict;
}

const char *clause_reason(const struct clause *clause)
{
    const struct clause_statement *because;
    clause_verdict(clause, &because);
    if (because && because->text[0]) {
        return because->text;
    }
    return clause->reason ? clause->reason : "no judge has looked at it";
}

bool clause_is_hidden(const struct clause *clause)
{
    return clause->reserved && !strcmp(clause->reserved, CLAUSES_NOBODY);
}

const char *clause_verdict_name(enum clause_verdict verdict)
{
    static const char *const names[] = {"not judged", "kept", "broken"};
    return names[verdict];
}

bool clause_is_claimed(const struct clause *clause, enum protocol_level level, bool concurrent)
{
    unsigned claimed = 1u << level;
    if (level == PROTOCOL_DURABLE && concurrent) {
        claimed |= 1u << PROTOCOL_CONCURRENT;
    }
    return clause->levels & claimed;
}
