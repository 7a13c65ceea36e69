/*
 * Requests of several threads on one connection.
 *
 * One connection, not one for each thread: what a flush covers on others is up to the server. One thread waits for the
 * socket and advances the connection. The others hand over a request and wait until its callback has run. The mutex
 * protects the handle, so the callbacks, which libnbd calls while it advances, run under it.
 */
#include "nbd/nbd_link.h"

#include "base/report.h"

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LENGTH_MAX (1u << 30)  /* bytes of one request that has no data */
#define BUFFER_MAX (32u << 20) /* bytes of one request with data, unless the server says */

struct nbd_link {
    struct nbd_handle *handle;
    pthread_mutex_t mutex;
    pthread_cond_t completed;
    pthread_t thread;
    int wake; /* an eventfd: there is something new to send, or the end has come */
    bool stop;
};

struct request {
    struct nbd_link *link;
    bool done;
    int error;
};

/* ---- The thread that waits for the socket ---- */

static void advance(struct nbd_link *link, short events)
{
    unsigned direction = nbd_aio_get_direction(link->handle);
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && (direction & LIBNBD_AIO_DIRECTION_READ) != 0) {
        nbd_aio_notify_read(link->handle);
    } else if ((events & (POLLOUT | POLLHUP | POLLERR)) != 0 && (direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
        nbd_aio_notify_write(link->handle);
    }
}

static void *attend(void *context)
{
    struct nbd_link *link = context;
    uint64_t count;
    pthread_mutex_lock(&link->mutex);
    while (!link->stop) {
        bool lost = nbd_aio_is_dead(link->handle) == 1 || nbd_aio_is_closed(link->handle) == 1;
        unsigned direction = lost ? 0 : nbd_aio_get_direction(link->handle);
        struct pollfd list[2] = {{.fd = link->wake, .events = POLLIN},
                                 {.fd = lost ? -1 : nbd_aio_get_fd(link->handle)}};
        list[1].events = (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                         (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
        pthread_mutex_unlock(&link->mutex);
        if (poll(list, 2, -1) < 0 && errno != EINTR) {
            report_fatal("poll: %s", strerror(errno));
        }
        pthread_mutex_lock(&link->mutex);
        if (list[0].revents != 0 && read(link->wake, &count, sizeof count) < 0 && errno != EAGAIN) {
            report_fatal("eventfd: %s", strerror(errno));
        }
        if (list[1].revents != 0) {
            advance(link, list[1].revents);
        }
    }
    pthread_mutex_unlock(&link->mutex);
    return NULL;
}

static void wake(const struct nbd_link *link)
{
    uint64_t one = 1;
    if (write(link->wake, &one, sizeof one) != sizeof one) {
        report_fatal("eventfd: %s", strerror(errno));
    }
}

/* ---- Requests ---- */

static int complete(void *context, int *error)
{
    struct request *request = context;
    request->error = *error;
    request->done = true;
    pthread_cond_broadcast(&request->link->completed);
    return 1; /* libnbd forgets the request */
}

/* Waits for a request that was handed over under the mutex; `cookie` is what libnbd returned. Gives the mutex back. */
static int finish(struct request *request, int64_t cookie)
{
    struct nbd_link *link = request->link;
    if (cookie < 0 && !request->done) {
        request->done = true;
        request->error = nbd_get_errno() != 0 ? nbd_get_errno() : EIO;
    } else {
        wake(link);
    }
    while (!request->done) {
        pthread_cond_wait(&link->completed, &link->mutex);
    }
    bool lost = nbd_aio_is_dead(link->handle) == 1 || nbd_aio_is_closed(link->handle) == 1;
    pthread_mutex_unlock(&link->mutex);
    return request->error != 0 && lost ? ENOTCONN : request->error;
}

#define COMPLETION(request) ((nbd_completion_callback){.callback = complete, .user_data = &(request)})

int nbd_link_read(struct nbd_link *link, uint64_t offset, void *buffer, size_t length)
{
    struct request request = {.link = link};
    pthread_mutex_lock(&link->mutex);
    return finish(&request, nbd_aio_pread(link->handle, buffer, length, offset, COMPLETION(request), 0));
}

int nbd_link_write(struct nbd_link *link, uint64_t offset, const void *data, size_t length)
{
    struct request request = {.link = link};
    pthread_mutex_lock(&link->mutex);
    return finish(&request, nbd_aio_pwrite(link->handle, data, length, offset, COMPLETION(request), 0));
}

static int zero_part(struct nbd_link *link, uint64_t offset, uint64_t length)
{
    struct request request = {.link = link};
    pthread_mutex_lock(&link->mutex);
    return finish(&request, nbd_aio_zero(link->handle, length, offset, COMPLETION(request), 0));
}

int nbd_link_zero(struct nbd_link *link, uint64_t offset, uint64_t length)
{
    int error = 0;
    do {
        uint64_t part = length < LENGTH_MAX ? length : LENGTH_MAX;
        error = zero_part(link, offset, part);
        offset += part;
        length -= part;
    } while (error == 0 && length > 0);
    return error;
}

int nbd_link_flush(struct nbd_link *link)
{
    struct request request = {.link = link};
    pthread_mutex_lock(&link->mutex);
    return finish(&request, nbd_aio_flush(link->handle, COMPLETION(request), 0));
}

/* ---- The connection ---- */

static void ask(struct nbd_handle *handle, struct nbd_offer *offer)
{
    int64_t least = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
    int64_t greatest = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
    int64_t size = nbd_get_size(handle);
    *offer = (struct nbd_offer){
        .size = size > 0 ? (uint64_t)size : 0,
        .read_only = nbd_is_read_only(handle) == 1,
        .flush = nbd_can_flush(handle) == 1,
        .zero = nbd_can_zero(handle) == 1,
        .least = least > 0 ? (uint32_t)least : 512, /* what a client should use if the server does not say */
        .greatest = greatest > 0 && greatest < BUFFER_MAX ? (uint32_t)greatest : BUFFER_MAX,
    };
}

struct nbd_link *nbd_link_make(int socket, struct nbd_offer *offer, char *why, size_t why_size)
{
    struct nbd_link *link = report_allocate(1, sizeof *link);
    link->handle = nbd_create();
    link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->handle == NULL || link->wake < 0) {
        report_fatal("no NBD handle: %s", strerror(errno));
    }
    /* Requests that the server should refuse have to reach it. */
    nbd_set_strict_mode(link->handle, 0);
    if (nbd_connect_socket(link->handle, socket) != 0) {
        snprintf(why, why_size, "%s", nbd_get_error());
        nbd_close(link->handle);
        close(link->wake);
        free(link);
        return NULL;
    }
    ask(link->handle, offer);
    pthread_mutex_init(&link->mutex, NULL);
    pthread_cond_init(&link->completed, NULL);
    if (pthread_create(&link->thread, NULL, attend, link) != 0) {
        report_fatal("cannot start a thread");
    }
    return link;
}

void nbd_link_free(struct nbd_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->stop = true;
    pthread_mutex_unlock(&link->mutex);
    wake(link);
    pthread_join(link->thread, NULL);
    nbd_shutdown(link->handle, 0);
    nbd_close(link->handle);
    close(link->wake);
    pthread_mutex_destroy(&link->mutex);
    pthread_cond_destroy(&link->completed);
    free(link);
}
