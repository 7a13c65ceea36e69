/*
 * The transport of the adapter `exec:COMMAND` (exec_transport.h).
 *
 * A request is a struct on the stack of the calling thread. It waits in a queue until fewer requests are in flight than
 * the child accepts. Then it is sent. It is done when its answer, data included, has arrived, or when the child has
 * failed. The calling thread sleeps until then, so data moves directly from and to the caller's buffer.
 *
 * The I/O thread does everything else. It starts the child, polls its pipes, and checks the end of the process and the
 * deadlines. When it ends, no process, no descriptor and no waiting request is left. It holds the mutex except while it
 * polls, and never blocks on the child. All signals are blocked in it, so a closed pipe is EPIPE and not SIGPIPE.
 */
#include "adapters/exec_transport.h"

#include "adapters/child.h"
#include "base/clock.h"
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EXIT_MILLISECONDS 2000 /* a child must end within this time after its standard input was closed */
#define CLOSE_MILLISECONDS 500 /* a child that ends must do so within this time after it closed a pipe */
#define POLL_MILLISECONDS 100  /* longest poll: notices the end of a child whose pipes another process holds open */

struct queue {
    struct transport_request *first;
    struct transport_request **end;
    unsigned count;
};

struct transport {
    char *command;
    char *directory;
    int timeout;

    pthread_mutex_t mutex;   /* protects all that follows */
    pthread_cond_t answered; /* a request is done, or the I/O thread has ended */
    pthread_t io_thread;
    bool has_thread;     /* the thread must be joined */
    bool running;        /* the I/O thread accepts requests */
    bool stop, stop_now; /* ask the I/O thread to end: after the child exits, or by killing the child */
    int wake;            /* eventfd: wakes the I/O thread */
    enum exec_state state;
    char why[2048];
    unsigned overtaken; /* answers that came before that to an earlier request */
    bool greeted;       /* hello was answered; `abilities` is valid */
    struct protocol_abilities abilities;
    uint64_t next_tag;
    struct queue waiting;
    struct queue in_flight; /* ordered by sending and by deadline */

    /* Used by the I/O thread only. */
    struct child child;
    char line[PROTOCOL_LINE_MAX + 1]; /* received part of a line */
    size_t line_length;
    struct transport_request *receiving; /* the data of its answer comes next; null: a line comes next */
    uint64_t received;                   /* bytes of its data */
    uint64_t announced;
};

const char *exec_state_name(enum exec_state state)
{
    static const char *const names[] = {"ok",    "did not start", "speaks another version",
                                        "ended", "hung",          "broke the protocol"};
    return names[state];
}

static void queue_clear(struct queue *queue)
{
    *queue = (struct queue){.first = NULL, .end = &queue->first};
}

static void queue_append(struct queue *queue, struct transport_request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
    queue->count++;
}

static void queue_remove(struct queue *queue, struct transport_request *request)
{
    struct transport_request **link = &queue->first;
    while (*link != request) {
        link = &(*link)->next;
    }
    *link = request->next;
    if (request->next == NULL) {
        queue->end = link;
    }
    queue->count--;
}

/* Keeps the first failure only. */
__attribute__((format(printf, 3, 4))) static void record_failure(struct transport *transport, enum exec_state state,
                                                                 const char *format, ...)
{
    if (transport->state == EXEC_OK) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(transport->why, sizeof transport->why, format, arguments);
        va_end(arguments);
        transport->state = state;
    }
}

static void finish(struct transport *transport, struct transport_request *request)
{
    transport->overtaken += transport->in_flight.first != request;
    queue_remove(&transport->in_flight, request);
    request->done = true;
    pthread_cond_broadcast(&transport->answered);
}

/* ---- Receiving ---- */

static struct transport_request *find_in_flight(struct transport *transport, uint64_t tag)
{
    struct transport_request *request = transport->in_flight.first;
    while (request != NULL && request->tag != tag) {
        request = request->next;
    }
    return request;
}

