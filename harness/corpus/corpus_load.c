/*
 * Loads the conformance corpus, strictly.
 *
 * jansson checks the members and types of every object (corpus_shape.c). Then corpus_spans.c, corpus_step.c and
 * corpus_case.c check the values. The first error refuses the whole corpus: if the gate skipped unreadable cases, it
 * would report an incomplete run as complete.
 */
#include "corpus/corpus_parse.h"

#include "base/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 << 20) /* bytes of a case's file, far more than needed */
#define CASES_AT_ONCE 256  /* the array of cases grows by this number */

/* Opens a regular file only: opening a pipe could block for ever, and reading a device could never end. */
static FILE *open_regular(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool good = file >= 0 && fstat(file, &status) == 0;
    if (good && (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX)) {
        errno = S_ISREG(status.st_mode) ? EFBIG : S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        good = false;
    }
    if (!good && file >= 0) {
        int reason = errno;
        close(file);
        errno = reason;
    }
    return good ? fdopen(file, "r") : NULL;
}

/* Reads one JSON file. jansson refuses invalid JSON, duplicate keys, and NUL in a string. */
static json_t *load_json(struct where *where)
{
    json_error_t problem;
    FILE *file = open_regular(where->file);
    if (!file) {
        snprintf(where->error, where->error_size, "%s: %s", where->file, strerror(errno));
        return NULL;
    }
    json_t *document = json_loadf(file, JSON_REJECT_DUPLICATES, &problem);
    fclose(file);
    if (!document) {
        snprintf(where->error, where->error_size, "%s: line %d, column %d: %s", where->file, problem.line,
                 problem.column, problem.text);
    }
    return document;
}

static bool load_case(const char *path, const char *stem, struct where *where, struct corpus_case *c)
{
    where->file = path;
    where->path[0] = 0;
    c->document = load_json(where);
    return c->document && parse_case(where, stem, c);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool is_case_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && !strcmp(dot, ".json");
}

/* Loads the case file `path`, called `name`, as the next case. */
static bool load_next_case(const char *path, const char *name, struct where *where, struct corpus *corpus)
{
    char id[NAME_MAX + 1];
    if (!is_case_name(name)) {
        snprintf(where->error, where->error_size, "%s: only cases (*.json) and folders of cases are allowed here",
                 path);
        return false;
    }
    snprintf(id, sizeof id, "%.*s", (int)(strlen(name) - strlen(".json")), name);
    if (corpus->count % CASES_AT_ONCE == 0) {
        struct corpus_case *more = report_allocate(corpus->count + CASES_AT_ONCE, sizeof *more);
        if (corpus->count > 0) {
            memcpy(more, corpus->cases, corpus->count * sizeof *more);
        }
        free(corpus->cases);
        corpus->cases = more;
    }
    return load_case(path, id, where, &corpus->cases[corpus->count++]);
}

/* Loads all case files below the folder `path`. Only the `top` folder may hold folders. */
static bool load_folder(const char *path, bool top, struct where *where, struct corpus *corpus)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0) {
        snprintf(where->error, where->error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        char below[PATH_MAX];
        struct stat status;
        snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
        if (good && top && !is_case_name(entries[i]->d_name) && stat(below, &status) == 0 && S_ISDIR(status.st_mode)) {
            good = load_folder(below, false, where, corpus);
        } else if (good) {
            good = load_next_case(below, entries[i]->d_name, where, corpus);
        }
        free(entries[i]);
    }
    free(entries);
    return good;
}

static int compare_ids(const void *left, const void *right)
{
    const struct corpus_case *a = left;
    const struct corpus_case *b = right;
    return strcmp(a->id, b->id);
}

/* Loads cases/ and sorts the cases by ID, which may occur in one folder only. */
static bool load_cases(const char *directory, struct where *where, struct corpus *corpus)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/cases", directory);
    if (!load_folder(path, true, where, corpus)) {
        return false;
    }
    if (corpus->count > 0) {
        qsort(corpus->cases, corpus->count, sizeof *corpus->cases, compare_ids);
    }
    for (size_t i = 1; i < corpus->count; i++) {
        if (!strcmp(corpus->cases[i - 1].id, corpus->cases[i].id)) {
            snprintf(where->error, where->error_size, "%s: two cases are called %s", path, corpus->cases[i].id);
            return false;
        }
    }
    return true;
}

