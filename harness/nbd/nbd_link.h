/*
 * One connection to an NBD server, for any number of threads at once.
 */
#ifndef HARNESS_NBD_LINK_H
#define HARNESS_NBD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nbd_link;

/* What the server offers. */
struct nbd_offer {
    uint64_t size; /* of the disk, in bytes */
    bool read_only;
    bool flush;
    bool zero;
    uint32_t least;    /* bytes to which requests must be aligned */
    uint32_t greatest; /* bytes of a read or write */
};

/* Connects through a connected socket, which it takes over, also on failure: null, with the reason in `why`. */
struct nbd_link *nbd_link_make(int socket, struct nbd_offer *offer, char *why, size_t why_size);

/* Says goodbye and disconnects. No request may be in flight. */
void nbd_link_free(struct nbd_link *link);

/* Each makes one request and waits for its end. Return 0 or an errno; ENOTCONN: the connection is lost. */
int nbd_link_read(struct nbd_link *link, uint64_t offset, void *buffer, size_t length);
int nbd_link_write(struct nbd_link *link, uint64_t offset, const void *data, size_t length);
int nbd_link_zero(struct nbd_link *link, uint64_t offset, uint64_t length);
int nbd_link_flush(struct nbd_link *link);

#endif