static bool accept_answer(struct transport *transport, struct transport_request *request,
                          const struct protocol_answer *answer)
{
    char why[512];
    if (request->kind == PROTOCOL_HELLO) {
        enum protocol_hello hello = protocol_check_hello(answer, &transport->abilities, why, sizeof why);
        if (hello != PROTOCOL_WELCOME) {
            record_failure(transport, hello == PROTOCOL_OTHER_VERSION ? EXEC_OTHER_VERSION : EXEC_BROKE_PROTOCOL, "%s",
                           why);
            return false;
        }
        transport->greeted = true;
        return true;
    }
    if (!protocol_check_answer(answer, request->kind, request->length, request->numbers, why, sizeof why)) {
        record_failure(transport, EXEC_BROKE_PROTOCOL, "%s", why);
        return false;
    }
    request->error =
        (struct addcow_error){.code = answer->code, .errnum = answer->unclassified ? EXEC_UNCLASSIFIED : 0};
    snprintf(request->error.clause, sizeof request->error.clause, "%s", answer->clause);
    return true;
}

/* Handles the complete line in transport->line. */
static void take_line(struct transport *transport)
{
    char why[512];
    struct protocol_answer answer;
    bool good = protocol_parse_answer(transport->line, transport->line_length, &answer, why, sizeof why);
    transport->line_length = 0;
    if (!good) {
        record_failure(transport, EXEC_BROKE_PROTOCOL, "%s", why);
        return;
    }
    struct transport_request *request = find_in_flight(transport, answer.tag);
    if (request == NULL) {
        record_failure(transport, EXEC_BROKE_PROTOCOL, "an answer has the tag %" PRIu64 ", which is not in flight",
                       answer.tag);
    } else if (request->piece < request->piece_count) {
        record_failure(transport, EXEC_BROKE_PROTOCOL,
                       "an answer has the tag %" PRIu64 ", but its request has not been read yet", answer.tag);
    } else if (accept_answer(transport, request, &answer)) {
        if (answer.data_length > 0) {
            transport->receiving = request;
            transport->received = 0;
            transport->announced = answer.data_length;
        } else {
            finish(transport, request);
        }
    }
}

/* Consumes data of the current answer. Returns the number of bytes. */
static size_t take_data(struct transport *transport, const uint8_t *bytes, size_t length)
{
    struct transport_request *request = transport->receiving;
    uint64_t left = transport->announced - transport->received;
    size_t count = length < left ? length : (size_t)left;
    if (request->error.code != ADDCOW_OK) {
        protocol_quote((const char *)bytes, count, request->error.message + transport->received, count + 1);
    } else if (request->buffer != NULL) {
        memcpy(request->buffer + transport->received, bytes, count);
    }
    transport->received += count;
    if (transport->received == transport->announced) {
        transport->receiving = NULL;
        finish(transport, request);
    }
    return count;
}

static void take_bytes(struct transport *transport, const uint8_t *bytes, size_t length)
{
    while (length > 0 && transport->state == EXEC_OK) {
        size_t count;
        if (transport->receiving != NULL) {
            count = take_data(transport, bytes, length);
        } else {
            const uint8_t *end = memchr(bytes, '\n', length);
            size_t part = end != NULL ? (size_t)(end - bytes) : length;
            if (transport->line_length + part >= PROTOCOL_LINE_MAX) {
                char seen[64];
                protocol_quote((const char *)bytes, part, seen, sizeof seen);
                record_failure(transport, EXEC_BROKE_PROTOCOL, "a line is longer than %u bytes: \"%s...\"",
                               PROTOCOL_LINE_MAX, seen);
                return;
            }
            memcpy(transport->line + transport->line_length, bytes, part);
            transport->line_length += part;
            count = part + (end != NULL);
            if (end != NULL) {
                take_line(transport);
            }
        }
        bytes += count;
        length -= count;
    }
}