/* "reserved": for each clause that cases cannot judge, who can, and why only they. */
static bool check_reserved(struct where *where, json_t *reserved)
{
    static const char *const judges[] = {"observer", CLAUSES_NOBODY};
    const char *clause, *judge, *reason;
    json_t *value;
    size_t index;
    if (reserved && !json_is_object(reserved)) {
        return refuse(where, "\"reserved\" must be an object");
    }
    size_t outer = enter_member(where, "reserved");
    json_object_foreach(reserved, clause, value)
    {
        size_t mark = enter_member(where, clause);
        if (!protocol_is_clause(clause)) {
            return refuse(where, "is not a clause ID");
        }
        if (!shape_unpack(where, value, "{s:s,s:s}", "judge", &judge, "reason", &reason) ||
            !shape_choose(where, "judge", judge, judges, sizeof judges / sizeof *judges, &index)) {
            return false;
        }
        leave(where, mark);
    }
    leave(where, outer);
    return true;
}

void corpus_reserve(const struct corpus *corpus, struct clauses *clauses)
{
    const char *clause;
    json_t *value;
    json_object_foreach(json_object_get(corpus->document, "reserved"), clause, value)
    {
        clauses_reserve(clauses, clause, json_string_value(json_object_get(value, "judge")),
                        json_string_value(json_object_get(value, "reason")));
    }
}

static bool load_corpus_file(const char *directory, struct where *where, struct corpus *corpus)
{
    char path[PATH_MAX];
    const char *title;
    json_t *format, *reserved = NULL;
    uint64_t number;
    snprintf(path, sizeof path, "%s/corpus.json", directory);
    where->file = path;
    corpus->document = load_json(where);
    if (!corpus->document ||
        !shape_unpack(where, corpus->document, "{s:o,s:s,s:s,s:o,s?o}", "format", &format, "version", &corpus->version,
                      "title", &title, "flags", &where->known_flags, "reserved", &reserved) ||
        !shape_number(where, "format", format, &number)) {
        return false;
    }
    if (number != CORPUS_FORMAT) {
        return refuse(where, "the corpus has format %" PRIu64 ", but this program reads format %d", number,
                      CORPUS_FORMAT);
    }
    if (!json_is_object(where->known_flags)) {
        return refuse(where, "\"flags\" must be an object");
    }
    const char *key;
    json_t *value;
    json_object_foreach(where->known_flags, key, value)
    {
        if (!json_is_string(value)) {
            return refuse(where, "flags.%s must be a string", key);
        }
    }
    return check_reserved(where, reserved);
}

bool corpus_parse(const char *text, size_t length, const char *id, json_t *flags, struct corpus **corpus, char *error,
                  size_t error_size)
{
    json_error_t problem;
    struct where where = {.file = id, .error = error, .error_size = error_size, .known_flags = flags};
    struct corpus *parsed = report_allocate(1, sizeof *parsed);
    parsed->cases = report_allocate(1, sizeof *parsed->cases);
    parsed->count = 1;
    parsed->cases->document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!parsed->cases->document) {
        snprintf(error, error_size, "%s: line %d, column %d: %s", id, problem.line, problem.column, problem.text);
    }
    if (!parsed->cases->document || !parse_case(&where, id, parsed->cases)) {
        corpus_free(parsed);
        return false;
    }
    *corpus = parsed;
    return true;
}

bool corpus_load(const char *directory, struct corpus **corpus, char *error, size_t error_size)
{
    error[0] = 0;
    struct where where = {.error = error, .error_size = error_size};
    struct corpus *loaded = report_allocate(1, sizeof *loaded);
    if (!load_corpus_file(directory, &where, loaded) || !load_cases(directory, &where, loaded)) {
        corpus_free(loaded);
        return false;
    }
    *corpus = loaded;
    return true;
}

static void free_spans(struct corpus_spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        free(spans->items[i].bytes);
    }
    free(spans->items);
}

static void free_case(struct corpus_case *c)
{
    for (size_t i = 0; i < c->file_count; i++) {
        free_spans(&c->files[i].content);
    }
    for (size_t i = 0; i < c->step_count; i++) {
        free_spans(&c->steps[i].data);
        free(c->steps[i].observes);
    }
    free(c->files);
    free(c->steps);
    free(c->clauses);
    free(c->flags);
    json_decref(c->document);
}

void corpus_free(struct corpus *corpus)
{
    if (!corpus) {
        return;
    }
    for (size_t i = 0; i < corpus->count; i++) {
        free_case(&corpus->cases[i]);
    }
    free(corpus->cases);
    json_decref(corpus->document);
    free(corpus);
}
