/*
 * The adapter's side of corpus/PROTOCOL.md, with an engine in this process.
 *
 * So a judge can kill an engine without ending itself, and the protocol has a second implementation for tests. Requests
 * come from a gate and are well-formed; a malformed one ends the process.
 */
#include "adapters/serve.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 8

struct argument {
    uint64_t number; /* the word, or the length of the data, as a number; 0 if it is none */
    char *data;      /* the announced data and a NUL, or null; owned */
    char word[64];
};

/* What the threads of a server share. */
struct server {
    struct adapter *adapter;
    const struct protocol_abilities *abilities;
    pthread_mutex_t mutex; /* protects what follows, and standard output */
    pthread_cond_t idle;   /* `working` has become 0 */
    unsigned working;      /* threads */
};

struct request {
    unsigned count;
    struct argument arguments[ARGUMENTS_MAX]; /* tag, operation, ... */
};

static void free_request(struct request *request)
{
    for (unsigned i = 0; i < request->count; i++) {
        free(request->arguments[i].data);
    }
}

/* Reads a line and the data that it announces. False at the end of the input and for a malformed request. */
static bool receive(struct request *request)
{
    char line[PROTOCOL_LINE_MAX];
    request->count = 0;
    if (fgets(line, sizeof line, stdin) == NULL) {
        return false;
    }
    char *rest = line;
    for (char *word; (word = strtok_r(rest, " \n", &rest)) != NULL && request->count < ARGUMENTS_MAX;) {
        struct argument *argument = &request->arguments[request->count++];
        *argument = (struct argument){.number = 0};
        snprintf(argument->word, sizeof argument->word, "%s", word);
        protocol_number(word, &argument->number);
    }
    for (unsigned i = 0; i < request->count; i++) {
        struct argument *argument = &request->arguments[i];
        if (argument->word[0] != '+') {
            continue;
        }
        if (!protocol_number(argument->word + 1, &argument->number) || argument->number > PROTOCOL_DATA_MAX) {
            return false;
        }
        argument->data = report_allocate(argument->number + 1, 1);
        if (fread(argument->data, 1, (size_t)argument->number, stdin) != argument->number) {
            return false;
        }
    }
    return request->count >= 2;
}

static enum addcow_status create(struct adapter *adapter, const struct argument *arguments, struct addcow_error *error)
{
    struct addcow_create_options options = {.struct_size = sizeof options,
                                            .layout = strcmp(arguments[0].word, "r9") == 0 ? ADDCOW_R9 : ADDCOW_R20,
                                            .cluster_bits = (uint32_t)arguments[1].number,
                                            .image_name = arguments[3].data,
                                            .backing_name = arguments[4].data,
                                            .backing_format = arguments[5].data,
                                            .hide_image_data = true};
    return adapter->ops->create(adapter, arguments[2].data, &options, error);
}

/* Performs an operation and, if it succeeded, prints the answer. */
static enum addcow_status perform(struct server *server, uint32_t operation, uint64_t tag,
                                  const struct argument *arguments, struct addcow_error *error)
{
    struct adapter *adapter = server->adapter;
    const struct operation_properties *properties = operation_properties(operation);
    struct operation_request request = {.operation = (enum operation)operation};
    uint8_t *buffer = NULL;
    request.offset = properties->operands != OPERANDS_NONE ? arguments[0].number : 0;
    request.length = properties->operands == OPERANDS_RANGE ? arguments[1].number : 0;
    if (properties->data == DATA_TO_DISK) {
        request.data = arguments[2].data;
    } else if (properties->data == DATA_FROM_DISK) {
        request.buffer = buffer = report_allocate(request.length <= PROTOCOL_DATA_MAX ? request.length : 0, 1);
    }
    enum addcow_status code = adapter->ops->perform(adapter, &request, error);
    if (code == ADDCOW_OK) {
        pthread_mutex_lock(&server->mutex);
        printf("%" PRIu64 " ok", tag);
        if (properties->answers_map) {
            printf(" %d %" PRIu64, request.allocated, request.map_length);
        }
        if (buffer != NULL) {
            printf(" +%" PRIu64 "\n", request.length);
            fwrite(buffer, 1, (size_t)request.length, stdout);
        } else {
            putchar('\n');
        }
        fflush(stdout);
        pthread_mutex_unlock(&server->mutex);
    }
    free(buffer);
    return code;
}

static enum addcow_status open_disk(struct adapter *adapter, const struct argument *arguments,
                                    struct addcow_error *error)
{
    bool writable = strcmp(arguments[0].word, "rw") == 0;
    return adapter->ops->open(adapter, arguments[1].data, writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY,
                              error);
}

/* Prints ` NAME=` and the names of the bits that are set, separated by commas. */
static void print_list(const char *name, unsigned bits, unsigned count, const char *(*name_of)(uint32_t bit))
{
    const char *between = "";
    printf(" %s=", name);
    for (uint32_t bit = 0; bit < count; bit++) {
        if (bits & 1u << bit) {
            printf("%s%s", between, name_of(bit));
            between = ",";
        }
    }
}

static const char *lack_name(uint32_t lack)
{
    return protocol_lack_name((enum protocol_lack)lack);
}

static void hello(const struct server *server, uint64_t tag)
{
    const struct protocol_abilities *abilities = server->abilities;
    unsigned declared = 0;
    for (uint32_t request = 0; request < PROTOCOL_REQUESTS; request++) {
        declared |= protocol_is_declared(request) ? abilities->requests & 1u << request : 0;
    }
    const char *both = abilities->r20 && abilities->r9 ? "," : "";
    printf("%" PRIu64 " ok %d layouts=%s%s%s", tag, PROTOCOL_VERSION, abilities->r20 ? "r20" : "", both,
           abilities->r9 ? "r9" : "");
    print_list("operations", declared, PROTOCOL_REQUESTS, protocol_request_name);
    printf(" granularity=%u concurrency=%u level=%s", abilities->granularity, abilities->concurrency,
           protocol_level_name(abilities->level));
    print_list("lacks", abilities->lacks, PROTOCOL_LACKS, lack_name);
    putchar('\n');
}

