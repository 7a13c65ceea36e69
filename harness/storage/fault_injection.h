/*
 * Fault injection: which call of a simulated storage fails, and how.
 *
 * A plan counts calls: all, or those of one kind on one file. It lets one of them fail, or that one and, from then on,
 * all of its kind on its file.
 */
#ifndef HARNESS_FAULT_INJECTION_H
#define HARNESS_FAULT_INJECTION_H

#include "addcow_format.h"
#include "storage/sim.h"

#include <stdio.h>

enum fault_kind { FAULT_EIO, FAULT_ENOSPC, FAULT_EINTR, FAULT_SHORT, FAULT_KINDS };

struct fault_injection {
    enum fault_kind kind;
    bool persistent;           /* from the call on, until the hook is taken away */
    bool kills;                /* the process dies at the call: it and all later calls fail and do nothing */
    bool one_kind;             /* only calls `call` of the file `name` count */
    uint64_t at;               /* the number of the call, from 1 on; 0: none fails */
    enum sim_call call;        /* given, or that of the call that failed */
    char name[SIM_NAME_BYTES]; /* likewise */
    const struct sim *sim;     /* the storage: then `lost` is one of its moments, and no sector is cut; or null */
    /* What has happened so far. */
    uint64_t calls;
    uint64_t failed; /* of them: those that did nothing but fail */
    bool image_lost; /* a sync of DISK_IMAGE has failed, */
    bool below_lost; /* or one of DISK_CHAIN_TOP_IMAGE: commits fail from then on (DUR-07) */
    uint64_t lost;   /* the moment after that */
};

/* The hook (sim_set_hook); its context is a struct fault_injection. */
int fault_injection_hook(void *context, enum sim_call call, const char *name, size_t *size);

/* Resets what has happened. */
void fault_injection_begin(struct fault_injection *fault);

/* Whether the call that was to fail was made. */
bool fault_injection_was_hit(const struct fault_injection *fault);

/* Whether no request may fail because of it: short and interrupted transfers are continued (ERR-04). */
bool fault_injection_is_harmless(const struct fault_injection *fault);

/* Whether a request may fail with this status because of it (ERR-05). */
bool fault_injection_explains(const struct fault_injection *fault, enum addcow_status code);

/* Prints the fault in words, without what has happened. */
void fault_injection_print(const struct fault_injection *fault, FILE *out);

/* Prints a fault of one kind of call on one file as words, such as "EIO at sync 2 of disk.raw persistent". */
void fault_injection_print_text(const struct fault_injection *fault, FILE *out);

/* Parses such words. Null, or what is wrong with them; static storage. */
const char *fault_injection_parse(char *const *words, unsigned count, struct fault_injection *fault);

#endif
