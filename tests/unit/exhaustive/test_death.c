/*
 * Deaths: the process that has a disk open dies at every call of short sequences of operations, another one opens the
 * disk and continues, and then the power fails. Data that the first one wrote but did not sync is visible to the second
 * one, which must not rely on it before it is durable.
 */
#include "judges/bounded_crash.h"
#include "exhaustive/scope.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* DUR-12 */
static void every_crash_after_every_death(void **state)
{
    (void)state;
    struct crash_options options = {.deaths = true};
    for (size_t i = 0; i < SCOPE_DISKS; i++) {
        struct crash_counts counts = {0};
        bool fine = bounded_crash_check(&scope_disks[i], scope_is_small() ? 1 : 2, &options, &counts, stdout);
        print_message("# disk %zu: %" PRIu64 " sequences, %" PRIu64 " deaths, %" PRIu64 " states after a crash\n", i,
                      counts.sequences, counts.deaths, counts.states);
        assert_true(fine);
        assert_true(counts.deaths > counts.sequences);
        assert_int_equal(counts.sampled, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_after_every_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
