/*
 * The judge of a phase in which several threads work on one disk.
 *
 * From the recorded moments and answers of the operations and from what the disk shows afterwards it finds, for each
 * sector, a witness order of the writes that is consistent with real time and with every read (CON-02); leads the
 * oracle through the phase in that order; and compares. Resizes and commits beside other requests and each other
 * (CON-09) are judged by all orders of them, and moments, that there may have been; maps (CON-10) by what was possible
 * at some moment.
 *
 * What it accepts may still be wrong in two cases. Where requests cover only parts of a sector, the parts are judged as
 * registers of their own. And where registers have more states than register.h explores, which is counted, only the
 * final content is taken over.
 */
#ifndef HARNESS_HISTORY_H
#define HARNESS_HISTORY_H

#include "judges/oracle.h"
#include "judges/execution.h"

struct history_counts {
    uint64_t fragments;  /* sectors, or parts of them, that were judged */
    uint64_t undecided;  /* of these, given up */
    uint64_t wrong_byte; /* where a fragment begins, in bytes, of which no order explains the contents, */
    bool has_wrong_byte; /* if there is one */
};

/*
 * Judges the phase [begin, end) of a run, just after it: the oracle stands at its start, and is led to its end.
 * phase_problem (workload/phase.h) has accepted the phase. `directory` holds the files. Prints what is wrong; true if
 * nothing is.
 */
bool history_judge(struct execution *execution, uint32_t begin, uint32_t end, struct oracle *oracle,
                   const char *directory, struct history_counts *counts, FILE *out);

#endif
