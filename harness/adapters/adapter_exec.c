/*
 * The adapter `exec:COMMAND`.
 *
 * A request is a struct on the stack of the thread that asks. It waits in a queue until fewer are in flight than the
 * child accepts, is sent, and is done when its answer, data included, has arrived or the child is given up. The asking
 * thread sleeps until then, so the data of a write is sent from the caller's buffer and that of a read received into
 * it: nothing is copied or kept.
 *
 * One thread, the pump, does everything else: it starts the child, polls its pipes, the end of the process and the
 * clock, and when it ends it leaves no process, no descriptor and no waiting request behind. It holds the mutex except
 * while it polls, and never blocks on the child. SIGPIPE, as every signal, is blocked in it.
 */
#include "adapters/adapter_exec.h"

#include "adapters/child.h"
#include "base/clock.h"
#include "base/report.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define GRACE 2000      /* milliseconds that a child has to end after its standard input did */
#define LAST_MOMENT 500 /* milliseconds in which a process that closed a pipe may turn out to have ended */
#define LOOK 100        /* milliseconds after which a process is seen to have ended whose pipes another one holds */
#define PIECES_MAX 5    /* the line, and the data of create */

struct request {
    uint32_t kind; /* enum operation or enum protocol_request */
    uint64_t tag;
    char line[256];
    struct iovec pieces[PIECES_MAX]; /* what is still to be sent */
    unsigned piece;                  /* the first one that is not sent whole */
    unsigned piece_count;
    uint8_t *buffer;  /* of a read; null: the data is not wanted */
    uint64_t length;  /* of a read */
    int64_t deadline; /* milliseconds of the monotonic clock, once in flight */
    bool done;
    uint64_t numbers[2];
    struct addcow_error error; /* code ADDCOW_OK: it succeeded */
    struct request *next;
};

struct queue {
    struct request *first;
    struct request **end;
    unsigned count;
};

struct exec_adapter {
    struct adapter adapter;
    struct adapter_ops ops;
    char *command;
    char *directory;
    int timeout;
    _Atomic uint64_t size_bound; /* no buffer that a caller gives is longer, and none that is used shorter */

    pthread_mutex_t mutex;   /* protects all that follows */
    pthread_cond_t answered; /* a request is done, or the pump has ended */
    pthread_t pump;
    bool has_pump;       /* there is a thread to join */
    bool running;        /* the pump takes requests */
    bool stop, stop_now; /* asks the pump to end: gently, or by killing the child */
    int wake;            /* eventfd: there is something for the pump */
    enum exec_state state;
    char why[2048];
    bool welcomed; /* the abilities are known */
    struct protocol_abilities abilities;
    uint64_t next_tag;
    struct queue waiting;
    struct queue in_flight; /* in the order of sending, and of their deadlines */

    /* The pump's own. */
    struct child child;
    char line[PROTOCOL_LINE_MAX + 1]; /* the beginning of a line */
    size_t line_length;
    struct request *receiving; /* whose data is arriving; null: a line is */
    uint64_t received;         /* bytes of its data */
    uint64_t announced;
};

static const char *const exec_name = "exec"; /* adapter.name of this kind, by address */

static struct exec_adapter *exec_of(struct adapter *adapter)
{
    assert(adapter->name == exec_name);
    return (struct exec_adapter *)adapter;
}

const char *exec_state_name(enum exec_state state)
{
    static const char *const names[] = {"sound", "did not start", "speaks another version",
                                        "ended", "hung",          "broke the protocol"};
    return names[state];
}

static void queue_clear(struct queue *queue)
{
    *queue = (struct queue){.first = NULL, .end = &queue->first};
}

static void queue_append(struct queue *queue, struct request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
    queue->count++;
}

static void queue_remove(struct queue *queue, struct request *request)
{
    struct request **link = &queue->first;
    while (*link != request) {
        link = &(*link)->next;
    }
    *link = request->next;
    if (request->next == NULL) {
        queue->end = link;
    }
    queue->count--;
}

/* The first complaint stands. */
__attribute__((format(printf, 3, 4))) static void complain(struct exec_adapter *exec, enum exec_state state,
                                                           const char *format, ...)
{
    if (exec->state == EXEC_SOUND) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(exec->why, sizeof exec->why, format, arguments);
        va_end(arguments);
        exec->state = state;
    }
}

