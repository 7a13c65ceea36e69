/*
 * The table of clauses: it is the specification's, and the verdict on a clause follows from what all judges state.
 *
 * Here IDs are data. They are written in two parts, so that nobody takes this file for a witness of these clauses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "corpus/clauses.h"
#include "corpus/corpus_report.h"

#include <stdlib.h>
#include <string.h>

static struct clauses *read_specification(void)
{
    char error[256] = "";
    char *spec = corpus_read_spec("spec/add-cow.md");
    assert_non_null(spec);
    struct clauses *clauses = clauses_read(spec, error, sizeof error);
    free(spec);
    if (!clauses) {
        fail_msg("%s", error);
    }
    return clauses;
}

/* Every line of the specification that begins with an ID in bold is a clause, once and in this order. */
static void all_clauses_of_the_specification_are_listed(void **state)
{
    (void)state;
    struct clauses *clauses = read_specification();
    char line[1024];
    size_t index = 0;
    FILE *spec = fopen("spec/add-cow.md", "r");
    assert_non_null(spec);
    while (fgets(line, sizeof line, spec)) {
        char id[CLAUSES_ID_SIZE] = "", rest;
        if (sscanf(line, "**%6[A-Z0-9-]** %c", id, &rest) == 2) {
            assert_true(index < clauses->count);
            assert_string_equal(clauses->items[index++].id, id);
        }
    }
    fclose(spec);
    assert_int_equal(index, clauses->count);
    assert_true(index > 130);
    assert_string_equal(
        clauses_find(clauses,
                     "DUR"
                     "-09")
            ->sentence,
        "A flush with no bit to write syncs only the image file. A bit has to be written if it was set or "
        "cleared since it was last durable.");
    assert_null(clauses_find(clauses, "DUR"));
    clauses_free(clauses);
}

/* Copied from section 15 by hand. */
static const struct {
    const char *id;
    bool reader, writer, concurrent, durable;
} levels[] = {
    {"HDR"
     "-01",
     true, true, true, true},
    {"HDR"
     "-20",
     true, true, true, true},
    {"HDR"
     "-21",
     false, true, true, true},
    {"HR9"
     "-08",
     true, true, true, true},
    {"BMP"
     "-04",
     false, true, true, true},
    {"BMP"
     "-05",
     true, true, true, true},
    {"VRT"
     "-04",
     true, true, true, true},
    {"VRT"
     "-05",
     false, true, true, true},
    {"MAP"
     "-01",
     true, true, true, true},
    {"MAP"
     "-02",
     false, true, true, true},
    {"ERR"
     "-02",
     false, true, true, true},
    {"ERR"
     "-06",
     true, true, true, true},
    {"RSZ"
     "-03",
     false, true, true, true},
    {"RSZ"
     "-04",
     false, false, false, true},
    {"CMT"
     "-03",
     false, false, false, true},
    {"CMT"
     "-04",
     false, true, true, true},
    {"CON"
     "-08",
     false, false, true, false},
    {"DUR"
     "-12",
     false, false, false, true},
    {"RBS"
     "-01",
     false, false, false, false},
    {"CHK"
     "-02",
     false, false, false, false},
    {"SEC"
     "-02",
     true, true, true, true},
    {"LCK"
     "-07",
     true, true, true, true},
};

static void levels_are_those_of_section_15(void **state)
{
    (void)state;
    struct clauses *clauses = read_specification();
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const struct clause *clause = clauses_find(clauses, levels[i].id);
        assert_non_null(clause);
        if (clause_is_claimed(clause, PROTOCOL_READER, false) != levels[i].reader ||
            clause_is_claimed(clause, PROTOCOL_WRITER, false) != levels[i].writer ||
            clause_is_claimed(clause, PROTOCOL_CONCURRENT, true) != levels[i].concurrent ||
            clause_is_claimed(clause, PROTOCOL_DURABLE, false) != levels[i].durable ||
            clause_is_claimed(clause, PROTOCOL_DURABLE, true) != (levels[i].durable || levels[i].concurrent)) {
            fail_msg("%s has levels %x", levels[i].id, clause->levels);
        }
    }
    clauses_free(clauses);
}

#define LEVELS                                                                                                         \
    "- **reader**: AAA\n- **writer**: reader,\n  and BBB"                                                              \
    "-01..02 (some)\n- **concurrent writer**: writer\n"                                                                \
    "- **durable writer**: writer\n\nmore"
#define CLAUSES                                                                                                        \
    "\n**AAA"                                                                                                          \
    "-01** First.\n\n**BBB"                                                                                            \
    "-01** Second\nsentence.\n\n**BBB"                                                                                 \
    "-02** Third.\n\n"

