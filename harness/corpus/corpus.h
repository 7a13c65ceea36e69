/*
 * The conformance corpus: loads cases, creates their files, and runs them.
 *
 * A corpus is a directory with corpus.json (its format, version and flags) and one JSON file a case below cases/.
 * corpus/README.md and corpus/schema.json define the format. The loader enforces the same rules and refuses everything
 * else, so that a mistake in a case never becomes a verdict.
 *
 * Thread-safety: a loaded corpus is immutable and may be read from any thread. corpus_run works in the current
 * directory of the process.
 */
#ifndef HARNESS_CORPUS_H
#define HARNESS_CORPUS_H

#include "adapters/adapter.h"
#include "adapters/protocol.h"
#include "corpus/clauses.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CORPUS_FORMAT 2             /* the only value of corpus.json's "format" that this loader reads */
#define CORPUS_SPAN_MAX (64u << 20) /* bytes of one read, write, pattern or checked zero range */
#define CORPUS_CHOICES_MAX 8        /* allowed contents of a sector */
#define CORPUS_IN_FLIGHT_MAX 8      /* requests of a case in flight at once */
#define CORPUS_SECTOR 512u          /* bytes, the unit of atomicity (CON-02) */
#define CORPUS_DISKS_MAX 4          /* disks that one case names */
#define CORPUS_HUNG_MAX 3           /* cases that are run again before the rest is believed to hang */

/* Abilities that a case needs beyond opening one r20 disk of moderate size. */
enum corpus_need {
    CORPUS_NEEDS_R9 = 1,
    CORPUS_NEEDS_CREATE = 2,
    CORPUS_NEEDS_LINKS = 4,  /* detecting that two names refer to one file */
    CORPUS_NEEDS_CHAIN = 8,  /* backing files of format add-cow */
    CORPUS_NEEDS_LOCKS = 16, /* locks between several open disks */
    CORPUS_NEEDS_LARGE = 32, /* disks larger than memory */
    CORPUS_NEEDS_CUT = 64,   /* surviving that a file is truncated while it is open */
    CORPUS_NEEDS_KILL = 128, /* being killed */
};

/* The content of a span of bytes. */
enum corpus_fill {
    CORPUS_ZERO,
    CORPUS_PATTERN, /* corpus_pattern(seed, position) */
    CORPUS_BYTES,
    CORPUS_ANY, /* expected only: each sector, or byte, has one of the choices as its content */
};

/* `length` bytes at position `at` of a file or of a disk. */
struct corpus_span {
    uint64_t at;
    uint64_t length;
    enum corpus_fill fill;
    uint64_t seed;
    uint8_t *bytes; /* owned; null unless CORPUS_BYTES */
    unsigned width; /* how the case spells the bytes: 4, 8: numbers of this size; 1: hexadecimal; 0: text */
    struct corpus_choice {
        bool zero; /* or else the pattern `seed` */
        uint64_t seed;
    } choices[CORPUS_CHOICES_MAX];
    size_t choice_count;
    bool byte_by_byte; /* CORPUS_ANY: each byte has one, as storage without atomic sectors allows (CON-02) */
};

struct corpus_spans {
    struct corpus_span *items; /* owned */
    size_t count;
};

enum corpus_file_kind { CORPUS_REGULAR, CORPUS_DIRECTORY, CORPUS_SYMLINK, CORPUS_HARDLINK, CORPUS_FIFO };

/* One entry of "files". The files are created in the order of the list before the first step. */
struct corpus_file {
    enum corpus_file_kind kind;
    const char *path;            /* relative to the case's directory */
    const char *target;          /* of a link */
    uint64_t length;             /* bytes */
    struct corpus_spans content; /* later spans overwrite earlier ones; all else is a hole */
    bool has_mode;
    uint32_t mode; /* permissions, if has_mode */
};

/* Steps other than requests of the protocol (protocol.h; hello is not a step). */
enum corpus_event {
    CORPUS_FILE = PROTOCOL_REQUESTS, /* checks a file */
    CORPUS_REMOVE,                   /* removes a file */
    CORPUS_CUT,                      /* truncates a file */
    CORPUS_KILL,                     /* kills the implementation's process */
    CORPUS_OPS
};

