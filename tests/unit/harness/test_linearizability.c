/*
 * The check of one register's history (CON-02): histories made by hand, and random ones against a checker that tries
 * every order.
 */
#include "base/random.h"
#include "judges/linearizability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MOST 8u

struct history {
    uint32_t initial;
    uint32_t count;
    struct linearizability_operation operations[MOST];
};

static struct linearizability_operation writes(uint64_t invoked, uint64_t returned, uint32_t value)
{
    return (struct linearizability_operation){invoked, returned, value, true, false};
}

static struct linearizability_operation fails(uint64_t invoked, uint64_t returned, uint32_t value)
{
    return (struct linearizability_operation){invoked, returned, value, true, true};
}

static struct linearizability_operation reads(uint64_t invoked, uint64_t returned, uint32_t value)
{
    return (struct linearizability_operation){invoked, returned, value, false, false};
}

/* ---- Every order ---- */

/* Whether the operations that are not in `done` can follow, the register holding `value`. */
static bool some_order(const struct history *history, uint32_t done, uint32_t value)
{
    if (done == (1u << history->count) - 1) {
        return true;
    }
    uint64_t earliest = UINT64_MAX; /* the response that nothing later may precede */
    for (uint32_t i = 0; i < history->count; i++) {
        if ((done >> i & 1) == 0 && history->operations[i].returned < earliest) {
            earliest = history->operations[i].returned;
        }
    }
    for (uint32_t i = 0; i < history->count; i++) {
        const struct linearizability_operation *next = &history->operations[i];
        if ((done >> i & 1) != 0 || next->invoked > earliest) {
            continue;
        }
        if (next->may_be_lost && some_order(history, done | 1u << i, value)) {
            return true;
        }
        if ((next->is_write || next->value == value) && some_order(history, done | 1u << i, next->value)) {
            return true;
        }
    }
    return false;
}

/* A witness must hold every operation once, except writes that failed, agree with real time, and explain every read. */
static void check_witness(const struct history *history, const struct linearizability_result *result)
{
    uint32_t seen = 0;
    uint32_t value = history->initial;
    for (uint32_t i = 0; i < result->ordered; i++) {
        const struct linearizability_operation *operation = &history->operations[result->order[i]];
        assert_int_equal(seen >> result->order[i] & 1, 0);
        seen |= 1u << result->order[i];
        for (uint32_t later = i + 1; later < result->ordered; later++) {
            assert_true(history->operations[result->order[later]].returned > operation->invoked);
        }
        if (operation->is_write) {
            value = operation->value;
        } else {
            assert_int_equal(operation->value, value);
        }
    }
    for (uint32_t i = 0; i < history->count; i++) {
        assert_true((seen >> i & 1) != 0 || history->operations[i].may_be_lost);
    }
}

static enum linearizability_verdict check(const struct history *history)
{
    uint32_t order[MOST];
    struct linearizability_result result = {.order = order};
    enum linearizability_verdict answer =
        linearizability_check(history->initial, history->operations, history->count, &result);
    if (answer == LINEARIZABLE) {
        check_witness(history, &result);
    } else {
        assert_true(result.unexplained < history->count);
    }
    assert_int_equal(answer == LINEARIZABLE, some_order(history, 0, history->initial));
    return answer;
}

/* Random intervals over few moments and few values: about half of the histories are linearizable. */
static void make_random(struct random *random, struct history *history)
{
    uint64_t moments[2 * MOST];
    history->initial = 0;
    history->count = (uint32_t)random_between(random, 1, MOST - 1);
    uint32_t values = (uint32_t)random_between(random, 1, 4);
    for (uint32_t i = 0; i < 2 * history->count; i++) {
        moments[i] = i + 1;
    }
    for (uint32_t i = 2 * history->count - 1; i > 0; i--) {
        uint64_t other = random_below(random, i + 1);
        /* Near neighbours mostly, so that histories are not one heap of operations in progress. */
        other = i - other > 4 && !random_once_in(random, 3) ? i - 4 : other;
        uint64_t moment = moments[i];
        moments[i] = moments[other];
        moments[other] = moment;
    }
    for (uint32_t i = 0; i < history->count; i++) {
        uint64_t a = moments[2 * i];
        uint64_t b = moments[2 * i + 1];
        bool is_write = random_once_in(random, 2);
        /* Once in four histories every write has a value of its own. */
        uint32_t value = is_write && values == 4 ? i + 1 : (uint32_t)random_below(random, values + 1);
        history->operations[i] = (struct linearizability_operation){a < b ? a : b, a < b ? b : a, value, is_write,
                                                                    is_write && random_once_in(random, 6)};
    }
}

static void test_agrees_with_trying_every_order(void **state)
{
    (void)state;
    struct random random = {4};
    unsigned linearizable = 0;
    struct history history;
    for (int i = 0; i < 60000; i++) {
        make_random(&random, &history);
        linearizable += check(&history) == LINEARIZABLE;
    }
    assert_in_range(linearizable, 10000, 50000);
}