/* The child closed a pipe: either it has ended, or it broke the protocol. */
static void record_closed(struct transport *transport, const char *which)
{
    if (child_wait(&transport->child, CLOSE_MILLISECONDS)) {
        record_failure(transport, transport->greeted ? EXEC_ENDED : EXEC_DID_NOT_START, "it");
    } else {
        record_failure(transport, EXEC_BROKE_PROTOCOL, "it closed its standard %s", which);
    }
}

/* Receives available output, up to a bound. Returns false at the end of the output. */
static bool receive(struct transport *transport)
{
    uint8_t bytes[65536];
    for (int i = 0; i < 16 && transport->state == EXEC_OK; i++) {
        ssize_t count = read(transport->child.output, bytes, sizeof bytes);
        if (count == 0) {
            return false;
        }
        if (count > 0) {
            take_bytes(transport, bytes, (size_t)count);
        } else if (errno != EINTR) {
            return true;
        }
    }
    return true;
}

/* ---- Sending ---- */

/* The request that is not sent completely, or null. Only the last one in flight can be. */
static struct transport_request *find_unsent(struct transport *transport)
{
    struct transport_request *request = transport->in_flight.first;
    while (request != NULL && request->piece == request->piece_count) {
        request = request->next;
    }
    return request;
}

static void mark_sent(struct transport_request *request, size_t sent)
{
    while (request->piece < request->piece_count) {
        struct iovec *piece = &request->pieces[request->piece];
        if (sent < piece->iov_len) {
            piece->iov_base = (char *)piece->iov_base + sent;
            piece->iov_len -= sent;
            return;
        }
        sent -= piece->iov_len;
        request->piece++;
    }
}

/* Sends queued requests until the pipe is full or the child's limit of requests in flight is reached. */
static void send_requests(struct transport *transport)
{
    unsigned window = transport->greeted ? transport->abilities.concurrency : 1;
    for (;;) {
        struct transport_request *request = find_unsent(transport);
        if (request == NULL) {
            request = transport->waiting.first;
            if (request == NULL || transport->in_flight.count >= window) {
                return;
            }
            queue_remove(&transport->waiting, request);
            request->deadline = clock_milliseconds() + transport->timeout;
            queue_append(&transport->in_flight, request);
        }
        ssize_t sent = writev(transport->child.input, request->pieces + request->piece,
                              (int)(request->piece_count - request->piece));
        if (sent < 0) {
            if (errno == EPIPE) {
                record_closed(transport, "input");
            }
            return;
        }
        mark_sent(request, (size_t)sent);
    }
}

/* ---- The I/O thread ---- */

static void check_clock(struct transport *transport)
{
    struct transport_request *oldest = transport->in_flight.first;
    if (oldest != NULL && clock_milliseconds() >= oldest->deadline) {
        record_failure(transport, EXEC_HUNG, "it did not answer %s (tag %" PRIu64 ") within %d.%03d s",
                       protocol_request_name(oldest->kind), oldest->tag, transport->timeout / 1000,
                       transport->timeout % 1000);
    }
}

/* One iteration: polls without the mutex, then handles what happened. */
static void io_step(struct transport *transport)
{
    struct child *child = &transport->child;
    struct pollfd list[] = {
        {.fd = transport->wake, .events = POLLIN},
        {.fd = child->output, .events = POLLIN},
        {.fd = child->errors, .events = POLLIN},
        {.fd = find_unsent(transport) != NULL ? child->input : -1, .events = POLLOUT},
    };
    struct transport_request *oldest = transport->in_flight.first;
    long long left = oldest != NULL ? oldest->deadline - clock_milliseconds() : -1;
    pthread_mutex_unlock(&transport->mutex);
    int timeout = oldest == NULL ? -1 : left > POLL_MILLISECONDS ? POLL_MILLISECONDS : left > 0 ? (int)left : 0;
    int ready = poll(list, sizeof list / sizeof *list, timeout);
    pthread_mutex_lock(&transport->mutex);
    if (ready > 0 && list[0].revents != 0) {
        eventfd_t count;
        eventfd_read(transport->wake, &count);
    }
    child_drain_errors(child);
    bool ended = child_has_ended(child); /* checked first: its last output is received below */
    bool open = receive(transport);
    if (ended) {
        record_failure(transport, transport->greeted ? EXEC_ENDED : EXEC_DID_NOT_START, "it");
    } else if (!open) {
        record_closed(transport, "output");
    }
    check_clock(transport);
    if (transport->state == EXEC_OK && !transport->stop && !transport->stop_now) {
        send_requests(transport);
    }
}

