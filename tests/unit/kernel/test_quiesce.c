/*
 * The gate between requests and whole-disk operations on real processors: threads enter and leave as fast as they can,
 * and another one closes the gate again and again. Who is inside counts itself; with the gate closed, nobody is.
 *
 * Witnesses CON-09.
 */
#include "addcow_disk.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

#include <cmocka.h>

#define REQUESTERS 3
#define SECONDS 1
#define LOOKS 20

struct stress {
    struct addcow_quiesce quiesce;
    atomic_int inside;  /* requests */
    atomic_bool closed; /* the gate */
    atomic_bool ends;
    atomic_uint wrong; /* how often a request was inside while the gate was closed */
};

static void *enter_and_leave(void *argument)
{
    struct stress *stress = argument;
    while (!atomic_load_explicit(&stress->ends, memory_order_relaxed)) {
        unsigned stripe = addcow_request_begin(&stress->quiesce);
        /* Relaxed, so that they add no order to that of the gate. Some time, so that others are inside as well. */
        atomic_fetch_add_explicit(&stress->inside, 1, memory_order_relaxed);
        for (unsigned i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(&stress->closed, memory_order_relaxed)) {
                atomic_fetch_add_explicit(&stress->wrong, 1, memory_order_relaxed);
            }
        }
        atomic_fetch_sub_explicit(&stress->inside, 1, memory_order_relaxed);
        addcow_request_end(&stress->quiesce, stripe);
    }
    return NULL;
}

static void close_and_open(struct stress *stress)
{
    addcow_quiesce_begin(&stress->quiesce);
    atomic_store_explicit(&stress->closed, true, memory_order_relaxed);
    for (unsigned i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&stress->inside, memory_order_relaxed) != 0) {
            atomic_fetch_add_explicit(&stress->wrong, 1, memory_order_relaxed);
        }
    }
    atomic_store_explicit(&stress->closed, false, memory_order_relaxed);
    addcow_quiesce_end(&stress->quiesce);
}

static void test_nobody_inside(void **state)
{
    (void)state;
    static struct stress stress;
    pthread_t threads[REQUESTERS];
    struct timespec start, now;
    unsigned long closings = 0;
    addcow_quiesce_init(&stress.quiesce);
    for (unsigned i = 0; i < REQUESTERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, &stress), 0);
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        close_and_open(&stress);
        closings++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec <= SECONDS);
    atomic_store(&stress.ends, true);
    for (unsigned i = 0; i < REQUESTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    addcow_quiesce_destroy(&stress.quiesce);
    print_message("# the gate was closed %lu times\n", closings);
    assert_int_equal(stress.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_inside),
    };
    return cmocka_run_group_tests_name("fast, the gate", tests, NULL, NULL);
}