/* ---- By hand ---- */

static void expect(enum linearizability_verdict expected, uint32_t count,
                   const struct linearizability_operation *operations)
{
    struct history history = {.count = count};
    memcpy(history.operations, operations, count * sizeof *operations);
    assert_int_equal(check(&history), expected);
}

#define ACCEPT(...)                                                                                                    \
    expect(LINEARIZABLE,                                                                                               \
           sizeof((struct linearizability_operation[]){__VA_ARGS__}) / sizeof(struct linearizability_operation),       \
           (struct linearizability_operation[]){__VA_ARGS__})
#define REJECT(...)                                                                                                    \
    expect(NOT_LINEARIZABLE,                                                                                           \
           sizeof((struct linearizability_operation[]){__VA_ARGS__}) / sizeof(struct linearizability_operation),       \
           (struct linearizability_operation[]){__VA_ARGS__})

static void test_accepts_correct_histories(void **state)
{
    (void)state;
    ACCEPT(reads(1, 2, 0));
    ACCEPT(writes(1, 2, 5), reads(3, 4, 5));
    ACCEPT(writes(1, 10, 5), reads(2, 3, 0), reads(4, 5, 5)); /* takes effect in between */
    ACCEPT(writes(1, 4, 5), writes(2, 3, 6), reads(5, 6, 5)); /* either order */
    ACCEPT(writes(1, 4, 5), writes(2, 3, 6), reads(5, 6, 6));
    ACCEPT(writes(1, 8, 5), writes(2, 9, 6), reads(3, 4, 5), reads(5, 6, 6), reads(10, 11, 6));
    ACCEPT(writes(1, 2, 5), writes(3, 4, 0), reads(5, 6, 0)); /* the first value again */
    ACCEPT(writes(1, 20, 0), writes(2, 19, 5), reads(3, 4, 5), reads(5, 6, 0), reads(21, 22, 0));
}

static void test_rejects_a_lost_update(void **state)
{
    (void)state;
    REJECT(writes(1, 2, 5), reads(3, 4, 0));
    REJECT(writes(1, 2, 5), writes(3, 4, 6), reads(5, 6, 5));
    REJECT(writes(1, 4, 5), writes(2, 3, 6), reads(5, 6, 0));
}

static void test_rejects_a_value_from_nowhere(void **state)
{
    (void)state;
    REJECT(reads(1, 2, 7));
    REJECT(writes(1, 4, 5), reads(2, 3, 7));
    REJECT(reads(1, 2, 5), writes(3, 4, 5)); /* from the future */
}

static void test_rejects_new_then_old(void **state)
{
    (void)state;
    REJECT(writes(1, 10, 5), reads(2, 3, 5), reads(4, 5, 0));
    REJECT(writes(1, 20, 5), writes(2, 19, 6), reads(3, 4, 5), reads(5, 6, 6), reads(7, 8, 5));
}

static void test_rejects_readers_that_disagree(void **state)
{
    (void)state;
    REJECT(writes(1, 2, 5), writes(3, 20, 6), reads(4, 5, 6), reads(6, 7, 5));
    REJECT(writes(1, 4, 5), writes(2, 3, 6), reads(5, 6, 5), reads(7, 8, 6));
}

static void test_a_failed_write_may_be_lost_or_not(void **state)
{
    (void)state;
    ACCEPT(fails(1, 2, 5), reads(3, 4, 0));
    ACCEPT(fails(1, 2, 5), reads(3, 4, 5));
    REJECT(fails(1, 2, 5), reads(3, 4, 0), reads(5, 6, 5)); /* but it is decided when it returns (ERR-02) */
}

static void test_many_at_once(void **state)
{
    (void)state;
    struct linearizability_operation operations[LINEARIZABILITY_OPEN_MAX];
    uint32_t order[LINEARIZABILITY_OPEN_MAX];
    struct linearizability_result result = {.order = order};
    for (uint32_t i = 0; i < LINEARIZABILITY_OPEN_MAX; i++) {
        operations[i] = i % 2 == 0 ? writes(i + 1, 100 + i, i / 2 + 1) : reads(i + 1, 100 + i, i / 2 + 1);
    }
    /* Sixteen writes and their readers in progress at once: too many orders to follow; it must say so and not guess. */
    assert_int_equal(linearizability_check(0, operations, LINEARIZABILITY_OPEN_MAX, &result),
                     LINEARIZABILITY_UNDECIDED);
    assert_int_equal(linearizability_check(0, operations, 12, &result), LINEARIZABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_trying_every_order),
        cmocka_unit_test(test_accepts_correct_histories),
        cmocka_unit_test(test_rejects_a_lost_update),
        cmocka_unit_test(test_rejects_a_value_from_nowhere),
        cmocka_unit_test(test_rejects_new_then_old),
        cmocka_unit_test(test_rejects_readers_that_disagree),
        cmocka_unit_test(test_a_failed_write_may_be_lost_or_not),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests_name("linearizability", tests, NULL, NULL);
}
