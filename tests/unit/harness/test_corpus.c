/*
 * The conformance corpus: the loader refuses invalid cases, and the gate's verdicts are right. Wrong
 * implementations are the production engine behind an adapter with one defect each; a verdict that cannot be lost is
 * worth nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "corpus/corpus_report.h"
#include "base/clock.h"
#include "base/scratch.h"
#include "base/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char directory[SCRATCH_PATH_BYTES];

static int make_directory(void **state)
{
    (void)state;
    return scratch_make("/tmp", "add-cow-test-corpus", directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

/* ---- The loader ---- */

static void store(const char *name, const char *text)
{
    char path[SCRATCH_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

#define GOOD_HEAD "{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {\"known\": \"k\"}}"

/* Loads a corpus of one case, a.json; the refusal goes to `error`. */
static bool load(const char *head, const char *text, char *error, size_t error_size)
{
    char path[SCRATCH_PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/cases", directory);
    assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
    store("corpus.json", head);
    store("cases/a.json", text);
    struct corpus *corpus;
    bool good = corpus_load(directory, &corpus, error, error_size);
    if (good) {
        corpus_free(corpus);
    }
    return good;
}

#define CASE(extra, files, steps)                                                                                      \
    "{\"id\": \"a\", \"title\": \"t\", \"clauses\": [\"HDR-01\"], \"level\": \"reader\"" extra ", \"files\": [" files  \
    "], \"steps\": [" steps "]}"
#define FILE_OF(content) "{\"path\": \"f\", \"size\": 4096, \"content\": [" content "]}"
#define FLUSH "{\"op\": \"flush\"}"
#define WITH_FILE(file) CASE("", file, FLUSH)
#define WITH_SPAN(span) WITH_FILE(FILE_OF(span))
#define WITH_STEP(step) CASE("", "", step)

static void good_case_loads(void **state)
{
    (void)state;
    char error[1024] = "";
    const char *text = CASE(
        ", \"flags\": [\"known\"], \"needs\": [\"r9\", \"cut\"], \"notes\": \"n\"",
        FILE_OF("{\"at\": 0, \"hex\": \"00 ff\"}, {\"at\": \"0x10\", \"le64\": [\"0xffffffffffffffff\"]}"),
        "{\"op\": \"read\", \"offset\": 0, \"length\": 3, \"expect\": [{\"at\": 0, \"length\": 1, \"zero\": true}, "
        "{\"at\": 1, \"text\": \"ab\"}]}, {\"op\": \"cut\", \"path\": \"f\", \"size\": 0}, "
        "{\"op\": \"close\", \"result\": [\"ok\", \"io\"]}");
    if (!load(GOOD_HEAD, text, error, sizeof error)) {
        fail_msg("%s", error);
    }
}

static const struct {
    const char *text;
    const char *reason; /* the JSON path and the beginning of the reason */
} bad_cases[] = {
    {"{", "line 1"},
    {"[]", "$: must be an object"},
    {"{\"id\": \"a\", \"id\": \"a\"}", "duplicate object key"},
    {CASE(", \"colour\": 1", "", FLUSH), "$: unknown field \"colour\""},
    {"{\"id\": \"a\"}", "$: field \"title\" is missing"},
    {CASE(", \"notes\": 1", "", FLUSH), "$.notes: must be a string"},
    {CASE(", \"flags\": [\"unknown\"]", "", FLUSH), "flags[0]: \"unknown\" is not defined"},
    {CASE(", \"flags\": [\"known\", \"known\"]", "", FLUSH), "$.flags[1]: \"known\" is repeated"},
    {CASE(", \"needs\": [\"money\"]", "", FLUSH), "$.needs: \"money\" is not an allowed"},
    {"{\"id\": \"b\", \"title\": \"t\", \"clauses\": [\"HDR-01\"], \"level\": \"reader\", \"files\": [], \"steps\": "
     "[" FLUSH "]}",
     "id \"b\" is not the file's name"},
    {"{\"id\": \"a\", \"title\": \"t\", \"clauses\": [], \"level\": \"reader\", \"files\": [], \"steps\": [" FLUSH "]}",
     "at least one clause"},
    {"{\"id\": \"a\", \"title\": \"t\", \"clauses\": [\"HDR-1\"], \"level\": \"reader\", \"files\": [], \"steps\": "
     "[" FLUSH "]}",
     "clauses[0]: \"HDR-1\" is not a clause ID"},
    {"{\"id\": \"a\", \"title\": \"t\", \"clauses\": [\"HDR-01\"], \"level\": \"guru\", \"files\": [], \"steps\": "
     "[" FLUSH "]}",
     "$.level: \"guru\" is not an allowed"},
    {CASE("", "", ""), "$.steps: a case without a step"},
    {WITH_STEP("{\"op\": \"open\", \"path\": \"f\", \"mode\": \"ro\", \"by\": \"magic\"}"),
     "$.steps[0].by: \"magic\" is not an allowed"},
    {WITH_STEP("{\"op\": \"flush\", \"by\": \"reference\"}"), "unknown field \"by\""},
    {CASE(", \"needs\": [\"kill\"]", "",
          "{\"op\": \"open\", \"path\": \"f\", \"mode\": \"ro\", \"by\": \"reference\"}, {\"op\": \"kill\"}"),
     "step 1 kills the reference engine"},
    {WITH_FILE("{\"path\": \"../f\", \"size\": 1}"), "$.files[0].path: \"../f\" is not a path below"},
    {WITH_FILE("{\"path\": \"/f\", \"size\": 1}"), "$.files[0].path: \"/f\" is not a path below"},
    {WITH_FILE("{\"path\": \"a//f\", \"size\": 1}"), "$.files[0].path: \"a//f\" is not a path below"},
    {WITH_FILE("{\"path\": \"f\", \"size\": 1, \"symlink\": \"g\"}"), "$.files[0]: needs exactly one of"},
    {WITH_FILE("{\"path\": \"f\", \"symlink\": \"a/../../g\"}"), "$.files[0].symlink: \"a/../../g\" is not a path"},
    {WITH_FILE("{\"path\": \"f\", \"symlink\": \"/dev/zero\"}"), "$.files[0].symlink: \"/dev/zero\" is not a path"},
    {WITH_FILE("{\"path\": \"f\", \"hardlink\": \"/dev/null\"}"), "$.files[0].hardlink: \"/dev/null\" is not a path"},
    {WITH_FILE("{\"path\": \"f\", \"directory\": true, \"content\": []}"), "only a file with a size has content"},
    {WITH_FILE("{\"path\": \"f\", \"size\": -1}"), "$.files[0].size: must be an integer from 0"},
    {WITH_FILE("{\"path\": \"f\", \"size\": 1.5}"), "$.files[0].size: must be an integer from 0"},
    {WITH_FILE("{\"path\": \"f\", \"size\": \"0xG\"}"), "$.files[0].size: must be an integer from 0"},
    {WITH_SPAN("{\"at\": 4096, \"hex\": \"00\"}"), "content[0] ends past the file's size"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"0\"}"), "$.files[0].content[0]: \"hex\" must be pairs"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"0 0\"}"), "$.files[0].content[0]: \"hex\" must be pairs"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"0g\"}"), "$.files[0].content[0]: \"hex\" must be pairs"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"\"}"), "$.files[0].content[0]: is empty"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"00\", \"text\": \"a\"}"), "$.files[0].content[0]: needs exactly one"},
    {WITH_SPAN("{\"at\": 0, \"hex\": \"00\", \"length\": 1}"), "\"length\" belongs to zero, pattern and any"},
    {WITH_SPAN("{\"at\": 0, \"pattern\": 1}"), "\"length\" belongs to zero, pattern and any"},
    {WITH_SPAN("{\"at\": 0, \"zero\": false, \"length\": 1}"), "\"zero\" can only be true"},
    {WITH_SPAN("{\"at\": 0, \"le32\": [4294967296]}"), "\"le32\" must be numbers below 2^32"},
    {WITH_SPAN("{\"at\": 0, \"le64\": [\"x\"]}"), "\"le64\" must be numbers"},
    {WITH_SPAN("{\"at\": \"0xffffffffffffffff\", \"zero\": true, \"length\": 2}"), "ends past 2^64"},
    {WITH_STEP("1"), "$.steps[0]: must be an object"},
    {WITH_STEP("{\"op\": \"dance\"}"), "$.steps[0]: unknown op \"dance\""},
    {WITH_SPAN("{\"at\": 0, \"length\": 1, \"any\": [1, 2]}"), "$.files[0]: \"any\" is allowed only where"},
    {WITH_SPAN("{\"at\": 0, \"length\": 1, \"any\": [1]}"), "$.files[0].content[0]: \"any\" lists from 2"},
    {WITH_SPAN("{\"at\": 0, \"length\": 1, \"any\": [1, true]}"), "$.files[0].content[0]: \"any\" lists numbers"},
    {WITH_SPAN("{\"at\": 0, \"any\": [1, 2]}"), "$.files[0].content[0]: \"length\" belongs"},
    {WITH_STEP("{\"op\": \"flush\", \"beside\": true}"), "step 0 is \"beside\" the step before"},
    {WITH_STEP("{\"op\": \"kill\"}"), "step 0 needs \"kill\""},
    {WITH_STEP("{\"op\": \"close\", \"beside\": true}"), "$.steps[0]: unknown field \"beside\""},
    {WITH_STEP("{\"op\": \"flush\", \"size\": 1}"), "$.steps[0]: unknown field \"size\""},
    {WITH_STEP("{\"op\": \"resize\"}"), "$.steps[0]: field \"size\" is missing"},
    {WITH_STEP("{\"op\": \"flush\", \"observes\": 1}"), "$.steps[0].observes: must be an array"},
    {WITH_STEP("{\"op\": \"flush\", \"observes\": []}"), "$.steps[0]: \"observes\" lists no clause"},
    {WITH_STEP("{\"op\": \"flush\", \"observes\": [\"HDR\"]}"), "observes[0]: \"HDR\" is not a clause ID"},
    {WITH_STEP("{\"op\": \"flush\", \"observes\": [\"DUR-01\"]}"), "clauses[0]: no step observes HDR-01"},
    {WITH_STEP("{\"op\": \"remove\", \"path\": \"f\", \"observes\": [\"HDR-01\"]}"), "unknown field \"observes\""},
    {WITH_STEP("{\"op\": \"open\", \"path\": \"f\", \"mode\": \"w\"}"), "$.steps[0].mode: \"w\" is not an allowed"},
    {WITH_STEP("{\"op\": \"flush\", \"result\": \"fine\"}"), "$.steps[0].result: \"fine\" is neither"},
    {WITH_STEP("{\"op\": \"flush\", \"result\": []}"), "$.steps[0].result: lists no outcome"},
    {WITH_STEP("{\"op\": \"flush\", \"clause\": \"HDR-01\"}"), "allowed only for a step that must fail"},
    {WITH_STEP("{\"op\": \"read\", \"offset\": 0, \"length\": 1}"), "$.steps[0]: field \"expect\" is missing"},
    {WITH_STEP("{\"op\": \"read\", \"offset\": 0, \"length\": 2, \"expect\": [{\"at\": 0, \"hex\": \"00\"}]}"),
     "$.steps[0].expect: the spans must cover"},
    {WITH_STEP("{\"op\": \"write\", \"offset\": 1, \"length\": 1, \"data\": [{\"at\": 0, \"hex\": \"00\"}]}"),
     "$.steps[0].data: the spans must cover"},
    {WITH_STEP("{\"op\": \"read\", \"offset\": 0, \"length\": 67108865, \"result\": \"range\"}"),
     "at most 67108864 bytes"},
    {WITH_STEP("{\"op\": \"map\", \"offset\": 0, \"length\": 1, \"run\": 1}"),
     "$.steps[0]: field \"allocated\" is missing"},
    {WITH_STEP("{\"op\": \"flush\", \"beside\": 1}"), "$.steps[0].beside: must be true or false"},
    {WITH_STEP("{\"op\": \"flush\", \"clause\": []}"), "$.steps[0].clause: must be a string"},
    {WITH_STEP("{\"op\": \"flush\", \"result\": 1}"), "$.steps[0].result: must be a string or an array"},
    {WITH_STEP("{\"op\": \"flush\", \"colour\": 1}"), "$.steps[0]: unknown field \"colour\""},
    {WITH_STEP("{\"op\": \"resize\", \"size\": true}"), "$.steps[0].size: must be an integer from 0"},
    {WITH_FILE("{\"path\": \"f\", \"size\": 1, \"content\": 1}"), "$.files[0].content: must be an array"},
    {WITH_FILE("{\"path\": 1, \"size\": 1}"), "$.files[0].path: must be a string"},
    {WITH_FILE("1"), "$.files[0]: must be an object"},
    {WITH_SPAN("{\"at\": 0, \"le64\": 1}"), "$.files[0].content[0].le64: must be an array"},
    {WITH_SPAN("{\"length\": 1, \"zero\": true}"), "$.files[0].content[0]: field \"at\" is missing"},
    {WITH_STEP("{\"op\": \"file\", \"path\": \"f\"}"), "$.steps[0]: needs either \"absent\""},
    {WITH_STEP("{\"op\": \"file\", \"path\": \"f\", \"absent\": true, \"length\": 1}"),
     "$.steps[0]: needs either \"absent\""},
    {WITH_STEP("{\"op\": \"cut\", \"path\": \"f\", \"size\": 1}"), "step 0 needs \"cut\""},
    {WITH_STEP("{\"op\": \"create\", \"path\": \"f\", \"layout\": \"r8\", \"cluster_bits\": 12, \"image\": \"i\"}"),
     "$.steps[0].layout: \"r8\" is not an allowed"},
    {WITH_STEP("{\"op\": \"create\", \"path\": \"f\", \"layout\": \"r9\", \"cluster_bits\": 12, \"image\": \"i\", "
               "\"backing\": \"b\"}"),
     "\"backing\" and \"backing_format\" need each other"},
};

