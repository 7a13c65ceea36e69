/*
 * Drives an implementation that serves NBD.
 *
 * To open a disk starts the server and connects to it. To close it flushes, disconnects, and ends the server. Resize,
 * stream and commit are tools for a disk that is closed: other requests wait meanwhile, and then the disk is opened
 * again. NBD has few errors, so most classes are not known. A server that dies is a crash of the implementation, and
 * ends this process.
 */
#include "nbd/adapter_nbd.h"

#include "adapters/adapter_exec.h"
#include "base/report.h"
#include "nbd/nbd_server.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_SECONDS 20u

struct nbd_adapter {
    struct adapter adapter;
    const struct nbd_commands *commands;
    pthread_rwlock_t lock; /* for writing: while the server is another */
    struct nbd_server server;
    struct nbd_link *link; /* null: no disk is open */
    struct nbd_offer offer;
    char *file; /* of the open disk; owned */
    bool writable;
    atomic_bool outlived; /* the server lives, but not its connection */
};

static struct nbd_adapter *nbd_of(struct adapter *adapter)
{
    return (struct nbd_adapter *)adapter;
}

/* ---- Errors ---- */

static enum addcow_status fail(struct addcow_error *error, enum addcow_status code, bool is_known, const char *message)
{
    if (error != NULL) {
        *error = (struct addcow_error){.code = code, .errnum = is_known ? 0 : EXEC_UNCLASSIFIED};
        snprintf(error->message, sizeof error->message, "%s", message);
    }
    return code;
}

static enum addcow_status refuse(struct addcow_error *error, const char *message)
{
    return fail(error, ADDCOW_IO, false, message);
}

/* After a connection was lost. */
static void end_if_crashed(void)
{
    char why[256];
    if (nbd_server_crashed(why, sizeof why)) {
        report_fatal("%s", why);
    }
}

/* The result of a request. `inside`: its range lies on the disk; for others, NBD says "no space" or "invalid". */
static enum addcow_status translate(struct nbd_adapter *nbd, int errnum, bool inside, struct addcow_error *error)
{
    if (errnum == 0) {
        return ADDCOW_OK;
    }
    if (errnum == ENOTCONN && !nbd->outlived) {
        end_if_crashed();
        nbd->outlived = true;
    }
    if (!inside && (errnum == ENOSPC || errnum == EINVAL)) {
        return fail(error, ADDCOW_RANGE, true, strerror(errnum));
    }
    if (errnum == ENOSPC) {
        return fail(error, ADDCOW_NOSPACE, true, strerror(errnum));
    }
    return fail(error, errnum == EPERM ? ADDCOW_READONLY : ADDCOW_IO, errnum == EPERM || errnum == EIO,
                strerror(errnum));
}

/* ---- The disk ---- */

static enum addcow_status start(struct nbd_adapter *nbd, struct addcow_error *error)
{
    char why[1024] = "";
    setenv("readonly", nbd->writable ? "" : "1", 1);
    int connection = nbd_server_start(&nbd->server, nbd->commands->serve, nbd->file, START_SECONDS, why, sizeof why);
    if (connection < 0) {
        return refuse(error, why);
    }
    nbd->link = nbd_link_make(connection, &nbd->offer, why, sizeof why);
    nbd->outlived = false;
    if (nbd->link == NULL) {
        char ignored[256];
        bool crashed;
        end_if_crashed();
        nbd_server_stop(&nbd->server, &crashed, ignored, sizeof ignored);
        return refuse(error, why);
    }
    return ADDCOW_OK;
}

/* Flushes, disconnects, ends the server. */
static enum addcow_status stop(struct nbd_adapter *nbd, struct addcow_error *error)
{
    char why[256] = "";
    bool flushes = nbd->writable && nbd->offer.flush && !nbd->offer.read_only;
    enum addcow_status code = translate(nbd, flushes ? nbd_link_flush(nbd->link) : 0, true, error);
    nbd_link_free(nbd->link);
    nbd->link = NULL;
    bool crashed;
    bool good = nbd_server_stop(&nbd->server, &crashed, why, sizeof why);
    if (crashed) {
        report_fatal("%s", why);
    }
    if (!good && code == ADDCOW_OK) {
        code = refuse(error, why);
    }
    return code;
}

static enum addcow_status nbd_open(struct adapter *adapter, const char *path, enum addcow_open_flags flags,
                                   struct addcow_error *error)
{
    struct nbd_adapter *nbd = nbd_of(adapter);
    free(nbd->file);
    nbd->file = strdup(path);
    nbd->writable = (flags & ADDCOW_OPEN_READWRITE) != 0;
    if (nbd->file == NULL) {
        report_fatal("no memory");
    }
    enum addcow_status code = start(nbd, error);
    if (code == ADDCOW_OK && nbd->writable && nbd->offer.read_only) {
        stop(nbd, NULL);
        code = refuse(error, "the server offers the disk for reading only");
    }
    return code;
}

static enum addcow_status nbd_adapter_close(struct adapter *adapter, struct addcow_error *error)
{
    struct nbd_adapter *nbd = nbd_of(adapter);
    return nbd->link != NULL ? stop(nbd, error) : refuse(error, "no disk is open");
}

static enum addcow_status nbd_ask_size(struct adapter *adapter, uint64_t *size, struct addcow_error *error)
{
    struct nbd_adapter *nbd = nbd_of(adapter);
    pthread_rwlock_rdlock(&nbd->lock);
    *size = nbd->offer.size;
    bool is_open = nbd->link != NULL;
    pthread_rwlock_unlock(&nbd->lock);
    return is_open ? ADDCOW_OK : refuse(error, "the disk could not be opened again");
}

