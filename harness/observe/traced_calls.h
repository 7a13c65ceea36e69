/*
 * The system calls that an observer looks at, and which file of the directory a call is about.
 */
#ifndef HARNESS_TRACED_CALLS_H
#define HARNESS_TRACED_CALLS_H

#include "observe/watch.h"

#include <sys/syscall.h>
#include <sys/types.h>

#ifdef SYS_mmap
#define CALL_MMAP SYS_mmap
#else
#define CALL_MMAP SYS_mmap2
#endif

/* Which bytes of its file a call changes. */
enum call_range {
    RANGE_AT_ARGUMENT, /* from the offset in argument 3 on; if that is negative, as the next */
    RANGE_AT_POSITION, /* from the file's position on */
    RANGE_WHOLE,       /* not known: any */
    RANGE_NONE,
};

/* How a call names its file. */
enum call_names {
    NAMES_DESCRIPTOR, /* argument `which` */
    NAMES_PATH,       /* the path in argument `which` */
    NAMES_PATH_AT,    /* the path in argument `which`, relative to the descriptor in the argument before */
    NAMES_TWO_PATHS,  /* paths in the arguments 0 and 1 */
    NAMES_TWO_AT,     /* paths in the arguments 1 and 3, relative to those before */
    NAMES_ALL,        /* all files */
    NAMES_UNSEEN,     /* the call does what cannot be observed: `which` is enum watch_unseen */
};

struct call_shape {
    int number;
    const char *name;
    enum watch_kind kind;
    enum call_names names;
    int which;
    enum call_range range;
};

/* One call of a thread of the observed program. */
struct traced_call {
    const struct call_shape *shape; /* null: none that matters */
    uint64_t arguments[6];
    int descriptor;              /* of the file, in the thread; -1: none */
    char name[WATCH_NAME_BYTES]; /* of the file, in the directory; "": the directory itself */
};

/* All shapes. *count is their number. */
const struct call_shape *call_shapes(size_t *count);

/*
 * Fills *call for the call number `number` of a thread that has just entered it. call->shape is null if it is about no
 * file of the directory and makes none there. Notes in watch->unseen what cannot be observed.
 */
void call_find(struct watch *watch, pid_t thread, uint64_t number, const uint64_t arguments[6],
               struct traced_call *call);

/* The name below the directory of the file behind a descriptor. False if it is no file there, or is removed. */
bool call_descriptor_name(struct watch *watch, pid_t thread, int descriptor, char name[WATCH_NAME_BYTES]);

/* Copies bytes out of the memory of a thread. False if they are not all there. */
bool call_read_memory(pid_t thread, uint64_t address, void *bytes, size_t length);

#endif