static void finish(struct exec_adapter *exec, struct request *request)
{
    queue_remove(&exec->in_flight, request);
    request->done = true;
    pthread_cond_broadcast(&exec->answered);
}

/* ---- Receiving ---- */

static struct request *find_in_flight(struct exec_adapter *exec, uint64_t tag)
{
    struct request *request = exec->in_flight.first;
    while (request != NULL && request->tag != tag) {
        request = request->next;
    }
    return request;
}

static bool accept_answer(struct exec_adapter *exec, struct request *request, const struct protocol_answer *answer)
{
    char why[512];
    if (request->kind == PROTOCOL_HELLO) {
        enum protocol_hello hello = protocol_check_hello(answer, &exec->abilities, why, sizeof why);
        if (hello != PROTOCOL_WELCOME) {
            complain(exec, hello == PROTOCOL_OTHER_VERSION ? EXEC_OTHER_VERSION : EXEC_GARBLED, "%s", why);
            return false;
        }
        exec->welcomed = true;
        return true;
    }
    if (!protocol_check_answer(answer, request->kind, request->length, request->numbers, why, sizeof why)) {
        complain(exec, EXEC_GARBLED, "%s", why);
        return false;
    }
    request->error = (struct addcow_error){.code = answer->code};
    snprintf(request->error.clause, sizeof request->error.clause, "%s", answer->clause);
    return true;
}

/* exec->line is whole. */
static void take_line(struct exec_adapter *exec)
{
    char why[512];
    struct protocol_answer answer;
    bool good = protocol_parse_answer(exec->line, exec->line_length, &answer, why, sizeof why);
    exec->line_length = 0;
    if (!good) {
        complain(exec, EXEC_GARBLED, "%s", why);
        return;
    }
    struct request *request = find_in_flight(exec, answer.tag);
    if (request == NULL) {
        complain(exec, EXEC_GARBLED, "an answer has the tag %" PRIu64 ", which is not in flight", answer.tag);
    } else if (request->piece < request->piece_count) {
        complain(exec, EXEC_GARBLED, "an answer has the tag %" PRIu64 ", whose request has not been read yet",
                 answer.tag);
    } else if (accept_answer(exec, request, &answer)) {
        if (answer.data_length > 0) {
            exec->receiving = request;
            exec->received = 0;
            exec->announced = answer.data_length;
        } else {
            finish(exec, request);
        }
    }
}

/* Takes data of the answer that is being received; returns how many bytes. */
static size_t take_data(struct exec_adapter *exec, const uint8_t *bytes, size_t length)
{
    struct request *request = exec->receiving;
    uint64_t left = exec->announced - exec->received;
    size_t count = length < left ? length : (size_t)left;
    if (request->error.code != ADDCOW_OK) {
        protocol_quote((const char *)bytes, count, request->error.message + exec->received, count + 1);
    } else if (request->buffer != NULL) {
        memcpy(request->buffer + exec->received, bytes, count);
    }
    exec->received += count;
    if (exec->received == exec->announced) {
        exec->receiving = NULL;
        finish(exec, request);
    }
    return count;
}

static void take_bytes(struct exec_adapter *exec, const uint8_t *bytes, size_t length)
{
    while (length > 0 && exec->state == EXEC_SOUND) {
        size_t count;
        if (exec->receiving != NULL) {
            count = take_data(exec, bytes, length);
        } else {
            const uint8_t *end = memchr(bytes, '\n', length);
            size_t part = end != NULL ? (size_t)(end - bytes) : length;
            if (exec->line_length + part >= PROTOCOL_LINE_MAX) {
                char seen[64];
                protocol_quote((const char *)bytes, part, seen, sizeof seen);
                complain(exec, EXEC_GARBLED, "a line is longer than %u bytes: \"%s...\"", PROTOCOL_LINE_MAX, seen);
                return;
            }
            memcpy(exec->line + exec->line_length, bytes, part);
            exec->line_length += part;
            count = part + (end != NULL);
            if (end != NULL) {
                take_line(exec);
            }
        }
        bytes += count;
        length -= count;
    }
}

