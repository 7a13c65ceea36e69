/*
 * The adapter of an implementation that serves NBD (corpus/PROTOCOL.md, section 7).
 */
#ifndef HARNESS_ADAPTER_NBD_H
#define HARNESS_ADAPTER_NBD_H

#include "adapters/adapter.h"
#include "nbd/nbd_link.h"

/* Commands for the shell. All but the first may be null: the implementation cannot do that. */
struct nbd_commands {
    const char *serve;
    const char *create;
    const char *resize;
    const char *stream;
    const char *commit;
};

/* Makes the adapter; `commands` must outlive it. Never null. */
struct adapter *adapter_make_nbd(const struct nbd_commands *commands);

/* What the server of the open disk offers. */
const struct nbd_offer *adapter_nbd_offer(const struct adapter *adapter);

#endif
