/*
 * The adapter `exec:COMMAND`: encodes requests and decodes answers. exec_transport.c sends and receives them.
 */
#include "adapters/adapter_exec.h"

#include "adapters/exec_transport.h"
#include "base/report.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct exec_adapter {
    struct adapter adapter;
    struct adapter_ops ops;
    struct transport *transport;
    _Atomic uint64_t size_bound; /* bytes: an upper bound of the disk's size. No caller's buffer is longer. */
    _Atomic uint64_t capacity;   /* bytes: shorter buffers are whole in any case */
    pthread_mutex_t resizing;    /* protects what follows, and every change of size_bound */
    unsigned resizes;            /* in progress */
    atomic_bool size_unknown;    /* the child answered `size` with an error when it was last asked by this file */
};

static const char *const exec_name = "exec"; /* adapter.name of this kind, by address */

static struct exec_adapter *exec_of(struct adapter *adapter)
{
    assert(adapter->name == exec_name);
    return (struct exec_adapter *)adapter;
}

/* Sends a request if the child declared it; otherwise fails with ADDCOW_UNSUPPORTED. */
static enum addcow_status ask_declared(struct adapter *adapter, struct transport_request *request,
                                       struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    const struct protocol_abilities *abilities = transport_abilities(exec->transport);
    if (abilities != NULL && (abilities->requests & 1u << request->kind) == 0) {
        if (error != NULL) {
            *error = (struct addcow_error){.code = ADDCOW_UNSUPPORTED};
            snprintf(error->message, sizeof error->message, "the adapter did not declare %s",
                     protocol_request_name(request->kind));
        }
        return ADDCOW_UNSUPPORTED;
    }
    return transport_ask(exec->transport, request, error);
}

static enum addcow_status exec_ask_size(struct adapter *adapter, uint64_t *size, struct addcow_error *error)
{
    struct transport_request request = transport_request(PROTOCOL_SIZE, 0, "%s", "");
    enum addcow_status code = transport_ask(exec_of(adapter)->transport, &request, error);
    *size = request.numbers[0];
    return code;
}

static uint64_t exec_size(struct adapter *adapter)
{
    uint64_t size;
    exec_ask_size(adapter, &size, NULL);
    return size;
}

/* Asks for the size, which limits the data that later requests transfer. */
static void update_size_bound(struct adapter *adapter)
{
    struct exec_adapter *exec = exec_of(adapter);
    uint64_t size;
    atomic_store(&exec->size_unknown, exec_ask_size(adapter, &size, NULL) != ADDCOW_OK);
    atomic_store(&exec->size_bound, size);
}

/* Appends a path as an absolute one, which `room` holds until the request is done. */
static void add_path(struct transport_request *request, const char *path, char room[2 * PATH_MAX])
{
    char directory[PATH_MAX];
    if (path[0] != '/' && getcwd(directory, sizeof directory) != NULL) {
        snprintf(room, 2 * PATH_MAX, "%s/%s", directory, path);
        path = room;
    }
    transport_add_data(request, path, strlen(path));
}

static enum addcow_status exec_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                    struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    char room[2 * PATH_MAX];
    if (transport_was_killed(exec->transport)) {
        transport_start(exec->transport);
    }
    struct transport_request request =
        transport_request(PROTOCOL_OPEN, 0, "%s", flags == ADDCOW_OPEN_READWRITE ? "rw" : "ro");
    add_path(&request, path, room);
    enum addcow_status code = transport_ask(exec->transport, &request, error);
    if (code == ADDCOW_OK) {
        update_size_bound(adapter);
    }
    return code;
}

static enum addcow_status exec_close(struct adapter *adapter, struct addcow_error *error)
{
    struct transport_request request = transport_request(PROTOCOL_CLOSE, 0, "%s", "");
    return transport_ask(exec_of(adapter)->transport, &request, error);
}

/*
 * Whether a request transfers data. A range longer than size_bound must be refused, so its data is not sent, and the
 * caller's buffer may be shorter than the range.
 */
static bool transfers_data(struct exec_adapter *exec, uint64_t length)
{
    bool whole = length <= atomic_load(&exec->size_bound) || length <= atomic_load(&exec->capacity);
    return whole && length <= PROTOCOL_DATA_MAX;
}

/* Before a resize: other threads may use the new size before its answer arrives. */
static void begin_resize(struct exec_adapter *exec, uint64_t new_size)
{
    pthread_mutex_lock(&exec->resizing);
    exec->resizes++;
    if (atomic_load(&exec->size_bound) < new_size) {
        atomic_store(&exec->size_bound, new_size);
    }
    pthread_mutex_unlock(&exec->resizing);
}

/* After a resize. Beside another one, nobody knows the size that the disk will have, so the bound stays. */
static void end_resize(struct exec_adapter *exec)
{
    pthread_mutex_lock(&exec->resizing);
    if (--exec->resizes == 0) {
        update_size_bound(&exec->adapter);
    }
    pthread_mutex_unlock(&exec->resizing);
}