/* A pipe was closed: by a process that ended, or by one that should not have done it. */
static void complain_closed(struct exec_adapter *exec, const char *which)
{
    if (child_wait(&exec->child, LAST_MOMENT)) {
        complain(exec, exec->welcomed ? EXEC_ENDED : EXEC_DID_NOT_START, "it");
    } else {
        complain(exec, EXEC_GARBLED, "it closed its standard %s", which);
    }
}

/* Receives what is there, up to a bound. Returns false at the end of the output. */
static bool receive(struct exec_adapter *exec)
{
    uint8_t bytes[65536];
    for (int i = 0; i < 16 && exec->state == EXEC_SOUND; i++) {
        ssize_t count = read(exec->child.output, bytes, sizeof bytes);
        if (count == 0) {
            return false;
        }
        if (count > 0) {
            take_bytes(exec, bytes, (size_t)count);
        } else if (errno != EINTR) {
            return true;
        }
    }
    return true;
}

/* ---- Sending ---- */

/* The request that is not sent whole, or null: only the last in flight can be one. */
static struct request *find_unsent(struct exec_adapter *exec)
{
    struct request *request = exec->in_flight.first;
    while (request != NULL && request->piece == request->piece_count) {
        request = request->next;
    }
    return request;
}

static void mark_sent(struct request *request, size_t sent)
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

/* Takes requests out of the queue and sends them, until the child takes no more or accepts no more. */
static void send_requests(struct exec_adapter *exec)
{
    unsigned window = exec->welcomed ? exec->abilities.concurrency : 1;
    for (;;) {
        struct request *request = find_unsent(exec);
        if (request == NULL) {
            request = exec->waiting.first;
            if (request == NULL || exec->in_flight.count >= window) {
                return;
            }
            queue_remove(&exec->waiting, request);
            request->deadline = clock_milliseconds() + exec->timeout;
            queue_append(&exec->in_flight, request);
        }
        ssize_t sent =
            writev(exec->child.input, request->pieces + request->piece, (int)(request->piece_count - request->piece));
        if (sent < 0) {
            if (errno == EPIPE) {
                complain_closed(exec, "input");
            }
            return;
        }
        mark_sent(request, (size_t)sent);
    }
}

/* ---- The pump ---- */

static void check_clock(struct exec_adapter *exec)
{
    struct request *oldest = exec->in_flight.first;
    if (oldest != NULL && clock_milliseconds() >= oldest->deadline) {
        complain(exec, EXEC_HUNG, "it did not answer %s (tag %" PRIu64 ") within %d.%03d s",
                 protocol_request_name(oldest->kind), oldest->tag, exec->timeout / 1000, exec->timeout % 1000);
    }
}

/* One turn: sleeps until there is something to do, without the mutex, then does it. */
static void pump_once(struct exec_adapter *exec)
{
    struct child *child = &exec->child;
    struct pollfd list[] = {
        {.fd = exec->wake, .events = POLLIN},
        {.fd = child->output, .events = POLLIN},
        {.fd = child->errors, .events = POLLIN},
        {.fd = find_unsent(exec) != NULL ? child->input : -1, .events = POLLOUT},
    };
    struct request *oldest = exec->in_flight.first;
    long long left = oldest != NULL ? oldest->deadline - clock_milliseconds() : -1;
    pthread_mutex_unlock(&exec->mutex);
    int patience = oldest == NULL ? -1 : left > LOOK ? LOOK : left > 0 ? (int)left : 0;
    int ready = poll(list, sizeof list / sizeof *list, patience);
    pthread_mutex_lock(&exec->mutex);
    if (ready > 0 && list[0].revents != 0) {
        eventfd_t count;
        eventfd_read(exec->wake, &count);
    }
    child_drain_errors(child);
    bool ended = child_has_ended(child); /* before the last of its output is received */
    bool open = receive(exec);
    if (ended) {
        complain(exec, exec->welcomed ? EXEC_ENDED : EXEC_DID_NOT_START, "it");
    } else if (!open) {
        complain_closed(exec, "output");
    }
    check_clock(exec);
    if (exec->state == EXEC_SOUND && !exec->stop && !exec->stop_now) {
        send_requests(exec);
    }
}

