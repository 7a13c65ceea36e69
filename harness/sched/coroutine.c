/*
 * Coroutines: stacks are switched by hand on x86-64 and aarch64, and by ucontext elsewhere.
 *
 * The state of a coroutine that is not running is its stack pointer. Its stack holds the registers that a call
 * preserves. A new coroutine has a stack on which these registers are zero and the return address is `enter`.
 */
#include "sched/coroutine.h"

#include "base/report.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

#define STACK_BYTES ((size_t)512 << 10) /* only what is touched costs memory */
#define GUARD_BYTES ((size_t)64 << 10)  /* at least a page everywhere */

#if defined(__x86_64__) || defined(__aarch64__)
#define BY_HAND 1
#else
#define BY_HAND 0
#include <ucontext.h>
#endif

struct coroutine {
#if BY_HAND
    void *stack_pointer;
#else
    ucontext_t registers;
#endif
    uint8_t *mapping;    /* guard, then stack; null for the main one */
    const void *bottom;  /* of the stack */
    size_t size;         /* of the stack */
    void *fake_stack;    /* the address sanitizer's */
    void *fiber;         /* the thread sanitizer's */
    unsigned registered; /* with valgrind */
    int begun;           /* and not ended */
    void (*body)(void *context);
    void *context;
};

/* The two coroutines of the switch in progress. */
static struct coroutine *leaving;
static struct coroutine *entering;

/* ---- Announcing switches to the tools ---- */

