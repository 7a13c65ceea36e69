/*
 * What a judge and an observer tell each other: one structure in memory that both share.
 *
 * The judge makes it, in a file, and starts the observer (tracer.h) with the path of that file. It changes the plan
 * only while no request is in progress: it disarms, changes, and arms. The observer counts and tells.
 */
#ifndef HARNESS_WATCH_H
#define HARNESS_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCH_NAME_BYTES 64u /* of a file's name below the directory, with its NUL */
#define WATCH_PATH_BYTES 4096u

/* What a system call does with a file. */
enum watch_kind {
    WATCH_READ,
    WATCH_WRITE,
    WATCH_SYNC,
    WATCH_TRUNCATE,
    WATCH_ALLOCATE, /* fallocate, which also punches */
    WATCH_OPEN,
    WATCH_NAMES, /* rename, link, unlink and their like */
    WATCH_KINDS
};

/* Sets of kinds, a bit each. */
#define WATCH_EVERY ((1u << WATCH_KINDS) - 1)
#define WATCH_CHANGES (WATCH_EVERY & ~(1u << WATCH_READ | 1u << WATCH_OPEN))

enum watch_action {
    WATCH_FAIL,    /* the call does nothing and gives the error */
    WATCH_SHORTEN, /* a transfer is about half as long; other calls are as they are */
    WATCH_KILL,    /* every process dies by SIGKILL before the call */
    WATCH_HOLD,    /* the call is made only when the judge lets it go (`released`) */
};

/* What happens at a call. Only calls on files of the directory count, of all threads and processes together. */
struct watch_plan {
    uint64_t at;    /* the number of the call, from 1 on; 0: nothing happens */
    unsigned kinds; /* those that count */
    char file[24];  /* only calls on the file of this name count; "": on any */
    enum watch_action action;
    int error;    /* of WATCH_FAIL: an errno */
    bool lasting; /* from that call on, all of the same kind on the same file */
};

/* What an observer may meet and cannot see. The verdict then is "not judged". */
enum watch_unseen {
    WATCH_UNSEEN_MAPPING, /* a file of the directory is mapped, writable and shared */
    WATCH_UNSEEN_URING,   /* io_uring */
    WATCH_UNSEEN_AIO,     /* io_submit */
    WATCH_UNSEEN_FOREIGN, /* system calls of another architecture, such as a 32-bit program */
    WATCH_UNSEEN_DEEPER,  /* a change of a file in a directory below the directory, or with a very long name */
    WATCH_UNSEEN_LIMIT,   /* the record could not be written */
    WATCH_UNSEEN_KINDS
};

enum watch_state { WATCH_STARTING, WATCH_RUNNING, WATCH_IMPOSSIBLE };

struct watch {
    /* Set before the observer starts. */
    char directory[WATCH_PATH_BYTES]; /* absolute, without symbolic links: files directly in it are observed */
    char record[WATCH_PATH_BYTES];    /* the file that gets the record (record.h); "": none is made */
    bool reads;                       /* whether reads count and can fail; they cost time */
    bool turns; /* no two transfers at once, so that each sector is read and written whole, as CON-02 assumes */
    uint64_t delay_seed;         /* chooses the calls that are delayed; 0: none */
    uint32_t delay_microseconds; /* the longest delay */

    /* Set by the judge while nothing is in progress. */
    _Atomic bool armed;
    struct watch_plan plan;
    _Atomic bool released;    /* calls that are held go on */
    _Atomic uint32_t request; /* what the judge has asked for: any number, which the record repeats */

    /* Set by the observer. */
    _Atomic uint32_t state;                 /* enum watch_state */
    char why[256];                          /* WATCH_IMPOSSIBLE: the reason */
    _Atomic uint64_t calls;                 /* counted while armed */
    _Atomic uint64_t calls_of[WATCH_KINDS]; /* the same of each kind, whatever the plan counts */
    _Atomic uint64_t hits;                  /* calls to which the plan's action happened */
    uint32_t hit_kind;                      /* the first of them */
    char hit_call[32];
    char hit_file[WATCH_NAME_BYTES];
    _Atomic uint64_t records; /* written so far */
    _Atomic uint64_t seen;    /* calls on files of the directory, since the start */
    _Atomic uint32_t unseen;  /* a bit for each enum watch_unseen */
};

/*
 * Maps the structure in the file `path`. `make`: makes the file, with all zero. Null, with errno, on failure. The
 * caller calls watch_unmap.
 */
struct watch *watch_map(const char *path, bool make);
void watch_unmap(struct watch *watch);

/* Sets the plan and the counters to zero. The plan may be null: nothing happens, but calls of every kind count. */
void watch_arm(struct watch *watch, const struct watch_plan *plan);
void watch_disarm(struct watch *watch);

/* What the observer could not see, in words; "" if nothing. The caller frees it. */
char *watch_unseen_text(const struct watch *watch);

/* A kind in words, such as "write". Static storage. */
const char *watch_kind_name(enum watch_kind kind);

#endif