static void bad_cases_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof *bad_cases; i++) {
        char error[1024] = "";
        if (load(GOOD_HEAD, bad_cases[i].text, error, sizeof error)) {
            fail_msg("accepted: %s", bad_cases[i].text);
        }
        if (!strstr(error, bad_cases[i].reason) || !strstr(error, "cases/a.json")) {
            fail_msg("%s: '%s' does not say '%s'", bad_cases[i].text, error, bad_cases[i].reason);
        }
    }
}

static void bad_corpora_are_refused(void **state)
{
    (void)state;
    static const char *const heads[][2] = {
        {"", "corpus.json"},
        {"{\"format\": 1, \"version\": \"1\", \"title\": \"t\", \"flags\": {}}",
         "format 1, but this program reads format 2"},
        {"{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {}, \"reserved\": []}", "must be an object"},
        {"{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {}, \"reserved\": {\"HDR\": {}}}",
         "$.reserved.HDR: is not a clause ID"},
        {"{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {}, \"reserved\": {\"HDR-01\": {\"judge\": "
         "\"me\", \"reason\": \"r\"}}}",
         "$.reserved.HDR-01.judge: \"me\" is not an allowed"},
        {"{\"format\": 2, \"title\": \"t\", \"flags\": {}}", "field \"version\" is missing"},
        {"{\"format\": 2, \"version\": 1, \"title\": \"t\", \"flags\": {}}", "$.version: must be a string"},
        {"{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {\"a\": 1}}", "flags.a must be a string"},
        {"{\"format\": 2, \"version\": \"1\", \"title\": \"t\", \"flags\": {}, \"x\": 1}", "unknown field \"x\""},
    };
    char error[1024];
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_false(load(heads[i][0], WITH_STEP(FLUSH), error, sizeof error));
        if (!strstr(error, heads[i][1])) {
            fail_msg("'%s' does not say '%s'", error, heads[i][1]);
        }
    }
    store("cases/b.txt", "");
    assert_false(load(GOOD_HEAD, WITH_STEP(FLUSH), error, sizeof error));
    assert_non_null(strstr(error, "b.txt: only cases"));
    struct corpus *corpus;
    assert_false(corpus_load("/nonexistent", &corpus, error, sizeof error));
}