static void answer(struct server *server, uint32_t request, uint64_t tag, const struct argument *arguments)
{
    struct adapter *adapter = server->adapter;
    struct addcow_error error = ADDCOW_ERROR_INIT;
    enum addcow_status code = ADDCOW_OK;
    if (request == PROTOCOL_HELLO) {
        hello(server, tag);
    } else if (request == PROTOCOL_SIZE) {
        uint64_t size = 0;
        code = adapter_size(adapter, &size, &error);
        if (code == ADDCOW_OK) {
            pthread_mutex_lock(&server->mutex);
            printf("%" PRIu64 " ok %" PRIu64 "\n", tag, size);
            pthread_mutex_unlock(&server->mutex);
        }
    } else if (request < OPERATIONS) {
        code = perform(server, request, tag, arguments, &error);
    } else {
        code = request == PROTOCOL_OPEN    ? open_disk(adapter, arguments, &error)
               : request == PROTOCOL_CLOSE ? adapter->ops->close(adapter, &error)
                                           : create(adapter, arguments, &error);
        if (code == ADDCOW_OK) {
            printf("%" PRIu64 " ok\n", tag);
        }
    }
    pthread_mutex_lock(&server->mutex);
    if (code != ADDCOW_OK) {
        size_t length = strnlen(error.message, PROTOCOL_MESSAGE_MAX);
        const char *class_name = error.errnum == EXEC_UNCLASSIFIED ? "-" : addcow_status_name(code);
        printf("%" PRIu64 " error %s %s +%zu\n%.*s", tag, class_name, error.clause[0] != '\0' ? error.clause : "-",
               length, (int)length, error.message);
    }
    fflush(stdout);
    pthread_mutex_unlock(&server->mutex);
}

/* ---- Threads ---- */

/* One operation in flight. */
struct flight {
    struct server *server;
    uint32_t kind;
    struct request request;
};

static void *fly(void *context)
{
    struct flight *flight = context;
    struct server *server = flight->server;
    answer(server, flight->kind, flight->request.arguments[0].number, flight->request.arguments + 2);
    free_request(&flight->request);
    free(flight);
    pthread_mutex_lock(&server->mutex);
    if (--server->working == 0) {
        pthread_cond_broadcast(&server->idle);
    }
    pthread_mutex_unlock(&server->mutex);
    return NULL;
}

/* Answers a request on a thread of its own; takes it over. */
static void answer_beside(struct server *server, uint32_t kind, const struct request *request)
{
    struct flight *flight = report_allocate(1, sizeof *flight);
    pthread_t thread;
    *flight = (struct flight){.server = server, .kind = kind, .request = *request};
    pthread_mutex_lock(&server->mutex);
    server->working++;
    pthread_mutex_unlock(&server->mutex);
    if (pthread_create(&thread, NULL, fly, flight) != 0) {
        report_fatal("cannot start a thread");
    }
    pthread_detach(thread);
}

static void wait_until_idle(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    while (server->working > 0) {
        pthread_cond_wait(&server->idle, &server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
}

/* The number of words after the name of a request. */
static unsigned count_words(uint32_t request)
{
    static const unsigned words[] = {
        [PROTOCOL_OPEN] = 2, [PROTOCOL_CLOSE] = 0, [PROTOCOL_SIZE] = 0, [PROTOCOL_CREATE] = 6, [PROTOCOL_HELLO] = 1};
    if (request >= OPERATIONS) {
        return words[request];
    }
    const struct operation_properties *properties = operation_properties(request);
    unsigned operands = properties->operands == OPERANDS_RANGE ? 2 : properties->operands == OPERANDS_SIZE ? 1 : 0;
    return operands + (properties->data == DATA_TO_DISK ? 1 : 0);
}

struct protocol_abilities serve_all(const struct adapter *adapter, unsigned concurrency)
{
    struct protocol_abilities abilities = {
        .r20 = true, .r9 = true, .granularity = 1, .concurrency = concurrency, .level = PROTOCOL_DURABLE};
    for (uint32_t request = 0; request < PROTOCOL_REQUESTS; request++) {
        abilities.requests |= request != PROTOCOL_CREATE || adapter->ops->create != NULL ? 1u << request : 0;
    }
    return abilities;
}

int serve(struct adapter *adapter, const struct protocol_abilities *abilities)
{
    struct server server = {.adapter = adapter, .abilities = abilities};
    struct request request;
    bool good = true;
    pthread_mutex_init(&server.mutex, NULL);
    pthread_cond_init(&server.idle, NULL);
    while (good && receive(&request)) {
        uint32_t kind = 0;
        while (kind < PROTOCOL_REQUESTS && strcmp(protocol_request_name(kind), request.arguments[1].word) != 0) {
            kind++;
        }
        good = kind < PROTOCOL_REQUESTS && request.count == count_words(kind) + 2;
        if (good && kind < OPERATIONS && abilities->concurrency > 1) {
            answer_beside(&server, kind, &request);
            continue;
        }
        if (good) {
            answer(&server, kind, request.arguments[0].number, request.arguments + 2);
        }
        free_request(&request);
    }
    wait_until_idle(&server);
    return good && feof(stdin) ? 0 : 1;
}
