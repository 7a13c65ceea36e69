/*
 * Requests and answers between this process and a child process that speaks corpus/PROTOCOL.md.
 *
 * Any number of threads may ask at once; as many requests are in flight as the child declares. One thread of the
 * transport's own owns the child. A child that crashes, hangs or breaks the protocol is killed, and everything that is
 * or will be asked fails with ADDCOW_IO and errnum EPROTO (adapter_exec.h).
 *
 * transport_start, transport_kill and transport_free are for one thread, and while nothing is asked.
 */
#ifndef HARNESS_EXEC_TRANSPORT_H
#define HARNESS_EXEC_TRANSPORT_H

#include "adapters/adapter_exec.h"
#include "adapters/protocol.h"

#include <sys/uio.h>

#define TRANSPORT_PIECES_MAX 5 /* the line, and the data of create */

/* One request, for the time that it takes. The caller sets `buffer`; the rest belongs to the transport. */
struct transport_request {
    uint32_t kind; /* enum operation or enum protocol_request */
    uint64_t tag;
    char line[256];
    struct iovec pieces[TRANSPORT_PIECES_MAX]; /* what is still to be sent */
    unsigned piece;                            /* the first one that is not sent whole */
    unsigned piece_count;
    uint8_t *buffer;  /* of a read; null: the data is not wanted */
    uint64_t length;  /* of a read */
    int64_t deadline; /* milliseconds of the monotonic clock, once in flight */
    bool done;
    uint64_t numbers[2];
    struct addcow_error error; /* code ADDCOW_OK: it succeeded */
    struct transport_request *next;
};

struct transport;

/*
 * Makes a transport without a child. `directory` is where children are started, null for the current one; `timeout` is
 * what an answer may take, in milliseconds. Never null. The caller frees it, which ends the child.
 */
struct transport *transport_make(const char *command, const char *directory, int timeout);
void transport_free(struct transport *transport);

/* Starts a child and says hello to it. The last one, if any, has ended or ends now. */
void transport_start(struct transport *transport);

/* Kills the child with SIGKILL. */
void transport_kill(struct transport *transport);

/* Whether there is no child because it was killed, and nothing is to be said against it. */
bool transport_was_killed(const struct transport *transport);

/* What the child declared; null before it has. It lives as long as the transport. */
const struct protocol_abilities *transport_abilities(const struct transport *transport);

/* What is to be said against the child; if anything is, the reason goes to `why`. */
enum exec_state transport_state(struct transport *transport, char *why, size_t why_size);

/* A request whose line is its name, the operands as printed, and what transport_add_data appends. `length` is of the
 * data that a read answers. */
struct transport_request transport_request(uint32_t kind, uint64_t length, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends data, which must stay there until the request is done. */
void transport_add_data(struct transport_request *request, const void *data, size_t length);

/* Sends the request and waits until it is done. */
enum addcow_status transport_ask(struct transport *transport, struct transport_request *request,
                                 struct addcow_error *error);

#endif