/* ---- The pattern ---- */

/* By hand, from the formula in corpus/README.md. */
static void pattern_is_the_documented_one(void **state)
{
    (void)state;
    assert_int_equal(corpus_pattern(0, 0), 1);
    assert_int_equal(corpus_pattern(1, 0), 84);
    assert_int_equal(corpus_pattern(1, 1), 91);
    assert_int_equal(corpus_pattern(2, 256), 1 + (166 + 7 * 256 + 13) % 255);
    assert_int_equal(corpus_pattern(9, 1000000), 1 + (747 + 7000000 + 13 * 3906) % 255);
    for (uint64_t shift = 1; shift != 0; shift <<= 1) {
        assert_int_not_equal(corpus_pattern(3, 12345), corpus_pattern(3, 12345 + shift));
    }
}

/* ---- Verdicts on wrong implementations ---- */

/* The production engine with the defect that its name says. */
struct wrong {
    struct adapter adapter;
    struct adapter *inner;
};

static bool has_defect(const struct adapter *adapter, const char *defect)
{
    return !strcmp(adapter->name, defect);
}

static struct adapter *inner_of(struct adapter *adapter)
{
    return ((struct wrong *)adapter)->inner;
}

static enum addcow_status wrong_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                     struct addcow_error *error)
{
    struct adapter *inner = inner_of(adapter);
    if (has_defect(adapter, "crashes")) {
        abort();
    }
    if (has_defect(adapter, "hangs")) {
        pause();
    }
    if (has_defect(adapter, "exits")) {
        exit(0);
    }
    enum addcow_status outcome = inner->ops->open(inner, path, flags, error);
    if (outcome && has_defect(adapter, "names the wrong clause")) {
        snprintf(error->clause, sizeof error->clause, "HDR-04");
    }
    return outcome && has_defect(adapter, "knows one class") ? ADDCOW_IO : outcome;
}