/* A request whose line holds the operands as decimal numbers. */
static struct transport_request make_operation(const struct operation_request *asked)
{
    switch (operation_properties(asked->operation)->operands) {
    case OPERANDS_RANGE:
        return transport_request(asked->operation, asked->length, "%" PRIu64 " %" PRIu64, asked->offset, asked->length);
    case OPERANDS_SIZE:
        return transport_request(asked->operation, 0, "%" PRIu64, asked->offset);
    default:
        return transport_request(asked->operation, 0, "%s", "");
    }
}

/* Without a size, nobody knows whether a range is within the disk, and so whether its data is transferred. */
static enum addcow_status refuse_data(struct addcow_error *error)
{
    if (error != NULL) {
        *error = (struct addcow_error){.code = ADDCOW_IO};
        snprintf(error->message, sizeof error->message, "the adapter answered size with an error");
    }
    return ADDCOW_IO;
}

static enum addcow_status exec_perform(struct adapter *adapter, struct operation_request *asked,
                                       struct addcow_error *error)
{
    struct exec_adapter *exec = exec_of(adapter);
    const struct operation_properties *properties = operation_properties(asked->operation);
    struct transport_request request = make_operation(asked);
    if (properties->data != DATA_NONE && asked->length > 0 && atomic_load(&exec->size_unknown)) {
        return refuse_data(error);
    }
    if (properties->operands == OPERANDS_SIZE) {
        begin_resize(exec, asked->offset);
    }
    if (properties->data == DATA_TO_DISK) {
        transport_add_data(&request, asked->data, transfers_data(exec, asked->length) ? (size_t)asked->length : 0);
    } else if (properties->data == DATA_FROM_DISK) {
        request.buffer = transfers_data(exec, asked->length) ? asked->buffer : NULL;
    }
    enum addcow_status code = ask_declared(adapter, &request, error);
    if (code == ADDCOW_OK && properties->answers_map) {
        asked->allocated = request.numbers[0] != 0;
        asked->map_length = request.numbers[1];
    }
    if (properties->operands == OPERANDS_SIZE) {
        end_resize(exec);
    }
    return code;
}

static enum addcow_status exec_create(struct adapter *adapter, const char *path,
                                      const struct addcow_create_options *options, struct addcow_error *error)
{
    char room[2 * PATH_MAX];
    struct transport_request request = transport_request(
        PROTOCOL_CREATE, 0, "%s %" PRIu32, options->layout == ADDCOW_R9 ? "r9" : "r20", options->cluster_bits);
    assert(!options->replace && !options->make_image);
    add_path(&request, path, room);
    transport_add_data(&request, options->image_name, strlen(options->image_name));
    if (options->backing_name != NULL) {
        transport_add_data(&request, options->backing_name, strlen(options->backing_name));
        transport_add_data(&request, options->backing_format, strlen(options->backing_format));
    } else {
        strcat(request.line, " - -");
    }
    return ask_declared(adapter, &request, error);
}

static void exec_destroy(struct adapter *adapter)
{
    transport_free(exec_of(adapter)->transport);
    pthread_mutex_destroy(&exec_of(adapter)->resizing);
    free(adapter);
}

/* ---- Creation and state ---- */

struct adapter *adapter_make_exec(const char *command, const char *directory, int timeout)
{
    struct exec_adapter *exec = report_allocate(1, sizeof *exec);
    exec->ops = (struct adapter_ops){
        .open = exec_open,
        .close = exec_close,
        .size = exec_size,
        .ask_size = exec_ask_size,
        .perform = exec_perform,
        .create = exec_create,
        .destroy = exec_destroy,
    };
    exec->adapter = (struct adapter){.ops = &exec->ops, .name = exec_name};
    pthread_mutex_init(&exec->resizing, NULL);
    exec->transport = transport_make(command, directory, timeout);
    transport_start(exec->transport);
    const struct protocol_abilities *abilities = transport_abilities(exec->transport);
    if (abilities != NULL && (abilities->requests & 1u << PROTOCOL_CREATE) == 0) {
        exec->ops.create = NULL;
    }
    return &exec->adapter;
}

const struct protocol_abilities *adapter_exec_abilities(struct adapter *adapter)
{
    return adapter->name == exec_name ? transport_abilities(exec_of(adapter)->transport) : NULL;
}

enum exec_state adapter_exec_state(struct adapter *adapter, char *why, size_t why_size)
{
    return adapter->name == exec_name ? transport_state(exec_of(adapter)->transport, why, why_size) : EXEC_OK;
}

unsigned adapter_exec_overtaken(struct adapter *adapter)
{
    return adapter->name == exec_name ? transport_overtaken(exec_of(adapter)->transport) : 0;
}

void adapter_exec_end(struct adapter *adapter)
{
    if (adapter->name == exec_name) {
        transport_end(exec_of(adapter)->transport);
    }
}

void adapter_exec_reserve(struct adapter *adapter, uint64_t capacity)
{
    if (adapter->name == exec_name) {
        atomic_store(&exec_of(adapter)->capacity, capacity);
    }
}

void adapter_exec_kill(struct adapter *adapter)
{
    transport_kill(exec_of(adapter)->transport);
}
