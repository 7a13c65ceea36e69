/*
 * Sends requests to a child process that speaks corpus/PROTOCOL.md, and receives its answers.
 *
 * Any number of threads may call transport_ask at once; as many requests are in flight as the child declares. The
 * transport has one thread that owns the child. A child that crashes, hangs or breaks the protocol is killed, and all
 * current and later requests fail with ADDCOW_IO and errnum EPROTO (adapter_exec.h).
 *
 * Call transport_start, transport_kill and transport_free from one thread only, while no request is in progress.
 */
#ifndef HARNESS_EXEC_TRANSPORT_H
#define HARNESS_EXEC_TRANSPORT_H

#include "adapters/adapter_exec.h"
#include "adapters/protocol.h"

#include <sys/uio.h>

#define TRANSPORT_PIECES_MAX 5 /* the line, and the data of create */

/* One request. The caller sets `buffer`; the other members belong to the transport. */
struct transport_request {
    uint32_t kind; /* enum operation or enum protocol_request */
    uint64_t tag;
    char line[256];
    struct iovec pieces[TRANSPORT_PIECES_MAX]; /* not sent yet, or the rest of it */
    unsigned piece;                            /* the first one that is not sent completely */
    unsigned piece_count;
    uint8_t *buffer;  /* receives the data of a read; null: discard it */
    uint64_t length;  /* bytes of data that a read answers */
    int64_t deadline; /* milliseconds of the monotonic clock, once in flight */
    bool done;
    uint64_t numbers[2];
    struct addcow_error error; /* code ADDCOW_OK: it succeeded */
    struct transport_request *next;
};

struct transport;

/*
 * Makes a transport without a child. Children start in `directory`; null is the current directory. `timeout` is the
 * time limit of an answer in milliseconds. Never null. The caller frees it, which ends the child.
 */
struct transport *transport_make(const char *command, const char *directory, int timeout);
void transport_free(struct transport *transport);

/* Starts a child and sends hello to it. The previous child, if any, has ended or ends now. */
void transport_start(struct transport *transport);

/* Kills the child with SIGKILL. */
void transport_kill(struct transport *transport);

/* Ends the child by closing its standard input. A child that then dies of a signal has failed. */
void transport_end(struct transport *transport);

/* Whether transport_kill ended the last child, and it had not failed. */
bool transport_was_killed(const struct transport *transport);

/* What the child declared; null before its answer to hello. Valid as long as the transport. */
const struct protocol_abilities *transport_abilities(const struct transport *transport);

/* How many answers so far have come before the answer to a request that was sent earlier. */
unsigned transport_overtaken(struct transport *transport);

/* How the child failed; unless EXEC_OK, stores the reason in `why`. */
enum exec_state transport_state(struct transport *transport, char *why, size_t why_size);

/* A request whose line is its name, the printed operands, and what transport_add_data appends. `length` is the length
 * of the data that a read answers. */
struct transport_request transport_request(uint32_t kind, uint64_t length, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends data, which must remain valid until the request is done. */
void transport_add_data(struct transport_request *request, const void *data, size_t length);

/* Sends the request and waits for its answer, or for the failure of the child. */
enum addcow_status transport_ask(struct transport *transport, struct transport_request *request,
                                 struct addcow_error *error);

#endif
