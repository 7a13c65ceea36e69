/*
 * The filter and the registers.
 *
 * The filter is a seccomp program. It lets every call pass, and stops only at the numbers of the table, so that the
 * rest of a program runs at full speed. Each further processor needs four lines here: how its architecture is called,
 * and where a call's number, result and third argument are.
 */
#include "observe/traced_machine.h"

#include "observe/traced_calls.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#define FILTER_MAX 256u

/* Not every C library has these. */
#define GET_SYSCALL_INFO 0x420e
#define INFO_EXIT 2
#define INFO_SECCOMP 3
struct call_info {
    uint8_t operation;
    uint8_t padding[3];
    uint32_t architecture;
    uint64_t instruction_pointer;
    uint64_t stack_pointer;
    union {
        struct {
            uint64_t number;
            uint64_t arguments[6];
        } entry;
        struct {
            int64_t result;
            uint8_t is_error;
        } exit;
    };
};

#if defined __x86_64__ && defined __LP64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* of the numbers of the x32 calls */
#elif defined __aarch64__ && defined __LP64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x80000000u /* of none */
#else
#define ARCHITECTURE 0u
#define FOREIGN_BIT 0x80000000u
#endif

const char *machine_problem(void)
{
    return ARCHITECTURE == 0u ? "the observer does not know this processor" : NULL;
}

/* ---- The filter ---- */

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short length;
};

static void add(struct filter *filter, unsigned short code, unsigned char yes, unsigned char no, uint32_t value)
{
    filter->code[filter->length++] = (struct sock_filter){code, yes, no, value};
}

static void load(struct filter *filter, size_t offset)
{
    add(filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* The low half of an argument. Both processors are little-endian. */
static void load_argument(struct filter *filter, unsigned argument)
{
    load(filter, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

static void answer(struct filter *filter, uint32_t value)
{
    add(filter, BPF_RET | BPF_K, 0, 0, value);
}

/* The call number is loaded. Stops at this number, for mmap and ioctl only where it matters. */
static void add_call(struct filter *filter, const struct call_shape *shape)
{
    const uint32_t stop = SECCOMP_RET_TRACE;
    if (shape->number == CALL_MMAP) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 6, (uint32_t)shape->number);
        load_argument(filter, 2);
        add(filter, BPF_JMP | BPF_JSET | BPF_K, 0, 3, PROT_WRITE);
        load_argument(filter, 3);
        add(filter, BPF_JMP | BPF_JSET | BPF_K, 0, 1, MAP_SHARED);
        answer(filter, stop);
        answer(filter, SECCOMP_RET_ALLOW);
    } else if (shape->number == SYS_ioctl) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 5, (uint32_t)shape->number);
        load_argument(filter, 1);
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (uint32_t)FICLONE);
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)FICLONERANGE);
        answer(filter, stop);
        answer(filter, SECCOMP_RET_ALLOW);
    } else {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)shape->number);
        answer(filter, stop);
    }
}

bool machine_install_filter(bool reads)
{
    struct filter filter = {.length = 0};
    size_t count;
    const struct call_shape *shapes = call_shapes(&count);
    load(&filter, offsetof(struct seccomp_data, arch));
    add(&filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    answer(&filter, SECCOMP_RET_TRACE | MACHINE_FOREIGN);
    load(&filter, offsetof(struct seccomp_data, nr));
    add(&filter, BPF_JMP | BPF_JSET | BPF_K, 0, 1, FOREIGN_BIT);
    answer(&filter, SECCOMP_RET_TRACE | MACHINE_FOREIGN);
    for (size_t i = 0; i < count; i++) {
        if (reads || shapes[i].kind != WATCH_READ) {
            add_call(&filter, &shapes[i]);
        }
    }
    answer(&filter, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {filter.length, filter.code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- Stopped threads ---- */

static bool get_info(pid_t thread, struct call_info *info)
{
    memset(info, 0, sizeof *info);
    return syscall(SYS_ptrace, (long)GET_SYSCALL_INFO, (long)thread, sizeof *info, info) > 0;
}

bool machine_entry(pid_t thread, struct machine_entry *entry)
{
    struct call_info info;
    if (!get_info(thread, &info) || info.operation != INFO_SECCOMP) {
        return false;
    }
    entry->number = info.entry.number;
    memcpy(entry->arguments, info.entry.arguments, sizeof entry->arguments);
    entry->foreign = info.architecture != ARCHITECTURE || (info.entry.number & FOREIGN_BIT) != 0;
    return true;
}

bool machine_result(pid_t thread, int64_t *result)
{
    struct call_info info;
    bool good = get_info(thread, &info) && info.operation == INFO_EXIT;
    *result = good ? info.exit.result : 0;
    return good;
}

#if defined __x86_64__ && defined __LP64__
void machine_skip(pid_t thread, int64_t result)
{
    ptrace(PTRACE_POKEUSER, thread, (void *)offsetof(struct user, regs.orig_rax), (void *)-1L);
    ptrace(PTRACE_POKEUSER, thread, (void *)offsetof(struct user, regs.rax), (void *)result);
}

void machine_set_length(pid_t thread, uint64_t length)
{
    ptrace(PTRACE_POKEUSER, thread, (void *)offsetof(struct user, regs.rdx), (void *)length);
}
#elif defined __aarch64__ && defined __LP64__
#define CALL_NUMBER_SET 0x404 /* NT_ARM_SYSTEM_CALL */

static void set_register(pid_t thread, unsigned which, uint64_t value)
{
    struct user_regs_struct registers;
    struct iovec place = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &place) == 0) {
        registers.regs[which] = value;
        ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &place);
    }
}

void machine_skip(pid_t thread, int64_t result)
{
    int none = -1;
    struct iovec place = {&none, sizeof none};
    ptrace(PTRACE_SETREGSET, thread, (void *)CALL_NUMBER_SET, &place);
    set_register(thread, 0, (uint64_t)result);
}

void machine_set_length(pid_t thread, uint64_t length)
{
    set_register(thread, 2, length);
}
#else
void machine_skip(pid_t thread, int64_t result)
{
    (void)thread;
    (void)result;
}

void machine_set_length(pid_t thread, uint64_t length)
{
    (void)thread;
    (void)length;
}
#endif
