/*
 * The adapter `exec:COMMAND`: an implementation in a child process that speaks corpus/PROTOCOL.md.
 *
 * Requests from any number of threads are in flight at once, as many as the child declares. One thread of the adapter's
 * own owns the child: it sends, receives, watches the clock, and ends the child. Whatever the child does, a request
 * returns within its timeout, and no more memory is used than for what was asked.
 *
 * A child that crashes, hangs or breaks the protocol is killed; the request that showed it, all others in flight and
 * all later ones fail with ADDCOW_IO and errnum EPROTO, and adapter_exec_state tells that it was no ordinary failure.
 */
#ifndef HARNESS_ADAPTER_EXEC_H
#define HARNESS_ADAPTER_EXEC_H

#include "adapters/adapter.h"
#include "adapters/protocol.h"

#define ADAPTER_EXEC_PREFIX "exec:"
#define ADAPTER_EXEC_TIMEOUT 30000 /* milliseconds that an answer may take by default */

enum exec_state {
    EXEC_SOUND,         /* no complaint */
    EXEC_DID_NOT_START, /* it ended before it had answered hello */
    EXEC_OTHER_VERSION, /* it speaks another version of the protocol */
    EXEC_ENDED,         /* it exited or died before its standard input ended */
    EXEC_HUNG,          /* an answer took longer than the timeout */
    EXEC_GARBLED,       /* it broke the protocol */
};

/* The state as a verdict: "hung", "broke the protocol"... Static storage. */
const char *exec_state_name(enum exec_state state);

/*
 * Makes the adapter and starts its child in `directory`, null for the current one; later ones are started there too.
 * `timeout` is in milliseconds, above 0. Never null: what went wrong is told by adapter_exec_state. Relative paths
 * given to open and create are made absolute by the current directory of that moment.
 */
struct adapter *adapter_make_exec(const char *command, const char *directory, int timeout);

/* What the child declared; null if `adapter` is of another kind, or its child could not be started. It lives as long as
 * the adapter. */
const struct protocol_abilities *adapter_exec_abilities(struct adapter *adapter);

/*
 * What is to be said against the child: EXEC_SOUND if nothing is, or if `adapter` is of another kind; else the reason,
 * with the last words of its standard error, goes to `why`. The first reason stands until the adapter is destroyed.
 */
enum exec_state adapter_exec_state(struct adapter *adapter, char *why, size_t why_size);

/* Kills the child with SIGKILL, as a crash would; no request may be in flight. The next open starts a new one.
 * `adapter` is of this kind. */
void adapter_exec_kill(struct adapter *adapter);

#endif
