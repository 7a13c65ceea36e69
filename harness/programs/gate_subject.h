/*
 * The part of gate that finds out what is to be judged.
 */
#ifndef HARNESS_GATE_SUBJECT_H
#define HARNESS_GATE_SUBJECT_H

#include "corpus/corpus.h"

/* Commands of an implementation that serves NBD (corpus/PROTOCOL.md); null: it cannot do that. */
struct gate_commands {
    const char *door; /* the name of the program beside this one that is the adapter of the server */
    const char *serve;
    const char *create;
    const char *resize;
    const char *stream;
    const char *commit;
};

/*
 * Stores what `name`, the value of --impl, is; `tools`, without `serve`, are for a server of NBD. Asks a child process
 * for its abilities, and stores them in *abilities, which must live as long as *subject. `timeout`: seconds that an
 * answer may take. Returns 0, or says why it cannot be judged and returns the exit code.
 */
int gate_find_subject(const char *name, const struct gate_commands *tools, unsigned timeout,
                      struct corpus_subject *subject, struct protocol_abilities *abilities);

/* Makes the directory of sockets of a server of NBD in `directory`, and removes it. Do nothing for other subjects. */
void gate_make_sockets(const struct corpus_subject *subject, const char *directory);
void gate_remove_sockets(void);

#endif