/* Completes the complaint with how the process ended and what it said last. */
static void end_child(struct exec_adapter *exec)
{
    char how[128];
    char words[CHILD_WORDS_MAX + 1];
    bool gently = exec->stop && !exec->stop_now && exec->state == EXEC_SOUND;
    if (gently) {
        child_close_input(&exec->child);
        child_wait(&exec->child, GRACE);
    }
    child_end(&exec->child, how, sizeof how);
    if (exec->state == EXEC_SOUND) {
        return;
    }
    protocol_quote(exec->child.words, exec->child.words_length, words, sizeof words);
    size_t used = strlen(exec->why);
    bool by_itself = exec->state == EXEC_ENDED || exec->state == EXEC_DID_NOT_START;
    snprintf(exec->why + used, sizeof exec->why - used, "%s%s%s%s%s", by_itself ? " " : "", by_itself ? how : "",
             words[0] != '\0' ? "; its last words: \"" : "", words, words[0] != '\0' ? "\"" : "");
}

/* What a request gets that can have no answer. */
static void fail(struct exec_adapter *exec, struct request *request)
{
    request->error = (struct addcow_error){.code = ADDCOW_IO, .errnum = EPROTO};
    snprintf(request->error.message, sizeof request->error.message, "the adapter %s: %.900s",
             exec->state == EXEC_SOUND ? "was killed" : exec_state_name(exec->state), exec->why);
    request->done = true;
}

static void fail_all(struct exec_adapter *exec)
{
    struct queue *queues[] = {&exec->in_flight, &exec->waiting};
    for (int i = 0; i < 2; i++) {
        for (struct request *request = queues[i]->first; request != NULL;) {
            struct request *next = request->next;
            fail(exec, request);
            request = next;
        }
        queue_clear(queues[i]);
    }
}

static void *pump(void *context)
{
    struct exec_adapter *exec = context;
    pthread_mutex_lock(&exec->mutex);
    if (child_start(&exec->child, exec->command, exec->directory, exec->why, sizeof exec->why)) {
        while (exec->state == EXEC_SOUND && !exec->stop && !exec->stop_now) {
            pump_once(exec);
        }
        end_child(exec);
    } else {
        exec->state = EXEC_DID_NOT_START;
    }
    exec->receiving = NULL;
    exec->line_length = 0;
    exec->running = false;
    fail_all(exec);
    pthread_cond_broadcast(&exec->answered);
    pthread_mutex_unlock(&exec->mutex);
    return NULL;
}

/* ---- Asking ---- */

__attribute__((format(printf, 3, 4))) static struct request make_request(uint32_t kind, uint64_t length,
                                                                         const char *format, ...)
{
    struct request request = {.kind = kind, .length = length};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request.line, sizeof request.line, format, arguments);
    va_end(arguments);
    return request;
}

static void add_data(struct request *request, const void *data, size_t length)
{
    char word[24];
    snprintf(word, sizeof word, " +%zu", length);
    strncat(request->line, word, sizeof request->line - strlen(request->line) - 1);
    /* Piece 0 is the line. writev only reads. */
    request->pieces[++request->piece_count] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = length};
}

/* Sends the request and waits until it is done. */
static enum addcow_status ask(struct exec_adapter *exec, struct request *request, struct addcow_error *error)
{
    char line[sizeof request->line + 32];
    pthread_mutex_lock(&exec->mutex);
    request->tag = exec->next_tag++;
    int length = snprintf(line, sizeof line, "%" PRIu64 " %s%s%s\n", request->tag, protocol_request_name(request->kind),
                          request->line[0] != '\0' ? " " : "", request->line);
    request->pieces[0] = (struct iovec){.iov_base = line, .iov_len = (size_t)length};
    request->piece_count++;
    if (exec->running) {
        queue_append(&exec->waiting, request);
        eventfd_write(exec->wake, 1);
        while (!request->done) {
            pthread_cond_wait(&exec->answered, &exec->mutex);
        }
    } else {
        fail(exec, request);
    }
    pthread_mutex_unlock(&exec->mutex);
    if (request->error.code != ADDCOW_OK && error != NULL) {
        *error = request->error;
    }
    return request->error.code;
}