static enum addcow_status wrong_close(struct adapter *adapter, struct addcow_error *error)
{
    enum addcow_status outcome = inner_of(adapter)->ops->close(inner_of(adapter), error);
    if (has_defect(adapter, "exits late")) {
        atexit(abort);
    }
    return has_defect(adapter, "cannot close") ? ADDCOW_IO : outcome;
}

static uint64_t wrong_size(struct adapter *adapter)
{
    uint64_t size = inner_of(adapter)->ops->size(inner_of(adapter));
    return has_defect(adapter, "rounds the size") ? size / 512 * 512 : size;
}

static enum addcow_status wrong_perform(struct adapter *adapter, struct operation_request *request,
                                        struct addcow_error *error)
{
    struct adapter *inner = inner_of(adapter);
    struct operation_request kept = *request;
    bool is_read = request->operation == OPERATION_READ;
    bool is_write = request->operation == OPERATION_WRITE;
    if (is_write && kept.length > 0 && has_defect(adapter, "drops the last byte")) {
        kept.length--;
    }
    enum addcow_status outcome = inner->ops->perform(inner, &kept, error);
    request->allocated = kept.allocated;
    request->map_length = kept.map_length;
    if (is_read && !outcome && request->length && has_defect(adapter, "spoils the last byte")) {
        ((uint8_t *)request->buffer)[request->length - 1] ^= 1;
    }
    if (is_read && !outcome && has_defect(adapter, "reads nothing")) {
        memset(request->buffer, 0xee, (size_t)request->length);
    }
    if (request->operation == OPERATION_MAP && request->map_length > 512 &&
        has_defect(adapter, "maps a sector short")) {
        request->map_length -= 512;
    }
    return is_write && has_defect(adapter, "forgives writes") ? ADDCOW_OK : outcome;
}

