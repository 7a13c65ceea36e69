/*
 * The verdict on each clause of the specification: kept, broken, or not judged because of a reason.
 *
 * The list of clauses, their sentences and their levels are read from the text of the specification, section 15
 * included, so they cannot differ from it. Several judges, such as the corpus and an observer of system calls, state
 * what they have found, each under its own name. From all statements follows one verdict for each clause, which text,
 * JSON, JUnit and the exit status use:
 *
 *   broken       if any judge found it broken;
 *   kept         if a judge found it kept who can really see it: any judge, or the one that clauses_reserve names;
 *   not judged   otherwise. The reason is what the reserved judge or else the last judge said.
 *
 * Not thread-safe: one thread states at a time.
 */
#ifndef HARNESS_CORPUS_CLAUSES_H
#define HARNESS_CORPUS_CLAUSES_H

#include "adapters/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAUSES_ID_SIZE 8       /* "HDR-01" and its NUL */
#define CLAUSES_NOBODY "nobody" /* the judge of clauses that no judge of the gate can see */

enum clause_verdict { CLAUSE_NOT_JUDGED, CLAUSE_KEPT, CLAUSE_BROKEN };

/* What one judge has found about a clause. */
struct clause_statement {
    const char *judge; /* static storage: "corpus", "observer" */
    enum clause_verdict verdict;
    char *text;          /* one line: how it is broken, why it was not judged, how it was judged; may be "" */
    const char *case_id; /* the case that shows it, to be repeated with --case; or null. Outlives the table. */
};

struct clause {
    char id[CLAUSES_ID_SIZE];
    char *sentence;       /* on one line */
    unsigned levels;      /* bit 1 << enum protocol_level: the levels that include it; 0: optional at every level */
    const char *reserved; /* the judge that must find it kept; null: any. Static storage, or outlives the table. */
    char *reason;         /* why only that judge can, if `reserved` is not null. Owned. */
    struct clause_statement *statements; /* in the order in which they were made */
    size_t statement_count;
};

struct clauses {
    struct clause *items; /* in the order of the specification */
    size_t count;
    uint64_t interleavings; /* of concurrent requests, that judges have seen; they add to it */
    uint64_t power_cuts;    /* at which judges have opened what was left; likewise */
};

/*
 * Lists the clauses of the specification whose text is `spec`. Null, with the reason in `error`, if section 15 cannot
 * be understood or names a clause that does not exist. The caller frees it with clauses_free.
 */
struct clauses *clauses_read(const char *spec, char *error, size_t error_size);
void clauses_free(struct clauses *clauses);

/* Null if there is no clause with this ID. */
struct clause *clauses_find(const struct clauses *clauses, const char *id);

/*
 * Says that only `judge` can find this clause kept, because of `reason`. What others say then counts only if they find
 * it broken. CLAUSES_NOBODY is a judge that never says anything. An unknown clause is ignored. As long as the judge has
 * stated nothing, the clause is not judged because of "no JUDGE: REASON"; or just REASON if nobody can.
 */
void clauses_reserve(struct clauses *clauses, const char *id, const char *judge, const char *reason);

/*
 * States a verdict on a clause: `text` says how it is broken, or why it is not judged. `case_id` may be null. A broken
 * clause stays broken, whatever is stated later. Ends the program if the specification has no such clause.
 */
void clauses_state(struct clauses *clauses, const char *judge, const char *id, enum clause_verdict verdict,
                   const char *case_id, const char *text);

/*
 * The verdict on a clause. If `because` is not null, stores the statement from which it follows; null if nobody has
 * stated anything.
 */
enum clause_verdict clause_verdict(const struct clause *clause, const struct clause_statement **because);

/* Why a clause is not judged, on one line: never null or empty. Valid as long as the table. */
const char *clause_reason(const struct clause *clause);

/* Whether no judge of the gate can ever find this clause kept. */
bool clause_is_hidden(const struct clause *clause);

/* "kept", "broken" or "not judged". Static storage. */
const char *clause_verdict_name(enum clause_verdict verdict);

/*
 * Whether an implementation that states `level` claims the clause. The durable level alone does not include the clauses
 * of the concurrent one; `concurrent` says that the implementation takes several requests at once, and so claims both.
 */
bool clause_is_claimed(const struct clause *clause, enum protocol_level level, bool concurrent);

#endif
