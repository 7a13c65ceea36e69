/*
 * The memory model of harness/weak is C11's, as RC11 repairs it: the classical litmus programs have exactly their
 * outcomes, and these and random programs exactly the executions that a brute force over the axioms finds (axioms.c).
 * The search with its reductions finds all of them.
 */
#include "weak/explore.h"

#include "base/random.h"
#include "exhaustive/scope.h"
#include "litmus.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BOUNDED_PROGRAMS 100u
#define RANDOM_PROGRAMS 600u
#define RANDOM_PROGRAMS_SMALL 20u   /* for slow tools */
#define RANDOM_PROGRAMS_LARGE 4000u /* for `make weak` */
#define UNREDUCED_MOST 1500u
#define UNREDUCED_MOST_SMALL 30u /* for slow tools */

enum { X, Y, Z };
#define LOAD(order, place) {LITMUS_LOAD, LITMUS_##order, place, 0}
#define STORE(order, place, value) {LITMUS_STORE, LITMUS_##order, place, value}
#define ADD(order, place, value) {LITMUS_ADD, LITMUS_##order, place, value}
#define SWAP(order, place, value) {LITMUS_SWAP, LITMUS_##order, place, value}
#define FENCE(order) {LITMUS_FENCE, LITMUS_##order, 0, 0}

/* The values read, in order, and the last values of x, y and z. */
#define OUTCOME_1(a) ((uint64_t)(a))
#define OUTCOME(first, second, third, fourth, x, y)                                                                    \
    ((uint64_t)(first) | (uint64_t)(second) << 3 | (uint64_t)(third) << 6 | (uint64_t)(fourth) << 9 |                  \
     (uint64_t)(x) << 12 | (uint64_t)(y) << 15)
#define OUTCOME_OF_2(first, second, x, y)                                                                              \
    ((uint64_t)(first) | (uint64_t)(second) << 3 | (uint64_t)(x) << 6 | (uint64_t)(y) << 9)
#define OUTCOME_OF_0(x, y) ((uint64_t)(x) | (uint64_t)(y) << 3)

/* A program, the outcome that is asked about, and whether C11 allows it. */
struct question {
    struct litmus litmus;
    uint64_t outcome;
    bool allowed;
};

