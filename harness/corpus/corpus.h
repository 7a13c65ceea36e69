/*
 * The conformance corpus: cases as data, and what it takes to load, lay out and run one.
 *
 * A corpus is a directory with corpus.json (its format, version and flags) and one JSON file a case below cases/. What
 * the files may say is written for people in corpus/README.md and for machines in corpus/schema.json; the loader here
 * enforces the same rules and refuses everything else, so that a mistake in a case is never taken for a verdict.
 *
 * Thread-safety: a loaded corpus is immutable and may be read from any thread. Running a case changes the process's
 * current directory.
 */
#ifndef HARNESS_CORPUS_H
#define HARNESS_CORPUS_H

#include "adapters/adapter.h"
#include "adapters/protocol.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CORPUS_FORMAT 1             /* the only value of corpus.json's "format" that this loader reads */
#define CORPUS_SPAN_MAX (64u << 20) /* bytes of one read, write, pattern or checked zero range */
#define CORPUS_CHOICES_MAX 8        /* contents that a sector may have */
#define CORPUS_BESIDE_MAX 8         /* requests that a case may have in flight at once */
#define CORPUS_SECTOR 512u          /* bytes, the unit of atomicity (CON-02) */
#define CORPUS_DISKS_MAX 4          /* disks that one case may hold open at once */
#define CORPUS_CLAUSE_SIZE 8        /* "HDR-01" and its NUL */

/* What a case asks of an implementation beyond opening one r20 disk of moderate size. */
enum corpus_need {
    CORPUS_NEEDS_R9 = 1,
    CORPUS_NEEDS_CREATE = 2,
    CORPUS_NEEDS_LINKS = 4,  /* telling that two names are one file */
    CORPUS_NEEDS_CHAIN = 8,  /* backing files of format add-cow */
    CORPUS_NEEDS_LOCKS = 16, /* several opened disks that exclude each other */
    CORPUS_NEEDS_LARGE = 32, /* disks larger than memory */
    CORPUS_NEEDS_CUT = 64,   /* surviving that a file is cut while it is open */
    CORPUS_NEEDS_KILL = 128, /* being killed */
};

/* What a span of bytes holds. */
enum corpus_fill {
    CORPUS_ZERO,
    CORPUS_PATTERN, /* corpus_pattern(seed, position) */
    CORPUS_BYTES,
    CORPUS_ANY, /* expected only: each sector is one of the choices, whole */
};

/* `length` bytes at position `at` of a file or of a disk. */
struct corpus_span {
    uint64_t at;
    uint64_t length;
    enum corpus_fill fill;
    uint64_t seed;
    uint8_t *bytes; /* owned; null unless CORPUS_BYTES */
    unsigned width; /* of the numbers as which the case writes the bytes: 4, 8; 1: in hexadecimal; 0: as text */
    struct corpus_choice {
        bool zero; /* or else the pattern `seed` */
        uint64_t seed;
    } choices[CORPUS_CHOICES_MAX];
    size_t choice_count;
};

struct corpus_spans {
    struct corpus_span *items; /* owned */
    size_t count;
};

enum corpus_file_kind { CORPUS_REGULAR, CORPUS_DIRECTORY, CORPUS_SYMLINK, CORPUS_HARDLINK };

/* One entry of "files": made in the order of the list before the first step. */
struct corpus_file {
    enum corpus_file_kind kind;
    const char *path;            /* relative to the case's directory */
    const char *target;          /* of a link */
    uint64_t length;             /* bytes */
    struct corpus_spans content; /* later spans overwrite earlier ones; all else is a hole */
};

/* What a step may be besides a request of the protocol (protocol.h; hello is none). */
enum corpus_event {
    CORPUS_FILE = PROTOCOL_REQUESTS, /* what a file must hold now */
    CORPUS_REMOVE,                   /* a file goes away between requests */
    CORPUS_CUT,                      /* a file is cut from outside */
    CORPUS_KILL,                     /* the implementation's process is killed */
    CORPUS_OPS
};

struct corpus_step {
    uint32_t op;              /* enum operation, enum protocol_request or enum corpus_event */
    size_t disk;              /* index into corpus_case.disks */
    const char *path;         /* open, create, file, remove, cut */
    bool writable;            /* open */
    bool by_reference;        /* open: the disk is the reference engine's until it is closed */
    bool beside;              /* in flight together with the step before it */
    uint64_t offset;          /* requests */
    uint64_t length;          /* requests; file: the expected length */
    uint64_t size;            /* size: expected; resize, cut: new */
    struct corpus_spans data; /* write: the data; read, file: what must be found */
    bool allocated;           /* map: expected */
    uint64_t run;             /* map: expected */
    bool absent;              /* file: must not exist */
    bool has_length;          /* file */
    unsigned outcomes;        /* bit 1 << class for each enum addcow_status that the spec allows here */
    const char *clause;       /* the clause that a refusal must name if the implementation names one; or null */
    struct addcow_create_options create;
};