static void wrong_destroy(struct adapter *adapter)
{
    inner_of(adapter)->ops->destroy(inner_of(adapter));
    free(adapter);
}

static const struct adapter_ops wrong_ops = {
    .open = wrong_open, .close = wrong_close, .size = wrong_size, .perform = wrong_perform, .destroy = wrong_destroy};

static struct adapter *make_wrong(const struct corpus_subject *subject)
{
    struct wrong *wrong = report_allocate(1, sizeof *wrong);
    wrong->adapter = (struct adapter){.ops = &wrong_ops, .name = subject->name};
    wrong->inner = adapter_make_fast(NULL);
    return &wrong->adapter;
}

static struct adapter *make_correct(const struct corpus_subject *subject)
{
    (void)subject;
    return adapter_make_fast(NULL);
}

static const struct {
    const char *defect;
    const char *id; /* of the case that must fail */
    enum corpus_verdict verdict;
    const char *explanation;
} defects[] = {
    {"none", "rd-01-mixed", CORPUS_PASSED, ""},
    {"none", "hdr-05-double", CORPUS_PASSED, ""},
    {"none", "wr-03-middle", CORPUS_PASSED, ""},
    {"none", "grid-beside-same-sectors-4k", CORPUS_PASSED, ""},
    {"drops the last byte", "grid-beside-same-sectors-4k", CORPUS_FAILED, "has none of the 2 allowed contents"},
    {"drops the last byte", "grid-beside-head-and-tail-4k", CORPUS_FAILED, "step 18 of"},
    {"spoils the last byte", "rd-01-mixed", CORPUS_FAILED, "step 2 of 2, read 2000+18000: byte 19999: expected"},
    {"reads nothing", "vrt-02-behind-backing", CORPUS_FAILED, "expected 00, got ee"},
    {"drops the last byte", "wr-03-middle", CORPUS_FAILED, "step 3 of 6, read 8192+4096: byte 9511: expected"},
    {"forgives writes", "grid-range-write-crossing", CORPUS_FAILED, "write 9999+2: expected range, got ok"},
    {"maps a sector short", "map-01-runs", CORPUS_FAILED, "got unallocated for 7680"},
    {"rounds the size", "vrt-01-odd-size", CORPUS_FAILED, "expected a virtual size of 10001, got 9728"},
    {"knows one class", "hdr-05-double", CORPUS_FAILED, "expected malformed, got io"},
    {"names the wrong clause", "hdr-05-double", CORPUS_FAILED, "expected an error for HDR-05, got one for HDR-04"},
    {"cannot close", "rd-01-mixed", CORPUS_FAILED, "closing at the end of the case failed"},
    {"crashes", "rd-01-mixed", CORPUS_CRASHED, "crashed: Aborted"},
    {"hangs", "rd-01-mixed", CORPUS_HUNG, "hung: killed after 2 s"},
    {"exits", "rd-01-mixed", CORPUS_CRASHED, "exited with status 0 before the last step"},
    {"exits late", "rd-01-mixed", CORPUS_CRASHED, "crashed: Aborted"},
    {"none", "cre-01-wrap", CORPUS_NOT_APPLICABLE, "does not claim create"},
};

