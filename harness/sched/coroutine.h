/*
 * Coroutines: several stacks in one thread of the operating system, switched by hand.
 *
 * Only the registers that a call preserves are exchanged, so a switch costs a few nanoseconds, where swapcontext would
 * make two system calls. The sanitizers and valgrind are told of every stack.
 */
#ifndef HARNESS_SCHED_COROUTINE_H
#define HARNESS_SCHED_COROUTINE_H

struct coroutine;

/* The coroutine that stands for whoever calls: has no stack of its own. Never fails; the caller destroys it. */
struct coroutine *coroutine_make_main(void);

/* A coroutine with a stack, doing nothing yet. Never fails; the caller destroys it. */
struct coroutine *coroutine_make(void);
void coroutine_destroy(struct coroutine *coroutine);

/*
 * Lets `body` run from its beginning the next time that someone switches there; whatever the coroutine did before is
 * forgotten. `body` must not return: it ends with coroutine_leave.
 */
void coroutine_start(struct coroutine *coroutine, void (*body)(void *context), void *context);

/*
 * Goes on where `to` left off, or begins it; returns when someone switches to `from`, which is the coroutine that runs
 * now.
 */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

/* As coroutine_switch, for good: nobody switches back before coroutine_start. */
_Noreturn void coroutine_leave(struct coroutine *from, struct coroutine *to);

#endif
