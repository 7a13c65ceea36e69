/*
 * What an implementation must keep while a system call fails: the checks of the judge of faults (faults.h).
 */
#ifndef HARNESS_FAULT_CHECK_H
#define HARNESS_FAULT_CHECK_H

#include "judges/fault_contents.h"
#include "observe/findings.h"
#include "observe/scenario_run.h"
#include "storage/sim.h"

struct fault_check {
    struct observed *observed;
    const struct scenario *scenario;
    const struct trace *trace;
    struct findings *findings;
    struct watch_plan plan;
    bool image_lost;                /* a sync of the image file has failed in this opening (DUR-07) */
    bool other_lost;                /* one of another file has */
    bool forgotten;                 /* the fault was in an open that failed: the next opening knows nothing of it */
    bool stream_failed;             /* it is to be done again */
    bool close_failed;              /* the disk is closed all the same */
    bool resize_failed;             /* later requests may be outside the disk */
    bool rehearses;                 /* without a fault, the disk is used after the scenario as after a fault */
    bool ended;                     /* the process has ended, hung or broken the protocol */
    struct fault_contents contents; /* what the disk may hold */
    struct fault_contents lenient;  /* what it might hold if nothing that was answered had surely been done */
    struct sim *sim;                /* of the start */
    char broken[64];                /* the clauses that this run breaks; "": none so far */
    char story[1024];               /* why */
};

/* Never null. The caller calls fault_check_free. */
struct fault_check *fault_check_make(struct observed *observed, const struct scenario *scenario,
                                     struct findings *findings);
void fault_check_free(struct fault_check *check);

/* Whether the faults of the scenario can be judged at all. */
bool fault_check_is_possible(const struct fault_check *check);

/* Puts new files in place, and begins a run. */
void fault_check_begin(struct fault_check *check, const struct watch_plan *plan);

/* Notes which clauses a run breaks, and why. Returns false. */
bool fault_check_break(struct fault_check *check, const char *clauses, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reports the clauses that the run has broken, with the fault. */
void fault_check_report(struct fault_check *check);

/*
 * The checks. Each returns false, and notes what is broken, if something is wrong.
 */

/* The process lives. */
bool fault_check_alive(struct fault_check *check);

/* A request may have this status: it succeeded, or the fault explains its class. */
bool fault_check_status(struct fault_check *check, const char *what, enum addcow_status code,
                        const struct addcow_error *error);

/* Notes whether a sync has failed by now. */
void fault_check_note_sync(struct fault_check *check);

/* The disk, which reads as `bytes`, holds what it may. */
bool fault_check_contents(struct fault_check *check, const uint8_t *bytes, const char *when);

/* What the record has made durable is a disk that holds what it may. */
bool fault_check_durable(struct fault_check *check, const char *what);

/* So are the files as they are now, for the reference engine. */
bool fault_check_files(struct fault_check *check, const char *when);

/* The files are as at the start. */
bool fault_check_unchanged(struct fault_check *check, const char *what);

/* No file is left behind. */
bool fault_check_names(struct fault_check *check);

#endif
