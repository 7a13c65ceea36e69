/*
 * The part of gate that judges an implementation under the observer.
 */
#ifndef HARNESS_GATE_OBSERVE_H
#define HARNESS_GATE_OBSERVE_H

#include "corpus/corpus_report.h"
#include "observe/observe.h"

#define GATE_OBSERVER "observer" /* the name of this judge in the table of clauses (clauses.h) */

/* What was observed. */
struct gate_observation {
    bool asked;    /* false: nothing was to be observed, and all that follows is empty */
    bool required; /* a clause that was not judged makes the run incomplete */
    bool complete; /* false: interrupted, or there is no scenario of that name */
    struct observe_counts counts;
    struct findings findings;
};

/* Whether an observer works here; if not, `why` says why. `directory` is as in gate_observe. */
bool gate_can_observe(const char *directory, char *why, size_t why_size);

/* Lets the subject be delayed (corpus_subject.make_delayed): cases with requests at once are repeated under delays. */
void gate_delay(struct corpus_subject *subject);

/* Notes that nothing can be observed, and why. */
void gate_observe_nothing(const char *why, struct gate_observation *observation);

/*
 * Judges the subject: all scenarios, or the one that is given. `directory` is absolute, exists, and is empty again
 * afterwards. The caller calls findings_free.
 */
void gate_observe(const struct corpus_subject *subject, const char *scenario, const char *directory, unsigned jobs,
                  int interruption, struct gate_observation *observation);

/*
 * Prints what was found, and in the last line what the gate's exit code means. `repeat` is as in findings_print.
 */
void gate_observe_print(FILE *out, const char *prefix, int code, const char *repeat,
                        const struct gate_observation *observation);

/*
 * States what was found in the table of clauses, for the reports and the exit code. A clause that was not judged makes
 * the run incomplete if observation was required, unless only what is applicable was asked for.
 */
void gate_observe_state(const struct gate_observation *observation, bool applicable, struct corpus_results *results);

/* The member `observed` of a report in JSON (corpus/README.md). The caller owns it. */
json_t *gate_observe_json(const struct gate_observation *observation);

#endif