struct corpus_step {
    uint32_t op;              /* enum operation, enum protocol_request or enum corpus_event */
    size_t disk;              /* index into corpus_case.disks */
    const char *path;         /* open, create, file, remove, cut */
    bool writable;            /* open */
    bool by_reference;        /* open: the reference engine handles the disk until it is closed */
    bool beside;              /* concurrent with the step before */
    bool repeated;            /* asked for again until the first step that it is beside is answered */
    uint64_t offset;          /* of operations with a range, in bytes */
    uint64_t length;          /* likewise; file: the expected length */
    uint64_t size;            /* size: expected; resize, cut: new; in bytes */
    struct corpus_spans data; /* write: the data; read, file: the expected content */
    bool allocated;           /* map: expected */
    bool either;              /* map: allocated or not, both are allowed */
    uint64_t run;             /* map: expected */
    bool absent;              /* file: must not exist */
    bool has_length;          /* file */
    unsigned outcomes;        /* bit 1 << enum addcow_status for each result that the spec allows here */
    const char *clause;       /* the clause that an error must name if it names one; or null */
    const char **observes;    /* the clauses that are broken if the step fails; at least one. Owned, not its strings */
    size_t observe_count;
    bool on_reference; /* the reference engine does this request: it has opened the disk */
    struct addcow_create_options create;
};

struct corpus_case {
    const char *id;
    const char *title;
    const char *notes; /* an explanation for people; "" if there is none */
    const char *level;
    const char **clauses;
    size_t clause_count;
    const char **flags;
    size_t flag_count;
    unsigned needs; /* enum corpus_need, or'ed */
    const char *disks[CORPUS_DISKS_MAX];
    size_t disk_count;
    struct corpus_file *files;
    size_t file_count;
    struct corpus_step *steps;
    size_t step_count;
    json_t *document; /* owns all strings */
};

struct corpus {
    const char *version;
    struct corpus_case *cases; /* sorted by id */
    size_t count;
    json_t *document;
};

/* Byte `position` of the pattern with this seed: never 0, and different for different seeds modulo 255. */
uint8_t corpus_pattern(uint64_t seed, uint64_t position);

/*
 * Loads the corpus in `directory`. On success the caller frees *corpus with corpus_free. On failure returns false and
 * writes "FILE: JSON PATH: reason" to `error`, of `error_size` bytes.
 */
bool corpus_load(const char *directory, struct corpus **corpus, char *error, size_t error_size);

/*
 * The same for one case with this id, text[0, length) in memory. `flags` has a member for each flag that the case may
 * have. It must live as long as the corpus.
 */
bool corpus_parse(const char *text, size_t length, const char *id, json_t *flags, struct corpus **corpus, char *error,
                  size_t error_size);
void corpus_free(struct corpus *corpus);

/* Reserves the clauses that cases cannot judge, as corpus.json says. `clauses` must not outlive the corpus. */
void corpus_reserve(const struct corpus *corpus, struct clauses *clauses);

/* Prints the names of a set of outcomes (corpus_step.outcomes), joined by "or". */
void corpus_print_outcomes(FILE *out, unsigned outcomes);

/* The name of a step's op in case files. Static storage. */
const char *corpus_op_name(uint32_t op);

/* The name of a need (one bit) in case files; null for any other value. Static storage. */
const char *corpus_need_name(unsigned need);

/* Creates the files of a case in the current directory. On failure returns false and prints the reason to `out`. */
bool corpus_make_files(const struct corpus_case *c, FILE *out);

/*
 * If files of the case have a mode, makes sure that this process, and what it starts, is bound to it, also as the
 * superuser. On failure returns false and prints the reason to `out`.
 */
bool corpus_drop_rights(const struct corpus_case *c, FILE *out);

/* Fills `buffer` with the bytes [at, at + length) of the span. The range lies within the span. */
void corpus_span_fill(const struct corpus_span *span, uint64_t at, size_t length, uint8_t *buffer);

/*
 * Compares `length` bytes found at `at` with the content of the span, which covers them. If they differ, returns false
 * and prints the first difference with a hex window around it.
 */
bool corpus_span_check(const struct corpus_span *span, uint64_t at, size_t length, const uint8_t *found, FILE *out);

/* Compares a file with a CORPUS_FILE step. If they differ, returns false and prints the difference. */
bool corpus_check_file(const struct corpus_step *step, FILE *out);

/* The names of all files below the current directory. The caller frees them. */
char *corpus_names(void);

/* Compares them with those of now: a create that has succeeded has made one file, another one none. If it has made more
 * (CRE-04), returns false and prints which. */
bool corpus_check_names(const char *before, bool created, FILE *out);

/* Whether no lock of the file belongs to a process: such a lock ends when its process closes any descriptor of the
 * file, so it must belong to an open file description (LCK-01). Prints if there is one. */
bool corpus_check_lock(const char *path, FILE *out);

