/*
 * Coroutines: several stacks in one thread of the operating system.
 *
 * A switch exchanges only the registers that a call preserves. It costs a few nanoseconds; swapcontext would make two
 * system calls. Every stack is registered with the sanitizers and valgrind.
 */
#ifndef HARNESS_SCHED_COROUTINE_H
#define HARNESS_SCHED_COROUTINE_H

struct coroutine;

/* The coroutine of the caller itself. It has no stack of its own. Never fails; the caller destroys it. */
struct coroutine *coroutine_make_main(void);

/* A coroutine with a stack, doing nothing yet. Never fails; the caller destroys it. */
struct coroutine *coroutine_make(void);
void coroutine_destroy(struct coroutine *coroutine);

/*
 * Runs `body` from its beginning at the next switch to the coroutine. Whatever the coroutine did before is abandoned.
 * `body` must not return: it ends with coroutine_leave.
 */
void coroutine_start(struct coroutine *coroutine, void (*body)(void *context), void *context);

/*
 * Switches from the running coroutine `from` to `to`, which continues where it was, or begins. Returns at a switch back
 * to `from`.
 */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

/* As coroutine_switch, but nothing switches back before coroutine_start. */
_Noreturn void coroutine_leave(struct coroutine *from, struct coroutine *to);

#endif
