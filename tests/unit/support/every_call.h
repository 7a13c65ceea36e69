/*
 * The tests that let every storage call of an operation fail in turn. The test program describes its operation in a
 * struct every_call, and passes it to each test with cmocka_unit_test_prestate.
 */
#ifndef EVERY_CALL_H
#define EVERY_CALL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct every_call {
    /* Runs the operation in the given variant, with a fault at the given storage call, and checks what it did. Returns
     * whether the operation reached that call. */
    bool (*try_fault)(size_t variant, uint64_t fail_at, int errnum, bool after);
    size_t variants;
};

static void every_call_fails(const struct every_call *operation, int errnum, bool after)
{
    for (size_t i = 0; i < operation->variants; i++) {
        uint64_t call = 1;
        while (operation->try_fault(i, call, errnum, after)) {
            call++;
        }
        assert_true(call > 10);
    }
}

/* ERR-01, ERR-05 */
static void test_failure_of_every_call(void **state)
{
    every_call_fails(*state, EIO, false);
    every_call_fails(*state, ENOSPC, false);
}

static void test_failure_at_the_end_of_every_call(void **state)
{
    every_call_fails(*state, EIO, true);
}

/* ERR-04: the interrupted call is continued, and the operation succeeds. */
static void test_interruption_of_every_call(void **state)
{
    every_call_fails(*state, EINTR, false);
}

#endif