/* Ends the child. Adds its exit status and the end of its standard error to the reason of a failure. */
static void end_child(struct transport *transport)
{
    char how[128];
    char errors[CHILD_ERRORS_MAX + 1];
    bool gently = transport->stop && !transport->stop_now && transport->state == EXEC_OK;
    if (gently) {
        child_close_input(&transport->child);
        child_wait(&transport->child, EXIT_MILLISECONDS);
    }
    bool died = child_end(&transport->child, how, sizeof how);
    if (gently && died) {
        record_failure(transport, EXEC_ENDED, "at the end of its input, it");
    }
    if (transport->state == EXEC_OK) {
        return;
    }
    protocol_quote(transport->child.error_tail, transport->child.error_tail_length, errors, sizeof errors);
    size_t used = strlen(transport->why);
    bool by_itself = transport->state == EXEC_ENDED || transport->state == EXEC_DID_NOT_START;
    snprintf(transport->why + used, sizeof transport->why - used, "%s%s%s%s%s", by_itself ? " " : "",
             by_itself ? how : "", errors[0] != '\0' ? "; its standard error ends with \"" : "", errors,
             errors[0] != '\0' ? "\"" : "");
}

/* Completes a request that will have no answer. */
static void fail(struct transport *transport, struct transport_request *request)
{
    request->error = (struct addcow_error){.code = ADDCOW_IO, .errnum = EPROTO};
    snprintf(request->error.message, sizeof request->error.message, "the adapter %s: %.900s",
             transport->state == EXEC_OK ? "was killed" : exec_state_name(transport->state), transport->why);
    request->done = true;
}

static void fail_all(struct transport *transport)
{
    struct queue *queues[] = {&transport->in_flight, &transport->waiting};
    for (int i = 0; i < 2; i++) {
        for (struct transport_request *request = queues[i]->first; request != NULL;) {
            struct transport_request *next = request->next;
            fail(transport, request);
            request = next;
        }
        queue_clear(queues[i]);
    }
}

static void *io_thread(void *context)
{
    struct transport *transport = context;
    pthread_mutex_lock(&transport->mutex);
    if (child_start(&transport->child, transport->command, transport->directory, transport->why,
                    sizeof transport->why)) {
        while (transport->state == EXEC_OK && !transport->stop && !transport->stop_now) {
            io_step(transport);
        }
        end_child(transport);
    } else {
        transport->state = EXEC_DID_NOT_START;
    }
    transport->receiving = NULL;
    transport->line_length = 0;
    transport->running = false;
    fail_all(transport);
    pthread_cond_broadcast(&transport->answered);
    pthread_mutex_unlock(&transport->mutex);
    return NULL;
}

/* ---- Asking ---- */

struct transport_request transport_request(uint32_t kind, uint64_t length, const char *format, ...)
{
    struct transport_request request = {.kind = kind, .length = length};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request.line, sizeof request.line, format, arguments);
    va_end(arguments);
    return request;
}

void transport_add_data(struct transport_request *request, const void *data, size_t length)
{
    char word[24];
    snprintf(word, sizeof word, " +%zu", length);
    strncat(request->line, word, sizeof request->line - strlen(request->line) - 1);
    /* Piece 0 is the line. writev only reads. */
    request->pieces[++request->piece_count] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = length};
}

