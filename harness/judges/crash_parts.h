/*
 * Shared by the judge of one crash (crash.c) and the judge of every crash of a sequence (crash_sequence.c). Private to
 * them.
 */
#ifndef HARNESS_CRASH_PARTS_H
#define HARNESS_CRASH_PARTS_H

#include "judges/crash.h"

/* The contents of the disk before or after an operation. */
struct crash_state {
    uint8_t *bytes; /* owned */
    uint64_t size;
};

struct crash_judge {
    const struct trace *trace;
    struct crash_state start;
    struct sim *crashed;
    struct adapter *adapter; /* over `crashed` */
    enum crash_fault fault;  /* of the last crash */
    uint64_t wrong_byte;     /* the first byte of the fragment that was found wrong, or UINT64_MAX */
    bool in_states;          /* operations follow one another, a resize among them */
};

/* Whether a request after a crash failed, which it must not. Prints that. `what` names the request. */
bool crash_refused(FILE *out, const char *what, enum addcow_status code, const struct addcow_error *error);

/* Prints at which moment of `sim` the crash was. */
void crash_print_moment(uint64_t moment, const struct sim *sim, FILE *out);

/*
 * Whether a change may have happened in part, because it failed or because the process died in it. Then the states that
 * the disk went through are not known.
 */
bool crash_is_uncertain(const struct crash_judge *judge, const struct crash_span *spans, uint64_t moment);

/* Makes judge->crashed the state after a crash of `from`. */
void crash_enter(struct crash_judge *judge, const struct sim *from, uint64_t moment, struct choices *choices);

/* Judges judge->crashed. *got is what it reads as, if this succeeds; the caller frees got->bytes. */
bool crash_judge_state(struct crash_judge *judge, const struct crash_span *spans, uint64_t moment,
                       struct crash_state *got, FILE *out);

#endif
