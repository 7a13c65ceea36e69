/*
 * Any bytes as a case of the corpus: a refusal has a reason, and the files and the text of an accepted case can be
 * made.
 *
 * The files of a case are not made: their paths are required to stay below the directory of the case.
 */
#include "corpus/corpus.h"
#include "lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define CASE_ID "fuzz"
#define WINDOW 4096u

static json_t *known_flags(void)
{
    static json_t *flags;
    static const char *const names[] = {"aliased-files",   "backing-end", "bit-order", "chain",  "concurrent",
                                        "copy-up",         "cut-file",    "header",    "killed", "large-disk",
                                        "locks",           "maintenance", "map",       "names",  "no-backing",
                                        "partial-cluster", "probing",     "range",     "resize", "worked-example",
                                        "wrap-around",     "zero"};
    if (!flags) {
        flags = json_object();
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            json_object_set_new(flags, names[i], json_string(""));
        }
    }
    return flags;
}

static void judge_path(const char *path)
{
    fuzz_require(path[0] != '/' && path[0] != '\0', "paths of files are relative");
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        fuzz_require(strncmp(part, "../", 3) != 0 && strcmp(part, "..") != 0, "paths stay below the directory");
    }
}

/* Looks at the ends of a span, as file creation and comparison do. */
static void judge_spans(const struct corpus_spans *spans)
{
    uint8_t window[WINDOW];
    for (size_t i = 0; i < spans->count; i++) {
        const struct corpus_span *span = &spans->items[i];
        uint64_t count = span->length < WINDOW ? span->length : WINDOW;
        if (span->fill != CORPUS_ANY) {
            corpus_span_fill(span, span->at, (size_t)count, window);
            corpus_span_fill(span, span->at + span->length - count, (size_t)count, window);
        }
        fuzz_require(span->choice_count <= CORPUS_CHOICES_MAX, "a span has at most CORPUS_CHOICES_MAX choices");
    }
}

static void judge_case(const struct corpus_case *c)
{
    fuzz_require(c->step_count > 0 && c->clause_count > 0, "a case has a step and a clause");
    fuzz_require(c->disk_count <= CORPUS_DISKS_MAX, "a case has at most CORPUS_DISKS_MAX disks");
    for (size_t i = 0; i < c->file_count; i++) {
        judge_path(c->files[i].path);
        judge_spans(&c->files[i].content);
        for (size_t k = 0; k < c->files[i].content.count; k++) {
            const struct corpus_span *span = &c->files[i].content.items[k];
            fuzz_require(span->at <= c->files[i].length && span->length <= c->files[i].length - span->at,
                         "a file's content lies within it");
        }
    }
    for (size_t i = 0; i < c->step_count; i++) {
        const struct corpus_step *step = &c->steps[i];
        fuzz_require(step->op < CORPUS_OPS && step->disk < CORPUS_DISKS_MAX, "a step has a known op and disk");
        if (step->path) {
            judge_path(step->path);
        }
        judge_spans(&step->data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct corpus *corpus;
    char error[512] = "";
    if (corpus_parse((const char *)data, size, CASE_ID, known_flags(), &corpus, error, sizeof error)) {
        judge_case(corpus->cases);
        corpus_free(corpus);
    } else {
        fuzz_require(error[0] != '\0', "a refusal has a reason");
    }
    return 0;
}
