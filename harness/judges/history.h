/*
 * The judge of a phase in which several threads work on one disk.
 *
 * It knows the moments and answers of the operations, and what the disk shows afterwards. For each sector it finds a
 * witness order of the writes that is consistent with real time and with every read (CON-02). Then the oracle does the
 * phase in that order, and is compared. For resizes and commits beside other requests (CON-09), it tries all orders and
 * moments. A map (CON-10) must have been possible at some moment.
 *
 * It may accept what is wrong in two cases. If requests cover only parts of a sector, each part is judged by itself. If
 * a fragment has more states than linearizability.h explores, which is counted, only its final content is taken over.
 */
#ifndef HARNESS_HISTORY_H
#define HARNESS_HISTORY_H

#include "judges/oracle.h"
#include "judges/execution.h"

struct history_counts {
    uint64_t fragments;  /* sectors, or parts of them, that were judged */
    uint64_t undecided;  /* of these, given up */
    uint64_t wrong_byte; /* first byte of a fragment whose contents no order explains, */
    bool has_wrong_byte; /* if there is one */
};

/*
 * Judges the phase [begin, end), just after it was executed. The oracle stands at the start of the phase, and is moved
 * to its end. phase_problem (workload/phase.h) has accepted the phase. `directory` holds the files. Prints what is
 * wrong; true if nothing is.
 */
bool history_judge(struct execution *execution, uint32_t begin, uint32_t end, struct oracle *oracle,
                   const char *directory, struct history_counts *counts, FILE *out);

#endif
