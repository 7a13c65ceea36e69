/*
 * Threads that work on one disk: started together, joined, with the first error of each.
 */
#ifndef TESTS_WORKERS_H
#define TESTS_WORKERS_H

#include "support/model.h"
#include "support/probe.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 8

typedef void *thread_function(void *argument);

struct worker {
    struct addcow *disk;
    const struct disk_spec *spec;
    unsigned number;
    pthread_barrier_t *start;
    pthread_t thread;
    enum addcow_status result;
};

static inline void start_workers(struct worker *workers, unsigned count, struct addcow *disk,
                                 const struct disk_spec *spec, pthread_barrier_t *barrier, thread_function *function)
{
    assert_int_equal(pthread_barrier_init(barrier, NULL, count), 0);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.disk = disk, .spec = spec, .number = i, .start = barrier};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, function, &workers[i]), 0);
    }
}

static inline void join_workers(struct worker *workers, unsigned count, pthread_barrier_t *barrier)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].result, ADDCOW_OK);
    }
    pthread_barrier_destroy(barrier);
}

static inline void keep_first(struct worker *worker, enum addcow_status code)
{
    if (worker->result == ADDCOW_OK) {
        worker->result = code;
    }
}

#endif