static uint64_t nbd_size(struct adapter *adapter)
{
    uint64_t size = 0;
    return nbd_ask_size(adapter, &size, NULL) == ADDCOW_OK ? size : 0;
}

/* ---- Requests ---- */

static int transfer_part(struct nbd_adapter *nbd, const struct operation_request *request, uint64_t done, size_t length)
{
    uint64_t offset = request->offset + done;
    if (request->operation == OPERATION_READ) {
        return nbd_link_read(nbd->link, offset, (uint8_t *)request->buffer + done, length);
    }
    return nbd_link_write(nbd->link, offset, (const uint8_t *)request->data + done, length);
}

static int transfer(struct nbd_adapter *nbd, const struct operation_request *request)
{
    uint64_t done = 0;
    int errnum = 0;
    do {
        uint64_t rest = request->length - done;
        size_t part = rest < nbd->offer.greatest ? (size_t)rest : nbd->offer.greatest;
        errnum = transfer_part(nbd, request, done, part);
        done += part;
    } while (errnum == 0 && done < request->length);
    return errnum;
}

static int ask_server(struct nbd_adapter *nbd, const struct operation_request *request)
{
    switch (request->operation) {
    case OPERATION_READ:
    case OPERATION_WRITE:
        return transfer(nbd, request);
    case OPERATION_ZERO:
        return nbd_link_zero(nbd->link, request->offset, request->length);
    case OPERATION_FLUSH:
        return nbd_link_flush(nbd->link);
    default:
        return ENOTSUP;
    }
}

/* Sets a variable of the environment that a command sees. */
static void set_number(const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    setenv(name, text, 1);
}

/* Does what only a tool can, while the disk is closed. */
static enum addcow_status run_tool(struct nbd_adapter *nbd, const char *command, uint64_t size,
                                   struct addcow_error *error)
{
    char why[256];
    struct addcow_error later;
    pthread_rwlock_wrlock(&nbd->lock);
    set_number("size", size);
    enum addcow_status code = nbd->link != NULL ? stop(nbd, error) : refuse(error, "no disk is open");
    if (code == ADDCOW_OK && !nbd_server_run(command, why, sizeof why)) {
        code = refuse(error, why);
    }
    enum addcow_status opened = nbd->link == NULL && nbd->file != NULL ? start(nbd, &later) : ADDCOW_OK;
    if (code == ADDCOW_OK && opened != ADDCOW_OK) {
        code = refuse(error, later.message);
    }
    pthread_rwlock_unlock(&nbd->lock);
    return code;
}

static enum addcow_status nbd_perform(struct adapter *adapter, struct operation_request *request,
                                      struct addcow_error *error)
{
    struct nbd_adapter *nbd = nbd_of(adapter);
    const char *tool = request->operation == OPERATION_RESIZE   ? nbd->commands->resize
                       : request->operation == OPERATION_STREAM ? nbd->commands->stream
                       : request->operation == OPERATION_COMMIT ? nbd->commands->commit
                                                                : NULL;
    if (tool != NULL) {
        return run_tool(nbd, tool, request->offset, error);
    }
    pthread_rwlock_rdlock(&nbd->lock);
    bool inside = request->offset <= nbd->offer.size && request->length <= nbd->offer.size - request->offset;
    enum addcow_status code =
        nbd->link != NULL ? translate(nbd, ask_server(nbd, request), inside, error) : refuse(error, "no disk is open");
    pthread_rwlock_unlock(&nbd->lock);
    return code;
}

/* ---- Creating ---- */

static enum addcow_status nbd_create_disk(struct adapter *adapter, const char *path,
                                          const struct addcow_create_options *options, struct addcow_error *error)
{
    char why[256];
    setenv("file", path, 1);
    setenv("layout", options->layout == ADDCOW_R9 ? "r9" : "r20", 1);
    set_number("bits", options->cluster_bits);
    set_number("cluster", options->cluster_bits < 64 ? (uint64_t)1 << options->cluster_bits : 0);
    setenv("image", options->image_name, 1);
    setenv("backing", options->backing_name != NULL ? options->backing_name : "", 1);
    setenv("format", options->backing_format != NULL ? options->backing_format : "", 1);
    return nbd_server_run(nbd_of(adapter)->commands->create, why, sizeof why) ? ADDCOW_OK : refuse(error, why);
}

/* ---- The adapter ---- */

static void nbd_destroy(struct adapter *adapter)
{
    struct nbd_adapter *nbd = nbd_of(adapter);
    if (nbd->link != NULL) {
        stop(nbd, NULL);
    }
    pthread_rwlock_destroy(&nbd->lock);
    free(nbd->file);
    free(nbd);
}

struct adapter *adapter_make_nbd(const struct nbd_commands *commands)
{
    static const struct adapter_ops with_create = {
        .open = nbd_open,
        .close = nbd_adapter_close,
        .size = nbd_size,
        .ask_size = nbd_ask_size,
        .perform = nbd_perform,
        .create = nbd_create_disk,
        .destroy = nbd_destroy,
    };
    static const struct adapter_ops without_create = {
        .open = nbd_open,
        .close = nbd_adapter_close,
        .size = nbd_size,
        .ask_size = nbd_ask_size,
        .perform = nbd_perform,
        .destroy = nbd_destroy,
    };
    struct nbd_adapter *nbd = report_allocate(1, sizeof *nbd);
    nbd->adapter = (struct adapter){.ops = commands->create != NULL ? &with_create : &without_create, .name = "nbd"};
    nbd->commands = commands;
    pthread_rwlock_init(&nbd->lock, NULL);
    return &nbd->adapter;
}

const struct nbd_offer *adapter_nbd_offer(const struct adapter *adapter)
{
    return &((const struct nbd_adapter *)adapter)->offer;
}
