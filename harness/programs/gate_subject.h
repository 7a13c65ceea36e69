/*
 * The part of gate that finds out what is to be judged.
 */
#ifndef HARNESS_GATE_SUBJECT_H
#define HARNESS_GATE_SUBJECT_H

#include "corpus/corpus.h"

/*
 * Stores what `name`, the value of --impl, is. Asks a child process for its abilities, and stores them in *abilities,
 * which must live as long as *subject. `timeout`: seconds that an answer may take. Returns 0, or says why it cannot be
 * judged and returns the exit code.
 */
int gate_find_subject(const char *name, unsigned timeout, struct corpus_subject *subject,
                      struct protocol_abilities *abilities);

#endif
