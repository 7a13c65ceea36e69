/*
 * The production engine under weak memory: every execution of small programs (harness/weak/programs), and that programs
 * with a defect are found out, with the reductions and without.
 */
#include "weak/explore.h"
#include "weak/programs/programs.h"

#include "base/clock.h"
#include "broken.h"
#include "exhaustive/scope.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXECUTIONS_MAX 200000u /* more than any program of the quick ones has: who reaches it has lost its end */
#define EXECUTIONS_RANDOM 2000u
#define EXECUTIONS_SMALL 200u /* for slow tools: the first ones */

/* ---- Programs with a defect ---- */

static void expect_broken(const struct litmus_broken *broken, const struct weak_options_of_search *options,
                          const char *how)
{
    struct weak_found found;
    weak_explore(&broken->program, options, NULL, &found);
    bool right =
        broken->message == NULL ? !found.failed : found.failed && strstr(found.message, broken->message) != NULL;
    if (!right) {
        fail_msg("%s, %s: %s", broken->program.name, how, found.failed ? found.message : "nothing is found");
    }
    if (!options->random && !found.failed && !found.complete) {
        fail_msg("%s, %s: not all executions", broken->program.name, how);
    }
}

static void test_broken(void **state)
{
    (void)state;
    struct weak_options_of_search all = {.preemptions = WEAK_UNBOUNDED, .executions = EXECUTIONS_MAX};
    struct weak_options_of_search unreduced = all, bounded = all, random = all;
    unreduced.unreduced = true;
    bounded.preemptions = 1;
    random.random = true;
    random.executions = EXECUTIONS_RANDOM;
    for (const struct litmus_broken *broken = litmus_broken; broken->program.name != NULL; broken++) {
        expect_broken(broken, &all, "all executions");
        if (scope_is_small()) {
            continue;
        }
        expect_broken(broken, &unreduced, "without reductions");
        expect_broken(broken, &bounded, "one preemption");
        expect_broken(broken, &random, "random executions");
    }
}

static void test_timeline(void **state)
{
    (void)state;
    char *text;
    size_t size;
    struct weak_found found;
    struct weak_options_of_search options = {.preemptions = WEAK_UNBOUNDED};
    const struct litmus_broken *broken = litmus_broken;
    while (strcmp(broken->program.name, "told relaxed") != 0) {
        broken++;
    }
    FILE *out = open_memstream(&text, &size);
    weak_explore(&broken->program, &options, out, &found);
    fclose(out);
    /* Both stores are there, the load that reads the old one, and why it may. */
    bool told =
        strstr(text, "store image sector[0]") != NULL &&
        (strstr(text, "in write_and_tell, broken.c:") != NULL || strstr(text, "at code 0x") != NULL) &&
        strstr(text, "reads 0x0 from before the threads began") != NULL &&
        strstr(text, "it may: no release that it acquired orders before it 0x1 of step 1 by thread 0") != NULL &&
        strstr(text, "it fails: the file has what was there before") != NULL;
    if (!told) {
        fail_msg("the timeline is:\n%s", text);
    }
    free(text);
}

/* ---- The engine ---- */

static void explore(const struct weak_program *program, uint32_t preemptions, uint64_t executions)
{
    struct weak_found found;
    struct weak_options_of_search options = {.preemptions = preemptions, .executions = executions};
    uint64_t begin = clock_processor_nanoseconds();
    weak_explore(program, &options, stdout, &found);
    weak_print_found(stdout, program, &options, &found);
    printf("    %s; %.2f s\n", program->meaning, (double)(clock_processor_nanoseconds() - begin) / 1e9);
    fflush(stdout);
    assert_false(found.failed);
    assert_true(found.complete || scope_is_small());
}

/* CON-01, CON-04, CON-05, CON-06, CON-07, CON-09, CON-12, DUR-03 */
static void test_engine(void **state)
{
    (void)state;
    for (size_t i = 0; weak_programs[i] != NULL; i++) {
        explore(weak_programs[i], WEAK_UNBOUNDED, scope_is_small() ? EXECUTIONS_SMALL : EXECUTIONS_MAX);
    }
}

/* For `make weak`. */
static void test_engine_large(void **state)
{
    (void)state;
    for (size_t i = 0; weak_large_programs[i].program != NULL; i++) {
        explore(weak_large_programs[i].program, weak_large_programs[i].preemptions, 0);
    }
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_timeline),
        cmocka_unit_test(test_engine),
    };
    const struct CMUnitTest engine[] = {cmocka_unit_test(test_engine)};
    const struct CMUnitTest large[] = {
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_engine_large),
    };
    /* For the mutants: only the engine. */
    if (count == 2 && strcmp(words[1], "--engine") == 0) {
        return cmocka_run_group_tests(engine, NULL, NULL);
    }
    if (count == 2 && strcmp(words[1], "--large") == 0) {
        return cmocka_run_group_tests(large, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
