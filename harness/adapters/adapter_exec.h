/*
 * The adapter `exec:COMMAND`: an implementation in a child process that speaks corpus/PROTOCOL.md.
 *
 * Any number of threads may send requests. As many are in flight as the child declares. The adapter has one thread that
 * sends, receives, checks timeouts, and ends the child. Whatever the child does, a request returns within its timeout,
 * and memory use is bounded by the requested lengths.
 *
 * A child that crashes, hangs or breaks the protocol is killed. All requests in flight and all later ones fail with
 * ADDCOW_IO and errnum EPROTO. adapter_exec_state returns the cause.
 */
#ifndef HARNESS_ADAPTER_EXEC_H
#define HARNESS_ADAPTER_EXEC_H

#include "adapters/adapter.h"
#include "adapters/protocol.h"

#include <errno.h>

#define ADAPTER_EXEC_PREFIX "exec:"
#define ADAPTER_EXEC_TIMEOUT 30000 /* milliseconds: the default time limit of an answer */

/* The errnum of an error whose class the child does not know ("-" in its answer). Its code is ADDCOW_IO. */
#define EXEC_UNCLASSIFIED ENOMSG

enum exec_state {
    EXEC_OK,             /* no failure so far */
    EXEC_DID_NOT_START,  /* it ended before it answered hello */
    EXEC_OTHER_VERSION,  /* it speaks another version of the protocol */
    EXEC_ENDED,          /* it exited or died before its standard input ended */
    EXEC_HUNG,           /* an answer took longer than the timeout */
    EXEC_BROKE_PROTOCOL, /* it broke the protocol */
};

/* The state as a verdict: "hung", "broke the protocol"... Static storage. */
const char *exec_state_name(enum exec_state state);

/*
 * Makes the adapter and starts its child in `directory`; null is the current directory. Later children start there too.
 * `timeout` is in milliseconds, above 0. Never null: adapter_exec_state reports a failed start. open and create resolve
 * relative paths against the current directory at the time of the call.
 */
struct adapter *adapter_make_exec(const char *command, const char *directory, int timeout);

/* What the child declared; null if `adapter` is of another kind, or its child did not start. Valid as long as the
 * adapter. */
const struct protocol_abilities *adapter_exec_abilities(struct adapter *adapter);

/*
 * How the child failed. EXEC_OK if it did not, or if `adapter` is of another kind. Otherwise stores the reason in
 * `why`, with the end of the child's standard error. The first failure is kept until the adapter is destroyed.
 */
enum exec_state adapter_exec_state(struct adapter *adapter, char *why, size_t why_size);

/*
 * How many requests so far were answered before one that had been sent earlier: more than one must have been in
 * progress at once. 0 if `adapter` is of another kind.
 */
unsigned adapter_exec_overtaken(struct adapter *adapter);

/* Ends the child by closing its standard input, if `adapter` is of this kind. If the child then dies of a signal, it
 * has failed. Afterwards every request fails. No request may be in flight. */
void adapter_exec_end(struct adapter *adapter);

/*
 * Says that all buffers of requests whose length is at most `capacity` have as many bytes, whatever size the disk has.
 * Otherwise a request that is longer than the disk transfers no data; beside a resize, nobody knows which one is. Stays
 * so until the adapter is destroyed. Does nothing if `adapter` is of another kind.
 */
void adapter_exec_reserve(struct adapter *adapter, uint64_t capacity);

/* Kills the child with SIGKILL. No request may be in flight. The next open starts a new child. `adapter` must be of
 * this kind. */
void adapter_exec_kill(struct adapter *adapter);

#endif