/* An operation that the child declared, or else none that can be asked. */
static enum addcow_status ask_declared(struct adapter *adapter, struct request *request, struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    if (exec->welcomed && (exec->abilities.requests & 1u << request->kind) == 0) {
        if (error != NULL) {
            *error = (struct addcow_error){.code = ADDCOW_UNSUPPORTED};
            snprintf(error->message, sizeof error->message, "the adapter did not declare %s",
                     protocol_request_name(request->kind));
        }
        return ADDCOW_UNSUPPORTED;
    }
    return ask(exec, request, error);
}

/* Starts a child and says hello to it. The last one, if any, has ended or ends now. */
static void start(struct exec_adapter *exec)
{
    sigset_t all, before;
    if (exec->has_pump) {
        pthread_join(exec->pump, NULL);
    }
    exec->stop = exec->stop_now = false;
    exec->running = true;
    exec->welcomed = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&exec->pump, NULL, pump, exec);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        report_fatal("a thread cannot be started: %s", strerror(failure));
    }
    exec->has_pump = true;
    struct request hello = make_request(PROTOCOL_HELLO, 0, "%d", PROTOCOL_VERSION);
    ask(exec, &hello, NULL);
}

static void stop(struct exec_adapter *exec, bool *how)
{
    pthread_mutex_lock(&exec->mutex);
    *how = true;
    pthread_mutex_unlock(&exec->mutex);
    eventfd_write(exec->wake, 1);
    pthread_join(exec->pump, NULL);
    exec->has_pump = false;
}

/* ---- The operations of an adapter ---- */

static uint64_t exec_size(struct adapter *adapter)
{
    struct request request = make_request(PROTOCOL_SIZE, 0, "%s", "");
    ask(exec_of(adapter), &request, NULL);
    return request.numbers[0];
}

/* Appends a path, made absolute in `room`. */
static void add_path(struct request *request, const char *path, char room[2 * PATH_MAX])
{
    char directory[PATH_MAX];
    if (path[0] != '/' && getcwd(directory, sizeof directory) != NULL) {
        snprintf(room, 2 * PATH_MAX, "%s/%s", directory, path);
        path = room;
    }
    add_data(request, path, strlen(path));
}

static enum addcow_status exec_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                    struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    char room[2 * PATH_MAX];
    if (!exec->has_pump && exec->state == EXEC_SOUND) { /* after a kill */
        start(exec);
    }
    struct request request = make_request(PROTOCOL_OPEN, 0, "%s", flags == ADDCOW_OPEN_READWRITE ? "rw" : "ro");
    add_path(&request, path, room);
    enum addcow_status code = ask(exec, &request, error);
    if (code == ADDCOW_OK) {
        atomic_store(&exec->size_bound, exec_size(adapter));
    }
    return code;
}

static enum addcow_status exec_close(struct adapter *adapter, struct addcow_error *error)
{
    struct request request = make_request(PROTOCOL_CLOSE, 0, "%s", "");
    return ask(exec_of(adapter), &request, error);
}

/*
 * Whether the data of a request can matter: no caller's buffer is longer than the disk was asked to be (see
 * size_bound), so a longer range is one that must be refused.
 */
static bool data_matters(struct exec_adapter *exec, uint64_t length)
{
    return length <= atomic_load(&exec->size_bound) && length <= PROTOCOL_DATA_MAX;
}

/* The size may become `new_size`: from now on a buffer may be as long. */
static void raise_size_bound(struct exec_adapter *exec, uint64_t new_size)
{
    uint64_t bound = atomic_load(&exec->size_bound);
    while (bound < new_size && !atomic_compare_exchange_weak(&exec->size_bound, &bound, new_size)) {
    }
}

/* The line of an operation's request: the operands as numbers. */
static struct request make_operation(const struct operation_request *asked)
{
    switch (operation_properties(asked->operation)->operands) {
    case OPERANDS_RANGE:
        return make_request(asked->operation, asked->length, "%" PRIu64 " %" PRIu64, asked->offset, asked->length);
    case OPERANDS_SIZE:
        return make_request(asked->operation, 0, "%" PRIu64, asked->offset);
    default:
        return make_request(asked->operation, 0, "%s", "");
    }
}

