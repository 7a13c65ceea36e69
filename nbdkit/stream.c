/*
 * stream=background: makes the image the whole disk while clients use it.
 *
 * A stream begins when the first client opens a disk for writing, and then goes on without clients, too. It is one
 * thread that calls addcow_stream and, in the callback for its progress, waits as long as the rate demands. There it
 * holds nothing that a request could wait for. What the server stops is not lost: the next stream goes on there.
 */
#include "plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND INT64_C(1000000000) /* nanoseconds */
#define SHOWN_PERCENT 10           /* a line each time so much more is done */

struct stream {
    struct served *served;
    pthread_t thread;
    atomic_bool ended;
    uint64_t done;     /* bytes */
    int64_t next_step; /* nanoseconds: when the rate allows more */
    int shown;         /* percent */
    struct stream *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static pthread_cond_t stopped = PTHREAD_COND_INITIALIZER;
static bool stop;
static struct stream *all;

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* Into the log if the server has one that shows it, and to whoever looks at the server itself. */
static void show(struct stream *stream, int percent)
{
    if (percent >= stream->shown + SHOWN_PERCENT || (percent == 100 && stream->shown < 100)) {
        stream->shown = percent - percent % SHOWN_PERCENT;
        nbdkit_debug("%s: stream: %d %%", stream->served->path, stream->shown);
        fprintf(stderr, "nbdkit: addcow: %s: stream: %d %%\n", stream->served->path, stream->shown);
    }
}

/* Waits until the stream may do more. False: it has to stop. */
static bool wait_for_rate(struct stream *stream, uint64_t bytes)
{
    int64_t time = now(CLOCK_MONOTONIC);
    int64_t begin = stream->next_step > time ? stream->next_step : time;
    stream->next_step = parameters.rate == 0 ? time : begin + (int64_t)((double)bytes / (double)parameters.rate * 1e9);
    int64_t until = now(CLOCK_REALTIME) + (stream->next_step - time);
    struct timespec deadline = {.tv_sec = (time_t)(until / SECOND), .tv_nsec = (long)(until % SECOND)};
    pthread_mutex_lock(&lock);
    int result = stream->next_step > time ? 0 : ETIMEDOUT;
    while (!stop && result == 0) {
        result = pthread_cond_timedwait(&stopped, &lock, &deadline);
    }
    bool more = !stop;
    pthread_mutex_unlock(&lock);
    return more;
}

/* The library's callback. What it passes over at once, as it is allocated or zero, counts as one step. */
static bool step(void *context, uint64_t done, uint64_t total)
{
    const uint64_t most = 1 << 21; /* the largest cluster */
    struct stream *stream = context;
    uint64_t bytes = done > stream->done ? done - stream->done : 0;
    stream->done = done;
    int percent = total == 0 ? 100 : (int)((double)done / (double)total * 100);
    atomic_store(&stream->served->percent, percent);
    show(stream, percent);
    return wait_for_rate(stream, bytes < most ? bytes : most);
}

static void *run(void *context)
{
    struct stream *stream = context;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = addcow_stream(stream->served->disk, step, stream, &error);
    if (code == ADDCOW_OK) {
        nbdkit_debug("%s: stream: the image alone is the disk", stream->served->path);
    } else if (error.errnum != ECANCELED) {
        report(&error);
    }
    atomic_store(&stream->served->percent, -1);
    served_release(stream->served);
    atomic_store(&stream->ended, true);
    return NULL;
}

/* Under the lock. Joins the streams that have ended, or every one. */
static void reap(bool every)
{
    struct stream **link = &all;
    while (*link) {
        struct stream *stream = *link;
        if (!every && !atomic_load(&stream->ended)) {
            link = &stream->next;
            continue;
        }
        *link = stream->next;
        pthread_mutex_unlock(&lock);
        pthread_join(stream->thread, NULL);
        pthread_mutex_lock(&lock);
        free(stream);
        link = &all;
    }
}

static bool is_complete(struct served *served)
{
    bool allocated;
    uint64_t run_length;
    struct addcow_info info = ADDCOW_INFO_INIT;
    addcow_get_info(served->disk, &info);
    return info.all_allocated ||
           (info.layout == ADDCOW_R9 &&
            addcow_map(served->disk, 0, info.virtual_size, &allocated, &run_length, NULL) == ADDCOW_OK && allocated &&
            run_length == info.virtual_size);
}

bool stream_begin(struct served *served)
{
    if (served->read_only) {
        nbdkit_error("%s: stream=background: the disk can only be read", served->path);
        nbdkit_set_error(EROFS);
        return false;
    }
    if (is_complete(served)) {
        return true;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        nbdkit_error("%s: stream=background: no memory", served->path);
        nbdkit_set_error(ENOMEM);
        return false;
    }
    stream->served = served;
    served->users++;
    atomic_store(&served->percent, 0);
    pthread_mutex_lock(&lock);
    reap(false);
    int result = pthread_create(&stream->thread, NULL, run, stream);
    if (result == 0) {
        stream->next = all;
        all = stream;
    }
    pthread_mutex_unlock(&lock);
    if (result != 0) {
        errno = result;
        nbdkit_error("%s: stream=background: no thread: %m", served->path);
        nbdkit_set_error(result);
        free(stream);
        return false;
    }
    return true;
}

void stream_end_all(void)
{
    pthread_mutex_lock(&lock);
    stop = true;
    pthread_cond_broadcast(&stopped);
    reap(true);
    pthread_mutex_unlock(&lock);
}