/* Inlined, as the thread sanitizer must see no function begin or end between this and the switch. */
__attribute__((always_inline)) static inline void announce_switch(struct coroutine *from, struct coroutine *to,
                                                                  int for_good)
{
    (void)for_good;
    leaving = from;
    entering = to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

static void confirm_switch(void)
{
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(entering->fake_stack, &bottom, &size);
    if (leaving->mapping == NULL) {
        leaving->bottom = bottom;
        leaving->size = size;
    }
#endif
}

/* ---- Switching ---- */

static void enter(void)
{
    confirm_switch();
    entering->body(entering->context);
    report_fatal("a coroutine has returned");
}

#if defined(__x86_64__)
/* swap(void **save, void *load) */
void coroutine_swap(void **save, void *load);
__asm__(
    ".text\n"
    ".globl coroutine_swap\n"
    ".hidden coroutine_swap\n"
    ".type coroutine_swap, @function\n"
    "coroutine_swap:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size coroutine_swap, . - coroutine_swap\n");

static void prepare(struct coroutine *coroutine)
{
    /* From below: six registers, where to return to, and the place at which `enter` sees its own return address. */
    uintptr_t *top = (uintptr_t *)(void *)(coroutine->mapping + GUARD_BYTES + STACK_BYTES);
    *--top = 0;
    *--top = (uintptr_t)enter;
    for (int i = 0; i < 6; i++) {
        *--top = 0;
    }
    coroutine->stack_pointer = top;
}
#elif defined(__aarch64__)
void coroutine_swap(void **save, void *load);
__asm__(
    ".text\n"
    ".globl coroutine_swap\n"
    ".hidden coroutine_swap\n"
    ".type coroutine_swap, %function\n"
    "coroutine_swap:\n"
    "    sub sp, sp, #160\n"
    "    stp x19, x20, [sp, #0]\n"
    "    stp x21, x22, [sp, #16]\n"
    "    stp x23, x24, [sp, #32]\n"
    "    stp x25, x26, [sp, #48]\n"
    "    stp x27, x28, [sp, #64]\n"
    "    stp x29, x30, [sp, #80]\n"
    "    stp d8, d9, [sp, #96]\n"
    "    stp d10, d11, [sp, #112]\n"
    "    stp d12, d13, [sp, #128]\n"
    "    stp d14, d15, [sp, #144]\n"
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov sp, x1\n"
    "    ldp x19, x20, [sp, #0]\n"
    "    ldp x21, x22, [sp, #16]\n"
    "    ldp x23, x24, [sp, #32]\n"
    "    ldp x25, x26, [sp, #48]\n"
    "    ldp x27, x28, [sp, #64]\n"
    "    ldp x29, x30, [sp, #80]\n"
    "    ldp d8, d9, [sp, #96]\n"
    "    ldp d10, d11, [sp, #112]\n"
    "    ldp d12, d13, [sp, #128]\n"
    "    ldp d14, d15, [sp, #144]\n"
    "    add sp, sp, #160\n"
    "    ret\n"
    ".size coroutine_swap, . - coroutine_swap\n");

static void prepare(struct coroutine *coroutine)
{
    uintptr_t *frame = (uintptr_t *)(void *)(coroutine->mapping + GUARD_BYTES + STACK_BYTES) - 20;
    for (int i = 0; i < 20; i++) {
        frame[i] = 0;
    }
    frame[11] = (uintptr_t)enter; /* x30 */
    coroutine->stack_pointer = frame;
}
#else
static void prepare(struct coroutine *coroutine)
{
    getcontext(&coroutine->registers);
    coroutine->registers.uc_stack.ss_sp = coroutine->mapping + GUARD_BYTES;
    coroutine->registers.uc_stack.ss_size = STACK_BYTES;
    coroutine->registers.uc_link = NULL;
    makecontext(&coroutine->registers, enter, 0);
}
#endif

__attribute__((always_inline)) static inline void exchange(struct coroutine *from, struct coroutine *to)
{
#if BY_HAND
    coroutine_swap(&from->stack_pointer, to->stack_pointer);
#else
    swapcontext(&from->registers, &to->registers);
#endif
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    announce_switch(from, to, 0);
    exchange(from, to);
    confirm_switch();
}

void coroutine_leave(struct coroutine *from, struct coroutine *to)
{
    from->begun = 0;
    announce_switch(from, to, 1);
    exchange(from, to);
    report_fatal("a coroutine that has ended was resumed");
}

/* ---- Making ---- */

struct coroutine *coroutine_make_main(void)
{
    struct coroutine *coroutine = report_allocate(1, sizeof *coroutine);
#ifdef __SANITIZE_THREAD__
    coroutine->fiber = __tsan_get_current_fiber();
#endif
    return coroutine;
}

struct coroutine *coroutine_make(void)
{
    struct coroutine *coroutine = report_allocate(1, sizeof *coroutine);
    void *mapping = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED || mprotect(mapping, GUARD_BYTES, PROT_NONE) != 0) {
        report_fatal("no memory for a coroutine's stack");
    }
    coroutine->mapping = mapping;
    coroutine->bottom = coroutine->mapping + GUARD_BYTES;
    coroutine->size = STACK_BYTES;
    coroutine->registered = VALGRIND_STACK_REGISTER(coroutine->bottom, coroutine->mapping + GUARD_BYTES + STACK_BYTES);
    return coroutine;
}

void coroutine_destroy(struct coroutine *coroutine)
{
    if (coroutine->mapping != NULL) {
        VALGRIND_STACK_DEREGISTER(coroutine->registered);
        munmap(coroutine->mapping, GUARD_BYTES + STACK_BYTES);
#ifdef __SANITIZE_THREAD__
        if (coroutine->fiber != NULL) {
            __tsan_destroy_fiber(coroutine->fiber);
        }
#endif
    }
    free(coroutine);
}

void coroutine_start(struct coroutine *coroutine, void (*body)(void *context), void *context)
{
#ifdef __SANITIZE_ADDRESS__
    /* An abandoned coroutine may have left the sanitizer's marks on the stack. */
    if (coroutine->begun) {
        __asan_unpoison_memory_region(coroutine->bottom, coroutine->size);
    }
    coroutine->begun = 1;
    coroutine->fake_stack = NULL;
#endif
#ifdef __SANITIZE_THREAD__
    if (coroutine->fiber != NULL) {
        __tsan_destroy_fiber(coroutine->fiber);
    }
    coroutine->fiber = __tsan_create_fiber(0);
#endif
    coroutine->body = body;
    coroutine->context = context;
    prepare(coroutine);
}
