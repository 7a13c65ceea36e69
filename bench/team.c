/*
 * The benchmark's threads.
 *
 * Threads sleep between slices, so that they do not disturb the preparation. When a slice begins they wake up, wait for
 * each other in a spinning barrier, and then start their clocks, so the time excludes waking up.
 */
#include "bench.h"

#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct member {
    struct team *team;
    unsigned index;
    pthread_t thread;
    double start;
    double end;
};

struct team {
    unsigned threads;
    pthread_mutex_t mutex; /* guards slice, finished and stop; run, context and seed change only between slices */
    pthread_cond_t changed;
    uint64_t slice;
    unsigned finished;
    bool stop;
    slice_function *run;
    void *context;
    uint64_t seed;
    atomic_uint arrived;
    struct member members[THREADS_MAX];
};

static void member_run(struct member *member)
{
    struct team *team = member->team;
    atomic_fetch_add(&team->arrived, 1);
    while (atomic_load(&team->arrived) < team->threads) {
        sched_yield();
    }
    member->start = (double)clock_nanoseconds();
    team->run(team->context, member->index, team->seed);
    member->end = (double)clock_nanoseconds();
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct team *team = member->team;
    uint64_t seen = 0;
    pthread_mutex_lock(&team->mutex);
    for (;;) {
        while (team->slice == seen && !team->stop) {
            pthread_cond_wait(&team->changed, &team->mutex);
        }
        if (team->stop) {
            break;
        }
        seen = team->slice;
        pthread_mutex_unlock(&team->mutex);
        member_run(member);
        pthread_mutex_lock(&team->mutex);
        team->finished++;
        pthread_cond_broadcast(&team->changed);
    }
    pthread_mutex_unlock(&team->mutex);
    return NULL;
}

struct team *team_new(unsigned threads)
{
    struct team *team = calloc(1, sizeof *team);
    if (!team || threads < 1 || threads > THREADS_MAX) {
        fail("cannot make a team of %u threads", threads);
    }
    team->threads = threads;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->changed, NULL);
    for (unsigned i = 0; i < threads; i++) {
        team->members[i].team = team;
        team->members[i].index = i;
        if (i > 0 && pthread_create(&team->members[i].thread, NULL, member_main, &team->members[i]) != 0) {
            fail("cannot start thread %u", i);
        }
    }
    return team;
}

void team_free(struct team *team)
{
    pthread_mutex_lock(&team->mutex);
    team->stop = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
    for (unsigned i = 1; i < team->threads; i++) {
        pthread_join(team->members[i].thread, NULL);
    }
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}

double team_run(struct team *team, slice_function *run, void *context, uint64_t seed)
{
    pthread_mutex_lock(&team->mutex);
    team->run = run;
    team->context = context;
    team->seed = seed;
    team->finished = 1;
    atomic_store(&team->arrived, 0);
    team->slice++;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
    member_run(&team->members[0]);
    pthread_mutex_lock(&team->mutex);
    while (team->finished < team->threads) {
        pthread_cond_wait(&team->changed, &team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);

    double start = team->members[0].start;
    double end = team->members[0].end;
    for (unsigned i = 1; i < team->threads; i++) {
        if (team->members[i].start < start) {
            start = team->members[i].start;
        }
        if (team->members[i].end > end) {
            end = team->members[i].end;
        }
    }
    return end - start;
}