static enum addcow_status exec_perform(struct adapter *adapter, struct operation_request *asked,
                                       struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    const struct operation_properties *properties = operation_properties(asked->operation);
    struct request request = make_operation(asked);
    if (properties->operands == OPERANDS_SIZE) {
        raise_size_bound(exec, asked->offset);
    }
    if (properties->data == DATA_TO_DISK) {
        add_data(&request, asked->data, data_matters(exec, asked->length) ? (size_t)asked->length : 0);
    } else if (properties->data == DATA_FROM_DISK) {
        request.buffer = data_matters(exec, asked->length) ? asked->buffer : NULL;
    }
    enum addcow_status code = ask_declared(adapter, &request, error);
    if (code == ADDCOW_OK && properties->answers_map) {
        asked->allocated = request.numbers[0] != 0;
        asked->map_length = request.numbers[1];
    }
    if (properties->operands == OPERANDS_SIZE) {
        atomic_store(&exec->size_bound, exec_size(adapter));
    }
    return code;
}

static enum addcow_status exec_create(struct adapter *adapter, const char *path,
                                      const struct addcow_create_options *options, struct addcow_error *error)
{
    char room[2 * PATH_MAX];
    struct request request = make_request(PROTOCOL_CREATE, 0, "%s %" PRIu32,
                                          options->layout == ADDCOW_R9 ? "r9" : "r20", options->cluster_bits);
    assert(!options->replace && !options->make_image);
    add_path(&request, path, room);
    add_data(&request, options->image_name, strlen(options->image_name));
    if (options->backing_name != NULL) {
        add_data(&request, options->backing_name, strlen(options->backing_name));
        add_data(&request, options->backing_format, strlen(options->backing_format));
    } else {
        strcat(request.line, " - -");
    }
    return ask_declared(adapter, &request, error);
}

static void exec_destroy(struct adapter *adapter)
{
    struct exec_adapter *exec = exec_of(adapter);
    if (exec->has_pump) {
        stop(exec, &exec->stop);
    }
    close(exec->wake);
    pthread_cond_destroy(&exec->answered);
    pthread_mutex_destroy(&exec->mutex);
    free(exec->command);
    free(exec->directory);
    free(exec);
}

/* ---- Making and asking about ---- */

struct adapter *adapter_make_exec(const char *command, const char *directory, int timeout)
{
    static const struct adapter_ops ops = {
        .open = exec_open,
        .close = exec_close,
        .size = exec_size,
        .perform = exec_perform,
        .create = exec_create,
        .destroy = exec_destroy,
    };
    struct exec_adapter *exec = report_allocate(1, sizeof *exec);
    exec->ops = ops;
    exec->adapter = (struct adapter){.ops = &exec->ops, .name = exec_name};
    exec->command = strdup(command);
    exec->directory = directory != NULL ? strdup(directory) : getcwd(NULL, 0);
    exec->timeout = timeout;
    exec->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (exec->command == NULL || exec->directory == NULL || exec->wake < 0) {
        report_fatal("an adapter cannot be made: %s", strerror(errno));
    }
    pthread_mutex_init(&exec->mutex, NULL);
    pthread_cond_init(&exec->answered, NULL);
    queue_clear(&exec->waiting);
    queue_clear(&exec->in_flight);
    start(exec);
    if (exec->welcomed && (exec->abilities.requests & 1u << PROTOCOL_CREATE) == 0) {
        exec->ops.create = NULL;
    }
    return &exec->adapter;
}

const struct protocol_abilities *adapter_exec_abilities(struct adapter *adapter)
{
    return adapter->name == exec_name && exec_of(adapter)->welcomed ? &exec_of(adapter)->abilities : NULL;
}

enum exec_state adapter_exec_state(struct adapter *adapter, char *why, size_t why_size)
{
    if (adapter->name != exec_name) {
        return EXEC_SOUND;
    }
    struct exec_adapter *exec = exec_of(adapter);
    pthread_mutex_lock(&exec->mutex);
    /* A child that was found guilty is ended first: then the reason is complete. */
    while (exec->state != EXEC_SOUND && exec->running) {
        pthread_cond_wait(&exec->answered, &exec->mutex);
    }
    enum exec_state state = exec->state;
    if (state != EXEC_SOUND) {
        snprintf(why, why_size, "%s", exec->why);
    }
    pthread_mutex_unlock(&exec->mutex);
    return state;
}

void adapter_exec_kill(struct adapter *adapter)
{
    struct exec_adapter *exec = exec_of(adapter);
    if (exec->has_pump) {
        stop(exec, &exec->stop_now);
    }
}