static void a_section_15_that_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {CLAUSES, "does not list all levels"},
        {CLAUSES "\n## 15. Levels\n\n- **reader**: AAA\n\n", "does not list all levels"},
        {CLAUSES "\n## 15. Levels\n\n- **guru**: AAA\n\n", "unknown level \"guru\""},
        {CLAUSES "\n## 15. Levels\n\n- **reader** AAA\n\n", "unknown level"},
        {CLAUSES "\n## 15. Levels\n\n- **reader**: AAA, CCC\n\n", "reader: \"CCC\" is no clause"},
        {CLAUSES "\n## 15. Levels\n\n- **reader**: AAA"
                 "-02\n\n",
         "\"AAA"
         "-02\" is no clause"},
        {CLAUSES "\n## 15. Levels\n\n- **reader**: AAA"
                 "-01x\n\n",
         "\"AAA"
         "-01x\" is no clause"},
        {CLAUSES "\n## 15. Levels\n\n- **reader**: writer\n\n", "\"writer\" is no clause"},
        {"", "does not list all levels"},
    };
    char error[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(clauses_read(bad[i][0], error, sizeof error));
        if (!strstr(error, bad[i][1])) {
            fail_msg("\"%s\" does not say \"%s\"", error, bad[i][1]);
        }
    }
    struct clauses *good = clauses_read(CLAUSES "\n## 15. Levels\n\n" LEVELS, error, sizeof error);
    assert_non_null(good);
    assert_int_equal(good->count, 3);
    assert_string_equal(good->items[1].sentence, "Second sentence.");
    assert_int_equal(good->items[0].levels, 15);
    assert_int_equal(good->items[2].levels, 14);
    clauses_free(good);
}

static void one_judge_that_finds_it_broken_suffices(void **state)
{
    (void)state;
    const struct clause_statement *because;
    struct clauses *clauses = read_specification();
    struct clause *clause = clauses_find(clauses,
                                         "WR"
                                         "-03");
    assert_int_equal(clause_verdict(clause, &because), CLAUSE_NOT_JUDGED);
    assert_null(because);
    assert_string_equal(clause_reason(clause), "no judge has looked at it");
    clauses_state(clauses, "corpus",
                  "WR"
                  "-03",
                  CLAUSE_NOT_JUDGED, NULL, "no case\nran");
    assert_string_equal(clause_reason(clause), "no case ran");
    clauses_state(clauses, "corpus",
                  "WR"
                  "-03",
                  CLAUSE_KEPT, "a", "");
    assert_int_equal(clause_verdict(clause, &because), CLAUSE_KEPT);
    clauses_state(clauses, "observer",
                  "WR"
                  "-03",
                  CLAUSE_BROKEN, "b", "a tail is lost");
    clauses_state(clauses, "corpus",
                  "WR"
                  "-03",
                  CLAUSE_KEPT, "c", "");
    assert_int_equal(clause_verdict(clause, &because), CLAUSE_BROKEN);
    assert_string_equal(because->case_id, "b");
    assert_string_equal(because->text, "a tail is lost");
    clauses_free(clauses);
}

static void a_reserved_clause_is_kept_only_by_its_judge(void **state)
{
    (void)state;
    struct clauses *clauses = read_specification();
    struct clause *clause = clauses_find(clauses,
                                         "DUR"
                                         "-03");
    clauses_reserve(clauses,
                    "DUR"
                    "-03",
                    "observer", "it takes a power cut");
    clauses_reserve(clauses,
                    "ZZZ"
                    "-01",
                    "observer", "no such clause");
    clauses_state(clauses, "corpus",
                  "DUR"
                  "-03",
                  CLAUSE_KEPT, "a", "");
    assert_int_equal(clause_verdict(clause, NULL), CLAUSE_NOT_JUDGED);
    assert_string_equal(clause_reason(clause), "no observer: it takes a power cut");
    clauses_state(clauses, "observer",
                  "DUR"
                  "-03",
                  CLAUSE_NOT_JUDGED, NULL, "the files are mapped into memory");
    assert_int_equal(clause_verdict(clause, NULL), CLAUSE_NOT_JUDGED);
    assert_string_equal(clause_reason(clause), "the files are mapped into memory");
    clauses_state(clauses, "observer",
                  "DUR"
                  "-03",
                  CLAUSE_KEPT, NULL, "");
    assert_int_equal(clause_verdict(clause, NULL), CLAUSE_KEPT);
    clauses_state(clauses, "corpus",
                  "DUR"
                  "-03",
                  CLAUSE_BROKEN, "a", "lost");
    assert_int_equal(clause_verdict(clause, NULL), CLAUSE_BROKEN);
    clauses_reserve(clauses,
                    "CON"
                    "-03",
                    CLAUSES_NOBODY, "it promises nothing");
    assert_string_equal(clause_reason(clauses_find(clauses,
                                                   "CON"
                                                   "-03")),
                        "it promises nothing");
    assert_true(clause_is_hidden(clauses_find(clauses,
                                              "CON"
                                              "-03")));
    assert_false(clause_is_hidden(clause));
    assert_string_equal(clause_verdict_name(CLAUSE_NOT_JUDGED), "not judged");
    clauses_free(clauses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_clauses_of_the_specification_are_listed),
        cmocka_unit_test(levels_are_those_of_section_15),
        cmocka_unit_test(a_section_15_that_is_not_understood_is_refused),
        cmocka_unit_test(one_judge_that_finds_it_broken_suffices),
        cmocka_unit_test(a_reserved_clause_is_kept_only_by_its_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