static const struct question questions[] = {
    /* Store buffering: both loads read 0. */
    {{"SB", 2, {{STORE(RELEASE, X, 1), LOAD(ACQUIRE, Y)}, {STORE(RELEASE, Y, 1), LOAD(ACQUIRE, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     true},
    {{"SB+sc", 2, {{STORE(SEQ_CST, X, 1), LOAD(SEQ_CST, Y)}, {STORE(SEQ_CST, Y, 1), LOAD(SEQ_CST, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     false},
    {{"SB+sc+acquire", 2, {{STORE(SEQ_CST, X, 1), LOAD(SEQ_CST, Y)}, {STORE(SEQ_CST, Y, 1), LOAD(ACQUIRE, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     true},
    {{"SB+fences",
      2,
      {{STORE(RELAXED, X, 1), FENCE(SEQ_CST), LOAD(RELAXED, Y)},
       {STORE(RELAXED, Y, 1), FENCE(SEQ_CST), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     false},
    {{"SB+fence",
      2,
      {{STORE(RELAXED, X, 1), FENCE(SEQ_CST), LOAD(RELAXED, Y)},
       {STORE(RELAXED, Y, 1), FENCE(ACQ_REL), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     true},
    {{"SB+updates", 2, {{ADD(SEQ_CST, X, 1), LOAD(SEQ_CST, Y)}, {STORE(SEQ_CST, Y, 1), LOAD(SEQ_CST, X)}}},
     OUTCOME(0, 0, 0, 1, 1, 0),
     false},
    /* Message passing: the flag is seen, the message is not. */
    {{"MP", 2, {{STORE(RELAXED, X, 1), STORE(RELAXED, Y, 1)}, {LOAD(RELAXED, Y), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     true},
    {{"MP+rel+acq", 2, {{STORE(RELAXED, X, 1), STORE(RELEASE, Y, 1)}, {LOAD(ACQUIRE, Y), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     false},
    {{"MP+rel", 2, {{STORE(RELAXED, X, 1), STORE(RELEASE, Y, 1)}, {LOAD(RELAXED, Y), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     true},
    {{"MP+acq", 2, {{STORE(RELAXED, X, 1), STORE(RELAXED, Y, 1)}, {LOAD(ACQUIRE, Y), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     true},
    {{"MP+fences",
      2,
      {{STORE(RELAXED, X, 1), FENCE(RELEASE), STORE(RELAXED, Y, 1)},
       {LOAD(RELAXED, Y), FENCE(ACQUIRE), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     false},
    {{"MP+fence",
      2,
      {{STORE(RELAXED, X, 1), FENCE(RELEASE), STORE(RELAXED, Y, 1)},
       {LOAD(RELAXED, Y), FENCE(RELEASE), LOAD(RELAXED, X)}}},
     OUTCOME_OF_2(1, 0, 1, 1),
     true},
    /* Load buffering: C11 allows it; RC11, and so this model, does not. */
    {{"LB", 2, {{LOAD(RELAXED, X), STORE(RELAXED, Y, 1)}, {LOAD(RELAXED, Y), STORE(RELAXED, X, 1)}}},
     OUTCOME_OF_2(1, 1, 1, 1),
     false},
    /* Two stores in each of two threads: the first ones come last. */
    {{"2+2W", 2, {{STORE(RELAXED, X, 1), STORE(RELAXED, Y, 2)}, {STORE(RELAXED, Y, 1), STORE(RELAXED, X, 2)}}},
     OUTCOME_OF_0(1, 1),
     true},
    {{"2+2W+sc", 2, {{STORE(SEQ_CST, X, 1), STORE(SEQ_CST, Y, 2)}, {STORE(SEQ_CST, Y, 1), STORE(SEQ_CST, X, 2)}}},
     OUTCOME_OF_0(1, 1),
     false},
    /* Independent reads of independent writes: two threads see two stores in different orders. */
    {{"IRIW",
      4,
      {{STORE(RELEASE, X, 1)},
       {STORE(RELEASE, Y, 1)},
       {LOAD(ACQUIRE, X), LOAD(ACQUIRE, Y)},
       {LOAD(ACQUIRE, Y), LOAD(ACQUIRE, X)}}},
     OUTCOME(1, 0, 1, 0, 1, 1),
     true},
    {{"IRIW+sc",
      4,
      {{STORE(SEQ_CST, X, 1)},
       {STORE(SEQ_CST, Y, 1)},
       {LOAD(SEQ_CST, X), LOAD(SEQ_CST, Y)},
       {LOAD(SEQ_CST, Y), LOAD(SEQ_CST, X)}}},
     OUTCOME(1, 0, 1, 0, 1, 1),
     false},
    /* Coherence: one location never goes back. */
    {{"CoRR", 2, {{STORE(RELAXED, X, 1)}, {LOAD(RELAXED, X), LOAD(RELAXED, X)}}}, OUTCOME_OF_2(1, 0, 1, 0), false},
    {{"CoRR+2",
      4,
      {{STORE(RELAXED, X, 1)},
       {STORE(RELAXED, X, 2)},
       {LOAD(RELAXED, X), LOAD(RELAXED, X)},
       {LOAD(RELAXED, X), LOAD(RELAXED, X)}}},
     OUTCOME(1, 2, 2, 1, 1, 0),
     false},
    {{"CoWW", 2, {{STORE(RELAXED, X, 1), STORE(RELAXED, X, 2)}, {LOAD(RELAXED, Y)}}}, OUTCOME(0, 1, 0, 0, 0, 0), false},
    /* Release sequences: an update by a third thread keeps one, another thread's store ends it. */
    {{"RS+update",
      3,
      {{STORE(RELAXED, X, 1), STORE(RELEASE, Y, 1)}, {ADD(RELAXED, Y, 1)}, {LOAD(ACQUIRE, Y), LOAD(RELAXED, X)}}},
     OUTCOME_1(1) | 2 << 3 | 0 << 6 | 1 << 9 | 2 << 12,
     false},
    {{"RS+store",
      3,
      {{STORE(RELAXED, X, 1), STORE(RELEASE, Y, 1)},
       {LOAD(RELAXED, Y), STORE(RELAXED, Y, 2)},
       {LOAD(ACQUIRE, Y), LOAD(RELAXED, X)}}},
     OUTCOME_1(1) | 2 << 3 | 0 << 6 | 1 << 9 | 2 << 12,
     true},
    /* Write to read causality, by acquire and release through a third thread. */
    {{"WRC",
      3,
      {{STORE(RELAXED, X, 1)}, {LOAD(RELAXED, X), STORE(RELEASE, Y, 1)}, {LOAD(ACQUIRE, Y), LOAD(RELAXED, X)}}},
     OUTCOME_1(1) | 1 << 3 | 0 << 6 | 1 << 9 | 1 << 12,
     false},
    /* The order of seq_cst operations goes on through release and acquire by another location. */
    {{"RWC+acq",
      3,
      {{STORE(SEQ_CST, X, 1), STORE(RELEASE, Y, 1)},
       {LOAD(ACQUIRE, Y), LOAD(SEQ_CST, Z)},
       {STORE(SEQ_CST, Z, 1), LOAD(SEQ_CST, X)}}},
     OUTCOME_1(1) | 0 << 3 | 0 << 6 | 1 << 9 | 1 << 12 | 1 << 15,
     false},
    /* A fence in one thread takes nothing from seq_cst operations. */
    {{"SB+sc+fence",
      2,
      {{FENCE(SEQ_CST), STORE(SEQ_CST, X, 1), LOAD(SEQ_CST, Y)}, {STORE(SEQ_CST, Y, 1), LOAD(SEQ_CST, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     false},
    {{"SB+fence+sc",
      2,
      {{STORE(RELAXED, X, 1), FENCE(SEQ_CST), LOAD(RELAXED, Y)}, {STORE(SEQ_CST, Y, 1), LOAD(SEQ_CST, X)}}},
     OUTCOME_OF_2(0, 0, 1, 1),
     false},
    /* An update never reads over another one. */
    {{"updates", 2, {{ADD(RELAXED, X, 1)}, {ADD(RELAXED, X, 1)}}}, OUTCOME_OF_2(0, 0, 1, 0), false},
    {{"swaps", 2, {{SWAP(RELAXED, X, 1)}, {SWAP(RELAXED, X, 2)}}}, OUTCOME_OF_2(0, 0, 1, 0), false},
};

#define MIXTURES (sizeof mixtures / sizeof mixtures[0])
#define QUESTIONS (sizeof questions / sizeof questions[0])

/* ---- Running ---- */

/* Of all programs. */
static uint64_t programs = RANDOM_PROGRAMS;
static uint64_t unreduced_most = UNREDUCED_MOST;
static uint64_t graphs, reduced_executions, unreduced_executions, unreduced_complete;

struct answers {
    struct weak_set outcomes;
    struct weak_set graphs;
    struct weak_found found;
};

static void run_with(const struct litmus *litmus, struct weak_options_of_search options, struct answers *answers)
{
    struct weak_program now = litmus_program;
    now.threads = litmus->threads;
    litmus_now = litmus;
    *answers = (struct answers){0};
    options.outcomes = &answers->outcomes;
    options.graphs = &answers->graphs;
    weak_explore(&now, &options, NULL, &answers->found);
    assert_false(answers->found.failed);
}

static void run(const struct litmus *litmus, bool unreduced, uint64_t most, struct answers *answers)
{
    run_with(litmus,
             (struct weak_options_of_search){.preemptions = WEAK_UNBOUNDED, .unreduced = unreduced, .executions = most},
             answers);
}

static void drop(struct answers *answers)
{
    weak_set_free(&answers->outcomes);
    weak_set_free(&answers->graphs);
}

static bool equals(const struct weak_set *left, const struct weak_set *right)
{
    return left->count == right->count && memcmp(left->members, right->members, left->count * sizeof(uint64_t)) == 0;
}

static void print_program(const struct litmus *litmus)
{
    static const char *const kinds[] = {"end", "load", "store", "add", "swap", "fence"};
    static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    for (unsigned t = 0; t < litmus->threads; t++) {
        printf("thread %u:", t);
        for (unsigned i = 0; i < LITMUS_STEPS && litmus->steps[t][i].kind != LITMUS_END; i++) {
            const struct litmus_step *step = &litmus->steps[t][i];
            printf(" %s_%s(%c, %u);", kinds[step->kind], orders[step->order], "xyz"[step->place], step -> value);
        }
        puts("");
    }
}

/* The search finds exactly the executions of the axioms, with and without its reductions. */
static void compare(const struct litmus *litmus)
{
    static struct axioms_count axioms;
    struct answers reduced, unreduced;
    axioms_enumerate(litmus, &axioms);
    run(litmus, false, 0, &reduced);
    assert_true(reduced.found.complete);
    struct weak_set expected = {.members = axioms.outcomes, .count = axioms.outcome_count};
    if (!equals(&reduced.outcomes, &expected) || reduced.graphs.count != axioms.executions) {
        print_program(litmus);
        fail_msg("%s: %zu executions and %zu outcomes instead of %" PRIu64 " and %u", litmus->name,
                 reduced.graphs.count, reduced.outcomes.count, axioms.executions, axioms.outcome_count);
    }
    run(litmus, true, unreduced_most, &unreduced);
    /* Graphs have other hashes: they hold loads of what is never stored to. */
    bool same = equals(&unreduced.outcomes, &reduced.outcomes) && unreduced.graphs.count == reduced.graphs.count;
    if (unreduced.found.complete && !same) {
        print_program(litmus);
        fail_msg("%s: the reductions change the executions", litmus->name);
    }
    unreduced_complete += unreduced.found.complete;
    unreduced_executions += unreduced.found.executions;
    reduced_executions += reduced.found.executions;
    graphs += axioms.executions;
    drop(&reduced);
    drop(&unreduced);
}

/* With a bound on preemptions, the reductions lose no outcome either. They may add some: a switch before a store
 * counts. */
static void compare_bounded(const struct litmus *litmus, uint32_t preemptions)
{
    struct answers reduced, unreduced;
    struct weak_options_of_search options = {.preemptions = preemptions};
    run_with(litmus, options, &reduced);
    options.unreduced = true;
    options.executions = 20 * unreduced_most;
    run_with(litmus, options, &unreduced);
    assert_true(reduced.found.complete);
    for (size_t i = 0; i < unreduced.outcomes.count; i++) {
        if (!weak_set_has(&reduced.outcomes, unreduced.outcomes.members[i])) {
            print_program(litmus);
            fail_msg("%s: with %u preemptions the reductions lose an outcome", litmus->name, preemptions);
        }
    }
    drop(&reduced);
    drop(&unreduced);
}

/* ---- Tests ---- */

static void test_classical(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUESTIONS; i++) {
        struct answers answers;
        run(&questions[i].litmus, false, 0, &answers);
        assert_true(answers.found.complete);
        if (weak_set_has(&answers.outcomes, questions[i].outcome) != questions[i].allowed) {
            fail_msg("%s is %s", questions[i].litmus.name, questions[i].allowed ? "not found" : "found");
        }
        drop(&answers);
        compare(&questions[i].litmus);
    }
}

/* What random programs are made of. The first ones are of everything, the others look for what is rare. */
static const struct mixture {
    enum litmus_kind kinds[8];
    enum litmus_order orders[8];
    uint64_t places;
} mixtures[] = {
    {{LITMUS_LOAD, LITMUS_LOAD, LITMUS_STORE, LITMUS_STORE, LITMUS_STORE, LITMUS_ADD, LITMUS_SWAP, LITMUS_FENCE},
     {LITMUS_RELAXED, LITMUS_RELAXED, LITMUS_ACQUIRE, LITMUS_RELEASE, LITMUS_ACQ_REL, LITMUS_SEQ_CST, LITMUS_SEQ_CST,
      LITMUS_SEQ_CST},
     2},
    {{LITMUS_LOAD, LITMUS_LOAD, LITMUS_LOAD, LITMUS_STORE, LITMUS_STORE, LITMUS_STORE, LITMUS_FENCE, LITMUS_FENCE},
     {LITMUS_RELAXED, LITMUS_RELAXED, LITMUS_SEQ_CST, LITMUS_SEQ_CST, LITMUS_SEQ_CST, LITMUS_SEQ_CST, LITMUS_SEQ_CST,
      LITMUS_SEQ_CST},
     2},
    {{LITMUS_LOAD, LITMUS_LOAD, LITMUS_LOAD, LITMUS_STORE, LITMUS_STORE, LITMUS_STORE, LITMUS_STORE, LITMUS_ADD},
     {LITMUS_ACQUIRE, LITMUS_RELEASE, LITMUS_ACQUIRE, LITMUS_RELEASE, LITMUS_SEQ_CST, LITMUS_SEQ_CST, LITMUS_SEQ_CST,
      LITMUS_SEQ_CST},
     3},
};

static struct litmus_step random_step(struct random *random, const struct mixture *mixture)
{
    struct litmus_step step = {.kind = mixture->kinds[random_below(random, 8)],
                               .order = mixture->orders[random_below(random, 8)],
                               .place = (unsigned)random_below(random, mixture->places),
                               .value = (unsigned)random_between(random, 1, 3)};
    bool load_order = step.order == LITMUS_RELAXED || step.order == LITMUS_ACQUIRE || step.order == LITMUS_SEQ_CST;
    bool store_order = step.order == LITMUS_RELAXED || step.order == LITMUS_RELEASE || step.order == LITMUS_SEQ_CST;
    if ((step.kind == LITMUS_LOAD && !load_order) || (step.kind == LITMUS_FENCE && step.order == LITMUS_RELAXED)) {
        step.order = step.kind == LITMUS_LOAD && step.order == LITMUS_RELEASE ? LITMUS_ACQUIRE : LITMUS_SEQ_CST;
    }
    if (step.kind == LITMUS_STORE && !store_order) {
        step.order = step.order == LITMUS_ACQUIRE ? LITMUS_RELEASE : LITMUS_SEQ_CST;
    }
    return step;
}

/*
 * Updates in random order: two of one place are ordered by switches only, and many orders of others lead to one state,
 * with more preemptions or with fewer.
 */
static void test_bounded(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < (programs < RANDOM_PROGRAMS ? programs : BOUNDED_PROGRAMS); seed++) {
        struct random random = {random_hash(seed)};
        struct litmus litmus = {.name = "updates", .threads = 3};
        for (unsigned t = 0; t < litmus.threads; t++) {
            for (unsigned i = 0; i < 3; i++) {
                litmus.steps[t][i] =
                    (struct litmus_step){LITMUS_ADD, LITMUS_RELAXED, (unsigned)random_below(&random, LITMUS_PLACES), 1};
            }
        }
        compare_bounded(&litmus, (uint32_t)(seed % 4));
    }
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < programs; seed++) {
        struct random random = {random_hash(seed)};
        struct litmus litmus = {.name = "a random program", .threads = (unsigned)random_between(&random, 2, 3)};
        for (unsigned t = 0; t < litmus.threads; t++) {
            uint64_t steps = random_between(&random, 1, litmus.threads == 2 ? 4 : 3);
            for (uint64_t i = 0; i < steps; i++) {
                litmus.steps[t][i] = random_step(&random, &mixtures[seed % MIXTURES]);
            }
        }
        compare(&litmus);
        compare_bounded(&litmus, (uint32_t)(seed / MIXTURES % 3));
    }
    printf("litmus: %" PRIu64 " graphs in %" PRIu64 " executions; %" PRIu64
           " programs also without reductions, in %" PRIu64 " executions\n",
           graphs, reduced_executions, unreduced_complete, unreduced_executions);
    assert_true(unreduced_complete > programs / 2 || scope_is_small());
}

int main(int count, char **words)
{
    if (count == 2 && strcmp(words[1], "--large") == 0) {
        programs = RANDOM_PROGRAMS_LARGE;
    }
    if (scope_is_small()) {
        programs = RANDOM_PROGRAMS_SMALL;
        unreduced_most = UNREDUCED_MOST_SMALL;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classical),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
