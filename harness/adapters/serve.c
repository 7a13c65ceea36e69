/*
 * The other side of corpus/PROTOCOL.md: an engine of this process behind it.
 *
 * So an engine can be killed without killing its judge, and the protocol is spoken by both sides in this language too.
 * Requests come from a gate and are well-formed; whatever is not ends the process.
 */
#include "adapters/serve.h"

#include "adapters/protocol.h"
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 8

struct argument {
    uint64_t number; /* if it is one */
    char *data;      /* if it is announced: its bytes and a NUL; owned */
    char word[64];
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

/* Reads the line and then the data that it announces. False at the end of the input, or if it is no request. */
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
        if (fread(argument->data, 1, argument->number, stdin) != argument->number) {
            return false;
        }
    }
    return request->count >= 2;
}

static enum addcow_status create(struct adapter *adapter, const struct argument *arguments, struct addcow_error *error)
{
    struct addcow_create_options options = {.layout = strcmp(arguments[0].word, "r9") == 0 ? ADDCOW_R9 : ADDCOW_R20,
                                            .cluster_bits = (uint32_t)arguments[1].number,
                                            .image_name = arguments[3].data,
                                            .backing_name = arguments[4].data,
                                            .backing_format = arguments[5].data,
                                            .hide_image_data = true};
    return adapter->ops->create(adapter, arguments[2].data, &options, error);
}

/* A read answers with its data; everything else says nothing but its outcome here. */
static enum addcow_status read_disk(struct adapter *adapter, uint64_t tag, const struct argument *arguments,
                                    struct addcow_error *error)
{
    uint64_t length = arguments[1].number;
    uint8_t *buffer = report_allocate(length <= PROTOCOL_DATA_MAX ? length : 0, 1);
    enum addcow_status code = adapter->ops->read(adapter, arguments[0].number, length, buffer, error);
    if (code == ADDCOW_OK) {
        printf("%" PRIu64 " ok +%" PRIu64 "\n", tag, length);
        fwrite(buffer, 1, length, stdout);
    }
    free(buffer);
    return code;
}

static enum addcow_status map_disk(struct adapter *adapter, uint64_t tag, const struct argument *arguments,
                                   struct addcow_error *error)
{
    bool allocated;
    uint64_t run;
    enum addcow_status code =
        adapter->ops->map(adapter, arguments[0].number, arguments[1].number, &allocated, &run, error);
    if (code == ADDCOW_OK) {
        printf("%" PRIu64 " ok %d %" PRIu64 "\n", tag, allocated, run);
    }
    return code;
}

/* The requests whose answer is no more than their outcome. */
static enum addcow_status perform(struct adapter *adapter, enum protocol_operation operation,
                                  const struct argument *arguments, struct addcow_error *error)
{
    const struct adapter_ops *ops = adapter->ops;
    switch (operation) {
    case PROTOCOL_OPEN: {
        bool writable = strcmp(arguments[0].word, "rw") == 0;
        return ops->open(adapter, arguments[1].data, writable ? ADDCOW_OPEN_READWRITE : ADDCOW_OPEN_READONLY, error);
    }
    case PROTOCOL_CLOSE:
        return ops->close(adapter, error);
    case PROTOCOL_WRITE:
        return ops->write(adapter, arguments[0].number, arguments[1].number, arguments[2].data, error);
    case PROTOCOL_ZERO:
        return ops->zero(adapter, arguments[0].number, arguments[1].number, error);
    case PROTOCOL_DISCARD:
        return ops->discard(adapter, arguments[0].number, arguments[1].number, error);
    case PROTOCOL_FLUSH:
        return ops->flush(adapter, error);
    case PROTOCOL_RESIZE:
        return ops->resize(adapter, arguments[0].number, error);
    case PROTOCOL_STREAM:
        return ops->stream(adapter, error);
    case PROTOCOL_COMMIT:
        return ops->commit(adapter, error);
    default:
        return create(adapter, arguments, error);
    }
}

static void hello(const struct adapter *adapter, uint64_t tag)
{
    printf("%" PRIu64
           " ok %d layouts=r20,r9 operations=write,zero,discard,map,flush,resize,stream,commit%s "
           "granularity=1 concurrency=1 level=durable lacks=\n",
           tag, PROTOCOL_VERSION, adapter->ops->create != NULL ? ",create" : "");
}

static void answer(struct adapter *adapter, enum protocol_operation operation, uint64_t tag,
                   const struct argument *arguments)
{
    struct addcow_error error = {.code = ADDCOW_OK};
    enum addcow_status code = ADDCOW_OK;
    if (operation == PROTOCOL_HELLO) {
        hello(adapter, tag);
    } else if (operation == PROTOCOL_SIZE) {
        printf("%" PRIu64 " ok %" PRIu64 "\n", tag, adapter->ops->size(adapter));
    } else if (operation == PROTOCOL_READ) {
        code = read_disk(adapter, tag, arguments, &error);
    } else if (operation == PROTOCOL_MAP) {
        code = map_disk(adapter, tag, arguments, &error);
    } else {
        code = perform(adapter, operation, arguments, &error);
        if (code == ADDCOW_OK) {
            printf("%" PRIu64 " ok\n", tag);
        }
    }
    if (code != ADDCOW_OK) {
        size_t length = strnlen(error.message, PROTOCOL_MESSAGE_MAX);
        printf("%" PRIu64 " error %s %s +%zu\n%.*s", tag, addcow_status_name(code),
               error.clause[0] != '\0' ? error.clause : "-", length, (int)length, error.message);
    }
    fflush(stdout);
}

int serve(struct adapter *adapter)
{
    /* How many words an operation has behind its name. */
    static const unsigned words[PROTOCOL_OPERATIONS] = {
        [PROTOCOL_HELLO] = 1, [PROTOCOL_OPEN] = 2,   [PROTOCOL_READ] = 2,   [PROTOCOL_WRITE] = 3,  [PROTOCOL_ZERO] = 2,
        [PROTOCOL_MAP] = 2,   [PROTOCOL_RESIZE] = 1, [PROTOCOL_CREATE] = 6, [PROTOCOL_DISCARD] = 2};
    struct request request;
    bool good = true;
    while (good && receive(&request)) {
        unsigned operation = 0;
        while (operation < PROTOCOL_OPERATIONS &&
               strcmp(protocol_operation_name((enum protocol_operation)operation), request.arguments[1].word) != 0) {
            operation++;
        }
        good = operation < PROTOCOL_OPERATIONS && request.count == words[operation] + 2;
        if (good) {
            answer(adapter, (enum protocol_operation)operation, request.arguments[0].number, request.arguments + 2);
        }
        free_request(&request);
    }
    return good && feof(stdin) ? 0 : 1;
}
