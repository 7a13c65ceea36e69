/*
 * Runs the commands of an implementation that serves NBD: its server, and its tools.
 */
#ifndef HARNESS_NBD_SERVER_H
#define HARNESS_NBD_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define NBD_SOCKETS "ADDCOW_NBD_SOCKETS" /* the directory of sockets, in the environment */

/* Makes this process adopt and know all that its commands start. Call it once, first. */
void nbd_server_prepare(void);

/* A server that runs. */
struct nbd_server {
    int process;   /* of the command; it may have ended, with a daemon left behind */
    int directory; /* a descriptor: in which the socket is */
    char socket[64];
};

/*
 * Starts `command`, in which {NAME} stands for the environment variable NAME, in quotes: {file} and {socket},
 * a path. Returns a connected socket; -1, with the reason in `why`, if the command ends, or nothing
 * accepts a connection within `seconds`. Then nothing runs.
 */
int nbd_server_start(struct nbd_server *server, const char *command, const char *file, unsigned seconds, char *why,
                     size_t why_size);

/*
 * Whether a process of the server died of a signal or failed, now that its connection has ended; then says how in
 * `why`. Waits up to a second for it.
 */
bool nbd_server_crashed(char *why, size_t why_size);

/*
 * Asks all processes of the server to end, and waits. False, with the reason in `why`, if one had to be killed, died of
 * a signal, or the command failed. *crashed tells whether it was a signal that nobody had sent.
 */
bool nbd_server_stop(struct nbd_server *server, bool *crashed, char *why, size_t why_size);

/* Runs another command to its end. False, with the reason in `why`, unless it succeeds. */
bool nbd_server_run(const char *command, char *why, size_t why_size);

#endif