/* An implementation, and the abilities that it does not claim. */
struct corpus_subject {
    const char *name;
    const char *command;  /* of a child process, for the shell; null: an engine of this process */
    unsigned cannot;      /* enum corpus_need, or'ed: needs that it does not meet */
    bool small_reference; /* the reference engine of this program cannot open files of TiB (ref_disk_maps_large) */
    struct adapter *(*make)(const struct corpus_subject *subject);
    struct adapter *(*make_process)(const struct corpus_subject *subject); /* in a child process; or null */
    /* In a child process whose system calls on the files of the current directory are delayed as `plan` says. */
    struct adapter *(*make_delayed)(const struct corpus_subject *subject);
    unsigned plans;        /* under which cases with requests at once are repeated; 0 if make_delayed is null */
    unsigned plan;         /* the present one, from 1 on; 0: nothing is delayed */
    const char *directory; /* where a child process is started */
    unsigned timeout;      /* seconds that an answer of a child process may take */
    const struct protocol_abilities *abilities; /* what it declared; null: it has all abilities of the protocol */
};

enum corpus_verdict {
    CORPUS_PASSED,
    CORPUS_FAILED,         /* a step failed that observes clauses: corpus_findings.broken */
    CORPUS_NOT_JUDGED,     /* a precondition failed, so the clauses of the case were not reached */
    CORPUS_NOT_APPLICABLE, /* the implementation does not claim an ability that the case needs */
    CORPUS_CRASHED,        /* the implementation died or broke the protocol */
    CORPUS_HUNG,           /* it was killed after it had not answered in time, also with nothing else to do */
    CORPUS_NOT_RUN,        /* an error of the environment, such as no space or no process */
    CORPUS_VERDICTS
};

#define CORPUS_BROKEN_MAX 16 /* clauses that one case finds broken; the rest is dropped */

/* What a case has found besides its verdict. */
struct corpus_findings {
    char broken[CORPUS_BROKEN_MAX][CLAUSES_ID_SIZE]; /* without repetition */
    size_t broken_count;
    bool complete;        /* every step was reached, so the clauses that are not broken were observed */
    unsigned groups;      /* groups of requests that were in flight at once */
    unsigned interleaved; /* those of which two were seen in progress at once */
};

/*
 * Runs the steps of a case against the subject in the current directory, which holds the case's files. A read, map,
 * size or look at a file that fails does not end the case, any other failure does. Prints each failure to `out`, and
 * fills *findings. Returns CORPUS_CRASHED and CORPUS_HUNG only for a subject in a child process: a crash in this
 * process ends it.
 */
enum corpus_verdict corpus_run(const struct corpus_case *c, const struct corpus_subject *subject, FILE *out,
                               struct corpus_findings *findings);

/* The most requests of a case that are in flight at once. */
size_t corpus_in_flight(const struct corpus_case *c);

/* Whether `clause` is broken if this step fails. */
bool corpus_observes(const struct corpus_step *step, const char *clause);

/* The level of section 15 of the specification that a case belongs to. */
enum protocol_level corpus_level(const struct corpus_case *c);

#define CORPUS_MISSING_MAX 32 /* abilities that a case can need */

/*
 * The abilities that a case needs and the subject does not claim: "create", "granularity 1", "level writer". Returns
 * their number and stores them; the caller frees each.
 */
size_t corpus_missing(const struct corpus_case *c, const struct corpus_subject *subject,
                      char *missing[CORPUS_MISSING_MAX]);

/* Null if the subject claims all abilities that a case needs. Otherwise a line that names the missing ones; the caller
 * frees it. */
char *corpus_applies(const struct corpus_case *c, const struct corpus_subject *subject);

struct corpus_result {
    const struct corpus_case *c;
    enum corpus_verdict verdict;
    char *text; /* owned; the reason, unless it passed */
    double seconds;
    struct corpus_findings findings;
};

/* How cases are judged. */
struct corpus_run_options {
    const struct corpus_subject *subject;
    const char *directory; /* absolute; must exist; the directories of the cases are created in it */
    unsigned timeout;      /* seconds for one case, from 1 */
    unsigned jobs;         /* cases at once, from 1 */
    int interruption;      /* a descriptor; the run stops when it becomes readable; or -1 */

    /* Called for each result, in order. If it returns false, no further case starts. */
    bool (*judged)(void *context, size_t index);
    void *context;
};

/*
 * Judges results[i].c for all i in [0, count), each case in a child process and a directory of its own. Fills verdict,
 * text (never null; the caller frees it), seconds and findings. A case that hangs is run again while no other case
 * runs, with twice the time; only the second run counts. After CORPUS_HUNG_MAX cases have hung twice, others hang at
 * once. On return no child and no directory of a case is left. This process becomes a subreaper and must have no other
 * children. Not thread-safe.
 */
void corpus_judge(struct corpus_result *results, size_t count, const struct corpus_run_options *options);

#endif