enum addcow_status transport_ask(struct transport *transport, struct transport_request *request,
                                 struct addcow_error *error)
{
    char line[sizeof request->line + 32];
    pthread_mutex_lock(&transport->mutex);
    request->tag = transport->next_tag++;
    int length = snprintf(line, sizeof line, "%" PRIu64 " %s%s%s\n", request->tag, protocol_request_name(request->kind),
                          request->line[0] != '\0' ? " " : "", request->line);
    request->pieces[0] = (struct iovec){.iov_base = line, .iov_len = (size_t)length};
    request->piece_count++;
    if (transport->running) {
        queue_append(&transport->waiting, request);
        eventfd_write(transport->wake, 1);
        while (!request->done) {
            pthread_cond_wait(&transport->answered, &transport->mutex);
        }
    } else {
        fail(transport, request);
    }
    pthread_mutex_unlock(&transport->mutex);
    if (request->error.code != ADDCOW_OK && error != NULL) {
        *error = request->error;
    }
    return request->error.code;
}

void transport_start(struct transport *transport)
{
    sigset_t all, before;
    if (transport->has_thread) {
        pthread_join(transport->io_thread, NULL);
    }
    transport->stop = transport->stop_now = false;
    transport->running = true;
    transport->greeted = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&transport->io_thread, NULL, io_thread, transport);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        report_fatal("cannot start a thread: %s", strerror(failure));
    }
    transport->has_thread = true;
    struct transport_request hello = transport_request(PROTOCOL_HELLO, 0, "%d", PROTOCOL_VERSION);
    transport_ask(transport, &hello, NULL);
}

/* Sets `stop` or `stop_now`, and waits until the I/O thread has ended. */
static void stop(struct transport *transport, bool *flag)
{
    if (!transport->has_thread) {
        return;
    }
    pthread_mutex_lock(&transport->mutex);
    *flag = true;
    pthread_mutex_unlock(&transport->mutex);
    eventfd_write(transport->wake, 1);
    pthread_join(transport->io_thread, NULL);
    transport->has_thread = false;
}

void transport_kill(struct transport *transport)
{
    stop(transport, &transport->stop_now);
}

/* ---- Creation and state ---- */

struct transport *transport_make(const char *command, const char *directory, int timeout)
{
    struct transport *transport = report_allocate(1, sizeof *transport);
    transport->command = strdup(command);
    transport->directory = directory != NULL ? strdup(directory) : getcwd(NULL, 0);
    transport->timeout = timeout;
    transport->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (transport->command == NULL || transport->directory == NULL || transport->wake < 0) {
        report_fatal("cannot make an adapter: %s", strerror(errno));
    }
    pthread_mutex_init(&transport->mutex, NULL);
    pthread_cond_init(&transport->answered, NULL);
    queue_clear(&transport->waiting);
    queue_clear(&transport->in_flight);
    return transport;
}

void transport_end(struct transport *transport)
{
    stop(transport, &transport->stop);
}

void transport_free(struct transport *transport)
{
    stop(transport, &transport->stop);
    close(transport->wake);
    pthread_cond_destroy(&transport->answered);
    pthread_mutex_destroy(&transport->mutex);
    free(transport->command);
    free(transport->directory);
    free(transport);
}

bool transport_was_killed(const struct transport *transport)
{
    return !transport->has_thread && transport->state == EXEC_OK;
}

const struct protocol_abilities *transport_abilities(const struct transport *transport)
{
    return transport->greeted ? &transport->abilities : NULL;
}

unsigned transport_overtaken(struct transport *transport)
{
    pthread_mutex_lock(&transport->mutex);
    unsigned overtaken = transport->overtaken;
    pthread_mutex_unlock(&transport->mutex);
    return overtaken;
}

enum exec_state transport_state(struct transport *transport, char *why, size_t why_size)
{
    pthread_mutex_lock(&transport->mutex);
    /* After a failure, wait until the child has ended: then the reason is complete. */
    while (transport->state != EXEC_OK && transport->running) {
        pthread_cond_wait(&transport->answered, &transport->mutex);
    }
    enum exec_state state = transport->state;
    if (state != EXEC_OK) {
        snprintf(why, why_size, "%s", transport->why);
    }
    pthread_mutex_unlock(&transport->mutex);
    return state;
}