static const struct corpus_case *find_case(const struct corpus *corpus, const char *id)
{
    for (size_t i = 0; i < corpus->count; i++) {
        if (!strcmp(corpus->cases[i].id, id)) {
            return &corpus->cases[i];
        }
    }
    fail_msg("no case %s", id);
    return NULL;
}

/* Each result must be reported once, in order. */
static bool count_judged(void *context, size_t index)
{
    size_t *told = context;
    assert_int_equal(index, *told);
    ++*told;
    return true;
}

static void judge_at_once(struct corpus_result *results, size_t count, const struct corpus_subject *subject,
                          unsigned timeout, unsigned jobs, int interruption)
{
    size_t told = 0;
    const struct corpus_run_options manner = {.subject = subject,
                                              .directory = directory,
                                              .timeout = timeout,
                                              .jobs = jobs,
                                              .interruption = interruption,
                                              .judged = count_judged,
                                              .context = &told};
    corpus_judge(results, count, &manner);
    assert_int_equal(told, count);
}

static void wrong_implementations_are_caught(void **state)
{
    (void)state;
    char error[1024] = "";
    struct corpus *corpus;
    if (!corpus_load("corpus", &corpus, error, sizeof error)) {
        fail_msg("%s", error);
    }
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        const struct corpus_subject subject = {
            .name = defects[i].defect, .cannot = CORPUS_NEEDS_CREATE, .make = make_wrong};
        unsigned timeout = strcmp(defects[i].defect, "hangs") ? 60 : 1;
        struct corpus_result result = {.c = find_case(corpus, defects[i].id)};
        judge_at_once(&result, 1, &subject, timeout, 1, -1);
        if (result.verdict != defects[i].verdict || !strstr(result.text, defects[i].explanation)) {
            fail_msg("%s, %s: %s: %s", defects[i].defect, defects[i].id, corpus_verdict_name(result.verdict),
                     result.text);
        }
        free(result.text);
    }
    corpus_free(corpus);
}

/* Cases that end in another order than they began are reported in their order, and hanging ones hang at the same time.
 */