struct corpus_case {
    const char *id;
    const char *title;
    const char *notes; /* the story behind it; "" if there is none */
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
    json_t *document; /* owns every string above */
};

struct corpus {
    const char *version;
    struct corpus_case *cases; /* by id */
    size_t count;
    json_t *document;
};

/* Byte `position` of the pattern with this seed: never 0, and different for different seeds modulo 255. */
uint8_t corpus_pattern(uint64_t seed, uint64_t position);

/*
 * Loads the corpus in `directory`. On success the caller frees *corpus with corpus_free. Otherwise returns false and
 * writes "FILE: JSON PATH: reason" to `error`, of `error_size` bytes.
 */
bool corpus_load(const char *directory, struct corpus **corpus, char *error, size_t error_size);

/*
 * The same of one case's text[0, length), with this id, in memory. `flags` has a member for each flag that the case may
 * have, and must live as long as the corpus.
 */
bool corpus_parse(const char *text, size_t length, const char *id, json_t *flags, struct corpus **corpus, char *error,
                  size_t error_size);
void corpus_free(struct corpus *corpus);

/* The name of a step's op as cases spell it. Static storage. */
const char *corpus_op_name(uint32_t op);

/* The name of a need (one bit) as cases spell it; null for any other value. Static storage. */
const char *corpus_need_name(unsigned need);

/* Makes the files of a case in the current directory. False, and a line that says why on `out`, if it could not. */
bool corpus_make_files(const struct corpus_case *c, FILE *out);

/* Fills `buffer` with the bytes [at, at + length) as the span has them. The range lies within the span. */
void corpus_span_fill(const struct corpus_span *span, uint64_t at, size_t length, uint8_t *buffer);

/*
 * Compares `length` bytes found at `at` with what the span, which covers them, expects. If they differ, returns false
 * and prints the first difference with a window in hexadecimal around it.
 */
bool corpus_span_check(const struct corpus_span *span, uint64_t at, size_t length, const uint8_t *found, FILE *out);

/* Holds a file against a CORPUS_FILE step. If they differ, returns false and prints how. */
bool corpus_check_file(const struct corpus_step *step, FILE *out);

/* An implementation, and what it does not claim to do. */
struct corpus_subject {
    const char *name;
    unsigned cannot; /* enum corpus_need, or'ed */
    struct adapter *(*make)(const struct corpus_subject *subject);
    struct adapter *(*make_apart)(const struct corpus_subject *subject); /* in a process that can be killed; or null */
    const char *directory;                                               /* where a child process is started */
    unsigned timeout;                           /* seconds that an answer of a child process may take */
    const struct protocol_abilities *abilities; /* what else it does not claim; null: it claims everything */
};

enum corpus_verdict {
    CORPUS_PASSED,
    CORPUS_FAILED,
    CORPUS_NOT_APPLICABLE, /* the case needs what the implementation does not claim */
    CORPUS_CRASHED,        /* the implementation died, or hung until it was killed */
    CORPUS_NOT_RUN,        /* the machine could not run it: no space, no process */
};

/*
 * Runs the steps of a case against the subject in the current directory, which holds the case's files. Prints the first
 * failure to `out`. CORPUS_CRASHED is returned for a child process only: what kills this process kills it.
 */
enum corpus_verdict corpus_run(const struct corpus_case *c, const struct corpus_subject *subject, FILE *out);

/* The level of section 15 that a case is of. */
enum protocol_level corpus_level(const struct corpus_case *c);

/* Null if the subject claims all that a case needs; else a line that says what it does not claim, to be freed by the
 * caller. */
char *corpus_applies(const struct corpus_case *c, const struct corpus_subject *subject);

struct corpus_result {
    const struct corpus_case *c;
    enum corpus_verdict verdict;
    char *text; /* owned; why, unless it passed */
    double seconds;
};

/* How cases are judged. */
struct corpus_run_options {
    const struct corpus_subject *subject;
    const char *directory; /* an existing one, for those of the cases; absolute */
    unsigned timeout;      /* seconds for one case, from 1 */
    unsigned jobs;         /* cases at once, from 1 */
    int interruption;      /* a descriptor that becomes readable when no more is to be judged; or -1 */

    /* Called for each result when it and all before it are known; if it returns false, no more is judged. */
    bool (*judged)(void *context, size_t index);
    void *context;
};

/*
 * Judges results[i].c for all i in [0, count), each case in a child process and a directory of its own. Fills verdict,
 * text (never null; the caller frees it) and seconds. When it returns, there is neither a child nor a directory of a
 * case. This process becomes the one that adopts orphans, has no other children, and is not called from several
 * threads.
 */
void corpus_judge(struct corpus_result *results, size_t count, const struct corpus_run_options *manner);

#endif
