/*
 * Where the program under test enters.
 *
 * The engine is compiled a third time, from its own sources and with its own addcow_sync.h, with -fsanitize=thread. So
 * the compiler calls a function for every atomic operation, with its memory order, and for every plain access; the
 * thread sanitizer itself is not linked. These calls, those of locks and condition variables, of the allocator and of
 * memcpy and its kind are renamed to the functions below (mk/harness.mk). A function that is missing here does not
 * link.
 */
#include "weak/heap.h"
#include "weak/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLACE __builtin_return_address(0)

/* Nothing declares them: only renamed code calls them. */
#define ENTRY(type, name, ...)                                                                                         \
    type name(__VA_ARGS__);                                                                                            \
    type name(__VA_ARGS__)

/* ---- The compiler's own ---- */

ENTRY(void, weak_tsan_init, void)
{
}

ENTRY(void, weak_tsan_func_entry, void *caller)
{
    (void)caller;
}

ENTRY(void, weak_tsan_func_exit, void)
{
}

#define PLAIN(bytes)                                                                                                   \
    ENTRY(void, weak_tsan_read##bytes, void *address)                                                                  \
    {                                                                                                                  \
        weak_do_plain(address, bytes, WEAK_PLAIN_READ, PLACE);                                                         \
    }                                                                                                                  \
    ENTRY(void, weak_tsan_write##bytes, void *address)                                                                 \
    {                                                                                                                  \
        weak_do_plain(address, bytes, WEAK_PLAIN_WRITE, PLACE);                                                        \
    }                                                                                                                  \
    ENTRY(void, weak_tsan_unaligned_read##bytes, void *address)                                                        \
    {                                                                                                                  \
        weak_do_plain(address, bytes, WEAK_PLAIN_READ, PLACE);                                                         \
    }                                                                                                                  \
    ENTRY(void, weak_tsan_unaligned_write##bytes, void *address)                                                       \
    {                                                                                                                  \
        weak_do_plain(address, bytes, WEAK_PLAIN_WRITE, PLACE);                                                        \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

ENTRY(void, weak_tsan_read_range, void *address, unsigned long size)
{
    weak_do_plain(address, size, WEAK_PLAIN_READ, PLACE);
}

ENTRY(void, weak_tsan_write_range, void *address, unsigned long size)
{
    weak_do_plain(address, size, WEAK_PLAIN_WRITE, PLACE);
}

/* ---- Atomics of 32 and 64 bits: all that the engine has ---- */

static uint64_t add(uint64_t old, uint64_t operand)
{
    return old + operand;
}

static uint64_t subtract(uint64_t old, uint64_t operand)
{
    return old - operand;
}

static uint64_t bits_or(uint64_t old, uint64_t operand)
{
    return old | operand;
}

static uint64_t bits_and(uint64_t old, uint64_t operand)
{
    return old & operand;
}

static uint64_t replace(uint64_t old, uint64_t operand)
{
    (void)old;
    return operand;
}

#define UPDATE(bits, name, function)                                                                                   \
    ENTRY(uint##bits##_t, weak_tsan_atomic##bits##_##name, uint##bits##_t *number, uint##bits##_t operand, int order)  \
    {                                                                                                                  \
        return (uint##bits##_t)weak_do_update(number, sizeof *number, function, operand, (enum weak_order)order,       \
                                              PLACE);                                                                  \
    }

#define ATOMIC(bits)                                                                                                   \
    ENTRY(uint##bits##_t, weak_tsan_atomic##bits##_load, const uint##bits##_t *number, int order)                      \
    {                                                                                                                  \
        return (uint##bits##_t)weak_do_load(number, sizeof *number, (enum weak_order)order, PLACE);                    \
    }                                                                                                                  \
    ENTRY(void, weak_tsan_atomic##bits##_store, uint##bits##_t *number, uint##bits##_t value, int order)               \
    {                                                                                                                  \
        weak_do_store(number, sizeof *number, value, (enum weak_order)order, PLACE);                                   \
    }                                                                                                                  \
    UPDATE(bits, fetch_add, add)                                                                                       \
    UPDATE(bits, fetch_sub, subtract)                                                                                  \
    UPDATE(bits, fetch_or, bits_or)                                                                                    \
    UPDATE(bits, fetch_and, bits_and)                                                                                  \
    UPDATE(bits, exchange, replace)                                                                                    \
    ENTRY(uint##bits##_t, weak_tsan_atomic##bits##_compare_exchange_val, uint##bits##_t *number,                       \
          uint##bits##_t expected, uint##bits##_t value, int order, int otherwise)                                     \
    {                                                                                                                  \
        return (uint##bits##_t)weak_do_exchange_if(number, sizeof *number, expected, value, (enum weak_order)order,    \
                                                   (enum weak_order)otherwise, PLACE);                                 \
    }                                                                                                                  \
    ENTRY(int, weak_tsan_atomic##bits##_compare_exchange_strong, uint##bits##_t *number, uint##bits##_t *expected,     \
          uint##bits##_t value, int order, int otherwise)                                                              \
    {                                                                                                                  \
        uint64_t wanted = *expected;                                                                                   \
        uint64_t old = weak_do_exchange_if(number, sizeof *number, wanted, value, (enum weak_order)order,              \
                                           (enum weak_order)otherwise, PLACE);                                         \
        if (old != wanted) {                                                                                           \
            *expected = (uint##bits##_t)old;                                                                           \
        }                                                                                                              \
        return old == wanted;                                                                                          \
    }
ATOMIC(32)
ATOMIC(64)

ENTRY(void, weak_tsan_atomic_thread_fence, int order)
{
    weak_do_fence((enum weak_order)order, PLACE);
}

/* ---- Locks and condition variables ---- */

ENTRY(int, weak_pthread_mutex_init, pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    weak_do_plain(mutex, sizeof *mutex, WEAK_PLAIN_WRITE, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_mutex_destroy, pthread_mutex_t *mutex)
{
    weak_do_plain(mutex, sizeof *mutex, WEAK_PLAIN_WRITE, PLACE);
    weak_do_destroy_mutex(mutex);
    return 0;
}

ENTRY(int, weak_pthread_mutex_lock, pthread_mutex_t *mutex)
{
    weak_do_lock(mutex, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_mutex_unlock, pthread_mutex_t *mutex)
{
    weak_do_unlock(mutex, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_cond_init, pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)attributes;
    weak_do_plain(condition, sizeof *condition, WEAK_PLAIN_WRITE, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_cond_destroy, pthread_cond_t *condition)
{
    weak_do_plain(condition, sizeof *condition, WEAK_PLAIN_WRITE, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    weak_do_wait(condition, mutex, PLACE);
    return 0;
}

ENTRY(int, weak_pthread_cond_broadcast, pthread_cond_t *condition)
{
    weak_do_broadcast(condition, PLACE);
    return 0;
}

/* ---- The allocator ---- */

static void *allocate(size_t size, const void *place)
{
    void *memory = weak_heap_allocate(weak_running() ? weak_self() : WEAK_OUTSIDE, size);
    if (memory == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    weak_do_plain(memory, size, WEAK_PLAIN_WRITE, place);
    return memory;
}

ENTRY(void *, weak_malloc, size_t size)
{
    return allocate(size, PLACE);
}

ENTRY(void *, weak_calloc, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    void *memory = allocate(count * size, PLACE);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

ENTRY(void, weak_free, void *memory)
{
    if (memory == NULL) {
        return;
    }
    size_t size = weak_heap_size(memory);
    weak_do_plain(memory, size, WEAK_PLAIN_WRITE, PLACE);
    if (weak_running()) {
        weak_plain_forbid(memory, size);
    }
    weak_heap_free(memory);
}

static char *copy_text(const char *text, size_t length, const void *place)
{
    char *copy = allocate(length + 1, place);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

ENTRY(char *, weak_strdup, const char *text)
{
    return copy_text(text, strlen(text), PLACE);
}

ENTRY(char *, weak_strndup, const char *text, size_t most)
{
    return copy_text(text, strnlen(text, most), PLACE);
}

/* ---- Memory ---- */

/* clang calls the first of each two for what it adds, the program the second. */
#define COPY(name, function)                                                                                           \
    ENTRY(void *, name, void *to, const void *from, size_t size)                                                       \
    {                                                                                                                  \
        weak_do_plain(from, size, WEAK_PLAIN_READ, PLACE);                                                             \
        weak_do_plain(to, size, WEAK_PLAIN_WRITE, PLACE);                                                              \
        return function(to, from, size);                                                                               \
    }
COPY(weak_tsan_memcpy, memcpy)
COPY(weak_memcpy, memcpy)
COPY(weak_tsan_memmove, memmove)
COPY(weak_memmove, memmove)

#define FILL(name)                                                                                                     \
    ENTRY(void *, name, void *to, int value, size_t size)                                                              \
    {                                                                                                                  \
        weak_do_plain(to, size, WEAK_PLAIN_WRITE, PLACE);                                                              \
        return memset(to, value, size);                                                                                \
    }
FILL(weak_tsan_memset)
FILL(weak_memset)

ENTRY(int, weak_memcmp, const void *left, const void *right, size_t size)
{
    weak_do_plain(left, size, WEAK_PLAIN_READ, PLACE);
    weak_do_plain(right, size, WEAK_PLAIN_READ, PLACE);
    return memcmp(left, right, size);
}

/* ---- Assertions ---- */

ENTRY(_Noreturn void, weak_assert_fail, const char *condition, const char *file, unsigned line, const char *function)
{
    weak_fail("the assertion %s fails, %s:%u (%s)", condition, file, line, function);
    abort();
}

ENTRY(unsigned, weak_thread_number, void)
{
    return weak_self();
}