static void cases_run_at_once(void **state)
{
    (void)state;
    char error[1024] = "";
    struct corpus *corpus;
    if (!corpus_load("corpus", &corpus, error, sizeof error)) {
        fail_msg("%s", error);
    }
    const struct corpus_subject correct = {.name = "correct", .make = make_correct};
    const struct corpus_subject hanging = {.name = "hangs", .make = make_wrong};
    struct corpus_result results[12];
    for (size_t i = 0; i < 12; i++) {
        results[i] = (struct corpus_result){.c = &corpus->cases[i]};
    }
    judge_at_once(results, 12, &correct, 60, 5, -1);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(results[i].verdict, CORPUS_PASSED);
        free(results[i].text);
    }
    uint64_t start = clock_nanoseconds();
    for (size_t i = 0; i < 12; i++) {
        results[i] = (struct corpus_result){.c = find_case(corpus, "rd-01-mixed")};
    }
    judge_at_once(results, 12, &hanging, 1, 12, -1);
    /* All at once for a second, three of them alone for two, and the rest is believed. */
    assert_true(clock_seconds_since(start) < 20);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(results[i].verdict, CORPUS_HUNG);
        assert_true(!strstr(results[i].text, "not run again alone: 3 others") == (i < CORPUS_HUNG_MAX));
        free(results[i].text);
    }
    corpus_free(corpus);
}

static void an_interruption_ends_all(void **state)
{
    (void)state;
    char error[1024] = "";
    struct corpus *corpus;
    if (!corpus_load("corpus", &corpus, error, sizeof error)) {
        fail_msg("%s", error);
    }
    const struct corpus_subject hanging = {.name = "hangs", .make = make_wrong};
    struct corpus_result results[3];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "", 1), 1);
    for (size_t i = 0; i < 3; i++) {
        results[i] = (struct corpus_result){.c = find_case(corpus, "rd-01-mixed")};
    }
    judge_at_once(results, 3, &hanging, 86400, 2, ends[0]);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(results[i].verdict, CORPUS_NOT_RUN);
        assert_string_equal(results[i].text, "interrupted\n");
        free(results[i].text);
    }
    close(ends[0]);
    close(ends[1]);
    corpus_free(corpus);
}

/* ---- The exit code ---- */

static int exit_of(enum corpus_verdict first, enum corpus_verdict second)
{
    struct corpus_result items[2] = {{.verdict = first}, {.verdict = second}};
    const struct corpus_results results = {.items = items, .count = 2};
    return corpus_exit(&results);
}

static void exit_code_is_the_worst_verdict(void **state)
{
    (void)state;
    const struct corpus_results nothing = {.count = 0};
    assert_int_equal(corpus_exit(&nothing), REPORT_INCOMPLETE);
    assert_int_equal(exit_of(CORPUS_PASSED, CORPUS_PASSED), REPORT_CONFORMS);
    assert_int_equal(exit_of(CORPUS_PASSED, CORPUS_FAILED), REPORT_DIFFERS);
    assert_int_equal(exit_of(CORPUS_FAILED, CORPUS_CRASHED), REPORT_CRASHED);
    assert_int_equal(exit_of(CORPUS_FAILED, CORPUS_HUNG), REPORT_CRASHED);
    assert_int_equal(exit_of(CORPUS_PASSED, CORPUS_NOT_JUDGED), REPORT_DIFFERS);
    assert_int_equal(exit_of(CORPUS_PASSED, CORPUS_NOT_APPLICABLE), REPORT_INCOMPLETE);
    assert_int_equal(exit_of(CORPUS_PASSED, CORPUS_NOT_RUN), REPORT_INCOMPLETE);
    assert_int_equal(exit_of(CORPUS_NOT_RUN, CORPUS_FAILED), REPORT_DIFFERS);
}

static void clauses_have_their_sentences(void **state)
{
    (void)state;
    const char *spec = "x\n\n**HDR-01** One\ntwo.\n\n**HDR-02** Three.\n";
    char *sentence = corpus_clause_sentence(spec, "HDR-01");
    assert_string_equal(sentence, "One two.");
    free(sentence);
    assert_null(corpus_clause_sentence(spec, "HDR-03"));
    assert_null(corpus_clause_sentence(NULL, "HDR-01"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_case_loads),
        cmocka_unit_test(bad_cases_are_refused),
        cmocka_unit_test(bad_corpora_are_refused),
        cmocka_unit_test(pattern_is_the_documented_one),
        cmocka_unit_test(wrong_implementations_are_caught),
        cmocka_unit_test(cases_run_at_once),
        cmocka_unit_test(an_interruption_ends_all),
        cmocka_unit_test(exit_code_is_the_worst_verdict),
        cmocka_unit_test(clauses_have_their_sentences),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
